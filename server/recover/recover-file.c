/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recover-file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PENDING (1 << 20) /* bytes */

RecoverFile *
recover_file_new (int fd, guint64 size)
{
  RecoverFile *file = g_new0 (RecoverFile, 1);

  file->fd = fd;
  file->size = file->cut = size;
  return file;
}

void
recover_file_free (RecoverFile *file)
{
  g_clear_pointer (&file->pending, g_byte_array_unref);
  g_free (file);
}

/* By errno. Returns: FALSE */
gboolean
recover_file_fail (GError **error, const char *what)
{
  gboolean full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

  g_set_error (error, HAVEN_RECOVER_ERROR,
      full ? HAVEN_RECOVER_ERROR_DISK_FULL : HAVEN_RECOVER_ERROR_FILE, "It cannot be %s: %s", what,
      g_strerror (errno));
  return FALSE;
}

/* What cannot be read is no end: nothing is changed for it, and the next attempt may read it. */
gboolean
recover_file_is_readable (RecoverFile *file, GError **error)
{
  errno = file->unreadable;
  return !file->unreadable || recover_file_fail (error, "read");
}

static gboolean
fill_window (RecoverFile *file, guint64 at)
{
  gssize got;

  do
    got = pread (file->fd, file->window, sizeof file->window, (off_t)at);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    file->unreadable = errno;
  file->window_at = at;
  file->window_size = (gsize)MAX (got, 0);
  return got > 0;
}

/* Returns: FALSE where it has not all of them */
gboolean
recover_file_read (RecoverFile *file, guint64 at, gpointer data, gsize size)
{
  guint8 *to = data;

  if (at > file->size || size > file->size - at)
    return FALSE;
  while (size > 0) {
    gsize offset, n;

    if ((at < file->window_at || at >= file->window_at + file->window_size)
        && !fill_window (file, at))
      return FALSE;
    offset = at - file->window_at;
    n = MIN (size, file->window_size - offset);
    memcpy (to, file->window + offset, n);
    to += n;
    at += n;
    size -= n;
  }
  return TRUE;
}

/* Returns: (transfer full) (nullable): NULL where it has not all of them, or they are more than
 * @most */
GByteArray *
recover_file_load (RecoverFile *file, guint64 at, guint64 size, gsize most)
{
  g_autoptr (GByteArray) data = NULL;

  if (size > most || at > file->size || size > file->size - at)
    return NULL;
  data = g_byte_array_sized_new ((guint)size);
  g_byte_array_set_size (data, (guint)size);
  return recover_file_read (file, at, data->data, (gsize)size) ? g_steal_pointer (&data) : NULL;
}

/* A crash costs the end of a file: where more than that would go, something else is wrong with it,
 * and it stays as it is. */
gboolean
recover_file_may_cut (RecoverFile *file, guint64 size, GError **error)
{
  if (file->size - size <= RECOVER_MAX_CUT)
    return TRUE;
  g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_DAMAGED,
      "It is damaged at byte %" G_GUINT64_FORMAT ", and %" G_GUINT64_FORMAT " MB are behind that",
      size, (file->size - size) >> 20);
  return FALSE;
}

/* Gives up what follows. */
gboolean
recover_file_cut (RecoverFile *file, guint64 size, HavenRecovery *recovery, GError **error)
{
  if (!recover_file_is_readable (file, error))
    return FALSE;
  if (file->size != size && ftruncate (file->fd, (off_t)size) != 0)
    return recover_file_fail (error, "cut");
  recovery->cut += file->size - size;
  file->size = file->cut = size;
  file->window_size = 0;
  return TRUE;
}

static gboolean
write_all (RecoverFile *file, guint64 at, const guint8 *data, gsize size, GError **error)
{
  if (!recover_file_is_readable (file, error))
    return FALSE;
  while (size > 0) {
    gssize n = pwrite (file->fd, data, size, (off_t)at);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return recover_file_fail (error, "written");
    data += n;
    at += (guint64)n;
    size -= (gsize)n;
  }
  file->window_size = 0;
  return TRUE;
}

/* What cannot be written is taken away again: a full disk needs the room. */
gboolean
recover_file_flush (RecoverFile *file, GError **error)
{
  if (!file->pending || file->pending->len == 0)
    return TRUE;
  if (!write_all (file, file->size, file->pending->data, file->pending->len, error)) {
    if (ftruncate (file->fd, (off_t)file->cut) != 0)
      g_debug ("%s", g_strerror (errno)); /* the next recovery cuts it */
    return FALSE;
  }
  file->size += file->pending->len;
  g_byte_array_set_size (file->pending, 0);
  return TRUE;
}

/* Written when there is enough, or by recover_file_flush(). */
gboolean
recover_file_append (RecoverFile *file, gconstpointer data, gsize size, GError **error)
{
  if (!file->pending)
    file->pending = g_byte_array_new ();
  g_byte_array_append (file->pending, data, (guint)size);
  return file->pending->len < PENDING || recover_file_flush (file, error);
}

gboolean
recover_file_patch (RecoverFile *file, guint64 at, gconstpointer data, gsize size, GError **error)
{
  g_assert (at + size <= file->size);
  return write_all (file, at, data, size, error);
}

gboolean
recover_file_sync (RecoverFile *file, GError **error)
{
  if (!recover_file_flush (file, error))
    return FALSE;
  return fsync (file->fd) == 0 || errno == EINVAL || recover_file_fail (error, "synced");
}
