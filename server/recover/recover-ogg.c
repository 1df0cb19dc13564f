/* Ogg: cut to the last whole page, and an empty page that says that the stream ends behind it. A
 * page that is there is not changed: where that write is torn, it would be lost.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "recover-file.h"

#define MAX_STREAMS 8
#define HEAD 27 /* bytes of a page before its table */
#define MAX_PAGE (HEAD + 255 + 255 * 255)
#define OPUS_RATE 48000
#define OPUS_HEADERS 2 /* packets without sound */

enum
{
  PAGE_BEGINS = 2,
  PAGE_ENDS = 4,
};

typedef struct
{
  guint32 serial, sequence;
  guint64 granule; /* of the last packet that ended */
  guint64 packets;
  guint skipped; /* samples at its beginning */
  gboolean is_opus, ended;
} Stream;

typedef struct
{
  guint32 table[256]; /* for the checksum: polynomial 0x04C11DB7, not reflected, from 0 */
  Stream streams[MAX_STREAMS];
  guint n_streams;
} Ogg;

/* Little-endian */
static guint64
read_le (const guint8 *data, guint size)
{
  guint64 value = 0;

  for (guint i = size; i > 0; i--)
    value = value << 8 | data[i - 1];
  return value;
}

static void
put_le (guint8 *data, guint size, guint64 value)
{
  for (guint i = 0; i < size; i++, value >>= 8)
    data[i] = (guint8)value;
}

static void
make_table (guint32 table[256])
{
  for (guint32 i = 0; i < 256; i++) {
    table[i] = i << 24;
    for (guint bit = 0; bit < 8; bit++)
      table[i] = table[i] << 1 ^ (table[i] & 0x80000000 ? 0x04C11DB7 : 0);
  }
}

static guint32
checksum (const guint32 table[256], const guint8 *data, gsize size)
{
  guint32 sum = 0;

  for (gsize i = 0; i < size; i++)
    sum = sum << 8 ^ table[(sum >> 24 ^ data[i]) & 0xFF];
  return sum;
}

static Stream * /* (nullable): too many, or it never began */
find_stream (Ogg *self, guint32 serial, gboolean begins)
{
  for (guint i = 0; i < self->n_streams; i++)
    if (self->streams[i].serial == serial)
      return &self->streams[i];
  if (!begins || self->n_streams == MAX_STREAMS)
    return NULL;
  self->streams[self->n_streams].serial = serial;
  return &self->streams[self->n_streams++];
}

/* Returns: bytes of the page, or 0 where there is no whole one */
static gsize
read_page (Ogg *self, RecoverFile *file, guint64 at, guint8 *page)
{
  gsize size = HEAD;
  guint32 sum;

  if (!recover_file_read (file, at, page, HEAD) || memcmp (page, "OggS", 5) != 0
      || !recover_file_read (file, at + HEAD, page + HEAD, page[26]))
    return 0;
  size += page[26];
  for (guint i = 0; i < page[26]; i++)
    size += page[HEAD + i];
  if (!recover_file_read (file, at, page, size))
    return 0;
  sum = (guint32)read_le (page + 22, 4);
  memset (page + 22, 0, 4);
  return checksum (self->table, page, size) == sum ? size : 0;
}

static gboolean
take_page (Ogg *self, const guint8 *page)
{
  Stream *stream
      = find_stream (self, (guint32)read_le (page + 14, 4), (page[5] & PAGE_BEGINS) != 0);
  const guint8 *body = page + HEAD + page[26];
  guint64 granule = read_le (page + 6, 8);

  if (!stream)
    return FALSE;
  if ((page[5] & PAGE_BEGINS) && page[26] > 0 && page[HEAD] >= 19
      && memcmp (body, "OpusHead", 8) == 0) {
    stream->is_opus = TRUE;
    stream->skipped = (guint)read_le (body + 10, 2);
  }
  for (guint i = 0; i < page[26]; i++)
    stream->packets += page[HEAD + i] < 255;
  if (granule != G_MAXUINT64) /* no packet ends in this page */
    stream->granule = granule;
  stream->sequence = (guint32)read_le (page + 18, 4);
  stream->ended = (page[5] & PAGE_ENDS) != 0;
  return TRUE;
}

static gboolean
append_end (Ogg *self, RecoverFile *file, const Stream *stream, GError **error)
{
  guint8 page[HEAD] = { 'O', 'g', 'g', 'S', 0, PAGE_ENDS };

  put_le (page + 6, 8, stream->granule);
  put_le (page + 14, 4, stream->serial);
  put_le (page + 18, 4, stream->sequence + 1);
  put_le (page + 22, 4, checksum (self->table, page, HEAD));
  return recover_file_append (file, page, HEAD, error);
}

static gboolean
finish (Ogg *self, RecoverFile *file, guint64 keep, HavenRecovery *recovery, GError **error)
{
  if (!recover_file_may_cut (file, keep, error) || !recover_file_cut (file, keep, recovery, error))
    return FALSE;
  for (guint i = 0; i < self->n_streams; i++)
    if (!self->streams[i].ended && !append_end (self, file, &self->streams[i], error))
      return FALSE;
  return recover_file_sync (file, error);
}

static void
tell (const Ogg *self, HavenRecovery *recovery)
{
  for (guint i = 0; i < self->n_streams; i++) {
    const Stream *stream = &self->streams[i];

    if (!stream->is_opus)
      continue;
    if (stream->packets > OPUS_HEADERS)
      recovery->audio_frames += stream->packets - OPUS_HEADERS;
    if (stream->granule > stream->skipped && stream->granule < G_MAXINT64)
      recovery->duration
          = MAX (recovery->duration, (double)(stream->granule - stream->skipped) / OPUS_RATE);
  }
}

gboolean
recover_ogg (RecoverFile *file, HavenRecovery *recovery, GError **error)
{
  g_autofree guint8 *page = g_malloc (MAX_PAGE);
  Ogg self = { .n_streams = 0 };
  gboolean ended = TRUE;
  guint64 at = 0, packets = 0;
  gsize size;

  make_table (self.table);
  while ((size = read_page (&self, file, at, page)) > 0 && take_page (&self, page))
    at += size;
  for (guint i = 0; i < self.n_streams; i++) {
    ended &= self.streams[i].ended;
    packets += self.streams[i].packets;
  }
  if (packets <= OPUS_HEADERS) {
    g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_EMPTY,
        "There is nothing in it but its head");
    return FALSE;
  }
  tell (&self, recovery);
  if (ended && at == file->size) {
    recovery->complete = TRUE;
    return TRUE;
  }
  return finish (&self, file, at, recovery, error);
}
