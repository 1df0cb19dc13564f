/* ws-greeting: a viewer of haven.v1 before its first message, which says what it wants. Takes not a
 * byte more from the connection than that, so that whoever serves the viewer then finds the rest.
 *
 * Lives on one thread, that of the main context it was made in.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

#include "ws-ask.h"
#include "ws-protocol.h"

G_BEGIN_DECLS

typedef struct _WsGreeting WsGreeting;

/* Called once; free the greeting in there. Or close it there, where what is asked for cannot be
 * had: then it is called again, without an ask.
 * @ask: (nullable): none, if the connection is at its end */
typedef void (*WsGreetingFunc) (WsGreeting *greeting, const WsAsk *ask, gpointer user_data);

WsGreeting *ws_greeting_new (
    GIOStream *stream, GSocket *socket, WsGreetingFunc done, gpointer user_data);
void ws_greeting_free (WsGreeting *greeting);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsGreeting, ws_greeting_free)

void ws_greeting_close (WsGreeting *greeting, guint16 code, const char *reason);
GIOStream *ws_greeting_steal (WsGreeting *greeting, GSocket **socket);

G_END_DECLS
