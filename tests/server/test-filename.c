/* The names of a file that grows, is finished, and has others beside it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "haven-filename.h"

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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add_func ("/filename/" #name, name)
  TEST (a_finished_file_has_lost_one_ending);
  TEST (a_number_stands_before_the_ending);
#undef TEST
  return g_test_run ();
}
