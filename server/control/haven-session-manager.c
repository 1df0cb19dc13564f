/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-session-manager.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "haven-error.h"
#include "haven-load.h"
#include "haven-log.h"

#define STOP_TIMEOUT 15      /* s until a session that does not stop is killed */
#define DRAIN_STOP_TIMEOUT 7 /* the same in a drain, which takes longer than that */
#define END_GRACE 3          /* s for a process that has nothing more to do */
#define START_MARGIN 15 /* s that joining may last longer than the waiting times that were set */
/* Joining costs a processor for about a second: more at once would only make all of them late. */
#define BEGINNERS_PER_PROCESSOR 2
#define BEGINNING 10 /* s after which one counts no more that is not connected yet */
/* How many deaths in what time are too many, s. */
#define DEATHS_MINUTE 3
#define DEATHS_HOUR HAVEN_SESSION_DEATHS
#define STEADY (60 * G_USEC_PER_SEC) /* how long one must have run to count as well */
#define BACKOFF_FIRST 250  /* ms before the first restart; twice as long before each … */
#define BACKOFF_LAST 30000 /* … further one, up to this */
#define PREFIX "session-"
#define SUFFIX ".sock"
#define LAST_WORDS ".sock.ended"

struct _HavenSessionManager
{
  GObject parent;
  HavenConfig *config; /* outlives us, as store does */
  HavenStore *store;
  char *directory, *binary;
  GHashTable *sessions; /* (owned) mint_id -> HavenSession */
  GQueue queue;         /* HavenSession, unowned: those that shall begin, in order */
  guint n_beginning;
  GPtrArray *leaving; /* (owned) HavenSessionClient: of no session any more, but not yet gone */
  char *failure;      /* (owned) (nullable) what haven_session_manager_get_failure() last said */
  gboolean draining, adopting;
  GTask *drain; /* (owned) (nullable) */
  guint n_given_up, n_restarts;
  HavenLoad *load; /* (owned) */
};

G_DEFINE_FINAL_TYPE (HavenSessionManager, haven_session_manager, G_TYPE_OBJECT)

enum
{
  SIGNAL_CHANGED,
  SIGNAL_READY,
  SIGNAL_REMOVED,
  SIGNAL_RECORDING,
  SIGNAL_SEEN,
  SIGNAL_TRACK,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void spawn (HavenSession *session);
static void on_closed (HavenSessionClient *client, const char *reason, HavenSession *session);

/* -- sessions -- */

static void
disconnect_client (HavenSession *session)
{
  if (session->proxy)
    g_signal_handlers_disconnect_by_data (session->proxy, session);
  session->proxy = NULL;
  if (session->client)
    g_signal_handlers_disconnect_by_data (session->client, session);
}

static void
check_drained (HavenSessionManager *self)
{
  g_autoptr (GTask) drain = NULL;

  if (self->adopting || self->leaving->len || g_hash_table_size (self->sessions) > 0)
    return;
  if ((drain = g_steal_pointer (&self->drain)))
    g_task_return_boolean (drain, TRUE);
}

static void
on_left (HavenSessionClient *client, const char *reason, HavenSessionManager *self)
{
  g_signal_handlers_disconnect_by_data (client, self);
  g_ptr_array_remove_fast (self->leaving, client);
  check_drained (self);
}

/* Its process may not stay in the room: it ends, in one way or the other.
 *
 * @client: (transfer full)
 * @signal_number: 0: it ends by itself */
static void
see_off (HavenSessionManager *self, HavenSessionClient *client, int signal_number)
{
  if (haven_session_client_is_gone (client)) {
    g_object_unref (client);
    return;
  }
  g_signal_connect (client, "closed", G_CALLBACK (on_left), self);
  g_ptr_array_add (self->leaving, client);
  haven_session_client_expect_end (client, END_GRACE);
  if (signal_number)
    haven_session_client_kill (client, signal_number);
}

static void
let_go (HavenSession *session, int signal_number)
{
  disconnect_client (session);
  if (session->client)
    see_off (session->manager, g_steal_pointer (&session->client), signal_number);
}

static void launch (HavenSession *session);

/* It does not keep others from beginning any more. */
static void
has_begun (HavenSession *session)
{
  HavenSessionManager *self = session->manager;
  HavenSession *next;

  g_queue_remove (&self->queue, session);
  if (!session->beginning)
    return;
  g_clear_handle_id (&session->beginning, g_source_remove);
  self->n_beginning--;
  if ((next = g_queue_pop_head (&self->queue)) != NULL)
    launch (next);
}

static void
session_free (HavenSession *session)
{
  g_clear_handle_id (&session->timer, g_source_remove);
  disconnect_client (session);
  g_clear_object (&session->client);
  g_free (session->mint_id);
  g_free (session->room_name);
  g_free (session->participant_identity);
  g_free (session->failure);
  g_ptr_array_unref (session->starters);
  g_ptr_array_unref (session->stoppers);
  g_free (session);
}

static void
haven_session_manager_finalize (GObject *object)
{
  HavenSessionManager *self = HAVEN_SESSION_MANAGER (object);

  for (guint i = 0; i < self->leaving->len; i++)
    g_signal_handlers_disconnect_by_data (self->leaving->pdata[i], self);
  g_ptr_array_unref (self->leaving);
  g_hash_table_unref (self->sessions);
  g_free (self->failure);
  haven_load_free (self->load);
  g_free (self->directory);
  g_free (self->binary);
  G_OBJECT_CLASS (haven_session_manager_parent_class)->finalize (object);
}

static void
haven_session_manager_class_init (HavenSessionManagerClass *klass)
{
  static const char *const names[] = { "session-changed", "session-ready", "session-removed" };

  G_OBJECT_CLASS (klass)->finalize = haven_session_manager_finalize;
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    signals[i] = g_signal_new (names[i], HAVEN_TYPE_SESSION_MANAGER, G_SIGNAL_RUN_LAST, 0, NULL,
        NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
  signals[SIGNAL_RECORDING] = g_signal_new ("recording-changed", HAVEN_TYPE_SESSION_MANAGER,
      G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_POINTER, G_TYPE_VARIANT);
  signals[SIGNAL_SEEN] = g_signal_new ("recording-seen", HAVEN_TYPE_SESSION_MANAGER,
      G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_POINTER, G_TYPE_VARIANT);
  signals[SIGNAL_TRACK] = g_signal_new ("track-changed", HAVEN_TYPE_SESSION_MANAGER,
      G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_POINTER, G_TYPE_VARIANT);
}

static void
haven_session_manager_init (HavenSessionManager *self)
{
  self->sessions
      = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)session_free);
  self->leaving = g_ptr_array_new_with_free_func (g_object_unref);
  self->load = haven_load_new ("/proc/stat");
}

