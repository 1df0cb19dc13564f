/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>
#include "livekit-track.h"

G_BEGIN_DECLS

/* An outgoing pad of livekitsrc: a ghost pad that says which track it carries. */
#define GST_TYPE_LIVEKIT_PAD (gst_livekit_pad_get_type ())
G_DECLARE_FINAL_TYPE (GstLiveKitPad, gst_livekit_pad, GST, LIVEKIT_PAD, GstGhostPad)

GstPad *gst_livekit_pad_new (const char *name, GstPad *target, GstPadTemplate *templ);
void gst_livekit_pad_set_track (
    GstLiveKitPad *self, const LiveKitParticipant *participant, const LiveKitTrack *track);

G_END_DECLS
