/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-graph-private.h"
#include "live-decoder.h"

GST_DEBUG_CATEGORY_EXTERN (haven_graph_debug);
#define GST_CAT_DEFAULT haven_graph_debug

#define RETRY_DECODE 1 /* s between a decoder's failure and the next */

/* Decodes whatever codec comes, by a decoder that is made when its caps come. Owned by its bin. */
typedef struct
{
  HavenKind kind;
  GstElement *bin, *queue, *out; /* out: identity */
  /* streaming thread of the queue */
  GstElement *codec; /* (owned by bin) (nullable) */
  char *codec_name;  /* (nullable) of the caps */
  gboolean open;     /* a key frame came */
} Decode;

static void
decode_free (gpointer data)
{
  Decode *decode = data;

  g_free (decode->codec_name);
  g_free (decode);
}

/* Parser and decoder. Returns: (transfer floating) (nullable) */
static GstElement *
make_codec (HavenKind kind, const char *codec_name)
{
  GstElement *decoder = live_decoder_new (codec_name, kind == HAVEN_VIDEO), *bin, *first;

  if (!decoder)
    return NULL;
  bin = gst_bin_new (NULL);
  gst_bin_add (GST_BIN (bin), decoder);
  first = decoder;
  if (g_str_equal (codec_name, "video/x-h264")) {
    first = haven_branch_make (GST_BIN (bin), "h264parse");
    gst_element_link (first, decoder);
  }
  haven_branch_add_exit (bin, decoder);
  {
    g_autoptr (GstPad) target = gst_element_get_static_pad (first, "sink");
    gst_element_add_pad (bin, gst_ghost_pad_new ("sink", target));
  }
  return bin;
}

/* Streaming thread of the queue: nothing is in the old decoder's hands while we are here. */
static void
decode_choose (Decode *decode, const char *codec_name)
{
  if (g_strcmp0 (codec_name, decode->codec_name) == 0)
    return;
  if (decode->codec) {
    gst_element_set_locked_state (decode->codec, TRUE);
    gst_element_set_state (decode->codec, GST_STATE_NULL);
    gst_bin_remove (GST_BIN (decode->bin), decode->codec);
  }
  g_free (decode->codec_name);
  decode->codec_name = g_strdup (codec_name);
  decode->open = decode->kind == HAVEN_AUDIO;
  decode->codec = make_codec (decode->kind, codec_name);
  if (!decode->codec) {
    GST_ELEMENT_WARNING (decode->bin, CORE, MISSING_PLUGIN,
        ("There is no decoder for %s on this machine", codec_name), (NULL));
    return;
  }
  gst_bin_add (GST_BIN (decode->bin), decode->codec);
  gst_element_link_many (decode->queue, decode->codec, decode->out, NULL);
  gst_element_sync_state_with_parent (decode->codec);
}

static GstPadProbeReturn
on_decode_data (
    GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread of the queue */
{
  Decode *decode = user_data;
  GstCaps *caps;

  if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
    if (!decode->open
        && !GST_BUFFER_FLAG_IS_SET (GST_PAD_PROBE_INFO_BUFFER (info), GST_BUFFER_FLAG_DELTA_UNIT))
      decode->open = TRUE;
    return decode->codec && decode->open ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
  }
  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_CAPS) {
    gst_event_parse_caps (GST_PAD_PROBE_INFO_EVENT (info), &caps);
    decode_choose (decode, gst_structure_get_name (gst_caps_get_structure (caps, 0)));
  }
  return GST_PAD_PROBE_OK;
}

/* queue ! (a decoder, once it is known which) ! identity, and for sound what makes it PCM of one
 * form */
