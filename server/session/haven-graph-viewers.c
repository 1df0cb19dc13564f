/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-graph-private.h"

#include "haven-pace.h"
#include "haven-session-error.h"

GST_DEBUG_CATEGORY_EXTERN (haven_graph_debug);
#define GST_CAT_DEFAULT haven_graph_debug

#define DEFAULT_JPEG_QUALITY 85

/* -- JPEG for viewers */

typedef struct
{
  HavenPace pace;
  GstClockTime interval;
} Rate;

static GstPadProbeReturn
on_rate (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  Rate *rate = user_data;
  GstClockTime pts = GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));

  return !GST_CLOCK_TIME_IS_VALID (pts) || haven_pace_takes (&rate->pace, pts, rate->interval)
             ? GST_PAD_PROBE_OK
             : GST_PAD_PROBE_DROP;
}

static guint
quality_of (const WsAsk *ask)
{
  return ask->quality ? ask->quality : DEFAULT_JPEG_QUALITY;
}

GstElement *
haven_graph_add_jpeg_chain (HavenGraph *self, GstElement *bin, const WsAsk *ask)
{
  GstElement *queue = haven_branch_make_queue (GST_BIN (bin), 4, 0, 0);
  GstElement *scale = haven_branch_make (GST_BIN (bin), "videoconvertscale");
  GstCaps *caps = gst_caps_new_empty_simple ("video/x-raw");
  GstElement *filter, *encoder;

  if (ask->width)
    gst_caps_set_simple (caps, "width", GST_TYPE_INT_RANGE, 1, (int)ask->width,
        "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
  filter = haven_branch_make_filter (GST_BIN (bin), caps);
  encoder = haven_branch_make (GST_BIN (bin), "jpegenc");
  g_object_set (encoder, "quality", quality_of (ask), NULL);
  gst_element_link_many (queue, scale, filter, encoder, NULL);
  if (ask->fps) {
    Rate *rate = g_new0 (Rate, 1);

    rate->interval = GST_SECOND / ask->fps;
    g_object_set_data_full (G_OBJECT (queue), "rate", rate, g_free);
    haven_branch_add_probe (queue, "sink", GST_PAD_PROBE_TYPE_BUFFER, on_rate, rate);
  }
  haven_encoder_measure (encoder, &self->encode_time);
  g_object_set_data (G_OBJECT (bin), "pictures", queue);
  haven_branch_count_passage (queue);
  haven_branch_add_entry (bin, queue, "video");
  return encoder;
}

static void run_viewer_removed (HavenGraph *self, gpointer sink, guint sink_id);

static void
on_viewer_removed (GstElement *sink, guint sink_id, HavenGraph *self) /* havenwssink's thread */
{
  haven_graph_post (self, run_viewer_removed, sink, sink_id);
}

/* A branch of whatever codec comes, as it comes: a queue with its entry. Returns: the queue */
static GstElement *
add_encoded_chain (GstElement *bin, const char *entry)
{
  GstElement *queue = haven_branch_make_queue (GST_BIN (bin), 0, 16, 3);

  haven_branch_accept_any_codec (queue);
  haven_branch_add_entry (bin, queue, entry);
  return queue;
}

static void
show_feed (HavenGraph *self, HavenShow *show, HavenKind kind, gboolean decoded)
{
  show->decoded[kind] = decoded;
  haven_feed_open (&show->feeds[kind],
      decoded ? haven_graph_use_decoded (self, kind) : self->tees[kind], show->bin,
      haven_kind_names[kind]);
}

static HavenShow *
show_new (HavenGraph *self, const WsAsk *ask)
{
  gboolean encoded = ask->video == WS_VIDEO_ENCODED;
  HavenShow *show = g_new0 (HavenShow, 1);
  GstElement *bin = gst_bin_new (NULL);
  GstElement *sink = haven_branch_make (GST_BIN (bin), "havenwssink");

  show->ask = *ask;
  show->ask.audio = WS_AUDIO_NONE;
  show->sink = gst_object_ref (sink);
  g_object_set (
      sink, "listen", FALSE, "stream-name", self->stream_name, "max-viewers", 65536, NULL);
  g_signal_connect_object (sink, "viewer-removed", G_CALLBACK (on_viewer_removed), self, 0);
  gst_element_link_pads (
      encoded ? add_encoded_chain (bin, "video") : haven_graph_add_jpeg_chain (self, bin, ask),
      "src", sink, "video");
  show->bin = haven_graph_put (self, bin);
  show_feed (self, show, HAVEN_VIDEO, !encoded);
  g_ptr_array_add (self->shows, show);
  GST_INFO ("new branch for viewers: %s, width %u, fps %u, quality %u", ws_video_name (ask->video),
      ask->width, ask->fps, ask->quality);
  return show;
}

static void
show_add_audio (HavenGraph *self, HavenShow *show, WsAudio audio)
{
  GstElement *queue;

  if (audio == WS_AUDIO_NONE || show->ask.audio != WS_AUDIO_NONE)
    return;
  show->ask.audio = audio;
  if (audio == WS_AUDIO_OPUS) {
    queue = add_encoded_chain (show->bin, "audio");
  } else {
    queue = haven_branch_make_queue (GST_BIN (show->bin), 0, 0, 1);
    haven_branch_add_entry (show->bin, queue, "audio");
  }
  gst_element_link_pads (queue, "src", show->sink, "audio");
  gst_element_sync_state_with_parent (queue);
  show_feed (self, show, HAVEN_AUDIO, audio == WS_AUDIO_PCM);
}

void
haven_show_count (HavenShow *show, HavenShowCount *count)
{
  g_autoptr (GstStructure) stats = NULL;
  GstElement *pictures = g_object_get_data (G_OBJECT (show->bin), "pictures"); /* (nullable) */

  g_object_get (show->sink, "stats", &stats, NULL);
  count->frames += haven_graph_get_uint64 (stats, "video-sent");
  count->dropped += haven_graph_get_uint64 (stats, "video-dropped");
  count->bytes += haven_graph_get_uint64 (stats, "bytes");
  if (pictures)
    count->not_made += haven_branch_count_lost (pictures);
}

static void
show_free (HavenGraph *self, HavenShow *show)
{
  haven_show_count (show, &self->gone);
  g_signal_handlers_disconnect_by_data (show->sink, self);
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    if (!show->feeds[kind].tee)
      continue;
    haven_feed_close (&show->feeds[kind], FALSE);
    if (show->decoded[kind])
      haven_graph_unuse_decoded (self, kind);
  }
  haven_graph_retire (self, &show->bin);
  gst_object_unref (show->sink);
  g_ptr_array_remove (self->shows, show);
  g_free (show);
}

