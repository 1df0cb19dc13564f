/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "av1-obu.h"

#define BYTES(...) (const guint8[]){ __VA_ARGS__ }, sizeof ((const guint8[]){ __VA_ARGS__ })

static void
test_reads_what_it_writes (void)
{
  const guint32 values[] = { 0, 1, 127, 128, 16383, 16384, 2097151, 2097152, G_MAXUINT32 };

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    guint8 bytes[AV1_LEB128_MAX];
    gsize size = av1_leb128_write (bytes, values[i]);
    guint32 value = 0;

    g_assert_cmpuint (size, ==, av1_leb128_size (values[i]));
    g_assert_cmpuint (av1_leb128_read (bytes, size, &value), ==, size);
    g_assert_cmpuint (value, ==, values[i]);
    g_assert_cmpuint (av1_leb128_read (bytes, size - 1, &value), ==, 0);
  }
}

static void
test_leb128_may_be_longer_than_needed (void)
{
  guint32 value = 0;

  g_assert_cmpuint (
      av1_leb128_read (BYTES (0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), &value), ==, 8);
  g_assert_cmpuint (value, ==, 5);
}

static void
test_refuses_leb128_that_is_cut_off_too_long_or_too_large (void)
{
  guint32 value = 7;

  g_assert_cmpuint (av1_leb128_read (NULL, 0, &value), ==, 0);
  g_assert_cmpuint (av1_leb128_read (BYTES (0x80, 0x80), &value), ==, 0);
  g_assert_cmpuint (
      av1_leb128_read (BYTES (0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), &value), ==,
      0);
  g_assert_cmpuint (av1_leb128_read (BYTES (0x80, 0x80, 0x80, 0x80, 0x10), &value), ==, 0);
  g_assert_cmpuint (value, ==, 7);
}

static void
test_obu_without_size_takes_the_rest (void)
{
  Av1Obu obu;

  g_assert_true (av1_obu_parse (BYTES (0x30, 1, 2, 3), &obu));
  g_assert_cmpuint (obu.type, ==, 6);
  g_assert_cmpuint (obu.payload_start, ==, 1);
  g_assert_cmpuint (obu.payload_size, ==, 3);
}

static void
test_obu_with_extension_and_size_leaves_the_rest (void)
{
  Av1Obu obu;

  g_assert_true (av1_obu_parse (BYTES (0x36, 0x20, 2, 1, 2, 3), &obu));
  g_assert_true (obu.has_size);
  g_assert_cmpuint (obu.header_size, ==, 2);
  g_assert_cmpuint (obu.payload_start, ==, 3);
  g_assert_cmpuint (obu.payload_size, ==, 2);
}

static void
test_refuses_bad_obus (void)
{
  Av1Obu obu;

  g_assert_false (av1_obu_parse (NULL, 0, &obu));
  g_assert_false (av1_obu_parse (BYTES (0xb0, 1), &obu));       /* forbidden bit */
  g_assert_false (av1_obu_parse (BYTES (0x34), &obu));          /* no extension byte */
  g_assert_false (av1_obu_parse (BYTES (0x32), &obu));          /* no size */
  g_assert_false (av1_obu_parse (BYTES (0x32, 3, 1, 2), &obu)); /* more than there is */
}

static void
test_counted_elements_have_lengths_but_for_the_last (void)
{
  const guint8 packet[] = { 0x68, 1, 0xaa, 0xbb, 0xcc };
  Av1Payload payload;
  Av1Element element;

  g_assert_true (av1_payload_init (&payload, packet, sizeof packet));
  g_assert_true (payload.new_sequence);
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_ELEMENT);
  g_assert_cmpmem (element.data, element.size, "\xaa", 1);
  g_assert_false (element.continues || element.unfinished);
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_ELEMENT);
  g_assert_cmpmem (element.data, element.size, "\xbb\xcc", 2);
  g_assert_true (element.unfinished);
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_END);
}

static void
test_uncounted_elements_all_have_lengths (void)
{
  const guint8 packet[] = { 0xc0, 1, 0xaa, 2, 0xbb, 0xcc };
  Av1Payload payload;
  Av1Element element;

  g_assert_true (av1_payload_init (&payload, packet, sizeof packet));
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_ELEMENT);
  g_assert_cmpmem (element.data, element.size, "\xaa", 1);
  g_assert_true (element.continues && !element.unfinished);
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_ELEMENT);
  g_assert_cmpmem (element.data, element.size, "\xbb\xcc", 2);
  g_assert_true (!element.continues && element.unfinished);
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_END);
}

static void
test_refuses_payloads_that_claim_more_than_they_have (void)
{
  const guint8 start_and_continuation[] = { 0x98, 1 };
  const guint8 length_beyond_end[] = { 0x00, 4, 1, 2, 3 };
  const guint8 two_elements_without_a_byte[] = { 0x20 };
  Av1Payload payload;
  Av1Element element;

  g_assert_false (av1_payload_init (&payload, NULL, 0));
  g_assert_false (
      av1_payload_init (&payload, start_and_continuation, sizeof start_and_continuation));
  g_assert_true (av1_payload_init (&payload, length_beyond_end, sizeof length_beyond_end));
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_MALFORMED);
  g_assert_true (
      av1_payload_init (&payload, two_elements_without_a_byte, sizeof two_elements_without_a_byte));
  g_assert_cmpint (av1_payload_next (&payload, &element), ==, AV1_PAYLOAD_MALFORMED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/av1-obu/" #name, test_##name)
  ADD (reads_what_it_writes);
  ADD (leb128_may_be_longer_than_needed);
  ADD (refuses_leb128_that_is_cut_off_too_long_or_too_large);
  ADD (obu_without_size_takes_the_rest);
  ADD (obu_with_extension_and_size_leaves_the_rest);
  ADD (refuses_bad_obus);
  ADD (counted_elements_have_lengths_but_for_the_last);
  ADD (uncounted_elements_all_have_lengths);
  ADD (refuses_payloads_that_claim_more_than_they_have);
  return g_test_run ();
}
