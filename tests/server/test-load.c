/* How busy the processors are, read from files of the kernel's form.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>

#include "haven-load.h"

typedef struct
{
  char *path;
  HavenLoad *load;
} Fixture;

static void
say (Fixture *fixture, guint busy, guint idle)
{
  g_autofree char *text = g_strdup_printf (
      "cpu  %u 0 0 %u 0 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n", busy, idle);

  g_assert_true (g_file_set_contents (fixture->path, text, -1, NULL));
}

static void
next (Fixture *fixture, guint busy, guint idle)
{
  say (fixture, busy, idle);
  haven_load_sample (fixture->load);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  int fd = g_file_open_tmp ("haven-load-XXXXXX", &fixture->path, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  say (fixture, 1000, 1000);
  fixture->load = haven_load_new (fixture->path);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  haven_load_free (fixture->load);
  g_unlink (fixture->path);
  g_free (fixture->path);
}

static void
knows_nothing_at_first (Fixture *fixture, gconstpointer data)
{
  g_assert_cmpuint (haven_load_percent (fixture->load), ==, 0);
}

static void
tells_the_share_since_it_looked (Fixture *fixture, gconstpointer data)
{
  next (fixture, 1075, 1025);
  g_assert_cmpuint (haven_load_percent (fixture->load), ==, 75);
}

static void
forgets_what_is_long_ago (Fixture *fixture, gconstpointer data)
{
  for (guint i = 1; i <= 4; i++)
    next (fixture, 1000 + 100 * i, 1000);
  g_assert_cmpuint (haven_load_percent (fixture->load), ==, 100);
  for (guint i = 1; i <= 12; i++)
    next (fixture, 1400, 1000 + 100 * i);
  g_assert_cmpuint (haven_load_percent (fixture->load), ==, 0);
}

static void
a_file_that_is_none_of_the_kernels_changes_nothing (Fixture *fixture, gconstpointer data)
{
  next (fixture, 1080, 1020);
  g_assert_true (g_file_set_contents (fixture->path, "nonsense", -1, NULL));
  haven_load_sample (fixture->load);
  g_unlink (fixture->path);
  haven_load_sample (fixture->load);
  g_assert_cmpuint (haven_load_percent (fixture->load), ==, 80);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/load/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (knows_nothing_at_first);
  TEST (tells_the_share_since_it_looked);
  TEST (forgets_what_is_long_ago);
  TEST (a_file_that_is_none_of_the_kernels_changes_nothing);
#undef TEST
  return g_test_run ();
}
