/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-flow.h"

#define MS G_GINT64_CONSTANT (1000)

static void
note_each (LiveKitFlow *flow, gint64 interval, gint64 from, gint64 until)
{
  for (gint64 now = from; now <= until; now += interval)
    livekit_flow_note (flow, now);
}

static void
nothing_is_no_flow (void)
{
  g_autoptr (LiveKitFlow) flow = livekit_flow_new ();

  g_assert_false (livekit_flow_is_steady (flow, 5000 * MS));
}

static void
it_is_steady_when_all_that_was_kept_has_come (void)
{
  g_autoptr (LiveKitFlow) flow = livekit_flow_new ();

  note_each (flow, 20 * MS, 100 * MS, 580 * MS);
  g_assert_false (livekit_flow_is_steady (flow, 599 * MS));
  g_assert_true (livekit_flow_is_steady (flow, 600 * MS));
}

static void
the_pauses_of_a_silent_microphone_do_not_end_it (void)
{
  g_autoptr (LiveKitFlow) flow = livekit_flow_new ();

  note_each (flow, 400 * MS, 100 * MS, 2100 * MS);
  g_assert_true (livekit_flow_is_steady (flow, 2499 * MS));
}

static void
silence_ends_it (void)
{
  g_autoptr (LiveKitFlow) flow = livekit_flow_new ();

  note_each (flow, 20 * MS, 100 * MS, 2000 * MS);
  g_assert_true (livekit_flow_is_steady (flow, 2999 * MS));
  g_assert_false (livekit_flow_is_steady (flow, 3000 * MS));
  livekit_flow_note (flow, 9000 * MS);
  g_assert_false (livekit_flow_is_steady (flow, 9000 * MS));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/flow/nothing_is_no_flow", nothing_is_no_flow);
  g_test_add_func ("/flow/it_is_steady_when_all_that_was_kept_has_come",
      it_is_steady_when_all_that_was_kept_has_come);
  g_test_add_func ("/flow/the_pauses_of_a_silent_microphone_do_not_end_it",
      the_pauses_of_a_silent_microphone_do_not_end_it);
  g_test_add_func ("/flow/silence_ends_it", silence_ends_it);
  return g_test_run ();
}
