/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-peer.h"
#include "livekit-arrival.h"
#include "livekit-error.h"
#include "livekit-sdp.h"
#include "livekit-sender-clock.h"

#include <gst/rtp/rtp.h>
#include <gst/video/video.h>
#include <nice/agent.h>

GST_DEBUG_CATEGORY_EXTERN (gst_livekit_src_debug);
#define GST_CAT_DEFAULT gst_livekit_src_debug

/* Everything is bundled on one transport, so libnice has one stream and rtpbin one session. */
#define NICE_STREAM_ID 1
#define RTP_SESSION_ID 0
/* Offers that may wait behind the one being answered. The server sends the next only after an
 * answer; more than a few means that it does not speak our protocol. */
#define MAX_QUEUED_OFFERS 32
/* Between two requests for a key frame; us. */
#define KEY_REQUEST_INTERVAL (G_USEC_PER_SEC / 2)
#define FASTSTART_PACKETS 3
/* A track's end may overtake its last packets: they would make anew what was taken down. s */
#define LAST_PACKETS_TIME 5
#define MAX_PENDING_DATA 256 /* messages of data channels that were not looked at yet */
/* How often receiver reports go out, and the rate (bits/s) that rtpsession is to reckon with before
 * it has measured any: both decide how soon a lost packet may be asked for again. */
#define REPORT_INTERVAL (1 * GST_SECOND)
#define ASSUMED_BANDWIDTH 4e6

typedef struct
{
  char *sdp;
  guint32 id;
  GHashTable *mid_to_track;
} Offer;

struct _LiveKitPeer
{
  GObject parent;

  LiveKitPeerHandlers handlers;
  gpointer user_data;
  GMainContext *context;
  gboolean closed;

  GstElement *webrtcbin;
  GstElement *rtpbin;
  char **codecs;
  gboolean nack;

  GQueue offers;            /* of Offer: waiting */
  Offer *current;           /* (nullable) being answered */
  GstSDPMessage *offer_sdp; /* (nullable) of current */
  gboolean remote_is_set;
  GPtrArray *early_candidates; /* (element-type GstStructure) that came before the first offer was
                                  applied */
  char *remote_ufrag;          /* (nullable) of the last offer */
  char *ice_ufrag, *ice_pwd;   /* (nullable) ours since the last ICE restart */
  GstWebRTCPeerConnectionState state;
  guint n_pads; /* ever added */
  int n_data;   /* messages of data channels that are under way; atomic */

  GMutex lock;
  GPtrArray *tracks; /* (element-type utf8) (nullable elements) m-line index -> track sid; protected
                        by lock: read in streaming threads */
};

G_DEFINE_FINAL_TYPE (LiveKitPeer, livekit_peer, G_TYPE_OBJECT)

static void answer_next (LiveKitPeer *self);

/* --- from webrtcbin's threads into ours --- */

typedef struct
{
  LiveKitPeer *peer;
  void (*run) (LiveKitPeer *peer, gpointer data);
  gpointer data;
  GDestroyNotify destroy;
} Call;

static gboolean
call_run (gpointer data)
{
  Call *call = data;

  if (!call->peer->closed)
    call->run (call->peer, call->data);
  return G_SOURCE_REMOVE;
}

static void
call_free (gpointer data)
{
  Call *call = data;

  g_object_unref (call->peer);
  if (call->destroy)
    call->destroy (call->data);
  g_free (call);
}

/* Any thread. Always through the loop, never directly, so that the order of events is kept. */
static void
post (
    LiveKitPeer *self, void (*run) (LiveKitPeer *, gpointer), gpointer data, GDestroyNotify destroy)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  Call *call = g_new0 (Call, 1);

  call->peer = g_object_ref (self);
  call->run = run;
  call->data = data;
  call->destroy = destroy;
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, call_run, call, call_free);
  g_source_attach (source, self->context);
}

/* --- data channels --- */

static void
run_data (LiveKitPeer *self, gpointer data)
{
  g_atomic_int_add (&self->n_data, -1);
  self->handlers.data (self, data, self->user_data);
}

/* From a streaming thread. */
static void
on_data (GObject *channel, GBytes *bytes, LiveKitPeer *self)
{
  if (!bytes)
    return;
  if (g_atomic_int_add (&self->n_data, 1) >= MAX_PENDING_DATA) {
    g_atomic_int_add (&self->n_data, -1);
    GST_LOG ("More data comes than can be looked at: some is dropped");
    return;
  }
  post (self, run_data, g_bytes_ref (bytes), (GDestroyNotify)g_bytes_unref);
}

