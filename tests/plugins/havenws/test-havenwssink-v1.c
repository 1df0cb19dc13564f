/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Viewers of haven.v1: what they ask, what they get, what they never get. */
#include "ws-fixture.h"

#include <string.h>

#include "ws-frame.h"

#define BIG 200000 /* bytes of a frame that no kernel buffer of a stalled viewer holds many of */
#define VP8 "video/x-vp8, width=16, height=16, framerate=30/1"
#define ENCODED "{\"video\":\"encoded\",\"audio\":\"none\"}"

typedef struct
{
  guint8 kind, codec, flags;
  guint32 sequence;
  gint64 time;
  GBytes *payload;
} Frame;

static void
frame_clear (Frame *frame)
{
  g_clear_pointer (&frame->payload, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Frame, frame_clear)

static void
receive (WsClient *client, Frame *frame)
{
  g_auto (WsClientFrame) message = { 0 };
  const guint8 *data;
  gsize size;

  g_assert_true (ws_client_receive (client, &message));
  g_assert_cmpint (message.opcode, ==, WS_OPCODE_BINARY);
  data = g_bytes_get_data (message.payload, &size);
  g_assert_cmpuint (size, >=, WS_V1_HEADER);
  g_assert_cmpuint (data[3], ==, 0);
  *frame = (Frame){ data[0], data[1], data[2], GST_READ_UINT32_BE (data + 4),
    (gint64)GST_READ_UINT64_BE (data + 8),
    g_bytes_new_from_bytes (message.payload, WS_V1_HEADER, size - WS_V1_HEADER) };
}

static void
assert_config (WsClient *client, guint8 codec, const char *json)
{
  g_auto (Frame) frame = { 0 };

  receive (client, &frame);
  g_assert_cmpuint (frame.flags & WS_FLAG_CONFIG, ==, WS_FLAG_CONFIG);
  g_assert_cmpuint (frame.codec, ==, codec);
  g_assert_cmpmem (g_bytes_get_data (frame.payload, NULL), g_bytes_get_size (frame.payload), json,
      strlen (json));
}

static void
assert_frame (WsClient *client, guint8 codec, guint32 number)
{
  g_auto (Frame) frame = { 0 };

  receive (client, &frame);
  g_assert_cmpuint (frame.kind, ==, 1);
  g_assert_cmpuint (frame.codec, ==, codec);
  g_assert_cmpuint (frame.flags & WS_FLAG_CONFIG, ==, 0);
  g_assert_cmpuint (ws_fixture_frame_number (frame.payload), ==, number);
}

static void
ask (WsClient *client, const char *text)
{
  ws_client_send (client, 0x80 | WS_OPCODE_TEXT, text, strlen (text));
}

static WsClient *
shake_hands (WsFixture *fixture, gint receive_buffer)
{
  WsClient *client = ws_client_new (fixture->port, receive_buffer);

  g_assert_cmpuint (ws_client_handshake (client, WATCH, V1_HEADERS), ==, 101);
  return client;
}

/* The n-th viewer of the fixture. */
static WsClient *
watch (WsFixture *fixture, guint n, const char *text)
{
  WsClient *client = shake_hands (fixture, 0);

  ask (client, text);
  ws_fixture_wait_added (fixture, n);
  return client;
}

static void
push_encoded (WsFixture *fixture, gsize size, guint32 number, GstBufferFlags flags)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);
  guint8 start[8] = { 0xff, 0xd8, 0xff, 0xe0, number >> 24, number >> 16, number >> 8, number };

  gst_buffer_memset (buffer, 0, 0, size);
  gst_buffer_fill (buffer, 0, start, sizeof start);
  GST_BUFFER_PTS (buffer) = number * 33 * GST_MSECOND;
  GST_BUFFER_FLAG_SET (buffer, flags);
  g_assert_cmpint (gst_harness_push (fixture->video, buffer), ==, GST_FLOW_OK);
}

static guint
count_key_requests (WsFixture *fixture)
{
  guint n = 0;
  GstEvent *event;

  while ((event = gst_harness_try_pull_upstream_event (fixture->video))) {
    n += gst_event_has_name (event, "GstForceKeyUnit");
    gst_event_unref (event);
  }
  return n;
}

