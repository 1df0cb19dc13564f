/* haven-format: the forms a recording can have, and its qualities. Pure: a table.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct /* static, any thread */
{
  const char *name;
  const char *description;
  const char *video_codec; /* as a person says it; "source": what the room sends; "none" */
  const char *audio_codec; /* "opus": as the room sends it; "pcm": decoded */
  const char *container;
  const char *extension;
  gboolean encodes;         /* the picture is decoded and encoded again, if it must be */
  const char *const *takes; /* (nullable) codecs of a room that such a file holds as they come */
} HavenFormat;

typedef struct
{
  const char *name;
  guint video_bitrate, audio_bitrate; /* kbit/s */
} HavenQuality;

/* Both end with a NULL name. */
extern const HavenFormat haven_formats[];
extern const HavenQuality haven_qualities[];

/* @name: (nullable): the default if NULL or empty
 *
 * Returns: (nullable): NULL for a name that there is not */
const HavenFormat *haven_format_find (const char *name);
const HavenQuality *haven_quality_find (const char *name);

/* Returns: (nullable): the format whose files are called like that; the default one of its
 * extension */
const HavenFormat *haven_format_for_file (const char *path);

/* FALSE: sound alone */
gboolean haven_format_has_video (const HavenFormat *format);

/* Whether the room's picture goes into the file as it comes: always, or where the codec fits and
 * nobody asked for a quality.
 *
 * @codec: the room's, "vp8"
 * @any_quality: none was asked for */
gboolean haven_format_copies (const HavenFormat *format, const char *codec, gboolean any_quality);

G_END_DECLS
