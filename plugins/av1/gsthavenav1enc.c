/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-havenav1enc
 * @title: havenav1enc
 *
 * Encodes AV1 while the pictures come in, with libaom and the tools of it that pay in real time.
 * Each picture comes out before the next goes in, with its own timestamp. The bit rate is kept by
 * timestamps: the frame rate may be unknown and may change.
 *
 * ## Record a camera
 * |[
 * gst-launch-1.0 -e v4l2src ! videoconvert ! havenav1enc bitrate=2000 ! av1parse \
 *     ! matroskamux ! filesink location=camera.mkv
 * ]|
 *
 * Since: 0.1
 */

#include "gsthavenav1enc.h"

#include <gst/video/video.h>

#include "av1-config.h"
#include "av1-encoder.h"

GST_DEBUG_CATEGORY_STATIC (haven_av1_enc_debug);
#define GST_CAT_DEFAULT haven_av1_enc_debug

#define DEFAULT_BITRATE 2000 /* kbit/s */
#define DEFAULT_SPEED 9
#define DEFAULT_KEYFRAME_INTERVAL 2000 /* ms */
#define DEFAULT_THREADS 0
#define DEFAULT_TILE_COLUMNS 0
#define DEFAULT_TILE_ROWS 0

/* More threads find no work in a picture of the sizes that are usual. */
#define MAX_AUTOMATIC_THREADS 4

/* Of a picture, where the caps do not say it and no second picture has come. */
#define UNKNOWN_DURATION (GST_SECOND / 30)

#define SIZE_RANGE \
  "[" G_STRINGIFY (AV1_ENCODER_MIN_SIZE) ", " G_STRINGIFY (AV1_ENCODER_MAX_SIZE) "]"

enum
{
  PROP_0,
  PROP_BITRATE,
  PROP_SPEED,
  PROP_KEYFRAME_INTERVAL,
  PROP_THREADS,
  PROP_TILE_COLUMNS,
  PROP_TILE_ROWS,
  N_PROPERTIES
};

static GParamSpec *properties[N_PROPERTIES];

typedef struct
{
  guint bitrate; /* kbit/s */
  guint speed;
  guint keyframe_interval; /* ms; 0: none but the first and those that are asked for */
  guint threads;           /* 0: as many as there are processors, up to a limit */
  guint tile_columns;      /* log2 */
  guint tile_rows;
} Settings;

struct _GstHavenAv1Enc
{
  GstVideoEncoder parent;

  Settings settings; /* properties; protected by OBJECT_LOCK */

  /* The rest belongs to the streaming thread, and to start and stop while there is none. */
  Av1Encoder *encoder;       /* (owned) (nullable) from the first caps on */
  GstVideoCodecState *state; /* (owned) (nullable) what goes in */
  GstClockTime last_pts;     /* of the last picture that had one */
  GstClockTime last_key_pts;
  gboolean want_key; /* what follows does not refer to what was before */
};

static GstStaticPadTemplate sink_template
    = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("video/x-raw, format=(string){ I420, NV12 }, width=(int)" SIZE_RANGE
                         ", height=(int)" SIZE_RANGE ", framerate=(fraction)[0, max]"));

static GstStaticPadTemplate src_template
    = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("video/x-av1, stream-format=(string)obu-stream, alignment=(string)tu, "
                         "profile=(string)main, width=(int)" SIZE_RANGE ", height=(int)" SIZE_RANGE
                         ", framerate=(fraction)[0, max]"));

G_DEFINE_FINAL_TYPE (GstHavenAv1Enc, gst_haven_av1_enc, GST_TYPE_VIDEO_ENCODER)
GST_ELEMENT_REGISTER_DEFINE (havenav1enc, "havenav1enc", GST_RANK_NONE, GST_TYPE_HAVEN_AV1_ENC)

static Settings
get_settings (GstHavenAv1Enc *self)
{
  Settings settings;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  GST_OBJECT_UNLOCK (self);
  return settings;
}

static void
forget_times (GstHavenAv1Enc *self)
{
  self->last_pts = self->last_key_pts = GST_CLOCK_TIME_NONE;
  self->want_key = TRUE;
}

static gboolean
gst_haven_av1_enc_start (GstVideoEncoder *encoder)
{
  forget_times (GST_HAVEN_AV1_ENC (encoder));
  return TRUE;
}

static gboolean
gst_haven_av1_enc_stop (GstVideoEncoder *encoder)
{
  GstHavenAv1Enc *self = GST_HAVEN_AV1_ENC (encoder);

  g_clear_pointer (&self->encoder, av1_encoder_free);
  g_clear_pointer (&self->state, gst_video_codec_state_unref);
  return TRUE;
}

