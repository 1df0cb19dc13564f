/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Foreign JSON; of the second the outermost value must be an object. Its brackets are counted
 * before it is parsed: json-glib 1.6 recurses for each. Lookups answer NULL or the default for a
 * member that is absent or of another type. */

JsonNode *livekit_json_parse_value (
    const char *text, gsize length, GError **error); /* (transfer full) */
JsonObject *livekit_json_parse (
    const char *text, gsize length, GError **error); /* (transfer full) */
const char *livekit_json_get_string (
    JsonObject *object, const char *name); /* (transfer none) (nullable) */
gint64 livekit_json_get_int (JsonObject *object, const char *name, gint64 otherwise);

G_END_DECLS
