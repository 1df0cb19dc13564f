/* fast-room: a room in which hours pass in minutes. It is livekitsrc to whoever looks for that: the
 * session, its recording, the muxer, the file and all behind them are those of every day.
 *
 * Its streamer sends a clip of VP8 and silence, over and over and in real time. From when the first
 * key frame is asked for, as a recording does when it begins, it sends as fast as that is taken,
 * until so many seconds have passed in its time stamps; then in real time again. No picture is
 * dropped: there are never more on the way than the queues of a recording hold.
 *
 * HAVEN_FAST_ROOM_CLIP: an IVF file. HAVEN_FAST_ROOM_SECONDS: how many pass fast; 0: none.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/gst.h>

#include "gstlivekitpad.h"

#define FRAME (GST_SECOND / 30)
#define PACKET (20 * GST_MSECOND)
#define MAX_ON_THE_WAY 150 /* pictures: 5 s, where a queue takes 10 */
#define IVF_HEADER 32
#define IVF_FRAME_HEADER 12

struct _FastRoom
{
  GstBin parent;

  GstElement *video, *audio; /* (owned by the bin) appsrc */
  char *room_name;
  GBytes *clip;
  guint64 seconds;
  GThread *thread;

  GMutex lock; /* of what follows */
  GCond changed;
  guint on_the_way;
  gboolean asked, stopped;
};

#define FAST_TYPE_ROOM (fast_room_get_type ())
G_DECLARE_FINAL_TYPE (FastRoom, fast_room, FAST, ROOM, GstBin)
G_DEFINE_FINAL_TYPE (FastRoom, fast_room, GST_TYPE_BIN)

/* -- what is sent */

static void
on_released (gpointer data) /* any thread */
{
  FastRoom *self = data;

  g_mutex_lock (&self->lock);
  self->on_the_way--;
  g_cond_signal (&self->changed);
  g_mutex_unlock (&self->lock);
  gst_object_unref (self);
}

/* @offset: (inout): of the next picture in the clip */
static GstBuffer *
next_picture (FastRoom *self, gsize *offset)
{
  gsize all;
  const guint8 *clip = g_bytes_get_data (self->clip, &all);
  gsize at = *offset + IVF_FRAME_HEADER, size = GST_READ_UINT32_LE (clip + *offset);
  GstBuffer *buffer;

  *offset = at + size < all ? at + size : IVF_HEADER;
  g_mutex_lock (&self->lock);
  self->on_the_way++;
  g_mutex_unlock (&self->lock);
  buffer = gst_buffer_new_wrapped_full (GST_MEMORY_FLAG_READONLY, (gpointer)(clip + at), size, 0,
      size, gst_object_ref (self), on_released);
  if (clip[at] & 1)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  return buffer;
}

static void
push (GstElement *source, GstBuffer *buffer /* (transfer full) */, GstClockTime at,
    GstClockTime duration)
{
  GstFlowReturn flow;

  GST_BUFFER_PTS (buffer) = at;
  GST_BUFFER_DURATION (buffer) = duration;
  g_signal_emit_by_name (source, "push-buffer", buffer, &flow);
  gst_buffer_unref (buffer);
}

static void
push_silence (FastRoom *self, GstClockTime at)
{
  static const guint8 silence[] = { 0xf8, 0xff, 0xfe };

  push (self->audio, gst_buffer_new_memdup (silence, sizeof silence), at, PACKET);
}

/* -- when */

/* Returns: whether it goes on */
static gboolean
wait_until (FastRoom *self, gint64 when)
{
  gboolean stopped;

  g_mutex_lock (&self->lock);
  while (!self->stopped && g_cond_wait_until (&self->changed, &self->lock, when))
    ;
  stopped = self->stopped;
  g_mutex_unlock (&self->lock);
  return !stopped;
}

static gboolean
wait_for_room (FastRoom *self)
{
  gboolean stopped;

  g_mutex_lock (&self->lock);
  while (!self->stopped && self->on_the_way >= MAX_ON_THE_WAY)
    g_cond_wait (&self->changed, &self->lock);
  stopped = self->stopped;
  g_mutex_unlock (&self->lock);
  return !stopped;
}

