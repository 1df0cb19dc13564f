/* haven-viewers: connected sockets on their way to a session. No frame comes through here; while
 * one waits, its pings are answered.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-session-manager.h"

G_BEGIN_DECLS

typedef struct _HavenViewers HavenViewers;

HavenViewers *haven_viewers_new (HavenConfig *config, HavenSessionManager *manager);
void haven_viewers_free (HavenViewers *viewers);
void haven_viewers_take (HavenViewers *viewers, const char *id, GIOStream *stream, GSocket *socket,
    gboolean too_early, const char *form, GVariant *options);
void haven_viewers_close_all (HavenViewers *viewers, guint16 code, const char *reason);
guint haven_viewers_waiting (HavenViewers *viewers);
gboolean haven_viewers_check (HavenViewers *viewers, const char *id, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenViewers, haven_viewers_free)

G_END_DECLS
