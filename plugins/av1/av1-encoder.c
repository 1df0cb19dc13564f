/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "av1-encoder.h"

#include <aom/aom_encoder.h>
#include <aom/aomcx.h>
#include <stdlib.h>

#include "av1-config.h"

/* Of libaom's time stamps: fine enough that its rate control sees how long a picture really was. */
#define TICKS_PER_SECOND 90000
#define NS_PER_SECOND G_GUINT64_CONSTANT (1000000000)

/* Each picture gets the bits of the time since the last. After a pause of minutes that would be one
 * picture of megabytes. */
#define MAX_ELAPSED NS_PER_SECOND
#define MIN_ELAPSED (NS_PER_SECOND / 1000)

/* What is from one picture to the next is evened out over about as many: with a frame rate that
 * jumps from picture to picture libaom overshoots. */
#define EVEN_OUT 8

/* A quantizer finer than 10 is not seen. The coarsest is allowed: the bit rate is what was asked
 * for. */
#define MIN_QUANTIZER 10
#define MAX_QUANTIZER 63

struct _Av1Encoder
{
  aom_codec_ctx_t codec;
  aom_codec_enc_cfg_t config;
  gboolean started; /* codec has to be destroyed */
  guint speed;

  gboolean first;  /* no picture has been encoded yet */
  guint64 time;    /* at which the last picture ends, as libaom is told, in ns */
  guint64 elapsed; /* from picture to picture, evened out, in ns */
};

G_DEFINE_QUARK (av1 - encoder - error - quark, av1_encoder_error)

static void
set_error (Av1Encoder *self, Av1EncoderError code, const char *what, GError **error)
{
  const char *detail = aom_codec_error_detail (&self->codec);

  g_set_error (error, AV1_ENCODER_ERROR, code, "%s: %s%s%s", what, aom_codec_error (&self->codec),
      detail ? ": " : "", detail ? detail : "");
}

/* What is on and off is what pays in real time: measured on films, most of libaom's tools cost more
 * than the bits that they save. libaom knows its controls by their numbers and takes an int for all
 * of these. */
