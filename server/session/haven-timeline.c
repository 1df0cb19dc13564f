/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-timeline.h"

void
haven_timeline_init (HavenTimeline *timeline)
{
  *timeline = (HavenTimeline){ .gaps = g_array_new (FALSE, FALSE, sizeof (HavenSpan)) };
}

void
haven_timeline_clear (HavenTimeline *timeline)
{
  g_clear_pointer (&timeline->gaps, g_array_unref);
}

static void
add_gap (HavenTimeline *timeline, guint64 from, guint64 until)
{
  const HavenSpan gap = { from, until };

  if (until <= from + HAVEN_TIMELINE_GAP)
    return;
  if (timeline->gaps->len < HAVEN_TIMELINE_MAX_GAPS)
    g_array_append_val (timeline->gaps, gap);
  else
    timeline->more_gaps++;
}

void
haven_timeline_add (HavenTimeline *timeline, guint64 time, guint64 duration)
{
  if (!timeline->any) {
    timeline->any = TRUE;
    timeline->first = timeline->end = time;
  } else {
    add_gap (timeline, timeline->end, time);
    if (time > timeline->last && time - timeline->last <= HAVEN_TIMELINE_GAP)
      timeline->interval = time - timeline->last;
  }
  timeline->first = MIN (timeline->first, time);
  timeline->last = time;
  timeline->end = MAX (timeline->end, time + (duration ? duration : timeline->interval));
}

void
haven_timeline_close (HavenTimeline *timeline, guint64 begin, guint64 end)
{
  if (!timeline->any) {
    add_gap (timeline, begin, end);
    return;
  }
  if (timeline->first > begin + HAVEN_TIMELINE_GAP) {
    const HavenSpan gap = { begin, timeline->first };

    g_array_prepend_val (timeline->gaps, gap);
  }
  add_gap (timeline, timeline->end, end);
}
