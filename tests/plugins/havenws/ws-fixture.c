/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-fixture.h"

#include <string.h>
#include <sys/socket.h>

static void /* server's thread */
on_added (GstElement *sink, guint id, gpointer user_data)
{
  WsFixture *fixture = user_data;

  g_mutex_lock (&fixture->lock);
  fixture->n_added++;
  g_cond_broadcast (&fixture->changed);
  g_mutex_unlock (&fixture->lock);
}

static void /* server's thread */
on_removed (GstElement *sink, guint id, gpointer user_data)
{
  WsFixture *fixture = user_data;

  g_mutex_lock (&fixture->lock);
  fixture->n_removed++;
  g_cond_broadcast (&fixture->changed);
  g_mutex_unlock (&fixture->lock);
}

/* An element that plays, with both pads. Properties end with NULL. */
WsFixture *
ws_fixture_new (const char *first_property, ...)
{
  WsFixture *fixture = g_new0 (WsFixture, 1);
  va_list properties;
  gboolean listens;

  g_mutex_init (&fixture->lock);
  g_cond_init (&fixture->changed);
  fixture->sink = gst_object_ref_sink (gst_element_factory_make ("havenwssink", NULL));
  g_object_set (fixture->sink, "port", 0, NULL);
  va_start (properties, first_property);
  g_object_set_valist (G_OBJECT (fixture->sink), first_property, properties);
  va_end (properties);
  g_signal_connect (fixture->sink, "viewer-added", G_CALLBACK (on_added), fixture);
  g_signal_connect (fixture->sink, "viewer-removed", G_CALLBACK (on_removed), fixture);

  fixture->video = gst_harness_new_with_element (fixture->sink, "video", NULL);
  fixture->audio = gst_harness_new_with_element (fixture->sink, "audio", NULL);
  gst_harness_set_src_caps_str (fixture->video, "image/jpeg, width=16, height=16, framerate=30/1");
  gst_harness_set_src_caps_str (
      fixture->audio, "audio/x-raw, format=S16LE, rate=48000, channels=1, layout=interleaved");
  gst_element_set_state (fixture->sink, GST_STATE_PLAYING);
  g_object_get (fixture->sink, "bound-port", &fixture->port, NULL);
  g_object_get (fixture->sink, "listen", &listens, NULL);
  g_assert_cmpint (fixture->port > 0, ==, listens);
  return fixture;
}

void
ws_fixture_free (WsFixture *fixture)
{
  gst_element_set_state (fixture->sink, GST_STATE_NULL);
  gst_harness_teardown (fixture->audio);
  gst_harness_teardown (fixture->video);
  g_assert_finalize_object (fixture->sink);
  g_mutex_clear (&fixture->lock);
  g_cond_clear (&fixture->changed);
  g_free (fixture);
}

/* Waits until so many viewers were added, ever. */
void
ws_fixture_wait_added (WsFixture *fixture, guint n)
{
  g_mutex_lock (&fixture->lock);
  while (fixture->n_added < n)
    g_cond_wait (&fixture->changed, &fixture->lock);
  g_mutex_unlock (&fixture->lock);
}

void
ws_fixture_wait_removed (WsFixture *fixture, guint n)
{
  g_mutex_lock (&fixture->lock);
  while (fixture->n_removed < n)
    g_cond_wait (&fixture->changed, &fixture->lock);
  g_mutex_unlock (&fixture->lock);
}

/* Connects a viewer and waits until the element knows it. */
WsClient *
ws_fixture_watch (WsFixture *fixture, const char *target)
{
  guint before;
  WsClient *client;

  g_mutex_lock (&fixture->lock);
  before = fixture->n_added;
  g_mutex_unlock (&fixture->lock);
  client = ws_client_open (fixture->port, target);
  ws_fixture_wait_added (fixture, before + 1);
  return client;
}

