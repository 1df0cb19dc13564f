/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What viewers get, lose, and may not do. */
#include "ws-fixture.h"

#include <json-glib/json-glib.h>
#include <libsoup/soup.h>
#include <string.h>
#include <sys/socket.h>

#define BIG 200000 /* bytes of a frame that no kernel buffer of a stalled viewer holds many of */

static void
assert_frame (WsClient *client, guint32 number)
{
  g_auto (WsClientFrame) frame = { 0 };

  g_assert_true (ws_client_receive (client, &frame));
  g_assert_cmpint (frame.opcode, ==, WS_OPCODE_BINARY);
  g_assert_cmpuint (ws_fixture_frame_number (frame.payload), ==, number);
}

static JsonObject *
receive_json (WsClient *client, JsonParser *parser)
{
  g_auto (WsClientFrame) frame = { 0 };
  gsize size;
  const char *text;

  g_assert_true (ws_client_receive (client, &frame));
  g_assert_cmpint (frame.opcode, ==, WS_OPCODE_TEXT);
  text = g_bytes_get_data (frame.payload, &size);
  g_assert_true (json_parser_load_from_data (parser, text, size, NULL));
  return json_node_get_object (json_parser_get_root (parser));
}

static void
test_both_generations_get_picture_and_sound_in_order (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("stream-name", "coin", NULL);
  g_autoptr (WsClient) first = ws_fixture_watch (fixture, "/api/live-sessions/ws/live/coin");
  g_autoptr (WsClient) second = ws_fixture_watch (fixture, "/api/live-sessions/stream/coin");
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_auto (WsClientFrame) sound = { 0 };
  JsonObject *object;
  gsize size;
  g_autofree guchar *data = NULL;

  ws_fixture_push_video (fixture, 64, 1);
  assert_frame (first, 1);
  object = receive_json (second, parser);
  g_assert_cmpstr (json_object_get_string_member (object, "type"), ==, "video_frame");
  g_assert_cmpstr (json_object_get_string_member (object, "mint_id"), ==, "coin");
  g_assert_true (g_str_has_suffix (json_object_get_string_member (object, "timestamp"), "Z"));
  data = g_base64_decode (json_object_get_string_member (object, "data"), &size);
  g_assert_cmpuint (size, ==, 64);

  ws_fixture_push_audio (fixture, 10, 0x0102);
  g_assert_true (ws_client_receive (first, &sound));
  g_assert_cmpint (sound.opcode, ==, WS_OPCODE_TEXT);
  g_assert_cmpmem (g_bytes_get_data (sound.payload, NULL), 14, "audio:AgECAQIB", 14);
  object = receive_json (second, parser);
  g_assert_cmpstr (json_object_get_string_member (object, "type"), ==, "audio_frame");
  g_assert_cmpint (json_object_get_int_member (object, "sample_rate"), ==, 48000);
  g_assert_cmpint (json_object_get_int_member (object, "num_channels"), ==, 1);
}

static void
test_a_frame_is_made_once_for_all_viewers_of_a_form (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) a = ws_fixture_watch (fixture, LIVE);
  g_autoptr (WsClient) b = ws_fixture_watch (fixture, LIVE);
  g_autoptr (WsClient) c = ws_fixture_watch (fixture, LIVE "?audio=0");

  for (guint i = 0; i < 10; i++) {
    ws_fixture_push_video (fixture, 1000, i);
    assert_frame (a, i);
    assert_frame (b, i);
    assert_frame (c, i);
  }
  g_assert_cmpuint (ws_fixture_stat (fixture, "num-viewers"), ==, 3);
  g_assert_cmpuint (ws_fixture_stat (fixture, "video-made-binary"), ==, 10);
  g_assert_cmpuint (ws_fixture_stat (fixture, "video-made-json"), ==, 0);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 2, "video-sent"), ==, 10);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 2, "bytes"), ==, 10 * (1000 + 4));
}

static void
test_the_buffer_itself_goes_out (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 4096);
  g_autofree guint8 *data = g_malloc0 (4 * BIG);
  GstBuffer *buffer = gst_buffer_new_wrapped_full (
      GST_MEMORY_FLAG_READONLY, data, 4 * BIG, 0, 4 * BIG, NULL, NULL);
  char byte;

  data[4 * BIG - 1] = 42;
  g_assert_cmpuint (ws_client_handshake (client, LIVE, WS_CLIENT_HEADERS), ==, 101);
  ws_fixture_wait_added (fixture, 1);
  gst_buffer_ref (buffer);
  g_assert_cmpint (gst_harness_push (fixture->video, buffer), ==, GST_FLOW_OK);
  /* The kernel holds a part; the rest is ours, and the buffer is still referred to while it waits.
   */
  g_assert_true (ws_client_read (client, &byte, 1));
  g_assert_cmpint (GST_MINI_OBJECT_REFCOUNT_VALUE (buffer), ==, 2);
  for (gsize i = 1; i < 10 + 4 * BIG; i++)
    g_assert_true (ws_client_read (client, &byte, 1));
  g_assert_cmpint (byte, ==, 42);
  while (GST_MINI_OBJECT_REFCOUNT_VALUE (buffer) > 1) /* until the server's thread has let go */
    g_thread_yield ();
  gst_buffer_unref (buffer);
}

