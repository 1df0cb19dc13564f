/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "haven-session-error.h"

#define BLOCK_SIZE (1024 * 1024)
#define MAX_MANIFEST 4194304 /* bytes */
#define LOWEST_PRIORITY 19

static void
set_up_child (gpointer user_data) /* between fork and exec */
{
  setsid (); /* whoever ends our process group does not mean it */
  syscall (SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE (IOPRIO_CLASS_IDLE, 0));
  if (nice (LOWEST_PRIORITY) < 0)
    return;
}

void
haven_checksum_spawn (const char *manifest)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  char *argv[] = { program, (char *)"--checksum", (char *)manifest, NULL };
  g_autoptr (GError) error = NULL;

  /* Whoever reads our log waits for its end. */
  if (!g_spawn_async (NULL, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
          set_up_child, NULL, NULL, &error))
    g_warning ("No checksums are made: %s", error->message);
}

static gboolean
fail (GError **error, const char *path)
{
  g_set_error (
      error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_FILE, "“%s”: %s", path, g_strerror (errno));
  return FALSE;
}

/* Returns: (transfer full) (nullable): of a file that has that size before and after */
static char *
sum_file (const char *path, gint64 size, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guchar *block = g_malloc (BLOCK_SIZE);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  gint64 left = size;
  struct stat file;
  gssize got;

  if (fd < 0) {
    fail (error, path);
    return NULL;
  }
  if (fstat (fd, &file) != 0 || !S_ISREG (file.st_mode) || file.st_size != size)
    left = -1;
  while (left > 0 && (got = read (fd, block, MIN (left, BLOCK_SIZE))) > 0) {
    g_checksum_update (sum, block, got);
    left -= got;
  }
  if (left != 0 || fstat (fd, &file) != 0 || file.st_size != size) {
    close (fd);
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_FILE,
        "“%s” is not as its manifest says", path);
    return NULL;
  }
  close (fd);
  return g_strdup (g_checksum_get_string (sum));
}

static JsonNode * /* (transfer full) (nullable) */
read_manifest (const char *path, GError **error)
{
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *text = NULL;
  GStatBuf file;

  if (g_stat (path, &file) != 0) {
    fail (error, path);
    return NULL;
  }
  if (file.st_size <= MAX_MANIFEST && g_file_get_contents (path, &text, NULL, NULL))
    node = json_from_string (text, NULL);
  if (node && JSON_NODE_HOLDS_OBJECT (node)
      && json_object_has_member (json_node_get_object (node), "parts")
      && JSON_NODE_HOLDS_ARRAY (json_object_get_member (json_node_get_object (node), "parts")))
    return g_steal_pointer (&node);
  g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_FILE, "“%s” is no manifest", path);
  return NULL;
}

/* Calls back for each part that has a name, with its size. */
static void
for_each_part (JsonNode *manifest,
    void (*callback) (JsonObject *part, const char *file, gint64 size, gpointer user_data),
    gpointer user_data)
{
  JsonArray *parts = json_object_get_array_member (json_node_get_object (manifest), "parts");

  for (guint i = 0; i < json_array_get_length (parts); i++) {
    JsonNode *node = json_array_get_element (parts, i);
    JsonObject *part = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    const char *file
        = part ? json_object_get_string_member_with_default (part, "file", NULL) : NULL;

    if (file && !strchr (file, '/'))
      callback (
          part, file, json_object_get_int_member_with_default (part, "size_bytes", -1), user_data);
  }
}

typedef struct
{
  char *directory;
  GHashTable *sums; /* file -> sum */
  GError *error;    /* (nullable) the first */
} Work;

static void
sum_part (JsonObject *part, const char *file, gint64 size, gpointer user_data)
{
  Work *work = user_data;
  g_autofree char *path = g_build_filename (work->directory, file, NULL);
  char *sum;

  if (json_object_get_string_member_with_default (part, "sha256", NULL))
    return;
  sum = sum_file (path, size, work->error ? NULL : &work->error);
  if (sum)
    g_hash_table_insert (work->sums, g_strdup_printf ("%s/%" G_GINT64_FORMAT, file, size), sum);
}

static void
fill_in_part (JsonObject *part, const char *file, gint64 size, gpointer user_data)
{
  Work *work = user_data;
  g_autofree char *key = g_strdup_printf ("%s/%" G_GINT64_FORMAT, file, size);
  const char *sum = g_hash_table_lookup (work->sums, key);

  if (sum)
    json_object_set_string_member (part, "sha256", sum);
}

/* It is read again: it may have been removed or changed meanwhile. */
static gboolean
fill_in (const char *path, Work *work, GError **error)
{
  g_autoptr (JsonNode) manifest = read_manifest (path, error);
  g_autofree char *text = NULL;

  if (!manifest)
    return FALSE;
  for_each_part (manifest, fill_in_part, work);
  text = json_to_string (manifest, TRUE);
  return g_file_set_contents (path, text, -1, error);
}

gboolean
haven_checksum_run (const char *path, GError **error)
{
  g_autoptr (JsonNode) manifest = read_manifest (path, error);
  Work work = { .directory = g_path_get_dirname (path) };
  gboolean done;

  if (!manifest) {
    g_free (work.directory);
    return FALSE;
  }
  work.sums = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for_each_part (manifest, sum_part, &work);
  done = g_hash_table_size (work.sums) == 0 || fill_in (path, &work, error);
  if (done && work.error) {
    g_propagate_error (error, g_steal_pointer (&work.error));
    done = FALSE;
  }
  g_clear_error (&work.error);
  g_hash_table_unref (work.sums);
  g_free (work.directory);
  return done;
}
