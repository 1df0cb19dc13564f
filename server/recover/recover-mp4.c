/* MP4, as mp4mux leaves it with fragment-mode=first-moov-then-finalise: the first second as mdat
 * and moov, each further one as mdat and moof. It is finished as the muxer would have: one moov for
 * all behind it, and then the first mdat's size covers all that was between.
 *
 * That size is the last thing that is written, in one go: before, the file is the fragmented one
 * that it was, and recovery begins anew.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "recover-mp4.h"

#define MAX_BOX (16 << 20)   /* bytes of a moov or moof */
#define MAX_FIRST (64 << 20) /* bytes in which the first moov must begin */

typedef struct
{
  RecoverFile *file;
  HavenRecovery *recovery;
  RecoverMovie movie;
  GByteArray *moov;    /* (owned) (nullable) the first one, without its header */
  guint64 cover;       /* where the box is that will cover all */
  guint cover_room;    /* bytes that its header may have: 8 or 16 */
  gboolean cover_free; /* of these, the first 8 are an empty box as long as they are not needed */
  guint64 first_end;   /* where the first mdat's end must be put back to; 0: it is right */
  guint64 hidden;      /* a moov that must be called so again; 0: it is */
  guint64 keep;        /* the end of the last thing that is whole */
} Mp4;

/* -- the file's boxes -- */

typedef struct
{
  guint64 at, size; /* size: 0 up to the end */
  guint32 type;
  guint head;
} Box;

static gboolean
read_box (RecoverFile *file, guint64 at, Box *box)
{
  guint8 data[16];

  if (!recover_file_read (file, at, data, 8))
    return FALSE;
  *box = (Box){ at, recover_be (data, 4), (guint32)recover_be (data + 4, 4), 8 };
  if (box->size == 1) {
    if (!recover_file_read (file, at, data, 16))
      return FALSE;
    box->size = recover_be (data + 8, 8);
    box->head = 16;
  }
  return box->size == 0 || box->size >= box->head;
}

static gboolean
is_whole (const RecoverFile *file, const Box *box)
{
  return box->size > 0 && box->size <= file->size - box->at;
}

/* mp4mux calls its first moov hoov when it has begun to finish the file. */
static gboolean
is_moov (guint32 type)
{
  return type == FOUR ('m', 'o', 'o', 'v') || type == FOUR ('h', 'o', 'o', 'v');
}

/* The first mdat covers what the end of the file was to tell, which is not there: its own end is
 * where the first moov begins.
 *
 * Returns: where that is; @mdat's place where there is none */
static guint64
find_first_moov (RecoverFile *file, const Box *mdat)
{
  guint64 end = MIN (file->size, mdat->at + MAX_FIRST);
  guint8 data[16];
  Box box;

  for (guint64 at = mdat->at + mdat->head; at + sizeof data <= end; at++)
    if (recover_file_read (file, at, data, sizeof data)
        && is_moov ((guint32)recover_be (data + 4, 4)) && memcmp (data + 12, "mvhd", 4) == 0
        && read_box (file, at, &box) && is_whole (file, &box))
      return at;
  return mdat->at;
}

static void
cover_from (Mp4 *self, const Box *mdat, const Box *before)
{
  self->cover_free
      = before->type == FOUR ('f', 'r', 'e', 'e') && before->size == 8 && mdat->head == 8;
  self->cover = self->cover_free ? before->at : mdat->at;
  self->cover_room = self->cover_free ? 16 : mdat->head;
}

/* Up to the first moov; the first mdat is before it, or is that of a fragment.
 *
 * Returns: FALSE where that is not whole */
static gboolean
read_head (Mp4 *self, Box *moov)
{
  Box box, before = { 0 }, mdat = { 0 };
  gboolean found;
  guint64 at = 0;

  while ((found = read_box (self->file, at, &box)) && !is_moov (box.type)) {
    if (box.type == FOUR ('m', 'd', 'a', 't') && !self->cover) {
      cover_from (self, &box, &before);
      mdat = box;
    }
    if (!is_whole (self->file, &box))
      break;
    before = box;
    at += box.size;
  }
  if (!found || !is_moov (box.type) || !is_whole (self->file, &box)) {
    if (!self->cover)
      return FALSE;
    self->first_end = at = find_first_moov (self->file, &mdat);
    if (at == mdat.at || !read_box (self->file, at, &box))
      return FALSE;
  }
  if (box.type == FOUR ('h', 'o', 'o', 'v'))
    self->hidden = at;
  *moov = box;
  return TRUE;
}

static gboolean
read_moof (Mp4 *self, const Box *box)
{
  g_autoptr (GByteArray) data
      = recover_file_load (self->file, box->at + box->head, box->size - box->head, MAX_BOX);
  guint64 end;

  if (!data
      || !recover_mp4_read_moof (
          &self->movie, (RecoverSpan){ data->data, data->len }, box->at, &end))
    return FALSE;
  self->keep = MAX (box->at + box->size, end);
  return TRUE;
}

