/* haven-wav: the sizes in the header of a WAV file that still grows, so that what a crash leaves
 * says how long it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* More than 4 GB cannot be said: the largest number is, which players read as “to the end”. What
 * has no header of 44 bytes as we write it stays as it is.
 *
 * @fd: open for reading and writing
 * @size: of the file, bytes
 *
 * Returns: whether the header was written */
gboolean haven_wav_set_size (int fd, guint64 size);

G_END_DECLS
