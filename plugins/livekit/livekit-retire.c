/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-retire.h"

typedef struct
{
  GstElement *element; /* (owned) of the thread */
  GThread *thread;
  gint down; /* atomic: the thread is at its end */
} Retired;

struct _LiveKitRetirement
{
  GPtrArray *elements; /* (element-type Retired) */
};

static gpointer
take_down (gpointer data)
{
  Retired *retired = data;

  gst_element_set_state (retired->element, GST_STATE_NULL);
  g_clear_object (&retired->element);
  g_atomic_int_set (&retired->down, TRUE);
  return NULL;
}

static void
retired_free (gpointer data)
{
  Retired *retired = data;

  g_thread_join (retired->thread);
  g_free (retired);
}

/* A thread that nobody joins keeps its stack. */
static void
free_what_is_down (LiveKitRetirement *self)
{
  for (guint i = self->elements->len; i > 0; i--) {
    Retired *retired = g_ptr_array_index (self->elements, i - 1);

    if (g_atomic_int_get (&retired->down))
      g_ptr_array_remove_index_fast (self->elements, i - 1);
  }
}

void
livekit_retirement_add (LiveKitRetirement *self, GstElement *element)
{
  Retired *retired = g_new0 (Retired, 1);

  free_what_is_down (self);
  retired->element = element;
  retired->thread = g_thread_new ("livekitsrc-end", take_down, retired);
  g_ptr_array_add (self->elements, retired);
}

void
livekit_retirement_wait (LiveKitRetirement *self)
{
  g_ptr_array_set_size (self->elements, 0);
}

LiveKitRetirement *
livekit_retirement_new (void)
{
  LiveKitRetirement *self = g_new0 (LiveKitRetirement, 1);

  self->elements = g_ptr_array_new_with_free_func (retired_free);
  return self;
}

void
livekit_retirement_free (LiveKitRetirement *self)
{
  g_ptr_array_unref (self->elements);
  g_free (self);
}
