/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-config.h"
#include "livekit-error.h"

enum
{
  PROP_WS_URL = 1,
  PROP_AUTH_TOKEN,
  PROP_API_KEY,
  PROP_SECRET_KEY,
  PROP_ROOM_NAME,
  PROP_IDENTITY,
  PROP_PARTICIPANT_NAME,
  PROP_TOKEN_ENDPOINT,
  PROP_PARTICIPANT,
  PROP_KINDS,
  PROP_SOURCES,
  PROP_MAX_WIDTH,
  PROP_MAX_HEIGHT,
  PROP_MAX_FPS,
  PROP_VIDEO_QUALITY,
  PROP_OUTPUT,
  PROP_LATENCY,
  PROP_CONNECT_TIMEOUT,
  PROP_PARTICIPANT_TIMEOUT,
  PROP_RECONNECT_TIMEOUT,
  PROP_CA_FILE,
  PROP_TLS_VALIDATION,
  PROP_ICE_TRANSPORT_POLICY,
  PROP_STUN_SERVER,
  PROP_TURN_SERVERS,
  PROP_DO_NACK,
  PROP_DATA_MESSAGES,
  PROP_IDLE_GAPS,
  N_PROPS
};

#define DEFAULT_LATENCY 200
#define DEFAULT_CONNECT_TIMEOUT 15
#define DEFAULT_PARTICIPANT_TIMEOUT 30
#define DEFAULT_RECONNECT_TIMEOUT 600

static GType
kinds_get_type (void)
{
  static const GFlagsValue values[] = { { LIVEKIT_KINDS_VIDEO, "Video", "video" },
    { LIVEKIT_KINDS_AUDIO, "Audio", "audio" }, { 0, NULL, NULL } };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_flags_register_static ("GstLiveKitKinds", values));
  return type;
}

static GType
sources_get_type (void)
{
  static const GFlagsValue values[] = { { LIVEKIT_SOURCES_CAMERA, "Camera", "camera" },
    { LIVEKIT_SOURCES_SCREEN, "Screen, and its sound", "screen" },
    { LIVEKIT_SOURCES_MICROPHONE, "Microphone", "microphone" }, { 0, NULL, NULL } };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_flags_register_static ("GstLiveKitSources", values));
  return type;
}

static GType
quality_get_type (void)
{
  static const GEnumValue values[] = { { LIVEKIT_QUALITY_LOW, "Lowest layer", "low" },
    { LIVEKIT_QUALITY_MEDIUM, "Middle layer", "medium" },
    { LIVEKIT_QUALITY_HIGH, "Highest layer", "high" }, { 0, NULL, NULL } };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstLiveKitVideoQuality", values));
  return type;
}

static GType
output_get_type (void)
{
  static const GEnumValue values[]
      = { { LIVEKIT_OUTPUT_AUTO, "Raw, unless downstream names codecs that it takes", "auto" },
          { LIVEKIT_OUTPUT_RAW, "Decoded", "raw" },
          { LIVEKIT_OUTPUT_ENCODED, "As the room sends it", "encoded" },
          { LIVEKIT_OUTPUT_RTP, "RTP packets", "rtp" }, { 0, NULL, NULL } };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstLiveKitOutputMode", values));
  return type;
}

static GParamSpec *
string_spec (const char *name, const char *nick, const char *blurb, GParamFlags access)
{
  return g_param_spec_string (
      name, nick, blurb, NULL, access | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY);
}

static GParamSpec *
uint_spec (const char *name, const char *nick, const char *blurb, guint max, guint value,
    GParamFlags mutable)
{
  return g_param_spec_uint (
      name, nick, blurb, 0, max, value, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | mutable);
}

