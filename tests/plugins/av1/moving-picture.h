/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* What a camera might see: a textured place that the camera pans over and zooms into, unsteadily,
 * with somebody who walks through it, and noise as of a sensor. The same pictures each time. */
typedef struct _MovingPicture MovingPicture;

MovingPicture *moving_picture_new (GstVideoFormat format, guint width, guint height);
void moving_picture_free (MovingPicture *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MovingPicture, moving_picture_free)

GstCaps *moving_picture_get_caps (MovingPicture *self);
GstBuffer *moving_picture_paint (MovingPicture *self, guint number);

G_END_DECLS