/* @runtime_directory: of the sockets; of ours alone */
HavenSessionManager *
haven_session_manager_new (
    HavenConfig *config, HavenStore *store, const char *runtime_directory, const char *binary)
{
  HavenSessionManager *self = g_object_new (HAVEN_TYPE_SESSION_MANAGER, NULL);

  self->config = config;
  self->store = store;
  self->directory = g_strdup (runtime_directory);
  self->binary = g_strdup (binary);
  return self;
}

static HavenSession *
session_new (HavenSessionManager *self, gint64 id, const char *mint_id, const char *room_name)
{
  HavenSession *session = g_new0 (HavenSession, 1);

  session->manager = self;
  session->id = id;
  session->mint_id = g_strdup (mint_id);
  session->room_name = g_strdup (room_name && *room_name ? room_name : mint_id);
  session->starters = g_ptr_array_new_with_free_func (g_object_unref);
  session->stoppers = g_ptr_array_new_with_free_func (g_object_unref);
  g_hash_table_replace (self->sessions, session->mint_id, session);
  return session;
}

static void
changed (HavenSession *session)
{
  g_signal_emit (session->manager, signals[SIGNAL_CHANGED], 0, session);
}

/* Takes the waiting ones out, so that what they do next finds none. */
static GPtrArray * /* (transfer full) */
steal_tasks (GPtrArray **tasks)
{
  GPtrArray *stolen = *tasks;

  *tasks = g_ptr_array_new_with_free_func (g_object_unref);
  return stolen;
}

/* @error: (nullable): what the starters get to hear, and what is kept; NULL for an end in order */
static void
remove_session (HavenSession *session, const char *state, const GError *error)
{
  HavenSessionManager *self = session->manager;
  g_autoptr (GPtrArray) starters = steal_tasks (&session->starters);
  g_autoptr (GPtrArray) stoppers = steal_tasks (&session->stoppers);
  g_autofree char *mint_id = g_strdup (session->mint_id);

  haven_log_session (error ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_INFO, "session-ended", session->id,
      "room", session->room_name, "state", state, "reason", error ? error->message : NULL, NULL);
  haven_store_update_session (
      self->store, session->id, state, error ? error->message : NULL, session->restarts);
  if (error) {
    g_free (session->failure);
    session->failure = g_strdup (error->message);
  }
  let_go (session, 0);
  has_begun (session);
  g_hash_table_steal (self->sessions, mint_id);
  self->n_given_up += error != NULL;
  g_signal_emit (self, signals[SIGNAL_REMOVED], 0, session);
  session_free (session);

  for (guint i = 0; i < starters->len; i++) {
    if (error)
      g_task_return_error (starters->pdata[i], g_error_copy (error));
    else
      g_task_return_new_error (
          starters->pdata[i], HAVEN_ERROR, HAVEN_ERROR_STOPPED, "The session was stopped.");
  }
  for (guint i = 0; i < stoppers->len; i++)
    g_task_return_boolean (stoppers->pdata[i], TRUE);
  check_drained (self);
}

/* What LiveKit calls it, or else what a person would. */
const char *
haven_session_state (HavenSession *session)
{
  const char *state = NULL;

  switch (session->phase) {
  case HAVEN_SESSION_STARTING:
    return "connecting";
  case HAVEN_SESSION_RESTARTING:
    return "reconnecting";
  case HAVEN_SESSION_STOPPING:
    return "ended";
  default:
    if (session->proxy)
      state = haven_dbus_session1_get_state (session->proxy);
    return state && *state ? state : "active";
  }
}

