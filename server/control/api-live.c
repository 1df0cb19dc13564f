/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "api.h"
#include "haven-log.h"
#include "livekit-token-source.h"
#include "livekit-token.h"
#include "ws-frame.h"

#define TOKEN_VALIDITY 600 /* s */
#define BOUNDARY "haven"   /* as havenwssink writes it */

const HavenField haven_start_fields[] = {
  { "mint_id", HAVEN_FIELD_ID },
  { "room_name", HAVEN_FIELD_ID },
  { "participant_identity", HAVEN_FIELD_ID },
  { "record_session", HAVEN_FIELD_BOOLEAN },
  { NULL },
};

const HavenField haven_stop_fields[] = {
  { "mint_id", HAVEN_FIELD_ID },
  { "room_name", HAVEN_FIELD_ID },
  { NULL },
};

/* The session that a request is about, which its line in the log says from then on.
 *
 * Returns: (transfer none) (nullable) */
HavenSession *
api_find_session (HavenRequest *request, const char *id)
{
  HavenSession *session = haven_session_manager_find (request->app->manager, id);

  haven_request_set_session (request, session ? session->mint_id : id, session ? session->id : 0);
  return session;
}

/* The session that a body names. Replies, and returns NULL, where it names none. */
const char *
api_body_id (HavenRequest *request)
{
  const char *id = haven_json_string (request->body, "mint_id");

  if (!id)
    id = haven_json_string (request->body, "room_name");
  if (!id)
    haven_request_fail (request, HAVEN_ERROR_INVALID, "“mint_id” or “room_name” is missing.");
  else
    api_find_session (request, id);
  return id;
}

/* Whether whoever asks may have one more of what lasts: viewers, listeners, downloads. Replies
 * where not. */
gboolean
api_may_stay (HavenRequest *request)
{
  guint most = haven_config_get_uint (request->app->config, HAVEN_KEY_MAX_STREAMS_PER_ADDRESS);
  const char *address;
  guint count = haven_request_count_taken (request, &address);

  if (address)
    count += haven_session_manager_count_viewers_of (request->app->manager, address);
  if (count < most)
    return TRUE;
  haven_request_fail (request, HAVEN_ERROR_LIMIT,
      "The limit of %u viewers, listeners and downloads of one address is reached.", most);
  return FALSE;
}

/* Both names of it: every answer carries both. */
void
api_add_session (JsonObject *object, HavenSession *session)
{
  json_object_set_string_member (object, "mint_id", session->mint_id);
  json_object_set_string_member (object, "room_name", session->room_name);
}

static const char *
streamer_sid (HavenSession *session)
{
  const char *sid
      = session->proxy ? haven_dbus_session1_get_participant_sid (session->proxy) : NULL;

  return sid ? sid : "";
}

static JsonObject * /* (transfer full) */
own_stream_info (HavenSession *session)
{
  JsonObject *info = json_object_new ();
  const char *identity
      = session->proxy ? haven_dbus_session1_get_participant_identity (session->proxy) : NULL;

  json_object_set_string_member (info, "room_name", session->room_name);
  json_object_set_string_member (info, "participant_sid", streamer_sid (session));
  json_object_set_string_member (info, "participant_identity", identity ? identity : "");
  json_object_set_string_member (info, "state", haven_session_state (session));
  return info;
}

/* What the token endpoint says of the stream goes on as it is; where that is an object, what we
 * know is added to it. */
static JsonNode * /* (transfer full) */
stream_info (HavenSession *session)
{
  return haven_json_complete (own_stream_info (session),
      session->proxy ? haven_dbus_session1_get_stream_info (session->proxy) : NULL);
}

/* -- start and stop -- */

static void
reply_started (HavenRequest *request, HavenSession *session)
{
  JsonObject *body = json_object_new ();

  haven_request_set_session (request, session->mint_id, session->id);
  json_object_set_boolean_member (body, "success", TRUE);
  api_add_session (body, session);
  json_object_set_string_member (body, "participant_sid", streamer_sid (session));
  json_object_set_int_member (body, "session_id", session->id);
  json_object_set_boolean_member (body, "record_session", session->record_session);
  json_object_set_member (body, "stream_info", stream_info (session));
  haven_request_reply_json (request, 200, body);
}

