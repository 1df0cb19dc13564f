/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-session-client.h"

#include <gio/gunixfdlist.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "haven-error.h"

#define OBJECT_PATH "/org/haven/Session"
#define CONNECT_PAUSE 20   /* ms between attempts, while the process makes its socket */
#define END_TIMEOUT 5      /* s for a process without a connection to end */
#define CONNECT_TIMEOUT 30 /* s; a machine that starts fifty at once takes its time */
#define FIND_TIMEOUT 5     /* s for a process that runs to answer */
#define CALL_TIMEOUT 20000 /* ms; longer than whatever a session allows itself */
#define PING_PAUSE 5       /* s between an answer and the next question */
#define MISSES 2           /* one may be our own fault: we were stopped, and it had answered */

struct _HavenSessionClient /* of the main context's thread */
{
  GObject parent;
  char *socket_path;
  GPid pid;          /* 0: found, not started; or reaped already */
  gint64 peer;       /* process id, as the kernel tells; 0 before there is a connection */
  int pidfd;         /* of a process that was found; -1: none, or it has ended */
  guint watch;       /* of pid or pidfd */
  gboolean gone;     /* "closed" was emitted */
  char *exit_reason; /* (owned) (nullable) of the child */
  guint kill_timer;  /* runs when it shall end */

  GDBusConnection *connection; /* (owned) (nullable) */
  gboolean disconnected;
  HavenDBusSession1 *proxy;          /* (owned) (nullable) */
  char *ended_reason, *ended_detail; /* (owned) (nullable) what the session said when it ended */

  GTask *opening;            /* (owned) (nullable) */
  GCancellable *cancellable; /* (owned) of opening */
  guint retry, open_timer;

  guint ping_timer, misses;
  guint ping_timeout; /* s; 0: it is not asked */
};

G_DEFINE_FINAL_TYPE (HavenSessionClient, haven_session_client, G_TYPE_OBJECT)

