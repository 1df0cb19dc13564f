/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "haven-recorder-private.h"
#include "haven-session-error.h"

GST_DEBUG_CATEGORY_EXTERN (haven_graph_debug);
#define GST_CAT_DEFAULT haven_graph_debug

#define STOP_TIMEOUT 1500 /* ms for an encoder to give what it holds, and a muxer its index */
#define SHED_TIMEOUT 800  /* ms of them after which pictures that still wait are left out */

static void recorder_end (HavenRecorder *recorder, const GError *error);

char *
haven_graph_describe_version (void)
{
  guint major, minor, micro, nano;

  gst_version (&major, &minor, &micro, &nano);
  return g_strdup_printf ("%u.%u.%u", major, minor, micro);
}

/* What comes decoded or not, as the branch wants it. */
static void
recorder_feed (HavenRecorder *recorder, HavenKind kind, GstElement *tee)
{
  g_autoptr (GstPad) entry = gst_element_get_static_pad (recorder->bin, haven_kind_names[kind]);

  gst_pad_set_offset (entry, recorder->offset);
  haven_feed_open (&recorder->feeds[kind], tee, recorder->bin, haven_kind_names[kind]);
}

static gboolean
copies (const HavenFormat *format, GstCaps *video, gboolean any_quality)
{
  const char *type = haven_recorder_media_type (video);

  return haven_format_copies (
      format, g_str_has_prefix (type, "video/x-") ? type + strlen ("video/x-") : "", any_quality);
}

/* -- an encoder that does not keep up */

static void
concede (HavenRecorder *recorder, const char *what, guint value)
{
  guint64 now = haven_graph_get_running_time (recorder->graph);
  const HavenConcession made = { what, (double)now / GST_SECOND, value };

  g_warning ("The encoder does not keep up: %s is %u from now on", what, value);
  g_array_append_val (recorder->report->concessions, made);
  recorder->graph->concessions++;
}

static gboolean
on_look_at_ladder (gpointer user_data)
{
  HavenRecorder *recorder = user_data;
  guint fps, speed;

  if (!haven_ladder_look (
          &recorder->ladder, haven_branch_count_lost (recorder->queues[HAVEN_VIDEO])))
    return G_SOURCE_CONTINUE;
  if (recorder->ladder.step == HAVEN_LADDER_SPEED) {
    if ((speed = haven_encoder_hurry (recorder->encoder)) != 0) {
      concede (recorder, "speed", speed);
      return G_SOURCE_CONTINUE;
    }
    recorder->ladder.step++; /* it cannot go faster */
  }
  fps = haven_ladder_fps (recorder->ladder.step);
  g_atomic_int_set (&recorder->max_fps, fps);
  concede (recorder, "frame-rate", fps);
  return G_SOURCE_CONTINUE;
}

/* -- its life */

/* A server passes on one request a second, and the one before may have been for a viewer: who
 * streams from a browser makes no key frame that nobody asked for. */
static gboolean
on_look_for_key_frame (gpointer user_data)
{
  HavenRecorder *recorder = user_data;

  if (g_atomic_int_get (&recorder->muxed[HAVEN_VIDEO])) {
    recorder->key_frame_timer = 0;
    return G_SOURCE_REMOVE;
  }
  haven_graph_request_keyframe (recorder->graph);
  return G_SOURCE_CONTINUE;
}

