/* ws-target: what a request's path and query ask for. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "ws-ask.h"
#include "ws-frame.h"

G_BEGIN_DECLS

typedef struct
{
  WsForm form;
  WsAsk ask;      /* of WS_FORM_V1 only where asked */
  gboolean asked; /* otherwise a first message tells */
  char *name;     /* (owned) (nullable) of the stream; not for WS_FORM_MJPEG */
  char *token;    /* (owned) (nullable) access_token of the query */
} WsTarget;

gboolean ws_target_parse (const char *path, const char *query, WsTarget *target);
gboolean ws_target_parse_uri (const char *path_and_query, WsTarget *target);
void ws_target_clear (WsTarget *target);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (WsTarget, ws_target_clear)

G_END_DECLS
