/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-auto-record.h"

#include <string.h>

#include "haven-error.h"
#include "haven-log.h"
#include "haven-name.h"
#include "haven-rooms.h"

#define STATS_TIMEOUT 2000 /* ms */
#define MOST_TRIED 2       /* at once, of rooms of which nothing is known: each costs a process */
#define LAST_PAUSE 60      /* s, at most, until a room is tried in which nobody streamed … */
#define LAST_PAUSE_FAILED 300 /* … or which could not be recorded */

struct _HavenAutoRecord /* counted: calls that are not answered yet hold it too */
{
  HavenConfig *config; /* outlives us, as the others do */
  HavenStore *store;
  HavenSessionManager *manager;
  HavenRecorder *recorder;
  HavenRooms *rooms;    /* (owned) */
  GHashTable *entries;  /* (owned) mint_id -> Entry; empty once we are stopped */
  GCancellable *asking; /* (owned) (nullable) while LiveKit is asked */
  guint timer;
  guint n_tried;
  gboolean stopped;
  char *problem; /* (owned) (nullable) why LiveKit does not tell */
};

typedef struct
{
  HavenAutoRow *row; /* (owned) */
  gboolean starting; /* a session or a recording is on its way */
  gboolean looking;  /* its session is being asked */
  guint attempts;    /* in a row, in vain */
  gint64 next;       /* monotonic: not before */
  gint64 lost_since; /* monotonic: nobody streams; 0: somebody does */
  char *error;       /* (owned) (nullable) */
} Entry;

typedef struct
{
  HavenAutoRecord *self; /* (owned) */
  char *mint_id;
  gboolean tried; /* n_tried counts it */
} Call;

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  haven_auto_row_free (entry->row);
  g_free (entry->error);
  g_free (entry);
}

static void
clear (gpointer data)
{
  HavenAutoRecord *self = data;

  haven_rooms_free (self->rooms);
  g_hash_table_unref (self->entries);
  g_free (self->problem);
}

static Call *
call_new (HavenAutoRecord *self, const char *mint_id)
{
  Call *call = g_new0 (Call, 1);

  call->self = g_rc_box_acquire (self);
  call->mint_id = g_strdup (mint_id);
  return call;
}

static void
call_free (Call *call)
{
  if (call->tried)
    call->self->n_tried--;
  g_rc_box_release_full (call->self, clear);
  g_free (call->mint_id);
  g_free (call);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

/* Returns: (nullable): NULL too where nothing shall follow any more */
static Entry *
call_entry (Call *call)
{
  return call->self->stopped ? NULL : g_hash_table_lookup (call->self->entries, call->mint_id);
}

/* -- what an entry comes to -- */

static void
keep (HavenAutoRecord *self, Entry *entry)
{
  haven_store_keep_auto (self->store, entry->row, NULL);
}

static void
set_recording (HavenAutoRecord *self, Entry *entry, const char *id)
{
  if (g_strcmp0 (entry->row->recording_id, id) == 0)
    return;
  g_free (entry->row->recording_id);
  entry->row->recording_id = g_strdup (id);
  keep (self, entry);
}

static void
set_held (HavenAutoRecord *self, Entry *entry, gboolean held)
{
  if (entry->row->held == held)
    return;
  entry->row->held = held;
  haven_log (G_LOG_LEVEL_INFO, held ? "auto-record-held" : "auto-record-no-longer-held", "room",
      entry->row->mint_id, NULL);
  keep (self, entry);
}

static gboolean
is_due (const Entry *entry)
{
  return !entry->starting && !entry->row->held && g_get_monotonic_time () >= entry->next;
}

/* Nobody streams there, as far as is known. */
static void
set_quiet (HavenAutoRecord *self, Entry *entry)
{
  set_held (self, entry, FALSE);
  g_clear_pointer (&entry->error, g_free);
  entry->attempts = 0;
  entry->next = 0;
}

static void
set_failed (HavenAutoRecord *self, Entry *entry, const GError *error)
{
  gboolean is_empty = g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_NO_STREAMER);
  guint interval = haven_config_get_uint (self->config, HAVEN_KEY_AUTO_RECORD_INTERVAL);
  guint most = MAX (is_empty ? LAST_PAUSE : LAST_PAUSE_FAILED, interval);
  guint64 pause = MIN ((guint64)interval << MIN (entry->attempts, 16), most);

  entry->attempts++;
  entry->next = g_get_monotonic_time () + (gint64)pause * G_USEC_PER_SEC;
  if (is_empty) {
    set_held (self, entry, FALSE);
    g_clear_pointer (&entry->error, g_free);
    return;
  }
  if (g_strcmp0 (entry->error, error->message) != 0)
    haven_log (G_LOG_LEVEL_WARNING, "auto-record-failed", "room", entry->row->mint_id, "reason",
        error->message, NULL);
  g_free (entry->error);
  entry->error = g_strdup (error->message);
}

