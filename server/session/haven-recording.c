/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-recording-private.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "haven-checksum.h"
#include "haven-filename.h"
#include "haven-manifest.h"
#include "haven-session-error.h"
#include "haven-wav.h"

#define SYNC_INTERVAL 1                                 /* s */
#define START_TIMEOUT 10                                /* s until something must come */
#define DEFAULT_RESERVE (G_GUINT64_CONSTANT (64) << 20) /* bytes */
#define MAX_PARTS 1000
#define MAX_SEGMENT_MINUTES (7 * 24 * 60)
#define MAX_WAV \
  (G_GUINT64_CONSTANT (4000) * 1000000) /* bytes; many players know no more than 4 GB */

G_DEFINE_FINAL_TYPE (HavenRecording, haven_recording, G_TYPE_OBJECT)

enum
{
  SIGNAL_STARTED,
  SIGNAL_PART_BEGUN,
  SIGNAL_ENDED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static gboolean begin_part (HavenRecording *self, HavenPart *before, GError **error);

/* -- names */

char *
haven_recording_part_path (const char *path, guint n)
{
  return n <= 1 ? g_strdup (path) : haven_filename_numbered (path, n);
}

char *
haven_recording_rename (const char *from, const char *to, GError **error)
{
  char *name = haven_filename_give (from, to);

  if (!name)
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_INTERNAL,
        "“%s” could not be named “%s”: %s", from, to, g_strerror (errno));
  return name;
}

const HavenPart *
haven_recording_first_written (HavenRecording *self)
{
  for (guint i = 0; i < self->parts->len; i++) {
    const HavenPart *part = g_ptr_array_index (self->parts, i);

    if (part->size)
      return part;
  }
  return NULL;
}

static const HavenPart *
last_written (HavenRecording *self)
{
  for (guint i = self->parts->len; i > 0; i--) {
    const HavenPart *part = g_ptr_array_index (self->parts, i - 1);

    if (part->size)
      return part;
  }
  return NULL;
}

static void
part_free (gpointer data)
{
  HavenPart *part = data;

  if (part->fd >= 0)
    close (part->fd);
  g_clear_pointer (&part->recorder, haven_recorder_free);
  g_clear_pointer (&part->report, haven_recorder_report_free);
  g_free (part->wanted);
  g_free (part->path);
  g_free (part);
}

static HavenPart *
last_part (HavenRecording *self)
{
  return self->parts->len ? g_ptr_array_index (self->parts, self->parts->len - 1) : NULL;
}

/* The one that the recording goes into now: a further one may be waiting for its beginning. */
static HavenPart *
written_part (HavenRecording *self)
{
  for (guint i = self->parts->len; i > 0; i--) {
    HavenPart *part = g_ptr_array_index (self->parts, i - 1);

    if (part->began)
      return part;
  }
  return last_part (self);
}

/* -- the disk */

static gboolean
has_room (HavenRecording *self, const char *path, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);
  struct statvfs disk;

  if (statvfs (dir, &disk) != 0) {
    g_set_error (
        error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_FILE, "“%s”: %s", dir, g_strerror (errno));
    return FALSE;
  }
  if ((guint64)disk.f_bavail * disk.f_frsize < self->reserve) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_DISK_FULL,
        "The disk of “%s” is full: less than %" G_GUINT64_FORMAT " MB are free", dir,
        self->reserve >> 20);
    return FALSE;
  }
  return TRUE;
}

static GError * /* (transfer full) */
new_sync_error (void)
{
  return g_error_new (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_FILE,
      "The recording cannot be written: %s", g_strerror (errno));
}

static void
sync_thread (
    GTask *task, gpointer source, gpointer data, GCancellable *cancellable) /* a thread of GIO's */
{
  int fd = GPOINTER_TO_INT (data);

  if (fsync (fd) != 0 && errno != EINVAL)
    g_task_return_error (task, new_sync_error ());
  else
    g_task_return_boolean (task, TRUE);
  close (fd);
}

static void
fail (HavenRecording *self, const GError *error)
{
  if (!self->stopping && !self->ended)
    g_warning ("%s", error->message);
  haven_recording_end (self, error);
}