/* Nothing waits in the encoder. What comes next goes to a decoder that may know nothing. */
static gboolean
gst_haven_av1_enc_flush (GstVideoEncoder *encoder)
{
  forget_times (GST_HAVEN_AV1_ENC (encoder));
  return TRUE;
}

static GstClockTime
duration_by_caps (const GstVideoInfo *info)
{
  if (GST_VIDEO_INFO_FPS_N (info) <= 0)
    return UNKNOWN_DURATION;
  return MAX (1, gst_util_uint64_scale_int (
                     GST_SECOND, GST_VIDEO_INFO_FPS_D (info), GST_VIDEO_INFO_FPS_N (info)));
}

static Av1EncoderSettings
encoder_settings (GstHavenAv1Enc *self, const GstVideoInfo *info)
{
  const GstVideoColorimetry *colour = &GST_VIDEO_INFO_COLORIMETRY (info);
  Settings settings = get_settings (self);

  return (Av1EncoderSettings){
    .width = GST_VIDEO_INFO_WIDTH (info),
    .height = GST_VIDEO_INFO_HEIGHT (info),
    .bitrate = settings.bitrate,
    .speed = settings.speed,
    .threads
    = settings.threads ? settings.threads : MIN (g_get_num_processors (), MAX_AUTOMATIC_THREADS),
    .tile_columns = settings.tile_columns,
    .tile_rows = settings.tile_rows,
    .duration = duration_by_caps (info),
    .primaries = gst_video_color_primaries_to_iso (colour->primaries),
    .transfer = gst_video_transfer_function_to_iso (colour->transfer),
    .matrix = gst_video_color_matrix_to_iso (colour->matrix),
    .full_range = colour->range == GST_VIDEO_COLOR_RANGE_0_255,
  };
}

static gboolean
gst_haven_av1_enc_set_format (GstVideoEncoder *encoder, GstVideoCodecState *state)
{
  GstHavenAv1Enc *self = GST_HAVEN_AV1_ENC (encoder);
  Av1EncoderSettings settings = encoder_settings (self, &state->info);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) record = NULL;
  GstVideoCodecState *output;
  GstCaps *caps;

  /* A new one for each size: nothing waits in the old one. */
  g_clear_pointer (&self->encoder, av1_encoder_free);
  g_clear_pointer (&self->state, gst_video_codec_state_unref);
  self->encoder = av1_encoder_new (&settings, &error);
  if (!self->encoder) {
    GST_ELEMENT_ERROR (self, LIBRARY, INIT,
        ("The AV1 encoder cannot start with pictures of %ux%u.", settings.width, settings.height),
        ("%s", error->message));
    return FALSE;
  }
  self->state = gst_video_codec_state_ref (state);
  self->want_key = TRUE;
  GST_INFO_OBJECT (self, "%ux%u, %u kbit/s, speed %u, %u threads", settings.width, settings.height,
      settings.bitrate, settings.speed, settings.threads);

  caps = gst_caps_new_simple ("video/x-av1", "stream-format", G_TYPE_STRING, "obu-stream",
      "alignment", G_TYPE_STRING, "tu", "profile", G_TYPE_STRING, "main", NULL);
  output = gst_video_encoder_set_output_state (encoder, caps, state);
  if ((record = av1_encoder_dup_config_record (self->encoder)))
    output->codec_data = gst_buffer_new_wrapped_bytes (record);
  gst_video_codec_state_unref (output);
  gst_video_encoder_set_latency (encoder, 0, 0);
  return TRUE;
}

/* Whether the picture at pts has to be a key frame, for our part. */
static gboolean
is_key_due (GstHavenAv1Enc *self, GstClockTime pts, guint interval_ms)
{
  if (self->want_key)
    return TRUE;
  if (interval_ms == 0 || !GST_CLOCK_TIME_IS_VALID (pts))
    return FALSE;
  return !GST_CLOCK_TIME_IS_VALID (self->last_key_pts) || pts < self->last_key_pts
         || pts - self->last_key_pts >= interval_ms * GST_MSECOND;
}

/* How long after the last picture that one at pts is. */
static GstClockTime
elapsed_until (GstHavenAv1Enc *self, GstClockTime pts)
{
  if (!GST_CLOCK_TIME_IS_VALID (pts) || !GST_CLOCK_TIME_IS_VALID (self->last_pts))
    return duration_by_caps (&self->state->info);
  return pts > self->last_pts ? pts - self->last_pts : 0;
}

