/* recover-file: a recording that is being finished in place: read through a window, cut, appended
 * to and patched, with the first failure kept. Of one thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "haven-recover.h"

G_BEGIN_DECLS

/* bytes at the end that may be given up */
#define RECOVER_MAX_CUT (G_GUINT64_CONSTANT (64) << 20)

typedef struct
{
  int fd;       /* (not owned) */
  guint64 size; /* bytes */
  guint64 cut;  /* its size after it was cut; what is behind that is ours */

  int unreadable; /* errno of a read that failed; 0: none did */

  guint8 window[65536];
  guint64 window_at;
  gsize window_size;

  GByteArray *pending; /* (owned) (nullable): what is appended, until it is worth a write */
} RecoverFile;

RecoverFile *recover_file_new (int fd, guint64 size);
void recover_file_free (RecoverFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RecoverFile, recover_file_free)

gboolean recover_file_fail (GError **error, const char *what);
gboolean recover_file_is_readable (RecoverFile *file, GError **error);
gboolean recover_file_read (RecoverFile *file, guint64 at, gpointer data, gsize size);
GByteArray *recover_file_load (RecoverFile *file, guint64 at, guint64 size, gsize most);
gboolean recover_file_may_cut (RecoverFile *file, guint64 size, GError **error);
gboolean recover_file_cut (
    RecoverFile *file, guint64 size, HavenRecovery *recovery, GError **error);
gboolean recover_file_append (RecoverFile *file, gconstpointer data, gsize size, GError **error);
gboolean recover_file_flush (RecoverFile *file, GError **error);
gboolean recover_file_patch (
    RecoverFile *file, guint64 at, gconstpointer data, gsize size, GError **error);
gboolean recover_file_sync (RecoverFile *file, GError **error);

static inline guint64
recover_be (const guint8 *data, guint size)
{
  guint64 value = 0;

  for (guint i = 0; i < size; i++)
    value = value << 8 | data[i];
  return value;
}

static inline void
recover_put_be (guint8 *data, guint size, guint64 value)
{
  for (guint i = size; i > 0; i--, value >>= 8)
    data[i - 1] = (guint8)value;
}

/* One for each container; recovery is filled where it returns TRUE. */
gboolean recover_matroska (RecoverFile *file, HavenRecovery *recovery, GError **error);
gboolean recover_mp4 (RecoverFile *file, HavenRecovery *recovery, GError **error);
gboolean recover_ogg (RecoverFile *file, HavenRecovery *recovery, GError **error);
gboolean recover_wav (RecoverFile *file, HavenRecovery *recovery, GError **error);

G_END_DECLS
