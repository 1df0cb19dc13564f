/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-livekit.h"

#include <string.h>

#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */

/* ---- what it says
 * ------------------------------------------------------------------------------------------------
 */

void
fake_livekit_send_bytes (FakeLiveKit *fake, const void *data, gsize size)
{
  soup_websocket_connection_send_binary (fake->socket, data, size);
}

void
fake_livekit_send (FakeLiveKit *fake, const Livekit__SignalResponse *response)
{
  const gsize size = livekit__signal_response__get_packed_size (response);
  g_autofree guint8 *data = g_malloc (size + 1);

  livekit__signal_response__pack (response, data);
  fake_livekit_send_bytes (fake, data, size);
}

void
fake_livekit_send_join (FakeLiveKit *fake)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__JoinResponse join = LIVEKIT__JOIN_RESPONSE__INIT;
  Livekit__Room room = LIVEKIT__ROOM__INIT;
  Livekit__ParticipantInfo self = LIVEKIT__PARTICIPANT_INFO__INIT;

  room.sid = (char *)"RM_demo";
  room.name = (char *)"demo";
  self.sid = (char *)"PA_self";
  self.identity = (char *)"viewer";
  join.room = &room;
  join.participant = &self;
  join.subscriber_primary = TRUE;
  join.ping_interval = 5;
  join.ping_timeout = 15;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN;
  response.join = &join;
  fake_livekit_send (fake, &response);
}

void
fake_livekit_send_reconnect (FakeLiveKit *fake)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__ReconnectResponse reconnect = LIVEKIT__RECONNECT_RESPONSE__INIT;

  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_RECONNECT;
  response.reconnect = &reconnect;
  fake_livekit_send (fake, &response);
}

void
fake_livekit_send_leave (FakeLiveKit *fake, int action, int reason)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__LeaveRequest leave = LIVEKIT__LEAVE_REQUEST__INIT;

  leave.action = (Livekit__LeaveRequest__Action)action;
  leave.reason = (Livekit__DisconnectReason)reason;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE;
  response.leave = &leave;
  fake_livekit_send (fake, &response);
}

void
fake_livekit_send_refresh_token (FakeLiveKit *fake, const char *token)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;

  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_REFRESH_TOKEN;
  response.refresh_token = (char *)token;
  fake_livekit_send (fake, &response);
}

void
fake_livekit_send_offer (FakeLiveKit *fake, const char *sdp, guint32 id)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__SessionDescription offer = LIVEKIT__SESSION_DESCRIPTION__INIT;

  offer.type = (char *)"offer";
  offer.sdp = (char *)sdp;
  offer.id = id;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_OFFER;
  response.offer = &offer;
  fake_livekit_send (fake, &response);
}

void
fake_livekit_send_refused_track (
    FakeLiveKit *fake, const char *sid, Livekit__SubscriptionError reason)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__SubscriptionResponse refused = LIVEKIT__SUBSCRIPTION_RESPONSE__INIT;

  refused.track_sid = (char *)sid;
  refused.err = reason;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SUBSCRIPTION_RESPONSE;
  response.subscription_response = &refused;
  fake_livekit_send (fake, &response);
}

void
fake_livekit_close (FakeLiveKit *fake, gushort code)
{
  if (fake->socket
      && soup_websocket_connection_get_state (fake->socket) == SOUP_WEBSOCKET_STATE_OPEN)
    soup_websocket_connection_close (fake->socket, code, NULL);
}

void
fake_livekit_cut (FakeLiveKit *fake)
{
  g_assert_nonnull (fake->raw);
  g_socket_shutdown (fake->raw, TRUE, TRUE, NULL);
}

/* ---- what it hears
 * -----------------------------------------------------------------------------------------------
 */

Livekit__SignalRequest *
fake_livekit_get_request (FakeLiveKit *fake, guint n)
{
  GBytes *bytes;
  Livekit__SignalRequest *request;

  if (n >= fake->requests->len)
    return NULL;
  bytes = g_ptr_array_index (fake->requests, n);
  request = livekit__signal_request__unpack (
      NULL, g_bytes_get_size (bytes), g_bytes_get_data (bytes, NULL));
  g_assert_nonnull (request);
  return request;
}

