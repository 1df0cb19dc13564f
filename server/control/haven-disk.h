/* haven-disk: how much is free where recordings go; warns before they have to end.
 *
 * That they end in time is the sessions' affair: they go on without us.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-config.h"
#include "haven-store.h"

G_BEGIN_DECLS

typedef struct _HavenDisk HavenDisk;

typedef struct
{
  const char *directory;
  gboolean low;      /* little is left until recordings end */
  guint64 available; /* bytes */
  guint64 reserve;   /* bytes that stay free */
} HavenDiskState;

/* It became low, or is no longer. */
typedef void (*HavenDiskChanged) (const HavenDiskState *state, gpointer user_data);

HavenDisk *haven_disk_new (
    HavenConfig *config, HavenStore *store, HavenDiskChanged changed, gpointer user_data);
void haven_disk_free (HavenDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenDisk, haven_disk_free)
void haven_disk_check (HavenDisk *disk);
gboolean haven_disk_available (HavenDisk *disk, guint64 *available);

G_END_DECLS
