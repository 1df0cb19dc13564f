/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* How far the running time of what a jitter buffer gives out is from the sender's clock, in ns.
 * Called in a streaming thread: at each sender report (RFC 3550, 6.4.1), and between them whenever
 * the buffer has moved its time. */
typedef void (*LiveKitSenderClockFunc) (guint32 ssrc, gint64 offset, gpointer user_data);

void livekit_sender_clock_watch (GstElement *jitterbuffer, LiveKitSenderClockFunc func,
    gpointer user_data, GDestroyNotify notify);

G_END_DECLS