/* -- recording -- */

static void
on_recording_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  Entry *entry = call_entry (call);
  g_autoptr (GError) error = NULL;
  g_autoptr (HavenRecordingRow) row = haven_recorder_finish (result, &error);

  if (!entry)
    return;
  entry->starting = FALSE;
  if (row) {
    g_clear_pointer (&entry->error, g_free);
    entry->attempts = 0;
    entry->next = entry->lost_since = 0;
    set_recording (call->self, entry, row->id);
  } else if (g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_RECORDING_STOPPED)) {
    set_held (call->self, entry, TRUE); /* somebody wants none of it */
  } else if (!g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_BUSY)) {
    set_failed (call->self, entry, error);
  } /* or else somebody else records it */
}

static void
start_recording (HavenAutoRecord *self, Entry *entry, HavenSession *session)
{
  const HavenRecordingOrder order = { .format = entry->row->format,
    .video_quality = entry->row->video_quality,
    .audio_quality = entry->row->audio_quality,
    .directory = entry->row->directory,
    .name_template = entry->row->name_template,
    .chat = entry->row->chat };

  entry->starting = TRUE;
  haven_log_session (
      G_LOG_LEVEL_INFO, "auto-record", session->id, "room", entry->row->mint_id, NULL);
  haven_recorder_start_async (
      self->recorder, session, &order, on_recording_started, call_new (self, entry->row->mint_id));
}

static void
on_recording_stopped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  /* What came of it is in the row, and in the log. */
  g_autoptr (HavenRecordingRow) row = haven_recorder_finish (result, NULL);
}

/* Nobody streams: after a while that is more than a change of cameras. What we record ends then;
 * its session does with its last viewer. */
static void
look_at_loss (HavenAutoRecord *self, Entry *entry, HavenSession *session)
{
  gint64 now = g_get_monotonic_time ();
  guint grace = haven_config_get_uint (self->config, HAVEN_KEY_AUTO_RECORD_GRACE);

  if (!entry->lost_since)
    entry->lost_since = now;
  if (now - entry->lost_since < (gint64)grace * G_USEC_PER_SEC)
    return;
  set_quiet (self, entry);
  if (!entry->row->recording_id)
    return;
  haven_log_session (G_LOG_LEVEL_INFO, "auto-record-streamer-gone", session->id, "room",
      entry->row->mint_id, NULL);
  set_recording (self, entry, NULL);
  haven_recorder_stop_async (self->recorder, session, on_recording_stopped, NULL);
}

/* -- sessions -- */

static HavenSession * /* (nullable) */
active_session (HavenAutoRecord *self, const char *mint_id)
{
  HavenSession *session = haven_session_manager_find (self->manager, mint_id);

  return session && session->phase == HAVEN_SESSION_ACTIVE
                 && strcmp (haven_session_state (session), "active") == 0
             ? session
             : NULL;
}

