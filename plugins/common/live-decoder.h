/* live-decoder: chooses and sets the decoder of a live stream.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* The decoder of highest rank on this machine for a media type like "video/x-vp8", which goes on
 * behind bad data and holds nothing back. Any thread.
 *
 * Returns: (transfer floating) (nullable): NULL where there is none */
GstElement *live_decoder_new (const char *media_type, gboolean video);

G_END_DECLS
