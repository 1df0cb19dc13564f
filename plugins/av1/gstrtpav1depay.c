/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-rtpav1depay
 * @title: rtpav1depay
 *
 * Takes AV1 video out of RTP packets (RTP Payload Format for AV1, v1.0). Each buffer is one
 * temporal unit.
 *
 * After a loss nothing is given out until the next coded video sequence starts, as any picture
 * before it may refer to what was lost, and upstream is asked for that start, once a second at
 * most. Units of more than 8 MiB count as lost.
 *
 * ## Receive AV1 on a port and show it
 * |[
 * gst-launch-1.0 udpsrc port=5004 \
 *     caps="application/x-rtp,media=video,encoding-name=AV1,clock-rate=90000,payload=96" \
 *     ! rtpjitterbuffer ! rtpav1depay ! av1parse ! av1dec ! autovideosink
 * ]|
 *
 * Since: 0.1
 */

#include "gstrtpav1depay.h"

#include <gst/rtp/gstrtpbuffer.h>
#include <gst/video/video.h>

#include "av1-unit.h"

GST_DEBUG_CATEGORY_STATIC (rtp_av1_depay_debug);
#define GST_CAT_DEFAULT rtp_av1_depay_debug

/* A key frame is large; one that is asked for twice arrives later than one that is asked for once.
 */
#define KEYFRAME_REQUEST_INTERVAL GST_SECOND

#define DEFAULT_REQUEST_KEYFRAME TRUE
#define DEFAULT_WAIT_FOR_KEYFRAME TRUE

enum
{
  PROP_0,
  PROP_REQUEST_KEYFRAME,
  PROP_WAIT_FOR_KEYFRAME,
  N_PROPERTIES
};

static GParamSpec *properties[N_PROPERTIES];

struct _GstRtpAv1Depay
{
  GstRTPBaseDepayload parent;

  gboolean request_keyframe;  /* property; protected by OBJECT_LOCK */
  gboolean wait_for_keyframe; /* property; protected by OBJECT_LOCK */

  /* The rest belongs to the streaming thread. */
  Av1Unit *unit;     /* (owned) the unit that is coming in */
  guint32 rtp_time;  /* of the last packet with a payload */
  gboolean ended;    /* that packet ended its unit; the next one begins a unit */
  gboolean skip;     /* the rest of that packet's unit is of no use */
  gboolean keyframe; /* the unit starts a coded video sequence */
  GstClockTime pts;  /* of the unit's first packet */
  GstClockTime dts;

  gboolean wait;             /* for the start of a coded video sequence */
  gboolean discont;          /* something was left out before the next buffer */
  GstClockTime last_request; /* when a key frame was last asked for */
};

static GstStaticPadTemplate sink_template
    = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("application/x-rtp, media=(string)video, encoding-name=(string)AV1, "
                         "clock-rate=(int)90000"));

static GstStaticPadTemplate src_template
    = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("video/x-av1, stream-format=(string)obu-stream, alignment=(string)tu"));

G_DEFINE_FINAL_TYPE (GstRtpAv1Depay, gst_rtp_av1_depay, GST_TYPE_RTP_BASE_DEPAYLOAD)
GST_ELEMENT_REGISTER_DEFINE (rtpav1depay, "rtpav1depay", GST_RANK_SECONDARY, GST_TYPE_RTP_AV1_DEPAY)

static gboolean
get_flag (GstRtpAv1Depay *self, const gboolean *flag)
{
  gboolean value;

  GST_OBJECT_LOCK (self);
  value = *flag;
  GST_OBJECT_UNLOCK (self);
  return value;
}

static void
gst_rtp_av1_depay_request_keyframe (GstRtpAv1Depay *self)
{
  g_autoptr (GstClock) clock = gst_element_get_clock (GST_ELEMENT (self));
  GstClockTime now = clock ? gst_clock_get_time (clock) : gst_util_get_timestamp ();

  if (!get_flag (self, &self->request_keyframe))
    return;
  /* A clock that went back is another clock: then we do not know how long ago it was. */
  if (GST_CLOCK_TIME_IS_VALID (self->last_request) && now >= self->last_request
      && now - self->last_request < KEYFRAME_REQUEST_INTERVAL)
    return;

  GST_DEBUG_OBJECT (self, "asking for a key frame");
  self->last_request = now;
  /* Not all-headers: an AV1 key frame over RTP has them anyway, and a session turns that wish into
   * a FIR, which fewer senders answer than a PLI. */
  gst_pad_push_event (GST_RTP_BASE_DEPAYLOAD_SINKPAD (self),
      gst_video_event_new_upstream_force_key_unit (GST_CLOCK_TIME_NONE, FALSE, 0));
}