static void
answer_request (FakeLiveKit *fake, const Livekit__SignalRequest *request)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__Pong pong = LIVEKIT__PONG__INIT;

  switch (request->message_case) {
  case LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ:
    pong.last_ping_timestamp = request->ping_req->timestamp;
    pong.timestamp = g_get_real_time () / 1000;
    response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG_RESP;
    response.pong_resp = &pong;
    fake_livekit_send (fake, &response);
    break;
  case LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING:
    response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG;
    response.pong = g_get_real_time () / 1000;
    fake_livekit_send (fake, &response);
    break;
  case LIVEKIT__SIGNAL_REQUEST__MESSAGE_LEAVE:
    fake_livekit_send_leave (
        fake, LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT, (int)request->leave->reason);
    fake_livekit_close (fake, SOUP_WEBSOCKET_CLOSE_NORMAL);
    break;
  default:
    break;
  }
}

static void
on_message (
    SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *bytes, FakeLiveKit *fake)
{
  Livekit__SignalRequest *request;

  if (socket != fake->socket)
    return;
  g_assert_cmpint (type, ==, SOUP_WEBSOCKET_DATA_BINARY);
  g_ptr_array_add (fake->requests, g_bytes_ref (bytes));
  request = fake_livekit_get_request (fake, fake->requests->len - 1);
  if (fake->request)
    fake->request (fake, request, fake->user_data);
  else
    answer_request (fake, request);
  livekit__signal_request__free_unpacked (request, NULL);
}

static void
forget_socket (FakeLiveKit *fake)
{
  if (fake->socket)
    g_signal_handlers_disconnect_by_data (fake->socket, fake);
  g_clear_object (&fake->socket);
  g_clear_object (&fake->raw);
}

static void
on_closed (SoupWebsocketConnection *socket, FakeLiveKit *fake)
{
  fake->n_closed++;
  fake->close_code = soup_websocket_connection_get_close_code (socket);
  if (socket == fake->socket)
    forget_socket (fake);
}

static void
on_websocket (SoupServer *server, SoupServerMessage *message, const char *path,
    SoupWebsocketConnection *socket, gpointer user_data)
{
  FakeLiveKit *fake = user_data;

  forget_socket (fake);
  fake->socket = g_object_ref (socket);
  fake->raw = g_object_ref (soup_server_message_get_socket (message));
  soup_websocket_connection_set_max_incoming_payload_size (
      socket, 2 * 1024 * 1024); /* as LiveKit's */
  g_signal_connect (socket, "message", G_CALLBACK (on_message), fake);
  g_signal_connect (socket, "closed", G_CALLBACK (on_closed), fake);
  if (fake->joined)
    fake->joined (fake, fake->user_data);
  else
    fake_livekit_send_join (fake);
}

/* ---- HTTP
 * --------------------------------------------------------------------------------------------------------
 */

static const char *
get_header (SoupServerMessage *message, const char *name)
{
  return soup_message_headers_get_list (soup_server_message_get_request_headers (message), name);
}

static void
set_string (char **to, const char *from)
{
  g_free (*to);
  *to = g_strdup (from);
}

static void
on_early (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
    gpointer user_data)
{
  FakeLiveKit *fake = user_data;

  if (!get_header (message, "Upgrade"))
    return;
  fake->n_handshakes++;
  set_string (&fake->path, path);
  set_string (&fake->query, g_uri_get_query (soup_server_message_get_uri (message)));
  set_string (&fake->authorization, get_header (message, "Authorization"));
  set_string (&fake->extensions, get_header (message, "Sec-WebSocket-Extensions"));
  set_string (&fake->user_agent, get_header (message, "User-Agent"));
  if (fake->refuse_status) {
    soup_server_message_set_status (message, fake->refuse_status, NULL);
    if (fake->redirect)
      soup_message_headers_replace (
          soup_server_message_get_response_headers (message), "Location", fake->redirect);
  }
}

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
    gpointer user_data)
{
  FakeLiveKit *fake = user_data;
  const guint status = fake->validate_status ? fake->validate_status
                       : fake->refuse_status ? fake->refuse_status
                                             : 200;
  g_autofree char *body = NULL;

  if (get_header (message, "Upgrade"))
    return;
  fake->n_validates++;
  set_string (&fake->validate_path, path);
  set_string (&fake->validate_query, g_uri_get_query (soup_server_message_get_uri (message)));
  set_string (&fake->validate_authorization, get_header (message, "Authorization"));
  if (fake->hold_validate) {
    soup_server_message_pause (message);
    return;
  }
  body = g_strconcat (fake->reason ? fake->reason : "",
      fake->echo_token ? fake->validate_authorization + strlen ("Bearer ") : "", NULL);
  soup_server_message_set_status (message, status, NULL);
  soup_server_message_set_response (message, "text/plain", SOUP_MEMORY_COPY, body, strlen (body));
  soup_message_headers_replace (
      soup_server_message_get_response_headers (message), "Connection", "close");
}

