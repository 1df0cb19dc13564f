/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The configuration record (av1C) that Matroska and MP4 keep beside a stream: AV1 Codec ISO Media
 * File Format Binding, section 2.3. */

#include "av1-config.h"

#include "av1-obu.h"

#define RECORD_HEADER 4
#define MARKER_AND_VERSION 0x81
#define SUBSAMPLED_420 0x0c
#define FIRST_LEVEL_WITH_TIER 8

/* A sequence header begins with these, where it is none of a still picture and has no timing:
 * profile (3 bits), still (1), reduced (1), timing (1), display delay (1), operating points (5), of
 * the first its layers (12), its level (5) and, from level 8 on, its tier (1). */
static gboolean
fill_header (guint8 header[RECORD_HEADER], const guint8 *sequence, gsize size)
{
  guint level, tier;

  if (size < 4 || (sequence[0] & 0x1c) != 0)
    return FALSE;
  level = sequence[3] >> 3;
  tier = level >= FIRST_LEVEL_WITH_TIER ? (sequence[3] >> 2) & 1 : 0;
  header[0] = MARKER_AND_VERSION;
  header[1] = (sequence[0] & 0xe0) | level;
  header[2] = (tier << 7) | SUBSAMPLED_420;
  header[3] = 0; /* no display delay is said */
  return TRUE;
}

/**
 * av1_config_record_new:
 * @unit: a temporal unit of 8 bit 4:2:0 whose OBUs say their size
 *
 * Returns: (transfer full) (nullable): the record, which holds the unit's sequence header; %NULL
 * where it has none, or one of a kind that our encoder does not make
 */
GBytes *
av1_config_record_new (const guint8 *unit, gsize size)
{
  Av1Obu obu;

  for (gsize at = 0; at < size; at += obu.payload_start + obu.payload_size) {
    if (!av1_obu_parse (unit + at, size - at, &obu) || !obu.has_size)
      return NULL;
    if (obu.type == AV1_OBU_SEQUENCE_HEADER) {
      gsize obu_size = obu.payload_start + obu.payload_size;
      guint8 header[RECORD_HEADER];
      GByteArray *record;

      if (!fill_header (header, unit + at + obu.payload_start, obu.payload_size))
        return NULL;
      record = g_byte_array_sized_new (RECORD_HEADER + obu_size);
      g_byte_array_append (record, header, RECORD_HEADER);
      g_byte_array_append (record, unit + at, obu_size);
      return g_byte_array_free_to_bytes (record);
    }
  }
  return NULL;
}
