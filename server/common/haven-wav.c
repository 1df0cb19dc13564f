/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-wav.h"

#include <string.h>
#include <unistd.h>

#define RIFF_SIZE_AT 4
#define ROOM_AT 12
#define ROOM_SIZE 28
#define SIZES_AT \
  20 /* of the file behind its first 8 bytes, of the sound, and samples; 64 bits each */
#define BLOCK_AT 68
#define DATA_AT 72
#define DATA_SIZE_AT 76

static guint32
read32 (const guint8 *data)
{
  guint32 value;

  memcpy (&value, data, sizeof value);
  return GUINT32_FROM_LE (value);
}

static void
write32 (guint8 *data, guint64 value)
{
  guint32 little = GUINT32_TO_LE ((guint32)MIN (value, G_MAXUINT32));

  memcpy (data, &little, sizeof little);
}

static void
write64 (guint8 *data, guint64 value)
{
  guint64 little = GUINT64_TO_LE (value);

  memcpy (data, &little, sizeof little);
}

static gboolean
is_ours (const guint8 *header)
{
  const guint8 *room = header + ROOM_AT;

  return (memcmp (header, "RIFF", 4) == 0 || memcmp (header, "RF64", 4) == 0)
         && (memcmp (room, "JUNK", 4) == 0 || memcmp (room, "ds64", 4) == 0)
         && read32 (room + 4) == ROOM_SIZE && memcmp (header + DATA_AT, "data", 4) == 0;
}

gboolean
haven_wav_describe (guint8 *header, guint64 size)
{
  gboolean large = size - 8 > G_MAXUINT32;
  guint64 sound = size - HAVEN_WAV_HEADER;
  guint block = (guint)header[BLOCK_AT] | (guint)header[BLOCK_AT + 1] << 8;

  if (size < HAVEN_WAV_HEADER || !is_ours (header))
    return FALSE;
  memcpy (header, large ? "RF64" : "RIFF", 4);
  write32 (header + RIFF_SIZE_AT, large ? G_MAXUINT32 : size - 8);
  memcpy (header + ROOM_AT, large ? "ds64" : "JUNK", 4);
  memset (header + SIZES_AT, 0, ROOM_SIZE);
  if (large) {
    write64 (header + SIZES_AT, size - 8);
    write64 (header + SIZES_AT + 8, sound);
    write64 (header + SIZES_AT + 16, block ? sound / block : 0);
  }
  write32 (header + DATA_SIZE_AT, large ? G_MAXUINT32 : sound);
  return TRUE;
}

guint64
haven_wav_read_size (const guint8 *header)
{
  guint64 sound;

  memcpy (&sound, header + SIZES_AT + 8, sizeof sound);
  return HAVEN_WAV_HEADER + GUINT64_FROM_LE (sound);
}

gboolean
haven_wav_set_size (int fd, guint64 size)
{
  guint8 header[HAVEN_WAV_HEADER];

  return pread (fd, header, sizeof header, 0) == sizeof header && haven_wav_describe (header, size)
         && pwrite (fd, header, sizeof header, 0) == sizeof header;
}