static void
forget_viewer (HavenGraph *self, guint id)
{
  g_hash_table_remove (self->viewers, GUINT_TO_POINTER (id));
  self->handlers.viewer_removed (id, self->user_data);
}

static void
run_viewer_removed (HavenGraph *self, gpointer sink, guint sink_id)
{
  GHashTableIter iter;
  gpointer key, value;

  g_hash_table_iter_init (&iter, self->viewers);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    HavenViewer *viewer = value;
    HavenShow *show = viewer->show;

    if (!show || show->sink != sink || viewer->sink_id != sink_id)
      continue;
    if (--show->n_viewers == 0)
      show_free (self, show);
    forget_viewer (self, GPOINTER_TO_UINT (key));
    return;
  }
}

guint
haven_graph_count_pictures (HavenGraph *self)
{
  guint count = 0;

  for (guint i = 0; i < self->shows->len; i++)
    count += ((HavenShow *)g_ptr_array_index (self->shows, i))->ask.video == WS_VIDEO_JPEG;
  return count;
}

static gboolean
has_same_picture (const WsAsk *a, const WsAsk *b)
{
  return a->video == b->video
         && (a->video == WS_VIDEO_ENCODED
             || (a->width == b->width && a->fps == b->fps && quality_of (a) == quality_of (b)));
}

/* One that shows that already. Sound that it does not have yet can be added to it.
 *
 * Returns: (nullable) */
static HavenShow *
find_show (HavenGraph *self, const WsAsk *ask)
{
  for (guint i = 0; i < self->shows->len; i++) {
    HavenShow *show = g_ptr_array_index (self->shows, i);

    if (has_same_picture (&show->ask, ask)
        && (ask->audio == show->ask.audio || ask->audio == WS_AUDIO_NONE
            || show->ask.audio == WS_AUDIO_NONE))
      return show;
  }
  return NULL;
}

/* Each picture that is not made yet costs an encoder. */
static gboolean
may_show (HavenGraph *self, const WsAsk *ask, GError **error)
{
  if (!self->max_pictures || ask->video != WS_VIDEO_JPEG || find_show (self, ask)
      || haven_graph_count_pictures (self) < self->max_pictures)
    return TRUE;
  g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_LIMIT,
      "The picture is made in %u sizes, rates and qualities already, which is the limit",
      self->max_pictures);
  return FALSE;
}

/* What havenwssink is told of a viewer. Returns: (transfer full) */
static char *
make_target (HavenForm form, const WsAsk *ask)
{
  static const char *const paths[] = { "/ws/live/x", "/stream/x", "/stream.mjpeg" };

  if (form == HAVEN_FORM_V1)
    return g_strdup_printf (
        "/watch/x?video=%s&audio=%s", ws_video_name (ask->video), ws_audio_name (ask->audio));
  return g_strconcat (paths[form], ask->audio == WS_AUDIO_NONE ? "?audio=0" : NULL, NULL);
}

