/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-graph-private.h"

#include "haven-session-error.h"

GST_DEBUG_CATEGORY (haven_graph_debug);
#define GST_CAT_DEFAULT haven_graph_debug

#define STREAMER_TIMEOUT 30 /* s, where none is set */

G_DEFINE_FINAL_TYPE (HavenGraph, haven_graph, G_TYPE_OBJECT)

/* -- from other threads to the main context */

typedef struct
{
  HavenGraph *graph;
  void (*run) (HavenGraph *graph, gpointer object, guint number);
  gpointer object; /* (owned) (nullable) GObject */
  guint number;
} Call;

static gboolean
call_run (gpointer data)
{
  Call *call = data;

  if (!call->graph->stopped)
    call->run (call->graph, call->object, call->number);
  return G_SOURCE_REMOVE;
}

static void
call_free (gpointer data)
{
  Call *call = data;

  g_clear_object (&call->object);
  g_object_unref (call->graph);
  g_free (call);
}

void
haven_graph_post (
    HavenGraph *self, void (*run) (HavenGraph *, gpointer, guint), gpointer object, guint number)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  Call *call = g_new0 (Call, 1);

  *call = (Call){ g_object_ref (self), run, object ? g_object_ref (object) : NULL, number };
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, call_run, call, call_free);
  g_source_attach (source, self->context);
}

/* -- elements */

static void
stop_element (GstElement *element, gpointer user_data) /* a thread of GStreamer's */
{
  gst_element_set_state (element, GST_STATE_NULL);
}

void
haven_graph_retire (HavenGraph *self, GstElement **element /* (transfer full) */)
{
  GstElement *taken = g_steal_pointer (element);

  if (!taken)
    return;
  gst_element_set_locked_state (taken, TRUE);
  gst_bin_remove (GST_BIN (self->pipeline), taken);
  gst_element_call_async (taken, stop_element, NULL, NULL);
  gst_object_unref (taken);
}

/* Whatever codec comes is framed in one way, which all branches take as it is: havenwssink has no
 * parser. Any thread. */
static GstPadProbeReturn
on_source_query (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  g_autoptr (GstCaps) taken = NULL;
  GstCaps *filter;

  if (GST_QUERY_TYPE (query) != GST_QUERY_CAPS)
    return GST_PAD_PROBE_OK;
  taken = gst_caps_from_string ("video/x-vp8; video/x-vp9; "
                                "video/x-h264, stream-format=byte-stream, alignment=au; "
                                "video/x-av1, stream-format=obu-stream, alignment=tu");
  gst_query_parse_caps (query, &filter);
  if (filter) {
    GstCaps *both = gst_caps_intersect_full (filter, taken, GST_CAPS_INTERSECT_FIRST);

    gst_caps_unref (taken);
    taken = both;
  }
  gst_query_set_caps_result (query, taken);
  return GST_PAD_PROBE_HANDLED;
}

GstElement *
haven_graph_put (HavenGraph *self, GstElement *bin)
{
  gst_bin_add (GST_BIN (self->pipeline), bin);
  gst_element_sync_state_with_parent (bin);
  return gst_object_ref (bin);
}

void
haven_graph_request_keyframe (HavenGraph *self)
{
  g_signal_emit_by_name (self->source, "request-keyframe");
}

GstElement *
haven_graph_make_tee (HavenGraph *self)
{
  GstElement *tee = haven_branch_make (GST_BIN (self->pipeline), "tee");

  g_object_set (tee, "allow-not-linked", TRUE, NULL);
  return gst_object_ref (tee);
}

GstClockTime
haven_graph_get_running_time (HavenGraph *self)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (self->pipeline);
  GstClockTime now, base = gst_element_get_base_time (self->pipeline);

  if (!clock)
    return 0;
  now = gst_clock_get_time (clock);
  return now > base ? now - base : 0;
}

/* -- messages */

static void
handle_data (HavenGraph *self, const GstStructure *data)
{
  g_autoptr (GBytes) payload = NULL;

  if (gst_structure_get (data, "payload", G_TYPE_BYTES, &payload, NULL))
    self->handlers.data (gst_structure_get_string (data, "participant"),
        gst_structure_get_string (data, "topic"), payload, self->user_data);
}

