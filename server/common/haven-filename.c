/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-filename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAMES 1000

/* Returns: (transfer full): NAME.mkv for NAME.mkv.part, and for NAME.mkv */
char *
haven_filename_finished (const char *path)
{
  gsize size = strlen (path);

  if (g_str_has_suffix (path, HAVEN_UNFINISHED))
    size -= strlen (HAVEN_UNFINISHED);
  return g_strndup (path, size);
}

/* Returns: (transfer full): NAME-2.mkv for NAME.mkv and 2 */
char *
haven_filename_numbered (const char *path, guint n)
{
  const char *slash = strrchr (path, '/'), *dot = strrchr (path, '.');
  int stem = dot && dot > (slash ? slash + 1 : path) ? dot - path : (int)strlen (path);

  return g_strdup_printf ("%.*s-%u%s", stem, path, n, path + stem);
}

/* Not every file system knows RENAME_NOREPLACE; a second name for the file does the same. */
static int
rename_to_free (const char *from, const char *to)
{
  if (renameat2 (AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS)
    return -1;
  if (link (from, to) != 0)
    return -1;
  return unlink (from);
}

/* Gives the file that name, or a free one like it (NAME-1 …) where it is taken; never overwrites.
 *
 * Returns: (transfer full) (nullable): the name it got; NULL with errno */
char *
haven_filename_give (const char *from, const char *to)
{
  for (guint n = 0; n < MAX_NAMES; n++) {
    g_autofree char *name = n == 0 ? g_strdup (to) : haven_filename_numbered (to, n);

    if (rename_to_free (from, name) == 0)
      return g_steal_pointer (&name);
    if (errno != EEXIST)
      break;
  }
  return NULL;
}

/* Writes a file of that name, or of a free one like it where it is taken: it is there whole or not
 * at all, and overwrites none.
 *
 * Returns: (transfer full) (nullable): the name it got */
char *
haven_filename_write (const char *path, const char *data, gsize size, GError **error)
{
  g_autofree char *draft = g_strdup_printf ("%s.%08x", path, g_random_int ());
  char *name;

  if (!g_file_set_contents (draft, data, (gssize)size, error))
    return NULL;
  name = haven_filename_give (draft, path);
  if (!name) {
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "“%s” cannot be written: %s",
        path, g_strerror (errno));
    unlink (draft);
  }
  return name;
}

/* The name of a file lasts once its directory is on disk. Returns: 0, or -1 with errno */
int
haven_filename_sync (const char *path)
{
  g_autofree char *dir = g_path_get_dirname (path);
  int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int result;

  if (fd < 0)
    return -1;
  result = fsync (fd);
  close (fd);
  return result;
}
