/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "gstlivekitoutput.h"
#include "livekit-error.h"
#include "livekit-track.h"

#include <gst/gst.h>

G_BEGIN_DECLS

/* What the element tells the application, in GStreamer's terms: pure translations. */

/* "participant" and "track" structures, as in messages and properties. (transfer full) */
GstStructure *livekit_report_participant (const char *name, const LiveKitParticipant *participant);
GstStructure *livekit_report_track (
    const char *name, const LiveKitParticipant *participant, const LiveKitTrack *track);

/* Adds all of @participants (element-type LiveKitParticipant), with their tracks, to a
 * GST_TYPE_ARRAY. */
void livekit_report_participants (const GPtrArray *participants, GValue *array);

/* The statistics of a pad. (transfer full)
 *
 * @sync_offset: (nullable) of the jitter buffer's running time from the sender's clock
 * @rtp: (nullable) what the RTP session counted */
GstStructure *livekit_report_stats (const char *pad, const char *track_sid,
    const GstLiveKitOutputStats *output, const GstClockTimeDiff *sync_offset,
    const GstStructure *rtp);
void livekit_report_append (GValue *array, GstStructure *structure /* (transfer full) */);

/* The domain and code by which the application knows @error; @connected: media had come before. */
void livekit_report_error_code (const GError *error, gboolean connected, GQuark *domain, int *code);

G_END_DECLS
