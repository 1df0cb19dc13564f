/* Recovery of what a muxer wrote until it was stopped: whichever write is the last one that reaches
 * the disk, what is left can be finished, and is then the same.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "haven-recover.h"

#define ENOUGH 60000 /* bytes that the muxer shall write */
#define ATOMIC 16    /* bytes that a disk writes at once: they lie in one sector */
#define NEVER G_MAXUINT

/* -- calls that fail -- */

static guint calls_left = NEVER; /* until the crash; after it nothing is written */
static gboolean tears;           /* the write that is its moment is half done */
static int failure = EIO;

static off64_t unreadable = G_MAXINT64; /* from this byte on the disk gives nothing back */

ssize_t __real_pread64 (int fd, void *data, size_t size, off64_t at);
ssize_t __wrap_pread64 (int fd, void *data, size_t size, off64_t at);
ssize_t __real_pwrite64 (int fd, const void *data, size_t size, off64_t at);
ssize_t __wrap_pwrite64 (int fd, const void *data, size_t size, off64_t at);
int __real_ftruncate64 (int fd, off64_t size);
int __wrap_ftruncate64 (int fd, off64_t size);
int __wrap_fsync (int fd);

static gboolean
crashes (gboolean *now)
{
  *now = calls_left == 0;
  if (calls_left == NEVER)
    return *now = FALSE;
  if (calls_left == 0) {
    calls_left = NEVER - 1; /* from now on everything fails */
    return TRUE;
  }
  if (calls_left > NEVER / 2)
    return TRUE;
  calls_left--;
  return FALSE;
}

ssize_t
__wrap_pread64 (int fd, void *data, size_t size, off64_t at)
{
  if (at < unreadable)
    return __real_pread64 (fd, data, MIN (size, (size_t)(unreadable - at)), at);
  errno = EIO;
  return -1;
}

ssize_t
__wrap_pwrite64 (int fd, const void *data, size_t size, off64_t at)
{
  gboolean now;

  if (!crashes (&now))
    return __real_pwrite64 (fd, data, size, at);
  if (now && tears && size > ATOMIC)
    g_assert_cmpint (__real_pwrite64 (fd, data, size / 2, at), ==, (gssize)(size / 2));
  errno = failure;
  return -1;
}

int
__wrap_ftruncate64 (int fd, off64_t size)
{
  gboolean now;

  if (!crashes (&now) || failure == ENOSPC) /* which a full disk does */
    return __real_ftruncate64 (fd, size);
  errno = failure;
  return -1;
}

int
__wrap_fsync (int fd)
{
  gboolean now;

  if (!crashes (&now))
    return 0; /* it is in memory */
  errno = failure;
  return -1;
}

/* -- files -- */

#define VP8                                                                           \
  "videotestsrc ! video/x-raw,width=64,height=48,framerate=30/1 ! vp8enc deadline=1 " \
  "keyframe-max-dist=10 ! queue ! "
#define H264                                                                                \
  "videotestsrc ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 ! openh264enc " \
  "gop-size=10 ! h264parse ! queue ! "
#define PCM "audiotestsrc wave=white-noise ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! "
#define OPUS PCM "opusenc bitrate-type=vbr ! "

static const char *const writers[][2] = {
  { "matroska", VP8 "matroskamux name=m offset-to-zero=true " OPUS "queue ! m." },
  { "webm", VP8 "webmmux name=m offset-to-zero=true " OPUS "queue ! m." },
  { "mp4", H264 "mp4mux name=m fragment-duration=500 fragment-mode=first-moov-then-finalise " OPUS
                "opusparse ! queue ! m." },
  { "ogg", OPUS "oggmux name=m" },
  { "wav", PCM "wavenc name=m" },
  { "rf64", PCM "wavenc ! capsfilter name=m caps=audio/x-rf64" },
};

typedef struct
{
  GMutex lock;
  GCond enough;
  guint64 written;
} Writing;

