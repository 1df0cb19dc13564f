/* recover-manifest: NAME.json beside a recording that was finished by recovery says so.
 *
 * What it says already stays, but that the file is not complete.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-recover.h"

G_BEGIN_DECLS

gboolean recover_manifest_write (const HavenRecovery *recovery, GError **error);

G_END_DECLS
