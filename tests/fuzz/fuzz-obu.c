/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as LEB128, as an OBU and as the payload of an RTP packet: what is found lies within
 * them. */

#include "av1-obu.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  Av1Payload payload;
  Av1Element element;
  Av1Obu obu;
  guint32 value;
  gsize n = av1_leb128_read (data, size, &value);

  if (n > 0) {
    guint8 again[AV1_LEB128_MAX];

    g_assert_cmpuint (n, <=, MIN (size, AV1_LEB128_MAX));
    g_assert_cmpuint (av1_leb128_write (again, value), <=, n);
  }
  if (av1_obu_parse (data, size, &obu))
    g_assert_cmpuint (obu.payload_start + obu.payload_size, <=, size);

  if (av1_payload_init (&payload, data, size)) {
    while (av1_payload_next (&payload, &element) == AV1_PAYLOAD_ELEMENT) {
      g_assert_true (element.data > data);
      g_assert_true (element.data + element.size <= data + size);
    }
  }
  return 0;
}
