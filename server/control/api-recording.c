/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gio/gio.h>
#include <string.h>

#include "api.h"
#include "haven-name.h"

#define PROBE "probe"
#define PROBE_TIMEOUT 30                     /* s */
#define PROBE_VALIDITY (60 * G_USEC_PER_SEC) /* plugins come and go with packages */

#define MAX_SEGMENT_MINUTES 10080 /* a week */
#define MAX_SEGMENT_MB 1000000

static const char *const formats[]
    = { "av1", "h264", "vp9", "mp4", "webm", "source", "opus", "wav", NULL };
static const char *const qualities[] = { "low", "medium", "high", NULL };

const HavenField haven_record_fields[] = {
  { "mint_id", HAVEN_FIELD_ID },
  { "room_name", HAVEN_FIELD_ID },
  { "output_format", HAVEN_FIELD_STRING, 0, formats },
  { "video_quality", HAVEN_FIELD_STRING, 0, qualities },
  { "audio_quality", HAVEN_FIELD_STRING, 0, qualities },
  { "output_directory", HAVEN_FIELD_STRING },
  { "segment_minutes", HAVEN_FIELD_UINT, MAX_SEGMENT_MINUTES },
  { "segment_mb", HAVEN_FIELD_UINT, MAX_SEGMENT_MB },
  { "record_chat", HAVEN_FIELD_BOOLEAN },
  { NULL },
};

const HavenField haven_auto_record_fields[] = {
  { "output_format", HAVEN_FIELD_STRING, 0, formats },
  { "video_quality", HAVEN_FIELD_STRING, 0, qualities },
  { "audio_quality", HAVEN_FIELD_STRING, 0, qualities },
  { "output_directory", HAVEN_FIELD_STRING },
  { "name_template", HAVEN_FIELD_STRING, HAVEN_NAME_MAX_TEMPLATE },
  { "record_chat", HAVEN_FIELD_BOOLEAN },
  { NULL },
};

const HavenField haven_record_stop_fields[] = {
  { "mint_id", HAVEN_FIELD_ID },
  { "room_name", HAVEN_FIELD_ID },
  { NULL },
};

const HavenField haven_directory_fields[] = {
  { "output_directory", HAVEN_FIELD_STRING },
  { NULL },
};

static JsonObject * /* (transfer full): what the session said last of that part */
part_info (const HavenPartRow *part)
{
  g_autoptr (JsonNode) node = part && part->info ? json_from_string (part->info, NULL) : NULL;

  return node && JSON_NODE_HOLDS_OBJECT (node) ? json_object_ref (json_node_get_object (node))
                                               : json_object_new ();
}

/* What the session said, or what it will do: sound is copied, and so is the picture in the form
 * "source". */
static void
set_config (JsonObject *config, JsonObject *info, const char *name, const char *otherwise)
{
  const char *said = json_object_get_string_member_with_default (info, name, "");

  json_object_set_string_member (config, name, *said ? said : otherwise);
}

/* Returns: (transfer full): as the frontend reads it */
JsonObject *
api_recording_config (const HavenRecordingRow *row)
{
  JsonObject *config = json_object_new ();
  g_autoptr (JsonObject) info = part_info (haven_recording_row_last_part (row));
  const HavenFormat *format = haven_format_find (row->format);
  const HavenQuality *video = haven_quality_find (row->video_quality);
  g_autofree char *video_rate = format && format->encodes && video
                                    ? g_strdup_printf ("%uk", video->video_bitrate)
                                : format && !haven_format_has_video (format) ? g_strdup ("none")
                                                                             : g_strdup ("source");

  set_config (config, info, "video_codec", format ? format->video_codec : "");
  set_config (config, info, "audio_codec", format ? format->audio_codec : "");
  set_config (config, info, "video_bitrate", video_rate);
  set_config (config, info, "audio_bitrate",
      format && strcmp (format->audio_codec, "pcm") == 0 ? "pcm" : "source");
  json_object_set_string_member (config, "format", row->format);
  return config;
}

static JsonObject * /* (transfer full) */
stats_of (const HavenRecordingRow *row)
{
  static const char *const counters[] = { "video_frames", "audio_frames", "dropped_frames" };
  JsonObject *stats = json_object_new ();

  for (guint c = 0; c < G_N_ELEMENTS (counters); c++) {
    gint64 sum = 0;

    for (guint i = 0; i < row->parts->len; i++) {
      g_autoptr (JsonObject) info = part_info (row->parts->pdata[i]);

      sum += json_object_get_int_member_with_default (info, counters[c], 0);
    }
    json_object_set_int_member (stats, counters[c], sum);
  }
  json_object_set_int_member (stats, "parts", row->parts->len);
  return stats;
}

