/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-signal.h"

#include <string.h>

#include "livekit-http.h"
#include "livekit-token.h"
#include "livekit-ws-limit.h"

/* Everything here runs in one thread: that of the main context which was the thread default when
 * the object was made. libsoup and GTask call back there; a cancellable that another thread cancels
 * is heard there too, by a source. */

#define PROTOCOL_VERSION "16"
#define MAX_URL 4096
#define MAX_MALFORMED 10   /* messages in a row */
#define MAX_PING_TIME 3600 /* seconds; more is no ping at all */
#define CLOSE_TIME 300     /* ms until a polite good-bye ends */
#define EXPLAIN_TIME 3000  /* ms to wait for the sentence that explains a refusal */
#define LATE 1000 /* ms: a timer this late says that we slept, not that the server was silent */

typedef enum
{
  PHASE_NEW,
  PHASE_CONNECTING, /* handshake, or asking why it was refused */
  PHASE_WAITING,    /* for the first message */
  PHASE_OPEN,
  PHASE_CLOSING, /* silent towards the owner; holds a reference to itself */
  PHASE_CLOSED,
} Phase;

typedef struct
{
  GSourceFunc func;
  gpointer user_data;
} Done;

struct _LiveKitSignal /* not thread safe */
{
  GObject parent;

  GMainContext *context; /* (owned) set once */
  Phase phase;

  /* CONNECTING, WAITING */
  GTask *task;               /* (owned) (nullable) the connect call; returned exactly once */
  GCancellable *cancellable; /* (owned) (nullable) the caller's */
  GSource *cancelled;        /* (owned) (nullable) watches it */
  GCancellable *pending;     /* (owned) of the requests that we have under way */
  SoupSession *session;      /* (owned) (nullable) */
  SoupMessage *request;      /* (owned) (nullable) handshake, then validate */
  GUri *validate_uri;        /* (owned) (nullable) */
  GSource *validate_end;     /* (owned) (nullable) */
  char *token;               /* (owned) (nullable) secret */
  guint status;              /* of the refused handshake */
  gboolean tls_insecure;
  guint explain_time; /* ms */
  guint n_requests;   /* that libsoup has not returned yet, cancelled or not */

  /* WAITING, OPEN, CLOSING */
  SoupWebsocketConnection *socket; /* (owned) (nullable) */
  guint n_malformed;               /* in a row */

  /* OPEN, once pings were asked for */
  GSource *ping;         /* (owned) (nullable) */
  GSource *silence;      /* (owned) (nullable) */
  gint64 silence_due;    /* monotonic us: when it should fire */
  gint64 timeout;        /* us */
  gint64 last_heard;     /* monotonic us */
  gint64 ping_sent;      /* monotonic us; 0: answered */
  gint64 ping_timestamp; /* what the last ping said, ms */
  gint64 rtt;            /* ms */

  /* CLOSING */
  GSource *close_end; /* (owned) (nullable) */
  GArray *dones;      /* (owned) (element-type Done); CLOSED too, until n_requests is 0 */
};
G_DEFINE_FINAL_TYPE (LiveKitSignal, livekit_signal, G_TYPE_OBJECT)