HavenRecorder *
haven_graph_record (HavenGraph *self, const HavenFormat *format, const HavenQuality *quality,
    const char *path, HavenRecorder *before, const HavenRecorderHandlers *handlers,
    gpointer user_data, GError **error)
{
  const GstClockTimeDiff head_start = GST_SECOND; /* older than anything that can come */
  const HavenQuality *used = quality ? quality : haven_quality_find (NULL);
  g_autoptr (HavenRecorder) recorder = g_new0 (HavenRecorder, 1);
  g_autoptr (GstCaps) audio = haven_graph_get_flowing_caps (self, HAVEN_AUDIO);
  g_autoptr (GstCaps) video
      = haven_format_has_video (format) ? haven_graph_get_flowing_caps (self, HAVEN_VIDEO) : NULL;
  g_autoptr (GstElement) bin = gst_object_ref_sink (gst_bin_new (NULL));
  GstClockTimeDiff now;

  if (!video && !audio) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_NO_STREAMER,
        haven_format_has_video (format) ? "Nothing comes that could be recorded"
                                        : "No sound comes that could be recorded");
    return NULL;
  }
  recorder->graph = self;
  recorder->format = format;
  recorder->handlers = *handlers;
  recorder->user_data = user_data;
  recorder->bin = recorder->key = bin;
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    haven_timeline_init (&recorder->timelines[kind]);
  recorder->report = haven_recorder_report_new ();
  recorder->encodes = video && !copies (format, video, !quality);
  if (!haven_recorder_build (recorder, video, audio, used, path, error)) {
    recorder->bin = NULL;
    return NULL;
  }
  recorder->bin = haven_graph_put (self, bin);
  recorder->uses_decoded = recorder->encodes;
  recorder->lost_before = self->gone_before_decoding + haven_graph_lost_before_decoding (self);
  if (recorder->encodes)
    haven_graph_use_decoded (self, HAVEN_VIDEO);
  now = haven_graph_get_running_time (self);
  recorder->offset
      = now > head_start ? head_start - now : 0; /* it begins now, not when we joined */
  if (before && !before->bin)                    /* it has just ended */
    before = NULL;
  if (before)
    haven_recorder_seam_prepare (recorder, before);
  if (video)
    recorder_feed (recorder, HAVEN_VIDEO,
        recorder->encodes ? self->decoded[HAVEN_VIDEO].tee : self->tees[HAVEN_VIDEO]);
  if (audio)
    recorder_feed (recorder, HAVEN_AUDIO, self->tees[HAVEN_AUDIO]);
  if (recorder->encodes)
    recorder->ladder_timer = g_timeout_add_seconds (1, on_look_at_ladder, recorder);
  g_ptr_array_add (self->recorders, recorder);
  if (before)
    haven_recorder_seam_arm (recorder, before);
  if (video) {
    haven_graph_request_keyframe (self);
    recorder->key_frame_timer = g_timeout_add_seconds (1, on_look_for_key_frame, recorder);
  }
  GST_INFO ("recording %s to %s", format->name, path);
  return g_steal_pointer (&recorder);
}

HavenRecorder *
haven_graph_find_recorder (HavenGraph *self, gpointer bin)
{
  for (guint i = 0; i < self->recorders->len; i++) {
    HavenRecorder *recorder = g_ptr_array_index (self->recorders, i);

    if (recorder->bin == bin)
      return recorder;
  }
  return NULL;
}

guint
haven_graph_count_encoding_recorders (HavenGraph *self)
{
  guint count = 0;

  for (guint i = 0; i < self->recorders->len; i++)
    count += ((HavenRecorder *)g_ptr_array_index (self->recorders, i))->encodes;
  return count;
}

static void
run_recorder_started (HavenGraph *self, gpointer bin, guint number)
{
  HavenRecorder *recorder = haven_graph_find_recorder (self, bin);

  if (recorder && !recorder->ended)
    recorder->handlers.started (recorder, recorder->user_data);
}

void
haven_recorder_file_begins (HavenRecorder *recorder) /* streaming thread of the muxer */
{
  haven_graph_post (recorder->graph, run_recorder_started, recorder->key, 0);
}

/* A muxer ends its file also where that could not be written: the error is on the bus by then. */
static void
run_recorder_done (HavenGraph *self, gpointer bin, guint number)
{
  HavenRecorder *recorder = haven_graph_find_recorder (self, bin);
  g_autoptr (GstBus) bus = gst_element_get_bus (self->pipeline);

  if (!recorder)
    return;
  if (gst_bus_have_pending (bus)) {
    haven_graph_post (self, run_recorder_done, bin, number);
    return;
  }
  recorder->whole = TRUE;
  recorder_end (recorder, NULL);
}

void
haven_recorder_file_ends (HavenRecorder *recorder) /* streaming thread of the muxer */
{
  haven_graph_post (recorder->graph, run_recorder_done, recorder->key, 0);
}

/* Another file must begin; this one ends when that has. */
static void
recorder_cut (HavenRecorder *recorder, const char *why)
{
  if (recorder->cut || recorder->stopping)
    return;
  recorder->cut = TRUE;
  GST_INFO ("another part begins: %s", why);
  recorder->handlers.outdated (recorder, recorder->user_data);
}

static void
run_recorder_other_codec (HavenGraph *self, gpointer bin, guint number)
{
  HavenRecorder *recorder = haven_graph_find_recorder (self, bin);

  if (recorder)
    recorder_cut (recorder, "the room sends another codec");
}

void
haven_recorder_other_codec (HavenRecorder *recorder) /* streaming thread of the tee */
{
  haven_graph_post (recorder->graph, run_recorder_other_codec, recorder->key, 0);
}

/* A file has the tracks that it began with: one that comes later begins another. */
void
haven_graph_renew_recorders (HavenGraph *self)
{
  for (guint i = 0; i < self->recorders->len; i++) {
    HavenRecorder *recorder = g_ptr_array_index (self->recorders, i);

    for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
      gboolean wanted = kind == HAVEN_AUDIO || haven_format_has_video (recorder->format);
      g_autoptr (GstCaps) caps
          = !wanted || recorder->queues[kind] ? NULL : haven_graph_get_flowing_caps (self, kind);

      if (caps)
        recorder_cut (recorder, "another track has come");
    }
  }
}