FakeLiveKit *
fake_livekit_new (GTlsCertificate *certificate)
{
  FakeLiveKit *fake = g_new0 (FakeLiveKit, 1);
  g_autoptr (GError) error = NULL;
  GSList *uris;

  fake->requests = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  fake->server = g_object_new (SOUP_TYPE_SERVER, "tls-certificate", certificate, NULL);
  soup_server_add_early_handler (fake->server, NULL, on_early, fake, NULL);
  soup_server_add_handler (fake->server, NULL, on_request, fake, NULL);
  soup_server_add_websocket_handler (fake->server, NULL, NULL, NULL, on_websocket, fake, NULL);
  soup_server_listen_local (fake->server, 0,
      SOUP_SERVER_LISTEN_IPV4_ONLY | (certificate ? SOUP_SERVER_LISTEN_HTTPS : 0), &error);
  g_assert_no_error (error);
  uris = soup_server_get_uris (fake->server);
  fake->url = g_strdup_printf (
      "%s://127.0.0.1:%d", certificate ? "wss" : "ws", g_uri_get_port (uris->data));
  g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
  return fake;
}

void
fake_livekit_free (FakeLiveKit *fake)
{
  if (fake->raw)
    fake_livekit_cut (fake); /* no client waits for an answer of a server that is gone */
  forget_socket (fake);
  soup_server_disconnect (fake->server);
  g_object_unref (fake->server);
  g_ptr_array_unref (fake->requests);
  g_free (fake->url);
  g_free (fake->path);
  g_free (fake->query);
  g_free (fake->authorization);
  g_free (fake->extensions);
  g_free (fake->user_agent);
  g_free (fake->validate_path);
  g_free (fake->validate_query);
  g_free (fake->validate_authorization);
  g_free (fake);
}

/* ---- without HTTP
 * ------------------------------------------------------------------------------------------------
 */

gboolean
fake_server_write (GIOStream *stream, const void *data, gsize size)
{
  return g_output_stream_write_all (
      g_io_stream_get_output_stream (stream), data, size, NULL, NULL, NULL);
}

gboolean
fake_server_write_text (GIOStream *stream, const char *text)
{
  return fake_server_write (stream, text, strlen (text));
}

gboolean
fake_server_write_upgrade (GIOStream *stream, const char *accept)
{
  g_autofree char *head
      = g_strdup_printf ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
          accept);

  return fake_server_write_text (stream, head);
}

gboolean
fake_server_write_frame (GIOStream *stream, guint8 first_byte, const void *data, gsize size)
{
  guint8 head[10] = { first_byte };
  gsize length = 2;

  if (size < 126) {
    head[1] = (guint8)size;
  } else if (size <= G_MAXUINT16) {
    head[1] = 126;
    head[2] = (guint8)(size >> 8);
    head[3] = (guint8)size;
    length = 4;
  } else {
    head[1] = 127;
    for (guint i = 0; i < 8; i++)
      head[2 + i] = (guint8)((guint64)size >> (56 - 8 * i));
    length = 10;
  }
  return fake_server_write (stream, head, length) && fake_server_write (stream, data, size);
}

void
fake_server_wait_for_end (FakeServer *fake, GIOStream *stream)
{
  char buffer[4096];

  while (g_input_stream_read (
             g_io_stream_get_input_stream (stream), buffer, sizeof (buffer), fake->stop, NULL)
         > 0)
    ;
}

