/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-http.h"

#include <stdarg.h>
#include <string.h>

#include "haven-connections.h"
#include "haven-log.h"
#include "ws-access.h"
#include "ws-frame.h"

#define MAX_BODY (64 * 1024)
#define BACKLOG 512

struct _HavenHttp
{
  HavenApp *app;
  HavenConfig *config; /* outlives us */
  const HavenRoute *routes;
  char **origins, **hosts;
  char *token; /* (nullable) */

  SoupServer *server;
  GSocket *listener; /* (nullable) */
  HavenConnections *connections;
  guint64 n_requests;
};

static const char request_key[] = "haven-request";

/* -- requests -- */

static void
request_free (HavenRequest *request)
{
  if (request->free_data)
    request->free_data (request->data);
  g_free (request->id);
  g_free (request->mint_id);
  g_clear_pointer (&request->body, json_object_unref);
  g_clear_pointer (&request->query, g_hash_table_unref);
  g_object_unref (request->msg);
  g_free (request);
}

static void
log_request (HavenRequest *request, guint status)
{
  g_autofree char *text = g_strdup_printf ("%u", status);
  g_autofree char *session
      = request->session ? g_strdup_printf ("%" G_GINT64_FORMAT, request->session) : NULL;
  g_autofree char *took
      = g_strdup_printf ("%.1f", (double)(g_get_monotonic_time () - request->began) / 1000);

  haven_log (status >= 500 ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_DEBUG, "request", "session", session,
      "mint_id", request->mint_id, "method", soup_server_message_get_method (request->msg), "path",
      g_uri_get_path (soup_server_message_get_uri (request->msg)), "status", text, "ms", took,
      NULL);
}

/* Which session it is about, for the log.
 *
 * @session: its number; 0: there is none of that name, or not yet */
void
haven_request_set_session (HavenRequest *request, const char *mint_id, gint64 session)
{
  g_free (request->mint_id);
  request->mint_id = g_strdup (mint_id);
  request->session = session;
}

/* The one place where a request ends. */
static void
finish (HavenRequest *request, guint status)
{
  log_request (request, status);
  if (!request->gone && request->paused)
    soup_server_message_unpause (request->msg);
  g_object_set_data (G_OBJECT (request->msg), request_key, NULL);
  request_free (request);
}

void
haven_request_set_header (HavenRequest *request, const char *name, const char *value)
{
  soup_message_headers_replace (
      soup_server_message_get_response_headers (request->msg), name, value);
}

/* @data: (transfer full): what the handler keeps until the reply */
void
haven_request_set_data (HavenRequest *request, gpointer data, GDestroyNotify free_data)
{
  request->data = data;
  request->free_data = free_data;
}

const char *
haven_request_header (HavenRequest *request, const char *name)
{
  return soup_message_headers_get_one (
      soup_server_message_get_request_headers (request->msg), name);
}

gboolean
haven_request_is_head (HavenRequest *request)
{
  return soup_server_message_get_method (request->msg) == SOUP_METHOD_HEAD;
}

/* How many connections whoever asks has already that handlers took, and that are open here: not
 * those that went on to a session.
 *
 * @address: (out) (transfer none) (nullable): whose they are; while the request lives */
guint
haven_request_count_taken (HavenRequest *request, const char **address)
{
  return haven_connections_count_taken (request->http->connections, request->msg, address);
}

/* A number of the query. Replies, and returns FALSE, where it is none or out of range. */
gboolean
haven_request_uint (
    HavenRequest *request, const char *name, guint min, guint max, guint otherwise, guint *value)
{
  const char *text = g_hash_table_lookup (request->query, name);
  guint64 number = otherwise;

  if (text && !g_ascii_string_to_unsigned (text, 10, min, max, &number, NULL)) {
    haven_request_fail (
        request, HAVEN_ERROR_INVALID, "“%s” must be a number from %u to %u.", name, min, max);
    return FALSE;
  }
  *value = (guint)number;
  return TRUE;
}

