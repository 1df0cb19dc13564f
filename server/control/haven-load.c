/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-load.h"

#include <stdio.h>

#define INTERVAL 2 /* s */
#define SAMPLES \
  6 /* what is said is the mean over so many, less one, intervals: a moment's peak is no load */

typedef struct
{
  guint64 busy, all; /* ticks since the machine started */
} Sample;

struct _HavenLoad
{
  char *path;
  Sample samples[SAMPLES]; /* the oldest first */
  guint n_samples;
  guint timer;
};

/* The first line of /proc/stat: cpu USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL … */
static gboolean
read_sample (const char *path, Sample *sample)
{
  g_autofree char *text = NULL;
  guint64 ticks[8] = { 0 };

  if (!g_file_get_contents (path, &text, NULL, NULL)
      || sscanf (text,
             "cpu %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
             " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
             " %" G_GUINT64_FORMAT,
             &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7])
             < 4)
    return FALSE;
  *sample = (Sample){ 0 };
  for (guint i = 0; i < G_N_ELEMENTS (ticks); i++)
    sample->all += ticks[i];
  sample->busy = sample->all - ticks[3] - ticks[4];
  return TRUE;
}

void
haven_load_sample (HavenLoad *load)
{
  Sample sample;

  if (!read_sample (load->path, &sample))
    return;
  if (load->n_samples == SAMPLES) {
    for (guint i = 1; i < SAMPLES; i++)
      load->samples[i - 1] = load->samples[i];
    load->n_samples--;
  }
  load->samples[load->n_samples++] = sample;
}

static gboolean
on_time (gpointer user_data)
{
  haven_load_sample (user_data);
  return G_SOURCE_CONTINUE;
}

/* @path: /proc/stat */
HavenLoad *
haven_load_new (const char *path)
{
  HavenLoad *load = g_new0 (HavenLoad, 1);

  load->path = g_strdup (path);
  haven_load_sample (load);
  load->timer = g_timeout_add_seconds (INTERVAL, on_time, load);
  return load;
}

void
haven_load_free (HavenLoad *load)
{
  g_source_remove (load->timer);
  g_free (load->path);
  g_free (load);
}

/* Returns: of the last ten seconds and of all processors together; 0 where it is not known */
guint
haven_load_percent (HavenLoad *load)
{
  const Sample *first = &load->samples[0], *last;

  if (load->n_samples < 2)
    return 0;
  last = &load->samples[load->n_samples - 1];
  if (last->all <= first->all || last->busy < first->busy)
    return 0;
  return (guint)((last->busy - first->busy) * 100 / (last->all - first->all));
}
