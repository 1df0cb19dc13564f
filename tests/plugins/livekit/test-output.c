/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "gstlivekitoutput.h"

#include <gst/check/gstharness.h>

GST_DEBUG_CATEGORY (gst_livekit_src_debug);

#define FRAME (33 * GST_MSECOND)
#define RAW "video/x-raw,format=I420,width=%d,height=%d,framerate=30/1"

typedef struct
{
  GstHarness *h;
  GstBus *bus;
  LiveKitFlow *flow; /* (nullable) */
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GstCaps) caps
      = gst_caps_from_string ("video/x-raw(ANY); video/x-vp8; video/x-h264; audio/x-opus");
  GstElement *output
      = gst_livekit_output_new (caps, gst_event_new_stream_start ("test"), 0, f->flow);

  gst_object_ref_sink (output);
  f->h = gst_harness_new_with_element (output, "sink", "src");
  f->bus = gst_bus_new ();
  gst_element_set_bus (output, f->bus);
  gst_object_unref (output);
}

static void
set_up_with_flow (Fixture *f, gconstpointer data)
{
  f->flow = livekit_flow_new ();
  set_up (f, data);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  gst_element_set_bus (f->h->element, NULL);
  gst_object_unref (f->bus);
  gst_harness_teardown (f->h);
  g_clear_pointer (&f->flow, livekit_flow_unref);
}

static void
set_size (Fixture *f, int width, int height)
{
  g_autofree char *caps = g_strdup_printf (RAW, width, height);

  gst_harness_set_src_caps_str (f->h, caps);
}

static GstFlowReturn
push (Fixture *f, GstClockTime pts)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 16, NULL);

  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = FRAME;
  return gst_harness_push (f->h, buffer);
}

static GstClockTime
pull_pts (Fixture *f)
{
  g_autoptr (GstBuffer) buffer = gst_harness_pull (f->h);

  g_assert_nonnull (buffer);
  return GST_BUFFER_PTS (buffer);
}

static void
expect_event (Fixture *f, GstEventType type)
{
  g_autoptr (GstEvent) event = gst_harness_pull_event (f->h);

  g_assert_nonnull (event);
  g_assert_cmpstr (GST_EVENT_TYPE_NAME (event), ==, gst_event_type_get_name (type));
}

static GstEvent *
wait_for_event (Fixture *f, GstEventType type)
{
  GstEvent *event;

  while ((event = gst_harness_pull_event (f->h)) && GST_EVENT_TYPE (event) != type)
    gst_event_unref (event);
  g_assert_nonnull (event); /* the harness waits for a minute */
  return event;
}