static void
on_synced (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRecording *self = HAVEN_RECORDING (source);
  g_autoptr (GError) error = NULL;

  self->syncing = FALSE;
  if (g_task_propagate_boolean (G_TASK (result), &error))
    return;
  self->unsynced = TRUE; /* the next attempt succeeds, though the data is lost */
  fail (self, error);
}

static void
look_at_size (HavenRecording *self, HavenPart *part)
{
  struct stat file;

  if (part->fd < 0 || fstat (part->fd, &file) != 0)
    return;
  if ((guint64)file.st_size != part->size)
    self->last_write = g_get_real_time ();
  part->size = file.st_size;
}

/* How it lies in time is known from when sender reports come, and may be no more in the end. */
static void
look_at_clock (HavenRecording *self, HavenPart *part)
{
  HavenSync sync;

  haven_graph_get_sync (self->graph, &sync);
  if (sync.clock_known) {
    part->clock_known = TRUE;
    part->clock_offset = sync.clock_offset;
  }
  if (sync.skew_known && haven_format_has_video (self->format)) {
    part->n_skews++;
    part->skew_sum += ABS (sync.skew);
    part->skew_max = MAX (part->skew_max, ABS (sync.skew));
  }
}

static gboolean
is_long_enough (HavenRecording *self, const HavenPart *part)
{
  gint64 lasts = part->began ? g_get_monotonic_time () - part->began : 0;

  return (self->segment_seconds && lasts >= self->segment_seconds * G_USEC_PER_SEC)
         || (self->segment_bytes && part->size >= self->segment_bytes);
}

/* Where no other file can be made, this one goes on. */
static void
look_at_segment (HavenRecording *self, HavenPart *part)
{
  g_autoptr (GError) error = NULL;

  if (self->stopping || !part->recorder || part != last_part (self) || !is_long_enough (self, part))
    return;
  if (self->parts->len < MAX_PARTS && begin_part (self, part, &error)) {
    g_signal_emit (self, signals[SIGNAL_PART_BEGUN], 0);
    return;
  }
  self->segment_seconds = 0;
  self->segment_bytes = 0;
  g_warning ("The recording is not divided any more: %s",
      error ? error->message : "it has too many parts");
}

static gboolean
on_sync (gpointer user_data)
{
  HavenRecording *self = user_data;
  HavenPart *part = written_part (self);
  g_autoptr (GError) error = NULL;
  int fd;

  look_at_size (self, part);
  look_at_clock (self, part);
  if (!self->stopping && strcmp (self->format->container, "wav") == 0) /* then wavenc does it */
    haven_wav_set_size (part->fd, part->size);
  if (!has_room (self, part->path, &error))
    fail (self, error);
  if (!self->syncing && part->fd >= 0 && (fd = fcntl (part->fd, F_DUPFD_CLOEXEC, 0)) >= 0) {
    g_autoptr (GTask) task = g_task_new (self, NULL, on_synced, NULL);

    self->syncing = TRUE;
    g_task_set_task_data (task, GINT_TO_POINTER (fd), NULL);
    g_task_run_in_thread (task, sync_thread);
  }
  look_at_segment (self, part);
  return G_SOURCE_CONTINUE;
}

typedef struct
{
  HavenPart *part; /* stays where it is until the task is done */
  int fd;
  char *from, *to;
  gboolean discard;
  gboolean whole;
  guint64 size;
} Naming;

static void
naming_free (gpointer data)
{
  Naming *naming = data;

  g_free (naming->from);
  g_free (naming->to);
  g_free (naming);
}

static void
name_thread (
    GTask *task, gpointer source, gpointer data, GCancellable *cancellable) /* a thread of GIO's */
{
  Naming *naming = data;
  g_autoptr (GError) error = NULL;
  struct stat file;
  char *name = NULL;

  if (fsync (naming->fd) != 0) {
    error = new_sync_error ();
    naming->whole = FALSE;
  }
  if (fstat (naming->fd, &file) == 0)
    naming->size = file.st_size;
  if (naming->discard)
    naming->size = 0;
  if (naming->size == 0) { /* nothing came for this part */
    unlink (naming->from);
    close (naming->fd);
    naming->whole = TRUE;
    g_task_return_pointer (task, NULL, NULL);
    return;
  }
  if (naming->whole)
    name = haven_recording_rename (naming->from, naming->to, &error);
  close (naming->fd); /* with its lock */
  naming->whole = name != NULL;
  if (name)
    haven_filename_sync (name);
  if (error)
    g_task_return_error (task, g_steal_pointer (&error));
  else
    g_task_return_pointer (task, name, g_free);
}

