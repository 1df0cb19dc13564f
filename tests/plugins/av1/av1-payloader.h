/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How the elements of a packet are marked. */
typedef enum
{
  AV1_PACK_COUNTED, /* W says how many, up to three; the last has no length */
  AV1_PACK_LENGTHS, /* W = 0: each has a length */
  AV1_PACK_SIZED,   /* as counted, and the OBUs keep their own size fields */
} Av1Packing;

/* Splits a temporal unit of the low overhead format into RTP payloads of at most @mtu bytes.
 * Returns: (transfer full) (element-type GBytes): none where the unit is not well formed */
GPtrArray *av1_pack (
    const guint8 *unit, gsize size, gsize mtu, Av1Packing packing, gboolean new_sequence);

G_END_DECLS