static void
a_second_branch_begins_no_second_stream (Fixture *f, gconstpointer data)
{
  set_size (f, 640, 360);
  g_assert_cmpint (push (f, 0), ==, GST_FLOW_OK);
  gst_harness_push_event (f->h, gst_event_new_eos ());
  /* The next branch: its own stream-start, the same caps, its own segment. */
  gst_harness_push_event (f->h, gst_event_new_flush_start ());
  gst_harness_push_event (f->h, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (f->h, gst_event_new_stream_start ("another"));
  set_size (f, 640, 360);
  g_assert_cmpint (push (f, FRAME), ==, GST_FLOW_OK);

  expect_event (f, GST_EVENT_STREAM_START);
  expect_event (f, GST_EVENT_CAPS);
  expect_event (f, GST_EVENT_SEGMENT);
  g_assert_cmpuint (gst_harness_events_in_queue (f->h), ==, 0);
  g_assert_cmpuint (gst_harness_buffers_in_queue (f->h), ==, 2);
}

static void
blank_pictures_stay_inside (Fixture *f, gconstpointer data)
{
  GstLiveKitOutputStats stats;

  set_size (f, 640, 360);
  push (f, 0);
  set_size (f, 8, 8);
  push (f, FRAME);
  set_size (f, 2, 2);
  push (f, 2 * FRAME);
  set_size (f, 640, 360);
  push (f, 3 * FRAME);

  g_assert_cmpuint (gst_harness_buffers_in_queue (f->h), ==, 2);
  expect_event (f, GST_EVENT_STREAM_START);
  expect_event (f, GST_EVENT_CAPS);
  expect_event (f, GST_EVENT_SEGMENT);
  g_assert_cmpuint (gst_harness_events_in_queue (f->h), ==, 0);
  gst_livekit_output_get_stats (GST_LIVEKIT_OUTPUT (f->h->element), &stats);
  g_assert_cmpuint (stats.blank, ==, 2);
  g_assert_cmpuint (stats.buffers, ==, 2);
}

static void
timestamps_never_go_back (Fixture *f, gconstpointer data)
{
  set_size (f, 640, 360);
  push (f, GST_SECOND);
  push (f, GST_SECOND - FRAME);
  push (f, GST_SECOND + FRAME);

  g_assert_cmpuint (pull_pts (f), ==, GST_SECOND);
  g_assert_cmpuint (pull_pts (f), ==, GST_SECOND + FRAME);
}

static void
a_late_encoded_picture_is_kept_since_others_need_it (Fixture *f, gconstpointer data)
{
  gst_harness_set_src_caps_str (f->h, "video/x-vp8,width=640,height=360");
  push (f, GST_SECOND);
  push (f, GST_SECOND - FRAME);
  push (f, GST_SECOND + FRAME);

  g_assert_cmpuint (pull_pts (f), ==, GST_SECOND);
  g_assert_cmpuint (pull_pts (f), ==, GST_SECOND + GST_MSECOND);
  g_assert_cmpuint (pull_pts (f), ==, GST_SECOND + FRAME);
}

static void
a_shift_is_approached_by_a_tenth_of_the_time_that_passes (Fixture *f, gconstpointer data)
{
  const GstClockTimeDiff shift = 20 * GST_MSECOND;
  GstClockTimeDiff rest;
  GstClockTime pts = 0;

  set_size (f, 640, 360);
  push (f, pts);
  g_assert_cmpuint (pull_pts (f), ==, 0);
  gst_livekit_output_set_shift (GST_LIVEKIT_OUTPUT (f->h->element), shift);
  pts += 40 * GST_MSECOND;
  push (f, pts);
  g_assert_cmpuint (pull_pts (f), ==, pts + 4 * GST_MSECOND);
  for (guint i = 0; i < 20; i++) {
    pts += 40 * GST_MSECOND;
    push (f, pts);
    if (i < 19)
      pull_pts (f);
  }
  rest = GST_CLOCK_DIFF (pts + shift, pull_pts (f));
  g_assert_cmpint (ABS (rest), <=, 2 * GST_MSECOND);
}

static void
silence_becomes_a_gap (Fixture *f, gconstpointer data)
{
  g_autoptr (GstEvent) event = NULL;
  GstClockTime start, duration;

  gst_harness_use_systemclock (f->h);
  set_size (f, 640, 360);
  push (f, 0);
  event = wait_for_event (f, GST_EVENT_GAP);
  gst_event_parse_gap (event, &start, &duration);
  g_assert_cmpuint (start, ==, FRAME);
  g_assert_cmpuint (duration, >, 0);
}

/* How long before it is told of, the silence ends that is told: what comes may be as old. */
static GstClockTime
next_age_of_silence (Fixture *f)
{
  g_autoptr (GstEvent) event = wait_for_event (f, GST_EVENT_GAP);
  GstClockTime start, duration;

  gst_event_parse_gap (event, &start, &duration);
  return gst_element_get_current_running_time (f->h->element) - start - duration;
}

static void
silence_of_a_muted_track_is_told_sooner (Fixture *f, gconstpointer data)
{
  GstClockTime age;

  gst_harness_use_systemclock (f->h);
  set_size (f, 640, 360);
  push (f, 0);
  g_assert_cmpuint (next_age_of_silence (f), >=, GST_SECOND);
  gst_livekit_output_set_muted (GST_LIVEKIT_OUTPUT (f->h->element), TRUE);
  do { /* on a busy machine it takes a while to come here, too */
    age = next_age_of_silence (f);
    g_assert_cmpuint (age, >=, 250 * GST_MSECOND);
  } while (age >= GST_SECOND && gst_harness_events_received (f->h) < 100);
  g_assert_cmpuint (age, <, GST_SECOND);
}

static void
wait_until (Fixture *f, GstClockTime running_time)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (f->h->element);
  GstClockID id = gst_clock_new_single_shot_id (
      clock, gst_element_get_base_time (f->h->element) + running_time);

  gst_clock_id_wait (id, NULL);
  gst_clock_id_unref (id);
}

static void
where_nothing_else_comes_what_was_kept_has_its_place (Fixture *f, gconstpointer data)
{
  gst_harness_use_systemclock (f->h);
  gst_harness_set_src_caps_str (f->h, "video/x-vp8,width=640,height=360");
  push (f, 0);
  wait_until (f, 3 * GST_SECOND); /* a gap until 1.75 s was told of, where they are */
  push (f, FRAME);
  g_assert_cmpuint (pull_pts (f), ==, 0);
  g_assert_cmpuint (pull_pts (f), ==, FRAME);
}

/* Another track comes after a silence of all. */
static void
where_another_track_comes_silence_is_told (Fixture *f, gconstpointer data)
{
  g_autoptr (GstEvent) event = NULL;

  gst_harness_use_systemclock (f->h);
  set_size (f, 640, 360);
  push (f, 0);
  wait_until (f, 2 * GST_SECOND);
  for (guint i = 0; i < 100; i++) {
    livekit_flow_note (f->flow, g_get_monotonic_time ());
    wait_until (f, 2 * GST_SECOND + i * 20 * GST_MSECOND);
  }
  event = wait_for_event (f, GST_EVENT_GAP);
}

static void
a_hole_in_sound_becomes_a_gap (Fixture *f, gconstpointer data)
{
  g_autoptr (GstEvent) event = NULL;
  GstClockTime start, duration;

  gst_harness_set_src_caps_str (f->h, "audio/x-opus,channel-mapping-family=0");
  push (f, 0);
  push (f, FRAME);
  push (f, 10 * FRAME);
  event = wait_for_event (f, GST_EVENT_GAP);
  gst_event_parse_gap (event, &start, &duration);
  g_assert_cmpuint (start, ==, 2 * FRAME);
  g_assert_cmpuint (duration, ==, 8 * FRAME);
}

