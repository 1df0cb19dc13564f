/* Matroska and WebM, as matroskamux leaves them: a Segment of unknown size whose SeekHead and
 * Duration are placeholders, and clusters, of which the last one's size is unknown.
 *
 * Each of these steps can be the last one, and recovery begins anew: the Segment says that it is
 * unfinished; cut to the last whole block; Cues behind it; SeekHead and Duration; the Segment's
 * size.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "recover-file.h"

#define MAX_TRACKS 16
#define MAX_HEAD (1 << 20)    /* bytes of an element that is read whole */
#define MAX_CUES (1 << 16)    /* one a second for 18 hours; of more, every second one goes */
#define MAX_GROUP_CHILDREN 32 /* elements of a BlockGroup, of which the first ones matter */
#define MAX_SEEKS 32          /* entries of the SeekHead; ours has 5 */
#define UNKNOWN_SIZE G_MAXUINT64

enum
{
  ID_EBML = 0x1A45DFA3,
  ID_SEGMENT = 0x18538067,
  ID_SEEK_HEAD = 0x114D9B74,
  ID_SEEK = 0x4DBB,
  ID_SEEK_ID = 0x53AB,
  ID_SEEK_POSITION = 0x53AC,
  ID_INFO = 0x1549A966,
  ID_TIMECODE_SCALE = 0x2AD7B1,
  ID_DURATION = 0x4489,
  ID_TRACKS = 0x1654AE6B,
  ID_TRACK_ENTRY = 0xAE,
  ID_TRACK_NUMBER = 0xD7,
  ID_TRACK_TYPE = 0x83,
  ID_DEFAULT_DURATION = 0x23E383,
  ID_TAGS = 0x1254C367,
  ID_CLUSTER = 0x1F43B675,
  ID_TIMECODE = 0xE7,
  ID_POSITION = 0xA7,
  ID_PREVIOUS_SIZE = 0xAB,
  ID_SIMPLE_BLOCK = 0xA3,
  ID_BLOCK_GROUP = 0xA0,
  ID_BLOCK = 0xA1,
  ID_BLOCK_DURATION = 0x9B,
  ID_REFERENCE_BLOCK = 0xFB,
  ID_CUES = 0x1C53BB6B,
  ID_CUE_POINT = 0xBB,
  ID_CUE_TIME = 0xB3,
  ID_CUE_TRACK_POSITIONS = 0xB7,
  ID_CUE_TRACK = 0xF7,
  ID_CUE_CLUSTER_POSITION = 0xF1,
  ID_VOID = 0xEC,
  ID_CRC = 0xBF,
};

enum
{
  TYPE_VIDEO = 1,
  TYPE_AUDIO = 2,
};

typedef struct
{
  guint64 number, type;
  guint64 frame; /* ns; 0: not said */
} Track;

typedef struct
{
  guint64 time, cluster; /* ticks; bytes from the Segment's data */
} Cue;

typedef struct
{
  guint32 id;
  guint64 at, data, size; /* where it and its data begin; of its data, or UNKNOWN_SIZE */
  guint size_width;
} Element;

typedef struct
{
  RecoverFile *file;
  HavenRecovery *recovery;

  guint64 segment, segment_size_at; /* where its data and its size are */
  guint64 head_end;                 /* where the clusters begin */
  Element seek_head;                /* size 0: none */
  guint64 scale;                    /* ns of a tick */
  guint64 duration_at;
  guint duration_width; /* 0: none */
  Track tracks[MAX_TRACKS];
  guint n_tracks;
  const Track *indexed; /* (nullable) */

  Element cluster; /* the last one with a block in it */
  guint64 keep;    /* its last whole block's end */
  guint64 end;     /* ticks: when the last frame is over */
  GArray *cues;
  guint cue_every, cue_skip;
} Matroska;

/* -- elements -- */

/* Returns: bytes, or 0 */
static guint
read_number (RecoverFile *file, guint64 at, gboolean is_id, guint64 *value)
{
  guint8 data[8];
  guint width = 1;

  if (!recover_file_read (file, at, data, 1))
    return 0;
  while (width <= 8 && !(data[0] & (0x80 >> (width - 1))))
    width++;
  if (width > (is_id ? 4u : 8u) || !recover_file_read (file, at, data, width))
    return 0;
  *value = recover_be (data, width);
  if (!is_id) {
    guint64 mask = (G_GUINT64_CONSTANT (1) << (7 * width)) - 1;

    *value &= mask;
    if (*value == mask)
      *value = UNKNOWN_SIZE;
  }
  return width;
}

