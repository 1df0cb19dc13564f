/* What outlives the process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gio/gio.h>
#include <glib/gstdio.h>

#include "haven-error.h"
#include "haven-store.h"

typedef struct
{
  char *directory;
  HavenStore *store;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->directory = g_dir_make_tmp ("haven-store-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->store = haven_store_open (fixture->directory, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDir) directory = NULL;
  const char *name;

  g_clear_pointer (&fixture->store, haven_store_free);
  directory = g_dir_open (fixture->directory, 0, NULL);
  while ((name = g_dir_read_name (directory)) != NULL) {
    g_autofree char *path = g_build_filename (fixture->directory, name, NULL);

    g_unlink (path);
  }
  g_rmdir (fixture->directory);
  g_free (fixture->directory);
}

static void
reopen (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  haven_store_free (fixture->store);
  fixture->store = haven_store_open (fixture->directory, &error);
  g_assert_no_error (error);
}

static gint64
add_session (Fixture *fixture, const char *mint_id)
{
  const HavenSessionRow row = { .mint_id = (char *)mint_id,
    .room_name = (char *)mint_id,
    .participant_identity = (char *)"whom",
    .for_viewers = TRUE };
  g_autoptr (GError) error = NULL;
  gint64 id = haven_store_add_session (fixture->store, &row, &error);

  g_assert_no_error (error);
  g_assert_cmpint (id, >, 0);
  return id;
}

static void
a_session_is_found_as_it_was (Fixture *fixture, gconstpointer data)
{
  gint64 first = add_session (fixture, "a"), second = add_session (fixture, "b");
  g_autoptr (GPtrArray) running = NULL;
  const HavenSessionRow *row;

  haven_store_set_record_session (fixture->store, second, TRUE);
  haven_store_update_session (fixture->store, first, "ended", NULL, 0);
  haven_store_update_session (fixture->store, second, "reconnecting", "it died", 3);
  reopen (fixture);
  running = haven_store_list_running_sessions (fixture->store);
  g_assert_cmpuint (running->len, ==, 1);
  row = running->pdata[0];
  g_assert_cmpint (row->id, ==, second);
  g_assert_cmpstr (row->participant_identity, ==, "whom");
  g_assert_cmpuint (row->restarts, ==, 3);
  g_assert_true (row->record_session && row->for_viewers);
}

static void
a_failure_is_known_until_the_next_session (Fixture *fixture, gconstpointer data)
{
  gint64 id = add_session (fixture, "a");
  g_autofree char *none = haven_store_get_failure (fixture->store, "a"), *kept = NULL,
                  *again = NULL;

  g_assert_null (none);
  haven_store_update_session (fixture->store, id, "failed", "it died thrice", 2);
  reopen (fixture);
  kept = haven_store_get_failure (fixture->store, "a");
  g_assert_cmpstr (kept, ==, "it died thrice");
  add_session (fixture, "a");
  again = haven_store_get_failure (fixture->store, "a");
  g_assert_null (again);
}

static gboolean
add_recording (Fixture *fixture, const char *id, const char *path, GError **error)
{
  const HavenRecordingRow row = { .id = (char *)id,
    .session_id = add_session (fixture, "a"),
    .mint_id = (char *)"a",
    .room_name = (char *)"a",
    .format = (char *)"av1",
    .video_quality = (char *)"low",
    .audio_quality = (char *)"low",
    .start_time = 1 };

  return haven_store_add_recording (fixture->store, &row, path, error);
}

static void
a_recording_without_its_part_is_none (Fixture *fixture, gconstpointer data)
{
  g_autoptr (HavenRecordingRow) first = NULL, second = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (add_recording (fixture, "1", "/a.mkv", NULL));
  g_assert_false (add_recording (fixture, "2", "/a.mkv", &error)); /* a path is of one part */
  g_assert_error (error, HAVEN_ERROR, HAVEN_ERROR_INTERNAL);
  first = haven_store_get_recording (fixture->store, "1");
  second = haven_store_get_recording (fixture->store, "2");
  g_assert_nonnull (first);
  g_assert_cmpuint (first->parts->len, ==, 1);
  g_assert_null (second);
  g_assert_true (add_recording (fixture, "2", "/b.mkv", NULL)); /* no transaction is left open */
}

static void
parts_are_kept_by_their_numbers (Fixture *fixture, gconstpointer data)
{
  HavenPartRow part = { .number = 2, .path = (char *)"/b.mkv", .duration = 2.5, .size = 7 };
  g_autoptr (HavenRecordingRow) row = NULL, less = NULL;

  g_assert_true (add_recording (fixture, "1", "/a.mkv", NULL));
  part.info = (char *)"{}";
  g_assert_true (haven_store_keep_part (fixture->store, "1", &part, NULL));
  part.info = NULL;
  part.size = 9;
  part.complete = TRUE;
  g_assert_true (haven_store_keep_part (fixture->store, "1", &part, NULL));
  row = haven_store_get_recording (fixture->store, "1");
  g_assert_cmpuint (row->parts->len, ==, 2);
  g_assert_cmpuint (haven_recording_row_last_part (row)->size, ==, 9);
  g_assert_cmpstr (haven_recording_row_last_part (row)->info, ==, "{}");
  g_assert_true (haven_recording_row_last_part (row)->complete);
  g_assert_cmpfloat (haven_recording_row_duration (row), ==, 2.5);
  haven_store_delete_part (fixture->store, "1", 2);
  less = haven_store_get_recording (fixture->store, "1");
  g_assert_cmpuint (less->parts->len, ==, 1);
}

static void
one_process_at_a_time (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (haven_store_open (fixture->directory, &error));
  g_assert_error (error, HAVEN_ERROR, HAVEN_ERROR_IN_USE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/store/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (a_session_is_found_as_it_was);
  TEST (a_failure_is_known_until_the_next_session);
  TEST (a_recording_without_its_part_is_none);
  TEST (parts_are_kept_by_their_numbers);
  TEST (one_process_at_a_time);
#undef TEST
  return g_test_run ();
}
