/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/gstvideoencoder.h>

G_BEGIN_DECLS

#define GST_TYPE_HAVEN_AV1_ENC (gst_haven_av1_enc_get_type ())
G_DECLARE_FINAL_TYPE (GstHavenAv1Enc, gst_haven_av1_enc, GST, HAVEN_AV1_ENC, GstVideoEncoder)

GST_ELEMENT_REGISTER_DECLARE (havenav1enc)

G_END_DECLS
