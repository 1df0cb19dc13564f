/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "gstlivekitoutput.h"

#include <gst/video/video.h>

GST_DEBUG_CATEGORY_EXTERN (gst_livekit_src_debug);
#define GST_CAT_DEFAULT gst_livekit_src_debug

/* Silence for so long is told to downstream, and again each time it has passed. Muxers write other
 * tracks up to where this one is known to be silent: they are late by the latency, a start time and
 * this, and what is not written is lost with the process. */
#define GAP_INTERVAL (250 * GST_MSECOND)
/* How old the first packet after a silence may be when it comes here, beyond the latency: the time
 * that its branch takes to be made. A gap must not reach into it. */
#define START_TIME (1 * GST_SECOND)
/* The same while the track is muted: its branch is there. */
#define MUTED_START_TIME (250 * GST_MSECOND)
/* The least distance of two buffers that even muxers which count in milliseconds keep apart. */
#define MIN_DISTANCE (1 * GST_MSECOND)
/* A hole between two packets of sound that is told of. */
#define MIN_HOLE (40 * GST_MSECOND)
/* The server ends a track with pictures of 8x8 (VP8) or 2x2 (H264). */
#define MIN_PICTURE_SIZE 16
/* A shift moves by at most this share of the time that passes, so that nobody hears or sees it
 * happen. */
#define SLEW_DIVISOR 10
/* Behind a pause of such a length there is nothing to see: for a while it may move faster. */
#define PAUSE (500 * GST_MSECOND)
#define SETTLING_TIME (2 * GST_SECOND)
#define SETTLING_DIVISOR 2
/* Differences below are not worth a move. */
#define SHIFT_DEAD_ZONE (2 * GST_MSECOND)
#define KEY_UNIT_INTERVAL (1 * GST_SECOND)

struct _GstLiveKitOutput
{
  GstElement parent;

  GstPad *sinkpad, *srcpad;
  GstCaps *caps;
  GstEvent *stream_start;
  GstClockTime latency;
  LiveKitFlow *flow; /* (nullable) */

  /* Of the streaming thread: protected by the stream lock of sinkpad. */
  GstSegment segment; /* of the branch */
  gboolean stream_announced, segment_announced;
  gboolean blank; /* what comes is no picture */
  gboolean eos_sent;
  GstClockTime last_pts; /* of what went out */
  GstClockTime settling; /* until then */
  GstClockTime end;      /* of what went out */
  GstCaps *current_caps; /* (nullable) that went out */

  GMutex lock; /* protects what follows; taken after the stream lock, never held while pushing */
  GCond cond;
  gboolean running;
  gboolean eos_wanted;
  gboolean muted;
  gint64 last_activity;    /* monotonic, us */
  gint64 last_key_request; /* monotonic, us */
  GstTagList *tags;        /* (nullable) to go out before the next buffer */
  GstLiveKitOutputStats stats;
};

G_DEFINE_FINAL_TYPE (GstLiveKitOutput, gst_livekit_output, GST_TYPE_ELEMENT)

static GstStaticPadTemplate sink_template
    = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate src_template
    = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

static void
announce_stream (GstLiveKitOutput *self)
{
  if (self->stream_announced)
    return;
  self->stream_announced = TRUE;
  gst_pad_push_event (self->srcpad, gst_event_ref (self->stream_start));
}

/* After the caps, before the first buffer or gap. */
static void
announce_segment (GstLiveKitOutput *self)
{
  GstSegment segment;

  if (self->segment_announced)
    return;
  self->segment_announced = TRUE;
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_pad_push_event (self->srcpad, gst_event_new_segment (&segment));
}

/* The shift to apply to a buffer that follows the last by @elapsed: what is wanted, approached
 * slowly. */
static GstClockTimeDiff
next_shift (GstLiveKitOutput *self, GstClockTime elapsed)
{
  gboolean settling = GST_CLOCK_TIME_IS_VALID (self->last_pts) && self->last_pts < self->settling;
  GstClockTimeDiff step
      = MIN (elapsed, 100 * GST_MSECOND) / (settling ? SETTLING_DIVISOR : SLEW_DIVISOR);
  GstClockTimeDiff shift, difference;

  g_mutex_lock (&self->lock);
  difference = self->stats.shift_wanted - self->stats.shift;
  if (self->stats.shift_known && ABS (difference) > SHIFT_DEAD_ZONE)
    self->stats.shift += CLAMP (difference, -step, step);
  shift = self->stats.shift;
  g_mutex_unlock (&self->lock);
  return shift;
}

