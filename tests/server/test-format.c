/* Which form a recording has, what is copied into it, and the header of a WAV file that grows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "haven-format.h"
#include "haven-wav.h"

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

static guint32
number_at (int fd, off_t at)
{
  guint32 value = 0;

  g_assert_cmpint (pread (fd, &value, sizeof value, at), ==, sizeof value);
  return GUINT32_FROM_LE (value);
}

static void
test_a_wav_header_says_how_long_the_file_is (void)
{
  static const char header[44] = "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\xbb\0\0\0\x77\1\0\2\0"
                                 "\x10\0data";
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("wav-XXXXXX", &path, NULL);

  g_assert_false (haven_wav_set_size (fd, 0));
  g_assert_cmpint (write (fd, header, sizeof header), ==, sizeof header);
  g_assert_true (haven_wav_set_size (fd, 1044));
  g_assert_cmpuint (number_at (fd, 4), ==, 1036);
  g_assert_cmpuint (number_at (fd, 40), ==, 1000);
  g_assert_true (haven_wav_set_size (fd, G_GUINT64_CONSTANT (5000000000)));
  g_assert_cmpuint (number_at (fd, 4), ==, G_MAXUINT32);
  g_assert_cmpuint (number_at (fd, 40), ==, G_MAXUINT32);
  g_assert_cmpint (pwrite (fd, "LIST", 4, 36), ==, 4); /* not as we write it */
  g_assert_false (haven_wav_set_size (fd, 1044));
  g_assert_cmpuint (number_at (fd, 40), ==, G_MAXUINT32);
  close (fd);
  g_unlink (path);
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
  g_test_add_func (
      "/wav/a_header_says_how_long_the_file_is", test_a_wav_header_says_how_long_the_file_is);
  return g_test_run ();
}
