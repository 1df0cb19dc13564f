/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-http.h"

#include <gst/gst.h>
#include <libsoup/soup.h>
#include <string.h>

#include "haven-ws-page.h"
#include "ws-access.h"
#include "ws-target.h"

GST_DEBUG_CATEGORY_EXTERN (gst_haven_ws_sink_debug);
#define GST_CAT_DEFAULT gst_haven_ws_sink_debug

#define MAX_REQUESTS \
  64 /* connections that are no viewers yet; one more, and the oldest is cut off */
#define REQUEST_TIMEOUT 10 /* s from connecting to the end of the answer or handshake */
#define ACCEPT_AT_ONCE 16  /* connections accepted before others have their turn */
#define ACCEPT_PAUSE 100   /* ms, when accepting fails: mostly because all descriptors are taken */
#define BACKLOG 128
#define RETRY_AFTER "5"             /* s */
#define STATUS_UPGRADE_REQUIRED 426 /* libsoup 3.2 has no name for it */
#define PAGE_ROOT "/org/haven/ws/"

#define CSP                                                                                      \
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " \
  "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct _WsHttp
{
  const WsConfig *config; /* outlives us */
  WsHttpCallbacks callbacks;
  gpointer user_data;

  SoupServer *server;                     /* (owned) */
  GSocket *listener;                      /* (owned) */
  GSource *accept_source, *resume_source; /* (owned) (nullable) */
  GQueue requests;                        /* (unowned) Request, oldest first */
  GResource *page;                        /* (unowned) */
};

typedef struct /* a connection that is no viewer yet; lives until it goes or becomes one */
{
  WsHttp *http;
  GSocketConnection *connection; /* weak */
  GSource *deadline;             /* (owned) */
} Request;

static void resume_accepting (WsHttp *http);

void
ws_config_free (WsConfig *config)
{
  g_free (config->address);
  g_free (config->stream_name);
  g_strfreev (config->allowed_origins);
  g_strfreev (config->allowed_hosts);
  g_free (config->access_token);
  g_free (config);
}

/* -- connections that ask -- */

static void
request_free (Request *request)
{
  g_queue_remove (&request->http->requests, request);
  g_source_destroy (request->deadline);
  g_source_unref (request->deadline);
  g_free (request);
}

static void /* weak notify */
on_connection_gone (gpointer user_data, GObject *connection)
{
  request_free (user_data);
}

static const char request_key[] = "haven-ws-request";

static void
untrack_request (GSocketConnection *connection)
{
  Request *request = g_object_steal_data (G_OBJECT (connection), request_key);

  if (!request) /* cut off already */
    return;
  g_object_weak_unref (G_OBJECT (connection), on_connection_gone, request);
  request_free (request);
}

/* libsoup sees the end of the stream and cleans up as for a client that left. */
static void
cut_off (Request *request)
{
  g_socket_shutdown (g_socket_connection_get_socket (request->connection), TRUE, TRUE, NULL);
  untrack_request (request->connection);
}

static gboolean
on_request_timeout (gpointer user_data)
{
  GST_DEBUG ("a request took more than %d s", REQUEST_TIMEOUT);
  cut_off (user_data);
  return G_SOURCE_REMOVE;
}

static void
track_request (WsHttp *http, GSocketConnection *connection)
{
  Request *request = g_new0 (Request, 1);

  request->http = http;
  request->connection = connection;
  request->deadline = g_timeout_source_new_seconds (REQUEST_TIMEOUT);
  g_source_set_callback (request->deadline, on_request_timeout, request, NULL);
  g_source_attach (request->deadline, g_main_context_get_thread_default ());
  g_object_set_data (G_OBJECT (connection), request_key, request);
  g_object_weak_ref (G_OBJECT (connection), on_connection_gone, request);
  g_queue_push_tail (&http->requests, request);

  if (http->requests.length > MAX_REQUESTS) {
    GST_DEBUG ("more than %d requests at once: the oldest is cut off", MAX_REQUESTS);
    cut_off (g_queue_peek_head (&http->requests));
  }
}

/* -- answers -- */

static void
set_header (SoupServerMessage *msg, const char *name, const char *value)
{
  soup_message_headers_replace (soup_server_message_get_response_headers (msg), name, value);
}

/* @detail: a sentence for a person
 * @code: a word for programs */
static void
answer_error (SoupServerMessage *msg, guint status, const char *code, const char *detail)
{
  g_autofree char *quoted = ws_json_quote (detail);
  char *body = g_strdup_printf ("{\"detail\":%s,\"code\":\"%s\"}\n", quoted, code);

  GST_DEBUG ("answering %u: %s", status, detail);
  soup_server_message_set_status (
      msg, status, status == STATUS_UPGRADE_REQUIRED ? "Upgrade Required" : NULL);
  soup_server_message_set_response (msg, "application/json", SOUP_MEMORY_TAKE, body, strlen (body));
}

