/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-store.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "haven-error.h"
#include "haven-log.h"

#define SCHEMA_VERSION 5
#define KEPT_SESSIONS 10000 /* the last of those that ended and recorded nothing */
#define BUSY_TIMEOUT 2000   /* ms; for whoever looks into the database by hand */

struct _HavenStore
{
  sqlite3 *db;
  int lock; /* file descriptor; held as long as we live */
};

typedef sqlite3_stmt Statement;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Statement, sqlite3_finalize)

/* -- statements -- */

static gboolean
fail (HavenStore *store, GError **error)
{
  int code = sqlite3_errcode (store->db);

  haven_log (G_LOG_LEVEL_WARNING, "store-failed", "message", sqlite3_errmsg (store->db), NULL);
  if (code == SQLITE_FULL || sqlite3_system_errno (store->db) == ENOSPC)
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_DISK_FULL, "The disk is full.");
  else if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INTERNAL,
        "The database is damaged: put a copy in its place, or move it away.");
  else
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INTERNAL, "The database cannot be written.");
  return FALSE;
}

/* @types: a letter for each parameter: s string (nullable), i gint64, d double
 *
 * Returns: (transfer full) (nullable) */
static Statement *
prepare (HavenStore *store, const char *sql, const char *types, va_list values)
{
  Statement *statement = NULL;

  if (sqlite3_prepare_v2 (store->db, sql, -1, &statement, NULL) != SQLITE_OK) {
    haven_log (G_LOG_LEVEL_WARNING, "store-failed", "message", sqlite3_errmsg (store->db), NULL);
    return NULL;
  }
  for (int i = 0; types[i]; i++) {
    if (types[i] == 's')
      sqlite3_bind_text (statement, i + 1, va_arg (values, const char *), -1, SQLITE_TRANSIENT);
    else if (types[i] == 'i')
      sqlite3_bind_int64 (statement, i + 1, va_arg (values, gint64));
    else
      sqlite3_bind_double (statement, i + 1, va_arg (values, double));
  }
  return statement;
}

static Statement *
query (HavenStore *store, const char *sql, const char *types, ...)
{
  Statement *statement;
  va_list values;

  va_start (values, types);
  statement = prepare (store, sql, types, values);
  va_end (values);
  return statement;
}

static gboolean
execute (HavenStore *store, GError **error, const char *sql, const char *types, ...)
{
  g_autoptr (Statement) statement = NULL;
  va_list values;

  va_start (values, types);
  statement = prepare (store, sql, types, values);
  va_end (values);
  if (!statement || sqlite3_step (statement) != SQLITE_DONE)
    return fail (store, error);
  return TRUE;
}

static gboolean
next_row (Statement *statement)
{
  return statement && sqlite3_step (statement) == SQLITE_ROW;
}

static char *
text (Statement *statement, int column)
{
  return g_strdup ((const char *)sqlite3_column_text (statement, column));
}

/* -- opening -- */

/* Returns: a descriptor, or -1 */
static int
lock_directory (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, "haven-live.lock", NULL);
  char owner[16] = "";
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  if (fd < 0) {
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "Cannot open %s: %s", path,
        g_strerror (errno));
    return -1;
  }
  if (flock (fd, LOCK_EX | LOCK_NB) < 0) {
    gssize size = read (fd, owner, sizeof owner - 1);

    owner[MAX (size, 0)] = '\0';
    g_strstrip (owner);
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_IN_USE,
        "Another haven-live (process %s) uses the state directory %s. Stop it, or give this one "
        "another directory with --state-dir.",
        *owner ? owner : "unknown", directory);
    close (fd);
    return -1;
  }
  g_snprintf (owner, sizeof owner, "%d\n", (int)getpid ());
  if (ftruncate (fd, 0) < 0 || write (fd, owner, strlen (owner)) < 0)
    haven_log (G_LOG_LEVEL_WARNING, "lock-not-written", "path", path, NULL);
  return fd;
}

