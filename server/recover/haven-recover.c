/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-recover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "haven-filename.h"
#include "recover-file.h"

G_DEFINE_QUARK (haven - recover - error - quark, haven_recover_error)

void
haven_recovery_clear (HavenRecovery *recovery)
{
  g_clear_pointer (&recovery->path, g_free);
}

typedef gboolean (*Recover) (RecoverFile *file, HavenRecovery *recovery, GError **error);

/* By its first bytes; its name may say anything. */
static Recover /* (nullable) */
find_container (RecoverFile *file)
{
  guint8 head[12];

  if (!recover_file_read (file, 0, head, sizeof head))
    return NULL;
  if (memcmp (head, "\x1A\x45\xDF\xA3", 4) == 0)
    return recover_matroska;
  if (memcmp (head + 4, "ftyp", 4) == 0)
    return recover_mp4;
  if (memcmp (head, "OggS", 4) == 0)
    return recover_ogg;
  if ((memcmp (head, "RIFF", 4) == 0 || memcmp (head, "RF64", 4) == 0)
      && memcmp (head + 8, "WAVE", 4) == 0)
    return recover_wav;
  return NULL;
}

/* The file's content alone; nobody else may write it.
 *
 * @recovery: empty; filled on success */
gboolean
haven_recover_fd (int fd, HavenRecovery *recovery, GError **error)
{
  g_autoptr (RecoverFile) file = NULL;
  g_autoptr (GError) problem = NULL;
  HavenRecovery found = { 0 };
  struct stat status;
  Recover recover;

  if (fstat (fd, &status) != 0) {
    g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_FILE, "It cannot be read: %s",
        g_strerror (errno));
    return FALSE;
  }
  file = recover_file_new (fd, (guint64)status.st_size);
  recover = find_container (file);
  if (!recover)
    g_set_error (&problem, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_UNKNOWN,
        "It is neither Matroska, WebM, MP4, Ogg nor WAV");
  else
    recover (file, &found, &problem);
  if (!recover_file_is_readable (file, error)) /* whatever was made of the rest */
    return FALSE;
  if (problem) {
    g_propagate_error (error, g_steal_pointer (&problem));
    return FALSE;
  }
  found.size = file->size;
  *recovery = found;
  return TRUE;
}

/* Opened and locked, and still what @path means.
 *
 * Returns: a descriptor, or -1 */
static int
open_unused (const char *path, GError **error)
{
  int fd = open (path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  HavenRecoverError code = HAVEN_RECOVER_ERROR_FILE;
  const char *problem = NULL;
  struct stat opened, named;

  if (fd < 0 || fstat (fd, &opened) != 0)
    problem = g_strerror (errno);
  else if (!S_ISREG (opened.st_mode))
    problem = "It is no plain file";
  else if (opened.st_size == 0) { /* one that has just been made is not locked yet */
    code = HAVEN_RECOVER_ERROR_EMPTY;
    problem = "There is nothing in it";
  } else if (flock (fd, LOCK_EX | LOCK_NB) != 0) {
    code = errno == EWOULDBLOCK ? HAVEN_RECOVER_ERROR_IN_USE : HAVEN_RECOVER_ERROR_FILE;
    problem = errno == EWOULDBLOCK ? "A session writes it" : g_strerror (errno);
  } else if (stat (path, &named) != 0 || named.st_ino != opened.st_ino
             || named.st_dev != opened.st_dev) {
    code = HAVEN_RECOVER_ERROR_IN_USE;
    problem = "It has just been given another name";
  }
  if (!problem)
    return fd;
  g_set_error_literal (error, HAVEN_RECOVER_ERROR, code, problem);
  if (fd >= 0)
    close (fd);
  return -1;
}

/* A file that was called NAME.part is then called NAME, or NAME-1 … where that is taken.
 *
 * @recovery: empty; filled on success */
gboolean
haven_recover_path (const char *path, HavenRecovery *recovery, GError **error)
{
  int fd = open_unused (path, error);

  if (fd < 0)
    return FALSE;
  if (!haven_recover_fd (fd, recovery, error)) {
    close (fd);
    return FALSE;
  }
  if (g_str_has_suffix (path, HAVEN_UNFINISHED)) {
    g_autofree char *wanted = haven_filename_finished (path);
    g_autofree char *named = g_strdup_printf ("named “%s”", wanted);

    if (recovery->complete && fsync (fd) != 0) { /* its writer had no time to, or could not */
      close (fd);
      return recover_file_fail (error, "synced");
    }
    recovery->path = haven_filename_give (path, wanted);
    if (!recovery->path)
      recover_file_fail (error, named);
    else
      haven_filename_sync (recovery->path);
  } else {
    recovery->path = g_strdup (path);
  }
  close (fd);
  return recovery->path != NULL;
}
