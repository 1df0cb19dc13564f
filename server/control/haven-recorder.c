/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-recorder.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "haven-error.h"
#include "haven-filename.h"
#include "haven-json.h"
#include "haven-log.h"
#include "haven-manifest.h"
#include "haven-name.h"
#include "haven-recoveries.h"

#define RETRY_FIRST 1 /* s until a part that could not begin is tried again; then … */
#define RETRY_LAST 30 /* … twice as long each time, up to this */
/* ms; a session needs 1.5 s and what its disk takes, and whoever stops has an answer within 2 s */
#define STOP_ANSWER_TIMEOUT 1800

typedef struct /* a recording that runs */
{
  HavenRecorder *recorder;
  char *mint_id, *id;
  gboolean beginning; /* its session was asked to begin a part and has not answered */
  gboolean stopping;  /* its session was asked to stop it */
  guint attempts;     /* in vain, in a row */
  guint timer;        /* until the next */
} Running;

struct _HavenRecorder
{
  HavenConfig *config; /* outlives us, as store and manager do */
  HavenStore *store;
  HavenSessionManager *manager;
  HavenRecoveries *recoveries;   /* (owned) of parts that were cut off */
  GHashTable *running;           /* (owned) mint_id -> Running */
  HavenRecordingChanged changed; /* (nullable) */
  gpointer changed_data;
};

static void
running_free (gpointer data)
{
  Running *running = data;

  g_clear_handle_id (&running->timer, g_source_remove);
  g_free (running->mint_id);
  g_free (running->id);
  g_free (running);
}

static Running *
add_running (HavenRecorder *recorder, const char *mint_id, const char *id)
{
  Running *running = g_new0 (Running, 1);

  running->recorder = recorder;
  running->mint_id = g_strdup (mint_id);
  running->id = g_strdup (id);
  g_hash_table_replace (recorder->running, running->mint_id, running);
  return running;
}

/* Returns: (nullable): if that one runs */
static Running *
find_running (HavenRecorder *recorder, const char *mint_id, const char *id)
{
  Running *running = g_hash_table_lookup (recorder->running, mint_id);

  return running && g_strcmp0 (running->id, id) == 0 ? running : NULL;
}

/* -- names and places: pure, but for looking where links lead -- */

/* Where a path leads, of which only the beginning may exist. */
static char * /* (transfer full) */
resolve (const char *path)
{
  g_autofree char *canonical = g_canonicalize_filename (path, "/");
  g_autofree char *head = g_strdup (canonical);
  g_autofree char *tail = g_strdup ("");

  while (strcmp (head, "/") != 0) {
    char *real = realpath (head, NULL);
    g_autofree char *name = NULL, *parent = NULL, *longer = NULL;

    if (real) {
      char *whole = g_build_filename (real, tail, NULL);

      free (real);
      return whole;
    }
    name = g_path_get_basename (head);
    parent = g_path_get_dirname (head);
    longer = g_build_filename (name, tail, NULL);
    g_free (tail);
    tail = g_steal_pointer (&longer);
    g_free (head);
    head = g_steal_pointer (&parent);
  }
  return g_build_filename ("/", tail, NULL);
}

static gboolean
is_below (const char *path, const char *root)
{
  g_autofree char *real = resolve (root);
  gsize size = strlen (real);

  while (size > 1 && real[size - 1] == '/')
    size--;
  return strncmp (path, real, size) == 0 && (path[size] == '\0' || path[size] == '/' || size == 1);
}

/* A directory that recordings may go to: below the home directory, the configured directory, or a
 * configured root.
 *
 * Returns: (transfer full) (nullable) */
char *
haven_recording_check_directory (HavenConfig *config, const char *directory, GError **error)
{
  const char *configured = haven_config_get (config, HAVEN_KEY_RECORDING_ROOTS);
  g_auto (GStrv) roots = g_strsplit (configured ? configured : "", ":", -1);
  g_autofree char *expanded = g_str_has_prefix (directory, "~/")
                                  ? g_build_filename (g_get_home_dir (), directory + 2, NULL)
                                  : g_strdup (directory);
  g_autofree char *real = NULL;

  if (!g_path_is_absolute (expanded)) {
    g_set_error (
        error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "The directory must be an absolute path.");
    return NULL;
  }
  real = resolve (expanded);
  if (is_below (real, g_get_home_dir ())
      || is_below (real, haven_config_get (config, HAVEN_KEY_RECORDING_DIRECTORY)))
    return g_steal_pointer (&real);
  for (char **root = roots; *root; root++)
    if (g_path_is_absolute (*root) && is_below (real, *root))
      return g_steal_pointer (&real);
  g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID,
      "Recordings may not go to %s: it is below none of the allowed roots.", directory);
  return NULL;
}

static gboolean
make_directory (const char *directory, GError **error)
{
  if (g_mkdir_with_parents (directory, 0755) == 0)
    return TRUE;
  g_set_error (error, HAVEN_ERROR, errno == ENOSPC ? HAVEN_ERROR_DISK_FULL : HAVEN_ERROR_INVALID,
      "The directory %s cannot be made: %s.", directory, g_strerror (errno));
  return FALSE;
}

