/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-havenwssink
 * @title: havenwssink
 * @short_description: shows pictures and sound in browsers
 *
 * Sends JPEG pictures and PCM sound, or encoded video and Opus as they come, to any number of
 * WebSocket viewers, and serves a page that plays them. A viewer that lags loses frames: at most
 * one is on the wire and one waits, the newest. It never slows the pipeline or another viewer.
 * Sound is not dropped: a viewer that lags by 5 seconds of it is closed with code 1013.
 *
 * The request pads `video` (image/jpeg, or VP8, VP9, H.264, AV1) and `audio` (S16LE, 48000 Hz,
 * mono, or Opus) work together or alone. Encoded media reaches viewers of the form haven.v1 only.
 * Frames go out as they come; set #GstHavenWsSink:sync for sources that are faster than real time.
 *
 * ## Watch a test picture with sound on http://127.0.0.1:8090/
 * |[
 * gst-launch-1.0 havenwssink name=w port=8090 \
 *     videotestsrc is-live=true ! jpegenc ! w.video \
 *     audiotestsrc is-live=true ! audioconvert ! audioresample ! w.audio
 * ]|
 *
 * ## Watch a film
 * |[
 * gst-launch-1.0 havenwssink name=w sync=true uridecodebin uri=file:///tmp/film.mkv name=d \
 *     d. ! queue ! videoconvert ! jpegenc ! w.video d. ! queue ! audioconvert ! audioresample !
 * w.audio
 * ]|
 *
 * Since: 0.1
 */
#include "gsthavenwssink.h"

#include <gst/video/video.h>

#include "gsthavenwsinput.h"
#include "ws-access.h"
#include "ws-hub.h"

GST_DEBUG_CATEGORY (gst_haven_ws_sink_debug);
#define GST_CAT_DEFAULT gst_haven_ws_sink_debug

#define DEFAULT_ADDRESS "127.0.0.1"
#define DEFAULT_PORT 8080
#define DEFAULT_STREAM_NAME "live"
#define DEFAULT_MAX_VIEWERS 100
#define DEFAULT_SYNC FALSE
#define MAX_STREAM_NAME 128 /* characters */

struct _GstHavenWsSink
{
  GstBin parent;

  /* Properties, protected by OBJECT_LOCK. Those of the server count when it starts. */
  char *address, *stream_name, *allowed_origins, *allowed_hosts, *access_token; /* (owned) */
  guint port, max_viewers;
  gboolean listen, sync;

  gint64 time_at_zero; /* µs since 1970 at running time 0; 0: not known yet; protected by
                          OBJECT_LOCK */

  WsHub *hub;      /* (owned) (nullable) from READY on; protected by OBJECT_LOCK, refer to it with
                      get_hub() */
  gboolean ended;  /* the hub was told so last; protected by end_lock */
  GMutex end_lock; /* taken before OBJECT_LOCK and the hub's */
};

enum
{
  PROP_0,
  PROP_LISTEN,
  PROP_ADDRESS,
  PROP_PORT,
  PROP_BOUND_PORT,
  PROP_STREAM_NAME,
  PROP_MAX_VIEWERS,
  PROP_ALLOWED_ORIGINS,
  PROP_ALLOWED_HOSTS,
  PROP_ACCESS_TOKEN,
  PROP_SYNC,
  PROP_NUM_VIEWERS,
  PROP_STATS,
  N_PROPS
};

enum
{
  SIGNAL_VIEWER_ADDED,
  SIGNAL_VIEWER_REMOVED,
  SIGNAL_ADD_CONNECTION,
  SIGNAL_CLOSE_VIEWERS,
  N_SIGNALS
};

static GParamSpec *properties[N_PROPS];
static guint signals[N_SIGNALS];

static GstStaticPadTemplate video_template
    = GST_STATIC_PAD_TEMPLATE ("video", GST_PAD_SINK, GST_PAD_REQUEST,
        GST_STATIC_CAPS ("image/jpeg; video/x-vp8; video/x-vp9; "
                         "video/x-h264, stream-format = byte-stream, alignment = au; "
                         "video/x-av1, stream-format = obu-stream, alignment = tu"));

