/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-protocol.h"

#include <string.h>

#define BYTES(...) (const guint8[]){ __VA_ARGS__ }, sizeof ((const guint8[]){ __VA_ARGS__ })

/* A masked frame; length in as many bytes as length_bytes says: 0, 2 or 8. */
static void
append_frame (GByteArray *out, guint8 first, const char *payload, gsize size, guint length_bytes)
{
  const guint8 mask[4] = { 0xa5, 0x5a, 0x11, 0xee };
  guint8 second = 0x80 | (length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127);

  g_byte_array_append (out, &first, 1);
  g_byte_array_append (out, &second, 1);
  for (guint i = length_bytes; i-- > 0;) {
    guint8 byte = (guint64)size >> (8 * i);

    g_byte_array_append (out, &byte, 1);
  }
  g_byte_array_append (out, mask, 4);
  for (gsize i = 0; i < size; i++) {
    guint8 byte = (guint8)payload[i] ^ mask[i & 3];

    g_byte_array_append (out, &byte, 1);
  }
}

static GByteArray *
frame (guint8 first, const char *payload)
{
  GByteArray *out = g_byte_array_new ();
  gsize size = strlen (payload);

  append_frame (out, first, payload, size, size < 126 ? 0 : 2);
  return out;
}

/* Feeds all of it at once and returns the first event. */
static WsEvent
first_event (WsParser *parser, const guint8 *data, gsize size)
{
  WsEvent event;
  gsize taken;

  ws_parser_init (parser);
  taken = ws_parser_feed (parser, data, size, &event);
  g_assert_cmpuint (taken, <=, size);
  return event;
}

static void
assert_fails (const guint8 *data, gsize size, guint code)
{
  WsParser parser;
  WsEvent event = first_event (&parser, data, size);

  g_assert_cmpint (event.type, ==, WS_EVENT_ERROR);
  g_assert_cmpuint (event.code, ==, code);
  g_assert_nonnull (event.reason);

  g_assert_cmpuint (ws_parser_feed (&parser, data, size, &event), ==, size);
  g_assert_cmpint (event.type, ==, WS_EVENT_NONE);
}

static void
test_a_text_is_unmasked (void)
{
  WsParser parser;
  g_autoptr (GByteArray) bytes = frame (0x81, "ping");
  WsEvent event = first_event (&parser, bytes->data, bytes->len);

  g_assert_cmpint (event.type, ==, WS_EVENT_MESSAGE);
  g_assert_cmpint (event.opcode, ==, WS_OPCODE_TEXT);
  g_assert_cmpmem (event.data, event.size, "ping", 4);
}

static void
test_bytes_may_come_one_by_one (void)
{
  WsParser parser;
  WsEvent event;
  g_autoptr (GByteArray) bytes = frame (0x02, "one ");
  guint n_pings = 0, n_messages = 0;

  append_frame (bytes, 0x89, "between", 7, 0);
  append_frame (bytes, 0x00, "", 0, 0);
  append_frame (bytes, 0x80, "two", 3, 0);
  ws_parser_init (&parser);
  for (guint i = 0; i < bytes->len; i++) {
    g_assert_cmpuint (ws_parser_feed (&parser, bytes->data + i, 1, &event), ==, 1);
    if (event.type == WS_EVENT_PING) {
      n_pings++;
      g_assert_cmpmem (event.data, event.size, "between", 7);
    } else if (event.type == WS_EVENT_MESSAGE) {
      n_messages++;
      g_assert_cmpint (event.opcode, ==, WS_OPCODE_BINARY);
      g_assert_cmpmem (event.data, event.size, "one two", 7);
    } else {
      g_assert_cmpint (event.type, ==, WS_EVENT_NONE);
    }
  }
  g_assert_cmpuint (n_pings, ==, 1);
  g_assert_cmpuint (n_messages, ==, 1);
}

