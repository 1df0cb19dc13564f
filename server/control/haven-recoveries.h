/* haven-recoveries: finishes files that were cut off, one after the other, each in a process of its
 * own, which may die of what is in the file.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct _HavenRecoveries HavenRecoveries;

/* @recording_id: (nullable): as it was given
 * @file: (nullable): what “haven-live recover --json” says of it; NULL where it says nothing */
typedef void (*HavenRecovered) (
    const char *recording_id, guint part, const char *path, JsonObject *file, gpointer user_data);

HavenRecoveries *haven_recoveries_new (HavenRecovered recovered, gpointer user_data);
void haven_recoveries_free (HavenRecoveries *recoveries);

void haven_recoveries_add (
    HavenRecoveries *recoveries, const char *recording_id, guint part, const char *path);
void haven_recoveries_add_directory (HavenRecoveries *recoveries, const char *directory);

G_END_DECLS
