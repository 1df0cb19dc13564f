/* haven-retention: deletes recordings that are old, or too many, where the settings say so.
 *
 * Only what was completed and is in the library, the oldest first; never one that runs, nor one
 * that a command is still to be run for.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-config.h"
#include "haven-store.h"

G_BEGIN_DECLS

typedef struct _HavenRetention HavenRetention;

/* @reason: keep-days or max-total-gigabytes */
typedef void (*HavenRetentionDeleted) (
    const HavenRecordingRow *row, const char *reason, gpointer user_data);

HavenRetention *haven_retention_new (
    HavenConfig *config, HavenStore *store, HavenRetentionDeleted deleted, gpointer user_data);
void haven_retention_free (HavenRetention *retention);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenRetention, haven_retention_free)
void haven_retention_wake (HavenRetention *retention);
guint haven_retention_count (HavenRetention *retention);

G_END_DECLS