static void
handle_connection_state (HavenGraph *self, const char *state)
{
  self->reconnecting = g_strcmp0 (state, "reconnecting") == 0;
  haven_graph_note_silence (self);
  if (self->reconnecting) {
    self->reconnects++;
    self->handlers.reconnecting (TRUE, self->user_data);
  } else if (g_strcmp0 (state, "connected") == 0) {
    self->handlers.reconnecting (FALSE, self->user_data);
  }
}

static void
replace_string (char **string, const char *value)
{
  g_free (*string);
  *string = g_strdup (value);
}

static void
handle_participant (HavenGraph *self, const char *identity, gboolean there)
{
  if (g_strcmp0 (identity, self->participant_identity) != 0)
    return;
  self->streamer_gone = !there;
  haven_graph_note_silence (self);
}

static void
handle_permission (HavenGraph *self, const GstStructure *told)
{
  gboolean allowed;

  if (gst_structure_get_boolean (told, "allowed", &allowed))
    haven_graph_take_permission (self, gst_structure_get_string (told, "sid"), allowed);
}

static void
handle_element_message (HavenGraph *self, GstMessage *message)
{
  const GstStructure *structure = gst_message_get_structure (message);
  const char *name = gst_structure_get_name (structure);

  if (g_str_equal (name, "livekit-track-added"))
    haven_graph_take_track (self, structure, "added");
  else if (g_str_equal (name, "livekit-track-changed"))
    haven_graph_take_track (self, structure, "changed");
  else if (g_str_equal (name, "livekit-track-removed"))
    haven_graph_take_track (self, structure, "removed");
  else if (g_str_equal (name, "livekit-track-permission"))
    handle_permission (self, structure);
  else if (g_str_equal (name, "livekit-participant-joined"))
    handle_participant (self, gst_structure_get_string (structure, "identity"), TRUE);
  else if (g_str_equal (name, "livekit-participant-left"))
    handle_participant (self, gst_structure_get_string (structure, "identity"), FALSE);
  else if (g_str_equal (name, "livekit-connection-state"))
    handle_connection_state (self, gst_structure_get_string (structure, "state"));
  else if (g_str_equal (name, "livekit-data"))
    handle_data (self, structure);
  else if (g_str_equal (name, "livekit-room-joined")) {
    replace_string (&self->room_name, gst_structure_get_string (structure, "name"));
    replace_string (&self->stream_info, gst_structure_get_string (structure, "stream-info"));
  } else if (g_str_equal (name, "livekit-room-ended"))
    self->handlers.room_ended (gst_structure_get_string (structure, "reason"), self->user_data);
}

gboolean
haven_graph_is_in (GstObject *object, gpointer ancestor)
{
  return ancestor && (object == ancestor || gst_object_has_as_ancestor (object, ancestor));
}

static void
handle_source_error (HavenGraph *self, GstMessage *message, const GError *error)
{
  const GstStructure *details = NULL;
  const char *name = NULL;
  g_autoptr (GError) told = NULL;

  gst_message_parse_error_details (message, &details);
  if (details)
    name = gst_structure_get_string (details, "error");
  told = g_error_new_literal (
      HAVEN_SESSION_ERROR, haven_session_error_from_name (name), error->message);
  self->handlers.failed (told, self->user_data);
}

