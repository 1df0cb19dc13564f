/* haven-name: what a recording's file is called, by a template. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HAVEN_NAME_MAX_TEMPLATE 200 /* bytes */

gboolean haven_name_check (const char *name_template, GError **error);
char *haven_name_make (
    const char *name_template, const char *mint_id, const char *room_name, gint64 unix_us);

G_END_DECLS
