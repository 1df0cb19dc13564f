/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-livekitsrc
 * @title: livekitsrc
 *
 * Joins a LiveKit room as a subscriber and gives the media of its streamer: a pad for each track,
 * raw, or encoded where downstream takes only that. Pads live on while their tracks are muted,
 * republished or gone for a while, and while the network fails; GAP events say so.
 *
 * ## Watch a room
 * |[
 * gst-launch-1.0 livekitsrc ws-url=ws://127.0.0.1:7880 api-key=devkey secret-key=secret
 * room-name=demo ! autovideosink
 * ]|
 * ## Record it as it is sent, without decoding
 * |[
 * gst-launch-1.0 -e livekitsrc name=s room-name=demo output=encoded s. ! queue ! mux. s. ! queue !
 * mux. matroskamux name=mux ! filesink location=demo.mkv
 * ]|
 *
 * Element messages: `livekit-connection-state` (state), `livekit-room-joined` (sid, name),
 * `livekit-participant-joined` and `-left` (identity, sid, name), `livekit-track-added`, `-removed`
 * and `-changed` (participant, sid, kind, source, name, mime, muted, width, height),
 * `livekit-track-muted` (sid, muted), `livekit-track-permission` (sid, allowed),
 * `livekit-room-ended` (reason).
 *
 * Errors and warnings have details, `livekit-error` (error): config, unauthorized, not-found,
 * unavailable, tls, timeout, protocol, closed, removed, duplicate, room-closed, no-streamer,
 * encrypted, permission or internal.
 *
 * Since: 0.1
 */

#include "gstlivekitsrc.h"
#include "gstlivekitoutput.h"
#include "gstlivekitpad.h"
#include "livekit-branch.h"
#include "livekit-config.h"
#include "livekit-data.h"
#include "livekit-error.h"
#include "livekit-peer.h"
#include "livekit-report.h"
#include "livekit-retire.h"
#include "livekit-room.h"

#include <gst/video/video.h>

GST_DEBUG_CATEGORY (gst_livekit_src_debug);
#define GST_CAT_DEFAULT gst_livekit_src_debug

/* A larger distance between the clocks of picture and sound is not lip-sync but a fault of the
 * sender. */
#define MAX_SHIFT (2 * GST_SECOND)

/* The longest that a stop waits for the server and the network, ms. */
#define STOP_MS 500

/* A branch that fails so often in so short a time (us) is not made anew at once, but after a pause
 * (s): what makes it fail may have passed by then, and would otherwise keep us busy for nothing. */
#define MAX_FAILURES 5
#define FAILURE_TIME (60 * G_USEC_PER_SEC)
#define FAILURE_PAUSE 30

/* A webrtcbin keeps a pad for each track that it ever received. One that received so many is
 * replaced as soon as nothing is received; one that received even more, as soon as any track ends.
 */
#define MANY_PADS 1000
#define TOO_MANY_PADS 2000

/* One outgoing pad and what feeds it. Lives from the first publication of its track to the end of
 * the element's run. Belongs to the signalling thread; other threads read output and the fields
 * under the object lock. */
typedef struct
{
  GstLiveKitSrc *src; /* (unowned) owns the slot */
  gboolean video;
  LiveKitSource source;
  char *name;         /* of the track */
  GstElement *output; /* (owned by the bin) GstLiveKitOutput */
  GstPad *pad;        /* (owned by the element) GstLiveKitPad */
  GstClockTime exposed;

  char *track_sid;      /* (nullable) the present publication; changed under the object lock */
  gboolean muted;       /* the present publication */
  GstPad *rtp_pad;      /* (owned) (nullable) of the webrtcbin, once packets come */
  guint32 ssrc;         /* of rtp_pad; changed under the object lock */
  GstElement *branch;   /* (owned) (nullable) between the two */
  char *mime;           /* (nullable) of the last publication */
  char *encoded_mime;   /* (nullable) the codec that goes out encoded: a muxer takes no other on the
                           same pad */
  gboolean broken;      /* the branch could not be made, or fails: said once */
  guint failures;       /* of branches since first_failure */
  gint64 first_failure; /* monotonic, us */
  GSource *retry;       /* (owned) (nullable) the end of a pause after failures */

  gboolean sync_known;          /* a sender report came for ssrc; changed under the object lock */
  GstClockTimeDiff sync_offset; /* of the running time from the sender's clock; likewise */
} Slot;

struct _GstLiveKitSrc
{
  GstBin parent;

  /* Protected by OBJECT_LOCK. */
  LiveKitConfig config;
  const char *connection_state; /* a static string */
  char *room_sid;
  gint64 rtt;              /* of the signalling, ms; 0: not measured */
  GPtrArray *participants; /* (element-type LiveKitParticipant) (nullable) */
  LiveKitPeer *peer;       /* (nullable) changed by the signalling thread alone */
  GPtrArray *slots;        /* (element-type Slot) changed by the signalling thread alone */

  /* Set before the signalling thread starts, cleared after it ended. */
  GThread *thread;
  GMainContext *context;
  GMainLoop *loop;
  LiveKitConfig run; /* the settings of this run */
  LiveKitFlow *flow; /* (owned) of all tracks; set for as long as the element lives */

  /* Of the signalling thread. */
  LiveKitRoom *room;
  LiveKitDataReader *data; /* (nullable) of this session */
  guint n_video, n_audio;  /* pads ever made, for their names */
  gboolean joining;        /* or has joined, or failed to */
  gboolean media_flowed;
  gboolean eos; /* the stream has ended: so does whatever comes late */
  gboolean stopping;
  LiveKitRetirement *retirement; /* (owned) and, after that thread ended, of who stops */
};

enum
{
  SIGNAL_REQUEST_KEYFRAME,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static guint prop_connection_state, prop_room_sid, prop_participants, prop_stats;

static void gst_livekit_src_uri_handler_init (gpointer iface, gpointer data);
static void slot_update (GstLiveKitSrc *self, Slot *slot);

G_DEFINE_FINAL_TYPE_WITH_CODE (GstLiveKitSrc, gst_livekit_src, GST_TYPE_BIN,
    G_IMPLEMENT_INTERFACE (GST_TYPE_URI_HANDLER, gst_livekit_src_uri_handler_init))
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE (livekitsrc, "livekitsrc", GST_RANK_PRIMARY,
    GST_TYPE_LIVEKIT_SRC,
    GST_DEBUG_CATEGORY_INIT (gst_livekit_src_debug, "livekitsrc", 0, "LiveKit source"))

#define VIDEO_CAPS                                                                             \
  "video/x-raw(ANY); video/x-vp8; video/x-vp9; video/x-h264; video/x-av1; application/x-rtp, " \
  "media=(string)video"
#define AUDIO_CAPS "audio/x-raw; audio/x-opus; application/x-rtp, media=(string)audio"

static GstStaticPadTemplate video_template = GST_STATIC_PAD_TEMPLATE (
    "video_%u", GST_PAD_SRC, GST_PAD_SOMETIMES, GST_STATIC_CAPS (VIDEO_CAPS));
static GstStaticPadTemplate audio_template = GST_STATIC_PAD_TEMPLATE (
    "audio_%u", GST_PAD_SRC, GST_PAD_SOMETIMES, GST_STATIC_CAPS (AUDIO_CAPS));

/* --- calls into the signalling thread --- */

typedef struct
{
  GstLiveKitSrc *src;
  void (*run) (GstLiveKitSrc *src, gpointer data);
  gpointer data; /* (nullable) a GObject, owned */
} Call;

static gboolean
call_run (gpointer data)
{
  Call *call = data;

  if (!call->src->stopping)
    call->run (call->src, call->data);
  return G_SOURCE_REMOVE;
}

static void
call_free (gpointer data)
{
  Call *call = data;

  g_clear_object (&call->data);
  gst_object_unref (call->src);
  g_free (call);
}

/* Any thread. @data is a GObject (transfer full), or NULL. */
static void
post (GstLiveKitSrc *self, void (*run) (GstLiveKitSrc *, gpointer), gpointer data)
{
  g_autoptr (GMainContext) context = NULL;
  g_autoptr (GSource) source = NULL;
  Call *call;

  GST_OBJECT_LOCK (self);
  if (self->context)
    context = g_main_context_ref (self->context);
  GST_OBJECT_UNLOCK (self);
  if (!context) {
    g_clear_object (&data);
    return;
  }
  call = g_new0 (Call, 1);
  call->src = gst_object_ref (self);
  call->run = run;
  call->data = data;
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, call_run, call, call_free);
  g_source_attach (source, context);
}

