/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Proves that a run under ThreadSanitizer means something: what GLib and GStreamer keep apart is no
 * race, and what nobody keeps apart is one. With the argument "race" the second half is run, which
 * must fail. */

#include <gio/gio.h>
#include <gst/gst.h>

typedef struct
{
  GMutex lock;
  GMainContext *context;
  GAsyncQueue *queue;
  gboolean racing;
  int at_start; /* threads */
  int counter;
  gboolean done;
} Shared;

static void
add (Shared *s)
{
  if (!s->racing)
    g_mutex_lock (&s->lock);
  s->counter++;
  if (!s->racing)
    g_mutex_unlock (&s->lock);
}

/* Threads that race begin together: of one that ends before the other begins nothing might be seen.
 * Relaxed atomics keep nothing apart. */
static void
wait_for_the_other (Shared *s)
{
  __atomic_add_fetch (&s->at_start, 1, __ATOMIC_RELAXED);
  while (__atomic_load_n (&s->at_start, __ATOMIC_RELAXED) < 2)
    g_thread_yield ();
}

static gpointer
count (gpointer data)
{
  Shared *s = data;

  if (s->racing)
    wait_for_the_other (s);
  for (int i = 0; i < 1000; i++)
    add (s);
  return NULL;
}

static void
count_in_two_threads (Shared *s)
{
  GThread *other = g_thread_new ("count", count, s);

  count (s);
  g_thread_join (other);
}

static gboolean
finish (gpointer data)
{
  Shared *s = data;

  s->done = TRUE; /* written here, read by the thread that waits */
  return G_SOURCE_REMOVE;
}

static gpointer
serve (gpointer data)
{
  Shared *s = data;
  int *item = g_async_queue_pop (s->queue);

  g_assert_cmpint (*item, ==, 42);
  g_free (item);
  g_main_context_push_thread_default (s->context);
  while (!s->done)
    g_main_context_iteration (s->context, TRUE);
  g_main_context_pop_thread_default (s->context);
  return NULL;
}

static void
hand_over (Shared *s)
{
  GThread *server = g_thread_new ("serve", serve, s);
  int *item = g_new (int, 1);

  *item = 42;
  g_async_queue_push (s->queue, item);
  g_main_context_invoke (s->context, finish, s);
  g_thread_join (server);
  g_assert_true (s->done);
}

/* The same through a source of its own, whose data nobody locks. */
static gboolean
take (gpointer data)
{
  int *item = data;

  g_assert_cmpint (*item, ==, 43);
  *item = 44;
  return G_SOURCE_REMOVE;
}

static gpointer
iterate (gpointer data)
{
  while (!g_main_context_iteration (data, TRUE))
    ; /* woken for another reason */
  return NULL;
}

static void
hand_over_by_source (Shared *s)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  GThread *server;
  int item = 43;

  g_source_set_callback (source, take, &item, NULL);
  server = g_thread_new ("iterate", iterate, s->context);
  g_source_attach (source, s->context);
  g_thread_join (server);
  g_assert_cmpint (item, ==, 44);
}

static void
work (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  int *item = g_new (int, 1);

  *item = 45;
  g_task_return_pointer (task, item, g_free);
}

static void
worked (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autofree int *item = g_task_propagate_pointer (G_TASK (result), NULL);

  g_assert_cmpint (*item, ==, 45);
  *(gboolean *)data = TRUE;
}

static void
hand_back (void)
{
  gboolean done = FALSE;
  GTask *task = g_task_new (NULL, NULL, worked, &done);

  g_task_run_in_thread (task, work);
  g_object_unref (task);
  while (!done)
    g_main_context_iteration (NULL, TRUE);
}

static GstPadProbeReturn
write_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Shared *s = user_data;
  GstMapInfo map;

  info->data = gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  gst_buffer_map (info->data, &map, GST_MAP_READWRITE);
  map.data[0]++;
  gst_buffer_unmap (info->data, &map);
  add (s);
  return GST_PAD_PROBE_OK;
}

/* Both ends of a queue write into each buffer. */
static void
stream (Shared *s)
{
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "fakesrc num-buffers=200 sizetype=fixed sizemax=64 name=a ! queue ! fakesink name=b", NULL);
  const char *ends[][2] = { { "a", "src" }, { "b", "sink" } };
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    g_autoptr (GstElement) element = gst_bin_get_by_name (GST_BIN (pipeline), ends[i][0]);
    g_autoptr (GstPad) pad = gst_element_get_static_pad (element, ends[i][1]);

    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, write_buffer, s, NULL);
  }
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_message_unref (gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS));
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

int
main (int argc, char **argv)
{
  Shared s = { 0 };

  gst_init (&argc, &argv);
  s.racing = argc > 1 && g_str_equal (argv[1], "race");
  g_mutex_init (&s.lock);
  s.context = g_main_context_new ();
  s.queue = g_async_queue_new ();
  count_in_two_threads (&s);
  hand_over (&s);
  hand_over_by_source (&s);
  hand_back ();
  stream (&s);
  g_async_queue_unref (s.queue);
  g_main_context_unref (s.context);
  g_mutex_clear (&s.lock);
  return 0;
}
