/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recover-mp4.h"

#define MAX_DEPTH 8 /* boxes in boxes */

static void
put32 (GByteArray *to, guint32 value)
{
  guint8 data[4];

  recover_put_be (data, 4, value);
  g_byte_array_append (to, data, 4);
}

static guint
begin_box (GByteArray *to, guint32 type)
{
  put32 (to, 0);
  put32 (to, type);
  return to->len - 8;
}

static void
end_box (GByteArray *to, guint at)
{
  recover_put_be (to->data + at, 4, to->len - at);
}

/* Box, version, and how many entries there will be, which is set later. */
static guint
begin_table (GByteArray *to, guint32 type)
{
  guint at = begin_box (to, type);

  put32 (to, 0);
  put32 (to, 0);
  return at;
}

static void
end_table (GByteArray *to, guint at, guint32 entries)
{
  recover_put_be (to->data + at + 12, 4, entries);
  end_box (to, at);
}

static void
put_times (GByteArray *to, const RecoverTrack *track, gboolean composition)
{
  guint at = begin_table (to, composition ? FOUR ('c', 't', 't', 's') : FOUR ('s', 't', 't', 's'));
  guint32 entries = 0, count = 0, value = 0;

  if (composition)
    to->data[at + 8] = 1; /* its values may be negative */
  for (guint i = 0; i <= track->samples->len; i++) {
    const RecoverSample *sample
        = i < track->samples->len ? &g_array_index (track->samples, RecoverSample, i) : NULL;
    guint32 next = !sample ? 0 : composition ? (guint32)sample->composition : sample->duration;

    if (count > 0 && (!sample || next != value)) {
      put32 (to, count);
      put32 (to, value);
      entries++;
      count = 0;
    }
    value = next;
    count++;
  }
  end_table (to, at, entries);
}

static void
put_syncs (GByteArray *to, const RecoverTrack *track)
{
  guint at;

  if (track->syncs->len == track->samples->len) /* all are */
    return;
  at = begin_table (to, FOUR ('s', 't', 's', 's'));
  for (guint i = 0; i < track->syncs->len; i++)
    put32 (to, g_array_index (track->syncs, guint32, i));
  end_table (to, at, track->syncs->len);
}

static void
put_sizes (GByteArray *to, const RecoverTrack *track)
{
  guint at = begin_box (to, FOUR ('s', 't', 's', 'z'));

  put32 (to, 0);
  put32 (to, 0);
  put32 (to, track->samples->len);
  for (guint i = 0; i < track->samples->len; i++)
    put32 (to, g_array_index (track->samples, RecoverSample, i).size);
  end_box (to, at);
}

static void
put_chunks (GByteArray *to, const RecoverTrack *track, gboolean large)
{
  guint at = begin_table (to, FOUR ('s', 't', 's', 'c'));
  guint32 entries = 0, before = 0;

  for (guint i = 0; i < track->chunks->len; i++) {
    guint32 samples = g_array_index (track->chunks, RecoverChunk, i).samples;

    if (samples == before)
      continue;
    put32 (to, i + 1);
    put32 (to, samples);
    put32 (to, 1); /* of the only description */
    before = samples;
    entries++;
  }
  end_table (to, at, entries);
  at = begin_table (to, large ? FOUR ('c', 'o', '6', '4') : FOUR ('s', 't', 'c', 'o'));
  for (guint i = 0; i < track->chunks->len; i++) {
    guint64 place = g_array_index (track->chunks, RecoverChunk, i).at;

    if (large)
      put32 (to, (guint32)(place >> 32));
    put32 (to, (guint32)place);
  }
  end_table (to, at, track->chunks->len);
}

static guint64
to_movie (const RecoverMovie *self, const RecoverTrack *track)
{
  guint64 rest = track->end % track->timescale;

  return track->end / track->timescale * self->timescale
         + rest * self->timescale / track->timescale;
}

/* @offset: of the duration in a box of version 0, and of version 1 */
static void
put_with_duration (
    GByteArray *to, RecoverSpan body, guint offset, guint wide_offset, guint64 duration)
{
  gboolean wide = body.size > 0 && body.data[0] == 1;
  guint begin = to->len, place = wide ? wide_offset : offset, width = wide ? 8 : 4;

  g_byte_array_append (to, body.data, (guint)body.size);
  if (body.size >= place + width)
    recover_put_be (to->data + begin + place, width, wide ? duration : MIN (duration, G_MAXUINT32));
}

/* Of an edit list the last entry with media in it lasts as long as the track; those without are
 * from before it begins.
 *
 * Returns: how long these are */