static void
on_session_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  Entry *entry = call_entry (call);
  g_autoptr (GError) error = NULL;
  HavenSession *session
      = haven_session_manager_start_finish (HAVEN_SESSION_MANAGER (source), result, &error);

  if (!entry)
    return; /* its session ends by itself */
  entry->starting = FALSE;
  if (!session)
    set_failed (call->self, entry, error);
  else if (entry->row
               ->held) /* where nobody tells, that is how one sees whether they still stream */
    entry->next = g_get_monotonic_time () + (gint64)LAST_PAUSE_FAILED * G_USEC_PER_SEC;
  else if (!haven_recorder_find (call->self->recorder, session->mint_id))
    start_recording (call->self, entry, session);
}

/* @tried: it is not known whether somebody streams there */
static void
start_session (HavenAutoRecord *self, Entry *entry, gboolean tried)
{
  Call *call = call_new (self, entry->row->mint_id);

  call->tried = tried;
  self->n_tried += tried;
  entry->starting = TRUE;
  haven_session_manager_start_for_viewers (
      self->manager, entry->row->mint_id, on_session_started, call);
}

/* Of a track that has gone, its statistics stay; what is known of it does not. */
static gboolean
has_track (GVariant *stats)
{
  g_autoptr (GVariant) tracks = g_variant_lookup_value (stats, "tracks", G_VARIANT_TYPE ("aa{sv}"));
  gsize count = tracks ? g_variant_n_children (tracks) : 0;

  for (gsize i = 0; i < count; i++) {
    g_autoptr (GVariant) track = g_variant_get_child_value (tracks, i);

    if (g_variant_lookup (track, "kind", "&s", NULL))
      return TRUE;
  }
  return FALSE;
}

static void
on_stats (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  HavenAutoRecord *self = call->self;
  Entry *entry = call_entry (call);
  HavenSession *session = active_session (self, call->mint_id);
  g_autoptr (GVariant) stats = NULL;

  if (entry)
    entry->looking = FALSE;
  if (!haven_dbus_session1_call_get_stats_finish (
          HAVEN_DBUS_SESSION1 (source), &stats, result, NULL)
      || !entry || !session)
    return;
  if (!has_track (stats)) {
    look_at_loss (self, entry, session);
    return;
  }
  entry->lost_since = 0;
  if (is_due (entry) && !haven_recorder_find (self->recorder, session->mint_id))
    start_recording (self, entry, session);
}

static void
look_at_session (HavenAutoRecord *self, Entry *entry, HavenSession *session)
{
  entry->looking = TRUE;
  haven_dbus_session1_call_get_stats (
      session->proxy, NULL, on_stats, call_new (self, entry->row->mint_id));
}

/* What we recorded is over, and we did not end it. */
static void
look_at_end (HavenAutoRecord *self, Entry *entry)
{
  g_autoptr (HavenRecordingRow) row
      = haven_store_get_recording (self->store, entry->row->recording_id);

  set_recording (self, entry, NULL);
  if (row && row->error) {
    g_autoptr (GError) error = g_error_new_literal (HAVEN_ERROR, HAVEN_ERROR_INTERNAL, row->error);

    set_failed (self, entry, error);
  } else { /* somebody wants no more of it */
    set_held (self, entry, TRUE);
  }
}

/* A session that ended by itself took its recording along: the next streamer is recorded again. */
static void
on_session_removed (HavenSessionManager *manager, HavenSession *session, HavenAutoRecord *self)
{
  Entry *entry = g_hash_table_lookup (self->entries, session->mint_id);

  if (entry && entry->row->recording_id && session->phase != HAVEN_SESSION_STOPPING)
    set_recording (self, entry, NULL);
}

/* -- rooms without a session -- */

