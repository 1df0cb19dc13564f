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
take_part (JsonNode *manifest, const char *file)
{
  JsonObject *object = json_node_get_object (manifest);
  JsonObject *part = haven_manifest_part (manifest, file);
  JsonNode *parts = json_object_get_member (object, "parts");

  if (part)
    return part;
  if (!parts || !JSON_NODE_HOLDS_ARRAY (parts))
    json_object_set_array_member (object, "parts", json_array_new ());
  part = json_object_new ();
  json_object_set_string_member (part, "file", file);
  json_array_add_object_element (json_object_get_array_member (object, "parts"), part);
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
  g_autofree char *path = NULL, *file = g_path_get_basename (recovery->path), *text = NULL;
  g_autoptr (JsonNode) manifest = haven_manifest_find (recovery->path, &path);
  JsonObject *part;

  if (!manifest)
    manifest = new_manifest (recovery->duration);
  part = take_part (manifest, file);
  if (recovery->complete && !json_object_has_member (part, "complete"))
    return TRUE; /* nothing was wrong with it */
  json_object_remove_member (part, "complete");
  if (!recovery->complete)
    add_figures (part, recovery);
  text = json_to_string (manifest, TRUE);
  return g_file_set_contents (path, text, -1, error);
}
