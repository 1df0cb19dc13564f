/* recover-mp4: what is known of an MP4 that was cut off: its first moov, and the samples of all
 * fragments. recover-mp4-read.c collects it, recover-mp4-write.c makes one moov of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "recover-file.h"

G_BEGIN_DECLS

#define RECOVER_MP4_TRACKS 8
#define RECOVER_MP4_SAMPLES (1 << 23) /* a day of pictures and sound; 12 bytes each */
#define FOUR(a, b, c, d) \
  ((guint32)(a) << 24 | (guint32)(b) << 16 | (guint32)(c) << 8 | (guint32)(d))

typedef struct /* a box in memory, or what is left of it */
{
  const guint8 *data;
  gsize size;
} RecoverSpan;

typedef struct
{
  guint32 size, duration;
  gint32 composition;
} RecoverSample;

typedef struct
{
  guint64 at;
  guint32 samples;
} RecoverChunk;

typedef struct
{
  guint32 id, kind, timescale;
  guint32 duration, size, flags; /* defaults of its samples */
  GArray *samples;               /* (owned) RecoverSample */
  GArray *chunks;                /* (owned) RecoverChunk */
  GArray *syncs;                 /* (owned) guint32, from 1 */
  gboolean composed;             /* a sample is shown at another time than it is decoded */
  guint64 end;                   /* of its samples, in its own time */
} RecoverTrack;

typedef struct
{
  guint64 file_size;
  RecoverTrack tracks[RECOVER_MP4_TRACKS];
  guint n_tracks;
  guint timescale; /* of the movie */
  guint n_samples;
  guint64 bytes;     /* of all samples: no more than the file has */
  gboolean too_many; /* samples */
} RecoverMovie;

gboolean recover_mp4_next_box (RecoverSpan *in, guint32 *type, RecoverSpan *body);
gboolean recover_mp4_find_box (RecoverSpan in, guint32 wanted, RecoverSpan *body);

gboolean recover_mp4_read_moov (RecoverMovie *movie, RecoverSpan moov);
gboolean recover_mp4_read_moof (RecoverMovie *movie, RecoverSpan moof, guint64 at, guint64 *end);
GByteArray *recover_mp4_make_moov (const RecoverMovie *movie, RecoverSpan first);
void recover_mp4_clear (RecoverMovie *movie);

G_END_DECLS
