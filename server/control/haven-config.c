/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-config.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "haven-error.h"
#include "ws-access.h"

#define MAX_SECRET 4096

typedef enum
{
  TYPE_TEXT,
  TYPE_PATH,
  TYPE_SECRET_FILE, /* a path, or "-" for a line of standard input */
  TYPE_NUMBER,
  TYPE_BOOLEAN,
  TYPE_LISTEN,
  TYPE_LIVEKIT_URL,
  TYPE_HTTP_URL,
  TYPE_COMMAND, /* words as a shell divides them; no shell runs it */
  TYPE_LOG_FORMAT,
  TYPE_LOG_LEVEL,
} Type;

static const struct
{
  const char *group, *name, *environment, *otherwise;
  Type type;
  guint min, max;
} keys[HAVEN_N_KEYS] = {
  [HAVEN_KEY_LISTEN] = { "server", "listen", "HAVEN_LISTEN", "127.0.0.1:8000", TYPE_LISTEN },
  [HAVEN_KEY_STATE_DIRECTORY]
  = { "server", "state-directory", "HAVEN_STATE_DIRECTORY", NULL, TYPE_PATH },
  [HAVEN_KEY_RUNTIME_DIRECTORY]
  = { "server", "runtime-directory", "HAVEN_RUNTIME_DIRECTORY", NULL, TYPE_PATH },
  [HAVEN_KEY_API_TOKEN] = { NULL, "api-token", "HAVEN_API_TOKEN", NULL, TYPE_TEXT },
  [HAVEN_KEY_API_TOKEN_FILE]
  = { "server", "api-token-file", "HAVEN_API_TOKEN_FILE", NULL, TYPE_SECRET_FILE },
  [HAVEN_KEY_INSECURE] = { "server", "insecure", NULL, "false", TYPE_BOOLEAN },
  [HAVEN_KEY_ALLOWED_ORIGINS]
  = { "server", "allowed-origins", "HAVEN_ALLOWED_ORIGINS", WS_ACCESS_DEFAULT_ORIGINS, TYPE_TEXT },
  [HAVEN_KEY_ALLOWED_HOSTS] = { "server", "allowed-hosts", "HAVEN_ALLOWED_HOSTS", "", TYPE_TEXT },
  [HAVEN_KEY_MAX_CONNECTIONS] = { "server", "max-connections", NULL, "512", TYPE_NUMBER, 8, 65536 },
  [HAVEN_KEY_MAX_CONNECTIONS_PER_ADDRESS]
  = { "server", "max-connections-per-address", NULL, "256", TYPE_NUMBER, 4, 65536 },
  [HAVEN_KEY_MAX_STREAMS_PER_ADDRESS]
  = { "server", "max-streams-per-address", NULL, "128", TYPE_NUMBER, 1, 65536 },
  [HAVEN_KEY_REQUEST_TIMEOUT] = { "server", "request-timeout", NULL, "10", TYPE_NUMBER, 1, 600 },
  [HAVEN_KEY_LOG_FORMAT]
  = { "server", "log-format", "HAVEN_LOG_FORMAT", "logfmt", TYPE_LOG_FORMAT },
  [HAVEN_KEY_LOG_LEVEL] = { "server", "log-level", "HAVEN_LOG_LEVEL", "info", TYPE_LOG_LEVEL },
  [HAVEN_KEY_LIVEKIT_URL] = { "livekit", "url", "LIVEKIT_URL", NULL, TYPE_LIVEKIT_URL },
  [HAVEN_KEY_LIVEKIT_API_KEY] = { "livekit", "api-key", "LIVEKIT_API_KEY", NULL, TYPE_TEXT },
  [HAVEN_KEY_LIVEKIT_API_SECRET]
  = { "livekit", "api-secret", "LIVEKIT_API_SECRET", NULL, TYPE_TEXT },
  [HAVEN_KEY_LIVEKIT_API_SECRET_FILE]
  = { "livekit", "api-secret-file", "LIVEKIT_API_SECRET_FILE", NULL, TYPE_SECRET_FILE },
  [HAVEN_KEY_TOKEN_ENDPOINT]
  = { "livekit", "token-endpoint", "LIVEKIT_TOKEN_ENDPOINT", NULL, TYPE_HTTP_URL },
  [HAVEN_KEY_RECORDING_DIRECTORY]
  = { "recording", "directory", "HAVEN_RECORDINGS", NULL, TYPE_PATH },
  [HAVEN_KEY_RECORDING_ROOTS]
  = { "recording", "allowed-roots", "HAVEN_RECORDING_ROOTS", NULL, TYPE_TEXT },
  [HAVEN_KEY_RECORDING_RESERVE]
  = { "recording", "reserve-megabytes", NULL, "500", TYPE_NUMBER, 0, 4000000 },
  [HAVEN_KEY_RECORDING_WARN]
  = { "recording", "warn-megabytes", NULL, "2000", TYPE_NUMBER, 0, 4000000 },
  [HAVEN_KEY_ON_COMPLETE] = { "recording", "on-complete", "HAVEN_ON_COMPLETE", NULL, TYPE_COMMAND },
  [HAVEN_KEY_ON_COMPLETE_TIMEOUT]
  = { "recording", "on-complete-timeout", NULL, "300", TYPE_NUMBER, 1, 86400 },
  [HAVEN_KEY_WEBHOOK_URL]
  = { "recording", "webhook-url", "HAVEN_WEBHOOK_URL", NULL, TYPE_HTTP_URL },
  [HAVEN_KEY_WEBHOOK_SECRET]
  = { "recording", "webhook-secret", "HAVEN_WEBHOOK_SECRET", NULL, TYPE_TEXT },
  [HAVEN_KEY_WEBHOOK_SECRET_FILE]
  = { "recording", "webhook-secret-file", "HAVEN_WEBHOOK_SECRET_FILE", NULL, TYPE_SECRET_FILE },
  [HAVEN_KEY_AUTO_RECORD_INTERVAL]
  = { "recording", "auto-record-interval", NULL, "5", TYPE_NUMBER, 1, 3600 },
  [HAVEN_KEY_AUTO_RECORD_GRACE]
  = { "recording", "auto-record-grace", NULL, "60", TYPE_NUMBER, 1, 86400 },
  [HAVEN_KEY_MAX_TOTAL_GIGABYTES]
  = { "recording", "max-total-gigabytes", NULL, "0", TYPE_NUMBER, 0, 1000000 },
  [HAVEN_KEY_KEEP_DAYS] = { "recording", "keep-days", NULL, "0", TYPE_NUMBER, 0, 36500 },
  [HAVEN_KEY_SESSION_BINARY] = { "session", "binary", "HAVEN_SESSION_BINARY", NULL, TYPE_PATH },
  [HAVEN_KEY_MAX_SESSIONS] = { "session", "max-sessions", NULL, "100", TYPE_NUMBER, 1, 10000 },
  [HAVEN_KEY_MAX_VIEWERS] = { "session", "max-viewers", NULL, "100", TYPE_NUMBER, 1, 65536 },
  [HAVEN_KEY_STREAMER_TIMEOUT]
  = { "session", "streamer-timeout", NULL, "30", TYPE_NUMBER, 1, 3600 },
  [HAVEN_KEY_CONNECT_TIMEOUT] = { "session", "connect-timeout", NULL, "10", TYPE_NUMBER, 1, 3600 },
  [HAVEN_KEY_RECONNECT_TIMEOUT]
  = { "session", "reconnect-timeout", NULL, "300", TYPE_NUMBER, 1, 86400 },
  [HAVEN_KEY_VIEWER_WAIT] = { "session", "viewer-wait", NULL, "30", TYPE_NUMBER, 1, 600 },
  [HAVEN_KEY_MAX_VIEWERS_TOTAL]
  = { "session", "max-viewers-total", NULL, "1000", TYPE_NUMBER, 1, 1000000 },
  [HAVEN_KEY_MAX_PICTURES] = { "session", "max-pictures", NULL, "8", TYPE_NUMBER, 1, 1000 },
  [HAVEN_KEY_MAX_CPU]
  = { "session", "max-cpu-percent", "HAVEN_MAX_CPU_PERCENT", "90", TYPE_NUMBER, 0, 100 },
  [HAVEN_KEY_START_FOR_VIEWERS] = { "session", "start-for-viewers", NULL, "false", TYPE_BOOLEAN },
  [HAVEN_KEY_IDLE_TIMEOUT] = { "session", "idle-timeout", NULL, "60", TYPE_NUMBER, 1, 86400 },
  [HAVEN_KEY_ANSWER_TIMEOUT] = { "session", "answer-timeout", NULL, "10", TYPE_NUMBER, 1, 600 },
};

