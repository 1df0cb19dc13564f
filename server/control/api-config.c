/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "api.h"

const HavenField haven_config_fields[] = {
  { "livekit_url", HAVEN_FIELD_STRING },
  { "livekit_api_key", HAVEN_FIELD_STRING },
  { "livekit_api_secret", HAVEN_FIELD_STRING },
  { "recording_directory", HAVEN_FIELD_STRING },
  { "token_endpoint", HAVEN_FIELD_STRING },
  { NULL },
};

static const struct
{
  const char *name;
  HavenKey key;
} stored[] = {
  { "livekit_url", HAVEN_KEY_LIVEKIT_URL },
  { "livekit_api_key", HAVEN_KEY_LIVEKIT_API_KEY },
  { "livekit_api_secret", HAVEN_KEY_LIVEKIT_API_SECRET },
  { "recording_directory", HAVEN_KEY_RECORDING_DIRECTORY },
  { "token_endpoint", HAVEN_KEY_TOKEN_ENDPOINT },
};

/* What the API has set in former lives. One that is no longer valid counts as not set, and the
 * others hold.
 *
 * Returns: FALSE with the first complaint */
gboolean
haven_app_load_stored (HavenConfig *config, HavenStore *store, GError **error)
{
  gboolean valid = TRUE;

  for (guint i = 0; i < G_N_ELEMENTS (stored); i++) {
    g_autofree char *value = haven_store_get_setting (store, stored[i].name);

    if (!haven_config_set (
            config, HAVEN_LAYER_STORED, stored[i].key, value, valid ? error : NULL)) {
      g_prefix_error (valid ? error : NULL, "Set through the API: ");
      valid = FALSE;
    }
  }
  return valid;
}

/* @value: (nullable): NULL uncovers what file and environment say */
gboolean
api_store_setting (HavenApp *app, HavenKey key, const char *value, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (stored); i++)
    if (stored[i].key == key)
      return haven_store_set_setting (app->store, stored[i].name, value, error)
             && haven_config_set (app->config, HAVEN_LAYER_STORED, key, value, error);
  g_return_val_if_reached (FALSE);
}

static void
set_member (JsonObject *body, HavenConfig *config, const char *name, HavenKey key)
{
  haven_json_set_string (body, name, haven_config_get (config, key));
}

void
api_config_get (HavenRequest *request)
{
  HavenConfig *config = request->app->config;
  JsonObject *body = json_object_new ();
  gint64 updated = haven_store_settings_updated_at (request->app->store);

  set_member (body, config, "livekit_url", HAVEN_KEY_LIVEKIT_URL);
  set_member (body, config, "livekit_api_key", HAVEN_KEY_LIVEKIT_API_KEY);
  json_object_set_null_member (body, "livekit_api_secret");
  json_object_set_boolean_member (body, "livekit_api_secret_set",
      haven_config_get (config, HAVEN_KEY_LIVEKIT_API_SECRET) != NULL);
  set_member (body, config, "recording_directory", HAVEN_KEY_RECORDING_DIRECTORY);
  set_member (body, config, "token_endpoint", HAVEN_KEY_TOKEN_ENDPOINT);
  haven_json_set_time (body, "updated_at", updated ? updated : request->app->started);
  haven_request_reply_json (request, 200, body);
}

static gboolean
check_value (HavenRequest *request, HavenKey key, const char *value, GError **error)
{
  g_autofree char *directory = NULL;

  if (!*value)
    return TRUE;
  if (!haven_config_check (key, value, error))
    return FALSE;
  if (key != HAVEN_KEY_RECORDING_DIRECTORY)
    return TRUE;
  directory = haven_recording_check_directory (request->app->config, value, error);
  return directory != NULL;
}

/* All or nothing: the values are checked before the first is set. null or "" takes a setting back;
 * but a secret that is null is what GET answers, sent back. */
void
api_config_put (HavenRequest *request)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (stored); i++) {
    const char *value = haven_json_string (request->body, stored[i].name);

    if (value && !check_value (request, stored[i].key, value, &error)) {
      g_autofree char *sentence = g_strdup_printf ("“%s”: %s", stored[i].name, error->message);

      haven_request_fail (request, HAVEN_ERROR_INVALID, "%s", sentence);
      return;
    }
  }
  for (guint i = 0; i < G_N_ELEMENTS (stored); i++) {
    const char *value = haven_json_string (request->body, stored[i].name);

    if (!json_object_has_member (request->body, stored[i].name)
        || (!value && stored[i].key == HAVEN_KEY_LIVEKIT_API_SECRET))
      continue;
    if (!api_store_setting (request->app, stored[i].key, value && *value ? value : NULL, &error)) {
      haven_request_reply_error (request, error);
      return;
    }
  }
  api_config_get (request);
}