static void
test_a_stalled_viewer_holds_two_frames_and_costs_others_none (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) stalled = ws_client_new (fixture->port, 4096);
  g_autoptr (WsClient) good = NULL;
  guint32 last = 0, n_frames = 0, number;
  guint n_got = 0;

  g_assert_cmpuint (ws_client_handshake (stalled, LIVE, WS_CLIENT_HEADERS), ==, 101);
  ws_fixture_wait_added (fixture, 1);
  good = ws_fixture_watch (fixture, LIVE);
  do {
    ws_fixture_push_video (fixture, BIG, ++n_frames);
    assert_frame (good, n_frames);
    g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "video-queued"), <=, 2);
  } while (ws_fixture_viewer_stat (fixture, 1, "video-dropped") < 50);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "video-queued"), ==, 2);
  ws_fixture_wait_viewer_stat (fixture, 2, "video-sent", n_frames);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 2, "video-dropped"), ==, 0);

  /* It wakes up: what comes is whole, in order, and ends with the newest. */
  do {
    g_auto (WsClientFrame) frame = { 0 };

    g_assert_true (ws_client_receive (stalled, &frame));
    g_assert_cmpuint (g_bytes_get_size (frame.payload), ==, BIG);
    number = ws_fixture_frame_number (frame.payload);
    g_assert_cmpuint (number, >, last);
    last = number;
    n_got++;
  } while (last < n_frames);
  g_assert_cmpuint (n_got + ws_fixture_viewer_stat (fixture, 1, "video-dropped"), ==, n_frames);
}

static void
test_sound_goes_before_a_waiting_picture_and_is_never_dropped (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) stalled = ws_client_new (fixture->port, 4096);
  g_autoptr (WsClient) good = NULL;
  guint n_sounds = 0, n_got = 0, number = 0;
  gboolean more = TRUE;

  g_assert_cmpuint (ws_client_handshake (stalled, LIVE, WS_CLIENT_HEADERS), ==, 101);
  ws_fixture_wait_added (fixture, 1);
  good = ws_fixture_watch (fixture, LIVE);
  while (ws_fixture_viewer_stat (fixture, 1, "video-queued") < 2) {
    ws_fixture_push_video (fixture, BIG, ++number);
    assert_frame (good, number);
  }
  for (; n_sounds < 20; n_sounds++) {
    g_auto (WsClientFrame) sound = { 0 };

    ws_fixture_push_audio (fixture, 100, n_sounds);
    g_assert_true (ws_client_receive (good, &sound));
  }
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "audio-queued"), ==, 2 * GST_SECOND);

  while (more) {
    g_auto (WsClientFrame) frame = { 0 };

    g_assert_true (ws_client_receive (stalled, &frame));
    if (frame.opcode == WS_OPCODE_TEXT)
      n_got++;
    else
      more = ws_fixture_frame_number (frame.payload) < number; /* the picture that waited */
  }
  g_assert_cmpuint (n_got, ==, n_sounds);
}

static void
test_a_viewer_that_takes_no_sound_for_5_seconds_is_closed_with_1013 (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) stalled = ws_client_new (fixture->port, 4096);
  g_autoptr (WsClient) good = NULL;
  g_autofree char *reason = NULL;

  g_assert_cmpuint (ws_client_handshake (stalled, LIVE, WS_CLIENT_HEADERS), ==, 101);
  ws_fixture_wait_added (fixture, 1);
  good = ws_fixture_watch (fixture, LIVE);
  while (!ws_fixture_viewer_stat (fixture, 1, "closing")) {
    g_auto (WsClientFrame) sound = { 0 };

    g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "audio-queued"), <=, 5 * GST_SECOND);
    ws_fixture_push_audio (fixture, 100, 1);
    g_assert_true (ws_client_receive (good, &sound));
  }
  g_assert_cmpuint (ws_client_read_close (stalled, &reason), ==, WS_CLOSE_TRY_AGAIN_LATER);
  g_assert_nonnull (strstr (reason, "5 seconds"));
}