/* --- messages --- */

static void
post_message (GstLiveKitSrc *self, GstStructure *structure)
{
  gst_element_post_message (
      GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self), structure));
}

static void
post_participant (GstLiveKitSrc *self, const char *name, const LiveKitParticipant *participant)
{
  post_message (self, livekit_report_participant (name, participant));
}

static void
post_error (GstLiveKitSrc *self, GstMessageType type, const GError *error)
{
  GQuark domain;
  int code;

  livekit_report_error_code (error, self->media_flowed, &domain, &code);
  gst_element_message_full_with_details (GST_ELEMENT (self), type, domain, code,
      g_strdup (error->message),
      g_strdup_printf ("room “%s” at %s", self->run.room_name ? self->run.room_name : "",
          self->run.ws_url ? self->run.ws_url : ""),
      __FILE__, G_STRFUNC, __LINE__,
      gst_structure_new (
          "livekit-error", "error", G_TYPE_STRING, livekit_error_name (error), NULL));
}

/* --- slots --- */

static void
slot_end_pause (Slot *slot)
{
  if (!slot->retry)
    return;
  g_source_destroy (slot->retry);
  g_clear_pointer (&slot->retry, g_source_unref);
}

static void
slot_free (gpointer data)
{
  Slot *slot = data;

  g_free (slot->name);
  g_free (slot->mime);
  g_free (slot->encoded_mime);
  g_free (slot->track_sid);
  g_clear_object (&slot->rtp_pad);
  g_clear_object (&slot->branch);
  slot_end_pause (slot);
  g_free (slot);
}

static Slot *
find_slot_of_track (GstLiveKitSrc *self, const char *sid)
{
  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i);
    if (g_strcmp0 (slot->track_sid, sid) == 0)
      return slot;
  }
  return NULL;
}

static Slot *
find_slot_of_pad (GstLiveKitSrc *self, GstPad *pad)
{
  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i);
    if (slot->pad == pad || slot->rtp_pad == pad)
      return slot;
  }
  return NULL;
}

/* Opus with redundancy is Opus: we do not ask for the redundancy. */
static const char *
codec_of_mime (const char *mime)
{
  return g_ascii_strcasecmp (mime, "audio/red") == 0 ? "audio/opus" : mime;
}

static gboolean
takes_codec (const Slot *slot, const char *mime)
{
  return !slot->encoded_mime
         || g_ascii_strcasecmp (codec_of_mime (slot->encoded_mime), codec_of_mime (mime)) == 0;
}

/* A pad without a publication that @track continues: the same name first, then the same kind and
 * source. @codec_fits: of those that can carry its codec, or of those that cannot. */
static Slot *
find_idle_slot (GstLiveKitSrc *self, const LiveKitTrack *track, gboolean codec_fits)
{
  Slot *found = NULL;

  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i);
    if (slot->track_sid || slot->video != (track->kind == LIVEKIT_KIND_VIDEO)
        || slot->source != track->source || takes_codec (slot, track->mime) != codec_fits)
      continue;
    if (g_strcmp0 (slot->name, track->name) == 0)
      return slot;
    if (!found)
      found = slot;
  }
  return found;
}

/* Stops and frees an element without waiting for it; end_stop() waits. */
static void
retire_element (GstLiveKitSrc *self, GstElement *element /* (transfer full) */)
{
  gst_element_set_locked_state (element, TRUE);
  gst_bin_remove (GST_BIN (self), element);
  livekit_retirement_add (self->retirement, element);
}

static void
slot_drop_branch (GstLiveKitSrc *self, Slot *slot)
{
  if (slot->rtp_pad)
    livekit_peer_shut_pad (slot->rtp_pad);
  if (slot->branch)
    retire_element (self, g_steal_pointer (&slot->branch));
  gst_livekit_output_set_muted (GST_LIVEKIT_OUTPUT (slot->output), FALSE); /* the next takes time */
}

static void
slot_drop_rtp (GstLiveKitSrc *self, Slot *slot)
{
  slot_drop_branch (self, slot);
  if (slot->rtp_pad && self->peer)
    livekit_peer_end_pad (self->peer, slot->rtp_pad);
  g_clear_object (&slot->rtp_pad);
  GST_OBJECT_LOCK (self);
  slot->ssrc = 0;
  slot->sync_known = FALSE;
  GST_OBJECT_UNLOCK (self);
}

static void
slot_set_track (GstLiveKitSrc *self, Slot *slot, const char *sid)
{
  GST_OBJECT_LOCK (self);
  g_free (slot->track_sid);
  slot->track_sid = g_strdup (sid);
  GST_OBJECT_UNLOCK (self);
}

static void
slot_add_branch (GstLiveKitSrc *self, Slot *slot)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (slot->rtp_pad);
  g_autoptr (GstPad) peer = gst_pad_get_peer (slot->pad);
  g_autoptr (GstPad) branch_sink = NULL;
  g_autoptr (GError) error = NULL;
  LiveKitOutput output;
  GstElement *branch;

  if (!caps)
    caps = gst_pad_query_caps (slot->rtp_pad, NULL);
  output = livekit_branch_resolve (self->run.output, slot->video, peer);
  branch = livekit_branch_new (caps, output, &error);
  if (!branch) {
    slot->broken = TRUE;
    post_error (self, GST_MESSAGE_ERROR, error);
    return;
  }
  GST_INFO_OBJECT (self, "%s: new branch for %" GST_PTR_FORMAT, GST_PAD_NAME (slot->pad), caps);
  slot->branch = branch;
  g_free (slot->encoded_mime);
  slot->encoded_mime = output == LIVEKIT_OUTPUT_ENCODED ? g_strdup (slot->mime) : NULL;
  gst_bin_add (GST_BIN (self), branch);
  gst_element_link (branch, slot->output);
  gst_element_sync_state_with_parent (branch);
  branch_sink = gst_element_get_static_pad (branch, "sink");
  gst_pad_link (slot->rtp_pad, branch_sink);
  livekit_peer_open_pad (slot->rtp_pad);
}

static void
request_keyframe (Slot *slot)
{
  if (slot->video && slot->rtp_pad)
    gst_pad_send_event (
        slot->rtp_pad, gst_video_event_new_upstream_force_key_unit (GST_CLOCK_TIME_NONE, FALSE, 0));
}

