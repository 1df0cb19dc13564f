/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-command.h"

#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "haven-log.h"
#include "haven-manifest.h"
#include "livekit-json.h"

#define MOST_AT_ONCE 2
#define MAX_OUTPUT 8192 /* bytes that come into the log, of what one writes */
#define KILL_GRACE 5    /* s between SIGTERM and SIGKILL */
#define STORE_PAUSE \
  60 /* s, where the store could not be written: it must not run again and again */

struct _HavenCommand
{
  HavenConfig *config; /* outlives us, as store does */
  HavenStore *store;
  GPtrArray *running; /* (owned) Run */
  guint pause;        /* a timer, while none is begun */
  gboolean stopping;  /* none is begun any more */
  guint n_succeeded, n_failed;
};

typedef struct /* a process, which leads a group of its own */
{
  HavenCommand *command; /* (nullable): it is left alone */
  gint64 notice;
  char *recording_id;
  GSubprocess *process; /* (owned) */
  GSource *reader;      /* (owned) of what it writes */
  GString *output;
  gboolean cut;      /* it wrote more than is kept */
  gboolean too_long; /* it was ended */
  guint timer;
} Run;

static void
run_free (Run *run)
{
  g_clear_handle_id (&run->timer, g_source_remove);
  g_source_destroy (run->reader);
  g_source_unref (run->reader);
  g_object_unref (run->process);
  g_string_free (run->output, TRUE);
  g_free (run->recording_id);
  g_free (run);
}

static void
signal_group (Run *run, int number)
{
  const char *id = g_subprocess_get_identifier (run->process); /* NULL once it was reaped */

  if (id)
    kill (-(pid_t)g_ascii_strtoll (id, NULL, 10), number);
}

/* -- what it finds -- */

/* Nobody's business but the server's. */
static const char *const secrets[]
    = { "LIVEKIT_API_SECRET", "LIVEKIT_API_SECRET_FILE", "LIVEKIT_TOKEN", "HAVEN_API_TOKEN",
        "HAVEN_API_TOKEN_FILE", "HAVEN_WEBHOOK_SECRET", "HAVEN_WEBHOOK_SECRET_FILE",
        "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID" };

static char ** /* (transfer full) */
set_text (char **environment, const char *name, JsonObject *object, const char *member)
{
  const char *text = livekit_json_get_string (object, member);

  return g_environ_setenv (environment, name, text ? text : "", TRUE);
}

static const char * /* (nullable) */
part_path (JsonArray *parts, guint i)
{
  JsonNode *part = json_array_get_element (parts, i);

  return JSON_NODE_HOLDS_OBJECT (part)
             ? livekit_json_get_string (json_node_get_object (part), "path")
             : NULL;
}

/* Each process of a session wrote one beside its first part. */
static char ** /* (transfer full) */
set_manifest (char **environment, JsonArray *parts)
{
  for (guint i = json_array_get_length (parts); i > 0; i--) {
    const char *path = part_path (parts, i - 1);
    g_autofree char *manifest = path ? haven_manifest_path (path) : NULL;

    if (manifest && g_file_test (manifest, G_FILE_TEST_EXISTS))
      return g_environ_setenv (environment, "HAVEN_RECORDING_MANIFEST", manifest, TRUE);
  }
  return g_environ_setenv (environment, "HAVEN_RECORDING_MANIFEST", "", TRUE);
}

/* What the command finds in its environment.
 *
 * @environment: (transfer full): the server's
 * @body: of the notice
 *
 * Returns: (transfer full) */
char **
haven_command_environment (char **environment, const char *body)
{
  static const struct
  {
    const char *name, *member;
  } texts[] = {
    { "HAVEN_RECORDING_ID", "recording_id" },
    { "HAVEN_RECORDING_PATH", "output_path" },
    { "HAVEN_RECORDING_ROOM", "room_name" },
    { "HAVEN_RECORDING_MINT_ID", "mint_id" },
    { "HAVEN_RECORDING_STATE", "state" },
    { "HAVEN_RECORDING_ERROR", "error" },
    { "HAVEN_RECORDING_START", "start_time" },
    { "HAVEN_RECORDING_END", "end_time" },
  };
  g_autoptr (JsonNode) root = json_from_string (body, NULL);
  JsonObject *row = json_object_get_object_member (json_node_get_object (root), "recording");
  JsonArray *parts = json_object_get_array_member (row, "parts");
  g_autofree char *duration
      = g_strdup_printf ("%.3f", json_object_get_double_member (row, "duration_seconds"));
  g_autofree char *size
      = g_strdup_printf ("%" G_GINT64_FORMAT, json_object_get_int_member (row, "file_size_bytes"));
  g_autofree char *count = g_strdup_printf ("%u", json_array_get_length (parts));

  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++)
    environment = g_environ_unsetenv (environment, secrets[i]);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    environment = set_text (environment, texts[i].name, row, texts[i].member);
  environment = g_environ_setenv (environment, "HAVEN_RECORDING_DURATION", duration, TRUE);
  environment = g_environ_setenv (environment, "HAVEN_RECORDING_SIZE", size, TRUE);
  environment = g_environ_setenv (environment, "HAVEN_RECORDING_PARTS", count, TRUE);
  return set_manifest (environment, parts);
}

