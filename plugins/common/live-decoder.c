/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live-decoder.h"

static void
set_if_there (GstElement *element, const char *property, const char *value)
{
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (element), property))
    gst_util_set_object_arg (G_OBJECT (element), property, value);
}

static void
tune (GstElement *decoder)
{
  /* One bad picture is no reason to end a live stream: ask for a key frame and go on. */
  set_if_there (decoder, "max-errors", "-1");
  set_if_there (decoder, "automatic-request-sync-points", "true");
  set_if_there (decoder, "discard-corrupted-frames", "true");
  /* libav would otherwise hold back a picture for each of its threads. */
  set_if_there (decoder, "max-threads", "1");
  set_if_there (decoder, "use-inband-fec", "true");
  set_if_there (decoder, "plc", "true");
}

GstElement *
live_decoder_new (const char *media_type, gboolean video)
{
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple (media_type);
  GList *fitting, *all = gst_element_factory_list_get_elements (
                      GST_ELEMENT_FACTORY_TYPE_DECODER
                          | (video ? GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO
                                   : GST_ELEMENT_FACTORY_TYPE_MEDIA_AUDIO),
                      GST_RANK_MARGINAL);
  GstElement *decoder = NULL;

  /* The decoders of streams with an alpha layer rank above the plain ones. */
  if (video)
    gst_caps_set_simple (caps, "codec-alpha", G_TYPE_BOOLEAN, FALSE, NULL);
  fitting = gst_element_factory_list_filter (all, caps, GST_PAD_SINK, FALSE);
  fitting = g_list_sort (fitting, gst_plugin_feature_rank_compare_func);
  for (GList *l = fitting; l && !decoder; l = l->next)
    decoder = gst_element_factory_create (l->data, NULL);
  gst_plugin_feature_list_free (fitting);
  gst_plugin_feature_list_free (all);
  if (decoder)
    tune (decoder);
  return decoder;
}