static gboolean
run_script (HavenStore *store, const char *sql, GError **error)
{
  return sqlite3_exec (store->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail (store, error);
}

static int
get_version (HavenStore *store)
{
  g_autoptr (Statement) statement = query (store, "PRAGMA user_version", "");

  return next_row (statement) ? sqlite3_column_int (statement, 0) : -1;
}

static gboolean
check_version (HavenStore *store, GError **error)
{
  int version = get_version (store);

  if (version < 0)
    return fail (store, error);
  if (version <= SCHEMA_VERSION)
    return TRUE;
  g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INTERNAL,
      "The database was made by a newer haven-live (its version is %d, ours %d).", version,
      SCHEMA_VERSION);
  return FALSE;
}

static gboolean
migrate (HavenStore *store, GError **error)
{
  int version = get_version (store);

  if (version < 0)
    return fail (store, error);
  while (version < SCHEMA_VERSION) {
    g_autofree char *path = g_strdup_printf ("/org/haven/sql/%d.sql", ++version);
    g_autoptr (GBytes) bytes = g_resources_lookup_data (path, G_RESOURCE_LOOKUP_FLAGS_NONE, error);
    g_autofree char *script = NULL;

    if (!bytes)
      return FALSE;
    script = g_strdup_printf ("BEGIN IMMEDIATE;\n%.*s\nPRAGMA user_version = %d;\nCOMMIT;",
        (int)g_bytes_get_size (bytes), (const char *)g_bytes_get_data (bytes, NULL), version);
    if (!run_script (store, script, error)) {
      sqlite3_exec (store->db, "ROLLBACK", NULL, NULL, NULL);
      return FALSE;
    }
  }
  return TRUE;
}

/* What nobody asks for any more. */
static void
forget_old_sessions (HavenStore *store)
{
  execute (store, NULL,
      "DELETE FROM sessions WHERE state IN ('ended', 'failed') "
      "AND id <= (SELECT max(id) FROM sessions) - ? "
      "AND id NOT IN (SELECT session_id FROM recordings)",
      "i", (gint64)KEPT_SESSIONS);
}

/* Makes the directory where there is none, and refuses one that another process uses. */
HavenStore *
haven_store_open (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, "haven-live.db", NULL);
  g_autoptr (HavenStore) store = NULL;
  int lock;

  if (g_mkdir_with_parents (directory, 0700) < 0) {
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "Cannot make %s: %s", directory,
        g_strerror (errno));
    return NULL;
  }
  lock = lock_directory (directory, error);
  if (lock < 0)
    return NULL;
  store = g_new0 (HavenStore, 1);
  store->lock = lock;
  if (sqlite3_open (path, &store->db) != SQLITE_OK) {
    fail (store, error);
    return NULL;
  }
  if (g_chmod (path, 0600) < 0) /* it may hold the secret */
    haven_log (G_LOG_LEVEL_WARNING, "chmod-failed", "path", path, NULL);
  sqlite3_busy_timeout (store->db, BUSY_TIMEOUT);
  if (!check_version (store, error) /* before anything is changed */
      || !run_script (store,
          "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
          error)
      || !migrate (store, error)) {
    g_prefix_error (error, "%s: ", path);
    return NULL;
  }
  forget_old_sessions (store);
  return g_steal_pointer (&store);
}

/* For a look beside the one that uses it; makes and changes nothing.
 *
 * Returns: NULL without @error where there is none */
HavenStore *
haven_store_open_to_read (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, "haven-live.db", NULL);
  g_autoptr (HavenStore) store = NULL;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return NULL;
  store = g_new0 (HavenStore, 1);
  store->lock = -1;
  if (sqlite3_open_v2 (path, &store->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK
      || get_version (store) < 0) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INTERNAL, "%s cannot be read: %s", path,
        sqlite3_errmsg (store->db));
    return NULL;
  }
  if (!check_version (store, error)) {
    g_prefix_error (error, "%s: ", path);
    return NULL;
  }
  return g_steal_pointer (&store);
}

void
haven_store_free (HavenStore *store)
{
  sqlite3_close (store->db);
  if (store->lock >= 0)
    close (store->lock);
  g_free (store);
}

