/* haven-live recover: a file, or all that a directory has of what was cut off, and what became of
 * each.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "haven-exit.h"
#include "haven-filename.h"
#include "haven-recover.h"
#include "recover-manifest.h"

typedef struct
{
  gboolean json;
  JsonArray *files; /* (owned) */
  HavenExit exit;
} Run;

static HavenExit
exit_for (const GError *error)
{
  if (g_error_matches (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_DISK_FULL))
    return HAVEN_EXIT_DISK;
  if (g_error_matches (error, HAVEN_RECOVER_ERROR, HAVEN_RECOVER_ERROR_IN_USE))
    return HAVEN_EXIT_IN_USE;
  return HAVEN_EXIT_FAILED;
}

/* The code for programs; the message is for people. */
static const char *
error_code (const GError *error)
{
  static const char *const names[] = {
    [HAVEN_RECOVER_ERROR_FILE] = "file",
    [HAVEN_RECOVER_ERROR_DISK_FULL] = "disk_full",
    [HAVEN_RECOVER_ERROR_IN_USE] = "in_use",
    [HAVEN_RECOVER_ERROR_UNKNOWN] = "unknown",
    [HAVEN_RECOVER_ERROR_EMPTY] = "empty",
    [HAVEN_RECOVER_ERROR_DAMAGED] = "damaged",
  };

  return error->domain == HAVEN_RECOVER_ERROR ? names[error->code] : "file";
}

static void
add_failure (Run *run, const char *path, const GError *error)
{
  JsonObject *object = json_object_new ();
  HavenExit code = exit_for (error);

  /* Of several files that failed for different reasons, none is the one. */
  run->exit = run->exit == HAVEN_EXIT_OK || run->exit == code ? code : HAVEN_EXIT_FAILED;
  json_object_set_string_member (object, "file", path);
  json_object_set_string_member (object, "state", "failed");
  json_object_set_string_member (object, "code", error_code (error));
  json_object_set_string_member (object, "error", error->message);
  json_array_add_object_element (run->files, object);
  if (!run->json)
    g_printerr ("haven-live: %s: %s\n", path, error->message);
}

/* @warning: (nullable) */
static void
add_success (Run *run, const char *path, const HavenRecovery *recovery, const char *warning)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "file", path);
  json_object_set_string_member (object, "state", recovery->complete ? "complete" : "recovered");
  json_object_set_string_member (object, "path", recovery->path);
  json_object_set_int_member (object, "size_bytes", (gint64)recovery->size);
  if (!recovery->complete) {
    json_object_set_int_member (object, "cut_bytes", (gint64)recovery->cut);
    json_object_set_double_member (object, "duration_seconds", recovery->duration);
    json_object_set_int_member (object, "video_frames", (gint64)recovery->video_frames);
    json_object_set_int_member (object, "audio_frames", (gint64)recovery->audio_frames);
  }
  if (warning)
    json_object_set_string_member (object, "warning", warning);
  json_array_add_object_element (run->files, object);
  if (run->json)
    return;
  if (recovery->complete)
    g_print ("%s: complete already, untouched\n", recovery->path);
  else
    g_print ("%s: recovered, %.1f s; %" G_GUINT64_FORMAT " bytes at its end were not whole\n",
        recovery->path, recovery->duration, recovery->cut);
  if (warning)
    g_printerr ("haven-live: %s\n", warning);
}

static void
recover_one (Run *run, const char *path)
{
  g_auto (HavenRecovery) recovery = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char *warning = NULL;

  if (!haven_recover_path (path, &recovery, &error)) {
    add_failure (run, path, error);
    return;
  }
  if (!recover_manifest_write (&recovery, &error))
    warning = g_strdup_printf ("The manifest cannot be written: %s", error->message);
  add_success (run, path, &recovery, warning);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* What is directly in it; not what is in directories below. */
static gboolean
recover_directory (Run *run, const char *path, GError **error)
{
  g_autoptr (GDir) directory = g_dir_open (path, 0, error);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  if (!directory)
    return FALSE;
  while ((name = g_dir_read_name (directory)) != NULL)
    if (g_str_has_suffix (name, HAVEN_UNFINISHED))
      g_ptr_array_add (names, g_build_filename (path, name, NULL));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    recover_one (run, names->pdata[i]);
  if (names->len == 0 && !run->json)
    g_print ("%s: nothing was cut off\n", path);
  return TRUE;
}

static void
print_json (const Run *run)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), NULL);
  JsonObject *object = json_object_new ();
  g_autofree char *text = NULL;

  json_object_set_boolean_member (object, "success", run->exit == HAVEN_EXIT_OK);
  json_object_set_int_member (object, "exit_code", run->exit);
  json_object_set_array_member (object, "files", json_array_ref (run->files));
  json_node_take_object (node, object);
  text = json_to_string (node, FALSE);
  g_print ("%s\n", text);
}

/* Returns: the exit code */
int
haven_recover_run (const char *path, gboolean json)
{
  g_autoptr (JsonArray) files = json_array_new ();
  Run run = { .json = json, .files = files, .exit = HAVEN_EXIT_OK };
  g_autoptr (GError) error = NULL;

  if (!g_file_test (path, G_FILE_TEST_IS_DIR))
    recover_one (&run, path);
  else if (!recover_directory (&run, path, &error))
    add_failure (&run, path, error);
  if (json)
    print_json (&run);
  return run.exit;
}