/* -- running -- */

/* What is there: as much as is kept goes into the output, the rest nowhere.
 *
 * Returns: FALSE at the end */
static gboolean
read_output (Run *run, GPollableInputStream *stream)
{
  char buffer[4096];

  for (;;) {
    g_autoptr (GError) error = NULL;
    gssize size
        = g_pollable_input_stream_read_nonblocking (stream, buffer, sizeof buffer, NULL, &error);
    gsize room = MAX_OUTPUT - run->output->len;

    if (size <= 0)
      return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
    run->cut |= (gsize)size > room;
    g_string_append_len (run->output, buffer, (gssize)MIN ((gsize)size, room));
  }
}

static gboolean
on_output (GObject *stream, gpointer user_data)
{
  return read_output (user_data, G_POLLABLE_INPUT_STREAM (stream));
}

static void
log_output (Run *run)
{
  g_auto (GStrv) lines = g_strsplit (run->output->str, "\n", -1);

  for (char **line = lines; *line; line++)
    if (**line)
      haven_log (
          G_LOG_LEVEL_INFO, "command-output", "recording", run->recording_id, "line", *line, NULL);
  if (run->cut)
    haven_log (G_LOG_LEVEL_INFO, "command-output-cut", "recording", run->recording_id, NULL);
}

static gboolean
on_pause_over (gpointer user_data)
{
  HavenCommand *command = user_data;

  command->pause = 0;
  haven_command_wake (command);
  return G_SOURCE_REMOVE;
}

static void
forget (HavenCommand *command, gint64 notice)
{
  if (!haven_store_delete_notice (command->store, notice) && !command->pause)
    command->pause = g_timeout_add_seconds (STORE_PAUSE, on_pause_over, command);
}

static void
on_exited (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;
  HavenCommand *command = run->command;
  g_autoptr (GError) error = NULL;
  gboolean succeeded = g_subprocess_wait_check_finish (run->process, result, &error);

  if (!command) { /* the server ends: it is run again at the next start */
    run_free (run);
    return;
  }
  read_output (run, G_POLLABLE_INPUT_STREAM (g_subprocess_get_stdout_pipe (run->process)));
  log_output (run);
  if (succeeded) {
    command->n_succeeded++;
    haven_log (G_LOG_LEVEL_INFO, "command-done", "recording", run->recording_id, NULL);
  } else {
    command->n_failed++;
    haven_log (G_LOG_LEVEL_WARNING, "command-failed", "recording", run->recording_id, "reason",
        run->too_long ? "it took too long and was ended" : error->message, NULL);
  }
  forget (command, run->notice);
  g_ptr_array_remove_fast (command->running, run);
  run_free (run);
  haven_command_wake (command);
}

static gboolean
on_kill_time (gpointer user_data)
{
  Run *run = user_data;

  run->timer = 0;
  signal_group (run, SIGKILL);
  return G_SOURCE_REMOVE;
}

static gboolean
on_timeout (gpointer user_data)
{
  Run *run = user_data;

  run->too_long = TRUE;
  signal_group (run, SIGTERM);
  run->timer = g_timeout_add_seconds (KILL_GRACE, on_kill_time, run);
  return G_SOURCE_REMOVE;
}

static void
lead_a_group (gpointer user_data) /* in the child, before it becomes the command */
{
  setsid ();
}