static void
on_session_recorded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HavenRecordingRow) row = haven_recorder_finish (result, &error);
  HavenSession *session = haven_session_manager_find (request->app->manager, request->data);

  if (!row && !g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_BUSY)) {
    haven_request_reply_error (request, error);
  } else if (!session) {
    haven_request_fail (request, HAVEN_ERROR_STOPPED, "The session was stopped.");
  } else {
    haven_session_manager_set_record_session (request->app->manager, session, TRUE);
    reply_started (request, session);
  }
}

/* Whoever asks for a streamer must not get another one, silently. */
static gboolean
has_other_streamer (HavenRequest *request, HavenSession *session)
{
  const char *wanted = haven_json_string (request->body, "participant_identity");
  const char *actual
      = session->proxy ? haven_dbus_session1_get_participant_identity (session->proxy) : NULL;

  if (!wanted || !actual || !*actual || strcmp (wanted, actual) == 0)
    return FALSE;
  haven_request_fail (request, HAVEN_ERROR_OTHER_STREAMER,
      "The session runs, and its streamer is “%s”; stop it first.", actual);
  return TRUE;
}

static void
on_session_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  HavenApp *app = request->app;
  g_autoptr (GError) error = NULL;
  HavenSession *session = haven_session_manager_start_finish (app->manager, result, &error);

  if (!session) {
    haven_request_reply_error (request, error);
  } else if (has_other_streamer (request, session)) {
    return;
  } else if (haven_json_boolean (request->body, "record_session", FALSE)
             && !haven_recorder_find (app->recorder, session->mint_id)) {
    haven_request_set_data (request, g_strdup (session->mint_id), g_free);
    haven_recorder_start_async (
        app->recorder, session, &(HavenRecordingOrder){ 0 }, on_session_recorded, request);
  } else {
    reply_started (request, session);
  }
}

void
api_live_start (HavenRequest *request)
{
  const char *id = api_body_id (request);

  if (id)
    haven_session_manager_start_async (request->app->manager, id,
        haven_json_string (request->body, "participant_identity"), on_session_started, request);
}

typedef struct
{
  char *mint_id, *room_name;
} Names;

static void
names_free (gpointer data)
{
  Names *names = data;

  g_free (names->mint_id);
  g_free (names->room_name);
  g_free (names);
}

static void
on_session_stopped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  const Names *names = request->data;
  g_autoptr (GError) error = NULL;
  JsonObject *body;

  if (!haven_session_manager_stop_finish (HAVEN_SESSION_MANAGER (source), result, &error)) {
    haven_request_reply_error (request, error);
    return;
  }
  body = json_object_new ();
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "mint_id", names->mint_id);
  json_object_set_string_member (body, "room_name", names->room_name);
  haven_request_reply_json (request, 200, body);
}

void
api_live_stop (HavenRequest *request)
{
  HavenSessionManager *manager = request->app->manager;
  const char *id = api_body_id (request);
  HavenSession *session = id ? haven_session_manager_find (manager, id) : NULL;
  Names *names;

  if (!id)
    return;
  if (!session) {
    haven_request_fail (request, HAVEN_ERROR_NO_SESSION, "No session of “%s” runs.", id);
    return;
  }
  names = g_new0 (Names, 1);
  names->mint_id = g_strdup (session->mint_id);
  names->room_name = g_strdup (session->room_name);
  haven_request_set_data (request, names, names_free);
  haven_session_manager_stop_async (
      manager, session, 1000, "the session was stopped", on_session_stopped, request);
}

/* -- what there is -- */

static JsonObject * /* (transfer full) */
describe_generation_2 (HavenSession *session)
{
  JsonObject *object = json_object_new ();

  api_add_session (object, session);
  json_object_set_string_member (object, "participant_sid", streamer_sid (session));
  json_object_set_member (object, "stream_data", stream_info (session));
  return object;
}

static JsonObject * /* (transfer full) */
describe_generation_1 (HavenApp *app, HavenSession *session)
{
  JsonObject *object = json_object_new ();
  g_autoptr (HavenSessionRow) row = haven_store_get_session (app->store, session->id);
  const char *recording = haven_recorder_find (app->recorder, session->mint_id);
  g_autoptr (HavenRecordingRow) recorded
      = recording ? haven_store_get_recording (app->store, recording) : NULL;
  HavenPartRow *part = recorded ? haven_recording_row_last_part (recorded) : NULL;

  json_object_set_int_member (object, "id", session->id);
  json_object_set_string_member (object, "room_name", session->room_name);
  json_object_set_string_member (object, "participant_sid", streamer_sid (session));
  json_object_set_string_member (object, "status", haven_session_state (session));
  json_object_set_boolean_member (object, "record_session", session->record_session || recording);
  haven_json_set_string (object, "recording_path", part ? part->path : NULL);
  haven_json_set_time (object, "start_time", row ? row->start_time : 0);
  haven_json_set_time (object, "end_time", row ? row->end_time : 0);
  haven_json_set_time (object, "created_at", row ? row->created_at : 0);
  haven_json_set_time (object, "updated_at", row ? row->updated_at : 0);
  return object;
}