static void
test_pictures_and_sound_carry_their_time_on_one_clock (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = watch (fixture, 1, "{}");
  gint64 before = g_get_real_time (), video_zero, audio_zero;
  GstBuffer *sound = gst_buffer_new_allocate (NULL, 960, NULL);
  g_auto (Frame) picture = { 0 }, heard = { 0 };

  ws_fixture_push_video (fixture, 64, 30); /* at 990 ms */
  assert_config (client, WS_CODEC_JPEG, "{\"codec\":\"jpeg\"}");
  receive (client, &picture);
  gst_buffer_memset (sound, 0, 3, 960);
  GST_BUFFER_PTS (sound) = 20 * GST_MSECOND;
  g_assert_cmpint (gst_harness_push (fixture->audio, sound), ==, GST_FLOW_OK);
  assert_config (
      client, WS_CODEC_PCM, "{\"codec\":\"pcm-s16le\",\"sample_rate\":48000,\"channels\":1}");
  receive (client, &heard);

  g_assert_cmpuint (picture.kind, ==, 1);
  g_assert_cmpuint (picture.flags & WS_FLAG_KEY, ==, WS_FLAG_KEY);
  g_assert_cmpuint (ws_fixture_frame_number (picture.payload), ==, 30);
  g_assert_cmpuint (heard.kind, ==, 2);
  g_assert_cmpuint (heard.codec, ==, WS_CODEC_PCM);
  g_assert_cmpuint (g_bytes_get_size (heard.payload), ==, 960);
  video_zero = picture.time - 990000;
  audio_zero = heard.time - 20000;
  g_assert_cmpint (video_zero, ==, audio_zero);
  g_assert_cmpint (ABS (video_zero - before), <, 10 * G_USEC_PER_SEC); /* it is the time of day */
}

static void
test_sequence_numbers_count_each_kind (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = watch (fixture, 1, "{\"audio\":\"none\"}");
  guint32 first = 0;

  ws_fixture_push_video (fixture, 64, 0);
  assert_config (client, WS_CODEC_JPEG, "{\"codec\":\"jpeg\"}");
  for (guint32 i = 0; i < 5; i++) {
    g_auto (Frame) frame = { 0 };

    if (i > 0) {
      ws_fixture_push_audio (fixture, 10, 1);
      ws_fixture_push_video (fixture, 64, i);
    }
    receive (client, &frame);
    first = i == 0 ? frame.sequence : first;
    g_assert_cmpuint (frame.sequence, ==, first + i);
  }
}

static void
test_jpeg_is_made_once_for_all_and_old_forms_go_on (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) a = watch (fixture, 1, "{}");
  g_autoptr (WsClient) b = watch (fixture, 2, "{\"audio\":\"none\",\"width\":160}");
  g_autoptr (WsClient) old = ws_fixture_watch (fixture, LIVE);
  g_auto (WsClientFrame) bare = { 0 };

  ws_fixture_push_video (fixture, 64, 1);
  assert_config (a, WS_CODEC_JPEG, "{\"codec\":\"jpeg\"}");
  assert_config (b, WS_CODEC_JPEG, "{\"codec\":\"jpeg\"}");
  assert_frame (a, WS_CODEC_JPEG, 1);
  assert_frame (b, WS_CODEC_JPEG, 1);
  g_assert_true (ws_client_receive (old, &bare));
  g_assert_cmpuint (ws_fixture_frame_number (bare.payload), ==, 1);
  g_assert_cmpuint (ws_fixture_stat (fixture, "video-made-v1"), ==, 1);
  g_assert_cmpuint (ws_fixture_stat (fixture, "video-made-binary"), ==, 1);
}

static void
test_who_comes_later_is_told_what_comes (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) late = NULL;

  ws_fixture_push_video (fixture, 64, 1); /* nobody watches */
  late = watch (fixture, 1, "{}");
  assert_config (late, WS_CODEC_JPEG, "{\"codec\":\"jpeg\"}");
}

static guint
status_of (WsFixture *fixture, const char *target, const char *headers)
{
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);

  return ws_client_handshake (client, target, headers);
}

