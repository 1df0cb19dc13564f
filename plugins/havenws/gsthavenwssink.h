/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_HAVEN_WS_SINK (gst_haven_ws_sink_get_type ())
G_DECLARE_FINAL_TYPE (GstHavenWsSink, gst_haven_ws_sink, GST, HAVEN_WS_SINK, GstBin)

GST_ELEMENT_REGISTER_DECLARE (havenwssink)

G_END_DECLS
