/* ws-codec: in which forms media comes. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum /* as haven.v1 has them on the wire */
{
  WS_CODEC_NONE = 0,
  WS_CODEC_JPEG = 1,
  WS_CODEC_VP8 = 2,
  WS_CODEC_VP9 = 3,
  WS_CODEC_H264 = 4,
  WS_CODEC_AV1 = 5,
  WS_CODEC_PCM = 16,
  WS_CODEC_OPUS = 17,
} WsCodec;

#define WS_AVC_NAME_SIZE 12 /* of "avc1.42e01f" with its end */

gboolean ws_codec_is_encoded_video (WsCodec codec);
gboolean ws_codec_avc_name (const guint8 *data, gsize size, char name[WS_AVC_NAME_SIZE]);

G_END_DECLS