static void
an_asked_for_eos_goes_out_and_ends_the_stream (Fixture *f, gconstpointer data)
{
  g_autoptr (GstEvent) event = NULL;

  set_size (f, 640, 360);
  push (f, 0);
  gst_livekit_output_send_eos (GST_LIVEKIT_OUTPUT (f->h->element));
  event = wait_for_event (f, GST_EVENT_EOS);
  g_assert_cmpint (push (f, FRAME), ==, GST_FLOW_OK);
  g_assert_cmpuint (gst_harness_buffers_received (f->h), ==, 1);
}

static int
width_downstream (Fixture *f)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (f->h->sinkpad);
  int width = 0;

  gst_structure_get_int (gst_caps_get_structure (caps, 0), "width", &width);
  return width;
}

static void
raw_pictures_say_their_new_size (Fixture *f, gconstpointer data)
{
  set_size (f, 640, 360);
  push (f, 0);
  set_size (f, 1280, 720);
  push (f, FRAME);
  g_assert_cmpint (width_downstream (f), ==, 1280);
}

static void
encoded_pictures_keep_their_caps_for_muxers (Fixture *f, gconstpointer data)
{
  gst_harness_set_src_caps_str (f->h, "video/x-vp8,width=640,height=360");
  push (f, 0);
  gst_harness_set_src_caps_str (f->h, "video/x-vp8,width=8,height=8");
  push (f, FRAME);
  gst_harness_set_src_caps_str (f->h, "video/x-vp8,width=1280,height=720");
  push (f, 2 * FRAME);
  g_assert_cmpuint (gst_harness_buffers_received (f->h), ==, 2);
  g_assert_cmpint (width_downstream (f), ==, 640);
}

#define AVC3 "video/x-h264,stream-format=avc3,alignment=au,codec_data=(buffer)%s,width=%d,height=%d"
#define AVC "video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer)%s,width=%d,height=%d"

static void
push_h264 (Fixture *f, const char *form, const char *codec_data, int width, GstClockTime pts)
{
  g_autofree char *caps = g_strdup_printf (form, codec_data, width, width * 9 / 16);

  gst_harness_set_src_caps_str (f->h, caps);
  push (f, pts);
}

static void
h264_with_its_parameters_in_band_keeps_its_caps_for_muxers (Fixture *f, gconstpointer data)
{
  push_h264 (f, AVC3, "01", 640, 0);
  push_h264 (f, AVC3, "02", 320, FRAME);
  g_assert_cmpint (width_downstream (f), ==, 640);
  push_h264 (f, AVC, "02", 320, 2 * FRAME);
  g_assert_cmpint (width_downstream (f), ==, 320);
}

static void
h264_without_parameters_in_band_says_its_new_ones (Fixture *f, gconstpointer data)
{
  push_h264 (f, AVC, "01", 640, 0);
  push_h264 (f, AVC, "02", 320, FRAME);
  g_assert_cmpint (width_downstream (f), ==, 320);
}

static void
nobody_downstream_is_no_error (Fixture *f, gconstpointer data)
{
  g_autoptr (GstPad) src = gst_element_get_static_pad (f->h->element, "src");
  g_autoptr (GstPad) peer = gst_pad_get_peer (src);

  gst_pad_unlink (src, peer);
  set_size (f, 640, 360);
  g_assert_cmpint (push (f, 0), ==, GST_FLOW_OK);
  gst_pad_link (src, peer);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  GST_DEBUG_CATEGORY_INIT (gst_livekit_src_debug, "livekitsrc", 0, "LiveKit source");
#define ADD_WITH(set_up, test) g_test_add ("/output/" #test, Fixture, NULL, set_up, test, tear_down)
#define ADD(test) ADD_WITH (set_up, test)
  ADD (a_second_branch_begins_no_second_stream);
  ADD (blank_pictures_stay_inside);
  ADD (timestamps_never_go_back);
  ADD (a_late_encoded_picture_is_kept_since_others_need_it);
  ADD (a_shift_is_approached_by_a_tenth_of_the_time_that_passes);
  ADD (silence_becomes_a_gap);
  ADD (silence_of_a_muted_track_is_told_sooner);
  ADD_WITH (set_up_with_flow, where_nothing_else_comes_what_was_kept_has_its_place);
  ADD_WITH (set_up_with_flow, where_another_track_comes_silence_is_told);
  ADD (a_hole_in_sound_becomes_a_gap);
  ADD (an_asked_for_eos_goes_out_and_ends_the_stream);
  ADD (raw_pictures_say_their_new_size);
  ADD (encoded_pictures_keep_their_caps_for_muxers);
  ADD (h264_with_its_parameters_in_band_keeps_its_caps_for_muxers);
  ADD (h264_without_parameters_in_band_says_its_new_ones);
  ADD (nobody_downstream_is_no_error);
  return g_test_run ();
}