/* The server opens them. From webrtcbin's thread. */
static void
on_data_channel (GstElement *webrtcbin, GObject *channel, LiveKitPeer *self)
{
  g_autofree char *label = NULL;

  g_object_get (channel, "label", &label, NULL);
  GST_INFO ("data channel %s", label);
  if (g_strcmp0 (label, "_reliable") == 0 || g_strcmp0 (label, "_lossy") == 0)
    g_signal_connect_object (channel, "on-message-data", G_CALLBACK (on_data), self, 0);
}

/* --- offers and answers --- */

static void
offer_free (Offer *offer)
{
  if (!offer)
    return;
  g_free (offer->sdp);
  g_hash_table_unref (offer->mid_to_track);
  g_free (offer);
}

static void
finish_offer (LiveKitPeer *self)
{
  g_clear_pointer (&self->current, offer_free);
  g_clear_pointer (&self->offer_sdp, gst_sdp_message_free);
}

static void
negotiation_failed (LiveKitPeer *self, const char *step, GstPromise *promise)
{
  const GstStructure *reply = promise ? gst_promise_get_reply (promise) : NULL;
  g_autoptr (GError) cause = NULL, error = NULL;

  if (reply && gst_structure_has_field (reply, "error"))
    gst_structure_get (reply, "error", G_TYPE_ERROR, &cause, NULL);
  error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
      "Negotiation of the media failed at %s: %s", step,
      cause ? cause->message : "no reason given");
  self->closed = TRUE; /* what is still under way in webrtcbin is of no use to anybody */
  finish_offer (self);
  if (self->handlers.failed)
    self->handlers.failed (self, error, self->user_data);
}

static gboolean
promise_failed (GstPromise *promise)
{
  const GstStructure *reply;

  if (gst_promise_wait (promise) != GST_PROMISE_RESULT_REPLIED)
    return TRUE;
  reply = gst_promise_get_reply (promise);
  return reply && gst_structure_has_field (reply, "error");
}

/* One asynchronous call into webrtcbin: its promise comes back in webrtcbin's thread and goes on in
 * ours. */
typedef struct
{
  LiveKitPeer *peer;
  void (*next) (LiveKitPeer *peer, gpointer step);
  GstPromise *promise;
  char *sdp; /* (nullable) */
} Step;

static void
step_free (gpointer data)
{
  Step *step = data;

  g_object_unref (step->peer);
  gst_promise_unref (step->promise);
  g_free (step->sdp);
  g_free (step);
}

/* webrtcbin's thread. */
static void
on_promise (GstPromise *promise, gpointer user_data)
{
  Step *step = user_data;

  post (step->peer, step->next, step, step_free);
}

/* (transfer none): the step frees the promise. */
static GstPromise *
new_step (LiveKitPeer *self, void (*next) (LiveKitPeer *, gpointer), const char *sdp)
{
  Step *step = g_new0 (Step, 1);

  step->peer = g_object_ref (self);
  step->next = next;
  step->sdp = g_strdup (sdp);
  step->promise = gst_promise_new_with_change_func (on_promise, step, NULL);
  return step->promise;
}

static void
on_local_set (LiveKitPeer *self, gpointer data)
{
  Step *step = data;

  if (promise_failed (step->promise)) {
    negotiation_failed (self, "the local description", step->promise);
    return;
  }
  GST_DEBUG ("answer %u:\n%s", self->current->id, step->sdp);
  self->handlers.answer (self, step->sdp, self->current->id, self->user_data);
  finish_offer (self);
  answer_next (self);
}

static void
on_answer_created (LiveKitPeer *self, gpointer data)
{
  Step *step = data;
  LiveKitAnswerOptions options = {
    .codecs = (const char *const *)self->codecs,
    .nack = self->nack,
    .ice_ufrag = self->ice_ufrag,
    .ice_pwd = self->ice_pwd,
  };
  g_autoptr (GstWebRTCSessionDescription) answer = NULL;
  g_autofree char *text = NULL;
  GstSDPMessage *told = NULL;

  if (promise_failed (step->promise)) {
    negotiation_failed (self, "the answer", step->promise);
    return;
  }
  gst_structure_get (gst_promise_get_reply (step->promise), "answer",
      GST_TYPE_WEBRTC_SESSION_DESCRIPTION, &answer, NULL);
  if (!answer) {
    negotiation_failed (self, "the answer", step->promise);
    return;
  }
  livekit_sdp_edit_answer (self->offer_sdp, answer->sdp, &options);
  gst_sdp_message_copy (answer->sdp, &told);
  livekit_sdp_end_media (self->offer_sdp, told);
  text = gst_sdp_message_as_text (told);
  gst_sdp_message_free (told);
  g_signal_emit_by_name (
      self->webrtcbin, "set-local-description", answer, new_step (self, on_local_set, text));
}

