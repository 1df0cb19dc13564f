/* Which form a recording has, and what is copied into it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "haven-format.h"

static void
test_the_end_of_a_name_says_the_format (void)
{
  g_assert_cmpstr (haven_format_for_file ("a.mkv")->name, ==, "av1");
  g_assert_cmpstr (haven_format_for_file ("a.b/c.opus")->name, ==, "opus");
  g_assert_cmpstr (haven_format_for_file ("a.wav")->name, ==, "wav");
  g_assert_null (haven_format_for_file ("wav"));
}

static void
test_sound_alone_has_no_picture (void)
{
  g_assert_false (haven_format_has_video (haven_format_find ("opus")));
  g_assert_false (haven_format_has_video (haven_format_find ("wav")));
  g_assert_true (haven_format_has_video (haven_format_find ("source")));
}

static void
test_what_fits_is_copied_where_no_quality_is_asked (void)
{
  const HavenFormat *webm = haven_format_find ("webm"), *vp9 = haven_format_find ("vp9");

  g_assert_true (haven_format_copies (webm, "vp8", TRUE));
  g_assert_true (haven_format_copies (webm, "vp9", TRUE));
  g_assert_false (haven_format_copies (webm, "vp8", FALSE));
  g_assert_false (haven_format_copies (webm, "h264", TRUE));
  g_assert_false (haven_format_copies (vp9, "vp8", TRUE));
  g_assert_false (haven_format_copies (haven_format_find ("mp4"), "h264", TRUE));
  g_assert_true (haven_format_copies (haven_format_find ("source"), "h264", FALSE));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/format/the_end_of_a_name_says_the_format", test_the_end_of_a_name_says_the_format);
  g_test_add_func ("/format/sound_alone_has_no_picture", test_sound_alone_has_no_picture);
  g_test_add_func ("/format/what_fits_is_copied_where_no_quality_is_asked",
      test_what_fits_is_copied_where_no_quality_is_asked);
  return g_test_run ();
}