static gboolean
was_asked (FastRoom *self)
{
  gboolean asked;

  g_mutex_lock (&self->lock);
  asked = self->asked;
  g_mutex_unlock (&self->lock);
  return asked;
}

static gpointer
stream (gpointer data)
{
  FastRoom *self = data;
  GstClockTime picture_at = 0, sound_at = 0, fast_until = 0;
  gint64 next = g_get_monotonic_time ();
  gsize offset = IVF_HEADER;

  while (picture_at < fast_until ? wait_for_room (self) : wait_until (self, next)) {
    if (!fast_until && was_asked (self))
      fast_until = picture_at + self->seconds * GST_SECOND;
    push (self->video, next_picture (self, &offset), picture_at, FRAME);
    for (; sound_at <= picture_at; sound_at += PACKET)
      push_silence (self, sound_at);
    picture_at += FRAME;
    next = (picture_at < fast_until ? g_get_monotonic_time () : next) + FRAME / GST_USECOND;
  }
  return NULL;
}

/* -- the room */

static void
announce (FastRoom *self, const char *kind, const char *source, const char *mime)
{
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("livekit-track-added", "sid", G_TYPE_STRING, kind, "kind",
              G_TYPE_STRING, kind, "source", G_TYPE_STRING, source, "name", G_TYPE_STRING, source,
              "mime", G_TYPE_STRING, mime, "muted", G_TYPE_BOOLEAN, FALSE, NULL)));
}

static void
join (FastRoom *self)
{
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self), gst_structure_new ("livekit-connection-state",
                                                      "state", G_TYPE_STRING, "connected", NULL)));
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("livekit-room-joined", "name", G_TYPE_STRING, self->room_name, NULL)));
  announce (self, "video", "camera", "video/VP8");
  announce (self, "audio", "microphone", "audio/opus");
  self->thread = g_thread_new ("fast-room", stream, self);
}

static void
leave (FastRoom *self)
{
  g_mutex_lock (&self->lock);
  self->stopped = TRUE;
  g_cond_signal (&self->changed);
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&self->thread, g_thread_join);
}

static GstStateChangeReturn
fast_room_change_state (GstElement *element, GstStateChange transition)
{
  FastRoom *self = FAST_ROOM (element);
  GstStateChangeReturn result;

  if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
    leave (self);
  result = GST_ELEMENT_CLASS (fast_room_parent_class)->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING && result != GST_STATE_CHANGE_FAILURE)
    join (self);
  return result;
}

static void
on_key_frame_asked (FastRoom *self)
{
  g_mutex_lock (&self->lock);
  self->asked = TRUE;
  g_mutex_unlock (&self->lock);
}

static GstElement *
add (FastRoom *self, const char *factory)
{
  GstElement *element = gst_element_factory_make (factory, NULL);

  gst_bin_add (GST_BIN (self), element);
  return element;
}

static void
add_pad (FastRoom *self, const char *kind, const char *name, GstElement *tee)
{
  g_autoptr (LiveKitParticipant) streamer = livekit_participant_new ();
  g_autoptr (LiveKitTrack) track = livekit_track_new ();
  g_autoptr (GstPad) target = gst_element_request_pad_simple (tee, "src_%u");
  GstPad *pad = gst_livekit_pad_new (name, target, NULL);

  streamer->sid = g_strdup ("streamer");
  streamer->identity = g_strdup ("streamer");
  track->sid = g_strdup (kind);
  gst_livekit_pad_set_track (GST_LIVEKIT_PAD (pad), streamer, track);
  gst_element_add_pad (GST_ELEMENT (self), pad);
}

/* Returns: (transfer none): its appsrc */
static GstElement *
add_track (FastRoom *self, const char *kind, const char *pad_name, const char *caps_text)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (caps_text);
  GstElement *source = add (self, "appsrc");
  GstElement *tee = add (self, "tee"); /* so that it may be linked later */

  g_object_set (source, "caps", caps, "is-live", TRUE, "max-bytes", (guint64)0, NULL);
  gst_util_set_object_arg (G_OBJECT (source), "format", "time");
  g_object_set (tee, "allow-not-linked", TRUE, NULL);
  gst_element_link (source, tee);
  add_pad (self, kind, pad_name, tee);
  return source;
}