/* In the order in which they are read where both come from standard input. */
static const struct
{
  HavenKey value, file;
} secrets[] = {
  { HAVEN_KEY_LIVEKIT_API_SECRET, HAVEN_KEY_LIVEKIT_API_SECRET_FILE },
  { HAVEN_KEY_API_TOKEN, HAVEN_KEY_API_TOKEN_FILE },
  { HAVEN_KEY_WEBHOOK_SECRET, HAVEN_KEY_WEBHOOK_SECRET_FILE },
};

/* What holds from the start to the end, whatever the file says later. */
static const HavenKey lasting[] = { HAVEN_KEY_LISTEN, HAVEN_KEY_STATE_DIRECTORY,
  HAVEN_KEY_RUNTIME_DIRECTORY, HAVEN_KEY_SESSION_BINARY };

struct _HavenConfig
{
  char *values[HAVEN_N_LAYERS][HAVEN_N_KEYS]; /* (owned) (nullable) */
  struct
  {
    char *path, *value; /* (owned) (nullable) of what can be read but once: no file, a pipe */
    int layer;          /* whose value was read from a file; -1: none */
  } read[G_N_ELEMENTS (secrets)];
};

static gboolean
has_scheme (const char *value, const char *const *schemes)
{
  g_autoptr (GUri) uri = g_uri_parse (value, G_URI_FLAGS_NONE, NULL);

  if (!uri || !g_uri_get_host (uri) || !*g_uri_get_host (uri) || g_uri_get_userinfo (uri))
    return FALSE;
  return g_strv_contains (schemes, g_uri_get_scheme (uri));
}

