/* haven-recorder-report: what is known of a file once it is written, for its manifest. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *kind, *reason; /* static */
  double start, duration;    /* s, in the file's time */
} HavenGap;

/* What was given up because the encoder did not keep up. */
typedef struct
{
  const char *what; /* static: “speed”, “frame-rate” */
  double at;        /* s, in the file's time */
  guint value;      /* what it is from then on */
} HavenConcession;

typedef struct
{
  guint64 begin;   /* running time that is the file's 0, ns */
  double duration; /* s, of what is in it */

  /* pictures that are not in it */
  guint64 encoder_behind;  /* no place before the encoder, or the disk */
  guint64 stopping;        /* waited when it was stopped, and there was no time left */
  guint64 before_decoding; /* no place before the decoder */
  guint64 frame_rate;      /* left out on purpose, to go on with fewer */

  GArray *gaps;        /* HavenGap, by kind and in order */
  guint more_gaps;     /* that have no place there */
  GArray *concessions; /* HavenConcession, in order */
} HavenRecorderReport;

HavenRecorderReport *haven_recorder_report_new (void);
void haven_recorder_report_free (HavenRecorderReport *report);

G_END_DECLS
