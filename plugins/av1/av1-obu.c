/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Readers of AV1's LEB128 numbers, of OBU headers and of the payload of an RTP packet (RTP Payload
 * Format for AV1, v1.0, sections 4.3 to 4.5). Pure: they look at the bytes they are given, never
 * beyond, and keep nothing. */

#include "av1-obu.h"

#define OBU_FORBIDDEN 0x80
#define OBU_EXTENSION 0x04

#define AGGREGATION_Z 0x80
#define AGGREGATION_Y 0x40
#define AGGREGATION_W_SHIFT 4
#define AGGREGATION_W_MASK 0x03
#define AGGREGATION_N 0x08

/**
 * av1_leb128_read:
 * @value: (out): the number; untouched on failure
 *
 * Returns: how many bytes the number takes, 0 where it is cut off, longer than eight bytes or
 * beyond 32 bits.
 */
gsize
av1_leb128_read (const guint8 *data, gsize size, guint32 *value)
{
  guint64 result = 0;

  for (gsize i = 0; i < MIN (size, AV1_LEB128_MAX); i++) {
    result |= (guint64)(data[i] & 0x7f) << (7 * i);
    if (data[i] & 0x80)
      continue;
    if (result > G_MAXUINT32)
      return 0;
    *value = result;
    return i + 1;
  }
  return 0;
}

gsize
av1_leb128_size (guint32 value)
{
  gsize size = 1;

  while (value >>= 7)
    size++;
  return size;
}

/* Writes the shortest form; @out has room for av1_leb128_size() bytes. */
gsize
av1_leb128_write (guint8 *out, guint32 value)
{
  gsize size = 0;

  do {
    out[size++] = (value & 0x7f) | (value > 0x7f ? 0x80 : 0);
    value >>= 7;
  } while (value);
  return size;
}

/**
 * av1_obu_parse:
 * @obu: (out): what was found; untouched on failure
 *
 * Reads the header of the OBU that starts at @data. One without a size field takes all of @size.
 *
 * Returns: FALSE where the header is cut off or forbidden, or the OBU claims more than @size.
 */
gboolean
av1_obu_parse (const guint8 *data, gsize size, Av1Obu *obu)
{
  Av1Obu found = { 0 };

  if (size == 0 || (data[0] & OBU_FORBIDDEN))
    return FALSE;

  found.type = (data[0] >> 3) & 0x0f;
  found.has_size = (data[0] & AV1_OBU_HAS_SIZE) != 0;
  found.header_size = (data[0] & OBU_EXTENSION) ? 2 : 1;
  if (found.header_size > size)
    return FALSE;

  found.payload_start = found.header_size;
  found.payload_size = size - found.header_size;
  if (found.has_size) {
    guint32 payload_size;
    gsize n = av1_leb128_read (data + found.header_size, found.payload_size, &payload_size);

    if (n == 0 || payload_size > found.payload_size - n)
      return FALSE;
    found.payload_start += n;
    found.payload_size = payload_size;
  }
  *obu = found;
  return TRUE;
}

/* Reads the aggregation header. Returns: FALSE where the packet breaks the format's rules. */
gboolean
av1_payload_init (Av1Payload *payload, const guint8 *data, gsize size)
{
  guint w;

  if (size == 0)
    return FALSE;

  w = (data[0] >> AGGREGATION_W_SHIFT) & AGGREGATION_W_MASK;
  *payload = (Av1Payload){
    .data = data + 1,
    .size = size - 1,
    .remaining = w > 0 ? w : G_MAXUINT,
    .continues = (data[0] & AGGREGATION_Z) != 0,
    .unfinished = (data[0] & AGGREGATION_Y) != 0,
    .new_sequence = (data[0] & AGGREGATION_N) != 0,
  };
  return !(payload->new_sequence && payload->continues);
}

Av1PayloadResult
av1_payload_next (Av1Payload *payload, Av1Element *element)
{
  gboolean counted = payload->remaining != G_MAXUINT;
  guint32 size = payload->size;

  if (payload->remaining == 0 || (!counted && payload->size == 0))
    return AV1_PAYLOAD_END;

  if (payload->remaining > 1) { /* only the last of a counted number has no length */
    gsize n = av1_leb128_read (payload->data, payload->size, &size);

    if (n == 0 || size > payload->size - n)
      return AV1_PAYLOAD_MALFORMED;
    payload->data += n;
    payload->size -= n;
  }
  if (counted)
    payload->remaining--;

  element->data = payload->data;
  element->size = size;
  element->continues = payload->continues;
  payload->data += size;
  payload->size -= size;
  payload->continues = FALSE;
  element->unfinished
      = payload->unfinished && (counted ? payload->remaining == 0 : payload->size == 0);
  return AV1_PAYLOAD_ELEMENT;
}