/* -- settings -- */

/* Returns: (transfer full) (nullable) */
char *
haven_store_get_setting (HavenStore *store, const char *name)
{
  g_autoptr (Statement) row = query (store, "SELECT value FROM settings WHERE name = ?", "s", name);

  return next_row (row) ? text (row, 0) : NULL;
}

/* @value: (nullable): NULL forgets it */
gboolean
haven_store_set_setting (HavenStore *store, const char *name, const char *value, GError **error)
{
  /* That it was forgotten is a change too, whose time the empty row "" keeps. */
  if (!execute (store, error, "INSERT OR REPLACE INTO settings VALUES ('', '', ?)", "i",
          g_get_real_time ()))
    return FALSE;
  if (!value)
    return execute (store, error, "DELETE FROM settings WHERE name = ?", "s", name);
  return execute (store, error, "INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", "ssi", name,
      value, g_get_real_time ());
}

/* Returns: 0 where nothing was ever set */
gint64
haven_store_settings_updated_at (HavenStore *store)
{
  g_autoptr (Statement) row = query (store, "SELECT max(updated_at) FROM settings", "");

  return next_row (row) ? sqlite3_column_int64 (row, 0) : 0;
}

/* -- sessions -- */

/* @session: its names, its participant, and for whom it is
 *
 * Returns: its id, or 0 */
gint64
haven_store_add_session (HavenStore *store, const HavenSessionRow *session, GError **error)
{
  gint64 now = g_get_real_time ();

  if (!execute (store, error,
          "INSERT INTO sessions (mint_id, room_name, participant_identity, for_viewers, state, "
          "start_time, created_at, updated_at) VALUES (?, ?, ?, ?, 'connecting', ?, ?, ?)",
          "sssiiii", session->mint_id, session->room_name, session->participant_identity,
          (gint64)session->for_viewers, now, now, now))
    return 0;
  return sqlite3_last_insert_rowid (store->db);
}

void
haven_store_set_record_session (HavenStore *store, gint64 id, gboolean record_session)
{
  execute (store, NULL, "UPDATE sessions SET record_session = ? WHERE id = ?", "ii",
      (gint64)record_session, id);
}

/* It is for viewers alone no more. */
void
haven_store_keep_session (HavenStore *store, gint64 id)
{
  execute (store, NULL, "UPDATE sessions SET for_viewers = 0 WHERE id = ?", "i", id);
}

/* @state: ended and failed set the end's time too
 * @detail: (nullable): why */
void
haven_store_update_session (
    HavenStore *store, gint64 id, const char *state, const char *detail, guint restarts)
{
  gint64 now = g_get_real_time ();

  execute (store, NULL,
      "UPDATE sessions SET state = ?1, error = ?2, restarts = ?3, updated_at = ?4, "
      "end_time = CASE WHEN ?1 IN ('ended', 'failed') THEN ?4 END WHERE id = ?5",
      "ssiii", state, detail, (gint64)restarts, now, id);
}

#define SESSION_COLUMNS                                                                            \
  "id, mint_id, room_name, state, error, start_time, end_time, created_at, updated_at, restarts, " \
  "participant_identity, record_session, for_viewers"

static HavenSessionRow *
read_session (Statement *row)
{
  HavenSessionRow *session = g_new0 (HavenSessionRow, 1);

  session->id = sqlite3_column_int64 (row, 0);
  session->mint_id = text (row, 1);
  session->room_name = text (row, 2);
  session->state = text (row, 3);
  session->error = text (row, 4);
  session->start_time = sqlite3_column_int64 (row, 5);
  session->end_time = sqlite3_column_int64 (row, 6);
  session->created_at = sqlite3_column_int64 (row, 7);
  session->updated_at = sqlite3_column_int64 (row, 8);
  session->restarts = (guint)sqlite3_column_int (row, 9);
  session->participant_identity = text (row, 10);
  session->record_session = sqlite3_column_int (row, 11) != 0;
  session->for_viewers = sqlite3_column_int (row, 12) != 0;
  return session;
}

