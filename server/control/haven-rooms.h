/* haven-rooms: asks LiveKit's server API in which rooms somebody publishes; it takes API key and
 * secret.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

#include "haven-config.h"

G_BEGIN_DECLS

typedef struct _HavenRooms HavenRooms;

HavenRooms *haven_rooms_new (HavenConfig *config);
void haven_rooms_free (HavenRooms *rooms);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenRooms, haven_rooms_free)
gboolean haven_rooms_can_ask (HavenRooms *rooms);

/* @names: (transfer full) (element-type utf8): of the rooms; ended by no NULL */
void haven_rooms_ask_async (HavenRooms *rooms, GPtrArray *names, GCancellable *cancellable,
    GAsyncReadyCallback callback, gpointer user_data);
/* Returns: (transfer full) (nullable): the names of those in which somebody publishes */
GHashTable *haven_rooms_ask_finish (GAsyncResult *result, GError **error);

G_END_DECLS
