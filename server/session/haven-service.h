/* haven-service: a session on a Unix socket, as org.haven.Session1, peer to peer. Any number of
 * clients, one after the other or at once; each must be of our own user.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-session.h"

G_BEGIN_DECLS

typedef struct _HavenService HavenService;

HavenService *haven_service_new (const char *path, HavenSession *session, GError **error);
/* Sends what waits to be sent, closes the connections and takes the socket away. */
void haven_service_free (HavenService *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenService, haven_service_free)

/* Whether a client ever asked for the room, and whether one listens now. */
gboolean haven_service_was_used (HavenService *service);
gboolean haven_service_has_client (HavenService *service);

G_END_DECLS
