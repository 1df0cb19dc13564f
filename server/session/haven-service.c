/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-service.h"

#include <gio/gunixfdlist.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "haven-dbus-session.h"
#include "haven-session-error.h"

#define OBJECT_PATH "/org/haven/Session"

struct _HavenService
{
  char *path;
  HavenSession *session; /* (owned) */
  GDBusServer *server;
  HavenDBusSession1 *skeleton;
  GPtrArray *connections;          /* GDBusConnection, open */
  GDBusMethodInvocation *stopping; /* (owned) (nullable) who asked to stop */
  gboolean used;
};

/* -- answers */

static void
return_error (GDBusMethodInvocation *invocation, const GError *error)
{
  g_autoptr (GError) told = NULL;

  if (error->domain != HAVEN_SESSION_ERROR)
    told = g_error_new_literal (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_INTERNAL, error->message);
  g_dbus_method_invocation_return_gerror (invocation, told ? told : error);
}

typedef struct
{
  HavenService *service; /* lives as long as the process serves */
  GDBusMethodInvocation *invocation;
} Request;

static Request *
request_new (HavenService *service, GDBusMethodInvocation *invocation)
{
  Request *request = g_new0 (Request, 1);

  *request = (Request){ service, invocation };
  return request;
}

static void
on_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Request *request = user_data;
  g_autoptr (GError) error = NULL;

  /* Who is told that it runs must not find it “connecting” yet. */
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (request->service->skeleton));
  if (haven_session_start_finish (HAVEN_SESSION (source), result, &error))
    haven_dbus_session1_complete_start (request->service->skeleton, request->invocation,
        haven_session_get_info (HAVEN_SESSION (source)));
  else
    return_error (request->invocation, error);
}

static gboolean
handle_start (HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation, GVariant *settings,
    HavenService *self)
{
  self->used = TRUE;
  haven_session_start_async (self->session, settings, on_started, request_new (self, invocation));
  return TRUE;
}

static gboolean
handle_stop (HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation, guint16 code,
    const char *reason, HavenService *self)
{
  if (self->stopping) {
    g_dbus_method_invocation_return_error (
        invocation, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_BUSY, "The session stops already");
    return TRUE;
  }
  self->stopping = invocation; /* answered by on_ended() */
  haven_session_stop (self->session, code ? code : 1000, reason);
  return TRUE;
}

static GSocketConnection *
take_socket (GUnixFDList *fds, GVariant *handle, GError **error)
{
  g_autoptr (GSocket) socket = NULL;
  int fd = fds ? g_unix_fd_list_get (fds, g_variant_get_handle (handle), error) : -1;

  if (fd < 0) {
    if (error && !*error)
      g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_CONFIG, "No socket was passed");
    return NULL;
  }
  socket = g_socket_new_from_fd (fd, error);
  if (!socket) {
    close (fd);
    return NULL;
  }
  return g_socket_connection_factory_create_connection (socket);
}

static gboolean
handle_add_viewer (HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation, GUnixFDList *fds,
    GVariant *handle, const char *form, GVariant *options, HavenService *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnection) socket = take_socket (fds, handle, &error);
  guint viewer
      = socket ? haven_session_add_viewer (self->session, socket, form, options, &error) : 0;

  if (viewer)
    haven_dbus_session1_complete_add_viewer (skeleton, invocation, NULL, viewer);
  else
    return_error (invocation, error);
  return TRUE;
}

static void
on_snapshot (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Request *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) jpeg = haven_graph_snapshot_finish (HAVEN_GRAPH (source), result, &error);

  if (jpeg)
    g_dbus_method_invocation_return_value (request->invocation,
        g_variant_new ("(@ay)", g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, jpeg, TRUE)));
  else
    return_error (request->invocation, error);
}

static gboolean
handle_snapshot (HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation, GVariant *options,
    HavenService *self)
{
  HavenAsk ask = { 0 };
  g_autoptr (GError) error = NULL;
  HavenGraph *graph = haven_session_get_graph (self->session, &error);

  g_variant_lookup (options, "width", "u", &ask.width);
  g_variant_lookup (options, "quality", "u", &ask.quality);
  if (graph)
    haven_graph_snapshot_async (graph, &ask, on_snapshot, request_new (self, invocation));
  else
    return_error (invocation, error);
  return TRUE;
}