static JsonObject * /* (transfer full): what every answer about a recording begins with */
describe (const HavenRecordingRow *row)
{
  JsonObject *body = json_object_new ();
  HavenPartRow *part = haven_recording_row_last_part (row);

  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "mint_id", row->mint_id);
  json_object_set_string_member (body, "room_name", row->room_name);
  json_object_set_string_member (body, "recording_id", row->id);
  haven_json_set_string (body, "output_path", part ? part->path : NULL);
  haven_json_set_time (body, "start_time", row->start_time);
  return body;
}

/* -- start -- */

static void
on_recording_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HavenRecordingRow) row = haven_recorder_finish (result, &error);
  JsonObject *body;

  if (!row) {
    haven_request_reply_error (request, error);
    return;
  }
  haven_request_set_session (request, row->mint_id, row->session_id);
  body = describe (row);
  haven_json_set_string (body, "participant_sid", row->participant_sid);
  json_object_set_object_member (body, "config", api_recording_config (row));
  haven_request_reply_json (request, 200, body);
}

static void
on_session (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  g_autoptr (GError) error = NULL;
  HavenSession *session
      = haven_session_manager_start_finish (HAVEN_SESSION_MANAGER (source), result, &error);
  HavenRecordingOrder order;

  if (!session) {
    haven_request_reply_error (request, error);
    return;
  }
  order = (HavenRecordingOrder){
    .format = haven_json_string (request->body, "output_format"),
    .video_quality = haven_json_string (request->body, "video_quality"),
    .audio_quality = haven_json_string (request->body, "audio_quality"),
    .directory = haven_json_string (request->body, "output_directory"),
    .segment_minutes = haven_json_uint (request->body, "segment_minutes"),
    .segment_mb = haven_json_uint (request->body, "segment_mb"),
    .chat = haven_json_boolean (request->body, "record_chat", FALSE),
  };
  haven_recorder_start_async (
      request->app->recorder, session, &order, on_recording_started, request);
}

void
api_recording_start (HavenRequest *request)
{
  const char *id = api_body_id (request);
  const char *directory = haven_json_string (request->body, "output_directory");
  g_autofree char *checked = NULL;
  g_autoptr (GError) error = NULL;

  if (!id)
    return;
  if (directory) {
    checked = haven_recording_check_directory (request->app->config, directory, &error);
    if (!checked) { /* before a session is started in vain */
      haven_request_reply_error (request, error);
      return;
    }
  }
  haven_session_manager_start_async (request->app->manager, id, NULL, on_session, request);
}

/* -- stop -- */

static void
on_recording_stopped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HavenRecordingRow) row = haven_recorder_finish (result, &error);
  HavenPartRow *part = row ? haven_recording_row_last_part (row) : NULL;
  JsonObject *body;

  if (!row) {
    haven_request_reply_error (request, error);
    return;
  }
  body = describe (row);
  haven_json_set_string (body, "final_path", part ? part->path : NULL);
  haven_json_set_time (body, "end_time", row->end_time);
  json_object_set_double_member (body, "duration_seconds", haven_recording_row_duration (row));
  json_object_set_int_member (body, "file_size_bytes", (gint64)haven_recording_row_size (row));
  json_object_set_object_member (body, "stats", stats_of (row));
  if (!part || !haven_recorder_is_whole (part)) {
    json_object_set_boolean_member (body, "success", FALSE);
    haven_json_set_string (body, "error", row->error);
  }
  haven_request_reply_json (request, 200, body);
}

void
api_recording_stop (HavenRequest *request)
{
  const char *id = api_body_id (request);

  if (id)
    haven_recorder_stop_async (request->app->recorder,
        haven_session_manager_find (request->app->manager, id), on_recording_stopped, request);
}

/* -- status -- */

static const char *
status_state (HavenSession *session)
{
  if (!session)
    return "disconnected";
  switch (session->phase) {
  case HAVEN_SESSION_ACTIVE:
    return "recording";
  case HAVEN_SESSION_STOPPING:
    return "stopping";
  default:
    return "connecting";
  }
}

/* @info: (nullable): what the session says now */
static JsonObject * /* (transfer full) */
describe_status (HavenRequest *request, const HavenRecordingRow *row, GVariant *info)
{
  HavenSession *session = haven_session_manager_find (request->app->manager, row->mint_id);
  JsonObject *body = describe (row), *stats = stats_of (row);
  double duration = haven_recording_row_duration (row);
  guint64 size = haven_recording_row_size (row);
  const char *state = NULL, *problem = NULL;

  if (info) { /* the row is as fresh */
    g_variant_lookup (info, "state", "&s", &state);
    g_variant_lookup (info, "error", "&s", &problem);
  } else if (session && session->phase == HAVEN_SESSION_RESTARTING) {
    problem = session->failure;
  }
  json_object_set_string_member (body, "state", state && *state ? state : status_state (session));
  json_object_set_boolean_member (body, "is_recording", TRUE);
  json_object_set_double_member (body, "duration_seconds", duration);
  json_object_set_double_member (body, "file_size_mb", (double)size / (1024 * 1024));
  json_object_set_object_member (body, "config", api_recording_config (row));
  json_object_set_object_member (body, "stats", stats);
  haven_json_set_string (body, "error", problem && *problem ? problem : NULL);
  return body;
}

