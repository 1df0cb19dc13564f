/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

#include "livekit-flow.h"

G_BEGIN_DECLS

/* The end of a track's way inside livekitsrc: one always sink pad, to which branches come and go as
 * the track is republished, and one always source pad that lives on. It keeps the stream one
 * stream: one stream-start, one segment on the running time, no EOS of a branch, no blank pictures
 * of an ending track, GAP events while nothing comes, timestamps that never go back. */
#define GST_TYPE_LIVEKIT_OUTPUT (gst_livekit_output_get_type ())
G_DECLARE_FINAL_TYPE (GstLiveKitOutput, gst_livekit_output, GST, LIVEKIT_OUTPUT, GstElement)

/* @caps (transfer none): what the source pad may ever carry. @stream_start (transfer full). @flow
 * (transfer none) (nullable): of it and others; then there are GAP events only while that is
 * steady. */
GstElement *gst_livekit_output_new (
    GstCaps *caps, GstEvent *stream_start, GstClockTime latency, LiveKitFlow *flow);

/* Any thread. */
void gst_livekit_output_send_eos (GstLiveKitOutput *self);
void gst_livekit_output_push_tags (GstLiveKitOutput *self, GstTagList *tags /* (transfer full) */);

/* Shifts the timestamps by @shift ns from here on, slowly where something already went out. Any
 * thread. */
void gst_livekit_output_set_shift (GstLiveKitOutput *self, GstClockTimeDiff shift);

/* What feeds it is there, and gives nothing until the track is unmuted: then what comes is fresh,
 * and silence can be told of sooner. Any thread. */
void gst_livekit_output_set_muted (GstLiveKitOutput *self, gboolean muted);

typedef struct
{
  guint64 buffers;        /* that went out: pictures, or audio packets */
  guint64 blank;          /* pictures of an ending track, kept back */
  guint64 late;           /* that came after their time, and were left out */
  guint64 gaps;           /* GAP events that stood in for silence */
  GstClockTimeDiff shift; /* ns, in force now */
  gboolean shift_known;
  GstClockTimeDiff shift_wanted; /* ns, that shift approaches; where it is known */
} GstLiveKitOutputStats;
void gst_livekit_output_get_stats (GstLiveKitOutput *self, GstLiveKitOutputStats *stats);

G_END_DECLS
