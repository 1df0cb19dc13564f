/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-session.h"

#include <string.h>

#include "haven-chat.h"
#include "haven-log.h"
#include "haven-session-error.h"

#define CLOSE_NORMAL 1000
#define CLOSE_GOING_AWAY 1001
#define CLOSE_INTERNAL_ERROR 1011

typedef enum
{
  STATE_IDLE,
  STATE_CONNECTING,
  STATE_ACTIVE,
  STATE_RECONNECTING,
  STATE_ENDED,
  STATE_FAILED,
} State;
static const char *const state_names[]
    = { "connecting", "connecting", "active", "reconnecting", "ended", "failed" };

struct _HavenSession
{
  GObject parent;

  State state;
  HavenGraph *graph; /* (owned) (nullable) */
  char *mint_id, *room_name;
  char *stream_info; /* (nullable) JSON */
  char *participant_sid, *participant_identity;
  gint64 session_id, start_time;
  gboolean connected; /* to the room, whoever is in it */
  guint idle_timeout; /* s; 0: never */
  guint64 reserve;
  guint idle_timer;

  GHashTable *viewers;        /* number -> IP address (owned) */
  GVariant *viewer_addresses; /* (owned) a{su}: how many from which */

  GPtrArray *starters; /* GTask: who waits for the room */

  HavenRecording *recording;  /* (owned) (nullable) until it has ended */
  HavenChat *chat;            /* (owned) (nullable) beside it */
  GPtrArray *record_starters; /* GTask: one at most */
  GPtrArray *record_stoppers; /* GTask */

  gboolean ending, stopping_graph;
  guint16 close_code;
  char *close_text;
  char *end_reason, *end_detail;
};

G_DEFINE_FINAL_TYPE (HavenSession, haven_session, G_TYPE_OBJECT)