/* What came of the present unit is lost, and with it what the pictures after it refer to. */
static void
gst_rtp_av1_depay_lose (GstRtpAv1Depay *self, const char *reason)
{
  if (self->wait) /* nothing that anyone would have got */
    GST_DEBUG_OBJECT (self, "loss while waiting for a key frame: %s", reason);
  else
    GST_WARNING_OBJECT (self, "lost data at RTP time %u: %s", self->rtp_time, reason);
  av1_unit_clear (self->unit);
  self->skip = TRUE;
  self->discont = TRUE;
  self->wait = get_flag (self, &self->wait_for_keyframe);
  gst_rtp_av1_depay_request_keyframe (self);
}

static void
gst_rtp_av1_depay_reset (GstRtpAv1Depay *self)
{
  av1_unit_clear (self->unit);
  self->ended = TRUE;
  self->skip = FALSE;
  self->discont = FALSE;
  self->wait = get_flag (self, &self->wait_for_keyframe);
  self->last_request = GST_CLOCK_TIME_NONE;
}

/* Returns: (transfer full) (nullable): the unit whose last packet has come */
static GstBuffer *
gst_rtp_av1_depay_finish_unit (GstRtpAv1Depay *self)
{
  g_autoptr (GBytes) bytes = NULL;
  Av1UnitResult result = av1_unit_finish (self->unit, &bytes);
  GstBuffer *buffer;

  if (result != AV1_UNIT_OK)
    gst_rtp_av1_depay_lose (self, av1_unit_result_to_string (result));
  if (!bytes)
    return NULL;

  buffer = gst_buffer_new_wrapped_bytes (bytes);
  GST_BUFFER_PTS (buffer) = self->pts;
  GST_BUFFER_DTS (buffer) = self->dts;
  if (!self->keyframe)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  if (self->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  self->discont = FALSE;
  GST_LOG_OBJECT (self, "unit %" GST_PTR_FORMAT, buffer);
  return buffer;
}

/* The packet is the first of a unit, as far as we know. Returns: whether the unit is wanted. */
static gboolean
gst_rtp_av1_depay_begin_unit (GstRtpAv1Depay *self, GstBuffer *packet, gboolean keyframe)
{
  if (self->wait && !keyframe) {
    gst_rtp_av1_depay_request_keyframe (self);
    self->discont = TRUE;
    return FALSE;
  }
  self->wait = FALSE;
  self->keyframe = keyframe;
  self->pts = GST_BUFFER_PTS (packet);
  self->dts = GST_BUFFER_DTS (packet);
  return TRUE;
}

static GstBuffer *
gst_rtp_av1_depay_process (GstRTPBaseDepayload *base, GstRTPBuffer *rtp)
{
  GstRtpAv1Depay *self = GST_RTP_AV1_DEPAY (base);
  gsize size = gst_rtp_buffer_get_payload_len (rtp);
  guint32 rtp_time = gst_rtp_buffer_get_timestamp (rtp);
  Av1Payload payload;
  Av1UnitResult result;

  if (GST_BUFFER_IS_DISCONT (rtp->buffer))
    gst_rtp_av1_depay_lose (self, "a packet is missing");
  if (size == 0) /* padding alone: a sender probing the network */
    return NULL;

  if (self->ended || rtp_time != self->rtp_time) {
    if (!av1_unit_is_empty (self->unit)) {
      GstBuffer *buffer = gst_rtp_av1_depay_finish_unit (self);

      if (buffer)
        gst_rtp_base_depayload_push (base, buffer);
    }
    /* With a packet missing before this one, its unit may have begun there. */
    self->skip = GST_BUFFER_IS_DISCONT (rtp->buffer);
  }
  self->rtp_time = rtp_time;
  self->ended = gst_rtp_buffer_get_marker (rtp);

  if (!av1_payload_init (&payload, gst_rtp_buffer_get_payload (rtp), size)) {
    gst_rtp_av1_depay_lose (self, av1_unit_result_to_string (AV1_UNIT_MALFORMED));
    return NULL;
  }
  if (av1_unit_is_empty (self->unit)) {
    if (self->skip && !payload.new_sequence)
      return NULL;
    if (!gst_rtp_av1_depay_begin_unit (self, rtp->buffer, payload.new_sequence)) {
      self->skip = TRUE;
      return NULL;
    }
    self->skip = FALSE;
  }

  result = av1_unit_add (self->unit, &payload);
  if (result != AV1_UNIT_OK) {
    gst_rtp_av1_depay_lose (self, av1_unit_result_to_string (result));
    return NULL;
  }
  return self->ended ? gst_rtp_av1_depay_finish_unit (self) : NULL;
}

static gboolean
gst_rtp_av1_depay_packet_lost (GstRTPBaseDepayload *base, GstEvent *event)
{
  gst_rtp_av1_depay_lose (GST_RTP_AV1_DEPAY (base), "a packet did not come in time");
  return GST_RTP_BASE_DEPAYLOAD_CLASS (gst_rtp_av1_depay_parent_class)->packet_lost (base, event);
}

static gboolean
gst_rtp_av1_depay_handle_event (GstRTPBaseDepayload *base, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP)
    gst_rtp_av1_depay_reset (GST_RTP_AV1_DEPAY (base));
  return GST_RTP_BASE_DEPAYLOAD_CLASS (gst_rtp_av1_depay_parent_class)->handle_event (base, event);
}