static void
test_the_subprotocol_belongs_to_its_address (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);
  g_autofree char *request = ws_client_request (
      client, WATCH, WS_CLIENT_HEADERS "Sec-WebSocket-Protocol: other, haven.v1\r\n");
  g_autofree char *head = NULL;

  g_assert_cmpuint (status_of (fixture, WATCH, WS_CLIENT_HEADERS), ==, 400);
  g_assert_cmpuint (
      status_of (fixture, WATCH, WS_CLIENT_HEADERS "Sec-WebSocket-Protocol: haven.v2\r\n"), ==,
      400);
  g_assert_cmpuint (status_of (fixture, LIVE, V1_HEADERS), ==, 400);
  g_assert_cmpuint (status_of (fixture, STREAM, V1_HEADERS), ==, 400);
  g_assert_cmpuint (status_of (fixture, "/watch/other", V1_HEADERS), ==, 404);
  ws_client_write (client, request, strlen (request));
  head = ws_client_read_head (client);
  g_assert_true (g_str_has_prefix (head, "HTTP/1.1 101 "));
  g_assert_nonnull (strstr (head, "\r\nSec-WebSocket-Protocol: haven.v1\r\n"));
}

static void
test_a_first_message_that_is_no_ask_is_told_why (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  const struct
  {
    guint8 opcode;
    const char *text;
    guint code;
    const char *says;
  } cases[] = {
    { WS_OPCODE_TEXT, "hello", WS_CLOSE_BAD_ASK, "JSON" },
    { WS_OPCODE_TEXT, "{\"video\":\"film\"}", WS_CLOSE_BAD_ASK, "video" },
    { WS_OPCODE_BINARY, "{}", WS_CLOSE_BAD_ASK, "text" },
    { WS_OPCODE_TEXT, "\xff", WS_CLOSE_BAD_DATA, "UTF-8" },
    { WS_OPCODE_PONG + 1, "", WS_CLOSE_PROTOCOL_ERROR, "opcode" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (WsClient) client = shake_hands (fixture, 0);
    g_autofree char *reason = NULL;

    ws_client_send (client, 0x80 | cases[i].opcode, cases[i].text, strlen (cases[i].text));
    g_assert_cmpuint (ws_client_read_close (client, &reason), ==, cases[i].code);
    g_assert_nonnull (strstr (reason, cases[i].says));
  }
  ws_fixture_wait_removed (fixture, G_N_ELEMENTS (cases));
  g_assert_cmpuint (ws_fixture_stat (fixture, "num-viewers"), ==, 0);
}

static void
test_pings_are_answered_before_the_ask_and_after (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = shake_hands (fixture, 0);

  for (guint i = 0; i < 2; i++) {
    g_auto (WsClientFrame) text = { 0 }, pong = { 0 };

    ask (client, "ping");
    ws_client_send (client, 0x80 | WS_OPCODE_PING, "x", 1);
    g_assert_true (ws_client_receive (client, &text));
    g_assert_cmpmem (g_bytes_get_data (text.payload, NULL), 4, "pong", 4);
    g_assert_true (ws_client_receive (client, &pong));
    g_assert_cmpint (pong.opcode, ==, WS_OPCODE_PONG);
    if (i > 0)
      break;
    ask (client, "{}");
    ws_fixture_wait_added (fixture, 1);
  }
}

static void
test_what_comes_right_behind_the_ask_is_heard (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_client_new (fixture->port, 0);
  g_autofree char *request = ws_client_request (client, WATCH, V1_HEADERS);
  g_autoptr (GByteArray) first = ws_client_make_frame (0x80 | WS_OPCODE_TEXT, "{}", 2);
  g_autoptr (GByteArray) ping = ws_client_make_frame (0x80 | WS_OPCODE_PING, "hello", 5);
  g_autoptr (GByteArray) all = g_byte_array_new ();
  g_auto (WsClientFrame) pong = { 0 };
  g_autofree char *head = NULL;

  g_byte_array_append (all, (const guint8 *)request, strlen (request));
  g_byte_array_append (all, first->data, first->len);
  g_byte_array_append (all, ping->data, ping->len);
  g_assert_true (ws_client_write (client, all->data, all->len));
  head = ws_client_read_head (client);
  g_assert_true (ws_client_receive (client, &pong));
  g_assert_cmpint (pong.opcode, ==, WS_OPCODE_PONG);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "video-sent"), ==, 0); /* it is a viewer */
}

static void
test_who_never_asks_is_sent_away (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("max-viewers", 1, NULL);
  g_autoptr (WsClient) silent = shake_hands (fixture, 0);

  g_assert_cmpuint (status_of (fixture, WATCH, V1_HEADERS), ==, 503); /* it has the only place */
  g_assert_cmpuint (ws_client_read_close (silent, NULL), ==, WS_CLOSE_ASK_TIMEOUT);
  g_clear_pointer (&silent, ws_client_free);
  ws_fixture_wait_removed (fixture, 1);
  silent = watch (fixture, 1, "{}");
}

