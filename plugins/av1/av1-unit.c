/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Puts the OBUs of RTP packets together to a temporal unit in the low overhead format: a temporal
 * delimiter, then each OBU with its size. Each byte is copied once, from the packet to where it
 * stays. Only the size of an OBU that comes in pieces is not known before its last piece: two bytes
 * are kept free for it, as most need, and an OBU that is larger or smaller than that is moved by a
 * byte. */

#include "av1-unit.h"

#include <string.h>

struct _Av1Unit
{
  gsize max_size;    /* bound of bytes->len */
  GByteArray *bytes; /* (owned) (nullable) whole OBUs, then the open one; NULL while the unit has no
                        packet */
  gboolean open;     /* the last OBU waits for its next piece */
  gsize open_start;  /* where it will begin once its size is known */
  gsize open_data;   /* where what has come of it begins, as it was sent */
};

static const guint8 temporal_delimiter[]
    = { AV1_OBU_TEMPORAL_DELIMITER << 3 | AV1_OBU_HAS_SIZE, 0 };

#define USUAL_SIZE_FIELD 2

Av1Unit *
av1_unit_new (gsize max_size)
{
  Av1Unit *unit = g_new0 (Av1Unit, 1);

  unit->max_size = max_size;
  return unit;
}

void
av1_unit_free (Av1Unit *unit)
{
  av1_unit_clear (unit);
  g_free (unit);
}

/* Forgets what came so far. */
void
av1_unit_clear (Av1Unit *unit)
{
  g_clear_pointer (&unit->bytes, g_byte_array_unref);
  unit->open = FALSE;
}

gboolean
av1_unit_is_empty (const Av1Unit *unit)
{
  return unit->bytes == NULL;
}

static gboolean
av1_obu_belongs_in_unit (const Av1Obu *obu)
{
  return obu->type != AV1_OBU_TEMPORAL_DELIMITER && obu->type != AV1_OBU_TILE_LIST;
}

/* The header of @obu, which was read from @raw, as it stands in a unit: with the size. Returns: its
 * length. */
static gsize
av1_obu_write_header (const Av1Obu *obu, const guint8 *raw, guint8 header[AV1_HEADER_MAX])
{
  memcpy (header, raw, obu->header_size);
  header[0] |= AV1_OBU_HAS_SIZE;
  return obu->header_size + av1_leb128_write (header + obu->header_size, obu->payload_size);
}

static Av1UnitResult
av1_unit_add_obu (Av1Unit *unit, const guint8 *raw, gsize size)
{
  guint8 header[AV1_HEADER_MAX];
  Av1Obu obu;

  if (!av1_obu_parse (raw, size, &obu))
    return AV1_UNIT_MALFORMED;
  if (av1_obu_belongs_in_unit (&obu)) {
    g_byte_array_append (unit->bytes, header, av1_obu_write_header (&obu, raw, header));
    g_byte_array_append (unit->bytes, raw + obu.payload_start, obu.payload_size);
  }
  return AV1_UNIT_OK;
}

static void
av1_unit_open_obu (Av1Unit *unit)
{
  unit->open = TRUE;
  unit->open_start = unit->bytes->len;
  unit->open_data = unit->open_start + USUAL_SIZE_FIELD;
  g_byte_array_set_size (unit->bytes, unit->open_data);
}

/* The open OBU is whole: gives it its final header. */
static Av1UnitResult
av1_unit_close_obu (Av1Unit *unit)
{
  GByteArray *bytes = unit->bytes;
  guint8 header[AV1_HEADER_MAX];
  gsize from, to;
  Av1Obu obu;

  unit->open = FALSE;
  if (!av1_obu_parse (bytes->data + unit->open_data, bytes->len - unit->open_data, &obu))
    return AV1_UNIT_MALFORMED;
  if (!av1_obu_belongs_in_unit (&obu)) {
    g_byte_array_set_size (bytes, unit->open_start);
    return AV1_UNIT_OK;
  }

  from = unit->open_data + obu.payload_start;
  to = unit->open_start + av1_obu_write_header (&obu, bytes->data + unit->open_data, header);
  if (to > from)
    g_byte_array_set_size (bytes, to + obu.payload_size);
  if (to != from)
    memmove (bytes->data + to, bytes->data + from, obu.payload_size);
  memcpy (bytes->data + unit->open_start, header, to - unit->open_start);
  g_byte_array_set_size (bytes, to + obu.payload_size);
  return AV1_UNIT_OK;
}

static Av1UnitResult
av1_unit_add_element (Av1Unit *unit, const Av1Element *element)
{
  if (element->continues != unit->open)
    return AV1_UNIT_INCOMPLETE;
  if (unit->bytes->len + element->size + AV1_HEADER_MAX > unit->max_size)
    return AV1_UNIT_TOO_LARGE;

  if (!element->continues && !element->unfinished) {
    if (element->size == 0) /* against the format, but nothing is lost with it */
      return AV1_UNIT_OK;
    return av1_unit_add_obu (unit, element->data, element->size);
  }

  if (!unit->open)
    av1_unit_open_obu (unit);
  if (element->size > 0)
    g_byte_array_append (unit->bytes, element->data, element->size);
  return element->unfinished ? AV1_UNIT_OK : av1_unit_close_obu (unit);
}

/**
 * av1_unit_add:
 * @payload: a packet's elements; read to the end
 *
 * Adds a packet. After another result than AV1_UNIT_OK the unit is empty: what came of it is of no
 * use to a decoder.
 */
Av1UnitResult
av1_unit_add (Av1Unit *unit, Av1Payload *payload)
{
  Av1UnitResult result = AV1_UNIT_OK;
  Av1Element element;

  if (!unit->bytes) {
    unit->bytes = g_byte_array_new ();
    g_byte_array_append (unit->bytes, temporal_delimiter, sizeof temporal_delimiter);
  }

  while (result == AV1_UNIT_OK) {
    switch (av1_payload_next (payload, &element)) {
    case AV1_PAYLOAD_ELEMENT:
      result = av1_unit_add_element (unit, &element);
      break;
    case AV1_PAYLOAD_MALFORMED:
      result = AV1_UNIT_MALFORMED;
      break;
    case AV1_PAYLOAD_END:
      return AV1_UNIT_OK;
    }
  }
  av1_unit_clear (unit);
  return result;
}

/**
 * av1_unit_finish:
 * @bytes: (out) (transfer full) (nullable): the unit; %NULL where it has no OBU
 *
 * Hands the unit out and starts the next.
 */
Av1UnitResult
av1_unit_finish (Av1Unit *unit, GBytes **bytes)
{
  Av1UnitResult result = unit->open ? AV1_UNIT_INCOMPLETE : AV1_UNIT_OK;

  *bytes = NULL;
  if (result == AV1_UNIT_OK && unit->bytes && unit->bytes->len > sizeof temporal_delimiter)
    *bytes = g_byte_array_free_to_bytes (g_steal_pointer (&unit->bytes));
  av1_unit_clear (unit);
  return result;
}

const char *
av1_unit_result_to_string (Av1UnitResult result)
{
  switch (result) {
  case AV1_UNIT_OK:
    return "whole";
  case AV1_UNIT_MALFORMED:
    return "malformed";
  case AV1_UNIT_INCOMPLETE:
    return "incomplete";
  case AV1_UNIT_TOO_LARGE:
    return "too large";
  }
  g_return_val_if_reached ("");
}
