/* haven-command: runs the command that is set for recordings that have ended, a few at a time, each
 * for a limited time.
 *
 * What is to be run is kept in the store until it has been: a server that is ended meanwhile runs
 * it again at its next start.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <json-glib/json-glib.h>

#include "haven-config.h"
#include "haven-store.h"

G_BEGIN_DECLS

#define HAVEN_NOTICE_COMMAND "command"

typedef struct _HavenCommand HavenCommand;

HavenCommand *haven_command_new (HavenConfig *config, HavenStore *store);
void haven_command_free (HavenCommand *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenCommand, haven_command_free)
void haven_command_wake (HavenCommand *command);
void haven_command_stop (HavenCommand *command);
void haven_command_counters (HavenCommand *command, guint *succeeded, guint *failed);
char **haven_command_environment (char **environment, const char *body);

G_END_DECLS
