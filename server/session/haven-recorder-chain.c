/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <gst/base/gstaggregator.h>
#include <gst/base/gstcollectpads.h>

#include "haven-recorder-private.h"
#include "haven-session-error.h"
#include "haven-wav.h"
#include "live-decoder.h"

#define MAX_CANVAS_WIDTH 1280
#define MAX_CANVAS_HEIGHT 720
#define PICTURE_TIME (GST_SECOND / 30)
#define PACKET_TIME (20 * GST_MSECOND)
#define MIN_MUTE (200 * GST_MSECOND) /* shorter gaps are packets that are lost */
/* ms, of fragments of MP4: what waits for one is lost with the session. mp4mux 1.22 loses 4 kB of
 * memory with each, so that they are short only while a track is muted, whose GAP events come late.
 */
#define FRAGMENT "1000"
#define FRAGMENT_WHILE_MUTED "200"

/* -- the picture */

/* A file begins with a key frame: the one that comes, or the first of a codec that has just come.
 */
static GstPadProbeReturn
on_first_key_frame (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the tee */
{
  HavenGraph *self = user_data;

  if (!GST_BUFFER_FLAG_IS_SET (GST_PAD_PROBE_INFO_BUFFER (info), GST_BUFFER_FLAG_DELTA_UNIT))
    return GST_PAD_PROBE_REMOVE;
  if (!haven_novelty_begins (&self->novelty))
    return GST_PAD_PROBE_DROP;
  gst_pad_remove_probe (pad, GST_PAD_PROBE_INFO_ID (info));  /* it would see these again */
  for (guint i = 0; i + 1 < self->novelty.buffers->len; i++) /* the last is the one that comes */
    gst_pad_chain (pad, gst_buffer_ref (g_ptr_array_index (self->novelty.buffers, i)));
  return GST_PAD_PROBE_OK;
}

/* A track in a file has one codec: what comes behind the caps of another is for the next part. */
static GstPadProbeReturn
on_source_data (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the tee */
{
  HavenRecorder *recorder = user_data;
  GstCaps *caps;

  if (info->type & GST_PAD_PROBE_TYPE_BUFFER)
    return recorder->foreign ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (GST_PAD_PROBE_INFO_EVENT (info), &caps);
  if (!recorder->foreign
      && gst_structure_has_name (gst_caps_get_structure (caps, 0), recorder->video_codec))
    return GST_PAD_PROBE_OK;
  recorder->foreign = TRUE; /* for good: what it left out cannot be put in later */
  haven_recorder_other_codec (recorder);
  return GST_PAD_PROBE_DROP;
}

/* The size of all pictures of the recording: that of the first. */
static GstPadProbeReturn
on_canvas_caps (GstPad *pad, GstPadProbeInfo *info, gpointer filter) /* streaming thread */
{
  GstCaps *caps;
  int width = 0, height = 0;
  double scale;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (GST_PAD_PROBE_INFO_EVENT (info), &caps);
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "width", &width);
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "height", &height);
  if (width <= 0 || height <= 0)
    return GST_PAD_PROBE_OK;
  /* Upright pictures have an upright canvas. */
  scale = MIN (1.0, MIN ((double)MAX_CANVAS_WIDTH / MAX (width, height),
                        (double)MAX_CANVAS_HEIGHT / MIN (width, height)));
  caps = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING, "I420", "width", G_TYPE_INT,
      MAX (16, (int)(width * scale + 0.5) & ~1), "height", G_TYPE_INT,
      MAX (16, (int)(height * scale + 0.5) & ~1), "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1,
      NULL);
  g_object_set (filter, "caps", caps, NULL);
  gst_caps_unref (caps);
  return GST_PAD_PROBE_REMOVE;
}

/* queue ! canvas ! encoder ! parser ! queue: while the sound is muted the muxer learns only now and
 * then that it need not wait for it. Returns: its end */