void
api_live_active (HavenRequest *request)
{
  g_autoptr (GPtrArray) list = haven_session_manager_list (request->app->manager);
  JsonObject *body = json_object_new ();
  JsonObject *sessions = json_object_new (), *active = json_object_new ();
  guint count = 0;

  for (guint i = 0; i < list->len; i++) {
    HavenSession *session = list->pdata[i];

    if (session->phase != HAVEN_SESSION_ACTIVE && session->phase != HAVEN_SESSION_RESTARTING)
      continue;
    json_object_set_object_member (sessions, session->mint_id, describe_generation_2 (session));
    json_object_set_object_member (
        active, session->room_name, describe_generation_1 (request->app, session));
    count++;
  }
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_int_member (body, "count", count);
  json_object_set_object_member (body, "sessions", sessions);
  json_object_set_object_member (body, "active_sessions", active);
  haven_request_reply_json (request, 200, body);
}

/* The session of the path. Replies, and returns NULL, where none can be asked. */
static HavenSession *
path_session (HavenRequest *request, gboolean must_run)
{
  HavenSessionManager *manager = request->app->manager;
  HavenSession *session = api_find_session (request, request->id);
  const char *failure = haven_session_manager_get_failure (manager, request->id);

  if (session && (!must_run || session->phase == HAVEN_SESSION_ACTIVE))
    return session;
  if (session)
    haven_request_fail (request, HAVEN_ERROR_NOT_READY, "The session is not ready; try again.");
  else if (failure)
    haven_request_fail (
        request, HAVEN_ERROR_NO_SESSION, "The session of “%s” failed: %s", request->id, failure);
  else
    haven_request_fail (request, HAVEN_ERROR_NO_SESSION, "No session of “%s” runs.", request->id);
  return NULL;
}

static void
reply_session (HavenRequest *request, HavenSession *session, GVariant *stats)
{
  JsonObject *body = describe_generation_1 (request->app, session);
  g_autoptr (JsonNode) node = stats ? haven_json_from_variant (stats) : NULL;
  JsonObject *figures = node ? json_object_ref (json_node_get_object (node)) : json_object_new ();

  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "mint_id", session->mint_id);
  json_object_set_string_member (body, "state", haven_session_state (session));
  json_object_set_int_member (
      body, "viewers", session->proxy ? haven_dbus_session1_get_num_viewers (session->proxy) : 0);
  json_object_set_int_member (body, "restarts", session->restarts);
  haven_json_set_string (
      body, "recording_id", haven_recorder_find (request->app->recorder, session->mint_id));
  haven_json_set_string (
      body, "error", session->phase == HAVEN_SESSION_ACTIVE ? NULL : session->failure);
  if (json_object_has_member (figures, "tracks"))
    json_object_set_member (body, "tracks", json_object_dup_member (figures, "tracks"));
  else
    json_object_set_array_member (body, "tracks", json_array_new ());
  json_object_set_object_member (body, "stats", figures);
  haven_request_reply_json (request, 200, body);
}

static void
on_stats (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  g_autoptr (GVariant) stats = NULL;
  HavenSession *session;

  haven_dbus_session1_call_get_stats_finish (HAVEN_DBUS_SESSION1 (source), &stats, result, NULL);
  session = path_session (request, FALSE);
  if (session)
    reply_session (request, session, stats);
}

void
api_live_get (HavenRequest *request)
{
  HavenSession *session = path_session (request, FALSE);

  if (session && session->phase == HAVEN_SESSION_ACTIVE)
    haven_dbus_session1_call_get_stats (session->proxy, NULL, on_stats, request);
  else if (session)
    reply_session (request, session, NULL);
}

/* -- pictures -- */

typedef struct
{
  HavenViewers *viewers;
  char *id;
  const char *form;  /* static */
  GVariant *options; /* (owned) */
} Watch;

static void
watch_free (gpointer data)
{
  Watch *watch = data;

  g_free (watch->id);
  g_variant_unref (watch->options);
  g_free (watch);
}

