/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recover-mp4.h"

#define NOT_SYNC 0x10000 /* of a sample's flags */

enum
{
  TFHD_BASE = 0x1,
  TFHD_DESCRIPTION = 0x2,
  TFHD_DURATION = 0x8,
  TFHD_SIZE = 0x10,
  TFHD_FLAGS = 0x20,
  TRUN_OFFSET = 0x1,
  TRUN_FIRST_FLAGS = 0x4,
  TRUN_DURATION = 0x100,
  TRUN_SIZE = 0x200,
  TRUN_FLAGS = 0x400,
  TRUN_COMPOSITION = 0x800,
};

typedef struct /* samples that lie together */
{
  RecoverTrack *track;
  guint64 at, bytes;
  guint first, count; /* in the fragment's samples */
  gboolean sized;
} Run;

/* -- boxes in memory -- */

static guint32
take32 (RecoverSpan *span)
{
  guint32 value = 0;

  if (span->size >= 4)
    value = (guint32)recover_be (span->data, 4);
  span->data += MIN (span->size, 4);
  span->size -= MIN (span->size, 4);
  return value;
}

static guint64
take64 (RecoverSpan *span)
{
  guint64 high = take32 (span);

  return high << 32 | take32 (span);
}

static void
skip (RecoverSpan *span, gsize size)
{
  span->data += MIN (span->size, size);
  span->size -= MIN (span->size, size);
}

gboolean
recover_mp4_next_box (RecoverSpan *in, guint32 *type, RecoverSpan *body)
{
  guint32 size;

  if (in->size < 8)
    return FALSE;
  size = (guint32)recover_be (in->data, 4);
  if (size < 8 || size > in->size)
    return FALSE;
  *type = (guint32)recover_be (in->data + 4, 4);
  *body = (RecoverSpan){ in->data + 8, size - 8 };
  skip (in, size);
  return TRUE;
}

gboolean
recover_mp4_find_box (RecoverSpan in, guint32 wanted, RecoverSpan *body)
{
  guint32 type;

  while (recover_mp4_next_box (&in, &type, body))
    if (type == wanted)
      return TRUE;
  return FALSE;
}

/* -- the tables of the first moov -- */

static void
add_sample (RecoverMovie *self, RecoverTrack *track, const RecoverSample *sample, gboolean sync)
{
  guint32 number;

  g_array_append_val (track->samples, *sample);
  number = track->samples->len;
  if (sync)
    g_array_append_val (track->syncs, number);
  track->composed |= sample->composition != 0;
  track->end += sample->duration;
  self->n_samples++;
  self->bytes += sample->size;
}

static gboolean
read_sizes (RecoverMovie *self, RecoverTrack *track, RecoverSpan table)
{
  guint32 same, count;

  take32 (&table);
  same = take32 (&table);
  count = take32 (&table);
  if (count > RECOVER_MP4_SAMPLES - self->n_samples || (!same && count > table.size / 4)
      || (same && count > self->file_size / same))
    return FALSE;
  for (guint32 i = 0; i < count; i++)
    add_sample (self, track, &(RecoverSample){ same ? same : take32 (&table), 0, 0 }, FALSE);
  return TRUE;
}

/* stts and ctts: runs of count and value */
static void
read_times (RecoverTrack *track, RecoverSpan table, gboolean composition)
{
  guint i = 0;

  take32 (&table);
  take32 (&table);
  while (table.size >= 8) {
    guint32 count = take32 (&table), value = take32 (&table);

    for (; count > 0 && i < track->samples->len; count--, i++) {
      RecoverSample *sample = &g_array_index (track->samples, RecoverSample, i);

      if (composition) {
        sample->composition = (gint32)value;
        track->composed |= value != 0;
      } else {
        sample->duration = value;
        track->end += value;
      }
    }
  }
}

static void
read_syncs (RecoverTrack *track, RecoverSpan table)
{
  take32 (&table);
  take32 (&table);
  while (table.size >= 4 && track->syncs->len < track->samples->len) {
    guint32 number = take32 (&table);

    g_array_append_val (track->syncs, number);
  }
}

/* @per_chunk: entries of a first chunk, from 1, and how many samples it and those after it have */
static gboolean
read_chunks (RecoverTrack *track, RecoverSpan offsets, gboolean large, RecoverSpan per_chunk)
{
  guint32 left = track->samples->len, samples = 0;

  skip (&offsets, 8);
  skip (&per_chunk, 8);
  for (guint32 number = 1; left > 0 && offsets.size >= (large ? 8 : 4); number++) {
    RecoverChunk chunk = { large ? take64 (&offsets) : take32 (&offsets), 0 };

    while (per_chunk.size >= 12 && recover_be (per_chunk.data, 4) <= number) {
      take32 (&per_chunk);
      samples = take32 (&per_chunk);
      take32 (&per_chunk);
    }
    chunk.samples = MIN (samples, left);
    if (chunk.samples == 0)
      return FALSE;
    left -= chunk.samples;
    g_array_append_val (track->chunks, chunk);
  }
  return left == 0;
}