static void
test_frames_in_one_piece_are_told_one_after_the_other (void)
{
  WsParser parser;
  WsEvent event;
  g_autoptr (GByteArray) bytes = frame (0x81, "a");
  gsize done = 0;
  const char *expected[] = { "a", "b", "" };

  append_frame (bytes, 0x81, "b", 1, 0);
  append_frame (bytes, 0x81, "", 0, 0);
  ws_parser_init (&parser);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    done += ws_parser_feed (&parser, bytes->data + done, bytes->len - done, &event);
    g_assert_cmpint (event.type, ==, WS_EVENT_MESSAGE);
    g_assert_cmpmem (event.data, event.size, expected[i], strlen (expected[i]));
  }
  g_assert_cmpuint (done, ==, bytes->len);
}

static void
test_4096_bytes_are_taken_and_one_more_is_too_big (void)
{
  WsParser parser;
  char payload[WS_MAX_CLIENT_MESSAGE + 1];
  g_autoptr (GByteArray) fits = g_byte_array_new ();
  g_autoptr (GByteArray) too_big = g_byte_array_new ();
  WsEvent event;

  memset (payload, 'x', sizeof payload);
  append_frame (fits, 0x81, payload, WS_MAX_CLIENT_MESSAGE, 2);
  append_frame (too_big, 0x81, payload, WS_MAX_CLIENT_MESSAGE + 1, 2);
  event = first_event (&parser, fits->data, fits->len);
  g_assert_cmpint (event.type, ==, WS_EVENT_MESSAGE);
  g_assert_cmpuint (event.size, ==, WS_MAX_CLIENT_MESSAGE);
  assert_fails (too_big->data, 8, WS_CLOSE_TOO_BIG); /* told by the header alone */
  assert_fails (BYTES (0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0),
      WS_CLOSE_TOO_BIG);
}

static void
test_fragments_together_may_not_be_too_big (void)
{
  WsParser parser;
  WsEvent event;
  char payload[4000];
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  memset (payload, 'x', sizeof payload);
  append_frame (bytes, 0x01, payload, 4000, 2);
  append_frame (bytes, 0x80, payload, 97, 0);
  event = first_event (&parser, bytes->data, bytes->len);
  g_assert_cmpint (event.type, ==, WS_EVENT_ERROR);
  g_assert_cmpuint (event.code, ==, WS_CLOSE_TOO_BIG);
}

static void
test_broken_frames_are_protocol_errors (void)
{
  assert_fails (BYTES (0x81, 0x00), WS_CLOSE_PROTOCOL_ERROR); /* not masked */
  assert_fails (BYTES (0xc1, 0x80), WS_CLOSE_PROTOCOL_ERROR); /* RSV1: compressed */
  assert_fails (BYTES (0x83, 0x80), WS_CLOSE_PROTOCOL_ERROR); /* unknown opcodes */
  assert_fails (BYTES (0x8b, 0x80), WS_CLOSE_PROTOCOL_ERROR);
  assert_fails (BYTES (0x09, 0x80), WS_CLOSE_PROTOCOL_ERROR); /* ping in fragments */
  assert_fails (BYTES (0x89, 0xfe), WS_CLOSE_PROTOCOL_ERROR); /* long ping */
  assert_fails (BYTES (0x80, 0x80), WS_CLOSE_PROTOCOL_ERROR); /* continuation of nothing */
  assert_fails (
      BYTES (0x81, 0xfe, 0, 125, 0, 0, 0, 0), WS_CLOSE_PROTOCOL_ERROR); /* length too long */
  assert_fails (BYTES (0x81, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0), WS_CLOSE_PROTOCOL_ERROR);
  assert_fails (BYTES (0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), WS_CLOSE_PROTOCOL_ERROR);
}

static void
test_a_message_within_a_message_is_a_protocol_error (void)
{
  g_autoptr (GByteArray) bytes = frame (0x01, "a");

  append_frame (bytes, 0x81, "b", 1, 0);
  assert_fails (bytes->data, bytes->len, WS_CLOSE_PROTOCOL_ERROR);
}