enum
{
  SIGNAL_CHANGED,
  SIGNAL_TRACK_CHANGED,
  SIGNAL_RECORDING_CHANGED,
  SIGNAL_ENDED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void end (HavenSession *self, const char *reason, const char *detail, State state,
    guint16 code, const char *text);

static void
set_state (HavenSession *self, State state)
{
  if (self->state == state)
    return;
  g_assert (self->state < STATE_ENDED); /* an end is for good */
  g_debug ("%s -> %s", state_names[self->state], state_names[state]);
  self->state = state;
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

static void
changed (HavenSession *self)
{
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

/* -- idling: a session that nobody watches and that does not record */

static gboolean
on_idle (gpointer user_data)
{
  HavenSession *self = user_data;

  self->idle_timer = 0;
  end (self, "idle", "Nobody watches any more", STATE_ENDED, CLOSE_NORMAL, "idle");
  return G_SOURCE_REMOVE;
}

static void
update_idle (HavenSession *self)
{
  gboolean idle = self->idle_timeout && self->graph && !self->ending && !self->recording
                  && haven_graph_count_viewers (self->graph) == 0;

  if (!idle)
    g_clear_handle_id (&self->idle_timer, g_source_remove);
  else if (!self->idle_timer)
    self->idle_timer = g_timeout_add_seconds (self->idle_timeout, on_idle, self);
}

/* -- ending: recording, then viewers and room, then the word */

static gboolean
on_all_done (gpointer user_data)
{
  HavenSession *self = user_data;

  g_signal_emit (self, signals[SIGNAL_ENDED], 0, self->end_reason, self->end_detail);
  return G_SOURCE_REMOVE;
}

/* Last of all: who waits for an answer gets it before. */
static void
finish_ending (HavenSession *self)
{
  g_idle_add_full (G_PRIORITY_LOW, on_all_done, g_object_ref (self), g_object_unref);
}

static void
on_graph_stopped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  finish_ending (user_data);
  g_object_unref (user_data); /* taken when the graph was told to stop */
}

static void
continue_ending (HavenSession *self)
{
  if (!self->ending || self->stopping_graph || self->recording)
    return;
  self->stopping_graph = TRUE;
  if (self->graph)
    haven_graph_stop_async (
        self->graph, self->close_code, self->close_text, on_graph_stopped, g_object_ref (self));
  else
    finish_ending (self);
}

static void
return_errors (GPtrArray *tasks, HavenSessionError code, const char *message)
{
  while (tasks->len) {
    g_autoptr (GTask) task = g_object_ref (g_ptr_array_index (tasks, 0));

    g_ptr_array_remove_index (tasks, 0);
    g_task_return_new_error (task, HAVEN_SESSION_ERROR, code, "%s", message);
  }
}

/* Who stops the session means its recording, too. At any other end it keeps why. */
static void
end_recording (HavenSession *self)
{
  g_autoptr (GError) why = NULL;

  if (strcmp (self->end_reason, "stopped") != 0)
    why = g_error_new_literal (
        HAVEN_SESSION_ERROR, haven_session_error_from_name (self->end_reason), self->end_detail);
  else if (self->close_code == CLOSE_GOING_AWAY)
    why = g_error_new (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CLOSED, "The session was ended: %s",
        self->close_text);
  if (why)
    haven_recording_end (self->recording, why);
  else
    haven_recording_stop (self->recording);
}

static void
end (HavenSession *self, const char *reason, const char *detail, State state, guint16 code,
    const char *text)
{
  g_autoptr (HavenSession) keep = g_object_ref (self);

  if (self->ending)
    return;
  g_message ("The session ends: %s (%s)", detail, reason);
  self->ending = TRUE;
  g_clear_handle_id (&self->idle_timer, g_source_remove);
  self->end_reason = g_strdup (reason);
  self->end_detail = g_strdup (detail);
  self->close_code = code;
  self->close_text = g_strdup (text);
  return_errors (self->starters, haven_session_error_from_name (reason), detail);
  set_state (self, state);
  if (self->recording)
    end_recording (self);
  continue_ending (self);
}

void
haven_session_stop (HavenSession *self, guint16 code, const char *text)
{
  end (self, "stopped", "Stopped", STATE_ENDED, code, text);
}

/* -- from the graph */

static void
on_ready (gpointer user_data)
{
  HavenSession *self = user_data;

  self->start_time = g_get_real_time ();
  set_state (self, STATE_ACTIVE);
  while (self->starters->len) {
    g_autoptr (GTask) task = g_object_ref (g_ptr_array_index (self->starters, 0));

    g_ptr_array_remove_index (self->starters, 0);
    g_task_return_boolean (task, TRUE);
  }
  update_idle (self);
}

static void
on_reconnecting (gboolean lost, gpointer user_data)
{
  HavenSession *self = user_data;

  self->connected = !lost;
  if (self->state == STATE_ACTIVE || self->state == STATE_RECONNECTING)
    set_state (self, lost ? STATE_RECONNECTING : STATE_ACTIVE);
  else
    changed (self);
}

static void
on_tracks_changed (GVariant *track, gpointer user_data)
{
  HavenSession *self = user_data;

  g_signal_emit (self, signals[SIGNAL_TRACK_CHANGED], 0, track);
  changed (self); /* whose tracks they are, too */
}

static void
count_addresses (HavenSession *self)
{
  g_autoptr (GHashTable) counts = g_hash_table_new (g_str_hash, g_str_equal);
  GVariantBuilder builder;
  GHashTableIter iter;
  gpointer address, count;

  g_hash_table_iter_init (&iter, self->viewers);
  while (g_hash_table_iter_next (&iter, NULL, &address)) {
    count = g_hash_table_lookup (counts, address);
    g_hash_table_insert (counts, address, GUINT_TO_POINTER (GPOINTER_TO_UINT (count) + 1));
  }
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{su}"));
  g_hash_table_iter_init (&iter, counts);
  while (g_hash_table_iter_next (&iter, &address, &count))
    g_variant_builder_add (&builder, "{su}", address, GPOINTER_TO_UINT (count));
  g_clear_pointer (&self->viewer_addresses, g_variant_unref);
  self->viewer_addresses = g_variant_ref_sink (g_variant_builder_end (&builder));
}

/* Control bounds what one address has in all sessions. */
static void
remember_address (HavenSession *self, guint viewer, GSocketAddress *remote)
{
  if (!G_IS_INET_SOCKET_ADDRESS (remote)) /* it has left already, or came another way */
    return;
  g_hash_table_insert (self->viewers, GUINT_TO_POINTER (viewer),
      g_inet_address_to_string (
          g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (remote))));
  count_addresses (self);
}

static void
on_viewer_removed (guint viewer, gpointer user_data)
{
  HavenSession *self = user_data;

  if (g_hash_table_remove (self->viewers, GUINT_TO_POINTER (viewer)))
    count_addresses (self);
  changed (self);
  update_idle (self);
}

static void
on_room_ended (const char *reason, gpointer user_data)
{
  end (user_data, "room-closed", reason ? reason : "The room was closed", STATE_ENDED, CLOSE_NORMAL,
      "the stream has ended");
}

static void
on_failed (const GError *error, gpointer user_data)
{
  end (user_data, haven_session_error_name (error), error->message, STATE_FAILED,
      CLOSE_INTERNAL_ERROR, "the room is lost");
}

static void
on_data (const char *participant, const char *topic, GBytes *payload, gpointer user_data)
{
  HavenSession *self = user_data;
  HavenRecordingFigures figures;

  if (!self->chat)
    return;
  haven_recording_get_figures (self->recording, &figures);
  haven_chat_take (self->chat, figures.duration, participant, topic, payload);
}

static const HavenGraphHandlers graph_handlers = {
  .data = on_data,
  .ready = on_ready,
  .reconnecting = on_reconnecting,
  .tracks_changed = on_tracks_changed,
  .viewer_removed = on_viewer_removed,
  .room_ended = on_room_ended,
  .failed = on_failed,
};

/* -- start */

static const char *
lookup_string (GVariant *settings, const char *key)
{
  const char *value = NULL;

  g_variant_lookup (settings, key, "&s", &value);
  return value && *value ? value : NULL;
}

static guint
lookup_uint (GVariant *settings, const char *key)
{
  guint value = 0;

  g_variant_lookup (settings, key, "u", &value);
  return value;
}

static gboolean
build_graph (HavenSession *self, GVariant *settings, GError **error)
{
  const char *endpoint = lookup_string (settings, "token_endpoint");
  HavenGraphSettings graph = {
    .livekit_url = lookup_string (settings, "livekit_url"),
    .token = lookup_string (settings, "token"),
    .api_key = lookup_string (settings, "api_key"),
    .api_secret = lookup_string (settings, "api_secret"),
    .token_endpoint = endpoint,
    .room_name = endpoint ? self->mint_id : self->room_name, /* an endpoint is asked for the coin */
    .identity = lookup_string (settings, "identity"),
    .participant_name = lookup_string (settings, "participant_name"),
    .participant = lookup_string (settings, "participant_identity"),
    .stream_name = self->mint_id,
    .streamer_timeout = lookup_uint (settings, "streamer_timeout"),
    .connect_timeout = lookup_uint (settings, "connect_timeout"),
    .reconnect_timeout = lookup_uint (settings, "reconnect_timeout"),
    .max_viewers = lookup_uint (settings, "max_viewers"),
    .max_pictures = lookup_uint (settings, "max_pictures"),
  };

  self->graph = haven_graph_new (&graph, &graph_handlers, self, error);
  return self->graph && haven_graph_start (self->graph, error);
}

static void
take_settings (HavenSession *self, GVariant *settings)
{
  const char *room = lookup_string (settings, "room_name"),
             *mint = lookup_string (settings, "mint_id");

  self->room_name = g_strdup (room ? room : mint ? mint : "");
  self->mint_id = g_strdup (mint ? mint : self->room_name);
  self->idle_timeout = lookup_uint (settings, "idle_timeout");
  if (g_variant_lookup (settings, "session_id", "x", &self->session_id))
    haven_log_set_session (self->session_id);
  g_variant_lookup (settings, "recording_reserve", "t", &self->reserve);
}

void
haven_session_start_async (
    HavenSession *self, GVariant *settings, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_autoptr (GError) error = NULL;

  if (self->ending) {
    g_task_return_new_error (
        task, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CLOSED, "The session has ended");
    return;
  }
  if (self->state == STATE_ACTIVE || self->state == STATE_RECONNECTING) {
    if (g_variant_lookup (settings, "idle_timeout", "u", &self->idle_timeout)) {
      g_clear_handle_id (&self->idle_timer, g_source_remove);
      update_idle (self);
    }
    g_task_return_boolean (task, TRUE);
    return;
  }
  g_ptr_array_add (self->starters, g_steal_pointer (&task));
  if (self->state == STATE_CONNECTING)
    return;
  take_settings (self, settings);
  set_state (self, STATE_CONNECTING);
  if (!build_graph (self, settings, &error))
    on_failed (error, self);
}

gboolean
haven_session_start_finish (HavenSession *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
replace (char **string, const char *value)
{
  g_free (*string);
  *string = g_strdup (value);
}

static const char *
or_empty (const char *text)
{
  return text ? text : "";
}

void
haven_session_get_properties (HavenSession *self, HavenSessionProperties *properties)
{
  if (self->graph) {
    replace (&self->participant_sid, haven_graph_get_participant_sid (self->graph));
    replace (&self->participant_identity, haven_graph_get_participant_identity (self->graph));
    /* A token may be for another room than was asked for. */
    if (haven_graph_get_room_name (self->graph))
      replace (&self->room_name, haven_graph_get_room_name (self->graph));
    replace (&self->stream_info, haven_graph_get_stream_info (self->graph));
  }
  *properties = (HavenSessionProperties){
    .session_id = self->session_id,
    .start_time = self->start_time,
    .mint_id = or_empty (self->mint_id),
    .room_name = or_empty (self->room_name),
    .state = state_names[self->state],
    .error = self->state == STATE_FAILED ? or_empty (self->end_detail) : "",
    .participant_sid = or_empty (self->participant_sid),
    .participant_identity = or_empty (self->participant_identity),
    .stream_info = or_empty (self->stream_info),
    .n_viewers = self->graph ? haven_graph_count_viewers (self->graph) : 0,
    .viewer_addresses = self->viewer_addresses,
    .recording = self->recording != NULL,
    .connected = self->connected,
  };
}

GVariant *
haven_session_get_info (HavenSession *self)
{
  HavenSessionProperties properties;
  GVariantDict info;

  haven_session_get_properties (self, &properties);
  g_variant_dict_init (&info, NULL);
  g_variant_dict_insert (&info, "session_id", "x", properties.session_id);
  g_variant_dict_insert (&info, "mint_id", "s", properties.mint_id);
  g_variant_dict_insert (&info, "room_name", "s", properties.room_name);
  g_variant_dict_insert (&info, "state", "s", properties.state);
  g_variant_dict_insert (&info, "participant_sid", "s", properties.participant_sid);
  g_variant_dict_insert (&info, "participant_identity", "s", properties.participant_identity);
  g_variant_dict_insert (&info, "start_time", "x", properties.start_time);
  g_variant_dict_insert (&info, "viewers", "u", properties.n_viewers);
  g_variant_dict_insert (&info, "recording", "b", properties.recording);
  return g_variant_dict_end (&info);
}

/* -- viewers */

HavenGraph *
haven_session_get_graph (HavenSession *self, GError **error)
{
  if (self->graph && !self->ending)
    return self->graph;
  g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CLOSED, "The session does not run");
  return NULL;
}

guint
haven_session_add_viewer (HavenSession *self, GSocketConnection *socket, const char *form,
    GVariant *options, GError **error)
{
  static const char *const forms[] = { [HAVEN_FORM_GEN1] = "gen1",
    [HAVEN_FORM_GEN2] = "gen2",
    [HAVEN_FORM_MJPEG] = "mjpeg",
    [HAVEN_FORM_V1] = "haven.v1" };
  HavenAsk ask = { lookup_uint (options, "width"), lookup_uint (options, "fps"),
    lookup_uint (options, "quality") };
  HavenGraph *graph = haven_session_get_graph (self, error);
  g_autoptr (GSocketAddress) remote = g_socket_connection_get_remote_address (socket, NULL);
  gboolean audio = TRUE;

  if (!graph)
    return 0;
  g_variant_lookup (options, "audio", "b", &audio);
  for (guint i = 0; i < G_N_ELEMENTS (forms); i++) {
    guint viewer;

    if (strcmp (form, forms[i]) != 0)
      continue;
    viewer = haven_graph_add_viewer (graph, socket, i, &ask, audio, error);
    update_idle (self);
    if (viewer) {
      remember_address (self, viewer, remote);
      changed (self);
    }
    return viewer;
  }
  g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG,
      "There is no form “%s” for viewers", form);
  return 0;
}

