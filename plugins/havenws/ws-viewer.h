/* ws-viewer: one viewer: what waits for it, what it loses, what it says, how it goes.
 *
 * Lives on one thread, that of the main context it was made in; only ws_viewer_get_stats() may be
 * called from any.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

#include "ws-ask.h"
#include "ws-frame.h"

G_BEGIN_DECLS

#define WS_MAX_AUDIO_QUEUE \
  (5 * G_GUINT64_CONSTANT (1000000000)) /* ns; a viewer that lags by more is closed with 1013 */

typedef struct _WsViewer WsViewer;

typedef struct
{
  guint64 video_sent, video_dropped; /* frames */
  guint64 audio_sent;                /* messages; none is ever dropped, see WS_MAX_AUDIO_QUEUE */
  guint64 bytes;                     /* on the wire, with the frame headers */
  guint video_queued;                /* frames held: one on the wire, one waiting */
  guint64 audio_queued;              /* ns held */
  gint64 since;                      /* µs since 1970 */
  gboolean closing;
} WsViewerStats;

/* Called once, on the viewer's thread, when the connection is closed; must not free the viewer
 * itself. */
typedef void (*WsViewerGoneFunc) (WsViewer *viewer, gpointer user_data);

WsViewer *ws_viewer_new (
    guint id, GIOStream *stream, GSocket *socket, WsForm form, const WsAsk *ask);
void ws_viewer_free (WsViewer *viewer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsViewer, ws_viewer_free)

void ws_viewer_start (WsViewer *viewer, WsViewerGoneFunc gone, gpointer user_data);
gboolean ws_viewer_send (WsViewer *viewer, WsMessage *message);
void ws_viewer_close (WsViewer *viewer, guint16 code, const char *reason);
void ws_viewer_abort (WsViewer *viewer);

guint ws_viewer_get_id (const WsViewer *viewer);
WsForm ws_viewer_get_form (const WsViewer *viewer);
gboolean ws_viewer_wants (const WsViewer *viewer, WsKind kind);
gboolean ws_viewer_takes (const WsViewer *viewer, WsForm form, WsCodec codec);
gboolean ws_viewer_is_gone (const WsViewer *viewer);
const char *ws_viewer_get_address (const WsViewer *viewer);
void ws_viewer_get_stats (WsViewer *viewer, WsViewerStats *stats);

G_END_DECLS
