/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-ladder.h"

/* A few may be the machine's, not the encoder's, and so may a picture now and then. */
#define BAD_SECONDS 5
#define MANY 3 /* pictures in a second */

gboolean
haven_ladder_look (HavenLadder *ladder, guint64 lost)
{
  gboolean bad = lost >= ladder->lost + MANY;

  ladder->lost = lost;
  ladder->bad_seconds = bad ? ladder->bad_seconds + 1 : 0;
  if (ladder->bad_seconds < BAD_SECONDS || ladder->step + 1 >= HAVEN_N_LADDERS)
    return FALSE;
  ladder->bad_seconds = 0; /* what the step does is seen from now on */
  ladder->step++;
  return TRUE;
}

guint
haven_ladder_fps (HavenLadderStep step)
{
  return step == HAVEN_LADDER_HALF ? 15 : step == HAVEN_LADDER_QUARTER ? 7 : 0;
}
