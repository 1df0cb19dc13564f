/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-manifest.h"

#include <glib/gstdio.h>
#include <string.h>

#include "haven-filename.h"

#define MAX_MANIFEST 4194304 /* bytes */
#define MAX_NUMBER 10000     /* of a part, in its name */

const char *const haven_manifest_beside[] = { ".json", ".jpg", ".jsonl", ".vtt", NULL };

/* Returns: (transfer full): NAME.vtt for NAME.mkv and ".vtt" */
char *
haven_manifest_sibling (const char *path, const char *ending)
{
  const char *slash = strrchr (path, '/'), *dot = strrchr (path, '.');
  int stem = dot && dot > (slash ? slash + 1 : path) ? dot - path : (int)strlen (path);

  return g_strdup_printf ("%.*s%s", stem, path, ending);
}

static char *         /* (transfer full) (nullable) */
if_there (char *path) /* (transfer full) */
{
  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return path;
  g_free (path);
  return NULL;
}

/* What is in the way of a recording of that name: the file, one that is written beside it, or what
 * lies beside another of that name.
 *
 * Returns: (transfer full) (nullable): the first of them */
char *
haven_manifest_find_taken (const char *path)
{
  char *taken = if_there (g_strdup (path));

  if (!taken)
    taken = if_there (g_strconcat (path, HAVEN_UNFINISHED, NULL));
  for (guint i = 0; !taken && haven_manifest_beside[i]; i++)
    taken = if_there (haven_manifest_sibling (path, haven_manifest_beside[i]));
  return taken;
}

/* Returns: (transfer full): NAME.json for NAME.mkv */
char *
haven_manifest_path (const char *path)
{
  return haven_manifest_sibling (path, ".json");
}

/* What lies there under the name of a manifest, which others may have written.
 *
 * Returns: (transfer full) (nullable): an object */
static JsonNode *
read_object (const char *name)
{
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) node = NULL;
  GStatBuf status;

  if (g_stat (name, &status) < 0 || status.st_size > MAX_MANIFEST
      || !g_file_get_contents (name, &text, NULL, NULL))
    return NULL;
  node = json_from_string (text, NULL);
  return node && JSON_NODE_HOLDS_OBJECT (node) ? g_steal_pointer (&node) : NULL;
}

/* The entry of a file in a manifest. Returns: (nullable) */
JsonObject *
haven_manifest_part (JsonNode *manifest, const char *file)
{
  JsonNode *node = json_object_get_member (json_node_get_object (manifest), "parts");
  JsonArray *parts = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;

  for (guint i = 0; parts && i < json_array_get_length (parts); i++) {
    JsonNode *element = json_array_get_element (parts, i);
    JsonObject *part = JSON_NODE_HOLDS_OBJECT (element) ? json_node_get_object (element) : NULL;

    if (part
        && g_strcmp0 (json_object_get_string_member_with_default (part, "file", NULL), file) == 0)
      return part;
  }
  return NULL;
}

/* Takes -3 off NAME-3. Returns: the number; 0: there is none */
static guint
take_number (char *stem)
{
  char *dash = strrchr (stem, '-');
  guint64 number;

  if (!dash || !g_ascii_string_to_unsigned (dash + 1, 10, 2, MAX_NUMBER, &number, NULL))
    return 0;
  *dash = '\0';
  return (guint)number;
}

/* The manifest that names the file @path: its own, or for a later part the one beside an earlier,
 * as NAME.json for NAME-3.mkv.
 *
 * @where: (out) (transfer full): its path; that of its own where none names it
 *
 * Returns: (transfer full) (nullable): an object */
JsonNode *
haven_manifest_find (const char *path, char **where)
{
  g_autofree char *own = haven_manifest_path (path), *file = g_path_get_basename (path);
  g_autofree char *stem = haven_manifest_sibling (path, "");
  g_autoptr (JsonNode) first = read_object (own);
  guint number = first && haven_manifest_part (first, file) ? 0 : take_number (stem);

  while (number-- > 1) {
    g_autofree char *name = number > 1 ? g_strdup_printf ("%s-%u.json", stem, number)
                                       : g_strconcat (stem, ".json", NULL);
    g_autoptr (JsonNode) node = read_object (name);

    if (node && haven_manifest_part (node, file)) {
      *where = g_steal_pointer (&name);
      return g_steal_pointer (&node);
    }
  }
  *where = g_steal_pointer (&own);
  return g_steal_pointer (&first);
}
