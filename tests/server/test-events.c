/* What a listener of events gets, first and after it was away.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>
#include <sys/socket.h>

#include "haven-events.h"

static GSocket * /* (transfer full) */
listen_from (HavenEvents *events, const char *last_id)
{
  int ends[2];
  g_autoptr (GSocket) theirs = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  GSocket *ours;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), ==, 0);
  ours = g_socket_new_from_fd (ends[0], NULL);
  theirs = g_socket_new_from_fd (ends[1], NULL);
  g_socket_set_blocking (ours, FALSE);
  g_socket_set_blocking (theirs, FALSE);
  stream = g_socket_connection_factory_create_connection (theirs);
  haven_events_add (events, G_IO_STREAM (stream), theirs, "HEAD\n", last_id);
  return ours;
}

static char * /* (transfer full): what is there */
hear (GSocket *socket)
{
  static char buffer[1024 * 1024];
  gssize size = g_socket_receive (socket, buffer, sizeof buffer, NULL, NULL);

  return g_strndup (buffer, (gsize)MAX (size, 0));
}

static void
tell (HavenEvents *events, gint64 number)
{
  JsonObject *data = json_object_new ();

  json_object_set_int_member (data, "number", number);
  haven_events_send (events, "session", data);
}

static guint
count (const char *text, const char *part)
{
  guint n = 0;

  for (const char *at = text; (at = strstr (at, part)) != NULL; at++)
    n++;
  return n;
}

static char * /* (transfer full): of the n-th event in text, from 0 */
id_of (const char *text, guint n)
{
  const char *at = strstr (text, "id: ");

  while (n--)
    at = strstr (at, "\nid: ") + 1;
  at += strlen ("id: ");
  return g_strndup (at, strcspn (at, "\n"));
}

static void
one_that_comes_back_gets_what_it_missed (void)
{
  g_autoptr (HavenEvents) events = haven_events_new ();
  g_autoptr (GSocket) first = listen_from (events, NULL);
  g_autoptr (GSocket) second = NULL, third = NULL;
  g_autofree char *heard = NULL, *id = NULL, *missed = NULL, *last = NULL, *nothing = NULL;

  for (gint64 i = 1; i <= 5; i++)
    tell (events, i);
  heard = hear (first);
  g_assert_true (g_str_has_prefix (heard, "HEAD\nid: "));
  g_assert_cmpuint (count (heard, "event: session\n"), ==, 5);

  id = id_of (heard, 2);
  second = listen_from (events, id);
  missed = hear (second);
  g_assert_cmpuint (count (missed, "event: "), ==, 2);
  g_assert_nonnull (strstr (missed, "\"number\":4"));
  g_assert_nonnull (strstr (missed, "\"number\":5"));

  last = id_of (heard, 4);
  third = listen_from (events, last);
  nothing = hear (third);
  g_assert_cmpstr (nothing, ==, "HEAD\n");
}

static void
one_that_was_away_too_long_is_told_so (void)
{
  static const char *const unknown[] = { "7", "123-1", "", "nonsense" };
  g_autoptr (HavenEvents) events = haven_events_new ();
  g_autoptr (GSocket) first = listen_from (events, NULL), again = NULL;
  g_autofree char *heard = NULL, *id = NULL, *told = NULL;

  tell (events, 0);
  heard = hear (first);
  id = id_of (heard, 0);
  for (gint64 i = 1; i <= 1000; i++)
    tell (events, i);
  again = listen_from (events, id);
  told = hear (again);
  g_assert_cmpuint (count (told, "event: "), ==, 1);
  g_assert_nonnull (strstr (told, "event: reset\n"));

  for (guint i = 0; i < G_N_ELEMENTS (unknown); i++) {
    g_autoptr (GSocket) socket = listen_from (events, unknown[i]);
    g_autofree char *text = hear (socket);

    g_assert_nonnull (strstr (text, "event: reset\n"));
  }
}

static void
one_that_does_not_listen_is_let_go (void)
{
  g_autoptr (HavenEvents) events = haven_events_new ();
  g_autoptr (GSocket) deaf = listen_from (events, NULL);

  g_assert_cmpuint (haven_events_count (events), ==, 1);
  for (gint64 i = 0; haven_events_count (events) == 1; i++) {
    g_assert_cmpint (i, <, 100000);
    tell (events, i);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add_func ("/events/" #name, name)
  TEST (one_that_comes_back_gets_what_it_missed);
  TEST (one_that_was_away_too_long_is_told_so);
  TEST (one_that_does_not_listen_is_let_go);
  return g_test_run ();
}