static void
add_candidate (LiveKitPeer *self, const char *candidate, int mline_index)
{
  g_signal_emit_by_name (self->webrtcbin, "add-ice-candidate", (guint)mline_index, candidate);
}

static void
add_early_candidates (LiveKitPeer *self)
{
  for (guint i = 0; i < self->early_candidates->len; i++) {
    GstStructure *early = g_ptr_array_index (self->early_candidates, i);
    int mline_index = 0;

    gst_structure_get_int (early, "mline-index", &mline_index);
    add_candidate (self, gst_structure_get_string (early, "candidate"), mline_index);
  }
  g_ptr_array_set_size (self->early_candidates, 0);
}

static void
on_remote_set (LiveKitPeer *self, gpointer data)
{
  Step *step = data;

  if (promise_failed (step->promise)) {
    negotiation_failed (self, "the remote description", step->promise);
    return;
  }
  self->remote_is_set = TRUE;
  add_early_candidates (self);
  g_signal_emit_by_name (
      self->webrtcbin, "create-answer", NULL, new_step (self, on_answer_created, NULL));
}

/* Returns: (transfer full) (nullable) */
static GObject *
get_nice_agent (LiveKitPeer *self)
{
  g_autoptr (GObject) ice = NULL;
  GObject *agent = NULL;

  g_object_get (self->webrtcbin, "ice-agent", &ice, NULL);
  if (ice)
    g_object_get (ice, "agent", &agent, NULL);
  return agent;
}

/* webrtcbin 1.22 takes an offer with new ICE credentials as if nothing had happened, and the media
 * dies. Restarting the stream in libnice beneath it, and putting the new local credentials into
 * every answer from then on, does what it leaves out. */
static void
restart_ice (LiveKitPeer *self)
{
  g_autoptr (GObject) agent = get_nice_agent (self);
  gchar *ufrag = NULL, *pwd = NULL;

  if (!agent || !nice_agent_restart_stream (NICE_AGENT (agent), NICE_STREAM_ID)
      || !nice_agent_get_local_credentials (NICE_AGENT (agent), NICE_STREAM_ID, &ufrag, &pwd)) {
    GST_WARNING ("ICE could not be restarted");
    return;
  }
  g_free (self->ice_ufrag);
  g_free (self->ice_pwd);
  self->ice_ufrag = ufrag;
  self->ice_pwd = pwd;
  GST_INFO ("ICE restarted");
}

static void
check_ice_restart (LiveKitPeer *self)
{
  const char *ufrag = livekit_sdp_get_ufrag (self->offer_sdp);

  if (ufrag && self->remote_ufrag && !g_str_equal (ufrag, self->remote_ufrag))
    restart_ice (self);
  if (g_strcmp0 (ufrag, self->remote_ufrag) != 0) {
    g_free (self->remote_ufrag);
    self->remote_ufrag = g_strdup (ufrag);
  }
}

/* What a pad's m-line carries is known from the offer alone: mids and pad names are used again for
 * later tracks. */
static void
map_tracks (LiveKitPeer *self, const Offer *offer)
{
  g_autoptr (GHashTable) from_sdp = livekit_sdp_get_tracks (self->offer_sdp);
  GHashTable *table = g_hash_table_size (offer->mid_to_track) > 0 ? offer->mid_to_track : from_sdp;

  g_mutex_lock (&self->lock);
  g_ptr_array_set_size (self->tracks, 0);
  for (guint i = 0; i < gst_sdp_message_medias_len (self->offer_sdp); i++) {
    const char *mid
        = gst_sdp_media_get_attribute_val (gst_sdp_message_get_media (self->offer_sdp, i), "mid");
    g_ptr_array_add (self->tracks, g_strdup (mid ? g_hash_table_lookup (table, mid) : NULL));
  }
  g_mutex_unlock (&self->lock);
}

