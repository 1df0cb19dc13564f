/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>
#include <gst/webrtc/webrtc.h>
#include "livekit-message.h"

G_BEGIN_DECLS

/* One peer connection: a webrtcbin that answers the server's offers, in order and one at a time. It
 * lives for one session and is never used again for another: the m-lines of a webrtcbin belong to
 * its first partner.
 *
 * Calls are made in, and handlers called from, the thread-default main context of
 * livekit_peer_new(), unless said otherwise. webrtcbin's own threads only post to it. */
#define LIVEKIT_TYPE_PEER (livekit_peer_get_type ())
G_DECLARE_FINAL_TYPE (LiveKitPeer, livekit_peer, LIVEKIT, PEER, GObject)

typedef struct
{
  guint latency; /* jitter buffer, ms */
  gboolean nack;
  const char *const *codecs; /* encoding names to accept */
  gboolean relay_only;
  const char *stun_server;         /* (nullable) over the server's */
  const char *const *turn_servers; /* (nullable) beside the server's */
  gboolean data;                   /* what comes over data channels is handed on */
  const GPtrArray *ice_servers;    /* (element-type LiveKitIceServer) the server's */
} LiveKitPeerConfig;

typedef struct
{
  void (*answer) (LiveKitPeer *peer, const char *sdp, guint32 offer_id, gpointer user_data);
  void (*candidate) (LiveKitPeer *peer, const char *candidate, int mline_index, gpointer user_data);
  void (*state_changed) (LiveKitPeer *peer, GstWebRTCPeerConnectionState state, gpointer user_data);
  /* A track's packets begin. @pad is a source pad of the webrtcbin that holds them back until
   * livekit_peer_open_pad() or livekit_peer_shut_pad(). */
  void (*pad_added) (LiveKitPeer *peer, GstPad *pad, const char *track_sid, gpointer user_data);
  /* The pad's track has ended. */
  void (*pad_ended) (LiveKitPeer *peer, GstPad *pad, gpointer user_data);
  /* The offset of a source's running time from the sender's clock, ns. From a streaming thread. */
  void (*sender_clock) (LiveKitPeer *peer, guint32 ssrc, gint64 offset, gpointer user_data);
  /* A message of a data channel. */
  void (*data) (LiveKitPeer *peer, GBytes *bytes, gpointer user_data);
  void (*failed) (LiveKitPeer *peer, const GError *error, gpointer user_data);
} LiveKitPeerHandlers;

/* NULL and @error where an element is missing. */
LiveKitPeer *livekit_peer_new (const LiveKitPeerConfig *config, const LiveKitPeerHandlers *handlers,
    gpointer user_data, GError **error);

/* What the names of all peers' elements begin with. */
#define LIVEKIT_PEER_ELEMENT_NAME "webrtcbin"

/* The webrtcbin, to be put into a bin and brought to a state by the owner. (transfer none) */
GstElement *livekit_peer_get_element (LiveKitPeer *self);

void livekit_peer_handle_offer (LiveKitPeer *self, const LiveKitMessage *offer);
void livekit_peer_add_candidate (LiveKitPeer *self, const char *candidate, int mline_index);

/* Lets a pad's buffers pass, or be dropped again. Any thread. */
void livekit_peer_open_pad (GstPad *pad);
void livekit_peer_shut_pad (GstPad *pad);

/* The pad's track has ended, or is another now: shuts the pad and, some seconds later, frees what
 * webrtcbin has behind it. */
void livekit_peer_end_pad (LiveKitPeer *self, GstPad *pad);

/* No handler is called any more. The element may still run; its owner stops and removes it. */
void livekit_peer_close (LiveKitPeer *self);

/* Before the element is taken down. Any thread but a streaming thread. */
void livekit_peer_stop_data (LiveKitPeer *self);

/* The pads that it ever had: they stay as long as it does. */
guint livekit_peer_count_pads (LiveKitPeer *self);

/* The source whose packets come by a pad of pad_added; 0 before the first. Any thread. */
guint32 livekit_peer_get_pad_ssrc (GstPad *pad);

/* What the RTP session counted for a source: a structure with "packets-received", "packets-lost",
 * "jitter" …; (nullable) (transfer full). Any thread. */
GstStructure *livekit_peer_get_source_stats (LiveKitPeer *self, guint32 ssrc);

/* DTLS key generation costs a process its first tenths of a second, or seconds on a loaded machine:
 * do it early, in a thread, once. */
void livekit_peer_warm_up (void);

/* Waits until that is over. A process that exits in the middle of it crashes in OpenSSL, whose
 * locks are freed at exit. */
void livekit_peer_end_warm_up (void);

G_END_DECLS
