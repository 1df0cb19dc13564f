/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Nothing is left behind: descriptors, threads. (Memory is the sanitizers' business.) */
#include "ws-fixture.h"

#include <string.h>

#define N_CONNECTIONS 2000
#define N_CYCLES 100

/* What was closed on our side is closed by the server when its thread has seen it. */
static void
wait_for_fds (guint expected)
{
  while (ws_fixture_count_fds () > expected)
    g_usleep (1000);
}

static void
leave_after_health (WsFixture *fixture, const char *headers)
{
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);

  g_assert_cmpuint (ws_client_handshake (client, "/health", headers), ==, 200);
}

static void
leave_as_viewer (WsFixture *fixture, guint i)
{
  WsClient *client = ws_client_new (fixture->port, 0);

  g_assert_cmpuint (ws_client_handshake (client, LIVE, WS_CLIENT_HEADERS), ==, 101);
  if (i % 8 == 3)
    ws_client_send (client, 0x88, "\x03\xe8", 2);
  if (i & 8)
    ws_client_reset (client);
  else
    ws_client_free (client);
}

/* A viewer of haven.v1 goes before, within or behind its first message. */
static void
leave_as_guest (WsFixture *fixture, guint i)
{
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);
  g_autoptr (GByteArray) ask = ws_client_make_frame (0x80 | WS_OPCODE_TEXT, "{}", 2);
  const guint sizes[] = { 0, 3, ask->len - 1, ask->len };

  g_assert_cmpuint (ws_client_handshake (client, WATCH, V1_HEADERS), ==, 101);
  ws_client_write (client, ask->data, sizes[i % G_N_ELEMENTS (sizes)]);
}

static void
test_thousands_of_connections_leave_no_descriptor (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  guint before = ws_fixture_count_fds ();

  for (guint i = 0; i < N_CONNECTIONS; i++) {
    switch (i % 5) {
    case 0:
      leave_after_health (fixture, "Connection: keep-alive\r\n");
      break;
    case 1:
      ws_client_free (ws_client_new (fixture->port, 0));
      break;
    case 2: {
      g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);

      ws_client_write (client, "GET /ws", 7);
      break;
    }
    case 3:
      leave_as_guest (fixture, i / 5);
      break;
    default:
      leave_as_viewer (fixture, i);
      ws_fixture_push_video (fixture, 64, i);
    }
  }
  ws_fixture_wait_removed (fixture, 2 * N_CONNECTIONS / 5);
  wait_for_fds (before);
}

static void
test_100_starts_and_stops_leave_nothing (void)
{
  guint fds = 0, threads = 0;

  for (guint i = 0; i < N_CYCLES; i++) {
    WsFixture *fixture = ws_fixture_new (NULL, NULL);
    WsClient *client = ws_client_new (fixture->port, 0);
    WsClient *asking = ws_client_new (fixture->port, 0);

    if (i % 5 == 0) {
      ws_client_handshake (client, LIVE, WS_CLIENT_HEADERS);
      ws_fixture_push_video (fixture, 64, i);
    }
    ws_client_write (asking, "GET", 3);
    if (i % 10) /* gone before the element stops; otherwise hung up on */
      ws_client_free (client);
    ws_fixture_free (fixture);
    if (i % 10 == 0)
      ws_client_free (client);
    ws_client_free (asking);
    if (i == 0) { /* GLib's own thread and pipes are there by now */
      fds = ws_fixture_count_fds ();
      threads = ws_fixture_count_threads ();
    }
  }
  g_assert_cmpuint (ws_fixture_count_fds (), <=, fds);
  g_assert_cmpuint (ws_fixture_count_threads (), <=, threads);
}

static void
test_it_stops_from_every_state (void)
{
  const GstState states[]
      = { GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING };

  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    WsFixture *fixture = ws_fixture_new (NULL, NULL);
    g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);

    ws_client_handshake (client, STREAM, WS_CLIENT_HEADERS);
    gst_element_set_state (fixture->sink, states[i]);
    ws_fixture_free (fixture);
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/havenwssink/leaks/" #name, test_##name)
  ADD (thousands_of_connections_leave_no_descriptor);
  ADD (100_starts_and_stops_leave_nothing);
  ADD (it_stops_from_every_state);
  return g_test_run ();
}
