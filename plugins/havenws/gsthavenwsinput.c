/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthavenwsinput.h"

#include <string.h>

#include "gsthavenwscodec.h"

GST_DEBUG_CATEGORY_EXTERN (gst_haven_ws_sink_debug);
#define GST_CAT_DEFAULT gst_haven_ws_sink_debug

#define OPUS_DURATION (20 * GST_MSECOND) /* of a packet that does not say how long it is */

struct _GstHavenWsInput
{
  GstBaseSink parent;

  WsKind kind;                        /* immutable */
  GstCaps *caps;                      /* (owned) immutable */
  GstHavenWsInputCallbacks callbacks; /* immutable */
  gpointer user_data;                 /* immutable; the bin we are in */
  gint eos;                           /* atomic */

  /* streaming thread */
  WsCodec codec;
  GstCaps *current;     /* (owned) (nullable) */
  char *description;    /* (owned) (nullable) the config that was posted last */
  gboolean interrupted; /* the next frame does not continue the last */
};

G_DEFINE_FINAL_TYPE (GstHavenWsInput, gst_haven_ws_input, GST_TYPE_BASE_SINK)

static GstStaticPadTemplate sink_template
    = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

static void
set_eos (GstHavenWsInput *self, gboolean eos)
{
  if (g_atomic_int_exchange (&self->eos, eos) != eos)
    self->callbacks.eos_changed (self->user_data);
}

static GstCaps *
gst_haven_ws_input_get_caps (GstBaseSink *sink, GstCaps *filter)
{
  GstHavenWsInput *self = GST_HAVEN_WS_INPUT (sink);

  return filter ? gst_caps_intersect_full (filter, self->caps, GST_CAPS_INTERSECT_FIRST)
                : gst_caps_ref (self->caps);
}

typedef struct
{
  GstBuffer *buffer; /* (owned) */
  GstMapInfo map;
} MappedBuffer;

static void
mapped_buffer_free (MappedBuffer *mapped)
{
  gst_buffer_unmap (mapped->buffer, &mapped->map);
  gst_buffer_unref (mapped->buffer);
  g_free (mapped);
}

/* A slow viewer may hold two frames for long, and must not hold what others wait for: buffers of a
 * pool are copied, once for all viewers, and so are those that are mostly unused room. Others are
 * only referred to. */
static gboolean
should_copy (GstBuffer *buffer)
{
  gsize offset, max_size, size = gst_buffer_get_sizes (buffer, &offset, &max_size);

  return buffer->pool != NULL || max_size > 2 * size;
}

/* Returns: (transfer full) (nullable) */
static GBytes *
buffer_to_bytes (GstBuffer *buffer)
{
  MappedBuffer *mapped;

  if (should_copy (buffer)) {
    gpointer data;
    gsize size;

    gst_buffer_extract_dup (buffer, 0, -1, &data, &size);
    return g_bytes_new_take (data, size);
  }
  mapped = g_new0 (MappedBuffer, 1);
  if (!gst_buffer_map (buffer, &mapped->map, GST_MAP_READ)) {
    g_free (mapped);
    return NULL;
  }
  mapped->buffer = gst_buffer_ref (buffer);
  return g_bytes_new_with_free_func (
      mapped->map.data, mapped->map.size, (GDestroyNotify)mapped_buffer_free, mapped);
}

static gint64
time_of (GstHavenWsInput *self, GstBuffer *buffer)
{
  GstSegment *segment = &GST_BASE_SINK (self)->segment;
  GstClockTime running = GST_CLOCK_TIME_NONE;

  if (segment->format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID (buffer))
    running = gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  return GST_CLOCK_TIME_IS_VALID (running) ? self->callbacks.get_time (running, self->user_data)
                                           : g_get_real_time ();
}

static guint64
duration_of (GstHavenWsInput *self, GstBuffer *buffer)
{
  if (self->codec == WS_CODEC_PCM)
    return ws_audio_duration (gst_buffer_get_size (buffer));
  if (self->kind == WS_KIND_VIDEO)
    return 0;
  return GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : OPUS_DURATION;
}

static gboolean
is_key (GstHavenWsInput *self, GstBuffer *buffer)
{
  return !ws_codec_is_encoded_video (self->codec)
         || !GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
}

/* Tells what follows, if that has changed: also while nobody watches, for those who come. */
static void
describe (GstHavenWsInput *self, GstBuffer *buffer)
{
  g_autofree char *description = gst_haven_ws_codec_describe (self->codec, self->current, buffer);
  g_autoptr (GBytes) bytes = NULL;

  if (!description || g_strcmp0 (description, self->description) == 0)
    return;
  bytes = g_bytes_new (description, strlen (description));
  self->callbacks.media (
      &(WsMedia){ .kind = self->kind,
          .codec = self->codec,
          .flags = WS_FLAG_CONFIG | WS_FLAG_KEY | (self->description ? WS_FLAG_DISCONTINUITY : 0),
          .time = time_of (self, buffer),
          .bytes = bytes },
      self->user_data);
  g_free (self->description);
  self->description = g_steal_pointer (&description);
}

