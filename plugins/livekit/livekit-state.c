/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-state.h"

/* About 40 s: longer than a proxy takes to restart, shorter than anybody would watch a session
 * that the server neither resumes nor refuses. */
#define MAX_RESUMES 10

#define ON(event, state) [LIVEKIT_EVENT_##event] = LIVEKIT_STATE_##state

/* An empty cell is 0: LIVEKIT_STATE_INVALID. */
static const LiveKitState transitions[LIVEKIT_N_STATES][LIVEKIT_N_EVENTS] = {
  [LIVEKIT_STATE_IDLE] = { ON (START, CONNECTING), ON (STOP, CLOSED) },
  [LIVEKIT_STATE_CONNECTING] = { ON (JOINED, JOINED), ON (LOST, BACKOFF), ON (RECONNECT, BACKOFF),
      ON (GIVE_UP, FAILED), ON (STOP, CLOSED) },
  [LIVEKIT_STATE_JOINED]
  = { ON (LOST, RESUME_BACKOFF), ON (RECONNECT, BACKOFF), ON (GIVE_UP, FAILED), ON (STOP, CLOSED) },
  [LIVEKIT_STATE_RESUME_BACKOFF]
  = { ON (TIMER, RESUMING), ON (RECONNECT, BACKOFF), ON (GIVE_UP, FAILED), ON (STOP, CLOSED) },
  [LIVEKIT_STATE_RESUMING] = { ON (JOINED, JOINED), ON (LOST, RESUME_BACKOFF),
      ON (RECONNECT, BACKOFF), ON (GIVE_UP, FAILED), ON (STOP, CLOSED) },
  [LIVEKIT_STATE_BACKOFF] = { ON (TIMER, CONNECTING), ON (GIVE_UP, FAILED), ON (STOP, CLOSED) },
  [LIVEKIT_STATE_FAILED] = { ON (STOP, CLOSED) },
};

LiveKitState
livekit_state_next (LiveKitState state, LiveKitEvent event)
{
  g_return_val_if_fail (
      state < LIVEKIT_N_STATES && event < LIVEKIT_N_EVENTS, LIVEKIT_STATE_INVALID);
  return transitions[state][event];
}

const char *
livekit_state_to_string (LiveKitState state)
{
  static const char *const names[LIVEKIT_N_STATES] = { "invalid", "idle", "connecting", "joined",
    "resume back-off", "resuming", "back-off", "failed", "closed" };

  return names[state];
}

const char *
livekit_event_to_string (LiveKitEvent event)
{
  static const char *const names[LIVEKIT_N_EVENTS]
      = { "start", "joined", "lost", "reconnect", "timer", "give up", "stop" };

  return names[event];
}

gboolean
livekit_may_resume (guint n_resumes, gboolean has_media)
{
  return n_resumes == 0 || (has_media && n_resumes < MAX_RESUMES);
}

guint
livekit_backoff_ms (guint attempt, double random)
{
  /* The waits of the official clients, whose servers are sized for them. */
  static const guint base[] = { 250, 300, 1200, 2700, 4800, 7000 };

  return base[MIN (attempt, G_N_ELEMENTS (base) - 1)] * (0.5 + CLAMP (random, 0.0, 1.0));
}
