/* What is run when a recording has ended: with what, for how long, how many at a time, and again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "haven-log.h"
#include "haven-notices.h"
#include "server-fixture.h"

#define ROW                                                                                       \
  "{\"event\":\"recording.completed\",\"recording\":{\"recording_id\":\"%s\",\"mint_id\":\"m$(x)" \
  "\","                                                                                           \
  "\"room_name\":\"a room\",\"state\":\"completed\",\"error\":null,\"output_path\":\"%s\","       \
  "\"start_time\":\"s\",\"end_time\":\"e\",\"duration_seconds\":1.5,\"file_size_bytes\":7,"       \
  "\"parts\":[{\"path\":\"%s\"}]}}"

typedef struct
{
  ServerFixture base;
  HavenCommand *command;
  char *out; /* what the commands write */
  gboolean done;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  server_fixture_set_up (&fixture->base);
  fixture->command = haven_command_new (fixture->base.config, fixture->base.store);
  fixture->out = g_build_filename (fixture->base.directory, "out", NULL);
}

static guint
n_waiting (Fixture *fixture)
{
  return haven_store_count_notices (fixture->base.store, HAVEN_NOTICE_COMMAND);
}

static gboolean
check_done (gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->done = n_waiting (fixture) == 0;
  return !fixture->done;
}

static void
run_all (Fixture *fixture)
{
  fixture->done = FALSE;
  haven_command_wake (fixture->command);
  g_timeout_add (5, check_done, fixture);
  server_fixture_run_until (&fixture->done);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->command, haven_command_free);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_free (fixture->out);
  server_fixture_tear_down (&fixture->base);
}

/* @script: OUT in it is a file for what it has to say */
static void
set_script (Fixture *fixture, const char *script)
{
  g_autoptr (GString) text = g_string_new (script);
  g_autofree char *quoted = NULL, *command = NULL;

  g_string_replace (text, "OUT", fixture->out, 0);
  quoted = g_shell_quote (text->str);
  command = g_strdup_printf ("/bin/sh -c %s 'an argument' \"and 'another\"", quoted);
  server_fixture_set (&fixture->base, HAVEN_KEY_ON_COMPLETE, command);
}

static void
add (Fixture *fixture, const char *id)
{
  g_autofree char *path = g_strdup_printf ("%s/%s.mkv", fixture->base.directory, id);
  g_autofree char *body = g_strdup_printf (ROW, id, path, path);
  const HavenNoticeRow notice
      = { .recording_id = (char *)id, .event = (char *)"recording.completed", .body = body };
  guint n_lost;

  g_assert_true (
      haven_store_add_notice (fixture->base.store, HAVEN_NOTICE_COMMAND, &notice, 100, &n_lost));
}

static char * /* (transfer full) */
said (Fixture *fixture)
{
  char *text = NULL;

  g_file_get_contents (fixture->out, &text, NULL, NULL);
  return text ? text : g_strdup ("");
}

static void
finds_the_recording_in_its_environment_and_no_secret (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL, *expected = NULL, *manifest = NULL;
  guint succeeded, failed;

  manifest = g_build_filename (fixture->base.directory, "7.json", NULL);
  g_assert_true (g_file_set_contents (manifest, "{}", -1, NULL));
  g_setenv ("LIVEKIT_API_SECRET", "hush", TRUE);
  g_setenv ("HAVEN_API_TOKEN", "hush", TRUE);
  set_script (fixture,
      "printf '%s|' \"$0\" \"$1\" \"$HAVEN_RECORDING_ID\" \"$HAVEN_RECORDING_PATH\" "
      "\"$HAVEN_RECORDING_MANIFEST\" \"$HAVEN_RECORDING_ROOM\" \"$HAVEN_RECORDING_MINT_ID\" "
      "\"$HAVEN_RECORDING_STATE\" \"$HAVEN_RECORDING_ERROR\" \"$HAVEN_RECORDING_DURATION\" "
      "\"$HAVEN_RECORDING_SIZE\" \"$HAVEN_RECORDING_PARTS\" >OUT; "
      "echo \"${LIVEKIT_API_SECRET-none}${HAVEN_API_TOKEN-none}\" >>OUT");
  add (fixture, "7");
  run_all (fixture);
  text = said (fixture);
  expected = g_strdup_printf (
      "an argument|and 'another|7|%s/7.mkv|%s|a room|m$(x)|completed||1.500|7|1|nonenone\n",
      fixture->base.directory, manifest);
  g_assert_cmpstr (text, ==, expected);
  haven_command_counters (fixture->command, &succeeded, &failed);
  g_assert_cmpuint (succeeded, ==, 1);
  g_assert_cmpuint (failed, ==, 0);
}