enum
{
  SIGNAL_MESSAGE,
  SIGNAL_CLOSED,
  SIGNAL_RTT_MEASURED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
clear_source (GSource **source)
{
  if (*source) {
    g_source_destroy (*source);
    g_clear_pointer (source, g_source_unref);
  }
}

/* @self is not kept alive by it: whoever disposes of @self destroys the source. (transfer full) */
static GSource *
add_timer (LiveKitSignal *self, guint ms, GSourceFunc func)
{
  GSource *source = g_timeout_source_new (ms);

  g_source_set_callback (source, func, self, NULL);
  g_source_attach (source, self->context);
  return source;
}

/* ---- ends
 * --------------------------------------------------------------------------------------------------------
 */

static gboolean
drop_socket (gpointer socket)
{
  return G_SOURCE_REMOVE; /* the reference goes with the source */
}

/* libsoup goes on using a connection whose signal it has emitted, so the reference is dropped a
 * little later. */
static void
release_socket (LiveKitSignal *self)
{
  g_autoptr (GSource) later = NULL;

  if (!self->socket)
    return;
  g_signal_handlers_disconnect_by_data (self->socket, self);
  later = g_idle_source_new ();
  g_source_set_priority (later, G_PRIORITY_DEFAULT);
  g_source_set_callback (later, drop_socket, g_steal_pointer (&self->socket), g_object_unref);
  g_source_attach (later, self->context);
}

static void
stop_work (LiveKitSignal *self)
{
  clear_source (&self->cancelled);
  clear_source (&self->validate_end);
  clear_source (&self->ping);
  clear_source (&self->silence);
  g_cancellable_cancel (self->pending);
  g_clear_object (&self->request);
  g_clear_object (&self->session); /* what is under way holds its own reference */
  g_clear_pointer (&self->validate_uri, g_uri_unref);
  g_clear_pointer (&self->token, g_free);
}

static void
call_dones (LiveKitSignal *self)
{
  g_autoptr (GArray) dones = g_steal_pointer (&self->dones);

  self->dones = g_array_new (FALSE, FALSE, sizeof (Done));
  for (guint i = 0; i < dones->len; i++) {
    const Done *done = &g_array_index (dones, Done, i);

    done->func (done->user_data);
  }
}

static void
end_closing (LiveKitSignal *self)
{
  g_assert (self->phase == PHASE_CLOSING);
  self->phase = PHASE_CLOSED;
  clear_source (&self->close_end);
  release_socket (self);
  call_dones (self);
  g_object_unref (self); /* of begin_closing() */
}

/* Who waits for the end waits for this too: what is under way holds descriptors, and needs the main
 * context to let them go. */
static void
request_returned (LiveKitSignal *self)
{
  if (--self->n_requests == 0 && self->phase == PHASE_CLOSED)
    call_dones (self);
}

static gboolean
on_close_end (gpointer user_data)
{
  end_closing (user_data);
  return G_SOURCE_REMOVE;
}

/* Says good-bye where there is somebody to hear it. */
static void
begin_closing (LiveKitSignal *self, gboolean leave, gushort code)
{
  stop_work (self);
  if (!self->socket
      || soup_websocket_connection_get_state (self->socket) != SOUP_WEBSOCKET_STATE_OPEN) {
    self->phase = PHASE_CLOSED;
    release_socket (self);
    return;
  }

  self->phase = PHASE_CLOSING;
  g_object_ref (self); /* until end_closing() */
  self->close_end = add_timer (self, CLOSE_TIME, on_close_end);
  if (leave) { /* the server echoes it, then closes: on_socket_message(), on_socket_closed() */
    g_autoptr (GBytes) request = livekit_message_leave (LIVEKIT_REASON_CLIENT_INITIATED);

    soup_websocket_connection_send_message (self->socket, SOUP_WEBSOCKET_DATA_BINARY, request);
  } else {
    soup_websocket_connection_close (self->socket, code, NULL);
  }
}

/* Before the first message: the connect call fails. @error is (transfer full). */
static void
fail (LiveKitSignal *self, GError *error, gushort code)
{
  g_autoptr (GTask) task = g_steal_pointer (&self->task);

  g_debug ("connect failed: %s", error->message);
  begin_closing (self, FALSE, code);
  g_task_return_error (task, error);
}

/* After it: the owner is told. @error is (transfer full). */
static void
lose (LiveKitSignal *self, GError *error, gushort code)
{
  g_autoptr (LiveKitSignal) alive = g_object_ref (self);
  g_autoptr (GError) owned = error;

  g_debug ("lost: %s", error->message);
  begin_closing (self, FALSE, code);
  g_signal_emit (self, signals[SIGNAL_CLOSED], 0, owned);
}

/* @error is (transfer full). */
static void
fail_or_lose (LiveKitSignal *self, GError *error, gushort code)
{
  if (self->phase == PHASE_WAITING)
    fail (self, error, code);
  else if (self->phase == PHASE_OPEN)
    lose (self, error, code);
  else
    g_error_free (error);
}

/* ---- the socket
 * --------------------------------------------------------------------------------------------------
 */

static void
on_pong (LiveKitSignal *self, gint64 timestamp)
{
  /* An old server's pong carries nothing of ours and answers the last ping; a new one has answered
   * ping_req before. */
  if (self->ping_sent == 0 || (timestamp != 0 && timestamp != self->ping_timestamp))
    return;
  self->rtt = MAX (1, (g_get_monotonic_time () - self->ping_sent + 500) / 1000);
  self->ping_sent = 0;
  g_signal_emit (self, signals[SIGNAL_RTT_MEASURED], 0, self->rtt);
}

static void
on_first_message (LiveKitSignal *self, LiveKitMessage *message)
{
  g_autoptr (GTask) task = NULL;
  gpointer alive = self;

  switch (message->type) {
  case LIVEKIT_MESSAGE_JOIN:
  case LIVEKIT_MESSAGE_RECONNECT:
  case LIVEKIT_MESSAGE_LEAVE:
    break;
  case LIVEKIT_MESSAGE_OTHER:
  case LIVEKIT_MESSAGE_PONG:
    return;
  default:
    fail (self,
        g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
            "The server did not begin with an answer to the join."),
        SOUP_WEBSOCKET_CLOSE_PROTOCOL_ERROR);
    return;
  }
  if (g_cancellable_is_cancelled (self->cancellable)) {
    fail (self, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled"),
        SOUP_WEBSOCKET_CLOSE_NORMAL);
    return;
  }