static void
test_ping_is_answered_by_pong (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_fixture_watch (fixture, STREAM);
  g_auto (WsClientFrame) text = { 0 };
  g_auto (WsClientFrame) control = { 0 };

  ws_client_send (client, 0x81, "ping", 4);
  g_assert_true (ws_client_receive (client, &text));
  g_assert_cmpint (text.opcode, ==, WS_OPCODE_TEXT);
  g_assert_cmpmem (
      g_bytes_get_data (text.payload, NULL), g_bytes_get_size (text.payload), "pong", 4);
  ws_client_send (client, 0x81, "something else", 14); /* ignored */
  ws_client_send (client, 0x89, "x", 1);
  g_assert_true (ws_client_receive (client, &control));
  g_assert_cmpint (control.opcode, ==, WS_OPCODE_PONG);
}

static void
test_a_flood_of_pings_holds_a_few_answers_and_all_are_given (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 4096);
  g_autoptr (GByteArray) ping = ws_client_make_frame (0x89, "0123456789", 10);
  guint n = 20000, sent = 0, got = 0;

  g_assert_cmpuint (ws_client_handshake (client, LIVE, WS_CLIENT_HEADERS), ==, 101);
  g_socket_set_blocking (client->socket, FALSE);
  while (
      sent < n) { /* as long as the server still reads: it stops when its answers are not taken */
    gssize size = g_socket_send (client->socket, (const char *)ping->data, ping->len, NULL, NULL);

    if (size < (gssize)ping->len) {
      g_socket_set_blocking (client->socket, TRUE);
      size = MAX (size, 0);
      if (size > 0)
        g_assert_true (ws_client_write (client, ping->data + size, ping->len - size));
      sent += size > 0;
      break;
    }
    sent++;
  }
  g_socket_set_blocking (client->socket, TRUE);
  for (; got < sent; got++) {
    g_auto (WsClientFrame) pong = { 0 };

    g_assert_true (ws_client_receive (client, &pong));
    g_assert_cmpint (pong.opcode, ==, WS_OPCODE_PONG);
  }
}

static void
assert_closed_for (guint8 first, const void *payload, gsize size, guint code)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_fixture_watch (fixture, LIVE);

  ws_client_send (client, first, payload, size);
  g_assert_cmpuint (ws_client_read_close (client, NULL), ==, code);
  ws_client_send (client, 0x88, "\x03\xe8", 2);
  ws_fixture_wait_removed (fixture, 1);
}

static void
test_a_message_over_4_kib_closes_with_1009 (void)
{
  g_autofree char *payload = g_strnfill (1 << 20, 'x');

  assert_closed_for (0x81, payload, 4097, WS_CLOSE_TOO_BIG);
  assert_closed_for (0x82, payload, 1 << 20, WS_CLOSE_TOO_BIG);
}

static void
test_broken_frames_close_with_1002_and_1007 (void)
{
  assert_closed_for (0x83, "x", 1, WS_CLOSE_PROTOCOL_ERROR);
  assert_closed_for (0xc1, "x", 1, WS_CLOSE_PROTOCOL_ERROR);
  assert_closed_for (0x81, "\xff", 1, WS_CLOSE_BAD_DATA);
}

static void
test_a_goodbye_is_returned (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_fixture_watch (fixture, LIVE);
  g_autoptr (WsClient) silent = ws_fixture_watch (fixture, LIVE);
  char byte;

  ws_client_send (client, 0x88, "\x03\xe9", 2);
  g_assert_cmpuint (ws_client_read_close (client, NULL), ==, WS_CLOSE_GOING_AWAY);
  g_assert_false (ws_client_read (client, &byte, 1));
  ws_client_send (silent, 0x88, "", 0);
  g_assert_cmpuint (ws_client_read_close (silent, NULL), ==, WS_CLOSE_NO_STATUS);
  ws_fixture_wait_removed (fixture, 2);
  g_assert_cmpuint (ws_fixture_stat (fixture, "num-viewers"), ==, 0);
}

static void
test_viewers_may_leave_at_any_byte_of_the_handshake (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) good = ws_fixture_watch (fixture, LIVE);
  g_autofree char *request = ws_client_request (good, LIVE, WS_CLIENT_HEADERS);

  for (gsize n = 0; n <= strlen (request); n++) {
    WsClient *closing = ws_client_new (fixture->port, 0),
             *resetting = ws_client_new (fixture->port, 0);

    ws_client_write (closing, request, n);
    ws_client_free (closing);
    ws_client_write (resetting, request, n);
    ws_client_reset (resetting);
    ws_fixture_push_video (fixture, 64, n);
    assert_frame (good, n);
  }
}