static void
recorder_close_feeds (HavenRecorder *recorder, gboolean eos)
{
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    haven_feed_close (&recorder->feeds[kind], eos);
  if (recorder->uses_decoded)
    haven_graph_unuse_decoded (recorder->graph, HAVEN_VIDEO);
  recorder->uses_decoded = FALSE;
}

static gboolean
on_stop_timeout (gpointer user_data)
{
  HavenRecorder *recorder = user_data;
  g_autoptr (GError) error = g_error_new (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_FILE,
      "The end of the file could not be written in time");

  recorder->stop_timer = 0;
  g_warning ("%s; it ends where it is", error->message);
  recorder_end (recorder, error);
  return G_SOURCE_REMOVE;
}

/* The encoder is far behind: the last pictures are worth less than a file with its index. */
static gboolean
on_stop_slow (gpointer user_data)
{
  HavenRecorder *recorder = user_data;

  recorder->shed = TRUE;
  recorder->shed_from = haven_branch_count_lost (recorder->queues[HAVEN_VIDEO]);
  haven_branch_shed (recorder->queues[HAVEN_VIDEO]);
  recorder->stop_timer = g_timeout_add (STOP_TIMEOUT - SHED_TIMEOUT, on_stop_timeout, recorder);
  return G_SOURCE_REMOVE;
}

void
haven_recorder_stop (HavenRecorder *recorder)
{
  if (recorder->stopping || !recorder->bin)
    return;
  recorder->stopping = TRUE;
  haven_recorder_seam_stop (recorder);
  g_clear_handle_id (&recorder->ladder_timer, g_source_remove);
  g_clear_handle_id (&recorder->key_frame_timer, g_source_remove);
  if (recorder->queues[HAVEN_VIDEO])
    recorder->stop_timer = g_timeout_add (SHED_TIMEOUT, on_stop_slow, recorder);
  else
    recorder->stop_timer = g_timeout_add (STOP_TIMEOUT, on_stop_timeout, recorder);
  if (recorder->uses_decoded)
    recorder->undecoded = haven_graph_waiting_for_decoder (recorder->graph);
  recorder_close_feeds (recorder, TRUE);
}

/* -- what is known of it in the end */

static void
report_gaps (HavenRecorder *recorder, HavenKind kind, guint64 end)
{
  HavenRecorderReport *report = recorder->report;
  HavenTimeline *timeline = &recorder->timelines[kind];

  haven_timeline_close (timeline, report->begin, end);
  for (guint i = 0; i < timeline->gaps->len; i++) {
    const HavenSpan *span = &g_array_index (timeline->gaps, HavenSpan, i);
    HavenSilenceReason reason
        = haven_silence_find (recorder->graph->silence, kind, span->from, span->until);
    const HavenGap gap = { haven_kind_names[kind], haven_silence_name (reason),
      (double)(span->from - report->begin) / GST_SECOND,
      (double)(span->until - span->from) / GST_SECOND };

    g_array_append_val (report->gaps, gap);
  }
  report->more_gaps += timeline->more_gaps;
}

/* Its streaming threads have ended. */
static void
make_report (HavenRecorder *recorder)
{
  guint64 lost = recorder->last.dropped_frames, end = 0;
  HavenRecorderReport *report = recorder->report;

  report->begin = G_MAXUINT64;
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    if (!recorder->timelines[kind].any)
      continue;
    report->begin = MIN (report->begin, recorder->timelines[kind].first);
    end = MAX (end, recorder->timelines[kind].end);
  }
  if (end <= report->begin) { /* nothing came */
    report->begin = 0;
    return;
  }
  report->duration = (double)(end - report->begin) / GST_SECOND;
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    if (recorder->queues[kind])
      report_gaps (recorder, kind, end);
  for (guint i = 0; i < report->concessions->len; i++) { /* until here they have running time */
    HavenConcession *made = &g_array_index (report->concessions, HavenConcession, i);

    made->at = MAX (0, made->at - (double)report->begin / GST_SECOND);
  }
  report->frame_rate = g_atomic_int_get (&recorder->left_out);
  report->stopping = recorder->shed && lost > recorder->shed_from ? lost - recorder->shed_from : 0;
  report->encoder_behind = lost - report->stopping;
  report->stopping += recorder->undecoded;
  if (recorder->encodes)
    report->before_decoding = recorder->lost_until - recorder->lost_before;
}

/* -- its end */

typedef struct
{
  HavenRecorder *recorder;
  GMainContext *context;
} FileClosed;

