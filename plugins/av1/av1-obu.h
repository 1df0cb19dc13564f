/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* OBU types of the AV1 bitstream specification, section 6.2.2, as far as RTP treats them apart. */
typedef enum
{
  AV1_OBU_SEQUENCE_HEADER = 1,
  AV1_OBU_TEMPORAL_DELIMITER = 2,
  AV1_OBU_TILE_LIST = 8,
} Av1ObuType;

#define AV1_OBU_HAS_SIZE 0x02
#define AV1_LEB128_MAX 8  /* bytes of the longest LEB128 that AV1 permits */
#define AV1_HEADER_MAX 10 /* header, extension, size */

typedef struct
{
  guint8 type;         /* Av1ObuType, or another */
  gboolean has_size;   /* the OBU says its own size */
  gsize header_size;   /* 1, or 2 with the extension; without the size field */
  gsize payload_start; /* first byte after header and size field */
  gsize payload_size;
} Av1Obu;

/* One OBU element of an RTP payload: an OBU, or a piece of one. */
typedef struct
{
  const guint8 *data;  /* (nullable) within the payload */
  gsize size;          /* may be 0 */
  gboolean continues;  /* begins where the last element of the previous packet stopped (Z) */
  gboolean unfinished; /* goes on in the next packet (Y) */
} Av1Element;

/* Reads the elements of one RTP payload; borrows its bytes. */
typedef struct
{
  const guint8 *data; /* what has not been read */
  gsize size;
  guint remaining;       /* elements to come; G_MAXUINT where the payload does not say (W = 0) */
  gboolean continues;    /* Z, until the first element has taken it */
  gboolean unfinished;   /* Y */
  gboolean new_sequence; /* N: a coded video sequence starts in this packet */
} Av1Payload;

typedef enum
{
  AV1_PAYLOAD_ELEMENT,
  AV1_PAYLOAD_END,
  AV1_PAYLOAD_MALFORMED,
} Av1PayloadResult;

gsize av1_leb128_read (const guint8 *data, gsize size, guint32 *value);
gsize av1_leb128_size (guint32 value);
gsize av1_leb128_write (guint8 *out, guint32 value);

gboolean av1_obu_parse (const guint8 *data, gsize size, Av1Obu *obu);

gboolean av1_payload_init (Av1Payload *payload, const guint8 *data, gsize size);
Av1PayloadResult av1_payload_next (Av1Payload *payload, Av1Element *element);

G_END_DECLS