static void
on_watch_taken (GIOStream *stream, GSocket *socket, gboolean too_early, gpointer user_data)
{
  Watch *watch = user_data;

  haven_viewers_take (
      watch->viewers, watch->id, stream, socket, too_early, watch->form, watch->options);
}

/* Replies, and returns FALSE, where there is no room for one more: before the handshake, so that it
 * is told how and why. */
static gboolean
may_watch (HavenRequest *request)
{
  g_autoptr (GError) error = NULL;

  if (haven_viewers_check (request->app->viewers, request->id, &error))
    return api_may_stay (request);
  haven_request_reply_error (request, error);
  return FALSE;
}

/* Returns: (transfer full) (nullable): it has replied where the query is wrong */
static GVariant *
viewer_options (HavenRequest *request)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  const char *audio = g_hash_table_lookup (request->query, "audio");
  guint width, fps, quality;

  if (!haven_request_uint (request, "width", 16, 7680, 0, &width)
      || !haven_request_uint (request, "fps", 1, 120, 0, &fps)
      || !haven_request_uint (request, "quality", 1, 100, 0, &quality))
    return NULL;
  if (audio && strcmp (audio, "0") != 0 && strcmp (audio, "1") != 0) {
    haven_request_fail (request, HAVEN_ERROR_INVALID, "“audio” must be 0 or 1.");
    return NULL;
  }
  g_variant_dict_insert (&options, "width", "u", width);
  g_variant_dict_insert (&options, "fps", "u", fps);
  g_variant_dict_insert (&options, "quality", "u", quality);
  g_variant_dict_insert (&options, "audio", "b", g_strcmp0 (audio, "0") != 0);
  return g_variant_ref_sink (g_variant_dict_end (&options));
}

static void
watch (HavenRequest *request, const char *form, const char *protocol)
{
  Watch *watch;
  GVariant *options;

  api_find_session (request, request->id);
  if (!may_watch (request) || !(options = viewer_options (request)))
    return;
  watch = g_new0 (Watch, 1);
  watch->viewers = request->app->viewers;
  watch->id = g_strdup (request->id);
  watch->form = form;
  watch->options = options;
  haven_request_accept_socket (request, protocol, on_watch_taken, watch, watch_free);
}

void
api_live_watch_binary (HavenRequest *request)
{
  watch (request, "gen1", NULL);
}

void
api_live_watch_json (HavenRequest *request)
{
  watch (request, "gen2", NULL);
}

void
api_live_watch_haven (HavenRequest *request)
{
  watch (request, WS_V1_PROTOCOL, WS_V1_PROTOCOL);
}

void
api_live_mjpeg (HavenRequest *request)
{
  HavenViewers *viewers = request->app->viewers;
  g_autoptr (GVariant) options = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autofree char *id = g_strdup (request->id);
  GSocket *socket = NULL;
  GString *head = NULL;
  gboolean head_only = haven_request_is_head (request);

  if (!path_session (request, TRUE) || !may_watch (request)
      || !(options = viewer_options (request)))
    return;
  stream = haven_request_take_connection (request, 200, &socket, &head);
  if (!stream)
    return;
  g_string_append (head, "Content-Type: multipart/x-mixed-replace; boundary=" BOUNDARY
                         "\r\nCache-Control: no-store\r\n\r\n");
  if (g_socket_send (socket, head->str, head->len, NULL, NULL) == (gssize)head->len && !head_only)
    haven_viewers_take (viewers, id, stream, socket, FALSE, "mjpeg", options);
  g_string_free (head, TRUE);
}

typedef struct
{
  HavenApp *app;
  char *key;
} Snapshot;

static void
on_snapshot (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Snapshot *snapshot = user_data;
  g_autofree char *key = snapshot->key;
  g_autoptr (GPtrArray) requests = haven_shared_take (snapshot->app->snapshots, key);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) jpeg
      = haven_session_snapshot_finish (HAVEN_DBUS_SESSION1 (source), result, &error);
  g_autoptr (GBytes) bytes = jpeg ? g_variant_get_data_as_bytes (jpeg) : NULL;

  if (error)
    error = haven_error_from_dbus (g_steal_pointer (&error));
  for (guint i = 0; i < requests->len; i++) {
    if (bytes)
      haven_request_reply_data (requests->pdata[i], 200, "image/jpeg", bytes, NULL);
    else
      haven_request_reply_error (requests->pdata[i], error);
  }
}