static void
answer_json (SoupServerMessage *msg, char *body) /* @body: (transfer full) */
{
  set_header (msg, "Cache-Control", "no-store");
  soup_server_message_set_status (msg, SOUP_STATUS_OK, NULL);
  soup_server_message_set_response (msg, "application/json", SOUP_MEMORY_TAKE, body, strlen (body));
}

static const struct
{
  const char *path, *file, *type;
} page_files[] = {
  { "/", "index.html", "text/html; charset=utf-8" },
  { "/index.html", "index.html", "text/html; charset=utf-8" },
  { "/style.css", "style.css", "text/css; charset=utf-8" },
  { "/app.js", "app.js", "text/javascript; charset=utf-8" },
  { "/stage.js", "stage.js", "text/javascript; charset=utf-8" },
  { "/player.js", "player.js", "text/javascript; charset=utf-8" },
  { "/haven-v1.js", "haven-v1.js", "text/javascript; charset=utf-8" },
  { "/codecs.js", "codecs.js", "text/javascript; charset=utf-8" },
  { "/pictures.js", "pictures.js", "text/javascript; charset=utf-8" },
  { "/sound.js", "sound.js", "text/javascript; charset=utf-8" },
  { "/sound-worklet.js", "sound-worklet.js", "text/javascript; charset=utf-8" },
};

