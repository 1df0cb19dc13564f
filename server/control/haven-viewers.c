/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-viewers.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "haven-error.h"
#include "haven-log.h"
#include "ws-protocol.h"

#define MAX_WAITING 1024
#define CLOSE_POLICY 1008
#define MAX_PEEK (WS_MAX_CLIENT_MESSAGE + 1024)

struct _HavenViewers
{
  HavenConfig *config; /* outlives us, as manager does */
  HavenSessionManager *manager;
  GPtrArray *waiting; /* (owned) Waiting */
  GPtrArray *passing; /* (unowned) Waiting that a session is being given */
  gulong ready_handler;
};

typedef struct
{
  HavenViewers *viewers; /* (nullable): NULL when they are gone */
  char *id;
  gint64 session_id; /* 0: it waits for one */
  GIOStream *stream; /* (owned) holds socket */
  GSocket *socket;   /* (owned) */
  char *form;
  GVariant *options; /* (owned) */
  guint timeout;
  GSource *watch; /* (owned) (nullable) what it says while it waits */
  gsize left;     /* bytes that are left for the session to read */
} Waiting;

static void
stop_listening (Waiting *waiting)
{
  if (!waiting->watch)
    return;
  g_source_destroy (waiting->watch);
  g_clear_pointer (&waiting->watch, g_source_unref);
  g_socket_set_option (waiting->socket, SOL_SOCKET, SO_RCVLOWAT, 1, NULL);
}

static void
waiting_free (gpointer data)
{
  Waiting *waiting = data;

  g_clear_handle_id (&waiting->timeout, g_source_remove);
  stop_listening (waiting);
  /* Whoever got a copy goes on with it; shutting down would end that too. */
  g_socket_close (waiting->socket, NULL);
  g_object_unref (waiting->socket);
  g_object_unref (waiting->stream);
  g_variant_unref (waiting->options);
  g_free (waiting->form);
  g_free (waiting->id);
  g_free (waiting);
}

static gboolean
is_websocket (const Waiting *waiting)
{
  return strcmp (waiting->form, "mjpeg") != 0;
}

/* A control frame or a word fits into the nearly empty send buffer of a connection that has seen a
 * handshake only. */
static gboolean
send_frame (Waiting *waiting, WsOpcode opcode, const guint8 *payload, gsize size)
{
  guint8 frame[WS_MAX_HEADER + WS_MAX_CONTROL_PAYLOAD];
  guint header = ws_frame_header (frame, opcode, size);

  memcpy (frame + header, payload, size);
  return g_socket_send (waiting->socket, (const char *)frame, header + size, NULL, NULL)
         == (gssize)(header + size);
}

static void
say_goodbye (Waiting *waiting, guint16 code, const char *reason)
{
  guint8 payload[WS_MAX_CONTROL_PAYLOAD];

  if (!is_websocket (waiting))
    return;
  send_frame (waiting, WS_OPCODE_CLOSE, payload, ws_close_payload (payload, code, reason));
  g_socket_shutdown (waiting->socket, FALSE, TRUE, NULL);
}

/* -- what a viewer says while it waits -- */

static gboolean
is_ping_text (const WsEvent *event)
{
  return event->opcode == WS_OPCODE_TEXT && event->size == 4
         && memcmp (event->data, "ping", 4) == 0;
}

/* In haven.v1 messages are wishes, which the session hears. */
static gboolean
is_for_session (const Waiting *waiting, const WsEvent *event)
{
  return event->type == WS_EVENT_MESSAGE && strcmp (waiting->form, "haven.v1") == 0;
}

/* Returns: FALSE: it is to be let go */
static gboolean
answer (Waiting *waiting, const WsEvent *event)
{
  switch (event->type) {
  case WS_EVENT_PING:
    return send_frame (waiting, WS_OPCODE_PONG, event->data, event->size);
  case WS_EVENT_MESSAGE:
    return !is_ping_text (event) || send_frame (waiting, WS_OPCODE_TEXT, (const guint8 *)"pong", 4);
  case WS_EVENT_CLOSE:
    say_goodbye (waiting, event->code, NULL);
    return FALSE;
  case WS_EVENT_ERROR:
    say_goodbye (waiting, event->code, event->reason);
    return FALSE;
  default:
    return TRUE;
  }
}

/* Whole messages are taken out of the socket and answered. What is not whole, or is meant for the
 * session, stays in there, so that whoever gets the socket finds it.
 *
 * @taken: (out): bytes
 *
 * Returns: FALSE: it is to be let go */
