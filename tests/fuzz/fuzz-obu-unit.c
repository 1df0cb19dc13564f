/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any packets, put together: a unit that is given out is a temporal delimiter and whole OBUs with
 * sizes, within the bound. The input is packets, each behind a byte of its length; a packet that
 * says so ends the unit. */

#include "av1-unit.h"

#define MAX_SIZE 4096    /* small, so that the bound is met */
#define END_OF_UNIT 0x01 /* one of the bits that the aggregation header reserves */

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

static void
check_unit (GBytes *bytes)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  g_assert_cmpuint (size, <=, MAX_SIZE);
  g_assert_cmpmem (data, 2, "\x12\0", 2);
  data += 2;
  size -= 2;
  g_assert_cmpuint (size, >, 0);
  while (size > 0) {
    Av1Obu obu;

    g_assert_true (av1_obu_parse (data, size, &obu));
    g_assert_true (obu.has_size);
    g_assert_cmpuint (obu.type, !=, AV1_OBU_TEMPORAL_DELIMITER);
    g_assert_cmpuint (obu.type, !=, AV1_OBU_TILE_LIST);
    g_assert_cmpuint (obu.payload_start, ==, obu.header_size + av1_leb128_size (obu.payload_size));
    data += obu.payload_start + obu.payload_size;
    size -= obu.payload_start + obu.payload_size;
  }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (Av1Unit) unit = av1_unit_new (MAX_SIZE);

  while (size > 1) {
    gsize packet_size = MIN (data[0], size - 1);
    const guint8 *packet = data + 1;
    Av1Payload payload;

    if (av1_payload_init (&payload, packet, packet_size)) {
      av1_unit_add (unit, &payload);
      if (packet[0] & END_OF_UNIT) {
        g_autoptr (GBytes) bytes = NULL;

        if (av1_unit_finish (unit, &bytes) == AV1_UNIT_OK && bytes)
          check_unit (bytes);
        g_assert_true (av1_unit_is_empty (unit));
      }
    }
    data += 1 + packet_size;
    size -= 1 + packet_size;
  }
  return 0;
}
