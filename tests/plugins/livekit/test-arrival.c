/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-arrival.h"

#include <gst/check/gstharness.h>
#include <gst/rtp/gstrtpbuffer.h>

#define LATENCY 200 /* ms */
#define TOLERANCE (LATENCY * GST_MSECOND / 2)
#define RATE 48000u
#define FRAME (20 * GST_MSECOND)
#define FRAME_TICKS 960u
#define NOT_FAR (5 * GST_MSECOND)
/* Where RTP time begins: it wraps around soon. */
#define FIRST_RTP_TIME (G_MAXUINT32 - 10 * FRAME_TICKS)

static guint32
rtp_time (guint n)
{
  return FIRST_RTP_TIME + n * FRAME_TICKS;
}

/* When packet @n was sent, and came where nothing kept it. */
static GstClockTime
sent (guint n)
{
  return GST_SECOND + n * FRAME;
}

/* A stream that has run for 50 packets. */
static void
begin (LiveKitArrival *arrival)
{
  livekit_arrival_init (arrival, TOLERANCE);
  livekit_arrival_set_clock_rate (arrival, RATE);
  for (guint n = 0; n < 50; n++) {
    g_assert_cmpuint (livekit_arrival_came (arrival, rtp_time (n), sent (n)), ==, sent (n));
    livekit_arrival_left (arrival, rtp_time (n), sent (n));
  }
}

static void
what_comes_in_time_is_left_alone (void)
{
  LiveKitArrival arrival;

  begin (&arrival);
  g_assert_cmpuint (livekit_arrival_came (&arrival, rtp_time (50), sent (50) + TOLERANCE), ==,
      sent (50) + TOLERANCE);
  g_assert_cmpuint (
      livekit_arrival_came (&arrival, rtp_time (51), sent (51) - NOT_FAR), ==, sent (51) - NOT_FAR);
}

static void
what_was_kept_is_timed_by_when_it_was_sent (void)
{
  const GstClockTime away = 10 * GST_SECOND;
  LiveKitArrival arrival;

  begin (&arrival);
  /* A second of it, in a tenth of a second. */
  for (guint n = 50; n < 100; n++) {
    GstClockTime now = sent (50) + away + (n - 50) * 2 * GST_MSECOND;

    g_assert_cmpuint (livekit_arrival_came (&arrival, rtp_time (n), now), ==, sent (n));
  }
  /* The rest was lost; this comes as it is sent. */
  g_assert_cmpuint (livekit_arrival_came (&arrival, rtp_time (560), sent (560)), ==, sent (560));
}

static void
what_is_kept_for_long_may_come_slowly (void)
{
  LiveKitArrival arrival;
  GstClockTime now;

  begin (&arrival);
  /* Twice as fast as it was sent, until it has caught up. */
  for (guint n = 50;
       (now = sent (50) + 3 * GST_SECOND + (n - 50) * FRAME / 2) > sent (n) + TOLERANCE; n++)
    g_assert_cmpuint (livekit_arrival_came (&arrival, rtp_time (n), now), ==, sent (n));
}

/* Begins, and goes on with all late by @delay. Returns: the first packet that is believed */
static guint
be_late_until_believed (LiveKitArrival *arrival, GstClockTime delay)
{
  guint n = 50;

  begin (arrival);
  while (livekit_arrival_came (arrival, rtp_time (n), sent (n) + delay) == sent (n))
    n++;
  return n;
}

/* As where the sender's RTP time stands still while it is mute, or the way becomes longer. */
static void
what_stays_late_is_believed (void)
{
  const GstClockTime delay = 2 * GST_SECOND;
  LiveKitArrival arrival;
  guint n = be_late_until_believed (&arrival, delay);

  g_assert_cmpuint ((n - 50) * FRAME, <, GST_SECOND / 2);
  for (guint end = n + 50; n < end; n++)
    g_assert_cmpuint (
        livekit_arrival_came (&arrival, rtp_time (n), sent (n) + delay), ==, sent (n) + delay);
}

static void
a_stream_that_was_believed_may_be_kept_again (void)
{
  const GstClockTime delay = 2 * GST_SECOND;
  LiveKitArrival arrival;
  guint n = be_late_until_believed (&arrival, delay);

  livekit_arrival_left (&arrival, rtp_time (n), sent (n) + delay); /* it began anew */
  n++;
  g_assert_cmpuint (
      livekit_arrival_came (&arrival, rtp_time (n), sent (n) + delay), ==, sent (n) + delay);
  n++;
  g_assert_cmpuint (
      livekit_arrival_came (&arrival, rtp_time (n), sent (n) + 2 * delay), ==, sent (n) + delay);
}

static void
without_a_clock_nothing_is_known (void)
{
  LiveKitArrival arrival;

  livekit_arrival_init (&arrival, TOLERANCE);
  livekit_arrival_left (&arrival, rtp_time (0), sent (0));
  g_assert_cmpuint (livekit_arrival_came (&arrival, rtp_time (1), sent (500)), ==, sent (500));
  begin (&arrival);
  livekit_arrival_set_clock_rate (&arrival, 2 * RATE);
  g_assert_cmpuint (livekit_arrival_came (&arrival, rtp_time (50), sent (500)), ==, sent (500));
}

