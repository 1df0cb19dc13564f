/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-encoder.h"

#include <time.h>

#include "haven-branch.h"
#include "haven-session-error.h"

const char *const *
haven_encoder_list (const HavenFormat *format)
{
  static const char *const encoders[][4] = {
    { "av1", "havenav1enc", "av1enc" },
    { "h264", "x264enc", "openh264enc" },
    { "vp8", "vp8enc" },
    { "vp9", "vp9enc" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (encoders); i++)
    if (g_str_equal (encoders[i][0], format->video_codec))
      return encoders[i] + 1;
  return NULL;
}

const char *
haven_encoder_find (const HavenFormat *format)
{
  for (const char *const *encoder = haven_encoder_list (format); encoder && *encoder; encoder++)
    if (haven_branch_is_there (*encoder))
      return *encoder;
  return NULL;
}

/* A key frame every 2 s: all but havenav1enc count pictures, of which we say that they are 30 a
 * second. min- and max-quantizer: without them av1enc ignores the bit rate or aborts the process.
 * cpu-used=9: at 10 it leaves some hard edges as they were in the picture before. buffer sizes, in
 * ms: with its own of 6 s vp9enc takes up to two thirds more in the first seconds. It leaves edges
 * too, rarely, at each speed that is fast enough; with end-usage=vbr it does not, and takes up to
 * 43 % more than its rate. */
static const char *
encoder_settings (const char *encoder)
{
  static const char *const settings[][2] = {
    { "havenav1enc", "bitrate=%u speed=9 keyframe-interval=2000 threads=2 tile-columns=1" },
    { "av1enc", "usage-profile=realtime cpu-used=9 end-usage=cbr target-bitrate=%u "
                "min-quantizer=10 max-quantizer=63 "
                "buf-sz=1000 buf-initial-sz=600 buf-optimal-sz=600 "
                "lag-in-frames=0 keyframe-max-dist=60 threads=2 tile-columns=1 row-mt=true" },
    { "x264enc", "speed-preset=superfast tune=zerolatency bitrate=%u key-int-max=60 threads=2" },
    { "openh264enc", "complexity=low rate-control=bitrate bitrate=%u000 gop-size=60" },
    { "vp8enc", "deadline=1 cpu-used=8 end-usage=cbr target-bitrate=%u000 keyframe-max-dist=60 "
                "lag-in-frames=0 "
                "threads=2" },
    { "vp9enc", "deadline=1 cpu-used=8 end-usage=cbr target-bitrate=%u000 keyframe-max-dist=60 "
                "buffer-size=1000 buffer-initial-size=600 buffer-optimal-size=600 "
                "lag-in-frames=0 "
                "threads=2 tile-columns=1 row-mt=true" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    if (g_str_equal (settings[i][0], encoder))
      return settings[i][1];
  return "";
}

GstElement *
haven_encoder_new (const HavenFormat *format, const HavenQuality *quality, GError **error)
{
  const char *name = haven_encoder_find (format);
  g_autofree char *with = NULL, *text = NULL;

  if (!name) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG,
        "This machine cannot make %s", format->name);
    return NULL;
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  with = g_strdup_printf (encoder_settings (name), quality->video_bitrate);
#pragma GCC diagnostic pop
  text = g_strconcat (name, " ", with, NULL);
  /* With a frame rate in its caps it counts time in whole pictures, and yields twice the bit rate.
   */
  if (g_str_equal (name, "av1enc")) {
    g_autofree char *bin = g_strconcat ("capssetter caps=video/x-raw,framerate=0/1 ! ", text,
        " ! capssetter caps=video/x-av1,framerate=30/1", NULL);

    return gst_parse_bin_from_description_full (
        bin, TRUE, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
  }
  return gst_parse_launch_full (text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
}

guint
haven_encoder_hurry (GstElement *encoder)
{
  static const struct
  {
    const char *encoder, *property;
    int fastest;
  } speeds[] = {
    { "vp8enc", "cpu-used", 16 },
    { "vp9enc", "cpu-used", 9 },
  };
  const char *name = GST_OBJECT_NAME (gst_element_get_factory (encoder));

  for (guint i = 0; i < G_N_ELEMENTS (speeds); i++) {
    int now = 0;

    if (g_strcmp0 (speeds[i].encoder, name) != 0)
      continue;
    g_object_get (encoder, speeds[i].property, &now, NULL);
    if (now >= speeds[i].fastest)
      return 0;
    g_object_set (encoder, speeds[i].property, speeds[i].fastest, NULL);
    return speeds[i].fastest;
  }
  return 0;
}

/* -- what it costs */

typedef struct
{
  HavenEncodeTime *time;
  gint64 entered; /* streaming thread */
} Cost;

static gint64
thread_cpu_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * GST_SECOND + time.tv_nsec;
}

static GstPadProbeReturn
on_encoder_in (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  ((Cost *)user_data)->entered = thread_cpu_time ();
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_encoder_out (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* the same thread */
{
  Cost *cost = user_data;
  gint64 now = thread_cpu_time ();

  g_mutex_lock (&cost->time->lock);
  if (cost->entered && now > cost->entered)
    cost->time->ns += now - cost->entered;
  g_mutex_unlock (&cost->time->lock);
  cost->entered = 0;
  return GST_PAD_PROBE_OK;
}

void
haven_encoder_measure (GstElement *encoder, HavenEncodeTime *time)
{
  Cost *cost = g_new0 (Cost, 1);

  cost->time = time;
  g_object_set_data_full (G_OBJECT (encoder), "cost", cost, g_free);
  haven_branch_add_probe (encoder, "sink", GST_PAD_PROBE_TYPE_BUFFER, on_encoder_in, cost);
  haven_branch_add_probe (encoder, "src", GST_PAD_PROBE_TYPE_BUFFER, on_encoder_out, cost);
}
