/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recover-manifest.h"

#include <json-glib/json-glib.h>

#include "haven-manifest.h"

static JsonNode * /* (transfer full) */
new_manifest (double duration)
{
  JsonNode *node = json_node_init_object (json_node_alloc (), NULL);
  JsonObject *object = json_object_new ();
  static const char *const unknown[]
      = { "recording_id", "room_name", "mint_id", "format", "start_time", "end_time" };

  json_object_set_int_member (object, "version", 1);
  for (guint i = 0; i < G_N_ELEMENTS (unknown); i++)
    json_object_set_null_member (object, unknown[i]);
  json_object_set_double_member (object, "duration_seconds", duration);
  json_object_set_string_member (object, "error", "Its recording was cut off.");
  json_object_set_array_member (object, "parts", json_array_new ());
  json_node_take_object (node, object);
  return node;
}

/* Returns: (transfer none): the entry of that file, a new one where there is none */
static JsonObject *
find_part (JsonObject *manifest, const char *file)
{
  JsonNode *node = json_object_get_member (manifest, "parts");
  JsonObject *part;
  JsonArray *parts;

  if (!node || !JSON_NODE_HOLDS_ARRAY (node))
    json_object_set_array_member (manifest, "parts", json_array_new ());
  parts = json_object_get_array_member (manifest, "parts");
  for (guint i = 0; i < json_array_get_length (parts); i++) {
    JsonNode *element = json_array_get_element (parts, i);

    if (!JSON_NODE_HOLDS_OBJECT (element))
      continue;
    part = json_node_get_object (element);
    if (g_strcmp0 (json_object_get_string_member_with_default (part, "file", NULL), file) == 0)
      return part;
  }
  part = json_object_new ();
  json_object_set_string_member (part, "file", file);
  json_array_add_object_element (parts, part);
  return part;
}

static void
add_figures (JsonObject *part, const HavenRecovery *recovery)
{
  json_object_set_int_member (part, "size_bytes", (gint64)recovery->size);
  json_object_set_double_member (part, "duration_seconds", recovery->duration);
  json_object_set_int_member (part, "video_frames", (gint64)recovery->video_frames);
  json_object_set_int_member (part, "audio_frames", (gint64)recovery->audio_frames);
  json_object_set_boolean_member (part, "recovered", TRUE);
  json_object_set_int_member (part, "cut_bytes", (gint64)recovery->cut);
}

gboolean
recover_manifest_write (const HavenRecovery *recovery, GError **error)
{
  g_autofree char *path = haven_manifest_path (recovery->path);
  g_autofree char *file = g_path_get_basename (recovery->path);
  g_autoptr (JsonNode) manifest = haven_manifest_read (recovery->path);
  g_autofree char *text = NULL;
  JsonObject *part;

  if (!manifest)
    manifest = new_manifest (recovery->duration);
  part = find_part (json_node_get_object (manifest), file);
  if (recovery->complete && !json_object_has_member (part, "complete"))
    return TRUE; /* nothing was wrong with it */
  json_object_remove_member (part, "complete");
  if (!recovery->complete)
    add_figures (part, recovery);
  text = json_to_string (manifest, TRUE);
  return g_file_set_contents (path, text, -1, error);
}