static GstElement *
make_decode_bin (HavenKind kind)
{
  Decode *decode = g_new0 (Decode, 1);
  GstElement *last;

  decode->kind = kind;
  decode->bin = gst_bin_new (NULL);
  g_object_set_data_full (G_OBJECT (decode->bin), "decode", decode, decode_free);
  decode->queue = haven_branch_make_queue (GST_BIN (decode->bin), 0, 16, 3);
  haven_branch_count_passage (decode->queue);
  decode->out = last = haven_branch_make (GST_BIN (decode->bin), "identity");
  g_object_set (decode->out, "silent", TRUE, NULL);
  if (kind == HAVEN_AUDIO) {
    GstElement *convert = haven_branch_make (GST_BIN (decode->bin), "audioconvert");
    GstElement *resample = haven_branch_make (GST_BIN (decode->bin), "audioresample");

    last = haven_branch_make_filter (GST_BIN (decode->bin),
        gst_caps_from_string ("audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved"));
    gst_element_link_many (decode->out, convert, resample, last, NULL);
  }
  haven_branch_add_probe (decode->queue, "src",
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_decode_data, decode);
  haven_branch_add_entry (decode->bin, decode->queue, "sink");
  haven_branch_accept_any_codec (decode->queue);
  haven_branch_add_exit (decode->bin, last);
  return decode->bin;
}

static void
decoded_build (HavenGraph *self, HavenKind kind)
{
  HavenDecoded *decoded = &self->decoded[kind];
  GstElement *bin = make_decode_bin (kind);

  GST_INFO ("decode %s", haven_kind_names[kind]);
  gst_bin_add (GST_BIN (self->pipeline), bin);
  gst_element_link (bin, decoded->tee);
  gst_element_sync_state_with_parent (bin);
  decoded->bin = gst_object_ref (bin);
  haven_feed_open (&decoded->feed, self->tees[kind], bin, "sink");
  if (kind == HAVEN_VIDEO)
    haven_graph_request_keyframe (self);
}

GstElement *
haven_graph_use_decoded (HavenGraph *self, HavenKind kind)
{
  HavenDecoded *decoded = &self->decoded[kind];

  if (decoded->users++ == 0) {
    decoded->tee = haven_graph_make_tee (self);
    gst_element_sync_state_with_parent (decoded->tee);
    decoded_build (self, kind);
  }
  return decoded->tee;
}

/* Returns: (transfer none) (nullable): before the decoder of pictures that runs */
static GstElement *
queue_of_pictures (HavenGraph *self)
{
  GstElement *bin = self->decoded[HAVEN_VIDEO].bin;
  const Decode *decode = bin ? g_object_get_data (G_OBJECT (bin), "decode") : NULL;

  return decode ? decode->queue : NULL;
}

guint
haven_graph_lost_before_decoding (HavenGraph *self)
{
  GstElement *queue = queue_of_pictures (self);

  return queue ? haven_branch_count_lost (queue) : 0;
}

guint
haven_graph_waiting_for_decoder (HavenGraph *self)
{
  GstElement *queue = queue_of_pictures (self);

  return queue ? haven_branch_count_waiting (queue) : 0;
}

void
haven_graph_unuse_decoded (HavenGraph *self, HavenKind kind)
{
  HavenDecoded *decoded = &self->decoded[kind];

  if (--decoded->users > 0)
    return;
  GST_INFO ("nobody needs decoded %s", haven_kind_names[kind]);
  if (kind == HAVEN_VIDEO)
    self->gone_before_decoding += haven_graph_lost_before_decoding (self);
  g_clear_handle_id (&decoded->retry_id, g_source_remove);
  haven_feed_close (&decoded->feed, FALSE);
  haven_graph_retire (self, &decoded->bin);
  haven_graph_retire (self, &decoded->tee);
}

static gboolean
on_retry_decode (gpointer user_data)
{
  HavenDecoded *decoded = user_data;
  HavenGraph *self = HAVEN_GRAPH (g_object_get_data (G_OBJECT (decoded->tee), "graph"));

  decoded->retry_id = 0;
  decoded_build (self, (HavenKind)(decoded - self->decoded));
  return G_SOURCE_REMOVE;
}

void
haven_graph_decoder_failed (HavenGraph *self, HavenKind kind)
{
  HavenDecoded *decoded = &self->decoded[kind];

  if (kind == HAVEN_VIDEO)
    self->gone_before_decoding += haven_graph_lost_before_decoding (self);
  haven_feed_close (&decoded->feed, FALSE);
  haven_graph_retire (self, &decoded->bin);
  g_object_set_data (G_OBJECT (decoded->tee), "graph", self);
  if (!decoded->retry_id)
    decoded->retry_id = g_timeout_add_seconds (RETRY_DECODE, on_retry_decode, decoded);
}