/* Brings a slot into line with its pad: a branch exists where somebody listens and packets come. */
static void
slot_update (GstLiveKitSrc *self, Slot *slot)
{
  gboolean linked = gst_pad_is_linked (slot->pad);

  if (slot->track_sid)
    livekit_room_set_track_enabled (self->room, slot->track_sid, linked);
  if (slot->branch && (!slot->rtp_pad || !linked))
    slot_drop_branch (self, slot);
  if (!slot->branch && slot->rtp_pad && linked && !slot->broken)
    slot_add_branch (self, slot);
  if (slot->rtp_pad && !slot->branch)
    livekit_peer_shut_pad (slot->rtp_pad);
  gst_livekit_output_set_muted (GST_LIVEKIT_OUTPUT (slot->output), slot->muted && slot->branch);
}

static void
run_link_changed (GstLiveKitSrc *self, gpointer pad)
{
  Slot *slot = find_slot_of_pad (self, pad);

  if (slot && self->room)
    slot_update (self, slot);
}

/* Whatever thread links or unlinks the pad. */
static void
on_link_changed (GstPad *pad, GstPad *peer, GstLiveKitSrc *self)
{
  post (self, run_link_changed, gst_object_ref (pad));
}

static GstEvent *
new_stream_start (
    GstLiveKitSrc *self, const LiveKitParticipant *participant, const LiveKitTrack *track)
{
  g_autofree char *id = g_strdup_printf ("livekit/%s/%s/%s/%s",
      self->run.room_name ? self->run.room_name : "", participant->identity,
      livekit_kind_to_string (track->kind), livekit_source_to_string (track->source));
  GstEvent *event = gst_event_new_stream_start (id);

  gst_structure_set (gst_event_writable_structure (event), "track-sid", G_TYPE_STRING, track->sid,
      "track-name", G_TYPE_STRING, track->name, "track-source", G_TYPE_STRING,
      livekit_source_to_string (track->source), "participant", G_TYPE_STRING, participant->identity,
      NULL);
  gst_event_set_group_id (event, g_str_hash (participant->identity) | 1);
  return event;
}

static Slot *
new_slot (GstLiveKitSrc *self, const LiveKitParticipant *participant, const LiveKitTrack *track)
{
  gboolean video = track->kind == LIVEKIT_KIND_VIDEO;
  GstStaticPadTemplate *templ = video ? &video_template : &audio_template;
  g_autofree char *name = video ? g_strdup_printf ("video_%u", self->n_video++)
                                : g_strdup_printf ("audio_%u", self->n_audio++);
  g_autoptr (GstCaps) caps = livekit_branch_get_caps (video, self->run.output);
  g_autoptr (GstPad) target = NULL;
  Slot *slot = g_new0 (Slot, 1);

  slot->src = self;
  slot->video = video;
  slot->source = track->source;
  slot->name = g_strdup (track->name);
  slot->output = gst_livekit_output_new (caps, new_stream_start (self, participant, track),
      self->run.latency * GST_MSECOND, self->run.idle_gaps ? NULL : self->flow);
  gst_bin_add (GST_BIN (self), slot->output);
  gst_element_sync_state_with_parent (slot->output);
  target = gst_element_get_static_pad (slot->output, "src");
  slot->pad = gst_livekit_pad_new (name, target,
      gst_element_class_get_pad_template (GST_ELEMENT_GET_CLASS (self), templ->name_template));
  gst_livekit_pad_set_track (GST_LIVEKIT_PAD (slot->pad), participant, track);
  g_signal_connect (slot->pad, "linked", G_CALLBACK (on_link_changed), self);
  g_signal_connect (slot->pad, "unlinked", G_CALLBACK (on_link_changed), self);
  gst_pad_set_active (slot->pad, TRUE);

  GST_OBJECT_LOCK (self);
  g_ptr_array_add (self->slots, slot);
  GST_OBJECT_UNLOCK (self);
  return slot;
}

static GstTagList *
track_tags (const LiveKitParticipant *participant, const LiveKitTrack *track)
{
  const char *title = *track->name ? track->name : livekit_source_to_string (track->source);
  const char *artist = *participant->name ? participant->name : participant->identity;

  return gst_tag_list_new (GST_TAG_TITLE, title, GST_TAG_ARTIST, artist, NULL);
}

/* --- lip-sync --- */

/* The sound that belongs to a picture: the microphone to the camera, the screen's sound to the
 * screen, else any. */
static Slot *
find_sound (GstLiveKitSrc *self, const Slot *picture)
{
  LiveKitSource source = picture->source == LIVEKIT_SOURCE_SCREEN ? LIVEKIT_SOURCE_SCREEN_AUDIO
                                                                  : LIVEKIT_SOURCE_MICROPHONE;
  Slot *any = NULL;

  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i);
    if (slot->video || !slot->sync_known)
      continue;
    if (slot->source == source)
      return slot;
    any = slot;
  }
  return any;
}

/* The jitter buffers time each track by the arrival of its own packets, so they differ by what
 * happened on the way. Their senders' clocks say how far: picture is moved to sound, since a
 * picture may come at any time and sound may not. */
static void
update_sync (GstLiveKitSrc *self)
{
  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i), *sound;
    GstClockTimeDiff shift;

    if (!slot->video || !slot->sync_known || !(sound = find_sound (self, slot)))
      continue;
    shift = sound->sync_offset - slot->sync_offset;
    GST_DEBUG_OBJECT (
        self, "%s: shift by %" GST_STIME_FORMAT, GST_PAD_NAME (slot->pad), GST_STIME_ARGS (shift));
    if (ABS (shift) <= (GstClockTimeDiff)MAX_SHIFT)
      gst_livekit_output_set_shift (GST_LIVEKIT_OUTPUT (slot->output), shift);
  }
}

static void
run_sender_clock (GstLiveKitSrc *self, gpointer data)
{
  guint32 ssrc = GPOINTER_TO_UINT (g_object_get_data (data, "ssrc"));
  const GstClockTimeDiff *offset = g_object_get_data (data, "offset");

  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i);
    if (slot->ssrc == ssrc) {
      GST_OBJECT_LOCK (self);
      slot->sync_known = TRUE;
      slot->sync_offset = *offset;
      GST_OBJECT_UNLOCK (self);
    }
  }
  update_sync (self);
}

/* A streaming thread. */
static void
on_sender_clock (LiveKitPeer *peer, guint32 ssrc, gint64 offset, gpointer user_data)
{
  GObject *clock = g_object_new (G_TYPE_OBJECT, NULL);

  g_object_set_data (clock, "ssrc", GUINT_TO_POINTER (ssrc));
  g_object_set_data_full (clock, "offset", g_memdup2 (&offset, sizeof offset), g_free);
  post (user_data, run_sender_clock, clock);
}

/* --- from the peer --- */

static void
on_answer (LiveKitPeer *peer, const char *sdp, guint32 offer_id, gpointer user_data)
{
  livekit_room_send_answer (GST_LIVEKIT_SRC (user_data)->room, sdp, offer_id);
}

static void
on_local_candidate (LiveKitPeer *peer, const char *candidate, int mline_index, gpointer user_data)
{
  livekit_room_send_candidate (GST_LIVEKIT_SRC (user_data)->room, candidate, mline_index);
}

static void
on_peer_state (LiveKitPeer *peer, GstWebRTCPeerConnectionState state, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  GST_INFO_OBJECT (self, "peer connection state %d", state);
  if (peer != self->peer)
    return;
  if (state == GST_WEBRTC_PEER_CONNECTION_STATE_CONNECTED)
    livekit_room_media_connected (self->room);
  else if (state == GST_WEBRTC_PEER_CONNECTION_STATE_FAILED)
    livekit_room_media_failed (self->room);
}

