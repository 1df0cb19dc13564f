/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/gst.h>
#include <gst/webrtc/webrtc.h>
#include "livekit-branch.h"
#include "livekit-message.h"

G_BEGIN_DECLS

/* The settings of livekitsrc: their properties, defaults and environment. */

typedef enum
{
  LIVEKIT_KINDS_VIDEO = 1 << 0,
  LIVEKIT_KINDS_AUDIO = 1 << 1,
} LiveKitKinds;

typedef enum
{
  LIVEKIT_SOURCES_CAMERA = 1 << 0,
  LIVEKIT_SOURCES_SCREEN = 1 << 1,
  LIVEKIT_SOURCES_MICROPHONE = 1 << 2,
} LiveKitSources;

typedef struct
{
  char *ws_url, *auth_token, *api_key, *secret_key, *room_name, *identity, *participant_name,
      *token_endpoint;
  char *participant;
  LiveKitKinds kinds;
  LiveKitSources sources; /* 0: all */
  guint max_width, max_height, max_fps;
  LiveKitQuality video_quality;
  LiveKitOutput output;
  guint latency;
  guint connect_timeout, participant_timeout, reconnect_timeout;
  char *ca_file;
  gboolean tls_validation;
  GstWebRTCICETransportPolicy ice_transport_policy;
  char *stun_server, *turn_servers;
  gboolean nack;
  gboolean data_messages;
  gboolean idle_gaps;
} LiveKitConfig;

/* The properties get the numbers 1 to livekit_config_install_properties()'s result. */
guint livekit_config_install_properties (GObjectClass *klass);
void livekit_config_init (LiveKitConfig *config);
void livekit_config_clear (LiveKitConfig *config);

/* A copy in which empty connection settings are filled from the environment. */
void livekit_config_resolve (const LiveKitConfig *config, LiveKitConfig *resolved);

/* FALSE where a setting cannot be used, with a sentence that names it (LIVEKIT_ERROR_CONFIG). */
gboolean livekit_config_check (const LiveKitConfig *config, GError **error);

/* FALSE where @id is none of ours. The caller holds the lock that protects @config. */
gboolean livekit_config_set_property (LiveKitConfig *config, guint id, const GValue *value);
gboolean livekit_config_get_property (const LiveKitConfig *config, guint id, GValue *value);

/* Whether property @id selects the layer, and which layer is selected. */
gboolean livekit_config_is_layer_property (guint id);
LiveKitTrackSettings livekit_config_get_layer (const LiveKitConfig *config);

/* The mask of 1 << LiveKitSource that @config takes; 0: all. */
guint livekit_config_get_source_mask (const LiveKitConfig *config);

/* Sets server and room from livekit://HOST[:PORT]/ROOM or livekits://…. */
gboolean livekit_config_set_uri (LiveKitConfig *config, const char *uri, GError **error);
char *livekit_config_get_uri (const LiveKitConfig *config);

G_END_DECLS