/* -- what a running session tells -- */

static void
on_properties (
    GDBusProxy *proxy, GVariant *properties, const char *const *invalid, HavenSession *session)
{
  if (haven_dbus_session1_get_connected (HAVEN_DBUS_SESSION1 (proxy)))
    has_begun (session); /* what it waits for now, its streamer perhaps, costs nothing */
  changed (session);
}

static void
on_track (HavenDBusSession1 *proxy, GVariant *track, HavenSession *session)
{
  g_signal_emit (session->manager, signals[SIGNAL_TRACK], 0, session, track);
}

static void
on_recording (HavenDBusSession1 *proxy, GVariant *info, HavenSession *session)
{
  g_signal_emit (session->manager, signals[SIGNAL_RECORDING], 0, session, info);
}

static void
on_seen (HavenSessionClient *client, GVariant *info, HavenSession *session)
{
  g_signal_emit (session->manager, signals[SIGNAL_SEEN], 0, session, info);
}

static void
set_ready (HavenSession *session)
{
  g_autoptr (GPtrArray) starters = steal_tasks (&session->starters);
  HavenSessionManager *self = session->manager;
  const char *room = haven_dbus_session1_get_room_name (session->proxy);

  has_begun (session);
  session->phase = HAVEN_SESSION_ACTIVE;
  session->active_since = g_get_monotonic_time ();
  session->was_active = TRUE;
  session->lost_since = 0;
  g_clear_pointer (&session->failure, g_free);
  if (room && *room && strcmp (room, session->room_name) != 0) {
    g_free (session->room_name);
    session->room_name = g_strdup (room);
  }
  haven_store_update_session (self->store, session->id, "active", NULL, session->restarts);
  haven_log_session (
      G_LOG_LEVEL_INFO, "session-active", session->id, "room", session->room_name, NULL);
  changed (session);
  g_signal_emit (self, signals[SIGNAL_READY], 0, session);
  for (guint i = 0; i < starters->len; i++)
    g_task_return_pointer (starters->pdata[i], g_strdup (session->mint_id), g_free);
}

static void
take_proxy (HavenSession *session)
{
  session->proxy = haven_session_client_get_proxy (session->client);
  g_signal_connect (session->proxy, "g-properties-changed", G_CALLBACK (on_properties), session);
  g_signal_connect (session->proxy, "track-changed", G_CALLBACK (on_track), session);
  g_signal_connect (session->proxy, "recording-changed", G_CALLBACK (on_recording), session);
  g_signal_connect (session->client, "seen", G_CALLBACK (on_seen), session);
  haven_session_client_watch (
      session->client, haven_config_get_uint (session->manager->config, HAVEN_KEY_ANSWER_TIMEOUT));
}

/* -- starting -- */

static gboolean
on_restart (gpointer user_data)
{
  HavenSession *session = user_data;

  session->timer = 0;
  spawn (session);
  return G_SOURCE_REMOVE;
}

static guint
count_deaths (HavenSession *session, guint seconds)
{
  gint64 since = g_get_monotonic_time () - (gint64)seconds * G_USEC_PER_SEC;
  guint count = 0;

  for (guint i = 0; i < G_N_ELEMENTS (session->deaths); i++)
    count += session->deaths[i] && session->deaths[i] > since;
  return count;
}

static void
restart_later (HavenSession *session, const char *reason)
{
  HavenSessionManager *self = session->manager;
  gint64 now = g_get_monotonic_time ();
  guint pause = BACKOFF_LAST;

  has_begun (session);
  if (session->active_since && now - session->active_since > STEADY)
    session->attempts = 0;
  if (session->attempts < 8)
    pause = MIN (BACKOFF_FIRST << session->attempts, BACKOFF_LAST);
  session->attempts++;
  session->active_since = 0;
  if (!session->lost_since)
    session->lost_since = now;
  g_free (session->failure);
  session->failure = g_strdup (reason);
  session->phase = HAVEN_SESSION_RESTARTING;
  session->restarts++;
  self->n_restarts++;
  haven_store_update_session (self->store, session->id, "reconnecting", reason, session->restarts);
  changed (session);
  session->timer = g_timeout_add (pause, on_restart, session);
}

/* After a death: again, unless it dies too often. */
static void
restart (HavenSession *session, const char *reason)
{
  static const struct
  {
    guint count, seconds;
    const char *sentence;
  } limits[] = {
    { DEATHS_MINUTE, 60, "three times within a minute" },
    { DEATHS_HOUR, 3600, "too often within an hour" },
  };

  let_go (session, SIGKILL);
  memmove (session->deaths, session->deaths + 1, sizeof session->deaths - sizeof *session->deaths);
  session->deaths[G_N_ELEMENTS (session->deaths) - 1] = g_get_monotonic_time ();
  haven_log_session (G_LOG_LEVEL_WARNING, "session-died", session->id, "room", session->room_name,
      "reason", reason, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (limits); i++) {
    g_autoptr (GError) error = NULL;

    if (count_deaths (session, limits[i].seconds) < limits[i].count)
      continue;
    error = g_error_new (HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED,
        "The session's process died %s; the last time: %s%s", limits[i].sentence, reason,
        g_str_has_suffix (reason, ".") ? "" : ".");
    remove_session (session, "failed", error);
    return;
  }
  restart_later (session, reason);
}