static gboolean
is_word (const char *value, const char *const *words)
{
  return g_strv_contains (words, value);
}

static const char * /* what it must be, or NULL if it is */
complain (HavenKey key, const char *value)
{
  static const char *const livekit[] = { "ws", "wss", NULL }, *const http[]
                                                              = { "http", "https", NULL };
  static const char *const booleans[] = { "true", "false", "1", "0", NULL };
  static const char *const formats[] = { "logfmt", "json", NULL };
  static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
  guint64 number;

  switch (keys[key].type) {
  case TYPE_SECRET_FILE:
    if (strcmp (value, "-") == 0)
      return NULL;
    G_GNUC_FALLTHROUGH;
  case TYPE_PATH:
    return g_path_is_absolute (value) || g_str_has_prefix (value, "~/")
               ? NULL
               : "must be an absolute path";
  case TYPE_NUMBER:
    return g_ascii_string_to_unsigned (value, 10, keys[key].min, keys[key].max, &number, NULL)
               ? NULL
               : "is not a number in its range";
  case TYPE_BOOLEAN:
    return is_word (value, booleans) ? NULL : "must be true or false";
  case TYPE_LISTEN:
    return haven_config_split_listen (value, NULL, NULL, NULL) ? NULL : "must be ADDRESS:PORT";
  case TYPE_LIVEKIT_URL:
    return has_scheme (value, livekit) ? NULL : "must begin with ws:// or wss:// and name a host";
  case TYPE_HTTP_URL:
    return has_scheme (value, http) ? NULL : "must begin with http:// or https:// and name a host";
  case TYPE_COMMAND:
    return g_shell_parse_argv (value, NULL, NULL, NULL) ? NULL : "is no command with its arguments";
  case TYPE_LOG_FORMAT:
    return is_word (value, formats) ? NULL : "must be logfmt or json";
  case TYPE_LOG_LEVEL:
    return is_word (value, levels) ? NULL : "must be error, warning, info or debug";
  default:
    return NULL;
  }
}

/* Whether it could be a value of that key. */
gboolean
haven_config_check (HavenKey key, const char *value, GError **error)
{
  const char *complaint = complain (key, value);

  if (complaint)
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "“%s” %s.", keys[key].name, complaint);
  return !complaint;
}

