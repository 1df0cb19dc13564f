/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-greeting.h"

#include <string.h>

#define ASK_TIMEOUT 10  /* s from the handshake to the first message */
#define CLOSE_TIMEOUT 2 /* s, for the client to take our close frame and go */

struct _WsGreeting
{
  GIOStream *stream;      /* (owned) (nullable) once stolen */
  GSocket *socket;        /* (owned) (nullable) once stolen */
  GSource *in, *deadline; /* (owned) (nullable) */
  WsParser parser;
  gboolean closing; /* our close frame is sent: what comes is not looked at */
  WsGreetingFunc done;
  gpointer user_data;
};

static void
clear_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static gboolean
on_deadline (gpointer user_data)
{
  WsGreeting *greeting = user_data;

  if (greeting->closing)
    greeting->done (greeting, NULL, greeting->user_data); /* which frees it */
  else
    ws_greeting_close (greeting, WS_CLOSE_ASK_TIMEOUT, "no first message came in 10 seconds");
  return G_SOURCE_REMOVE;
}

static void
set_deadline (WsGreeting *greeting, guint seconds)
{
  clear_source (&greeting->deadline);
  greeting->deadline = g_timeout_source_new_seconds (seconds);
  g_source_set_callback (greeting->deadline, on_deadline, greeting, NULL);
  g_source_attach (greeting->deadline, g_main_context_get_thread_default ());
}

/* Whoever does not even take this has sent much and read nothing. */
static gboolean
send_short (WsGreeting *greeting, WsOpcode opcode, const guint8 *data, gsize size)
{
  guint8 frame[WS_MAX_HEADER + WS_MAX_CONTROL_PAYLOAD];
  guint header_size = ws_frame_header (frame, opcode, size);
  GOutputVector vector = { frame, header_size + size };
  gsize written = 0;

  memcpy (frame + header_size, data, size);
  return g_socket_send_message_with_timeout (
             greeting->socket, NULL, &vector, 1, NULL, 0, 0, 0, &written, NULL, NULL)
             == G_POLLABLE_RETURN_OK
         && written == vector.size;
}

/* Says goodbye, and is done when the client has gone, or in two seconds. */
void
ws_greeting_close (WsGreeting *greeting, guint16 code, const char *reason)
{
  guint8 payload[WS_MAX_CONTROL_PAYLOAD];
  gsize size = ws_close_payload (payload, code, reason);

  if (greeting->closing)
    return;
  greeting->closing = TRUE;
  send_short (greeting, WS_OPCODE_CLOSE, payload, size);
  g_socket_shutdown (greeting->socket, FALSE, TRUE, NULL);
  set_deadline (greeting, CLOSE_TIMEOUT);
}

static gboolean
is_ping (const WsEvent *event)
{
  return event->size == 4 && memcmp (event->data, "ping", 4) == 0;
}

/* Returns: whether it is an ask; the connection is being closed otherwise */
static gboolean
take_ask (WsGreeting *greeting, const WsEvent *event, WsAsk *ask)
{
  g_autofree char *problem = NULL;

  if (event->opcode != WS_OPCODE_TEXT)
    problem = g_strdup ("the first message must be text");
  else if (ws_ask_parse ((const char *)event->data, event->size, ask, &problem))
    return TRUE;
  ws_greeting_close (greeting, WS_CLOSE_BAD_ASK, problem);
  return FALSE;
}

/* Returns: whether event is the ask */
static gboolean
take_event (WsGreeting *greeting, const WsEvent *event, WsAsk *ask)
{
  switch (event->type) {
  case WS_EVENT_MESSAGE:
    if (event->opcode != WS_OPCODE_TEXT || !is_ping (event))
      return take_ask (greeting, event, ask);
    send_short (greeting, WS_OPCODE_TEXT, (const guint8 *)"pong", 4);
    break;
  case WS_EVENT_PING:
    send_short (greeting, WS_OPCODE_PONG, event->data, event->size);
    break;
  case WS_EVENT_CLOSE:
    ws_greeting_close (greeting, event->code, NULL);
    break;
  case WS_EVENT_ERROR:
    ws_greeting_close (greeting, event->code, event->reason);
    break;
  case WS_EVENT_PONG:
  case WS_EVENT_NONE:
    break;
  }
  return FALSE;
}

static void arm_in (WsGreeting *greeting);

/* A byte at a time: the parser does not say how many it wants, and none may be taken that is not
 * part of the first message. */
static gboolean
on_readable (GObject *pollable, gpointer user_data)
{
  WsGreeting *greeting = user_data;
  GPollableInputStream *in = G_POLLABLE_INPUT_STREAM (pollable);
  g_autoptr (GError) error = NULL;
  gssize n = 1;

  clear_source (&greeting->in); /* made anew each time, as in ws-viewer.c */
  for (guint i = 0; i < WS_MAX_CLIENT_MESSAGE; i++) {
    guint8 byte;
    WsEvent event;
    WsAsk ask;

    n = g_pollable_input_stream_read_nonblocking (in, &byte, 1, NULL, &error);
    if (n <= 0)
      break;
    if (greeting->closing)
      continue;
    ws_parser_feed (&greeting->parser, &byte, 1, &event);
    if (!take_event (greeting, &event, &ask))
      continue;
    greeting->done (greeting, &ask, greeting->user_data); /* which frees it */
    return G_SOURCE_REMOVE;
  }
  if (n > 0 || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    arm_in (greeting);
  else
    greeting->done (greeting, NULL, greeting->user_data);
  return G_SOURCE_REMOVE;
}

static void
arm_in (WsGreeting *greeting)
{
  GPollableInputStream *in
      = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (greeting->stream));

  greeting->in = g_pollable_input_stream_create_source (in, NULL);
  g_source_set_callback (greeting->in, G_SOURCE_FUNC (on_readable), greeting, NULL);
  g_source_attach (greeting->in, g_main_context_get_thread_default ());
}

/* @stream: the connection after its handshake
 * @socket: the socket below stream */
WsGreeting *
ws_greeting_new (GIOStream *stream, GSocket *socket, WsGreetingFunc done, gpointer user_data)
{
  WsGreeting *greeting = g_new0 (WsGreeting, 1);

  greeting->stream = g_object_ref (stream);
  greeting->socket = g_object_ref (socket);
  greeting->done = done;
  greeting->user_data = user_data;
  ws_parser_init (&greeting->parser);
  set_deadline (greeting, ASK_TIMEOUT);
  arm_in (greeting);
  return greeting;
}

/* The connection, for whoever goes on with it.
 *
 * @socket: (out) (transfer full)
 *
 * Returns: (transfer full) */
GIOStream *
ws_greeting_steal (WsGreeting *greeting, GSocket **socket)
{
  clear_source (&greeting->in);
  *socket = g_steal_pointer (&greeting->socket);
  return g_steal_pointer (&greeting->stream);
}

/* Closes the connection, unless it was stolen. */
void
ws_greeting_free (WsGreeting *greeting)
{
  clear_source (&greeting->in);
  clear_source (&greeting->deadline);
  if (greeting->stream)
    g_io_stream_close (greeting->stream, NULL, NULL);
  if (greeting->socket)
    g_socket_close (greeting->socket, NULL);
  g_clear_object (&greeting->stream);
  g_clear_object (&greeting->socket);
  g_free (greeting);
}