double
haven_recording_part_duration (HavenRecording *self, const HavenPart *part)
{
  gint64 until = part->ended        ? part->ended
                 : self->stopped_at ? self->stopped_at
                                    : g_get_monotonic_time ();

  if (part->report)
    return part->report->duration;
  return part->began ? (until - part->began) / 1e6 : 0;
}

/* -- parts */

/* Once no part is written or named any more. */
static void
end_when_all_is_done (HavenRecording *self)
{
  g_autoptr (HavenRecording) keep = g_object_ref (self);
  g_autofree char *manifest = NULL;

  for (guint i = 0; i < self->parts->len; i++)
    if (!((const HavenPart *)g_ptr_array_index (self->parts, i))->done)
      return;
  if (self->ended || !self->stopping)
    return;
  self->ended = TRUE;
  self->end_time = g_get_real_time ();
  g_clear_handle_id (&self->sync_timer, g_source_remove);
  g_clear_handle_id (&self->start_timer, g_source_remove);
  if (haven_recording_first_written (self))
    manifest = haven_recording_write_manifest (self);
  else if (!self->error)
    self->error = g_error_new (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_NO_STREAMER,
        "Nothing came that could be recorded");
  g_signal_emit (self, signals[SIGNAL_ENDED], 0);
  if (manifest) /* who waits for the end does not wait for this */
    haven_checksum_spawn (manifest);
}

static void
on_named (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRecording *self = HAVEN_RECORDING (source);
  Naming *naming = g_task_get_task_data (G_TASK (result));
  g_autoptr (GError) error = NULL;
  char *name = g_task_propagate_pointer (G_TASK (result), &error);

  naming->part->size = naming->size;
  naming->part->done = TRUE;
  naming->part->whole = naming->whole;
  if (name) {
    g_free (naming->part->path);
    naming->part->path = name;
  } else if (error && !self->error) {
    self->error = g_steal_pointer (&error);
  }
  end_when_all_is_done (self);
}

static void
name_part (HavenRecording *self, HavenPart *part, gboolean whole)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, on_named, NULL);
  Naming *naming = g_new0 (Naming, 1);

  *naming = (Naming){ part, part->fd, g_strdup (part->path), g_strdup (part->wanted),
    part->superfluous, whole && !self->unsynced, 0 };
  part->fd = -1;
  g_task_set_task_data (task, naming, naming_free);
  g_task_run_in_thread (task, name_thread);
}

static HavenPart *
part_of (HavenRecording *self, HavenRecorder *recorder)
{
  for (guint i = 0; i < self->parts->len; i++) {
    HavenPart *part = g_ptr_array_index (self->parts, i);

    if (part->recorder == recorder)
      return part;
  }
  g_return_val_if_reached (NULL);
}

/* The parts before one end when it has begun: rather twice the same in two files than in none. */
static void
stop_parts_before (HavenRecording *self, const HavenPart *part)
{
  for (guint i = 0; g_ptr_array_index (self->parts, i) != part; i++) {
    HavenPart *earlier = g_ptr_array_index (self->parts, i);

    if (!earlier->recorder || (earlier->followed && g_ptr_array_index (self->parts, i + 1) == part))
      continue; /* the graph ends it where this one begins */
    earlier->superfluous = !earlier->began;
    haven_recorder_stop (earlier->recorder);
  }
}

static gboolean
holds_media (const HavenRecorderStats *frames)
{
  return frames->video_frames + frames->audio_frames > 0;
}

static void
on_recorder_started (HavenRecorder *recorder, gpointer user_data)
{
  HavenRecording *self = user_data;
  HavenPart *part = part_of (self, recorder);

  haven_recorder_get_stats (recorder, &part->frames);
  if (!holds_media (&part->frames))
    return; /* a muxer that is stopped before anything came writes its head all the same */
  part->start_time = g_get_real_time ();
  part->began = g_get_monotonic_time ();
  stop_parts_before (self, part);
  if (self->started)
    return;
  g_clear_handle_id (&self->start_timer, g_source_remove);
  self->started = TRUE;
  self->start_time = self->last_write = g_get_real_time ();
  self->began = g_get_monotonic_time ();
  g_signal_emit (self, signals[SIGNAL_STARTED], 0);
}