  self->phase = PHASE_OPEN;
  clear_source (&self->cancelled);
  task = g_steal_pointer (&self->task);
  /* This is an iteration of the task's context later than the call: its callback runs within the
   * return. The owner may close us there, or drop us, and hears nothing more then. */
  g_object_add_weak_pointer (G_OBJECT (self), &alive);
  g_task_return_boolean (task, TRUE);
  g_clear_object (&task);
  if (!alive)
    return;
  g_object_remove_weak_pointer (G_OBJECT (self), &alive);
  if (self->phase == PHASE_OPEN)
    g_signal_emit (self, signals[SIGNAL_MESSAGE], 0, message);
}

static void /* the owner may drop @self in every call out of here: each is the last thing done to it
             */
on_socket_message (
    SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *bytes, LiveKitSignal *self)
{
  g_autoptr (LiveKitMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  self->last_heard = g_get_monotonic_time ();
  if (type != SOUP_WEBSOCKET_DATA_BINARY)
    return;

  message = livekit_message_parse (bytes, &error);
  if (!message) {
    g_debug ("message of %" G_GSIZE_FORMAT " bytes not understood", g_bytes_get_size (bytes));
    if (self->phase == PHASE_WAITING || ++self->n_malformed >= MAX_MALFORMED)
      fail_or_lose (self, g_steal_pointer (&error), SOUP_WEBSOCKET_CLOSE_PROTOCOL_ERROR);
    return;
  }
  self->n_malformed = 0;

  switch (self->phase) {
  case PHASE_WAITING:
    on_first_message (self, message);
    break;
  case PHASE_OPEN:
    if (message->type == LIVEKIT_MESSAGE_PONG)
      on_pong (self, message->ping_timestamp);
    else
      g_signal_emit (self, signals[SIGNAL_MESSAGE], 0, message);
    break;
  case PHASE_CLOSING:
    if (message->type == LIVEKIT_MESSAGE_LEAVE
        && soup_websocket_connection_get_state (socket) == SOUP_WEBSOCKET_STATE_OPEN)
      soup_websocket_connection_close (socket, SOUP_WEBSOCKET_CLOSE_NORMAL, NULL);
    break;
  default:
    break;
  }
}

/* The stream ended, with a close frame (code) or without one (0). */
static void
on_socket_closed (SoupWebsocketConnection *socket, LiveKitSignal *self)
{
  const gushort code = soup_websocket_connection_get_close_code (socket);

  g_debug ("socket closed, code %u", code);
  if (self->phase == PHASE_CLOSING)
    end_closing (self);
  else
    fail_or_lose (self,
        code ? g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED,
            "The server closed the connection (code %u).", code)
             : g_error_new (
                 LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED, "The connection to the server was lost."),
        0);
}

