/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-branch.h"

#include "live-decoder.h"

GST_DEBUG_CATEGORY_EXTERN (gst_livekit_src_debug);
#define GST_CAT_DEFAULT gst_livekit_src_debug

typedef struct
{
  const char *encoding_name;
  gboolean video;
  const char *depayloader;
  const char *parser; /* for encoded output */
  gboolean parse_to_decode;
  const char *caps;
  const char *depayloaded; /* (nullable) the form in which it goes into the parser */
  const char *parsed;      /* (nullable) the forms in which it may go out, the best first */
} Codec;

/* Parameter sets stay where they came, in the stream: a muxer that was given them in its caps takes
 * no others once its header is written, and a picture of another size has others. */
#define H264_DEPAYLOADED "video/x-h264,stream-format=byte-stream,alignment=au"
#define H264_PARSED                                       \
  "video/x-h264,stream-format=avc3,alignment=au; "        \
  "video/x-h264,stream-format=byte-stream,alignment=au; " \
  "video/x-h264,stream-format=avc,alignment=au"

static const Codec codecs[] = {
  { "VP8", TRUE, "rtpvp8depay", NULL, FALSE, "video/x-vp8" },
  { "VP9", TRUE, "rtpvp9depay", "vp9parse", FALSE, "video/x-vp9" },
  { "H264", TRUE, "rtph264depay", "h264parse", TRUE, "video/x-h264", H264_DEPAYLOADED,
      H264_PARSED },
  { "AV1", TRUE, "rtpav1depay", "av1parse", FALSE, "video/x-av1" },
  { "OPUS", FALSE, "rtpopusdepay", "opusparse", FALSE, "audio/x-opus" },
};

static const Codec *
find_codec (const char *encoding_name)
{
  for (guint i = 0; encoding_name && i < G_N_ELEMENTS (codecs); i++)
    if (g_ascii_strcasecmp (codecs[i].encoding_name, encoding_name) == 0)
      return &codecs[i];
  return NULL;
}

static GstCaps *
encoded_caps (gboolean video)
{
  GstCaps *caps = gst_caps_new_empty ();

  for (guint i = 0; i < G_N_ELEMENTS (codecs); i++)
    if (codecs[i].video == video)
      gst_caps_append (caps, gst_caps_from_string (codecs[i].caps));
  return caps;
}

static GstCaps *
raw_caps (gboolean video)
{
  return gst_caps_from_string (video ? "video/x-raw(ANY)" : "audio/x-raw");
}

GstCaps *
livekit_branch_get_caps (gboolean video, LiveKitOutput output)
{
  GstCaps *caps;

  switch (output) {
  case LIVEKIT_OUTPUT_RAW:
    return raw_caps (video);
  case LIVEKIT_OUTPUT_ENCODED:
    return encoded_caps (video);
  case LIVEKIT_OUTPUT_RTP:
    return gst_caps_new_simple (
        "application/x-rtp", "media", G_TYPE_STRING, video ? "video" : "audio", NULL);
  case LIVEKIT_OUTPUT_AUTO:
  default:
    caps = raw_caps (video);
    gst_caps_append (caps, encoded_caps (video));
    return caps;
  }
}

char **
livekit_branch_get_codecs (void)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (codecs); i++) {
    g_autoptr (GstElementFactory) factory = gst_element_factory_find (codecs[i].depayloader);
    if (factory)
      g_ptr_array_add (names, g_strdup (codecs[i].encoding_name));
  }
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

LiveKitOutput
livekit_branch_resolve (LiveKitOutput output, gboolean video, GstPad *peer)
{
  g_autoptr (GstCaps) accepted = NULL, encoded = NULL;

  if (output != LIVEKIT_OUTPUT_AUTO)
    return output;
  accepted = gst_pad_query_caps (peer, NULL);
  encoded = encoded_caps (video);
  /* Who names codecs wants them: a muxer, even one that would also store raw pictures. Who takes
   * anything does not. */
  if (!gst_caps_is_any (accepted) && gst_caps_can_intersect (accepted, encoded))
    return LIVEKIT_OUTPUT_ENCODED;
  return LIVEKIT_OUTPUT_RAW;
}