static gboolean
read_element (RecoverFile *file, guint64 at, Element *element)
{
  guint64 id;
  guint width = read_number (file, at, TRUE, &id);

  if (width == 0)
    return FALSE;
  element->id = (guint32)id;
  element->at = at;
  element->size_width = read_number (file, at + width, FALSE, &element->size);
  element->data = at + width + element->size_width;
  return element->size_width > 0;
}

static gboolean
is_whole (const RecoverFile *file, const Element *element)
{
  return element->size != UNKNOWN_SIZE && element->data <= file->size
         && element->size <= file->size - element->data;
}

static guint64
end_of (const Element *element)
{
  return element->data + element->size;
}

/* Goes from child to child of what lies between @at and @end; FALSE at the end, or where one is not
 * whole. */
static gboolean
next_child (RecoverFile *file, guint64 *at, guint64 end, Element *child)
{
  if (*at >= end || !read_element (file, *at, child) || !is_whole (file, child)
      || end_of (child) > end)
    return FALSE;
  *at = end_of (child);
  return TRUE;
}

static guint64
read_uint (RecoverFile *file, const Element *element)
{
  guint8 data[8];

  if (element->size > 8 || !recover_file_read (file, element->data, data, element->size))
    return 0;
  return recover_be (data, (guint)element->size);
}

/* -- the head -- */

static void
read_info (Matroska *self, const Element *info)
{
  guint64 at = info->data;
  Element child;

  while (next_child (self->file, &at, end_of (info), &child)) {
    if (child.id == ID_TIMECODE_SCALE) {
      self->scale = read_uint (self->file, &child);
    } else if (child.id == ID_DURATION && (child.size == 4 || child.size == 8)) {
      self->duration_at = child.data;
      self->duration_width = (guint)child.size;
    }
  }
}

static void
read_track (Matroska *self, const Element *entry)
{
  Track track = { 0 };
  guint64 at = entry->data;
  Element child;

  while (next_child (self->file, &at, end_of (entry), &child)) {
    if (child.id == ID_TRACK_NUMBER)
      track.number = read_uint (self->file, &child);
    else if (child.id == ID_TRACK_TYPE)
      track.type = read_uint (self->file, &child);
    else if (child.id == ID_DEFAULT_DURATION)
      track.frame = read_uint (self->file, &child);
  }
  if (self->n_tracks < MAX_TRACKS)
    self->tracks[self->n_tracks++] = track;
}

static void
read_tracks (Matroska *self, const Element *tracks)
{
  guint64 at = tracks->data;
  Element child;

  while (next_child (self->file, &at, end_of (tracks), &child))
    if (child.id == ID_TRACK_ENTRY)
      read_track (self, &child);
  for (guint i = 0; i < self->n_tracks; i++)
    if (!self->indexed || (self->indexed->type != TYPE_VIDEO && self->tracks[i].type == TYPE_VIDEO))
      self->indexed = &self->tracks[i];
}

/* Up to the first cluster.
 *
 * Returns: FALSE where it is not there or not ours */
static gboolean
read_head (Matroska *self)
{
  Element element;
  guint64 at;

  if (!read_element (self->file, 0, &element) || element.id != ID_EBML
      || !is_whole (self->file, &element))
    return FALSE;
  if (!read_element (self->file, end_of (&element), &element) || element.id != ID_SEGMENT
      || element.size_width != 8)
    return FALSE;
  self->segment = at = element.data;
  self->segment_size_at = element.data - element.size_width;
  if (element.size != UNKNOWN_SIZE && is_whole (self->file, &element)) {
    self->recovery->complete = TRUE;
    return TRUE;
  }
  while (read_element (self->file, at, &element) && element.id != ID_CLUSTER) {
    if (!is_whole (self->file, &element) || element.size > MAX_HEAD)
      break;
    if (element.id == ID_SEEK_HEAD && self->seek_head.size == 0)
      self->seek_head = element;
    else if (element.id == ID_INFO)
      read_info (self, &element);
    else if (element.id == ID_TRACKS && !self->indexed)
      read_tracks (self, &element);
    at = end_of (&element);
  }
  self->head_end = at;
  if (self->scale == 0)
    self->scale = 1000000;
  return self->indexed != NULL;
}