static gboolean
encode (
    GstHavenAv1Enc *self, GstVideoCodecFrame *frame, gboolean key, Av1Coded *coded, GError **error)
{
  Av1Picture picture = { 0 };
  GstVideoFrame mapped;
  gboolean done;

  if (!gst_video_frame_map (&mapped, &self->state->info, frame->input_buffer, GST_MAP_READ)) {
    g_set_error (error, AV1_ENCODER_ERROR, AV1_ENCODER_ERROR_ENCODE,
        "The buffer holds no picture of the size that its caps say");
    return FALSE;
  }
  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES (&mapped); i++) {
    picture.planes[i] = GST_VIDEO_FRAME_PLANE_DATA (&mapped, i);
    picture.strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE (&mapped, i);
  }
  done = av1_encoder_encode (
      self->encoder, &picture, elapsed_until (self, frame->pts), key, coded, error);
  gst_video_frame_unmap (&mapped);
  return done;
}

static GstFlowReturn
gst_haven_av1_enc_handle_frame (GstVideoEncoder *encoder, GstVideoCodecFrame *frame)
{
  GstHavenAv1Enc *self = GST_HAVEN_AV1_ENC (encoder);
  Settings settings = get_settings (self);
  gboolean key = GST_VIDEO_CODEC_FRAME_IS_FORCE_KEYFRAME (frame)
                 || is_key_due (self, frame->pts, settings.keyframe_interval);
  g_autoptr (GError) error = NULL;
  Av1Coded coded;

  if (!av1_encoder_set_rate (self->encoder, settings.bitrate, settings.speed, &error)
      || !encode (self, frame, key, &coded, &error)) {
    GST_ELEMENT_ERROR (
        self, STREAM, ENCODE, ("A picture could not be encoded as AV1."), ("%s", error->message));
    gst_video_codec_frame_unref (frame);
    return GST_FLOW_ERROR;
  }
  if (GST_CLOCK_TIME_IS_VALID (frame->pts))
    self->last_pts = frame->pts;
  if (coded.data) {
    frame->output_buffer = gst_video_encoder_allocate_output_buffer (encoder, coded.size);
    gst_buffer_fill (frame->output_buffer, 0, coded.data, coded.size);
  }
  if (coded.is_key) {
    GST_VIDEO_CODEC_FRAME_SET_SYNC_POINT (frame);
    self->last_key_pts = frame->pts;
    self->want_key = FALSE;
  }
  GST_LOG_OBJECT (self, "%" GST_TIME_FORMAT ": %" G_GSIZE_FORMAT " bytes%s",
      GST_TIME_ARGS (frame->pts), coded.size, coded.is_key ? ", key frame" : "");
  return gst_video_encoder_finish_frame (encoder, frame);
}

static gboolean
gst_haven_av1_enc_propose_allocation (GstVideoEncoder *encoder, GstQuery *query)
{
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return GST_VIDEO_ENCODER_CLASS (gst_haven_av1_enc_parent_class)
      ->propose_allocation (encoder, query);
}

/* Returns: (nullable): where the property is kept */
static guint *
setting_of (GstHavenAv1Enc *self, guint prop_id)
{
  switch (prop_id) {
  case PROP_BITRATE:
    return &self->settings.bitrate;
  case PROP_SPEED:
    return &self->settings.speed;
  case PROP_KEYFRAME_INTERVAL:
    return &self->settings.keyframe_interval;
  case PROP_THREADS:
    return &self->settings.threads;
  case PROP_TILE_COLUMNS:
    return &self->settings.tile_columns;
  case PROP_TILE_ROWS:
    return &self->settings.tile_rows;
  default:
    return NULL;
  }
}

static void
gst_haven_av1_enc_set_property (
    GObject *object, guint prop_id, const GValue *value, GParamSpec *pspec)
{
  guint *setting = setting_of (GST_HAVEN_AV1_ENC (object), prop_id);

  if (!setting) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  *setting = g_value_get_uint (value);
  GST_OBJECT_UNLOCK (object);
}

static void
gst_haven_av1_enc_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  guint *setting = setting_of (GST_HAVEN_AV1_ENC (object), prop_id);

  if (!setting) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  g_value_set_uint (value, *setting);
  GST_OBJECT_UNLOCK (object);
}

static void
gst_haven_av1_enc_finalize (GObject *object)
{
  gst_haven_av1_enc_stop (GST_VIDEO_ENCODER (object));
  G_OBJECT_CLASS (gst_haven_av1_enc_parent_class)->finalize (object);
}

