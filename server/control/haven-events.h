/* haven-events: server-sent events to whoever listens. One that does not keep up is cut off: it
 * comes back by itself, and gets what it missed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct _HavenEvents HavenEvents;

HavenEvents *haven_events_new (void);
void haven_events_free (HavenEvents *events);
void haven_events_add (
    HavenEvents *events, GIOStream *stream, GSocket *socket, const char *head, const char *last_id);
void haven_events_send (HavenEvents *events, const char *type, JsonObject *data);
guint haven_events_count (HavenEvents *events);
gboolean haven_events_full (HavenEvents *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenEvents, haven_events_free)

G_END_DECLS