static char * /* (transfer full) */
expand_home (HavenKey key, const char *value)
{
  gboolean is_path = keys[key].type == TYPE_PATH || keys[key].type == TYPE_SECRET_FILE;

  if (is_path && g_str_has_prefix (value, "~/"))
    return g_build_filename (g_get_home_dir (), value + 2, NULL);
  return g_strdup (value);
}

/* @value: (nullable): NULL uncovers the layer below */
gboolean
haven_config_set (
    HavenConfig *config, HavenLayer layer, HavenKey key, const char *value, GError **error)
{
  if (value && !haven_config_check (key, value, error))
    return FALSE;
  g_free (config->values[layer][key]);
  config->values[layer][key] = value ? expand_home (key, value) : NULL;
  return TRUE;
}

void
haven_config_clear_layer (HavenConfig *config, HavenLayer layer)
{
  for (HavenKey key = 0; key < HAVEN_N_KEYS; key++)
    g_clear_pointer (&config->values[layer][key], g_free);
}

HavenConfig *
haven_config_new (void)
{
  HavenConfig *config = g_new0 (HavenConfig, 1);
  char **layer = config->values[HAVEN_LAYER_DEFAULT];

  for (HavenKey key = 0; key < HAVEN_N_KEYS; key++)
    layer[key] = g_strdup (keys[key].otherwise);
  layer[HAVEN_KEY_STATE_DIRECTORY] = g_build_filename (g_get_user_state_dir (), "haven-live", NULL);
  layer[HAVEN_KEY_RECORDING_DIRECTORY]
      = g_build_filename (g_get_home_dir (), ".haven-player", "recordings", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++)
    config->read[i].layer = -1;
  return config;
}

void
haven_config_free (HavenConfig *config)
{
  for (HavenLayer layer = 0; layer < HAVEN_N_LAYERS; layer++)
    haven_config_clear_layer (config, layer);
  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++) {
    g_free (config->read[i].path);
    g_free (config->read[i].value);
  }
  g_free (config);
}

static HavenConfig * /* (transfer full) */
copy (HavenConfig *config)
{
  HavenConfig *twin = g_new0 (HavenConfig, 1);

  for (HavenLayer layer = 0; layer < HAVEN_N_LAYERS; layer++)
    for (HavenKey key = 0; key < HAVEN_N_KEYS; key++)
      twin->values[layer][key] = g_strdup (config->values[layer][key]);
  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++) {
    twin->read[i].path = g_strdup (config->read[i].path);
    twin->read[i].value = g_strdup (config->read[i].value);
    twin->read[i].layer = config->read[i].layer;
  }
  return twin;
}

static gboolean
find_key (const char *group, const char *name, HavenKey *found)
{
  for (HavenKey key = 0; key < HAVEN_N_KEYS; key++)
    if (g_strcmp0 (keys[key].group, group) == 0 && strcmp (keys[key].name, name) == 0) {
      *found = key;
      return TRUE;
    }
  return FALSE;
}

static gboolean
load_group (HavenConfig *config, GKeyFile *file, const char *group, GError **error)
{
  g_auto (GStrv) names = g_key_file_get_keys (file, group, NULL, NULL);

  for (char **name = names; *name; name++) {
    g_autofree char *value = g_key_file_get_string (file, group, *name, error);
    HavenKey key;

    if (!value)
      return FALSE;
    if (!find_key (group, *name, &key)) {
      g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "There is no setting “%s” in [%s].",
          *name, group);
      return FALSE;
    }
    if (!haven_config_set (config, HAVEN_LAYER_FILE, key, value, error))
      return FALSE;
  }
  return TRUE;
}

/* Replaces the file's layer; untouched on failure. */
gboolean
haven_config_load_file (HavenConfig *config, const char *path, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (HavenConfig) fresh = haven_config_new ();
  g_auto (GStrv) groups = NULL;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, error)) {
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  groups = g_key_file_get_groups (file, NULL);
  for (char **group = groups; *group; group++)
    if (!load_group (fresh, file, *group, error)) {
      g_prefix_error (error, "%s: ", path);
      return FALSE;
    }
  haven_config_clear_layer (config, HAVEN_LAYER_FILE);
  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++)
    if (config->read[i].layer == HAVEN_LAYER_FILE)
      config->read[i].layer = -1;
  for (HavenKey key = 0; key < HAVEN_N_KEYS; key++)
    config->values[HAVEN_LAYER_FILE][key] = g_steal_pointer (&fresh->values[HAVEN_LAYER_FILE][key]);
  return TRUE;
}

