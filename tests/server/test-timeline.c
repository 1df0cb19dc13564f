/* When something came of a track, and why nothing did.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "haven-silence.h"
#include "haven-timeline.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define SECOND (1000 * MS)

static void
add_pictures (HavenTimeline *timeline, guint64 from, guint64 until)
{
  for (guint64 time = from; time < until; time += 40 * MS)
    haven_timeline_add (timeline, time, 0);
}

static void
assert_gap (const HavenTimeline *timeline, guint i, guint64 from, guint64 until)
{
  const HavenSpan *gap = &g_array_index (timeline->gaps, HavenSpan, i);

  g_assert_cmpuint (i, <, timeline->gaps->len);
  g_assert_cmpuint (gap->from, ==, from);
  g_assert_cmpuint (gap->until, ==, until);
}

static void
test_a_stream_without_gaps_has_none (void)
{
  HavenTimeline timeline;

  haven_timeline_init (&timeline);
  add_pictures (&timeline, 5 * SECOND, 15 * SECOND);
  haven_timeline_add (&timeline, 15 * SECOND + 900 * MS, 0); /* a pause is no gap */
  haven_timeline_close (&timeline, timeline.first, timeline.end);
  g_assert_cmpuint (timeline.gaps->len, ==, 0);
  g_assert_cmpuint (timeline.first, ==, 5 * SECOND);
  haven_timeline_clear (&timeline);
}

static void
test_gaps_are_found_in_the_middle_and_at_the_ends (void)
{
  HavenTimeline timeline;

  haven_timeline_init (&timeline);
  add_pictures (&timeline, 10 * SECOND, 12 * SECOND);
  add_pictures (&timeline, 20 * SECOND, 22 * SECOND);
  haven_timeline_close (&timeline, 8 * SECOND, 30 * SECOND);
  g_assert_cmpuint (timeline.gaps->len, ==, 3);
  assert_gap (&timeline, 0, 8 * SECOND, 10 * SECOND);
  assert_gap (&timeline, 1, 12 * SECOND, 20 * SECOND); /* its last picture was shown for 40 ms */
  assert_gap (&timeline, 2, 22 * SECOND, 30 * SECOND);
  haven_timeline_clear (&timeline);
}

static void
test_a_track_of_which_nothing_came_is_one_gap (void)
{
  HavenTimeline timeline;

  haven_timeline_init (&timeline);
  haven_timeline_close (&timeline, SECOND, 9 * SECOND);
  g_assert_cmpuint (timeline.gaps->len, ==, 1);
  assert_gap (&timeline, 0, SECOND, 9 * SECOND);
  haven_timeline_clear (&timeline);
}

static void
test_the_number_of_gaps_is_bounded (void)
{
  HavenTimeline timeline;

  haven_timeline_init (&timeline);
  for (guint i = 0; i < HAVEN_TIMELINE_MAX_GAPS + 10; i++)
    haven_timeline_add (&timeline, i * 5 * SECOND, 20 * MS);
  g_assert_cmpuint (timeline.gaps->len, ==, HAVEN_TIMELINE_MAX_GAPS);
  g_assert_cmpuint (timeline.more_gaps, ==, 9);
  haven_timeline_clear (&timeline);
}

static void
test_a_silence_has_the_reason_that_held_then (void)
{
  HavenSilence *silence = haven_silence_new ();

  haven_silence_set (silence, 0, HAVEN_SILENCE_MUTED, TRUE, 10);
  haven_silence_set (silence, 0, HAVEN_SILENCE_MUTED, TRUE, 15); /* said again */
  haven_silence_set (silence, 0, HAVEN_SILENCE_MUTED, FALSE, 20);
  haven_silence_set (silence, 1, HAVEN_SILENCE_UNPUBLISHED, TRUE, 12);
  g_assert_cmpint (haven_silence_find (silence, 0, 0, 9), ==, HAVEN_SILENCE_LOST);
  g_assert_cmpint (haven_silence_find (silence, 0, 5, 11), ==, HAVEN_SILENCE_MUTED);
  g_assert_cmpint (haven_silence_find (silence, 0, 21, 30), ==, HAVEN_SILENCE_LOST);
  g_assert_cmpint (haven_silence_find (silence, 1, 500, 600), ==, HAVEN_SILENCE_UNPUBLISHED);
  haven_silence_set (silence, 1, HAVEN_SILENCE_RECONNECTING, TRUE, 550);
  g_assert_cmpint (haven_silence_find (silence, 1, 500, 600), ==, HAVEN_SILENCE_RECONNECTING);
  g_assert_cmpstr (haven_silence_name (HAVEN_SILENCE_STREAMER_GONE), ==, "streamer-gone");
  haven_silence_free (silence);
}

static void
test_what_still_holds_is_not_forgotten (void)
{
  HavenSilence *silence = haven_silence_new ();

  haven_silence_set (silence, 0, HAVEN_SILENCE_STREAMER_GONE, TRUE, 1);
  for (guint64 time = 10; time < 10000; time += 2) {
    haven_silence_set (silence, 0, HAVEN_SILENCE_MUTED, TRUE, time);
    haven_silence_set (silence, 0, HAVEN_SILENCE_MUTED, FALSE, time + 1);
  }
  g_assert_cmpint (haven_silence_find (silence, 0, 2, 3), ==, HAVEN_SILENCE_STREAMER_GONE);
  haven_silence_set (silence, 0, HAVEN_SILENCE_STREAMER_GONE, FALSE, 10001);
  g_assert_cmpint (haven_silence_find (silence, 0, 9998, 9998), ==, HAVEN_SILENCE_STREAMER_GONE);
  haven_silence_free (silence);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/timeline/a_stream_without_gaps_has_none", test_a_stream_without_gaps_has_none);
  g_test_add_func ("/timeline/gaps_are_found_in_the_middle_and_at_the_ends",
      test_gaps_are_found_in_the_middle_and_at_the_ends);
  g_test_add_func ("/timeline/a_track_of_which_nothing_came_is_one_gap",
      test_a_track_of_which_nothing_came_is_one_gap);
  g_test_add_func ("/timeline/the_number_of_gaps_is_bounded", test_the_number_of_gaps_is_bounded);
  g_test_add_func (
      "/silence/has_the_reason_that_held_then", test_a_silence_has_the_reason_that_held_then);
  g_test_add_func (
      "/silence/what_still_holds_is_not_forgotten", test_what_still_holds_is_not_forgotten);
  return g_test_run ();
}