/* An error belongs to the branch that it happened in, and ends no other. */
static void
handle_error (HavenGraph *self, GstMessage *message)
{
  GstObject *object = GST_MESSAGE_SRC (message);
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;

  gst_message_parse_error (message, &error, &debug);
  g_message ("%s: %s (%s)", GST_OBJECT_NAME (object), error->message, debug ? debug : "");
  if (haven_graph_fail_recorder (self, object, error, debug))
    return;
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    if (haven_graph_is_in (object, self->decoded[kind].bin)) {
      haven_graph_decoder_failed (self, kind);
      return;
    }
  }
  if (haven_graph_fail_viewers (self, object))
    return;
  if (haven_graph_is_in (object, self->source))
    handle_source_error (self, message, error);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer user_data)
{
  HavenGraph *self = user_data;
  g_autoptr (HavenGraph) keep = g_object_ref (self);
  g_autoptr (GError) error = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ELEMENT:
    handle_element_message (self, message);
    break;
  case GST_MESSAGE_ERROR:
    handle_error (self, message);
    break;
  case GST_MESSAGE_WARNING:
    gst_message_parse_warning (message, &error, NULL);
    g_message ("%s: %s", GST_OBJECT_NAME (GST_MESSAGE_SRC (message)), error->message);
    break;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

/* -- life */

static void
set_string (GstElement *element, const char *property, const char *value)
{
  if (value && *value)
    g_object_set (element, property, value, NULL);
}

static void
configure_source (HavenGraph *self, const HavenGraphSettings *settings)
{
  GstElement *source = self->source;

  gst_util_set_object_arg (G_OBJECT (source), "output", "encoded");
  set_string (source, "ws-url", settings->livekit_url);
  set_string (source, "auth-token", settings->token);
  set_string (source, "api-key", settings->api_key);
  set_string (source, "secret-key", settings->api_secret);
  set_string (source, "token-endpoint", settings->token_endpoint);
  set_string (source, "room-name", settings->room_name);
  set_string (source, "identity", settings->identity);
  set_string (source, "participant-name", settings->participant_name);
  set_string (source, "participant", settings->participant);
  /* No other source goes into a file: what is kept on the way finds its place there. */
  g_object_set (source, "data-messages", TRUE, "idle-gaps", FALSE, NULL);
  if (settings->streamer_timeout)
    g_object_set (source, "participant-timeout", settings->streamer_timeout, NULL);
  if (settings->connect_timeout)
    g_object_set (source, "connect-timeout", settings->connect_timeout, NULL);
  if (settings->reconnect_timeout)
    g_object_set (source, "reconnect-timeout", settings->reconnect_timeout, NULL);
}

HavenGraph *
haven_graph_new (const HavenGraphSettings *settings, const HavenGraphHandlers *handlers,
    gpointer user_data, GError **error)
{
  g_autoptr (HavenGraph) self = g_object_new (HAVEN_TYPE_GRAPH, NULL);
  g_autoptr (GstBus) bus = gst_element_get_bus (self->pipeline);

  if (!haven_branch_is_there ("livekitsrc") || !haven_branch_is_there ("havenwssink")) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_INTERNAL,
        "The elements livekitsrc and havenwssink are not installed (GST_PLUGIN_PATH)");
    return NULL;
  }
  self->handlers = *handlers;
  self->user_data = user_data;
  self->stream_name = g_strdup (settings->stream_name);
  self->max_viewers = settings->max_viewers;
  self->max_pictures = settings->max_pictures;
  self->flow_timeout = settings->streamer_timeout ? settings->streamer_timeout : STREAMER_TIMEOUT;
  self->source = gst_object_ref (haven_branch_make (GST_BIN (self->pipeline), "livekitsrc"));
  configure_source (self, settings);
  haven_graph_watch_tracks (self);
  haven_branch_add_probe (
      self->tees[HAVEN_VIDEO], "sink", GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, on_source_query, NULL);
  self->bus_watch = gst_bus_add_watch (bus, on_message, self);
  return g_steal_pointer (&self);
}

gboolean
haven_graph_start (HavenGraph *self, GError **error)
{
  if (gst_element_set_state (self->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
    g_set_error (
        error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_INTERNAL, "The pipeline does not start");
    return FALSE;
  }
  return TRUE;
}

static void
stop_pipeline (
    GTask *task, gpointer source, gpointer data, GCancellable *cancellable) /* a thread of GIO's */
{
  gst_element_set_state (HAVEN_GRAPH (source)->pipeline, GST_STATE_NULL);
  g_task_return_boolean (task, TRUE);
}

void
haven_graph_stop_async (HavenGraph *self, guint16 code, const char *reason,
    GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);

  self->stopped = TRUE;
  g_clear_handle_id (&self->bus_watch, g_source_remove);
  g_clear_handle_id (&self->ready_timer, g_source_remove);
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    g_clear_handle_id (&self->decoded[kind].retry_id, g_source_remove);
  haven_graph_close_viewers (self, code, reason);
  g_task_run_in_thread (task, stop_pipeline);
}