static void
on_socket_error (SoupWebsocketConnection *socket, GError *error, LiveKitSignal *self)
{
  GError *ours;

  if (self->phase == PHASE_CLOSING) {
    end_closing (self);
    return;
  }
  if (g_error_matches (error, SOUP_WEBSOCKET_ERROR, SOUP_WEBSOCKET_CLOSE_TOO_BIG))
    ours = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The server sent a message of more than %d MiB.", LIVEKIT_WS_MAX_MESSAGE / (1024 * 1024));
  else if (error->domain == SOUP_WEBSOCKET_ERROR)
    ours = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The server broke the WebSocket protocol: %s", error->message);
  else
    ours = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED,
        "The connection to the server was lost: %s", error->message);
  release_socket (
      self); /* at once: what it goes on sending would be kept for a frame that never ends */
  fail_or_lose (self, ours, 0);
}

static void
adopt_socket (LiveKitSignal *self, SoupWebsocketConnection *socket /* (transfer full) */)
{
  self->phase = PHASE_WAITING;
  self->socket = socket;
  self->last_heard = g_get_monotonic_time ();
  g_clear_object (&self->request);
  g_clear_object (&self->session);
  g_signal_connect (socket, "message", G_CALLBACK (on_socket_message), self);
  g_signal_connect (socket, "closed", G_CALLBACK (on_socket_closed), self);
  g_signal_connect (socket, "error", G_CALLBACK (on_socket_error), self);
}

/* ---- connecting
 * --------------------------------------------------------------------------------------------------
 */

/* Why a token was refused, where the server's own words cannot be shown. */
static const char *
reason_of_token (const char *token)
{
  g_autoptr (LiveKitTokenInfo) info = livekit_token_inspect (token, NULL);

  if (!info)
    return "it is not a JSON Web Token";
  if (info->expires_at > 0 && info->expires_at < g_get_real_time () / G_USEC_PER_SEC)
    return "it has expired";
  return NULL;
}

static void
refuse (LiveKitSignal *self, const char *reason)
{
  if (!reason
      && (self->status == SOUP_STATUS_UNAUTHORIZED || self->status == SOUP_STATUS_FORBIDDEN))
    reason = reason_of_token (self->token);
  fail (self, livekit_http_error_from_status (self->status, self->validate_uri, reason), 0);
}

static void
on_validated (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LiveKitSignal) self = user_data; /* the reference of ask_why() */
  g_autoptr (GBytes) body = livekit_http_send_finish (SOUP_SESSION (source), result, NULL);
  g_autofree char *reason = NULL;

  request_returned (self);
  if (self->phase != PHASE_CONNECTING)
    return;
  if (body && soup_message_get_status (self->request) == self->status)
    reason
        = livekit_http_reason (g_bytes_get_data (body, NULL), g_bytes_get_size (body), self->token);
  refuse (self, reason);
}

static gboolean
on_validate_end (gpointer user_data)
{
  refuse (user_data, NULL);
  return G_SOURCE_REMOVE;
}

/* libsoup hides the body of a refused handshake; the validate path says it again. */
static void
ask_why (LiveKitSignal *self)
{
  self->status = soup_message_get_status (self->request);
  g_debug ("handshake refused, HTTP %u", self->status);
  g_clear_object (&self->request);
  self->request = livekit_http_message_new (
      SOUP_METHOD_GET, self->validate_uri, self->token, self->tls_insecure);
  self->validate_end = add_timer (self, self->explain_time, on_validate_end);
  self->n_requests++;
  livekit_http_send_async (
      self->session, self->request, self->pending, on_validated, g_object_ref (self));
}

