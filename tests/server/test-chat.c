/* What is written of what participants say.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "haven-chat.h"
#include "haven-json.h"
#include "haven-log.h"
#include "server-fixture.h"

typedef struct
{
  ServerFixture base;
  HavenChat *chat;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  server_fixture_set_up (&fixture->base);
  path = g_build_filename (fixture->base.directory, "talk.mkv", NULL);
  fixture->chat = haven_chat_new (path);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  haven_chat_free (fixture->chat);
  server_fixture_tear_down (&fixture->base);
}

static void
say (Fixture *fixture, double offset, const char *topic, const char *text, gsize size)
{
  g_autoptr (GBytes) payload = g_bytes_new (text, size);

  haven_chat_take (fixture->chat, offset, "Ann <3", topic, payload);
}

static char * /* (transfer full) (nullable) */
written (Fixture *fixture, const char *name)
{
  g_autofree char *path = g_build_filename (fixture->base.directory, name, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

static void
nothing_said_is_no_file (Fixture *fixture, gconstpointer data)
{
  g_assert_null (written (fixture, "talk.jsonl"));
  g_assert_null (written (fixture, "talk.vtt"));
}

static void
all_is_in_lines_of_json (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (JsonNode) first = NULL, second = NULL;
  JsonObject *object;

  say (fixture, 1.5, "lk.chat", "a \"b\"\nc", 7);
  say (fixture, 2, "", "\x00\xff", 2);
  text = written (fixture, "talk.jsonl");
  lines = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 3); /* the last is empty */
  first = json_from_string (lines[0], NULL);
  object = json_node_get_object (first);
  g_assert_cmpfloat (json_object_get_double_member (object, "offset_seconds"), ==, 1.5);
  g_assert_cmpstr (json_object_get_string_member (object, "participant"), ==, "Ann <3");
  g_assert_cmpstr (json_object_get_string_member (object, "topic"), ==, "lk.chat");
  g_assert_cmpstr (json_object_get_string_member (object, "text"), ==, "a \"b\"\nc");
  g_assert_true (g_str_has_suffix (json_object_get_string_member (object, "timestamp"), "Z"));
  second = json_from_string (lines[1], NULL);
  object = json_node_get_object (second);
  g_assert_cmpstr (json_object_get_string_member (object, "base64"), ==, "AP8=");
  g_assert_false (json_object_has_member (object, "text"));
}

static void
chat_alone_is_shown (Fixture *fixture, gconstpointer data)
{
  static const char legacy[] = "{\"id\":\"1\",\"message\":\"older [x]\"}";
  static const char both[] = "{\"message\":\"twice\",\"ignoreLegacy\":true}";
  g_autofree char *text = NULL;

  say (fixture, 3661.25, "lk.chat", "1 < 2 & 3 --> 4\n\n00:00", 22);
  say (fixture, 3662, "cursor", "x=1", 3);
  say (fixture, 3663, "lk-chat-topic", legacy, strlen (legacy));
  say (fixture, 3664, "lk-chat-topic", both, strlen (both));
  say (fixture, 3665, "lk-chat-topic", "no JSON", 7);
  say (fixture, 3666, "lk.chat", "\xff", 1);
  text = written (fixture, "talk.vtt");
  g_assert_cmpstr (text, ==,
      "WEBVTT\n"
      "\n01:01:01.250 --> 01:01:06.250\n<v Ann &lt;3>1 &lt; 2 &amp; 3 --&gt; 4  00:00\n"
      "\n01:01:03.000 --> 01:01:08.000\n<v Ann &lt;3>older [x]\n");
}

static void
a_file_has_an_end (Fixture *fixture, gconstpointer data)
{
  g_autofree char *large = g_strnfill (60000, 'x');
  g_autofree char *text = NULL;

  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*as long as it may be*");
  for (guint i = 0; i < 300; i++)
    say (fixture, i, "topic", large, 60000);
  g_test_assert_expected_messages ();
  text = written (fixture, "talk.jsonl");
  g_assert_cmpuint (strlen (text), <=, 16 * 1024 * 1024);
  g_assert_true (g_str_has_suffix (text, "}\n"));
}

/* Of somebody else: it stays as it is. */
static void
a_file_that_is_there_is_left_alone (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->base.directory, "talk.jsonl", NULL);
  g_autofree char *text = NULL;

  g_assert_true (g_file_set_contents (path, "mine", -1, NULL));
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*cannot be written*");
  say (fixture, 1, "topic", "x", 1);
  say (fixture, 1, "topic", "x", 1);
  g_test_assert_expected_messages ();
  text = written (fixture, "talk.jsonl");
  g_assert_cmpstr (text, ==, "mine");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/chat/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (nothing_said_is_no_file);
  TEST (all_is_in_lines_of_json);
  TEST (chat_alone_is_shown);
  TEST (a_file_has_an_end);
  TEST (a_file_that_is_there_is_left_alone);
#undef TEST
  return g_test_run ();
}
