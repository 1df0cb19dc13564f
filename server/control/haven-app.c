/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "haven-exit.h"
#include "haven-log.h"
#include "haven-notify.h"

#define DRAIN_TIMEOUT 9    /* s; whoever asked us to end waits ten */
#define MAX_SNAPSHOTS 8    /* different ones that are being made */
#define MAX_SOCKET_PATH 90 /* bytes of a directory in which a socket's address still fits */

typedef struct
{
  HavenApp app;
  GMainLoop *loop;
  const char *config_file; /* (nullable) */
  guint drain_timer, watchdog;
  gboolean ending;
  int status;
} Run;

static void
set_up_log (HavenConfig *config)
{
  haven_log_set_up_by_name (haven_config_get (config, HAVEN_KEY_LOG_FORMAT),
      haven_config_get (config, HAVEN_KEY_LOG_LEVEL));
}

/* The session's binary: as configured, beside ours in the build, or where it is installed.
 *
 * Returns: (transfer full) */
char *
haven_app_find_session_binary (HavenConfig *config, const char *program)
{
  const char *set = haven_config_get (config, HAVEN_KEY_SESSION_BINARY);
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *directory = g_path_get_dirname (self ? self : program);
  const char *const places[] = { "session/haven-session", "haven-session" };

  if (set)
    return g_strdup (set);
  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree char *path = g_build_filename (directory, places[i], NULL);

    if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE) && !g_file_test (path, G_FILE_TEST_IS_DIR))
      return g_steal_pointer (&path);
  }
  return g_build_filename (HAVEN_LIBEXEC_DIR, "haven-session", NULL);
}

/* The directory of the sockets; the same for the same state directory.
 *
 * Returns: (transfer full) (nullable) */
char *
haven_app_find_runtime_directory (HavenConfig *config, GError **error)
{
  const char *state = haven_config_get (config, HAVEN_KEY_STATE_DIRECTORY);
  const char *set = haven_config_get (config, HAVEN_KEY_RUNTIME_DIRECTORY);
  g_autofree char *canonical = g_canonicalize_filename (state, NULL);
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, canonical, -1);
  g_autofree char *name = g_strdup_printf ("haven-live-%.12s", digest);
  g_autofree char *path
      = set ? g_strdup (set) : g_build_filename (g_get_user_runtime_dir (), name, NULL);

  if (strlen (path) > MAX_SOCKET_PATH) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_CONFIG,
        "%s is too long a name for a directory of sockets; set HAVEN_RUNTIME_DIRECTORY.", path);
    return NULL;
  }
  return g_steal_pointer (&path);
}

/* Of ours alone.
 *
 * Returns: (transfer full) (nullable) */
static char *
make_runtime_directory (HavenConfig *config, GError **error)
{
  g_autofree char *path = haven_app_find_runtime_directory (config, error);
  GStatBuf status;

  if (!path)
    return NULL;
  if (g_mkdir_with_parents (path, 0700) < 0 || g_lstat (path, &status) < 0) {
    g_set_error (
        error, HAVEN_ERROR, HAVEN_ERROR_CONFIG, "%s cannot be made: %s", path, g_strerror (errno));
    return NULL;
  }
  if (!S_ISDIR (status.st_mode) || status.st_uid != geteuid ()) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_CONFIG, "%s does not belong to this user.", path);
    return NULL;
  }
  if (g_chmod (path, 0700) < 0)
    haven_log (G_LOG_LEVEL_WARNING, "chmod-failed", "path", path, NULL);
  return g_steal_pointer (&path);
}

/* -- events -- */

static void
on_session_changed (HavenSessionManager *manager, HavenSession *session, HavenApp *app)
{
  JsonObject *data = json_object_new ();

  json_object_set_string_member (data, "mint_id", session->mint_id);
  json_object_set_string_member (data, "room_name", session->room_name);
  json_object_set_int_member (data, "session_id", session->id);
  json_object_set_string_member (data, "state", haven_session_state (session));
  json_object_set_int_member (
      data, "viewers", session->proxy ? haven_dbus_session1_get_num_viewers (session->proxy) : 0);
  haven_events_send (app->events, "session", data);
}

static void
on_session_removed (HavenSessionManager *manager, HavenSession *session, HavenApp *app)
{
  const char *failure = haven_session_manager_get_failure (manager, session->mint_id);
  JsonObject *data = json_object_new ();

  json_object_set_string_member (data, "mint_id", session->mint_id);
  json_object_set_string_member (data, "room_name", session->room_name);
  json_object_set_int_member (data, "session_id", session->id);
  json_object_set_string_member (data, "state", failure ? "failed" : "ended");
  haven_json_set_string (data, "error", failure);
  haven_events_send (app->events, "session", data);
}

static void
on_track_changed (
    HavenSessionManager *manager, HavenSession *session, GVariant *track, HavenApp *app)
{
  g_autoptr (JsonNode) node = haven_json_from_variant (track);
  JsonObject *data = json_object_ref (json_node_get_object (node));

  json_object_set_string_member (data, "mint_id", session->mint_id);
  json_object_set_string_member (data, "room_name", session->room_name);
  json_object_set_int_member (data, "session_id", session->id);
  haven_events_send (app->events, "track", data);
}