/* -- recording */

static GVariant *
recording_info (HavenRecording *recording)
{
  GVariantDict info;

  g_variant_dict_init (&info, NULL);
  if (recording)
    haven_recording_add_info (recording, &info);
  return g_variant_dict_end (&info);
}

GVariant *
haven_session_get_recording (HavenSession *self)
{
  return recording_info (self->recording);
}

HavenRecording *
haven_session_peek_recording (HavenSession *self)
{
  return self->recording;
}

static void
return_info (GPtrArray *tasks, GVariant *info)
{
  while (tasks->len) {
    g_autoptr (GTask) task = g_object_ref (g_ptr_array_index (tasks, 0));

    g_ptr_array_remove_index (tasks, 0);
    g_task_return_pointer (task, g_variant_ref (info), (GDestroyNotify)g_variant_unref);
  }
}

static void
tell_recording (HavenSession *self, GVariant *info)
{
  g_signal_emit (self, signals[SIGNAL_RECORDING_CHANGED], 0, info);
  changed (self);
}

static void
on_recording_started (HavenRecording *recording, HavenSession *self)
{
  g_autoptr (GVariant) info = g_variant_ref_sink (recording_info (recording));

  return_info (self->record_starters, info);
  tell_recording (self, info);
}

static void
on_part_begun (HavenRecording *recording, HavenSession *self)
{
  g_autoptr (GVariant) info = g_variant_ref_sink (recording_info (recording));

  tell_recording (self, info);
}

