/* haven-record: a recording that needs no server; haven-live record.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "haven-exit.h"

G_BEGIN_DECLS

/* Standard input gives, as the text of a dictionary a{sv}, the keys of org.haven.Session1's Start
 * and StartRecording, and: duration u (s; 0: until it is interrupted), json b. */
HavenExit haven_record_run (void);

/* Returns: the exit code for an error's name, as in org.haven.Error.NAME */
HavenExit haven_exit_for_error (const char *name);

G_END_DECLS
