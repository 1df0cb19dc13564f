/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A real clip, encoded here, packed in each way a sender may and taken out again: bit for bit, and
 * every picture decodes. */

#include <gst/app/gstappsink.h>
#include <gst/check/gstharness.h>
#include <gst/rtp/gstrtpbuffer.h>

#include "av1-payloader.h"

#define PICTURES 24
#define CAPS "application/x-rtp,media=video,encoding-name=AV1,clock-rate=90000,payload=35"

static GPtrArray *clip; /* GstBuffer, one for each temporal unit */

static GPtrArray *
encode_clip (void)
{
  GPtrArray *units = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_buffer_unref);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "videotestsrc pattern=ball num-buffers=" G_STRINGIFY (
          PICTURES) " ! video/x-raw,format=I420,width=320,height=240,framerate=30/1"
                    " ! av1enc cpu-used=8 usage-profile=realtime lag-in-frames=0 end-usage=cbr "
                    "target-bitrate=900"
                    " min-quantizer=10 max-quantizer=56 keyframe-max-dist=10"
                    " ! av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu ! appsink "
                    "name=out sync=false",
      &error);
  g_autoptr (GstElement) out = NULL;
  GstSample *sample;

  g_assert_no_error (error);
  out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while ((sample = gst_app_sink_pull_sample (GST_APP_SINK (out)))) {
    g_ptr_array_add (units, gst_buffer_ref (gst_sample_get_buffer (sample)));
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return units;
}

static void
push_payload (GstHarness *h, guint16 seq, guint32 rtp_time, gboolean marker, GBytes *payload)
{
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;
  GstBuffer *packet = gst_rtp_buffer_new_allocate (0, 0, 0);

  g_assert_true (gst_rtp_buffer_map (packet, GST_MAP_WRITE, &rtp));
  gst_rtp_buffer_set_seq (&rtp, seq);
  gst_rtp_buffer_set_timestamp (&rtp, rtp_time);
  gst_rtp_buffer_set_marker (&rtp, marker);
  gst_rtp_buffer_unmap (&rtp);
  packet = gst_buffer_append (packet, gst_buffer_new_wrapped_bytes (payload));
  g_assert_cmpint (gst_harness_push (h, packet), ==, GST_FLOW_OK);
}

static void
assert_equal_buffers (GstBuffer *got, GstBuffer *expected)
{
  GstMapInfo a, b;

  g_assert_true (gst_buffer_map (got, &a, GST_MAP_READ));
  g_assert_true (gst_buffer_map (expected, &b, GST_MAP_READ));
  g_assert_cmpmem (a.data, a.size, b.data, b.size);
  gst_buffer_unmap (got, &a);
  gst_buffer_unmap (expected, &b);
}

static void
assert_comes_through (gsize mtu, Av1Packing packing)
{
  GstHarness *depay = gst_harness_new ("rtpav1depay");
  GstHarness *decoder = gst_harness_new_parse ("av1parse ! av1dec");
  guint16 seq = 0;

  gst_harness_set_src_caps_str (depay, CAPS);
  gst_harness_set_src_caps_str (decoder, "video/x-av1,stream-format=obu-stream,alignment=tu");

  for (guint i = 0; i < clip->len; i++) {
    GstBuffer *unit = clip->pdata[i];
    gboolean key = !GST_BUFFER_FLAG_IS_SET (unit, GST_BUFFER_FLAG_DELTA_UNIT);
    g_autoptr (GPtrArray) payloads = NULL;
    GstBuffer *out;
    GstMapInfo map;

    g_assert_true (gst_buffer_map (unit, &map, GST_MAP_READ));
    payloads = av1_pack (map.data, map.size, mtu, packing, key);
    gst_buffer_unmap (unit, &map);
    for (guint p = 0; p < payloads->len; p++)
      push_payload (depay, seq++, i * 3000, p + 1 == payloads->len, payloads->pdata[p]);

    out = gst_harness_try_pull (depay);
    g_assert_nonnull (out);
    assert_equal_buffers (out, unit);
    g_assert_true (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_DELTA_UNIT) == !key);
    g_assert_cmpint (gst_harness_push (decoder, out), ==, GST_FLOW_OK);
  }
  g_assert_true (gst_harness_push_event (decoder, gst_event_new_eos ()));
  g_assert_cmpuint (gst_harness_buffers_received (decoder), ==, clip->len);
  gst_harness_teardown (depay);
  gst_harness_teardown (decoder);
}

static void
test_packets_of_usual_size (void)
{
  assert_comes_through (1180, AV1_PACK_COUNTED);
}

static void
test_packets_of_a_few_bytes (void)
{
  assert_comes_through (9, AV1_PACK_COUNTED);
}

static void
test_packets_with_a_length_for_each_element (void)
{
  assert_comes_through (200, AV1_PACK_LENGTHS);
}

static void
test_obus_that_keep_their_size (void)
{
  assert_comes_through (1180, AV1_PACK_SIZED);
}

static void
test_one_packet_for_each_picture (void)
{
  assert_comes_through (1000000, AV1_PACK_LENGTHS);
}

int
main (int argc, char **argv)
{
  int result;

  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  clip = encode_clip ();
  g_assert_cmpuint (clip->len, ==, PICTURES);
#define ADD(name) g_test_add_func ("/rtpav1depay-clip/" #name, test_##name)
  ADD (packets_of_usual_size);
  ADD (packets_of_a_few_bytes);
  ADD (packets_with_a_length_for_each_element);
  ADD (obus_that_keep_their_size);
  ADD (one_packet_for_each_picture);
  result = g_test_run ();
  g_ptr_array_unref (clip);
  return result;
}