static void
on_recording_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Request *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) info
      = haven_session_recording_finish (HAVEN_SESSION (source), result, &error);

  if (info)
    g_dbus_method_invocation_return_value (request->invocation, g_variant_new ("(@a{sv})", info));
  else
    return_error (request->invocation, error);
}

static gboolean
handle_start_recording (HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation,
    GVariant *settings, HavenService *self)
{
  haven_session_start_recording_async (
      self->session, settings, on_recording_done, request_new (self, invocation));
  return TRUE;
}

static gboolean
handle_stop_recording (
    HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation, HavenService *self)
{
  haven_session_stop_recording_async (
      self->session, on_recording_done, request_new (self, invocation));
  return TRUE;
}

static gboolean
handle_get_recording (
    HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation, HavenService *self)
{
  haven_dbus_session1_complete_get_recording (
      skeleton, invocation, haven_session_get_recording (self->session));
  return TRUE;
}

static gboolean
handle_get_stats (
    HavenDBusSession1 *skeleton, GDBusMethodInvocation *invocation, HavenService *self)
{
  haven_dbus_session1_complete_get_stats (
      skeleton, invocation, haven_session_get_stats (self->session));
  return TRUE;
}

/* -- properties and signals */

static void
on_changed (HavenSession *session, HavenService *self)
{
  HavenSessionProperties now;

  haven_session_get_properties (session, &now);
  g_object_set (self->skeleton, "session-id", now.session_id, "mint-id", now.mint_id, "room-name",
      now.room_name, "state", now.state, "error", now.error, "participant-sid", now.participant_sid,
      "participant-identity", now.participant_identity, "stream-info", now.stream_info,
      "start-time", now.start_time, "num-viewers", now.n_viewers, "viewer-addresses",
      now.viewer_addresses, "recording", now.recording, "connected", now.connected, NULL);
}

static void
on_track_changed (HavenSession *session, GVariant *track, HavenService *self)
{
  haven_dbus_session1_emit_track_changed (self->skeleton, track);
}

static void
on_recording_changed (HavenSession *session, GVariant *info, HavenService *self)
{
  haven_dbus_session1_emit_recording_changed (self->skeleton, info);
}

static void
on_ended (HavenSession *session, const char *reason, const char *detail, HavenService *self)
{
  on_changed (session, self);
  if (self->stopping)
    haven_dbus_session1_complete_stop (self->skeleton, g_steal_pointer (&self->stopping));
  haven_dbus_session1_emit_ended (self->skeleton, reason, detail);
}

/* -- connections */

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *error, HavenService *self)
{
  g_dbus_interface_skeleton_unexport_from_connection (
      G_DBUS_INTERFACE_SKELETON (self->skeleton), connection);
  g_signal_handlers_disconnect_by_data (connection, self);
  g_ptr_array_remove (self->connections, connection);
}

static gboolean
is_same_user (GDBusConnection *connection)
{
  GCredentials *credentials = g_dbus_connection_get_peer_credentials (connection);

  return credentials && g_credentials_get_unix_user (credentials, NULL) == geteuid ();
}

static gboolean
on_connection (GDBusServer *server, GDBusConnection *connection, HavenService *self)
{
  g_autoptr (GError) error = NULL;

  if (!is_same_user (connection)) {
    g_warning ("A connection of another user is refused");
    return FALSE;
  }
  if (!g_dbus_interface_skeleton_export (
          G_DBUS_INTERFACE_SKELETON (self->skeleton), connection, OBJECT_PATH, &error)) {
    g_warning ("%s", error->message);
    return FALSE;
  }
  g_signal_connect (connection, "closed", G_CALLBACK (on_closed), self);
  g_ptr_array_add (self->connections, g_object_ref (connection));
  return TRUE;
}

/* -- life */