/* -- what sessions say -- */

/* What is kept of a part: what the session says of it, and of the whole. */
static char * /* (transfer full) */
part_to_json (GVariant *info, GVariant *part)
{
  g_autoptr (JsonNode) whole = haven_json_from_variant (info);
  g_autoptr (JsonNode) own = haven_json_from_variant (part);
  JsonObject *object = json_node_get_object (whole);
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  json_object_remove_member (object, "parts");
  json_object_iter_init (&iter, json_node_get_object (own));
  while (json_object_iter_next (&iter, &name, &value))
    json_object_set_member (object, name, json_node_copy (value));
  return json_to_string (whole, FALSE);
}

static void
tell (HavenRecorder *recorder, const char *id)
{
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (recorder->store, id);

  if (row && recorder->changed)
    recorder->changed (row, recorder->changed_data);
}

static void
keep_part (HavenRecorder *recorder, const char *id, GVariant *info, GVariant *part)
{
  g_autofree char *text = part_to_json (info, part);
  HavenPartRow row = { .info = text };
  const char *path = NULL, *wanted = NULL;

  g_variant_lookup (part, "number", "u", &row.number);
  g_variant_lookup (part, "path", "&s", &path);
  g_variant_lookup (part, "output_path", "&s", &wanted);
  g_variant_lookup (part, "duration_seconds", "d", &row.duration);
  g_variant_lookup (part, "file_size_bytes", "t", &row.size);
  g_variant_lookup (part, "complete", "b", &row.complete);
  row.path = (char *)(row.complete ? path : wanted);
  if (row.complete && row.size == 0)
    haven_store_delete_part (recorder->store, id, row.number); /* nothing came for it */
  else if (row.number && row.path)
    haven_store_keep_part (recorder->store, id, &row, NULL);
}

static void
keep_info (HavenRecorder *recorder, const char *id, GVariant *info)
{
  g_autoptr (GVariant) parts = g_variant_lookup_value (info, "parts", G_VARIANT_TYPE ("aa{sv}"));
  GVariantIter iter;
  GVariant *part;

  if (!parts)
    return;
  g_variant_iter_init (&iter, parts);
  while ((part = g_variant_iter_next_value (&iter)) != NULL) {
    keep_part (recorder, id, info, part);
    g_variant_unref (part);
  }
}

/* -- how a recording ends -- */

/* Cut off, and finished later: it plays as any other, but some of its end may be missing. */
gboolean
haven_recorder_is_recovered (const HavenPartRow *part)
{
  g_autoptr (JsonNode) node = part->info ? json_from_string (part->info, NULL) : NULL;

  return node && JSON_NODE_HOLDS_OBJECT (node)
         && json_object_get_boolean_member_with_default (
             json_node_get_object (node), "recovered", FALSE);
}

/* It is what a stop promises: with its end, and on the disk. */
gboolean
haven_recorder_is_whole (const HavenPartRow *part)
{
  return part->complete && !haven_recorder_is_recovered (part);
}

/* A recording of which a part was cut off is there, but is not what it should be.
 *
 * @problem: (nullable)
 * @why_not_whole: what the problem is where there is no other and it is not whole */
static void
end_row (HavenRecorder *recorder, const char *id, const char *problem, const char *why_not_whole,
    gint64 end)
{
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (recorder->store, id);
  gboolean whole;

  if (!row)
    return;
  whole = row->parts->len > 0;
  for (guint i = 0; i < row->parts->len; i++)
    whole &= haven_recorder_is_whole (row->parts->pdata[i]);
  if (!whole && !problem)
    problem = why_not_whole;
  haven_store_end_recording (recorder->store, id,
      row->parts->len == 0 ? "failed"
      : whole              ? "completed"
                           : "interrupted",
      problem, end);
  haven_log_session (problem ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_INFO, "recording-ended",
      row->session_id, "recording", id, "room", row->room_name, "reason", problem, NULL);
  tell (recorder, id);
}

/* It was written to until its process died: from when it began to when its file last changed. */
static double
estimate_duration (const HavenPartRow *part, const GStatBuf *status)
{
  g_autoptr (JsonNode) node = part->info ? json_from_string (part->info, NULL) : NULL;
  gint64 began = node && JSON_NODE_HOLDS_OBJECT (node) ? json_object_get_int_member_with_default (
                     json_node_get_object (node), "start_time", 0)
                                                       : 0;
  double seconds = began ? (double)status->st_mtim.tv_sec + status->st_mtim.tv_nsec / 1e9
                               - (double)began / G_USEC_PER_SEC
                         : 0;

  return MAX (part->duration, seconds);
}

/* What was said of the part, and that it was recovered.
 *
 * Returns: (transfer full) */
