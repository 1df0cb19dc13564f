/* haven-silence: why nothing came of a track at some time: what was known of the room then. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where several hold at once, the later one is told. */
typedef enum
{
  HAVEN_SILENCE_LOST, /* nothing is known: packets were lost, or none were sent */
  HAVEN_SILENCE_MUTED,
  HAVEN_SILENCE_FORBIDDEN, /* by our token, or by the streamer */
  HAVEN_SILENCE_UNPUBLISHED,
  HAVEN_SILENCE_STREAMER_GONE,
  HAVEN_SILENCE_RECONNECTING,
  HAVEN_N_SILENCES
} HavenSilenceReason;
const char *haven_silence_name (HavenSilenceReason reason);

typedef struct _HavenSilence HavenSilence;

HavenSilence *haven_silence_new (void);
void haven_silence_free (HavenSilence *silence);

/* From @time on it holds, or no more. Of what is over, the oldest is forgotten at some point.
 *
 * @kind: a number for each kind of track
 * @time: ns, never less than before */
void haven_silence_set (
    HavenSilence *silence, guint kind, HavenSilenceReason reason, gboolean holds, guint64 time);

/* What held in any part of that time. */
HavenSilenceReason haven_silence_find (
    const HavenSilence *silence, guint kind, guint64 from, guint64 until);

G_END_DECLS
