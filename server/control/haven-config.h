/* haven-config: settings in layers: defaults < file < environment < command line < stored by the
 * API.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  HAVEN_KEY_LISTEN,
  HAVEN_KEY_STATE_DIRECTORY,
  HAVEN_KEY_RUNTIME_DIRECTORY,
  HAVEN_KEY_API_TOKEN,
  HAVEN_KEY_API_TOKEN_FILE,
  HAVEN_KEY_INSECURE,
  HAVEN_KEY_ALLOWED_ORIGINS,
  HAVEN_KEY_ALLOWED_HOSTS,
  HAVEN_KEY_MAX_CONNECTIONS,
  HAVEN_KEY_MAX_CONNECTIONS_PER_ADDRESS,
  HAVEN_KEY_MAX_STREAMS_PER_ADDRESS,
  HAVEN_KEY_REQUEST_TIMEOUT,
  HAVEN_KEY_LOG_FORMAT,
  HAVEN_KEY_LOG_LEVEL,
  HAVEN_KEY_LIVEKIT_URL,
  HAVEN_KEY_LIVEKIT_API_KEY,
  HAVEN_KEY_LIVEKIT_API_SECRET,
  HAVEN_KEY_LIVEKIT_API_SECRET_FILE,
  HAVEN_KEY_TOKEN_ENDPOINT,
  HAVEN_KEY_RECORDING_DIRECTORY,
  HAVEN_KEY_RECORDING_ROOTS,
  HAVEN_KEY_RECORDING_RESERVE,
  HAVEN_KEY_RECORDING_WARN,
  HAVEN_KEY_ON_COMPLETE,
  HAVEN_KEY_ON_COMPLETE_TIMEOUT,
  HAVEN_KEY_WEBHOOK_URL,
  HAVEN_KEY_WEBHOOK_SECRET,
  HAVEN_KEY_WEBHOOK_SECRET_FILE,
  HAVEN_KEY_AUTO_RECORD_INTERVAL,
  HAVEN_KEY_AUTO_RECORD_GRACE,
  HAVEN_KEY_MAX_TOTAL_GIGABYTES,
  HAVEN_KEY_KEEP_DAYS,
  HAVEN_KEY_SESSION_BINARY,
  HAVEN_KEY_MAX_SESSIONS,
  HAVEN_KEY_MAX_VIEWERS,
  HAVEN_KEY_STREAMER_TIMEOUT,
  HAVEN_KEY_CONNECT_TIMEOUT,
  HAVEN_KEY_RECONNECT_TIMEOUT,
  HAVEN_KEY_VIEWER_WAIT,
  HAVEN_KEY_MAX_VIEWERS_TOTAL,
  HAVEN_KEY_MAX_PICTURES,
  HAVEN_KEY_MAX_CPU,
  HAVEN_KEY_START_FOR_VIEWERS,
  HAVEN_KEY_IDLE_TIMEOUT,
  HAVEN_KEY_ANSWER_TIMEOUT,
  HAVEN_N_KEYS
} HavenKey;

typedef enum
{
  HAVEN_LAYER_DEFAULT,
  HAVEN_LAYER_FILE,
  HAVEN_LAYER_ENVIRONMENT,
  HAVEN_LAYER_COMMAND_LINE,
  HAVEN_LAYER_STORED,
  HAVEN_N_LAYERS
} HavenLayer;

typedef struct _HavenConfig HavenConfig;

HavenConfig *haven_config_new (void);
void haven_config_free (HavenConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenConfig, haven_config_free)

gboolean haven_config_load_file (HavenConfig *config, const char *path, GError **error);
gboolean haven_config_load_environment (HavenConfig *config, GError **error);
gboolean haven_config_load_secrets (HavenConfig *config, GError **error);
gboolean haven_config_reload (HavenConfig *config, const char *path, GError **error);
gboolean haven_config_set (
    HavenConfig *config, HavenLayer layer, HavenKey key, const char *value, GError **error);
gboolean haven_config_check (HavenKey key, const char *value, GError **error);
void haven_config_clear_layer (HavenConfig *config, HavenLayer layer);

const char *haven_config_get (HavenConfig *config, HavenKey key);
guint haven_config_get_uint (HavenConfig *config, HavenKey key);
gboolean haven_config_get_boolean (HavenConfig *config, HavenKey key);
gboolean haven_config_add_session (
    HavenConfig *config, const char *token, GVariantDict *settings, GError **error);
char *haven_config_livekit_http (HavenConfig *config);
gboolean haven_config_check_access (HavenConfig *config, GError **error);
gboolean haven_config_split_listen (
    const char *listen, char **address, guint16 *port, GError **error);
char *haven_config_default_file (void);

G_END_DECLS