/* -- answers to requests whose body is not there -- */

static GString * /* (transfer full): without the empty line */
answer_head (SoupServerMessage *msg, guint status)
{
  GString *text = g_string_new (NULL);
  SoupMessageHeadersIter iter;
  const char *name, *value;

  g_string_printf (text, "HTTP/1.1 %u %s\r\n", status, soup_status_get_phrase (status));
  soup_message_headers_iter_init (&iter, soup_server_message_get_response_headers (msg));
  while (soup_message_headers_iter_next (&iter, &name, &value))
    g_string_append_printf (text, "%s: %s\r\n", name, value);
  return text;
}

static gboolean
has_body (SoupServerMessage *msg)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (msg);

  return soup_message_headers_get_encoding (headers) == SOUP_ENCODING_CHUNKED
         || soup_message_headers_get_content_length (headers) > 0;
}

/* libsoup would read the whole body first, however long that takes. */
static void
answer_unread (HavenRequest *request, guint status, GBytes *data)
{
  g_autoptr (GString) text = answer_head (request->msg, status);
  g_autoptr (GIOStream) stream = NULL;
  GSocket *socket;
  gsize size;
  const char *body = g_bytes_get_data (data, &size);

  g_string_append_printf (text, "Content-Length: %" G_GSIZE_FORMAT "\r\n\r\n", size);
  if (!haven_request_is_head (request))
    g_string_append_len (text, body, (gssize)size);
  stream = haven_connections_take (request->msg, &socket);
  if (stream)
    haven_connections_say_last (request->http->connections, socket, stream, text->str, text->len);
}

/* -- replies -- */

static void
set_reply (SoupServerMessage *msg, guint status, const char *type, GBytes *data)
{
  SoupMessageBody *body = soup_server_message_get_response_body (msg);

  soup_server_message_set_status (msg, status, status == 426 ? "Upgrade Required" : NULL);
  soup_message_headers_replace (
      soup_server_message_get_response_headers (msg), "Content-Type", type);
  soup_message_body_truncate (body);
  soup_message_body_append_bytes (body, data);
}

/* @data: (transfer none)
 * @cache: (nullable): Cache-Control; "no-store" otherwise */
void
haven_request_reply_data (
    HavenRequest *request, guint status, const char *type, GBytes *data, const char *cache)
{
  if (!request->gone) {
    haven_request_set_header (request, "Cache-Control", cache ? cache : "no-store");
    set_reply (request->msg, status, type, data);
    if (request->unread && has_body (request->msg))
      answer_unread (request, status, data);
    else
      haven_connections_expect_taken (request->msg);
  }
  finish (request, status);
}

/* @body: (transfer full) */
void
haven_request_reply_json (HavenRequest *request, guint status, JsonObject *body)
{
  g_autoptr (JsonObject) owned = body;
  char *text = haven_json_to_text (owned);
  g_autoptr (GBytes) data = g_bytes_new_take (text, strlen (text));

  haven_request_reply_data (request, status, "application/json", data, NULL);
}

void
haven_request_reply_error (HavenRequest *request, const GError *error)
{
  guint status = haven_error_status (error);

  if (status == 500)
    haven_log (G_LOG_LEVEL_WARNING, "internal-error", "message", error->message, NULL);
  if ((status == 429 || status == 503) && !request->gone)
    haven_request_set_header (request, "Retry-After", HAVEN_RETRY_AFTER);
  if (status == 401 && !request->gone)
    haven_request_set_header (request, "WWW-Authenticate", "Bearer");
  haven_request_reply_json (request, status, haven_json_from_error (error));
}

/* @format: a sentence for a person */
void
haven_request_fail (HavenRequest *request, HavenError code, const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  va_list values;

  va_start (values, format);
  error = g_error_new_valist (HAVEN_ERROR, (int)code, format, values);
  va_end (values);
  haven_request_reply_error (request, error);
}

/* -- connections that handlers take -- */

typedef struct
{
  HavenSocketTaken taken;
  gpointer user_data;
  GDestroyNotify free_data;
} Taking;

