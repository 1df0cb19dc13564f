/* haven-recording: one recording: its files, from NAME.part to NAME with a manifest beside it.
 *
 * A file is synced to disk every second. When it is complete it gets its name, which no other file
 * has had; what a crash or a disk that fails leaves is called .part and plays. Another codec in the
 * room begins another file, NAME-2, of the same recording.
 *
 * Lives on the main context it was made in; disk work is done in threads of GIO's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-graph.h"

G_BEGIN_DECLS

#define HAVEN_TYPE_RECORDING (haven_recording_get_type ())
G_DECLARE_FINAL_TYPE (HavenRecording, haven_recording, HAVEN, RECORDING, GObject)

typedef struct
{
  const char *recording_id, *format, *video_quality, *audio_quality; /* (nullable) */
  const char *path;
  guint first_part;                  /* its number; 0: 1 */
  const char *room_name, *mint_id;   /* (nullable) for the manifest */
  guint64 reserve;                   /* bytes that stay free on the disk; 0: a default */
  guint segment_minutes, segment_mb; /* of a file, after which another is begun; 0: no limit */
} HavenRecordingSettings;

/* Signals: "started", once the first data is on its way; "part-begun", when a further file is made;
 * "ended", once all is on disk and named, or cannot be.
 *
 * Returns: (transfer full) (nullable) */
HavenRecording *haven_recording_new (
    HavenGraph *graph, const HavenRecordingSettings *settings, GError **error);

/* "ended" follows, in less than 2 s unless the disk hangs. Again: no effect. */
void haven_recording_stop (HavenRecording *recording);

/* The same, where nobody wanted that: it keeps why. */
void haven_recording_end (HavenRecording *recording, const GError *why);

const GError *haven_recording_get_error (
    HavenRecording *recording); /* (nullable) why it ended by itself */

typedef struct
{
  HavenRecorderStats frames; /* of all files */
  guint64 size;
  double duration; /* s */
} HavenRecordingFigures;
void haven_recording_get_figures (HavenRecording *recording, HavenRecordingFigures *figures);

/* As GetRecording has it. */
void haven_recording_add_info (HavenRecording *recording, GVariantDict *info);

/* Returns: (transfer full): the name of part number n of path; path itself for 1 */
char *haven_recording_part_path (const char *path, guint n);

/* Gives the file from its name, and from a free one like it (NAME-1 …) where that is taken; never
 * overwrites.
 *
 * Returns: (transfer full) (nullable): the name it got */
char *haven_recording_rename (const char *from, const char *to, GError **error);

G_END_DECLS
