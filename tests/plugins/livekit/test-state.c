/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-state.h"

static void
a_lost_session_is_resumed_until_that_is_refused (void)
{
  LiveKitState state = LIVEKIT_STATE_IDLE;

  state = livekit_state_next (state, LIVEKIT_EVENT_START);
  g_assert_cmpint (state, ==, LIVEKIT_STATE_CONNECTING);
  state = livekit_state_next (state, LIVEKIT_EVENT_JOINED);
  g_assert_cmpint (state, ==, LIVEKIT_STATE_JOINED);
  for (guint i = 0; i < 3; i++) {
    state = livekit_state_next (state, LIVEKIT_EVENT_LOST);
    g_assert_cmpint (state, ==, LIVEKIT_STATE_RESUME_BACKOFF);
    state = livekit_state_next (state, LIVEKIT_EVENT_TIMER);
    g_assert_cmpint (state, ==, LIVEKIT_STATE_RESUMING);
  }
  state = livekit_state_next (state, LIVEKIT_EVENT_RECONNECT);
  g_assert_cmpint (state, ==, LIVEKIT_STATE_BACKOFF);
  state = livekit_state_next (state, LIVEKIT_EVENT_TIMER);
  g_assert_cmpint (state, ==, LIVEKIT_STATE_CONNECTING);
}

static void
a_session_that_the_server_ended_is_not_resumed (void)
{
  g_assert_cmpint (livekit_state_next (LIVEKIT_STATE_JOINED, LIVEKIT_EVENT_RECONNECT), ==,
      LIVEKIT_STATE_BACKOFF);
  g_assert_cmpint (livekit_state_next (LIVEKIT_STATE_RESUMING, LIVEKIT_EVENT_RECONNECT), ==,
      LIVEKIT_STATE_BACKOFF);
  g_assert_cmpint (livekit_state_next (LIVEKIT_STATE_RESUME_BACKOFF, LIVEKIT_EVENT_RECONNECT), ==,
      LIVEKIT_STATE_BACKOFF);
}

static void
another_resume_is_worth_it_while_media_goes_on (void)
{
  g_assert_true (livekit_may_resume (0, FALSE));
  g_assert_false (livekit_may_resume (1, FALSE));
  for (guint n = 0; n < 10; n++)
    g_assert_true (livekit_may_resume (n, TRUE));
  g_assert_false (livekit_may_resume (10, TRUE));
}

static void
every_state_can_be_stopped_and_none_leaves_closed (void)
{
  for (LiveKitState state = LIVEKIT_STATE_IDLE; state < LIVEKIT_STATE_CLOSED; state++)
    g_assert_cmpint (livekit_state_next (state, LIVEKIT_EVENT_STOP), ==, LIVEKIT_STATE_CLOSED);
  for (LiveKitEvent event = 0; event < LIVEKIT_N_EVENTS; event++)
    g_assert_cmpint (livekit_state_next (LIVEKIT_STATE_CLOSED, event), ==, LIVEKIT_STATE_INVALID);
}

static void
a_failed_room_never_tries_again (void)
{
  for (LiveKitEvent event = 0; event < LIVEKIT_N_EVENTS; event++)
    if (event != LIVEKIT_EVENT_STOP)
      g_assert_cmpint (livekit_state_next (LIVEKIT_STATE_FAILED, event), ==, LIVEKIT_STATE_INVALID);
}

static void
waits_grow_to_seven_seconds_give_or_take_half (void)
{
  for (guint attempt = 0; attempt < 100; attempt++) {
    g_assert_cmpuint (livekit_backoff_ms (attempt, 1.0), <=, 10500);
    g_assert_cmpuint (livekit_backoff_ms (attempt, 0.0), >=, 125);
    g_assert_cmpuint (livekit_backoff_ms (attempt + 1, 0.5), >=, livekit_backoff_ms (attempt, 0.5));
  }
  g_assert_cmpuint (livekit_backoff_ms (0, 0.0), ==, 125);
  g_assert_cmpuint (livekit_backoff_ms (50, 0.0), ==, 3500);
  g_assert_cmpuint (livekit_backoff_ms (50, 1.0), ==, 10500);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(test) g_test_add_func ("/state/" #test, test)
  ADD (a_lost_session_is_resumed_until_that_is_refused);
  ADD (another_resume_is_worth_it_while_media_goes_on);
  ADD (a_session_that_the_server_ended_is_not_resumed);
  ADD (every_state_can_be_stopped_and_none_leaves_closed);
  ADD (a_failed_room_never_tries_again);
  ADD (waits_grow_to_seven_seconds_give_or_take_half);
  return g_test_run ();
}
