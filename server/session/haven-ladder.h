/* haven-ladder: when a recording whose encoder does not keep up asks less of it, and what it gives
 * up for that. There is no way back within a file: what was too much once will be again. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* In the order in which they are taken. */
typedef enum
{
  HAVEN_LADDER_NONE,
  HAVEN_LADDER_SPEED,   /* the encoder's fastest */
  HAVEN_LADDER_HALF,    /* 15 pictures a second */
  HAVEN_LADDER_QUARTER, /* 7 */
  HAVEN_N_LADDERS
} HavenLadderStep;

typedef struct
{
  HavenLadderStep step;
  guint bad_seconds; /* in a row */
  guint64 lost;      /* when it was looked at last */
} HavenLadder;

/* Once a second.
 *
 * @lost: pictures for which there was no place, ever
 * Returns: whether a further step is to be taken; ladder->step is then that step */
gboolean haven_ladder_look (HavenLadder *ladder, guint64 lost);

/* Pictures a second that remain; 0: all */
guint haven_ladder_fps (HavenLadderStep step);

G_END_DECLS
