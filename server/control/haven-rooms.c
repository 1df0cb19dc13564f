/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-rooms.h"

#include <json-glib/json-glib.h>
#include <libsoup/soup.h>
#include <string.h>

#include "haven-error.h"
#include "haven-json.h"
#include "livekit-http.h"
#include "livekit-json.h"
#include "livekit-token.h"

#define PATH "/twirp/livekit.RoomService/ListRooms"
#define SILENCE 10 /* s without a byte */
#define AT_ONCE 16 /* rooms in a request: their answer fits into what livekit-http takes */

struct _HavenRooms
{
  HavenConfig *config; /* outlives us */
  SoupSession *session;
};

typedef struct
{
  SoupSession *session; /* (owned) */
  char *url, *token;
  GPtrArray *names;  /* (owned) */
  guint done, asked; /* of names; how many are on their way */
  guint at_once;
  GHashTable *live;     /* (owned) (nullable) */
  SoupMessage *message; /* (owned) (nullable) */
} Ask;

static void
ask_free (gpointer data)
{
  Ask *ask = data;

  g_object_unref (ask->session);
  g_clear_object (&ask->message);
  g_ptr_array_unref (ask->names);
  g_clear_pointer (&ask->live, g_hash_table_unref);
  g_free (ask->url);
  g_free (ask->token);
  g_free (ask);
}

HavenRooms *
haven_rooms_new (HavenConfig *config)
{
  HavenRooms *rooms = g_new0 (HavenRooms, 1);

  rooms->config = config;
  rooms->session = livekit_http_session_new (NULL);
  soup_session_set_timeout (rooms->session, SILENCE);
  return rooms;
}

void
haven_rooms_free (HavenRooms *rooms)
{
  g_object_unref (rooms->session);
  g_free (rooms);
}

/* Where tokens come from an endpoint, there are none for this question. */
gboolean
haven_rooms_can_ask (HavenRooms *rooms)
{
  return haven_config_get (rooms->config, HAVEN_KEY_LIVEKIT_URL)
         && haven_config_get (rooms->config, HAVEN_KEY_LIVEKIT_API_KEY)
         && haven_config_get (rooms->config, HAVEN_KEY_LIVEKIT_API_SECRET)
         && !haven_config_get (rooms->config, HAVEN_KEY_TOKEN_ENDPOINT);
}

static void
add_rooms (Ask *ask, JsonArray *rooms)
{
  for (guint i = 0; i < json_array_get_length (rooms); i++) {
    JsonNode *node = json_array_get_element (rooms, i);
    JsonObject *room = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *name = room ? livekit_json_get_string (room, "name") : NULL;

    if (name && livekit_json_get_int (room, "num_publishers", 0) > 0)
      g_hash_table_add (ask->live, g_strdup (name));
  }
}

/* @body: (nullable): what came
 *
 * Returns: whether it was an answer */
static gboolean
read_answer (Ask *ask, GBytes *body, GError **error)
{
  guint status = soup_message_get_status (ask->message);
  gsize size;
  const char *text = g_bytes_get_data (body, &size);
  g_autoptr (JsonObject) object = NULL;
  JsonNode *rooms;

  if (status != SOUP_STATUS_OK) {
    g_autofree char *reason = livekit_http_reason (text, size, ask->token);

    g_propagate_error (error,
        livekit_http_error_from_status (status, soup_message_get_uri (ask->message), reason));
    return FALSE;
  }
  if (size > LIVEKIT_HTTP_MAX_BODY) {
    /* What others write into their rooms' metadata must hide no other room; and one that is there
     * is worth a try. */
    if (ask->at_once == 1)
      g_hash_table_add (ask->live, g_strdup (ask->names->pdata[ask->done]));
    else
      ask->asked = 0;
    ask->at_once = 1;
    return TRUE;
  }
  object = livekit_json_parse (text, size, error);
  if (!object)
    return FALSE;
  rooms = json_object_get_member (object, "rooms");
  if (rooms && JSON_NODE_HOLDS_ARRAY (rooms))
    add_rooms (ask, json_node_get_array (rooms));
  return TRUE;
}

static void ask_next (GTask *task);

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Ask *ask = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) body = livekit_http_send_finish (SOUP_SESSION (source), result, &error);

  if (!body) {
    g_task_return_error (task, livekit_http_error_from_transport (error, ask->message));
  } else if (!read_answer (ask, body, &error)) {
    g_task_return_error (task, g_steal_pointer (&error));
  } else {
    ask->done += ask->asked;
    ask_next (g_steal_pointer (&task));
  }
}

static GBytes * /* (transfer full): of the request */
make_body (Ask *ask)
{
  g_autoptr (JsonObject) object = json_object_new ();
  JsonArray *names = json_array_new ();
  char *text;

  for (guint i = 0; i < ask->asked; i++)
    json_array_add_string_element (names, ask->names->pdata[ask->done + i]);
  json_object_set_array_member (object, "names", names);
  text = haven_json_to_text (object);
  return g_bytes_new_take (text, strlen (text));
}

static void
ask_next (GTask *task) /* @task: (transfer full) */
{
  Ask *ask = g_task_get_task_data (task);
  g_autoptr (GBytes) body = NULL;
  g_autoptr (GUri) uri = NULL;

  if (ask->done >= ask->names->len) {
    g_task_return_pointer (task, g_steal_pointer (&ask->live), (GDestroyNotify)g_hash_table_unref);
    g_object_unref (task);
    return;
  }
  ask->asked = MIN (ask->at_once, ask->names->len - ask->done);
  body = make_body (ask);
  uri = g_uri_parse (ask->url, SOUP_HTTP_URI_FLAGS, NULL);
  g_clear_object (&ask->message);
  ask->message = livekit_http_message_new ("POST", uri, ask->token, FALSE);
  soup_message_set_request_body_from_bytes (ask->message, "application/json", body);
  livekit_http_send_async (
      ask->session, ask->message, g_task_get_cancellable (task), on_answer, task);
}

void
haven_rooms_ask_async (HavenRooms *rooms, GPtrArray *names, GCancellable *cancellable,
    GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  g_autofree char *http = haven_config_livekit_http (rooms->config);
  Ask *ask = g_new0 (Ask, 1);
  GError *error = NULL;

  ask->session = g_object_ref (rooms->session);
  ask->names = names;
  ask->at_once = AT_ONCE;
  ask->live = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  ask->url = g_strconcat (http, PATH, NULL);
  ask->token
      = livekit_token_new_for_list (haven_config_get (rooms->config, HAVEN_KEY_LIVEKIT_API_KEY),
          haven_config_get (rooms->config, HAVEN_KEY_LIVEKIT_API_SECRET), &error);
  g_task_set_task_data (task, ask, ask_free);
  if (ask->token && livekit_http_is_token (ask->token)) {
    ask_next (task);
    return;
  }
  if (error)
    g_task_return_error (task, error);
  else
    g_task_return_new_error (
        task, HAVEN_ERROR, HAVEN_ERROR_CONFIG, "No token can be made of API key and secret.");
  g_object_unref (task);
}

GHashTable *
haven_rooms_ask_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