static gboolean
answer_all (Waiting *waiting, const guint8 *data, gsize size, gsize *taken)
{
  g_autofree WsParser *parser = g_new (WsParser, 1);
  gsize read = 0;
  WsEvent event;

  *taken = 0;
  ws_parser_init (parser);
  do {
    read += ws_parser_feed (parser, data + read, size - read, &event);
    if (event.type != WS_EVENT_ERROR
        && (event.type == WS_EVENT_NONE || parser->in_message || is_for_session (waiting, &event)))
      return TRUE;
    *taken = read;
  } while (answer (waiting, &event));
  return FALSE;
}

static void
forget (Waiting *waiting)
{
  g_ptr_array_remove_fast (waiting->viewers->waiting, waiting);
}

/* Returns: FALSE: it is to be let go */
static gboolean
hear (Waiting *waiting)
{
  guint8 bytes[MAX_PEEK];
  gsize taken = 0;
  gssize size
      = recv (g_socket_get_fd (waiting->socket), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  gboolean stays;

  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  /* woken although nothing came: it has closed behind what is left for the session */
  if (size <= 0 || (gsize)size <= waiting->left)
    return FALSE;
  stays = answer_all (waiting, bytes, (gsize)size, &taken);
  if (!stays) /* closing with bytes unread would take the goodbye back */
    taken = (gsize)size;
  g_socket_receive (waiting->socket, (char *)bytes, taken, NULL, NULL);
  waiting->left = (gsize)size - taken;
  g_socket_set_option (waiting->socket, SOL_SOCKET, SO_RCVLOWAT, (gint)waiting->left + 1, NULL);
  return stays && waiting->left < sizeof bytes;
}

static gboolean
on_readable (GSocket *socket, GIOCondition condition, gpointer user_data)
{
  Waiting *waiting = user_data;

  if (hear (waiting))
    return G_SOURCE_CONTINUE;
  forget (waiting);
  return G_SOURCE_REMOVE;
}

static void
listen_to (Waiting *waiting)
{
  waiting->watch = g_socket_create_source (waiting->socket, G_IO_IN, NULL);
  g_source_set_callback (waiting->watch, (GSourceFunc)(void (*) (void))on_readable, waiting, NULL);
  g_source_attach (waiting->watch, NULL);
}

/* -- giving it to the session -- */

static void
on_taken (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Waiting *waiting = user_data;
  g_autoptr (GError) error = NULL;
  guint viewer;

  if (!haven_dbus_session1_call_add_viewer_finish (
          HAVEN_DBUS_SESSION1 (source), &viewer, NULL, result, &error)) {
    error = haven_error_from_dbus (g_steal_pointer (&error));
    haven_log_session (G_LOG_LEVEL_INFO, "viewer-refused", waiting->session_id, "room", waiting->id,
        "message", error->message, NULL);
    say_goodbye (waiting, WS_CLOSE_TRY_AGAIN_LATER, error->message);
  }
  if (waiting->viewers)
    g_ptr_array_remove_fast (waiting->viewers->passing, waiting);
  waiting_free (waiting);
}

static void /* @waiting: (transfer full) */
pass_on (HavenSession *session, Waiting *waiting)
{
  g_clear_handle_id (&waiting->timeout, g_source_remove);
  stop_listening (waiting);
  waiting->session_id = session->id;
  g_ptr_array_add (waiting->viewers->passing, waiting);
  haven_session_client_add_viewer (
      session->client, waiting->socket, waiting->form, waiting->options, on_taken, waiting);
}

static void wait_on (Waiting *waiting);

/* A session that starts, or is restarted, is waited for as long as it tries. */
static gboolean
on_timeout (gpointer user_data)
{
  Waiting *waiting = user_data;
  HavenSessionManager *manager = waiting->viewers->manager;
  HavenSession *session = haven_session_manager_find (manager, waiting->id);
  const char *failure = haven_session_manager_get_failure (manager, waiting->id);

  waiting->timeout = 0;
  if (session && session->phase != HAVEN_SESSION_STOPPING) {
    wait_on (waiting);
    return G_SOURCE_REMOVE;
  }
  say_goodbye (waiting, CLOSE_POLICY, failure ? failure : "there is no session of that id");
  forget (waiting);
  return G_SOURCE_REMOVE;
}

static void
wait_on (Waiting *waiting)
{
  waiting->timeout = g_timeout_add_seconds (
      haven_config_get_uint (waiting->viewers->config, HAVEN_KEY_VIEWER_WAIT), on_timeout, waiting);
}

static void
on_session_ready (HavenSessionManager *manager, HavenSession *session, HavenViewers *viewers)
{
  for (guint i = viewers->waiting->len; i-- > 0;) {
    Waiting *waiting = viewers->waiting->pdata[i];

    if (haven_session_manager_find (manager, waiting->id) == session)
      pass_on (session, g_ptr_array_steal_index_fast (viewers->waiting, i));
  }
}

HavenViewers *
haven_viewers_new (HavenConfig *config, HavenSessionManager *manager)
{
  HavenViewers *viewers = g_new0 (HavenViewers, 1);

  viewers->config = config;
  viewers->manager = manager;
  viewers->waiting = g_ptr_array_new_with_free_func (waiting_free);
  viewers->passing = g_ptr_array_new ();
  viewers->ready_handler
      = g_signal_connect (manager, "session-ready", G_CALLBACK (on_session_ready), viewers);
  return viewers;
}

void
haven_viewers_free (HavenViewers *viewers)
{
  g_signal_handler_disconnect (viewers->manager, viewers->ready_handler);
  g_ptr_array_unref (viewers->waiting);
  for (guint i = 0; i < viewers->passing->len; i++)
    ((Waiting *)viewers->passing->pdata[i])->viewers = NULL;
  g_ptr_array_unref (viewers->passing);
  g_free (viewers);
}

/* Gives a connection, whose handshake or head is written, to the session, as soon as there is one.
 *
 * @too_early: it sent frames before it had the handshake's answer
 * @options: (transfer floating) */
void
haven_viewers_take (HavenViewers *viewers, const char *id, GIOStream *stream, GSocket *socket,
    gboolean too_early, const char *form, GVariant *options)
{
  HavenSession *session = haven_session_manager_find (viewers->manager, id);
  Waiting *waiting = g_new0 (Waiting, 1);

  waiting->viewers = viewers;
  waiting->id = g_strdup (id);
  waiting->stream = g_object_ref (stream);
  waiting->socket = g_object_ref (socket);
  waiting->form = g_strdup (form);
  waiting->options = g_variant_ref_sink (options);
  if (too_early) {
    say_goodbye (waiting, WS_CLOSE_PROTOCOL_ERROR, "frames came before the handshake was answered");
    waiting_free (waiting);
    return;
  }
  if (session && session->phase == HAVEN_SESSION_ACTIVE) {
    pass_on (session, waiting);
    return;
  }
  if (!session && haven_config_get_boolean (viewers->config, HAVEN_KEY_START_FOR_VIEWERS))
    haven_session_manager_start_for_viewers (viewers->manager, id, NULL, NULL);
  g_ptr_array_add (viewers->waiting, waiting);
  wait_on (waiting);
  listen_to (waiting);
}

/* Those that wait. */
void
haven_viewers_close_all (HavenViewers *viewers, guint16 code, const char *reason)
{
  for (guint i = 0; i < viewers->waiting->len; i++)
    say_goodbye (viewers->waiting->pdata[i], code, reason);
  g_ptr_array_set_size (viewers->waiting, 0);
}

guint
haven_viewers_waiting (HavenViewers *viewers)
{
  return viewers->waiting->len;
}

static guint
count_of (HavenViewers *viewers, GPtrArray *list, const HavenSession *session, const char *id)
{
  guint count = 0;

  for (guint i = 0; i < list->len; i++) {
    const Waiting *waiting = list->pdata[i];

    if (session ? haven_session_manager_find (viewers->manager, waiting->id) == session
                : strcmp (waiting->id, id) == 0)
      count++;
  }
  return count;
}

/* Whether one more may watch. */
gboolean
haven_viewers_check (HavenViewers *viewers, const char *id, GError **error)
{
  guint most = haven_config_get_uint (viewers->config, HAVEN_KEY_MAX_VIEWERS);
  guint most_of_all = haven_config_get_uint (viewers->config, HAVEN_KEY_MAX_VIEWERS_TOTAL);
  HavenSession *session = haven_session_manager_find (viewers->manager, id);
  guint all = viewers->waiting->len + viewers->passing->len
              + haven_session_manager_count_viewers (viewers->manager);
  guint count = count_of (viewers, viewers->waiting, session, id)
                + count_of (viewers, viewers->passing, session, id);

  if (session && session->proxy)
    count += haven_dbus_session1_get_num_viewers (session->proxy);
  if (viewers->waiting->len >= MAX_WAITING)
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT, "Too many viewers wait for a session.");
  else if (most_of_all && all >= most_of_all)
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT,
        "The limit of %u viewers of all rooms is reached.", most_of_all);
  else if (most && count >= most)
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT,
        "The limit of %u viewers of “%s” is reached.", most, id);
  else
    return TRUE;
  return FALSE;
}