static void
on_recorder_outdated (HavenRecorder *recorder, gpointer user_data)
{
  HavenRecording *self = user_data;
  g_autoptr (GError) error = NULL;

  if (self->stopping || part_of (self, recorder) != last_part (self))
    return;
  if (self->parts->len >= MAX_PARTS)
    error = g_error_new (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_LIMIT,
        "The recording has %d parts, and no more are made", MAX_PARTS);
  else if (begin_part (self, NULL, &error))
    g_signal_emit (self, signals[SIGNAL_PART_BEGUN], 0);
  if (error)
    fail (self, error);
}

static void
on_recorder_ended (HavenRecorder *recorder, const GError *error, gpointer user_data)
{
  HavenRecording *self = user_data;
  HavenPart *part = part_of (self, recorder);

  part->ended = g_get_monotonic_time ();
  haven_recorder_get_stats (recorder, &part->frames);
  part->report = haven_recorder_steal_report (recorder);
  /* One that is stopped before anything came for it has lost nothing. */
  if (error && !self->error && !part->superfluous
      && (!self->stopping || part->began || self->parts->len == 1))
    self->error = g_error_copy (error);
  part->superfluous |= !holds_media (&part->frames);
  name_part (self, part, haven_recorder_is_whole (recorder));
  g_clear_pointer (&part->recorder, haven_recorder_free); /* error is gone with it */
  if (part == last_part (self))
    haven_recording_stop (self); /* it ended by itself */
}

static const HavenRecorderHandlers recorder_handlers
    = { on_recorder_started, on_recorder_outdated, on_recorder_ended };

/* @before: (nullable): the part that it goes on from without a seam */
static gboolean
begin_part (HavenRecording *self, HavenPart *before, GError **error)
{
  HavenPart *part = g_new0 (HavenPart, 1);

  part->wanted = haven_recording_part_path (self->path, self->parts->len + 1);
  part->path = g_strconcat (part->wanted, HAVEN_UNFINISHED, NULL);
  part->fd = open (part->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (part->fd < 0) {
    g_set_error (error, HAVEN_SESSION_ERROR,
        errno == ENOSPC ? HAVEN_SESSION_ERROR_DISK_FULL : HAVEN_SESSION_ERROR_FILE,
        "“%s” cannot be written: %s", part->path, g_strerror (errno));
    part_free (part);
    return FALSE;
  }
  flock (part->fd, LOCK_EX | LOCK_NB); /* until it has its name: recovery leaves it alone */
  part->recorder = haven_graph_record (self->graph, self->format, self->quality, part->path,
      before ? before->recorder : NULL, &recorder_handlers, self, error);
  if (!part->recorder) {
    unlink (part->path);
    part_free (part);
    return FALSE;
  }
  if (before)
    before->followed = TRUE;
  g_ptr_array_add (self->parts, part);
  return TRUE;
}

static gboolean
on_start_timeout (gpointer user_data)
{
  HavenRecording *self = user_data;
  g_autoptr (GError) error = g_error_new (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_TIMEOUT,
      "Nothing came in %d seconds that could be recorded", START_TIMEOUT);

  self->start_timer = 0;
  fail (self, error);
  return G_SOURCE_REMOVE;
}

HavenRecording *
haven_recording_new (HavenGraph *graph, const HavenRecordingSettings *settings, GError **error)
{
  g_autoptr (HavenRecording) self = g_object_new (HAVEN_TYPE_RECORDING, NULL);
  g_autofree char *dir = NULL, *taken = NULL;

  if (!settings->path || !*settings->path) {
    g_set_error (
        error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG, "A recording needs a path");
    return NULL;
  }
  self->format = haven_format_find (settings->format);
  if (settings->video_quality && *settings->video_quality)
    self->quality = haven_quality_find (settings->video_quality);
  if (!self->format || !haven_quality_find (settings->video_quality)
      || !haven_quality_find (settings->audio_quality)) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG, "There is no such %s",
        self->format ? "quality" : "format");
    return NULL;
  }
  self->graph = g_object_ref (graph);
  self->id = g_strdup (settings->recording_id);
  self->path = g_strdup (settings->path);
  self->room_name = g_strdup (settings->room_name);
  self->mint_id = g_strdup (settings->mint_id);
  self->first_part = MAX (settings->first_part, 1);
  self->segment_seconds = MIN (settings->segment_minutes, MAX_SEGMENT_MINUTES) * 60;
  self->segment_bytes = (guint64)settings->segment_mb * 1000000;
  if (strcmp (self->format->container, "wav") == 0)
    self->segment_bytes = self->segment_bytes ? MIN (self->segment_bytes, MAX_WAV) : MAX_WAV;
  self->reserve = settings->reserve ? settings->reserve : DEFAULT_RESERVE;
  dir = g_path_get_dirname (self->path);
  g_mkdir_with_parents (dir, 0755);
  if (!has_room (self, self->path, error))
    return NULL;
  if ((taken = haven_manifest_find_taken (self->path))) {
    g_set_error (
        error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_FILE, "“%s” is there already", taken);
    return NULL;
  }
  if (!begin_part (self, NULL, error))
    return NULL;
  self->start_time = g_get_real_time ();
  self->began = g_get_monotonic_time ();
  self->start_timer = g_timeout_add_seconds (START_TIMEOUT, on_start_timeout, self);
  self->sync_timer = g_timeout_add_seconds (SYNC_INTERVAL, on_sync, self);
  return g_steal_pointer (&self);
}