static char *
recovered_info (const char *info, gint64 cut)
{
  g_autoptr (JsonNode) node = info ? json_from_string (info, NULL) : NULL;
  g_autoptr (JsonObject) object = node && JSON_NODE_HOLDS_OBJECT (node)
                                      ? json_object_ref (json_node_get_object (node))
                                      : json_object_new ();

  json_object_set_boolean_member (object, "recovered", TRUE);
  json_object_set_int_member (object, "cut_bytes", cut);
  return haven_json_to_text (object);
}

/* What “haven-live recover” left beside it, where that was run by hand.
 *
 * @row: what it is otherwise */
static void
apply_recovery (HavenPartRow *row)
{
  g_autofree char *file = g_path_get_basename (row->path), *where = NULL;
  g_autoptr (JsonNode) manifest = haven_manifest_find (row->path, &where);
  JsonObject *part = manifest ? haven_manifest_part (manifest, file) : NULL;

  if (!part || !json_object_get_boolean_member_with_default (part, "recovered", FALSE)) {
    row->info = NULL;
    return;
  }
  row->duration
      = json_object_get_double_member_with_default (part, "duration_seconds", row->duration);
  row->info
      = recovered_info (row->info, json_object_get_int_member_with_default (part, "cut_bytes", 0));
}

/* What a crash left: the file is there under its name, or as .part, or is not. */
static void
close_part (HavenRecorder *recorder, const char *id, const HavenPartRow *part)
{
  g_autofree char *unfinished = g_strconcat (part->path, HAVEN_UNFINISHED, NULL);
  g_autofree char *info = NULL;
  HavenPartRow row = *part;
  GStatBuf status;

  row.complete = g_file_test (part->path, G_FILE_TEST_EXISTS);
  row.path = row.complete ? part->path : unfinished;
  if (g_stat (row.path, &status) < 0) {
    haven_store_delete_part (recorder->store, id, part->number);
    return;
  }
  row.size = (guint64)status.st_size;
  row.duration = estimate_duration (part, &status);
  apply_recovery (&row);
  info = row.info;
  haven_store_keep_part (recorder->store, id, &row, NULL);
  if (!row.complete)
    haven_recoveries_add (recorder->recoveries, id, part->number, row.path);
}

static void
keep_manifest_part (
    HavenRecorder *recorder, const char *id, const char *directory, guint number, JsonObject *part)
{
  const char *file = json_object_get_string_member_with_default (part, "file", NULL);
  g_autofree char *path = file ? g_build_filename (directory, file, NULL) : NULL;
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), part);
  g_autofree char *text = json_to_string (node, FALSE);
  const HavenPartRow row = { .number = number,
    .path = path,
    .duration = json_object_get_double_member_with_default (part, "duration_seconds", 0),
    .size = (guint64)json_object_get_int_member_with_default (part, "size_bytes", 0),
    .info = text,
    .complete = json_object_get_boolean_member_with_default (part, "complete", TRUE) };

  if (!path || strchr (file, '/'))
    return;
  haven_store_keep_part (recorder->store, id, &row, NULL);
  if (!row.complete)
    close_part (recorder, id, &row);
}

/* Its parts from this one on are as the manifest says, if there is one.
 *
 * @problem: (out) (transfer full) (nullable): why it ended by itself, as that says */
static gboolean
close_by_manifest (
    HavenRecorder *recorder, const char *id, const HavenPartRow *first, char **problem)
{
  g_autofree char *where = NULL, *directory = g_path_get_dirname (first->path);
  g_autofree char *file = g_path_get_basename (first->path);
  g_autoptr (JsonNode) node = haven_manifest_find (first->path, &where);
  JsonObject *manifest = node ? json_node_get_object (node) : NULL, *begin;
  guint number = 0;
  JsonArray *list;

  if (!manifest || !(begin = haven_manifest_part (node, file))
      || g_strcmp0 (json_object_get_string_member_with_default (manifest, "recording_id", NULL), id)
             != 0)
    return FALSE;
  *problem = g_strdup (json_object_get_string_member_with_default (manifest, "error", NULL));
  list = json_object_get_array_member (manifest, "parts");
  for (guint i = 0; i < json_array_get_length (list); i++) {
    JsonNode *element = json_array_get_element (list, i);
    JsonObject *part = JSON_NODE_HOLDS_OBJECT (element) ? json_node_get_object (element) : NULL;

    if (part && part == begin)
      number = first->number;
    if (part && number > 0)
      keep_manifest_part (recorder, id, directory, number++, part);
  }
  return TRUE;
}