/* -- object */

enum
{
  PROP_ROOM_NAME = 1,
  PROP_OTHER, /* and those behind it: taken, and of no consequence here */
};

static void
fast_room_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  FastRoom *self = FAST_ROOM (object);

  if (id != PROP_ROOM_NAME)
    return;
  g_free (self->room_name);
  self->room_name = g_value_dup_string (value);
}

static void
fast_room_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  /* No statistics are there: the value stays as it is, NULL. */
}

static void
fast_room_finalize (GObject *object)
{
  FastRoom *self = FAST_ROOM (object);

  g_bytes_unref (self->clip);
  g_free (self->room_name);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (fast_room_parent_class)->finalize (object);
}

static void
fast_room_class_init (FastRoomClass *klass)
{
  static const char *const strings[] = { "output", "ws-url", "auth-token", "api-key", "secret-key",
    "token-endpoint", "identity", "participant-name", "participant" };
  static const char *const numbers[]
      = { "participant-timeout", "connect-timeout", "reconnect-timeout" };
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  guint id = PROP_OTHER;

  object_class->set_property = fast_room_set_property;
  object_class->get_property = fast_room_get_property;
  object_class->finalize = fast_room_finalize;
  element_class->change_state = fast_room_change_state;
  g_object_class_install_property (object_class, PROP_ROOM_NAME,
      g_param_spec_string ("room-name", NULL, NULL, NULL, G_PARAM_WRITABLE));
  for (guint i = 0; i < G_N_ELEMENTS (strings); i++)
    g_object_class_install_property (
        object_class, id++, g_param_spec_string (strings[i], NULL, NULL, NULL, G_PARAM_WRITABLE));
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    g_object_class_install_property (object_class, id++,
        g_param_spec_uint (numbers[i], NULL, NULL, 0, G_MAXUINT, 0, G_PARAM_WRITABLE));
  g_object_class_install_property (object_class, id++,
      g_param_spec_boolean ("data-messages", NULL, NULL, FALSE, G_PARAM_WRITABLE));
  g_object_class_install_property (
      object_class, id++, g_param_spec_boolean ("idle-gaps", NULL, NULL, TRUE, G_PARAM_WRITABLE));
  g_object_class_install_property (object_class, id,
      g_param_spec_boxed ("stats", NULL, NULL, GST_TYPE_STRUCTURE, G_PARAM_READABLE));
  g_signal_new_class_handler ("request-keyframe", G_TYPE_FROM_CLASS (klass),
      G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK (on_key_frame_asked), NULL, NULL, NULL,
      G_TYPE_NONE, 0);
  gst_element_class_set_static_metadata (
      element_class, "Fast room", "Source/Network", "A room in which time passes fast", "nobody");
}

static void
fast_room_init (FastRoom *self)
{
  const char *seconds = g_getenv ("HAVEN_FAST_ROOM_SECONDS");
  g_autoptr (GError) error = NULL;
  char *clip;
  gsize size;

  if (!g_file_get_contents (g_getenv ("HAVEN_FAST_ROOM_CLIP"), &clip, &size, &error))
    g_error ("%s", error->message);
  self->clip = g_bytes_new_take (clip, size);
  self->seconds = g_ascii_strtoull (seconds ? seconds : "0", NULL, 10);
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->video = add_track (self, "video", "video_0", "video/x-vp8,width=640,height=360");
  self->audio = add_track (
      self, "audio", "audio_0", "audio/x-opus,rate=48000,channels=1,channel-mapping-family=0");
}

static gboolean
plugin_init (GstPlugin *plugin)
{
  return gst_element_register (plugin, "livekitsrc", GST_RANK_NONE, FAST_TYPE_ROOM);
}

/* By the name of the file that it stands before. */
GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, livekit, "A fast room", plugin_init,
    PACKAGE_VERSION, "LGPL", PACKAGE_NAME, PACKAGE_ORIGIN)