/* Returns: (transfer full) (nullable) */
HavenSessionRow *
haven_store_get_session (HavenStore *store, gint64 id)
{
  g_autoptr (Statement) row
      = query (store, "SELECT " SESSION_COLUMNS " FROM sessions WHERE id = ?", "i", id);

  return next_row (row) ? read_session (row) : NULL;
}

/* Those that have not ended, the newest first.
 *
 * Returns: (transfer full) (element-type HavenSessionRow) */
GPtrArray *
haven_store_list_running_sessions (HavenStore *store)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify)haven_session_row_free);
  g_autoptr (Statement) row = query (store,
      "SELECT " SESSION_COLUMNS
      " FROM sessions WHERE state NOT IN ('ended', 'failed') ORDER BY id DESC",
      "");

  while (next_row (row))
    g_ptr_array_add (list, read_session (row));
  return list;
}

/* Returns: (transfer full) (nullable): why the last session of that id failed, if it did */
char *
haven_store_get_failure (HavenStore *store, const char *mint_id)
{
  g_autoptr (Statement) row = query (store,
      "SELECT CASE state WHEN 'failed' THEN error END FROM sessions WHERE mint_id = ? "
      "ORDER BY id DESC LIMIT 1",
      "s", mint_id);

  return next_row (row) ? text (row, 0) : NULL;
}

void
haven_session_row_free (HavenSessionRow *row)
{
  g_free (row->mint_id);
  g_free (row->room_name);
  g_free (row->state);
  g_free (row->error);
  g_free (row->participant_identity);
  g_free (row);
}

/* -- recordings -- */

static void
part_row_free (gpointer data)
{
  HavenPartRow *part = data;

  g_free (part->path);
  g_free (part->info);
  g_free (part);
}

void
haven_recording_row_free (HavenRecordingRow *row)
{
  g_free (row->id);
  g_free (row->mint_id);
  g_free (row->room_name);
  g_free (row->participant_sid);
  g_free (row->format);
  g_free (row->video_quality);
  g_free (row->audio_quality);
  g_free (row->name_template);
  g_free (row->state);
  g_free (row->error);
  g_clear_pointer (&row->parts, g_ptr_array_unref);
  g_free (row);
}

/* Returns: (transfer none) (nullable) */
HavenPartRow *
haven_recording_row_last_part (const HavenRecordingRow *row)
{
  return row->parts && row->parts->len ? g_ptr_array_index (row->parts, row->parts->len - 1) : NULL;
}

double
haven_recording_row_duration (const HavenRecordingRow *row)
{
  double duration = 0;

  for (guint i = 0; row->parts && i < row->parts->len; i++)
    duration += ((HavenPartRow *)g_ptr_array_index (row->parts, i))->duration;
  return duration;
}

guint64
haven_recording_row_size (const HavenRecordingRow *row)
{
  guint64 size = 0;

  for (guint i = 0; row->parts && i < row->parts->len; i++)
    size += ((HavenPartRow *)g_ptr_array_index (row->parts, i))->size;
  return size;
}

static gboolean
insert_recording (HavenStore *store, const HavenRecordingRow *recording, GError **error)
{
  return execute (store, error,
      "INSERT INTO recordings (id, session_id, mint_id, room_name, participant_sid, format, "
      "video_quality, audio_quality, name_template, chat, segment_minutes, segment_mb, state, "
      "start_time, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'recording', ?, ?)",
      "sisssssssiiiii", recording->id, recording->session_id, recording->mint_id,
      recording->room_name, recording->participant_sid, recording->format, recording->video_quality,
      recording->audio_quality, recording->name_template, (gint64)recording->chat,
      (gint64)recording->segment_minutes, (gint64)recording->segment_mb, recording->start_time,
      g_get_real_time ());
}

