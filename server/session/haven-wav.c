/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-wav.h"

#include <string.h>
#include <unistd.h>

/* "RIFF" size "WAVE" "fmt " 16 (16 bytes) "data" size */
#define HEADER_SIZE 44
#define RIFF_SIZE_AT 4
#define DATA_AT 36
#define DATA_SIZE_AT 40

static gboolean
write_size (int fd, guint64 size, off_t at)
{
  guint32 value = GUINT32_TO_LE ((guint32)MIN (size, G_MAXUINT32));

  return pwrite (fd, &value, sizeof value, at) == sizeof value;
}

gboolean
haven_wav_set_size (int fd, guint64 size)
{
  char header[HEADER_SIZE];

  if (size < HEADER_SIZE || pread (fd, header, sizeof header, 0) != sizeof header
      || memcmp (header, "RIFF", 4) != 0 || memcmp (header + DATA_AT, "data", 4) != 0)
    return FALSE;
  return write_size (fd, size - 8, RIFF_SIZE_AT)
         && write_size (fd, size - HEADER_SIZE, DATA_SIZE_AT);
}