/* The process is well, but the room is not to be had: it may come back, but not for ever. */
static void
room_failed (HavenSession *session, const GError *error)
{
  guint patience = haven_config_get_uint (session->manager->config, HAVEN_KEY_RECONNECT_TIMEOUT);
  gint64 since = g_get_monotonic_time () - (gint64)patience * G_USEC_PER_SEC;

  if (!session->was_active || session->lost_since < since) {
    remove_session (session, "failed", error);
    return;
  }
  let_go (session, SIGTERM);
  haven_log_session (G_LOG_LEVEL_WARNING, "session-not-back", session->id, "room",
      session->room_name, "reason", error->message, NULL);
  restart_later (session, error->message);
}

typedef struct /* a call whose session may be gone, or have another process, when it is answered */
{
  HavenSessionManager *manager; /* (owned) */
  HavenSessionClient *client;   /* (owned) */
  char *mint_id;                /* (owned) */
} Call;

static Call *
call_new (HavenSession *session)
{
  Call *call = g_new0 (Call, 1);

  call->manager = g_object_ref (session->manager);
  call->client = g_object_ref (session->client);
  call->mint_id = g_strdup (session->mint_id);
  return call;
}

static void
call_free (Call *call)
{
  g_object_unref (call->manager);
  g_object_unref (call->client);
  g_free (call->mint_id);
  g_free (call);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

static HavenSession * /* (nullable) */
call_session (Call *call)
{
  HavenSession *session = g_hash_table_lookup (call->manager->sessions, call->mint_id);

  return session && session->client == call->client ? session : NULL;
}

static void
start_failed (HavenSession *session, GError *error)
{
  gboolean is_hung = g_error_matches (error, HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED);

  if (session->phase == HAVEN_SESSION_STOPPING) {
    let_go (session, SIGTERM);
    remove_session (session, "ended", NULL);
  } else if (session->phase != HAVEN_SESSION_RESTARTING) {
    let_go (session, is_hung ? SIGKILL : SIGTERM);
    remove_session (session, "failed", error);
  } else if (is_hung) {
    restart (session, error->message);
  } else {
    room_failed (session, error);
  }
}

static void
on_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  HavenSession *session = call_session (call);
  g_autoptr (GVariant) info = NULL;
  g_autoptr (GError) error = NULL;

  if (haven_dbus_session1_call_start_finish (HAVEN_DBUS_SESSION1 (source), &info, result, &error)) {
    if (session && session->phase != HAVEN_SESSION_STOPPING)
      set_ready (session);
  } else if (session
             && (g_dbus_error_is_remote_error (error)
                 || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))) {
    error = haven_error_from_dbus (g_steal_pointer (&error));
    start_failed (session, error);
  } /* or else the process died, and on_closed() knows why */
}

/* What was asked for by name goes on until it is stopped.
 *
 * Returns: s; 0: never */
static guint
idle_timeout (HavenSession *session)
{
  return session->for_viewers
             ? haven_config_get_uint (session->manager->config, HAVEN_KEY_IDLE_TIMEOUT)
             : 0;
}

static GVariant * /* (transfer floating) (nullable) */
start_settings (HavenSession *session, GError **error)
{
  g_auto (GVariantDict) settings = G_VARIANT_DICT_INIT (NULL);

  if (!haven_config_add_session (session->manager->config, NULL, &settings, error))
    return NULL;
  g_variant_dict_insert (&settings, "session_id", "x", session->id);
  g_variant_dict_insert (&settings, "mint_id", "s", session->mint_id);
  g_variant_dict_insert (&settings, "room_name", "s", session->room_name);
  g_variant_dict_insert (&settings, "identity", "s", "haven-player");
  g_variant_dict_insert (&settings, "participant_name", "s", "Haven Player");
  if (session->participant_identity)
    g_variant_dict_insert (&settings, "participant_identity", "s", session->participant_identity);
  g_variant_dict_insert (&settings, "idle_timeout", "u", idle_timeout (session));
  return g_variant_dict_end (&settings);
}

/* s */
static guint
start_timeout (HavenSessionManager *self)
{
  /* It waits for the streamer, and then for what comes of it. */
  return haven_config_get_uint (self->config, HAVEN_KEY_CONNECT_TIMEOUT)
         + 2 * haven_config_get_uint (self->config, HAVEN_KEY_STREAMER_TIMEOUT) + START_MARGIN;
}

static void
on_spawned (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  HavenSession *session = call_session (call);
  g_autoptr (GError) error = NULL;
  gboolean open = haven_session_client_open_finish (call->client, result, &error);
  GVariant *settings;

  if (!session)
    return;
  if (!open && haven_session_client_is_gone (call->client)
      && session->phase != HAVEN_SESSION_STOPPING) {
    restart (session, haven_session_client_get_exit_reason (call->client));
    return;
  }
  settings = open ? start_settings (session, &error) : NULL;
  if (!settings) {
    start_failed (session, error);
    return;
  }
  take_proxy (session);
  haven_session_client_start (
      session->client, settings, start_timeout (session->manager), on_started, call_new (session));
}