static gboolean
answer_page (WsHttp *http, SoupServerMessage *msg, const char *path)
{
  for (guint i = 0; i < G_N_ELEMENTS (page_files); i++) {
    g_autofree char *name = NULL;
    g_autoptr (GBytes) content = NULL;
    gsize size;

    if (strcmp (path, page_files[i].path) != 0)
      continue;
    name = g_strconcat (PAGE_ROOT, page_files[i].file, NULL);
    content = g_resource_lookup_data (http->page, name, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    g_return_val_if_fail (content, FALSE);
    set_header (msg, "Content-Security-Policy", CSP);
    set_header (msg, "Cache-Control", "no-cache");
    soup_server_message_set_status (msg, SOUP_STATUS_OK, NULL);
    soup_server_message_set_response (msg, page_files[i].type, SOUP_MEMORY_COPY,
        g_bytes_get_data (content, &size), g_bytes_get_size (content));
    return TRUE;
  }
  return FALSE;
}

/* -- handshake -- */

typedef struct
{
  WsHttp *http;
  WsForm form;
  WsAsk ask;
  gboolean asked;
} Upgrade;

static void /* the 101 has left; msg may be freed in here */
on_wrote_informational (SoupServerMessage *msg, gpointer user_data)
{
  Upgrade upgrade = *(Upgrade *)user_data;
  WsHttp *http = upgrade.http;
  g_autoptr (GIOStream) stream = soup_server_message_steal_connection (msg);
  g_autoptr (GIOStream) base = NULL;

  g_return_if_fail (stream);
  g_object_get (stream, "base-iostream", &base, NULL);
  g_return_if_fail (G_IS_SOCKET_CONNECTION (base));
  untrack_request (G_SOCKET_CONNECTION (base));
  http->callbacks.upgraded (stream, g_socket_connection_get_socket (G_SOCKET_CONNECTION (base)),
      upgrade.form, upgrade.asked ? &upgrade.ask : NULL, http->user_data);
}

static void
handle_handshake (WsHttp *http, SoupServerMessage *msg, const WsTarget *target)
{
  const WsConfig *config = http->config;
  SoupMessageHeaders *request = soup_server_message_get_request_headers (msg);
  SoupMessageHeaders *response = soup_server_message_get_response_headers (msg);
  const char *version = soup_message_headers_get_one (request, "Sec-WebSocket-Version");
  char protocol[] = WS_V1_PROTOCOL, *protocols[] = { protocol, NULL };
  gboolean offered
      = soup_message_headers_header_contains (request, "Sec-WebSocket-Protocol", protocol);
  Upgrade *upgrade;

  if (!ws_access_origin (soup_message_headers_get_one (request, "Origin"),
          soup_message_headers_get_one (request, "Host"), config->allowed_origins)) {
    answer_error (msg, SOUP_STATUS_FORBIDDEN, "origin_not_allowed",
        "Pages of this origin may not watch the stream.");
    return;
  }
  if (!ws_access_token (config->access_token,
          soup_message_headers_get_one (request, "Authorization"), target->token)) {
    set_header (msg, "WWW-Authenticate", "Bearer");
    answer_error (msg, SOUP_STATUS_UNAUTHORIZED, "unauthorized",
        "A valid access token is needed to watch the stream.");
    return;
  }
  if (strcmp (target->name, config->stream_name) != 0) {
    answer_error (
        msg, SOUP_STATUS_NOT_FOUND, "unknown_stream", "There is no stream of this name here.");
    return;
  }
  if (!soup_message_headers_header_equals (request, "Upgrade", "websocket")) {
    set_header (msg, "Upgrade", "websocket");
    answer_error (
        msg, STATUS_UPGRADE_REQUIRED, "upgrade_required", "This address speaks WebSocket.");
    return;
  }
  if (g_strcmp0 (version, "13") != 0) {
    set_header (msg, "Sec-WebSocket-Version", "13");
    answer_error (msg, STATUS_UPGRADE_REQUIRED, "unsupported_version",
        "Only version 13 of WebSocket is spoken here.");
    return;
  }
  if (soup_message_headers_get_encoding (request) == SOUP_ENCODING_CHUNKED
      || soup_message_headers_get_content_length (request) > 0) {
    answer_error (
        msg, SOUP_STATUS_BAD_REQUEST, "bad_handshake", "A WebSocket handshake has no body.");
    return;
  }
  if (offered != (target->form == WS_FORM_V1)) {
    answer_error (msg, SOUP_STATUS_BAD_REQUEST, "wrong_subprotocol",
        offered ? "The subprotocol " WS_V1_PROTOCOL " is not spoken at this address."
                : "This address speaks the subprotocol " WS_V1_PROTOCOL " only.");
    return;
  }
  if (http->callbacks.count_viewers (http->user_data) >= config->max_viewers) {
    set_header (msg, "Retry-After", RETRY_AFTER);
    answer_error (msg, SOUP_STATUS_SERVICE_UNAVAILABLE, "too_many_viewers",
        "All places are taken; try again later.");
    return;
  }

  soup_message_headers_remove (response, "Connection"); /* libsoup adds its own */
  if (!soup_websocket_server_process_handshake (
          msg, NULL, offered ? protocols : NULL, NULL, NULL)) {
    set_header (msg, "Connection", "close");
    answer_error (
        msg, SOUP_STATUS_BAD_REQUEST, "bad_handshake", "This is not a valid WebSocket handshake.");
    return;
  }
  upgrade = g_new (Upgrade, 1);
  *upgrade = (Upgrade){ http, target->form, target->ask, target->asked };
  g_signal_connect_data (msg, "wrote-informational", G_CALLBACK (on_wrote_informational), upgrade,
      (GClosureNotify)(void (*) (void))g_free, 0);
}

/* -- requests -- */

static char *
describe_stream (WsHttp *http)
{
  g_autofree char *name = ws_json_quote (http->config->stream_name);
  g_autofree char *escaped = g_uri_escape_string (http->config->stream_name, NULL, FALSE);
  WsAsk ask;

  http->callbacks.ask_for_all (&ask, http->user_data);
  return g_strdup_printf ("{\"name\":%s,\"binary\":\"ws/live/%s\",\"json\":\"stream/%s\","
                          "\"watch\":\"watch/%s\",\"ask\":{\"video\":\"%s\",\"audio\":\"%s\"}}\n",
      name, escaped, escaped, escaped, ws_video_name (ask.video), ws_audio_name (ask.audio));
}

/* Called when the headers are there, before any body: every request gets its answer here. */
static void
on_request (SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *query,
    gpointer user_data)
{
  WsHttp *http = user_data;
  SoupMessageHeaders *request = soup_server_message_get_request_headers (msg);
  g_auto (WsTarget) target = { 0 };
  const char *method = soup_server_message_get_method (msg);

  if (!ws_access_host (
          soup_message_headers_get_one (request, "Host"), http->config->allowed_hosts)) {
    answer_error (msg, SOUP_STATUS_FORBIDDEN, "host_not_allowed",
        "This server does not answer to that host name.");
    return;
  }
  if (method != SOUP_METHOD_GET && method != SOUP_METHOD_HEAD) {
    set_header (msg, "Allow", "GET, HEAD");
    answer_error (
        msg, SOUP_STATUS_METHOD_NOT_ALLOWED, "method_not_allowed", "Only GET is allowed here.");
    return;
  }
  if (ws_target_parse (path, g_uri_get_query (soup_server_message_get_uri (msg)), &target)) {
    handle_handshake (http, msg, &target);
    return;
  }
  if (strcmp (path, "/health") == 0)
    answer_json (msg, g_strdup ("{\"status\":\"ok\"}\n"));
  else if (strcmp (path, "/stream.json") == 0)
    answer_json (msg, describe_stream (http));
  else if (!answer_page (http, msg, path))
    answer_error (msg, SOUP_STATUS_NOT_FOUND, "not_found", "There is nothing at this address.");
}

static void
on_request_started (SoupServer *server, SoupServerMessage *msg, gpointer user_data)
{
  soup_message_body_set_accumulate (
      soup_server_message_get_request_body (msg), FALSE); /* nobody reads bodies */
  /* libsoup 3.2.3 keeps a descriptor for each client that leaves while its connection is kept
   * alive. */
  set_header (msg, "Connection", "close");
  set_header (msg, "X-Content-Type-Options", "nosniff");
  set_header (msg, "Referrer-Policy", "no-referrer");
}

/* -- listening -- */

static void
serve (WsHttp *http, GSocket *socket)
{
  g_autoptr (GSocketConnection) connection = g_socket_connection_factory_create_connection (socket);
  g_autoptr (GSocketAddress) local = g_socket_get_local_address (socket, NULL);
  g_autoptr (GSocketAddress) remote = g_socket_get_remote_address (socket, NULL);

  if (!local || !remote) /* left already */
    return;
  track_request (http, connection);
  soup_server_accept_iostream (http->server, G_IO_STREAM (connection), local, remote, NULL);
}

static gboolean
on_resume (gpointer user_data)
{
  WsHttp *http = user_data;

  g_clear_pointer (&http->resume_source, g_source_unref);
  resume_accepting (http);
  return G_SOURCE_REMOVE;
}

static void
pause_accepting (WsHttp *http)
{
  g_source_destroy (http->accept_source);
  g_clear_pointer (&http->accept_source, g_source_unref);
  http->resume_source = g_timeout_source_new (ACCEPT_PAUSE);
  g_source_set_callback (http->resume_source, on_resume, http, NULL);
  g_source_attach (http->resume_source, g_main_context_get_thread_default ());
}

static gboolean
on_incoming (GSocket *listener, GIOCondition condition, gpointer user_data)
{
  WsHttp *http = user_data;

  for (guint i = 0; i < ACCEPT_AT_ONCE; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GSocket) socket = g_socket_accept (listener, NULL, &error);

    if (socket) {
      serve (http, socket);
    } else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
      break;
    } else {
      GST_WARNING ("cannot accept a connection: %s", error->message);
      pause_accepting (http);
      return G_SOURCE_REMOVE;
    }
  }
  return G_SOURCE_CONTINUE;
}

