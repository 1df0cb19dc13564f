/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "livekit-signal.h"
#include "livekit-state.h"
#include "livekit-token-source.h"

G_BEGIN_DECLS

/* One room as a subscriber sees it: joins, chooses the streamer, subscribes to its tracks, and
 * keeps all that going through losses. Knows signalling and policy, no media: whoever owns it makes
 * the peer connections it asks for.
 *
 * Not thread safe: every call is made in, and every handler called from, the thread-default main
 * context that was current at livekit_room_new(). */
#define LIVEKIT_TYPE_ROOM (livekit_room_get_type ())
G_DECLARE_FINAL_TYPE (LiveKitRoom, livekit_room, LIVEKIT, ROOM, GObject)

typedef struct
{
  LiveKitTokenSource *tokens; /* copied */
  const char *participant;    /* (nullable) identity or sid; NULL: the streamer rule */
  gboolean video, audio;      /* kinds to take */
  guint sources;              /* mask of 1 << LiveKitSource; 0: all */
  guint connect_timeout;      /* seconds from start to the first connection; at least 1 */
  guint participant_timeout;  /* seconds from there to a streamer; 0: for ever */
  guint reconnect_timeout;    /* seconds that an outage may last; 0: for ever */
  GTlsDatabase *tls_database; /* (nullable) */
  gboolean tls_insecure;
} LiveKitRoomConfig;

/* Those of a room that are kept. Whoever comes when it is full is left out, but for the one that we
 * want. */
#define LIVEKIT_ROOM_MAX_PARTICIPANTS 10000
/* Media of an offer. One that holds more ends the session: a subscriber of one streamer needs few.
 */
#define LIVEKIT_ROOM_MAX_MEDIA 256

typedef struct
{
  void (*state_changed) (LiveKitRoom *room, LiveKitState state, gpointer user_data);
  /* The server named the room, or moved us to another: see livekit_room_get_sid(). */
  void (*room_changed) (LiveKitRoom *room, gpointer user_data);
  /* A new session began: make a new peer connection, drop an old one. @join is a JOIN. */
  void (*session_started) (LiveKitRoom *room, const LiveKitMessage *join, gpointer user_data);
  void (*offer) (LiveKitRoom *room, const LiveKitMessage *offer, gpointer user_data);
  void (*candidate) (LiveKitRoom *room, const char *candidate, int mline_index, gpointer user_data);
  /* The round trip of the signalling, with each answer to a ping. */
  void (*rtt_measured) (LiveKitRoom *room, gint64 ms, gpointer user_data);
  void (*participant_joined) (
      LiveKitRoom *room, LiveKitParticipant *participant, gpointer user_data);
  void (*participant_left) (LiveKitRoom *room, LiveKitParticipant *participant, gpointer user_data);
  /* Of the tracks that were chosen; added before it is subscribed to, video before audio. */
  void (*track_added) (
      LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data);
  void (*track_changed) (
      LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data);
  void (*track_removed) (
      LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data);
  /* A track that was added may not be received, or may again. */
  void (*track_permission) (
      LiveKitRoom *room, const char *track_sid, gboolean allowed, gpointer user_data);
  /* Once: the tracks that the streamer had at first were all announced. */
  void (*settled) (LiveKitRoom *room, gpointer user_data);
  /* Something that the user should know and that ends nothing. */
  void (*warning) (LiveKitRoom *room, const GError *error, gpointer user_data);
  /* Given up; the state is FAILED, and we have left. */
  void (*failed) (LiveKitRoom *room, const GError *error, gpointer user_data);
} LiveKitRoomHandlers;

LiveKitRoom *livekit_room_new (
    const LiveKitRoomConfig *config, const LiveKitRoomHandlers *handlers, gpointer user_data);
void livekit_room_start (LiveKitRoom *self);

/* Leaves, where it has not failed before. No handler is called afterwards; @done is, once the leave
 * has gone out or 300 ms later. */
void livekit_room_stop (LiveKitRoom *self, GSourceFunc done, gpointer user_data);

/* From the peer connection. */
void livekit_room_send_answer (LiveKitRoom *self, const char *sdp, guint32 offer_id);
void livekit_room_send_candidate (LiveKitRoom *self, const char *candidate, int mline_index);
void livekit_room_media_connected (LiveKitRoom *self);
void livekit_room_media_failed (LiveKitRoom *self);
/* Only a new peer connection, and with it a new session, can help; where the server ends our stay,
 * it may say so first. */
void livekit_room_media_broken (LiveKitRoom *self, const GError *error);
void livekit_room_track_arrived (
    LiveKitRoom *self, const char *track_sid); /* its first packet came */

/* Which layer to ask for; applies to every video track at once. */
void livekit_room_set_layer (LiveKitRoom *self, const LiveKitTrackSettings *settings);
/* A track that nobody uses is not sent. */
void livekit_room_set_track_enabled (LiveKitRoom *self, const char *track_sid, gboolean enabled);

gboolean livekit_room_is_connected (LiveKitRoom *self); /* joined, and the peer connection is up
                                                           or will not be needed */
gboolean livekit_room_has_joined (LiveKitRoom *self);   /* at least once */
const char *livekit_room_get_sid (LiveKitRoom *self);   /* (nullable) until the server tells it */
/* (nullable): what the token endpoint said of the stream at the last join: JSON */
const char *livekit_room_get_stream_info (LiveKitRoom *self);
GPtrArray *livekit_room_get_participants (
    LiveKitRoom *self); /* (transfer full) (element-type LiveKitParticipant) */

G_END_DECLS
