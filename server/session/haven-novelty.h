/* haven-novelty: what a new codec begins with. A recording that copies must begin another file for
 * it, which takes a moment, and the next key frame may be seconds away: so the first pictures are
 * kept for half a second.
 *
 * All in the streaming thread of the picture's tee.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct
{
  GPtrArray *buffers; /* GstBuffer: the beginning of the picture's codec */
  gboolean old;       /* it has been going on for long */
} HavenNovelty;

void haven_novelty_init (HavenNovelty *novelty);
void haven_novelty_clear (HavenNovelty *novelty);

/* @before: (nullable) the caps until now */
void haven_novelty_take_caps (HavenNovelty *novelty, GstCaps *before, GstCaps *caps);
void haven_novelty_add (HavenNovelty *novelty, GstBuffer *buffer);
/* Whether a file may begin with it. */
gboolean haven_novelty_begins (HavenNovelty *novelty);

G_END_DECLS
