/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-json.h"

#define MAX_BRACKETS \
  2048 /* nested or not, quoted or not: no reading of strings and comments to disagree about */

static gboolean
is_shallow (const char *text, gsize length)
{
  guint brackets = 0;

  for (gsize i = 0; i < length; i++)
    if ((text[i] == '[' || text[i] == '{') && ++brackets > MAX_BRACKETS)
      return FALSE;
  return TRUE;
}

static gboolean holds_text (JsonNode *node);

static gboolean
object_holds_text (JsonObject *object)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &name, &node))
    if (!g_utf8_validate (name, -1, NULL) || !holds_text (node))
      return FALSE;
  return TRUE;
}

static gboolean
array_holds_text (JsonArray *array)
{
  for (guint i = 0; i < json_array_get_length (array); i++)
    if (!holds_text (json_array_get_element (array, i)))
      return FALSE;
  return TRUE;
}

/* Whether all strings in it are UTF-8: json-glib 1.6 makes bytes of what is no escape in JSON
 * (\757), and of half a surrogate pair. */
static gboolean
holds_text (JsonNode *node)
{
  switch (JSON_NODE_TYPE (node)) {
  case JSON_NODE_OBJECT:
    return object_holds_text (json_node_get_object (node));
  case JSON_NODE_ARRAY:
    return array_holds_text (json_node_get_array (node));
  case JSON_NODE_VALUE:
    return json_node_get_value_type (node) != G_TYPE_STRING
           || g_utf8_validate (json_node_get_string (node), -1, NULL);
  case JSON_NODE_NULL:
    break;
  }
  return TRUE;
}

JsonNode *
livekit_json_parse_value (const char *text, gsize length, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();

  if (length > G_MAXSSIZE || !g_utf8_validate (text, (gssize)length, NULL)
      || !is_shallow (text, length)) {
    g_set_error_literal (
        error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_PARSE, "Not JSON that we would read");
    return NULL;
  }
  if (!json_parser_load_from_data (parser, text, (gssize)length, error))
    return NULL;
  if (!json_parser_get_root (parser)) {
    g_set_error_literal (error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA, "No JSON value");
    return NULL;
  }
  if (!holds_text (json_parser_get_root (parser))) {
    g_set_error_literal (error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_PARSE, "A string is no UTF-8");
    return NULL;
  }
  return json_parser_steal_root (parser);
}

JsonObject *
livekit_json_parse (const char *text, gsize length, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (JsonNode) root = livekit_json_parse_value (text, length, &problem);

  if (problem) {
    g_propagate_error (error, g_steal_pointer (&problem));
    return NULL;
  }
  if (!JSON_NODE_HOLDS_OBJECT (root)) {
    g_set_error_literal (
        error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA, "Not a JSON object");
    return NULL;
  }
  return json_node_dup_object (root);
}

const char *
livekit_json_get_string (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  return node && JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

gint64
livekit_json_get_int (JsonObject *object, const char *name, gint64 otherwise)
{
  JsonNode *node = json_object_get_member (object, name);

  return node && json_node_get_value_type (node) == G_TYPE_INT64 ? json_node_get_int (node)
                                                                 : otherwise;
}