static GstStaticPadTemplate audio_template
    = GST_STATIC_PAD_TEMPLATE ("audio", GST_PAD_SINK, GST_PAD_REQUEST,
        GST_STATIC_CAPS (
            "audio/x-raw, format = S16LE, rate = 48000, channels = 1, layout = interleaved; "
            "audio/x-opus"));

G_DEFINE_FINAL_TYPE (GstHavenWsSink, gst_haven_ws_sink, GST_TYPE_BIN)
GST_ELEMENT_REGISTER_DEFINE (havenwssink, "havenwssink", GST_RANK_NONE, GST_TYPE_HAVEN_WS_SINK)

/* Any thread. Returns: (transfer full) (nullable) */
static WsHub *
get_hub (GstHavenWsSink *self)
{
  WsHub *hub;

  GST_OBJECT_LOCK (self);
  hub = self->hub ? ws_hub_ref (self->hub) : NULL;
  GST_OBJECT_UNLOCK (self);
  return hub;
}

/* -- from the hub's thread -- */

static void
on_viewer_added (guint id, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_VIEWER_ADDED], 0, id);
}

static void
on_viewer_removed (guint id, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_VIEWER_REMOVED], 0, id);
}

static void
on_key_frame_wanted (gpointer user_data)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (user_data, "video");

  if (pad)
    gst_pad_push_event (
        pad, gst_video_event_new_upstream_force_key_unit (GST_CLOCK_TIME_NONE, TRUE, 0));
}

static const WsHubCallbacks hub_callbacks
    = { on_viewer_added, on_viewer_removed, on_key_frame_wanted };

/* -- from the inputs' streaming threads
 * ------------------------------------------------------------ */

static gboolean
on_is_watched (WsKind kind, gpointer user_data)
{
  g_autoptr (WsHub) hub = get_hub (user_data);

  return hub && ws_hub_is_watched (hub, kind);
}

/* With OBJECT_LOCK held. Without a clock a frame is shown when it comes. */
static gint64
find_time_at_zero (GstHavenWsSink *self, GstClockTime running_time)
{
  GstClock *clock = GST_ELEMENT_CLOCK (self);
  GstClockTime now
      = clock ? gst_clock_get_time (clock) - GST_ELEMENT (self)->base_time : running_time;

  return g_get_real_time () - (gint64)(now / GST_USECOND);
}

/* Both pads have one zero, which a step of the system's clock does not move. */
static gint64
on_get_time (GstClockTime running_time, gpointer user_data)
{
  GstHavenWsSink *self = user_data;
  gint64 zero;

  GST_OBJECT_LOCK (self);
  if (!self->time_at_zero)
    self->time_at_zero = find_time_at_zero (self, running_time);
  zero = self->time_at_zero;
  GST_OBJECT_UNLOCK (self);
  return zero + (gint64)(running_time / GST_USECOND);
}

static void
on_media (const WsMedia *media, gpointer user_data)
{
  g_autoptr (WsHub) hub = get_hub (user_data);

  if (hub)
    ws_hub_post (hub, media);
}

static gboolean
all_inputs_are_eos (GstHavenWsSink *self)
{
  gboolean any = FALSE, all = TRUE;

  GST_OBJECT_LOCK (self);
  for (GList *l = GST_BIN_CHILDREN (self); l; l = l->next) {
    any = TRUE;
    all &= gst_haven_ws_input_is_eos (GST_HAVEN_WS_INPUT (l->data));
  }
  GST_OBJECT_UNLOCK (self);
  return any && all;
}

/* An input reached its end, or began anew, came or went: has the stream ended? Any thread. */
static void
update_end (GstHavenWsSink *self)
{
  g_autoptr (WsHub) hub = get_hub (self);
  gboolean ended;

  if (!hub)
    return;
  g_mutex_lock (&self->end_lock);
  ended = all_inputs_are_eos (self);
  if (ended != self->ended) {
    GST_INFO_OBJECT (self, "the stream %s", ended ? "has ended" : "goes on");
    self->ended = ended;
    if (ended)
      ws_hub_post_end (hub);
    else
      ws_hub_post_resume (hub);
  }
  g_mutex_unlock (&self->end_lock);
}

