/* haven-removal: deletes a recording: its row, its files, and what is beside them.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-store.h"

G_BEGIN_DECLS

gboolean haven_removal_delete (HavenStore *store, const HavenRecordingRow *row, GError **error);

G_END_DECLS
