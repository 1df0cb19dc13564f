/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-manifest.h"

#include <glib/gstdio.h>
#include <string.h>

#define MAX_MANIFEST 4194304 /* bytes */

const char *const haven_manifest_beside[] = { ".json", ".jpg", ".jsonl", ".vtt", NULL };

/* Returns: (transfer full): NAME.vtt for NAME.mkv and ".vtt" */
char *
haven_manifest_sibling (const char *path, const char *ending)
{
  const char *slash = strrchr (path, '/'), *dot = strrchr (path, '.');
  int stem = dot && dot > (slash ? slash + 1 : path) ? dot - path : (int)strlen (path);

  return g_strdup_printf ("%.*s%s", stem, path, ending);
}

/* Returns: (transfer full): NAME.json for NAME.mkv */
char *
haven_manifest_path (const char *path)
{
  return haven_manifest_sibling (path, ".json");
}

/* What lies beside the recording @path under the name of its manifest, which others may have
 * written.
 *
 * Returns: (transfer full) (nullable): an object */
JsonNode *
haven_manifest_read (const char *path)
{
  g_autofree char *name = haven_manifest_path (path);
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) node = NULL;
  GStatBuf status;

  if (g_stat (name, &status) < 0 || status.st_size > MAX_MANIFEST
      || !g_file_get_contents (name, &text, NULL, NULL))
    return NULL;
  node = json_from_string (text, NULL);
  return node && JSON_NODE_HOLDS_OBJECT (node) ? g_steal_pointer (&node) : NULL;
}
