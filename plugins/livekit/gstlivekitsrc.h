/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_LIVEKIT_SRC (gst_livekit_src_get_type ())
G_DECLARE_FINAL_TYPE (GstLiveKitSrc, gst_livekit_src, GST, LIVEKIT_SRC, GstBin)
GST_ELEMENT_REGISTER_DECLARE (livekitsrc)

G_END_DECLS