static void
answer_next (LiveKitPeer *self)
{
  g_autoptr (GstWebRTCSessionDescription) description = NULL;
  GstSDPMessage *copy = NULL;

  if (self->current || self->closed || !(self->current = g_queue_pop_head (&self->offers)))
    return;
  GST_DEBUG ("offer %u:\n%s", self->current->id, self->current->sdp);
  if (!*self->current->sdp
      || gst_sdp_message_new_from_text (self->current->sdp, &self->offer_sdp) != GST_SDP_OK
      || gst_sdp_message_medias_len (self->offer_sdp) == 0) {
    negotiation_failed (self, "parsing the offer", NULL);
    return;
  }
  check_ice_restart (self);
  map_tracks (self, self->current);
  gst_sdp_message_copy (self->offer_sdp, &copy);
  livekit_sdp_keep_media (copy);
  description = gst_webrtc_session_description_new (GST_WEBRTC_SDP_TYPE_OFFER, copy);
  g_signal_emit_by_name (
      self->webrtcbin, "set-remote-description", description, new_step (self, on_remote_set, NULL));
}

void
livekit_peer_handle_offer (LiveKitPeer *self, const LiveKitMessage *message)
{
  Offer *offer;

  if (self->closed)
    return;
  if (self->offers.length >= MAX_QUEUED_OFFERS) {
    negotiation_failed (self, "the offers' queue, which is full", NULL);
    return;
  }
  offer = g_new0 (Offer, 1);
  offer->sdp = g_strdup (message->sdp);
  offer->id = message->sdp_id;
  offer->mid_to_track = g_hash_table_ref (message->mid_to_track);
  g_queue_push_tail (&self->offers, offer);
  answer_next (self);
}

void
livekit_peer_add_candidate (LiveKitPeer *self, const char *candidate, int mline_index)
{
  if (self->closed || mline_index < 0)
    return;
  if (self->remote_is_set) {
    add_candidate (self, candidate, mline_index);
  } else if (self->early_candidates->len < 256) {
    g_ptr_array_add (
        self->early_candidates, gst_structure_new ("candidate", "candidate", G_TYPE_STRING,
                                    candidate, "mline-index", G_TYPE_INT, mline_index, NULL));
  }
}

/* --- pads --- */

static GstPadProbeReturn
drop_buffers (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  return GST_PAD_PROBE_DROP;
}

static GstPadProbeReturn
hold_buffers (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  return GST_PAD_PROBE_OK;
}

static void
add_probe (GstPad *pad, const char *name, GstPadProbeType type, GstPadProbeCallback callback)
{
  gulong id;

  if (g_object_get_data (G_OBJECT (pad), name))
    return;
  id = gst_pad_add_probe (
      pad, type | GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, callback, NULL, NULL);
  g_object_set_data (G_OBJECT (pad), name, GSIZE_TO_POINTER (id));
}

static void
remove_probe (GstPad *pad, const char *name)
{
  gulong id = GPOINTER_TO_SIZE (g_object_steal_data (G_OBJECT (pad), name));

  if (id)
    gst_pad_remove_probe (pad, id);
}

#define HOLD_PROBE "livekit-hold-probe"
#define SHUT_PROBE "livekit-shut-probe"

/* Until it is shut or opened a new pad keeps its first packets waiting: they begin a key frame, and
 * without them the next one would have to be waited for. */
static void
hold_pad (GstPad *pad)
{
  add_probe (pad, HOLD_PROBE, GST_PAD_PROBE_TYPE_BLOCK, hold_buffers);
}

/* A pad that nobody links must still return OK: a refused buffer would stop the jitter buffer for
 * ever. */
void
livekit_peer_shut_pad (GstPad *pad)
{
  add_probe (pad, SHUT_PROBE, 0, drop_buffers);
  remove_probe (pad, HOLD_PROBE);
}

void
livekit_peer_open_pad (GstPad *pad)
{
  remove_probe (pad, SHUT_PROBE);
  remove_probe (pad, HOLD_PROBE);
}

/* Depayloaders ask for a key frame with each packet that they cannot use. The server passes on a
 * request each half second, and sends no lost packet again between a request and the key frame. */