static void
read_fragments (Mp4 *self, guint64 at)
{
  Box box;

  while (read_box (self->file, at, &box) && is_whole (self->file, &box)) {
    if (box.type == FOUR ('m', 'o', 'o', 'f')) {
      if (!read_moof (self, &box))
        return;
    } else if (box.type == FOUR ('m', 'o', 'o', 'v') || box.type == FOUR ('m', 'f', 'r', 'a')) {
      return; /* an end that did not come to its own */
    }
    at += box.size;
  }
}

/* Whether such a box lies whole between @at and @end. */
static gboolean
has_box (RecoverFile *file, guint64 at, guint64 end, guint32 type)
{
  Box box;

  while (at < end && read_box (file, at, &box) && is_whole (file, &box)) {
    if (box.type == type)
      return TRUE;
    at += box.size;
  }
  return FALSE;
}

/* -- writing -- */

/* One header over all up to @end, written at once. */
static gboolean
write_cover (Mp4 *self, guint64 end, GError **error)
{
  guint64 size = end - self->cover;
  guint8 data[16];
  gsize length = 16;

  if (self->cover_free && size - 8 <= G_MAXUINT32) {
    recover_put_be (data, 4, 8);
    memcpy (data + 4, "free", 4);
    recover_put_be (data + 8, 4, size - 8);
    memcpy (data + 12, "mdat", 4);
  } else if (self->cover_room == 16) {
    recover_put_be (data, 4, 1);
    memcpy (data + 4, "mdat", 4);
    recover_put_be (data + 8, 8, size);
  } else if (size <= G_MAXUINT32) {
    recover_put_be (data, 4, size);
    memcpy (data + 4, "mdat", 4);
    length = 8;
  } else {
    g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_UNKNOWN,
        "It has no room for the size that it has");
    return FALSE;
  }
  return recover_file_patch (self->file, self->cover, data, length, error);
}

static gboolean
finish (Mp4 *self, GError **error)
{
  g_autoptr (GByteArray) moov = NULL;

  if (!recover_file_may_cut (self->file, self->keep, error)
      || (self->hidden && !recover_file_patch (self->file, self->hidden + 4, "moov", 4, error))
      || (self->first_end && !write_cover (self, self->first_end, error))
      || !recover_file_cut (self->file, self->keep, self->recovery, error))
    return FALSE;
  moov = recover_mp4_make_moov (&self->movie, (RecoverSpan){ self->moov->data, self->moov->len });
  return recover_file_append (self->file, moov->data, moov->len, error)
         && recover_file_sync (self->file, error) && write_cover (self, self->keep, error)
         && recover_file_sync (self->file, error);
}

static void
tell (Mp4 *self)
{
  for (guint i = 0; i < self->movie.n_tracks; i++) {
    const RecoverTrack *track = &self->movie.tracks[i];

    if (track->kind == FOUR ('v', 'i', 'd', 'e'))
      self->recovery->video_frames += track->samples->len;
    else if (track->kind == FOUR ('s', 'o', 'u', 'n'))
      self->recovery->audio_frames += track->samples->len;
    self->recovery->duration
        = MAX (self->recovery->duration, (double)track->end / track->timescale);
  }
}

static void
mp4_clear (Mp4 *self)
{
  recover_mp4_clear (&self->movie);
  g_clear_pointer (&self->moov, g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Mp4, mp4_clear)

static gboolean
fail_empty (GError **error)
{
  g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_EMPTY,
      "Its head is not whole, or nothing is behind it: nothing of it plays");
  return FALSE;
}

gboolean
recover_mp4 (RecoverFile *file, HavenRecovery *recovery, GError **error)
{
  g_auto (Mp4) self = { .file = file, .recovery = recovery, .movie.file_size = file->size };
  guint64 end;
  Box moov;

  if (!read_head (&self, &moov))
    return fail_empty (error);
  end = moov.at + moov.size;
  if (!has_box (file, moov.at + moov.head, end, FOUR ('m', 'v', 'e', 'x'))) {
    recovery->complete = (self.cover && !self.first_end)
                         || has_box (file, end, file->size, FOUR ('m', 'd', 'a', 't'));
    if (!recovery->complete)
      g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_UNKNOWN,
          "It was not written by us, and its end is missing");
    return recovery->complete;
  }
  self.moov = recover_file_load (file, moov.at + moov.head, moov.size - moov.head, MAX_BOX);
  if (!self.moov
      || !recover_mp4_read_moov (&self.movie, (RecoverSpan){ self.moov->data, self.moov->len }))
    return fail_empty (error);
  if (!self.cover) { /* all of it is in fragments: the moov itself becomes what covers them */
    self.cover = moov.at;
    self.cover_room = 16;
  }
  self.keep = end;
  read_fragments (&self, end);
  if (self.movie.n_samples == 0)
    return fail_empty (error);
  if (self.movie.too_many) {
    g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_DAMAGED,
        "It has more than %d frames", RECOVER_MP4_SAMPLES);
    return FALSE;
  }
  tell (&self);
  return finish (&self, error);
}