/* systemd's directories and credentials, where nobody said otherwise. */
static void
load_systemd (HavenConfig *config)
{
  static const struct
  {
    HavenKey key;
    const char *name;
  } credentials[] = { { HAVEN_KEY_API_TOKEN_FILE, "api-token" },
    { HAVEN_KEY_LIVEKIT_API_SECRET_FILE, "livekit-api-secret" },
    { HAVEN_KEY_WEBHOOK_SECRET_FILE, "webhook-secret" } },
    directories[] = { { HAVEN_KEY_STATE_DIRECTORY, "STATE_DIRECTORY" },
      { HAVEN_KEY_RUNTIME_DIRECTORY, "RUNTIME_DIRECTORY" } };
  char **layer = config->values[HAVEN_LAYER_DEFAULT];
  const char *from = g_getenv ("CREDENTIALS_DIRECTORY");

  for (guint i = 0; from && i < G_N_ELEMENTS (credentials); i++) {
    g_autofree char *path = g_build_filename (from, credentials[i].name, NULL);

    if (g_file_test (path, G_FILE_TEST_EXISTS) && !layer[credentials[i].key])
      layer[credentials[i].key] = g_steal_pointer (&path);
  }
  for (guint i = 0; i < G_N_ELEMENTS (directories); i++)
    if (g_getenv (directories[i].name)) {
      g_free (layer[directories[i].key]);
      layer[directories[i].key] = g_strdup (g_getenv (directories[i].name));
    }
}

gboolean
haven_config_load_environment (HavenConfig *config, GError **error)
{
  load_systemd (config);
  for (HavenKey key = 0; key < HAVEN_N_KEYS; key++) {
    const char *value = keys[key].environment ? g_getenv (keys[key].environment) : NULL;

    if (!value || !*value)
      continue;
    if (!haven_config_set (config, HAVEN_LAYER_ENVIRONMENT, key, value, error)) {
      g_prefix_error (error, "%s: ", keys[key].environment);
      return FALSE;
    }
  }
  return TRUE;
}

/* Returns: (nullable): what the topmost layer that knows says; an empty value counts as none */
const char *
haven_config_get (HavenConfig *config, HavenKey key)
{
  for (int layer = HAVEN_N_LAYERS - 1; layer >= 0; layer--) {
    const char *value = config->values[layer][key];

    if (value)
      return *value ? value : NULL;
  }
  return NULL;
}

guint
haven_config_get_uint (HavenConfig *config, HavenKey key)
{
  return (guint)g_ascii_strtoull (haven_config_get (config, key), NULL, 10);
}

gboolean
haven_config_get_boolean (HavenConfig *config, HavenKey key)
{
  const char *value = haven_config_get (config, key);

  return g_strcmp0 (value, "true") == 0 || g_strcmp0 (value, "1") == 0;
}

/* -- secrets -- */

/* The first line, byte by byte: the next may be another's.
 *
 * Returns: (transfer full) (nullable) */
static char *
read_line (int fd, const char *path, GError **error)
{
  g_autoptr (GString) line = g_string_new (NULL);
  char byte;

  while (line->len <= MAX_SECRET) {
    gssize size = read (fd, &byte, 1);

    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0) {
      g_set_error (
          error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", path, g_strerror (errno));
      return NULL;
    }
    if (size == 0 || byte == '\n')
      break;
    g_string_append_c (line, byte);
  }
  if (line->len && line->str[line->len - 1] == '\r')
    g_string_truncate (line, line->len - 1);
  if (!line->len || line->len > MAX_SECRET || !g_utf8_validate (line->str, line->len, NULL)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "%s holds no secret.", path);
    return NULL;
  }
  return g_string_free (g_steal_pointer (&line), FALSE);
}

/* @lasts: (out): whether it can be read again
 *
 * Returns: (transfer full) (nullable) */
