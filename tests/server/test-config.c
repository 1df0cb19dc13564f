/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-config.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  HavenConfig *config;
  char *directory, *file, *secret;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  fixture->config = haven_config_new ();
  fixture->directory = g_dir_make_tmp ("haven-config-XXXXXX", NULL);
  fixture->file = g_build_filename (fixture->directory, "conf", NULL);
  fixture->secret = g_build_filename (fixture->directory, "secret", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  g_unlink (fixture->file);
  g_unlink (fixture->secret);
  g_rmdir (fixture->directory);
  g_free (fixture->directory);
  g_free (fixture->file);
  g_free (fixture->secret);
  haven_config_free (fixture->config);
}

static void
write_file (const char *path, const char *text)
{
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
set (Fixture *fixture, HavenLayer layer, HavenKey key, const char *value)
{
  g_assert_true (haven_config_set (fixture->config, layer, key, value, NULL));
}

static void
assert_secret (Fixture *fixture, const char *expected)
{
  g_autoptr (GError) error = NULL;

  haven_config_load_secrets (fixture->config, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LIVEKIT_API_SECRET), ==, expected);
}

static void
the_last_layer_counts (Fixture *fixture, gconstpointer unused)
{
  static const HavenLayer layers[]
      = { HAVEN_LAYER_FILE, HAVEN_LAYER_ENVIRONMENT, HAVEN_LAYER_COMMAND_LINE, HAVEN_LAYER_STORED };

  for (guint i = 0; i < G_N_ELEMENTS (layers); i++) {
    g_autofree char *url = g_strdup_printf ("ws://host-%u", i);

    set (fixture, layers[i], HAVEN_KEY_LIVEKIT_URL, url);
    g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LIVEKIT_URL), ==, url);
  }
  set (fixture, HAVEN_LAYER_STORED, HAVEN_KEY_LIVEKIT_URL, NULL);
  g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LIVEKIT_URL), ==, "ws://host-2");
}

static void
a_file_with_a_mistake_changes_nothing (Fixture *fixture, gconstpointer unused)
{
  static const char *const mistakes[] = { "nothing", "[server]\ncolour=red\n",
    "[livekit]\nurl=http://x\n", "[server]\nmax-connections=0\n", "[nowhere]\nlisten=1.2.3.4:5\n" };

  write_file (fixture->file, "[livekit]\nurl=ws://right\n");
  g_assert_true (haven_config_load_file (fixture->config, fixture->file, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (mistakes); i++) {
    g_autoptr (GError) error = NULL;

    write_file (fixture->file, mistakes[i]);
    g_assert_false (haven_config_load_file (fixture->config, fixture->file, &error));
    g_assert_nonnull (strstr (error->message, fixture->file));
    g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LIVEKIT_URL), ==, "ws://right");
  }
}

static void
of_a_secret_and_its_file_the_last_said_counts (Fixture *fixture, gconstpointer unused)
{
  write_file (fixture->secret, "of the file\r\nmore\n");
  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LIVEKIT_API_SECRET_FILE, fixture->secret);
  assert_secret (fixture, "of the file");
  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LIVEKIT_API_SECRET, "beside it");
  set (fixture, HAVEN_LAYER_ENVIRONMENT, HAVEN_KEY_LIVEKIT_API_SECRET, "of the environment");
  assert_secret (fixture, "of the environment");
  set (fixture, HAVEN_LAYER_COMMAND_LINE, HAVEN_KEY_LIVEKIT_API_SECRET_FILE, fixture->secret);
  assert_secret (fixture, "of the file");
  set (fixture, HAVEN_LAYER_STORED, HAVEN_KEY_LIVEKIT_API_SECRET, "of the API");
  assert_secret (fixture, "of the API");
  set (fixture, HAVEN_LAYER_STORED, HAVEN_KEY_LIVEKIT_API_SECRET, NULL);
  write_file (fixture->secret, "a new one");
  assert_secret (fixture, "a new one");
}

static void
what_is_no_secret_is_refused (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *long_one = g_strnfill (5000, 'x');
  const char *const texts[] = { "", "\n", "\r\nsecond", "\xff\xfe", long_one };

  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LIVEKIT_API_SECRET_FILE, fixture->secret);
  for (guint i = 0; i <= G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;

    if (i == G_N_ELEMENTS (texts))
      g_unlink (fixture->secret);
    else
      write_file (fixture->secret, texts[i]);
    g_assert_false (haven_config_load_secrets (fixture->config, &error));
    g_assert_nonnull (strstr (error->message, fixture->secret));
    g_assert_null (haven_config_get (fixture->config, HAVEN_KEY_LIVEKIT_API_SECRET));
  }
}

/* Both from standard input: a line each. */
static void
standard_input_is_read_once_and_line_by_line (Fixture *fixture, gconstpointer unused)
{
  int ends[2], kept = dup (STDIN_FILENO);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (pipe (ends), ==, 0);
  g_assert_cmpint (write (ends[1], "one\ntwo\n", 8), ==, 8);
  close (ends[1]);
  dup2 (ends[0], STDIN_FILENO);
  close (ends[0]);
  set (fixture, HAVEN_LAYER_COMMAND_LINE, HAVEN_KEY_LIVEKIT_API_SECRET_FILE, "-");
  set (fixture, HAVEN_LAYER_COMMAND_LINE, HAVEN_KEY_API_TOKEN_FILE, "-");
  for (int i = 0; i < 2; i++) {
    assert_secret (fixture, "one");
    g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_API_TOKEN), ==, "two");
  }
  g_assert_true (haven_config_reload (fixture->config, NULL, &error));
  g_assert_no_error (error);
  assert_secret (fixture, "one");
  dup2 (kept, STDIN_FILENO);
  close (kept);
}