static void
on_rtp_pad_added (LiveKitPeer *peer, GstPad *pad, const char *track_sid, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;
  Slot *slot = find_slot_of_track (self, track_sid);

  if (peer != self->peer)
    return;
  livekit_room_track_arrived (self->room, track_sid);
  if (!slot) {
    GST_INFO_OBJECT (self, "track %s is not wanted any more", track_sid);
    livekit_peer_end_pad (peer, pad);
    return;
  }
  slot_drop_rtp (self, slot);
  slot->rtp_pad = gst_object_ref (pad);
  slot->broken = FALSE;
  slot->failures = 0;
  slot_end_pause (slot);
  GST_OBJECT_LOCK (self);
  slot->ssrc = livekit_peer_get_pad_ssrc (pad);
  GST_OBJECT_UNLOCK (self);
  self->media_flowed = TRUE;
  slot_update (self, slot);
}

static void
on_rtp_pad_ended (LiveKitPeer *peer, GstPad *pad, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;
  Slot *slot = find_slot_of_pad (self, pad);

  if (slot)
    slot_drop_rtp (self, slot);
}

/* What participants say. What cannot be read is nobody's loss: others say it too. */
static void
on_data (LiveKitPeer *peer, GBytes *bytes, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (LiveKitPacket) packet = livekit_packet_parse (bytes, &error);
  g_autoptr (LiveKitData) data = packet ? livekit_data_reader_take (self->data, packet) : NULL;

  if (!packet)
    GST_WARNING_OBJECT (self, "%s", error->message);
  if (data && peer == self->peer)
    post_message (self,
        gst_structure_new ("livekit-data", "participant", G_TYPE_STRING, data->participant, "topic",
            G_TYPE_STRING, data->topic, "payload", G_TYPE_BYTES, data->payload, NULL));
}

static void
on_peer_failed (LiveKitPeer *peer, const GError *error, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  GST_WARNING_OBJECT (self, "%s", error->message);
  if (peer == self->peer)
    livekit_room_media_broken (self->room, error);
}

static const LiveKitPeerHandlers peer_handlers = {
  .answer = on_answer,
  .candidate = on_local_candidate,
  .state_changed = on_peer_state,
  .pad_added = on_rtp_pad_added,
  .pad_ended = on_rtp_pad_ended,
  .sender_clock = on_sender_clock,
  .data = on_data,
  .failed = on_peer_failed,
};

static void
drop_peer (GstLiveKitSrc *self)
{
  g_autoptr (LiveKitPeer) peer = NULL;

  GST_OBJECT_LOCK (self);
  peer = g_steal_pointer (&self->peer);
  GST_OBJECT_UNLOCK (self);
  if (!peer)
    return;
  livekit_peer_close (peer);
  livekit_peer_stop_data (peer);
  for (guint i = 0; i < self->slots->len; i++)
    slot_drop_rtp (self, g_ptr_array_index (self->slots, i));
  retire_element (self, gst_object_ref (livekit_peer_get_element (peer)));
}

/* --- from the room --- */

static void
set_connection_state (GstLiveKitSrc *self, const char *state)
{
  gboolean changed;

  GST_OBJECT_LOCK (self);
  changed = !g_str_equal (self->connection_state, state);
  self->connection_state = state;
  GST_OBJECT_UNLOCK (self);
  if (!changed)
    return;
  GST_INFO_OBJECT (self, "connection is %s", state);
  g_object_notify (G_OBJECT (self), "connection-state");
  post_message (
      self, gst_structure_new ("livekit-connection-state", "state", G_TYPE_STRING, state, NULL));
}

static void
on_room_state (LiveKitRoom *room, LiveKitState state, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  switch (state) {
  case LIVEKIT_STATE_JOINED:
    if (livekit_room_is_connected (room))
      set_connection_state (self, "connected");
    break;
  case LIVEKIT_STATE_CONNECTING:
  case LIVEKIT_STATE_BACKOFF:
  case LIVEKIT_STATE_RESUME_BACKOFF:
  case LIVEKIT_STATE_RESUMING:
    set_connection_state (self, livekit_room_has_joined (room) ? "reconnecting" : "connecting");
    break;
  case LIVEKIT_STATE_FAILED:
    set_connection_state (self, "failed");
    break;
  default:
    break;
  }
}

static void
on_room_changed (LiveKitRoom *room, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  GST_OBJECT_LOCK (self);
  g_free (self->room_sid);
  self->room_sid = g_strdup (livekit_room_get_sid (room));
  GST_OBJECT_UNLOCK (self);
  g_object_notify (G_OBJECT (self), "room-sid");
}

static void
on_session_started (LiveKitRoom *room, const LiveKitMessage *join, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;
  g_auto (GStrv) codecs = livekit_branch_get_codecs ();
  g_auto (GStrv) turn
      = self->run.turn_servers ? g_strsplit (self->run.turn_servers, ",", 16) : NULL;
  g_autoptr (GError) error = NULL;
  LiveKitPeerConfig config = {
    .latency = self->run.latency,
    .nack = self->run.nack,
    .data = self->run.data_messages,
    .codecs = (const char *const *)codecs,
    .relay_only
    = join->force_relay || self->run.ice_transport_policy == GST_WEBRTC_ICE_TRANSPORT_POLICY_RELAY,
    .stun_server = self->run.stun_server,
    .turn_servers = (const char *const *)turn,
    .ice_servers = join->ice_servers,
  };
  LiveKitPeer *peer;

  drop_peer (self);
  g_clear_pointer (
      &self->data, livekit_data_reader_free); /* what was under way will not be whole */
  self->data = livekit_data_reader_new ();
  peer = livekit_peer_new (&config, &peer_handlers, self, &error);
  if (!peer) {
    post_error (self, GST_MESSAGE_ERROR, error);
    return;
  }
  GST_OBJECT_LOCK (self);
  self->peer = peer;
  GST_OBJECT_UNLOCK (self);
  post_message (self, gst_structure_new ("livekit-room-joined", "sid", G_TYPE_STRING,
                          join->room_sid, "name", G_TYPE_STRING, join->room_name, "stream-info",
                          G_TYPE_STRING, livekit_room_get_stream_info (room), NULL));
  gst_bin_add (GST_BIN (self), livekit_peer_get_element (peer));
  gst_element_sync_state_with_parent (livekit_peer_get_element (peer));
}

static void
on_offer (LiveKitRoom *room, const LiveKitMessage *offer, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  if (self->peer)
    livekit_peer_handle_offer (self->peer, offer);
}

static void
on_candidate (LiveKitRoom *room, const char *candidate, int mline_index, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  if (self->peer)
    livekit_peer_add_candidate (self->peer, candidate, mline_index);
}

static void
on_rtt_measured (LiveKitRoom *room, gint64 ms, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  GST_OBJECT_LOCK (self);
  self->rtt = ms;
  GST_OBJECT_UNLOCK (self);
}

static void
publish_participants (GstLiveKitSrc *self, LiveKitRoom *room)
{
  GPtrArray *participants = livekit_room_get_participants (room);
  GPtrArray *old;

  GST_OBJECT_LOCK (self);
  old = self->participants;
  self->participants = participants;
  GST_OBJECT_UNLOCK (self);
  g_clear_pointer (&old, g_ptr_array_unref);
}