static char *
read_secret (const char *path, gboolean *lasts, GError **error)
{
  gboolean is_input = strcmp (path, "-") == 0;
  int fd = is_input ? STDIN_FILENO : open (path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  char *secret = NULL;

  if (fd < 0 || fstat (fd, &status) < 0) {
    g_set_error (
        error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", path, g_strerror (errno));
  } else {
    *lasts = !is_input && S_ISREG (status.st_mode);
    secret = read_line (fd, is_input ? "Standard input" : path, error);
  }
  if (fd >= 0 && !is_input)
    close (fd);
  return secret;
}

static gboolean
load_secret (HavenConfig *config, guint i, GError **error)
{
  HavenKey value = secrets[i].value, file = secrets[i].file;
  int layer = HAVEN_LAYER_COMMAND_LINE;
  gboolean lasts = TRUE;
  const char *path;
  char *secret;

  if (config->read[i].layer >= 0)
    g_clear_pointer (&config->values[config->read[i].layer][value], g_free);
  config->read[i].layer = -1;
  while (layer >= 0 && !config->values[layer][value] && !config->values[layer][file])
    layer--;
  if (layer < 0 || config->values[layer][value] || !*config->values[layer][file])
    return TRUE;
  path = config->values[layer][file];
  if (g_strcmp0 (path, config->read[i].path) == 0) {
    secret = g_strdup (config->read[i].value);
  } else {
    secret = read_secret (path, &lasts, error);
    if (!secret)
      return FALSE;
    g_clear_pointer (&config->read[i].path, g_free);
    g_clear_pointer (&config->read[i].value, g_free);
    if (!lasts) {
      config->read[i].path = g_strdup (path);
      config->read[i].value = g_strdup (secret);
    }
  }
  config->values[layer][value] = secret;
  config->read[i].layer = layer;
  return TRUE;
}

/* Reads the files that hold the secrets; from then on these are settings like the others. */
gboolean
haven_config_load_secrets (HavenConfig *config, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++)
    if (!load_secret (config, i, error))
      return FALSE;
  return TRUE;
}

/* -- what serve needs -- */

/* Whether one may listen there with these settings: not where others reach us and no token keeps
 * them out. */
gboolean
haven_config_check_access (HavenConfig *config, GError **error)
{
  const char *listen = haven_config_get (config, HAVEN_KEY_LISTEN);
  g_autofree char *host = NULL;
  g_autoptr (GInetAddress) address = NULL;

  if (!haven_config_split_listen (listen, &host, NULL, error))
    return FALSE;
  address = g_inet_address_new_from_string (host);
  if (g_inet_address_get_is_loopback (address) || haven_config_get (config, HAVEN_KEY_API_TOKEN)
      || haven_config_get_boolean (config, HAVEN_KEY_INSECURE))
    return TRUE;
  g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_CONFIG,
      "Other machines could reach “%s”: set an API token (--api-token-file, HAVEN_API_TOKEN), or "
      "say --insecure to let everyone in.",
      listen);
  return FALSE;
}

static gboolean
add_key (HavenConfig *config, GVariantDict *settings, GError **error)
{
  const char *key = haven_config_get (config, HAVEN_KEY_LIVEKIT_API_KEY);
  const char *secret = haven_config_get (config, HAVEN_KEY_LIVEKIT_API_SECRET);

  if (!key || !secret) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_CONFIG,
        "LiveKit's API key and secret are not set, nor is a token endpoint.");
    return FALSE;
  }
  g_variant_dict_insert (settings, "api_key", "s", key);
  g_variant_dict_insert (settings, "api_secret", "s", secret);
  return TRUE;
}

/* Where LiveKit answers to HTTP.
 *
 * Returns: (transfer full) (nullable): without a slash at the end */
char *
haven_config_livekit_http (HavenConfig *config)
{
  const char *url = haven_config_get (config, HAVEN_KEY_LIVEKIT_URL);
  char *http
      = url ? g_strconcat ("http", url + strlen ("ws"), NULL) : NULL; /* ws: and wss: alike */

  if (http && g_str_has_suffix (http, "/"))
    http[strlen (http) - 1] = '\0';
  return http;
}

/* What a session must be told at its start of where LiveKit is, how to get in, and how long to
 * wait: keys of org.haven.Session1.Start().
 *
 * @token: (nullable): one to get in with, instead of what the settings say */