static gboolean
read_tables (RecoverMovie *self, RecoverTrack *track, RecoverSpan stbl)
{
  RecoverSpan table, per_chunk;

  if (!recover_mp4_find_box (stbl, FOUR ('s', 't', 's', 'z'), &table))
    return FALSE;
  if (!read_sizes (self, track, table))
    return FALSE;
  if (recover_mp4_find_box (stbl, FOUR ('s', 't', 't', 's'), &table))
    read_times (track, table, FALSE);
  if (recover_mp4_find_box (stbl, FOUR ('c', 't', 't', 's'), &table))
    read_times (track, table, TRUE);
  if (recover_mp4_find_box (stbl, FOUR ('s', 't', 's', 's'), &table)) {
    read_syncs (track, table);
  } else {
    for (guint32 number = 1; number <= track->samples->len; number++)
      g_array_append_val (track->syncs, number);
  }
  if (!recover_mp4_find_box (stbl, FOUR ('s', 't', 's', 'c'), &per_chunk))
    return track->samples->len == 0;
  if (recover_mp4_find_box (stbl, FOUR ('s', 't', 'c', 'o'), &table))
    return read_chunks (track, table, FALSE, per_chunk);
  if (recover_mp4_find_box (stbl, FOUR ('c', 'o', '6', '4'), &table))
    return read_chunks (track, table, TRUE, per_chunk);
  return track->samples->len == 0;
}

/* A time or an id of a box whose version tells how wide its times are. */
static void
skip_times (RecoverSpan *box)
{
  gboolean wide = box->size > 0 && box->data[0] == 1;

  skip (box, wide ? 4 + 16 : 4 + 8);
}

static gboolean
read_trak (RecoverMovie *self, RecoverSpan trak)
{
  RecoverTrack *track = &self->tracks[self->n_tracks];
  RecoverSpan tkhd, mdia, mdhd, hdlr, minf, stbl;

  if (self->n_tracks == RECOVER_MP4_TRACKS
      || !recover_mp4_find_box (trak, FOUR ('t', 'k', 'h', 'd'), &tkhd)
      || !recover_mp4_find_box (trak, FOUR ('m', 'd', 'i', 'a'), &mdia)
      || !recover_mp4_find_box (mdia, FOUR ('m', 'd', 'h', 'd'), &mdhd)
      || !recover_mp4_find_box (mdia, FOUR ('h', 'd', 'l', 'r'), &hdlr)
      || !recover_mp4_find_box (mdia, FOUR ('m', 'i', 'n', 'f'), &minf)
      || !recover_mp4_find_box (minf, FOUR ('s', 't', 'b', 'l'), &stbl))
    return FALSE;
  self->n_tracks++;
  track->samples = g_array_new (FALSE, FALSE, sizeof (RecoverSample));
  track->chunks = g_array_new (FALSE, FALSE, sizeof (RecoverChunk));
  track->syncs = g_array_new (FALSE, FALSE, sizeof (guint32));
  skip_times (&tkhd);
  track->id = take32 (&tkhd);
  skip_times (&mdhd);
  track->timescale = take32 (&mdhd);
  skip (&hdlr, 8);
  track->kind = take32 (&hdlr);
  return track->timescale > 0 && read_tables (self, track, stbl);
}

static RecoverTrack * /* (nullable) */
find_track (RecoverMovie *self, guint32 id)
{
  for (guint i = 0; i < self->n_tracks; i++)
    if (self->tracks[i].id == id)
      return &self->tracks[i];
  return NULL;
}

static void
read_defaults (RecoverMovie *self, RecoverSpan mvex)
{
  guint32 type;
  RecoverSpan trex;

  while (recover_mp4_next_box (&mvex, &type, &trex)) {
    RecoverTrack *track;

    if (type != FOUR ('t', 'r', 'e', 'x'))
      continue;
    take32 (&trex);
    track = find_track (self, take32 (&trex));
    take32 (&trex);
    if (!track)
      continue;
    track->duration = take32 (&trex);
    track->size = take32 (&trex);
    track->flags = take32 (&trex);
  }
}

/* Returns: FALSE where it is not to be believed */
gboolean
recover_mp4_read_moov (RecoverMovie *self, RecoverSpan moov)
{
  RecoverSpan body, rest = moov;
  guint32 type;

  if (!recover_mp4_find_box (moov, FOUR ('m', 'v', 'h', 'd'), &body))
    return FALSE;
  skip_times (&body);
  self->timescale = take32 (&body);
  while (recover_mp4_next_box (&rest, &type, &body))
    if (type == FOUR ('t', 'r', 'a', 'k') && !read_trak (self, body))
      return FALSE;
  if (recover_mp4_find_box (moov, FOUR ('m', 'v', 'e', 'x'), &body))
    read_defaults (self, body);
  return self->timescale > 0 && self->n_tracks > 0;
}

