/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as what a request to the control server carries: a body, a range, a host, an origin, a
 * token. What is accepted is what was asked for. */

#include <string.h>

#include "haven-file.h"
#include "haven-json.h"
#include "ws-access.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

static const char *const words[] = { "low", "medium", "high", NULL };
static const HavenField fields[] = {
  { "mint_id", HAVEN_FIELD_ID },
  { "record_session", HAVEN_FIELD_BOOLEAN },
  { "video_quality", HAVEN_FIELD_STRING, 0, words },
  { "output_directory", HAVEN_FIELD_STRING, 64 },
  { NULL },
};

static void
try_body (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonObject) body = haven_json_parse_body (bytes, fields, &error);
  g_autofree char *text = NULL;
  const char *value;

  g_assert_true ((body == NULL) == (error != NULL));
  if (!body)
    return;
  if ((value = haven_json_string (body, "mint_id")) != NULL)
    g_assert_true (haven_id_is_valid (value));
  if ((value = haven_json_string (body, "video_quality")) != NULL)
    g_assert_true (g_strv_contains (words, value));
  if ((value = haven_json_string (body, "output_directory")) != NULL)
    g_assert_cmpuint (strlen (value), <=, 64);
  haven_json_boolean (body, "record_session", FALSE);
  text = haven_json_to_text (body);
  g_assert_nonnull (text);
}

/* As the value of each field, for a fuzzer does not guess their names. */
static void
try_values (const char *text)
{
  for (const HavenField *field = fields; field->name; field++) {
    g_autofree char *bare = g_strdup_printf ("{\"%s\":%s}", field->name, text);
    g_autofree char *quoted = g_strdup_printf ("{\"%s\":\"%s\"}", field->name, text);

    try_body ((const guint8 *)bare, strlen (bare));
    try_body ((const guint8 *)quoted, strlen (quoted));
  }
}

static void
try_range (const char *header, guint64 file)
{
  guint64 first, length;

  switch (haven_range_parse (header, file, &first, &length)) {
  case HAVEN_RANGE_PART:
    g_assert_cmpuint (length, >, 0);
    g_assert_cmpuint (first, <, file);
    g_assert_cmpuint (length, <=, file - first);
    break;
  default:
    g_assert_cmpuint (first, ==, 0);
    g_assert_cmpuint (length, ==, file);
  }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  g_auto (GStrv) none = ws_access_split ("");
  g_auto (GStrv) origins = ws_access_split (WS_ACCESS_DEFAULT_ORIGINS);

  try_body (data, size);
  try_values (text);
  try_range (text, 0);
  try_range (text, 1000);
  try_range (text, G_MAXUINT64);
  ws_access_host (text, none);
  ws_access_origin (text, text, none);
  ws_access_origin (text, NULL, origins);
  g_assert_true (!ws_access_token ("sesame", text, NULL) || g_str_has_suffix (text, " sesame"));
  g_assert_cmpint (ws_access_token ("sesame", NULL, text), ==, strcmp (text, "sesame") == 0);
  return 0;
}
