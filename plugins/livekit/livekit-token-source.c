/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-token-source.h"

#include "livekit-http.h"
#include "livekit-json.h"
#include "livekit-token.h"

/* Callbacks run in the main context that was the caller's thread default when it asked. */

void
livekit_token_source_clear (LiveKitTokenSource *source)
{
  g_clear_pointer (&source->url, g_free);
  g_clear_pointer (&source->token, g_free);
  g_clear_pointer (&source->api_key, g_free);
  g_clear_pointer (&source->api_secret, g_free);
  g_clear_pointer (&source->token_endpoint, g_free);
  g_clear_pointer (&source->room_name, g_free);
  g_clear_pointer (&source->identity, g_free);
  g_clear_pointer (&source->participant_name, g_free);
}

LiveKitTokenSource *
livekit_token_source_copy (const LiveKitTokenSource *source)
{
  LiveKitTokenSource *copy = g_new0 (LiveKitTokenSource, 1);

  copy->url = g_strdup (source->url);
  copy->token = g_strdup (source->token);
  copy->api_key = g_strdup (source->api_key);
  copy->api_secret = g_strdup (source->api_secret);
  copy->token_endpoint = g_strdup (source->token_endpoint);
  copy->room_name = g_strdup (source->room_name);
  copy->identity = g_strdup (source->identity);
  copy->participant_name = g_strdup (source->participant_name);
  return copy;
}

void
livekit_token_source_free (LiveKitTokenSource *source)
{
  if (!source)
    return;
  livekit_token_source_clear (source);
  g_free (source);
}

void
livekit_credentials_free (LiveKitCredentials *credentials)
{
  if (!credentials)
    return;
  g_free (credentials->url);
  g_free (credentials->token);
  g_free (credentials->room_name);
  g_free (credentials->identity);
  g_free (credentials->stream_info);
  g_free (credentials);
}

static gboolean
is_set (const char *value)
{
  return value && *value;
}

gboolean
livekit_token_source_can_renew (const LiveKitTokenSource *source)
{
  return is_set (source->token_endpoint)
         || (is_set (source->api_key) && is_set (source->api_secret));
}

/* What the token says of itself; one that cannot be read is left to the server to refuse.
 * @room_name is (nullable). */
static LiveKitCredentials *
credentials_new (const char *url, const char *token, const char *room_name)
{
  LiveKitCredentials *credentials = g_new0 (LiveKitCredentials, 1);
  g_autoptr (LiveKitTokenInfo) info = livekit_token_inspect (token, NULL);

  credentials->url = g_strdup (url);
  credentials->token = g_strdup (token);
  credentials->room_name = g_strdup (room_name ? room_name : info ? info->room_name : NULL);
  credentials->identity = g_strdup (info ? info->identity : NULL);
  return credentials;
}

static void
return_missing (GTask *task, const char *what)
{
  g_task_return_new_error (task, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG, "%s is missing.", what);
}

/* ---- made here
 * ---------------------------------------------------------------------------------------------------
 */

static void
make_token (GTask *task, const LiveKitTokenSource *source)
{
  const LiveKitTokenGrants grants = { .room_name = source->room_name,
    .identity = source->identity,
    .participant_name = source->participant_name };
  g_autoptr (GError) error = NULL;
  g_autofree char *token = NULL;

  if (!is_set (source->url)) {
    return_missing (task, "The address of the server");
  } else if (!is_set (source->room_name)) {
    return_missing (task, "The name of the room");
  } else if (!is_set (source->identity)) {
    return_missing (task, "The identity to join with");
  } else if (!(token = livekit_token_new (source->api_key, source->api_secret, &grants, &error))) {
    g_task_return_new_error (task, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG, "%s", error->message);
  } else {
    g_task_return_pointer (
        task, credentials_new (source->url, token, NULL), (GDestroyNotify)livekit_credentials_free);
  }
}

/* ---- fetched
 * -----------------------------------------------------------------------------------------------------
 */

typedef struct
{
  char *url; /* (nullable) where the answer names none */
  SoupSession *session;
  SoupMessage *message;
} Fetch;

static void
fetch_free (gpointer data)
{
  Fetch *fetch = data;

  g_free (fetch->url);
  g_clear_object (&fetch->message);
  g_clear_object (&fetch->session);
  g_free (fetch);
}

static const char *
get_first (JsonObject *object, const char *const *names)
{
  for (; *names; names++) {
    const char *value = livekit_json_get_string (object, *names);

    if (is_set (value))
      return value;
  }
  return NULL;
}

/* It is for whoever watches, and says nothing to us. */
static char *
read_stream_info (JsonObject *answer)
{
  JsonNode *node = json_object_get_member (answer, "stream_info");
  g_autofree char *text
      = node && !JSON_NODE_HOLDS_NULL (node) ? json_to_string (node, FALSE) : NULL;

  return text && strlen (text) <= LIVEKIT_STREAM_INFO_MAX ? g_steal_pointer (&text) : NULL;
}

static LiveKitCredentials *
read_answer (GBytes *body, const char *url, GError **error)
{
  static const char *const token_names[]
      = { "token", "participant_token", "participantToken", NULL };
  static const char *const url_names[]
      = { "livekit_url", "livekitUrl", "server_url", "serverUrl", NULL };
  static const char *const room_names[] = { "room_name", "roomName", NULL };
  gsize length;
  const char *text = g_bytes_get_data (body, &length);
  g_autoptr (JsonObject) answer = length > 0 && length <= LIVEKIT_HTTP_MAX_BODY
                                      ? livekit_json_parse (text, length, NULL)
                                      : NULL;
  const char *token = answer ? get_first (answer, token_names) : NULL;
  const char *answered_url = answer ? get_first (answer, url_names) : NULL;
  LiveKitCredentials *credentials;

  if (!token) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The token endpoint answered without a token.");
    return NULL;
  }
  if (!livekit_http_is_token (token)) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The token endpoint answered with a malformed token.");
    return NULL;
  }
  if (!answered_url && !is_set (url)) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
        "The address of the server is missing, and the token endpoint does not tell it.");
    return NULL;
  }
  credentials
      = credentials_new (answered_url ? answered_url : url, token, get_first (answer, room_names));
  credentials->stream_info = read_stream_info (answer);
  return credentials;
}