static gboolean
on_file_closed (gpointer user_data) /* main context */
{
  HavenRecorder *recorder = user_data;

  make_report (recorder);
  recorder->handlers.ended (recorder, recorder->error, recorder->user_data);
  return G_SOURCE_REMOVE;
}

static void
close_file (GstElement *bin, gpointer user_data) /* a thread of GStreamer's */
{
  FileClosed *closed = user_data;

  gst_element_set_state (
      bin, GST_STATE_NULL); /* joins the streaming threads: the file is whole or stays as it is */
  g_main_context_invoke (closed->context, on_file_closed, closed->recorder);
}

static void
recorder_count (HavenRecorder *recorder, HavenRecorderStats *stats)
{
  *stats = (HavenRecorderStats){ g_atomic_int_get (&recorder->muxed[HAVEN_VIDEO]),
    g_atomic_int_get (&recorder->muxed[HAVEN_AUDIO]), 0, recorder->video_codec,
    recorder->queues[HAVEN_AUDIO] ? recorder->format->audio_codec : NULL, recorder->encodes };
  if (recorder->queues[HAVEN_VIDEO])
    stats->dropped_frames = haven_branch_count_lost (recorder->queues[HAVEN_VIDEO]);
}

/* Takes the bin away; the callback comes when the file is closed. */
static void
recorder_end (HavenRecorder *recorder, const GError *error)
{
  FileClosed *closed;
  GstElement *bin;

  if (recorder->ended)
    return;
  recorder->ended = TRUE;
  if (error && !recorder->error)
    recorder->error = g_error_copy (error);
  g_clear_handle_id (&recorder->stop_timer, g_source_remove);
  g_clear_handle_id (&recorder->ladder_timer, g_source_remove);
  g_clear_handle_id (&recorder->key_frame_timer, g_source_remove);
  haven_recorder_seam_stop (recorder);
  recorder->lost_until
      = recorder->graph->gone_before_decoding + haven_graph_lost_before_decoding (recorder->graph);
  recorder_close_feeds (recorder, FALSE);
  recorder_count (recorder, &recorder->last);
  g_ptr_array_remove (recorder->graph->recorders, recorder);
  bin = g_steal_pointer (&recorder->bin);
  gst_element_set_locked_state (bin, TRUE);
  gst_bin_remove (GST_BIN (recorder->graph->pipeline), bin);
  closed = g_new0 (FileClosed, 1);
  *closed = (FileClosed){ recorder, recorder->graph->context };
  gst_element_call_async (bin, close_file, closed, g_free);
  gst_object_unref (bin);
}

/* GStreamer 1.22 says why a file cannot be written at the end of what it says besides; its message
 * may be no text at all. */
static GError *
describe_failure (const GError *error, const char *debug)
{
  const char *cause = debug ? strrchr (debug, ':') : NULL;
  gboolean full = g_error_matches (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT);

  if (error->domain != GST_RESOURCE_ERROR)
    return g_error_new_literal (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_INTERNAL, error->message);
  return g_error_new (HAVEN_SESSION_ERROR,
      full ? HAVEN_SESSION_ERROR_DISK_FULL : HAVEN_SESSION_ERROR_FILE,
      "The recording cannot be written: %s",
      full    ? g_strerror (ENOSPC)
      : cause ? cause + strspn (cause, ": ")
              : g_strerror (EIO));
}

gboolean
haven_graph_fail_recorder (
    HavenGraph *self, GstObject *object, const GError *error, const char *debug)
{
  for (guint i = 0; i < self->recorders->len; i++) {
    HavenRecorder *recorder = g_ptr_array_index (self->recorders, i);

    if (haven_graph_is_in (object, recorder->bin)) {
      g_autoptr (GError) told = describe_failure (error, debug);

      recorder_end (recorder, told);
      return TRUE;
    }
  }
  return FALSE;
}

void
haven_recorder_get_stats (HavenRecorder *recorder, HavenRecorderStats *stats)
{
  if (recorder->bin)
    recorder_count (recorder, stats);
  else
    *stats = recorder->last;
}

gboolean
haven_recorder_is_whole (HavenRecorder *recorder)
{
  return recorder->whole;
}

HavenRecorderReport *
haven_recorder_steal_report (HavenRecorder *recorder)
{
  return g_steal_pointer (&recorder->report);
}

void
haven_recorder_free (HavenRecorder *recorder)
{
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    haven_timeline_clear (&recorder->timelines[kind]);
  g_clear_pointer (&recorder->report, haven_recorder_report_free);
  g_clear_pointer (&recorder->seam, haven_seam_unref);
  g_clear_error (&recorder->error);
  gst_clear_buffer (&recorder->last_picture);
  g_free (recorder);
}
