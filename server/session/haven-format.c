/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-format.h"

#include <string.h>

static const char *const takes_av1[] = { "av1", NULL };
static const char *const takes_vp9[] = { "vp9", NULL };
static const char *const takes_vpx[] = { "vp8", "vp9", NULL };

/* H.264 is always encoded for MP4: as a room sends it, it changes size within the stream, which
 * many players of MP4 do not follow. */
const HavenFormat haven_formats[] = {
  { "av1", "AV1 and Opus in Matroska", "av1", "opus", "matroska", "mkv", TRUE, takes_av1 },
  { "h264", "H.264 and Opus in MP4", "h264", "opus", "mp4", "mp4", TRUE },
  { "vp9", "VP9 and Opus in WebM", "vp9", "opus", "webm", "webm", TRUE, takes_vp9 },
  { "mp4", "H.264 and Opus in MP4", "h264", "opus", "mp4", "mp4", TRUE },
  { "webm", "VP8 or VP9, and Opus, in WebM", "vp8", "opus", "webm", "webm", TRUE, takes_vpx },
  { "source", "What the room sends, not encoded again, in Matroska", "source", "opus", "matroska",
      "mkv", FALSE },
  { "opus", "Sound alone: Opus as the room sends it, in Ogg", "none", "opus", "ogg", "opus",
      FALSE },
  { "wav", "Sound alone: PCM, 48 kHz and 16 bits, in WAV", "none", "pcm", "wav", "wav", FALSE },
  { NULL },
};

const HavenQuality haven_qualities[] = {
  { "low", 1000, 64 },
  { "medium", 2000, 128 },
  { "high", 4000, 192 },
  { NULL },
};

const HavenFormat *
haven_format_find (const char *name)
{
  if (!name || !*name)
    return &haven_formats[0];
  for (const HavenFormat *format = haven_formats; format->name; format++)
    if (strcmp (format->name, name) == 0)
      return format;
  return NULL;
}

const HavenQuality *
haven_quality_find (const char *name)
{
  if (!name || !*name)
    name = "medium";
  for (const HavenQuality *quality = haven_qualities; quality->name; quality++)
    if (strcmp (quality->name, name) == 0)
      return quality;
  return NULL;
}

const HavenFormat *
haven_format_for_file (const char *path)
{
  const char *dot = strrchr (path, '.');

  for (const HavenFormat *format = haven_formats; dot && format->name; format++)
    if (strcmp (format->extension, dot + 1) == 0)
      return format;
  return NULL;
}

gboolean
haven_format_has_video (const HavenFormat *format)
{
  return strcmp (format->video_codec, "none") != 0;
}

gboolean
haven_format_copies (const HavenFormat *format, const char *codec, gboolean any_quality)
{
  if (!format->encodes)
    return TRUE;
  return any_quality && format->takes && g_strv_contains (format->takes, codec);
}
