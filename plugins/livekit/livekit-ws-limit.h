/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libsoup/soup.h>

G_BEGIN_DECLS

/* A limit on whole WebSocket messages. libsoup 3.2 limits a frame, but lets a message grow by
 * fragments without end; newer ones have max-total-message-size. Also turns permessage-deflate off,
 * which would inflate behind any limit. */

#define LIVEKIT_WS_MAX_MESSAGE (4 * 1024 * 1024)

void livekit_ws_limit_add_to_session (SoupSession *session);

/* Before soup_session_websocket_connect_async() of that message. */
void livekit_ws_limit_add_to_handshake (SoupMessage *handshake);

/* On the connection that came of it, before it is first read. FALSE: there is no limit, do not use
 * it. */
gboolean livekit_ws_limit_start (SoupWebsocketConnection *socket);

G_END_DECLS
