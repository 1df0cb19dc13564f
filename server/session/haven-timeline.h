/* haven-timeline: when something came of a track, and when nothing did. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HAVEN_TIMELINE_GAP (G_GUINT64_CONSTANT (1000000000)) /* ns: no longer is no gap */
#define HAVEN_TIMELINE_MAX_GAPS 1000

typedef struct
{
  guint64 from, until; /* ns */
} HavenSpan;

typedef struct
{
  gboolean any;
  guint64 first, end; /* of all that came, ns */
  guint64 last;       /* when the last began */
  guint64 interval;   /* between the last two, where they belong together */
  GArray *gaps;       /* HavenSpan, HAVEN_TIMELINE_MAX_GAPS at most */
  guint more_gaps;    /* that have no place there */
} HavenTimeline;

void haven_timeline_init (HavenTimeline *timeline);
void haven_timeline_clear (HavenTimeline *timeline);

/* @time: ns; one before others is no gap
 * @duration: ns; 0: not known */
void haven_timeline_add (HavenTimeline *timeline, guint64 time, guint64 duration);

/* The file that it is of begins and ends then: what is missing at its ends are gaps too. */
void haven_timeline_close (HavenTimeline *timeline, guint64 begin, guint64 end);

G_END_DECLS