/* -- fragments -- */

typedef struct
{
  GArray *samples; /* (owned) RecoverSample */
  GArray *syncs;   /* (owned) gboolean, one for each of them */
  GArray *runs;    /* (owned) Run */
  guint64 at;      /* of its moof */
  guint64 base;    /* of its runs' offsets */
  guint64 time[RECOVER_MP4_TRACKS];
  gboolean timed[RECOVER_MP4_TRACKS];
} Fragment;

static void
fragment_clear (Fragment *fragment)
{
  g_array_unref (fragment->samples);
  g_array_unref (fragment->syncs);
  g_array_unref (fragment->runs);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fragment, fragment_clear)

static gboolean
read_run (RecoverMovie *self, Fragment *fragment, RecoverTrack *track, const RecoverTrack *defaults,
    guint64 *next, RecoverSpan trun)
{
  guint32 flags = take32 (&trun) & 0xFFFFFF, count = take32 (&trun), first_flags;
  Run run = { .track = track, .first = fragment->samples->len, .count = count };
  guint per_sample = !!(flags & TRUN_DURATION) + !!(flags & TRUN_SIZE) + !!(flags & TRUN_FLAGS)
                     + !!(flags & TRUN_COMPOSITION);

  run.at = *next;
  if (flags & TRUN_OFFSET)
    run.at = fragment->base + (guint64)(gint64)(gint32)take32 (&trun);
  first_flags = flags & TRUN_FIRST_FLAGS ? take32 (&trun) : 0;
  if (per_sample ? count > trun.size / (4 * per_sample)
                 : count > self->file_size / MAX (defaults->size, 1))
    return FALSE;
  self->too_many |= count > RECOVER_MP4_SAMPLES - self->n_samples - fragment->samples->len;
  if (self->too_many)
    return FALSE;
  run.sized = (flags & TRUN_SIZE) || defaults->size > 0;
  for (guint32 i = 0; i < count; i++) {
    RecoverSample sample = { .size = defaults->size, .duration = defaults->duration };
    guint32 sample_flags = defaults->flags;
    gboolean sync;

    if (flags & TRUN_DURATION)
      sample.duration = take32 (&trun);
    if (flags & TRUN_SIZE)
      sample.size = take32 (&trun);
    if (flags & TRUN_FLAGS)
      sample_flags = take32 (&trun);
    if (flags & TRUN_COMPOSITION)
      sample.composition = (gint32)take32 (&trun);
    if (i == 0 && (flags & TRUN_FIRST_FLAGS))
      sample_flags = first_flags;
    sync = !(sample_flags & NOT_SYNC);
    run.bytes += sample.size;
    g_array_append_val (fragment->samples, sample);
    g_array_append_val (fragment->syncs, sync);
  }
  *next = run.at + run.bytes;
  g_array_append_val (fragment->runs, run);
  return TRUE;
}

/* mp4mux 1.22 forgets size and duration of runs whose samples are like the fragment's first one,
 * where another run's are not: the duration is that of the first. */
static void
complete_durations (Fragment *fragment, guint first)
{
  guint32 duration = 0;

  for (guint i = first; i < fragment->samples->len; i++) {
    RecoverSample *sample = &g_array_index (fragment->samples, RecoverSample, i);

    if (duration == 0)
      duration = sample->duration;
    if (sample->duration == 0)
      sample->duration = duration;
  }
}

static gboolean
read_traf (RecoverMovie *self, Fragment *fragment, RecoverSpan traf)
{
  guint first = fragment->samples->len;
  RecoverSpan body, rest = traf;
  guint64 next;
  guint32 type, flags;
  RecoverTrack *track;
  RecoverTrack defaults;

  if (!recover_mp4_find_box (traf, FOUR ('t', 'f', 'h', 'd'), &body))
    return FALSE;
  flags = take32 (&body);
  track = find_track (self, take32 (&body));
  if (!track)
    return FALSE;
  defaults = *track;
  fragment->base = flags & TFHD_BASE ? take64 (&body) : fragment->at;
  if (flags & TFHD_DESCRIPTION)
    take32 (&body);
  if (flags & TFHD_DURATION)
    defaults.duration = take32 (&body);
  if (flags & TFHD_SIZE)
    defaults.size = take32 (&body);
  if (flags & TFHD_FLAGS)
    defaults.flags = take32 (&body);
  if (recover_mp4_find_box (traf, FOUR ('t', 'f', 'd', 't'), &body)) {
    gboolean wide = take32 (&body) >> 24 == 1;

    fragment->time[track - self->tracks] = wide ? take64 (&body) : take32 (&body);
    fragment->timed[track - self->tracks] = TRUE;
  }
  next = fragment->base;
  while (recover_mp4_next_box (&rest, &type, &body))
    if (type == FOUR ('t', 'r', 'u', 'n')
        && !read_run (self, fragment, track, &defaults, &next, body))
      return FALSE;
  complete_durations (fragment, first);
  return TRUE;
}

