/* Which of many sessions begin at once, with processes that never say a word.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "haven-log.h"
#include "haven-session-manager.h"
#include "server-fixture.h"

#define AT_ONCE (2 * g_get_num_processors ())

typedef struct
{
  ServerFixture server;
  char *binary;
  HavenSessionManager *manager;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
  server_fixture_set_up (&fixture->server);
  server_fixture_set (&fixture->server, HAVEN_KEY_MAX_CPU, "0");
  server_fixture_set (&fixture->server, HAVEN_KEY_MAX_SESSIONS, "10000");
  fixture->binary = g_build_filename (fixture->server.directory, "session", NULL);
  g_assert_true (g_file_set_contents_full (
      fixture->binary, "#!/bin/sh\nexec sleep 60\n", -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
  fixture->manager = haven_session_manager_new (
      fixture->server.config, fixture->server.store, fixture->server.directory, fixture->binary);
}

static void
on_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(gboolean *)user_data = TRUE;
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  gboolean drained = FALSE;

  haven_session_manager_drain_async (fixture->manager, on_done, &drained);
  while (!drained)
    g_main_context_iteration (NULL, TRUE);
  g_object_unref (fixture->manager);
  server_fixture_tear_down (&fixture->server);
  g_free (fixture->binary);
}

static void
start (Fixture *fixture, guint number)
{
  g_autofree char *id = g_strdup_printf ("%u", number);

  haven_session_manager_start_for_viewers (fixture->manager, id, NULL, NULL);
}

static gboolean
has_process (Fixture *fixture, guint number)
{
  g_autofree char *id = g_strdup_printf ("%u", number);
  HavenSession *session = haven_session_manager_find (fixture->manager, id);

  return session && session->client;
}

static void
stop (Fixture *fixture, guint number)
{
  g_autofree char *id = g_strdup_printf ("%u", number);
  gboolean stopped = FALSE;

  haven_session_manager_stop_async (fixture->manager,
      haven_session_manager_find (fixture->manager, id), 1000, "enough", on_done, &stopped);
  while (!stopped)
    g_main_context_iteration (NULL, TRUE);
}

static void
who_came_first_begins_first (Fixture *fixture, gconstpointer unused)
{
  for (guint i = 0; i < AT_ONCE + 3; i++)
    start (fixture, i);
  for (guint i = 0; i < AT_ONCE + 3; i++)
    g_assert_true (has_process (fixture, i) == (i < AT_ONCE));
  stop (fixture, AT_ONCE); /* it waits yet: that makes no room */
  g_assert_false (has_process (fixture, AT_ONCE + 1));
  stop (fixture, 0);
  g_assert_true (has_process (fixture, AT_ONCE + 1));
  g_assert_false (has_process (fixture, AT_ONCE + 2));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/session-manager/who_came_first_begins_first", Fixture, NULL, set_up,
      who_came_first_begins_first, tear_down);
  return g_test_run ();
}
