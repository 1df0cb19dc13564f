/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-graph-private.h"

#include "haven-session-error.h"

#define SNAPSHOT_TIMEOUT 10 /* s */

typedef struct
{
  GTask *task; /* (owned) (nullable) */
  GstElement *bin;
  HavenFeed feed;
  guint timer;
} Snapshot;

static void
snapshot_end (GTask *task)
{
  HavenGraph *self = g_task_get_source_object (task);
  Snapshot *snapshot = g_task_get_task_data (task);

  g_clear_handle_id (&snapshot->timer, g_source_remove);
  haven_feed_close (&snapshot->feed, FALSE);
  haven_graph_unuse_decoded (self, HAVEN_VIDEO);
  haven_graph_retire (self, &snapshot->bin);
}

static void
run_snapshot (HavenGraph *self, gpointer object, guint number)
{
  GTask *task = object;
  GBytes *jpeg = g_object_get_data (object, "jpeg");
  Snapshot *snapshot = g_task_get_task_data (task);

  if (!snapshot->bin) /* timed out meanwhile */
    return;
  snapshot_end (task);
  g_task_return_pointer (task, g_bytes_ref (jpeg), (GDestroyNotify)g_bytes_unref);
  g_object_unref (task);
}

static GstPadProbeReturn
on_snapshot (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  GTask *task = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  gpointer data;
  gsize size;

  gst_buffer_extract_dup (buffer, 0, -1, &data, &size);
  g_object_set_data_full (
      G_OBJECT (task), "jpeg", g_bytes_new_take (data, size), (GDestroyNotify)g_bytes_unref);
  haven_graph_post (g_task_get_source_object (task), run_snapshot, task, 0);
  return GST_PAD_PROBE_REMOVE;
}

static gboolean
on_snapshot_timeout (gpointer user_data)
{
  GTask *task = user_data;

  ((Snapshot *)g_task_get_task_data (task))->timer = 0;
  snapshot_end (task);
  g_task_return_new_error (task, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_TIMEOUT,
      "No picture came in %d seconds", SNAPSHOT_TIMEOUT);
  g_object_unref (task);
  return G_SOURCE_REMOVE;
}

void
haven_graph_snapshot_async (
    HavenGraph *self, const HavenAsk *ask, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, NULL, callback, user_data);
  Snapshot *snapshot = g_new0 (Snapshot, 1);
  WsAsk wanted = { .width = ask->width, .quality = MIN (ask->quality, 100) };
  GstElement *bin = gst_bin_new (NULL);
  GstElement *sink = haven_branch_make (GST_BIN (bin), "fakesink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");

  g_task_set_task_data (task, snapshot, g_free);
  g_object_set (sink, "async", FALSE, "sync", FALSE, NULL);
  gst_element_link (haven_graph_add_jpeg_chain (self, bin, &wanted), sink);
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER, on_snapshot, g_object_ref (task), g_object_unref);
  snapshot->bin = haven_graph_put (self, bin);
  snapshot->timer = g_timeout_add_seconds (SNAPSHOT_TIMEOUT, on_snapshot_timeout, task);
  haven_feed_open (
      &snapshot->feed, haven_graph_use_decoded (self, HAVEN_VIDEO), snapshot->bin, "video");
}

GBytes *
haven_graph_snapshot_finish (HavenGraph *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