static gboolean
gst_rtp_av1_depay_set_caps (GstRTPBaseDepayload *base, GstCaps *caps)
{
  g_autoptr (GstCaps) src_caps = gst_static_pad_template_get_caps (&src_template);

  base->clock_rate = 90000;
  return gst_pad_set_caps (GST_RTP_BASE_DEPAYLOAD_SRCPAD (base), src_caps);
}

static GstStateChangeReturn
gst_rtp_av1_depay_change_state (GstElement *element, GstStateChange transition)
{
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED)
    gst_rtp_av1_depay_reset (GST_RTP_AV1_DEPAY (element));
  return GST_ELEMENT_CLASS (gst_rtp_av1_depay_parent_class)->change_state (element, transition);
}

static void
gst_rtp_av1_depay_set_property (
    GObject *object, guint prop_id, const GValue *value, GParamSpec *pspec)
{
  GstRtpAv1Depay *self = GST_RTP_AV1_DEPAY (object);

  GST_OBJECT_LOCK (self);
  switch (prop_id) {
  case PROP_REQUEST_KEYFRAME:
    self->request_keyframe = g_value_get_boolean (value);
    break;
  case PROP_WAIT_FOR_KEYFRAME:
    self->wait_for_keyframe = g_value_get_boolean (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_rtp_av1_depay_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  GstRtpAv1Depay *self = GST_RTP_AV1_DEPAY (object);

  GST_OBJECT_LOCK (self);
  switch (prop_id) {
  case PROP_REQUEST_KEYFRAME:
    g_value_set_boolean (value, self->request_keyframe);
    break;
  case PROP_WAIT_FOR_KEYFRAME:
    g_value_set_boolean (value, self->wait_for_keyframe);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_rtp_av1_depay_finalize (GObject *object)
{
  av1_unit_free (GST_RTP_AV1_DEPAY (object)->unit);
  G_OBJECT_CLASS (gst_rtp_av1_depay_parent_class)->finalize (object);
}

static void
gst_rtp_av1_depay_class_init (GstRtpAv1DepayClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstRTPBaseDepayloadClass *depay_class = GST_RTP_BASE_DEPAYLOAD_CLASS (klass);

  object_class->set_property = gst_rtp_av1_depay_set_property;
  object_class->get_property = gst_rtp_av1_depay_get_property;
  object_class->finalize = gst_rtp_av1_depay_finalize;
  element_class->change_state = gst_rtp_av1_depay_change_state;
  depay_class->set_caps = gst_rtp_av1_depay_set_caps;
  depay_class->process_rtp_packet = gst_rtp_av1_depay_process;
  depay_class->packet_lost = gst_rtp_av1_depay_packet_lost;
  depay_class->handle_event = gst_rtp_av1_depay_handle_event;

  /**
   * GstRtpAv1Depay:request-keyframe:
   *
   * Ask upstream for a key frame when data was lost and while none has come yet, once a second at
   * most.
   *
   * Since: 0.1
   */
  properties[PROP_REQUEST_KEYFRAME] = g_param_spec_boolean ("request-keyframe", "Request key frame",
      "Ask for a key frame when data was lost, once a second at most", DEFAULT_REQUEST_KEYFRAME,
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING);

  /**
   * GstRtpAv1Depay:wait-for-keyframe:
   *
   * Drop what comes at the start and after a loss, until a coded video sequence starts. Otherwise
   * the next whole unit is given out, which a decoder may refuse or show with errors.
   *
   * Since: 0.1
   */
  properties[PROP_WAIT_FOR_KEYFRAME]
      = g_param_spec_boolean ("wait-for-keyframe", "Wait for key frame",
          "Drop everything after a loss until the next key frame", DEFAULT_WAIT_FOR_KEYFRAME,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING);

  g_object_class_install_properties (object_class, N_PROPERTIES, properties);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "RTP AV1 depayloader",
      "Codec/Depayloader/Network/RTP", "Takes AV1 video out of RTP packets",
      "Haven Live developers");
  GST_DEBUG_CATEGORY_INIT (rtp_av1_depay_debug, "rtpav1depay", 0, "RTP AV1 depayloader");
}

static void
gst_rtp_av1_depay_init (GstRtpAv1Depay *self)
{
  self->request_keyframe = DEFAULT_REQUEST_KEYFRAME;
  self->wait_for_keyframe = DEFAULT_WAIT_FOR_KEYFRAME;
  self->unit = av1_unit_new (GST_RTP_AV1_DEPAY_MAX_UNIT);
  gst_rtp_av1_depay_reset (self);
}
