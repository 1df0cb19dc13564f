/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-flow.h"

/* Nothing for so long is silence: a microphone in DTX sends a packet each 400 ms. */
#define SILENCE (1 * G_USEC_PER_SEC)
/* So long after it, all that was kept has come. */
#define CATCH_UP (G_USEC_PER_SEC / 2)

struct _LiveKitFlow /* g_atomic_rc_box */
{
  GMutex lock;         /* protects what follows */
  gint64 since, until; /* something came from then to then, without silence; until 0: never */
};

LiveKitFlow *
livekit_flow_new (void)
{
  LiveKitFlow *self = g_atomic_rc_box_new0 (LiveKitFlow);

  g_mutex_init (&self->lock);
  return self;
}

LiveKitFlow *
livekit_flow_ref (LiveKitFlow *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
flow_clear (gpointer data)
{
  LiveKitFlow *self = data;

  g_mutex_clear (&self->lock);
}

void
livekit_flow_unref (LiveKitFlow *self)
{
  g_atomic_rc_box_release_full (self, flow_clear);
}

static gboolean
is_silent (LiveKitFlow *self, gint64 now)
{
  return self->until == 0 || now - self->until >= SILENCE;
}

void
livekit_flow_note (LiveKitFlow *self, gint64 now)
{
  g_mutex_lock (&self->lock);
  if (is_silent (self, now))
    self->since = now;
  self->until = now;
  g_mutex_unlock (&self->lock);
}

gboolean
livekit_flow_is_steady (LiveKitFlow *self, gint64 now)
{
  gboolean steady;

  g_mutex_lock (&self->lock);
  steady = !is_silent (self, now) && now - self->since >= CATCH_UP;
  g_mutex_unlock (&self->lock);
  return steady;
}
