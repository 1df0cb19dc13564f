/* ws-hub: one thread that serves all viewers. Media comes in from the streaming threads through a
 * mailbox.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "ws-frame.h"
#include "ws-http.h"
#include "ws-viewer.h"

G_BEGIN_DECLS

typedef struct /* called on the hub's thread, no lock held */
{
  void (*viewer_added) (guint id, gpointer user_data);
  void (*viewer_removed) (guint id, gpointer user_data);
  void (*key_frame_wanted) (gpointer user_data); /* at most once a second */
} WsHubCallbacks;

typedef struct _WsHub WsHub;

WsHub *ws_hub_new (
    WsConfig *config, const WsHubCallbacks *callbacks, gpointer user_data, GError **error);
WsHub *ws_hub_ref (WsHub *hub);
void ws_hub_unref (WsHub *hub);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsHub, ws_hub_unref)
void ws_hub_stop (WsHub *hub);

gboolean ws_hub_is_watched (WsHub *hub, WsKind kind);
void ws_hub_post (WsHub *hub, const WsMedia *media);
void ws_hub_post_end (WsHub *hub);
void ws_hub_post_resume (WsHub *hub);
void ws_hub_post_close (WsHub *hub, guint16 code, const char *reason);
guint ws_hub_add_connection (WsHub *hub, GIOStream *stream, const char *target);

guint ws_hub_get_port (WsHub *hub);
guint ws_hub_count_viewers (WsHub *hub);
GstStructure *ws_hub_get_stats (WsHub *hub);

G_END_DECLS
