/* What is deleted, and above all what is not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "haven-log.h"
#include "haven-notices.h"
#include "haven-retention.h"
#include "server-fixture.h"

#define DAY G_TIME_SPAN_DAY
#define GIGABYTE G_GUINT64_CONSTANT (1000000000)

typedef struct
{
  ServerFixture base;
  HavenRetention *retention;
  GString *deleted; /* ids and reasons, in order */
} Fixture;

static void
on_deleted (const HavenRecordingRow *row, const char *reason, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_string_append_printf (fixture->deleted, "%s %s;", row->id, reason);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  server_fixture_set_up (&fixture->base);
  fixture->deleted = g_string_new (NULL);
  fixture->retention
      = haven_retention_new (fixture->base.config, fixture->base.store, on_deleted, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  haven_retention_free (fixture->retention);
  g_string_free (fixture->deleted, TRUE);
  server_fixture_tear_down (&fixture->base);
}

static void
work (Fixture *fixture)
{
  haven_retention_wake (fixture->retention);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* @age: days since it ended
 * @size: as the library has it, in gigabytes */
static void
add (Fixture *fixture, const char *id, const char *state, guint age, guint size)
{
  gint64 end = g_get_real_time () - age * DAY - G_TIME_SPAN_HOUR;
  g_autofree char *path = server_fixture_add_recording (&fixture->base, id, state, end, 10);
  const HavenPartRow part
      = { .number = 1, .path = path, .size = size * GIGABYTE, .complete = TRUE };

  g_assert_true (haven_store_keep_part (fixture->base.store, id, &part, NULL));
}

static gboolean
is_there (Fixture *fixture, const char *id)
{
  g_autofree char *name = g_strconcat (id, ".mkv", NULL);
  g_autofree char *path = g_build_filename (fixture->base.directory, name, NULL);
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (fixture->base.store, id);
  gboolean exists = g_file_test (path, G_FILE_TEST_EXISTS);

  g_assert_cmpint (exists, ==, row != NULL);
  return exists;
}

static void
nothing_is_deleted_unless_it_was_asked_for (Fixture *fixture, gconstpointer data)
{
  add (fixture, "1", "completed", 30000, 900000);
  work (fixture);
  g_assert_true (is_there (fixture, "1"));
}

static void
the_old_ones_go (Fixture *fixture, gconstpointer data)
{
  server_fixture_set (&fixture->base, HAVEN_KEY_KEEP_DAYS, "7");
  add (fixture, "young", "completed", 6, 1);
  add (fixture, "old", "completed", 7, 1);
  add (fixture, "older", "completed", 8, 1);
  add (fixture, "cut", "interrupted", 9, 1);
  add (fixture, "failed", "failed", 9, 1);
  add (fixture, "running", "recording", 9, 1);
  work (fixture);
  g_assert_cmpstr (fixture->deleted->str, ==, "older keep-days;old keep-days;");
  g_assert_cmpuint (haven_retention_count (fixture->retention), ==, 2);
  g_assert_false (is_there (fixture, "old"));
  g_assert_true (is_there (fixture, "young"));
  g_assert_true (is_there (fixture, "cut"));
  g_assert_true (is_there (fixture, "failed"));
  g_assert_true (is_there (fixture, "running"));
}

static void
the_oldest_go_until_the_rest_fits (Fixture *fixture, gconstpointer data)
{
  server_fixture_set (&fixture->base, HAVEN_KEY_MAX_TOTAL_GIGABYTES, "10");
  add (fixture, "1", "completed", 1, 4);
  add (fixture, "4", "completed", 4, 4);
  add (fixture, "3", "interrupted", 3, 4);
  add (fixture, "2", "completed", 2, 4);
  add (fixture, "0", "recording", 0, 2);
  work (fixture);
  g_assert_cmpstr (fixture->deleted->str, ==, "4 max-total-gigabytes;2 max-total-gigabytes;");
  g_assert_true (is_there (fixture, "1"));
  g_assert_true (is_there (fixture, "3"));
}

/* Only others are left: they stay, however much they are. */
static void
what_runs_is_never_deleted_for_space (Fixture *fixture, gconstpointer data)
{
  server_fixture_set (&fixture->base, HAVEN_KEY_MAX_TOTAL_GIGABYTES, "1");
  add (fixture, "1", "recording", 1, 400);
  work (fixture);
  g_assert_true (is_there (fixture, "1"));
}

static void
one_that_a_command_is_to_be_run_for_waits (Fixture *fixture, gconstpointer data)
{
  const HavenNoticeRow notice
      = { .recording_id = (char *)"1", .event = (char *)"x", .body = (char *)"{}" };
  guint n_lost;

  server_fixture_set (&fixture->base, HAVEN_KEY_KEEP_DAYS, "1");
  add (fixture, "1", "completed", 5, 1);
  g_assert_true (
      haven_store_add_notice (fixture->base.store, HAVEN_NOTICE_COMMAND, &notice, 9, &n_lost));
  work (fixture);
  g_assert_true (is_there (fixture, "1"));
  haven_store_clear_notices (fixture->base.store, HAVEN_NOTICE_COMMAND);
  work (fixture);
  g_assert_false (is_there (fixture, "1"));
}

/* In place of the file stands what cannot be deleted as one. */
static void
one_that_cannot_be_deleted_keeps_no_other (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->base.directory, "2.mkv", NULL);

  server_fixture_set (&fixture->base, HAVEN_KEY_KEEP_DAYS, "1");
  add (fixture, "1", "completed", 5, 1);
  add (fixture, "2", "completed", 6, 1);
  g_unlink (path);
  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
  work (fixture);
  g_assert_cmpstr (fixture->deleted->str, ==, "1 keep-days;");
  g_assert_true (is_there (fixture, "2"));
  g_rmdir (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
#define TEST(name) g_test_add ("/retention/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (nothing_is_deleted_unless_it_was_asked_for);
  TEST (the_old_ones_go);
  TEST (the_oldest_go_until_the_rest_fits);
  TEST (what_runs_is_never_deleted_for_space);
  TEST (one_that_a_command_is_to_be_run_for_waits);
  TEST (one_that_cannot_be_deleted_keeps_no_other);
#undef TEST
  return g_test_run ();
}