/* @file: (nullable): what “haven-live recover” says of it */
static void
on_recovered (const char *id, guint number, const char *path, JsonObject *file, gpointer user_data)
{
  HavenRecorder *recorder = user_data;
  g_autoptr (HavenRecordingRow) row = id ? haven_store_get_recording (recorder->store, id) : NULL;
  const char *name = file ? json_object_get_string_member_with_default (file, "path", NULL) : NULL;
  g_autofree char *info = NULL;

  for (guint i = 0; name && row && i < row->parts->len; i++) {
    HavenPartRow part = *(HavenPartRow *)row->parts->pdata[i];

    if (part.number != number || strcmp (part.path, path) != 0)
      continue; /* it is another one by now */
    info = json_object_has_member (file, "cut_bytes")
               ? recovered_info (part.info, json_object_get_int_member (file, "cut_bytes"))
               : NULL;
    part.path = (char *)name;
    part.info = info;
    part.complete = TRUE;
    part.size = (guint64)json_object_get_int_member_with_default (file, "size_bytes", 0);
    part.duration
        = json_object_get_double_member_with_default (file, "duration_seconds", part.duration);
    haven_store_keep_part (recorder->store, id, &part, NULL);
    tell (recorder, id);
    return;
  }
}

/* It may still be written, for all that is known here. */
static gboolean
is_open (const HavenPartRow *part)
{
  return !part->complete && !g_str_has_suffix (part->path, HAVEN_UNFINISHED);
}

/* Nobody writes to them any more.
 *
 * Returns: (transfer full) (nullable): why it ended by itself, where it had come to its end */
static char *
close_parts (HavenRecorder *recorder, const HavenRecordingRow *row)
{
  char *problem = NULL;

  for (guint i = 0; i < row->parts->len; i++) {
    const HavenPartRow *part = row->parts->pdata[i];

    if (!is_open (part))
      continue;
    if (close_by_manifest (recorder, row->id, part, &problem))
      break;
    close_part (recorder, row->id, part);
  }
  return problem;
}

/* What the session itself could not finish. */
static void
close_unfinished_parts (HavenRecorder *recorder, const char *id)
{
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (recorder->store, id);

  for (guint i = 0; row && i < row->parts->len; i++)
    if (is_open (row->parts->pdata[i]))
      close_part (recorder, id, row->parts->pdata[i]);
}

/* In order: the session tells all about it. */
static void
end_recording (HavenRecorder *recorder, Running *running, GVariant *info)
{
  const char *problem = NULL;
  gint64 end = 0;

  g_variant_lookup (info, "end_time", "x", &end);
  g_variant_lookup (info, "error", "&s", &problem);
  keep_info (recorder, running->id, info);
  close_unfinished_parts (recorder, running->id);
  end_row (recorder, running->id, problem && *problem ? problem : NULL, "A part of it was cut off.",
      end ? end : g_get_real_time ());
  g_hash_table_remove (recorder->running, running->mint_id);
}

/* Without a word of its session. */
static void
close_recording (HavenRecorder *recorder, const char *mint_id, const char *id, const char *reason)
{
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (recorder->store, id);

  if (row && strcmp (row->state, "recording") == 0) {
    g_autofree char *problem = close_parts (recorder, row);

    end_row (recorder, id, problem, reason, g_get_real_time ());
  }
  if (find_running (recorder, mint_id, id))
    g_hash_table_remove (recorder->running, mint_id);
}

static void
on_session_removed (HavenSessionManager *manager, HavenSession *session, HavenRecorder *recorder)
{
  Running *running = g_hash_table_lookup (recorder->running, session->mint_id);
  g_autofree char *id = running ? g_strdup (running->id) : NULL;

  if (id)
    close_recording (
        recorder, session->mint_id, id, session->failure ? session->failure : "The session ended.");
}

static void
on_recording_changed (
    HavenSessionManager *manager, HavenSession *session, GVariant *info, HavenRecorder *recorder)
{
  const char *id = NULL, *state = NULL;
  Running *running;

  g_variant_lookup (info, "recording_id", "&s", &id);
  g_variant_lookup (info, "state", "&s", &state);
  running = find_running (recorder, session->mint_id, id);
  if (!running)
    return;
  if (g_strcmp0 (state, "stopped") != 0) {
    keep_info (recorder, id, info);
    tell (recorder, running->id);
  } else if (!running->beginning) { /* or else the answer to that says so too */
    end_recording (recorder, running, info);
  }
}

/* What a session says when it is asked. */
static void
on_recording_seen (
    HavenSessionManager *manager, HavenSession *session, GVariant *info, HavenRecorder *recorder)
{
  Running *running = g_hash_table_lookup (recorder->running, session->mint_id);
  g_autofree char *own = running ? g_strdup (running->id) : NULL;
  const char *id = NULL;

  if (!running || running->beginning || running->timer)
    return;
  g_variant_lookup (info, "recording_id", "&s", &id);
  if (g_strcmp0 (id, own) == 0)
    keep_info (recorder, own, info);
  else
    close_recording (recorder, session->mint_id, own, "It ended while the server was down.");
}

/* -- starting -- */

typedef struct
{
  HavenRecorder *recorder;
  char *mint_id, *id;
  gint64 session_id;
} Job;

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->mint_id);
  g_free (job->id);
  g_free (job);
}

static GTask * /* (transfer full) */
job_new (HavenRecorder *recorder, HavenSession *session, const char *id,
    GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  Job *job = g_new0 (Job, 1);

  job->recorder = recorder;
  job->mint_id = g_strdup (session->mint_id);
  job->id = g_strdup (id);
  job->session_id = session->id;
  g_task_set_task_data (task, job, job_free);
  return task;
}

