/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-frame.h"

#include <string.h>

#define NOON \
  (G_GINT64_CONSTANT (1700000000) * G_USEC_PER_SEC + 7999) /* 2023-11-14 22:13:20.007999 */

static WsMessage *
make (WsForm form, WsKind kind, GBytes *bytes)
{
  gboolean sound = kind == WS_KIND_AUDIO;

  return ws_frame_new (form,
      &(WsMedia){ .kind = kind,
          .codec = sound ? WS_CODEC_PCM : WS_CODEC_JPEG,
          .flags = WS_FLAG_KEY,
          .sequence = 7,
          .time = NOON,
          .real_time = NOON,
          .duration = sound ? ws_audio_duration (g_bytes_get_size (bytes)) : 0,
          .bytes = bytes },
      "\"x\"");
}

static char *
text_of (const WsMessage *message)
{
  gsize size;
  const char *data = g_bytes_get_data (message->payload, &size);

  g_assert_cmphex (message->header[0], ==, 0x80 | WS_OPCODE_TEXT);
  return g_strndup (data, size);
}

static void
test_a_bare_jpeg_is_not_copied (void)
{
  g_autoptr (GBytes) jpeg = g_bytes_new_static ("jpeg", 4);
  g_autoptr (WsMessage) message = make (WS_FORM_BINARY, WS_KIND_VIDEO, jpeg);

  g_assert_cmphex (message->header[0], ==, 0x80 | WS_OPCODE_BINARY);
  g_assert_true (g_bytes_get_data (message->payload, NULL) == g_bytes_get_data (jpeg, NULL));
  g_assert_cmpuint (ws_message_size (message), ==, 6);
}

static void
test_generation_1_sound_is_base64_behind_a_word (void)
{
  g_autoptr (GBytes) pcm = g_bytes_new_static ("\1\2\3\4", 4);
  g_autoptr (WsMessage) message = make (WS_FORM_BINARY, WS_KIND_AUDIO, pcm);
  g_autofree char *text = text_of (message);

  g_assert_cmpstr (text, ==, "audio:AQIDBA==");
}

static void
test_generation_2_is_json (void)
{
  g_autoptr (GBytes) media = g_bytes_new_static ("\1\2\3\4", 4);
  g_autoptr (WsMessage) video = make (WS_FORM_JSON, WS_KIND_VIDEO, media);
  g_autoptr (WsMessage) audio = make (WS_FORM_JSON, WS_KIND_AUDIO, media);
  g_autofree char *video_text = text_of (video);
  g_autofree char *audio_text = text_of (audio);

  g_assert_cmpstr (video_text, ==,
      "{\"type\":\"video_frame\",\"mint_id\":\"x\",\"data\":\"AQIDBA==\","
      "\"timestamp\":\"2023-11-14T22:13:20.007Z\"}");
  g_assert_cmpstr (audio_text, ==,
      "{\"type\":\"audio_frame\",\"mint_id\":\"x\",\"data\":\"AQIDBA==\","
      "\"timestamp\":\"2023-11-14T22:13:20.007Z\",\"sample_rate\":48000,\"num_channels\":1}");
}

static void
test_base64_of_every_length_is_whole (void)
{
  guint8 data[64];

  for (guint i = 0; i < sizeof data; i++)
    data[i] = 251 * i;
  for (guint size = 0; size <= sizeof data; size++) {
    g_autoptr (GBytes) media = g_bytes_new (data, size);
    g_autoptr (WsMessage) message = make (WS_FORM_BINARY, WS_KIND_AUDIO, media);
    g_autofree char *text = text_of (message);
    gsize decoded_size;
    g_autofree guchar *decoded = g_base64_decode (text + strlen ("audio:"), &decoded_size);

    g_assert_cmpmem (decoded, decoded_size, data, size);
  }
}

static void
test_names_are_quoted (void)
{
  g_autofree char *quoted = ws_json_quote ("a\"b\\c\n\x7fü");

  g_assert_cmpstr (quoted, ==, "\"a\\\"b\\\\c\\u000a\\u007fü\"");
}

static void
test_sound_knows_how_long_it_is (void)
{
  g_autofree guint8 *silence = g_malloc0 (96000);
  g_autoptr (GBytes) pcm = g_bytes_new_static (silence, 96000);
  g_autoptr (WsMessage) audio = make (WS_FORM_BINARY, WS_KIND_AUDIO, pcm);

  g_assert_cmpuint (audio->duration, ==, 1000000000);
}

