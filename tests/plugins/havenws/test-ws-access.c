/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-access.h"
#include "ws-target.h"

static void
test_lists_are_words_between_commas (void)
{
  g_auto (GStrv) none = ws_access_split (NULL);
  g_auto (GStrv) words = ws_access_split (" a, b ,,c ");

  g_assert_cmpuint (g_strv_length (none), ==, 0);
  g_assert_cmpstrv (words, ((const char *const[]){ "a", "b", "c", NULL }));
}

static void
test_hosts_are_addresses_localhost_or_listed (void)
{
  g_auto (GStrv) listed = ws_access_split ("player.example");
  const char *good[] = { "127.0.0.1", "192.168.1.5:8080", "[::1]", "[::1]:80", "localhost",
    "LOCALHOST:1", "player.example:99", "Player.Example" };
  const char *bad[] = { "", ":80", "evil.example", "localhost.evil.example", "player.example.evil",
    "[::1", "[::1]x", "127.0.0.1:80x", "127.0.0.1.evil.example", "localhost:80:80",
    "localhost@evil" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (ws_access_host (good[i], listed));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (ws_access_host (bad[i], listed));
  g_assert_false (ws_access_host (NULL, listed));
}

static void
test_origins_are_local_our_own_or_listed (void)
{
  g_auto (GStrv) standard = ws_access_split (WS_ACCESS_DEFAULT_ORIGINS);
  g_auto (GStrv) listed = ws_access_split ("https://player.example");
  g_auto (GStrv) all = ws_access_split ("*");
  const char *good[] = { "http://localhost", "http://localhost:5173", "https://LOCALHOST:1",
    "http://127.0.0.1:80", "http://[::1]:3000", "file://", "null", "http://10.0.0.7:8080" };
  const char *bad[] = { "http://localhost.evil.example", "http://localhost:80.evil.example",
    "http://evil.example", "https://player.example", "ftp://localhost", "file://x",
    "http://10.0.0.7", "app://10.0.0.7:8080", "" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (ws_access_origin (good[i], "10.0.0.7:8080", standard));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (ws_access_origin (bad[i], "10.0.0.7:8080", standard));
  g_assert_true (ws_access_origin (NULL, "localhost", standard));
  g_assert_true (ws_access_origin ("https://player.example", "localhost", listed));
  g_assert_false (ws_access_origin ("https://player.example:444", "localhost", listed));
  g_assert_true (ws_access_origin ("http://evil.example", "localhost", all));
}

static void
test_tokens_come_as_bearer_or_in_the_query (void)
{
  g_assert_true (ws_access_token (NULL, NULL, NULL));
  g_assert_true (ws_access_token ("", NULL, "anything"));
  g_assert_true (ws_access_token ("secret", "Bearer secret", NULL));
  g_assert_true (ws_access_token ("secret", "bearer secret", NULL));
  g_assert_true (ws_access_token ("secret", NULL, "secret"));
  g_assert_false (ws_access_token ("secret", NULL, NULL));
  g_assert_false (ws_access_token ("secret", "Basic secret", NULL));
  g_assert_false (ws_access_token ("secret", "Bearer secre", "secrets"));
  g_assert_false (ws_access_token ("secret", "Bearer ", ""));
  g_assert_false (ws_access_token ("secret", NULL, "secretsecret"));
}

static void
test_the_end_of_the_path_tells_the_form (void)
{
  const struct
  {
    const char *uri;
    WsForm form;
    const char *name;
    gboolean audio;
  } cases[] = {
    { "/ws/live/room", WS_FORM_BINARY, "room", TRUE },
    { "/api/live-sessions/ws/live/room/?audio=0", WS_FORM_BINARY, "room", FALSE },
    { "/stream/a%20b?audio=1", WS_FORM_JSON, "a b", TRUE },
    { "/api/live-sessions/stream/m?x=y", WS_FORM_JSON, "m", TRUE },
  };
  const char *none[] = { "", "/", "/stream", "/stream/", "/ws/live//", "/live/room", "/stream/a/b",
    "stream/a", "/stream/%ff", "/stream/%00" };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (WsTarget) target = { 0 };

    g_assert_true (ws_target_parse_uri (cases[i].uri, &target));
    g_assert_cmpint (target.form, ==, cases[i].form);
    g_assert_cmpstr (target.name, ==, cases[i].name);
    g_assert_cmpint (target.ask.audio != WS_AUDIO_NONE, ==, cases[i].audio);
  }
  for (guint i = 0; i < G_N_ELEMENTS (none); i++) {
    g_auto (WsTarget) target = { 0 };

    g_assert_false (ws_target_parse_uri (none[i], &target));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/ws-access/" #name, test_##name)
  ADD (lists_are_words_between_commas);
  ADD (hosts_are_addresses_localhost_or_listed);
  ADD (origins_are_local_our_own_or_listed);
  ADD (tokens_come_as_bearer_or_in_the_query);
  ADD (the_end_of_the_path_tells_the_form);
  return g_test_run ();
}
