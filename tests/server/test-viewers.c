/* A viewer that waits for its session: it is answered, its leaving is seen, and what the session
 * must hear stays in the socket.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>
#include <sys/socket.h>

#include "haven-error.h"
#include "haven-log.h"
#include "haven-viewers.h"
#include "server-fixture.h"
#include "ws-protocol.h"

typedef struct
{
  ServerFixture server;
  char *binary;
  HavenSessionManager *manager;
  HavenViewers *viewers;
} Fixture;

/* A session's process that never says a word. */
static void
make_deaf_session (Fixture *fixture)
{
  fixture->binary = g_build_filename (fixture->server.directory, "session", NULL);
  g_assert_true (g_file_set_contents_full (
      fixture->binary, "#!/bin/sh\nexec sleep 60\n", -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
}

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  ServerFixture *server = &fixture->server;

  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
  server_fixture_set_up (server);
  make_deaf_session (fixture);
  fixture->manager = haven_session_manager_new (
      server->config, server->store, server->directory, fixture->binary);
  fixture->viewers = haven_viewers_new (server->config, fixture->manager);
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  haven_viewers_free (fixture->viewers);
  g_object_unref (fixture->manager);
  server_fixture_tear_down (&fixture->server);
  g_free (fixture->binary);
}

/* A pair of connected TCP sockets: what is tested is in the kernel's.
 *
 * Returns: (transfer full): the viewer's end */
static GSocket *
wait_for (Fixture *fixture, const char *form, gboolean too_early, GSocket **server_end)
{
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  guint16 port = g_socket_listener_add_any_inet_port (listener, NULL, NULL);
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", port);
  GSocket *theirs
      = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
  gboolean connected = g_socket_connect (theirs, address, NULL, NULL);
  g_autoptr (GSocketConnection) ours = g_socket_listener_accept (listener, NULL, NULL, NULL);
  GSocket *socket = g_socket_connection_get_socket (ours);

  g_assert_true (connected);
  g_socket_set_blocking (socket, FALSE);
  *server_end = socket;
  haven_viewers_take (fixture->viewers, "nobody", G_IO_STREAM (ours), socket, too_early, form,
      g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));
  g_socket_set_blocking (theirs, FALSE);
  return theirs;
}

static gsize
frame_of (guint8 *frame, WsOpcode opcode, const char *payload, gsize size)
{
  guint header = ws_frame_header (frame, opcode, size);

  frame[1] |= 0x80; /* with a mask of zeros */
  memset (frame + header, 0, 4);
  memcpy (frame + header + 4, payload, size);
  return header + 4 + size;
}

static void
say (GSocket *socket, WsOpcode opcode, const char *payload)
{
  guint8 frame[WS_MAX_HEADER + 4 + 256];
  gsize size = frame_of (frame, opcode, payload, strlen (payload));

  g_assert_cmpint (g_socket_send (socket, (char *)frame, size, NULL, NULL), ==, size);
}

static void
settle (void)
{
  for (guint i = 0; i < 50; i++) {
    g_main_context_iteration (NULL, FALSE);
    g_usleep (1000);
  }
}

/* What comes, at least @size bytes of it. */
static void
assert_hears (GSocket *socket, const void *bytes, gsize size)
{
  gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  guint8 heard[512];
  gsize have = 0;

  while (have < size && g_get_monotonic_time () < end) {
    gssize got = g_socket_receive (socket, (char *)heard + have, sizeof heard - have, NULL, NULL);

    have += (gsize)MAX (got, 0);
    g_main_context_iteration (NULL, FALSE);
  }
  g_assert_cmpmem (heard, have, bytes, size);
}

static void
assert_is_told (GSocket *socket, guint16 code)
{
  gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  guint8 heard[512];
  gssize got = -1;

  while (got < 4 && g_get_monotonic_time () < end) {
    got = g_socket_receive (socket, (char *)heard, sizeof heard, NULL, NULL);
    g_main_context_iteration (NULL, FALSE);
  }
  g_assert_cmpint (got, >=, 4);
  g_assert_cmpint (heard[0], ==, 0x88);
  g_assert_cmpint (heard[2] << 8 | heard[3], ==, code);
}

static void
until_nobody_waits (Fixture *fixture)
{
  gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;

  while (haven_viewers_waiting (fixture->viewers) && g_get_monotonic_time () < end)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (haven_viewers_waiting (fixture->viewers), ==, 0);
}

static void
pings_are_answered_while_it_waits (Fixture *fixture, gconstpointer unused)
{
  GSocket *server_end;
  g_autoptr (GSocket) viewer = wait_for (fixture, "gen2", FALSE, &server_end);

  say (viewer, WS_OPCODE_TEXT, "ping");
  assert_hears (viewer, "\x81\x04pong", 6);
  say (viewer, WS_OPCODE_PING, "abc");
  assert_hears (viewer,
      "\x8a\x03"
      "abc",
      5);
  say (viewer, WS_OPCODE_TEXT, "something else");
  say (viewer, WS_OPCODE_TEXT, "ping");
  assert_hears (viewer, "\x81\x04pong", 6);
}

static void
one_that_leaves_is_forgotten (Fixture *fixture, gconstpointer unused)
{
  GSocket *server_end;
  g_autoptr (GSocket) polite = wait_for (fixture, "gen1", FALSE, &server_end);
  g_autoptr (GSocket) rude = wait_for (fixture, "gen1", FALSE, &server_end);

  say (polite, WS_OPCODE_CLOSE, "\x03\xe9");
  g_socket_shutdown (rude, FALSE, TRUE, NULL);
  until_nobody_waits (fixture);
  assert_is_told (polite, 1001);
}

