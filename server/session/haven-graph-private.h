/* haven-graph-private: what the files of haven-graph share. Each has one idea:
 *
 *     haven-graph.c           the pipeline's life, its messages, calls from other threads
 *     haven-graph-tracks.c    which of the room's tracks go into the pipeline, and when it is ready
 *     haven-graph-decode.c    decoders, which all their users share
 *     haven-graph-viewers.c   branches for viewers
 *     haven-graph-snapshot.c  one picture
 *     haven-graph-recorder.c  a branch that writes a file
 *     haven-graph-stats.c     figures
 *
 * Main context, except where another thread is named.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "haven-branch.h"
#include "haven-encoder.h"
#include "haven-graph.h"
#include "haven-novelty.h"
#include "haven-silence.h"
#include "ws-greeting.h"

G_BEGIN_DECLS

/* What all users of decoded media share: the decoder's bin and a tee behind it. */
typedef struct
{
  guint users;
  HavenFeed feed;
  GstElement *bin; /* (owned) (nullable) none while nobody needs it, or after a failure */
  GstElement *tee; /* (owned) (nullable) */
  guint retry_id;
} HavenDecoded;

/* The viewers who asked for the same. */
typedef struct
{
  WsAsk ask;              /* its audio: WS_AUDIO_NONE until someone wants any */
  GstElement *bin, *sink; /* (owned) */
  HavenFeed feeds[HAVEN_N_KINDS];
  gboolean decoded[HAVEN_N_KINDS]; /* the feed is of decoded media */
  guint n_viewers;
} HavenShow;

typedef struct
{
  guint64 frames, dropped, bytes; /* sent, or not, to viewers */
  guint64 not_made;               /* pictures that there was no time to encode */
} HavenShowCount;

typedef struct
{
  HavenGraph *graph;
  guint id;
  WsGreeting *greeting; /* (owned) (nullable) while it has not said what it wants */
  HavenShow *show;      /* (nullable) from then on */
  guint sink_id;        /* havenwssink's number */
} HavenViewer;

struct _HavenGraph
{
  GObject parent;

  GMainContext *context; /* (owned) any thread */
  HavenGraphHandlers handlers;
  gpointer user_data;
  char *stream_name;
  guint max_viewers, max_pictures;

  GstElement *pipeline, *source; /* (owned) */
  guint bus_watch;
  guint ready_timer, ready_timeout; /* s */
  guint flow_timeout;               /* s until something must come of a streamer; 0: that is over */
  gboolean ready, stopped;
  guint reconnects;

  GHashTable *tracks;    /* sid -> GstStructure, those that are published now */
  GHashTable *forbidden; /* their sids that we may not receive now */
  GstElement *tees[HAVEN_N_KINDS];
  GstPad *linked[HAVEN_N_KINDS]; /* (owned) (nullable) the source's pad that feeds the tee */
  HavenDecoded decoded[HAVEN_N_KINDS];
  char *participant_sid, *participant_identity;
  char *room_name;   /* (nullable) as the server calls it */
  char *stream_info; /* (nullable) JSON, from a token endpoint */
  gboolean reconnecting, streamer_gone;
  HavenSilence *silence;

  GPtrArray *shows;    /* HavenShow */
  GHashTable *viewers; /* id -> HavenViewer */
  guint last_viewer;
  GPtrArray *recorders;         /* HavenRecorder, not owned: those that have a bin */
  HavenShowCount gone;          /* of shows that went */
  guint64 gone_before_decoding; /* of decoders that went */
  guint64 concessions;          /* that recordings made to encoders that did not keep up */

  HavenNovelty novelty;        /* streaming thread of the picture's tee */
  HavenEncodeTime encode_time; /* any thread */

  GMutex lock;
  GstCaps *caps[HAVEN_N_KINDS]; /* (owned) (nullable) of what flows into the tees; protected by
                                   lock */
};

/* -- haven-graph.c */

/* Runs it on the main context, unless the graph is stopped then. Any thread. */
void haven_graph_post (HavenGraph *self, void (*run) (HavenGraph *, gpointer, guint),
    gpointer object /* (nullable) GObject */, guint number);
/* Puts a bin into the running pipeline. Returns: (transfer full) */
GstElement *haven_graph_put (HavenGraph *self, GstElement *bin);
/* Takes an element out and ends it in a thread that may wait for its streaming threads. */
void haven_graph_retire (HavenGraph *self, GstElement **element /* (transfer full) */);
GstElement *haven_graph_make_tee (HavenGraph *self); /* (transfer full) */
void haven_graph_request_keyframe (HavenGraph *self);
GstClockTime haven_graph_get_running_time (HavenGraph *self);

/* -- haven-graph-tracks.c */

void haven_graph_watch_tracks (HavenGraph *self);
/* @change: "added", "changed", "removed" */
void haven_graph_take_track (HavenGraph *self, const GstStructure *track, const char *change);
void haven_graph_take_permission (HavenGraph *self, const char *sid, gboolean allowed);
/* Why nothing comes, for what is recorded; after anything that could change that. */
void haven_graph_note_silence (HavenGraph *self);
/* Returns: (transfer full) (nullable): of what flows into a tee. Any thread */
GstCaps *haven_graph_get_flowing_caps (HavenGraph *self, HavenKind kind);

/* -- haven-graph-decode.c */

/* Returns: (transfer none): the tee of decoded media; haven_graph_unuse_decoded() as often as this
 */
GstElement *haven_graph_use_decoded (HavenGraph *self, HavenKind kind);
void haven_graph_unuse_decoded (HavenGraph *self, HavenKind kind);
void haven_graph_decoder_failed (HavenGraph *self, HavenKind kind); /* it is made anew */
/* pictures, of the decoder that runs */
guint haven_graph_lost_before_decoding (HavenGraph *self);
guint haven_graph_waiting_for_decoder (HavenGraph *self);

/* -- haven-graph-viewers.c */

/* queue ! videoconvertscale ! width ! jpegenc, with its entry "video". Returns: the encoder */
GstElement *haven_graph_add_jpeg_chain (HavenGraph *self, GstElement *bin, const WsAsk *ask);
void haven_graph_close_viewers (HavenGraph *self, guint16 code, const char *reason);
/* Whether the object is in a viewers' branch, whose viewers are then closed. */
gboolean haven_graph_fail_viewers (HavenGraph *self, GstObject *object);
/* How many pictures are encoded for viewers: encoded ones are sent as they come. */
guint haven_graph_count_pictures (HavenGraph *self);
void haven_show_count (HavenShow *show, HavenShowCount *count);
void haven_show_dispose (HavenShow *show); /* of a pipeline that is no more */
void haven_viewer_free (gpointer viewer);

/* -- haven-graph-recorder.c */

/* Whether the object is in a recording's branch, which then ends.
 *
 * @debug: (nullable) what GStreamer says besides */
gboolean haven_graph_fail_recorder (
    HavenGraph *self, GstObject *object, const GError *error, const char *debug);
/* How many encode the picture: those that copy it do not. */
guint haven_graph_count_encoding_recorders (HavenGraph *self);
/* A track that files have not is there: others must begin. */
void haven_graph_renew_recorders (HavenGraph *self);

guint64 haven_graph_get_uint64 (const GstStructure *structure, const char *name);
/* @ancestor: (nullable) */
gboolean haven_graph_is_in (GstObject *object, gpointer ancestor);

G_END_DECLS
