/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-seam.h"

typedef enum
{
  MADE,
  ARMED,
  DECIDED,
  CANCELLED
} State;

struct _HavenSeam
{
  GMutex lock; /* of all below */
  State state;
  gboolean old_has_any;
  guint64 old_last; /* of what leads, that the old file has */
  guint64 old_end;  /* of what follows, that it has */
  guint64 cut, follower_cut;
};

HavenSeam *
haven_seam_new (void)
{
  HavenSeam *seam = g_atomic_rc_box_new0 (HavenSeam);

  g_mutex_init (&seam->lock);
  return seam;
}

HavenSeam *
haven_seam_ref (HavenSeam *seam)
{
  return g_atomic_rc_box_acquire (seam);
}

static void
clear (gpointer data)
{
  g_mutex_clear (&((HavenSeam *)data)->lock);
}

void
haven_seam_unref (HavenSeam *seam)
{
  g_atomic_rc_box_release_full (seam, clear);
}

void
haven_seam_arm (HavenSeam *seam)
{
  g_mutex_lock (&seam->lock);
  if (seam->state == MADE)
    seam->state = ARMED;
  g_mutex_unlock (&seam->lock);
}

gboolean
haven_seam_cancel (HavenSeam *seam)
{
  gboolean cancelled;

  g_mutex_lock (&seam->lock);
  if (seam->state != DECIDED)
    seam->state = CANCELLED;
  cancelled = seam->state == CANCELLED;
  g_mutex_unlock (&seam->lock);
  return cancelled;
}

/* With the lock held. The two files see a buffer one after the other, in either order: it is no
 * place to cut where the old one has it already. */
static gboolean
decide (HavenSeam *seam, guint64 time, gboolean key)
{
  if (seam->state != ARMED || !key || (seam->old_has_any && time <= seam->old_last))
    return FALSE;
  seam->state = DECIDED;
  seam->cut = time;
  seam->follower_cut = MAX (time, seam->old_end);
  return TRUE;
}

gboolean
haven_seam_old_leads (HavenSeam *seam, guint64 time, gboolean key, gboolean *decided)
{
  gboolean takes;

  g_mutex_lock (&seam->lock);
  *decided = decide (seam, time, key);
  takes = seam->state != DECIDED || time < seam->cut;
  if (takes) {
    seam->old_last = seam->old_has_any ? MAX (seam->old_last, time) : time;
    seam->old_has_any = TRUE;
  }
  g_mutex_unlock (&seam->lock);
  return takes;
}

gboolean
haven_seam_new_leads (HavenSeam *seam, guint64 time, gboolean key, gboolean *decided)
{
  gboolean takes;

  g_mutex_lock (&seam->lock);
  *decided = decide (seam, time, key);
  takes = seam->state == DECIDED && time >= seam->cut;
  g_mutex_unlock (&seam->lock);
  return takes;
}

gboolean
haven_seam_old_follows (HavenSeam *seam, guint64 time, guint64 end)
{
  gboolean takes;

  g_mutex_lock (&seam->lock);
  takes = seam->state != DECIDED || time < seam->follower_cut;
  if (takes && seam->state != DECIDED)
    seam->old_end = MAX (seam->old_end, end);
  g_mutex_unlock (&seam->lock);
  return takes;
}

gboolean
haven_seam_new_follows (HavenSeam *seam, guint64 time)
{
  gboolean takes;

  g_mutex_lock (&seam->lock);
  takes = seam->state == DECIDED && time >= seam->follower_cut;
  g_mutex_unlock (&seam->lock);
  return takes;
}