static void
on_rooms (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  HavenAutoRecord *self = call->self;
  g_autoptr (GError) error = NULL;
  g_autoptr (GHashTable) live = haven_rooms_ask_finish (result, &error);
  GHashTableIter iter;
  gpointer value;

  g_clear_object (&self->asking);
  if (!live) {
    if (!self->stopped && g_strcmp0 (self->problem, error->message) != 0)
      haven_log (G_LOG_LEVEL_WARNING, "auto-record-blind", "reason", error->message, NULL);
    g_free (self->problem);
    self->problem = g_strdup (error->message);
    return;
  }
  g_clear_pointer (&self->problem, g_free);
  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Entry *entry = value;

    if (entry->starting || haven_session_manager_find (self->manager, entry->row->mint_id))
      continue;
    if (!g_hash_table_contains (live, entry->row->mint_id))
      set_quiet (self, entry);
    else if (is_due (entry))
      start_session (self, entry, FALSE);
  }
}

static void
ask_for_rooms (HavenAutoRecord *self, GPtrArray *names) /* @names: (transfer full) */
{
  if (!names->len || self->asking) {
    g_ptr_array_unref (names);
    return;
  }
  self->asking = g_cancellable_new ();
  haven_rooms_ask_async (self->rooms, names, self->asking, on_rooms, call_new (self, NULL));
}

static gboolean
on_tick (gpointer user_data)
{
  HavenAutoRecord *self = user_data;
  gboolean can_ask = haven_rooms_can_ask (self->rooms);
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer value;

  self->timer = g_timeout_add_seconds (
      haven_config_get_uint (self->config, HAVEN_KEY_AUTO_RECORD_INTERVAL), on_tick, self);
  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Entry *entry = value;
    const char *mint_id = entry->row->mint_id;
    HavenSession *active = active_session (self, mint_id);

    if (entry->row->recording_id
        && g_strcmp0 (haven_recorder_find (self->recorder, mint_id), entry->row->recording_id) != 0)
      look_at_end (self, entry);
    if (!active)
      entry->lost_since = 0; /* who can tell */
    if (active && !entry->looking && !entry->starting)
      look_at_session (self, entry, active);
    else if (active || entry->starting || haven_session_manager_find (self->manager, mint_id))
      continue;
    else if (can_ask)
      g_ptr_array_add (names, g_strdup (mint_id));
    else if (self->n_tried < MOST_TRIED && g_get_monotonic_time () >= entry->next)
      start_session (self, entry, TRUE);
  }
  ask_for_rooms (self, names);
  return G_SOURCE_REMOVE;
}

/* -- its life -- */

HavenAutoRecord *
haven_auto_record_new (
    HavenConfig *config, HavenStore *store, HavenSessionManager *manager, HavenRecorder *recorder)
{
  HavenAutoRecord *self = g_rc_box_new0 (HavenAutoRecord);
  g_autoptr (GPtrArray) rows = haven_store_list_auto (store);

  self->config = config;
  self->store = store;
  self->manager = manager;
  self->recorder = recorder;
  self->rooms = haven_rooms_new (config);
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, entry_free);
  g_ptr_array_set_free_func (rows, NULL);
  for (guint i = 0; i < rows->len; i++) {
    Entry *entry = g_new0 (Entry, 1);

    entry->row = rows->pdata[i];
    g_hash_table_insert (self->entries, entry->row->mint_id, entry);
  }
  g_signal_connect (manager, "session-removed", G_CALLBACK (on_session_removed), self);
  return self;
}

/* Once it is known what still runs: a recording that ended while the server did was ended by no
 * person. */
void
haven_auto_record_begin (HavenAutoRecord *self)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    HavenAutoRow *row = ((Entry *)value)->row;

    if (row->recording_id
        && g_strcmp0 (haven_recorder_find (self->recorder, row->mint_id), row->recording_id) != 0)
      set_recording (self, value, NULL);
  }
  on_tick (self);
}

/* Starts nothing any more. */
void
haven_auto_record_stop (HavenAutoRecord *self)
{
  self->stopped = TRUE;
  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->asking)
    g_cancellable_cancel (self->asking);
}

void
haven_auto_record_free (HavenAutoRecord *self)
{
  haven_auto_record_stop (self);
  g_signal_handlers_disconnect_by_data (self->manager, self);
  g_hash_table_remove_all (self->entries);
  g_rc_box_release_full (self, clear);
}

/* -- the list -- */

