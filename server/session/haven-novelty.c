/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-novelty.h"

/* For how long the beginning of a new codec is kept, less than a recording's head start. */
#define NOVELTY_TIME (GST_SECOND / 2)
#define MAX_NOVELTY 256 /* buffers */

void
haven_novelty_init (HavenNovelty *self)
{
  self->buffers = g_ptr_array_new_with_free_func ((GDestroyNotify)gst_buffer_unref);
  self->old = TRUE;
}

void
haven_novelty_clear (HavenNovelty *self)
{
  g_clear_pointer (&self->buffers, g_ptr_array_unref);
}

static void
forget (HavenNovelty *self)
{
  g_ptr_array_set_size (self->buffers, 0);
}

void
haven_novelty_take_caps (HavenNovelty *self, GstCaps *before, GstCaps *caps)
{
  const char *name = gst_structure_get_name (gst_caps_get_structure (caps, 0));

  if (!before || gst_structure_has_name (gst_caps_get_structure (before, 0), name))
    return;
  forget (self);
  self->old = FALSE;
}

void
haven_novelty_add (HavenNovelty *self, GstBuffer *buffer)
{
  GstBuffer *first = self->buffers->len ? g_ptr_array_index (self->buffers, 0) : buffer;

  if (self->old)
    return;
  if (!GST_BUFFER_PTS_IS_VALID (buffer) || self->buffers->len >= MAX_NOVELTY
      || GST_BUFFER_PTS (buffer) > GST_BUFFER_PTS (first) + NOVELTY_TIME) {
    self->old = TRUE;
    forget (self);
    return;
  }
  g_ptr_array_add (self->buffers, gst_buffer_ref (buffer));
}

gboolean
haven_novelty_begins (HavenNovelty *self)
{
  return self->buffers->len
         && !GST_BUFFER_FLAG_IS_SET (
             g_ptr_array_index (self->buffers, 0), GST_BUFFER_FLAG_DELTA_UNIT);
}
