/* haven-json: bodies of requests, checked; times and values as answers carry them. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <json-glib/json-glib.h>

#include "haven-time.h"

G_BEGIN_DECLS

#define HAVEN_ID_MAX 128 /* characters */

typedef enum
{
  HAVEN_FIELD_ID,     /* 1 to 128 characters, no control characters */
  HAVEN_FIELD_STRING, /* up to max bytes, no control characters */
  HAVEN_FIELD_BOOLEAN,
  HAVEN_FIELD_UINT, /* a whole number, 0 to max */
} HavenFieldType;

typedef struct
{
  const char *name;
  HavenFieldType type;
  gsize max;                /* of a string; 0: 4096. Of a number */
  const char *const *words; /* (nullable) what a string may be */
} HavenField;

gboolean haven_id_is_valid (const char *id);
JsonObject *haven_json_parse_body (GBytes *bytes, const HavenField *fields, GError **error);
const char *haven_json_string (JsonObject *body, const char *name);
guint haven_json_uint (JsonObject *body, const char *name);
gboolean haven_json_boolean (JsonObject *body, const char *name, gboolean otherwise);

void haven_json_set_time (JsonObject *object, const char *name, gint64 unix_us);
void haven_json_set_string (JsonObject *object, const char *name, const char *value);
JsonNode *haven_json_from_variant (GVariant *value);
JsonNode *haven_json_complete (JsonObject *ours, const char *text);
JsonObject *haven_json_from_error (const GError *error);
char *haven_json_to_text (JsonObject *object);

G_END_DECLS