enum
{
  SIGNAL_CLOSED,
  SIGNAL_SEEN,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void attempt (HavenSessionClient *self);

static void
close_pidfd (HavenSessionClient *self)
{
  if (self->pidfd >= 0)
    close (self->pidfd);
  self->pidfd = -1;
}

static void
haven_session_client_dispose (GObject *object)
{
  HavenSessionClient *self = HAVEN_SESSION_CLIENT (object);

  g_clear_handle_id (&self->retry, g_source_remove);
  g_clear_handle_id (&self->open_timer, g_source_remove);
  g_clear_handle_id (&self->kill_timer, g_source_remove);
  g_clear_handle_id (&self->ping_timer, g_source_remove);
  if (self->proxy)
    g_signal_handlers_disconnect_by_data (self->proxy, self);
  g_clear_object (&self->proxy);
  if (self->connection) {
    g_signal_handlers_disconnect_by_data (self->connection, self);
    g_dbus_connection_close (self->connection, NULL, NULL, NULL);
  }
  g_clear_object (&self->connection);
  g_clear_handle_id (&self->watch, g_source_remove);
  if (self->pid) /* someone has to reap it */
    g_child_watch_add (self->pid, (GChildWatchFunc)(void (*) (void))g_spawn_close_pid, NULL);
  self->pid = 0;
  close_pidfd (self);
  G_OBJECT_CLASS (haven_session_client_parent_class)->dispose (object);
}

static void
haven_session_client_finalize (GObject *object)
{
  HavenSessionClient *self = HAVEN_SESSION_CLIENT (object);

  g_object_unref (self->cancellable);
  g_free (self->socket_path);
  g_free (self->exit_reason);
  g_free (self->ended_reason);
  g_free (self->ended_detail);
  G_OBJECT_CLASS (haven_session_client_parent_class)->finalize (object);
}

static void
haven_session_client_class_init (HavenSessionClientClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = haven_session_client_dispose;
  G_OBJECT_CLASS (klass)->finalize = haven_session_client_finalize;
  signals[SIGNAL_CLOSED] = g_signal_new ("closed", HAVEN_TYPE_SESSION_CLIENT, G_SIGNAL_RUN_LAST, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[SIGNAL_SEEN] = g_signal_new ("seen", HAVEN_TYPE_SESSION_CLIENT, G_SIGNAL_RUN_LAST, 0,
      NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
}

static void
haven_session_client_init (HavenSessionClient *self)
{
  self->cancellable = g_cancellable_new ();
  self->pidfd = -1;
}

HavenSessionClient *
haven_session_client_new (const char *socket_path)
{
  HavenSessionClient *self = g_object_new (HAVEN_TYPE_SESSION_CLIENT, NULL);

  self->socket_path = g_strdup (socket_path);
  return self;
}

/* -- its end -- */

static void
finish_opening (HavenSessionClient *self, GError *error) /* @error: (transfer full) (nullable) */
{
  g_autoptr (GTask) task = g_steal_pointer (&self->opening);

  g_clear_handle_id (&self->retry, g_source_remove);
  g_clear_handle_id (&self->open_timer, g_source_remove);
  if (error) {
    g_cancellable_cancel (self->cancellable);
    g_task_return_error (task, error);
  } else {
    g_task_return_boolean (task, TRUE);
  }
}

static void
set_gone (HavenSessionClient *self, const char *reason)
{
  g_autoptr (HavenSessionClient) keep = g_object_ref (self);

  if (self->gone)
    return;
  self->gone = TRUE;
  g_clear_handle_id (&self->kill_timer, g_source_remove);
  g_clear_handle_id (&self->ping_timer, g_source_remove);
  if (self->opening)
    finish_opening (self, g_error_new (HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED,
                              "The session's process did not start: %s.", reason));
  else
    g_signal_emit (self, signals[SIGNAL_CLOSED], 0, reason);
}

static gboolean
is_running (HavenSessionClient *self)
{
  return self->pid || self->pidfd >= 0;
}

/* The last words of a process come in before its connection is closed, and how it ended is known
 * when it is reaped: both must have happened. */
static void
check_gone (HavenSessionClient *self)
{
  if (is_running (self) || (self->connection && !self->disconnected))
    return;
  set_gone (self, self->exit_reason ? self->exit_reason : "its process ended");
}

static void
on_child_exited (GPid pid, gint status, gpointer user_data)
{
  HavenSessionClient *self = user_data;
  g_autoptr (GError) error = NULL;

  self->watch = 0;
  self->pid = 0;
  g_spawn_close_pid (pid);
  g_spawn_check_wait_status (status, &error);
  if (!self->exit_reason)
    self->exit_reason = g_strdup (error ? error->message : "it ended");
  check_gone (self);
}

static gboolean
on_found_exited (gint fd, GIOCondition condition, gpointer user_data)
{
  HavenSessionClient *self = user_data;

  self->watch = 0;
  close_pidfd (self);
  check_gone (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_lives_on (gpointer user_data)
{
  HavenSessionClient *self = user_data;

  self->kill_timer = 0;
  haven_session_client_kill (self, SIGKILL);
  return G_SOURCE_REMOVE;
}

static void
on_connection_closed (
    GDBusConnection *connection, gboolean vanished, GError *error, gpointer user_data)
{
  HavenSessionClient *self = user_data;

  self->disconnected = TRUE;
  if (is_running (self) && !self->kill_timer)
    self->kill_timer = g_timeout_add_seconds (END_TIMEOUT, on_lives_on, self);
  check_gone (self);
}

/* -- whether it still answers -- */

static gboolean on_ping_time (gpointer user_data);

static void
on_pong (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HavenSessionClient) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) info = NULL;
  gboolean answered = haven_dbus_session1_call_get_recording_finish (
      HAVEN_DBUS_SESSION1 (source), &info, result, &error);

  if (self->gone || self->disconnected || !self->ping_timeout)
    return;
  if (answered)
    g_signal_emit (self, signals[SIGNAL_SEEN], 0, info);
  self->misses = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ? self->misses + 1 : 0;
  if (self->misses >= MISSES) {
    g_free (self->exit_reason);
    self->exit_reason = g_strdup ("it did not answer and was killed");
    haven_session_client_kill (self, SIGKILL);
  } else if (!self->ping_timer) {
    self->ping_timer = g_timeout_add_seconds (self->misses ? 0 : PING_PAUSE, on_ping_time, self);
  }
}

static gboolean
on_ping_time (gpointer user_data)
{
  HavenSessionClient *self = user_data;

  self->ping_timer = 0;
  g_dbus_proxy_call (G_DBUS_PROXY (self->proxy), "GetRecording", NULL, G_DBUS_CALL_FLAGS_NONE,
      (int)self->ping_timeout * 1000, NULL, on_pong, g_object_ref (self));
  return G_SOURCE_REMOVE;
}

/* Asks the open session from time to time what it records, which "seen" tells; one that does not
 * answer twice is killed.
 *
 * @timeout: s to wait for an answer */
void
haven_session_client_watch (HavenSessionClient *self, guint timeout)
{
  self->ping_timeout = timeout;
  if (!self->ping_timer)
    self->ping_timer = g_timeout_add_seconds (PING_PAUSE, on_ping_time, self);
}

static void
on_ended (
    HavenDBusSession1 *proxy, const char *reason, const char *detail, HavenSessionClient *self)
{
  g_free (self->ended_reason);
  g_free (self->ended_detail);
  self->ended_reason = g_strdup (reason);
  self->ended_detail = g_strdup (detail);
}

/* -- opening -- */

static void
on_proxy (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HavenSessionClient) self = user_data;
  g_autoptr (GError) error = NULL;

  self->proxy = haven_dbus_session1_proxy_new_finish (result, &error);
  if (!self->opening) /* too late */
    return;
  if (!self->proxy) {
    finish_opening (self, haven_error_from_dbus (g_steal_pointer (&error)));
    return;
  }
  g_dbus_proxy_set_default_timeout (G_DBUS_PROXY (self->proxy), CALL_TIMEOUT);
  g_signal_connect (self->proxy, "ended", G_CALLBACK (on_ended), self);
  finish_opening (self, NULL);
}

static void
on_bus (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HavenSessionClient) self = user_data;
  g_autoptr (GError) error = NULL;

  self->connection = g_dbus_connection_new_finish (result, &error);
  if (!self->opening)
    return;
  if (!self->connection) {
    finish_opening (self, haven_error_from_dbus (g_steal_pointer (&error)));
    return;
  }
  g_dbus_connection_set_exit_on_close (self->connection, FALSE);
  g_signal_connect (self->connection, "closed", G_CALLBACK (on_connection_closed), self);
  haven_dbus_session1_proxy_new (self->connection, G_DBUS_PROXY_FLAGS_NONE, NULL, OBJECT_PATH,
      self->cancellable, on_proxy, g_object_ref (self));
}

static gboolean
on_retry (gpointer user_data)
{
  HavenSessionClient *self = user_data;

  self->retry = 0;
  attempt (self);
  return G_SOURCE_REMOVE;
}

/* @peer: (out): its process */
static gboolean
is_ours (GSocketConnection *connection, gint64 *peer)
{
  g_autoptr (GCredentials) credentials
      = g_socket_get_credentials (g_socket_connection_get_socket (connection), NULL);

  if (!credentials || g_credentials_get_unix_user (credentials, NULL) != geteuid ())
    return FALSE;
  *peer = g_credentials_get_unix_pid (credentials, NULL);
  return TRUE;
}

/* A process that we did not start can be watched and killed by this, and no other that got its
 * number later. A kernel without it (before 5.3) leaves the connection to tell. */
static void
watch_found (HavenSessionClient *self)
{
  self->pidfd = pidfd_open ((pid_t)self->peer, 0);
  if (self->pidfd >= 0)
    self->watch = g_unix_fd_add (self->pidfd, G_IO_IN, on_found_exited, self);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HavenSessionClient) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnection) connection
      = g_socket_client_connect_finish (G_SOCKET_CLIENT (source), result, &error);

  if (!self->opening) /* its process ended meanwhile, or it is too late */
    return;
  if (!connection && self->pid) {
    self->retry = g_timeout_add (CONNECT_PAUSE, on_retry, self);
    return;
  }
  if (!connection) {
    finish_opening (self, g_error_new (HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED,
                              "The session's process cannot be reached."));
    return;
  }
  if (!is_ours (connection, &self->peer)) {
    self->peer = 0;
    finish_opening (self, g_error_new (HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED,
                              "The session's socket belongs to another user."));
    return;
  }
  if (!self->pid)
    watch_found (self);
  g_dbus_connection_new (G_IO_STREAM (connection), NULL,
      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, self->cancellable, on_bus,
      g_object_ref (self));
}