static void
on_recording_changed (const HavenRecordingRow *row, gpointer user_data)
{
  HavenApp *app = user_data;

  JsonObject *data = api_describe_recording (row);

  haven_notices_tell (app->notices, row, data);
  haven_retention_wake (app->retention);
  haven_events_send (app->events, "recording", data);
}

static void
on_recording_deleted (const HavenRecordingRow *row, const char *reason, gpointer user_data)
{
  HavenApp *app = user_data;
  JsonObject *data = json_object_new ();

  json_object_set_string_member (data, "mint_id", row->mint_id);
  json_object_set_string_member (data, "room_name", row->room_name);
  json_object_set_string_member (data, "recording_id", row->id);
  json_object_set_string_member (data, "setting", reason);
  haven_events_send (app->events, "recording-deleted", data);
}

static void
on_disk_changed (const HavenDiskState *state, gpointer user_data)
{
  HavenApp *app = user_data;
  JsonObject *data = json_object_new ();

  json_object_set_string_member (data, "directory", state->directory);
  json_object_set_boolean_member (data, "low", state->low);
  json_object_set_int_member (data, "available_bytes", (gint64)state->available);
  json_object_set_int_member (data, "reserve_bytes", (gint64)state->reserve);
  haven_events_send (app->events, "disk", data);
}

/* -- signals of the system -- */

static void
end (Run *run)
{
  g_main_loop_quit (run->loop);
}

static void
on_drained (GObject *source, GAsyncResult *result, gpointer user_data)
{
  end (user_data);
}

static gboolean
on_drain_timeout (gpointer user_data)
{
  Run *run = user_data;

  haven_log (G_LOG_LEVEL_WARNING, "drain-timeout", NULL);
  run->drain_timer = 0;
  haven_session_manager_kill_all (run->app.manager);
  end (run);
  return G_SOURCE_REMOVE;
}

static gboolean
on_terminate (gpointer user_data)
{
  Run *run = user_data;

  if (run->ending)
    return G_SOURCE_CONTINUE;
  run->ending = TRUE;
  run->app.ready = FALSE;
  haven_log (G_LOG_LEVEL_INFO, "stopping", NULL);
  haven_notify ("STOPPING=1");
  haven_http_stop (run->app.http);
  haven_auto_record_stop (run->app.auto_record);
  haven_command_stop (run->app.command);
  haven_viewers_close_all (run->app.viewers, 1001, "the server is shutting down");
  run->drain_timer = g_timeout_add_seconds (DRAIN_TIMEOUT, on_drain_timeout, run);
  haven_session_manager_drain_async (run->app.manager, on_drained, run);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_hangup (gpointer user_data)
{
  Run *run = user_data;
  g_autoptr (GError) error = NULL;

  haven_notify ("RELOADING=1");
  if (!haven_config_reload (run->app.config, run->config_file, &error)) {
    haven_log (G_LOG_LEVEL_WARNING, "reload-failed", "message", error->message, NULL);
  } else {
    set_up_log (run->app.config);
    haven_http_reload (run->app.http);
    haven_retention_wake (run->app.retention);
    haven_log (G_LOG_LEVEL_INFO, "reloaded", "file", run->config_file, NULL);
  }
  haven_notify ("READY=1");
  return G_SOURCE_CONTINUE;
}

static gboolean
on_watchdog (gpointer user_data)
{
  haven_notify ("WATCHDOG=1");
  return G_SOURCE_CONTINUE;
}

/* -- life -- */

static int
exit_code_of (const GError *error)
{
  if (g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_IN_USE))
    return HAVEN_EXIT_IN_USE;
  if (g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_DISK_FULL))
    return HAVEN_EXIT_DISK;
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE) ? HAVEN_EXIT_ADDRESS
                                                                        : HAVEN_EXIT_USAGE;
}