static void
return_row (GTask *task)
{
  Job *job = g_task_get_task_data (task);
  HavenRecordingRow *row = haven_store_get_recording (job->recorder->store, job->id);

  if (row)
    g_task_return_pointer (task, row, (GDestroyNotify)haven_recording_row_free);
  else
    g_task_return_new_error (task, HAVEN_ERROR, HAVEN_ERROR_NO_RECORDING, "The recording is gone.");
}

/* Returns: (transfer full) (nullable): where the first picture of a recording is kept, beside its
 * first file */
char *
haven_recorder_thumbnail (const HavenRecordingRow *row)
{
  const HavenPartRow *first = row->parts->len > 0 ? row->parts->pdata[0] : NULL;
  g_autofree char *name = first ? haven_filename_finished (first->path) : NULL;

  return name ? haven_manifest_sibling (name, ".jpg") : NULL;
}

static void
on_first_picture (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Job *job = g_task_get_task_data (task);
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (job->recorder->store, job->id);
  g_autofree char *path = row ? haven_recorder_thumbnail (row) : NULL;
  g_autoptr (GVariant) jpeg = NULL;

  jpeg = haven_session_snapshot_finish (HAVEN_DBUS_SESSION1 (source), result, NULL);
  if (jpeg && path)
    g_file_set_contents (path, g_variant_get_data (jpeg), (gssize)g_variant_get_size (jpeg), NULL);
  g_task_return_boolean (task, TRUE);
}

static void
keep_first_picture (HavenRecorder *recorder, HavenDBusSession1 *proxy, const Job *of)
{
  GTask *task = g_task_new (NULL, NULL, NULL, NULL);
  Job *job = g_new0 (Job, 1);

  job->recorder = recorder;
  job->mint_id = g_strdup (of->mint_id);
  job->id = g_strdup (of->id);
  g_task_set_task_data (task, job, job_free);
  haven_session_snapshot_async (proxy, HAVEN_THUMBNAIL_WIDTH, 0, on_first_picture, task);
}

/* A recording of sound alone decodes no picture, for a thumbnail neither. */
static gboolean
has_video (HavenRecorder *recorder, const char *id)
{
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (recorder->store, id);
  const HavenFormat *format = row ? haven_format_find (row->format) : NULL;

  return format && haven_format_has_video (format);
}

/* Nothing was recorded. Whoever stopped it meanwhile is told so by its row; else there is none.
 *
 * @running: (nullable) */
static GError * /* (transfer full) */
end_beginning (const Job *job, Running *running, GError *error /* (transfer full) */)
{
  haven_log_session (G_LOG_LEVEL_WARNING, "recording-failed", job->session_id, "recording", job->id,
      "room", job->mint_id, "message", error->message, NULL);
  if (running && running->stopping) {
    running->beginning = FALSE;
    g_error_free (error);
    return g_error_new_literal (HAVEN_ERROR, HAVEN_ERROR_RECORDING_STOPPED,
        "The recording was stopped before anything came that could be recorded.");
  }
  if (running)
    g_hash_table_remove (job->recorder->running, job->mint_id);
  haven_store_delete_recording (job->recorder->store, job->id, NULL);
  return error;
}

static void
on_recording_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Job *job = g_task_get_task_data (task);
  Running *running = find_running (job->recorder, job->mint_id, job->id);
  g_autoptr (GVariant) info = NULL;
  GError *error = NULL;

  if (haven_dbus_session1_call_start_recording_finish (
          HAVEN_DBUS_SESSION1 (source), &info, result, &error)) {
    haven_log_session (G_LOG_LEVEL_INFO, "recording-started", job->session_id, "recording", job->id,
        "room", job->mint_id, NULL);
    if (running)
      running->beginning = FALSE;
    keep_info (job->recorder, job->id, info);
    if (has_video (job->recorder, job->id))
      keep_first_picture (job->recorder, HAVEN_DBUS_SESSION1 (source), job);
    tell (job->recorder, job->id);
    return_row (task);
    return;
  }
  g_task_return_error (task, end_beginning (job, running, haven_error_from_dbus (error)));
}

/* A name that no row and no file has. */
static char * /* (transfer full) */
choose_path (const char *directory, const HavenRecordingRow *row, const HavenFormat *format)
{
  g_autofree char *stem
      = haven_name_make (row->name_template, row->mint_id, row->room_name, g_get_real_time ());

  for (guint n = 1;; n++) {
    g_autofree char *numbered = n == 1 ? g_strdup_printf ("%s.%s", stem, format->extension)
                                       : g_strdup_printf ("%s_%u.%s", stem, n, format->extension);
    g_autofree char *path = g_build_filename (directory, numbered, NULL);
    g_autofree char *taken = haven_manifest_find_taken (path);

    if (!taken)
      return g_steal_pointer (&path);
  }
}