static void
test_the_end_is_told_to_who_has_not_asked (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) silent = shake_hands (fixture, 0);

  gst_element_set_state (fixture->sink, GST_STATE_NULL);
  g_assert_cmpuint (ws_client_read_close (silent, NULL), ==, WS_CLOSE_GOING_AWAY);
}

static void
test_what_is_not_sent_here_is_refused (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) early = watch (fixture, 1, ENCODED);
  g_autoptr (WsClient) late = NULL, opus = NULL;

  ws_fixture_push_video (fixture, 64, 1);
  ws_fixture_push_audio (fixture, 10, 1);
  g_assert_cmpuint (ws_client_read_close (early, NULL), ==, WS_CLOSE_NOT_SENT_HERE);
  late = watch (fixture, 2, ENCODED);
  g_assert_cmpuint (ws_client_read_close (late, NULL), ==, WS_CLOSE_NOT_SENT_HERE);
  opus = watch (fixture, 3, "{\"audio\":\"opus\"}");
  g_assert_cmpuint (ws_client_read_close (opus, NULL), ==, WS_CLOSE_NOT_SENT_HERE);
}

/* -- encoded video -- */

static void
test_encoded_video_begins_with_a_key_frame_that_is_asked_for (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = NULL;

  gst_harness_set_src_caps_str (fixture->video, VP8);
  push_encoded (fixture, 64, 1, 0);
  push_encoded (fixture, 64, 2, GST_BUFFER_FLAG_DELTA_UNIT);
  g_assert_cmpuint (count_key_requests (fixture), ==, 0);
  client = watch (fixture, 1, ENCODED);
  assert_config (client, WS_CODEC_VP8, "{\"codec\":\"vp8\",\"width\":16,\"height\":16}");
  while (count_key_requests (fixture) == 0)
    g_usleep (1000);
  push_encoded (fixture, 64, 3, GST_BUFFER_FLAG_DELTA_UNIT);
  push_encoded (fixture, 64, 4, 0);
  push_encoded (fixture, 64, 5, GST_BUFFER_FLAG_DELTA_UNIT);
  assert_frame (client, WS_CODEC_VP8, 4);
  assert_frame (client, WS_CODEC_VP8, 5);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "video-dropped"), ==, 0);
  g_assert_cmpuint (count_key_requests (fixture), ==, 0);
}

static void
test_old_forms_get_no_encoded_video (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) old = ws_fixture_watch (fixture, LIVE);
  g_auto (WsClientFrame) sound = { 0 };

  gst_harness_set_src_caps_str (fixture->video, VP8);
  push_encoded (fixture, 64, 1, 0);
  ws_fixture_push_audio (fixture, 10, 1);
  g_assert_true (ws_client_receive (old, &sound));
  g_assert_cmpint (sound.opcode, ==, WS_OPCODE_TEXT);
}

/* A group of ten, of which the first is the key frame. */
static GstBufferFlags
flags_of (guint32 number)
{
  return number % 10 == 0 ? 0 : GST_BUFFER_FLAG_DELTA_UNIT;
}

