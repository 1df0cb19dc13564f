/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-silence.h"

#define MAX_SPANS 1024
#define STILL G_MAXUINT64

typedef struct
{
  guint kind;
  HavenSilenceReason reason;
  guint64 from, until;
} Span;

struct _HavenSilence
{
  GArray *spans; /* Span, the oldest first */
};

const char *
haven_silence_name (HavenSilenceReason reason)
{
  static const char *const names[]
      = { "lost", "muted", "forbidden", "unpublished", "streamer-gone", "reconnecting" };

  G_STATIC_ASSERT (G_N_ELEMENTS (names) == HAVEN_N_SILENCES);
  return names[reason];
}

HavenSilence *
haven_silence_new (void)
{
  HavenSilence *silence = g_new0 (HavenSilence, 1);

  silence->spans = g_array_new (FALSE, FALSE, sizeof (Span));
  return silence;
}

void
haven_silence_free (HavenSilence *silence)
{
  g_array_unref (silence->spans);
  g_free (silence);
}

static Span *
find_open (HavenSilence *silence, guint kind, HavenSilenceReason reason)
{
  for (guint i = silence->spans->len; i > 0; i--) {
    Span *span = &g_array_index (silence->spans, Span, i - 1);

    if (span->kind == kind && span->reason == reason && span->until == STILL)
      return span;
  }
  return NULL;
}

static void
forget_oldest (HavenSilence *silence)
{
  for (guint i = 0; i < silence->spans->len; i++) {
    if (g_array_index (silence->spans, Span, i).until != STILL) {
      g_array_remove_index (silence->spans, i);
      return;
    }
  }
}

void
haven_silence_set (
    HavenSilence *silence, guint kind, HavenSilenceReason reason, gboolean holds, guint64 time)
{
  Span *open = find_open (silence, kind, reason);

  if (open && !holds) {
    open->until = time;
  } else if (!open && holds) {
    const Span span = { kind, reason, time, STILL };

    if (silence->spans->len >= MAX_SPANS)
      forget_oldest (silence);
    g_array_append_val (silence->spans, span);
  }
}

HavenSilenceReason
haven_silence_find (const HavenSilence *silence, guint kind, guint64 from, guint64 until)
{
  HavenSilenceReason found = HAVEN_SILENCE_LOST;

  for (guint i = 0; i < silence->spans->len; i++) {
    const Span *span = &g_array_index (silence->spans, Span, i);

    if (span->kind == kind && span->from <= until && span->until >= from)
      found = MAX (found, span->reason);
  }
  return found;
}
