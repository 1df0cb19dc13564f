/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-codec.h"

#define NAL_SPS 7

/* Whether a frame of it may need those before it. */
gboolean
ws_codec_is_encoded_video (WsCodec codec)
{
  return codec >= WS_CODEC_VP8 && codec <= WS_CODEC_AV1;
}

/* The name of the codec's variant as browsers want it, from the first sequence parameter set in an
 * access unit of H.264 with start codes: its first three bytes are profile, constraints and level.
 *
 * Returns: whether there is one */
gboolean
ws_codec_avc_name (const guint8 *data, gsize size, char name[WS_AVC_NAME_SIZE])
{
  for (gsize i = 0; i + 7 <= size; i++) {
    if (data[i] != 0 || data[i + 1] != 0 || data[i + 2] != 1 || (data[i + 3] & 0x1f) != NAL_SPS)
      continue;
    g_snprintf (name, WS_AVC_NAME_SIZE, "avc1.%02x%02x%02x", data[i + 4], data[i + 5], data[i + 6]);
    return TRUE;
  }
  return FALSE;
}