/* @ask: one that may_show() allows
 *
 * Returns: whether it can be served */
static gboolean
serve_viewer (HavenGraph *self, HavenViewer *viewer, GSocketConnection *socket, HavenForm form,
    const WsAsk *ask, GError **error)
{
  g_autofree char *target = make_target (form, ask);
  guint sink_id = 0;
  HavenShow *show;

  if (!(show = find_show (self, ask)))
    show = show_new (self, ask);
  show_add_audio (self, show, ask->audio);
  g_signal_emit_by_name (show->sink, "add-connection", socket, target, &sink_id);
  if (!sink_id) {
    if (show->n_viewers == 0)
      show_free (self, show);
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_INTERNAL,
        "The connection cannot be served");
    return FALSE;
  }
  show->n_viewers++;
  viewer->show = show;
  viewer->sink_id = sink_id;
  return TRUE;
}

void
haven_viewer_free (gpointer data)
{
  HavenViewer *viewer = data;

  g_clear_pointer (&viewer->greeting, ws_greeting_free);
  g_free (viewer);
}

static void
on_greeted (WsGreeting *greeting, const WsAsk *ask, gpointer user_data)
{
  HavenViewer *viewer = user_data;
  HavenGraph *self = viewer->graph;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) stream = NULL;

  if (self->stopped) {
    g_hash_table_remove (self->viewers, GUINT_TO_POINTER (viewer->id));
    return;
  }
  if (ask && !may_show (self, ask, &error)) {
    ws_greeting_close (greeting, WS_CLOSE_TRY_AGAIN_LATER, error->message);
    return; /* we are called again when it has gone */
  }
  stream = ask ? ws_greeting_steal (greeting, &socket) : NULL;
  if (!ask
      || !serve_viewer (self, viewer, G_SOCKET_CONNECTION (stream), HAVEN_FORM_V1, ask, NULL)) {
    forget_viewer (self, viewer->id);
    return;
  }
  g_clear_pointer (&viewer->greeting, ws_greeting_free);
}

guint
haven_graph_add_viewer (HavenGraph *self, GSocketConnection *socket, HavenForm form,
    const HavenAsk *ask, gboolean audio, GError **error)
{
  WsAsk wanted = { WS_VIDEO_JPEG, audio && form != HAVEN_FORM_MJPEG ? WS_AUDIO_PCM : WS_AUDIO_NONE,
    ask->width, ask->fps, MIN (ask->quality, 100) };
  HavenViewer *viewer;

  if (self->max_viewers && g_hash_table_size (self->viewers) >= self->max_viewers) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_LIMIT,
        "All %u places for viewers are taken", self->max_viewers);
    return 0;
  }
  viewer = g_new0 (HavenViewer, 1);
  viewer->graph = self;
  viewer->id = ++self->last_viewer;
  if (form == HAVEN_FORM_V1) {
    viewer->greeting = ws_greeting_new (
        G_IO_STREAM (socket), g_socket_connection_get_socket (socket), on_greeted, viewer);
  } else if (!may_show (self, &wanted, error)
             || !serve_viewer (self, viewer, socket, form, &wanted, error)) {
    haven_viewer_free (viewer);
    return 0;
  }
  g_hash_table_insert (self->viewers, GUINT_TO_POINTER (viewer->id), viewer);
  return viewer->id;
}

guint
haven_graph_count_viewers (HavenGraph *self)
{
  return g_hash_table_size (self->viewers);
}

void
haven_graph_close_viewers (HavenGraph *self, guint16 code, const char *reason)
{
  GHashTableIter iter;
  gpointer viewer;

  for (guint i = 0; i < self->shows->len; i++)
    g_signal_emit_by_name (
        ((HavenShow *)g_ptr_array_index (self->shows, i))->sink, "close-viewers", code, reason);
  /* Those too who have not said yet what they want. */
  g_hash_table_iter_init (&iter, self->viewers);
  while (g_hash_table_iter_next (&iter, NULL, &viewer))
    if (((HavenViewer *)viewer)->greeting)
      ws_greeting_close (((HavenViewer *)viewer)->greeting, code, reason);
}

gboolean
haven_graph_fail_viewers (HavenGraph *self, GstObject *object)
{
  for (guint i = 0; i < self->shows->len; i++) {
    HavenShow *show = g_ptr_array_index (self->shows, i);

    if (haven_graph_is_in (object, show->bin)) {
      g_signal_emit_by_name (show->sink, "close-viewers", 1011, "The picture cannot be made");
      return TRUE;
    }
  }
  return FALSE;
}

void
haven_show_dispose (HavenShow *show)
{
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    haven_feed_close (&show->feeds[kind], FALSE);
  gst_object_unref (show->bin);
  gst_object_unref (show->sink);
  g_free (show);
}