static GVariant * /* (transfer floating) */
order_settings (const HavenRecordingRow *row, const char *path, guint number)
{
  g_auto (GVariantDict) settings = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&settings, "recording_id", "s", row->id);
  g_variant_dict_insert (&settings, "format", "s", row->format);
  g_variant_dict_insert (&settings, "video_quality", "s", row->video_quality);
  g_variant_dict_insert (&settings, "audio_quality", "s", row->audio_quality);
  g_variant_dict_insert (&settings, "path", "s", path);
  g_variant_dict_insert (&settings, "first_part", "u", number);
  g_variant_dict_insert (&settings, "segment_minutes", "u", row->segment_minutes);
  g_variant_dict_insert (&settings, "segment_mb", "u", row->segment_mb);
  g_variant_dict_insert (&settings, "chat", "b", row->chat);
  return g_variant_dict_end (&settings);
}

static HavenRecordingRow * /* (transfer full) (nullable) */
make_row (HavenRecorder *recorder, HavenSession *session, const HavenRecordingOrder *order,
    char **path, GError **error)
{
  const HavenFormat *format = haven_format_find (order->format);
  g_autoptr (HavenRecordingRow) row = g_new0 (HavenRecordingRow, 1);
  g_autofree char *directory = haven_recording_check_directory (recorder->config,
      order->directory ? order->directory
                       : haven_config_get (recorder->config, HAVEN_KEY_RECORDING_DIRECTORY),
      error);

  if (!directory || !make_directory (directory, error))
    return NULL;
  if (!format || !haven_quality_find (order->video_quality)
      || !haven_quality_find (order->audio_quality)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "There is no such format or quality.");
    return NULL;
  }
  row->id = g_uuid_string_random ();
  row->session_id = session->id;
  row->mint_id = g_strdup (session->mint_id);
  row->room_name = g_strdup (session->room_name);
  row->participant_sid = haven_dbus_session1_dup_participant_sid (session->proxy);
  row->format = g_strdup (format->name);
  /* Empty where none was asked for: then the picture may be copied. */
  row->video_quality = g_strdup (order->video_quality ? order->video_quality : "");
  row->audio_quality = g_strdup (order->audio_quality ? order->audio_quality : "");
  row->name_template = g_strdup (order->name_template);
  row->chat = order->chat;
  row->segment_minutes = order->segment_minutes;
  row->segment_mb = order->segment_mb;
  row->start_time = g_get_real_time ();
  *path = choose_path (directory, row, format);
  if (!haven_store_add_recording (recorder->store, row, *path, error))
    return NULL;
  return g_steal_pointer (&row);
}

/* @session: one that is active */
void
haven_recorder_start_async (HavenRecorder *recorder, HavenSession *session,
    const HavenRecordingOrder *order, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (HavenRecordingRow) row = NULL;
  g_autofree char *path = NULL;
  Running *running;
  GError *error = NULL;
  GTask *task;

  if (g_hash_table_contains (recorder->running, session->mint_id))
    g_set_error (
        &error, HAVEN_ERROR, HAVEN_ERROR_BUSY, "“%s” is being recorded already.", session->mint_id);
  else
    row = make_row (recorder, session, order, &path, &error);
  task = job_new (recorder, session, row ? row->id : NULL, callback, user_data);
  if (!row) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  running = add_running (recorder, session->mint_id, row->id);
  running->beginning = TRUE;
  haven_dbus_session1_call_start_recording (
      session->proxy, order_settings (row, path, 1), NULL, on_recording_started, task);
}

HavenRecordingRow *
haven_recorder_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* -- going on -- */

static void continue_recording (HavenRecorder *recorder, HavenSession *session, Running *running);

static gboolean
on_retry (gpointer user_data)
{
  Running *running = user_data;
  HavenSession *session = haven_session_manager_find (running->recorder->manager, running->mint_id);

  running->timer = 0;
  /* One that does not run is being started again, and says when it is ready. */
  if (session && session->phase == HAVEN_SESSION_ACTIVE)
    continue_recording (running->recorder, session, running);
  return G_SOURCE_REMOVE;
}

static void
on_part_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Job *job = g_task_get_task_data (task);
  HavenRecorder *recorder = job->recorder;
  Running *running = find_running (recorder, job->mint_id, job->id);
  g_autoptr (GVariant) info = NULL;
  g_autoptr (GError) error = NULL;
  gboolean begun = haven_dbus_session1_call_start_recording_finish (
      HAVEN_DBUS_SESSION1 (source), &info, result, &error);

  g_task_return_boolean (task, TRUE);
  if (!running)
    return;
  running->beginning = FALSE;
  if (begun) {
    running->attempts = 0;
    keep_info (recorder, job->id, info);
    tell (recorder, job->id);
    return;
  }
  error = haven_error_from_dbus (g_steal_pointer (&error));
  haven_log_session (G_LOG_LEVEL_WARNING, "recording-not-continued", job->session_id, "recording",
      job->id, "message", error->message, NULL);
  if (g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_DISK_FULL)) {
    close_recording (recorder, job->mint_id, job->id, error->message);
    return;
  }
  running->timer = g_timeout_add_seconds (
      MIN (RETRY_FIRST << MIN (running->attempts, 5), RETRY_LAST), on_retry, running);
  running->attempts++;
}

