/* ws-http: listens, answers HTTP requests, and turns WebSocket handshakes into connected viewers.
 *
 * Lives on one thread, that of the main context it was made in; only ws_http_listen() may be called
 * from any.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

#include "ws-ask.h"
#include "ws-frame.h"

G_BEGIN_DECLS

typedef struct /* set once before the server starts, then only read */
{
  gboolean listen; /* otherwise all connections come from elsewhere */
  char *address;
  guint port; /* 0: any that is free */
  char *stream_name;
  guint max_viewers;
  char **allowed_origins;
  char **allowed_hosts;
  char *access_token; /* (nullable) */
} WsConfig;

typedef struct
{
  /* Returns: how many viewers there are now */
  guint (*count_viewers) (gpointer user_data);
  /* Fills in what someone asks for to get what comes now. */
  void (*ask_for_all) (WsAsk *ask, gpointer user_data);
  /* A handshake is done: stream and socket belong to the callee, if it takes references.
   * @ask: (nullable): still to be told, by a first message */
  void (*upgraded) (
      GIOStream *stream, GSocket *socket, WsForm form, const WsAsk *ask, gpointer user_data);
} WsHttpCallbacks;

typedef struct _WsHttp WsHttp;

void ws_config_free (WsConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsConfig, ws_config_free)

GSocket *ws_http_listen (const WsConfig *config, GError **error);
WsHttp *ws_http_new (const WsConfig *config, GSocket *listener, const WsHttpCallbacks *callbacks,
    gpointer user_data);
void ws_http_free (WsHttp *http);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsHttp, ws_http_free)

G_END_DECLS