static void
on_eos_changed (gpointer user_data)
{
  update_end (user_data);
}

static const GstHavenWsInputCallbacks input_callbacks
    = { on_is_watched, on_get_time, on_media, on_eos_changed };

/* -- pads
 * ------------------------------------------------------------------------------------------ */

static GstPad *
gst_haven_ws_sink_request_new_pad (
    GstElement *element, GstPadTemplate *template, const char *name, const GstCaps *caps)
{
  GstHavenWsSink *self = GST_HAVEN_WS_SINK (element);
  const char *pad_name = GST_PAD_TEMPLATE_NAME_TEMPLATE (template);
  WsKind kind = g_str_equal (pad_name, "audio") ? WS_KIND_AUDIO : WS_KIND_VIDEO;
  g_autoptr (GstPad) taken = gst_element_get_static_pad (element, pad_name);
  g_autoptr (GstPad) target = NULL;
  g_autoptr (GstCaps) template_caps = NULL;
  GstElement *input;
  GstPad *pad;

  if (taken) {
    GST_WARNING_OBJECT (self, "there is only one pad “%s”", pad_name);
    return NULL;
  }
  template_caps = gst_pad_template_get_caps (template);
  input = gst_haven_ws_input_new (pad_name, kind, template_caps, &input_callbacks, self);
  GST_OBJECT_LOCK (self);
  gst_base_sink_set_sync (GST_BASE_SINK (input), self->sync);
  GST_OBJECT_UNLOCK (self);
  if (!gst_bin_add (GST_BIN (self), input))
    return NULL;
  target = gst_element_get_static_pad (input, "sink");
  pad = gst_ghost_pad_new_from_template (pad_name, target, template);
  gst_pad_set_active (pad, TRUE);
  gst_element_add_pad (element, pad);
  gst_element_sync_state_with_parent (input);
  update_end (self);
  return pad;
}

static void
gst_haven_ws_sink_release_pad (GstElement *element, GstPad *pad)
{
  GstHavenWsSink *self = GST_HAVEN_WS_SINK (element);
  g_autoptr (GstPad) target = gst_ghost_pad_get_target (GST_GHOST_PAD (pad));
  g_autoptr (GstElement) input = target ? gst_pad_get_parent_element (target) : NULL;

  gst_pad_set_active (pad, FALSE);
  gst_element_remove_pad (element, pad);
  if (!input)
    return;
  gst_element_set_locked_state (input, TRUE);
  gst_element_set_state (input, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (self), input);
  update_end (self);
}

/* -- states
 * ---------------------------------------------------------------------------------------- */

static WsConfig * /* Returns: (transfer full) */
make_config (GstHavenWsSink *self)
{
  WsConfig *config = g_new0 (WsConfig, 1);

  GST_OBJECT_LOCK (self);
  config->listen = self->listen;
  config->address = g_strdup (self->address);
  config->port = self->port;
  config->stream_name = g_strdup (self->stream_name);
  config->max_viewers = self->max_viewers;
  config->allowed_origins = ws_access_split (self->allowed_origins);
  config->allowed_hosts = ws_access_split (self->allowed_hosts);
  config->access_token
      = self->access_token && *self->access_token ? g_strdup (self->access_token) : NULL;
  GST_OBJECT_UNLOCK (self);
  return config;
}

static gboolean
is_valid_stream_name (const char *name)
{
  if (!name || !*name || !g_utf8_validate (name, -1, NULL)
      || g_utf8_strlen (name, -1) > MAX_STREAM_NAME)
    return FALSE;
  for (const char *p = name; *p; p = g_utf8_next_char (p))
    if (*p == '/' || g_unichar_iscntrl (g_utf8_get_char (p)))
      return FALSE;
  return TRUE;
}