static GstPadProbeReturn
throttle_key_requests (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  gint64 *last = user_data, now = g_get_monotonic_time ();
  gboolean too_soon;

  if (!gst_video_event_is_force_key_unit (GST_PAD_PROBE_INFO_EVENT (info)))
    return GST_PAD_PROBE_OK;
  GST_OBJECT_LOCK (pad); /* the depayloader asks, and so does whoever listens */
  too_soon = *last && now - *last < KEY_REQUEST_INTERVAL;
  *last = too_soon ? *last : now;
  GST_OBJECT_UNLOCK (pad);
  return too_soon ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
}

typedef struct
{
  GstPad *pad;
  char *track_sid;
} PadCall;

static void
pad_call_free (gpointer data)
{
  PadCall *call = data;

  gst_object_unref (call->pad);
  g_free (call->track_sid);
  g_free (call);
}

static void
run_pad_added (LiveKitPeer *self, gpointer data)
{
  PadCall *call = data;

  self->n_pads++;
  self->handlers.pad_added (self, call->pad, call->track_sid, self->user_data);
}

/* The pad belongs to the webrtcbin, which we own: a probe on it must not own us. */
static GWeakRef *
weak_ref_new (LiveKitPeer *self)
{
  GWeakRef *ref = g_new0 (GWeakRef, 1);

  g_weak_ref_init (ref, self);
  return ref;
}

static void
weak_ref_free (gpointer ref)
{
  g_weak_ref_clear (ref);
  g_free (ref);
}

static void
run_pad_ended (LiveKitPeer *self, gpointer data)
{
  self->handlers.pad_ended (self, data, self->user_data);
}

/* Streaming thread. */
static GstPadProbeReturn
on_pad_event (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  g_autoptr (LiveKitPeer) self = NULL;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_EOS)
    return GST_PAD_PROBE_OK;
  if ((self = g_weak_ref_get (user_data)))
    post (self, run_pad_ended, gst_object_ref (pad), gst_object_unref);
  return GST_PAD_PROBE_DROP; /* a track ends; its outgoing pad does not */
}

static char *
track_of_pad (LiveKitPeer *self, GstPad *pad)
{
  g_autoptr (GstWebRTCRTPTransceiver) transceiver = NULL;
  guint mline = G_MAXUINT;
  char *sid = NULL;

  g_object_get (pad, "transceiver", &transceiver, NULL);
  if (transceiver)
    g_object_get (transceiver, "mlineindex", &mline, NULL);
  g_mutex_lock (&self->lock);
  if (mline < self->tracks->len)
    sid = g_strdup (g_ptr_array_index (self->tracks, mline));
  g_mutex_unlock (&self->lock);
  return sid;
}

/* All tracks come by one transport: what a branch that is being taken away, or that failed, says to
 * a packet would stop its jitter buffer, then the transport, and with it every track for ever. */
static GstFlowReturn
chain_for_better_or_worse (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  gst_proxy_pad_chain_default (pad, parent, buffer);
  return GST_FLOW_OK;
}

static GstFlowReturn
chain_list_for_better_or_worse (GstPad *pad, GstObject *parent, GstBufferList *list)
{
  gst_proxy_pad_chain_list_default (pad, parent, list);
  return GST_FLOW_OK;
}

static void
keep_errors_from_transport (GstPad *pad)
{
  g_autoptr (GstProxyPad) internal = gst_proxy_pad_get_internal (GST_PROXY_PAD (pad));

  gst_pad_set_chain_function (GST_PAD (internal), chain_for_better_or_worse);
  gst_pad_set_chain_list_function (GST_PAD (internal), chain_list_for_better_or_worse);
}

/* Streaming thread, at the track's first packet. */
static void
on_pad_added (GstElement *webrtcbin, GstPad *pad, LiveKitPeer *self)
{
  PadCall *call;
  char *sid;

  if (GST_PAD_DIRECTION (pad) != GST_PAD_SRC)
    return;
  keep_errors_from_transport (pad);
  sid = track_of_pad (self, pad);
  if (!sid) {
    GST_WARNING ("no track known for %" GST_PTR_FORMAT, pad);
    livekit_peer_shut_pad (pad);
    return;
  }
  hold_pad (pad);
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_pad_event, weak_ref_new (self), weak_ref_free);
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_EVENT_UPSTREAM, throttle_key_requests, g_new0 (gint64, 1), g_free);
  call = g_new0 (PadCall, 1);
  call->pad = gst_object_ref (pad);
  call->track_sid = sid;
  post (self, run_pad_added, call, pad_call_free);
}

/* --- what is left of a track --- */

