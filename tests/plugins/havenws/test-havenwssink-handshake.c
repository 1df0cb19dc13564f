/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What havenwssink answers before anyone is a viewer. */
#include "ws-fixture.h"

#include <libsoup/soup.h>
#include <string.h>

static guint
status_of (WsFixture *fixture, const char *target, const char *headers)
{
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);

  return ws_client_handshake (client, target, headers);
}

/* Returns: (transfer full): head and body of the answer to a bare request */
static char *
answer_of (WsFixture *fixture, const char *request)
{
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);

  ws_client_write (client, request, strlen (request));
  return ws_client_read_rest (client);
}

static void
test_page_health_and_description_are_served (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("stream-name", "a \"b\"", NULL);
  g_autofree char *page = answer_of (fixture, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  g_autofree char *health = answer_of (fixture, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  g_autofree char *stream
      = answer_of (fixture, "GET /stream.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
  g_autofree char *script
      = answer_of (fixture, "GET /player.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
  g_autofree char *head = answer_of (fixture, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");

  g_assert_true (g_str_has_prefix (page, "HTTP/1.1 200 "));
  g_assert_nonnull (strstr (page, "\r\nConnection: close\r\n"));
  g_assert_nonnull (strstr (page, "\r\nContent-Security-Policy: default-src 'none'; "));
  g_assert_nonnull (strstr (page, "\r\nX-Content-Type-Options: nosniff\r\n"));
  g_assert_nonnull (strstr (page, "<canvas"));
  g_assert_nonnull (strstr (health, "\r\n\r\n{\"status\":\"ok\"}"));
  g_assert_nonnull (
      strstr (stream, "{\"name\":\"a \\\"b\\\"\",\"binary\":\"ws/live/a%20%22b%22\","));
  g_assert_nonnull (strstr (script, "\r\nContent-Type: text/javascript; charset=utf-8\r\n"));
  g_assert_true (g_str_has_suffix (head, "\r\n\r\n"));
}

static void
test_bad_requests_get_4xx (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  const struct
  {
    const char *status, *request;
  } cases[] = {
    { "400", "nonsense\r\n\r\n" },
    { "400", "GET / HTTP/1.1\r\n\r\n" },
    { "404", "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" },
    { "405", "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc" },
    { "405", "DELETE /ws/live/live HTTP/1.1\r\nHost: localhost\r\n\r\n" },
    { "403", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n" },
    { "426", "GET /ws/live/live HTTP/1.1\r\nHost: localhost\r\n\r\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *answer = answer_of (fixture, cases[i].request);

    g_test_message ("%s -> %s", cases[i].request, answer);
    g_assert_true (g_str_has_prefix (answer, "HTTP/1."));
    g_assert_true (g_str_has_prefix (answer + strlen ("HTTP/1.1 "), cases[i].status));
    g_assert_nonnull (strstr (answer, "Connection: close\r\n"));
  }
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void
test_bad_handshakes_get_4xx (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  const struct
  {
    guint status;
    const char *headers;
  } cases[] = {
    { 101, WS_CLIENT_HEADERS },
    { 426, "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY },
    { 426, "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY },
    { 426, "Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY },
    { 426, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n" KEY },
    { 400, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY },
    { 400, "Upgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\n" KEY },
    { 400, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" },
    { 400, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
           "13\r\nSec-WebSocket-Key: x\r\n" },
    { 400, WS_CLIENT_HEADERS "Content-Length: 0000000005\r\n\r\nabcde" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpuint (status_of (fixture, LIVE, cases[i].headers), ==, cases[i].status);
  g_assert_cmpuint (status_of (fixture, "/ws/live/other", WS_CLIENT_HEADERS), ==, 404);
  g_assert_cmpuint (status_of (fixture, "/stream/other", WS_CLIENT_HEADERS), ==, 404);
}

static void
test_compression_is_never_agreed_on (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);
  g_autofree char *request = ws_client_request (client, LIVE,
      WS_CLIENT_HEADERS "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
  g_autofree char *head = NULL;

  ws_client_write (client, request, strlen (request));
  head = ws_client_read_head (client);
  g_assert_true (g_str_has_prefix (head, "HTTP/1.1 101 "));
  g_assert_null (strstr (head, "Extensions"));
  g_assert_null (strstr (head, "close"));
  g_assert_nonnull (strstr (head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
}

static void
test_foreign_origins_are_refused (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsFixture) listed = ws_fixture_new ("allowed-origins", "https://player.example", NULL);
  const char *local = WS_CLIENT_HEADERS "Origin: http://localhost:5173\r\n";
  const char *foreign = WS_CLIENT_HEADERS "Origin: https://player.example\r\n";

  g_assert_cmpuint (status_of (fixture, LIVE, local), ==, 101);
  g_assert_cmpuint (status_of (fixture, LIVE, WS_CLIENT_HEADERS "Origin: null\r\n"), ==, 101);
  g_assert_cmpuint (status_of (fixture, LIVE, WS_CLIENT_HEADERS "Origin: file://\r\n"), ==, 101);
  g_assert_cmpuint (status_of (fixture, LIVE, foreign), ==, 403);
  g_assert_cmpuint (status_of (listed, LIVE, foreign), ==, 101);
  g_assert_cmpuint (status_of (listed, LIVE, local), ==, 403);
  g_assert_cmpuint (status_of (listed, LIVE, WS_CLIENT_HEADERS), ==, 101);
}

static void
test_foreign_hosts_are_refused (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("allowed-hosts", "player.example", NULL);

  g_assert_cmpuint (status_of (fixture, LIVE, "Host: evil.example\r\n" WS_CLIENT_HEADERS), ==, 403);
  g_assert_cmpuint (
      status_of (fixture, LIVE, "Host: player.example:8080\r\n" WS_CLIENT_HEADERS), ==, 101);
  g_assert_cmpuint (status_of (fixture, LIVE, "Host: [::1]:8080\r\n" WS_CLIENT_HEADERS), ==, 101);
}

static void
test_a_token_is_asked_for (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("access-token", "s3cret&", NULL);
  g_autofree char *page = answer_of (fixture, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

  g_assert_cmpuint (status_of (fixture, LIVE, WS_CLIENT_HEADERS), ==, 401);
  g_assert_cmpuint (status_of (fixture, LIVE "?access_token=wrong", WS_CLIENT_HEADERS), ==, 401);
  g_assert_cmpuint (
      status_of (fixture, LIVE, WS_CLIENT_HEADERS "Authorization: Bearer wrong\r\n"), ==, 401);
  g_assert_cmpuint (status_of (fixture, "/ws/live/other", WS_CLIENT_HEADERS), ==, 401);
  g_assert_cmpuint (
      status_of (fixture, LIVE "?audio=0&access_token=s3cret%26", WS_CLIENT_HEADERS), ==, 101);
  g_assert_cmpuint (
      status_of (fixture, LIVE, WS_CLIENT_HEADERS "Authorization: Bearer s3cret&\r\n"), ==, 101);
  g_assert_true (g_str_has_prefix (page, "HTTP/1.1 200 "));
  g_assert_null (strstr (page, "s3cret"));
}

static void
test_one_viewer_too_many_is_told_to_come_back (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("max-viewers", 2, NULL);
  g_autoptr (WsClient) first = ws_fixture_watch (fixture, LIVE);
  g_autoptr (WsClient) second = ws_fixture_watch (fixture, STREAM);
  g_autoptr (WsClient) third = ws_client_new (fixture->port, 0);
  g_autoptr (WsClient) fourth = NULL;
  g_autofree char *request = ws_client_request (third, LIVE, WS_CLIENT_HEADERS);
  g_autofree char *head = NULL;

  ws_client_write (third, request, strlen (request));
  head = ws_client_read_head (third);
  g_assert_true (g_str_has_prefix (head, "HTTP/1.1 503 "));
  g_assert_nonnull (strstr (head, "\r\nRetry-After: 5\r\n"));

  g_clear_pointer (&first, ws_client_free);
  ws_fixture_wait_removed (fixture, 1);
  fourth = ws_fixture_watch (fixture, LIVE);
}

static void
test_bytes_right_behind_the_handshake_are_heard (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);
  g_autofree char *request = ws_client_request (client, LIVE, WS_CLIENT_HEADERS);
  g_autoptr (GByteArray) ping = ws_client_make_frame (0x89, "hello", 5);
  g_autoptr (GByteArray) all = g_byte_array_new ();
  g_autofree char *head = NULL;

  g_byte_array_append (all, (const guint8 *)request, strlen (request));
  g_byte_array_append (all, ping->data, ping->len);
  g_byte_array_append (all, ping->data, ping->len);
  g_assert_true (ws_client_write (client, all->data, all->len));
  head = ws_client_read_head (client);
  for (guint i = 0; i < 2; i++) {
    g_auto (WsClientFrame) pong = { 0 };

    g_assert_true (ws_client_receive (client, &pong));
    g_assert_cmpint (pong.opcode, ==, WS_OPCODE_PONG);
    g_assert_cmpmem (
        g_bytes_get_data (pong.payload, NULL), g_bytes_get_size (pong.payload), "hello", 5);
  }
}

static void
test_too_many_silent_connections_make_room_for_new_ones (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (GPtrArray) silent = g_ptr_array_new_with_free_func ((GDestroyNotify)ws_client_free);
  WsClient *oldest;
  char byte;

  for (guint i = 0; i < 64; i++)
    g_ptr_array_add (silent, ws_client_new (fixture->port, 0));
  g_assert_cmpuint (status_of (fixture, LIVE, WS_CLIENT_HEADERS), ==, 101);
  oldest = g_ptr_array_index (silent, 0);
  g_assert_false (ws_client_read (oldest, &byte, 1));
}

static void
test_a_request_that_never_ends_is_cut_off (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) silent = ws_client_new (fixture->port, 0);
  g_autoptr (WsClient) slow = ws_client_new (fixture->port, 0);
  char byte;

  g_assert_true (ws_client_write (slow, "GET / HT", 8));
  g_assert_false (ws_client_read (silent, &byte, 1)); /* after REQUEST_TIMEOUT, not before */
  while (ws_client_read (slow, &byte, 1))
    ;
}

static void
test_headers_without_end_are_cut_off (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);
  const char *start = "GET / HTTP/1.1\r\nHost: localhost\r\n";
  g_autofree char *line = g_strnfill (1000, 'x');

  memcpy (line, "X: ", 3);
  memcpy (line + 998, "\r\n", 2);
  g_assert_true (ws_client_write (client, start, strlen (start)));
  while (ws_client_write (client, line, 1000)) /* until we are cut off, at 64 KiB */
    ;
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/havenwssink/handshake/" #name, test_##name)
  ADD (page_health_and_description_are_served);
  ADD (bad_requests_get_4xx);
  ADD (bad_handshakes_get_4xx);
  ADD (compression_is_never_agreed_on);
  ADD (foreign_origins_are_refused);
  ADD (foreign_hosts_are_refused);
  ADD (a_token_is_asked_for);
  ADD (one_viewer_too_many_is_told_to_come_back);
  ADD (bytes_right_behind_the_handshake_are_heard);
  ADD (too_many_silent_connections_make_room_for_new_ones);
  ADD (a_request_that_never_ends_is_cut_off);
  ADD (headers_without_end_are_cut_off);
  return g_test_run ();
}
