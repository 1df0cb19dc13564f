/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* When the packets of a jitter buffer came, without what kept them on the way. A jitter buffer
 * begins its time anew with a packet that comes later than its latency, so what waited somewhere
 * while we, the network or the server stood still would be timed by the moment at which that went
 * on. Here such packets are given to it as if they had come when their RTP time says. */

/* One stream. Not thread safe. */
typedef struct
{
  GstClockTime tolerance; /* what comes later by more was kept */
  guint clock_rate;       /* Hz, 0: unknown */
  GstClockTime line_time; /* the time that the jitter buffer gave */
  guint32 line_rtp_time;  /* to a packet of that RTP time; both from its last one */

  gboolean late;           /* what comes is later than the tolerance */
  GstClockTime late_since; /* when that was looked at */
  GstClockTime lateness;   /* what it was then */
  gboolean delayed;        /* it does not become less: from now on that is the way's delay */
} LiveKitArrival;

void livekit_arrival_init (LiveKitArrival *self, GstClockTime tolerance);
/* The packets that follow have this clock. */
void livekit_arrival_set_clock_rate (LiveKitArrival *self, guint clock_rate);
/* The jitter buffer put a packet at @time. */
void livekit_arrival_left (LiveKitArrival *self, guint32 rtp_time, GstClockTime time);
/* The time to give to the jitter buffer for a packet that came at @time. */
GstClockTime livekit_arrival_came (LiveKitArrival *self, guint32 rtp_time, GstClockTime time);

/* Does so with all that goes through @jitterbuffer, for as long as it lives. */
void livekit_arrival_watch (GstElement *jitterbuffer);

G_END_DECLS
