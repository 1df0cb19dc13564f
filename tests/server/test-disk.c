/* What is said of a disk that fills: the marks are moved, not the disk.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>

#include "haven-disk.h"
#include "haven-log.h"
#include "server-fixture.h"

typedef struct
{
  ServerFixture base;
  HavenDisk *disk;
  guint told;
  gboolean low;
  guint64 available, reserve;
} Fixture;

static void
on_changed (const HavenDiskState *state, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->told++;
  fixture->low = state->low;
  fixture->available = state->available;
  fixture->reserve = state->reserve;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  server_fixture_set_up (&fixture->base);
  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_RESERVE, "1");
  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_WARN, "0");
  fixture->disk = haven_disk_new (fixture->base.config, fixture->base.store, on_changed, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  haven_disk_free (fixture->disk);
  server_fixture_tear_down (&fixture->base);
}

static void
says_once_that_it_is_low_and_once_that_it_is_not (Fixture *fixture, gconstpointer data)
{
  haven_disk_check (fixture->disk);
  g_assert_cmpuint (fixture->told, ==, 0);

  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_WARN, "4000000");
  haven_disk_check (fixture->disk);
  haven_disk_check (fixture->disk);
  g_assert_cmpuint (fixture->told, ==, 1);
  g_assert_true (fixture->low);
  g_assert_cmpuint (fixture->available, >, 0);
  g_assert_cmpuint (fixture->reserve, ==, 1000000);

  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_WARN, "0");
  haven_disk_check (fixture->disk);
  haven_disk_check (fixture->disk);
  g_assert_cmpuint (fixture->told, ==, 2);
  g_assert_false (fixture->low);
}

/* What is written beside may take the space and give it back. */
static void
a_little_more_than_the_mark_is_not_enough_to_be_well (Fixture *fixture, gconstpointer data)
{
  guint64 available;
  g_autofree char *above = NULL, *below = NULL;

  g_assert_true (haven_disk_available (fixture->disk, &available));
  above = g_strdup_printf ("%" G_GUINT64_FORMAT, available / 1000000 * 105 / 100);
  below = g_strdup_printf ("%" G_GUINT64_FORMAT, available / 1000000 * 95 / 100);
  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_WARN, above);
  haven_disk_check (fixture->disk);
  g_assert_true (fixture->low);
  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_WARN, below);
  haven_disk_check (fixture->disk);
  g_assert_true (fixture->low);
  g_assert_cmpuint (fixture->told, ==, 1);
}

static void
a_directory_that_cannot_be_is_left_to_who_records_there (Fixture *fixture, gconstpointer data)
{
  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_WARN, "4000000");
  server_fixture_set (&fixture->base, HAVEN_KEY_RECORDING_DIRECTORY, "/dev/null/x");
  haven_disk_check (fixture->disk);
  g_assert_cmpuint (fixture->told, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
#define TEST(name) g_test_add ("/disk/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (says_once_that_it_is_low_and_once_that_it_is_not);
  TEST (a_little_more_than_the_mark_is_not_enough_to_be_well);
  TEST (a_directory_that_cannot_be_is_left_to_who_records_there);
#undef TEST
  return g_test_run ();
}
