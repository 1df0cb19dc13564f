/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "moving-picture.h"

#include <math.h>

#define TEXTURE 512 /* a power of two; of each side */
#define NOISE 5     /* of the sensor: most that it adds or takes */

struct _MovingPicture
{
  GstVideoInfo info;
};

static guint8 texture[TEXTURE * TEXTURE]; /* woven once */

/* Any number gives a number that looks like chance. */
static guint32
hash (guint32 value)
{
  value ^= value >> 16;
  value *= 0x7feb352du;
  value ^= value >> 15;
  value *= 0x846ca68bu;
  return value ^ (value >> 16);
}

/* Values at the corners of squares, blended in between, in squares of several sizes. */
static void
weave (void)
{
  for (guint y = 0; y < TEXTURE; y++)
    for (guint x = 0; x < TEXTURE; x++) {
      double sum = 0;

      for (guint size = 256, weight = 128; size >= 4; size /= 2, weight = weight * 5 / 8) {
        guint left = x / size, top = y / size, n = TEXTURE / size;
        double fx = (double)(x % size) / size, fy = (double)(y % size) / size, corner[4];

        for (guint i = 0; i < 4; i++)
          corner[i]
              = hash (size * 65537 + (top + i / 2) % n * 1024 + (left + i % 2) % n) % 1024 / 1023.0;
        sum += weight
               * ((corner[0] * (1 - fx) + corner[1] * fx) * (1 - fy)
                   + (corner[2] * (1 - fx) + corner[3] * fx) * fy);
      }
      texture[y * TEXTURE + x] = CLAMP (16 + sum * 0.7, 16, 235);
    }
}

MovingPicture *
moving_picture_new (GstVideoFormat format, guint width, guint height)
{
  MovingPicture *self = g_new0 (MovingPicture, 1);

  g_assert_true (gst_video_info_set_format (&self->info, format, width, height));
  if (texture[0] == 0)
    weave ();
  return self;
}

void
moving_picture_free (MovingPicture *self)
{
  g_free (self);
}

GstCaps *
moving_picture_get_caps (MovingPicture *self)
{
  return gst_video_info_to_caps (&self->info);
}

/* The texture at a place in 256ths of its points, blended from four. */
static guint8
look (gint64 x, gint64 y)
{
  guint left = (x >> 8) & (TEXTURE - 1), top = (y >> 8) & (TEXTURE - 1);
  guint right = (left + 1) & (TEXTURE - 1), bottom = (top + 1) & (TEXTURE - 1);
  guint fx = x & 255, fy = y & 255;
  const guint8 *upper = texture + top * TEXTURE, *lower = texture + bottom * TEXTURE;

  return ((upper[left] * (256 - fx) + upper[right] * fx) * (256 - fy)
             + (lower[left] * (256 - fx) + lower[right] * fx) * fy)
         >> 16;
}

GstBuffer *
moving_picture_paint (MovingPicture *self, guint number)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&self->info), NULL);
  double t = number / 30.0, height = GST_VIDEO_INFO_HEIGHT (&self->info);
  double zoom = (1.2 + 0.3 * sin (0.7 * t)) * 256 * 300 / height;
  double pan_x = 256 * (150 * sin (0.6 * t) + 3 * sin (11 * t));
  double pan_y = 256 * (90 * cos (0.5 * t) + 2 * sin (13 * t));
  double walker_x = height * (0.9 + 0.7 * sin (0.8 * t)), walker_y = height * 0.55;
  GstVideoFrame frame;

  g_assert_true (gst_video_frame_map (&frame, &self->info, buffer, GST_MAP_WRITE));
  for (guint c = 0; c < 3; c++) {
    guint8 *data = GST_VIDEO_FRAME_COMP_DATA (&frame, c);
    int stride = GST_VIDEO_FRAME_COMP_STRIDE (&frame, c);
    int step = GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, c);
    guint sub = c > 0 ? 2 : 1;

    for (int y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&frame, c); y++)
      for (int x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH (&frame, c); x++) {
        double px = x * sub, py = y * sub;
        gboolean walker = fabs (px - walker_x) < height / 12 && fabs (py - walker_y) < height / 4;
        int value = walker ? look (256 * (px - walker_x + 700) * 3, 256 * (py + 300) * 3)
                           : look (pan_x + zoom * px, pan_y + zoom * py);

        if (c > 0)
          value = 128 + (value - 126) / (walker ? -3 : 4);
        else
          value += (int)(hash (hash (number * 8191 + y) + x) % (2 * NOISE + 1)) - NOISE;
        data[y * stride + x * step] = CLAMP (value, 16, 235);
      }
  }
  gst_video_frame_unmap (&frame);
  return buffer;
}