static void
taking_free (gpointer data, GClosure *closure)
{
  Taking *taking = data;

  if (taking->free_data)
    taking->free_data (taking->user_data);
  g_free (taking);
}

/* A client has to wait for the answer of its handshake. What it sent before is in libsoup's buffer,
 * where nobody finds it. */
static gboolean
spoke_too_early (GIOStream *stream, GSocket *socket)
{
  GPollableInputStream *input = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (stream));

  return !g_socket_condition_check (socket, G_IO_IN) && g_pollable_input_stream_is_readable (input);
}

static void /* the 101 has left; msg may be freed in here */
on_wrote_informational (SoupServerMessage *msg, gpointer user_data)
{
  Taking *taking = user_data;
  GSocket *socket = NULL;
  g_autoptr (GIOStream) stream = haven_connections_take (msg, &socket);

  if (stream)
    taking->taken (stream, socket, spoke_too_early (stream, socket), taking->user_data);
}

/* Answers a WebSocket's handshake, or refuses it. Either way the request is over.
 *
 * @protocol: (nullable): the subprotocol that the address speaks, and that must be offered
 * @user_data: freed with free_data, whether taken() was called or not */
gboolean
haven_request_accept_socket (HavenRequest *request, const char *protocol, HavenSocketTaken taken,
    gpointer user_data, GDestroyNotify free_data)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (request->msg);
  const char *version = soup_message_headers_get_one (headers, "Sec-WebSocket-Version");
  SoupServerMessage *msg = request->msg;
  char *protocols[] = { (char *)protocol, NULL };
  gboolean offers
      = soup_message_headers_header_contains (headers, "Sec-WebSocket-Protocol", WS_V1_PROTOCOL);
  Taking *taking = NULL;

  if (!soup_message_headers_header_equals (headers, "Upgrade", "websocket")) {
    haven_request_set_header (request, "Upgrade", "websocket");
    haven_request_fail (request, HAVEN_ERROR_UPGRADE, "This address speaks WebSocket.");
  } else if (g_strcmp0 (version, "13") != 0) {
    haven_request_set_header (request, "Sec-WebSocket-Version", "13");
    haven_request_fail (
        request, HAVEN_ERROR_UPGRADE, "Only version 13 of WebSocket is spoken here.");
  } else if (has_body (msg)) {
    haven_request_fail (request, HAVEN_ERROR_HANDSHAKE, "A WebSocket handshake has no body.");
  } else if (offers != (protocol != NULL)) {
    haven_request_fail (request, HAVEN_ERROR_SUBPROTOCOL,
        offers ? "The subprotocol " WS_V1_PROTOCOL " is not spoken at this address."
               : "This address speaks the subprotocol " WS_V1_PROTOCOL " only.");
  } else {
    soup_message_headers_remove (
        soup_server_message_get_response_headers (msg), "Connection"); /* libsoup adds its own */
    if (soup_websocket_server_process_handshake (
            msg, NULL, protocol ? protocols : NULL, NULL, NULL)) {
      taking = g_new (Taking, 1);
      *taking = (Taking){ taken, user_data, free_data };
      g_signal_connect_data (
          msg, "wrote-informational", G_CALLBACK (on_wrote_informational), taking, taking_free, 0);
      finish (request, SOUP_STATUS_SWITCHING_PROTOCOLS);
      return TRUE;
    }
    haven_request_set_header (request, "Connection", "close");
    haven_request_fail (request, HAVEN_ERROR_HANDSHAKE, "This is not a valid WebSocket handshake.");
  }
  if (free_data)
    free_data (user_data);
  return FALSE;
}

/* Only from a handler of HAVEN_ROUTE_STREAM, before it has returned.
 *
 * @socket: (out) (transfer none): non-blocking, lives with the stream
 * @head: (out) (transfer full): the answer's head, to which the caller adds its own headers and the
 * empty line
 *
 * Returns: (transfer full) (nullable) */