/* The row with its first part, or neither. */
gboolean
haven_store_add_recording (
    HavenStore *store, const HavenRecordingRow *recording, const char *path, GError **error)
{
  const HavenPartRow part = { .number = 1, .path = (char *)path };

  if (!run_script (store, "BEGIN IMMEDIATE", error))
    return FALSE;
  if (insert_recording (store, recording, error)
      && haven_store_keep_part (store, recording->id, &part, error)
      && run_script (store, "COMMIT", error))
    return TRUE;
  sqlite3_exec (store->db, "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

/* Adds a part, or says what is new of it.
 *
 * @part: info NULL: as it was */
gboolean
haven_store_keep_part (
    HavenStore *store, const char *recording_id, const HavenPartRow *part, GError **error)
{
  return execute (store, error,
      "INSERT INTO parts (recording_id, number, path, duration, size, info, complete) "
      "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (recording_id, number) DO UPDATE SET "
      "path = excluded.path, duration = excluded.duration, size = excluded.size, "
      "info = coalesce(excluded.info, info), complete = excluded.complete",
      "sisdisi", recording_id, (gint64)part->number, part->path, part->duration, (gint64)part->size,
      part->info, (gint64)part->complete);
}

void
haven_store_delete_part (HavenStore *store, const char *recording_id, guint number)
{
  execute (store, NULL, "DELETE FROM parts WHERE recording_id = ? AND number = ?", "si",
      recording_id, (gint64)number);
}

/* @state: completed, interrupted or failed
 * @detail: (nullable): why */
void
haven_store_end_recording (
    HavenStore *store, const char *id, const char *state, const char *detail, gint64 end_time)
{
  execute (store, NULL,
      "UPDATE recordings SET state = ?, error = ?, end_time = ?, updated_at = ? WHERE id = ?",
      "ssiis", state, detail, end_time, g_get_real_time (), id);
}

#define RECORDING_COLUMNS                                                                       \
  "id, session_id, mint_id, room_name, participant_sid, format, video_quality, audio_quality, " \
  "state, error, start_time, end_time, name_template, chat, "                                   \
  "segment_minutes, segment_mb"

static HavenRecordingRow *
read_recording (HavenStore *store, Statement *row)
{
  HavenRecordingRow *recording = g_new0 (HavenRecordingRow, 1);
  g_autoptr (Statement) parts = NULL;

  recording->id = text (row, 0);
  recording->session_id = sqlite3_column_int64 (row, 1);
  recording->mint_id = text (row, 2);
  recording->room_name = text (row, 3);
  recording->participant_sid = text (row, 4);
  recording->format = text (row, 5);
  recording->video_quality = text (row, 6);
  recording->audio_quality = text (row, 7);
  recording->state = text (row, 8);
  recording->error = text (row, 9);
  recording->start_time = sqlite3_column_int64 (row, 10);
  recording->end_time = sqlite3_column_int64 (row, 11);
  recording->name_template = text (row, 12);
  recording->chat = sqlite3_column_int (row, 13) != 0;
  recording->segment_minutes = (guint)sqlite3_column_int64 (row, 14);
  recording->segment_mb = (guint)sqlite3_column_int64 (row, 15);
  recording->parts = g_ptr_array_new_with_free_func (part_row_free);
  parts = query (store,
      "SELECT number, path, duration, size, info, complete FROM parts WHERE recording_id = ? "
      "ORDER BY number",
      "s", recording->id);
  while (next_row (parts)) {
    HavenPartRow *part = g_new0 (HavenPartRow, 1);

    part->number = (guint)sqlite3_column_int (parts, 0);
    part->path = text (parts, 1);
    part->duration = sqlite3_column_double (parts, 2);
    part->size = (guint64)sqlite3_column_int64 (parts, 3);
    part->info = text (parts, 4);
    part->complete = sqlite3_column_int (parts, 5) != 0;
    g_ptr_array_add (recording->parts, part);
  }
  return recording;
}

/* Returns: (transfer full) (nullable) */
HavenRecordingRow *
haven_store_get_recording (HavenStore *store, const char *id)
{
  g_autoptr (Statement) row
      = query (store, "SELECT " RECORDING_COLUMNS " FROM recordings WHERE id = ?", "s", id);

  return next_row (row) ? read_recording (store, row) : NULL;
}

#define OF_MINT_AND_STATE                                                                        \
  " FROM recordings WHERE coalesce(mint_id = ?1 OR room_name = ?1, 1) AND coalesce(state = ?2, " \
  "1) "

/* Newest first.
 *
 * @mint_id, @state: (nullable): of any
 *
 * Returns: (transfer full) (element-type HavenRecordingRow) */
GPtrArray *
haven_store_list_recordings (
    HavenStore *store, const char *mint_id, const char *state, guint limit, guint offset)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify)haven_recording_row_free);
  g_autoptr (Statement) row = query (store,
      "SELECT " RECORDING_COLUMNS OF_MINT_AND_STATE
      "ORDER BY start_time DESC, id LIMIT ?3 OFFSET ?4",
      "ssii", mint_id, state, (gint64)limit, (gint64)offset);

  while (next_row (row))
    g_ptr_array_add (list, read_recording (store, row));
  return list;
}

