/* haven-time: times as answers, logs and manifests say them. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

char *haven_time_format (gint64 unix_us);

G_END_DECLS