static void
what_fails_is_not_run_again (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL;
  guint succeeded, failed;

  set_script (fixture, "echo run >>OUT; exit 3");
  add (fixture, "1");
  run_all (fixture);
  run_all (fixture);
  text = said (fixture);
  g_assert_cmpstr (text, ==, "run\n");
  server_fixture_set (&fixture->base, HAVEN_KEY_ON_COMPLETE, "/nowhere/at/all");
  for (guint i = 0; i < 9; i++)
    add (fixture, "2");
  run_all (fixture);
  haven_command_counters (fixture->command, &succeeded, &failed);
  g_assert_cmpuint (succeeded, ==, 0);
  g_assert_cmpuint (failed, ==, 10);
}

/* Each says when it begins and ends; none ends before two have begun. */
static void
no_more_than_two_run_at_a_time (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = said (fixture);
  g_autofree char *go = g_strconcat (fixture->out, ".go", NULL);
  int running = 0, most = 0;

  set_script (fixture, "printf + >>OUT; until [ -e OUT.go ]; do sleep 0.01; done; printf - >>OUT");
  for (guint i = 0; i < 7; i++)
    add (fixture, "1");
  while (strlen (text) < 2) {
    haven_command_wake (fixture->command);
    g_main_context_iteration (NULL, FALSE);
    g_free (text);
    text = said (fixture);
  }
  g_assert_true (g_file_set_contents (go, "", 0, NULL));
  run_all (fixture);
  g_free (text);
  text = said (fixture);
  g_assert_cmpuint (strlen (text), ==, 14);
  for (const char *c = text; *c; c++) {
    running += *c == '+' ? 1 : -1;
    most = MAX (most, running);
  }
  g_assert_cmpint (most, ==, 2);
}

/* What it started goes with it. */
static void
one_that_takes_too_long_is_ended (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL;
  guint succeeded, failed;

  server_fixture_set (&fixture->base, HAVEN_KEY_ON_COMPLETE_TIMEOUT, "1");
  set_script (fixture, "sleep 1000 & echo $! >OUT; wait");
  add (fixture, "1");
  run_all (fixture);
  haven_command_counters (fixture->command, &succeeded, &failed);
  g_assert_cmpuint (failed, ==, 1);
  text = said (fixture);
  for (gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
       kill ((pid_t)g_ascii_strtoll (text, NULL, 10), 0) == 0 && g_get_monotonic_time () < end;)
    g_usleep (1000); /* whoever inherited it reaps it */
  g_assert_cmpint (kill ((pid_t)g_ascii_strtoll (text, NULL, 10), 0), ==, -1);
}

static void
much_output_neither_stays_nor_stops_it (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL;

  set_script (fixture, "head -c 5000000 /dev/zero | tr '\\0' x; echo done >OUT");
  add (fixture, "1");
  run_all (fixture);
  text = said (fixture);
  g_assert_cmpstr (text, ==, "done\n");
}

static void
one_that_was_interrupted_runs_at_the_next_start (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL, *again = NULL;

  set_script (fixture, "echo begun >>OUT; exec sleep 1000");
  add (fixture, "1");
  haven_command_wake (fixture->command);
  for (;;) {
    g_free (text);
    text = said (fixture);
    if (strcmp (text, "begun\n") == 0)
      break;
    g_main_context_iteration (NULL, FALSE);
  }
  haven_command_free (fixture->command);
  g_assert_cmpuint (n_waiting (fixture), ==, 1);
  fixture->command = haven_command_new (fixture->base.config, fixture->base.store);
  set_script (fixture, "echo again >>OUT");
  run_all (fixture);
  again = said (fixture);
  g_assert_cmpstr (again, ==, "begun\nagain\n");
}

static void
nothing_begins_while_the_server_ends (Fixture *fixture, gconstpointer data)
{
  set_script (fixture, "echo run >>OUT");
  haven_command_stop (fixture->command);
  add (fixture, "1");
  haven_command_wake (fixture->command);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (n_waiting (fixture), ==, 1);
  g_assert_false (g_file_test (fixture->out, G_FILE_TEST_EXISTS));
}

static void
without_a_command_nothing_waits_for_one (Fixture *fixture, gconstpointer data)
{
  add (fixture, "1");
  haven_command_wake (fixture->command);
  g_assert_cmpuint (n_waiting (fixture), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
#define TEST(name) g_test_add ("/command/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (finds_the_recording_in_its_environment_and_no_secret);
  TEST (what_fails_is_not_run_again);
  TEST (no_more_than_two_run_at_a_time);
  TEST (one_that_takes_too_long_is_ended);
  TEST (much_output_neither_stays_nor_stops_it);
  TEST (one_that_was_interrupted_runs_at_the_next_start);
  TEST (nothing_begins_while_the_server_ends);
  TEST (without_a_command_nothing_waits_for_one);
#undef TEST
  return g_test_run ();
}