/* -- blocks -- */

typedef struct
{
  guint64 track, time, duration; /* ticks */
  gboolean key;
} Block;

/* @block: a SimpleBlock, or the Block of a group */
static gboolean
read_block (RecoverFile *file, const Element *block, guint64 cluster_time, Block *found)
{
  guint width = read_number (file, block->data, FALSE, &found->track);
  guint8 head[3];
  gint16 offset;

  if (width == 0 || block->size < width + sizeof head
      || !recover_file_read (file, block->data + width, head, sizeof head))
    return FALSE;
  offset = (gint16)recover_be (head, 2);
  if (offset < 0 && cluster_time < (guint64)-offset)
    found->time = 0;
  else
    found->time = cluster_time + (guint64)(gint64)offset;
  found->key = (head[2] & 0x80) != 0;
  return TRUE;
}

static gboolean
read_group (RecoverFile *file, const Element *group, guint64 cluster_time, Block *found)
{
  guint64 at = group->data;
  gboolean has_block = FALSE, refers = FALSE;
  Element child;

  for (guint i = 0; i < MAX_GROUP_CHILDREN && next_child (file, &at, end_of (group), &child); i++) {
    if (child.id == ID_BLOCK)
      has_block = read_block (file, &child, cluster_time, found);
    else if (child.id == ID_BLOCK_DURATION)
      found->duration = read_uint (file, &child);
    else if (child.id == ID_REFERENCE_BLOCK)
      refers = TRUE;
  }
  found->key = !refers;
  return has_block;
}

/* Too many: every second one goes, and of those to come too. */
static void
thin_cues (Matroska *self)
{
  Cue *cues = (Cue *)(void *)self->cues->data;

  for (guint i = 0; i < self->cues->len / 2; i++)
    cues[i] = cues[2 * i];
  g_array_set_size (self->cues, self->cues->len / 2);
  self->cue_every *= 2;
}

static void
add_cue (Matroska *self, const Block *block, const Element *cluster)
{
  const Cue cue = { block->time, cluster->at - self->segment };

  if (self->cue_skip++ % self->cue_every != 0)
    return;
  g_array_append_val (self->cues, cue);
  if (self->cues->len >= MAX_CUES)
    thin_cues (self);
}

/* Of sound without pictures, the first block of each cluster. */
static gboolean
is_indexed (const Matroska *self, const Block *block, const Element *cluster)
{
  const Cue *last = self->cues->len ? &g_array_index (self->cues, Cue, self->cues->len - 1) : NULL;

  if (block->track != self->indexed->number || !block->key)
    return FALSE;
  return self->indexed->type == TYPE_VIDEO || !last || last->cluster != cluster->at - self->segment;
}

static void
count_block (Matroska *self, const Block *block, const Element *cluster)
{
  guint64 duration = block->duration;

  for (guint i = 0; i < self->n_tracks; i++) {
    const Track *track = &self->tracks[i];

    if (track->number != block->track)
      continue;
    self->recovery->video_frames += track->type == TYPE_VIDEO;
    self->recovery->audio_frames += track->type == TYPE_AUDIO;
    if (duration == 0)
      duration = track->frame / self->scale;
  }
  if (duration < G_MAXINT64 && block->time < G_MAXINT64)
    self->end = MAX (self->end, block->time + duration);
  if (is_indexed (self, block, cluster))
    add_cue (self, block, cluster);
}