static void
on_recording_ended (HavenRecording *recording, HavenSession *self)
{
  g_autoptr (HavenSession) keep = g_object_ref (self);
  g_autoptr (HavenRecording) ended = g_steal_pointer (&self->recording);
  g_autoptr (GVariant) info = g_variant_ref_sink (recording_info (recording));
  const GError *error = haven_recording_get_error (recording);

  g_signal_handlers_disconnect_by_data (recording, self);
  g_clear_pointer (&self->chat, haven_chat_free);
  if (error) {
    while (self->record_starters->len) {
      g_autoptr (GTask) task = g_object_ref (g_ptr_array_index (self->record_starters, 0));

      g_ptr_array_remove_index (self->record_starters, 0);
      g_task_return_error (task, g_error_copy (error));
    }
  }
  return_info (self->record_starters, info);
  return_info (self->record_stoppers, info);
  tell_recording (self, info);
  update_idle (self);
  continue_ending (self);
}

void
haven_session_start_recording_async (
    HavenSession *self, GVariant *settings, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  HavenRecordingSettings recording = {
    .recording_id = lookup_string (settings, "recording_id"),
    .format = lookup_string (settings, "format"),
    .video_quality = lookup_string (settings, "video_quality"),
    .audio_quality = lookup_string (settings, "audio_quality"),
    .path = lookup_string (settings, "path"),
    .first_part = lookup_uint (settings, "first_part"),
    .room_name = self->room_name,
    .mint_id = self->mint_id,
    .reserve = self->reserve,
    .segment_minutes = lookup_uint (settings, "segment_minutes"),
    .segment_mb = lookup_uint (settings, "segment_mb"),
  };
  gboolean with_chat = FALSE;
  GError *error = NULL;
  HavenGraph *graph = haven_session_get_graph (self, &error);

  if (graph && self->recording)
    error = g_error_new (
        HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_BUSY, "“%s” is recorded already", self->mint_id);
  if (!error)
    self->recording = haven_recording_new (graph, &recording, &error);
  if (error) {
    g_task_return_error (task, error);
    return;
  }
  if (g_variant_lookup (settings, "chat", "b", &with_chat) && with_chat)
    self->chat = haven_chat_new (recording.path);
  g_signal_connect (self->recording, "started", G_CALLBACK (on_recording_started), self);
  g_signal_connect (self->recording, "part-begun", G_CALLBACK (on_part_begun), self);
  g_signal_connect (self->recording, "ended", G_CALLBACK (on_recording_ended), self);
  g_ptr_array_add (self->record_starters, g_steal_pointer (&task));
  update_idle (self);
  changed (self);
}