const char *
haven_graph_get_room_name (HavenGraph *self)
{
  return self->room_name;
}

const char *
haven_graph_get_stream_info (HavenGraph *self)
{
  return self->stream_info;
}

const char *
haven_graph_get_participant_sid (HavenGraph *self)
{
  return self->participant_sid;
}

const char *
haven_graph_get_participant_identity (HavenGraph *self)
{
  return self->participant_identity;
}

/* -- object */

static void
haven_graph_finalize (GObject *object)
{
  HavenGraph *self = HAVEN_GRAPH (object);

  g_clear_handle_id (&self->bus_watch, g_source_remove);
  g_clear_handle_id (&self->ready_timer, g_source_remove);
  gst_element_set_state (self->pipeline, GST_STATE_NULL);
  for (guint i = 0; i < self->shows->len; i++)
    haven_show_dispose (g_ptr_array_index (self->shows, i));
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    HavenDecoded *decoded = &self->decoded[kind];

    g_clear_handle_id (&decoded->retry_id, g_source_remove);
    haven_feed_close (&decoded->feed, FALSE);
    g_clear_object (&decoded->bin);
    g_clear_object (&decoded->tee);
    g_clear_object (&self->linked[kind]);
    g_clear_object (&self->tees[kind]);
    gst_caps_replace (&self->caps[kind], NULL);
  }
  g_clear_object (&self->source);
  g_clear_object (&self->pipeline);
  haven_novelty_clear (&self->novelty);
  haven_silence_free (self->silence);
  g_ptr_array_unref (self->shows);
  g_ptr_array_unref (self->recorders);
  g_hash_table_unref (self->viewers);
  g_hash_table_unref (self->tracks);
  g_hash_table_unref (self->forbidden);
  g_main_context_unref (self->context);
  g_mutex_clear (&self->encode_time.lock);
  g_mutex_clear (&self->lock);
  g_free (self->stream_name);
  g_free (self->participant_sid);
  g_free (self->participant_identity);
  g_free (self->room_name);
  g_free (self->stream_info);
  G_OBJECT_CLASS (haven_graph_parent_class)->finalize (object);
}

static void
haven_graph_class_init (HavenGraphClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = haven_graph_finalize;
}

static void
haven_graph_init (HavenGraph *self)
{
  self->context = g_main_context_ref_thread_default ();
  self->pipeline = gst_object_ref_sink (gst_pipeline_new (NULL));
  self->tracks
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)gst_structure_free);
  self->forbidden = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->shows = g_ptr_array_new ();
  self->recorders = g_ptr_array_new ();
  haven_novelty_init (&self->novelty);
  self->silence = haven_silence_new ();
  self->viewers = g_hash_table_new_full (NULL, NULL, NULL, haven_viewer_free);
  g_mutex_init (&self->encode_time.lock);
  g_mutex_init (&self->lock);
}

/* Where the plugins of a build tree are that we run from, or those that were installed with us. */
static char *
find_plugins (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *dir = program ? g_path_get_dirname (program) : NULL;
  g_autofree char *built
      = dir ? g_build_filename (dir, "..", "..", "plugins", "livekit", NULL) : NULL;

  if (built && g_file_test (built, G_FILE_TEST_IS_DIR))
    return g_build_filename (dir, "..", "..", "plugins", NULL);
  return g_strdup (HAVEN_PLUGINS_DIR);
}

void
haven_graph_setup (void)
{
  g_autofree char *plugins = find_plugins ();

  g_setenv ("GST_PLUGIN_PATH", plugins, FALSE);
  gst_init (NULL, NULL);
  GST_DEBUG_CATEGORY_INIT (haven_graph_debug, "havengraph", 0, "Haven Live's session");
}