static int
compare_runs (gconstpointer a, gconstpointer b)
{
  const Run *one = a, *other = b;

  return one->at < other->at ? -1 : one->at > other->at;
}

/* A size that was forgotten is the room that there is up to the next run, or the moof. Runs are in
 * the order in which their data lies. */
static gboolean
complete_sizes (Fragment *fragment)
{
  for (guint i = 0; i < fragment->runs->len; i++) {
    Run *run = &g_array_index (fragment->runs, Run, i);
    guint64 end = i + 1 < fragment->runs->len ? g_array_index (fragment->runs, Run, i + 1).at
                                              : fragment->at;

    if (run->sized || run->count == 0)
      continue;
    if (end <= run->at || (end - run->at) % run->count != 0
        || (end - run->at) / run->count > G_MAXUINT32)
      return FALSE;
    run->bytes = end - run->at;
    for (guint n = 0; n < run->count; n++)
      g_array_index (fragment->samples, RecoverSample, run->first + n).size
          = (guint32)(run->bytes / run->count);
  }
  return TRUE;
}

/* A fragment says when it begins: what came before lasts until then. */
static void
align (RecoverTrack *track, guint64 time)
{
  RecoverSample *last = track->samples->len ? &g_array_index (
                            track->samples, RecoverSample, track->samples->len - 1)
                                            : NULL;
  gint64 duration;

  if (!last || time > G_MAXINT64 || track->end > G_MAXINT64)
    return;
  duration = (gint64)last->duration + ((gint64)time - (gint64)track->end);
  duration = CLAMP (duration, 1, (gint64)G_MAXUINT32);
  track->end += (guint64)(duration - (gint64)last->duration);
  last->duration = (guint32)duration;
}

static void
take_fragment (RecoverMovie *self, const Fragment *fragment)
{
  gboolean aligned[RECOVER_MP4_TRACKS] = { FALSE };

  for (guint i = 0; i < fragment->runs->len; i++) {
    const Run *run = &g_array_index (fragment->runs, Run, i);
    const RecoverChunk chunk = { run->at, run->count };
    gsize track = run->track - self->tracks;

    if (run->count == 0)
      continue;
    if (fragment->timed[track] && !aligned[track])
      align (run->track, fragment->time[track]);
    aligned[track] = TRUE;
    g_array_append_val (run->track->chunks, chunk);
    for (guint n = run->first; n < run->first + run->count; n++)
      add_sample (self, run->track, &g_array_index (fragment->samples, RecoverSample, n),
          g_array_index (fragment->syncs, gboolean, n));
  }
}

/* @at: where it is
 * @end: (out): where what it tells of ends
 *
 * Returns: FALSE where it is not whole, its data included; then nothing is taken from it */
gboolean
recover_mp4_read_moof (RecoverMovie *self, RecoverSpan moof, guint64 at, guint64 *end)
{
  g_auto (Fragment) fragment = { .samples = g_array_new (FALSE, FALSE, sizeof (RecoverSample)),
    .syncs = g_array_new (FALSE, FALSE, sizeof (gboolean)),
    .runs = g_array_new (FALSE, FALSE, sizeof (Run)),
    .at = at };
  guint64 bytes = self->bytes, last = at;
  guint32 type;
  RecoverSpan body;

  while (recover_mp4_next_box (&moof, &type, &body))
    if (type == FOUR ('t', 'r', 'a', 'f') && !read_traf (self, &fragment, body))
      return FALSE;
  g_array_sort (fragment.runs, compare_runs);
  if (moof.size != 0 || fragment.runs->len == 0 || !complete_sizes (&fragment))
    return FALSE;
  for (guint i = 0; i < fragment.runs->len; i++) {
    const Run *run = &g_array_index (fragment.runs, Run, i);

    if (run->at > self->file_size || run->bytes > self->file_size - run->at)
      return FALSE;
    last = MAX (last, run->at + run->bytes);
    bytes += run->bytes;
  }
  if (bytes > self->file_size)
    return FALSE;
  take_fragment (self, &fragment);
  *end = last;
  return TRUE;
}

void
recover_mp4_clear (RecoverMovie *self)
{
  for (guint i = 0; i < self->n_tracks; i++) {
    g_array_unref (self->tracks[i].samples);
    g_array_unref (self->tracks[i].chunks);
    g_array_unref (self->tracks[i].syncs);
  }
}