static GstClockTime
output_time (GstLiveKitOutput *self, GstClockTime timestamp)
{
  GstClockTime running = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, timestamp);
  GstClockTime elapsed;
  GstClockTimeDiff shifted;

  if (!GST_CLOCK_TIME_IS_VALID (running))
    return GST_CLOCK_TIME_NONE;
  elapsed = GST_CLOCK_TIME_IS_VALID (self->last_pts) && running > self->last_pts
                ? running - self->last_pts
                : 20 * GST_MSECOND;
  if (elapsed >= PAUSE)
    self->settling = running + SETTLING_TIME;
  shifted = (GstClockTimeDiff)running + next_shift (self, elapsed);
  return MAX (shifted, 0);
}

static void
note_activity (GstLiveKitOutput *self, guint64 buffers, guint64 blank, guint64 late)
{
  gint64 now = g_get_monotonic_time ();

  if (self->flow)
    livekit_flow_note (self->flow, now);
  g_mutex_lock (&self->lock);
  self->last_activity = now;
  self->stats.buffers += buffers;
  self->stats.blank += blank;
  self->stats.late += late;
  g_mutex_unlock (&self->lock);
}

static gboolean
is_encoded_video (GstCaps *caps)
{
  const char *name = gst_structure_get_name (gst_caps_get_structure (caps, 0));

  return g_str_has_prefix (name, "video/") && !g_str_equal (name, "video/x-raw");
}

static gboolean
is_audio (GstCaps *caps)
{
  return caps
         && g_str_has_prefix (gst_structure_get_name (gst_caps_get_structure (caps, 0)), "audio/");
}

/* What goes out must not go back, whatever a new branch or a shift does. FALSE: it comes too late
 * to have a place; an encoded picture has one all the same, since others need it. */
static gboolean
keep_order (GstLiveKitOutput *self, GstBuffer *buffer)
{
  GstClockTime earliest = self->last_pts + MIN_DISTANCE;

  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE; /* live streams have no reordered pictures */
  if (!GST_BUFFER_PTS_IS_VALID (buffer))
    return TRUE;
  if (GST_CLOCK_TIME_IS_VALID (self->last_pts) && GST_BUFFER_PTS (buffer) < earliest) {
    if (!self->current_caps || !is_encoded_video (self->current_caps))
      return FALSE;
    GST_BUFFER_PTS (buffer) = earliest;
  }
  self->last_pts = self->end = GST_BUFFER_PTS (buffer);
  if (GST_BUFFER_DURATION_IS_VALID (buffer))
    self->end += GST_BUFFER_DURATION (buffer);
  return TRUE;
}

/* A microphone in DTX sends a packet of 20 ms each 400 ms of silence: too often for the task to
 * notice, and less sound than time. */
static void
push_hole (GstLiveKitOutput *self, GstClockTime before, GstClockTime pts)
{
  if (!GST_CLOCK_TIME_IS_VALID (before) || !GST_CLOCK_TIME_IS_VALID (pts) || pts < before + MIN_HOLE
      || !is_audio (self->current_caps))
    return;
  g_mutex_lock (&self->lock);
  self->stats.gaps++;
  g_mutex_unlock (&self->lock);
  gst_pad_push_event (self->srcpad, gst_event_new_gap (before, pts - before));
}

static void
push_pending_tags (GstLiveKitOutput *self)
{
  GstTagList *tags;

  g_mutex_lock (&self->lock);
  tags = g_steal_pointer (&self->tags);
  g_mutex_unlock (&self->lock);
  if (tags)
    gst_pad_push_event (self->srcpad, gst_event_new_tag (tags));
}

