/* What a recording gives up whose encoder does not keep up, and how pictures are left out evenly.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "haven-ladder.h"
#include "haven-pace.h"

#define SECOND G_GUINT64_CONSTANT (1000000000)

static void
test_what_passes_is_borne (void)
{
  HavenLadder ladder = { 0 };
  guint64 lost = 0;

  for (guint i = 0; i < 100; i++) {
    lost += i % 5 ? 10 : 2; /* four bad seconds, and one with a picture or two */
    g_assert_false (haven_ladder_look (&ladder, lost));
  }
  g_assert_cmpint (ladder.step, ==, HAVEN_LADDER_NONE);
}

static void
test_steps_are_taken_one_by_one (void)
{
  static const HavenLadderStep steps[]
      = { HAVEN_LADDER_SPEED, HAVEN_LADDER_HALF, HAVEN_LADDER_QUARTER };
  HavenLadder ladder = { 0 };
  guint64 lost = 0;

  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    for (guint second = 0; second < 4; second++)
      g_assert_false (haven_ladder_look (&ladder, lost += 3));
    g_assert_true (haven_ladder_look (&ladder, lost += 3));
    g_assert_cmpint (ladder.step, ==, steps[i]);
  }
  for (guint i = 0; i < 100; i++) /* there is no further one */
    g_assert_false (haven_ladder_look (&ladder, lost += 3));
  g_assert_cmpuint (haven_ladder_fps (HAVEN_LADDER_SPEED), ==, 0);
  g_assert_cmpuint (haven_ladder_fps (HAVEN_LADDER_HALF), ==, 15);
}

static guint
count_taken (guint rate, guint fps)
{
  HavenPace pace = { 0 };
  guint taken = 0;

  for (guint i = 0; i < 10 * rate; i++)
    taken += haven_pace_takes (&pace, 7 * SECOND + i * SECOND / rate, SECOND / fps);
  return taken;
}

static void
test_a_pace_is_held (void)
{
  g_assert_cmpuint (count_taken (30, 15), ==, 150);
  g_assert_cmpuint (count_taken (30, 7), >=, 68);
  g_assert_cmpuint (count_taken (30, 7), <=, 72);
  g_assert_cmpuint (count_taken (25, 30), ==, 250); /* fewer come than may */
}

static void
test_a_pace_begins_anew_behind_a_pause (void)
{
  HavenPace pace = { 0 };

  g_assert_true (haven_pace_takes (&pace, SECOND, SECOND / 15));
  g_assert_true (haven_pace_takes (&pace, 100 * SECOND, SECOND / 15));
  g_assert_false (haven_pace_takes (&pace, 100 * SECOND + SECOND / 30, SECOND / 15));
  g_assert_true (haven_pace_takes (&pace, 2 * SECOND, SECOND / 15)); /* or a jump back */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ladder/what_passes_is_borne", test_what_passes_is_borne);
  g_test_add_func ("/ladder/steps_are_taken_one_by_one", test_steps_are_taken_one_by_one);
  g_test_add_func ("/pace/is_held", test_a_pace_is_held);
  g_test_add_func ("/pace/begins_anew_behind_a_pause", test_a_pace_begins_anew_behind_a_pause);
  return g_test_run ();
}
