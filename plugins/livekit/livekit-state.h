/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* States of the connection to a room and what moves it. Pure. */

typedef enum
{
  LIVEKIT_STATE_INVALID = 0, /* no such transition */
  LIVEKIT_STATE_IDLE,
  LIVEKIT_STATE_CONNECTING,     /* token, WebSocket, join */
  LIVEKIT_STATE_JOINED,         /* signalling is up; media comes and goes by itself */
  LIVEKIT_STATE_RESUME_BACKOFF, /* waiting before the next resume; not at all before the first */
  LIVEKIT_STATE_RESUMING, /* the same session over a new WebSocket; media may go on meanwhile */
  LIVEKIT_STATE_BACKOFF,  /* waiting before the next full join */
  LIVEKIT_STATE_FAILED,   /* given up; final */
  LIVEKIT_STATE_CLOSED,   /* left on request; final */
  LIVEKIT_N_STATES
} LiveKitState;

typedef enum
{
  LIVEKIT_EVENT_START,
  LIVEKIT_EVENT_JOINED, /* JOIN, or RECONNECT to a resume */
  LIVEKIT_EVENT_LOST,   /* the WebSocket or the peer connection failed; the session may live on */
  LIVEKIT_EVENT_RECONNECT, /* the session is over: join anew */
  LIVEKIT_EVENT_TIMER,     /* the back-off has passed */
  LIVEKIT_EVENT_GIVE_UP,   /* a reason that trying again cannot mend, or out of time */
  LIVEKIT_EVENT_STOP,
  LIVEKIT_N_EVENTS
} LiveKitEvent;

/* The state that @event leads to from @state; LIVEKIT_STATE_INVALID when it means nothing there. */
LiveKitState livekit_state_next (LiveKitState state, LiveKitEvent event);

const char *livekit_state_to_string (LiveKitState state);
const char *livekit_event_to_string (LiveKitEvent event);

/* Whether a lost session is worth another resume, after @n_resumes in a row that did not mend it.
 * The first may bring lost media back; any other is worth it only as long as the media goes on
 * meanwhile, which a full join would interrupt. */
gboolean livekit_may_resume (guint n_resumes, gboolean has_media);

/* How long to wait before try number @attempt (from 0) of a row, ms. @random is in 0..1 and spreads
 * it by half up and down, so that a restarted server is not met by all its clients at once. */
guint livekit_backoff_ms (guint attempt, double random);

G_END_DECLS
