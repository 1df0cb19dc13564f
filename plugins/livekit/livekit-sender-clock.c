/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-sender-clock.h"
#include "livekit-rtp-time.h"

#include <gst/rtp/gstrtcpbuffer.h>
#include <gst/rtp/gstrtpbuffer.h>

/* A jitter buffer times packets by when they come, so its time moves against the sender's: slowly
 * with the clocks, and at once when the network was away and what was kept on the way comes first.
 * A sender report says what the sender's clock was at an RTP time; that holds for every packet of
 * the source, so the packets tell of a move long before the next report does. */

/* Packets are looked at this often, and after each pause. */
#define INTERVAL (100 * GST_MSECOND)
/* What is less is the noise of the jitter buffer. */
#define TOLERANCE (2 * GST_MSECOND)

typedef struct
{
  LiveKitSenderClockFunc func;
  gpointer user_data;
  GDestroyNotify notify;

  GMutex lock;      /* protects what follows: reports and packets come in threads of their own */
  guint clock_rate; /* Hz, 0: no report yet */
  guint32 ssrc;
  guint32 rtp_time;
  gint64 ntp_time;          /* of that RTP time, ns */
  gint64 told;              /* the offset that is known to others */
  GstClockTime last_packet; /* that was looked at */
} SenderClock;

static void
sender_clock_free (gpointer data, GClosure *closure)
{
  SenderClock *self = data;

  self->notify (self->user_data);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static gboolean
read_report (GstBuffer *report, guint32 *ssrc, gint64 *ntp_time)
{
  GstRTCPBuffer rtcp = GST_RTCP_BUFFER_INIT;
  GstRTCPPacket packet;
  gboolean found = FALSE;
  guint64 ntp = 0;

  if (!gst_rtcp_buffer_map (report, GST_MAP_READ, &rtcp))
    return FALSE;
  for (gboolean more = gst_rtcp_buffer_get_first_packet (&rtcp, &packet); more && !found;
       more = gst_rtcp_packet_move_to_next (&packet)) {
    if (gst_rtcp_packet_get_type (&packet) == GST_RTCP_TYPE_SR) {
      gst_rtcp_packet_sr_get_sender_info (&packet, ssrc, &ntp, NULL, NULL, NULL);
      found = TRUE;
    }
  }
  gst_rtcp_buffer_unmap (&rtcp);
  *ntp_time = gst_util_uint64_scale (ntp, GST_SECOND, G_GUINT64_CONSTANT (1) << 32);
  return found;
}

/* Streaming thread (RTCP). */
static void
on_sync (GstElement *jitterbuffer, GstStructure *sync, SenderClock *self)
{
  g_autoptr (GstBuffer) report = NULL;
  guint64 base_rtp_time, base_time, rtp_time;
  gint64 ntp_time, offset;
  guint clock_rate;
  guint32 ssrc;

  if (!gst_structure_get (sync, "base-rtptime", G_TYPE_UINT64, &base_rtp_time, "base-time",
          G_TYPE_UINT64, &base_time, "clock-rate", G_TYPE_UINT, &clock_rate, "sr-ext-rtptime",
          G_TYPE_UINT64, &rtp_time, "sr-buffer", GST_TYPE_BUFFER, &report, NULL)
      || base_time == GST_CLOCK_TIME_NONE || rtp_time == G_MAXUINT64 || clock_rate == 0
      || !read_report (report, &ssrc, &ntp_time))
    return;
  offset = (gint64)base_time
           + livekit_rtp_time_from_ticks ((gint64)(rtp_time - base_rtp_time), clock_rate)
           - ntp_time;
  g_mutex_lock (&self->lock);
  self->clock_rate = clock_rate;
  self->ssrc = ssrc;
  self->rtp_time = (guint32)rtp_time;
  self->ntp_time = ntp_time;
  self->told = offset;
  g_mutex_unlock (&self->lock);
  self->func (ssrc, offset, self->user_data);
}

/* TRUE: @offset is news for others. Called with the lock held. */
static gboolean
look_at (SenderClock *self, GstBuffer *buffer, gint64 *offset)
{
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;
  GstClockTime time = GST_BUFFER_PTS (buffer);

  if (self->clock_rate == 0 || !GST_CLOCK_TIME_IS_VALID (time)
      || (GST_CLOCK_TIME_IS_VALID (self->last_packet) && time < self->last_packet + INTERVAL
          && time >= self->last_packet)
      || !gst_rtp_buffer_map (buffer, GST_MAP_READ, &rtp))
    return FALSE;
  self->last_packet = time;
  *offset = (gint64)time - self->ntp_time
            - livekit_rtp_time_from_ticks (
                (gint32)(gst_rtp_buffer_get_timestamp (&rtp) - self->rtp_time), self->clock_rate);
  gst_rtp_buffer_unmap (&rtp);
  if (ABS (*offset - self->told) < (gint64)TOLERANCE)
    return FALSE;
  self->told = *offset;
  return TRUE;
}

/* Streaming thread of the jitter buffer. */
static GstPadProbeReturn
on_packet (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  SenderClock *self = user_data;
  gint64 offset = 0;
  gboolean news;
  guint32 ssrc;

  g_mutex_lock (&self->lock);
  news = look_at (self, GST_PAD_PROBE_INFO_BUFFER (info), &offset);
  ssrc = self->ssrc;
  g_mutex_unlock (&self->lock);
  if (news)
    self->func (ssrc, offset, self->user_data);
  return GST_PAD_PROBE_OK;
}

void
livekit_sender_clock_watch (GstElement *jitterbuffer, LiveKitSenderClockFunc func,
    gpointer user_data, GDestroyNotify notify)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (jitterbuffer, "src");
  SenderClock *self = g_new0 (SenderClock, 1);

  self->func = func;
  self->user_data = user_data;
  self->notify = notify;
  self->last_packet = GST_CLOCK_TIME_NONE;
  g_mutex_init (&self->lock);
  g_signal_connect_data (
      jitterbuffer, "handle-sync", G_CALLBACK (on_sync), self, sender_clock_free, 0);
  /* The pad goes with its element, whose signal owns what both use. */
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_packet, self, NULL);
}