/* The session was started again: its recording goes on in a new part. */
static void
continue_recording (HavenRecorder *recorder, HavenSession *session, Running *running)
{
  g_autoptr (HavenRecordingRow) before = haven_store_get_recording (recorder->store, running->id);
  g_autoptr (HavenRecordingRow) row = NULL;
  const HavenFormat *format = before ? haven_format_find (before->format) : NULL;
  HavenPartRow *last = before ? haven_recording_row_last_part (before) : NULL;
  const char *configured = haven_config_get (recorder->config, HAVEN_KEY_RECORDING_DIRECTORY);
  g_autofree char *directory = last ? g_path_get_dirname (last->path) : g_strdup (configured);
  g_autofree char *path = NULL;
  HavenPartRow part = { .number = 1 };
  GTask *task;

  if (!format)
    return;
  g_clear_handle_id (&running->timer, g_source_remove);
  g_free (close_parts (recorder, before)); /* whatever it says, it goes on */
  row = haven_store_get_recording (recorder->store, running->id);
  last = haven_recording_row_last_part (row);
  part.number = last ? last->number + 1 : 1;
  part.path = path = choose_path (directory, row, format);
  if (!haven_store_keep_part (recorder->store, row->id, &part, NULL))
    return;
  haven_log_session (G_LOG_LEVEL_INFO, "recording-continued", session->id, "recording", row->id,
      "room", row->mint_id, NULL);
  task = job_new (recorder, session, row->id, NULL, NULL);
  running->beginning = TRUE;
  haven_dbus_session1_call_start_recording (
      session->proxy, order_settings (row, path, part.number), NULL, on_part_started, task);
}

static void
on_adopted_recording (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Job *job = g_task_get_task_data (task);
  HavenSession *session = haven_session_manager_find (job->recorder->manager, job->mint_id);
  g_autoptr (GVariant) info = NULL;

  /* Where it does not answer now, it will when it is asked the next time. */
  if (haven_dbus_session1_call_get_recording_finish (
          HAVEN_DBUS_SESSION1 (source), &info, result, NULL)
      && session)
    on_recording_seen (job->recorder->manager, session, info, job->recorder);
  g_task_return_boolean (task, TRUE);
}

static void
on_session_ready (HavenSessionManager *manager, HavenSession *session, HavenRecorder *recorder)
{
  Running *running = g_hash_table_lookup (recorder->running, session->mint_id);

  if (running && session->adopted)
    haven_dbus_session1_call_get_recording (session->proxy, NULL, on_adopted_recording,
        job_new (recorder, session, running->id, NULL, NULL));
  else if (running)
    continue_recording (recorder, session, running);
}

/* -- stopping and asking -- */

static void
on_recording_stopped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Job *job = g_task_get_task_data (task);
  Running *running = find_running (job->recorder, job->mint_id, job->id);
  g_autoptr (GVariant) info = NULL;
  GError *error = NULL;

  if (haven_dbus_session1_call_stop_recording_finish (
          HAVEN_DBUS_SESSION1 (source), &info, result, &error)) {
    if (running) /* the signal that says the same may have been here */
      end_recording (job->recorder, running, info);
    return_row (task);
  } else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
    g_error_free (error);
    g_task_return_new_error (task, HAVEN_ERROR, HAVEN_ERROR_SESSION_TIMEOUT,
        "The recording ends, but its file is not finished yet: the disk, or the session's process, "
        "is slow or hangs.");
  } else { /* it has just ended by itself, or its process has */
    error = haven_error_from_dbus (error);
    close_recording (job->recorder, job->mint_id, job->id,
        error->code == HAVEN_ERROR_NOT_RECORDING ? "It had ended." : error->message);
    g_error_free (error);
    return_row (task);
  }
}

/* @session: (nullable) */
void
haven_recorder_stop_async (HavenRecorder *recorder, HavenSession *session,
    GAsyncReadyCallback callback, gpointer user_data)
{
  const char *id = session ? haven_recorder_find (recorder, session->mint_id) : NULL;
  g_autoptr (GTask) task = NULL;

  if (!id) {
    task = g_task_new (NULL, NULL, callback, user_data);
    g_task_return_new_error (
        task, HAVEN_ERROR, HAVEN_ERROR_NOT_RECORDING, "This id is not being recorded.");
    return;
  }
  task = job_new (recorder, session, id, callback, user_data);
  if (session->proxy && session->phase != HAVEN_SESSION_RESTARTING) {
    find_running (recorder, session->mint_id, id)->stopping = TRUE;
    g_dbus_proxy_call (G_DBUS_PROXY (session->proxy), "StopRecording", NULL, G_DBUS_CALL_FLAGS_NONE,
        STOP_ANSWER_TIMEOUT, NULL, on_recording_stopped, g_steal_pointer (&task));
    return;
  }
  close_recording (recorder, session->mint_id, ((Job *)g_task_get_task_data (task))->id,
      "It was stopped while its session was being started again.");
  return_row (task);
}