/* Streaming thread of the branch. */
static GstFlowReturn
chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstLiveKitOutput *self = GST_LIVEKIT_OUTPUT (parent);
  GstClockTime end = self->end;
  GstFlowReturn ret;

  if (self->blank || self->eos_sent) {
    note_activity (self, 0, self->blank, 0);
    gst_buffer_unref (buffer);
    return GST_FLOW_OK;
  }
  announce_segment (self);
  buffer = gst_buffer_make_writable (buffer);
  GST_BUFFER_PTS (buffer) = output_time (self, GST_BUFFER_PTS (buffer));
  if (!keep_order (self, buffer)) {
    note_activity (self, 0, 0, 1);
    gst_buffer_unref (buffer);
    return GST_FLOW_OK;
  }
  note_activity (self, 1, 0, 0);
  push_pending_tags (self);
  push_hole (self, end, GST_BUFFER_PTS (buffer));
  ret = gst_pad_push (self->srcpad, buffer);
  if (ret == GST_FLOW_EOS) { /* enough for who listens: the track ends there */
    self->eos_sent = TRUE;
    gst_pad_push_event (self->srcpad, gst_event_new_eos ());
    return GST_FLOW_OK;
  }
  if (ret == GST_FLOW_NOT_LINKED) /* no reason to stop the other tracks */
    return GST_FLOW_OK;
  if (ret < GST_FLOW_EOS)
    GST_ELEMENT_FLOW_ERROR (self, ret);
  return ret;
}

static gboolean
is_blank (GstCaps *caps)
{
  const GstStructure *structure = gst_caps_get_structure (caps, 0);
  int width = G_MAXINT, height = G_MAXINT;

  gst_structure_get_int (structure, "width", &width);
  gst_structure_get_int (structure, "height", &height);
  return width < MIN_PICTURE_SIZE || height < MIN_PICTURE_SIZE;
}

/* Muxers refuse new caps once their header is written, and the sizes of these codecs stand in the
 * stream itself: the caps that went out hold for as long as the codec does. H264 in the form that
 * muxers for want of a better one take (avc) has its sizes in the caps alone. */
static gboolean
tells_its_size_in_band (GstCaps *caps)
{
  static const char *const names[]
      = { "video/x-vp8", "video/x-vp9", "video/x-av1", "video/x-h264", "audio/x-opus", NULL };
  const GstStructure *structure = gst_caps_get_structure (caps, 0);

  return g_strv_contains (names, gst_structure_get_name (structure))
         && g_strcmp0 (gst_structure_get_string (structure, "stream-format"), "avc") != 0;
}

static gboolean
is_same_media (GstCaps *a, GstCaps *b)
{
  const GstStructure *one = gst_caps_get_structure (a, 0), *other = gst_caps_get_structure (b, 0);

  return g_str_equal (gst_structure_get_name (one), gst_structure_get_name (other))
         && g_strcmp0 (gst_structure_get_string (one, "stream-format"),
                gst_structure_get_string (other, "stream-format"))
                == 0;
}

static void
handle_caps (GstLiveKitOutput *self, GstCaps *caps)
{
  self->blank = is_blank (caps);
  if (self->blank)
    return;
  announce_stream (self);
  if (self->current_caps
      && (gst_caps_is_equal (caps, self->current_caps)
          || (is_same_media (caps, self->current_caps) && tells_its_size_in_band (caps))))
    return;
  gst_pad_push_event (self->srcpad, gst_event_new_caps (caps));
  gst_caps_replace (&self->current_caps, caps);
}

static gboolean
handle_gap (GstLiveKitOutput *self, GstEvent *event)
{
  GstClockTime timestamp, duration;

  gst_event_parse_gap (event, &timestamp, &duration);
  timestamp = output_time (self, timestamp);
  if (self->blank || self->eos_sent || !self->current_caps || !GST_CLOCK_TIME_IS_VALID (timestamp)
      || (GST_CLOCK_TIME_IS_VALID (self->last_pts) && timestamp <= self->last_pts))
    return TRUE;
  announce_segment (self);
  return gst_pad_push_event (self->srcpad, gst_event_new_gap (timestamp, duration));
}

/* Streaming thread of the branch. */
static gboolean
sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstLiveKitOutput *self = GST_LIVEKIT_OUTPUT (parent);
  gboolean ok = TRUE;
  GstCaps *caps;

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_CAPS:
    gst_event_parse_caps (event, &caps);
    handle_caps (self, caps);
    break;
  case GST_EVENT_SEGMENT:
    gst_event_copy_segment (event, &self->segment);
    break;
  case GST_EVENT_GAP:
    ok = handle_gap (self, event);
    break;
  case GST_EVENT_TAG:
    if (self->segment_announced)
      return gst_pad_push_event (self->srcpad, event);
    break;
  default:
    break; /* stream-start, EOS, flushes, collections are the branch's own affair */
  }
  gst_event_unref (event);
  return ok;
}

