/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <gst/check/gstharness.h>

#include "av1-config.h"
#include "moving-picture.h"

#define WIDTH 128
#define HEIGHT 72
#define FRAME (GST_SECOND / 30)

typedef struct
{
  GstHarness *h;
  MovingPicture *picture; /* (owned) */
  guint number;           /* of the next picture */
} Fixture;

/* Pictures of this size from now on. */
static void
take_size (Fixture *f, GstVideoFormat format, guint width, guint height)
{
  g_clear_pointer (&f->picture, moving_picture_free);
  f->picture = moving_picture_new (format, width, height);
  gst_harness_set_src_caps (f->h, moving_picture_get_caps (f->picture));
}

static void
set_up (Fixture *f, gconstpointer user_data)
{
  f->h = gst_harness_new ("havenav1enc");
  f->number = 0;
  take_size (f, GST_VIDEO_FORMAT_I420, WIDTH, HEIGHT);
}

static void
tear_down (Fixture *f, gconstpointer user_data)
{
  gst_harness_teardown (f->h);
  moving_picture_free (f->picture);
}

/* Returns: (transfer full): what came of the picture, which has to come at once */
static GstBuffer *
encode (Fixture *f, GstClockTime pts)
{
  GstBuffer *buffer = moving_picture_paint (f->picture, f->number++);

  GST_BUFFER_PTS (buffer) = pts;
  g_assert_cmpint (gst_harness_push (f->h, buffer), ==, GST_FLOW_OK);
  buffer = gst_harness_try_pull (f->h);
  g_assert_nonnull (buffer);
  return buffer;
}

static gboolean
is_key (GstBuffer *buffer)
{
  return !GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
}

static gboolean
encodes_a_key_frame (Fixture *f, GstClockTime pts)
{
  g_autoptr (GstBuffer) buffer = encode (f, pts);

  return is_key (buffer);
}

static GBytes *
dup_bytes (GstBuffer *buffer)
{
  gpointer data = NULL;
  gsize size = 0;

  gst_buffer_extract_dup (buffer, 0, -1, &data, &size);
  return g_bytes_new_take (data, size);
}

/* Returns: (transfer none): the record of the caps, which say all that a muxer asks for */
static GstBuffer *
get_codec_data (GstCaps *caps, int width, int height)
{
  g_autoptr (GstCaps) expected = gst_caps_new_simple ("video/x-av1", "stream-format", G_TYPE_STRING,
      "obu-stream", "alignment", G_TYPE_STRING, "tu", "profile", G_TYPE_STRING, "main", "width",
      G_TYPE_INT, width, "height", G_TYPE_INT, height, NULL);
  const GValue *value;

  g_assert_true (gst_caps_is_subset (caps, expected));
  value = gst_structure_get_value (gst_caps_get_structure (caps, 0), "codec_data");
  g_assert_nonnull (value);
  return gst_value_get_buffer (value);
}

static void
test_caps_hold_the_header_of_the_stream (Fixture *f, gconstpointer user_data)
{
  g_autoptr (GstBuffer) unit = encode (f, 0);
  g_autoptr (GBytes) bytes = dup_bytes (unit), record = NULL, said = NULL;
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (f->h->sinkpad);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  record = av1_config_record_new (data, size);
  g_assert_nonnull (record);
  said = dup_bytes (get_codec_data (caps, WIDTH, HEIGHT));
  g_assert_true (g_bytes_equal (record, said));
}

static void
test_pictures_come_out_at_once_with_their_times (Fixture *f, gconstpointer user_data)
{
  /* As of a browser that captures when it can; the last came before the one in front of it. */
  const GstClockTime times[] = { 5, 33333338, 33333339, 90000001, 10000000000, 10033366701,
    10033366700, GST_CLOCK_TIME_NONE };

  for (guint i = 0; i < G_N_ELEMENTS (times); i++) {
    g_autoptr (GstBuffer) buffer = encode (f, times[i]);

    g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, times[i]);
  }
  g_assert_cmpuint (gst_harness_query_latency (f->h), ==, 0);
  gst_harness_push_event (f->h, gst_event_new_eos ());
  g_assert_null (gst_harness_try_pull (f->h));
}