static void
on_status (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Job *job = g_task_get_task_data (task);
  GVariant *info = NULL;
  GError *error = NULL;

  if (haven_dbus_session1_call_get_recording_finish (
          HAVEN_DBUS_SESSION1 (source), &info, result, &error)) {
    const char *id = NULL;

    g_variant_lookup (info, "recording_id", "&s", &id);
    if (find_running (job->recorder, job->mint_id, id))
      keep_info (job->recorder, id, info);
    g_task_return_pointer (task, info, (GDestroyNotify)g_variant_unref);
  } else {
    g_task_return_error (task, haven_error_from_dbus (error));
  }
}

/* Asks the session; the recording's row is then as it says.
 *
 * @session: one that is active */
void
haven_recorder_status_async (HavenRecorder *recorder, HavenSession *session,
    GAsyncReadyCallback callback, gpointer user_data)
{
  haven_dbus_session1_call_get_recording (
      session->proxy, NULL, on_status, job_new (recorder, session, NULL, callback, user_data));
}

GVariant *
haven_recorder_status_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* Returns: (nullable): the id of the recording that runs */
const char *
haven_recorder_find (HavenRecorder *recorder, const char *mint_id)
{
  Running *running = g_hash_table_lookup (recorder->running, mint_id);

  return running ? running->id : NULL;
}

guint
haven_recorder_count (HavenRecorder *recorder)
{
  return g_hash_table_size (recorder->running);
}

/* -- its life -- */

HavenRecorder *
haven_recorder_new (HavenConfig *config, HavenStore *store, HavenSessionManager *manager)
{
  HavenRecorder *recorder = g_new0 (HavenRecorder, 1);
  g_autoptr (GPtrArray) rows = haven_store_list_recordings (store, NULL, "recording", G_MAXINT, 0);

  recorder->config = config;
  recorder->store = store;
  recorder->manager = manager;
  recorder->recoveries = haven_recoveries_new (on_recovered, recorder);
  recorder->running = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, running_free);
  for (guint i = 0; i < rows->len; i++) { /* as it was, the newest first; sessions will tell */
    HavenRecordingRow *row = rows->pdata[i];

    if (!g_hash_table_contains (recorder->running, row->mint_id))
      add_running (recorder, row->mint_id, row->id);
  }
  g_signal_connect (manager, "session-ready", G_CALLBACK (on_session_ready), recorder);
  g_signal_connect (manager, "session-removed", G_CALLBACK (on_session_removed), recorder);
  g_signal_connect (manager, "recording-changed", G_CALLBACK (on_recording_changed), recorder);
  g_signal_connect (manager, "recording-seen", G_CALLBACK (on_recording_seen), recorder);
  return recorder;
}

void
haven_recorder_set_listener (
    HavenRecorder *recorder, HavenRecordingChanged changed, gpointer user_data)
{
  recorder->changed = changed;
  recorder->changed_data = user_data;
}

void
haven_recorder_free (HavenRecorder *recorder)
{
  g_signal_handlers_disconnect_by_data (recorder->manager, recorder);
  haven_recoveries_free (recorder->recoveries);
  g_hash_table_unref (recorder->running);
  g_free (recorder);
}

/* What was cut off before, and could not be finished then, or is in no row. */
static void
recover_the_rest (HavenRecorder *recorder)
{
  g_autoptr (GPtrArray) rows
      = haven_store_list_recordings (recorder->store, NULL, "interrupted", G_MAXINT, 0);

  for (guint i = 0; i < rows->len; i++) {
    const HavenRecordingRow *row = rows->pdata[i];

    for (guint j = 0; j < row->parts->len; j++) {
      const HavenPartRow *part = row->parts->pdata[j];

      if (!part->complete && g_file_test (part->path, G_FILE_TEST_IS_REGULAR))
        haven_recoveries_add (recorder->recoveries, row->id, part->number, part->path);
    }
  }
  haven_recoveries_add_directory (
      recorder->recoveries, haven_config_get (recorder->config, HAVEN_KEY_RECORDING_DIRECTORY));
}

/* All sessions that run are known: what still counts as recording, and is of none of them, is not.
 */
void
haven_recorder_reconcile (HavenRecorder *recorder)
{
  g_autoptr (GPtrArray) rows
      = haven_store_list_recordings (recorder->store, NULL, "recording", G_MAXINT, 0);

  for (guint i = 0; i < rows->len; i++) {
    HavenRecordingRow *row = rows->pdata[i];
    HavenSession *session = haven_session_manager_find (recorder->manager, row->mint_id);

    if (!session || session->id != row->session_id
        || !find_running (recorder, row->mint_id, row->id))
      close_recording (recorder, row->mint_id, row->id,
          "The session's process was gone when the server started.");
  }
  recover_the_rest (recorder);
}