/* Our server's {"detail"}, or what others call it; a plain text as it is. */
static char *
read_reason (GBytes *body)
{
  static const char *const names[] = { "detail", "message", "error", NULL };
  gsize length;
  const char *text = g_bytes_get_data (body, &length);
  g_autoptr (JsonObject) answer = length > 0 && length <= LIVEKIT_HTTP_MAX_BODY
                                      ? livekit_json_parse (text, length, NULL)
                                      : NULL;
  const char *reason = answer ? get_first (answer, names) : NULL;

  if (reason)
    return livekit_http_reason (reason, strlen (reason), NULL);
  return answer || length == 0 ? NULL : livekit_http_reason (text, length, NULL);
}

/* Names the endpoint where the sentences of livekit-http.c name the server. @error is (transfer
 * full). */
static void
return_fetch_error (GTask *task, GError *error)
{
  g_prefix_error (&error, "%s", error->domain == LIVEKIT_ERROR ? "Token endpoint: " : "");
  g_task_return_error (task, error);
}

/* The code says what to do about it, as with the server; the sentence is about the endpoint. */
static GError *
refusal (guint status, GUri *uri, GBytes *body)
{
  g_autofree char *endpoint = livekit_http_describe (uri);
  g_autofree char *reason = read_reason (body);
  g_autoptr (GError) error = livekit_http_error_from_status (status, uri, NULL);

  return g_error_new (error->domain, error->code, "The token endpoint at %s answered HTTP %u%s%s",
      endpoint, status, reason ? ": " : ".", reason ? reason : "");
}

static void
on_fetched (GObject *object, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  const Fetch *fetch = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) body = livekit_http_send_finish (SOUP_SESSION (object), result, &error);
  const guint status = soup_message_get_status (fetch->message);
  LiveKitCredentials *credentials;

  if (!body) {
    return_fetch_error (task, livekit_http_error_from_transport (error, fetch->message));
  } else if (status != SOUP_STATUS_OK && status != SOUP_STATUS_CREATED) {
    g_task_return_error (task, refusal (status, soup_message_get_uri (fetch->message), body));
  } else if ((credentials = read_answer (body, fetch->url, &error)) == NULL) {
    g_task_return_error (task, g_steal_pointer (&error));
  } else {
    g_task_return_pointer (task, credentials, (GDestroyNotify)livekit_credentials_free);
  }
}

static GBytes *
build_request (const char *room_name)
{
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  char *json;

  json_object_set_string_member (object, "mintId", room_name);
  json_object_set_string_member (object, "role", "viewer");
  json_node_set_object (node, object);
  json = json_to_string (node, FALSE);
  return g_bytes_new_take (json, strlen (json));
}

static void
fetch_token (GTask *task /* (transfer full) */, const LiveKitTokenSource *source,
    GTlsDatabase *tls_database, gboolean tls_insecure)
{
  g_autoptr (GTask) owned = task;
  g_autoptr (GUri) uri = g_uri_parse (source->token_endpoint, SOUP_HTTP_URI_FLAGS, NULL);
  g_autoptr (GBytes) request = NULL;
  Fetch *fetch;

  if (!is_set (source->room_name)) {
    return_missing (task, "The name of the room");
    return;
  }
  if (!uri || !is_set (g_uri_get_host (uri))
      || (!g_str_equal (g_uri_get_scheme (uri), "http")
          && !g_str_equal (g_uri_get_scheme (uri), "https"))) {
    g_task_return_new_error (task, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
        "The token endpoint must be a URL that begins with http:// or https://.");
    return;
  }

  fetch = g_new0 (Fetch, 1);
  fetch->url = g_strdup (source->url);
  fetch->session = livekit_http_session_new (tls_database);
  fetch->message = livekit_http_message_new (SOUP_METHOD_POST, uri, NULL, tls_insecure);
  g_task_set_task_data (task, fetch, fetch_free);
  request = build_request (source->room_name);
  soup_message_set_request_body_from_bytes (fetch->message, "application/json", request);
  livekit_http_send_async (fetch->session, fetch->message, g_task_get_cancellable (task),
      on_fetched, g_steal_pointer (&owned));
}

/* ---- */

void
livekit_token_source_get_async (const LiveKitTokenSource *source, GTlsDatabase *tls_database,
    gboolean tls_insecure, GCancellable *cancellable, GAsyncReadyCallback callback,
    gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);

  g_task_set_source_tag (task, livekit_token_source_get_async);
  if (is_set (source->token_endpoint))
    fetch_token (g_steal_pointer (&task), source, tls_database, tls_insecure);
  else if (is_set (source->api_key) && is_set (source->api_secret))
    make_token (task, source);
  else if (!is_set (source->token))
    return_missing (
        task, is_set (source->api_key) ? "The API secret"
              : is_set (source->api_secret)
                  ? "The API key"
                  : "An access token, an API key with its secret, or a token endpoint,");
  else if (!is_set (source->url))
    return_missing (task, "The address of the server");
  else
    g_task_return_pointer (task, credentials_new (source->url, source->token, NULL),
        (GDestroyNotify)livekit_credentials_free);
}

LiveKitCredentials *
livekit_token_source_get_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