static GstElement *
add_encoding (HavenRecorder *recorder, const HavenQuality *quality, GError **error)
{
  GstBin *bin = GST_BIN (recorder->bin);
  GstElement *queue = recorder->queues[HAVEN_VIDEO] = haven_branch_make_queue (bin, 20, 0, 0);
  GstElement *scale = haven_branch_make (bin, "videoconvertscale"),
             *canvas = haven_branch_make (bin, "capsfilter");
  GstElement *rate = haven_branch_make (bin, "capssetter"), *encoder, *last, *encoded;
  const char *parser;
  g_autofree char *codec = g_strconcat ("video/x-", recorder->format->video_codec, NULL);

  if (!(encoder = haven_encoder_new (recorder->format, quality, error)))
    return NULL;
  gst_bin_add (bin, encoder);
  recorder->encoder = encoder;
  haven_encoder_measure (encoder, &recorder->graph->encode_time);
  gst_util_set_object_arg (G_OBJECT (rate), "caps", "video/x-raw,framerate=30/1");
  haven_branch_add_probe (
      queue, "src", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_canvas_caps, canvas);
  gst_element_link_many (queue, scale, canvas, rate, encoder, NULL);
  last = encoder;
  if ((parser = haven_branch_parser_for (codec))) {
    last = haven_branch_make (bin, parser);
    gst_element_link (encoder, last);
  }
  encoded = haven_branch_make_queue (bin, 0, 64, 10);
  gst_util_set_object_arg (G_OBJECT (encoded), "leaky", "no"); /* what is dropped, others need */
  gst_element_link (last, encoded);
  recorder->video_codec = g_intern_string (codec);
  return encoded;
}

/* A muxer takes no other caps once its header is written. Those of another size may stay away: the
 * stream says it itself. So may those that h264parse hands on before the first parameters: a header
 * without them is of no use. */
static GstPadProbeReturn
on_h264_caps (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  GstCaps *caps;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (GST_PAD_PROBE_INFO_EVENT (info), &caps);
  return gst_pad_has_current_caps (pad)
                 || !gst_structure_has_field (gst_caps_get_structure (caps, 0), "codec_data")
             ? GST_PAD_PROBE_DROP
             : GST_PAD_PROBE_OK;
}

/* In avc3 the parameters of each picture stay in the stream. Returns: the end */
static GstElement *
add_h264_framing (GstBin *bin, GstElement *parser)
{
  GstElement *filter = haven_branch_make_filter (
      bin, gst_caps_from_string ("video/x-h264, stream-format=avc3, alignment=au"));

  haven_branch_add_probe (filter, "sink", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_h264_caps, NULL);
  gst_element_link (parser, filter);
  return filter;
}

/* queue ! parser, for the codec that comes. Returns: its end */
static GstElement *
add_copying (HavenRecorder *recorder, GstCaps *caps)
{
  GstBin *bin = GST_BIN (recorder->bin);
  GstElement *queue = recorder->queues[HAVEN_VIDEO] = haven_branch_make_queue (bin, 0, 64, 10);
  const char *codec = haven_recorder_media_type (caps);
  const char *parser = haven_branch_parser_for (codec);
  GstElement *last = queue;

  recorder->video_codec = g_intern_string (codec);
  haven_branch_add_probe (queue, "sink",
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_source_data, recorder);
  haven_branch_add_probe (
      queue, "sink", GST_PAD_PROBE_TYPE_BUFFER, on_first_key_frame, recorder->graph);
  if (parser) {
    last = haven_branch_make (bin, parser);
    gst_element_link (queue, last);
  }
  return g_str_equal (codec, "video/x-h264") ? add_h264_framing (bin, last) : last;
}

/* -- the sound */

/* As many channels as the sound begins with, two at most. */
static GstPadProbeReturn
on_sound_caps (GstPad *pad, GstPadProbeInfo *info, gpointer filter) /* streaming thread */
{
  GstCaps *caps;
  int channels = 0;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (GST_PAD_PROBE_INFO_EVENT (info), &caps);
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "channels", &channels);
  if (channels <= 0)
    return GST_PAD_PROBE_OK;
  caps = gst_caps_new_simple ("audio/x-raw", "format", G_TYPE_STRING, "S16LE", "rate", G_TYPE_INT,
      48000, "channels", G_TYPE_INT, MIN (channels, 2), "layout", G_TYPE_STRING, "interleaved",
      NULL);
  g_object_set (filter, "caps", caps, NULL);
  gst_caps_unref (caps);
  return GST_PAD_PROBE_REMOVE;
}

/* queue ! decoder ! what makes it PCM of one form without gaps: WAV knows no time. Returns: its end
 */