static void
test_viewers_may_leave_at_any_byte_of_a_frame (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) good = ws_fixture_watch (fixture, LIVE);
  g_autoptr (GByteArray) ping = ws_client_make_frame (0x81, "ping", 4);

  for (gsize n = 0; n <= 68; n++) {
    WsClient *reader = ws_fixture_watch (fixture, LIVE),
             *writer = ws_fixture_watch (fixture, STREAM);
    guint8 bytes[68];

    ws_client_write (writer, ping->data, MIN (n, ping->len));
    ws_fixture_push_video (fixture, 64, n);
    g_assert_true (ws_client_read (reader, bytes, n < 67 ? n : 66));
    if (n & 1) {
      ws_client_reset (reader);
      ws_client_free (writer);
    } else {
      ws_client_free (reader);
      ws_client_reset (writer);
    }
    assert_frame (good, n);
  }
  ws_fixture_wait_removed (fixture, 2 * 69);
}

static void
test_connections_may_come_from_elsewhere (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("max-viewers", 1, NULL);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) second_socket = NULL;
  g_autoptr (GIOStream) connection = ws_fixture_connect (&socket);
  g_autoptr (GIOStream) second_connection = ws_fixture_connect (&second_socket);
  g_autoptr (WsClient) client = ws_client_new_for_socket (socket);
  g_autoptr (WsClient) second = ws_client_new_for_socket (second_socket);
  guint id = 0;

  g_signal_emit_by_name (fixture->sink, "add-connection", connection, "/nonsense", &id);
  g_assert_cmpuint (id, ==, 0);
  g_signal_emit_by_name (
      fixture->sink, "add-connection", connection, "/api/ws/live/any?audio=0", &id);
  g_assert_cmpuint (id, >, 0);
  ws_fixture_wait_added (fixture, 1);
  ws_fixture_push_audio (fixture, 10, 1);
  ws_fixture_push_video (fixture, BIG, 5);
  assert_frame (client, 5);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, id, "audio-sent"), ==, 0);

  g_signal_emit_by_name (fixture->sink, "add-connection", second_connection, "/stream/x", &id);
  g_assert_cmpuint (id, >, 0);
  g_assert_cmpuint (ws_client_read_close (second, NULL), ==, WS_CLOSE_TRY_AGAIN_LATER);

  gst_element_set_state (fixture->sink, GST_STATE_NULL);
  g_signal_emit_by_name (fixture->sink, "add-connection", connection, LIVE, &id);
  g_assert_cmpuint (id, ==, 0);
}

static void
test_nobody_else_can_come_where_none_listens (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("listen", FALSE, "stream-name", "a/b", NULL);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) connection = ws_fixture_connect (&socket);
  g_autoptr (WsClient) client = ws_client_new_for_socket (socket);
  g_autofree char *reason = NULL;
  guint id = 0;

  g_assert_cmpuint (fixture->port, ==, 0);
  g_signal_emit_by_name (fixture->sink, "add-connection", connection, LIVE, &id);
  ws_fixture_wait_added (fixture, 1);
  ws_fixture_push_video (fixture, BIG, 5);
  assert_frame (client, 5);
  g_signal_emit_by_name (fixture->sink, "close-viewers", WS_CLOSE_NORMAL, "enough");
  g_assert_cmpuint (ws_client_read_close (client, &reason), ==, WS_CLOSE_NORMAL);
  g_assert_cmpstr (reason, ==, "enough");
}

static void
test_mjpeg_is_a_chain_of_parts (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("listen", FALSE, NULL);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) connection = ws_fixture_connect (&socket);
  g_autoptr (WsClient) client = ws_client_new_for_socket (socket);
  g_autofree guint8 *jpeg = g_malloc (BIG);
  g_autofree char *rest = NULL;
  guint id = 0;

  g_signal_emit_by_name (
      fixture->sink, "add-connection", connection, "/api/live-sessions/x/stream.mjpeg?a=b", &id);
  ws_fixture_wait_added (fixture, 1);
  ws_fixture_push_audio (fixture, 10, 1);
  for (guint32 i = 0; i < 3; i++) {
    g_autofree char *head = NULL;

    ws_fixture_push_video (fixture, BIG, i);
    head = ws_client_read_head (client);
    g_assert_true (g_str_has_prefix (head, "\r\n--haven\r\n"));
    g_assert_nonnull (strstr (head, "Content-Type: image/jpeg"));
    g_assert_true (ws_client_read (client, jpeg, BIG));
  }
  g_signal_emit_by_name (fixture->sink, "close-viewers", WS_CLOSE_GOING_AWAY, "enough");
  rest = ws_client_read_rest (client);
  g_assert_cmpstr (rest, ==, "\r\n--haven--\r\n");
  ws_fixture_wait_removed (fixture, 1);
  g_assert_cmpuint (ws_fixture_stat (fixture, "video-sent"), ==, 3); /* though nobody is left */
  g_assert_cmpuint (ws_fixture_stat (fixture, "audio-sent"), ==, 0);
}