typedef struct
{
  GWeakRef *peer;
  guint32 ssrc;
} EndedSource;

static void
ended_source_free (gpointer data)
{
  EndedSource *ended = data;

  weak_ref_free (ended->peer);
  g_free (ended);
}

/* Waits for the threads to end; what they push into is shut. */
static gboolean
take_down_source (gpointer data)
{
  const EndedSource *ended = data;
  g_autoptr (LiveKitPeer) self = g_weak_ref_get (ended->peer);

  if (self && !self->closed)
    g_signal_emit_by_name (self->rtpbin, "clear-ssrc", RTP_SESSION_ID, ended->ssrc);
  return G_SOURCE_REMOVE;
}

/* webrtcbin keeps what served a track that has ended: jitter buffer, demuxer, two threads. Nothing
 * of it is used again, for the next track has another SSRC. */
void
livekit_peer_end_pad (LiveKitPeer *self, GstPad *pad)
{
  g_autoptr (GSource) timer = g_timeout_source_new_seconds (LAST_PACKETS_TIME);
  EndedSource *ended = g_new0 (EndedSource, 1);

  livekit_peer_shut_pad (pad);
  ended->peer = weak_ref_new (self);
  ended->ssrc = livekit_peer_get_pad_ssrc (pad);
  g_source_set_callback (timer, take_down_source, ended, ended_source_free);
  g_source_attach (timer, self->context);
}

/* --- ICE, states, jitter buffers --- */

static void
run_candidate (LiveKitPeer *self, gpointer data)
{
  GstStructure *candidate = data;
  int mline_index = 0;

  gst_structure_get_int (candidate, "mline-index", &mline_index);
  self->handlers.candidate (
      self, gst_structure_get_string (candidate, "candidate"), mline_index, self->user_data);
}

/* webrtcbin's thread. */
static void
on_ice_candidate (
    GstElement *webrtcbin, guint mline_index, const char *candidate, LiveKitPeer *self)
{
  post (self, run_candidate,
      gst_structure_new ("candidate", "candidate", G_TYPE_STRING, candidate, "mline-index",
          G_TYPE_INT, (int)mline_index, NULL),
      (GDestroyNotify)gst_structure_free);
}

static void
tune_session (LiveKitPeer *self)
{
  g_autoptr (GObject) session = NULL;

  g_signal_emit_by_name (self->rtpbin, "get-internal-session", RTP_SESSION_ID, &session);
  if (session)
    g_object_set (session, "rtcp-min-interval", (guint64)REPORT_INTERVAL, "bandwidth",
        (double)ASSUMED_BANDWIDTH, NULL);
}

static void
run_state (LiveKitPeer *self, gpointer data)
{
  GstWebRTCPeerConnectionState state;

  g_object_get (self->webrtcbin, "connection-state", &state, NULL);
  if (state == self->state)
    return;
  self->state = state;
  if (state == GST_WEBRTC_PEER_CONNECTION_STATE_CONNECTED)
    tune_session (self);
  self->handlers.state_changed (self, state, self->user_data);
}

/* webrtcbin's thread. */
static void
on_connection_state (GstElement *webrtcbin, GParamSpec *pspec, LiveKitPeer *self)
{
  post (self, run_state, NULL, NULL);
}

/* webrtcbin's thread, with its lock held: nothing may be read here. */
static void
on_new_transceiver (GstElement *webrtcbin, GstWebRTCRTPTransceiver *transceiver, LiveKitPeer *self)
{
  g_object_set (transceiver, "do-nack", self->nack, NULL);
}

/* A streaming thread. */
static void
on_sender_clock (guint32 ssrc, gint64 offset, gpointer user_data)
{
  g_autoptr (LiveKitPeer) self = g_weak_ref_get (user_data);

  if (self)
    self->handlers.sender_clock (self, ssrc, offset, self->user_data);
}

/* Streaming thread. */
static void
on_new_jitterbuffer (
    GstElement *rtpbin, GstElement *jitterbuffer, guint session, guint ssrc, LiveKitPeer *self)
{
  /* With it, a pause makes the buffer declare the next packet lost; when the stream comes back its
   * first packet, the start of a key frame, would be dropped as late. */
  g_object_set (jitterbuffer, "rtx-next-seqnum", FALSE, NULL);
  /* A stream that begins in order need not wait for the whole latency before its first picture. */
  g_object_set (jitterbuffer, "faststart-min-packets", FASTSTART_PACKETS, NULL);
  livekit_arrival_watch (jitterbuffer);
  livekit_sender_clock_watch (jitterbuffer, on_sender_clock, weak_ref_new (self), weak_ref_free);
}