static void
a_reload_is_all_or_nothing (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *guarded = g_strdup_printf (
      "[server]\nlisten=0.0.0.0:1\nlog-level=info\napi-token-file=%s\n", fixture->secret);
  const char *const bad[]
      = { "[server]\nlog-level=debug\n", "[server]\nlisten=127.0.0.1:1\nlog-level=debug\n",
          "[server]\nlog-level=debug\napi-token-file=/nowhere\n", "[server]\nlog-level=loud\n" };
  g_autoptr (GError) error = NULL;

  write_file (fixture->secret, "sesame");
  write_file (fixture->file, guarded);
  g_assert_true (haven_config_load_file (fixture->config, fixture->file, NULL));
  g_assert_true (haven_config_load_secrets (fixture->config, NULL));
  g_assert_true (haven_config_check_access (fixture->config, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_test_message ("%s", bad[i]);
    write_file (fixture->file, bad[i]);
    g_assert_false (haven_config_reload (fixture->config, fixture->file, NULL));
    g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_API_TOKEN), ==, "sesame");
    g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LOG_LEVEL), ==, "info");
    g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LISTEN), ==, "0.0.0.0:1");
  }
  write_file (fixture->file, "[server]\nlisten=127.0.0.1:2\nlog-level=debug\ninsecure=true\n");
  g_assert_true (haven_config_reload (fixture->config, fixture->file, &error));
  g_assert_no_error (error);
  g_assert_null (haven_config_get (fixture->config, HAVEN_KEY_API_TOKEN));
  g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LOG_LEVEL), ==, "debug");
  g_assert_cmpstr (haven_config_get (fixture->config, HAVEN_KEY_LISTEN), ==, "0.0.0.0:1");
}

static void
others_get_in_only_with_a_token_or_when_told (Fixture *fixture, gconstpointer unused)
{
  static const char *const own[] = { "127.0.0.1:1", "[::1]:1", "localhost:1", "127.9.9.9:1" };
  static const char *const open[] = { "0.0.0.0:1", "[::]:1", "192.0.2.1:1" };

  for (guint i = 0; i < G_N_ELEMENTS (own); i++) {
    set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LISTEN, own[i]);
    g_assert_true (haven_config_check_access (fixture->config, NULL));
  }
  for (guint i = 0; i < G_N_ELEMENTS (open); i++) {
    set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LISTEN, open[i]);
    g_assert_false (haven_config_check_access (fixture->config, NULL));
    set (fixture, HAVEN_LAYER_ENVIRONMENT, HAVEN_KEY_API_TOKEN, "sesame");
    g_assert_true (haven_config_check_access (fixture->config, NULL));
    set (fixture, HAVEN_LAYER_ENVIRONMENT, HAVEN_KEY_API_TOKEN, NULL);
    set (fixture, HAVEN_LAYER_COMMAND_LINE, HAVEN_KEY_INSECURE, "true");
    g_assert_true (haven_config_check_access (fixture->config, NULL));
    set (fixture, HAVEN_LAYER_COMMAND_LINE, HAVEN_KEY_INSECURE, NULL);
  }
}

static char * /* (transfer full): the names of what a session is told, and those alone */
told (Fixture *fixture, const char *token)
{
  static const char *const names[]
      = { "livekit_url", "token", "token_endpoint", "api_key", "api_secret" };
  g_auto (GVariantDict) settings = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GString) text = g_string_new (NULL);

  if (!haven_config_add_session (fixture->config, token, &settings, NULL))
    return g_strdup ("refused");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_variant_dict_contains (&settings, names[i]))
      g_string_append_printf (text, "%s ", names[i]);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
assert_told (Fixture *fixture, const char *token, const char *expected)
{
  g_autofree char *names = told (fixture, token);

  g_assert_cmpstr (names, ==, expected);
}

static void
a_session_is_told_one_way_in (Fixture *fixture, gconstpointer unused)
{
  assert_told (fixture, NULL, "refused");
  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LIVEKIT_URL, "ws://here");
  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LIVEKIT_API_KEY, "key");
  assert_told (fixture, NULL, "refused");
  assert_told (fixture, "a token", "livekit_url token ");
  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LIVEKIT_API_SECRET, "secret");
  assert_told (fixture, NULL, "livekit_url api_key api_secret ");
  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_TOKEN_ENDPOINT, "http://tokens");
  assert_told (fixture, NULL, "livekit_url token_endpoint ");
  assert_told (fixture, "a token", "livekit_url token ");
  set (fixture, HAVEN_LAYER_FILE, HAVEN_KEY_LIVEKIT_URL, NULL);
  assert_told (fixture, NULL, "token_endpoint ");
  assert_told (fixture, "a token", "refused");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add ("/config/" #name, Fixture, NULL, set_up, name, tear_down)
  ADD (the_last_layer_counts);
  ADD (a_file_with_a_mistake_changes_nothing);
  ADD (of_a_secret_and_its_file_the_last_said_counts);
  ADD (what_is_no_secret_is_refused);
  ADD (standard_input_is_read_once_and_line_by_line);
  ADD (a_reload_is_all_or_nothing);
  ADD (others_get_in_only_with_a_token_or_when_told);
  ADD (a_session_is_told_one_way_in);
  return g_test_run ();
}