static GstFlowReturn /* streaming thread */
gst_haven_ws_input_render (GstBaseSink *sink, GstBuffer *buffer)
{
  GstHavenWsInput *self = GST_HAVEN_WS_INPUT (sink);
  g_autoptr (GBytes) bytes = NULL;
  gboolean key = is_key (self, buffer);

  GST_LOG_OBJECT (self, "%" GST_PTR_FORMAT, buffer);
  if (gst_buffer_get_size (buffer) == 0)
    return GST_FLOW_OK;
  self->interrupted |= GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  if (key)
    describe (self, buffer);
  if (!self->callbacks.is_watched (self->kind, self->user_data))
    return GST_FLOW_OK;
  bytes = buffer_to_bytes (buffer);
  if (!bytes) {
    GST_ELEMENT_ERROR (
        self, RESOURCE, READ, ("Could not read a buffer."), ("%" GST_PTR_FORMAT, buffer));
    return GST_FLOW_ERROR;
  }
  self->callbacks.media (
      &(WsMedia){ .kind = self->kind,
          .codec = self->codec,
          .flags = (key ? WS_FLAG_KEY : 0) | (self->interrupted ? WS_FLAG_DISCONTINUITY : 0),
          .time = time_of (self, buffer),
          .duration = duration_of (self, buffer),
          .bytes = bytes },
      self->user_data);
  self->interrupted = FALSE;
  return GST_FLOW_OK;
}

static gboolean /* streaming thread */
gst_haven_ws_input_set_caps (GstBaseSink *sink, GstCaps *caps)
{
  GstHavenWsInput *self = GST_HAVEN_WS_INPUT (sink);

  GST_DEBUG_OBJECT (self, "%" GST_PTR_FORMAT, caps);
  gst_caps_replace (&self->current, caps);
  self->codec = gst_haven_ws_codec_of_caps (caps);
  return self->codec != WS_CODEC_NONE;
}

static GstFlowReturn /* streaming thread */
gst_haven_ws_input_wait_event (GstBaseSink *sink, GstEvent *event)
{
  GstFlowReturn ret
      = GST_BASE_SINK_CLASS (gst_haven_ws_input_parent_class)->wait_event (sink, event);

  if (ret == GST_FLOW_OK && GST_EVENT_TYPE (event) == GST_EVENT_EOS)
    set_eos (
        GST_HAVEN_WS_INPUT (sink), TRUE); /* its time has come; the message goes out after this */
  return ret;
}

static gboolean /* streaming thread */
gst_haven_ws_input_event (GstBaseSink *sink, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP) /* nothing else revives a pad after its end */
    set_eos (GST_HAVEN_WS_INPUT (sink), FALSE);
  return GST_BASE_SINK_CLASS (gst_haven_ws_input_parent_class)->event (sink, event);
}

static gboolean /* READY to PAUSED */
gst_haven_ws_input_start (GstBaseSink *sink)
{
  GstHavenWsInput *self = GST_HAVEN_WS_INPUT (sink);

  set_eos (self, FALSE);
  g_clear_pointer (&self->description, g_free);
  return TRUE;
}

static void
gst_haven_ws_input_finalize (GObject *object)
{
  GstHavenWsInput *self = GST_HAVEN_WS_INPUT (object);

  gst_caps_unref (self->caps);
  gst_clear_caps (&self->current);
  g_free (self->description);
  G_OBJECT_CLASS (gst_haven_ws_input_parent_class)->finalize (object);
}

static void
gst_haven_ws_input_class_init (GstHavenWsInputClass *klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *sink_class = GST_BASE_SINK_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = gst_haven_ws_input_finalize;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_set_static_metadata (element_class, "WebSocket sink input", "Sink/Network",
      "One pad of havenwssink", "Haven Live");
  sink_class->get_caps = gst_haven_ws_input_get_caps;
  sink_class->set_caps = gst_haven_ws_input_set_caps;
  sink_class->render = gst_haven_ws_input_render;
  sink_class->wait_event = gst_haven_ws_input_wait_event;
  sink_class->event = gst_haven_ws_input_event;
  sink_class->start = gst_haven_ws_input_start;
}

static void
gst_haven_ws_input_init (GstHavenWsInput *self)
{
  GstBaseSink *sink = GST_BASE_SINK (self);

  /* A frame goes out as it comes; nothing is shown in PAUSED, so nothing need wait for a first
   * frame there: a track that is silent from the start must not hold up the rest. */
  gst_base_sink_set_sync (sink, FALSE);
  gst_base_sink_set_async_enabled (sink, FALSE);
  gst_base_sink_set_qos_enabled (sink, FALSE);
  gst_base_sink_set_last_sample_enabled (sink, FALSE);
  gst_base_sink_set_processing_deadline (sink, 0);
}

/* @caps: (transfer none): what may come
 * @user_data: outlives the element
 *
 * Returns: (transfer floating) */
GstElement *
gst_haven_ws_input_new (const char *name, WsKind kind, GstCaps *caps,
    const GstHavenWsInputCallbacks *callbacks, gpointer user_data)
{
  GstHavenWsInput *self = g_object_new (GST_TYPE_HAVEN_WS_INPUT, "name", name, NULL);

  self->kind = kind;
  self->caps = gst_caps_ref (caps);
  self->callbacks = *callbacks;
  self->user_data = user_data;
  return GST_ELEMENT (self);
}

/* Any thread. */
gboolean
gst_haven_ws_input_is_eos (GstHavenWsInput *self)
{
  return g_atomic_int_get (&self->eos);
}