static GstElement *
add_pcm (GstBin *bin, GstElement *queue, GstCaps *caps, GError **error)
{
  GstElement *decoder = live_decoder_new (haven_recorder_media_type (caps), FALSE);
  GstElement *convert = haven_branch_make (bin, "audioconvert");
  GstElement *resample = haven_branch_make (bin, "audioresample");
  GstElement *filter = haven_branch_make (bin, "capsfilter");
  GstElement *rate = haven_branch_make (bin, "audiorate");

  if (!decoder) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG,
        "There is no decoder for %s on this machine", haven_recorder_media_type (caps));
    return NULL;
  }
  gst_bin_add (bin, decoder);
  g_object_set (rate, "skip-to-first", TRUE, NULL);
  haven_branch_add_probe (
      decoder, "src", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_sound_caps, filter);
  gst_element_link_many (queue, decoder, convert, resample, filter, rate, NULL);
  return rate;
}

static gboolean
is_pcm (const HavenFormat *format)
{
  return strcmp (format->audio_codec, "pcm") == 0;
}

/* Returns: (nullable): its end */
static GstElement *
add_sound (HavenRecorder *recorder, GstCaps *caps, GError **error)
{
  GstBin *bin = GST_BIN (recorder->bin);
  /* A muxer waits for the first picture; the sound until then waits here. */
  GstElement *queue = recorder->queues[HAVEN_AUDIO] = haven_branch_make_queue (bin, 0, 32, 1800);

  return is_pcm (recorder->format) ? add_pcm (bin, queue, caps, error) : queue;
}

/* -- the file */

static const char *
muxer_of (const HavenFormat *format)
{
  static const char *const muxers[][2] = {
    { "matroska", "matroskamux" },
    { "mp4", "mp4mux" },
    { "ogg", "oggmux" },
    { "wav", "wavenc" },
    { "webm", "webmmux" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (muxers); i++)
    if (g_str_equal (format->container, muxers[i][0]))
      return muxers[i][1];
  g_return_val_if_reached (NULL);
}

static void
add_missing (GPtrArray *missing, const char *element)
{
  if (!haven_branch_is_there (element))
    g_ptr_array_add (missing, (gpointer)element);
}

GPtrArray *
haven_graph_list_missing (const HavenFormat *format)
{
  static const char *const always[] = { "livekitsrc", "webrtcbin", "nicesrc", "opusparse" };
  static const char *const for_pcm[] = { "opusdec", "audioconvert", "audioresample", "audiorate" };
  GPtrArray *missing = g_ptr_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (always); i++)
    add_missing (missing, always[i]);
  for (guint i = 0; is_pcm (format) && i < G_N_ELEMENTS (for_pcm); i++)
    add_missing (missing, for_pcm[i]);
  add_missing (missing, muxer_of (format));
  if (format->encodes && !haven_encoder_find (format))
    g_ptr_array_add (missing, (gpointer)haven_encoder_list (format)[0]);
  return missing;
}

/* Returns: GST_CLOCK_TIME_NONE where it has none */
static GstClockTime
time_in_branch (GstPad *pad, GstBuffer *buffer)
{
  g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  const GstSegment *segment;

  if (!event || !GST_BUFFER_PTS_IS_VALID (buffer))
    return GST_CLOCK_TIME_NONE;
  gst_event_parse_segment (event, &segment);
  return gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
}

static void
note_mute (HavenRecorder *recorder, HavenKind kind, gboolean muted)
{
  if (g_atomic_int_exchange (&recorder->muted[kind], muted) == muted)
    return;
  muted = g_atomic_int_get (&recorder->muted[HAVEN_VIDEO])
          || g_atomic_int_get (&recorder->muted[HAVEN_AUDIO]);
  haven_branch_set_if_there (
      recorder->muxer, "fragment-duration", muted ? FRAGMENT_WHILE_MUTED : FRAGMENT);
}

static void
note_time (HavenRecorder *recorder, HavenKind kind, GstPad *pad, GstBuffer *buffer)
{
  GstClockTime time = time_in_branch (pad, buffer);

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))
    return;
  note_mute (recorder, kind, FALSE);
  if (GST_CLOCK_TIME_IS_VALID (time))
    haven_timeline_add (&recorder->timelines[kind], time - recorder->offset,
        GST_BUFFER_DURATION_IS_VALID (buffer) ? GST_BUFFER_DURATION (buffer) : 0);
}

