/* haven-encoder: makes the encoder of the picture for a format and a quality. The one place that
 * says which elements encode what, and how they are set; nothing else of a recording is here.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "haven-format.h"

G_BEGIN_DECLS

/* Returns: (nullable): the encoders that will do, the best first; NULL ends them */
const char *const *haven_encoder_list (const HavenFormat *format);
/* Returns: (nullable): the first of them that this machine has */
const char *haven_encoder_find (const HavenFormat *format);
/* Returns: (transfer floating) (nullable): set for @quality */
GstElement *haven_encoder_new (
    const HavenFormat *format, const HavenQuality *quality, GError **error);

/* Sets one that runs to its fastest, where it can be set then. Returns: what that is; 0: nothing
 * was changed */
guint haven_encoder_hurry (GstElement *encoder);

/* CPU time of the thread between a picture that goes in and what comes out. An encoder that has
 * threads of its own costs more than is seen here. */
typedef struct
{
  GMutex lock;
  guint64 ns; /* protected by lock */
} HavenEncodeTime;

/* @time: outlives @encoder */
void haven_encoder_measure (GstElement *encoder, HavenEncodeTime *time);

G_END_DECLS