static void
gst_haven_av1_enc_class_init (GstHavenAv1EncClass *klass)
{
  const GParamFlags at_any_time
      = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
  const GParamFlags before_caps
      = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstVideoEncoderClass *encoder_class = GST_VIDEO_ENCODER_CLASS (klass);

  object_class->set_property = gst_haven_av1_enc_set_property;
  object_class->get_property = gst_haven_av1_enc_get_property;
  object_class->finalize = gst_haven_av1_enc_finalize;
  encoder_class->start = gst_haven_av1_enc_start;
  encoder_class->stop = gst_haven_av1_enc_stop;
  encoder_class->flush = gst_haven_av1_enc_flush;
  encoder_class->set_format = gst_haven_av1_enc_set_format;
  encoder_class->handle_frame = gst_haven_av1_enc_handle_frame;
  encoder_class->propose_allocation = gst_haven_av1_enc_propose_allocation;

  /**
   * GstHavenAv1Enc:bitrate:
   *
   * What the stream takes over a few seconds, in kbit/s. No picture is left out for it: one that
   * needs more is coded more coarsely.
   *
   * Since: 0.1
   */
  properties[PROP_BITRATE] = g_param_spec_uint ("bitrate", "Bit rate", "Bit rate in kbit/s",
      AV1_ENCODER_MIN_BITRATE, AV1_ENCODER_MAX_BITRATE, DEFAULT_BITRATE, at_any_time);

  /**
   * GstHavenAv1Enc:speed:
   *
   * 10 takes least time, and libaom 3.6 then leaves a block of hard edges as it was in the picture
   * before, now and then; each step down takes more time for a better picture at the same rate.
   *
   * Since: 0.1
   */
  properties[PROP_SPEED]
      = g_param_spec_uint ("speed", "Speed", "10: least time; less: a better picture for more time",
          AV1_ENCODER_MIN_SPEED, AV1_ENCODER_MAX_SPEED, DEFAULT_SPEED, at_any_time);

  /**
   * GstHavenAv1Enc:keyframe-interval:
   *
   * The longest time from one key frame to the next, in ms of the timestamps: the first picture
   * that is as far from the last key frame becomes one. 0: only the first picture, and those that
   * are asked for.
   *
   * Since: 0.1
   */
  properties[PROP_KEYFRAME_INTERVAL] = g_param_spec_uint ("keyframe-interval", "Key frame interval",
      "Longest time between key frames in ms, 0: no limit", 0, 24 * 3600 * 1000,
      DEFAULT_KEYFRAME_INTERVAL, at_any_time);

  /**
   * GstHavenAv1Enc:threads:
   *
   * How many threads encode. 0: as many as there are processors, up to four. Counts from the next
   * caps on.
   *
   * Since: 0.1
   */
  properties[PROP_THREADS] = g_param_spec_uint ("threads", "Threads",
      "Threads that encode, 0: by the number of processors", 0, AV1_ENCODER_MAX_THREADS,
      DEFAULT_THREADS, before_caps);

  /**
   * GstHavenAv1Enc:tile-columns:
   *
   * The picture is cut into two to the power of this columns, which are decoded independently of
   * each other. Costs some quality. Counts from the next caps on.
   *
   * Since: 0.1
   */
  properties[PROP_TILE_COLUMNS] = g_param_spec_uint ("tile-columns", "Tile columns",
      "Number of tile columns, log2", 0, AV1_ENCODER_MAX_TILES, DEFAULT_TILE_COLUMNS, before_caps);

  /**
   * GstHavenAv1Enc:tile-rows:
   *
   * As #GstHavenAv1Enc:tile-columns, for rows.
   *
   * Since: 0.1
   */
  properties[PROP_TILE_ROWS] = g_param_spec_uint ("tile-rows", "Tile rows",
      "Number of tile rows, log2", 0, AV1_ENCODER_MAX_TILES, DEFAULT_TILE_ROWS, before_caps);

  g_object_class_install_properties (object_class, N_PROPERTIES, properties);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Live AV1 encoder", "Codec/Encoder/Video",
      "Encodes AV1 in real time with libaom", "Haven Live developers");
  GST_DEBUG_CATEGORY_INIT (haven_av1_enc_debug, "havenav1enc", 0, "Live AV1 encoder");
}

static void
gst_haven_av1_enc_init (GstHavenAv1Enc *self)
{
  self->settings = (Settings){
    .bitrate = DEFAULT_BITRATE,
    .speed = DEFAULT_SPEED,
    .keyframe_interval = DEFAULT_KEYFRAME_INTERVAL,
    .threads = DEFAULT_THREADS,
    .tile_columns = DEFAULT_TILE_COLUMNS,
    .tile_rows = DEFAULT_TILE_ROWS,
  };
}
