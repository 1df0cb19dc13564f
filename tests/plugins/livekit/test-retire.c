/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-retire.h"

/* An element whose way to NULL takes until it is let. */
typedef struct
{
  GstElement parent;
} SlowElement;
typedef GstElementClass SlowElementClass;

static GType slow_element_get_type (void);
G_DEFINE_TYPE (SlowElement, slow_element, GST_TYPE_ELEMENT)

static GMutex lock;
static GCond cond;
static guint n_waiting, n_down, n_freed; /* protected by lock */
static gboolean let;                     /* protected by lock */

static GstStateChangeReturn
change_state (GstElement *element, GstStateChange transition)
{
  if (transition == GST_STATE_CHANGE_READY_TO_NULL) {
    g_mutex_lock (&lock);
    n_waiting++;
    g_cond_broadcast (&cond);
    while (!let)
      g_cond_wait (&cond, &lock);
    n_down++;
    g_mutex_unlock (&lock);
  }
  return GST_ELEMENT_CLASS (slow_element_parent_class)->change_state (element, transition);
}

static void
finalize (GObject *object)
{
  g_mutex_lock (&lock);
  n_freed++;
  g_mutex_unlock (&lock);
  G_OBJECT_CLASS (slow_element_parent_class)->finalize (object);
}

static void
slow_element_class_init (SlowElementClass *klass)
{
  klass->change_state = change_state;
  G_OBJECT_CLASS (klass)->finalize = finalize;
}

static void
slow_element_init (SlowElement *self)
{
}

static void
retire (LiveKitRetirement *retirement)
{
  GstElement *element = gst_object_ref_sink (g_object_new (slow_element_get_type (), NULL));

  gst_element_set_state (element, GST_STATE_READY);
  livekit_retirement_add (retirement, element);
}

static void
set_let (gboolean value)
{
  g_mutex_lock (&lock);
  let = value;
  g_cond_broadcast (&cond);
  g_mutex_unlock (&lock);
}

static void
await (guint *counter, guint value)
{
  g_mutex_lock (&lock);
  while (*counter < value)
    g_cond_wait (&cond, &lock);
  g_mutex_unlock (&lock);
}

static gpointer
let_in_a_moment (gpointer data)
{
  g_usleep (50 * 1000); /* the other thread is to be waiting by now; if not, nothing fails */
  set_let (TRUE);
  return NULL;
}

static void
the_owner_waits_for_none_until_it_wants_to (void)
{
  g_autoptr (LiveKitRetirement) retirement = livekit_retirement_new ();
  GThread *thread;

  n_waiting = n_down = n_freed = 0;
  set_let (FALSE);
  retire (retirement);
  retire (retirement);
  await (&n_waiting, 2); /* both at once */
  g_assert_cmpuint (n_down, ==, 0);
  thread = g_thread_new ("let", let_in_a_moment, NULL);
  livekit_retirement_wait (retirement);
  g_assert_cmpuint (n_freed, ==, 2);
  g_thread_join (thread);
}

static void
those_that_are_down_do_not_add_up (void)
{
  g_autoptr (LiveKitRetirement) retirement = livekit_retirement_new ();

  n_waiting = n_down = n_freed = 0;
  set_let (TRUE);
  for (guint i = 1; i <= 20; i++) {
    retire (retirement);
    await (&n_waiting, i);
  }
  livekit_retirement_wait (retirement);
  g_assert_cmpuint (n_freed, ==, 20);
  retire (retirement); /* it can be used again */
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/retire/the_owner_waits_for_none_until_it_wants_to",
      the_owner_waits_for_none_until_it_wants_to);
  g_test_add_func ("/retire/those_that_are_down_do_not_add_up", those_that_are_down_do_not_add_up);
  return g_test_run ();
}
