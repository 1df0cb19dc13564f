/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-protocol.h"

#include <string.h>

void
ws_parser_init (WsParser *parser)
{
  memset (parser, 0, sizeof *parser);
}

static void
fail (WsParser *parser, WsEvent *event, guint16 code, const char *reason)
{
  parser->failed = TRUE;
  *event = (WsEvent){ .type = WS_EVENT_ERROR, .code = code, .reason = reason };
}

static gboolean
is_control (WsOpcode opcode)
{
  return opcode & 0x8;
}

/* Bytes of the header that is being read, as far as its first two bytes tell. */
static guint
header_size (const WsParser *parser)
{
  guint8 length;

  if (parser->header_have < 2)
    return 2;
  length = parser->header[1] & 0x7f;
  return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + 4;
}

static gboolean
is_known_opcode (WsOpcode opcode)
{
  return opcode <= WS_OPCODE_BINARY || (opcode >= WS_OPCODE_CLOSE && opcode <= WS_OPCODE_PONG);
}

/* The first two bytes are there: refuse what can never become a legal frame before waiting for more
 * of it. */
static gboolean
check_first_bytes (WsParser *parser, WsEvent *event)
{
  WsOpcode opcode = parser->header[0] & 0x0f;
  gboolean final = (parser->header[0] & 0x80) != 0;
  guint8 length = parser->header[1] & 0x7f;

  if (parser->header[0] & 0x70)
    fail (parser, event, WS_CLOSE_PROTOCOL_ERROR,
        "reserved bits are set, but no extension was agreed on");
  else if (!is_known_opcode (opcode))
    fail (parser, event, WS_CLOSE_PROTOCOL_ERROR, "unknown opcode");
  else if (!(parser->header[1] & 0x80))
    fail (parser, event, WS_CLOSE_PROTOCOL_ERROR, "a client's frame must be masked");
  else if (is_control (opcode) && (!final || length > WS_MAX_CONTROL_PAYLOAD))
    fail (parser, event, WS_CLOSE_PROTOCOL_ERROR, "a control frame must be short and whole");
  else if (opcode == WS_OPCODE_CONTINUATION && !parser->in_message)
    fail (parser, event, WS_CLOSE_PROTOCOL_ERROR, "continuation of no message");
  else if ((opcode == WS_OPCODE_TEXT || opcode == WS_OPCODE_BINARY) && parser->in_message)
    fail (parser, event, WS_CLOSE_PROTOCOL_ERROR, "a message began within another");
  else
    return TRUE;
  return FALSE;
}

static gboolean
start_payload (WsParser *parser, WsEvent *event)
{
  const guint8 *p = parser->header + 2;
  guint8 length = parser->header[1] & 0x7f;
  guint64 size = length;

  if (length >= 126) {
    guint n_bytes = length == 126 ? 2 : 8;

    size = 0;
    for (guint i = 0; i < n_bytes; i++)
      size = size << 8 | *p++;
    if (size < 126 || (n_bytes == 8 && (size < 0x10000 || size >> 63))) {
      fail (parser, event, WS_CLOSE_PROTOCOL_ERROR, "payload length is not in its shortest form");
      return FALSE;
    }
  }

  parser->final = (parser->header[0] & 0x80) != 0;
  parser->opcode = parser->header[0] & 0x0f;
  if (!is_control (parser->opcode)) {
    if (!parser->in_message) {
      parser->in_message = TRUE;
      parser->message_opcode = parser->opcode;
      parser->message_size = 0;
    }
    if (size > WS_MAX_CLIENT_MESSAGE - parser->message_size) {
      fail (parser, event, WS_CLOSE_TOO_BIG, "message over 4096 bytes");
      return FALSE;
    }
  }

  memcpy (parser->mask, p, sizeof parser->mask);
  parser->payload_size = size;
  parser->payload_have = 0;
  parser->in_payload = TRUE;
  return TRUE;
}

static gboolean
is_legal_close_code (guint16 code)
{
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006)
         || (code >= 3000 && code <= 4999);
}