static gboolean
set_controls (Av1Encoder *self, const Av1EncoderSettings *settings)
{
  const struct
  {
    int id;
    int value;
  } controls[] = {
    { AOME_SET_CPUUSED, settings->speed },
    { AV1E_SET_ROW_MT, settings->threads > 1 },
    { AV1E_SET_TILE_COLUMNS, settings->tile_columns },
    { AV1E_SET_TILE_ROWS, settings->tile_rows },
    { AV1E_SET_COLOR_PRIMARIES, settings->primaries },
    { AV1E_SET_TRANSFER_CHARACTERISTICS, settings->transfer },
    { AV1E_SET_MATRIX_COEFFICIENTS, settings->matrix },
    { AV1E_SET_COLOR_RANGE, settings->full_range },

    /* Where bits go: some blocks of each picture in turn get a finer quantizer (3), and a key frame
     * no more than nine pictures' worth. */
    { AV1E_SET_AQ_MODE, 3 },
    { AOME_SET_MAX_INTRA_BITRATE_PCT, 900 },
    { AV1E_SET_DELTAQ_MODE, 0 },
    { AV1E_SET_ENABLE_TPL_MODEL, 0 },
    { AV1E_SET_ENABLE_QM, 0 },
    { AV1E_SET_DISABLE_TRELLIS_QUANT, 1 },
    { AV1E_SET_NOISE_SENSITIVITY, 0 },

    /* Filters of the decoded picture. */
    { AV1E_SET_ENABLE_CDEF, 1 },
    { AV1E_SET_ENABLE_RESTORATION, 0 },

    /* How pictures refer to each other: without a lag there is nothing but the past. */
    { AV1E_SET_ENABLE_ORDER_HINT, 0 },
    { AV1E_SET_MAX_REFERENCE_FRAMES, 3 },
    { AV1E_SET_ENABLE_REF_FRAME_MVS, 0 },
    { AV1E_SET_ENABLE_GLOBAL_MOTION, 0 },
    { AV1E_SET_ENABLE_WARPED_MOTION, 0 },
    { AV1E_SET_ENABLE_OBMC, 0 },
    { AV1E_SET_ENABLE_DUAL_FILTER, 0 },
    { AV1E_SET_ENABLE_DIST_WTD_COMP, 0 },
    { AV1E_SET_ENABLE_DIFF_WTD_COMP, 0 },
    { AV1E_SET_ENABLE_MASKED_COMP, 0 },
    { AV1E_SET_ENABLE_INTERINTRA_COMP, 0 },
    { AV1E_SET_ENABLE_INTERINTRA_WEDGE, 0 },
    { AV1E_SET_ENABLE_SMOOTH_INTERINTRA, 0 },

    /* How a block is guessed from its surroundings. */
    { AV1E_SET_ENABLE_PALETTE, 0 },
    { AV1E_SET_ENABLE_INTRABC, 0 },
    { AV1E_SET_ENABLE_CFL_INTRA, 0 },
    { AV1E_SET_ENABLE_SMOOTH_INTRA, 0 },
    { AV1E_SET_ENABLE_PAETH_INTRA, 0 },
    { AV1E_SET_ENABLE_FILTER_INTRA, 0 },
    { AV1E_SET_ENABLE_ANGLE_DELTA, 0 },
    { AV1E_SET_ENABLE_INTRA_EDGE_FILTER, 0 },
    { AV1E_SET_INTRA_DEFAULT_TX_ONLY, 1 },

    /* How blocks are cut, and how often the cost of a choice is reckoned anew (3: never). */
    { AV1E_SET_SUPERBLOCK_SIZE, AOM_SUPERBLOCK_SIZE_DYNAMIC },
    { AV1E_SET_ENABLE_RECT_PARTITIONS, 0 },
    { AV1E_SET_ENABLE_TX64, 0 },
    { AV1E_SET_COEFF_COST_UPD_FREQ, 3 },
    { AV1E_SET_MODE_COST_UPD_FREQ, 3 },
    { AV1E_SET_MV_COST_UPD_FREQ, 3 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (controls); i++)
    if (aom_codec_control (&self->codec, controls[i].id, controls[i].value) != AOM_CODEC_OK)
      return FALSE;
  return TRUE;
}

/* 64 bits are enough for six years. */
static gint64
to_ticks (guint64 ns)
{
  return ns / 1000 * TICKS_PER_SECOND / (NS_PER_SECOND / 1000);
}

Av1Encoder *
av1_encoder_new (const Av1EncoderSettings *settings, GError **error)
{
  g_autoptr (Av1Encoder) self = g_new0 (Av1Encoder, 1);
  aom_codec_enc_cfg_t *config = &self->config;

  g_return_val_if_fail (settings->duration > 0, NULL);

  if (aom_codec_enc_config_default (aom_codec_av1_cx (), config, AOM_USAGE_REALTIME)
      != AOM_CODEC_OK) {
    g_set_error (error, AV1_ENCODER_ERROR, AV1_ENCODER_ERROR_INIT,
        "This libaom has no settings for encoding in real time");
    return NULL;
  }
  config->g_w = settings->width;
  config->g_h = settings->height;
  config->g_threads = settings->threads;
  config->g_timebase.num = 1;
  config->g_timebase.den = TICKS_PER_SECOND;
  config->g_lag_in_frames = 0; /* each picture comes out before the next goes in */
  config->g_error_resilient = 0;
  config->kf_mode = AOM_KF_DISABLED; /* who calls says which are key frames */
  config->rc_end_usage = AOM_CBR;
  config->rc_target_bitrate = settings->bitrate;
  config->rc_dropframe_thresh = 0; /* a coarse picture is better than none */
  config->rc_min_quantizer = MIN_QUANTIZER;
  config->rc_max_quantizer = MAX_QUANTIZER;
  config->rc_undershoot_pct = 50;
  config->rc_overshoot_pct = 50;
  config->rc_buf_sz = 1000; /* ms */
  config->rc_buf_initial_sz = 600;
  config->rc_buf_optimal_sz = 600;

  if (aom_codec_enc_init (&self->codec, aom_codec_av1_cx (), config, 0) != AOM_CODEC_OK) {
    set_error (self, AV1_ENCODER_ERROR_INIT, "libaom did not start", error);
    return NULL;
  }
  self->started = TRUE;
  if (!set_controls (self, settings)) {
    set_error (self, AV1_ENCODER_ERROR_INIT, "libaom refused a setting", error);
    return NULL;
  }
  self->speed = settings->speed;
  self->first = TRUE;
  self->time = self->elapsed = CLAMP (settings->duration, MIN_ELAPSED, MAX_ELAPSED);
  return g_steal_pointer (&self);
}

void
av1_encoder_free (Av1Encoder *self)
{
  if (self->started)
    aom_codec_destroy (&self->codec);
  g_free (self);
}

/* Returns: (transfer full) (nullable): what containers keep beside the stream */
GBytes *
av1_encoder_dup_config_record (Av1Encoder *self)
{
  aom_fixed_buf_t *headers = aom_codec_get_global_headers (&self->codec);
  GBytes *record;

  if (!headers)
    return NULL;
  record = av1_config_record_new (headers->buf, headers->sz);
  free (headers->buf);
  free (headers);
  return record;
}

/* From the next picture on. */
gboolean
av1_encoder_set_rate (Av1Encoder *self, guint bitrate, guint speed, GError **error)
{
  if (bitrate != self->config.rc_target_bitrate) {
    self->config.rc_target_bitrate = bitrate;
    if (aom_codec_enc_config_set (&self->codec, &self->config) != AOM_CODEC_OK) {
      set_error (self, AV1_ENCODER_ERROR_ENCODE, "libaom did not take the bit rate", error);
      return FALSE;
    }
  }
  if (speed != self->speed) {
    self->speed = speed;
    if (aom_codec_control (&self->codec, AOME_SET_CPUUSED, (int)speed) != AOM_CODEC_OK) {
      set_error (self, AV1_ENCODER_ERROR_ENCODE, "libaom did not take the speed", error);
      return FALSE;
    }
  }
  return TRUE;
}

/* No time is lost by the evening out: what a picture gets less, those after it get more. */
static void
advance (Av1Encoder *self, guint64 elapsed)
{
  gint64 now = CLAMP (elapsed, MIN_ELAPSED, MAX_ELAPSED);

  self->elapsed += (now - (gint64)self->elapsed) / EVEN_OUT;
  self->time += self->elapsed;
}

/* elapsed: ns since the picture before; of no matter for the first */
gboolean
av1_encoder_encode (Av1Encoder *self, const Av1Picture *picture, guint64 elapsed, gboolean key,
    Av1Coded *coded, GError **error)
{
  const aom_codec_cx_pkt_t *packet;
  aom_codec_iter_t iter = NULL;
  aom_image_t image;

  /* It only fills the structure: the planes stay where they are. */
  aom_img_wrap (&image, picture->planes[2] ? AOM_IMG_FMT_I420 : AOM_IMG_FMT_NV12, self->config.g_w,
      self->config.g_h, 1, picture->planes[0]);
  for (guint i = 0; i < G_N_ELEMENTS (picture->planes); i++) {
    image.planes[i] = picture->planes[i];
    image.stride[i] = picture->strides[i];
  }

  /* libaom takes the time between the ends of two pictures for how long the second is. Where that
   * is about the duration that the first was said to have, it averages, and may keep for long what
   * it took over from a picture out of the ordinary: with one tick, that no picture has, it never
   * does. The first has nothing before it, and its true duration. */
  if (!self->first)
    advance (self, elapsed);
  if (aom_codec_encode (&self->codec, &image, self->first ? 0 : to_ticks (self->time) - 1,
          self->first ? to_ticks (self->time) : 1, key || self->first ? AOM_EFLAG_FORCE_KF : 0)
      != AOM_CODEC_OK) {
    set_error (self, AV1_ENCODER_ERROR_ENCODE, "libaom could not encode the picture", error);
    return FALSE;
  }
  self->first = FALSE;

  *coded = (Av1Coded){ 0 };
  while ((packet = aom_codec_get_cx_data (&self->codec, &iter)))
    if (packet->kind == AOM_CODEC_CX_FRAME_PKT) {
      coded->data = packet->data.frame.buf;
      coded->size = packet->data.frame.sz;
      coded->is_key = (packet->data.frame.flags & AOM_FRAME_IS_KEY) != 0;
    }
  return TRUE;
}
