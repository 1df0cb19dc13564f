/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "av1-obu.h"

G_BEGIN_DECLS

/* A temporal unit while its packets come in. Not thread safe. */
typedef struct _Av1Unit Av1Unit;

typedef enum
{
  AV1_UNIT_OK,
  AV1_UNIT_MALFORMED,  /* the bytes are no AV1, or not packed as the format says */
  AV1_UNIT_INCOMPLETE, /* a piece of an OBU is missing */
  AV1_UNIT_TOO_LARGE,
} Av1UnitResult;

Av1Unit *av1_unit_new (gsize max_size);
void av1_unit_free (Av1Unit *unit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Av1Unit, av1_unit_free)

gboolean av1_unit_is_empty (const Av1Unit *unit);
Av1UnitResult av1_unit_add (Av1Unit *unit, Av1Payload *payload);
Av1UnitResult av1_unit_finish (Av1Unit *unit, GBytes **bytes);
void av1_unit_clear (Av1Unit *unit);

const char *av1_unit_result_to_string (Av1UnitResult result);

G_END_DECLS
