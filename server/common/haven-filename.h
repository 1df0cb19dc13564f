/* haven-filename: the names that a finished file gets, and that they last.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HAVEN_UNFINISHED ".part" /* a file that is being written, or was when its writer died */

char *haven_filename_finished (const char *path);
char *haven_filename_numbered (const char *path, guint n);
char *haven_filename_give (const char *from, const char *to);
char *haven_filename_write (const char *path, const char *data, gsize size, GError **error);
int haven_filename_sync (const char *path);

G_END_DECLS