/* Returns: where the cluster ends; 0 where nothing that could follow is to be believed */
static guint64
read_cluster (Matroska *self, const Element *cluster)
{
  gboolean open = cluster->size == UNKNOWN_SIZE || !is_whole (self->file, cluster);
  guint64 at = cluster->data, end = open ? self->file->size : end_of (cluster), time = 0;
  Element child;

  while (next_child (self->file, &at, end, &child)) {
    Block block = { 0 };

    switch (child.id) {
    case ID_TIMECODE:
      time = read_uint (self->file, &child);
      break;
    case ID_SIMPLE_BLOCK:
    case ID_BLOCK_GROUP:
      if (!(child.id == ID_SIMPLE_BLOCK ? read_block (self->file, &child, time, &block)
                                        : read_group (self->file, &child, time, &block)))
        return 0;
      count_block (self, &block, cluster);
      self->cluster = *cluster;
      self->keep = end_of (&child);
      break;
    case ID_POSITION:
    case ID_PREVIOUS_SIZE:
    case ID_VOID:
    case ID_CRC:
      break;
    default:
      return 0;
    }
  }
  if (open) /* its size was not written, but is there a next one? */
    return read_element (self->file, at, &child) && child.id == ID_CLUSTER ? at : 0;
  return at == end ? end : 0;
}

static void
read_clusters (Matroska *self, guint64 at)
{
  Element element;

  while (at > 0 && read_element (self->file, at, &element)) {
    if (element.id == ID_CLUSTER)
      at = read_cluster (self, &element);
    else if (element.id == ID_VOID && is_whole (self->file, &element))
      at = end_of (&element);
    else
      return;
  }
}

/* -- writing -- */

static void
put_head (GByteArray *to, guint32 id, guint64 size)
{
  guint8 data[16];
  guint id_width = id > 0xFFFFFF ? 4 : id > 0xFFFF ? 3 : id > 0xFF ? 2 : 1;

  recover_put_be (data, id_width, id);
  recover_put_be (data + id_width, 8, size);
  data[id_width] = 0x01; /* eight bytes of size */
  g_byte_array_append (to, data, id_width + 8);
}

static void
put_uint (GByteArray *to, guint8 id, guint64 value)
{
  guint8 data[10] = { id };
  guint width = 1;

  while (width < 8 && value >> (8 * width))
    width++;
  data[1] = (guint8)(0x80 | width);
  recover_put_be (data + 2, width, value);
  g_byte_array_append (to, data, width + 2);
}

static gboolean
append_cues (Matroska *self, GError **error)
{
  g_autoptr (GByteArray) points = g_byte_array_new (), head = g_byte_array_new ();
  g_autoptr (GByteArray) time = g_byte_array_new (), place = g_byte_array_new ();

  for (guint i = 0; i < self->cues->len; i++) {
    const Cue *cue = &g_array_index (self->cues, Cue, i);

    g_byte_array_set_size (time, 0);
    g_byte_array_set_size (place, 0);
    put_uint (time, ID_CUE_TIME, cue->time);
    put_uint (place, ID_CUE_TRACK, self->indexed->number);
    put_uint (place, ID_CUE_CLUSTER_POSITION, cue->cluster);
    put_head (time, ID_CUE_TRACK_POSITIONS, place->len);
    put_head (points, ID_CUE_POINT, time->len + place->len);
    g_byte_array_append (points, time->data, time->len);
    g_byte_array_append (points, place->data, place->len);
  }
  put_head (head, ID_CUES, points->len);
  return recover_file_append (self->file, head->data, head->len, error)
         && recover_file_append (self->file, points->data, points->len, error);
}

/* Returns: FALSE where the element's size has no room for it, which can then stay as it is */
static gboolean
encode_size (guint8 *data, guint width, guint64 size)
{
  if (size >= (G_GUINT64_CONSTANT (1) << (7 * width)) - 1)
    return FALSE;
  recover_put_be (data, width, size);
  data[0] |= (guint8)(0x80 >> (width - 1));
  return TRUE;
}

static gboolean
patch_cluster (Matroska *self, GError **error)
{
  const Element *cluster = &self->cluster;
  guint8 size[8];

  if (cluster->size == self->keep - cluster->data
      || !encode_size (size, cluster->size_width, self->keep - cluster->data))
    return TRUE;
  return recover_file_patch (
      self->file, cluster->data - cluster->size_width, size, cluster->size_width, error);
}

/* Returns: where it is in the Segment, or UNKNOWN_SIZE */
static guint64
find_in_head (Matroska *self, guint64 id)
{
  guint64 at = self->segment;
  Element child;

  while (next_child (self->file, &at, self->head_end, &child))
    if (child.id == id)
      return child.at - self->segment;
  return UNKNOWN_SIZE;
}