/* Returns: what is behind the header of the WebSocket frame, which must be right */
static const guint8 *
v1_header_of (const WsMessage *message)
{
  guint8 expected[WS_MAX_HEADER];
  guint size = ws_frame_header (
      expected, WS_OPCODE_BINARY, WS_V1_HEADER + g_bytes_get_size (message->payload));

  g_assert_cmpmem (message->header, size, expected, size);
  g_assert_cmpuint (message->header_size, ==, size + WS_V1_HEADER);
  return message->header + size;
}

static void
test_haven_v1_is_sixteen_bytes_and_the_payload (void)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static ("media", 5);
  g_autoptr (WsMessage) video = make (WS_FORM_V1, WS_KIND_VIDEO, bytes);
  g_autoptr (WsMessage) audio = make (WS_FORM_V1, WS_KIND_AUDIO, bytes);
  /* 1700000000007999 is 0x60a24181e5f3f */
  const guint8 of_video[]
      = { 1, 1, 1, 0, 0, 0, 0, 7, 0x00, 0x06, 0x0a, 0x24, 0x18, 0x1e, 0x5f, 0x3f };
  const guint8 of_audio[]
      = { 2, 16, 1, 0, 0, 0, 0, 7, 0x00, 0x06, 0x0a, 0x24, 0x18, 0x1e, 0x5f, 0x3f };

  g_assert_cmpmem (v1_header_of (video), WS_V1_HEADER, of_video, sizeof of_video);
  g_assert_cmpmem (v1_header_of (audio), WS_V1_HEADER, of_audio, sizeof of_audio);
  g_assert_true (g_bytes_get_data (video->payload, NULL) == g_bytes_get_data (bytes, NULL));
  g_assert_cmpuint (ws_message_size (video), ==, 2 + 16 + 5);
}

static void
test_haven_v1_says_codec_flags_and_negative_times (void)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static ("{}", 2);
  g_autoptr (WsMessage) message = ws_frame_new (WS_FORM_V1,
      &(WsMedia){ .kind = WS_KIND_VIDEO,
          .codec = WS_CODEC_AV1,
          .flags = WS_FLAG_CONFIG | WS_FLAG_DISCONTINUITY,
          .sequence = 0xfedcba98,
          .time = -2,
          .bytes = bytes },
      "\"x\"");
  const guint8 expected[]
      = { 1, 5, 6, 0, 0xfe, 0xdc, 0xba, 0x98, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe };

  g_assert_cmpmem (v1_header_of (message), WS_V1_HEADER, expected, sizeof expected);
}

static void
test_haven_v1_fits_payloads_of_every_length_form (void)
{
  const gsize sizes[] = { 0, 109, 110, 65519, 65520, 200000 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (sizes[i] + 1), sizes[i]);
    g_autoptr (WsMessage) message = make (WS_FORM_V1, WS_KIND_VIDEO, bytes);

    v1_header_of (message);
  }
}

static void
test_only_haven_v1_carries_what_is_no_jpeg_or_pcm (void)
{
  const WsMedia jpeg = { .codec = WS_CODEC_JPEG }, pcm = { .codec = WS_CODEC_PCM },
                vp8 = { .codec = WS_CODEC_VP8 }, opus = { .codec = WS_CODEC_OPUS },
                config = { .codec = WS_CODEC_JPEG, .flags = WS_FLAG_CONFIG };

  for (WsForm form = 0; form < WS_N_FORMS; form++) {
    gboolean all = form == WS_FORM_V1;

    g_assert_true (ws_form_carries (form, &jpeg) && ws_form_carries (form, &pcm));
    g_assert_true (ws_form_carries (form, &vp8) == all && ws_form_carries (form, &opus) == all);
    g_assert_true (ws_form_carries (form, &config) == all);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/ws-frame/" #name, test_##name)
  ADD (a_bare_jpeg_is_not_copied);
  ADD (generation_1_sound_is_base64_behind_a_word);
  ADD (generation_2_is_json);
  ADD (base64_of_every_length_is_whole);
  ADD (names_are_quoted);
  ADD (sound_knows_how_long_it_is);
  ADD (haven_v1_is_sixteen_bytes_and_the_payload);
  ADD (haven_v1_says_codec_flags_and_negative_times);
  ADD (haven_v1_fits_payloads_of_every_length_form);
  ADD (only_haven_v1_carries_what_is_no_jpeg_or_pcm);
  return g_test_run ();
}
