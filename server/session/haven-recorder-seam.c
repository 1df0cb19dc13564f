/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-recorder-private.h"

/* How long the old file waits for the last of its sound, ms: where that is muted, none comes. */
#define LAST_SOUND_TIMEOUT 2000

typedef struct
{
  HavenRecorder *recorder; /* lives as long as its bin streams */
  HavenSeam *seam;         /* (owned) */
  GObject *heir;           /* (owned) (nullable) bin of the new file; NULL: the recorder's own */
} Side;

static void
side_free (gpointer data)
{
  Side *side = data;

  haven_seam_unref (side->seam);
  g_clear_object (&side->heir);
  g_free (side);
}

static void
watch (HavenRecorder *recorder, HavenRecorder *heir, GstPad *pad, GstPadProbeCallback callback)
{
  Side *side = g_new0 (Side, 1);

  *side = (Side){ recorder, haven_seam_ref (heir->seam),
    heir == recorder ? NULL : g_object_ref (G_OBJECT (heir->bin)) };
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, callback, side, side_free);
}

static gboolean
is_key (GstBuffer *buffer)
{
  return !GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
}

/* -- of the main context */

/* Its sound goes on from where it was cut. */
static void
let_sound_through (HavenRecorder *recorder)
{
  g_autoptr (GstPad) pad = NULL;

  if (!recorder->held)
    return;
  pad = gst_element_get_static_pad (recorder->queues[HAVEN_AUDIO], "src");
  gst_pad_remove_probe (pad, recorder->held);
  recorder->held = 0;
}

static gboolean
on_last_sound_timeout (gpointer user_data)
{
  HavenRecorder *recorder = user_data;

  recorder->last_sound_timer = 0;
  haven_recorder_stop (recorder);
  return G_SOURCE_REMOVE;
}

static void
run_cut (HavenGraph *self, gpointer new_bin, guint number)
{
  HavenRecorder *heir = haven_graph_find_recorder (self, new_bin);
  HavenRecorder *before = heir ? haven_graph_find_recorder (self, heir->before) : NULL;

  if (heir)
    let_sound_through (heir);
  if (!before || before->stopping)
    return;
  if (before->queues[HAVEN_VIDEO] && before->queues[HAVEN_AUDIO])
    before->last_sound_timer = g_timeout_add (LAST_SOUND_TIMEOUT, on_last_sound_timeout, before);
  else
    haven_recorder_stop (before);
}

static void
run_last_sound (HavenGraph *self, gpointer old_bin, guint number)
{
  HavenRecorder *recorder = haven_graph_find_recorder (self, old_bin);

  if (recorder)
    haven_recorder_stop (recorder);
}

/* -- of streaming threads */

static GstPadProbeReturn
on_old_lead (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the tee */
{
  Side *side = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  gboolean decided, takes;

  if (!GST_BUFFER_PTS_IS_VALID (buffer))
    return GST_PAD_PROBE_OK;
  takes = haven_seam_old_leads (side->seam, GST_BUFFER_PTS (buffer), is_key (buffer), &decided);
  if (decided)
    haven_graph_post (side->recorder->graph, run_cut, side->heir, 0);
  return takes ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

static GstPadProbeReturn
on_new_lead (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the tee */
{
  Side *side = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  gboolean decided, takes;

  if (!GST_BUFFER_PTS_IS_VALID (buffer))
    return GST_PAD_PROBE_DROP;
  takes = haven_seam_new_leads (side->seam, GST_BUFFER_PTS (buffer), is_key (buffer), &decided);
  if (decided)
    haven_graph_post (side->recorder->graph, run_cut, side->recorder->key, 0);
  return takes ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

static GstPadProbeReturn
on_old_follow (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the queue */
{
  Side *side = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstClockTime time = GST_BUFFER_PTS (buffer);

  if (!GST_CLOCK_TIME_IS_VALID (time)
      || haven_seam_old_follows (side->seam, time,
          time + (GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : 0)))
    return GST_PAD_PROBE_OK;
  haven_graph_post (side->recorder->graph, run_last_sound, side->recorder->key, 0);
  return GST_PAD_PROBE_DROP;
}

static GstPadProbeReturn
on_new_follow (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the queue */
{
  Side *side = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);

  return GST_BUFFER_PTS_IS_VALID (buffer)
                 && haven_seam_new_follows (side->seam, GST_BUFFER_PTS (buffer))
             ? GST_PAD_PROBE_OK
             : GST_PAD_PROBE_DROP;
}

static GstPadProbeReturn
on_held (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the queue */
{
  return GST_PAD_PROBE_OK; /* as long as this probe is there, nothing gets past it */
}

/* -- making one */

static HavenKind
leader (HavenRecorder *recorder)
{
  return recorder->queues[HAVEN_VIDEO] ? HAVEN_VIDEO : HAVEN_AUDIO;
}

static void
watch_both (HavenRecorder *recorder, HavenRecorder *heir, GstPadProbeCallback lead,
    GstPadProbeCallback follow)
{
  HavenKind kind = leader (recorder);
  g_autoptr (GstPad) entry = gst_element_get_static_pad (recorder->bin, haven_kind_names[kind]);

  watch (recorder, heir, entry, lead);
  if (kind == HAVEN_VIDEO && recorder->queues[HAVEN_AUDIO]) {
    g_autoptr (GstPad) sound = gst_element_get_static_pad (recorder->queues[HAVEN_AUDIO], "src");

    watch (recorder, heir, sound, follow);
  }
}

void
haven_recorder_seam_prepare (HavenRecorder *recorder, HavenRecorder *before)
{
  recorder->seam = haven_seam_new ();
  recorder->before = before->key;
  watch_both (recorder, recorder, on_new_lead, on_new_follow);
  if (leader (recorder) == HAVEN_VIDEO && recorder->queues[HAVEN_AUDIO]) {
    g_autoptr (GstPad) sound = gst_element_get_static_pad (recorder->queues[HAVEN_AUDIO], "src");

    recorder->held = gst_pad_add_probe (
        sound, GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER, on_held, NULL, NULL);
  }
}

void
haven_recorder_seam_arm (HavenRecorder *recorder, HavenRecorder *before)
{
  watch_both (before, recorder, on_old_lead, on_old_follow);
  haven_seam_arm (recorder->seam);
}

void
haven_recorder_seam_stop (HavenRecorder *recorder)
{
  g_clear_handle_id (&recorder->last_sound_timer, g_source_remove);
  if (recorder->seam)
    haven_seam_cancel (recorder->seam);
  if (recorder->bin)
    let_sound_through (recorder);
}