static void
test_a_stalled_viewer_gets_nothing_that_cannot_be_decoded (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) stalled = shake_hands (fixture, 4096);
  g_autoptr (WsClient) good = NULL;
  guint32 n_frames = 0, last = 0, last_sequence = 0;
  guint n_got = 0, n_steps = 0;

  gst_harness_set_src_caps_str (fixture->video, VP8);
  ask (stalled, ENCODED);
  ws_fixture_wait_added (fixture, 1);
  good = watch (fixture, 2, ENCODED);
  push_encoded (fixture, BIG, n_frames, 0);
  assert_config (good, WS_CODEC_VP8, "{\"codec\":\"vp8\",\"width\":16,\"height\":16}");
  assert_frame (good, WS_CODEC_VP8, n_frames);
  do {
    n_frames++;
    push_encoded (fixture, BIG, n_frames, flags_of (n_frames));
    assert_frame (good, WS_CODEC_VP8, n_frames);
    g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "video-queued"), <=, 2);
  } while (ws_fixture_viewer_stat (fixture, 1, "video-dropped") < 55 || n_frames % 10 != 0);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 2, "video-dropped"), ==, 0);

  assert_config (stalled, WS_CODEC_VP8, "{\"codec\":\"vp8\",\"width\":16,\"height\":16}");
  do {
    g_auto (Frame) frame = { 0 };
    guint32 number;

    receive (stalled, &frame);
    number = ws_fixture_frame_number (frame.payload);
    if (n_got > 0 && number != last + 1) {
      g_assert_cmpuint (number % 10, ==, 0);
      g_assert_cmpuint (frame.flags & WS_FLAG_KEY, ==, WS_FLAG_KEY);
      n_steps++;
    }
    g_assert_true (n_got == 0 || frame.sequence - last_sequence == number - last);
    last = number;
    last_sequence = frame.sequence;
    n_got++;
  } while (last < n_frames);
  g_assert_cmpuint (n_steps, >, 0);
  g_assert_cmpuint (n_got + ws_fixture_viewer_stat (fixture, 1, "video-dropped"), ==, n_frames + 1);
}

static void
test_a_key_frame_is_asked_for_again_once_a_second (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = NULL;
  gint64 asked = 0, again = 0;
  guint32 number = 1;

  gst_harness_set_src_caps_str (fixture->video, VP8);
  client = watch (fixture, 1, ENCODED);
  while (!again) { /* only delta frames come, and nobody knows yet of what */
    push_encoded (fixture, 64, number++, GST_BUFFER_FLAG_DELTA_UNIT);
    if (count_key_requests (fixture) > 0) {
      again = asked ? g_get_monotonic_time () : 0;
      asked = asked ? asked : g_get_monotonic_time ();
    }
    g_usleep (1000);
  }
  g_assert_cmpint (again - asked, >, 900000);
}

static void
test_a_gap_at_the_source_is_filled_by_a_key_frame (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = watch (fixture, 1, ENCODED);

  gst_harness_set_src_caps_str (fixture->video, VP8);
  push_encoded (fixture, 64, 0, 0);
  assert_config (client, WS_CODEC_VP8, "{\"codec\":\"vp8\",\"width\":16,\"height\":16}");
  assert_frame (client, WS_CODEC_VP8, 0);
  push_encoded (fixture, 64, 2, GST_BUFFER_FLAG_DELTA_UNIT | GST_BUFFER_FLAG_DISCONT);
  push_encoded (fixture, 64, 3, GST_BUFFER_FLAG_DELTA_UNIT);
  push_encoded (fixture, 64, 4, 0);
  assert_frame (client, WS_CODEC_VP8, 4);
  g_assert_cmpuint (ws_fixture_viewer_stat (fixture, 1, "video-dropped"), ==, 2);
}

static void
test_another_codec_is_described_before_it_comes (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = watch (fixture, 1, ENCODED);
  const guint8 sps[] = { 0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0xff };
  g_auto (Frame) frame = { 0 };

  gst_harness_set_src_caps_str (fixture->video, VP8);
  push_encoded (fixture, 64, 0, 0);
  assert_config (client, WS_CODEC_VP8, "{\"codec\":\"vp8\",\"width\":16,\"height\":16}");
  assert_frame (client, WS_CODEC_VP8, 0);
  gst_harness_set_src_caps_str (
      fixture->video, "video/x-h264, stream-format=byte-stream, alignment=au");
  push_encoded (fixture, 64, 1, GST_BUFFER_FLAG_DELTA_UNIT);
  g_assert_cmpint (
      gst_harness_push (fixture->video, gst_buffer_new_memdup (sps, sizeof sps)), ==, GST_FLOW_OK);
  assert_config (client, WS_CODEC_H264, "{\"codec\":\"avc1.42e01f\"}");
  receive (client, &frame);
  g_assert_cmpuint (frame.codec, ==, WS_CODEC_H264);
  g_assert_cmpmem (
      g_bytes_get_data (frame.payload, NULL), g_bytes_get_size (frame.payload), sps, sizeof sps);
}