static char *
accept_for (const char *key)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA1);
  guint8 digest[20];
  gsize length = sizeof (digest);

  g_checksum_update (checksum, (const guchar *)key, -1);
  g_checksum_update (checksum, (const guchar *)ACCEPT_GUID, -1);
  g_checksum_get_digest (checksum, digest, &length);
  return g_base64_encode (digest, length);
}

static void
run_script (FakeServer *fake, GIOStream *stream)
{
  GInputStream *input = g_io_stream_get_input_stream (stream);
  g_autoptr (GString) head = g_string_new (NULL);
  g_autofree char *accept = NULL;
  const char *key;
  char byte;

  while (!strstr (head->str, "\r\n\r\n") && head->str[0] != 0x16 /* TLS: there will be no head */
         && g_input_stream_read (input, &byte, 1, fake->stop, NULL) == 1)
    g_string_append_c (head, byte);
  if ((key = strstr (head->str, "Sec-WebSocket-Key: ")) != NULL) {
    g_autofree char *value = NULL;

    key += strlen ("Sec-WebSocket-Key: ");
    value = g_strndup (key, strcspn (key, "\r\n"));
    accept = accept_for (value);
  }
  fake->script (fake, stream, accept, fake->user_data);
}

static gpointer
serve (gpointer user_data)
{
  FakeServer *fake = user_data;
  GSocketConnection *connection;

  while ((connection = g_socket_listener_accept (fake->listener, NULL, fake->stop, NULL)) != NULL) {
    g_atomic_int_inc (&fake->n_connections);
    run_script (fake, G_IO_STREAM (connection));
    g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
    g_object_unref (connection);
  }
  g_atomic_int_set (&fake->ended, TRUE);
  g_main_context_wakeup (NULL);
  return NULL;
}

FakeServer *
fake_server_new (FakeServerScript script, gpointer user_data)
{
  FakeServer *fake = g_new0 (FakeServer, 1);
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) bound = NULL;
  g_autoptr (GError) error = NULL;

  fake->script = script;
  fake->user_data = user_data;
  fake->stop = g_cancellable_new ();
  fake->listener = g_socket_listener_new ();
  g_socket_listener_add_address (
      fake->listener, address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, &bound, &error);
  g_assert_no_error (error);
  fake->url = g_strdup_printf (
      "ws://127.0.0.1:%u", g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound)));
  fake->thread = g_thread_new ("fake-server", serve, fake);
  return fake;
}

void
fake_server_free (FakeServer *fake)
{
  g_cancellable_cancel (fake->stop);
  while (!g_atomic_int_get (
      &fake->ended)) /* a script may wait for a client, who needs the main context to leave */
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (fake->thread);
  g_object_unref (fake->listener);
  g_object_unref (fake->stop);
  g_free (fake->url);
  g_free (fake);
}

char *
fake_livekit_unused_url (void)
{
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) bound = NULL;
  g_autoptr (GSocket) socket
      = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);

  g_assert_true (g_socket_bind (
      socket, address, FALSE, NULL)); /* bound, not listening; free again with the socket */
  bound = g_socket_get_local_address (socket, NULL);
  return g_strdup_printf (
      "ws://127.0.0.1:%u", g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound)));
}

gboolean
fake_livekit_on_deadline (gpointer where)
{
  g_error ("still waiting for: %s", (const char *)where);
  return G_SOURCE_REMOVE;
}

static gboolean
is_worker (const char *task)
{
  g_autofree char *path = g_build_filename ("/proc/self/task", task, "comm", NULL);
  g_autofree char *name = NULL;

  return g_file_get_contents (path, &name, NULL, NULL) && g_str_has_prefix (name, "pool-")
         && !g_str_has_prefix (name, "pool-spawner"); /* which never ends */
}

void
fake_livekit_wait_for_threads (void)
{
  gboolean working;

  do {
    g_autoptr (GDir) tasks = g_dir_open ("/proc/self/task", 0, NULL);
    const char *task;

    g_thread_pool_stop_unused_threads ();
    working = FALSE;
    while (tasks && !working && (task = g_dir_read_name (tasks)) != NULL)
      working = is_worker (task);
    g_usleep (working ? 10 * 1000 : 0);
  } while (working);
}