/* --- elements --- */

static void
set_if_there (GstElement *element, const char *property, const char *value)
{
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (element), property))
    gst_util_set_object_arg (G_OBJECT (element), property, value);
}

static GstElement *
make (GstBin *bin, const char *factory, GError **error)
{
  GstElement *element = gst_element_factory_make (factory, NULL);

  if (!element) {
    g_set_error (
        error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN, "The element %s is missing", factory);
    return NULL;
  }
  gst_bin_add (bin, element);
  return element;
}

static GstElement *
make_decoder (GstBin *bin, const Codec *codec, GError **error)
{
  GstElement *decoder = live_decoder_new (codec->caps, codec->video);

  if (!decoder) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "There is no decoder for %s on this machine", codec->encoding_name);
    return NULL;
  }
  gst_bin_add (bin, decoder);
  return decoder;
}

static GstElement *
make_depayloader (GstBin *bin, const Codec *codec, GError **error)
{
  GstElement *depayloader = make (bin, codec->depayloader, error);

  if (!depayloader)
    return NULL;
  set_if_there (depayloader, "request-keyframe", "true");
  set_if_there (depayloader, "wait-for-keyframe", "true");
  return depayloader;
}

/* Returns: (nullable): the end of what parses for encoded output */
static GstElement *
add_parser (GstBin *bin, GstElement *last, const Codec *codec, GError **error)
{
  GstElement *parser = make (bin, codec->parser, error), *filter;
  g_autoptr (GstCaps) form = codec->depayloaded ? gst_caps_from_string (codec->depayloaded) : NULL;

  if (!parser)
    return NULL;
  gst_element_link_filtered (last, parser, form);
  if (!codec->parsed)
    return parser;
  if (!(filter = make (bin, "capsfilter", error)))
    return NULL;
  gst_util_set_object_arg (G_OBJECT (filter), "caps", codec->parsed);
  gst_element_link (parser, filter);
  return filter;
}

static gboolean
expose (GstElement *bin, GstElement *first, GstElement *last)
{
  g_autoptr (GstPad) sink = gst_element_get_static_pad (first, "sink");
  g_autoptr (GstPad) src = gst_element_get_static_pad (last, "src");

  return gst_element_add_pad (bin, gst_ghost_pad_new ("sink", sink))
         && gst_element_add_pad (bin, gst_ghost_pad_new ("src", src));
}

GstElement *
livekit_branch_new (GstCaps *caps, LiveKitOutput output, GError **error)
{
  const char *name = gst_structure_get_string (gst_caps_get_structure (caps, 0), "encoding-name");
  const Codec *codec = find_codec (name);
  g_autoptr (GstElement) bin = gst_object_ref_sink (gst_bin_new (NULL));
  GstElement *first, *last, *next;

  if (output == LIVEKIT_OUTPUT_RTP) {
    if (!(first = make (GST_BIN (bin), "identity", error)))
      return NULL;
    g_object_set (first, "signal-handoffs", FALSE, NULL);
    expose (bin, first, first);
    return g_steal_pointer (&bin);
  }
  if (!codec) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE, "The codec %s is not known",
        name ? name : "(none)");
    return NULL;
  }

  if (!(first = last = make_depayloader (GST_BIN (bin), codec, error)))
    return NULL;
  if (output == LIVEKIT_OUTPUT_ENCODED) {
    if (codec->parser && !(last = add_parser (GST_BIN (bin), last, codec, error)))
      return NULL;
  } else {
    if (codec->parse_to_decode) {
      if (!(next = make (GST_BIN (bin), codec->parser, error)))
        return NULL;
      gst_element_link (last, next);
      last = next;
    }
    if (!(next = make_decoder (GST_BIN (bin), codec, error)))
      return NULL;
    gst_element_link (last, next);
    last = next;
  }
  expose (bin, first, last);
  return g_steal_pointer (&bin);
}