static guint64
put_edits (GByteArray *to, RecoverSpan body, guint64 duration)
{
  gboolean wide = body.size > 0 && body.data[0] == 1;
  guint width = wide ? 8 : 4, entry = 2 * width + 4, begin = to->len;
  guint64 empty = 0;

  g_byte_array_append (to, body.data, (guint)body.size);
  for (gsize at = 8; at + entry <= body.size; at += entry) {
    gboolean nothing = (body.data[at + width] & 0x80) != 0; /* a media time of -1 */

    if (nothing)
      empty += recover_be (body.data + at, width);
    else if (at + 2 * entry > body.size)
      recover_put_be (to->data + begin + at, width, wide ? duration : MIN (duration, G_MAXUINT32));
  }
  return empty;
}

static guint64
empty_edits (RecoverSpan trak, guint64 duration)
{
  g_autoptr (GByteArray) unused = g_byte_array_new ();
  RecoverSpan edts, elst;

  if (!recover_mp4_find_box (trak, FOUR ('e', 'd', 't', 's'), &edts)
      || !recover_mp4_find_box (edts, FOUR ('e', 'l', 's', 't'), &elst))
    return 0;
  return put_edits (unused, elst, duration);
}

static void
put_tables (GByteArray *to, const RecoverTrack *track, gboolean large)
{
  put_times (to, track, FALSE);
  if (track->composed)
    put_times (to, track, TRUE);
  put_syncs (to, track);
  put_sizes (to, track);
  put_chunks (to, track, large);
}

static guint64
movie_duration (const RecoverMovie *self)
{
  guint64 longest = 0;

  for (guint i = 0; i < self->n_tracks; i++)
    longest = MAX (longest, to_movie (self, &self->tracks[i]));
  return longest;
}

/* The first moov's boxes, with what is known now.
 *
 * @track: (nullable): the one whose boxes these are */
static void
put_boxes (const RecoverMovie *self, GByteArray *to, RecoverSpan in, const RecoverTrack *track,
    guint depth)
{
  const RecoverTrack *next = self->tracks;
  gboolean large = self->file_size > G_MAXUINT32;
  guint64 empty = 0;
  guint32 type;
  RecoverSpan body;

  if (track && depth == 1)
    empty = empty_edits (in, 0);
  while (depth < MAX_DEPTH && recover_mp4_next_box (&in, &type, &body)) {
    guint at;

    switch (type) {
    case FOUR ('m', 'v', 'e', 'x'):
    case FOUR ('s', 't', 't', 's'):
    case FOUR ('c', 't', 't', 's'):
    case FOUR ('s', 't', 's', 's'):
    case FOUR ('s', 't', 's', 'c'):
    case FOUR ('s', 't', 's', 'z'):
    case FOUR ('s', 't', 'c', 'o'):
    case FOUR ('c', 'o', '6', '4'):
      continue; /* there will be others */
    }
    at = begin_box (to, type);
    switch (type) {
    case FOUR ('t', 'r', 'a', 'k'):
      put_boxes (self, to, body, next++, depth + 1);
      break;
    case FOUR ('m', 'd', 'i', 'a'):
    case FOUR ('m', 'i', 'n', 'f'):
    case FOUR ('e', 'd', 't', 's'):
      put_boxes (self, to, body, track, depth + 1);
      break;
    case FOUR ('s', 't', 'b', 'l'):
      put_boxes (self, to, body, track, depth + 1);
      if (track)
        put_tables (to, track, large);
      break;
    case FOUR ('m', 'v', 'h', 'd'):
      put_with_duration (to, body, 16, 24, movie_duration (self));
      break;
    case FOUR ('t', 'k', 'h', 'd'):
      put_with_duration (to, body, 20, 28, (track ? to_movie (self, track) : 0) + empty);
      break;
    case FOUR ('m', 'd', 'h', 'd'):
      put_with_duration (to, body, 16, 24, track ? track->end : 0);
      break;
    case FOUR ('e', 'l', 's', 't'):
      put_edits (to, body, track ? to_movie (self, track) : 0);
      break;
    default:
      g_byte_array_append (to, body.data, (guint)body.size);
    }
    end_box (to, at);
  }
}

/* Returns: (transfer full): the first moov anew, with all samples and without fragments */
GByteArray *
recover_mp4_make_moov (const RecoverMovie *self, RecoverSpan first)
{
  GByteArray *moov = g_byte_array_new ();
  guint at = begin_box (moov, FOUR ('m', 'o', 'o', 'v'));

  put_boxes (self, moov, first, NULL, 0);
  end_box (moov, at);
  return moov;
}