/* -- libsoup's client, as a proof that it is not only ours that understands -- */

typedef struct
{
  GMainLoop *loop;
  SoupWebsocketConnection *connection;
  guint n_binary, n_pong;
} SoupClient;

static void
on_message (SoupWebsocketConnection *connection, SoupWebsocketDataType type, GBytes *message,
    gpointer user_data)
{
  SoupClient *client = user_data;

  if (type == SOUP_WEBSOCKET_DATA_BINARY) {
    g_assert_cmpuint (ws_fixture_frame_number (message), ==, 9);
    client->n_binary++;
    soup_websocket_connection_send_text (connection, "ping");
  } else {
    g_assert_cmpmem (g_bytes_get_data (message, NULL), g_bytes_get_size (message), "pong", 4);
    client->n_pong++;
    soup_websocket_connection_close (connection, SOUP_WEBSOCKET_CLOSE_NORMAL, "enough");
  }
}

static void
on_closed (SoupWebsocketConnection *connection, gpointer user_data)
{
  g_main_loop_quit (((SoupClient *)user_data)->loop);
}

static void
on_connected (GObject *session, GAsyncResult *result, gpointer user_data)
{
  SoupClient *client = user_data;
  g_autoptr (GError) error = NULL;

  client->connection
      = soup_session_websocket_connect_finish (SOUP_SESSION (session), result, &error);
  g_assert_no_error (error);
  soup_websocket_connection_set_max_incoming_payload_size (client->connection, 0);
  g_assert_null (soup_websocket_connection_get_extensions (client->connection));
  g_signal_connect (client->connection, "message", G_CALLBACK (on_message), client);
  g_signal_connect (client->connection, "closed", G_CALLBACK (on_closed), client);
  g_main_loop_quit (client->loop);
}

static void
test_libsoup_understands_us (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (SoupSession) session = soup_session_new ();
  g_autofree char *uri = g_strdup_printf ("ws://127.0.0.1:%u/ws/live/live", fixture->port);
  g_autoptr (SoupMessage) message = soup_message_new ("GET", uri);
  SoupClient client = { .loop = loop };

  soup_session_websocket_connect_async (
      session, message, NULL, NULL, G_PRIORITY_DEFAULT, NULL, on_connected, &client);
  g_main_loop_run (loop);
  ws_fixture_wait_added (fixture, 1);
  ws_fixture_push_video (fixture, 2 * BIG, 9);
  g_main_loop_run (loop);
  g_assert_cmpuint (client.n_binary, ==, 1);
  g_assert_cmpuint (client.n_pong, ==, 1);
  g_assert_cmpuint (soup_websocket_connection_get_close_code (client.connection), ==,
      SOUP_WEBSOCKET_CLOSE_NORMAL);
  ws_fixture_wait_removed (fixture, 1);
  g_object_unref (client.connection);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/havenwssink/viewers/" #name, test_##name)
  ADD (both_generations_get_picture_and_sound_in_order);
  ADD (a_frame_is_made_once_for_all_viewers_of_a_form);
  ADD (the_buffer_itself_goes_out);
  ADD (a_stalled_viewer_holds_two_frames_and_costs_others_none);
  ADD (sound_goes_before_a_waiting_picture_and_is_never_dropped);
  ADD (a_viewer_that_takes_no_sound_for_5_seconds_is_closed_with_1013);
  ADD (ping_is_answered_by_pong);
  ADD (a_flood_of_pings_holds_a_few_answers_and_all_are_given);
  ADD (a_message_over_4_kib_closes_with_1009);
  ADD (broken_frames_close_with_1002_and_1007);
  ADD (a_goodbye_is_returned);
  ADD (viewers_may_leave_at_any_byte_of_the_handshake);
  ADD (viewers_may_leave_at_any_byte_of_a_frame);
  ADD (connections_may_come_from_elsewhere);
  ADD (nobody_else_can_come_where_none_listens);
  ADD (mjpeg_is_a_chain_of_parts);
  ADD (libsoup_understands_us);
  return g_test_run ();
}