static void
one_that_breaks_the_protocol_is_told (Fixture *fixture, gconstpointer unused)
{
  GSocket *server_end;
  g_autoptr (GSocket) unmasked = wait_for (fixture, "gen2", FALSE, &server_end);
  g_autoptr (GSocket) huge = NULL, early = NULL;

  g_socket_send (unmasked, "\x81\x04ping", 6, NULL, NULL);
  assert_is_told (unmasked, 1002);
  huge = wait_for (fixture, "gen2", FALSE, &server_end);
  g_socket_send (huge,
      "\x82\xff\x00\x00\x00\x00\xff\xff\xff\xff"
      "mask",
      14, NULL, NULL);
  assert_is_told (huge, 1009);
  early = wait_for (fixture, "gen2", TRUE, &server_end);
  assert_is_told (early, 1002);
  until_nobody_waits (fixture);
}

static void
half_a_message_stays_for_the_session (Fixture *fixture, gconstpointer unused)
{
  GSocket *server_end;
  g_autoptr (GSocket) viewer = wait_for (fixture, "gen2", FALSE, &server_end);
  guint8 frame[64], left[64];
  gsize size = frame_of (frame, WS_OPCODE_TEXT, "ping", 4);

  say (viewer, WS_OPCODE_TEXT, "ping");
  g_socket_send (viewer, (char *)frame, 5, NULL, NULL);
  assert_hears (viewer, "\x81\x04pong", 6);
  settle ();
  g_assert_cmpint (recv (g_socket_get_fd (server_end), left, sizeof left, MSG_PEEK), ==, 5);
  g_assert_cmpmem (left, 5, frame, 5);
  g_socket_send (viewer, (char *)frame + 5, size - 5, NULL, NULL);
  assert_hears (viewer, "\x81\x04pong", 6);
}

static void
a_wish_in_haven_v1_stays_for_the_session (Fixture *fixture, gconstpointer unused)
{
  GSocket *server_end;
  g_autoptr (GSocket) viewer = wait_for (fixture, "haven.v1", FALSE, &server_end);
  guint8 frame[64], left[64];
  gsize size = frame_of (frame, WS_OPCODE_TEXT, "{}", 2);

  say (viewer, WS_OPCODE_PING, "");
  say (viewer, WS_OPCODE_TEXT, "{}");
  assert_hears (viewer, "\x8a\x00", 2);
  settle ();
  g_assert_cmpint (recv (g_socket_get_fd (server_end), left, sizeof left, MSG_PEEK), ==, size);
  g_assert_cmpmem (left, size, frame, size);
  g_socket_shutdown (viewer, FALSE, TRUE, NULL);
  until_nobody_waits (fixture); /* although bytes are there to be read */
}

static void
nobody_waits_for_ever (Fixture *fixture, gconstpointer unused)
{
  GSocket *server_end;
  g_autoptr (GSocket) viewer = NULL;

  server_fixture_set (&fixture->server, HAVEN_KEY_VIEWER_WAIT, "1");
  viewer = wait_for (fixture, "gen1", FALSE, &server_end);
  assert_is_told (viewer, 1008);
}

static void
on_stopped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(gboolean *)user_data
      = haven_session_manager_stop_finish (HAVEN_SESSION_MANAGER (source), result, NULL);
}

static void
it_waits_as_long_as_its_session_tries (Fixture *fixture, gconstpointer unused)
{
  gint64 end = g_get_monotonic_time () + 3 * G_USEC_PER_SEC;
  gboolean stopped = FALSE;
  GSocket *server_end;
  g_autoptr (GSocket) viewer = NULL;
  char byte;

  server_fixture_set (&fixture->server, HAVEN_KEY_VIEWER_WAIT, "1");
  haven_session_manager_start_async (fixture->manager, "nobody", NULL, NULL, NULL);
  viewer = wait_for (fixture, "gen1", FALSE, &server_end);
  while (g_get_monotonic_time () < end)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (haven_viewers_waiting (fixture->viewers), ==, 1);
  g_assert_cmpint (g_socket_receive (viewer, &byte, 1, NULL, NULL), ==, -1);

  haven_session_manager_stop_async (fixture->manager,
      haven_session_manager_find (fixture->manager, "nobody"), 1000, "", on_stopped, &stopped);
  while (!stopped)
    g_main_context_iteration (NULL, TRUE);
  assert_is_told (viewer, 1008);
}

static void
those_who_wait_count_too (Fixture *fixture, gconstpointer unused)
{
  GSocket *server_end;
  g_autoptr (GSocket) first = NULL, second = NULL;
  g_autoptr (GError) error = NULL;

  server_fixture_set (&fixture->server, HAVEN_KEY_MAX_VIEWERS, "2");
  first = wait_for (fixture, "gen1", FALSE, &server_end);
  g_assert_true (haven_viewers_check (fixture->viewers, "nobody", NULL));
  second = wait_for (fixture, "gen1", FALSE, &server_end);
  g_assert_false (haven_viewers_check (fixture->viewers, "nobody", &error));
  g_assert_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT);
  g_assert_true (haven_viewers_check (fixture->viewers, "another", NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/viewers/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (pings_are_answered_while_it_waits);
  TEST (one_that_leaves_is_forgotten);
  TEST (one_that_breaks_the_protocol_is_told);
  TEST (half_a_message_stays_for_the_session);
  TEST (a_wish_in_haven_v1_stays_for_the_session);
  TEST (nobody_waits_for_ever);
  TEST (it_waits_as_long_as_its_session_tries);
  TEST (those_who_wait_count_too);
  return g_test_run ();
}
