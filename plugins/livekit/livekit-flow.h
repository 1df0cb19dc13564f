/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether anything comes, of all tracks together. Where nothing does, nobody knows yet what is kept
 * on the way, and where something does again, the other tracks' share of it may follow. Any thread.
 */
typedef struct _LiveKitFlow LiveKitFlow;

LiveKitFlow *livekit_flow_new (void);
LiveKitFlow *livekit_flow_ref (LiveKitFlow *self);
void livekit_flow_unref (LiveKitFlow *self);

/* @now: monotonic, us. */
void livekit_flow_note (LiveKitFlow *self, gint64 now);
gboolean livekit_flow_is_steady (LiveKitFlow *self, gint64 now);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitFlow, livekit_flow_unref)

G_END_DECLS