static GstPadProbeReturn
on_written (GstPad *pad, GstPadProbeInfo *info, gpointer data) /* streaming thread */
{
  Writing *writing = data;

  g_mutex_lock (&writing->lock);
  writing->written += gst_buffer_get_size (GST_PAD_PROBE_INFO_BUFFER (info));
  g_cond_signal (&writing->enough);
  g_mutex_unlock (&writing->lock);
  return GST_PAD_PROBE_OK;
}

/* Returns: (transfer full): what the muxer wrote until it was stopped, without an end */
static GBytes *
write_unfinished (const char *writer)
{
  g_autofree char *path = NULL, *data = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (writer, NULL);
  g_autoptr (GstElement) muxer = gst_bin_get_by_name (GST_BIN (pipeline), "m");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (muxer, "src");
  GstElement *sink = gst_element_factory_make ("filesink", NULL);
  Writing writing = { .written = 0 };
  int fd = g_file_open_tmp ("haven-recover-XXXXXX", &path, NULL);
  gsize size;

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  g_mutex_init (&writing.lock);
  g_cond_init (&writing.enough);
  g_object_set (sink, "location", path, "sync", FALSE, NULL);
  gst_util_set_object_arg (G_OBJECT (sink), "buffer-mode", "unbuffered");
  gst_bin_add (GST_BIN (pipeline), sink);
  g_assert_true (gst_element_link (muxer, sink));
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_written, &writing, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_mutex_lock (&writing.lock);
  while (writing.written < ENOUGH)
    g_cond_wait (&writing.enough, &writing.lock);
  g_mutex_unlock (&writing.lock);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_true (g_file_get_contents (path, &data, &size, NULL));
  g_unlink (path);
  return g_bytes_new_take (g_steal_pointer (&data), size);
}

static int
open_copy (GBytes *bytes)
{
  int fd = memfd_create ("recording", MFD_CLOEXEC);
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);

  g_assert_cmpint (write (fd, data, size), ==, (gssize)size);
  return fd;
}

/* Returns: (transfer full) */
static GBytes *
read_all (int fd)
{
  gsize size = (gsize)lseek (fd, 0, SEEK_END);
  char *data = g_malloc (size);

  g_assert_cmpint (pread (fd, data, size, 0), ==, (gssize)size);
  return g_bytes_new_take (data, size);
}

typedef struct
{
  GBytes *left, *finished; /* (owned) */
  HavenRecovery recovery;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer writer)
{
  g_autoptr (GError) error = NULL;
  int fd;

  fixture->left = write_unfinished (writer);
  fd = open_copy (fixture->left);
  haven_recover_fd (fd, &fixture->recovery, &error);
  g_assert_no_error (error);
  g_assert_false (fixture->recovery.complete);
  g_assert_cmpuint (fixture->recovery.audio_frames, >, 10);
  fixture->finished = read_all (fd);
  close (fd);
}

static void
tear_down (Fixture *fixture, gconstpointer writer)
{
  calls_left = NEVER;
  failure = EIO;
  unreadable = G_MAXINT64;
  g_bytes_unref (fixture->left);
  g_bytes_unref (fixture->finished);
}

/* -- tests -- */

static void
test_finished_is_left_alone (Fixture *fixture, gconstpointer writer)
{
  HavenRecovery again = { 0 };
  int fd = open_copy (fixture->finished);

  calls_left = 0; /* it must not even try to write */
  g_assert_true (haven_recover_fd (fd, &again, NULL));
  g_assert_true (again.complete);
  close (fd);
}

static void
check_finished (Fixture *fixture, int fd)
{
  g_autoptr (GBytes) now = NULL;
  g_autoptr (GError) error = NULL;
  HavenRecovery again = { 0 };

  calls_left = NEVER;
  haven_recover_fd (fd, &again, &error);
  g_assert_no_error (error);
  now = read_all (fd);
  g_assert_cmpmem (g_bytes_get_data (now, NULL), g_bytes_get_size (now),
      g_bytes_get_data (fixture->finished, NULL), g_bytes_get_size (fixture->finished));
}

