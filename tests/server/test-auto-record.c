/* The list of rooms to be recorded, and what LiveKit says of them: a server that answers as it
 * does, and as it should not. Whether anything is recorded the integration tests see.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <libsoup/soup.h>
#include <string.h>

#include "haven-auto-record.h"
#include "haven-error.h"
#include "haven-json.h"
#include "haven-log.h"
#include "haven-rooms.h"
#include "server-fixture.h"

typedef struct
{
  ServerFixture base;
  HavenSessionManager *manager;
  HavenRecorder *recorder;
  HavenAutoRecord *list;

  SoupServer *server;
  HavenRooms *rooms;
  guint n_requests, n_most; /* names in one of them */
  guint status;             /* 0: what it should */
  const char *answer;       /* (nullable): instead */
  gboolean done;
  GHashTable *live; /* (owned) (nullable) */
  GError *error;
} Fixture;

/* "live-…" has a streamer, "big-…" so much metadata that it does not fit, others nobody. */
static void
answer_for (JsonArray *names, JsonArray *rooms)
{
  for (guint i = 0; i < json_array_get_length (names); i++) {
    const char *name = json_array_get_string_element (names, i);
    JsonObject *room = json_object_new ();

    json_object_set_string_member (room, "name", name);
    if (g_str_has_prefix (name, "live-"))
      json_object_set_int_member (room, "num_publishers", 1);
    if (g_str_has_prefix (name, "big-")) {
      g_autofree char *metadata = g_strnfill (70000, 'x');

      json_object_set_string_member (room, "metadata", metadata);
    }
    json_array_add_object_element (rooms, room);
  }
}

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
    gpointer user_data)
{
  Fixture *fixture = user_data;
  SoupMessageBody *body = soup_server_message_get_request_body (message);
  g_autoptr (JsonNode) asked = json_from_string (body->data, NULL);
  JsonArray *names = json_object_get_array_member (json_node_get_object (asked), "names");
  g_autoptr (JsonObject) object = json_object_new ();
  JsonArray *rooms = json_array_new ();
  g_autofree char *text = NULL;

  g_assert_cmpstr (path, ==, "/twirp/livekit.RoomService/ListRooms");
  g_assert_true (
      g_str_has_prefix (soup_message_headers_get_one (
                            soup_server_message_get_request_headers (message), "Authorization"),
          "Bearer "));
  fixture->n_requests++;
  fixture->n_most = MAX (fixture->n_most, json_array_get_length (names));
  answer_for (names, rooms);
  json_object_set_array_member (object, "rooms", rooms);
  text = fixture->answer ? g_strdup (fixture->answer) : haven_json_to_text (object);
  soup_message_headers_replace (
      soup_server_message_get_response_headers (message), "Connection", "close");
  soup_server_message_set_response (
      message, "application/json", SOUP_MEMORY_COPY, text, strlen (text));
  soup_server_message_set_status (message, fixture->status ? fixture->status : 200, NULL);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *url = NULL, *address = NULL;
  GSList *uris;

  server_fixture_set_up (&fixture->base);
  fixture->server = soup_server_new (NULL, NULL);
  soup_server_add_handler (fixture->server, NULL, on_request, fixture, NULL);
  soup_server_listen_local (fixture->server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
  g_assert_no_error (error);
  uris = soup_server_get_uris (fixture->server);
  address = g_uri_to_string (uris->data);
  url = g_strconcat ("ws", address + strlen ("http"), NULL);
  g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
  server_fixture_set (&fixture->base, HAVEN_KEY_LIVEKIT_URL, url);
  server_fixture_set (&fixture->base, HAVEN_KEY_LIVEKIT_API_KEY, "key");
  server_fixture_set (&fixture->base, HAVEN_KEY_LIVEKIT_API_SECRET, "hush");
  fixture->rooms = haven_rooms_new (fixture->base.config);
  fixture->manager = haven_session_manager_new (
      fixture->base.config, fixture->base.store, fixture->base.directory, "/bin/false");
  fixture->recorder
      = haven_recorder_new (fixture->base.config, fixture->base.store, fixture->manager);
  fixture->list = haven_auto_record_new (
      fixture->base.config, fixture->base.store, fixture->manager, fixture->recorder);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  haven_auto_record_free (fixture->list);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  haven_recorder_free (fixture->recorder);
  g_object_unref (fixture->manager);
  haven_rooms_free (fixture->rooms);
  g_object_unref (fixture->server);
  g_clear_pointer (&fixture->live, g_hash_table_unref);
  g_clear_error (&fixture->error);
  server_fixture_tear_down (&fixture->base);
}

/* -- what LiveKit says -- */

static void
on_asked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->live = haven_rooms_ask_finish (result, &fixture->error);
  fixture->done = TRUE;
}

static void
ask (Fixture *fixture, const char *prefix, guint count)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < count; i++)
    g_ptr_array_add (names, g_strdup_printf ("%s%u", prefix, i));
  g_ptr_array_add (names, g_strdup ("live-last"));
  haven_rooms_ask_async (fixture->rooms, names, NULL, on_asked, fixture);
  server_fixture_run_until (&fixture->done);
}

static void
many_rooms_are_asked_for_a_few_at_a_time (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "empty-", 99);
  g_assert_no_error (fixture->error);
  g_assert_cmpuint (g_hash_table_size (fixture->live), ==, 1);
  g_assert_true (g_hash_table_contains (fixture->live, "live-last"));
  g_assert_cmpuint (fixture->n_requests, ==, 7);
  g_assert_cmpuint (fixture->n_most, ==, 16);
}