static void
warn_if_open (GstHavenWsSink *self, const WsConfig *config)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (config->address);

  if (address && !g_inet_address_get_is_loopback (address) && !config->access_token)
    GST_WARNING_OBJECT (self,
        "listening on %s without an access-token: whoever reaches it can watch", config->address);
}

static gboolean
start (GstHavenWsSink *self)
{
  g_autoptr (WsConfig) config = make_config (self);
  g_autofree char *address = g_strdup (config->address);
  guint port = config->port;
  g_autoptr (GError) error = NULL;
  WsHub *hub;

  if (config->listen && !is_valid_stream_name (config->stream_name)) {
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS,
        ("“%s” cannot be the name of a stream.", config->stream_name),
        ("stream-name: 1 to %d characters, no slash, no control characters", MAX_STREAM_NAME));
    return FALSE;
  }
  if (config->listen)
    warn_if_open (self, config);
  hub = ws_hub_new (g_steal_pointer (&config), &hub_callbacks, self, &error);
  if (!hub) {
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
      GST_ELEMENT_ERROR (self, RESOURCE, BUSY, ("Port %u of %s is already in use.", port, address),
          ("%s", error->message));
    else
      GST_ELEMENT_ERROR (self, RESOURCE, OPEN_WRITE,
          ("Could not listen on port %u of %s.", port, address), ("%s", error->message));
    return FALSE;
  }
  if (ws_hub_get_port (hub))
    GST_INFO_OBJECT (self, "listening on port %u of %s", ws_hub_get_port (hub), address);
  g_mutex_lock (&self->end_lock);
  self->ended = FALSE;
  g_mutex_unlock (&self->end_lock);
  GST_OBJECT_LOCK (self);
  self->hub = hub;
  GST_OBJECT_UNLOCK (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_BOUND_PORT]);
  return TRUE;
}

static void
stop (GstHavenWsSink *self)
{
  WsHub *hub;

  GST_OBJECT_LOCK (self);
  hub = g_steal_pointer (&self->hub);
  GST_OBJECT_UNLOCK (self);
  if (!hub)
    return;
  ws_hub_stop (hub);
  ws_hub_unref (hub);
}

static GstStateChangeReturn
gst_haven_ws_sink_change_state (GstElement *element, GstStateChange transition)
{
  GstHavenWsSink *self = GST_HAVEN_WS_SINK (element);
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_NULL_TO_READY && !start (self))
    return GST_STATE_CHANGE_FAILURE;
  if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING) { /* running time stood still until now */
    GST_OBJECT_LOCK (self);
    self->time_at_zero = 0;
    GST_OBJECT_UNLOCK (self);
  }
  ret = GST_ELEMENT_CLASS (gst_haven_ws_sink_parent_class)->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_READY_TO_NULL
      || (transition == GST_STATE_CHANGE_NULL_TO_READY && ret == GST_STATE_CHANGE_FAILURE))
    stop (self);
  return ret;
}

/* -- properties
 * ------------------------------------------------------------------------------------ */

static guint /* action signal; any thread */
gst_haven_ws_sink_add_connection (GstHavenWsSink *self, GIOStream *connection, const char *target)
{
  g_autoptr (WsHub) hub = get_hub (self);
  guint id = hub && connection && target ? ws_hub_add_connection (hub, connection, target) : 0;

  if (id == 0)
    GST_WARNING_OBJECT (self, "cannot serve a connection for “%s”", target ? target : "");
  return id;
}

static void /* action signal; any thread */
gst_haven_ws_sink_close_viewers (GstHavenWsSink *self, guint code, const char *reason)
{
  g_autoptr (WsHub) hub = get_hub (self);

  if (hub)
    ws_hub_post_close (hub, code, reason);
}

static void
set_sync (GstHavenWsSink *self, gboolean sync) /* OBJECT_LOCK held */
{
  self->sync = sync;
  for (GList *l = GST_BIN_CHILDREN (self); l; l = l->next)
    gst_base_sink_set_sync (l->data, sync);
}

static void
replace_string (char **string, const GValue *value)
{
  g_free (*string);
  *string = g_value_dup_string (value);
}