static HavenAutoRow * /* (transfer full) */
copy_wish (const HavenAutoRow *wanted)
{
  HavenAutoRow *row = g_new0 (HavenAutoRow, 1);

  row->mint_id = g_strdup (wanted->mint_id);
  row->format = g_strdup (wanted->format);
  row->video_quality = g_strdup (wanted->video_quality);
  row->audio_quality = g_strdup (wanted->audio_quality);
  row->directory = g_strdup (wanted->directory);
  row->name_template = g_strdup (wanted->name_template);
  row->chat = wanted->chat;
  return row;
}

static gboolean
check (HavenAutoRecord *self, const HavenAutoRow *wanted, GError **error)
{
  g_autofree char *directory = NULL;

  if (!g_hash_table_contains (self->entries, wanted->mint_id)
      && g_hash_table_size (self->entries) >= HAVEN_AUTO_RECORD_MOST) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT,
        "No more than %d rooms are recorded automatically.", HAVEN_AUTO_RECORD_MOST);
    return FALSE;
  }
  if (wanted->name_template && !haven_name_check (wanted->name_template, error))
    return FALSE;
  if (!wanted->directory)
    return TRUE;
  directory = haven_recording_check_directory (self->config, wanted->directory, error);
  return directory != NULL;
}

/* Adds a room, or changes how it is recorded the next time; one that is held is no longer.
 *
 * @wanted: its wishes alone */
gboolean
haven_auto_record_put (HavenAutoRecord *self, const HavenAutoRow *wanted, GError **error)
{
  Entry *entry = g_hash_table_lookup (self->entries, wanted->mint_id);
  g_autoptr (HavenAutoRow) row = NULL;
  gint64 now = g_get_real_time ();

  if (!check (self, wanted, error))
    return FALSE;
  row = copy_wish (wanted);
  row->recording_id = entry ? g_strdup (entry->row->recording_id) : NULL;
  row->created_at = entry ? entry->row->created_at : now;
  row->updated_at = now;
  if (!haven_store_keep_auto (self->store, row, error))
    return FALSE;
  if (!entry)
    entry = g_new0 (Entry, 1);
  else
    g_hash_table_steal (self->entries, wanted->mint_id);
  g_clear_pointer (&entry->row, haven_auto_row_free);
  g_clear_pointer (&entry->error, g_free);
  entry->attempts = 0;
  entry->next = 0;
  entry->row = g_steal_pointer (&row);
  g_hash_table_insert (self->entries, entry->row->mint_id, entry);
  return TRUE;
}

/* What is being recorded goes on until it is stopped. */
gboolean
haven_auto_record_delete (HavenAutoRecord *self, const char *mint_id, GError **error)
{
  if (!g_hash_table_contains (self->entries, mint_id)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_NO_AUTO_RECORD,
        "“%s” is not recorded automatically.", mint_id);
    return FALSE;
  }
  if (!haven_store_delete_auto (self->store, mint_id, error))
    return FALSE;
  g_hash_table_remove (self->entries, mint_id);
  return TRUE;
}

/* @state: (out): valid until anything happens
 *
 * Returns: whether that room is on the list */
gboolean
haven_auto_record_get (HavenAutoRecord *self, const char *mint_id, HavenAutoState *state)
{
  const Entry *entry = g_hash_table_lookup (self->entries, mint_id);

  if (!entry)
    return FALSE;
  state->row = entry->row;
  state->recording_id = haven_recorder_find (self->recorder, mint_id);
  state->error = entry->error;
  state->state = state->recording_id ? "recording"
                 : entry->starting   ? "starting"
                 : entry->row->held  ? "held"
                                     : "waiting";
  return TRUE;
}

static gint
compare_ids (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* Returns: (transfer container) (element-type utf8): the rooms' ids, in order; valid until anything
 * happens */
GPtrArray *
haven_auto_record_list (HavenAutoRecord *self)
{
  GPtrArray *list = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    g_ptr_array_add (list, key);
  g_ptr_array_sort (list, compare_ids);
  return list;
}