static void
test_text_that_is_not_utf8_is_bad_data (void)
{
  g_autoptr (GByteArray) text = frame (0x81, "\xc3\x28");
  g_autoptr (GByteArray) reason = frame (0x88, "\x03\xe8\xff");

  assert_fails (text->data, text->len, WS_CLOSE_BAD_DATA);
  assert_fails (reason->data, reason->len, WS_CLOSE_BAD_DATA);
}

static void
test_close_codes_are_checked (void)
{
  WsParser parser;
  g_autoptr (GByteArray) bytes = frame (0x88, "\x03\xe9gone");
  g_autoptr (GByteArray) empty = frame (0x88, "");
  g_autoptr (GByteArray) half = frame (0x88, "\x03");
  g_autoptr (GByteArray) reserved = frame (0x88, "\x03\xed");
  WsEvent event = first_event (&parser, bytes->data, bytes->len);

  g_assert_cmpint (event.type, ==, WS_EVENT_CLOSE);
  g_assert_cmpuint (event.code, ==, WS_CLOSE_GOING_AWAY);
  event = first_event (&parser, empty->data, empty->len);
  g_assert_cmpint (event.type, ==, WS_EVENT_CLOSE);
  g_assert_cmpuint (event.code, ==, WS_CLOSE_NO_STATUS);
  assert_fails (half->data, half->len, WS_CLOSE_PROTOCOL_ERROR);
  assert_fails (reserved->data, reserved->len, WS_CLOSE_PROTOCOL_ERROR);
}

static void
test_headers_have_their_shortest_form (void)
{
  guint8 header[WS_MAX_HEADER];
  const struct
  {
    guint64 size;
    guint n;
    guint8 bytes[WS_MAX_HEADER];
  } cases[] = {
    { 0, 2, { 0x82, 0 } },
    { 125, 2, { 0x82, 125 } },
    { 126, 4, { 0x82, 126, 0, 126 } },
    { 0xffff, 4, { 0x82, 126, 0xff, 0xff } },
    { 0x10000, 10, { 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0 } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    guint n = ws_frame_header (header, WS_OPCODE_BINARY, cases[i].size);

    g_assert_cmpmem (header, n, cases[i].bytes, cases[i].n);
  }
}

static void
test_a_long_close_reason_is_cut_at_a_character (void)
{
  guint8 payload[WS_MAX_CONTROL_PAYLOAD];
  g_autoptr (GString) reason = g_string_new ("x");
  gsize size;

  for (guint i = 0; i < 100; i++)
    g_string_append (reason, "ä");
  size = ws_close_payload (payload, WS_CLOSE_NORMAL, reason->str);
  g_assert_cmpuint (size, ==, 2 + 1 + 122);
  g_assert_true (g_utf8_validate_len ((const char *)payload + 2, size - 2, NULL));
  g_assert_cmpuint (ws_close_payload (payload, WS_CLOSE_NORMAL, NULL), ==, 2);
  g_assert_cmpuint (ws_close_payload (payload, WS_CLOSE_NO_STATUS, NULL), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/ws-protocol/" #name, test_##name)
  ADD (a_text_is_unmasked);
  ADD (bytes_may_come_one_by_one);
  ADD (frames_in_one_piece_are_told_one_after_the_other);
  ADD (4096_bytes_are_taken_and_one_more_is_too_big);
  ADD (fragments_together_may_not_be_too_big);
  ADD (broken_frames_are_protocol_errors);
  ADD (a_message_within_a_message_is_a_protocol_error);
  ADD (text_that_is_not_utf8_is_bad_data);
  ADD (close_codes_are_checked);
  ADD (headers_have_their_shortest_form);
  ADD (a_long_close_reason_is_cut_at_a_character);
  return g_test_run ();
}
