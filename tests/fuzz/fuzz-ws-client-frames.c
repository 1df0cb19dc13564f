/* fuzz-sources: plugins/havenws/ws-protocol.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client's bytes, in pieces as its first byte says. What comes out keeps the promises of
 * ws-protocol.h. */
#include "ws-protocol.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

static void
check (const WsEvent *event)
{
  switch (event->type) {
  case WS_EVENT_MESSAGE:
    g_assert (event->size <= WS_MAX_CLIENT_MESSAGE);
    g_assert (event->opcode == WS_OPCODE_BINARY
              || g_utf8_validate_len ((const char *)event->data, event->size, NULL));
    break;
  case WS_EVENT_PING:
  case WS_EVENT_PONG:
  case WS_EVENT_CLOSE:
    g_assert (event->size <= WS_MAX_CONTROL_PAYLOAD);
    break;
  case WS_EVENT_ERROR:
    g_assert (event->code >= 1000 && event->reason);
    break;
  case WS_EVENT_NONE:
    break;
  }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  WsParser parser;
  gsize piece = size > 0 ? data[0] + 1 : 1;

  ws_parser_init (&parser);
  for (gsize done = MIN (size, 1); done < size;) {
    WsEvent event;
    gsize n = MIN (piece, size - done), taken = ws_parser_feed (&parser, data + done, n, &event);

    g_assert (taken > 0 && taken <= n);
    g_assert (event.type != WS_EVENT_NONE || taken == n);
    check (&event);
    done += taken;
  }
  return 0;
}