static void
test_crash_at_any_write_can_be_finished_again (Fixture *fixture, gconstpointer writer)
{
  gboolean through = FALSE;
  guint moments = 0;

  for (; !through; moments++) {
    for (int half = 0; half < 2; half++) {
      g_autoptr (GError) error = NULL;
      HavenRecovery first = { 0 };
      int fd = open_copy (fixture->left);

      calls_left = moments;
      tears = half;
      through = haven_recover_fd (fd, &first, &error);
      g_assert_true (
          through || g_error_matches (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_FILE));
      check_finished (fixture, fd);
      close (fd);
    }
  }
  g_assert_cmpuint (moments, >, 2); /* so often it wrote */
}

/* Writes fail, and what was written in vain is taken away: what was recorded stays and can be
 * finished. */
static void
test_full_disk_loses_nothing (Fixture *fixture, gconstpointer writer)
{
  for (guint moments = 0;; moments++) {
    g_autoptr (GError) error = NULL;
    HavenRecovery first = { 0 };
    int fd = open_copy (fixture->left);
    gboolean through;

    calls_left = moments;
    tears = TRUE;
    failure = ENOSPC;
    through = haven_recover_fd (fd, &first, &error);
    g_assert_true (
        through || g_error_matches (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_DISK_FULL));
    check_finished (fixture, fd);
    close (fd);
    if (through)
      return;
  }
}

/* What cannot be read is no end: what is behind it may be there the next time. */
static void
test_unreadable_is_not_cut (Fixture *fixture, gconstpointer writer)
{
  gsize size;
  const char *data = g_bytes_get_data (fixture->left, &size);
  guint parts = strstr (writer, "wavenc") ? 1 : 10; /* the sound of WAV is not looked at */

  for (guint tenths = 0; tenths < parts; tenths++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GBytes) now = NULL;
    HavenRecovery recovery = { 0 };
    int fd = open_copy (fixture->left);

    unreadable = (off64_t)(size * tenths / 10);
    g_assert_false (haven_recover_fd (fd, &recovery, &error));
    g_assert_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_FILE);
    unreadable = G_MAXINT64;
    now = read_all (fd);
    g_assert_cmpmem (g_bytes_get_data (now, NULL), g_bytes_get_size (now), data, size);
    check_finished (fixture, fd);
    close (fd);
  }
}

/* As of a part that began when the disk failed: its muxer has ended the segment. */
static void
test_head_alone_is_nothing (void)
{
  static const guint8 head[] = { 0x1a, 0x45, 0xdf, 0xa3, 0x80, /* EBML, empty */
    0x18, 0x53, 0x80, 0x67, 0x01, 0, 0, 0, 0, 0, 0, 5,         /* a segment of 5 bytes */
    0xec, 0x83, 0, 0, 0 };                                     /* in it a void of 3 */
  g_autoptr (GBytes) bytes = g_bytes_new_static (head, sizeof head);
  g_autoptr (GError) error = NULL;
  HavenRecovery recovery = { 0 };
  int fd = open_copy (bytes);

  g_assert_false (haven_recover_fd (fd, &recovery, &error));
  g_assert_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_EMPTY);
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (writers); i++) {
    const struct
    {
      const char *name;
      void (*run) (Fixture *fixture, gconstpointer writer);
    } tests[] = {
      { "finished_is_left_alone", test_finished_is_left_alone },
      { "crash_at_any_write_can_be_finished_again", test_crash_at_any_write_can_be_finished_again },
      { "full_disk_loses_nothing", test_full_disk_loses_nothing },
      { "unreadable_is_not_cut", test_unreadable_is_not_cut },
    };

    for (guint j = 0; j < G_N_ELEMENTS (tests); j++) {
      g_autofree char *name = g_strdup_printf ("/recover/%s/%s", writers[i][0], tests[j].name);

      g_test_add (name, Fixture, writers[i][1], set_up, tests[j].run, tear_down);
    }
  }
  g_test_add_func ("/recover/matroska/head_alone_is_nothing", test_head_alone_is_nothing);
  return g_test_run ();
}