static void
on_handshake (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LiveKitSignal) self = user_data; /* the reference of livekit_signal_connect_async() */
  g_autoptr (GError) error = NULL;
  g_autoptr (SoupWebsocketConnection) socket
      = soup_session_websocket_connect_finish (SOUP_SESSION (source), result, &error);

  request_returned (self);
  if (self->phase != PHASE_CONNECTING)
    return; /* cancelled or closed meanwhile */
  if (socket && livekit_ws_limit_start (socket))
    adopt_socket (self, g_steal_pointer (&socket));
  else if (socket)
    fail (self,
        g_error_new (
            LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL, "The server's handshake cannot be read."),
        0);
  else if (error->domain == SOUP_WEBSOCKET_ERROR && soup_message_get_status (self->request) >= 200)
    ask_why (self);
  else
    fail (self, livekit_http_error_from_transport (error, self->request), 0);
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  fail (user_data, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled"),
      SOUP_WEBSOCKET_CLOSE_NORMAL);
  return G_SOURCE_REMOVE;
}

static char *
build_query (const LiveKitSignalParams *params)
{
  GString *query = g_string_new (
      "protocol=" PROTOCOL_VERSION "&auto_subscribe=0&version=" PACKAGE_VERSION "&os=linux");

  if (params->resume_sid) {
    g_string_append (query, "&reconnect=1&sid=");
    g_string_append_uri_escaped (query, params->resume_sid, NULL, FALSE);
    g_string_append_printf (query, "&reconnect_reason=%d", params->resume_reason);
  }
  return g_string_free (query, FALSE);
}

/* The address of @path below the server's. (transfer full) */
static GUri *
build_uri (GUri *base, const char *scheme, const char *path, const char *query)
{
  g_autofree char *prefix = g_strdup (g_uri_get_path (base));
  g_autofree char *whole = NULL;
  gsize length = strlen (prefix);

  while (length > 0 && prefix[length - 1] == '/')
    prefix[--length] = '\0';
  whole = g_strconcat (prefix, path, NULL);
  return g_uri_build (SOUP_HTTP_URI_FLAGS, scheme, NULL, g_uri_get_host (base),
      g_uri_get_port (base), whole, query, NULL);
}

static gboolean
is_host (const char *host)
{
  if (!host || !*host)
    return FALSE;
  for (; *host; host++)
    if (g_ascii_iscntrl (*host) || g_ascii_isspace (*host))
      return FALSE;
  return TRUE;
}

static gboolean
build_uris (
    const LiveKitSignalParams *params, GUri **socket_uri, GUri **validate_uri, GError **error)
{
  g_autoptr (GUri) base = NULL;
  g_autofree char *query = NULL;
  const char *scheme;
  gboolean secure;

  if (!params->url || strnlen (params->url, MAX_URL + 1) > MAX_URL
      || !(base = g_uri_parse (params->url, SOUP_HTTP_URI_FLAGS, NULL))
      || !is_host (g_uri_get_host (base))) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
        "The server address must be a URL such as wss://livekit.example.com.");
    return FALSE;
  }
  scheme = g_uri_get_scheme (base);
  secure = g_str_equal (scheme, "wss") || g_str_equal (scheme, "https");
  if (!secure && !g_str_equal (scheme, "ws") && !g_str_equal (scheme, "http")) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
        "The server address must begin with ws://, wss://, http:// or https://.");
    return FALSE;
  }
  if (g_uri_get_userinfo (base) || g_uri_get_query (base) || g_uri_get_fragment (base)) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
        "The server address must hold no user name, query or fragment.");
    return FALSE;
  }

  query = build_query (params);
  *socket_uri = build_uri (base, secure ? "wss" : "ws", "/rtc", query);
  *validate_uri = build_uri (base, secure ? "https" : "http", "/rtc/validate", query);
  return TRUE;
}

/**
 * livekit_signal_connect_async:
 *
 * @callback is called in the main context of @self.
 */