static char *
turn_uri (const char *url, const char *username, const char *credential)
{
  g_autofree char *user = g_uri_escape_string (username ? username : "", NULL, FALSE);
  g_autofree char *password = g_uri_escape_string (credential ? credential : "", NULL, FALSE);
  const char *rest = strchr (url, ':');

  return g_strdup_printf ("%.*s://%s:%s@%s", (int)(rest - url), url, user, password, rest + 1);
}

static void
add_turn_server (LiveKitPeer *self, const char *uri)
{
  gboolean ok = FALSE;

  g_signal_emit_by_name (self->webrtcbin, "add-turn-server", uri, &ok);
  if (!ok)
    GST_WARNING ("a TURN server was refused");
}

static void
set_ice_servers (LiveKitPeer *self, const LiveKitPeerConfig *config)
{
  g_autofree char *stun = config->stun_server ? g_strdup (config->stun_server) : NULL;

  for (guint i = 0; config->ice_servers && i < config->ice_servers->len; i++) {
    const LiveKitIceServer *server = g_ptr_array_index (config->ice_servers, i);

    for (char **url = server->urls; url && *url; url++) {
      if (g_str_has_prefix (*url, "stun:") && !stun) {
        stun = g_strconcat ("stun://", *url + strlen ("stun:"), NULL);
      } else if (g_str_has_prefix (*url, "turn:") || g_str_has_prefix (*url, "turns:")) {
        g_autofree char *uri = turn_uri (*url, server->username, server->credential);
        add_turn_server (self, uri);
      }
    }
  }
  for (const char *const *uri = config->turn_servers; uri && *uri; uri++)
    add_turn_server (self, *uri);
  if (stun)
    g_object_set (self->webrtcbin, "stun-server", stun, NULL);
}

/* --- public --- */

LiveKitPeer *
livekit_peer_new (const LiveKitPeerConfig *config, const LiveKitPeerHandlers *handlers,
    gpointer user_data, GError **error)
{
  g_autoptr (LiveKitPeer) self = g_object_new (LIVEKIT_TYPE_PEER, NULL);
  g_autoptr (GObject) agent = NULL;

  self->handlers = *handlers;
  self->user_data = user_data;
  self->codecs = g_strdupv ((char **)config->codecs);
  self->nack = config->nack;
  self->webrtcbin = gst_element_factory_make (LIVEKIT_PEER_ELEMENT_NAME, NULL);
  if (!self->webrtcbin) {
    g_set_error_literal (
        error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN, "The element webrtcbin is missing");
    return NULL;
  }
  gst_object_ref_sink (self->webrtcbin);
  g_object_set (self->webrtcbin, "bundle-policy", GST_WEBRTC_BUNDLE_POLICY_MAX_BUNDLE, "latency",
      config->latency, NULL);
  if (config->relay_only)
    g_object_set (
        self->webrtcbin, "ice-transport-policy", GST_WEBRTC_ICE_TRANSPORT_POLICY_RELAY, NULL);
  set_ice_servers (self, config);
  /* Who receives needs no open port in the router; to ask is a multicast into the local network. */
  if ((agent = get_nice_agent (self)))
    g_object_set (agent, "upnp", FALSE, NULL);

  self->rtpbin = gst_bin_get_by_name (GST_BIN (self->webrtcbin), "rtpbin");
  g_signal_connect_object (
      self->rtpbin, "new-jitterbuffer", G_CALLBACK (on_new_jitterbuffer), self, 0);
  g_signal_connect_object (self->webrtcbin, "pad-added", G_CALLBACK (on_pad_added), self, 0);
  g_signal_connect_object (
      self->webrtcbin, "on-ice-candidate", G_CALLBACK (on_ice_candidate), self, 0);
  g_signal_connect_object (
      self->webrtcbin, "notify::connection-state", G_CALLBACK (on_connection_state), self, 0);
  g_signal_connect_object (
      self->webrtcbin, "on-new-transceiver", G_CALLBACK (on_new_transceiver), self, 0);
  if (config->data)
    g_signal_connect_object (
        self->webrtcbin, "on-data-channel", G_CALLBACK (on_data_channel), self, 0);
  return g_steal_pointer (&self);
}