static gboolean
on_beginning_long (gpointer user_data)
{
  has_begun (user_data);
  return G_SOURCE_REMOVE;
}

static void
launch (HavenSession *session)
{
  HavenSessionManager *self = session->manager;
  /* Another for each process: the last one may still be about to remove its own. */
  g_autofree char *name
      = g_strdup_printf (PREFIX "%" G_GINT64_FORMAT "-%u" SUFFIX, session->id, session->restarts);
  g_autofree char *path = g_build_filename (self->directory, name, NULL);

  g_unlink (path); /* of a process that died */
  self->n_beginning++;
  session->beginning = g_timeout_add_seconds (BEGINNING, on_beginning_long, session);
  session->client = haven_session_client_new (path);
  g_signal_connect (session->client, "closed", G_CALLBACK (on_closed), session);
  haven_session_client_spawn_async (session->client, self->binary,
      haven_config_get (self->config, HAVEN_KEY_LOG_FORMAT),
      haven_config_get (self->config, HAVEN_KEY_LOG_LEVEL), on_spawned, call_new (session));
}

static void
spawn (HavenSession *session)
{
  HavenSessionManager *self = session->manager;

  if (self->n_beginning < BEGINNERS_PER_PROCESSOR * g_get_num_processors ())
    launch (session);
  else
    g_queue_push_tail (&self->queue, session);
}

static gboolean
is_end_in_order (const char *reason)
{
  static const char *const reasons[] = { "stopped", "idle", "room-closed", NULL };

  return reason && g_strv_contains (reasons, reason);
}

static void
on_closed (HavenSessionClient *client, const char *reason, HavenSession *session)
{
  const char *ended = haven_session_client_get_ended_reason (client);
  g_autofree char *said = g_strdup (haven_session_client_get_ended_detail (client));

  if (session->phase == HAVEN_SESSION_STOPPING || is_end_in_order (ended)) {
    remove_session (session, "ended", NULL);
  } else if (ended) { /* it gave up, and trying again would not help */
    g_autoptr (GError) error = g_error_new_literal (
        HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED, said && *said ? said : ended);

    remove_session (session, "failed", error);
  } else {
    restart (session, reason);
  }
}

/* -- finding -- */

/* @id: mint_id, or room_name where no session has that as mint_id
 *
 * Returns: (transfer none) (nullable) */
HavenSession *
haven_session_manager_find (HavenSessionManager *self, const char *id)
{
  HavenSession *session = g_hash_table_lookup (self->sessions, id);
  GHashTableIter iter;
  gpointer value;

  if (session)
    return session;
  g_hash_table_iter_init (&iter, self->sessions);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (strcmp (((HavenSession *)value)->room_name, id) == 0)
      return value;
  return NULL;
}

static gint
compare_ids (gconstpointer a, gconstpointer b)
{
  gint64 left = (*(HavenSession *const *)a)->id, right = (*(HavenSession *const *)b)->id;

  return (left > right) - (left < right);
}

/* Returns: (transfer container) (element-type HavenSession): the oldest first */
GPtrArray *
haven_session_manager_list (HavenSessionManager *self)
{
  GPtrArray *list = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->sessions);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_ptr_array_add (list, value);
  g_ptr_array_sort (list, compare_ids);
  return list;
}

/* Processes that were started again, and sessions that failed, since the server started. */
void
haven_session_manager_counters (HavenSessionManager *self, guint *restarts, guint *failures)
{
  *restarts = self->n_restarts;
  *failures = self->n_given_up;
}

/* Of all sessions. */
guint
haven_session_manager_count_viewers (HavenSessionManager *self)
{
  GHashTableIter iter;
  gpointer value;
  guint count = 0;

  g_hash_table_iter_init (&iter, self->sessions);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((HavenSession *)value)->proxy)
      count += haven_dbus_session1_get_num_viewers (((HavenSession *)value)->proxy);
  return count;
}

/* Of all sessions, those from one address. */
guint
haven_session_manager_count_viewers_of (HavenSessionManager *self, const char *address)
{
  GHashTableIter iter;
  gpointer value;
  guint count = 0;

  g_hash_table_iter_init (&iter, self->sessions);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    HavenDBusSession1 *proxy = ((HavenSession *)value)->proxy;
    GVariant *addresses = proxy ? haven_dbus_session1_get_viewer_addresses (proxy) : NULL;
    guint there = 0;

    if (addresses && g_variant_lookup (addresses, address, "u", &there))
      count += there;
  }
  return count;
}

/* Returns: (transfer none) (nullable): why the last session of that id failed; until the next call
 */
const char *
haven_session_manager_get_failure (HavenSessionManager *self, const char *id)
{
  g_free (self->failure);
  self->failure = haven_store_get_failure (self->store, id);
  return self->failure;
}

/* -- start and stop -- */

typedef struct
{
  char *mint_id, *identity;
  gboolean for_viewers;
} StartArguments;

