/* haven-webhook: POSTs what happens to recordings to the address that is set, signed, and again
 * where it does not arrive.
 *
 * What is to be sent is kept in the store until it is: also over a restart of the server.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-config.h"
#include "haven-store.h"

G_BEGIN_DECLS

#define HAVEN_NOTICE_WEBHOOK "webhook"
#define HAVEN_WEBHOOK_ATTEMPTS 14 /* for one notice, over about two hours */

typedef struct _HavenWebhook HavenWebhook;

HavenWebhook *haven_webhook_new (HavenConfig *config, HavenStore *store);
void haven_webhook_free (HavenWebhook *webhook);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenWebhook, haven_webhook_free)
void haven_webhook_wake (HavenWebhook *webhook);
void haven_webhook_counters (
    HavenWebhook *webhook, guint *delivered, guint *refused, guint *given_up);
guint haven_webhook_pause (guint attempts);
char *haven_webhook_signature (const char *secret, gint64 time, const char *body);

G_END_DECLS