static void
on_participant_joined (LiveKitRoom *room, LiveKitParticipant *participant, gpointer user_data)
{
  publish_participants (user_data, room);
  post_participant (user_data, "livekit-participant-joined", participant);
}

static void
on_participant_left (LiveKitRoom *room, LiveKitParticipant *participant, gpointer user_data)
{
  publish_participants (user_data, room);
  post_participant (user_data, "livekit-participant-left", participant);
}

/* A muxer takes no other codec on the same pad. */
static void
warn_of_other_codec (GstLiveKitSrc *self, const Slot *former, const Slot *slot, const char *mime)
{
  g_autoptr (GError) error = g_error_new (GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "The streamer sends %s now, where it sent %s: it comes on the pad %s, and nothing more on %s",
      mime, former->encoded_mime, GST_PAD_NAME (slot->pad), GST_PAD_NAME (former->pad));

  post_error (self, GST_MESSAGE_WARNING, error);
}

static void
on_track_added (
    LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;
  Slot *slot = find_idle_slot (self, track, TRUE);
  gboolean is_new = !slot;

  GST_INFO_OBJECT (self, "track %s: %s of “%s”", track->sid, track->mime, participant->identity);
  publish_participants (self, room);
  post_message (self, livekit_report_track ("livekit-track-added", participant, track));
  if (is_new) {
    const Slot *former = find_idle_slot (self, track, FALSE);

    slot = new_slot (self, participant, track);
    if (former)
      warn_of_other_codec (self, former, slot, track->mime);
  }
  slot_set_track (self, slot, track->sid);
  slot->muted = track->muted;
  g_free (slot->mime);
  slot->mime = g_strdup (track->mime);
  gst_livekit_output_push_tags (GST_LIVEKIT_OUTPUT (slot->output), track_tags (participant, track));
  if (is_new)
    gst_element_add_pad (GST_ELEMENT (self), slot->pad);
  else
    gst_livekit_pad_set_track (GST_LIVEKIT_PAD (slot->pad), participant, track);
  slot_update (self, slot);
  if (self->eos)
    gst_livekit_output_send_eos (GST_LIVEKIT_OUTPUT (slot->output));
}

static void
on_track_changed (
    LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;
  Slot *slot = find_slot_of_track (self, track->sid);

  publish_participants (self, room);
  post_message (self, livekit_report_track ("livekit-track-changed", participant, track));
  if (!slot || slot->muted == track->muted)
    return;
  slot->muted = track->muted;
  slot_update (self, slot);
  post_message (self, gst_structure_new ("livekit-track-muted", "sid", G_TYPE_STRING, track->sid,
                          "muted", G_TYPE_BOOLEAN, track->muted, NULL));
}

static void
on_track_permission (LiveKitRoom *room, const char *track_sid, gboolean allowed, gpointer user_data)
{
  post_message (user_data, gst_structure_new ("livekit-track-permission", "sid", G_TYPE_STRING,
                               track_sid, "allowed", G_TYPE_BOOLEAN, allowed, NULL));
}

/* The room still works on its list when it tells of a track's end: this comes after it. */
static void
run_check_pads (GstLiveKitSrc *self, gpointer data)
{
  g_autoptr (GError) error = NULL;
  gboolean receiving = FALSE;
  guint n_pads = self->peer ? livekit_peer_count_pads (self->peer) : 0;

  for (guint i = 0; i < self->slots->len; i++)
    receiving |= ((Slot *)g_ptr_array_index (self->slots, i))->rtp_pad != NULL;
  if (n_pads < (receiving ? TOO_MANY_PADS : MANY_PADS) || !self->room)
    return;
  error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED,
      "The media connection is replaced after %u tracks", n_pads);
  GST_INFO_OBJECT (self, "%s", error->message);
  livekit_room_media_broken (self->room, error);
}

static void
on_track_removed (
    LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;
  Slot *slot = find_slot_of_track (self, track->sid);

  GST_INFO_OBJECT (self, "track %s has gone", track->sid);
  publish_participants (self, room);
  if (slot) {
    slot_drop_rtp (self, slot);
    slot_set_track (self, slot, NULL);
  }
  post_message (self, livekit_report_track ("livekit-track-removed", participant, track));
  post (self, run_check_pads, NULL);
}

/* Who plays URIs waits for this before the first picture. Later tracks get their pads all the same.
 */
static void
on_settled (LiveKitRoom *room, gpointer user_data)
{
  gst_element_no_more_pads (GST_ELEMENT (user_data));
}

static void
on_warning (LiveKitRoom *room, const GError *error, gpointer user_data)
{
  post_error (user_data, GST_MESSAGE_WARNING, error);
}

static void
send_eos (GstLiveKitSrc *self)
{
  self->eos = TRUE;
  for (guint i = 0; i < self->slots->len; i++)
    gst_livekit_output_send_eos (
        GST_LIVEKIT_OUTPUT (((Slot *)g_ptr_array_index (self->slots, i))->output));
}

static void
on_failed (LiveKitRoom *room, const GError *error, gpointer user_data)
{
  GstLiveKitSrc *self = user_data;

  drop_peer (self);
  /* A room that closes after a stream is how a stream ends; recordings are finalised by EOS. */
  if (g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_ROOM_CLOSED) && self->media_flowed) {
    post_message (self,
        gst_structure_new ("livekit-room-ended", "reason", G_TYPE_STRING, error->message, NULL));
    send_eos (self);
    return;
  }
  post_error (self, GST_MESSAGE_ERROR, error);
}

static const LiveKitRoomHandlers room_handlers = {
  .state_changed = on_room_state,
  .room_changed = on_room_changed,
  .session_started = on_session_started,
  .offer = on_offer,
  .candidate = on_candidate,
  .rtt_measured = on_rtt_measured,
  .participant_joined = on_participant_joined,
  .participant_left = on_participant_left,
  .track_added = on_track_added,
  .track_changed = on_track_changed,
  .track_removed = on_track_removed,
  .track_permission = on_track_permission,
  .settled = on_settled,
  .warning = on_warning,
  .failed = on_failed,
};

/* --- the signalling thread --- */

static LiveKitRoom *
new_room (GstLiveKitSrc *self, GError **error)
{
  LiveKitConfig *run = &self->run;
  LiveKitTrackSettings layer = livekit_config_get_layer (run);
  g_autoptr (GTlsDatabase) database = NULL;
  g_autoptr (GError) cause = NULL;
  LiveKitTokenSource tokens = {
    .url = run->ws_url,
    .token = run->auth_token,
    .api_key = run->api_key,
    .api_secret = run->secret_key,
    .token_endpoint = run->token_endpoint,
    .room_name = run->room_name,
    .identity = run->identity,
    .participant_name = run->participant_name,
  };
  LiveKitRoomConfig config = {
    .tokens = &tokens,
    .participant = run->participant,
    .video = run->kinds & LIVEKIT_KINDS_VIDEO,
    .audio = run->kinds & LIVEKIT_KINDS_AUDIO,
    .sources = livekit_config_get_source_mask (run),
    .connect_timeout = run->connect_timeout,
    .participant_timeout = run->participant_timeout,
    .reconnect_timeout = run->reconnect_timeout,
    .tls_insecure = !run->tls_validation,
  };
  LiveKitRoom *room;

  if (!livekit_config_check (run, error))
    return NULL;
  if (run->ca_file && !(database = g_tls_file_database_new (run->ca_file, &cause))) {
    g_set_error (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG, "Could not read the CA file “%s”: %s",
        run->ca_file, cause->message);
    return NULL;
  }
  config.tls_database = database;
  room = livekit_room_new (&config, &room_handlers, self);
  livekit_room_set_layer (room, &layer);
  return room;
}