static void
start_arguments_free (gpointer data)
{
  StartArguments *arguments = data;

  g_free (arguments->mint_id);
  g_free (arguments->identity);
  g_free (arguments);
}

/* Whether there is room for one more. The first is let in however busy the machine is. */
static gboolean
admit (HavenSessionManager *self, GError **error)
{
  guint most = haven_config_get_uint (self->config, HAVEN_KEY_MAX_SESSIONS);
  guint busiest = haven_config_get_uint (self->config, HAVEN_KEY_MAX_CPU);
  guint running = g_hash_table_size (self->sessions);

  if (running >= most) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT,
        "The limit of %u sessions is reached; stop one.", most);
    return FALSE;
  }
  if (running && busiest && haven_load_percent (self->load) > busiest) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_LIMIT,
        "The processors are %u %% busy, and above %u %% no further session is started.",
        haven_load_percent (self->load), busiest);
    return FALSE;
  }
  return TRUE;
}

static void
begin (HavenSessionManager *self, GTask *task) /* @task: (transfer full) */
{
  StartArguments *arguments = g_task_get_task_data (task);
  const HavenSessionRow row = { .mint_id = arguments->mint_id,
    .room_name = arguments->mint_id,
    .participant_identity = arguments->identity,
    .for_viewers = arguments->for_viewers };
  g_autoptr (GError) error = NULL;
  gint64 id = admit (self, &error) ? haven_store_add_session (self->store, &row, &error) : 0;
  HavenSession *session;

  if (!id) {
    g_task_return_error (task, g_steal_pointer (&error));
    g_object_unref (task);
    return;
  }
  session = session_new (self, id, arguments->mint_id, NULL);
  session->participant_identity = g_strdup (arguments->identity);
  session->for_viewers = arguments->for_viewers;
  g_ptr_array_add (session->starters, task);
  haven_log_session (G_LOG_LEVEL_INFO, "session-starting", id, "room", session->room_name, NULL);
  changed (session);
  spawn (session);
}

/* One that viewers brought about is asked for by name: it stays when they leave. */
static void
keep (HavenSession *session)
{
  GVariantDict settings;

  session->for_viewers = FALSE;
  haven_store_keep_session (session->manager->store, session->id);
  if (!session->proxy)
    return; /* it is told when it starts */
  g_variant_dict_init (&settings, NULL);
  g_variant_dict_insert (&settings, "idle_timeout", "u", 0);
  haven_session_client_start (session->client, g_variant_dict_end (&settings),
      start_timeout (session->manager), NULL, NULL);
}

static void start (HavenSessionManager *self, GTask *task);

static void /* the one that was in the way has ended */
on_way_free (GObject *source, GAsyncResult *result, gpointer user_data)
{
  start (HAVEN_SESSION_MANAGER (source), user_data);
}

static void
start (HavenSessionManager *self, GTask *task) /* @task: (transfer full) */
{
  StartArguments *arguments = g_task_get_task_data (task);
  HavenSession *session = haven_session_manager_find (self, arguments->mint_id);

  if (session && session->for_viewers && !arguments->for_viewers
      && session->phase != HAVEN_SESSION_STOPPING)
    keep (session);
  if (self->draining) {
    g_task_return_new_error (
        task, HAVEN_ERROR, HAVEN_ERROR_SHUTTING_DOWN, "The server is shutting down.");
    g_object_unref (task);
  } else if (!session) {
    begin (self, task);
  } else if (session->phase == HAVEN_SESSION_STOPPING) {
    g_ptr_array_add (session->stoppers, g_task_new (self, NULL, on_way_free, task));
  } else if (session->phase == HAVEN_SESSION_ACTIVE) {
    g_task_return_pointer (task, g_strdup (session->mint_id), g_free);
    g_object_unref (task);
  } else {
    g_ptr_array_add (session->starters, task);
  }
}

static void
start_with (HavenSessionManager *self, const char *mint_id, const char *identity,
    gboolean for_viewers, GTask *task) /* @task: (transfer full) */
{
  StartArguments *arguments = g_new0 (StartArguments, 1);

  arguments->mint_id = g_strdup (mint_id);
  arguments->identity = g_strdup (identity);
  arguments->for_viewers = for_viewers;
  g_task_set_task_data (task, arguments, start_arguments_free);
  start (self, task);
}

/* Starts a session, or joins those who wait for it, or answers with the one that runs. */
void
haven_session_manager_start_async (HavenSessionManager *self, const char *mint_id,
    const char *participant_identity, GAsyncReadyCallback callback, gpointer user_data)
{
  start_with (
      self, mint_id, participant_identity, FALSE, g_task_new (self, NULL, callback, user_data));
}

/* The same for someone who just came to watch, or to record as long as there is something: it ends
 * some time after it is neither watched nor recorded any more. */
void
haven_session_manager_start_for_viewers (HavenSessionManager *self, const char *mint_id,
    GAsyncReadyCallback callback, gpointer user_data)
{
  start_with (self, mint_id, NULL, TRUE, g_task_new (self, NULL, callback, user_data));
}

/* What haven_session's record_session says. */
void
haven_session_manager_set_record_session (
    HavenSessionManager *self, HavenSession *session, gboolean record_session)
{
  session->record_session = record_session;
  haven_store_set_record_session (self->store, session->id, record_session);
}

