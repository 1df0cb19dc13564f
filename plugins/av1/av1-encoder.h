/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* libaom, set up for pictures that are encoded while they come in. Not thread safe. */
typedef struct _Av1Encoder Av1Encoder;

#define AV1_ENCODER_MIN_SIZE 16 /* of a side, in pixels */
#define AV1_ENCODER_MAX_SIZE 8192
#define AV1_ENCODER_MIN_BITRATE 10 /* kbit/s */
#define AV1_ENCODER_MAX_BITRATE 200000
#define AV1_ENCODER_MIN_SPEED 5
#define AV1_ENCODER_MAX_SPEED 10
#define AV1_ENCODER_MAX_THREADS 64
#define AV1_ENCODER_MAX_TILES 6 /* log2 of their number in one direction */

typedef struct
{
  guint width, height;
  guint bitrate; /* kbit/s */
  guint speed;
  guint threads;
  guint tile_columns, tile_rows; /* log2; libaom makes fewer where the picture is too small */
  guint64 duration;              /* of a picture, in ns, until the first two have said it; not 0 */

  /* Numbers of ISO/IEC 23091-2; 2 is unknown. */
  guint primaries, transfer, matrix;
  gboolean full_range;
} Av1EncoderSettings;

/* 4:2:0, 8 bits, of the size that the settings say. */
typedef struct
{
  guint8 *planes[3]; /* libaom only reads; NV12 has two planes, and the third is NULL */
  int strides[3];
} Av1Picture;

/* A temporal unit. */
typedef struct
{
  const guint8 *data; /* the encoder's, until its next call; NULL where it left the picture out */
  gsize size;
  gboolean is_key;
} Av1Coded;

typedef enum
{
  AV1_ENCODER_ERROR_INIT,   /* libaom cannot start with these settings */
  AV1_ENCODER_ERROR_ENCODE, /* it could not encode the picture */
} Av1EncoderError;

#define AV1_ENCODER_ERROR (av1_encoder_error_quark ())
GQuark av1_encoder_error_quark (void);

Av1Encoder *av1_encoder_new (const Av1EncoderSettings *settings, GError **error);
void av1_encoder_free (Av1Encoder *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Av1Encoder, av1_encoder_free)

GBytes *av1_encoder_dup_config_record (Av1Encoder *self);
gboolean av1_encoder_set_rate (Av1Encoder *self, guint bitrate, guint speed, GError **error);
gboolean av1_encoder_encode (Av1Encoder *self, const Av1Picture *picture, guint64 elapsed,
    gboolean key, Av1Coded *coded, GError **error);

G_END_DECLS