static void
give_up (GstLiveKitSrc *self, const GError *error)
{
  set_connection_state (self, "failed");
  post_error (self, GST_MESSAGE_ERROR, error);
}

static gpointer
signalling_thread (gpointer data)
{
  GstLiveKitSrc *self = data;

  g_main_context_push_thread_default (self->context);
  g_main_loop_run (self->loop);
  g_clear_object (&self->room);
  g_main_context_pop_thread_default (self->context);
  return NULL;
}

/* An error that is posted while the pipeline still goes to PAUSED is lost on gst-launch-1.0, which
 * then waits for ever: joining begins with PLAYING. */
static void
run_join (GstLiveKitSrc *self, gpointer data)
{
  g_autoptr (GError) error = NULL;

  if (self->joining)
    return;
  self->joining = TRUE;
  self->room = new_room (self, &error);
  if (self->room)
    livekit_room_start (self->room);
  else
    give_up (self, error);
}

static void
start (GstLiveKitSrc *self)
{
  GST_OBJECT_LOCK (self);
  livekit_config_resolve (&self->config, &self->run);
  self->context = g_main_context_new ();
  GST_OBJECT_UNLOCK (self);
  self->loop = g_main_loop_new (self->context, FALSE);
  self->stopping = FALSE;
  self->joining = FALSE;
  self->media_flowed = FALSE;
  self->eos = FALSE;
  self->n_video = self->n_audio = 0;
  self->thread = g_thread_new ("livekitsrc", signalling_thread, self);
}

static gboolean
on_left (gpointer data)
{
  GstLiveKitSrc *self = data;

  g_main_loop_quit (self->loop);
  return G_SOURCE_REMOVE;
}

/* Signalling thread. */
static gboolean
leave (gpointer data)
{
  GstLiveKitSrc *self = data;

  self->stopping = TRUE;
  if (self->peer)
    livekit_peer_close (self->peer);
  if (self->room)
    livekit_room_stop (self->room, on_left, self);
  else
    g_main_loop_quit (self->loop);
  return G_SOURCE_REMOVE;
}

static void
begin_stop (GstLiveKitSrc *self)
{
  g_autoptr (GSource) source = g_idle_source_new (), end = g_timeout_source_new (STOP_MS);
  g_autoptr (LiveKitPeer) peer = NULL;

  GST_OBJECT_LOCK (self);
  peer = self->peer ? g_object_ref (self->peer) : NULL;
  GST_OBJECT_UNLOCK (self);
  if (peer)
    livekit_peer_stop_data (peer);

  g_source_set_callback (end, on_left, self, NULL);
  g_source_attach (end, self->context);
  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_set_callback (source, leave, self, NULL);
  g_source_attach (source, self->context);
}

/* What was posted to a loop that ended holds references; run it, now that it does nothing. libsoup
 * aborts where its answers come in a thread whose default context is another. */
static void
drain (GMainContext *context)
{
  g_main_context_push_thread_default (context);
  while (g_main_context_iteration (context, FALSE))
    ;
  g_main_context_pop_thread_default (context);
}

/* After the signalling thread and all streaming threads have ended. */
static void
remove_slots (GstLiveKitSrc *self)
{
  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i);

    g_signal_handlers_disconnect_by_data (slot->pad, self);
    gst_pad_set_active (slot->pad, FALSE);
    gst_element_remove_pad (GST_ELEMENT (self), slot->pad);
    if (slot->branch) {
      gst_element_set_state (slot->branch, GST_STATE_NULL);
      gst_bin_remove (GST_BIN (self), slot->branch);
    }
    gst_element_set_state (slot->output, GST_STATE_NULL);
    gst_bin_remove (GST_BIN (self), slot->output);
  }
  GST_OBJECT_LOCK (self);
  g_ptr_array_set_size (self->slots, 0);
  GST_OBJECT_UNLOCK (self);
}

static void
end_stop (GstLiveKitSrc *self)
{
  g_autoptr (GMainContext) context = NULL;
  g_autoptr (LiveKitPeer) peer = NULL;
  g_autoptr (GPtrArray) participants = NULL;

  g_clear_pointer (&self->thread, g_thread_join);
  if (self->peer) {
    GstElement *webrtcbin = livekit_peer_get_element (self->peer);

    gst_element_set_state (webrtcbin, GST_STATE_NULL);
    gst_bin_remove (GST_BIN (self), webrtcbin);
  }
  remove_slots (self);
  livekit_retirement_wait (self->retirement); /* what they still say must find the context */
  GST_OBJECT_LOCK (self);
  context = g_steal_pointer (&self->context);
  peer = g_steal_pointer (&self->peer);
  participants = g_steal_pointer (&self->participants);
  g_clear_pointer (&self->room_sid, g_free);
  self->rtt = 0;
  GST_OBJECT_UNLOCK (self);
  drain (context);
  g_clear_pointer (&self->loop, g_main_loop_unref);
  livekit_config_clear (&self->run);
  set_connection_state (self, "disconnected");
}

static GstStateChangeReturn
gst_livekit_src_change_state (GstElement *element, GstStateChange transition)
{
  GstLiveKitSrc *self = GST_LIVEKIT_SRC (element);
  GstStateChangeReturn ret;

  switch (transition) {
  case GST_STATE_CHANGE_NULL_TO_READY:
    livekit_peer_warm_up ();
    break;
  case GST_STATE_CHANGE_PAUSED_TO_READY:
    begin_stop (self); /* the leave goes out while the media stops */
    break;
  default:
    break;
  }

  ret = GST_ELEMENT_CLASS (gst_livekit_src_parent_class)->change_state (element, transition);

  switch (transition) {
  case GST_STATE_CHANGE_READY_TO_PAUSED:
    if (ret == GST_STATE_CHANGE_FAILURE)
      return ret;
    start (self);
    return GST_STATE_CHANGE_NO_PREROLL;
  case GST_STATE_CHANGE_PAUSED_TO_PLAYING:
    post (self, run_join, NULL);
    break;
  case GST_STATE_CHANGE_PLAYING_TO_PAUSED:
    return ret == GST_STATE_CHANGE_FAILURE ? ret : GST_STATE_CHANGE_NO_PREROLL;
  case GST_STATE_CHANGE_PAUSED_TO_READY:
    end_stop (self);
    break;
  case GST_STATE_CHANGE_READY_TO_NULL:
    livekit_peer_end_warm_up ();
    break;
  default:
    break;
  }
  return ret;
}

/* --- the element --- */

#define ERROR_TEXT "livekit-error-text"

static gpointer
copy_text (gpointer text, gpointer user_data)
{
  return g_strdup (text);
}

/* What the last error in a child of ours said. (transfer full) */
static char *
get_error_text (gpointer child)
{
  return g_object_dup_data (child, ERROR_TEXT, copy_text, NULL);
}

/* A resume would go on with the webrtcbin that failed. */
static void
run_peer_error (GstLiveKitSrc *self, gpointer webrtcbin)
{
  g_autofree char *text = get_error_text (webrtcbin);
  g_autoptr (GError) error
      = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED, "The media connection failed: %s", text);

  if (self->peer && livekit_peer_get_element (self->peer) == webrtcbin && self->room)
    livekit_room_media_broken (self->room, error);
}