static void
attempt (HavenSessionClient *self)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (self->socket_path);

  g_socket_client_connect_async (
      client, G_SOCKET_CONNECTABLE (address), self->cancellable, on_connected, g_object_ref (self));
}

static gboolean
on_open_timeout (gpointer user_data)
{
  HavenSessionClient *self = user_data;

  self->open_timer = 0;
  finish_opening (self, g_error_new (HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED,
                            "The session's process does not answer."));
  return G_SOURCE_REMOVE;
}

static void
begin_opening (HavenSessionClient *self, GTask *task, guint timeout) /* @task: (transfer full) */
{
  self->opening = task;
  self->open_timer = g_timeout_add_seconds (timeout, on_open_timeout, self);
  attempt (self);
}

static void /* between fork and exec */
leave_our_session (gpointer user_data)
{
  setsid ();
}

/* Starts a process that outlives ours, and connects to it. */
void
haven_session_client_spawn_async (HavenSessionClient *self, const char *binary,
    const char *log_format, const char *log_level, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  const char *const arguments[] = { binary, "--socket", self->socket_path, NULL };
  g_auto (GStrv) environment = g_get_environ ();
  g_autoptr (GError) error = NULL;

  /* The session is told what it needs; secrets do not belong into its environment. */
  environment = g_environ_unsetenv (environment, "LIVEKIT_API_SECRET");
  environment = g_environ_unsetenv (environment, "HAVEN_API_TOKEN");
  environment = g_environ_unsetenv (environment, "NOTIFY_SOCKET");
  environment = g_environ_setenv (environment, "HAVEN_LOG_FORMAT", log_format, TRUE);
  environment = g_environ_setenv (environment, "HAVEN_LOG_LEVEL", log_level, TRUE);
  /* It inherits standard error, for its log. */
  if (!g_spawn_async (NULL, (char **)arguments, environment,
          G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, leave_our_session, NULL,
          &self->pid, &error)) {
    g_task_return_new_error (task, HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED,
        "The session's process cannot be started: %s", error->message);
    return;
  }
  self->watch = g_child_watch_add (self->pid, on_child_exited, self);
  begin_opening (self, g_steal_pointer (&task), CONNECT_TIMEOUT);
}