static void
test_codecs_have_the_names_that_browsers_want (void)
{
  const struct
  {
    const char *caps, *json;
    guint8 codec;
  } cases[] = {
    { "video/x-vp9", "{\"codec\":\"vp09.00.10.08\"}", WS_CODEC_VP9 },
    { "video/x-vp9, profile=(string)2, bit-depth-luma=(uint)10", "{\"codec\":\"vp09.02.10.10\"}",
        WS_CODEC_VP9 },
    { "video/x-av1, stream-format=obu-stream, alignment=tu, width=64, height=48",
        "{\"codec\":\"av01.0.08M.08\",\"width\":64,\"height\":48}", WS_CODEC_AV1 },
    { "video/x-av1, stream-format=obu-stream, alignment=tu, profile=(string)high, "
      "bit-depth-luma=(uint)10",
        "{\"codec\":\"av01.1.08M.10\"}", WS_CODEC_AV1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
    g_autoptr (WsClient) client = watch (fixture, 1, ENCODED);

    gst_harness_set_src_caps_str (fixture->video, cases[i].caps);
    push_encoded (fixture, 64, 0, 0);
    assert_config (client, cases[i].codec, cases[i].json);
  }
}

static void
test_opus_goes_out_as_it_comes (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = watch (fixture, 1, "{\"audio\":\"opus\"}");
  g_autoptr (WsClient) old = ws_fixture_watch (fixture, LIVE);
  g_auto (Frame) frame = { 0 };
  g_auto (WsClientFrame) picture = { 0 };

  gst_harness_set_src_caps_str (
      fixture->audio, "audio/x-opus, channel-mapping-family=0, channels=1");
  g_assert_cmpint (
      gst_harness_push (fixture->audio, gst_buffer_new_memdup ("opus", 4)), ==, GST_FLOW_OK);
  assert_config (
      client, WS_CODEC_OPUS, "{\"codec\":\"opus\",\"sample_rate\":48000,\"channels\":1}");
  receive (client, &frame);
  g_assert_cmpuint (frame.codec, ==, WS_CODEC_OPUS);
  g_assert_cmpmem (g_bytes_get_data (frame.payload, NULL), 4, "opus", 4);
  ws_fixture_push_video (fixture, 64, 1);
  g_assert_true (ws_client_receive (old, &picture)); /* and no sound before it */
  g_assert_cmpuint (ws_fixture_frame_number (picture.payload), ==, 1);
}

/* -- connections from elsewhere -- */

static void
test_who_hands_a_viewer_over_says_what_it_asked_for (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new ("listen", FALSE, NULL);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) connection = ws_fixture_connect (&socket);
  g_autoptr (WsClient) client = ws_client_new_for_socket (socket);
  guint id = 0;

  g_signal_emit_by_name (fixture->sink, "add-connection", connection,
      "/api/live-sessions/watch/x?video=jpeg&audio=none", &id);
  g_assert_cmpuint (id, >, 0);
  ws_fixture_wait_added (fixture, 1);
  ws_fixture_push_audio (fixture, 10, 1);
  ws_fixture_push_video (fixture, 64, 3);
  assert_config (client, WS_CODEC_JPEG, "{\"codec\":\"jpeg\"}");
  assert_frame (client, WS_CODEC_JPEG, 3);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/havenwssink-v1/" #name, test_##name)
  ADD (pictures_and_sound_carry_their_time_on_one_clock);
  ADD (sequence_numbers_count_each_kind);
  ADD (jpeg_is_made_once_for_all_and_old_forms_go_on);
  ADD (who_comes_later_is_told_what_comes);
  ADD (the_subprotocol_belongs_to_its_address);
  ADD (a_first_message_that_is_no_ask_is_told_why);
  ADD (pings_are_answered_before_the_ask_and_after);
  ADD (what_comes_right_behind_the_ask_is_heard);
  ADD (who_never_asks_is_sent_away);
  ADD (the_end_is_told_to_who_has_not_asked);
  ADD (what_is_not_sent_here_is_refused);
  ADD (encoded_video_begins_with_a_key_frame_that_is_asked_for);
  ADD (old_forms_get_no_encoded_video);
  ADD (a_stalled_viewer_gets_nothing_that_cannot_be_decoded);
  ADD (a_key_frame_is_asked_for_again_once_a_second);
  ADD (a_gap_at_the_source_is_filled_by_a_key_frame);
  ADD (another_codec_is_described_before_it_comes);
  ADD (codecs_have_the_names_that_browsers_want);
  ADD (opus_goes_out_as_it_comes);
  ADD (who_hands_a_viewer_over_says_what_it_asked_for);
  return g_test_run ();
}