static void
test_key_frames_come_by_time (Fixture *f, gconstpointer user_data)
{
  g_object_set (f->h->element, "keyframe-interval", 1000, NULL);
  g_assert_true (encodes_a_key_frame (f, 7 * GST_SECOND));
  for (guint i = 1; i < 10; i++)
    g_assert_false (encodes_a_key_frame (f, 7 * GST_SECOND + i * 100 * GST_MSECOND));
  g_assert_true (encodes_a_key_frame (f, 8 * GST_SECOND));
  g_assert_false (encodes_a_key_frame (f, 9 * GST_SECOND - 1));
  g_assert_true (encodes_a_key_frame (f, 60 * GST_SECOND));

  g_object_set (f->h->element, "keyframe-interval", 0, NULL);
  g_assert_false (encodes_a_key_frame (f, 120 * GST_SECOND));
  for (guint i = 1; i < 300; i++) /* libaom's own limit is in pictures */
    g_assert_false (encodes_a_key_frame (f, 120 * GST_SECOND + i * FRAME));
}

static void
test_key_frame_that_is_asked_for_starts_the_interval_anew (Fixture *f, gconstpointer user_data)
{
  g_object_set (f->h->element, "keyframe-interval", 1000, NULL);
  g_assert_true (encodes_a_key_frame (f, 0));
  g_assert_false (encodes_a_key_frame (f, FRAME));
  gst_harness_push_upstream_event (
      f->h, gst_video_event_new_upstream_force_key_unit (GST_CLOCK_TIME_NONE, FALSE, 0));
  g_assert_true (encodes_a_key_frame (f, 500 * GST_MSECOND));
  g_assert_false (encodes_a_key_frame (f, 1000 * GST_MSECOND));
  g_assert_true (encodes_a_key_frame (f, 1500 * GST_MSECOND));
}

static void
test_first_picture_after_a_flush_is_a_key_frame (Fixture *f, gconstpointer user_data)
{
  GstSegment segment;

  g_assert_true (encodes_a_key_frame (f, 0));
  g_assert_false (encodes_a_key_frame (f, FRAME));
  gst_harness_push_event (f->h, gst_event_new_flush_start ());
  gst_harness_push_event (f->h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f->h, gst_event_new_segment (&segment));
  g_assert_true (encodes_a_key_frame (f, 2 * FRAME));
  g_assert_false (encodes_a_key_frame (f, 3 * FRAME));
}

static void
test_other_size_begins_anew (Fixture *f, gconstpointer user_data)
{
  const int sizes[][2]
      = { { WIDTH, HEIGHT }, { 98, 146 }, { 16, 16 }, { 51, 33 }, { WIDTH, HEIGHT } };
  GstHarness *decoder = gst_harness_new_parse ("av1parse ! av1dec");

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (GstCaps) caps = NULL;

    take_size (f, GST_VIDEO_FORMAT_I420, sizes[i][0], sizes[i][1]);
    for (guint n = 0; n < 3; n++) {
      GstBuffer *unit = encode (f, (3 * i + n) * FRAME);
      g_autoptr (GstBuffer) decoded = NULL;
      g_autoptr (GstCaps) raw = NULL;
      GstVideoInfo info;

      g_assert_true (is_key (unit) == (n == 0));
      g_clear_pointer (&caps, gst_caps_unref);
      caps = gst_pad_get_current_caps (f->h->sinkpad);
      get_codec_data (caps, sizes[i][0], sizes[i][1]);

      if (n == 0)
        gst_harness_set_src_caps (decoder, gst_caps_ref (caps));
      g_assert_cmpint (gst_harness_push (decoder, unit), ==, GST_FLOW_OK);
      decoded = gst_harness_pull (decoder);
      raw = gst_pad_get_current_caps (decoder->sinkpad);
      g_assert_true (gst_video_info_from_caps (&info, raw));
      g_assert_cmpint (GST_VIDEO_INFO_WIDTH (&info), ==, sizes[i][0]);
      g_assert_cmpint (GST_VIDEO_INFO_HEIGHT (&info), ==, sizes[i][1]);
    }
  }
  gst_harness_teardown (decoder);
}