/* Returns: (transfer none) (nullable) */
HavenSession *
haven_session_manager_start_finish (HavenSessionManager *self, GAsyncResult *result, GError **error)
{
  g_autofree char *mint_id = g_task_propagate_pointer (G_TASK (result), error);
  HavenSession *session = mint_id ? g_hash_table_lookup (self->sessions, mint_id) : NULL;

  if (mint_id && (!session || session->phase != HAVEN_SESSION_ACTIVE)) { /* that was short */
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_STOPPED, "The session was stopped.");
    return NULL;
  }
  return session;
}

static gboolean
on_stop_timeout (gpointer user_data)
{
  HavenSession *session = user_data;

  session->timer = 0;
  haven_log_session (G_LOG_LEVEL_WARNING, "session-does-not-stop", session->id, NULL);
  g_free (session->failure);
  session->failure = g_strdup ("The session's process did not stop, and was killed.");
  haven_session_client_kill (session->client, SIGKILL);
  return G_SOURCE_REMOVE;
}

static void
on_stopped (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  HavenSession *session = call_session (call);

  /* All is done, and the process ends by itself; that it goes is not waited for. Where it went
   * without an answer, on_closed() has been here. */
  if (haven_dbus_session1_call_stop_finish (HAVEN_DBUS_SESSION1 (source), result, NULL) && session)
    remove_session (session, "ended", NULL);
}

/* @code, @reason: what its viewers are told */
void
haven_session_manager_stop_async (HavenSessionManager *self, HavenSession *session, guint16 code,
    const char *reason, GAsyncReadyCallback callback, gpointer user_data)
{
  gboolean was_stopping = session->phase == HAVEN_SESSION_STOPPING;

  g_ptr_array_add (session->stoppers, g_task_new (self, NULL, callback, user_data));
  if (was_stopping)
    return;
  g_clear_handle_id (&session->timer, g_source_remove);
  if (!session->client) { /* it waits for its restart */
    remove_session (session, "ended", NULL);
    return;
  }
  session->timer = g_timeout_add_seconds (
      self->draining ? DRAIN_STOP_TIMEOUT : STOP_TIMEOUT, on_stop_timeout, session);
  if (session->phase == HAVEN_SESSION_ACTIVE)
    haven_dbus_session1_call_stop (
        session->proxy, code, reason, NULL, on_stopped, call_new (session));
  else
    haven_session_client_kill (session->client, SIGTERM);
  session->phase = HAVEN_SESSION_STOPPING;
  changed (session);
}

gboolean
haven_session_manager_stop_finish (HavenSessionManager *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
drain_session (HavenSession *session)
{
  haven_session_manager_stop_async (
      session->manager, session, 1001, "the server is shutting down", NULL, NULL);
}

/* Stops all, and lets none start any more; done when their processes are gone. Finish with
 * g_task_propagate_boolean(). */
void
haven_session_manager_drain_async (
    HavenSessionManager *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GPtrArray) list = haven_session_manager_list (self);

  self->draining = TRUE;
  self->drain = g_task_new (self, NULL, callback, user_data);
  for (guint i = 0; i < list->len; i++)
    drain_session (list->pdata[i]);
  check_drained (self);
}

/* Where a drain takes too long: nothing may stay in a room unseen. */
void
haven_session_manager_kill_all (HavenSessionManager *self)
{
  g_autoptr (GPtrArray) list = haven_session_manager_list (self);

  for (guint i = 0; i < list->len; i++)
    if (((HavenSession *)list->pdata[i])->client)
      haven_session_client_kill (((HavenSession *)list->pdata[i])->client, SIGKILL);
  for (guint i = 0; i < self->leaving->len; i++)
    haven_session_client_kill (self->leaving->pdata[i], SIGKILL);
}

/* -- adopting -- */

typedef struct
{
  guint pending;
} Adoption;

/* One whose process is no more, though nobody stopped it: it begins anew. */
static void
resume (HavenSessionManager *self, const HavenSessionRow *row)
{
  HavenSession *session;

  if (g_hash_table_contains (self->sessions, row->mint_id)) {
    haven_store_update_session (self->store, row->id, "failed",
        "Another session of the same room took its place.", row->restarts);
    return;
  }
  session = session_new (self, row->id, row->mint_id, row->room_name);
  session->participant_identity = g_strdup (row->participant_identity);
  session->record_session = row->record_session;
  session->for_viewers = row->for_viewers;
  session->restarts = row->restarts;
  session->was_active = TRUE;
  haven_log_session (
      G_LOG_LEVEL_WARNING, "session-resumed", session->id, "room", session->room_name, NULL);
  restart_later (session, "its process was gone when the server started");
}