/* Connects to a process that runs already. */
void
haven_session_client_connect_async (
    HavenSessionClient *self, GAsyncReadyCallback callback, gpointer user_data)
{
  begin_opening (self, g_task_new (self, NULL, callback, user_data), FIND_TIMEOUT);
}

gboolean
haven_session_client_open_finish (HavenSessionClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* -- the open session -- */

/* Returns: (transfer none) (nullable) */
HavenDBusSession1 *
haven_session_client_get_proxy (HavenSessionClient *self)
{
  return self->proxy;
}

/* Returns: (nullable): NULL where it went without a word */
const char *
haven_session_client_get_ended_reason (HavenSessionClient *self)
{
  return self->ended_reason;
}

const char *
haven_session_client_get_ended_detail (HavenSessionClient *self)
{
  return self->ended_detail;
}

gint64
haven_session_client_get_pid (HavenSessionClient *self)
{
  return self->pid ? self->pid : self->peer;
}

/* Returns: (nullable): of a process that has ended */
const char *
haven_session_client_get_exit_reason (HavenSessionClient *self)
{
  return self->exit_reason;
}

const char *
haven_session_client_get_socket_path (HavenSessionClient *self)
{
  return self->socket_path;
}

/* Whether its process is no more. */
gboolean
haven_session_client_is_gone (HavenSessionClient *self)
{
  return self->gone;
}

/* Only a process that we started, or that we hold, and so is the one that we mean. */
void
haven_session_client_kill (HavenSessionClient *self, int signal_number)
{
  if (self->pid)
    kill (self->pid, signal_number);
  else if (self->pidfd >= 0)
    pidfd_send_signal (self->pidfd, signal_number, NULL, 0);
  else if (self->peer && self->connection && !self->disconnected)
    kill ((pid_t)self->peer, signal_number);
}

/* Lets it end by itself within a time. "closed" follows.
 *
 * @grace: s until it is killed */
void
haven_session_client_expect_end (HavenSessionClient *self, guint grace)
{
  g_clear_handle_id (&self->kill_timer, g_source_remove);
  g_clear_handle_id (&self->ping_timer, g_source_remove);
  self->ping_timeout = 0;
  self->kill_timer = g_timeout_add_seconds (grace, on_lives_on, self);
}

/* Joins the room; answered after the room's own time limits, or @timeout seconds.
 *
 * @settings: (transfer floating)
 * @callback: finish with haven_dbus_session1_call_start_finish() */
void
haven_session_client_start (HavenSessionClient *self, GVariant *settings, guint timeout,
    GAsyncReadyCallback callback, gpointer user_data)
{
  g_dbus_proxy_call (G_DBUS_PROXY (self->proxy), "Start", g_variant_new ("(@a{sv})", settings),
      G_DBUS_CALL_FLAGS_NONE, (int)timeout * 1000, NULL, callback, user_data);
}

/* Hands a copy of the socket over; ours remains the caller's to close.
 *
 * @options: (transfer floating)
 * @callback: finish with haven_dbus_session1_call_add_viewer_finish() */
void
haven_session_client_add_viewer (HavenSessionClient *self, GSocket *socket, const char *form,
    GVariant *options, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  int index = g_unix_fd_list_append (fds, g_socket_get_fd (socket), NULL);

  haven_dbus_session1_call_add_viewer (self->proxy, g_variant_new_handle (MAX (index, 0)), form,
      options, fds, NULL, callback, user_data);
}

/* One picture; 0 for the defaults. The generated call would end the bytes at the first 0.
 */
void
haven_session_snapshot_async (HavenDBusSession1 *proxy, guint width, guint quality,
    GAsyncReadyCallback callback, gpointer user_data)
{
  GVariantDict options;

  g_variant_dict_init (&options, NULL);
  if (width)
    g_variant_dict_insert (&options, "width", "u", width);
  if (quality)
    g_variant_dict_insert (&options, "quality", "u", quality);
  g_dbus_proxy_call (G_DBUS_PROXY (proxy), "Snapshot",
      g_variant_new ("(@a{sv})", g_variant_dict_end (&options)), G_DBUS_CALL_FLAGS_NONE, -1, NULL,
      callback, user_data);
}

/* Returns: (transfer full) (nullable): the bytes of a JPEG */
GVariant *
haven_session_snapshot_finish (HavenDBusSession1 *proxy, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (proxy), result, error);

  return answer ? g_variant_get_child_value (answer, 0) : NULL;
}