/* Of those that were completed before, and that no command is still to be run for.
 *
 * @passed: how many older ones are left alone
 *
 * Returns: (transfer full) (nullable) */
HavenRecordingRow *
haven_store_find_oldest_recording (HavenStore *store, gint64 ended_before, guint passed)
{
  g_autoptr (Statement) row = query (store,
      "SELECT " RECORDING_COLUMNS " FROM recordings WHERE state = 'completed' AND end_time < ? "
      "AND id NOT IN (SELECT recording_id FROM notices WHERE kind = 'command') "
      "ORDER BY end_time, id LIMIT 1 OFFSET ?",
      "ii", ended_before, (gint64)passed);

  return next_row (row) ? read_recording (store, row) : NULL;
}

/* Of all parts of all recordings, those that run included. */
guint64
haven_store_total_size (HavenStore *store)
{
  g_autoptr (Statement) row = query (store, "SELECT total(size) FROM parts", "");

  return next_row (row) ? (guint64)sqlite3_column_double (row, 0) : 0;
}

guint
haven_store_count_recordings (HavenStore *store, const char *mint_id, const char *state)
{
  g_autoptr (Statement) row
      = query (store, "SELECT count(*)" OF_MINT_AND_STATE, "ss", mint_id, state);

  return next_row (row) ? (guint)sqlite3_column_int (row, 0) : 0;
}

gboolean
haven_store_delete_recording (HavenStore *store, const char *id, GError **error)
{
  return execute (store, error, "DELETE FROM recordings WHERE id = ?", "s", id);
}

/* -- notices -- */

void
haven_notice_row_free (HavenNoticeRow *row)
{
  g_free (row->recording_id);
  g_free (row->event);
  g_free (row->body);
  g_free (row);
}

/* Due at once. Of one kind no more than @most are kept: the oldest give way.
 *
 * @n_lost: (out): how many did */
gboolean
haven_store_add_notice (
    HavenStore *store, const char *kind, const HavenNoticeRow *notice, guint most, guint *n_lost)
{
  *n_lost = 0;
  if (!execute (store, NULL,
          "INSERT INTO notices (kind, recording_id, event, body, next_time) VALUES (?, ?, ?, ?, ?)",
          "ssssi", kind, notice->recording_id, notice->event, notice->body, g_get_real_time ()))
    return FALSE;
  if (execute (store, NULL,
          "DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE kind = ? "
          "ORDER BY id DESC LIMIT -1 OFFSET ?)",
          "si", kind, (gint64)most))
    *n_lost = (guint)sqlite3_changes (store->db);
  return TRUE;
}

/* Those that are due first.
 *
 * Returns: (transfer full) (element-type HavenNoticeRow) */
GPtrArray *
haven_store_list_notices (HavenStore *store, const char *kind, guint limit)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify)haven_notice_row_free);
  g_autoptr (Statement) row = query (store,
      "SELECT id, recording_id, event, body, attempts, next_time FROM notices WHERE kind = ? "
      "ORDER BY next_time, id LIMIT ?",
      "si", kind, (gint64)limit);

  while (next_row (row)) {
    HavenNoticeRow *notice = g_new0 (HavenNoticeRow, 1);

    notice->id = sqlite3_column_int64 (row, 0);
    notice->recording_id = text (row, 1);
    notice->event = text (row, 2);
    notice->body = text (row, 3);
    notice->attempts = (guint)sqlite3_column_int (row, 4);
    notice->next_time = sqlite3_column_int64 (row, 5);
    g_ptr_array_add (list, notice);
  }
  return list;
}