/* A socket on which nobody answers is left from a session that was killed. */
static gboolean
clear_path (const char *path, GError **error)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GSocketConnection) other = NULL;
  GStatBuf found;

  if (g_lstat (path, &found) != 0)
    return TRUE;
  other = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (address), NULL, NULL);
  if (other || !S_ISSOCK (found.st_mode)) {
    g_set_error (error, HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_BUSY,
        other ? "A session runs on “%s” already" : "“%s” is no socket", path);
    return FALSE;
  }
  g_unlink (path);
  return TRUE;
}

static void
connect_skeleton (HavenService *self)
{
  const struct
  {
    const char *signal;
    GCallback handler;
  } handlers[] = {
    { "handle-start", G_CALLBACK (handle_start) },
    { "handle-stop", G_CALLBACK (handle_stop) },
    { "handle-add-viewer", G_CALLBACK (handle_add_viewer) },
    { "handle-snapshot", G_CALLBACK (handle_snapshot) },
    { "handle-start-recording", G_CALLBACK (handle_start_recording) },
    { "handle-stop-recording", G_CALLBACK (handle_stop_recording) },
    { "handle-get-recording", G_CALLBACK (handle_get_recording) },
    { "handle-get-stats", G_CALLBACK (handle_get_stats) },
  };

  self->skeleton = haven_dbus_session1_skeleton_new ();
  for (guint i = 0; i < G_N_ELEMENTS (handlers); i++)
    g_signal_connect (self->skeleton, handlers[i].signal, handlers[i].handler, self);
  g_signal_connect (self->session, "changed", G_CALLBACK (on_changed), self);
  g_signal_connect (self->session, "track-changed", G_CALLBACK (on_track_changed), self);
  g_signal_connect (self->session, "recording-changed", G_CALLBACK (on_recording_changed), self);
  g_signal_connect (self->session, "ended", G_CALLBACK (on_ended), self);
}

HavenService *
haven_service_new (const char *path, HavenSession *session, GError **error)
{
  g_autoptr (HavenService) self = g_new0 (HavenService, 1);
  g_autofree char *escaped = g_dbus_address_escape_value (path);
  g_autofree char *address = g_strconcat ("unix:path=", escaped, NULL);
  g_autofree char *guid = g_dbus_generate_guid ();
  mode_t mask;

  self->session = g_object_ref (session);
  self->connections = g_ptr_array_new_with_free_func (g_object_unref);
  connect_skeleton (self);
  on_changed (session, self);
  if (!clear_path (path, error))
    return NULL;
  mask = umask (0177); /* no moment at which others could connect */
  self->server = g_dbus_server_new_sync (
      address, G_DBUS_SERVER_FLAGS_AUTHENTICATION_REQUIRE_SAME_USER, guid, NULL, NULL, error);
  umask (mask);
  if (!self->server)
    return NULL;
  self->path = g_strdup (path);
  g_signal_connect (self->server, "new-connection", G_CALLBACK (on_connection), self);
  g_dbus_server_start (self->server);
  return g_steal_pointer (&self);
}

gboolean
haven_service_was_used (HavenService *self)
{
  return self->used;
}

gboolean
haven_service_has_client (HavenService *self)
{
  return self->connections->len > 0;
}

void
haven_service_free (HavenService *self)
{
  if (self->server)
    g_dbus_server_stop (self->server);
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (self->skeleton));
  while (self->connections->len) {
    g_autoptr (GDBusConnection) connection
        = g_object_ref (g_ptr_array_index (self->connections, 0));

    g_dbus_connection_flush_sync (connection, NULL, NULL);
    on_closed (connection, FALSE, NULL, self);
    g_dbus_connection_close_sync (connection, NULL, NULL);
  }
  g_signal_handlers_disconnect_by_data (self->session, self);
  g_ptr_array_unref (self->connections);
  g_clear_object (&self->skeleton);
  g_clear_object (&self->server);
  g_object_unref (self->session);
  if (self->path)
    g_unlink (self->path);
  g_free (self->path);
  g_free (self);
}