static GSubprocess * /* (transfer full) (nullable) */
spawn (HavenCommand *command, const HavenNoticeRow *notice, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
  g_auto (GStrv) environment = haven_command_environment (g_get_environ (), notice->body);
  g_auto (GStrv) argv = NULL;

  if (!g_shell_parse_argv (
          haven_config_get (command->config, HAVEN_KEY_ON_COMPLETE), NULL, &argv, error))
    return NULL;
  g_subprocess_launcher_set_environ (launcher, environment);
  g_subprocess_launcher_set_cwd (launcher, "/");
  g_subprocess_launcher_set_child_setup (launcher, lead_a_group, NULL, NULL);
  return g_subprocess_launcher_spawnv (launcher, (const char *const *)argv, error);
}

static void
begin (HavenCommand *command, const HavenNoticeRow *notice)
{
  g_autoptr (GError) error = NULL;
  GSubprocess *process = spawn (command, notice, &error);
  Run *run;

  if (!process) {
    command->n_failed++;
    haven_log (G_LOG_LEVEL_WARNING, "command-failed", "recording", notice->recording_id, "reason",
        error->message, NULL);
    forget (command, notice->id);
    return;
  }
  run = g_new0 (Run, 1);
  run->command = command;
  run->notice = notice->id;
  run->recording_id = g_strdup (notice->recording_id);
  run->process = process;
  run->output = g_string_new (NULL);
  run->reader = g_pollable_input_stream_create_source (
      G_POLLABLE_INPUT_STREAM (g_subprocess_get_stdout_pipe (process)), NULL);
  g_source_set_callback (run->reader, (GSourceFunc)(void (*) (void))on_output, run, NULL);
  g_source_attach (run->reader, NULL);
  run->timer = g_timeout_add_seconds (
      haven_config_get_uint (command->config, HAVEN_KEY_ON_COMPLETE_TIMEOUT), on_timeout, run);
  g_ptr_array_add (command->running, run);
  haven_log (G_LOG_LEVEL_INFO, "command-started", "recording", notice->recording_id, NULL);
  g_subprocess_wait_check_async (process, NULL, on_exited, run);
}

static gboolean
is_running (HavenCommand *command, gint64 notice)
{
  for (guint i = 0; i < command->running->len; i++)
    if (((Run *)command->running->pdata[i])->notice == notice)
      return TRUE;
  return FALSE;
}

/* There may be something to run. */
void
haven_command_wake (HavenCommand *command)
{
  g_autoptr (GPtrArray) notices = NULL;
  guint n_lost;

  if (!haven_config_get (command->config, HAVEN_KEY_ON_COMPLETE)) {
    n_lost = haven_store_clear_notices (command->store, HAVEN_NOTICE_COMMAND);
    if (n_lost)
      haven_log (G_LOG_LEVEL_WARNING, "command-not-set", NULL);
    return;
  }
  if (command->pause || command->stopping)
    return;
  notices = haven_store_list_notices (command->store, HAVEN_NOTICE_COMMAND, 2 * MOST_AT_ONCE);
  for (guint i = 0; i < notices->len && command->running->len < MOST_AT_ONCE; i++) {
    const HavenNoticeRow *notice = notices->pdata[i];

    if (!is_running (command, notice->id))
      begin (command, notice);
  }
  /* Those that could not be begun made room for others, of which nobody tells. */
  if (notices->len == 2 * MOST_AT_ONCE && command->running->len < MOST_AT_ONCE && !command->pause)
    command->pause = g_timeout_add (0, on_pause_over, command);
}

HavenCommand *
haven_command_new (HavenConfig *config, HavenStore *store)
{
  HavenCommand *command = g_new0 (HavenCommand, 1);

  command->config = config;
  command->store = store;
  command->running = g_ptr_array_new ();
  return command;
}

/* What is to be run from now on is left to the next start: there is no time for it. */
void
haven_command_stop (HavenCommand *command)
{
  command->stopping = TRUE;
}

/* Those that run are told to end. */
void
haven_command_free (HavenCommand *command)
{
  for (guint i = 0; i < command->running->len; i++) {
    Run *run = command->running->pdata[i];

    signal_group (run, SIGTERM);
    g_clear_handle_id (&run->timer, g_source_remove);
    run->command = NULL;
  }
  g_ptr_array_unref (command->running);
  g_clear_handle_id (&command->pause, g_source_remove);
  g_free (command);
}

/* Commands that ended with success, and those that did not, since the server started. */
void
haven_command_counters (HavenCommand *command, guint *succeeded, guint *failed)
{
  *succeeded = command->n_succeeded;
  *failed = command->n_failed;
}