static gboolean
src_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstLiveKitOutput *self = GST_LIVEKIT_OUTPUT (parent);

  if (gst_video_event_is_force_key_unit (event)) {
    gint64 now = g_get_monotonic_time ();
    gboolean too_soon;

    g_mutex_lock (&self->lock);
    too_soon = self->last_key_request
               && now - self->last_key_request < (gint64)(KEY_UNIT_INTERVAL / 1000);
    if (!too_soon)
      self->last_key_request = now;
    g_mutex_unlock (&self->lock);
    if (too_soon) {
      gst_event_unref (event);
      return TRUE;
    }
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstLiveKitOutput *self = GST_LIVEKIT_OUTPUT (parent);

  switch (GST_QUERY_TYPE (query)) {
  case GST_QUERY_LATENCY:
    gst_query_set_latency (query, TRUE, self->latency, GST_CLOCK_TIME_NONE);
    return TRUE;
  case GST_QUERY_CAPS: {
    GstCaps *filter;
    g_autoptr (GstCaps) result = NULL;

    gst_query_parse_caps (query, &filter);
    result = filter ? gst_caps_intersect_full (filter, self->caps, GST_CAPS_INTERSECT_FIRST)
                    : gst_caps_ref (self->caps);
    gst_query_set_caps_result (query, result);
    return TRUE;
  }
  default:
    return gst_pad_query_default (pad, parent, query);
  }
}

/* --- the task: GAPs while nothing comes, and EOS when the application ends --- */

static void
push_eos (GstLiveKitOutput *self)
{
  GST_PAD_STREAM_LOCK (self->sinkpad);
  if (!self->eos_sent) {
    self->eos_sent = TRUE;
    announce_stream (self);
    gst_pad_push_event (self->srcpad, gst_event_new_eos ());
  }
  GST_PAD_STREAM_UNLOCK (self->sinkpad);
}

static GstClockTime
running_time (GstLiveKitOutput *self)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (GST_ELEMENT (self));
  GstClockTime base = gst_element_get_base_time (GST_ELEMENT (self)), now;

  if (!clock || !GST_CLOCK_TIME_IS_VALID (base))
    return GST_CLOCK_TIME_NONE;
  now = gst_clock_get_time (clock);
  return now > base ? now - base : 0;
}

static gboolean
is_silent (GstLiveKitOutput *self)
{
  gint64 now = g_get_monotonic_time ();
  gboolean silent;

  g_mutex_lock (&self->lock);
  silent = now - self->last_activity >= (gint64)(GAP_INTERVAL / 1000);
  self->last_activity = silent ? now : self->last_activity;
  g_mutex_unlock (&self->lock);
  return silent;
}

/* Nobody needs to be told where no other track comes either. */
static gboolean
is_waited_for (GstLiveKitOutput *self)
{
  return !self->flow || livekit_flow_is_steady (self->flow, g_get_monotonic_time ());
}

/* How old the next buffer can be when it comes. */
static GstClockTime
oldest_start (GstLiveKitOutput *self)
{
  GstClockTime age;

  g_mutex_lock (&self->lock);
  age = self->latency + (self->muted ? MUTED_START_TIME : START_TIME)
        + (GstClockTime)MAX (-self->stats.shift, 0);
  g_mutex_unlock (&self->lock);
  return age;
}

/* The gap ends where the next buffer could begin at the earliest. */
static void
push_gap (GstLiveKitOutput *self)
{
  GstClockTime end, start, age;

  GST_PAD_STREAM_LOCK (self->sinkpad);
  end = running_time (self);
  start = GST_CLOCK_TIME_IS_VALID (self->end) ? self->end : 0;
  age = oldest_start (self);
  /* Something may have come while the lock was waited for. */
  if (is_silent (self) && is_waited_for (self) && GST_CLOCK_TIME_IS_VALID (end) && !self->eos_sent
      && self->current_caps && end > start + age) {
    end -= age;
    self->last_pts = self->end = end;
    g_mutex_lock (&self->lock);
    self->stats.gaps++;
    g_mutex_unlock (&self->lock);
    announce_segment (self);
    gst_pad_push_event (self->srcpad, gst_event_new_gap (start, end - start));
  }
  GST_PAD_STREAM_UNLOCK (self->sinkpad);
}