static void
finish_control (WsParser *parser, WsEvent *event)
{
  *event = (WsEvent){
    .opcode = parser->opcode, .data = parser->control, .size = parser->payload_size
  };
  switch (parser->opcode) {
  case WS_OPCODE_PING:
    event->type = WS_EVENT_PING;
    break;
  case WS_OPCODE_PONG:
    event->type = WS_EVENT_PONG;
    break;
  default:
    event->type = WS_EVENT_CLOSE;
    event->code = WS_CLOSE_NO_STATUS;
    if (event->size == 0)
      break;
    event->code = event->size < 2 ? 0 : (guint16)(parser->control[0] << 8 | parser->control[1]);
    if (!is_legal_close_code (event->code))
      fail (parser, event, WS_CLOSE_PROTOCOL_ERROR, "illegal close code");
    else if (!g_utf8_validate_len ((const char *)parser->control + 2, event->size - 2, NULL))
      fail (parser, event, WS_CLOSE_BAD_DATA, "close reason is not UTF-8");
    break;
  }
}

static void
finish_frame (WsParser *parser, WsEvent *event)
{
  parser->in_payload = FALSE;
  parser->header_have = 0;

  if (is_control (parser->opcode)) {
    finish_control (parser, event);
    return;
  }

  parser->message_size += parser->payload_size;
  if (!parser->final)
    return;

  parser->in_message = FALSE;
  if (parser->message_opcode == WS_OPCODE_TEXT
      && !g_utf8_validate_len ((const char *)parser->message, parser->message_size, NULL)) {
    fail (parser, event, WS_CLOSE_BAD_DATA, "text is not UTF-8");
    return;
  }
  *event = (WsEvent){
    .type = WS_EVENT_MESSAGE,
    .opcode = parser->message_opcode,
    .data = parser->message,
    .size = parser->message_size,
  };
}

static gsize
take_payload (WsParser *parser, const guint8 *data, gsize size)
{
  guint8 *out
      = is_control (parser->opcode) ? parser->control : parser->message + parser->message_size;
  gsize n = MIN (size, parser->payload_size - parser->payload_have);

  for (gsize i = 0; i < n; i++, parser->payload_have++)
    out[parser->payload_have] = data[i] ^ parser->mask[parser->payload_have & 3];
  return n;
}

/* Takes bytes of a client up to the first event. Feed the rest again until the event is
 * WS_EVENT_NONE.
 *
 * Returns: how many bytes were taken; all of them if the event is WS_EVENT_NONE */
gsize
ws_parser_feed (WsParser *parser, const guint8 *data, gsize size, WsEvent *event)
{
  gsize taken = 0;

  *event = (WsEvent){ .type = WS_EVENT_NONE };
  if (parser->failed)
    return size;

  while (event->type == WS_EVENT_NONE) {
    if (!parser->in_payload) {
      if (taken == size)
        break;
      parser->header[parser->header_have++] = data[taken++];
      if (parser->header_have == 2 && !check_first_bytes (parser, event))
        break;
      if (parser->header_have < header_size (parser) || !start_payload (parser, event))
        continue;
    }
    taken += take_payload (parser, data + taken, size - taken);
    if (parser->payload_have < parser->payload_size)
      break;
    finish_frame (parser, event);
  }
  return taken;
}

/* Writes the header of a whole, unmasked frame.
 *
 * Returns: its size in bytes, 2 to 10 */
guint
ws_frame_header (guint8 header[WS_MAX_HEADER], WsOpcode opcode, guint64 payload_size)
{
  guint n_bytes = payload_size < 126 ? 0 : payload_size <= G_MAXUINT16 ? 2 : 8;

  header[0] = 0x80 | opcode;
  header[1] = n_bytes == 0 ? payload_size : n_bytes == 2 ? 126 : 127;
  for (guint i = 0; i < n_bytes; i++)
    header[2 + i] = payload_size >> (8 * (n_bytes - 1 - i));
  return 2 + n_bytes;
}

/* Writes the payload of a close frame: empty for WS_CLOSE_NO_STATUS, otherwise code and as much of
 * reason as fits.
 *
 * Returns: its size in bytes */
gsize
ws_close_payload (guint8 payload[WS_MAX_CONTROL_PAYLOAD], guint16 code, const char *reason)
{
  gsize size = reason ? strlen (reason) : 0;

  if (code == WS_CLOSE_NO_STATUS)
    return 0;
  if (size > WS_MAX_CONTROL_PAYLOAD - 2) { /* end at a whole character */
    size = WS_MAX_CONTROL_PAYLOAD - 2;
    while (size > 0 && ((guint8)reason[size] & 0xc0) == 0x80)
      size--;
  }
  payload[0] = code >> 8;
  payload[1] = code & 0xff;
  if (size > 0)
    memcpy (payload + 2, reason, size);
  return 2 + size;
}