static HavenRecordingRow * /* (transfer full) (nullable) */
running_row (HavenApp *app, const char *id)
{
  HavenSession *session = haven_session_manager_find (app->manager, id);
  const char *recording = haven_recorder_find (app->recorder, session ? session->mint_id : id);

  return recording ? haven_store_get_recording (app->store, recording) : NULL;
}

static void
reply_status (HavenRequest *request, GVariant *info)
{
  g_autoptr (HavenRecordingRow) row = running_row (request->app, request->id);

  if (row)
    haven_request_reply_json (request, 200, describe_status (request, row, info));
  else
    haven_request_fail (
        request, HAVEN_ERROR_NOT_RECORDING, "“%s” is not being recorded.", request->id);
}

static void
on_status (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GVariant) info = haven_recorder_status_finish (result, NULL);

  reply_status (user_data, info);
}

void
api_recording_status (HavenRequest *request)
{
  HavenSession *session = api_find_session (request, request->id);

  if (session && session->phase == HAVEN_SESSION_ACTIVE
      && haven_recorder_find (request->app->recorder, session->mint_id))
    haven_recorder_status_async (request->app->recorder, session, on_status, request);
  else
    reply_status (request, NULL);
}

typedef struct
{
  HavenRequest *request;
  JsonObject *recordings; /* (owned) */
  guint pending;
} Gathering;

typedef struct
{
  Gathering *gathering;
  char *mint_id;
} Gathered;

static void
gathering_step (Gathering *gathering)
{
  JsonObject *body;

  if (--gathering->pending > 0)
    return;
  body = json_object_new ();
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_object_member (body, "recordings", gathering->recordings);
  haven_request_reply_json (gathering->request, 200, body);
  g_free (gathering);
}

static void
gather (Gathering *gathering, const char *mint_id, GVariant *info)
{
  g_autoptr (HavenRecordingRow) row = running_row (gathering->request->app, mint_id);

  if (row)
    json_object_set_object_member (
        gathering->recordings, mint_id, describe_status (gathering->request, row, info));
}

static void
on_gathered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Gathered *gathered = user_data;
  g_autoptr (GVariant) info = haven_recorder_status_finish (result, NULL);

  gather (gathered->gathering, gathered->mint_id, info);
  gathering_step (gathered->gathering);
  g_free (gathered->mint_id);
  g_free (gathered);
}

void
api_recording_active (HavenRequest *request)
{
  HavenApp *app = request->app;
  g_autoptr (GPtrArray) sessions = haven_session_manager_list (app->manager);
  Gathering *gathering = g_new0 (Gathering, 1);

  gathering->request = request;
  gathering->recordings = json_object_new ();
  gathering->pending = 1;
  for (guint i = 0; i < sessions->len; i++) {
    HavenSession *session = sessions->pdata[i];
    Gathered *gathered;

    if (!haven_recorder_find (app->recorder, session->mint_id))
      continue;
    if (session->phase != HAVEN_SESSION_ACTIVE) {
      gather (gathering, session->mint_id, NULL);
      continue;
    }
    gathered = g_new0 (Gathered, 1);
    gathered->gathering = gathering;
    gathered->mint_id = g_strdup (session->mint_id);
    gathering->pending++;
    haven_recorder_status_async (app->recorder, session, on_gathered, gathered);
  }
  gathering_step (gathering);
}

/* -- formats and places -- */

static JsonObject * /* (transfer full) */
describe_format (const HavenFormat *format)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "description", format->description);
  json_object_set_string_member (object, "codec", format->video_codec);
  json_object_set_string_member (object, "video_codec", format->video_codec);
  json_object_set_string_member (object, "audio_codec", format->audio_codec);
  json_object_set_string_member (object, "container", format->container);
  return object;
}

