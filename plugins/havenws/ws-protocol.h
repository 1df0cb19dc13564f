/* ws-protocol: the WebSocket wire (RFC 6455) as a server sees it: reads a client's frames, writes
 * frame headers.
 *
 * Pure: knows neither sockets nor elements. What a client can make us hold is bounded by the size
 * of WsParser.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define WS_MAX_CLIENT_MESSAGE \
  4096 /* bytes; a longer message of a client is answered by close code 1009 */
#define WS_MAX_CONTROL_PAYLOAD 125 /* bytes; RFC 6455, 5.5 */
#define WS_MAX_HEADER 10           /* bytes; of a frame that we send, which carries no mask */

typedef enum
{
  WS_OPCODE_CONTINUATION = 0x0,
  WS_OPCODE_TEXT = 0x1,
  WS_OPCODE_BINARY = 0x2,
  WS_OPCODE_CLOSE = 0x8,
  WS_OPCODE_PING = 0x9,
  WS_OPCODE_PONG = 0xa,
} WsOpcode;

typedef enum
{
  WS_CLOSE_NORMAL = 1000,
  WS_CLOSE_GOING_AWAY = 1001,
  WS_CLOSE_PROTOCOL_ERROR = 1002,
  WS_CLOSE_NO_STATUS = 1005, /* never on the wire: the close frame was empty */
  WS_CLOSE_BAD_DATA = 1007,
  WS_CLOSE_TOO_BIG = 1009,
  WS_CLOSE_TRY_AGAIN_LATER = 1013,
  WS_CLOSE_BAD_ASK = 4400, /* these of haven.v1 */
  WS_CLOSE_NOT_SENT_HERE = 4406,
  WS_CLOSE_ASK_TIMEOUT = 4408,
} WsCloseCode;

typedef enum
{
  WS_EVENT_NONE,    /* every byte was taken, and nothing is complete yet */
  WS_EVENT_MESSAGE, /* a whole text or binary message; opcode says which */
  WS_EVENT_PING,
  WS_EVENT_PONG,
  WS_EVENT_CLOSE, /* code is what the client gave, or WS_CLOSE_NO_STATUS */
  WS_EVENT_ERROR, /* the client broke the protocol: close with code and reason, and feed no more */
} WsEventType;

typedef struct
{
  WsEventType type;
  WsOpcode opcode;
  const guint8
      *data; /* (nullable) payload; points into the parser, valid until the next ws_parser_feed() */
  gsize size;
  guint16 code;
  const char *reason; /* (nullable) static; of WS_EVENT_ERROR */
} WsEvent;

typedef struct
{
  guint8 header[14];
  guint header_have;
  gboolean in_payload;
  gboolean failed;

  gboolean final; /* of the frame that is being read, as the next five */
  WsOpcode opcode;
  guint8 mask[4];
  gsize payload_size;
  gsize payload_have;

  gboolean in_message; /* a fragmented message is open */
  WsOpcode message_opcode;
  gsize message_size;
  guint8 message[WS_MAX_CLIENT_MESSAGE];
  guint8 control[WS_MAX_CONTROL_PAYLOAD]; /* apart, for control frames come between the fragments of
                                             a message */
} WsParser;

void ws_parser_init (WsParser *parser);
gsize ws_parser_feed (WsParser *parser, const guint8 *data, gsize size, WsEvent *event);

guint ws_frame_header (guint8 header[WS_MAX_HEADER], WsOpcode opcode, guint64 payload_size);
gsize ws_close_payload (guint8 payload[WS_MAX_CONTROL_PAYLOAD], guint16 code, const char *reason);

G_END_DECLS
