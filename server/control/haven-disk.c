/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-disk.h"

#include "haven-doctor.h"
#include "haven-log.h"

#define INTERVAL 5 /* s */
#define MEGABYTE G_GUINT64_CONSTANT (1000000)

struct _HavenDisk
{
  HavenConfig *config; /* outlives us, as store does */
  HavenStore *store;
  HavenDiskChanged changed;
  gpointer user_data;
  GHashTable *low; /* (owned) the directories of which was told that they are */
  guint timer;
};

static gboolean
on_interval (gpointer user_data)
{
  haven_disk_check (user_data);
  return G_SOURCE_CONTINUE;
}

HavenDisk *
haven_disk_new (
    HavenConfig *config, HavenStore *store, HavenDiskChanged changed, gpointer user_data)
{
  HavenDisk *disk = g_new0 (HavenDisk, 1);

  disk->config = config;
  disk->store = store;
  disk->changed = changed;
  disk->user_data = user_data;
  disk->low = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  disk->timer = g_timeout_add_seconds (INTERVAL, on_interval, disk);
  return disk;
}

void
haven_disk_free (HavenDisk *disk)
{
  g_source_remove (disk->timer);
  g_hash_table_unref (disk->low);
  g_free (disk);
}

static guint64
megabytes (HavenDisk *disk, HavenKey key)
{
  return haven_config_get_uint (disk->config, key) * MEGABYTE;
}

/* Of the directory that recordings go to by default.
 *
 * @available: (out): bytes */
gboolean
haven_disk_available (HavenDisk *disk, guint64 *available)
{
  const char *directory = haven_config_get (disk->config, HAVEN_KEY_RECORDING_DIRECTORY);
  double bytes;

  if (!haven_doctor_check_directory (directory, &bytes, NULL))
    return FALSE;
  *available = (guint64)bytes;
  return TRUE;
}

/* That one, and those that recordings are being written to. */
static GHashTable * /* (transfer full) */
list_directories (HavenDisk *disk)
{
  GHashTable *set = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) rows
      = haven_store_list_recordings (disk->store, NULL, "recording", G_MAXINT, 0);

  g_hash_table_add (set, g_strdup (haven_config_get (disk->config, HAVEN_KEY_RECORDING_DIRECTORY)));
  for (guint i = 0; i < rows->len; i++) {
    const HavenPartRow *part = haven_recording_row_last_part (rows->pdata[i]);

    if (part)
      g_hash_table_add (set, g_path_get_dirname (part->path));
  }
  return set;
}

static void
tell (HavenDisk *disk, const HavenDiskState *state)
{
  g_autofree char *available = g_strdup_printf ("%" G_GUINT64_FORMAT, state->available / MEGABYTE);
  g_autofree char *reserve = g_strdup_printf ("%" G_GUINT64_FORMAT, state->reserve / MEGABYTE);

  haven_log (state->low ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_INFO,
      state->low ? "disk-low" : "disk-no-longer-low", "directory", state->directory,
      "free-megabytes", available, "reserve-megabytes", reserve, NULL);
  disk->changed (state, disk->user_data);
}

static void
check_directory (HavenDisk *disk, const char *directory)
{
  HavenDiskState state = { directory, g_hash_table_contains (disk->low, directory), 0,
    megabytes (disk, HAVEN_KEY_RECORDING_RESERVE) };
  guint64 margin = megabytes (disk, HAVEN_KEY_RECORDING_WARN);
  gboolean was_low = state.low;
  double available;

  if (!haven_doctor_check_directory (directory, &available, NULL))
    return; /* who wants to record there is told why it cannot be */
  state.available = (guint64)available;
  /* A recording may grow and shrink the rest around the mark: it takes a tenth more to be well. */
  if (was_low)
    margin += margin / 10;
  state.low = margin && state.available < state.reserve + margin;
  if (state.low == was_low)
    return;
  if (state.low)
    g_hash_table_add (disk->low, g_strdup (directory));
  else
    g_hash_table_remove (disk->low, directory);
  tell (disk, &state);
}

/* Looks now, as it does from time to time. */
void
haven_disk_check (HavenDisk *disk)
{
  g_autoptr (GHashTable) directories = list_directories (disk);
  GHashTableIter iter;
  gpointer directory;

  g_hash_table_iter_init (&iter, disk->low);
  while (g_hash_table_iter_next (&iter, &directory, NULL))
    if (!g_hash_table_contains (directories, directory))
      g_hash_table_iter_remove (&iter);
  g_hash_table_iter_init (&iter, directories);
  while (g_hash_table_iter_next (&iter, &directory, NULL))
    check_directory (disk, directory);
}
