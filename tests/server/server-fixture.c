/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server-fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define PATIENCE 60 /* s */

void
server_fixture_set (ServerFixture *fixture, HavenKey key, const char *value)
{
  g_autoptr (GError) error = NULL;

  haven_config_set (fixture->config, HAVEN_LAYER_COMMAND_LINE, key, value, &error);
  g_assert_no_error (error);
}

void
server_fixture_reopen (ServerFixture *fixture)
{
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&fixture->store, haven_store_free);
  fixture->store = haven_store_open (fixture->directory, &error);
  g_assert_no_error (error);
}

void
server_fixture_set_up (ServerFixture *fixture)
{
  g_autoptr (GError) error = NULL;

  fixture->directory = g_dir_make_tmp ("haven-server-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->config = haven_config_new ();
  server_fixture_set (fixture, HAVEN_KEY_STATE_DIRECTORY, fixture->directory);
  server_fixture_set (fixture, HAVEN_KEY_RECORDING_DIRECTORY, fixture->directory);
  server_fixture_reopen (fixture);
}

void
server_fixture_tear_down (ServerFixture *fixture)
{
  g_autoptr (GDir) directory = NULL;
  const char *name;

  haven_store_free (fixture->store);
  haven_config_free (fixture->config);
  directory = g_dir_open (fixture->directory, 0, NULL);
  while ((name = g_dir_read_name (directory)) != NULL) {
    g_autofree char *path = g_build_filename (fixture->directory, name, NULL);

    g_unlink (path);
  }
  g_rmdir (fixture->directory);
  g_free (fixture->directory);
}

/* A recording of one part with its file, which began a second before its end.
 *
 * @state: recording, or how it ended
 *
 * Returns: (transfer full): the file's path */
char *
server_fixture_add_recording (
    ServerFixture *fixture, const char *id, const char *state, gint64 end_time, gsize size)
{
  const HavenSessionRow session = { .mint_id = (char *)"room", .room_name = (char *)"room" };
  const HavenRecordingRow row = { .id = (char *)id,
    .session_id = haven_store_add_session (fixture->store, &session, NULL),
    .mint_id = (char *)"room",
    .room_name = (char *)"room",
    .format = (char *)"source",
    .video_quality = (char *)"medium",
    .audio_quality = (char *)"medium",
    .start_time = end_time - G_USEC_PER_SEC };
  g_autofree char *name = g_strconcat (id, ".mkv", NULL);
  char *path = g_build_filename (fixture->directory, name, NULL);
  g_autofree char *content = g_strnfill (size, 'x');
  const HavenPartRow part
      = { .number = 1, .path = path, .duration = 1, .size = size, .complete = TRUE };

  g_assert_true (haven_store_add_recording (fixture->store, &row, path, NULL));
  g_assert_true (g_file_set_contents (path, content, (gssize)size, NULL));
  if (strcmp (state, "recording") == 0)
    return path;
  g_assert_true (haven_store_keep_part (fixture->store, id, &part, NULL));
  haven_store_end_recording (fixture->store, id, state, NULL, end_time);
  return path;
}

static gboolean
on_out_of_patience (gpointer user_data)
{
  g_error ("What was waited for did not come within %d s", PATIENCE);
  return G_SOURCE_REMOVE;
}

void
server_fixture_run_until (const gboolean *done)
{
  guint timer = g_timeout_add_seconds (PATIENCE, on_out_of_patience, NULL);

  while (!*done)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timer);
}