/* Pushes a frame that begins as a JPEG does and bears a number. */
void
ws_fixture_push_video (WsFixture *fixture, gsize size, guint32 number)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);
  guint8 start[8] = { 0xff, 0xd8, 0xff, 0xe0, number >> 24, number >> 16, number >> 8, number };

  g_assert_cmpuint (size, >=, sizeof start);
  gst_buffer_memset (buffer, 0, number, size);
  gst_buffer_fill (buffer, 0, start, sizeof start);
  GST_BUFFER_PTS (buffer) = number * 33 * GST_MSECOND;
  g_assert_cmpint (gst_harness_push (fixture->video, buffer), ==, GST_FLOW_OK);
}

void
ws_fixture_push_audio (WsFixture *fixture, guint ms, gint16 sample)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, ms * 48 * sizeof sample, NULL);
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  for (gsize i = 0; i < map.size / sizeof sample; i++)
    GST_WRITE_UINT16_LE (map.data + i * sizeof sample, (guint16)sample);
  gst_buffer_unmap (buffer, &map);
  g_assert_cmpint (gst_harness_push (fixture->audio, buffer), ==, GST_FLOW_OK);
}

/* Returns: the number of a frame from ws_fixture_push_video() */
guint32
ws_fixture_frame_number (GBytes *jpeg)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (jpeg, &size);

  g_assert_cmpuint (size, >=, 8);
  g_assert_cmphex (data[0], ==, 0xff);
  g_assert_cmphex (data[1], ==, 0xd8);
  return GST_READ_UINT32_BE (data + 4);
}

static guint64
to_uint64 (const GValue *value)
{
  g_assert_nonnull (value);
  if (G_VALUE_HOLDS_BOOLEAN (value))
    return g_value_get_boolean (value);
  return G_VALUE_HOLDS_UINT (value) ? g_value_get_uint (value) : g_value_get_uint64 (value);
}

guint64
ws_fixture_stat (WsFixture *fixture, const char *name)
{
  g_autoptr (GstStructure) stats = NULL;

  g_object_get (fixture->sink, "stats", &stats, NULL);
  return to_uint64 (gst_structure_get_value (stats, name));
}

/* Returns: a figure of the viewer with that id, which must be there */
guint64
ws_fixture_viewer_stat (WsFixture *fixture, guint id, const char *name)
{
  g_autoptr (GstStructure) stats = NULL;
  const GValue *list;

  g_object_get (fixture->sink, "stats", &stats, NULL);
  list = gst_structure_get_value (stats, "viewers");
  for (guint i = 0; i < gst_value_list_get_size (list); i++) {
    const GstStructure *viewer = gst_value_get_structure (gst_value_list_get_value (list, i));

    if (to_uint64 (gst_structure_get_value (viewer, "id")) == id)
      return to_uint64 (gst_structure_get_value (viewer, name));
  }
  g_error ("no viewer %u", id);
}

/* Waits until a figure has that value: the server counts after the client has its bytes. */
void
ws_fixture_wait_viewer_stat (WsFixture *fixture, guint id, const char *name, guint64 value)
{
  while (ws_fixture_viewer_stat (fixture, id, name) != value)
    g_usleep (1000);
}

/* Returns: (transfer full): a connection for add-connection
 * @other: (out) (transfer full): its other end */
GIOStream *
ws_fixture_connect (GSocket **other)
{
  int fds[2];
  g_autoptr (GSocket) ours = NULL;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  ours = g_socket_new_from_fd (fds[0], NULL);
  *other = g_socket_new_from_fd (fds[1], NULL);
  return G_IO_STREAM (g_socket_connection_factory_create_connection (ours));
}

static guint
count_entries (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir))
    n++;
  return n;
}

guint
ws_fixture_count_fds (void)
{
  return count_entries ("/proc/self/fd");
}

guint
ws_fixture_count_threads (void)
{
  return count_entries ("/proc/self/task");
}