GIOStream *
haven_request_take_connection (
    HavenRequest *request, guint status, GSocket **socket, GString **head)
{
  GString *text = answer_head (request->msg, status);
  GIOStream *stream = haven_connections_take (request->msg, socket);

  finish (request, status);
  if (!stream) {
    g_string_free (text, TRUE);
    return NULL;
  }
  *head = text;
  return stream;
}

/* -- guards -- */

static const char *
get_header (SoupServerMessage *msg, const char *name)
{
  return soup_message_headers_get_one (soup_server_message_get_request_headers (msg), name);
}

static void
add_cors (SoupServerMessage *msg)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (msg);
  const char *origin = get_header (msg, "Origin");

  soup_message_headers_replace (headers, "Vary", "Origin");
  if (!origin) /* it has been let pass */
    return;
  soup_message_headers_replace (headers, "Access-Control-Allow-Origin", origin);
  soup_message_headers_replace (headers, "Access-Control-Expose-Headers",
      "Retry-After, Content-Range, Accept-Ranges, Content-Disposition");
}

/* A page of a stranger shows our pictures in its own: its browser says so, and names no origin. */
static gboolean
is_embedded_elsewhere (SoupServerMessage *msg)
{
  return !get_header (msg, "Origin")
         && g_strcmp0 (get_header (msg, "Sec-Fetch-Site"), "cross-site") == 0
         && g_strcmp0 (get_header (msg, "Sec-Fetch-Mode"), "no-cors") == 0;
}

/* A page that may call us may also read why it was refused. */
static gboolean
check_caller (HavenHttp *http, SoupServerMessage *msg, GError **error)
{
  const char *host = get_header (msg, "Host"), *origin = get_header (msg, "Origin");
  gboolean host_is_known = ws_access_host (host, http->hosts);

  if (ws_access_origin (origin, host_is_known ? host : NULL, http->origins))
    add_cors (msg);
  else if (host_is_known) {
    g_set_error (
        error, HAVEN_ERROR, HAVEN_ERROR_ORIGIN, "Pages of this origin may not call this server.");
    return FALSE;
  }
  if (!host_is_known)
    g_set_error (
        error, HAVEN_ERROR, HAVEN_ERROR_HOST, "This server does not answer to that host name.");
  return host_is_known;
}

/* Browsers can give no header to a WebSocket, a picture or an event source: all of them GET. */
static gboolean
has_token (HavenHttp *http, SoupServerMessage *msg, GHashTable *query)
{
  const char *method = soup_server_message_get_method (msg);
  gboolean reads = method == SOUP_METHOD_GET || method == SOUP_METHOD_HEAD;

  return ws_access_token (http->token, get_header (msg, "Authorization"),
      reads ? g_hash_table_lookup (query, "access_token") : NULL);
}

static gboolean
check_access (HavenHttp *http, SoupServerMessage *msg, const HavenRoute *route, GHashTable *query,
    GError **error)
{
  if (!check_caller (http, msg, error))
    return FALSE;
  if (route && (route->flags & HAVEN_ROUTE_OPEN))
    return TRUE;
  if (is_embedded_elsewhere (msg)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_ORIGIN, "Pages of other sites may not show this.");
    return FALSE;
  }
  if (!has_token (http, msg, query)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_TOKEN, "A valid API token is needed.");
    return FALSE;
  }
  return TRUE;
}

/* -- routes -- */

/* @pattern: a path in which "{id}" may stand once
 *
 * A slash at the end of path does not matter.
 *
 * @id: (out) (transfer full) (nullable) */
static gboolean
matches (const char *pattern, const char *path, char **id)
{
  const char *open = strstr (pattern, "{id}");
  gsize size = strlen (path), before, after;

  if (size > 1 && path[size - 1] == '/')
    size--;
  *id = NULL;
  if (!open)
    return strlen (pattern) == size && memcmp (pattern, path, size) == 0;
  before = (gsize)(open - pattern);
  after = strlen (open + 4);
  if (size <= before + after || memcmp (pattern, path, before) != 0
      || memcmp (open + 4, path + size - after, after) != 0)
    return FALSE;
  *id = g_strndup (path + before, size - before - after);
  return TRUE;
}

