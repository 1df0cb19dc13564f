/* The header of a WAV file: as wavenc writes it, while the file grows, above 4 GB, and after a
 * crash.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/check/gstharness.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "haven-recover.h"
#include "haven-wav.h"

#define PCM "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved"
#define BLOCK 4            /* bytes, a sample of both channels */
#define BUFFER (64u << 20) /* bytes */

static guint64
number (const guint8 *header, guint at, guint bytes)
{
  guint64 value = 0;

  memcpy (&value, header + at, bytes);
  return GUINT64_FROM_LE (value);
}

static void
check_small (const guint8 *header, guint64 size)
{
  g_assert_cmpmem (header, 4, "RIFF", 4);
  g_assert_cmpuint (number (header, 4, 4), ==, size - 8);
  g_assert_cmpmem (header + 8, 8, "WAVEJUNK", 8);
  g_assert_cmpmem (header + 48, 4, "fmt ", 4);
  g_assert_cmpmem (header + 72, 4, "data", 4);
  g_assert_cmpuint (number (header, 76, 4), ==, size - 80);
}

static void
check_large (const guint8 *header, guint64 size)
{
  g_assert_cmpmem (header, 8, "RF64\xFF\xFF\xFF\xFF", 8);
  g_assert_cmpmem (header + 8, 8, "WAVEds64", 8);
  g_assert_cmpuint (number (header, 20, 8), ==, size - 8);
  g_assert_cmpuint (number (header, 28, 8), ==, size - 80);
  g_assert_cmpuint (number (header, 36, 8), ==, (size - 80) / BLOCK);
  g_assert_cmpmem (header + 72, 8, "data\xFF\xFF\xFF\xFF", 8);
}

/* What wavenc writes as header for so many buffers, described as the session does. */
static void
write_header (guint buffers, guint8 *header)
{
  GstHarness *harness = gst_harness_new ("wavenc");
  GstBuffer *sound = gst_buffer_new_allocate (NULL, BUFFER, NULL), *out;
  gboolean any = FALSE;

  gst_harness_set_caps_str (harness, PCM, "audio/x-rf64");
  for (guint i = 0; i < buffers; i++) /* the same memory each time */
    g_assert_cmpint (gst_harness_push (harness, gst_buffer_copy (sound)), ==, GST_FLOW_OK);
  g_assert_true (gst_harness_push_event (harness, gst_event_new_eos ()));
  while ((out = gst_harness_try_pull (harness)) != NULL) {
    if (GST_BUFFER_OFFSET (out) == 0) {
      g_assert_cmpuint (gst_buffer_get_size (out), ==, HAVEN_WAV_HEADER);
      gst_buffer_extract (out, 0, header, HAVEN_WAV_HEADER);
      any = TRUE;
    }
    gst_buffer_unref (out);
  }
  g_assert_true (any);
  gst_buffer_unref (sound);
  gst_harness_teardown (harness);
  g_assert_true (haven_wav_describe (header, haven_wav_read_size (header)));
}

static void
test_what_wavenc_writes_fits_32_bits_where_it_can (void)
{
  guint8 header[HAVEN_WAV_HEADER];

  write_header (1, header);
  check_small (header, 80 + BUFFER);
  write_header (64, header); /* just more than 4 GB: its 80 bytes do not fit */
  check_large (header, 80 + (guint64)64 * BUFFER);
  write_header (100, header);
  check_large (header, 80 + (guint64)100 * BUFFER);
}

static int
open_file (const guint8 *header, gsize length, guint64 size)
{
  int fd = memfd_create ("sound", MFD_CLOEXEC);

  g_assert_cmpint (pwrite (fd, header, length, 0), ==, (gssize)length);
  g_assert_cmpint (ftruncate (fd, (off_t)size), ==, 0); /* the sound is a hole */
  return fd;
}

static void
test_a_header_grows_with_its_file (void)
{
  const guint64 sizes[] = { 80, 1084, 8 + (guint64)G_MAXUINT32, G_GUINT64_CONSTANT (5000000080) };
  guint8 header[HAVEN_WAV_HEADER];
  int fd;

  write_header (1, header);
  fd = open_file (header, sizeof header, sizeof header);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_assert_true (haven_wav_set_size (fd, sizes[i]));
    g_assert_cmpint (pread (fd, header, sizeof header, 0), ==, sizeof header);
    if (i < 3) /* of them the last is the largest of 32 bits */
      check_small (header, sizes[i]);
    else
      check_large (header, sizes[i]);
  }
  g_assert_false (haven_wav_set_size (fd, 79));
  g_assert_cmpint (pwrite (fd, "LIST", 4, 72), ==, 4); /* not as we write it */
  g_assert_false (haven_wav_set_size (fd, 1084));
  close (fd);
}

static void
check_recovered (int fd, guint64 size, guint64 cut)
{
  g_autoptr (GError) error = NULL;
  HavenRecovery recovery = { 0 };

  haven_recover_fd (fd, &recovery, &error);
  g_assert_no_error (error);
  g_assert_false (recovery.complete);
  g_assert_cmpuint (recovery.size, ==, size);
  g_assert_cmpuint (recovery.cut, ==, cut);
  recovery = (HavenRecovery){ 0 };
  g_assert_true (haven_recover_fd (fd, &recovery, NULL));
  g_assert_true (recovery.complete);
}

static void
test_more_than_4_gb_are_recovered (void)
{
  const guint64 size = 80 + G_GUINT64_CONSTANT (5000000000);
  const guint64 before[] = { 1084, G_GUINT64_CONSTANT (4500000080) }; /* when it was last told */
  guint8 header[HAVEN_WAV_HEADER];

  for (guint i = 0; i < G_N_ELEMENTS (before); i++) {
    int fd;

    write_header (1, header);
    g_assert_true (haven_wav_describe (header, before[i]));
    fd = open_file (header, sizeof header, size + 3);
    check_recovered (fd, size, 3);
    g_assert_cmpint (pread (fd, header, sizeof header, 0), ==, sizeof header);
    check_large (header, size);
    close (fd);
  }
}

/* As other programs write it: its largest number is all that it can say. */
static void
test_more_than_4_gb_without_room_for_their_size (void)
{
  guint8 header[44] = "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0\x80\xbb\0\0\0\xee\2\0\4\0"
                      "\x10\0data";
  const guint64 size = 44 + G_GUINT64_CONSTANT (5000000000);
  int fd = open_file (header, sizeof header, size);

  check_recovered (fd, size, 0);
  g_assert_cmpint (pread (fd, header, sizeof header, 0), ==, sizeof header);
  g_assert_cmpmem (header, 8, "RIFF\xFF\xFF\xFF\xFF", 8);
  g_assert_cmpuint (number (header, 40, 4), ==, G_MAXUINT32);
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_test_add_func ("/wav/what_wavenc_writes_fits_32_bits_where_it_can",
      test_what_wavenc_writes_fits_32_bits_where_it_can);
  g_test_add_func ("/wav/a_header_grows_with_its_file", test_a_header_grows_with_its_file);
  g_test_add_func ("/wav/more_than_4_gb_are_recovered", test_more_than_4_gb_are_recovered);
  g_test_add_func ("/wav/more_than_4_gb_without_room_for_their_size",
      test_more_than_4_gb_without_room_for_their_size);
  return g_test_run ();
}
