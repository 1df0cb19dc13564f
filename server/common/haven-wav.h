/* haven-wav: a WAV header that says how long its file is, while that grows, and above 4 GB.
 *
 * It is written as for RF64 (EBU Tech 3306), which has room for sizes of 64 bits: "RIFF" size
 * "WAVE" "ds64" 28 (sizes) "fmt " 16 (format) "data" size. As long as 32 bits do, that room is
 * "JUNK", which every player passes over. Pure, but for haven_wav_set_size().
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HAVEN_WAV_HEADER 80 /* bytes */

/* @header: HAVEN_WAV_HEADER bytes; what is none of ours stays as it is
 * @size: of the file, bytes
 *
 * Returns: whether it says so */
gboolean haven_wav_describe (guint8 *header, guint64 size);

/* @header: as wavenc writes it, with ds64
 *
 * Returns: how long it says that the file is */
guint64 haven_wav_read_size (const guint8 *header);

/* @fd: open for reading and writing
 * @size: of the file, bytes
 *
 * Returns: whether the header was written */
gboolean haven_wav_set_size (int fd, guint64 size);

G_END_DECLS
