/* haven-pace: leaves pictures out so that so many a second remain, evenly. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct /* of one thread */
{
  guint64 next; /* ns */
  gboolean known;
} HavenPace;

/* Whether the picture of that time is one of those that remain.
 *
 * @interval: ns between them; may change from picture to picture */
gboolean haven_pace_takes (HavenPace *pace, guint64 time, guint64 interval);

G_END_DECLS
