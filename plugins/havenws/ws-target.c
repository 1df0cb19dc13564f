/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-target.h"

#include <libsoup/soup.h>
#include <string.h>

#define MJPEG "/stream.mjpeg"

static const struct
{
  const char *folder; /* the path ends with this and a name */
  WsForm form;
} endpoints[] = {
  { "/ws/live/", WS_FORM_BINARY },
  { "/stream/", WS_FORM_JSON },
  { "/watch/", WS_FORM_V1 },
};

/* @path: decoded
 * @query: (nullable): as it came, encoded
 *
 * A slash at the end of path does not matter.
 *
 * Returns: whether that is an endpoint of ours; target is untouched otherwise */
gboolean
ws_target_parse (const char *path, const char *query, WsTarget *target)
{
  gsize size = strlen (path);
  const char *name;

  if (size > 0 && path[size - 1] == '/')
    size--;
  for (name = path + size; name > path && name[-1] != '/'; name--)
    ;
  if (name == path + size || !g_utf8_validate (name, path + size - name, NULL))
    return FALSE;

  for (guint i = 0; i < G_N_ELEMENTS (endpoints); i++) {
    gsize folder_size = strlen (endpoints[i].folder);
    g_autoptr (GHashTable) values = NULL;

    if ((gsize)(name - path) < folder_size
        || memcmp (name - folder_size, endpoints[i].folder, folder_size) != 0)
      continue;
    values = soup_form_decode (query ? query : "");
    *target = (WsTarget){
      .form = endpoints[i].form,
      .asked = endpoints[i].form != WS_FORM_V1,
      .ask.audio
      = g_strcmp0 (g_hash_table_lookup (values, "audio"), "0") != 0 ? WS_AUDIO_PCM : WS_AUDIO_NONE,
      .name = g_strndup (name, path + size - name),
      .token = g_strdup (g_hash_table_lookup (values, "access_token")),
    };
    return TRUE;
  }
  return FALSE;
}

/* Who has read the first message of a viewer of haven.v1 tells in the query what it was. */
static void
take_ask (const char *query, WsTarget *target)
{
  g_autoptr (GHashTable) values = soup_form_decode (query ? query : "");
  const char *video = g_hash_table_lookup (values, "video");
  const char *audio = g_hash_table_lookup (values, "audio");

  target->asked = ws_video_from_name (video, &target->ask.video)
                  && ws_audio_from_name (audio, &target->ask.audio);
}

/* The same for both in one, as a request line has them; and for …/NAME/stream.mjpeg, which is no
 * WebSocket. With …/watch/NAME the query may have `video` and `audio` as a first message would. */
gboolean
ws_target_parse_uri (const char *path_and_query, WsTarget *target)
{
  const char *question = strchr (path_and_query, '?');
  g_autofree char *path = NULL;

  path = g_uri_unescape_segment (path_and_query, question, NULL);
  if (path && g_str_has_suffix (path, MJPEG)) {
    *target = (WsTarget){ .form = WS_FORM_MJPEG, .asked = TRUE, .ask.audio = WS_AUDIO_NONE };
    return TRUE;
  }
  if (!path || !ws_target_parse (path, question ? question + 1 : NULL, target))
    return FALSE;
  if (target->form == WS_FORM_V1)
    take_ask (question ? question + 1 : NULL, target);
  return TRUE;
}

void
ws_target_clear (WsTarget *target)
{
  g_clear_pointer (&target->name, g_free);
  g_clear_pointer (&target->token, g_free);
}