/* --- with a jitter buffer --- */

static GstCaps *
on_request_pt_map (GstElement *jitterbuffer, guint payload_type, gpointer user_data)
{
  return gst_caps_new_simple ("application/x-rtp", "media", G_TYPE_STRING, "audio", "encoding-name",
      G_TYPE_STRING, "OPUS", "clock-rate", G_TYPE_INT, (int)RATE, NULL);
}

static GstBuffer *
make_packet (guint n, GstClockTime came)
{
  GstBuffer *buffer = gst_rtp_buffer_new_allocate (16, 0, 0);
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;

  gst_rtp_buffer_map (buffer, GST_MAP_WRITE, &rtp);
  gst_rtp_buffer_set_payload_type (&rtp, 111);
  gst_rtp_buffer_set_seq (&rtp, (guint16)n);
  gst_rtp_buffer_set_timestamp (&rtp, rtp_time (n));
  gst_rtp_buffer_unmap (&rtp);
  GST_BUFFER_DTS (buffer) = GST_BUFFER_PTS (buffer) = came;
  return buffer;
}

static void
come (GstHarness *h, guint n, GstClockTime at, gboolean in_a_list)
{
  if (in_a_list) {
    g_autoptr (GstPad) sink = gst_element_get_static_pad (h->element, "sink");
    GstBufferList *list = gst_buffer_list_new ();

    gst_buffer_list_add (list, make_packet (n, at));
    g_assert_cmpint (gst_pad_push_list (h->srcpad, list), ==, GST_FLOW_OK);
  } else {
    g_assert_cmpint (gst_harness_push (h, make_packet (n, at)), ==, GST_FLOW_OK);
  }
}

static GstClockTimeDiff
distance_of_next (GstHarness *h, guint n)
{
  g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;

  g_assert_nonnull (buffer);
  g_assert_true (gst_rtp_buffer_map (buffer, GST_MAP_READ, &rtp));
  g_assert_cmpuint (gst_rtp_buffer_get_seq (&rtp), ==, n);
  gst_rtp_buffer_unmap (&rtp);
  return ABS (GST_CLOCK_DIFF (sent (n), GST_BUFFER_PTS (buffer)));
}

/* The process stood still for ten seconds, and nothing was lost. */
static void
a_jitter_buffer_keeps_its_time (gconstpointer data)
{
  const gboolean in_a_list = GPOINTER_TO_INT (data);
  GstElement *jitterbuffer = gst_element_factory_make ("rtpjitterbuffer", NULL);
  GstHarness *h;

  gst_object_ref_sink (jitterbuffer);
  g_object_set (jitterbuffer, "latency", LATENCY, NULL);
  g_signal_connect (jitterbuffer, "request-pt-map", G_CALLBACK (on_request_pt_map), NULL);
  livekit_arrival_watch (jitterbuffer);
  h = gst_harness_new_with_element (jitterbuffer, "sink", "src");
  gst_harness_set_src_caps_str (h, "application/x-rtp");

  come (h, 0, sent (0), in_a_list);
  gst_harness_crank_single_clock_wait (h); /* the first waits whether another was before it */
  g_assert_cmpint (distance_of_next (h, 0), <, NOT_FAR);
  for (guint n = 1; n < 150; n++) {
    come (h, n, sent (n), in_a_list);
    g_assert_cmpint (distance_of_next (h, n), <, NOT_FAR);
  }
  for (guint n = 150; n < 650; n++) {
    come (h, n, sent (650), in_a_list);
    g_assert_cmpint (distance_of_next (h, n), <, NOT_FAR);
  }
  for (guint n = 650; n < 800; n++) {
    come (h, n, sent (n), in_a_list);
    g_assert_cmpint (distance_of_next (h, n), <, NOT_FAR);
  }
  gst_harness_teardown (h);
  gst_object_unref (jitterbuffer);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(test) g_test_add_func ("/arrival/" #test, test)
  ADD (what_comes_in_time_is_left_alone);
  ADD (what_was_kept_is_timed_by_when_it_was_sent);
  ADD (what_is_kept_for_long_may_come_slowly);
  ADD (what_stays_late_is_believed);
  ADD (a_stream_that_was_believed_may_be_kept_again);
  ADD (without_a_clock_nothing_is_known);
  g_test_add_data_func ("/arrival/a_jitter_buffer_keeps_its_time", GINT_TO_POINTER (FALSE),
      a_jitter_buffer_keeps_its_time);
  g_test_add_data_func ("/arrival/a_jitter_buffer_keeps_its_time_of_lists", GINT_TO_POINTER (TRUE),
      a_jitter_buffer_keeps_its_time);
  return g_test_run ();
}
