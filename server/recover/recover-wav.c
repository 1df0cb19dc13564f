/* WAV: the sizes in its head, of which wavenc writes placeholders at first. Those of 64 bits are in
 * a chunk of their own, where there is room for it (EBU Tech 3306). The size of the whole is the
 * last one that is written.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "recover-file.h"

#define MAX_CHUNKS 32 /* before the sound */
#define ROOM_AT 12    /* of the chunk "ds64", or "JUNK" in its place */
#define SIZES_AT 20   /* of the whole, of the sound, and samples */
#define SIZES 24

typedef struct
{
  guint64 data; /* where the sound begins */
  guint32 size; /* of it, as its chunk says */
  guint32 per_second, block;
  gboolean has_room; /* for sizes of 64 bits */
  gboolean large;    /* they count */
} Wav;

static guint32
read32 (const guint8 *data)
{
  return (guint32)data[0] | (guint32)data[1] << 8 | (guint32)data[2] << 16 | (guint32)data[3] << 24;
}

static guint64
read64 (const guint8 *data)
{
  return read32 (data) | (guint64)read32 (data + 4) << 32;
}

static gboolean
is_one_of (const guint8 *data, const char *a, const char *b)
{
  return memcmp (data, a, 4) == 0 || memcmp (data, b, 4) == 0;
}

static gboolean
read_head (RecoverFile *file, Wav *wav)
{
  guint64 at = 12;
  guint8 chunk[8], format[16];

  for (guint i = 0; i < MAX_CHUNKS && recover_file_read (file, at, chunk, sizeof chunk); i++) {
    guint32 size = read32 (chunk + 4);

    if (at == ROOM_AT && is_one_of (chunk, "ds64", "JUNK"))
      wav->has_room = size >= SIZES;
    if (memcmp (chunk, "fmt ", 4) == 0
        && recover_file_read (file, at + sizeof chunk, format, sizeof format)) {
      wav->per_second = read32 (format + 8);
      wav->block = (guint32)format[12] | (guint32)format[13] << 8;
    } else if (memcmp (chunk, "data", 4) == 0) {
      wav->data = at + sizeof chunk;
      wav->size = size;
      return wav->block > 0;
    }
    at += sizeof chunk + size + (size & 1);
  }
  return FALSE;
}

static gboolean
patch_size (RecoverFile *file, guint64 at, guint64 size, GError **error)
{
  guint32 value = GUINT32_TO_LE ((guint32)MIN (size, G_MAXUINT32)); /* more it cannot say */

  return recover_file_patch (file, at, &value, sizeof value, error);
}

static gboolean
patch_size64 (RecoverFile *file, guint64 at, guint64 size, GError **error)
{
  guint64 value = GUINT64_TO_LE (size);

  return recover_file_patch (file, at, &value, sizeof value, error);
}

static gboolean
is_complete (RecoverFile *file, const Wav *wav, const guint8 *head)
{
  guint8 sizes[SIZES];

  if (wav->large)
    return recover_file_read (file, SIZES_AT, sizes, sizeof sizes)
           && read64 (sizes) == file->size - 8 && read64 (sizes + 8) <= file->size - wav->data;
  if (file->size - 8 > G_MAXUINT32)
    return !wav->has_room && read32 (head + 4) == G_MAXUINT32;
  return read32 (head + 4) == file->size - 8 && wav->size <= file->size - wav->data;
}

static gboolean
finish (RecoverFile *file, const Wav *wav, guint64 sound, GError **error)
{
  return patch_size (file, wav->data - 4, sound, error) && recover_file_sync (file, error)
         && patch_size (file, 4, file->size - 8, error) && recover_file_sync (file, error);
}

static gboolean
finish_large (RecoverFile *file, const Wav *wav, guint64 sound, GError **error)
{
  static const guint8 head[] = "RF64\xFF\xFF\xFF\xFFWAVEds64";

  return patch_size64 (file, SIZES_AT + 8, sound, error)
         && patch_size64 (file, SIZES_AT + 16, sound / wav->block, error)
         && patch_size (file, wav->data - 4, G_MAXUINT32, error) && recover_file_sync (file, error)
         && recover_file_patch (file, 0, head, ROOM_AT + 4, error)
         && recover_file_sync (file, error) && patch_size64 (file, SIZES_AT, file->size - 8, error)
         && recover_file_sync (file, error);
}

gboolean
recover_wav (RecoverFile *file, HavenRecovery *recovery, GError **error)
{
  Wav wav = { 0 };
  guint64 sound;
  guint8 head[12];

  if (!recover_file_read (file, 0, head, sizeof head) || !read_head (file, &wav)
      || file->size - wav.data < wav.block) {
    g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_EMPTY,
        "There is nothing in it but its head");
    return FALSE;
  }
  wav.large = wav.has_room && memcmp (head, "RF64", 4) == 0;
  if (is_complete (file, &wav, head)) {
    recovery->complete = TRUE;
    return TRUE;
  }
  sound = file->size - wav.data;
  sound -= sound % wav.block;
  recovery->audio_frames = sound / wav.block;
  recovery->duration = wav.per_second ? (double)sound / wav.per_second : 0;
  if (!recover_file_cut (file, wav.data + sound, recovery, error))
    return FALSE;
  return wav.large || (wav.has_room && file->size - 8 > G_MAXUINT32)
             ? finish_large (file, &wav, sound, error)
             : finish (file, &wav, sound, error);
}
