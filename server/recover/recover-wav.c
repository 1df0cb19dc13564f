/* WAV: the sizes in its head, of which wavenc writes placeholders at first. That of the whole is
 * the last one that is written.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "recover-file.h"

#define MAX_CHUNKS 32 /* before the sound */

typedef struct
{
  guint64 data; /* where the sound begins */
  guint32 size; /* of it, as its chunk says */
  guint32 per_second, block;
} Wav;

static guint32
read32 (const guint8 *data)
{
  return (guint32)data[0] | (guint32)data[1] << 8 | (guint32)data[2] << 16 | (guint32)data[3] << 24;
}

static gboolean
read_head (RecoverFile *file, Wav *wav)
{
  guint64 at = 12;
  guint8 chunk[8], format[16];

  for (guint i = 0; i < MAX_CHUNKS && recover_file_read (file, at, chunk, sizeof chunk); i++) {
    guint32 size = read32 (chunk + 4);

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
  if (read32 (head + 4) == MIN (file->size - 8, G_MAXUINT32)
      && (wav.size <= file->size - wav.data || file->size > G_MAXUINT32)) {
    recovery->complete = TRUE;
    return TRUE;
  }
  sound = file->size - wav.data;
  sound -= sound % wav.block;
  recovery->audio_frames = sound / wav.block;
  recovery->duration = wav.per_second ? (double)sound / wav.per_second : 0;
  return recover_file_cut (file, wav.data + sound, recovery, error)
         && patch_size (file, wav.data - 4, sound, error) && recover_file_sync (file, error)
         && patch_size (file, 4, file->size - 8, error) && recover_file_sync (file, error);
}
