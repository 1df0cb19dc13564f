/* haven-connections: accepts, and hands to libsoup, as many as may be; ends those whose request
 * takes too long to arrive, or who do not take their answer.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <libsoup/soup.h>

#include "haven-config.h"

G_BEGIN_DECLS

#define HAVEN_RETRY_AFTER "5" /* s */

typedef struct _HavenConnections HavenConnections;

HavenConnections *haven_connections_new (HavenConfig *config, SoupServer *server);
void haven_connections_free (HavenConnections *self);
void haven_connections_accept (HavenConnections *self, GSocket *listener);
void haven_connections_stop (HavenConnections *self);
void haven_connections_counters (HavenConnections *self, guint *open, guint64 *refused);

void haven_connections_request_complete (SoupServerMessage *msg);
void haven_connections_expect_taken (SoupServerMessage *msg);
guint haven_connections_count_taken (
    HavenConnections *self, SoupServerMessage *msg, const char **address);
GIOStream *haven_connections_take (SoupServerMessage *msg, GSocket **socket);
void haven_connections_say_last (
    HavenConnections *self, GSocket *socket, GIOStream *stream, const char *text, gsize size);

G_END_DECLS
