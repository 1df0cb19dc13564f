/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-recoveries.h"

#include <gio/gio.h>
#include <string.h>

#include "haven-filename.h"
#include "haven-log.h"

#define PROGRAM "/proc/self/exe" /* we know the command ourselves */

typedef struct
{
  HavenRecoveries *recoveries; /* (nullable): they were freed */
  GSubprocess *process;        /* (owned) (nullable): it has not begun */
  char *recording_id;          /* (nullable) */
  guint part;
  char *path;
} Job;

struct _HavenRecoveries
{
  GQueue *jobs; /* (owned) (element-type Job); the first one runs */
  HavenRecovered recovered;
  gpointer user_data;
};

static void begin (HavenRecoveries *recoveries);

static void
job_free (gpointer data)
{
  Job *job = data;

  g_clear_object (&job->process);
  g_free (job->recording_id);
  g_free (job->path);
  g_free (job);
}

/* Returns: (transfer full) (nullable) */
static JsonNode *
parse (const char *text)
{
  g_autoptr (JsonNode) node = text ? json_from_string (text, NULL) : NULL;
  JsonNode *files = node && JSON_NODE_HOLDS_OBJECT (node)
                        ? json_object_get_member (json_node_get_object (node), "files")
                        : NULL;
  JsonNode *file = files && JSON_NODE_HOLDS_ARRAY (files)
                           && json_array_get_length (json_node_get_array (files)) == 1
                       ? json_array_get_element (json_node_get_array (files), 0)
                       : NULL;

  return file && JSON_NODE_HOLDS_OBJECT (file) ? json_node_copy (file) : NULL;
}

/* @file: (nullable) */
static void
tell (const Job *job, JsonObject *file)
{
  const char *state
      = file ? json_object_get_string_member_with_default (file, "state", "failed") : "failed";
  const char *problem = file ? json_object_get_string_member_with_default (file, "error", NULL)
                             : "its process died of it";
  const char *warning
      = file ? json_object_get_string_member_with_default (file, "warning", NULL) : NULL;

  if (!job->recording_id && file
      && g_strcmp0 (json_object_get_string_member_with_default (file, "code", NULL), "in_use") == 0)
    return; /* of a session that we go on with, or of another program */
  if (strcmp (state, "failed") == 0)
    haven_log (G_LOG_LEVEL_WARNING, "recovery-failed", "path", job->path, "recording",
        job->recording_id, "message", problem, NULL);
  else
    haven_log (warning ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_INFO, "recording-recovered", "path",
        job->path, "recording", job->recording_id, "message", warning, NULL);
}

static void
end (Job *job, JsonObject *file)
{
  HavenRecoveries *recoveries = job->recoveries;

  tell (job, file);
  g_queue_pop_head (recoveries->jobs);
  recoveries->recovered (job->recording_id, job->part, job->path, file, recoveries->user_data);
  job_free (job);
  begin (recoveries);
}

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Job *job = user_data;
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) file = NULL;

  g_subprocess_communicate_utf8_finish (G_SUBPROCESS (source), result, &text, NULL, NULL);
  if (!job->recoveries) {
    job_free (job);
    return;
  }
  file = parse (text);
  end (job, file ? json_node_get_object (file) : NULL);
}

/* It needs nothing of our environment, where secrets may be. */
static GSubprocess * /* (transfer full) (nullable) */
start (const char *path)
{
  const char *environment[] = { "LC_ALL=C.UTF-8", NULL };
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);

  g_subprocess_launcher_set_environ (launcher, (char **)environment);
  return g_subprocess_launcher_spawn (
      launcher, NULL, PROGRAM, "recover", "--json", "--", path, NULL);
}

static void
begin (HavenRecoveries *recoveries)
{
  Job *job = g_queue_peek_head (recoveries->jobs);

  if (!job || job->process)
    return;
  job->process = start (job->path);
  if (job->process)
    g_subprocess_communicate_utf8_async (job->process, NULL, NULL, on_ended, job);
  else
    end (job, NULL);
}

HavenRecoveries *
haven_recoveries_new (HavenRecovered recovered, gpointer user_data)
{
  HavenRecoveries *recoveries = g_new0 (HavenRecoveries, 1);

  recoveries->jobs = g_queue_new ();
  recoveries->recovered = recovered;
  recoveries->user_data = user_data;
  return recoveries;
}

/* What is being finished is so at the next start. */
void
haven_recoveries_free (HavenRecoveries *recoveries)
{
  Job *job;

  while ((job = g_queue_pop_head (recoveries->jobs)) != NULL) {
    if (!job->process) {
      job_free (job);
      continue;
    }
    job->recoveries = NULL; /* on_ended() frees it */
    g_subprocess_force_exit (job->process);
  }
  g_queue_free (recoveries->jobs);
  g_free (recoveries);
}

static int
compare_path (gconstpointer job, gconstpointer path)
{
  return strcmp (((const Job *)job)->path, path);
}

/* @recording_id: (nullable): it belongs to none that is known */
void
haven_recoveries_add (
    HavenRecoveries *recoveries, const char *recording_id, guint part, const char *path)
{
  Job *job;

  if (g_queue_find_custom (recoveries->jobs, path, compare_path))
    return;
  job = g_new0 (Job, 1);
  *job = (Job){ recoveries, NULL, g_strdup (recording_id), part, g_strdup (path) };
  g_queue_push_tail (recoveries->jobs, job);
  begin (recoveries);
}

/* What was cut off there, and is in no list; what a session writes is locked. */
void
haven_recoveries_add_directory (HavenRecoveries *recoveries, const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (directory, name, NULL);

    if (g_str_has_suffix (name, HAVEN_UNFINISHED))
      haven_recoveries_add (recoveries, NULL, 0, path);
  }
}