static gboolean
method_is (const HavenRoute *route, const char *method)
{
  return strcmp (route->method, method) == 0
         || (strcmp (method, "HEAD") == 0 && strcmp (route->method, "GET") == 0);
}

/* @allow: (out) (transfer full): the methods of that path; empty for a path that there is not
 *
 * Returns: (nullable): the first route that fits */
static const HavenRoute *
find_route (HavenHttp *http, const char *method, const char *path, char **id, char **allow)
{
  g_autoptr (GString) methods = g_string_new (NULL);
  const char *pattern = NULL;
  const HavenRoute *found = NULL;

  for (const HavenRoute *route = http->routes; route->path; route++) {
    g_autofree char *value = NULL;

    /* The first pattern that fits is the path's; others are not meant. */
    if (pattern ? strcmp (pattern, route->path) != 0 : !matches (route->path, path, &value))
      continue;
    if (!pattern) {
      pattern = route->path;
      *id = g_steal_pointer (&value);
    }
    g_string_append_printf (methods, "%s%s", methods->len ? ", " : "", route->method);
    if (strcmp (route->method, "GET") == 0)
      g_string_append (methods, ", HEAD");
    if (!found && method_is (route, method))
      found = route;
  }
  *allow = g_string_free (g_steal_pointer (&methods), FALSE);
  return found;
}

static gboolean
takes_body (const char *method)
{
  return strcmp (method, "POST") == 0 || strcmp (method, "PUT") == 0;
}

static gboolean
check_body_headers (HavenRequest *request, GError **error)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (request->msg);
  const char *type = soup_message_headers_get_content_type (headers, NULL);

  if (soup_message_headers_get_encoding (headers) == SOUP_ENCODING_CONTENT_LENGTH
      && soup_message_headers_get_content_length (headers) > MAX_BODY) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_TOO_LARGE, "The body is over 64 KiB.");
    return FALSE;
  }
  if (request->route->fields && g_strcmp0 (type, "application/json") != 0) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_MEDIA_TYPE, "The body must be application/json.");
    return FALSE;
  }
  return TRUE;
}

static void
preflight (HavenRequest *request, const char *allow)
{
  g_autoptr (GBytes) nothing = g_bytes_new_static ("", 0);

  haven_request_set_header (request, "Access-Control-Allow-Methods", allow);
  haven_request_set_header (
      request, "Access-Control-Allow-Headers", "Authorization, Content-Type, Range");
  haven_request_set_header (request, "Access-Control-Max-Age", "600");
  if (get_header (request->msg, "Access-Control-Request-Private-Network"))
    haven_request_set_header (request, "Access-Control-Allow-Private-Network", "true");
  haven_request_set_header (request, "Allow", allow);
  set_reply (request->msg, SOUP_STATUS_NO_CONTENT, "text/plain", nothing);
  finish (request, SOUP_STATUS_NO_CONTENT);
}

static void /* the client left, or was cut off, or has its answer */
on_message_finished (SoupServerMessage *msg, gpointer user_data)
{
  HavenRequest *request = g_object_get_data (G_OBJECT (msg), request_key);

  if (!request)
    return;
  request->gone = TRUE;
  if (!request->handled) /* its body never came: nobody else will end it */
    finish (request, haven_error_status (&(GError){ HAVEN_ERROR, HAVEN_ERROR_SLOW_REQUEST, NULL }));
}

static void
on_chunk (SoupServerMessage *msg, GBytes *chunk, gpointer user_data)
{
  HavenRequest *request = g_object_get_data (G_OBJECT (msg), request_key);

  if (request && soup_server_message_get_request_body (msg)->length > MAX_BODY)
    haven_request_fail (request, HAVEN_ERROR_TOO_LARGE, "The body is over 64 KiB.");
}

