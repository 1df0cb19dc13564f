/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a sender does, written from the specification and kept apart from the readers under test,
 * apart from LEB128. */

#include "av1-payloader.h"

#include "av1-obu.h"

#define Z 0x80
#define Y 0x40
#define N 0x08
#define MAX_COUNTED 3

typedef struct
{
  gsize mtu;
  Av1Packing packing;
  guint8 first_flags;
  GPtrArray *packets;
  GPtrArray *elements; /* GByteArray, of the packet being filled */
  gsize used;
  gboolean continues;
} Packer;

/* What an element of @size takes with a length before it, whether or not it ends up the last. */
static gsize
cost (gsize size)
{
  return av1_leb128_size (size) + size;
}

static void
flush (Packer *p, gboolean unfinished)
{
  g_autoptr (GByteArray) packet = g_byte_array_new ();
  guint n = p->elements->len;
  gboolean counted = p->packing != AV1_PACK_LENGTHS;
  guint8 header = p->first_flags | (p->continues ? Z : 0) | (unfinished ? Y : 0);

  if (n == 0)
    return;
  if (counted)
    header |= n << 4;
  g_byte_array_append (packet, &header, 1);
  for (guint i = 0; i < n; i++) {
    GByteArray *element = g_ptr_array_index (p->elements, i);
    guint8 length[AV1_LEB128_MAX];

    if (!counted || i + 1 < n)
      g_byte_array_append (packet, length, av1_leb128_write (length, element->len));
    g_byte_array_append (packet, element->data, element->len);
  }
  g_ptr_array_add (p->packets, g_byte_array_free_to_bytes (g_steal_pointer (&packet)));
  g_ptr_array_set_size (p->elements, 0);
  p->used = 1;
  p->first_flags = 0;
  p->continues = unfinished;
}

static void
add (Packer *p, const guint8 *data, gsize size)
{
  while (size > 0) {
    gsize room = p->mtu - p->used;
    gsize part = size;
    GByteArray *element;

    if (p->packing != AV1_PACK_LENGTHS && p->elements->len == MAX_COUNTED) {
      flush (p, FALSE);
      continue;
    }
    while (part > 0 && cost (part) > room)
      part = MIN (part - 1, room);
    if (part == 0) {
      flush (p, FALSE);
      continue;
    }
    element = g_byte_array_append (g_byte_array_new (), data, part);
    g_ptr_array_add (p->elements, element);
    p->used += cost (part);
    data += part;
    size -= part;
    if (size > 0)
      flush (p, TRUE);
  }
}

GPtrArray *
av1_pack (const guint8 *unit, gsize size, gsize mtu, Av1Packing packing, gboolean new_sequence)
{
  Packer p = {
    .mtu = mtu,
    .packing = packing,
    .first_flags = new_sequence ? N : 0,
    .packets = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref),
    .elements = g_ptr_array_new_with_free_func ((GDestroyNotify)g_byte_array_unref),
    .used = 1,
  };

  while (size > 0) {
    g_autoptr (GByteArray) obu = g_byte_array_new ();
    guint8 type = (unit[0] >> 3) & 0x0f;
    gsize header = unit[0] & 0x04 ? 2 : 1;
    guint32 payload = 0;
    gsize n = av1_leb128_read (unit + header, size - header, &payload);

    g_assert_cmpuint (n, >, 0);
    g_assert_cmpuint (header + n + payload, <=, size);
    if (type != AV1_OBU_TEMPORAL_DELIMITER) {
      if (packing == AV1_PACK_SIZED) {
        g_byte_array_append (obu, unit, header + n + payload);
      } else {
        g_byte_array_append (obu, unit, header);
        obu->data[0] &= ~AV1_OBU_HAS_SIZE;
        g_byte_array_append (obu, unit + header + n, payload);
      }
      add (&p, obu->data, obu->len);
    }
    unit += header + n + payload;
    size -= header + n + payload;
  }
  flush (&p, FALSE);
  g_ptr_array_unref (p.elements);
  return p.packets;
}
