/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-pace.h"

gboolean
haven_pace_takes (HavenPace *pace, guint64 time, guint64 interval)
{
  /* A picture that is a little early is the one that was meant. */
  if (pace->known && time + interval / 4 < pace->next && pace->next < time + 2 * interval)
    return FALSE;
  pace->next
      = pace->known && pace->next + interval > time ? pace->next + interval : time + interval;
  pace->known = TRUE;
  return TRUE;
}
