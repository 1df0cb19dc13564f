/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* A branch takes one publication of a track from RTP to what goes out of the element: depayloader,
 * parser, decoder. */

typedef enum
{
  LIVEKIT_OUTPUT_AUTO, /* raw, unless downstream names codecs that it takes */
  LIVEKIT_OUTPUT_RAW,
  LIVEKIT_OUTPUT_ENCODED,
  LIVEKIT_OUTPUT_RTP,
} LiveKitOutput;

/* What a pad of this kind may carry. (transfer full) */
GstCaps *livekit_branch_get_caps (gboolean video, LiveKitOutput output);

/* The encoding names for which this machine has a depayloader. (transfer full) */
char **livekit_branch_get_codecs (void);

/* What AUTO means for @peer, the pad that takes the media: RAW or ENCODED. */
LiveKitOutput livekit_branch_resolve (LiveKitOutput output, gboolean video, GstPad *peer);

/* A bin with the pads "sink" and "src" for RTP of @caps. NULL and @error
 * (GST_CORE_ERROR_MISSING_PLUGIN, GST_STREAM_ERROR_WRONG_TYPE) where it cannot be made. (transfer
 * full) */
GstElement *livekit_branch_new (GstCaps *caps, LiveKitOutput output, GError **error);

G_END_DECLS
