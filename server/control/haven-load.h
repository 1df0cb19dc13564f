/* haven-load: how busy the machine's processors are.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _HavenLoad HavenLoad;

HavenLoad *haven_load_new (const char *path);
void haven_load_free (HavenLoad *load);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenLoad, haven_load_free)

void haven_load_sample (HavenLoad *load);
guint haven_load_percent (HavenLoad *load);

G_END_DECLS