/* Signalling thread. */
static gboolean
on_pause_over (gpointer data)
{
  Slot *slot = data;

  slot_end_pause (slot);
  slot->broken = FALSE;
  if (!slot->src->stopping)
    slot_update (slot->src, slot);
  return G_SOURCE_REMOVE;
}

static void
slot_pause (GstLiveKitSrc *self, Slot *slot, const char *reason)
{
  g_autoptr (GError) error = g_error_new (GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
      "What comes on the pad %s (%s) cannot be used: it failed %d times in %d s. The next try "
      "is in %d s. %s",
      GST_PAD_NAME (slot->pad), slot->mime, MAX_FAILURES, (int)(FAILURE_TIME / G_USEC_PER_SEC),
      FAILURE_PAUSE, reason);

  slot->broken = TRUE;
  slot->failures = 0;
  slot->retry = g_timeout_source_new_seconds (FAILURE_PAUSE);
  g_source_set_callback (slot->retry, on_pause_over, slot, NULL);
  g_source_attach (slot->retry, self->context);
  post_error (self, GST_MESSAGE_WARNING, error);
}

static gboolean
slot_fails_too_often (Slot *slot)
{
  gint64 now = g_get_monotonic_time ();

  if (slot->failures == 0 || now - slot->first_failure > FAILURE_TIME) {
    slot->first_failure = now;
    slot->failures = 0;
  }
  return ++slot->failures >= MAX_FAILURES;
}

static void
run_branch_error (GstLiveKitSrc *self, gpointer branch)
{
  g_autofree char *text = get_error_text (branch);

  for (guint i = 0; i < self->slots->len; i++) {
    Slot *slot = g_ptr_array_index (self->slots, i);

    if (slot->branch != branch)
      continue;
    slot_drop_branch (self, slot);
    if (slot_fails_too_often (slot))
      slot_pause (self, slot, text);
    slot_update (self, slot);
  }
}

/* The child of ours that @object is in: a webrtcbin, a branch or an output. (transfer full)
 * (nullable) */
static GstElement *
find_child (GstLiveKitSrc *self, GstObject *object)
{
  g_autoptr (GstObject) child = gst_object_ref (object);

  while (child) {
    GstObject *parent = gst_object_get_parent (child);

    if (parent == GST_OBJECT (self)) {
      gst_object_unref (parent);
      return GST_ELEMENT (g_steal_pointer (&child));
    }
    gst_object_unref (child);
    child = parent;
  }
  return NULL;
}

/* Any thread. An error of a connection or of a decoder is ours to mend, and no news for the
 * pipeline but a warning. */
static void
gst_livekit_src_handle_message (GstBin *bin, GstMessage *message)
{
  GstLiveKitSrc *self = GST_LIVEKIT_SRC (bin);
  g_autoptr (GstElement) child = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *debug = NULL;

  if (GST_MESSAGE_TYPE (message) != GST_MESSAGE_ERROR
      || GST_MESSAGE_SRC (message) == GST_OBJECT (self)
      || !(child = find_child (self, GST_MESSAGE_SRC (message))) || GST_IS_LIVEKIT_OUTPUT (child)) {
    GST_BIN_CLASS (gst_livekit_src_parent_class)->handle_message (bin, message);
    return;
  }

  gst_message_parse_error (message, &error, &debug);
  GST_WARNING_OBJECT (self, "%s in %s: %s (%s)", error->message, GST_OBJECT_NAME (child),
      GST_OBJECT_NAME (GST_MESSAGE_SRC (message)), debug);
  gst_message_unref (message);
  g_object_set_data_full (G_OBJECT (child), ERROR_TEXT, g_strdup (error->message), g_free);
  if (g_str_has_prefix (GST_OBJECT_NAME (child), LIVEKIT_PEER_ELEMENT_NAME))
    post (self, run_peer_error, g_steal_pointer (&child));
  else
    post (self, run_branch_error, g_steal_pointer (&child));
}

static void
run_eos (GstLiveKitSrc *self, gpointer data)
{
  static const GError no_media
      = { .message = (char *)"Ended before any media came: there is nothing to finish" };
  GError error = no_media;

  if (self->slots->len > 0) {
    send_eos (self);
    return;
  }
  error.domain = LIVEKIT_ERROR;
  error.code = LIVEKIT_ERROR_NO_STREAMER;
  post_error (self, GST_MESSAGE_ERROR, &error);
}

/* Any thread. An EOS from the application ends all that goes out, so that muxers finish their
 * files. */
static gboolean
gst_livekit_src_send_event (GstElement *element, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) != GST_EVENT_EOS)
    return GST_ELEMENT_CLASS (gst_livekit_src_parent_class)->send_event (element, event);
  gst_event_unref (event);
  post (GST_LIVEKIT_SRC (element), run_eos, NULL);
  return TRUE;
}

static void
run_request_keyframe (GstLiveKitSrc *self, gpointer data)
{
  for (guint i = 0; i < self->slots->len; i++)
    request_keyframe (g_ptr_array_index (self->slots, i));
}

static void
gst_livekit_src_request_keyframe (GstLiveKitSrc *self)
{
  post (self, run_request_keyframe, NULL);
}

static void
run_set_layer (GstLiveKitSrc *self, gpointer data)
{
  LiveKitTrackSettings layer;

  GST_OBJECT_LOCK (self);
  layer = livekit_config_get_layer (&self->config);
  GST_OBJECT_UNLOCK (self);
  if (self->room)
    livekit_room_set_layer (self->room, &layer);
}

static void
gst_livekit_src_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstLiveKitSrc *self = GST_LIVEKIT_SRC (object);
  gboolean known;

  GST_OBJECT_LOCK (self);
  known = livekit_config_set_property (&self->config, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  else if (livekit_config_is_layer_property (id))
    post (self, run_set_layer, NULL);
}

/* --- what can be read --- */

static void
get_participants (GstLiveKitSrc *self, GValue *value)
{
  g_autoptr (GPtrArray) participants = NULL;

  GST_OBJECT_LOCK (self);
  if (self->participants)
    participants = g_ptr_array_ref (self->participants);
  GST_OBJECT_UNLOCK (self);
  if (participants)
    livekit_report_participants (participants, value);
}

typedef struct
{
  GstElement *output;
  char *name, *sid;
  guint32 ssrc;
  gboolean sync_known;
  GstClockTimeDiff sync_offset;
} SlotSnapshot;

static void
slot_snapshot_free (gpointer data)
{
  SlotSnapshot *snapshot = data;

  gst_object_unref (snapshot->output);
  g_free (snapshot->name);
  g_free (snapshot->sid);
  g_free (snapshot);
}

static GPtrArray *
snapshot_slots (GstLiveKitSrc *self, LiveKitPeer **peer, gint64 *rtt)
{
  GPtrArray *snapshots = g_ptr_array_new_with_free_func (slot_snapshot_free);

  GST_OBJECT_LOCK (self);
  *peer = self->peer ? g_object_ref (self->peer) : NULL;
  *rtt = self->rtt;
  for (guint i = 0; i < self->slots->len; i++) {
    const Slot *slot = g_ptr_array_index (self->slots, i);
    SlotSnapshot *snapshot = g_new0 (SlotSnapshot, 1);

    snapshot->output = gst_object_ref (slot->output);
    snapshot->name = g_strdup (GST_PAD_NAME (slot->pad));
    snapshot->sid = g_strdup (slot->track_sid);
    snapshot->ssrc = slot->ssrc;
    snapshot->sync_known = slot->sync_known;
    snapshot->sync_offset = slot->sync_offset;
    g_ptr_array_add (snapshots, snapshot);
  }
  GST_OBJECT_UNLOCK (self);
  return snapshots;
}