GstElement *
livekit_peer_get_element (LiveKitPeer *self)
{
  return self->webrtcbin;
}

void
livekit_peer_close (LiveKitPeer *self)
{
  self->closed = TRUE;
}

static void
stop_data (const GValue *item, gpointer user_data)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (g_value_get_object (item), "sink");

  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, drop_buffers, NULL, NULL);
  GST_PAD_STREAM_LOCK (pad); /* until what came before has passed */
  GST_PAD_STREAM_UNLOCK (pad);
}

/* When a data channel opens, sctpdec 1.22 adds a pad and goes on using it, without a reference,
 * while the thread that takes it down removes and frees it. So nothing comes to it any more. */
void
livekit_peer_stop_data (LiveKitPeer *self)
{
  GstIterator *decoders
      = gst_bin_iterate_all_by_element_factory_name (GST_BIN (self->webrtcbin), "sctpdec");

  while (gst_iterator_foreach (decoders, stop_data, NULL) == GST_ITERATOR_RESYNC)
    gst_iterator_resync (decoders);
  gst_iterator_free (decoders);
}

guint
livekit_peer_count_pads (LiveKitPeer *self)
{
  return self->n_pads;
}

guint32
livekit_peer_get_pad_ssrc (GstPad *pad)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  guint ssrc = 0;

  if (caps)
    gst_structure_get_uint (gst_caps_get_structure (caps, 0), "ssrc", &ssrc);
  return ssrc;
}

GstStructure *
livekit_peer_get_source_stats (LiveKitPeer *self, guint32 ssrc)
{
  g_autoptr (GObject) session = NULL;
  g_autoptr (GObject) source = NULL;
  GstStructure *stats = NULL;

  g_signal_emit_by_name (self->rtpbin, "get-internal-session", RTP_SESSION_ID, &session);
  if (session)
    g_signal_emit_by_name (session, "get-source-by-ssrc", ssrc, &source);
  if (source)
    g_object_get (source, "stats", &stats, NULL);
  return stats;
}

static gpointer
warm_up (gpointer data)
{
  g_autoptr (GstElement) dtlsdec = gst_element_factory_make ("dtlsdec", NULL);
  g_autofree char *pem = NULL;

  if (!dtlsdec)
    return NULL;
  gst_object_ref_sink (dtlsdec);
  g_object_set (dtlsdec, "connection-id", "livekit-warm-up", NULL);
  g_object_get (dtlsdec, "pem", &pem, NULL);
  return NULL;
}

static GMutex warm_up_lock;
static gboolean warm_up_done;   /* protected by warm_up_lock */
static GThread *warm_up_thread; /* (nullable) protected by warm_up_lock */

void
livekit_peer_warm_up (void)
{
  g_mutex_lock (&warm_up_lock);
  if (!warm_up_done)
    warm_up_thread = g_thread_new ("dtls-warm-up", warm_up, NULL);
  warm_up_done = TRUE;
  g_mutex_unlock (&warm_up_lock);
}

void
livekit_peer_end_warm_up (void)
{
  g_mutex_lock (&warm_up_lock);
  g_clear_pointer (&warm_up_thread, g_thread_join);
  g_mutex_unlock (&warm_up_lock);
}

static void
livekit_peer_finalize (GObject *object)
{
  LiveKitPeer *self = LIVEKIT_PEER (object);

  finish_offer (self);
  g_queue_clear_full (&self->offers, (GDestroyNotify)offer_free);
  g_ptr_array_unref (self->early_candidates);
  g_ptr_array_unref (self->tracks);
  g_clear_object (&self->rtpbin);
  g_clear_object (&self->webrtcbin);
  g_strfreev (self->codecs);
  g_free (self->remote_ufrag);
  g_free (self->ice_ufrag);
  g_free (self->ice_pwd);
  g_mutex_clear (&self->lock);
  g_main_context_unref (self->context);
  G_OBJECT_CLASS (livekit_peer_parent_class)->finalize (object);
}

static void
livekit_peer_class_init (LiveKitPeerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = livekit_peer_finalize;
}

static void
livekit_peer_init (LiveKitPeer *self)
{
  self->context = g_main_context_ref_thread_default ();
  self->tracks = g_ptr_array_new_with_free_func (g_free);
  self->early_candidates = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_structure_free);
  self->state = GST_WEBRTC_PEER_CONNECTION_STATE_NEW;
  g_mutex_init (&self->lock);
}
