/* haven-manifest: where the manifest of a recording is, and what else a session writes beside it;
 * control reads and deletes them.
 * Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

char *haven_manifest_path (const char *path);
char *haven_manifest_sibling (const char *path, const char *ending);

G_END_DECLS
