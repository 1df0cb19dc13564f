/* fuzz-sources: plugins/havenws/ws-ask.c plugins/havenws/ws-codec.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first message of a viewer of haven.v1: text, for the WebSocket's parser lets no other
 * through. What is taken is in its range, what is not has a reason. */
#include "ws-ask.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *problem = NULL;
  g_autofree char *copy = g_strndup ((const char *)data, size); /* ends where it ends */
  char name[WS_AVC_NAME_SIZE];
  WsAsk ask;

  ws_codec_avc_name (data, size, name);
  if (!g_utf8_validate_len ((const char *)data, size, NULL))
    return 0;
  if (!ws_ask_parse (copy, size, &ask, &problem)) {
    g_assert_nonnull (problem);
    return 0;
  }
  g_assert_null (problem);
  g_assert_true (ask.video < WS_N_VIDEOS && ask.audio < WS_N_AUDIOS);
  g_assert_true (ask.width == 0 || (ask.width >= 16 && ask.width <= 7680));
  g_assert_true (ask.fps <= 120 && ask.quality <= 100);
  return 0;
}
