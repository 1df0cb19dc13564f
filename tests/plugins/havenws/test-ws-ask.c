/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-ask.h"

#include <string.h>

static void
assert_ask (const char *text, WsAsk expected)
{
  g_autofree char *problem = NULL;
  WsAsk ask;

  g_assert_true (ws_ask_parse (text, strlen (text), &ask, &problem));
  g_assert_null (problem);
  g_assert_cmpint (ask.video, ==, expected.video);
  g_assert_cmpint (ask.audio, ==, expected.audio);
  g_assert_cmpuint (ask.width, ==, expected.width);
  g_assert_cmpuint (ask.fps, ==, expected.fps);
  g_assert_cmpuint (ask.quality, ==, expected.quality);
}

static void
assert_no_ask (const char *text, const char *says)
{
  g_autofree char *problem = NULL;
  WsAsk ask = { .width = 42 };

  g_assert_false (ws_ask_parse (text, strlen (text), &ask, &problem));
  g_assert_nonnull (problem);
  g_assert_nonnull (strstr (problem, says));
  g_assert_cmpuint (ask.width, ==, 42);
}

static void
test_an_ask_says_what_it_wants (void)
{
  assert_ask ("{}", (WsAsk){ WS_VIDEO_JPEG, WS_AUDIO_PCM, 0, 0, 0 });
  assert_ask ("{\"video\":\"encoded\",\"audio\":\"opus\"}",
      (WsAsk){ WS_VIDEO_ENCODED, WS_AUDIO_OPUS, 0, 0, 0 });
  assert_ask ("{\"audio\":\"none\",\"width\":16,\"fps\":120,\"quality\":100}",
      (WsAsk){ WS_VIDEO_JPEG, WS_AUDIO_NONE, 16, 120, 100 });
}

static void
test_unknown_keys_are_ignored (void)
{
  assert_ask ("{\"video\":\"jpeg\",\"colour\":[{\"x\":null}]}",
      (WsAsk){ WS_VIDEO_JPEG, WS_AUDIO_PCM, 0, 0, 0 });
}

static void
test_types_and_ranges_are_strict (void)
{
  assert_no_ask ("{\"video\":\"h264\"}", "video");
  assert_no_ask ("{\"video\":null}", "video");
  assert_no_ask ("{\"video\":1}", "video");
  assert_no_ask ("{\"audio\":false}", "audio");
  assert_no_ask ("{\"audio\":[\"pcm\"]}", "audio");
  assert_no_ask ("{\"width\":15}", "width");
  assert_no_ask ("{\"width\":7681}", "width");
  assert_no_ask ("{\"width\":\"640\"}", "width");
  assert_no_ask ("{\"width\":640.5}", "width");
  assert_no_ask ("{\"width\":null}", "width");
  assert_no_ask ("{\"fps\":0}", "fps");
  assert_no_ask ("{\"fps\":4294967297}", "fps");
  assert_no_ask ("{\"quality\":-1}", "quality");
  assert_no_ask ("{\"quality\":{}}", "quality");
}

static void
test_what_is_no_object_is_no_ask (void)
{
  const char *const texts[] = { "", " ", "jpeg", "\"jpeg\"", "[]", "null", "7", "{", "{\"a\"}" };
  g_autofree char *big = g_strnfill (WS_MAX_ASK + 1, ' ');
  g_autofree char *deep = g_strnfill (WS_MAX_ASK, '[');

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_no_ask (texts[i], "JSON object");
  assert_no_ask (big, "1024");
  assert_no_ask (deep, "JSON object");
}

static void
test_an_ask_takes_what_it_names (void)
{
  const WsAsk plain = { WS_VIDEO_JPEG, WS_AUDIO_PCM }, raw = { WS_VIDEO_ENCODED, WS_AUDIO_OPUS },
              quiet = { WS_VIDEO_JPEG, WS_AUDIO_NONE };
  const WsCodec videos[] = { WS_CODEC_VP8, WS_CODEC_VP9, WS_CODEC_H264, WS_CODEC_AV1 };

  g_assert_true (ws_ask_takes (&plain, WS_CODEC_JPEG) && ws_ask_takes (&plain, WS_CODEC_PCM));
  g_assert_false (ws_ask_takes (&plain, WS_CODEC_OPUS) || ws_ask_takes (&raw, WS_CODEC_JPEG));
  g_assert_true (ws_ask_takes (&raw, WS_CODEC_OPUS) && !ws_ask_takes (&raw, WS_CODEC_PCM));
  g_assert_false (ws_ask_takes (&quiet, WS_CODEC_PCM) || ws_ask_takes (&quiet, WS_CODEC_OPUS));
  for (guint i = 0; i < G_N_ELEMENTS (videos); i++)
    g_assert_true (ws_ask_takes (&raw, videos[i]) && !ws_ask_takes (&plain, videos[i]));
}

static void
test_the_first_parameter_set_names_h264 (void)
{
  const guint8 unit[]
      = { 0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0xff, 0, 0, 1, 0x68 };
  char name[WS_AVC_NAME_SIZE];

  g_assert_true (ws_codec_avc_name (unit, sizeof unit, name));
  g_assert_cmpstr (name, ==, "avc1.42e01f");
  for (gsize size = 0; size < 14; size++)
    g_assert_false (ws_codec_avc_name (unit, size, name));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/ws-ask/" #name, test_##name)
  ADD (an_ask_says_what_it_wants);
  ADD (unknown_keys_are_ignored);
  ADD (types_and_ranges_are_strict);
  ADD (what_is_no_object_is_no_ask);
  ADD (an_ask_takes_what_it_names);
  ADD (the_first_parameter_set_names_h264);
  return g_test_run ();
}
