/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <json-glib/json-glib.h>
#include <string.h>

#include "haven-filename.h"
#include "haven-manifest.h"
#include "haven-recording-private.h"
#include "haven-time.h"

static void
add_string (JsonBuilder *builder, const char *name, const char *value)
{
  json_builder_set_member_name (builder, name);
  if (value && *value)
    json_builder_add_string_value (builder, value);
  else
    json_builder_add_null_value (builder);
}

static void
add_int (JsonBuilder *builder, const char *name, gint64 value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_int_value (builder, value);
}

/* To the millisecond. */
static void
add_double (JsonBuilder *builder, const char *name, double value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_double_value (builder, (double)(gint64)(value * 1000 + 0.5) / 1000);
}

static void
add_boolean (JsonBuilder *builder, const char *name, gboolean value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_boolean_value (builder, value);
}

static void
add_time (JsonBuilder *builder, const char *name, gint64 unix_us)
{
  g_autofree char *text = unix_us ? haven_time_format (unix_us) : NULL;

  add_string (builder, name, text);
}

/* What the sender's clock said when its 0 was made; else what ours said when it began. */
static void
add_wall_clock (JsonBuilder *builder, const HavenPart *part)
{
  gboolean sender = part->clock_known && part->report && part->report->begin;
  gint64 time
      = sender ? ((gint64)part->report->begin - part->clock_offset) / 1000 : part->start_time;

  add_time (builder, "wall_clock_start", time);
  add_string (builder, "wall_clock", sender ? "sender" : "local");
}

static void
add_drops (JsonBuilder *builder, const HavenRecorderReport *report)
{
  json_builder_set_member_name (builder, "drops");
  json_builder_begin_object (builder);
  add_int (builder, "encoder_behind", report->encoder_behind);
  add_int (builder, "stopping", report->stopping);
  add_int (builder, "before_decoding", report->before_decoding);
  add_int (builder, "frame_rate", report->frame_rate);
  json_builder_end_object (builder);
}

static void
add_gaps (JsonBuilder *builder, const HavenRecorderReport *report)
{
  json_builder_set_member_name (builder, "gaps");
  json_builder_begin_array (builder);
  for (guint i = 0; i < report->gaps->len; i++) {
    const HavenGap *gap = &g_array_index (report->gaps, HavenGap, i);

    json_builder_begin_object (builder);
    add_string (builder, "kind", gap->kind);
    add_string (builder, "reason", gap->reason);
    add_double (builder, "start_seconds", gap->start);
    add_double (builder, "duration_seconds", gap->duration);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  if (report->more_gaps)
    add_int (builder, "more_gaps", report->more_gaps);
}

static void
add_concessions (JsonBuilder *builder, const HavenRecorderReport *report)
{
  json_builder_set_member_name (builder, "concessions");
  json_builder_begin_array (builder);
  for (guint i = 0; i < report->concessions->len; i++) {
    const HavenConcession *made = &g_array_index (report->concessions, HavenConcession, i);

    json_builder_begin_object (builder);
    add_string (builder, "what", made->what);
    add_int (builder, "value", made->value);
    add_double (builder, "at_seconds", made->at);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

static void
add_skew (JsonBuilder *builder, const HavenPart *part)
{
  json_builder_set_member_name (builder, "av_skew");
  if (!part->n_skews) {
    json_builder_add_null_value (builder);
    return;
  }
  json_builder_begin_object (builder);
  add_double (builder, "mean_ms", part->skew_sum / part->n_skews / 1e6);
  add_double (builder, "max_ms", (double)part->skew_max / 1e6);
  add_int (builder, "samples", part->n_skews);
  json_builder_end_object (builder);
}

static double
offset_of (HavenRecording *self, const HavenPart *part)
{
  const HavenRecorderReport *first = haven_recording_first_written (self)->report;

  return first && part->report && part->report->begin > first->begin
             ? (double)(part->report->begin - first->begin) / 1e9
             : 0;
}

static void
add_part (HavenRecording *self, JsonBuilder *builder, const HavenPart *part)
{
  /* One that is not whole will be called so when it is recovered. */
  g_autofree char *name = g_path_get_basename (part->whole ? part->path : part->wanted);

  json_builder_begin_object (builder);
  add_string (builder, "file", name);
  add_string (builder, "sha256", NULL); /* haven-checksum fills it in */
  if (!part->whole)
    add_boolean (builder, "complete", FALSE);
  add_string (builder, "video_codec", haven_recording_codec_word (part->frames.video_codec));
  add_string (builder, "audio_codec", part->frames.audio_codec);
  add_boolean (builder, "encoded", part->frames.encodes);
  add_int (builder, "size_bytes", part->size);
  add_double (builder, "duration_seconds", haven_recording_part_duration (self, part));
  add_double (builder, "start_seconds", offset_of (self, part));
  add_time (builder, "start_time", part->start_time);
  add_wall_clock (builder, part);
  add_int (builder, "video_frames", part->frames.video_frames);
  add_int (builder, "audio_frames", part->frames.audio_frames);
  add_int (builder, "dropped_frames", part->frames.dropped_frames);
  if (part->report) {
    add_drops (builder, part->report);
    add_gaps (builder, part->report);
    add_concessions (builder, part->report);
  }
  add_skew (builder, part);
  json_builder_end_object (builder);
}

static char *
make_manifest (HavenRecording *self)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  HavenRecordingFigures figures;

  haven_recording_get_figures (self, &figures);
  json_builder_begin_object (builder);
  add_int (builder, "version", 1);
  add_string (builder, "recording_id", self->id);
  add_string (builder, "room_name", self->room_name);
  add_string (builder, "mint_id", self->mint_id);
  add_string (builder, "format", self->format->name);
  add_string (builder, "container", self->format->container);
  add_string (builder, "video_quality", self->quality ? self->quality->name : NULL);
  add_time (builder, "start_time", self->start_time);
  add_time (builder, "end_time", self->end_time);
  add_double (builder, "duration_seconds", figures.duration);
  add_string (builder, "error", self->error ? self->error->message : NULL);
  json_builder_set_member_name (builder, "parts");
  json_builder_begin_array (builder);
  for (guint i = 0; i < self->parts->len; i++)
    if (((HavenPart *)g_ptr_array_index (self->parts, i))->size)
      add_part (self, builder, g_ptr_array_index (self->parts, i));
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  json_generator_set_pretty (generator, TRUE);
  json_generator_set_root (generator, root);
  return json_generator_to_data (generator, NULL);
}

/* Beside the first, by the name that it has or will have. */
static char *
manifest_path (HavenRecording *self)
{
  const HavenPart *first = haven_recording_first_written (self);

  return haven_manifest_path (first->whole ? first->path : first->wanted);
}

char *
haven_recording_write_manifest (HavenRecording *self)
{
  g_autofree char *text = make_manifest (self);
  g_autofree char *path = manifest_path (self);
  g_autoptr (GError) error = NULL;
  /* Another recording of that name may have begun with this one, and ended before it. */
  char *name = haven_filename_write (path, text, strlen (text), &error);

  if (!name)
    g_warning ("The manifest cannot be written: %s", error->message);
  return name;
}