static void
resume_accepting (WsHttp *http)
{
  http->accept_source = g_socket_create_source (http->listener, G_IO_IN, NULL);
  g_source_set_callback (http->accept_source, (GSourceFunc)on_incoming, http, NULL);
  g_source_attach (http->accept_source, g_main_context_get_thread_default ());
}

/* Any thread.
 *
 * Returns: (transfer full) (nullable): a listening socket */
GSocket *
ws_http_listen (const WsConfig *config, GError **error)
{
  g_autoptr (GSocketAddress) address
      = g_inet_socket_address_new_from_string (config->address, config->port);
  g_autoptr (GSocket) socket = NULL;

  if (!address) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "“%s” is not an IP address",
        config->address);
    return NULL;
  }
  socket = g_socket_new (
      g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
  if (!socket)
    return NULL;
  g_socket_set_blocking (socket, FALSE);
  g_socket_set_listen_backlog (socket, BACKLOG);
  if (!g_socket_bind (socket, address, TRUE, error) || !g_socket_listen (socket, error))
    return NULL;
  return g_steal_pointer (&socket);
}

/* Serves from the thread-default main context.
 *
 * @config: outlives the server
 * @listener: from ws_http_listen() */
WsHttp *
ws_http_new (
    const WsConfig *config, GSocket *listener, const WsHttpCallbacks *callbacks, gpointer user_data)
{
  WsHttp *http = g_new0 (WsHttp, 1);

  http->config = config;
  http->callbacks = *callbacks;
  http->user_data = user_data;
  http->listener = g_object_ref (listener);
  http->page = haven_ws_page_get_resource ();
  g_queue_init (&http->requests);
  http->server = soup_server_new (NULL, NULL);
  soup_server_add_early_handler (http->server, NULL, on_request, http, NULL);
  g_signal_connect (http->server, "request-started", G_CALLBACK (on_request_started), http);
  resume_accepting (http);
  return http;
}

static void
clear_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

/* Stops listening, and closes what is no viewer yet. */
void
ws_http_free (WsHttp *http)
{
  clear_source (&http->accept_source);
  clear_source (&http->resume_source);
  g_socket_close (http->listener, NULL);
  g_object_unref (http->listener);
  soup_server_disconnect (http->server);
  g_object_unref (http->server);
  while (http->requests.head) /* whoever still holds one, it is no business of ours any more */
    untrack_request (((Request *)http->requests.head->data)->connection);
  g_free (http);
}
