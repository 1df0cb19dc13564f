/* The names of a file that grows, is finished, and has others beside it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "haven-filename.h"

#include <glib/gstdio.h>
#include <string.h>

static void
assert_finished (const char *path, const char *expected)
{
  g_autofree char *name = haven_filename_finished (path);

  g_assert_cmpstr (name, ==, expected);
}

static void
a_finished_file_has_lost_one_ending (void)
{
  assert_finished ("/a/talk.mkv.part", "/a/talk.mkv");
  assert_finished ("/a/talk.mkv", "/a/talk.mkv");
  assert_finished ("/a.part/talk.mkv", "/a.part/talk.mkv");
  assert_finished ("talk.part.part", "talk.part");
}

static void
assert_numbered (const char *path, guint n, const char *expected)
{
  g_autofree char *name = haven_filename_numbered (path, n);

  g_assert_cmpstr (name, ==, expected);
}

static void
a_number_stands_before_the_ending (void)
{
  assert_numbered ("/a/talk.mkv", 2, "/a/talk-2.mkv");
  assert_numbered ("/a.b/talk", 10, "/a.b/talk-10");
  assert_numbered ("/a/.hidden", 1, "/a/.hidden-1");
}

static char * /* (transfer full) */
write_text (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;
  char *name = haven_filename_write (path, text, strlen (text), &error);

  g_assert_no_error (error);
  return name;
}

static void
assert_holds (const char *path, const char *expected)
{
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, expected);
}

static void
what_is_written_overwrites_nothing (void)
{
  g_autofree char *directory = g_dir_make_tmp ("haven-filename-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "talk.json", NULL);
  g_autofree char *first = write_text (path, "one"), *second = write_text (path, "two");
  g_autofree char *elsewhere = g_build_filename (path, "talk.json", NULL);
  g_autoptr (GError) error = NULL;

  assert_holds (path, "one");
  g_assert_cmpstr (first, ==, path);
  g_assert_true (g_str_has_suffix (second, "/talk-1.json"));
  assert_holds (second, "two");
  g_assert_null (haven_filename_write (elsewhere, "three", 5, &error));
  g_assert_nonnull (error);
  g_assert_cmpint (g_unlink (first), ==, 0);
  g_assert_cmpint (g_unlink (second), ==, 0);
  g_assert_cmpint (g_rmdir (directory), ==, 0); /* there is nothing else in it */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add_func ("/filename/" #name, name)
  TEST (a_finished_file_has_lost_one_ending);
  TEST (a_number_stands_before_the_ending);
  TEST (what_is_written_overwrites_nothing);
#undef TEST
  return g_test_run ();
}