void
haven_recording_stop (HavenRecording *self)
{
  if (self->stopping || self->ended)
    return;
  self->stopping = TRUE;
  self->stopped_at = g_get_monotonic_time ();
  for (guint i = 0; i < self->parts->len; i++) {
    HavenPart *part = g_ptr_array_index (self->parts, i);

    if (part->recorder)
      haven_recorder_stop (part->recorder);
  }
}

void
haven_recording_end (HavenRecording *self, const GError *why)
{
  if (self->stopping || self->ended)
    return;
  if (!self->error)
    self->error = g_error_copy (why);
  haven_recording_stop (self);
}

const GError *
haven_recording_get_error (HavenRecording *self)
{
  return self->error;
}

void
haven_recording_get_figures (HavenRecording *self, HavenRecordingFigures *figures)
{
  gint64 until = self->stopped_at ? self->stopped_at : g_get_monotonic_time ();

  *figures = (HavenRecordingFigures){ 0 };
  for (guint i = 0; i < self->parts->len; i++) {
    HavenPart *part = g_ptr_array_index (self->parts, i);

    if (part->recorder)
      haven_recorder_get_stats (part->recorder, &part->frames);
    look_at_size (self, part);
    figures->frames.video_frames += part->frames.video_frames;
    figures->frames.audio_frames += part->frames.audio_frames;
    figures->frames.dropped_frames += part->frames.dropped_frames;
    figures->frames.video_codec = part->frames.video_codec;
    figures->frames.encodes = part->frames.encodes;
    figures->size += part->size;
  }
  figures->duration = self->started ? (until - self->began) / 1e6 : 0;
}

const char *
haven_recording_codec_word (const char *media_type)
{
  return media_type && g_str_has_prefix (media_type, "video/x-") ? media_type + strlen ("video/x-")
                                                                 : "";
}

static GVariant * /* (transfer floating) */
part_info (HavenRecording *self, guint i)
{
  const HavenPart *part = g_ptr_array_index (self->parts, i);
  const HavenRecorderStats *frames = &part->frames;
  GVariantDict info;

  g_variant_dict_init (&info, NULL);
  g_variant_dict_insert (&info, "number", "u", self->first_part + i);
  g_variant_dict_insert (&info, "output_path", "s", part->wanted);
  g_variant_dict_insert (&info, "path", "s", part->path);
  g_variant_dict_insert (&info, "complete", "b", part->whole);
  g_variant_dict_insert (&info, "start_time", "x", part->start_time);
  g_variant_dict_insert (
      &info, "duration_seconds", "d", haven_recording_part_duration (self, part));
  g_variant_dict_insert (&info, "file_size_bytes", "t", part->size);
  g_variant_dict_insert (
      &info, "video_codec", "s", haven_recording_codec_word (frames->video_codec));
  g_variant_dict_insert (&info, "video_frames", "t", frames->video_frames);
  g_variant_dict_insert (&info, "audio_frames", "t", frames->audio_frames);
  g_variant_dict_insert (&info, "dropped_frames", "t", frames->dropped_frames);
  return g_variant_dict_end (&info);
}

