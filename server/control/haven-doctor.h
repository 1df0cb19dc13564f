/* haven-doctor: looks what is missing on this machine, and says what to do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-config.h"

G_BEGIN_DECLS

gboolean haven_doctor_check_directory (const char *directory, double *available, GError **error);
int haven_doctor_run (HavenConfig *config, const char *session_binary, gboolean json);

G_END_DECLS
