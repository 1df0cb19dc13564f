/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-branch.h"

const char *const haven_kind_names[] = { "video", "audio" };

/* What goes through a leaky queue, counted at both ends. */
typedef struct
{
  gint in, out; /* buffers; atomic */
} Passage;

/* -- elements */

gboolean
haven_branch_is_there (const char *factory_name)
{
  g_autoptr (GstElementFactory) factory
      = factory_name ? gst_element_factory_find (factory_name) : NULL;

  return factory != NULL;
}

GstElement *
haven_branch_make (GstBin *bin, const char *factory)
{
  GstElement *element = gst_element_factory_make (factory, NULL);

  if (!element) {
    g_critical ("The element %s is missing", factory);
    return NULL;
  }
  gst_bin_add (bin, element);
  return element;
}

void
haven_branch_set_if_there (GstElement *element, const char *property, const char *value)
{
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (element), property))
    gst_util_set_object_arg (G_OBJECT (element), property, value);
}

GstElement *
haven_branch_make_queue (GstBin *bin, guint buffers, guint megabytes, guint seconds)
{
  GstElement *queue = haven_branch_make (bin, "queue");

  g_object_set (queue, "max-size-buffers", buffers, "max-size-bytes", megabytes << 20,
      "max-size-time", seconds * GST_SECOND, "silent", TRUE, NULL);
  gst_util_set_object_arg (G_OBJECT (queue), "leaky", "downstream");
  return queue;
}

GstElement *
haven_branch_make_filter (GstBin *bin, GstCaps *caps /* (transfer full) */)
{
  GstElement *filter = haven_branch_make (bin, "capsfilter");

  g_object_set (filter, "caps", caps, NULL);
  gst_caps_unref (caps);
  return filter;
}

void
haven_branch_add_probe (GstElement *element, const char *pad_name, GstPadProbeType mask,
    GstPadProbeCallback callback, gpointer user_data)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, pad_name);

  gst_pad_add_probe (pad, mask, callback, user_data, NULL);
}

GstPadProbeReturn
haven_branch_on_count (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  g_atomic_int_inc ((gint *)user_data);
  return GST_PAD_PROBE_OK;
}

void
haven_branch_count_passage (GstElement *queue)
{
  Passage *passage = g_new0 (Passage, 1);

  g_object_set_data_full (G_OBJECT (queue), "passage", passage, g_free);
  haven_branch_add_probe (
      queue, "sink", GST_PAD_PROBE_TYPE_BUFFER, haven_branch_on_count, &passage->in);
  haven_branch_add_probe (
      queue, "src", GST_PAD_PROBE_TYPE_BUFFER, haven_branch_on_count, &passage->out);
}

static guint
get_level (GstElement *queue)
{
  guint level;

  g_object_get (queue, "current-level-buffers", &level, NULL);
  return level;
}

guint
haven_branch_count_lost (GstElement *queue)
{
  Passage *passage = g_object_get_data (G_OBJECT (queue), "passage");
  guint out = g_atomic_int_get (&passage->out), waiting = get_level (queue), in;

  in = g_atomic_int_get (&passage->in);
  /* The three are not of one instant: one or two that move meanwhile are not lost. */
  return in > out + waiting + 2 ? in - out - waiting : 0;
}

guint
haven_branch_count_waiting (GstElement *queue)
{
  guint waiting = get_level (queue);

  return waiting > 2 ? waiting : 0; /* one or two always are on their way */
}

const char *
haven_branch_parser_for (const char *codec_name)
{
  static const char *const parsers[][2] = {
    { "video/x-h264", "h264parse" },
    { "video/x-vp9", "vp9parse" },
    { "video/x-av1", "av1parse" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (parsers); i++)
    if (g_str_equal (codec_name, parsers[i][0]))
      return parsers[i][1];
  return NULL;
}

static GstPadProbeReturn
on_shed (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the queue */
{
  Passage *passage = user_data;

  g_atomic_int_add (&passage->out, -1); /* it was counted as one that got through */
  return GST_PAD_PROBE_DROP;
}

void
haven_branch_shed (GstElement *queue)
{
  haven_branch_add_probe (queue, "src", GST_PAD_PROBE_TYPE_BUFFER, on_shed,
      g_object_get_data (G_OBJECT (queue), "passage"));
}

/* -- bins */

/* Whatever codec the room sends comes to every branch, which finds out by itself what to do with
 * it: what one can do now must not hold the source to it. Any thread. */
static GstPadProbeReturn
on_entry_query (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  GstCaps *filter;

  switch (GST_QUERY_TYPE (query)) {
  case GST_QUERY_CAPS:
    gst_query_parse_caps (query, &filter);
    if (filter) {
      gst_query_set_caps_result (query, filter);
    } else {
      GstCaps *any = gst_caps_new_any ();
      gst_query_set_caps_result (query, any);
      gst_caps_unref (any);
    }
    return GST_PAD_PROBE_HANDLED;
  case GST_QUERY_ACCEPT_CAPS:
    gst_query_set_accept_caps_result (query, TRUE);
    return GST_PAD_PROBE_HANDLED;
  default:
    return GST_PAD_PROBE_OK;
  }
}

void
haven_branch_accept_any_codec (GstElement *queue)
{
  haven_branch_add_probe (queue, "sink", GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, on_entry_query, NULL);
}

/* What goes wrong in a branch stays there: to the tee, and so to the room, all is well. Streaming
 * thread. */
static GstFlowReturn
shielded_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  gst_proxy_pad_chain_default (pad, parent, buffer);
  return GST_FLOW_OK;
}

static GstFlowReturn
shielded_chain_list (GstPad *pad, GstObject *parent, GstBufferList *list)
{
  gst_proxy_pad_chain_list_default (pad, parent, list);
  return GST_FLOW_OK;
}

void
haven_branch_add_entry (GstElement *bin, GstElement *first, const char *name)
{
  g_autoptr (GstPad) target = gst_element_get_static_pad (first, "sink");
  GstPad *pad = gst_ghost_pad_new (name, target);

  gst_pad_set_chain_function (pad, shielded_chain);
  gst_pad_set_chain_list_function (pad, shielded_chain_list);
  gst_pad_set_active (pad, TRUE);
  gst_element_add_pad (bin, pad);
}

void
haven_branch_add_exit (GstElement *bin, GstElement *last)
{
  g_autoptr (GstPad) target = gst_element_get_static_pad (last, "src");

  gst_element_add_pad (bin, gst_ghost_pad_new ("src", target));
}

/* -- feeds */

void
haven_feed_open (HavenFeed *feed, GstElement *tee, GstElement *bin, const char *entry)
{
  GstPadLinkReturn linked;

  feed->tee = gst_object_ref (tee);
  feed->tee_pad = gst_element_request_pad_simple (tee, "src_%u");
  feed->entry = gst_element_get_static_pad (bin, entry);
  linked = gst_pad_link (feed->tee_pad, feed->entry);
  if (linked != GST_PAD_LINK_OK)
    g_critical ("Could not link %s: %s", entry, gst_pad_link_get_name (linked));
}

void
haven_feed_close (HavenFeed *feed, gboolean eos)
{
  if (!feed->tee)
    return;
  gst_pad_unlink (feed->tee_pad, feed->entry);
  gst_element_release_request_pad (feed->tee, feed->tee_pad);
  if (eos)
    gst_pad_send_event (feed->entry, gst_event_new_eos ());
  g_clear_object (&feed->tee_pad);
  g_clear_object (&feed->entry);
  g_clear_object (&feed->tee);
}