/* It was tried once more, in vain. */
gboolean
haven_store_postpone_notice (HavenStore *store, gint64 id, gint64 next_time)
{
  return execute (store, NULL,
      "UPDATE notices SET attempts = attempts + 1, next_time = ? WHERE id = ?", "ii", next_time,
      id);
}

gboolean
haven_store_delete_notice (HavenStore *store, gint64 id)
{
  return execute (store, NULL, "DELETE FROM notices WHERE id = ?", "i", id);
}

guint
haven_store_count_notices (HavenStore *store, const char *kind)
{
  g_autoptr (Statement) row
      = query (store, "SELECT count(*) FROM notices WHERE kind = ?", "s", kind);

  return next_row (row) ? (guint)sqlite3_column_int (row, 0) : 0;
}

/* Returns: how many there were */
guint
haven_store_clear_notices (HavenStore *store, const char *kind)
{
  return execute (store, NULL, "DELETE FROM notices WHERE kind = ?", "s", kind)
             ? (guint)sqlite3_changes (store->db)
             : 0;
}

/* -- rooms that are recorded whenever somebody streams in them -- */

void
haven_auto_row_free (HavenAutoRow *row)
{
  g_free (row->mint_id);
  g_free (row->format);
  g_free (row->video_quality);
  g_free (row->audio_quality);
  g_free (row->directory);
  g_free (row->name_template);
  g_free (row->recording_id);
  g_free (row);
}

/* Adds one, or puts it in the place of that room's. When it was made is the store's to say. */
gboolean
haven_store_keep_auto (HavenStore *store, const HavenAutoRow *row, GError **error)
{
  gint64 now = g_get_real_time ();

  return execute (store, error,
      "INSERT INTO auto_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (mint_id) DO UPDATE SET format = excluded.format, "
      "video_quality = excluded.video_quality, audio_quality = excluded.audio_quality, "
      "directory = excluded.directory, name_template = excluded.name_template, "
      "chat = excluded.chat, "
      "recording_id = excluded.recording_id, held = excluded.held, "
      "updated_at = excluded.updated_at",
      "ssssssisiii", row->mint_id, row->format, row->video_quality, row->audio_quality,
      row->directory, row->name_template, (gint64)row->chat, row->recording_id, (gint64)row->held,
      now, now);
}

gboolean
haven_store_delete_auto (HavenStore *store, const char *mint_id, GError **error)
{
  return execute (store, error, "DELETE FROM auto_records WHERE mint_id = ?", "s", mint_id);
}

/* By their ids.
 *
 * Returns: (transfer full) (element-type HavenAutoRow) */
GPtrArray *
haven_store_list_auto (HavenStore *store)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify)haven_auto_row_free);
  g_autoptr (Statement) row = query (store,
      "SELECT mint_id, format, video_quality, audio_quality, directory, name_template, "
      "chat, recording_id, held, created_at, updated_at FROM auto_records ORDER BY mint_id",
      "");

  while (next_row (row)) {
    HavenAutoRow *entry = g_new0 (HavenAutoRow, 1);

    entry->mint_id = text (row, 0);
    entry->format = text (row, 1);
    entry->video_quality = text (row, 2);
    entry->audio_quality = text (row, 3);
    entry->directory = text (row, 4);
    entry->name_template = text (row, 5);
    entry->chat = sqlite3_column_int (row, 6) != 0;
    entry->recording_id = text (row, 7);
    entry->held = sqlite3_column_int (row, 8) != 0;
    entry->created_at = sqlite3_column_int64 (row, 9);
    entry->updated_at = sqlite3_column_int64 (row, 10);
    g_ptr_array_add (list, entry);
  }
  return list;
}
