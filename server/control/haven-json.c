/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-json.h"

#include <math.h>
#include <string.h>

#include "haven-error.h"
#include "livekit-json.h"

#define DEFAULT_MAX 4096

static gboolean
has_control_character (const char *text)
{
  for (; *text; text = g_utf8_next_char (text))
    if (g_unichar_iscntrl (g_utf8_get_char (text)))
      return TRUE;
  return FALSE;
}

/* A mint_id or room_name. */
gboolean
haven_id_is_valid (const char *id)
{
  return *id && g_utf8_validate (id, -1, NULL) && g_utf8_strlen (id, -1) <= HAVEN_ID_MAX
         && !has_control_character (id);
}

static gboolean
check_text (const HavenField *field, JsonNode *node, GError **error)
{
  const char *text = json_node_get_string (node);

  if (has_control_character (text)) {
    g_set_error (
        error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "“%s” has a control character.", field->name);
    return FALSE;
  }
  if (field->type == HAVEN_FIELD_ID && !haven_id_is_valid (text)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "“%s” must have 1 to %d characters.",
        field->name, HAVEN_ID_MAX);
    return FALSE;
  }
  if (strlen (text) > (field->max ? field->max : DEFAULT_MAX)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "“%s” is too long.", field->name);
    return FALSE;
  }
  if (field->words && !g_strv_contains (field->words, text)) {
    g_autofree char *words = g_strjoinv (", ", (char **)field->words);

    g_set_error (
        error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "“%s” must be one of %s.", field->name, words);
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_number (const HavenField *field, JsonNode *node, GError **error)
{
  if (JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_INT64
      && json_node_get_int (node) >= 0 && (guint64)json_node_get_int (node) <= field->max)
    return TRUE;
  g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID,
      "“%s” must be a whole number from 0 to %" G_GSIZE_FORMAT ".", field->name, field->max);
  return FALSE;
}

static gboolean
check (const HavenField *field, JsonNode *node, GError **error)
{
  GType wanted = field->type == HAVEN_FIELD_BOOLEAN ? G_TYPE_BOOLEAN : G_TYPE_STRING;

  if (JSON_NODE_HOLDS_NULL (node))
    return TRUE;
  if (field->type == HAVEN_FIELD_UINT)
    return check_number (field, node, error);
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != wanted) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "“%s” must be %s.", field->name,
        wanted == G_TYPE_BOOLEAN ? "true or false" : "a string");
    return FALSE;
  }
  return wanted == G_TYPE_BOOLEAN || check_text (field, node, error);
}

static gboolean
is_blank (const char *text, gsize size)
{
  while (size > 0 && g_ascii_isspace (text[size - 1]))
    size--;
  return size == 0;
}

/* The object that a body holds. Fields must be of their type or null, which is as if they were
 * absent; keys that are no field are left alone.
 *
 * @fields: ended by one without a name
 *
 * Returns: (transfer full) (nullable) */
JsonObject *
haven_json_parse_body (GBytes *bytes, const HavenField *fields, GError **error)
{
  gsize size = 0;
  const char *text = bytes ? g_bytes_get_data (bytes, &size) : NULL;
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (GError) problem = NULL;

  if (!is_blank (text, size)
      && !g_strstr_len (text, size, "\\u0000")) /* would end a C string early */
    object = livekit_json_parse (text, size, &problem);
  if (g_error_matches (problem, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "The body must be a JSON object.");
    return NULL;
  }
  if (!object) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_MALFORMED, "The body is not JSON.");
    return NULL;
  }
  for (; fields->name; fields++) {
    JsonNode *node = json_object_get_member (object, fields->name);

    if (node && !check (fields, node, error))
      return NULL;
  }
  return g_steal_pointer (&object);
}

/* Returns: (nullable): NULL for a member that is absent or null */
const char *
haven_json_string (JsonObject *body, const char *name)
{
  return livekit_json_get_string (body, name);
}

/* Returns: 0 for a member that is absent or null */
guint
haven_json_uint (JsonObject *body, const char *name)
{
  return (guint)json_object_get_int_member_with_default (body, name, 0);
}

gboolean
haven_json_boolean (JsonObject *body, const char *name, gboolean otherwise)
{
  JsonNode *node = json_object_get_member (body, name);

  if (!node || !JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_BOOLEAN)
    return otherwise;
  return json_node_get_boolean (node);
}