static GstStructure *
slot_stats (const SlotSnapshot *slot, LiveKitPeer *peer)
{
  g_autoptr (GstStructure) rtp
      = peer && slot->ssrc ? livekit_peer_get_source_stats (peer, slot->ssrc) : NULL;
  GstLiveKitOutputStats output;

  gst_livekit_output_get_stats (GST_LIVEKIT_OUTPUT (slot->output), &output);
  return livekit_report_stats (
      slot->name, slot->sid, &output, slot->sync_known ? &slot->sync_offset : NULL, rtp);
}

static GstStructure *
get_stats (GstLiveKitSrc *self)
{
  g_autoptr (LiveKitPeer) peer = NULL;
  gint64 rtt;
  g_autoptr (GPtrArray) slots = snapshot_slots (self, &peer, &rtt);
  GstStructure *stats
      = gst_structure_new ("application/x-livekit-stats", "rtt", G_TYPE_INT64, rtt, NULL);
  GValue tracks = G_VALUE_INIT;

  g_value_init (&tracks, GST_TYPE_ARRAY);
  for (guint i = 0; i < slots->len; i++)
    livekit_report_append (&tracks, slot_stats (g_ptr_array_index (slots, i), peer));
  gst_structure_take_value (stats, "tracks", &tracks);
  return stats;
}

static void
gst_livekit_src_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstLiveKitSrc *self = GST_LIVEKIT_SRC (object);
  gboolean known = TRUE;

  if (id == prop_participants) {
    get_participants (self, value);
    return;
  }
  if (id == prop_stats) {
    g_value_take_boxed (value, get_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == prop_connection_state)
    g_value_set_string (value, self->connection_state);
  else if (id == prop_room_sid)
    g_value_set_string (value, self->room_sid);
  else
    known = livekit_config_get_property (&self->config, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_livekit_src_finalize (GObject *object)
{
  GstLiveKitSrc *self = GST_LIVEKIT_SRC (object);

  livekit_config_clear (&self->config);
  g_clear_pointer (&self->data, livekit_data_reader_free);
  g_ptr_array_unref (self->slots);
  livekit_retirement_free (self->retirement);
  livekit_flow_unref (self->flow);
  G_OBJECT_CLASS (gst_livekit_src_parent_class)->finalize (object);
}

static void
gst_livekit_src_class_init (GstLiveKitSrcClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  const GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;
  guint id;

  object_class->set_property = gst_livekit_src_set_property;
  object_class->get_property = gst_livekit_src_get_property;
  object_class->finalize = gst_livekit_src_finalize;
  element_class->change_state = gst_livekit_src_change_state;
  element_class->send_event = gst_livekit_src_send_event;
  GST_BIN_CLASS (klass)->handle_message = gst_livekit_src_handle_message;

  id = livekit_config_install_properties (object_class);
  /**
   * GstLiveKitSrc:connection-state:
   *
   * `disconnected`, `connecting`, `connected`, `reconnecting` or `failed`. Each change is
   * notified, and posted as an element message `livekit-connection-state`.
   *
   * Since: 0.1
   */
  prop_connection_state = ++id;
  g_object_class_install_property (object_class, id,
      g_param_spec_string ("connection-state", "Connection state",
          "disconnected, connecting, connected, reconnecting or failed", "disconnected", readable));
  /**
   * GstLiveKitSrc:room-sid:
   *
   * The server's id of the room, once joined; another after the room was closed and opened again.
   *
   * Since: 0.1
   */
  prop_room_sid = ++id;
  g_object_class_install_property (object_class, id,
      g_param_spec_string ("room-sid", "Room sid", "The server's id of the room", NULL, readable));
  /**
   * GstLiveKitSrc:participants:
   *
   * The others in the room: an array of structures with `identity`, `sid`, `name` and an array
   * `tracks`, each as in `livekit-track-added`.
   *
   * Since: 0.1
   */
  prop_participants = ++id;
  g_object_class_install_property (object_class, id,
      gst_param_spec_array ("participants", "Participants",
          "The others in the room: identity, sid, name, tracks", NULL, readable));
  /**
   * GstLiveKitSrc:stats:
   *
   * `rtt`, the round trip of the signalling in ms as of the last ping, 0 before the first; and an
   * array `tracks`, for each pad its counters, which docs/livekitsrc.md lists.
   *
   * Since: 0.1
   */
  prop_stats = ++id;
  g_object_class_install_property (object_class, id,
      g_param_spec_boxed ("stats", "Statistics",
          "Per track: packets, loss, jitter, requests sent, frames, gaps, lip-sync shift (ns)",
          GST_TYPE_STRUCTURE, readable));

  /**
   * GstLiveKitSrc::request-keyframe:
   *
   * Asks the publisher for a key frame of every picture that is received. The server passes on one
   * request for a track each half second. Action signal.
   *
   * Since: 0.1
   */
  signals[SIGNAL_REQUEST_KEYFRAME] = g_signal_new_class_handler ("request-keyframe",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (gst_livekit_src_request_keyframe), NULL, NULL, NULL, G_TYPE_NONE, 0);

  gst_element_class_add_static_pad_template_with_gtype (
      element_class, &video_template, GST_TYPE_LIVEKIT_PAD);
  gst_element_class_add_static_pad_template_with_gtype (
      element_class, &audio_template, GST_TYPE_LIVEKIT_PAD);
  gst_element_class_set_static_metadata (element_class, "LiveKit source", "Source/Network",
      "Receives the media of a LiveKit room", "Haven Live");
}

static void
gst_livekit_src_init (GstLiveKitSrc *self)
{
  livekit_config_init (&self->config);
  self->connection_state = "disconnected";
  self->slots = g_ptr_array_new_with_free_func (slot_free);
  self->retirement = livekit_retirement_new ();
  self->flow = livekit_flow_new ();
  gst_bin_set_suppressed_flags (GST_BIN (self), GST_ELEMENT_FLAG_SOURCE | GST_ELEMENT_FLAG_SINK);
  GST_OBJECT_FLAG_SET (self, GST_ELEMENT_FLAG_SOURCE);
}

/* --- livekit://HOST:PORT/ROOM --- */

static GstURIType
uri_get_type (GType type)
{
  return GST_URI_SRC;
}

static const gchar *const *
uri_get_protocols (GType type)
{
  static const gchar *const protocols[] = { "livekit", "livekits", NULL };

  return protocols;
}

static gchar *
uri_get_uri (GstURIHandler *handler)
{
  GstLiveKitSrc *self = GST_LIVEKIT_SRC (handler);
  gchar *uri;

  GST_OBJECT_LOCK (self);
  uri = livekit_config_get_uri (&self->config);
  GST_OBJECT_UNLOCK (self);
  return uri;
}

static gboolean
uri_set_uri (GstURIHandler *handler, const gchar *uri, GError **error)
{
  GstLiveKitSrc *self = GST_LIVEKIT_SRC (handler);
  gboolean ok;

  GST_OBJECT_LOCK (self);
  ok = livekit_config_set_uri (&self->config, uri, error);
  GST_OBJECT_UNLOCK (self);
  return ok;
}

static void
gst_livekit_src_uri_handler_init (gpointer iface, gpointer data)
{
  GstURIHandlerInterface *handler = iface;

  handler->get_type = uri_get_type;
  handler->get_protocols = uri_get_protocols;
  handler->get_uri = uri_get_uri;
  handler->set_uri = uri_set_uri;
}