/* libsoup had no objection: what prepare_refusal() has laid out is not needed. */
static void
forget_refusal (SoupServerMessage *msg)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (msg);

  soup_message_headers_remove (headers, "Content-Type");
  soup_message_body_truncate (soup_server_message_get_response_body (msg));
}

/* The headers are there: whoever may not ask is answered now, and a request that needs no body is
 * carried out. */
static void
on_headers (SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *unused,
    gpointer user_data)
{
  HavenHttp *http = user_data;
  HavenRequest *request = g_new0 (HavenRequest, 1);
  const char *method = soup_server_message_get_method (msg);
  const char *query = g_uri_get_query (soup_server_message_get_uri (msg));
  g_autofree char *allow = NULL;
  g_autoptr (GError) error = NULL;

  forget_refusal (msg);
  http->n_requests++;
  request->http = http;
  request->app = http->app;
  request->msg = g_object_ref (msg);
  request->began = g_get_monotonic_time ();
  request->unread = TRUE;
  request->query = soup_form_decode (query ? query : "");
  request->route = find_route (http, method, path, &request->id, &allow);
  g_object_set_data (G_OBJECT (msg), request_key, request);
  g_signal_connect (msg, "finished", G_CALLBACK (on_message_finished), NULL);

  if (!check_access (http, msg,
          strcmp (method, "OPTIONS") == 0 ? &(HavenRoute){ .flags = HAVEN_ROUTE_OPEN }
                                          : request->route,
          request->query, &error)) {
    haven_request_reply_error (request, error);
    return;
  }
  if (!*allow) {
    haven_request_fail (request, HAVEN_ERROR_NO_ENDPOINT, "There is nothing at this address.");
  } else if (strcmp (method, "OPTIONS") == 0) {
    preflight (request, allow);
  } else if (!request->route) {
    haven_request_set_header (request, "Allow", allow);
    haven_request_fail (request, HAVEN_ERROR_METHOD, "The method must be %s here.", allow);
  } else if (request->id && !haven_id_is_valid (request->id)) {
    haven_request_fail (request, HAVEN_ERROR_INVALID,
        "The id must have 1 to %d characters, none of them a control character.", HAVEN_ID_MAX);
  } else if (takes_body (method) && !check_body_headers (request, &error)) {
    haven_request_reply_error (request, error);
  } else if (request->route->flags & (HAVEN_ROUTE_SOCKET | HAVEN_ROUTE_STREAM)) {
    request->handled = TRUE;
    request->route->handler (request);
  } else {
    /* libsoup would answer a part of the JSON */
    soup_message_headers_remove (soup_server_message_get_request_headers (msg), "Range");
    g_signal_connect (msg, "got-chunk", G_CALLBACK (on_chunk), NULL);
  }
}

/* The body is there too. */
static void
on_request (SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *unused,
    gpointer user_data)
{
  HavenRequest *request = g_object_get_data (G_OBJECT (msg), request_key);
  g_autoptr (GError) error = NULL;

  haven_connections_request_complete (msg);
  if (!request || request->gone) /* answered already */
    return;
  soup_server_message_pause (msg);
  request->unread = FALSE;
  request->handled = TRUE;
  request->paused = TRUE;
  if (request->route->fields) {
    g_autoptr (GBytes) body
        = soup_message_body_flatten (soup_server_message_get_request_body (msg));

    request->body = haven_json_parse_body (body, request->route->fields, &error);
    if (!request->body) {
      haven_request_reply_error (request, error);
      return;
    }
  }
  request->route->handler (request);
}

/* What libsoup finds wrong before it asks us, it answers with a status and nothing else: this goes
 * along. */
static void
prepare_refusal (SoupServerMessage *msg)
{
  g_autoptr (GError) error = g_error_new_literal (
      HAVEN_ERROR, HAVEN_ERROR_BAD_REQUEST, "The request is not valid HTTP, or its path leads up.");
  g_autoptr (JsonObject) body = haven_json_from_error (error);
  char *text = haven_json_to_text (body);

  soup_server_message_set_response (msg, "application/json", SOUP_MEMORY_TAKE, text, strlen (text));
}

