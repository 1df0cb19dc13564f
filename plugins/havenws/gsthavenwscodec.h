/* gsthavenwscodec: what GStreamer's caps mean to a viewer of haven.v1.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "ws-codec.h"

G_BEGIN_DECLS

WsCodec gst_haven_ws_codec_of_caps (const GstCaps *caps);
char *gst_haven_ws_codec_describe (WsCodec codec, const GstCaps *caps, GstBuffer *buffer);

G_END_DECLS
