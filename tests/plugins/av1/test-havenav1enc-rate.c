/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bit rate, on pictures that move, at each kind of pace. */

#include <gst/check/gstharness.h>
#include <math.h>

#include "moving-picture.h"

#define WIDTH 320
#define HEIGHT 180
#define RATE 400 /* kbit/s */
#define TOLERANCE 0.1

typedef struct
{
  GstHarness *h;
  MovingPicture *picture; /* (owned) */
  guint number;           /* of the next picture */
  GstClockTime pts;       /* of the next picture */
  gsize largest;          /* bytes of the largest picture that was no key frame */
} Fixture;

static void
set_up (Fixture *f, gconstpointer user_data)
{
  *f = (Fixture){ .h = gst_harness_new ("havenav1enc") };
  f->picture = moving_picture_new (GST_VIDEO_FORMAT_I420, WIDTH, HEIGHT);
  gst_harness_set_src_caps (f->h, moving_picture_get_caps (f->picture)); /* of no frame rate */
  g_object_set (f->h->element, "bitrate", RATE, NULL);
}

static void
tear_down (Fixture *f, gconstpointer user_data)
{
  gst_harness_teardown (f->h);
  moving_picture_free (f->picture);
}

/* steps: what is from each picture to the next, again and again. Returns: kbit/s */
static double
encode (Fixture *f, guint pictures, const GstClockTime *steps, guint n_steps)
{
  GstClockTime start = f->pts;
  gsize bytes = 0;

  for (guint i = 0; i < pictures; i++) {
    GstBuffer *buffer = moving_picture_paint (f->picture, f->number++);
    gsize size;

    GST_BUFFER_PTS (buffer) = f->pts;
    f->pts += steps[i % n_steps];
    buffer = gst_harness_push_and_pull (f->h, buffer);
    size = gst_buffer_get_size (buffer);
    bytes += size;
    if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT))
      f->largest = MAX (f->largest, size);
    gst_buffer_unref (buffer);
  }
  return bytes * 8 / ((f->pts - start) / (double)GST_MSECOND);
}

static void
assert_rate (Fixture *f, double kbits, guint pictures, const GstClockTime *steps, guint n_steps)
{
  double got = encode (f, pictures, steps, n_steps);

  g_test_message ("%.0f kbit/s of %.0f", got, kbits);
  g_assert_cmpfloat_with_epsilon (got, kbits, kbits * TOLERANCE);
}

#define STEPS(...) \
  (const GstClockTime[]){ __VA_ARGS__ }, G_N_ELEMENTS (((const GstClockTime[]){ __VA_ARGS__ }))
#define MS GST_MSECOND

static void
test_even_pace (Fixture *f, gconstpointer user_data)
{
  assert_rate (f, RATE, 240, STEPS (GST_SECOND / 30));
}

static void
test_slow_pace (Fixture *f, gconstpointer user_data)
{
  assert_rate (f, RATE, 120, STEPS (GST_SECOND / 10));
}

static void
test_uneven_pace (Fixture *f, gconstpointer user_data)
{
  assert_rate (f, RATE, 240, STEPS (10 * MS, 57 * MS, 33 * MS, 33 * MS, 80 * MS, 5 * MS));
}

static void
test_pictures_without_times_go_by_the_frame_rate (Fixture *f, gconstpointer user_data)
{
  gsize bytes = 0;
  GstCaps *caps = moving_picture_get_caps (f->picture);

  gst_caps_set_simple (caps, "framerate", GST_TYPE_FRACTION, 15, 1, NULL);
  gst_harness_set_src_caps (f->h, caps);
  for (guint i = 0; i < 120; i++) {
    GstBuffer *unit
        = gst_harness_push_and_pull (f->h, moving_picture_paint (f->picture, f->number++));

    bytes += gst_buffer_get_size (unit);
    gst_buffer_unref (unit);
  }
  g_assert_cmpfloat_with_epsilon (bytes * 8 / 8000.0, RATE, RATE * TOLERANCE);
}

static void
test_rate_and_speed_change_while_playing (Fixture *f, gconstpointer user_data)
{
  const struct
  {
    guint rate, speed;
  } changes[] = { { 200, 10 }, { 600, 8 }, { 300, 10 } };

  encode (f, 60, STEPS (GST_SECOND / 30));
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    g_object_set (f->h->element, "bitrate", changes[i].rate, "speed", changes[i].speed, NULL);
    encode (f, 30, STEPS (GST_SECOND / 30)); /* what the old rate left in the buffer model */
    assert_rate (f, changes[i].rate, 120, STEPS (GST_SECOND / 30));
  }
}

static void
test_pause_does_not_make_a_huge_picture (Fixture *f, gconstpointer user_data)
{
  g_object_set (f->h->element, "keyframe-interval", 0, NULL);
  encode (f, 60, STEPS (GST_SECOND / 30));
  f->largest = 0;
  f->pts += 600 * GST_SECOND;
  assert_rate (f, RATE * 9 / 8, 240, STEPS (GST_SECOND / 30)); /* a second of it counts */
  g_assert_cmpuint (f->largest, <=, RATE * 1000 / 8);          /* a second's worth */
}

int
main (int argc, char *argv[])
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) \
  g_test_add ("/havenav1enc-rate/" #name, Fixture, NULL, set_up, test_##name, tear_down)
  ADD (even_pace);
  ADD (slow_pace);
  ADD (uneven_pace);
  ADD (pictures_without_times_go_by_the_frame_rate);
  ADD (rate_and_speed_change_while_playing);
  ADD (pause_does_not_make_a_huge_picture);
  return g_test_run ();
}