static void
adoption_step (GTask *task) /* @task: (transfer none) */
{
  Adoption *adoption = g_task_get_task_data (task);
  HavenSessionManager *self = g_task_get_source_object (task);
  g_autoptr (GPtrArray) rows = NULL;

  if (--adoption->pending > 0)
    return;
  self->adopting = FALSE;
  rows = haven_store_list_running_sessions (self->store);
  for (guint i = 0; i < rows->len; i++) {
    const HavenSessionRow *row = rows->pdata[i];
    HavenSession *session = g_hash_table_lookup (self->sessions, row->mint_id);

    if (session && session->id == row->id)
      continue;
    if (self->draining)
      haven_store_update_session (self->store, row->id, "ended", NULL, row->restarts);
    else
      resume (self, row);
  }
  check_drained (self);
  g_task_return_boolean (task, TRUE);
}

static void
adopt (HavenSessionManager *self, HavenSessionClient *client) /* @client: (transfer full) */
{
  HavenDBusSession1 *proxy = haven_session_client_get_proxy (client);
  HavenSession *session = session_new (self, haven_dbus_session1_get_session_id (proxy),
      haven_dbus_session1_get_mint_id (proxy), haven_dbus_session1_get_room_name (proxy));
  g_autoptr (HavenSessionRow) row = haven_store_get_session (self->store, session->id);

  if (row) {
    session->participant_identity = g_strdup (row->participant_identity);
    session->record_session = row->record_session;
    session->for_viewers = row->for_viewers;
    session->restarts = row->restarts;
  }
  session->client = client;
  session->adopted = TRUE;
  g_signal_connect (session->client, "closed", G_CALLBACK (on_closed), session);
  take_proxy (session);
  haven_log_session (
      G_LOG_LEVEL_INFO, "session-adopted", session->id, "room", session->room_name, NULL);
  set_ready (session);
  session->adopted = FALSE;
  if (self->draining)
    drain_session (session);
}

static gboolean
can_be_adopted (HavenSessionManager *self, HavenDBusSession1 *proxy)
{
  const char *mint_id = haven_dbus_session1_get_mint_id (proxy);
  const char *state = haven_dbus_session1_get_state (proxy);

  return mint_id && *mint_id && !g_hash_table_contains (self->sessions, mint_id)
         && (g_strcmp0 (state, "active") == 0 || g_strcmp0 (state, "reconnecting") == 0);
}

static void
on_found (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenSessionClient *client = HAVEN_SESSION_CLIENT (source); /* ours */
  g_autoptr (GTask) task = user_data;
  HavenSessionManager *self = g_task_get_source_object (task);
  g_autoptr (GError) error = NULL;

  if (!haven_session_client_open_finish (client, result, &error)) {
    haven_log (G_LOG_LEVEL_INFO, "socket-dead", "message", error->message, NULL);
    if (haven_session_client_get_pid (client)) {
      see_off (self, client, SIGKILL); /* it hangs, and would stay in the room */
    } else {
      g_unlink (haven_session_client_get_socket_path (client));
      g_object_unref (client);
    }
  } else if (can_be_adopted (self, haven_session_client_get_proxy (client))) {
    adopt (self, client);
  } else {
    see_off (self, client, SIGTERM); /* it was about to start, or has failed */
  }
  adoption_step (task);
}

/* What a session said that ended while nobody listened. */
static void
take_last_words (HavenSessionManager *self, const char *name)
{
  g_autofree char *path = g_build_filename (self->directory, name, NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gint64 id = g_ascii_strtoll (name + strlen (PREFIX), NULL, 10);
  g_autoptr (HavenSessionRow) row = haven_store_get_session (self->store, id);

  if (g_file_get_contents (path, &text, NULL, NULL))
    lines = g_strsplit (text, "\n", 3);
  g_unlink (path);
  if (!row || !lines || g_strv_length (lines) < 2 || strcmp (row->state, "ended") == 0
      || strcmp (row->state, "failed") == 0)
    return;
  haven_log_session (
      G_LOG_LEVEL_INFO, "session-ended", id, "room", row->room_name, "reason", lines[1], NULL);
  if (is_end_in_order (lines[0]))
    haven_store_update_session (self->store, id, "ended", NULL, row->restarts);
  else
    haven_store_update_session (self->store, id, "failed", lines[1], row->restarts);
}

/* Goes on with the sessions that run, starts those again that should, and removes the sockets of
 * the others. */
void
haven_session_manager_adopt_async (
    HavenSessionManager *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  Adoption *adoption = g_new0 (Adoption, 1);
  g_autoptr (GDir) directory = g_dir_open (self->directory, 0, NULL);
  const char *name;

  self->adopting = TRUE;
  adoption->pending = 1;
  g_task_set_task_data (task, adoption, g_free);
  while (directory && (name = g_dir_read_name (directory)) != NULL) {
    g_autofree char *path = g_build_filename (self->directory, name, NULL);

    if (g_str_has_prefix (name, PREFIX) && g_str_has_suffix (name, LAST_WORDS))
      take_last_words (self, name);
    if (!g_str_has_prefix (name, PREFIX) || !g_str_has_suffix (name, SUFFIX))
      continue;
    adoption->pending++;
    haven_session_client_connect_async (
        haven_session_client_new (path), on_found, g_object_ref (task));
  }
  adoption_step (task);
}

void
haven_session_manager_adopt_finish (HavenSessionManager *self, GAsyncResult *result)
{
  g_task_propagate_boolean (G_TASK (result), NULL);
}
