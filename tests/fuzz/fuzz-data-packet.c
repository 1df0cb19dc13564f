/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Packets of data channels: each is understood or refused, and what is put together of them keeps
 * the promises of livekit-data.h. The first byte of a packet is its length. */
#include <stdint.h>

#include "livekit-data.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_text (const char *text)
{
  g_assert_true (text && g_utf8_validate (text, -1, NULL));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (LiveKitDataReader) reader = livekit_data_reader_new ();

  while (size > 0) {
    gsize length = MIN (data[0], size - 1);
    g_autoptr (GBytes) bytes = g_bytes_new_static (data + 1, length);
    g_autoptr (LiveKitPacket) packet = livekit_packet_parse (bytes, NULL);
    g_autoptr (LiveKitData) whole = packet ? livekit_data_reader_take (reader, packet) : NULL;

    if (packet)
      check_text (packet->participant);
    if (whole) {
      check_text (whole->participant);
      check_text (whole->topic);
      g_assert_cmpuint (g_bytes_get_size (whole->payload), <=, LIVEKIT_DATA_MAX);
    }
    data += 1 + length;
    size -= 1 + length;
  }
  return 0;
}