void
livekit_signal_connect_async (LiveKitSignal *self, const LiveKitSignalParams *params,
    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  /* The cancellable is ours alone: on_cancelled() leaves our state in step, and a task whose own is
   * cancelled meanwhile would call back in a later iteration, after the first message. */
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_autoptr (GUri) socket_uri = NULL;
  g_autofree char *server = NULL;
  GError *error = NULL;

  g_return_if_fail (LIVEKIT_IS_SIGNAL (self));

  g_task_set_source_tag (task, livekit_signal_connect_async);
  if (self->phase != PHASE_NEW) {
    g_task_return_new_error (
        task, LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED, "The connection was closed.");
    return;
  }
  if (g_cancellable_set_error_if_cancelled (cancellable, &error)
      || !build_uris (params, &socket_uri, &self->validate_uri, &error)) {
    self->phase = PHASE_CLOSED;
    g_task_return_error (task, error);
    return;
  }
  if (!params->token || !livekit_http_is_token (params->token)) {
    self->phase = PHASE_CLOSED;
    g_task_return_new_error (
        task, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG, "The access token is missing or malformed.");
    return;
  }

  self->phase = PHASE_CONNECTING;
  self->task = g_steal_pointer (&task);
  self->token = g_strdup (params->token);
  self->tls_insecure = params->tls_insecure;
  self->explain_time = params->explain_time ? params->explain_time : EXPLAIN_TIME;
  if (g_set_object (&self->cancellable, cancellable)) {
    self->cancelled = g_cancellable_source_new (cancellable);
    g_source_set_callback (self->cancelled, G_SOURCE_FUNC (on_cancelled), self, NULL);
    g_source_attach (self->cancelled, self->context);
  }

  server = livekit_http_describe (socket_uri);
  g_debug ("%s %s", params->resume_sid ? "resuming at" : "joining at", server);
  self->session = livekit_http_session_new (params->tls_database);
  livekit_ws_limit_add_to_session (self->session);
  self->request
      = livekit_http_message_new (SOUP_METHOD_GET, socket_uri, self->token, self->tls_insecure);
  livekit_ws_limit_add_to_handshake (self->request);
  self->n_requests++;
  soup_session_websocket_connect_async (self->session, self->request, NULL, NULL,
      G_PRIORITY_DEFAULT, self->pending, on_handshake, g_object_ref (self));
}

gboolean
livekit_signal_connect_finish (LiveKitSignal *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ---- an open connection
 * ------------------------------------------------------------------------------------------ */

void
livekit_signal_send (LiveKitSignal *self, GBytes *request)
{
  g_autoptr (GBytes) owned = request;

  g_return_if_fail (LIVEKIT_IS_SIGNAL (self));

  if (self->phase == PHASE_OPEN
      && soup_websocket_connection_get_state (self->socket) == SOUP_WEBSOCKET_STATE_OPEN)
    soup_websocket_connection_send_message (self->socket, SOUP_WEBSOCKET_DATA_BINARY, owned);
}

static gboolean
on_ping (gpointer user_data)
{
  LiveKitSignal *self = user_data;

  self->ping_sent = g_get_monotonic_time ();
  self->ping_timestamp = g_get_real_time () / 1000;
  livekit_signal_send (self, livekit_message_ping (self->ping_timestamp, self->rtt));
  livekit_signal_send (self, livekit_message_legacy_ping (self->ping_timestamp));
  return G_SOURCE_CONTINUE;
}

static gboolean on_silence (gpointer user_data);

static void
watch_silence (LiveKitSignal *self, gint64 us)
{
  clear_source (&self->silence);
  self->silence_due = g_get_monotonic_time () + us;
  self->silence = add_timer (self, (guint)(us / 1000 + 1), on_silence);
}

static gboolean
on_silence (gpointer user_data)
{
  LiveKitSignal *self = user_data;
  const gint64 now = g_get_monotonic_time ();

  if (now - self->last_heard < self->timeout)
    watch_silence (self, self->last_heard + self->timeout - now);
  else if (now - self->silence_due > LATE * 1000)
    watch_silence (self, LATE * 1000); /* what the server said while we slept is still to be read */
  else
    lose (self,
        g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT,
            "The server has been silent for %d seconds.", (int)(self->timeout / G_USEC_PER_SEC)),
        SOUP_WEBSOCKET_CLOSE_GOING_AWAY);
  return G_SOURCE_REMOVE;
}