static void
on_request_started (SoupServer *server, SoupServerMessage *msg, gpointer user_data)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (msg);

  /* libsoup 3.2.3 keeps a descriptor for each client that leaves while its connection is kept
   * alive. */
  soup_message_headers_replace (headers, "Connection", "close");
  soup_message_headers_replace (headers, "X-Content-Type-Options", "nosniff");
  soup_message_headers_replace (headers, "Referrer-Policy", "no-referrer");
  soup_message_headers_replace (headers, "Cross-Origin-Resource-Policy", "same-site");
  prepare_refusal (msg);
}

/* -- the server -- */

/* Takes over what may change while it runs: the token, origins, hosts. */
void
haven_http_reload (HavenHttp *http)
{
  g_free (http->token);
  http->token = g_strdup (haven_config_get (http->config, HAVEN_KEY_API_TOKEN));
  g_strfreev (http->origins);
  g_strfreev (http->hosts);
  http->origins = ws_access_split (haven_config_get (http->config, HAVEN_KEY_ALLOWED_ORIGINS));
  http->hosts = ws_access_split (haven_config_get (http->config, HAVEN_KEY_ALLOWED_HOSTS));
}

/* @routes: ended by one without a path; the first that fits counts, and all of one path must be
 * written alike */
HavenHttp *
haven_http_new (HavenApp *app, HavenConfig *config, const HavenRoute *routes)
{
  HavenHttp *http = g_new0 (HavenHttp, 1);

  http->app = app;
  http->config = config;
  http->routes = routes;
  http->server = soup_server_new (NULL, NULL);
  http->connections = haven_connections_new (config, http->server);
  soup_server_add_early_handler (http->server, NULL, on_headers, http, NULL);
  soup_server_add_handler (http->server, NULL, on_request, http, NULL);
  g_signal_connect (http->server, "request-started", G_CALLBACK (on_request_started), http);
  haven_http_reload (http);
  return http;
}

gboolean
haven_http_listen (HavenHttp *http, GError **error)
{
  const char *listen = haven_config_get (http->config, HAVEN_KEY_LISTEN);
  g_autofree char *host = NULL;
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GSocket) socket = NULL;
  guint16 port;

  if (!haven_config_split_listen (listen, &host, &port, error)
      || !haven_config_check_access (http->config, error))
    return FALSE;
  address = g_inet_socket_address_new_from_string (host, port);
  socket = g_socket_new (
      g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
  if (!socket)
    return FALSE;
  g_socket_set_blocking (socket, FALSE);
  g_socket_set_listen_backlog (socket, BACKLOG);
  if (!g_socket_bind (socket, address, TRUE, error) || !g_socket_listen (socket, error)) {
    g_prefix_error (error, "%s: ", listen);
    return FALSE;
  }
  http->listener = g_steal_pointer (&socket);
  haven_connections_accept (http->connections, http->listener);
  return TRUE;
}

guint16
haven_http_port (HavenHttp *http)
{
  g_autoptr (GSocketAddress) address = g_socket_get_local_address (http->listener, NULL);

  return g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address));
}

/* Accepts no more; what is being answered goes on. */
void
haven_http_stop (HavenHttp *http)
{
  haven_connections_stop (http->connections);
  if (http->listener)
    g_socket_close (http->listener, NULL);
}

void
haven_http_free (HavenHttp *http)
{
  haven_http_stop (http);
  g_clear_object (&http->listener);
  soup_server_disconnect (http->server);
  g_object_unref (http->server);
  haven_connections_free (http->connections);
  g_strfreev (http->origins);
  g_strfreev (http->hosts);
  g_free (http->token);
  g_free (http);
}

void
haven_http_counters (HavenHttp *http, guint *open, guint64 *requests, guint64 *refused)
{
  *requests = http->n_requests;
  haven_connections_counters (http->connections, open, refused);
}