static GBytes *
encode_all (GstVideoFormat format)
{
  Fixture f = { 0 };
  GByteArray *all = g_byte_array_new ();

  set_up (&f, NULL);
  take_size (&f, format, WIDTH, HEIGHT);
  for (guint i = 0; i < 5; i++) {
    g_autoptr (GstBuffer) unit = encode (&f, i * FRAME);
    g_autoptr (GBytes) bytes = dup_bytes (unit);

    g_byte_array_append (all, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  }
  tear_down (&f, NULL);
  return g_byte_array_free_to_bytes (all);
}

static void
test_nv12_is_encoded_like_i420 (void)
{
  g_autoptr (GBytes) i420 = encode_all (GST_VIDEO_FORMAT_I420);
  g_autoptr (GBytes) nv12 = encode_all (GST_VIDEO_FORMAT_NV12);

  g_assert_true (g_bytes_equal (i420, nv12));
}

static void
test_late_pictures_are_encoded_all_the_same (Fixture *f, gconstpointer user_data)
{
  gst_video_encoder_set_qos_enabled (GST_VIDEO_ENCODER (f->h->element), TRUE);
  g_assert_true (encodes_a_key_frame (f, 0));
  gst_harness_push_upstream_event (
      f->h, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2.0, 5 * GST_SECOND, FRAME));
  g_assert_false (encodes_a_key_frame (f, FRAME));
  g_assert_false (encodes_a_key_frame (f, 2 * FRAME));
}

static void
test_buffer_that_is_too_small_is_an_error (Fixture *f, gconstpointer user_data)
{
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  gst_element_set_bus (f->h->element, bus);
  g_assert_cmpint (
      gst_harness_push (f->h, gst_harness_create_buffer (f->h, 100)), ==, GST_FLOW_ERROR);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_assert_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE);
  gst_element_set_bus (f->h->element, NULL);
}

/* The least and the most of each property, alone and while playing. */
static void
test_no_setting_ends_the_process (Fixture *f, gconstpointer user_data)
{
  const char *const names[]
      = { "bitrate", "speed", "keyframe-interval", "threads", "tile-columns", "tile-rows" };
  GObjectClass *class = G_OBJECT_GET_CLASS (f->h->element);
  GstClockTime pts = 0;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    GParamSpec *spec = g_object_class_find_property (class, names[i]);
    GParamSpecUInt *range;

    g_assert_true (G_IS_PARAM_SPEC_UINT (spec));
    range = G_PARAM_SPEC_UINT (spec);
    for (guint most = 0; most < 2; most++) {
      g_object_set (f->h->element, names[i], most ? range->maximum : range->minimum, NULL);
      for (guint n = 0; n < 3; n++, pts += FRAME)
        gst_buffer_unref (encode (f, pts));
      take_size (f, GST_VIDEO_FORMAT_I420, most ? 256 : 64, most ? 130 : 48);
      for (guint n = 0; n < 3; n++, pts += FRAME)
        gst_buffer_unref (encode (f, pts));
      g_object_set (f->h->element, names[i], range->default_value, NULL);
    }
  }
}

static void
test_starts_and_stops_many_times (void)
{
  GstHarness *h = gst_harness_new ("havenav1enc");
  g_autoptr (MovingPicture) picture = moving_picture_new (GST_VIDEO_FORMAT_I420, WIDTH, HEIGHT);

  for (guint i = 0; i < 30; i++) {
    GstBuffer *buffer;

    gst_harness_play (h);
    gst_harness_set_src_caps (h, moving_picture_get_caps (picture));
    buffer = moving_picture_paint (picture, i);
    GST_BUFFER_PTS (buffer) = 0;
    buffer = gst_harness_push_and_pull (h, buffer);
    g_assert_true (is_key (buffer));
    gst_buffer_unref (buffer);
    g_assert_cmpint (
        gst_element_set_state (h->element, GST_STATE_NULL), ==, GST_STATE_CHANGE_SUCCESS);
  }
  gst_harness_teardown (h);
}

int
main (int argc, char *argv[])
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add ("/havenav1enc/" #name, Fixture, NULL, set_up, test_##name, tear_down)
  ADD (caps_hold_the_header_of_the_stream);
  ADD (pictures_come_out_at_once_with_their_times);
  ADD (key_frames_come_by_time);
  ADD (key_frame_that_is_asked_for_starts_the_interval_anew);
  ADD (first_picture_after_a_flush_is_a_key_frame);
  ADD (other_size_begins_anew);
  ADD (late_pictures_are_encoded_all_the_same);
  ADD (buffer_that_is_too_small_is_an_error);
  ADD (no_setting_ends_the_process);
  g_test_add_func ("/havenav1enc/nv12_is_encoded_like_i420", test_nv12_is_encoded_like_i420);
  g_test_add_func ("/havenav1enc/starts_and_stops_many_times", test_starts_and_stops_many_times);
  return g_test_run ();
}
