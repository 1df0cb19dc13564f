/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as a temporal unit: the record holds what is in it, behind its own header. */

#include "av1-config.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) record = av1_config_record_new (data, size);

  if (record) {
    gsize record_size, at = 0;
    const guint8 *bytes = g_bytes_get_data (record, &record_size);
    gsize obu_size = record_size - 4;

    g_assert_cmpuint (record_size, >=, 4 + 4);
    while (at + obu_size <= size && memcmp (data + at, bytes + 4, obu_size) != 0)
      at++;
    g_assert_cmpuint (at + obu_size, <=, size);
  }
  return 0;
}
