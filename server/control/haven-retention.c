/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-retention.h"

#include "haven-log.h"
#include "haven-removal.h"

#define INTERVAL 600 /* s */
#define GIGABYTE G_GUINT64_CONSTANT (1000000000)

struct _HavenRetention
{
  HavenConfig *config; /* outlives us, as the others do */
  HavenStore *store;
  HavenRetentionDeleted deleted;
  gpointer user_data;
  guint timer;
  guint work;     /* a source, while there may be something to delete */
  guint n_passed; /* in this work: those that cannot be deleted */
  guint n_deleted;
};

static gboolean
on_interval (gpointer user_data)
{
  haven_retention_wake (user_data);
  return G_SOURCE_CONTINUE;
}

HavenRetention *
haven_retention_new (
    HavenConfig *config, HavenStore *store, HavenRetentionDeleted deleted, gpointer user_data)
{
  HavenRetention *retention = g_new0 (HavenRetention, 1);

  retention->config = config;
  retention->store = store;
  retention->deleted = deleted;
  retention->user_data = user_data;
  retention->timer = g_timeout_add_seconds (INTERVAL, on_interval, retention);
  return retention;
}

void
haven_retention_free (HavenRetention *retention)
{
  g_source_remove (retention->timer);
  g_clear_handle_id (&retention->work, g_source_remove);
  g_free (retention);
}

/* Which has to go next, if any.
 *
 * @reason: (out)
 *
 * Returns: (transfer full) (nullable) */
static HavenRecordingRow *
find_next (HavenRetention *retention, const char **reason)
{
  guint days = haven_config_get_uint (retention->config, HAVEN_KEY_KEEP_DAYS);
  guint64 most
      = haven_config_get_uint (retention->config, HAVEN_KEY_MAX_TOTAL_GIGABYTES) * GIGABYTE;
  HavenRecordingRow *row = NULL;

  if (days) {
    *reason = "keep-days";
    row = haven_store_find_oldest_recording (
        retention->store, g_get_real_time () - days * G_TIME_SPAN_DAY, retention->n_passed);
  }
  if (!row && most && haven_store_total_size (retention->store) > most) {
    *reason = "max-total-gigabytes";
    row = haven_store_find_oldest_recording (retention->store, G_MAXINT64, retention->n_passed);
  }
  return row;
}

/* One at a time: to delete a large file takes a while. */
static gboolean
on_work (gpointer user_data)
{
  HavenRetention *retention = user_data;
  const char *reason = NULL;
  g_autoptr (HavenRecordingRow) row = find_next (retention, &reason);
  g_autoptr (GError) error = NULL;

  if (!row) {
    retention->work = 0;
    return G_SOURCE_REMOVE;
  }
  if (!haven_removal_delete (retention->store, row, &error)) {
    haven_log (G_LOG_LEVEL_WARNING, "recording-not-deleted", "recording", row->id, "reason",
        error->message, NULL);
    retention->n_passed++;
    return G_SOURCE_CONTINUE;
  }
  retention->n_deleted++;
  haven_log_session (G_LOG_LEVEL_MESSAGE, "recording-deleted", row->session_id, "recording",
      row->id, "room", row->room_name, "setting", reason, NULL);
  retention->deleted (row, reason, retention->user_data);
  return G_SOURCE_CONTINUE;
}

/* There may be something to delete. */
void
haven_retention_wake (HavenRetention *retention)
{
  retention->n_passed = 0;
  if (!retention->work)
    retention->work = g_idle_add_full (G_PRIORITY_LOW, on_work, retention, NULL);
}

/* Deleted since the server started. */
guint
haven_retention_count (HavenRetention *retention)
{
  return retention->n_deleted;
}