/* @unix_us: 0 becomes null */
void
haven_json_set_time (JsonObject *object, const char *name, gint64 unix_us)
{
  g_autofree char *text = unix_us > 0 ? haven_time_format (unix_us) : NULL;

  haven_json_set_string (object, name, text);
}

/* @value: (nullable) */
void
haven_json_set_string (JsonObject *object, const char *name, const char *value)
{
  if (value)
    json_object_set_string_member (object, name, value);
  else
    json_object_set_null_member (object, name);
}

/* D-Bus dictionaries, lists and numbers as JSON; what JSON has no form for becomes null.
 *
 * Returns: (transfer full) */
JsonNode *
haven_json_from_variant (GVariant *value)
{
  JsonNode *node = json_node_new (JSON_NODE_NULL);
  GVariantIter iter;
  GVariant *child;

  if (g_variant_is_of_type (value, G_VARIANT_TYPE_VARIANT)) {
    g_autoptr (GVariant) inner = g_variant_get_variant (value);

    json_node_unref (node);
    return haven_json_from_variant (inner);
  }
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_VARDICT)) {
    const char *name;

    json_node_init_object (node, json_object_new ());
    json_object_unref (json_node_get_object (node));
    g_variant_iter_init (&iter, value);
    while (g_variant_iter_loop (&iter, "{&sv}", &name, &child))
      json_object_set_member (json_node_get_object (node), name, haven_json_from_variant (child));
    return node;
  }
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_ARRAY)) {
    json_node_init_array (node, json_array_new ());
    json_array_unref (json_node_get_array (node));
    g_variant_iter_init (&iter, value);
    while ((child = g_variant_iter_next_value (&iter)) != NULL) {
      json_array_add_element (json_node_get_array (node), haven_json_from_variant (child));
      g_variant_unref (child);
    }
    return node;
  }
  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_STRING:
    return json_node_init_string (node, g_variant_get_string (value, NULL));
  case G_VARIANT_CLASS_BOOLEAN:
    return json_node_init_boolean (node, g_variant_get_boolean (value));
  case G_VARIANT_CLASS_UINT16:
    return json_node_init_int (node, g_variant_get_uint16 (value));
  case G_VARIANT_CLASS_INT32:
    return json_node_init_int (node, g_variant_get_int32 (value));
  case G_VARIANT_CLASS_UINT32:
    return json_node_init_int (node, g_variant_get_uint32 (value));
  case G_VARIANT_CLASS_INT64:
    return json_node_init_int (node, g_variant_get_int64 (value));
  case G_VARIANT_CLASS_UINT64:
    return json_node_init_int (node, (gint64)MIN (g_variant_get_uint64 (value), G_MAXINT64));
  case G_VARIANT_CLASS_DOUBLE:
    return isfinite (g_variant_get_double (value))
               ? json_node_init_double (node, g_variant_get_double (value))
               : node;
  default:
    return node;
  }
}

/* What was given, with what it lacks of ours where it is an object.
 *
 * @ours: (transfer full)
 * @text: (nullable): JSON; what is none, or null, leaves ours
 *
 * Returns: (transfer full) */
JsonNode *
haven_json_complete (JsonObject *ours, const char *text)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), ours);
  g_autoptr (JsonNode) given
      = text && *text ? livekit_json_parse_value (text, strlen (text), NULL) : NULL;
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  json_object_unref (ours);
  if (!given || JSON_NODE_HOLDS_NULL (given))
    return g_steal_pointer (&node);
  if (!JSON_NODE_HOLDS_OBJECT (given))
    return g_steal_pointer (&given);
  json_object_iter_init (&iter, json_node_get_object (given));
  while (json_object_iter_next (&iter, &name, &value))
    json_object_set_member (ours, name, json_node_copy (value));
  return g_steal_pointer (&node);
}

/* Returns: (transfer full): the one form in which something fails */
JsonObject *
haven_json_from_error (const GError *error)
{
  JsonObject *body = json_object_new ();

  json_object_set_boolean_member (body, "success", FALSE);
  json_object_set_string_member (body, "detail", haven_error_sentence (error));
  json_object_set_string_member (body, "error", haven_error_sentence (error));
  json_object_set_string_member (body, "code", haven_error_code (error));
  return body;
}

char *
haven_json_to_text (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), object);

  return json_to_string (node, FALSE);
}
