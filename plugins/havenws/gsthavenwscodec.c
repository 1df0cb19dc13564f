/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthavenwscodec.h"

#include <string.h>

static const struct
{
  const char *caps;
  WsCodec codec;
} codecs[] = {
  { "image/jpeg", WS_CODEC_JPEG },
  { "video/x-vp8", WS_CODEC_VP8 },
  { "video/x-vp9", WS_CODEC_VP9 },
  { "video/x-h264", WS_CODEC_H264 },
  { "video/x-av1", WS_CODEC_AV1 },
  { "audio/x-raw", WS_CODEC_PCM },
  { "audio/x-opus", WS_CODEC_OPUS },
};

WsCodec
gst_haven_ws_codec_of_caps (const GstCaps *caps)
{
  const GstStructure *structure = gst_caps_get_structure (caps, 0);

  for (guint i = 0; i < G_N_ELEMENTS (codecs); i++)
    if (gst_structure_has_name (structure, codecs[i].caps))
      return codecs[i].codec;
  return WS_CODEC_NONE;
}

/* Profile and depth count for a browser that chooses a decoder; the level does not, and caps do not
 * always have it. */
static char *
name_of_vp9 (const GstStructure *caps)
{
  const char *profile = gst_structure_get_string (caps, "profile");
  guint depth = 8;

  gst_structure_get_uint (caps, "bit-depth-luma", &depth);
  return g_strdup_printf ("vp09.0%c.10.%02u", profile ? profile[0] : '0', depth);
}

static char *
name_of_av1 (const GstStructure *caps)
{
  const char *profile = gst_structure_get_string (caps, "profile");
  guint depth = 8;

  gst_structure_get_uint (caps, "bit-depth-luma", &depth);
  return g_strdup_printf ("av01.%d.08M.%02u",
      g_strcmp0 (profile, "professional") == 0 ? 2
      : g_strcmp0 (profile, "high") == 0       ? 1
                                               : 0,
      depth);
}

static char * /* (nullable) where buffer has no parameter set */
name_of_h264 (GstBuffer *buffer)
{
  char name[WS_AVC_NAME_SIZE];
  GstMapInfo map;
  gboolean found;

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ))
    return NULL;
  found = ws_codec_avc_name (map.data, map.size, name);
  gst_buffer_unmap (buffer, &map);
  return found ? g_strdup (name) : NULL;
}

static char *
describe_video (char *name /* (transfer full) (nullable) */, const GstStructure *caps)
{
  g_autofree char *owned = name;
  int width, height;

  if (!name)
    return NULL;
  if (!gst_structure_get_int (caps, "width", &width)
      || !gst_structure_get_int (caps, "height", &height))
    return g_strdup_printf ("{\"codec\":\"%s\"}", name);
  return g_strdup_printf ("{\"codec\":\"%s\",\"width\":%d,\"height\":%d}", name, width, height);
}

static char *
describe_opus (const GstStructure *caps)
{
  int channels = 2;

  gst_structure_get_int (caps, "channels", &channels);
  return g_strdup_printf ("{\"codec\":\"opus\",\"sample_rate\":48000,\"channels\":%d}", channels);
}

/* @buffer: a key frame
 *
 * Returns: (transfer full) (nullable): the JSON of a config; none where buffer should tell, and
 * does not */
char *
gst_haven_ws_codec_describe (WsCodec codec, const GstCaps *caps, GstBuffer *buffer)
{
  const GstStructure *structure = gst_caps_get_structure (caps, 0);

  switch (codec) {
  case WS_CODEC_JPEG:
    return g_strdup ("{\"codec\":\"jpeg\"}");
  case WS_CODEC_VP8:
    return describe_video (g_strdup ("vp8"), structure);
  case WS_CODEC_VP9:
    return describe_video (name_of_vp9 (structure), structure);
  case WS_CODEC_AV1:
    return describe_video (name_of_av1 (structure), structure);
  case WS_CODEC_H264:
    return describe_video (name_of_h264 (buffer), structure);
  case WS_CODEC_PCM:
    return g_strdup ("{\"codec\":\"pcm-s16le\",\"sample_rate\":48000,\"channels\":1}");
  case WS_CODEC_OPUS:
    return describe_opus (structure);
  case WS_CODEC_NONE:
    break;
  }
  return NULL;
}
