/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-removal.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "haven-error.h"
#include "haven-filename.h"
#include "haven-manifest.h"

/* A part under all the names that it can have, and what was written beside it. */
static gboolean
delete_part (const HavenPartRow *part)
{
  g_autofree char *name = haven_filename_finished (part->path);
  g_autofree char *unfinished = g_strconcat (name, HAVEN_UNFINISHED, NULL);

  /* In this order: recovery, which may be at it, gives it the second name. */
  if ((g_unlink (unfinished) < 0 && errno != ENOENT) || (g_unlink (name) < 0 && errno != ENOENT))
    return FALSE;
  for (guint i = 0; haven_manifest_beside[i]; i++) {
    g_autofree char *path = haven_manifest_sibling (name, haven_manifest_beside[i]);

    g_unlink (path);
  }
  return TRUE;
}

/* @row: of one that does not run */
gboolean
haven_removal_delete (HavenStore *store, const HavenRecordingRow *row, GError **error)
{
  for (guint i = 0; i < row->parts->len; i++) {
    const HavenPartRow *part = row->parts->pdata[i];

    if (!delete_part (part)) {
      g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INTERNAL, "%s cannot be deleted.", part->path);
      return FALSE;
    }
  }
  return haven_store_delete_recording (store, row->id, error);
}
