/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-manifest.h"

#include <string.h>

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
