/* haven-checksum: the SHA-256 of a recording's files, in its manifest. That takes a second for
 * every few hundred megabytes, which nobody shall wait for who stops a recording or a session: it
 * is the work of a process of its own that outlives both.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Starts that process for a manifest; at the lowest priority. */
void haven_checksum_spawn (const char *manifest);

/* What it does: computes what is missing, and writes the manifest anew, or leaves it as it is where
 * a file has changed or is gone.
 *
 * Returns: whether nothing is missing any more */
gboolean haven_checksum_run (const char *manifest, GError **error);

G_END_DECLS