void
livekit_signal_start_pings (LiveKitSignal *self, int interval, int timeout)
{
  g_return_if_fail (LIVEKIT_IS_SIGNAL (self));

  clear_source (&self->ping);
  clear_source (&self->silence);
  if (self->phase != PHASE_OPEN || interval <= 0 || interval > MAX_PING_TIME)
    return;
  self->ping = add_timer (self, (guint)interval * 1000, on_ping);
  if (timeout <= 0)
    return;
  /* Not before the first ping could have been answered, whatever the server says. */
  self->timeout = (gint64)CLAMP (timeout, interval + 1, 2 * MAX_PING_TIME) * G_USEC_PER_SEC;
  watch_silence (self, self->timeout);
}

void
livekit_signal_close (LiveKitSignal *self, gboolean leave, GSourceFunc done, gpointer user_data)
{
  g_autoptr (LiveKitSignal) alive = g_object_ref (self);
  g_autoptr (GTask) task = g_steal_pointer (&self->task);

  g_return_if_fail (LIVEKIT_IS_SIGNAL (self));

  if (self->phase < PHASE_CLOSING)
    begin_closing (self, leave, SOUP_WEBSOCKET_CLOSE_NORMAL);
  if (done && (self->phase == PHASE_CLOSING || self->n_requests > 0)) {
    const Done record = { done, user_data };

    g_array_append_val (self->dones, record);
  } else if (done) {
    g_autoptr (GSource) later = g_idle_source_new ();

    g_source_set_priority (later, G_PRIORITY_DEFAULT);
    g_source_set_callback (later, done, user_data, NULL);
    g_source_attach (later, self->context);
  }
  if (task)
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "The connection was closed.");
}

/* ---- object
 * ------------------------------------------------------------------------------------------------------
 */

LiveKitSignal *
livekit_signal_new (void)
{
  return g_object_new (LIVEKIT_TYPE_SIGNAL, NULL);
}

static void
livekit_signal_dispose (GObject *object)
{
  LiveKitSignal *self = LIVEKIT_SIGNAL (object);

  /* Neither connecting nor closing, each of which holds a reference: new, open or closed. */
  stop_work (self);
  release_socket (self);
  self->phase = PHASE_CLOSED;
  G_OBJECT_CLASS (livekit_signal_parent_class)->dispose (object);
}

static void
livekit_signal_finalize (GObject *object)
{
  LiveKitSignal *self = LIVEKIT_SIGNAL (object);

  g_clear_object (&self->cancellable);
  g_clear_object (&self->pending);
  g_clear_pointer (&self->dones, g_array_unref);
  g_clear_pointer (&self->context, g_main_context_unref);
  G_OBJECT_CLASS (livekit_signal_parent_class)->finalize (object);
}

static void
livekit_signal_class_init (LiveKitSignalClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = livekit_signal_dispose;
  object_class->finalize = livekit_signal_finalize;

  signals[SIGNAL_MESSAGE] = g_signal_new ("message", LIVEKIT_TYPE_SIGNAL, G_SIGNAL_RUN_LAST, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
  signals[SIGNAL_CLOSED] = g_signal_new ("closed", LIVEKIT_TYPE_SIGNAL, G_SIGNAL_RUN_LAST, 0, NULL,
      NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR | G_SIGNAL_TYPE_STATIC_SCOPE);
  signals[SIGNAL_RTT_MEASURED] = g_signal_new ("rtt-measured", LIVEKIT_TYPE_SIGNAL,
      G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_INT64);
}

static void
livekit_signal_init (LiveKitSignal *self)
{
  self->context = g_main_context_ref_thread_default ();
  self->pending = g_cancellable_new ();
  self->dones = g_array_new (FALSE, FALSE, sizeof (Done));
}