gboolean
haven_config_add_session (
    HavenConfig *config, const char *token, GVariantDict *settings, GError **error)
{
  static const struct
  {
    const char *name;
    HavenKey key;
  } numbers[] = {
    { "streamer_timeout", HAVEN_KEY_STREAMER_TIMEOUT },
    { "connect_timeout", HAVEN_KEY_CONNECT_TIMEOUT },
    { "reconnect_timeout", HAVEN_KEY_RECONNECT_TIMEOUT },
    { "max_viewers", HAVEN_KEY_MAX_VIEWERS },
    { "max_pictures", HAVEN_KEY_MAX_PICTURES },
  };
  const char *endpoint = token ? NULL : haven_config_get (config, HAVEN_KEY_TOKEN_ENDPOINT);
  const char *url = haven_config_get (config, HAVEN_KEY_LIVEKIT_URL);

  if (!url && !endpoint) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_CONFIG,
        "No LiveKit server is set: put livekit_url into the configuration.");
    return FALSE;
  }
  if (url)
    g_variant_dict_insert (settings, "livekit_url", "s", url);
  if (token)
    g_variant_dict_insert (settings, "token", "s", token);
  else if (endpoint)
    g_variant_dict_insert (settings, "token_endpoint", "s", endpoint);
  else if (!add_key (config, settings, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    g_variant_dict_insert (
        settings, numbers[i].name, "u", haven_config_get_uint (config, numbers[i].key));
  g_variant_dict_insert (settings, "recording_reserve", "t",
      (guint64)haven_config_get_uint (config, HAVEN_KEY_RECORDING_RESERVE) * 1000000);
  return TRUE;
}

/* Reads file and secrets again. All or nothing: what cannot be read, or would open the server,
 * leaves everything as it was. Address and directories stay those of the start.
 *
 * @path: (nullable): the file */
gboolean
haven_config_reload (HavenConfig *config, const char *path, GError **error)
{
  g_autoptr (HavenConfig) fresh = copy (config);
  HavenConfig old;

  if (path && !haven_config_load_file (fresh, path, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (lasting); i++) {
    g_free (fresh->values[HAVEN_LAYER_FILE][lasting[i]]);
    fresh->values[HAVEN_LAYER_FILE][lasting[i]]
        = g_strdup (config->values[HAVEN_LAYER_FILE][lasting[i]]);
  }
  if (!haven_config_load_secrets (fresh, error) || !haven_config_check_access (fresh, error))
    return FALSE;
  old = *config;
  *config = *fresh;
  *fresh = old;
  return TRUE;
}

/* "127.0.0.1:8000", "[::1]:8000", "localhost:8000"
 *
 * @address: (out) (optional): an IP address
 * @port: (out) (optional) */
gboolean
haven_config_split_listen (const char *listen, char **address, guint16 *port, GError **error)
{
  const char *colon = strrchr (listen, ':');
  g_autofree char *host = NULL;
  guint64 number;

  if (colon)
    host = g_str_has_prefix (listen, "[") && colon > listen + 1 && colon[-1] == ']'
               ? g_strndup (listen + 1, colon - listen - 2)
               : g_strndup (listen, colon - listen);
  if (g_strcmp0 (host, "localhost") == 0) {
    g_free (host);
    host = g_strdup ("127.0.0.1");
  }
  if (!colon || !g_hostname_is_ip_address (host)
      || !g_ascii_string_to_unsigned (colon + 1, 10, 0, G_MAXUINT16, &number, NULL)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID,
        "“%s” is not ADDRESS:PORT, such as 127.0.0.1:8000.", listen);
    return FALSE;
  }
  if (port)
    *port = (guint16)number;
  if (address)
    *address = g_steal_pointer (&host);
  return TRUE;
}

/* Returns: (transfer full) (nullable): the file to read where none is named */
char *
haven_config_default_file (void)
{
  g_autofree char *own
      = g_build_filename (g_get_user_config_dir (), "haven-live", "haven-live.conf", NULL);

  if (g_file_test (own, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&own);
  return g_file_test ("/etc/haven-live.conf", G_FILE_TEST_EXISTS)
             ? g_strdup ("/etc/haven-live.conf")
             : NULL;
}