/* @probe: (nullable): what the session binary says of this machine */
static void
reply_formats (HavenRequest *request, JsonObject *probe)
{
  JsonObject *body = json_object_new (), *all = json_object_new (), *presets = json_object_new ();
  JsonObject *probed = probe && json_object_has_member (probe, "formats")
                           ? json_object_get_object_member (probe, "formats")
                           : NULL;

  for (const HavenFormat *format = haven_formats; format->name; format++) {
    JsonNode *found = probed ? json_object_get_member (probed, format->name) : NULL;

    if (found && JSON_NODE_HOLDS_OBJECT (found)
        && json_object_get_boolean_member_with_default (
            json_node_get_object (found), "available", TRUE))
      json_object_set_object_member (all, format->name, describe_format (format));
  }
  for (const HavenQuality *quality = haven_qualities; quality->name; quality++) {
    JsonObject *preset = json_object_new ();
    g_autofree char *video = g_strdup_printf ("%uk", quality->video_bitrate);
    g_autofree char *audio = g_strdup_printf ("%uk", quality->audio_bitrate);
    g_autofree char *description
        = g_strdup_printf ("%s quality: %s picture, %s sound", quality->name, video, audio);

    *description = g_ascii_toupper (*description);
    json_object_set_string_member (preset, "video_bitrate", video);
    json_object_set_string_member (preset, "audio_bitrate", audio);
    json_object_set_string_member (preset, "description", description);
    json_object_set_object_member (presets, quality->name, preset);
  }
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_object_member (body, "formats", all);
  json_object_set_object_member (body, "quality_presets", presets);
  haven_request_reply_json (request, 200, body);
}

static void
answer_formats (HavenRequest *request)
{
  g_autoptr (JsonNode) node
      = request->app->probed ? json_from_string (request->app->probed, NULL) : NULL;

  if (node && JSON_NODE_HOLDS_OBJECT (node))
    reply_formats (request, json_node_get_object (node));
  else
    haven_request_fail (
        request, HAVEN_ERROR_SESSION_FAILED, "The session binary cannot tell what it can do.");
}

typedef struct
{
  HavenApp *app;
  GCancellable *patience; /* (owned) */
  guint timer;
} Probe;

static gboolean
on_probe_timeout (gpointer user_data)
{
  Probe *probe = user_data;

  probe->timer = 0;
  g_cancellable_cancel (probe->patience);
  return G_SOURCE_REMOVE;
}

static void
on_probed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Probe *probe = user_data;
  HavenApp *app = probe->app;
  g_autoptr (GPtrArray) requests = haven_shared_take (app->probes, PROBE);
  g_autofree char *text = NULL;

  if (!g_subprocess_communicate_utf8_finish (G_SUBPROCESS (source), result, &text, NULL, NULL))
    g_subprocess_force_exit (G_SUBPROCESS (source));
  g_free (app->probed);
  app->probed = g_steal_pointer (&text);
  app->probed_at = g_get_monotonic_time ();
  for (guint i = 0; i < requests->len; i++)
    answer_formats (requests->pdata[i]);
  g_clear_handle_id (&probe->timer, g_source_remove);
  g_object_unref (probe->patience);
  g_free (probe);
}

static void
start_probe (HavenApp *app, GSubprocess *process)
{
  Probe *probe = g_new0 (Probe, 1);

  probe->app = app;
  probe->patience = g_cancellable_new ();
  probe->timer = g_timeout_add_seconds (PROBE_TIMEOUT, on_probe_timeout, probe);
  g_subprocess_communicate_utf8_async (process, NULL, probe->patience, on_probed, probe);
}

/* A probe loads all of GStreamer: one at a time, and its answer is good for a while. */
void
api_recording_formats (HavenRequest *request)
{
  HavenApp *app = request->app;
  g_autoptr (GSubprocess) process = NULL;

  if (app->probed && g_get_monotonic_time () - app->probed_at < PROBE_VALIDITY) {
    answer_formats (request);
    return;
  }
  if (haven_shared_wait (app->probes, PROBE, request) == HAVEN_SHARED_JOINED)
    return;
  process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
      NULL, app->session_binary, "--probe", NULL);
  if (process) {
    start_probe (app, process);
  } else {
    g_ptr_array_unref (haven_shared_take (app->probes, PROBE));
    haven_request_fail (
        request, HAVEN_ERROR_SESSION_FAILED, "The session binary cannot be started.");
  }
}

static void
reply_directory (HavenRequest *request)
{
  JsonObject *body = json_object_new ();

  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "output_directory",
      haven_config_get (request->app->config, HAVEN_KEY_RECORDING_DIRECTORY));
  haven_request_reply_json (request, 200, body);
}

void
api_recording_get_directory (HavenRequest *request)
{
  reply_directory (request);
}

void
api_recording_set_directory (HavenRequest *request)
{
  const char *directory = haven_json_string (request->body, "output_directory");
  g_autofree char *checked = NULL;
  g_autoptr (GError) error = NULL;

  if (!directory) {
    haven_request_fail (request, HAVEN_ERROR_INVALID, "“output_directory” is missing.");
    return;
  }
  checked = haven_recording_check_directory (request->app->config, directory, &error);
  if (checked && api_store_setting (request->app, HAVEN_KEY_RECORDING_DIRECTORY, checked, &error))
    reply_directory (request);
  else
    haven_request_reply_error (request, error);
}
