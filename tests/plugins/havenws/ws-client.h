/* ws-client: a WebSocket client on a bare, blocking socket, so that a test can misbehave at any
 * byte.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

#include "ws-protocol.h"

G_BEGIN_DECLS

#define WS_CLIENT_HEADERS                         \
  "Upgrade: websocket\r\nConnection: Upgrade\r\n" \
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

typedef struct
{
  GSocket *socket;
  char *host;
} WsClient;

typedef struct
{
  WsOpcode opcode;
  GBytes *payload;
} WsClientFrame;

WsClient *ws_client_new (guint port, gint receive_buffer);
WsClient *ws_client_new_for_socket (GSocket *socket);
WsClient *ws_client_open (guint port, const char *target);
void ws_client_free (WsClient *client);
void ws_client_reset (WsClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsClient, ws_client_free)

char *ws_client_request (WsClient *client, const char *target, const char *headers);
gboolean ws_client_write (WsClient *client, const void *data, gsize size);
gboolean ws_client_read (WsClient *client, void *data, gsize size);
char *ws_client_read_head (WsClient *client);
char *ws_client_read_rest (WsClient *client);
guint ws_client_handshake (WsClient *client, const char *target, const char *headers);

GByteArray *ws_client_make_frame (guint8 first, const void *payload, gsize size);
void ws_client_send (WsClient *client, guint8 first, const void *payload, gsize size);
gboolean ws_client_receive (WsClient *client, WsClientFrame *frame);
void ws_client_frame_clear (WsClientFrame *frame);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (WsClientFrame, ws_client_frame_clear)
guint ws_client_read_close (WsClient *client, char **reason);

G_END_DECLS