static GstPadProbeReturn
on_picture_out (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the queue */
{
  note_time (user_data, HAVEN_VIDEO, pad, GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_sound_out (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the queue */
{
  note_time (user_data, HAVEN_AUDIO, pad, GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

/* Behind the queue's own pad, where probes may leave something out. */
static void
note_times (HavenRecorder *recorder, HavenKind kind)
{
  g_autoptr (GstPad) src = gst_element_get_static_pad (recorder->queues[kind], "src");
  g_autoptr (GstPad) next = gst_pad_get_peer (src);

  gst_pad_add_probe (next, GST_PAD_PROBE_TYPE_BUFFER,
      kind == HAVEN_VIDEO ? on_picture_out : on_sound_out, recorder, NULL);
}

/* An Ogg file would begin at the time in the branch that its first buffer has. */
static GstPadProbeReturn
on_ogg (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* that of the queue */
{
  HavenRecorder *recorder = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);

  if (!GST_CLOCK_TIME_IS_VALID (recorder->zero))
    recorder->zero = time_in_branch (pad, buffer);
  if (!GST_CLOCK_TIME_IS_VALID (recorder->zero) || !GST_BUFFER_PTS_IS_VALID (buffer))
    return GST_PAD_PROBE_DROP;
  buffer = gst_buffer_make_writable (buffer);
  GST_BUFFER_PTS (buffer) -= MIN (recorder->zero, GST_BUFFER_PTS (buffer));
  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE;
  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_rate (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the queue */
{
  HavenRecorder *recorder = user_data;
  GstClockTime pts = GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));
  gint fps = g_atomic_int_get (&recorder->max_fps);

  if (!fps || !GST_CLOCK_TIME_IS_VALID (pts)
      || haven_pace_takes (&recorder->pace, pts, GST_SECOND / fps))
    return GST_PAD_PROBE_OK;
  g_atomic_int_inc (&recorder->left_out);
  return GST_PAD_PROBE_DROP;
}

/* -- a muted track holds up no other */

/* GstCollectPads waits for data of each pad that is locked in that, which muxers lock all but
 * subtitles in. One that is not is waited for until its GAP events have passed the others' data:
 * the sound of a muted picture goes to the file, and not to memory until the picture comes back.
 * Before its first buffer a track has no place in the file's header yet. */
static GstPadProbeReturn
on_first_into_collect_pads (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  GstCollectData *data = gst_pad_get_element_private (pad);

  GST_COLLECT_PADS_STREAM_LOCK (data->collect);
  GST_COLLECT_PADS_STATE_UNSET (data, GST_COLLECT_PADS_STATE_LOCKED);
  GST_COLLECT_PADS_STREAM_UNLOCK (data->collect);
  return GST_PAD_PROBE_REMOVE;
}

/* An encoder keeps events for its next picture, and here none comes. It holds none back either. */
static GstPadProbeReturn
on_gap_before_encoder (
    GstPad *pad, GstPadProbeInfo *info, gpointer encoder) /* streaming thread of the queue */
{
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  g_autoptr (GstPad) src = NULL;

  if (GST_EVENT_TYPE (event) != GST_EVENT_GAP)
    return GST_PAD_PROBE_OK;
  src = gst_element_get_static_pad (encoder, "src");
  if (gst_pad_has_current_caps (src))
    gst_pad_push_event (src, gst_event_ref (event));
  return GST_PAD_PROBE_DROP;
}

/* mp4mux writes a sample when the next one says how long it lasts: GAP events do not help it.
 * Before them it gets what a player makes of them, the last picture once more, and silence; by the
 * event GstAggregator then knows that it need not wait for data of the pad.
 *
 * Returns: when such a sample may begin, at the latest; GST_CLOCK_TIME_NONE: this is no such gap */
static GstClockTime
time_to_fill (GstEvent *event, GstClockTime length)
{
  GstClockTime start, duration;

  if (GST_EVENT_TYPE (event) != GST_EVENT_GAP)
    return GST_CLOCK_TIME_NONE;
  gst_event_parse_gap (event, &start, &duration);
  return GST_CLOCK_TIME_IS_VALID (duration) && duration >= MIN_MUTE ? start + duration - length
                                                                    : GST_CLOCK_TIME_NONE;
}

static GstPadProbeReturn
on_picture_or_gap (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the queue */
{
  HavenRecorder *recorder = user_data;
  GstClockTime time;

  if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
    gst_buffer_replace (&recorder->last_picture, GST_PAD_PROBE_INFO_BUFFER (info));
    return GST_PAD_PROBE_OK;
  }
  time = time_to_fill (GST_PAD_PROBE_INFO_EVENT (info), PICTURE_TIME);
  if (GST_CLOCK_TIME_IS_VALID (time) && recorder->last_picture
      && time > GST_BUFFER_PTS (recorder->last_picture)) {
    GstBuffer *again = gst_buffer_copy (recorder->last_picture);

    GST_BUFFER_PTS (again) = time;
    note_mute (recorder, HAVEN_VIDEO, TRUE);
    gst_pad_chain (pad, again);
  }
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_gap_of_sound (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the queue */
{
  static const guint8 silence[] = { 0xf8, 0xff, 0xfe }; /* Opus, 20 ms */
  HavenRecorder *recorder = user_data;
  GstClockTime time = time_to_fill (GST_PAD_PROBE_INFO_EVENT (info), PACKET_TIME);
  GstBuffer *packet;

  if (!GST_CLOCK_TIME_IS_VALID (time) || !g_atomic_int_get (&recorder->muxed[HAVEN_AUDIO]))
    return GST_PAD_PROBE_OK;
  packet = gst_buffer_new_memdup (silence, sizeof silence);
  GST_BUFFER_PTS (packet) = time;
  GST_BUFFER_DURATION (packet) = PACKET_TIME;
  GST_BUFFER_FLAG_SET (packet, GST_BUFFER_FLAG_GAP); /* the manifest tells of the gap */
  note_mute (recorder, HAVEN_AUDIO, TRUE);
  gst_pad_push (pad, packet);
  return GST_PAD_PROBE_OK;
}

static void
fill_gaps (HavenRecorder *recorder, HavenKind kind)
{
  if (kind == HAVEN_AUDIO)
    haven_branch_add_probe (recorder->queues[kind], "src", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
        on_gap_of_sound, recorder);
  else if (recorder->encodes)
    haven_branch_add_probe (recorder->encoder, "sink",
        GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_picture_or_gap,
        recorder);
}

/* @pad: the muxer's */
static void
wait_for_no_gap (HavenRecorder *recorder, HavenKind kind, GstElement *muxer, GstPad *pad)
{
  if (GST_IS_AGGREGATOR (muxer))
    fill_gaps (recorder, kind);
  else
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_first_into_collect_pads, NULL, NULL);
  if (kind == HAVEN_VIDEO && recorder->encodes)
    haven_branch_add_probe (recorder->encoder, "sink", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
        on_gap_before_encoder, recorder->encoder);
}

/* -- the muxer and its file */

/* wavenc would write tags behind the sound. The header is set by the file's size while it grows, as
 * if all behind it were sound. */
static GstPadProbeReturn
on_wav_event (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  return GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_TAG ? GST_PAD_PROBE_DROP
                                                                           : GST_PAD_PROBE_OK;
}

/* wavenc has 64 bits for the sizes from the beginning; players know a file of 32 bits better. */
static GstPadProbeReturn
on_wav_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstMapInfo map;

  if (GST_BUFFER_OFFSET (buffer) != 0)
    return GST_PAD_PROBE_OK;
  GST_PAD_PROBE_INFO_DATA (info) = buffer = gst_buffer_make_writable (buffer);
  if (gst_buffer_map (buffer, &map, GST_MAP_READWRITE)) {
    if (map.size == HAVEN_WAV_HEADER)
      haven_wav_describe (map.data, haven_wav_read_size (map.data));
    gst_buffer_unmap (buffer, &map);
  }
  return GST_PAD_PROBE_OK;
}

/* What goes into the muxer, counted. */
static gboolean
connect_muxer (HavenRecorder *recorder, HavenKind kind, GstElement *last, GstElement *muxer)
{
  g_autofree char *name = g_strconcat (haven_kind_names[kind], "_%u", NULL);
  GstPad *only = gst_element_get_static_pad (muxer, "sink");
  g_autoptr (GstPad) pad = only ? only : gst_element_request_pad_simple (muxer, name);
  g_autoptr (GstPad) src = gst_element_get_static_pad (last, "src");
  GstElement *queue = recorder->queues[kind];

  if (!pad || gst_pad_link (src, pad) != GST_PAD_LINK_OK)
    return FALSE;
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER, haven_branch_on_count, &recorder->muxed[kind], NULL);
  if (!only)
    wait_for_no_gap (recorder, kind, muxer, pad);
  haven_branch_count_passage (queue);
  note_times (recorder, kind);
  if (strcmp (recorder->format->container, "ogg") == 0) {
    recorder->zero = GST_CLOCK_TIME_NONE;
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_ogg, recorder, NULL);
  }
  if (kind == HAVEN_VIDEO && recorder->encodes)
    haven_branch_add_probe (queue, "src", GST_PAD_PROBE_TYPE_BUFFER, on_rate, recorder);
  haven_branch_add_entry (recorder->bin, queue, haven_kind_names[kind]);
  if (kind == HAVEN_AUDIO || !recorder->encodes)
    haven_branch_accept_any_codec (queue);
  return TRUE;
}

static GstPadProbeReturn
on_file_begin (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the muxer */
{
  haven_recorder_file_begins (user_data);
  return GST_PAD_PROBE_REMOVE;
}

static GstPadProbeReturn
on_file_end (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the muxer */
{
  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS)
    haven_recorder_file_ends (user_data);
  return GST_PAD_PROBE_OK;
}

static void
add_file (HavenRecorder *recorder, GstElement *muxer, const char *path)
{
  GstElement *file = haven_branch_make (GST_BIN (recorder->bin), "filesink");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (file, "sink");

  haven_branch_set_if_there (muxer, "offset-to-zero", "true");
  haven_branch_set_if_there (muxer, "fragment-duration", FRAGMENT);
  haven_branch_set_if_there (muxer, "fragment-mode", "first-moov-then-finalise");
  g_object_set (file, "location", path, "async", FALSE, "sync", FALSE, NULL);
  gst_util_set_object_arg (G_OBJECT (file), "buffer-mode", "unbuffered");
  if (is_pcm (recorder->format)) {
    g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("audio/x-rf64");

    gst_element_link_filtered (muxer, file, caps);
    gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_wav_buffer, NULL, NULL);
  } else {
    gst_element_link (muxer, file);
  }
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_file_begin, recorder, NULL);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_file_end, recorder, NULL);
}

const char *
haven_recorder_media_type (GstCaps *caps)
{
  return gst_structure_get_name (gst_caps_get_structure (caps, 0));
}

static gboolean
fails_to_hold (HavenRecorder *recorder, const char *what, GError **error)
{
  g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG, "%s cannot hold %s",
      recorder->format->container, what);
  return FALSE;
}

gboolean
haven_recorder_build (HavenRecorder *recorder, GstCaps *video, GstCaps *audio,
    const HavenQuality *quality, const char *path, GError **error)
{
  const HavenFormat *format = recorder->format;
  GstElement *muxer = haven_branch_make (GST_BIN (recorder->bin), muxer_of (format)), *last;

  if (!muxer) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG,
        "This machine cannot make %s", format->name);
    return FALSE;
  }
  recorder->muxer = muxer;
  if (is_pcm (format))
    haven_branch_add_probe (muxer, "sink", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_wav_event, NULL);
  if (video) {
    last = recorder->encodes ? add_encoding (recorder, quality, error)
                             : add_copying (recorder, video);
    if (!last)
      return FALSE;
    if (!connect_muxer (recorder, HAVEN_VIDEO, last, muxer))
      return fails_to_hold (recorder, recorder->video_codec, error);
  }
  if (audio) {
    if (!(last = add_sound (recorder, audio, error)))
      return FALSE;
    if (!connect_muxer (recorder, HAVEN_AUDIO, last, muxer))
      return fails_to_hold (recorder, haven_recorder_media_type (audio), error);
  }
  add_file (recorder, muxer, path);
  return TRUE;
}