/* After haven_recording_get_figures(), which counts. */
static GVariant * /* (transfer floating) */
all_parts_info (HavenRecording *self)
{
  GVariantBuilder parts;

  g_variant_builder_init (&parts, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < self->parts->len; i++)
    g_variant_builder_add_value (&parts, part_info (self, i));
  return g_variant_builder_end (&parts);
}

static char * /* (transfer full) */
describe_bitrate (HavenRecording *self, const HavenRecorderStats *frames)
{
  const HavenQuality *quality = self->quality ? self->quality : haven_quality_find (NULL);

  if (!haven_format_has_video (self->format))
    return g_strdup ("none");
  return frames->encodes ? g_strdup_printf ("%uk", quality->video_bitrate) : g_strdup ("source");
}

void
haven_recording_add_info (HavenRecording *self, GVariantDict *info)
{
  HavenRecordingFigures figures;
  const HavenPart *last = last_written (self);
  g_autofree char *video_bitrate = NULL;

  haven_recording_get_figures (self, &figures);
  video_bitrate = describe_bitrate (self, &figures.frames);
  g_variant_dict_insert (info, "recording_id", "s", self->id ? self->id : "");
  g_variant_dict_insert (info, "state", "s",
      self->ended      ? "stopped"
      : self->stopping ? "stopping"
                       : "recording");
  g_variant_dict_insert (info, "format", "s", self->format->name);
  g_variant_dict_insert (info, "output_path", "s", self->path);
  g_variant_dict_insert (info, "start_time", "x", self->start_time);
  g_variant_dict_insert (info, "duration_seconds", "d", figures.duration);
  g_variant_dict_insert (info, "file_size_bytes", "t", figures.size);
  g_variant_dict_insert (info, "last_write", "x", self->last_write);
  g_variant_dict_insert (info, "video_codec", "s",
      figures.frames.video_codec ? haven_recording_codec_word (figures.frames.video_codec)
                                 : self->format->video_codec);
  g_variant_dict_insert (info, "audio_codec", "s", self->format->audio_codec);
  g_variant_dict_insert (info, "video_bitrate", "s", video_bitrate);
  g_variant_dict_insert (info, "audio_bitrate", "s",
      strcmp (self->format->audio_codec, "pcm") == 0 ? "pcm" : "source");
  g_variant_dict_insert (info, "video_frames", "t", figures.frames.video_frames);
  g_variant_dict_insert (info, "audio_frames", "t", figures.frames.audio_frames);
  g_variant_dict_insert (info, "dropped_frames", "t", figures.frames.dropped_frames);
  g_variant_dict_insert_value (info, "parts", all_parts_info (self));
  g_variant_dict_insert (info, "error", "s", self->error ? self->error->message : "");
  if (self->ended) {
    g_variant_dict_insert (info, "final_path", "s", last ? last->path : "");
    g_variant_dict_insert (info, "end_time", "x", self->end_time);
  }
}

static void
haven_recording_finalize (GObject *object)
{
  HavenRecording *self = HAVEN_RECORDING (object);

  g_clear_handle_id (&self->sync_timer, g_source_remove);
  g_clear_handle_id (&self->start_timer, g_source_remove);
  g_clear_pointer (&self->parts, g_ptr_array_unref);
  g_clear_object (&self->graph);
  g_clear_error (&self->error);
  g_free (self->id);
  g_free (self->path);
  g_free (self->room_name);
  g_free (self->mint_id);
  G_OBJECT_CLASS (haven_recording_parent_class)->finalize (object);
}

static void
haven_recording_class_init (HavenRecordingClass *klass)
{
  GType type = G_TYPE_FROM_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = haven_recording_finalize;
  signals[SIGNAL_STARTED]
      = g_signal_new ("started", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_PART_BEGUN]
      = g_signal_new ("part-begun", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_ENDED]
      = g_signal_new ("ended", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
haven_recording_init (HavenRecording *self)
{
  self->parts = g_ptr_array_new_with_free_func (part_free);
}