static gboolean
set_up (Run *run, const char *program, GError **error)
{
  HavenApp *app = &run->app;
  g_autofree char *runtime = NULL;
  g_autoptr (GError) invalid = NULL;

  app->started = g_get_real_time ();
  app->store = haven_store_open (haven_config_get (app->config, HAVEN_KEY_STATE_DIRECTORY), error);
  if (!app->store)
    return FALSE;
  if (!haven_app_load_stored (app->config, app->store, &invalid))
    haven_log (G_LOG_LEVEL_WARNING, "stored-setting-invalid", "message", invalid->message, NULL);
  runtime = make_runtime_directory (app->config, error);
  if (!runtime)
    return FALSE;
  app->session_binary = haven_app_find_session_binary (app->config, program);
  app->events = haven_events_new ();
  app->snapshots = haven_shared_new (MAX_SNAPSHOTS);
  app->probes = haven_shared_new (1);
  app->manager = haven_session_manager_new (app->config, app->store, runtime, app->session_binary);
  app->viewers = haven_viewers_new (app->config, app->manager);
  app->recorder = haven_recorder_new (app->config, app->store, app->manager);
  g_signal_connect (app->manager, "session-changed", G_CALLBACK (on_session_changed), app);
  g_signal_connect (app->manager, "session-removed", G_CALLBACK (on_session_removed), app);
  g_signal_connect (app->manager, "track-changed", G_CALLBACK (on_track_changed), app);
  haven_recorder_set_listener (app->recorder, on_recording_changed, app);
  app->auto_record = haven_auto_record_new (app->config, app->store, app->manager, app->recorder);
  app->command = haven_command_new (app->config, app->store);
  app->webhook = haven_webhook_new (app->config, app->store);
  app->notices = haven_notices_new (app->config, app->store, app->command, app->webhook);
  app->retention = haven_retention_new (app->config, app->store, on_recording_deleted, app);
  app->disk = haven_disk_new (app->config, app->store, on_disk_changed, app);
  app->http = haven_http_new (app, app->config, haven_routes);
  return TRUE;
}

static void
tear_down (Run *run)
{
  HavenApp *app = &run->app;

  g_clear_handle_id (&run->drain_timer, g_source_remove);
  g_clear_handle_id (&run->watchdog, g_source_remove);
  g_clear_pointer (&app->http, haven_http_free);
  if (app->manager)
    g_signal_handlers_disconnect_by_data (app->manager, app);
  g_clear_pointer (&app->disk, haven_disk_free);
  g_clear_pointer (&app->retention, haven_retention_free);
  g_clear_pointer (&app->notices, haven_notices_free);
  g_clear_pointer (&app->webhook, haven_webhook_free);
  g_clear_pointer (&app->command, haven_command_free);
  g_clear_pointer (&app->auto_record, haven_auto_record_free);
  g_clear_pointer (&app->recorder, haven_recorder_free);
  g_clear_pointer (&app->viewers, haven_viewers_free);
  g_clear_object (&app->manager);
  g_clear_pointer (&app->events, haven_events_free);
  g_clear_pointer (&app->snapshots, haven_shared_free);
  g_clear_pointer (&app->probes, haven_shared_free);
  g_clear_pointer (&app->probed, g_free);
  g_clear_pointer (&app->session_binary, g_free);
  g_clear_pointer (&app->store, haven_store_free);
}

static void
on_adopted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *port = NULL;

  haven_session_manager_adopt_finish (run->app.manager, result);
  haven_recorder_reconcile (run->app.recorder);
  if (run->ending)
    return;
  haven_disk_check (run->app.disk);
  haven_command_wake (run->app.command); /* what a former life of the server left to do */
  haven_webhook_wake (run->app.webhook);
  haven_auto_record_begin (run->app.auto_record);
  haven_retention_wake (run->app.retention);
  if (!haven_http_listen (run->app.http, &error)) {
    haven_log (G_LOG_LEVEL_CRITICAL, "listen-failed", "message", error->message, NULL);
    run->status = exit_code_of (error);
    end (run);
    return;
  }
  run->app.ready = TRUE;
  port = g_strdup_printf ("%u", haven_http_port (run->app.http));
  haven_log (G_LOG_LEVEL_MESSAGE, "listening", "address",
      haven_config_get (run->app.config, HAVEN_KEY_LISTEN), "port", port, NULL);
  haven_notify ("READY=1");
  if (haven_notify_watchdog_interval ())
    run->watchdog = g_timeout_add (haven_notify_watchdog_interval (), on_watchdog, NULL);
}

/* Each connection and each viewer on its way is a descriptor. */
static void
raise_descriptor_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit (RLIMIT_NOFILE, &limit);
  }
}

/* Serves until SIGTERM or SIGINT.
 *
 * Returns: the exit code */
int
haven_app_run (HavenConfig *config, const char *config_file, const char *program)
{
  Run run = { .app.config = config, .config_file = config_file, .status = HAVEN_EXIT_OK };
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GError) error = NULL;
  guint sources[3];

  umask (077);
  signal (SIGPIPE, SIG_IGN);
  raise_descriptor_limit ();
  set_up_log (config);
  run.loop = loop;
  if (!set_up (&run, program, &error)) {
    haven_log (G_LOG_LEVEL_CRITICAL, "start-failed", "message", error->message, NULL);
    tear_down (&run);
    return exit_code_of (error);
  }
  sources[0] = g_unix_signal_add (SIGTERM, on_terminate, &run);
  sources[1] = g_unix_signal_add (SIGINT, on_terminate, &run);
  sources[2] = g_unix_signal_add (SIGHUP, on_hangup, &run);
  haven_session_manager_adopt_async (run.app.manager, on_adopted, &run);
  g_main_loop_run (loop);
  for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
    g_source_remove (sources[i]);
  tear_down (&run);
  haven_log (G_LOG_LEVEL_INFO, "stopped", NULL);
  return run.status;
}