static void
a_room_with_too_much_to_say_hides_no_other (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "big-", 2);
  g_assert_no_error (fixture->error);
  g_assert_cmpuint (g_hash_table_size (fixture->live), ==, 3); /* that one is worth a try */
  g_assert_true (g_hash_table_contains (fixture->live, "live-last"));
  g_assert_cmpuint (fixture->n_requests, ==, 4);
}

static void
what_is_no_answer_is_an_error_without_the_token (Fixture *fixture, gconstpointer data)
{
  static const struct
  {
    guint status;
    const char *answer;
  } answers[]
      = { { 401, "invalid token" }, { 500, "{}" }, { 200, "rooms" }, { 200, "[]" }, { 302, "" } };

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++) {
    fixture->status = answers[i].status;
    fixture->answer = answers[i].answer;
    fixture->done = FALSE;
    ask (fixture, "live-", 1);
    g_assert_nonnull (fixture->error);
    g_assert_null (fixture->live);
    g_assert_null (strstr (fixture->error->message, "eyJ"));
    g_clear_error (&fixture->error);
  }
}

static void
odd_answers_name_nobody (Fixture *fixture, gconstpointer data)
{
  static const char *const answers[] = {
    "{}", "{\"rooms\":null}", "{\"rooms\":[1,null,{}]}",
    "{\"rooms\":[{\"name\":7,\"num_publishers\":1},{\"name\":\"live-0\",\"num_publishers\":\"x\"}]}"
  };

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++) {
    fixture->answer = answers[i];
    fixture->done = FALSE;
    ask (fixture, "live-", 1);
    g_assert_no_error (fixture->error);
    g_assert_cmpuint (g_hash_table_size (fixture->live), ==, 0);
    g_clear_pointer (&fixture->live, g_hash_table_unref);
  }
}

static void
without_a_key_nobody_is_asked (Fixture *fixture, gconstpointer data)
{
  g_assert_true (haven_rooms_can_ask (fixture->rooms));
  server_fixture_set (&fixture->base, HAVEN_KEY_TOKEN_ENDPOINT, "http://127.0.0.1:9/");
  g_assert_false (haven_rooms_can_ask (fixture->rooms));
}

/* -- the list -- */

static void
put (Fixture *fixture, const char *mint_id, const char *name_template)
{
  const HavenAutoRow wanted = { .mint_id = (char *)mint_id,
    .format = (char *)"source",
    .name_template = (char *)name_template,
    .chat = TRUE };
  g_autoptr (GError) error = NULL;

  haven_auto_record_put (fixture->list, &wanted, &error);
  g_assert_no_error (error);
}

static void
restart (Fixture *fixture)
{
  haven_auto_record_free (fixture->list);
  fixture->list = haven_auto_record_new (
      fixture->base.config, fixture->base.store, fixture->manager, fixture->recorder);
}

static void
the_list_outlives_the_server (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) ids = NULL;
  g_autoptr (GError) error = NULL;
  HavenAutoState state;

  put (fixture, "b", NULL);
  put (fixture, "a", "{room}");
  put (fixture, "c", NULL);
  put (fixture, "b", "{date}");
  g_assert_true (haven_auto_record_delete (fixture->list, "c", NULL));
  g_assert_false (haven_auto_record_delete (fixture->list, "c", &error));
  g_assert_error (error, HAVEN_ERROR, HAVEN_ERROR_NO_AUTO_RECORD);
  restart (fixture);
  ids = haven_auto_record_list (fixture->list);
  g_assert_cmpuint (ids->len, ==, 2);
  g_assert_cmpstr (ids->pdata[0], ==, "a");
  g_assert_true (haven_auto_record_get (fixture->list, "b", &state));
  g_assert_cmpstr (state.row->name_template, ==, "{date}");
  g_assert_cmpstr (state.row->format, ==, "source");
  g_assert_null (state.row->directory);
  g_assert_true (state.row->chat);
  g_assert_cmpstr (state.state, ==, "waiting");
  g_assert_false (haven_auto_record_get (fixture->list, "c", &state));
}

static void
what_cannot_be_is_refused (Fixture *fixture, gconstpointer data)
{
  const HavenAutoRow bad[] = { { .mint_id = (char *)"a", .name_template = (char *)"{x}" },
    { .mint_id = (char *)"a", .directory = (char *)"/etc" } };
  HavenAutoState state;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (haven_auto_record_put (fixture->list, &bad[i], &error));
    g_assert_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID);
  }
  g_assert_false (haven_auto_record_get (fixture->list, "a", &state));
}

static void
the_list_has_an_end (Fixture *fixture, gconstpointer data)
{
  const HavenAutoRow one_more = { .mint_id = (char *)"one more" };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < HAVEN_AUTO_RECORD_MOST; i++) {
    g_autofree char *id = g_strdup_printf ("%u", i);

    put (fixture, id, NULL);
  }
  g_assert_false (haven_auto_record_put (fixture->list, &one_more, &error));
  g_assert_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT);
  put (fixture, "7", "changed");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
#define TEST(name) g_test_add ("/auto-record/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (many_rooms_are_asked_for_a_few_at_a_time);
  TEST (a_room_with_too_much_to_say_hides_no_other);
  TEST (what_is_no_answer_is_an_error_without_the_token);
  TEST (odd_answers_name_nobody);
  TEST (without_a_key_nobody_is_asked);
  TEST (the_list_outlives_the_server);
  TEST (what_cannot_be_is_refused);
  TEST (the_list_has_an_end);
#undef TEST
  return g_test_run ();
}
