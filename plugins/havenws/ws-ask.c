/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-ask.h"

#include <json-glib/json-glib.h>
#include <string.h>

static const char *const videos[WS_N_VIDEOS] = { "jpeg", "encoded" };
static const char *const audios[WS_N_AUDIOS] = { "pcm", "opus", "none" };

static const struct
{
  const char *name;
  gint64 least, most;
  gsize offset; /* in WsAsk */
} numbers[] = {
  { "width", 16, 7680, G_STRUCT_OFFSET (WsAsk, width) },
  { "fps", 1, 120, G_STRUCT_OFFSET (WsAsk, fps) },
  { "quality", 1, 100, G_STRUCT_OFFSET (WsAsk, quality) },
};

static gboolean
find (const char *const *names, guint n, const char *name, guint *index)
{
  for (guint i = 0; i < n; i++) {
    if (g_strcmp0 (names[i], name) != 0)
      continue;
    *index = i;
    return TRUE;
  }
  return FALSE;
}

const char *
ws_video_name (WsVideo video)
{
  return videos[video];
}

const char *
ws_audio_name (WsAudio audio)
{
  return audios[audio];
}

/* @name: (nullable) */
gboolean
ws_video_from_name (const char *name, WsVideo *video)
{
  guint index;

  if (!find (videos, WS_N_VIDEOS, name, &index))
    return FALSE;
  *video = index;
  return TRUE;
}

/* @name: (nullable) */
gboolean
ws_audio_from_name (const char *name, WsAudio *audio)
{
  guint index;

  if (!find (audios, WS_N_AUDIOS, name, &index))
    return FALSE;
  *audio = index;
  return TRUE;
}

static const char * /* (nullable) of what is no string */
get_string (JsonNode *node)
{
  return json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : NULL;
}

static gboolean
take_number (JsonObject *object, guint i, WsAsk *ask)
{
  JsonNode *node = json_object_get_member (object, numbers[i].name);
  gint64 value;

  if (!node)
    return TRUE;
  if (json_node_get_value_type (node) != G_TYPE_INT64)
    return FALSE;
  value = json_node_get_int (node);
  if (value < numbers[i].least || value > numbers[i].most)
    return FALSE;
  G_STRUCT_MEMBER (guint, ask, numbers[i].offset) = (guint)value;
  return TRUE;
}

static char * /* Returns: (transfer full) (nullable): what is wrong */
take_members (JsonObject *object, WsAsk *ask)
{
  JsonNode *video = json_object_get_member (object, "video");
  JsonNode *audio = json_object_get_member (object, "audio");

  if (video && !ws_video_from_name (get_string (video), &ask->video))
    return g_strdup ("“video” must be jpeg or encoded");
  if (audio && !ws_audio_from_name (get_string (audio), &ask->audio))
    return g_strdup ("“audio” must be pcm, opus or none");
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (!take_number (object, i, ask))
      return g_strdup_printf ("“%s” must be a whole number from %d to %d", numbers[i].name,
          (int)numbers[i].least, (int)numbers[i].most);
  return NULL;
}

/* @text: UTF-8, size bytes of it
 * @problem: (out) (transfer full): what is wrong, for a person
 *
 * Returns: whether that is an ask; ask is untouched otherwise */
gboolean
ws_ask_parse (const char *text, gsize size, WsAsk *ask, char **problem)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  WsAsk read = { WS_VIDEO_JPEG, WS_AUDIO_PCM, 0, 0, 0 };
  JsonNode *root;

  if (size > WS_MAX_ASK) {
    *problem = g_strdup ("the first message is over 1024 bytes");
    return FALSE;
  }
  root = json_parser_load_from_data (parser, text, size, NULL) ? json_parser_get_root (parser)
                                                               : NULL;
  if (!root || !JSON_NODE_HOLDS_OBJECT (root)) {
    *problem = g_strdup ("the first message must be a JSON object");
    return FALSE;
  }
  *problem = take_members (json_node_get_object (root), &read);
  if (*problem)
    return FALSE;
  *ask = read;
  return TRUE;
}

gboolean
ws_ask_takes (const WsAsk *ask, WsCodec codec)
{
  switch (codec) {
  case WS_CODEC_JPEG:
    return ask->video == WS_VIDEO_JPEG;
  case WS_CODEC_PCM:
    return ask->audio == WS_AUDIO_PCM;
  case WS_CODEC_OPUS:
    return ask->audio == WS_AUDIO_OPUS;
  default:
    return ask->video == WS_VIDEO_ENCODED && ws_codec_is_encoded_video (codec);
  }
}