/* The source pad's task thread. */
static void
task (gpointer data)
{
  GstLiveKitOutput *self = data;
  gboolean eos = FALSE, silent = FALSE;

  g_mutex_lock (&self->lock);
  while (self->running && !eos && !silent) {
    const gint64 interval = (gint64)(GAP_INTERVAL / 1000);
    gint64 deadline = self->last_activity + interval;
    gint64 now = g_get_monotonic_time ();

    if (self->eos_wanted)
      eos = TRUE;
    else if (now >= deadline + interval)
      self->last_activity = now; /* it was us who stood still: what came meanwhile comes now */
    else if (now >= deadline)
      silent = TRUE;
    else
      g_cond_wait_until (&self->cond, &self->lock, deadline);
  }
  g_mutex_unlock (&self->lock);

  if (eos) {
    push_eos (self);
    gst_pad_pause_task (self->srcpad);
  } else if (silent) {
    push_gap (self);
  }
}

static gboolean
src_activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstLiveKitOutput *self = GST_LIVEKIT_OUTPUT (parent);

  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  g_mutex_lock (&self->lock);
  self->running = active;
  self->last_activity = g_get_monotonic_time ();
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
  return active ? gst_pad_start_task (pad, task, self, NULL) : gst_pad_stop_task (pad);
}

/* --- public --- */

void
gst_livekit_output_send_eos (GstLiveKitOutput *self)
{
  g_mutex_lock (&self->lock);
  self->eos_wanted = TRUE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}

void
gst_livekit_output_push_tags (GstLiveKitOutput *self, GstTagList *tags)
{
  g_mutex_lock (&self->lock);
  g_clear_pointer (&self->tags, gst_tag_list_unref);
  self->tags = tags;
  g_mutex_unlock (&self->lock);
}

void
gst_livekit_output_set_shift (GstLiveKitOutput *self, GstClockTimeDiff shift)
{
  g_mutex_lock (&self->lock);
  self->stats.shift_wanted = shift;
  self->stats.shift_known = TRUE;
  g_mutex_unlock (&self->lock);
}

void
gst_livekit_output_set_muted (GstLiveKitOutput *self, gboolean muted)
{
  g_mutex_lock (&self->lock);
  self->muted = muted;
  g_mutex_unlock (&self->lock);
}

void
gst_livekit_output_get_stats (GstLiveKitOutput *self, GstLiveKitOutputStats *stats)
{
  g_mutex_lock (&self->lock);
  *stats = self->stats;
  g_mutex_unlock (&self->lock);
}

GstElement *
gst_livekit_output_new (
    GstCaps *caps, GstEvent *stream_start, GstClockTime latency, LiveKitFlow *flow)
{
  GstLiveKitOutput *self = g_object_new (GST_TYPE_LIVEKIT_OUTPUT, NULL);

  self->caps = gst_caps_ref (caps);
  self->stream_start = stream_start;
  self->latency = latency;
  self->flow = flow ? livekit_flow_ref (flow) : NULL;
  return GST_ELEMENT (self);
}

static void
gst_livekit_output_finalize (GObject *object)
{
  GstLiveKitOutput *self = GST_LIVEKIT_OUTPUT (object);

  gst_caps_unref (self->caps);
  gst_caps_replace (&self->current_caps, NULL);
  gst_event_unref (self->stream_start);
  g_clear_pointer (&self->flow, livekit_flow_unref);
  g_clear_pointer (&self->tags, gst_tag_list_unref);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  G_OBJECT_CLASS (gst_livekit_output_parent_class)->finalize (object);
}

static void
gst_livekit_output_class_init (GstLiveKitOutputClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = gst_livekit_output_finalize;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "LiveKit track output", "Generic",
      "Keeps a track one stream while its publications come and go", "Haven Live");
}

static void
gst_livekit_output_init (GstLiveKitOutput *self)
{
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->last_pts = self->end = GST_CLOCK_TIME_NONE;
  gst_segment_init (&self->segment, GST_FORMAT_TIME);

  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, chain);
  gst_pad_set_event_function (self->sinkpad, sink_event);
  GST_PAD_SET_PROXY_CAPS (self->sinkpad);
  GST_PAD_SET_PROXY_ALLOCATION (self->sinkpad);
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);

  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_event_function (self->srcpad, src_event);
  gst_pad_set_query_function (self->srcpad, src_query);
  gst_pad_set_activatemode_function (self->srcpad, src_activate_mode);
  gst_pad_use_fixed_caps (self->srcpad);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
