/* haven-notices: what is told of recordings outside of the server: to the webhook that is set, and
 * to the command.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <json-glib/json-glib.h>

#include "haven-command.h"
#include "haven-webhook.h"

G_BEGIN_DECLS

typedef struct _HavenNotices HavenNotices;

HavenNotices *haven_notices_new (
    HavenConfig *config, HavenStore *store, HavenCommand *command, HavenWebhook *webhook);
void haven_notices_free (HavenNotices *notices);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenNotices, haven_notices_free)
void haven_notices_tell (
    HavenNotices *notices, const HavenRecordingRow *row, JsonObject *description);

G_END_DECLS