/* Each picture is a decoder's and an encoder's work: who asks for the same gets the same. */
void
api_live_snapshot (HavenRequest *request)
{
  HavenSession *session = path_session (request, TRUE);
  g_autofree char *key = NULL;
  Snapshot *snapshot;
  guint width, quality;

  if (!session || !haven_request_uint (request, "width", 16, 7680, 0, &width)
      || !haven_request_uint (request, "quality", 1, 100, 0, &quality))
    return;
  key = g_strdup_printf ("%" G_GINT64_FORMAT "/%u/%u", session->id, width, quality);
  switch (haven_shared_wait (request->app->snapshots, key, request)) {
  case HAVEN_SHARED_FULL:
    haven_request_fail (request, HAVEN_ERROR_LIMIT, "Too many pictures are being made; try again.");
    break;
  case HAVEN_SHARED_FIRST:
    snapshot = g_new0 (Snapshot, 1);
    snapshot->app = request->app;
    snapshot->key = g_steal_pointer (&key);
    haven_session_snapshot_async (session->proxy, width, quality, on_snapshot, snapshot);
    break;
  case HAVEN_SHARED_JOINED:
    break;
  }
}

/* -- a browser in the room itself -- */

/* @info: (nullable): what the token endpoint says of the stream */
static void
reply_connection (
    HavenRequest *request, const char *url, const char *token, const char *room, const char *info)
{
  HavenSession *session = haven_session_manager_find (request->app->manager, request->id);
  JsonObject *body = json_object_new ();

  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "mint_id", session ? session->mint_id : request->id);
  json_object_set_string_member (body, "livekit_url", url);
  json_object_set_string_member (body, "token", token);
  json_object_set_string_member (body, "room_name", room);
  haven_json_set_string (body, "participant_sid", session ? streamer_sid (session) : NULL);
  json_object_set_string_member (body, "role", "viewer");
  json_object_set_member (body, "stream_data",
      haven_json_complete (session ? own_stream_info (session) : json_object_new (), info));
  json_object_set_string_member (body, "connection_status",
      session ? (session->phase == HAVEN_SESSION_ACTIVE ? "connected" : "connecting")
              : "disconnected");
  haven_request_reply_json (request, 200, body);
}

static void
on_credentials (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (LiveKitCredentials) credentials = livekit_token_source_get_finish (result, &error);

  if (credentials)
    reply_connection (request, credentials->url, credentials->token,
        credentials->room_name ? credentials->room_name : request->id, credentials->stream_info);
  else
    haven_request_reply_error (request, error);
}

void
api_live_connection (HavenRequest *request)
{
  HavenConfig *config = request->app->config;
  HavenSession *session = api_find_session (request, request->id);
  const char *room = session ? session->room_name : request->id;
  const char *url = haven_config_get (config, HAVEN_KEY_LIVEKIT_URL);
  const char *endpoint = haven_config_get (config, HAVEN_KEY_TOKEN_ENDPOINT);
  g_autofree char *identity
      = g_strdup_printf ("haven-viewer-%08x%08x", g_random_int (), g_random_int ());
  const char *secret = haven_config_get (config, HAVEN_KEY_LIVEKIT_API_SECRET);
  g_autofree char *token = NULL;
  g_autoptr (GError) error = NULL;

  if (endpoint) {
    const LiveKitTokenSource from = { .url = (char *)url,
      .token_endpoint = (char *)endpoint,
      .room_name = (char *)(session ? session->mint_id : request->id),
      .identity = identity };

    livekit_token_source_get_async (&from, NULL, FALSE, NULL, on_credentials, request);
    return;
  }
  if (!url || !secret || !haven_config_get (config, HAVEN_KEY_LIVEKIT_API_KEY)) {
    haven_request_fail (
        request, HAVEN_ERROR_CONFIG, "LiveKit's URL, API key and secret are not all set.");
    return;
  }
  token = livekit_token_new (haven_config_get (config, HAVEN_KEY_LIVEKIT_API_KEY), secret,
      &(LiveKitTokenGrants){ .room_name = room, .identity = identity, .validity = TOKEN_VALIDITY },
      &error);
  if (token)
    reply_connection (request, url, token, room, NULL);
  else
    haven_request_fail (request, HAVEN_ERROR_CONFIG, "%s", error->message);
}

/* The browser leaves the room by itself; there is nothing here to undo. */
void
api_live_disconnect (HavenRequest *request)
{
  JsonObject *body = json_object_new ();
  g_autofree char *message = g_strdup_printf ("Disconnected from %s", request->id);

  api_find_session (request, request->id);
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "mint_id", request->id);
  json_object_set_string_member (body, "message", message);
  haven_request_reply_json (request, 200, body);
}
