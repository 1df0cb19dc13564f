/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Elements that have left their bin and are on the way to NULL, which waits for streaming threads:
 * each in a thread of its own, so that neither their owner waits nor one for another. Not thread
 * safe. */
typedef struct _LiveKitRetirement LiveKitRetirement;

LiveKitRetirement *livekit_retirement_new (void);

/* @element has no parent any more. */
void livekit_retirement_add (LiveKitRetirement *self, GstElement *element /* (transfer full) */);

/* Returns when all are down and freed, and their threads have ended. */
void livekit_retirement_wait (LiveKitRetirement *self);
void livekit_retirement_free (LiveKitRetirement *self); /* waits too */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitRetirement, livekit_retirement_free)

G_END_DECLS