static void
gst_haven_ws_sink_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstHavenWsSink *self = GST_HAVEN_WS_SINK (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_LISTEN:
    self->listen = g_value_get_boolean (value);
    break;
  case PROP_ADDRESS:
    replace_string (&self->address, value);
    break;
  case PROP_PORT:
    self->port = g_value_get_uint (value);
    break;
  case PROP_STREAM_NAME:
    replace_string (&self->stream_name, value);
    break;
  case PROP_MAX_VIEWERS:
    self->max_viewers = g_value_get_uint (value);
    break;
  case PROP_ALLOWED_ORIGINS:
    replace_string (&self->allowed_origins, value);
    break;
  case PROP_ALLOWED_HOSTS:
    replace_string (&self->allowed_hosts, value);
    break;
  case PROP_ACCESS_TOKEN:
    replace_string (&self->access_token, value);
    break;
  case PROP_SYNC:
    set_sync (self, g_value_get_boolean (value));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static GstStructure * /* Returns: (transfer full) */
get_stats (WsHub *hub)
{
  return hub ? ws_hub_get_stats (hub) : gst_structure_new_empty ("havenwssink-stats");
}

static void
gst_haven_ws_sink_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstHavenWsSink *self = GST_HAVEN_WS_SINK (object);
  g_autoptr (WsHub) hub = get_hub (self);

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_LISTEN:
    g_value_set_boolean (value, self->listen);
    break;
  case PROP_ADDRESS:
    g_value_set_string (value, self->address);
    break;
  case PROP_PORT:
    g_value_set_uint (value, self->port);
    break;
  case PROP_BOUND_PORT:
    g_value_set_uint (value, hub ? ws_hub_get_port (hub) : 0);
    break;
  case PROP_STREAM_NAME:
    g_value_set_string (value, self->stream_name);
    break;
  case PROP_MAX_VIEWERS:
    g_value_set_uint (value, self->max_viewers);
    break;
  case PROP_ALLOWED_ORIGINS:
    g_value_set_string (value, self->allowed_origins);
    break;
  case PROP_ALLOWED_HOSTS:
    g_value_set_string (value, self->allowed_hosts);
    break;
  case PROP_SYNC:
    g_value_set_boolean (value, self->sync);
    break;
  case PROP_NUM_VIEWERS:
    g_value_set_uint (value, hub ? ws_hub_count_viewers (hub) : 0);
    break;
  case PROP_STATS:
    g_value_take_boxed (value, get_stats (hub));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_haven_ws_sink_finalize (GObject *object)
{
  GstHavenWsSink *self = GST_HAVEN_WS_SINK (object);

  g_free (self->address);
  g_free (self->stream_name);
  g_free (self->allowed_origins);
  g_free (self->allowed_hosts);
  g_free (self->access_token);
  g_mutex_clear (&self->end_lock);
  G_OBJECT_CLASS (gst_haven_ws_sink_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags strings = G_PARAM_STATIC_STRINGS;
  const GParamFlags setting = G_PARAM_READWRITE | GST_PARAM_MUTABLE_READY | strings;

  /**
   * GstHavenWsSink:listen:
   *
   * Whether to listen at all. Otherwise viewers come by #GstHavenWsSink::add-connection alone.
   *
   * Since: 0.1
   */
  properties[PROP_LISTEN] = g_param_spec_boolean ("listen", "Listen",
      "Listen for viewers; otherwise they come by add-connection alone", TRUE, setting);
  /**
   * GstHavenWsSink:address:
   *
   * IP address to listen on. The default can be reached from this machine only; `0.0.0.0` and `::`
   * are all addresses: set #GstHavenWsSink:access-token then.
   *
   * Since: 0.1
   */
  properties[PROP_ADDRESS] = g_param_spec_string (
      "address", "Address", "IP address to listen on", DEFAULT_ADDRESS, setting);
  /**
   * GstHavenWsSink:port:
   *
   * TCP port to listen on; 0 for any that is free, to be read from #GstHavenWsSink:bound-port.
   *
   * Since: 0.1
   */
  properties[PROP_PORT] = g_param_spec_uint ("port", "Port",
      "TCP port to listen on; 0: any that is free", 0, G_MAXUINT16, DEFAULT_PORT, setting);
  /**
   * GstHavenWsSink:bound-port:
   *
   * TCP port that is listened on, from READY on; 0 before.
   *
   * Since: 0.1
   */
  properties[PROP_BOUND_PORT] = g_param_spec_uint ("bound-port", "Bound port",
      "TCP port that is listened on; 0: none", 0, G_MAXUINT16, 0, G_PARAM_READABLE | strings);
  /**
   * GstHavenWsSink:stream-name:
   *
   * Name of the stream in the address of its endpoints, and `mint_id` in the JSON form.
   *
   * Since: 0.1
   */
  properties[PROP_STREAM_NAME] = g_param_spec_string ("stream-name", "Stream name",
      "Name of the stream in the endpoints' addresses", DEFAULT_STREAM_NAME, setting);
  /**
   * GstHavenWsSink:max-viewers:
   *
   * How many may watch at once; one more is answered 503 with Retry-After.
   *
   * Since: 0.1
   */
  properties[PROP_MAX_VIEWERS] = g_param_spec_uint ("max-viewers", "Max viewers",
      "How many may watch at once", 1, 65536, DEFAULT_MAX_VIEWERS, setting);
  /**
   * GstHavenWsSink:allowed-origins:
   *
   * Pages of which origins may watch, with commas between; `:*` at an origin's end stands for any
   * port, `*` alone for every origin. The page that we serve, and programs that send no Origin,
   * always may.
   *
   * Since: 0.1
   */
  properties[PROP_ALLOWED_ORIGINS] = g_param_spec_string ("allowed-origins", "Allowed origins",
      "Pages of which origins may watch, with commas between", WS_ACCESS_DEFAULT_ORIGINS, setting);
  /**
   * GstHavenWsSink:allowed-hosts:
   *
   * Host names by which this server may be addressed, besides IP addresses and localhost, with
   * commas between.
   *
   * Since: 0.1
   */
  properties[PROP_ALLOWED_HOSTS] = g_param_spec_string ("allowed-hosts", "Allowed hosts",
      "Host names of this server besides IP addresses and localhost, with commas between", NULL,
      setting);
  /**
   * GstHavenWsSink:access-token:
   *
   * Secret that a viewer must give, as `Authorization: Bearer` or as `access_token` in the query.
   * None by default.
   *
   * Since: 0.1
   */
  properties[PROP_ACCESS_TOKEN] = g_param_spec_string ("access-token", "Access token",
      "Secret that a viewer must give", NULL, G_PARAM_WRITABLE | GST_PARAM_MUTABLE_READY | strings);
  /**
   * GstHavenWsSink:sync:
   *
   * Whether frames wait for their time on the clock, instead of going out as they come. For sources
   * that are not live.
   *
   * Since: 0.1
   */
  properties[PROP_SYNC]
      = g_param_spec_boolean ("sync", "Sync", "Send frames at their time on the clock",
          DEFAULT_SYNC, G_PARAM_READWRITE | GST_PARAM_MUTABLE_PLAYING | strings);
  /**
   * GstHavenWsSink:num-viewers:
   *
   * How many watch now.
   *
   * Since: 0.1
   */
  properties[PROP_NUM_VIEWERS] = g_param_spec_uint ("num-viewers", "Number of viewers",
      "How many watch now", 0, G_MAXUINT, 0, G_PARAM_READABLE | strings);
  /**
   * GstHavenWsSink:stats:
   *
   * Figures of the element, and in the list `viewers` of each viewer.
   *
   * Since: 0.1
   */
  properties[PROP_STATS] = g_param_spec_boxed ("stats", "Statistics",
      "Figures of all and of each viewer", GST_TYPE_STRUCTURE, G_PARAM_READABLE | strings);
  g_object_class_install_properties (klass, N_PROPS, properties);
}

static void
install_signals (GObjectClass *klass)
{
  GType type = G_TYPE_FROM_CLASS (klass);

  /**
   * GstHavenWsSink::viewer-added:
   * @id: the viewer's number
   *
   * Emitted on the server's thread: do not change the element's state from here.
   *
   * Since: 0.1
   */
  signals[SIGNAL_VIEWER_ADDED] = g_signal_new (
      "viewer-added", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
  /**
   * GstHavenWsSink::viewer-removed:
   * @id: the viewer's number
   *
   * Emitted on the server's thread when the connection is closed, also that of one that was not
   * added because it never said what it wants: do not change the element's state from here.
   *
   * Since: 0.1
   */
  signals[SIGNAL_VIEWER_REMOVED] = g_signal_new (
      "viewer-removed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
  /**
   * GstHavenWsSink::add-connection:
   * @connection: a #GSocketConnection that has its WebSocket handshake behind it, without
   * extensions
   * @target: the path and query that were asked for, which tell form and sound as for our own
   * endpoints
   *
   * Serves a viewer whom someone else has let in. The connection is the element's from then on: the
   * socket is closed when the viewer goes. The stream's name in target is not checked. For
   * haven.v1, `video` and `audio` in the query say that the first message has been read, and was
   * that. May be called from any thread, from READY on.
   *
   * Returns: the viewer's number, or 0 if it cannot be served
   *
   * Since: 0.1
   */
  signals[SIGNAL_ADD_CONNECTION] = g_signal_new_class_handler ("add-connection", type,
      G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK (gst_haven_ws_sink_add_connection), NULL,
      NULL, NULL, G_TYPE_UINT, 2, G_TYPE_IO_STREAM, G_TYPE_STRING);
  /**
   * GstHavenWsSink::close-viewers:
   * @code: a WebSocket close code
   * @reason: (nullable): why, for the viewer
   *
   * Says goodbye to all viewers of now: after what still waits if @code is 1000, and otherwise
   * instead of it. May be called from any thread.
   *
   * Since: 0.1
   */
  signals[SIGNAL_CLOSE_VIEWERS] = g_signal_new_class_handler ("close-viewers", type,
      G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK (gst_haven_ws_sink_close_viewers), NULL, NULL,
      NULL, G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_STRING);
}

static void
gst_haven_ws_sink_class_init (GstHavenWsSinkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_haven_ws_sink_debug, "havenwssink", 0, "WebSocket sink");

  object_class->set_property = gst_haven_ws_sink_set_property;
  object_class->get_property = gst_haven_ws_sink_get_property;
  object_class->finalize = gst_haven_ws_sink_finalize;
  install_properties (object_class);
  install_signals (object_class);

  gst_element_class_add_static_pad_template (element_class, &video_template);
  gst_element_class_add_static_pad_template (element_class, &audio_template);
  gst_element_class_set_static_metadata (element_class, "WebSocket sink", "Sink/Network",
      "Shows pictures and sound in browsers", "Haven Live");
  element_class->request_new_pad = gst_haven_ws_sink_request_new_pad;
  element_class->release_pad = gst_haven_ws_sink_release_pad;
  element_class->change_state = gst_haven_ws_sink_change_state;
}

static void
gst_haven_ws_sink_init (GstHavenWsSink *self)
{
  self->listen = TRUE;
  self->address = g_strdup (DEFAULT_ADDRESS);
  self->port = DEFAULT_PORT;
  self->stream_name = g_strdup (DEFAULT_STREAM_NAME);
  self->max_viewers = DEFAULT_MAX_VIEWERS;
  self->allowed_origins = g_strdup (WS_ACCESS_DEFAULT_ORIGINS);
  self->sync = DEFAULT_SYNC;
  g_mutex_init (&self->end_lock);
}

static gboolean
plugin_init (GstPlugin *plugin)
{
  return GST_ELEMENT_REGISTER (havenwssink, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, havenws,
    "Shows streams in browsers over WebSocket", plugin_init, PACKAGE_VERSION, "LGPL", PACKAGE_NAME,
    PACKAGE_ORIGIN)