guint
livekit_config_install_properties (GObjectClass *klass)
{
  const GParamFlags ready = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  const GParamFlags playing
      = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  /**
   * GstLiveKitSrc:ws-url:
   *
   * Address of the LiveKit server, `ws://` or `wss://`; `http://` and `https://` mean the same.
   * Not set: the environment's `LIVEKIT_URL`.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_WS_URL,
      string_spec ("ws-url", "Server",
          "WebSocket address of the LiveKit server, ws:// or wss:// (default: $LIVEKIT_URL)",
          G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:auth-token:
   *
   * JSON Web Token to join with, instead of #GstLiveKitSrc:api-key and #GstLiveKitSrc:secret-key.
   * After it has expired the server's refreshed one is used for as long as that is valid. Write-
   * only.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_AUTH_TOKEN,
      string_spec ("auth-token", "Access token",
          "JSON Web Token to join with, instead of api-key and secret-key", G_PARAM_WRITABLE));
  /**
   * GstLiveKitSrc:api-key:
   *
   * With #GstLiveKitSrc:secret-key: tokens are made here, a fresh one for each join. Not set: the
   * environment's `LIVEKIT_API_KEY`.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_API_KEY,
      string_spec ("api-key", "API key", "Key to make tokens with (default: $LIVEKIT_API_KEY)",
          G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:secret-key:
   *
   * The secret that belongs to #GstLiveKitSrc:api-key. Not set: the environment's
   * `LIVEKIT_API_SECRET`. Write-only.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_SECRET_KEY,
      string_spec ("secret-key", "API secret",
          "Secret that belongs to the key (default: $LIVEKIT_API_SECRET)", G_PARAM_WRITABLE));
  /**
   * GstLiveKitSrc:room-name:
   *
   * Room to join. Not needed with #GstLiveKitSrc:auth-token, which names it.
   *
   * Since: 0.1
   */
  g_object_class_install_property (
      klass, PROP_ROOM_NAME, string_spec ("room-name", "Room", "Room to join", G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:identity:
   *
   * Ours in the room; `haven-` and a random number where it is not set. Two clients of one
   * identity throw each other out.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_IDENTITY,
      string_spec ("identity", "Identity",
          "Our identity in the room; must be unique there (default: made up)", G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:participant-name:
   *
   * Our name as others see it; the identity where it is not set.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_PARTICIPANT_NAME,
      string_spec ("participant-name", "Name", "Our name as others see it (default: the identity)",
          G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:token-endpoint:
   *
   * `http(s)://` address that is asked for a token at each join. Where it names a server,
   * #GstLiveKitSrc:ws-url is not needed.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_TOKEN_ENDPOINT,
      string_spec ("token-endpoint", "Token endpoint",
          "http(s) address that gives tokens: POST {\"mintId\": room, \"role\": \"viewer\"}",
          G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:participant:
   *
   * Identity or sid of whom to receive. Not set: the streamer, the earliest to join who publishes,
   * camera or screen before sound alone.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_PARTICIPANT,
      string_spec ("participant", "Participant",
          "Identity or sid of the participant to receive (default: the streamer, found by its "
          "tracks)",
          G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:kinds:
   *
   * Kinds of tracks to receive. Another kind has no pads and is not sent by the server.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_KINDS,
      g_param_spec_flags ("kinds", "Kinds", "Kinds of tracks to receive", kinds_get_type (),
          LIVEKIT_KINDS_VIDEO | LIVEKIT_KINDS_AUDIO, ready));
  /**
   * GstLiveKitSrc:sources:
   *
   * Sources of tracks to receive; none set: all. `screen` includes its sound.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_SOURCES,
      g_param_spec_flags ("sources", "Sources", "Sources of tracks to receive; none set: all",
          sources_get_type (), 0, ready));
  /**
   * GstLiveKitSrc:max-width:
   *
   * Width in pixels of the simulcast layer to ask for, 0: by #GstLiveKitSrc:video-quality. Can be
   * changed at any time.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_MAX_WIDTH,
      uint_spec ("max-width", "Maximum width",
          "Width that the chosen simulcast layer should have, pixels; 0: by video-quality", 16384,
          0, GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstLiveKitSrc:max-height:
   *
   * Height in pixels of the simulcast layer to ask for, 0: by #GstLiveKitSrc:video-quality. Can be
   * changed at any time.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_MAX_HEIGHT,
      uint_spec ("max-height", "Maximum height",
          "Height that the chosen simulcast layer should have, pixels; 0: by video-quality", 16384,
          0, GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstLiveKitSrc:max-fps:
   *
   * Pictures a second to ask for, 0: as many as are published. Needs a publisher with temporal
   * layers. Can be changed at any time.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_MAX_FPS,
      uint_spec ("max-fps", "Maximum frame rate",
          "Frame rate to ask for, pictures a second; 0: as published", 240, 0,
          GST_PARAM_MUTABLE_PLAYING));
  /**
   * GstLiveKitSrc:video-quality:
   *
   * Simulcast layer to ask for. A smaller one saves network and decoding. Can be changed at any
   * time.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_VIDEO_QUALITY,
      g_param_spec_enum ("video-quality", "Video quality", "Simulcast layer to ask for",
          quality_get_type (), LIVEKIT_QUALITY_HIGH, playing));
  /**
   * GstLiveKitSrc:output:
   *
   * What the pads carry: decoded media, encoded media as it was sent, RTP packets, or encoded
   * media where what follows names codecs that it takes and decoded media otherwise (`auto`).
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_OUTPUT,
      g_param_spec_enum ("output", "Output", "What the pads carry", output_get_type (),
          LIVEKIT_OUTPUT_AUTO, ready));
  /**
   * GstLiveKitSrc:latency:
   *
   * Jitter buffer in ms: how long a lost packet may take to come again. It is the latency of the
   * element.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_LATENCY,
      uint_spec ("latency", "Latency",
          "Jitter buffer, ms: how long a lost packet may take to come again", 10000,
          DEFAULT_LATENCY, GST_PARAM_MUTABLE_READY));
  /**
   * GstLiveKitSrc:connect-timeout:
   *
   * Seconds from the start to a joined room with its media connection up; then it is an error.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_CONNECT_TIMEOUT,
      g_param_spec_uint ("connect-timeout", "Connect timeout",
          "Seconds until the room must be joined and its media connection up", 1, 3600,
          DEFAULT_CONNECT_TIMEOUT, ready));
  /**
   * GstLiveKitSrc:participant-timeout:
   *
   * Seconds from there to a track to receive; then it is an error. 0 waits for ever.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_PARTICIPANT_TIMEOUT,
      uint_spec ("participant-timeout", "Participant timeout",
          "Seconds to wait for somebody to receive, once joined; 0: for ever", 86400,
          DEFAULT_PARTICIPANT_TIMEOUT, GST_PARAM_MUTABLE_READY));
  /**
   * GstLiveKitSrc:reconnect-timeout:
   *
   * Seconds that an outage may last; then it is an error. 0 tries for ever.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_RECONNECT_TIMEOUT,
      uint_spec ("reconnect-timeout", "Reconnect timeout",
          "Seconds that an outage may last before it is an error; 0: for ever", 7 * 86400,
          DEFAULT_RECONNECT_TIMEOUT, GST_PARAM_MUTABLE_READY));
  /**
   * GstLiveKitSrc:ca-file:
   *
   * PEM file of certificate authorities to trust instead of the system's.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_CA_FILE,
      string_spec ("ca-file", "CA file",
          "PEM file of certificate authorities to trust instead of the system's",
          G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:tls-validation:
   *
   * Whether the server's certificate must be valid. Without it, anybody in between can read along.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_TLS_VALIDATION,
      g_param_spec_boolean ("tls-validation", "TLS validation",
          "Whether the server's certificate must be valid", TRUE, ready));
  /**
   * GstLiveKitSrc:ice-transport-policy:
   *
   * Whether media may take any way, or only one through a TURN server (`relay`).
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_ICE_TRANSPORT_POLICY,
      g_param_spec_enum ("ice-transport-policy", "ICE transport policy",
          "Whether media may only go through a relay", GST_TYPE_WEBRTC_ICE_TRANSPORT_POLICY,
          GST_WEBRTC_ICE_TRANSPORT_POLICY_ALL, ready));
  /**
   * GstLiveKitSrc:stun-server:
   *
   * `stun://HOST:PORT`, instead of the one that the server names.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_STUN_SERVER,
      string_spec ("stun-server", "STUN server",
          "stun://HOST:PORT, over the one that the server names", G_PARAM_READWRITE));
  /**
   * GstLiveKitSrc:turn-servers:
   *
   * `turn(s)://USER:PASSWORD@HOST:PORT?transport=udp|tcp`, several with commas between, used
   * beside those of the server. Write-only.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_TURN_SERVERS,
      string_spec ("turn-servers", "TURN servers",
          "turn(s)://USER:PASSWORD@HOST:PORT?transport=udp|tcp, several with commas between, "
          "beside those of the server",
          G_PARAM_WRITABLE));
  /**
   * GstLiveKitSrc:do-nack:
   *
   * Whether lost packets are asked for again.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_DO_NACK,
      g_param_spec_boolean (
          "do-nack", "Retransmission", "Whether lost packets are asked for again", TRUE, ready));
  /**
   * GstLiveKitSrc:data-messages:
   *
   * Whether what participants send as data, chat for instance, is posted as element messages
   * `livekit-data`: `participant topic payload`, the last a #GBytes of up to 64 KiB.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_DATA_MESSAGES,
      g_param_spec_boolean ("data-messages", "Data messages",
          "Whether data of participants is posted as messages livekit-data", FALSE, ready));
  /**
   * GstLiveKitSrc:idle-gaps:
   *
   * Whether there are GAP events also while nothing comes of any track. Where they go into a muxer
   * with what other sources send, it waits without them. Where they do not, it has nothing to wait
   * for, and what was kept on the way while a connection stood still has its place in time, however
   * long that was.
   *
   * Since: 0.1
   */
  g_object_class_install_property (klass, PROP_IDLE_GAPS,
      g_param_spec_boolean ("idle-gaps", "Idle gaps",
          "Whether there are GAP events also while nothing comes of any track", TRUE, ready));
  return N_PROPS - 1;
}

void
livekit_config_init (LiveKitConfig *config)
{
  *config = (LiveKitConfig){
    .kinds = LIVEKIT_KINDS_VIDEO | LIVEKIT_KINDS_AUDIO,
    .video_quality = LIVEKIT_QUALITY_HIGH,
    .latency = DEFAULT_LATENCY,
    .connect_timeout = DEFAULT_CONNECT_TIMEOUT,
    .participant_timeout = DEFAULT_PARTICIPANT_TIMEOUT,
    .reconnect_timeout = DEFAULT_RECONNECT_TIMEOUT,
    .tls_validation = TRUE,
    .ice_transport_policy = GST_WEBRTC_ICE_TRANSPORT_POLICY_ALL,
    .nack = TRUE,
    .idle_gaps = TRUE,
  };
}

/* The strings of a configuration, so that they are copied and freed in one place. */
static char **
string_field (LiveKitConfig *config, guint id)
{
  switch (id) {
  case PROP_WS_URL:
    return &config->ws_url;
  case PROP_AUTH_TOKEN:
    return &config->auth_token;
  case PROP_API_KEY:
    return &config->api_key;
  case PROP_SECRET_KEY:
    return &config->secret_key;
  case PROP_ROOM_NAME:
    return &config->room_name;
  case PROP_IDENTITY:
    return &config->identity;
  case PROP_PARTICIPANT_NAME:
    return &config->participant_name;
  case PROP_TOKEN_ENDPOINT:
    return &config->token_endpoint;
  case PROP_PARTICIPANT:
    return &config->participant;
  case PROP_CA_FILE:
    return &config->ca_file;
  case PROP_STUN_SERVER:
    return &config->stun_server;
  case PROP_TURN_SERVERS:
    return &config->turn_servers;
  default:
    return NULL;
  }
}

static guint *
uint_field (LiveKitConfig *config, guint id)
{
  switch (id) {
  case PROP_MAX_WIDTH:
    return &config->max_width;
  case PROP_MAX_HEIGHT:
    return &config->max_height;
  case PROP_MAX_FPS:
    return &config->max_fps;
  case PROP_LATENCY:
    return &config->latency;
  case PROP_CONNECT_TIMEOUT:
    return &config->connect_timeout;
  case PROP_PARTICIPANT_TIMEOUT:
    return &config->participant_timeout;
  case PROP_RECONNECT_TIMEOUT:
    return &config->reconnect_timeout;
  default:
    return NULL;
  }
}

void
livekit_config_clear (LiveKitConfig *config)
{
  for (guint id = 1; id < N_PROPS; id++)
    if (string_field (config, id))
      g_clear_pointer (string_field (config, id), g_free);
}

static void
set_default (char **field, const char *variable)
{
  const char *value = g_getenv (variable);

  if (!*field && value && *value)
    *field = g_strdup (value);
}

void
livekit_config_resolve (const LiveKitConfig *config, LiveKitConfig *resolved)
{
  *resolved = *config;
  for (guint id = 1; id < N_PROPS; id++)
    if (string_field (resolved, id))
      *string_field (resolved, id) = g_strdup (*string_field (resolved, id));

  set_default (&resolved->ws_url, "LIVEKIT_URL");
  if (!resolved->auth_token && !resolved->token_endpoint) {
    set_default (&resolved->api_key, "LIVEKIT_API_KEY");
    set_default (&resolved->secret_key, "LIVEKIT_API_SECRET");
  }
  /* Two clients of one identity throw each other out. */
  if (!resolved->identity)
    resolved->identity = g_strdup_printf ("haven-%08x", g_random_int ());
}

static gboolean
is_server (const char *uri, const char *const *schemes)
{
  g_autoptr (GUri) parsed = g_uri_parse (uri, G_URI_FLAGS_HAS_PASSWORD, NULL);

  return parsed && g_strv_contains (schemes, g_uri_get_scheme (parsed)) && g_uri_get_host (parsed)
         && *g_uri_get_host (parsed);
}

gboolean
livekit_config_check (const LiveKitConfig *config, GError **error)
{
  static const char *const stun[] = { "stun", NULL }, *const turn[] = { "turn", "turns", NULL };
  g_auto (GStrv) turn_servers
      = g_strsplit (config->turn_servers ? config->turn_servers : "", ",", -1);

  if (config->stun_server && !is_server (config->stun_server, stun)) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
        "The STUN server must be of the form stun://HOST:PORT");
    return FALSE;
  }
  for (guint i = 0; turn_servers[i]; i++) {
    if (!is_server (turn_servers[i], turn)) { /* not shown: it may hold a password */
      g_set_error (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
          "TURN server %u of the list is not of the form turn(s)://USER:PASSWORD@HOST:PORT", i + 1);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
livekit_config_set_property (LiveKitConfig *config, guint id, const GValue *value)
{
  if (string_field (config, id)) {
    g_free (*string_field (config, id));
    *string_field (config, id) = g_value_dup_string (value);
    return TRUE;
  }
  if (uint_field (config, id)) {
    *uint_field (config, id) = g_value_get_uint (value);
    return TRUE;
  }
  switch (id) {
  case PROP_KINDS:
    config->kinds = g_value_get_flags (value);
    return TRUE;
  case PROP_SOURCES:
    config->sources = g_value_get_flags (value);
    return TRUE;
  case PROP_VIDEO_QUALITY:
    config->video_quality = g_value_get_enum (value);
    return TRUE;
  case PROP_OUTPUT:
    config->output = g_value_get_enum (value);
    return TRUE;
  case PROP_TLS_VALIDATION:
    config->tls_validation = g_value_get_boolean (value);
    return TRUE;
  case PROP_ICE_TRANSPORT_POLICY:
    config->ice_transport_policy = g_value_get_enum (value);
    return TRUE;
  case PROP_DO_NACK:
    config->nack = g_value_get_boolean (value);
    return TRUE;
  case PROP_DATA_MESSAGES:
    config->data_messages = g_value_get_boolean (value);
    return TRUE;
  case PROP_IDLE_GAPS:
    config->idle_gaps = g_value_get_boolean (value);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
livekit_config_get_property (const LiveKitConfig *config, guint id, GValue *value)
{
  LiveKitConfig *fields = (LiveKitConfig *)config; /* only read */

  if (string_field (fields, id)) {
    g_value_set_string (value, *string_field (fields, id));
    return TRUE;
  }
  if (uint_field (fields, id)) {
    g_value_set_uint (value, *uint_field (fields, id));
    return TRUE;
  }
  switch (id) {
  case PROP_KINDS:
    g_value_set_flags (value, config->kinds);
    return TRUE;
  case PROP_SOURCES:
    g_value_set_flags (value, config->sources);
    return TRUE;
  case PROP_VIDEO_QUALITY:
    g_value_set_enum (value, config->video_quality);
    return TRUE;
  case PROP_OUTPUT:
    g_value_set_enum (value, config->output);
    return TRUE;
  case PROP_TLS_VALIDATION:
    g_value_set_boolean (value, config->tls_validation);
    return TRUE;
  case PROP_ICE_TRANSPORT_POLICY:
    g_value_set_enum (value, config->ice_transport_policy);
    return TRUE;
  case PROP_DO_NACK:
    g_value_set_boolean (value, config->nack);
    return TRUE;
  case PROP_DATA_MESSAGES:
    g_value_set_boolean (value, config->data_messages);
    return TRUE;
  case PROP_IDLE_GAPS:
    g_value_set_boolean (value, config->idle_gaps);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
livekit_config_is_layer_property (guint id)
{
  return id == PROP_MAX_WIDTH || id == PROP_MAX_HEIGHT || id == PROP_MAX_FPS
         || id == PROP_VIDEO_QUALITY;
}

LiveKitTrackSettings
livekit_config_get_layer (const LiveKitConfig *config)
{
  LiveKitTrackSettings layer = { .quality = config->video_quality, .fps = config->max_fps };

  layer.width = config->max_width;
  layer.height = config->max_height;
  /* The server compares both; the one that was not given follows from the usual shape. */
  if (layer.width && !layer.height)
    layer.height = layer.width * 9 / 16;
  else if (layer.height && !layer.width)
    layer.width = layer.height * 16 / 9;
  return layer;
}

guint
livekit_config_get_source_mask (const LiveKitConfig *config)
{
  guint mask = 0;

  if (config->sources & LIVEKIT_SOURCES_CAMERA)
    mask |= 1u << LIVEKIT_SOURCE_CAMERA;
  if (config->sources & LIVEKIT_SOURCES_SCREEN)
    mask |= 1u << LIVEKIT_SOURCE_SCREEN | 1u << LIVEKIT_SOURCE_SCREEN_AUDIO;
  if (config->sources & LIVEKIT_SOURCES_MICROPHONE)
    mask |= 1u << LIVEKIT_SOURCE_MICROPHONE;
  return mask;
}

gboolean
livekit_config_set_uri (LiveKitConfig *config, const char *uri, GError **error)
{
  g_autoptr (GUri) parsed = g_uri_parse (uri, G_URI_FLAGS_NONE, NULL);
  const char *path = parsed ? g_uri_get_path (parsed) : NULL;
  const char *scheme = parsed ? g_uri_get_scheme (parsed) : NULL;
  gboolean tls = g_strcmp0 (scheme, "livekits") == 0;
  g_autofree char *host = NULL;

  if (!parsed || !g_uri_get_host (parsed) || !*g_uri_get_host (parsed) || !path || strlen (path) < 2
      || (!tls && g_strcmp0 (scheme, "livekit") != 0)) {
    g_set_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI,
        "“%s” is not of the form livekit(s)://HOST[:PORT]/ROOM", uri);
    return FALSE;
  }
  host = strchr (g_uri_get_host (parsed), ':') ? g_strdup_printf ("[%s]", g_uri_get_host (parsed))
                                               : g_strdup (g_uri_get_host (parsed));
  g_free (config->ws_url);
  g_free (config->room_name);
  config->ws_url
      = g_uri_get_port (parsed) > 0
            ? g_strdup_printf ("%s://%s:%d", tls ? "wss" : "ws", host, g_uri_get_port (parsed))
            : g_strdup_printf ("%s://%s", tls ? "wss" : "ws", host);
  config->room_name = g_strdup (path + 1);
  return TRUE;
}

char *
livekit_config_get_uri (const LiveKitConfig *config)
{
  g_autofree char *room = NULL;
  const char *host;

  if (!config->ws_url || !config->room_name || !(host = strstr (config->ws_url, "://")))
    return NULL;
  room = g_uri_escape_string (config->room_name, NULL, FALSE);
  return g_strdup_printf (
      "%s%s/%s", g_str_has_prefix (config->ws_url, "wss") ? "livekits" : "livekit", host, room);
}
