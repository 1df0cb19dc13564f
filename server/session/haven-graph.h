/* haven-graph: the pipeline of one room, whose branches come with the first who needs them and go
 * with the last. Its files, which haven-graph-private.h lists, haven-branch and haven-encoder are
 * the only ones that know names of elements and their properties.
 *
 *     livekitsrc ── video ─ tee ─┬─ [recording as the room sends it]
 *                                └─ decode ─ tee ─┬─ jpegenc ─ havenwssink, one for each ask
 *                                                 └─ canvas ─ encoder ─ muxer ─ filesink
 *                ── audio ─ tee ─┬─ [Opus to the muxers]
 *                                └─ decode ─ tee ─── havenwssink
 *
 * Threads: a graph belongs to the main context that it was made in, and all functions and handlers
 * run there. What streaming threads and havenwssink's threads have to say is posted to that
 * context.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

#include "haven-format.h"
#include "haven-recorder-report.h"

G_BEGIN_DECLS

#define HAVEN_TYPE_GRAPH (haven_graph_get_type ())
G_DECLARE_FINAL_TYPE (HavenGraph, haven_graph, HAVEN, GRAPH, GObject)

typedef struct
{
  const char *livekit_url, *token, *api_key, *api_secret, *token_endpoint; /* (nullable) */
  const char *room_name, *identity, *participant_name, *participant;       /* (nullable) */
  const char *stream_name;                                    /* mint_id of generation 2 */
  guint streamer_timeout, connect_timeout, reconnect_timeout; /* s; 0: the element's default */
  guint max_viewers, max_pictures;                            /* 0: no limit of ours */
} HavenGraphSettings;

typedef struct
{
  void (*ready) (gpointer user_data); /* once: media can flow */
  void (*reconnecting) (gboolean lost, gpointer user_data);
  void (*tracks_changed) (
      GVariant *track, gpointer user_data); /* a{sv}; also when the streamer does */
  void (*viewer_removed) (guint viewer, gpointer user_data);
  void (*room_ended) (const char *reason, gpointer user_data);
  void (*failed) (
      const GError *error, gpointer user_data); /* HAVEN_SESSION_ERROR: the room is lost */
  /* What a participant said over a data channel. */
  void (*data) (const char *participant, const char *topic, GBytes *payload, gpointer user_data);
} HavenGraphHandlers;

typedef enum
{
  HAVEN_FORM_GEN1,
  HAVEN_FORM_GEN2,
  HAVEN_FORM_MJPEG,
  HAVEN_FORM_V1, /* says in its first message what it wants */
} HavenForm;

typedef struct
{
  guint width, fps, quality; /* 0: as it comes; 85 */
} HavenAsk;

HavenGraph *haven_graph_new (const HavenGraphSettings *settings, const HavenGraphHandlers *handlers,
    gpointer user_data, GError **error);
gboolean haven_graph_start (HavenGraph *graph, GError **error);

/* Closes the viewers with code and reason and leaves the room. No handler is called any more. */
void haven_graph_stop_async (HavenGraph *graph, guint16 code, const char *reason,
    GAsyncReadyCallback callback, gpointer user_data);

/* (nullable): as the server calls it, once joined */
const char *haven_graph_get_room_name (HavenGraph *graph);
const char *haven_graph_get_stream_info (HavenGraph *graph); /* JSON, from a token endpoint */
const char *haven_graph_get_participant_sid (HavenGraph *graph);
const char *haven_graph_get_participant_identity (HavenGraph *graph);

/* @socket: its handshake is done; the graph's from now on
 * @ask: as audio, not for HAVEN_FORM_V1
 *
 * Returns: the viewer's number, or 0 */
guint haven_graph_add_viewer (HavenGraph *graph, GSocketConnection *socket, HavenForm form,
    const HavenAsk *ask, gboolean audio, GError **error);
guint haven_graph_count_viewers (HavenGraph *graph);

/* One picture as JPEG. Fails with TIMEOUT where none comes in 10 s. */
void haven_graph_snapshot_async (
    HavenGraph *graph, const HavenAsk *ask, GAsyncReadyCallback callback, gpointer user_data);
GBytes *haven_graph_snapshot_finish (HavenGraph *graph, GAsyncResult *result, GError **error);

/* Counters as GetStats has them: a vardict to add to. */
void haven_graph_add_stats (HavenGraph *graph, GVariantDict *stats);

/* How picture and sound lie to each other, and to the sender's clock, as its reports say. */
typedef struct
{
  gboolean clock_known, skew_known;
  gint64 clock_offset; /* running time less the sender's time since 1970, ns */
  gint64 skew;         /* by how much the picture is later than its sound, ns */
} HavenSync;
void haven_graph_get_sync (HavenGraph *graph, HavenSync *sync);

/* -- recording */

typedef struct _HavenRecorder HavenRecorder;

typedef struct
{
  guint64 video_frames, audio_frames, dropped_frames;
  const char *video_codec; /* (nullable) media type of what goes into the file, once known */
  const char *audio_codec; /* (nullable) as its format says */
  gboolean encodes;        /* the picture is encoded again */
} HavenRecorderStats;

typedef struct
{
  /* The first data goes to the file. Not called where nothing comes before the end. */
  void (*started) (HavenRecorder *recorder, gpointer user_data);
  /* Once at most: what comes now needs another file. Begin one, and stop this when that has. */
  void (*outdated) (HavenRecorder *recorder, gpointer user_data);
  /* Once: the file is closed, and whole as far as haven_recorder_is_whole() says; error is why it
   * ended by itself. */
  void (*ended) (HavenRecorder *recorder, const GError *error, gpointer user_data);
} HavenRecorderHandlers;

/* @quality: (nullable): NULL: as the room has it where its codec fits the format, else the default
 * @path: the file to write; it is overwritten
 * @before: (nullable): another that this one goes on from, without a gap and with nothing twice: at
 *          the next key frame that one gets no more, and stops by itself
 *
 * Returns: (transfer full) (nullable): free it in ended */
HavenRecorder *haven_graph_record (HavenGraph *graph, const HavenFormat *format,
    const HavenQuality *quality, const char *path, HavenRecorder *before,
    const HavenRecorderHandlers *handlers, gpointer user_data, GError **error);
void haven_recorder_stop (HavenRecorder *recorder);
void haven_recorder_get_stats (HavenRecorder *recorder, HavenRecorderStats *stats);
/* Once it has ended: whether all went into the file, and its end too. */
gboolean haven_recorder_is_whole (HavenRecorder *recorder);
/* Once it has ended. Returns: (transfer full) (nullable) */
HavenRecorderReport *haven_recorder_steal_report (HavenRecorder *recorder);
void haven_recorder_free (HavenRecorder *recorder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenRecorder, haven_recorder_free)

/* Returns: (transfer container) (element-type utf8): the elements that this machine lacks for a
 * recording of that format; any thread after gst_init() */
GPtrArray *haven_graph_list_missing (const HavenFormat *format);
/* Returns: (transfer full): which GStreamer this is */
char *haven_graph_describe_version (void);

/* To be called once before anything here; finds the plugins of the build tree. */
void haven_graph_setup (void);

G_END_DECLS
