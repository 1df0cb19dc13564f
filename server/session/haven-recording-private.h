/* haven-recording-private: a recording as its files see it: haven-recording.c, which makes and ends
 * it, and haven-recording-manifest.c, which describes it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-recording.h"

G_BEGIN_DECLS

/* One file. */
typedef struct
{
  char *wanted;            /* the name it should have */
  char *path;              /* where it is: wanted.part, then the name it got */
  int fd;                  /* of path, for syncing; -1 once it is not written any more */
  HavenRecorder *recorder; /* (owned) (nullable) while it is written */
  gboolean superfluous;    /* what it holds is in the parts around it */
  gboolean followed;       /* the next goes on from it, and ends it */
  gboolean done;           /* it is at its end, in every way */
  gboolean whole;          /* finished, on the disk, and named; else it is left to recovery */
  gint64 start_time;       /* µs since 1970 */
  gint64 began, ended;     /* monotonic; 0: not yet */
  HavenRecorderStats frames;
  guint64 size;
  HavenRecorderReport *report; /* (owned) (nullable) once it is written */
  gboolean clock_known;
  gint64 clock_offset; /* of running time from the sender's clock, as HavenSync */
  /* of the picture from its sound, by sender reports, asked for each second; ns */
  guint n_skews;
  double skew_sum; /* of magnitudes */
  gint64 skew_max; /* the magnitude */
} HavenPart;

struct _HavenRecording
{
  GObject parent;

  HavenGraph *graph; /* (owned) */
  const HavenFormat *format;
  const HavenQuality *quality; /* (nullable) of the picture, where one was asked for */
  char *id, *path, *room_name, *mint_id;
  guint64 reserve;
  guint first_part;      /* the number of the first of parts */
  guint segment_seconds; /* after which another file is begun; 0: never */
  guint64 segment_bytes; /* likewise */

  GPtrArray *parts; /* HavenPart; the last is written, and for a moment the one before it too */
  gboolean started, stopping, ended;
  GError *error;
  gint64 start_time, end_time, last_write; /* µs since 1970; 0: not yet */
  gint64 began, stopped_at;                /* monotonic */
  guint start_timer, sync_timer;
  gboolean syncing;
  gboolean unsynced; /* what was written is perhaps not on the disk, and never will be */
};

/* Writes the manifest beside the first file. There is one.
 *
 * Returns: (transfer full) (nullable): its path */
char *haven_recording_write_manifest (HavenRecording *recording);

/* (nullable): the first that holds anything */
const HavenPart *haven_recording_first_written (HavenRecording *recording);
/* s: of what is in it, or until now */
double haven_recording_part_duration (HavenRecording *recording, const HavenPart *part);
/* Returns: "vp8" of "video/x-vp8", "" of NULL */
const char *haven_recording_codec_word (const char *media_type);

G_END_DECLS
