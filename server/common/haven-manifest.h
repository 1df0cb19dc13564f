/* haven-manifest: where the manifest of a recording is, and what else a session writes beside it;
 * control and recovery read it, control deletes them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* How the names of all those files end: manifest, first picture, what was said, and as subtitles.
 */
extern const char *const haven_manifest_beside[]; /* ended by NULL */

#define HAVEN_THUMBNAIL_WIDTH 320 /* of the first picture */

char *haven_manifest_find_taken (const char *path);
char *haven_manifest_path (const char *path);
char *haven_manifest_sibling (const char *path, const char *ending);
JsonNode *haven_manifest_find (const char *path, char **where);
JsonObject *haven_manifest_part (JsonNode *manifest, const char *file);

G_END_DECLS
