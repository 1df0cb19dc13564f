/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/rtp/gstrtpbasedepayload.h>

G_BEGIN_DECLS

#define GST_TYPE_RTP_AV1_DEPAY (gst_rtp_av1_depay_get_type ())
G_DECLARE_FINAL_TYPE (GstRtpAv1Depay, gst_rtp_av1_depay, GST, RTP_AV1_DEPAY, GstRTPBaseDepayload)

GST_ELEMENT_REGISTER_DECLARE (rtpav1depay)

/* Largest temporal unit that is put together, in bytes. A sender that never ends a unit costs no
 * more than this. */
#define GST_RTP_AV1_DEPAY_MAX_UNIT (8 * 1024 * 1024)

G_END_DECLS
