/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* How long @ticks of an RTP clock of @clock_rate Hz last, in ns. */
static inline gint64
livekit_rtp_time_from_ticks (gint64 ticks, guint clock_rate)
{
  return (gint64)((double)ticks * GST_SECOND / clock_rate);
}

G_END_DECLS