void
haven_session_stop_recording_async (
    HavenSession *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);

  if (!self->recording) {
    g_task_return_new_error (
        task, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_NOT_RECORDING, "Nothing is being recorded");
    return;
  }
  g_ptr_array_add (self->record_stoppers, g_steal_pointer (&task));
  haven_recording_stop (self->recording);
}

GVariant *
haven_session_recording_finish (HavenSession *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

GVariant *
haven_session_get_stats (HavenSession *self)
{
  GVariantDict stats;

  g_variant_dict_init (&stats, NULL);
  if (self->graph)
    haven_graph_add_stats (self->graph, &stats);
  return g_variant_dict_end (&stats);
}

/* -- object */

HavenSession *
haven_session_new (void)
{
  return g_object_new (HAVEN_TYPE_SESSION, NULL);
}

static void
haven_session_finalize (GObject *object)
{
  HavenSession *self = HAVEN_SESSION (object);

  g_clear_handle_id (&self->idle_timer, g_source_remove);
  g_hash_table_unref (self->viewers);
  g_variant_unref (self->viewer_addresses);
  g_ptr_array_unref (self->starters);
  g_ptr_array_unref (self->record_starters);
  g_ptr_array_unref (self->record_stoppers);
  g_clear_object (&self->recording);
  g_clear_object (&self->graph);
  g_free (self->mint_id);
  g_free (self->room_name);
  g_free (self->stream_info);
  g_clear_pointer (&self->chat, haven_chat_free);
  g_free (self->participant_sid);
  g_free (self->participant_identity);
  g_free (self->close_text);
  g_free (self->end_reason);
  g_free (self->end_detail);
  G_OBJECT_CLASS (haven_session_parent_class)->finalize (object);
}

static void
haven_session_class_init (HavenSessionClass *klass)
{
  GType type = G_TYPE_FROM_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = haven_session_finalize;
  signals[SIGNAL_CHANGED]
      = g_signal_new ("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_TRACK_CHANGED] = g_signal_new ("track-changed", type, G_SIGNAL_RUN_LAST, 0, NULL,
      NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
  signals[SIGNAL_RECORDING_CHANGED] = g_signal_new ("recording-changed", type, G_SIGNAL_RUN_LAST, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
  signals[SIGNAL_ENDED] = g_signal_new ("ended", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
      G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
}

static void
haven_session_init (HavenSession *self)
{
  self->viewers = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  count_addresses (self);
  self->starters = g_ptr_array_new_with_free_func (g_object_unref);
  self->record_starters = g_ptr_array_new_with_free_func (g_object_unref);
  self->record_stoppers = g_ptr_array_new_with_free_func (g_object_unref);
}
