/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as what a crash left of a recording: what is finished has grown by no more than an
 * index of what it holds, and is finished. What is refused for want of anything that plays is as it
 * was. */

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "haven-recover.h"

#define HEAD 4096   /* bytes of an index of nothing */
#define PER_BYTE 64 /* of an index, for each byte that holds something */

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

static gsize
size_of (int fd)
{
  struct stat status;

  g_assert_true (fstat (fd, &status) == 0);
  return (gsize)status.st_size;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_auto (HavenRecovery) first = { 0 }, second = { 0 };
  g_autoptr (GError) error = NULL, again = NULL;
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);

  g_assert_true (fd >= 0);
  g_assert_true (write (fd, data, size) == (gssize)size);
  if (haven_recover_fd (fd, &first, &error)) {
    g_assert_no_error (error);
    g_assert_cmpuint (first.size, ==, size_of (fd));
    g_assert_cmpuint (first.size, <=, size * PER_BYTE + HEAD);
    g_assert_true (haven_recover_fd (fd, &second, &again));
    g_assert_true (second.complete);
    g_assert_cmpuint (second.size, ==, first.size);
  } else {
    g_autofree guint8 *now = g_malloc (size + 1);

    g_assert_nonnull (error);
    g_assert_cmpuint (size_of (fd), ==, size);
    g_assert_true (pread (fd, now, size, 0) == (gssize)size);
    g_assert_cmpmem (now, size, data, size);
  }
  close (fd);
  return 0;
}
