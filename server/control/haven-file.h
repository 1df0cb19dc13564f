/* haven-file: sends a file, or a range of it, over a connection that was taken from libsoup; 64 KiB
 * at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  HAVEN_RANGE_NONE, /* the whole file */
  HAVEN_RANGE_PART,
  HAVEN_RANGE_UNSATISFIABLE,
} HavenRangeKind;

HavenRangeKind haven_range_parse (
    const char *header, guint64 size, guint64 *first, guint64 *length);
void haven_file_send (
    GIOStream *stream, GSocket *socket, const char *head, GFileInputStream *file, guint64 length);
gboolean haven_file_full (void);

G_END_DECLS
