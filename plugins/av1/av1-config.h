/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

GBytes *av1_config_record_new (const guint8 *unit, gsize size);

G_END_DECLS
