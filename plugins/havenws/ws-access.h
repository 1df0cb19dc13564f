/* ws-access: who may watch: Origin, Host and token of a request. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define WS_ACCESS_DEFAULT_ORIGINS                                                                 \
  "http://localhost:*,https://localhost:*,http://127.0.0.1:*,https://127.0.0.1:*,http://[::1]:*," \
  "https://[::1]:*,file://,null"

char **ws_access_split (const char *list);
gboolean ws_access_host (const char *host, char **allowed);
gboolean ws_access_origin (const char *origin, const char *host, char **allowed);
gboolean ws_access_token (const char *expected, const char *authorization, const char *query_token);

G_END_DECLS