/* An entry for what is not there any more becomes a Void of its size. */
static gboolean
patch_seek (Matroska *self, const Element *seek, guint64 cues, GError **error)
{
  guint64 at = seek->data, id = 0, position, whole = end_of (seek) - seek->at;
  const guint8 empty[] = { ID_VOID, (guint8)(0x80 | (whole - 2)) };
  Element child, place = { 0 };
  guint8 data[8];

  while (next_child (self->file, &at, end_of (seek), &child)) {
    if (child.id == ID_SEEK_ID)
      id = read_uint (self->file, &child);
    else if (child.id == ID_SEEK_POSITION && child.size <= sizeof data)
      place = child;
  }
  position = id == ID_CUES ? cues : find_in_head (self, id);
  if (place.size > 0 && (place.size == sizeof data || position >> (8 * place.size) == 0)) {
    if (position != UNKNOWN_SIZE) {
      recover_put_be (data, (guint)place.size, position);
      return recover_file_patch (self->file, place.data, data, place.size, error);
    }
  }
  return whole < 2 || whole - 2 > 126
         || recover_file_patch (self->file, seek->at, empty, sizeof empty, error);
}

static gboolean
patch_seek_head (Matroska *self, guint64 cues, GError **error)
{
  guint64 at = self->seek_head.data;
  Element child;

  if (self->seek_head.size == 0)
    return TRUE;
  for (guint i = 0;
       i < MAX_SEEKS && next_child (self->file, &at, end_of (&self->seek_head), &child); i++)
    if (child.id == ID_SEEK && !patch_seek (self, &child, cues, error))
      return FALSE;
  return TRUE;
}

static gboolean
patch_duration (Matroska *self, GError **error)
{
  guint8 data[8];
  double ticks = (double)self->end;
  float short_ticks = (float)ticks;
  guint64 bits = 0;
  guint32 short_bits;

  if (self->duration_width == 0)
    return TRUE;
  memcpy (&bits, &ticks, sizeof bits);
  memcpy (&short_bits, &short_ticks, sizeof short_bits);
  recover_put_be (data, self->duration_width, self->duration_width == 8 ? bits : short_bits);
  return recover_file_patch (self->file, self->duration_at, data, self->duration_width, error);
}

static gboolean
patch_segment (Matroska *self, guint64 size, GError **error)
{
  guint8 data[8];

  recover_put_be (data, 8, size);
  data[0] = 0x01;
  return recover_file_patch (self->file, self->segment_size_at, data, 8, error);
}

static gboolean
finish (Matroska *self, GError **error)
{
  guint64 unknown = (G_GUINT64_CONSTANT (1) << 56) - 1;

  return recover_file_may_cut (self->file, self->keep, error)
         && patch_segment (self, unknown, error)
         && recover_file_cut (self->file, self->keep, self->recovery, error)
         && patch_cluster (self, error) && append_cues (self, error)
         && recover_file_sync (self->file, error)
         && patch_seek_head (self, self->keep - self->segment, error)
         && patch_duration (self, error) && recover_file_sync (self->file, error)
         && patch_segment (self, self->file->size - self->segment, error)
         && recover_file_sync (self->file, error);
}

/* Whether there is anything in a file that its muxer has ended: a part that begins as the disk
 * fails has but its head. */
static gboolean
has_cluster (Matroska *self)
{
  guint64 at = self->segment;
  Element element;

  while (next_child (self->file, &at, self->file->size, &element))
    if (element.id == ID_CLUSTER)
      return TRUE;
  return FALSE;
}

gboolean
recover_matroska (RecoverFile *file, HavenRecovery *recovery, GError **error)
{
  g_autoptr (GArray) cues = g_array_new (FALSE, FALSE, sizeof (Cue));
  Matroska self = { .file = file, .recovery = recovery, .cues = cues, .cue_every = 1 };

  if (!read_head (&self)) {
    g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_EMPTY,
        "Its head is not whole: nothing of it plays");
    return FALSE;
  }
  if (recovery->complete && has_cluster (&self))
    return TRUE;
  if (!recovery->complete)
    read_clusters (&self, self.head_end);
  if (self.keep == 0) {
    recovery->complete = FALSE;
    g_set_error (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_EMPTY,
        "There is nothing in it but its head");
    return FALSE;
  }
  recovery->duration = (double)self.end * (double)self.scale / 1e9;
  return finish (&self, error);
}
