/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-arrival.h"
#include "livekit-rtp-time.h"

#include <gst/rtp/gstrtpbuffer.h>

/* A jitter buffer also begins anew where its time would jump by a second. */
#define MAX_TOLERANCE (500 * GST_MSECOND)
/* What was kept comes faster than it was sent, so it is ever less late. What goes on being late for
 * so long is so for good: the way has become longer, or the sender's RTP time stood still. */
#define PATIENCE (300 * GST_MSECOND)
/* It catches up when it is less late by this share of the time that passes. */
#define CATCH_UP_DIVISOR 4

void
livekit_arrival_init (LiveKitArrival *self, GstClockTime tolerance)
{
  *self = (LiveKitArrival){ .tolerance = tolerance, .line_time = GST_CLOCK_TIME_NONE };
}

void
livekit_arrival_set_clock_rate (LiveKitArrival *self, guint clock_rate)
{
  self->clock_rate = clock_rate;
  self->line_time = GST_CLOCK_TIME_NONE;
}

void
livekit_arrival_left (LiveKitArrival *self, guint32 rtp_time, GstClockTime time)
{
  self->line_rtp_time = rtp_time;
  self->line_time = time;
}

static gboolean
catches_up (LiveKitArrival *self, GstClockTime lateness, GstClockTime elapsed)
{
  return lateness + elapsed / CATCH_UP_DIVISOR <= self->lateness;
}

static void
look_at_lateness (LiveKitArrival *self, GstClockTime lateness, GstClockTime now)
{
  if (self->late && now < self->late_since + PATIENCE)
    return;
  if (self->late)
    self->delayed = !catches_up (self, lateness, now - self->late_since);
  self->late = TRUE;
  self->late_since = now;
  self->lateness = lateness;
}

GstClockTime
livekit_arrival_came (LiveKitArrival *self, guint32 rtp_time, GstClockTime time)
{
  GstClockTimeDiff expected;

  if (self->clock_rate == 0 || !GST_CLOCK_TIME_IS_VALID (self->line_time))
    return time;
  expected
      = (GstClockTimeDiff)self->line_time
        + livekit_rtp_time_from_ticks ((gint32)(rtp_time - self->line_rtp_time), self->clock_rate);
  if (expected < 0 || GST_CLOCK_DIFF (expected, time) <= (GstClockTimeDiff)self->tolerance) {
    self->late = self->delayed = FALSE;
    return time;
  }
  look_at_lateness (self, time - (GstClockTime)expected, time);
  return self->delayed ? time : (GstClockTime)expected;
}

/* --- the jitter buffer --- */

typedef struct
{
  GstElement *jitterbuffer; /* (unowned) that owns this */
  int payload_type; /* of the last packet that came, -1: none; of the thread in which they do */

  GMutex lock; /* protects what follows: packets come in one thread and leave in another */
  LiveKitArrival arrival;
} Watch;

static void
watch_free (gpointer data)
{
  Watch *self = data;

  g_mutex_clear (&self->lock);
  g_free (self);
}

static gboolean
read_packet (GstBuffer *buffer, int *payload_type, guint32 *rtp_time)
{
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;

  if (!gst_rtp_buffer_map (buffer, GST_MAP_READ, &rtp))
    return FALSE;
  *payload_type = gst_rtp_buffer_get_payload_type (&rtp);
  *rtp_time = gst_rtp_buffer_get_timestamp (&rtp);
  gst_rtp_buffer_unmap (&rtp);
  return TRUE;
}

/* As the jitter buffer asks: its pads do not say it. */
static guint
ask_for_clock_rate (Watch *self, int payload_type)
{
  g_autoptr (GstCaps) caps = NULL;
  int rate = 0;

  g_signal_emit_by_name (self->jitterbuffer, "request-pt-map", payload_type, &caps);
  if (caps)
    gst_structure_get_int (gst_caps_get_structure (caps, 0), "clock-rate", &rate);
  return (guint)MAX (rate, 0);
}

static void
learn_clock_rate (Watch *self, int payload_type)
{
  guint rate;

  if (payload_type == self->payload_type)
    return;
  rate = ask_for_clock_rate (self, payload_type);
  self->payload_type = rate > 0 ? payload_type : -1;
  g_mutex_lock (&self->lock);
  livekit_arrival_set_clock_rate (&self->arrival, rate);
  g_mutex_unlock (&self->lock);
}

static gboolean
correct (GstBuffer **buffer, guint index, gpointer user_data)
{
  GstClockTime came = GST_BUFFER_DTS_OR_PTS (*buffer), time;
  Watch *self = user_data;
  int payload_type;
  guint32 rtp_time;

  if (!GST_CLOCK_TIME_IS_VALID (came) || !read_packet (*buffer, &payload_type, &rtp_time))
    return TRUE;
  learn_clock_rate (self, payload_type);
  g_mutex_lock (&self->lock);
  time = livekit_arrival_came (&self->arrival, rtp_time, came);
  g_mutex_unlock (&self->lock);
  if (time != came) {
    *buffer = gst_buffer_make_writable (*buffer);
    GST_BUFFER_DTS (*buffer) = GST_BUFFER_PTS (*buffer) = time;
  }
  return TRUE;
}

/* The thread in which packets come. */
static GstPadProbeReturn
on_come (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  if (info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST) {
    GstBufferList *list = gst_buffer_list_make_writable (GST_PAD_PROBE_INFO_BUFFER_LIST (info));

    gst_buffer_list_foreach (list, correct, user_data);
    info->data = list;
  } else {
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);

    correct (&buffer, 0, user_data);
    info->data = buffer;
  }
  return GST_PAD_PROBE_OK;
}

/* Streaming thread of the jitter buffer. */
static GstPadProbeReturn
on_leave (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  Watch *self = user_data;
  int payload_type;
  guint32 rtp_time;

  if (GST_BUFFER_PTS_IS_VALID (buffer) && read_packet (buffer, &payload_type, &rtp_time)) {
    g_mutex_lock (&self->lock);
    livekit_arrival_left (&self->arrival, rtp_time, GST_BUFFER_PTS (buffer));
    g_mutex_unlock (&self->lock);
  }
  return GST_PAD_PROBE_OK;
}

void
livekit_arrival_watch (GstElement *jitterbuffer)
{
  g_autoptr (GstPad) sink = gst_element_get_static_pad (jitterbuffer, "sink");
  g_autoptr (GstPad) src = gst_element_get_static_pad (jitterbuffer, "src");
  Watch *self = g_new0 (Watch, 1);
  guint latency = 0;

  g_object_get (jitterbuffer, "latency", &latency, NULL);
  self->jitterbuffer = jitterbuffer;
  self->payload_type = -1;
  g_mutex_init (&self->lock);
  livekit_arrival_init (&self->arrival, MIN (latency * GST_MSECOND / 2, MAX_TOLERANCE));
  /* The pads go with their element, which owns what both use. */
  g_object_set_data_full (G_OBJECT (jitterbuffer), "livekit-arrival", self, watch_free);
  gst_pad_add_probe (
      sink, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, on_come, self, NULL);
  gst_pad_add_probe (src, GST_PAD_PROBE_TYPE_BUFFER, on_leave, self, NULL);
}
