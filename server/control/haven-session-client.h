/* haven-session-client: one session's process as seen from here: started or found, spoken to,
 * reaped.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

#include "haven-dbus-session.h"

G_BEGIN_DECLS

#define HAVEN_TYPE_SESSION_CLIENT (haven_session_client_get_type ())
G_DECLARE_FINAL_TYPE (HavenSessionClient, haven_session_client, HAVEN, SESSION_CLIENT, GObject)

/* Signals: "closed" (const char *reason): the process is gone; once. "seen" (GVariant *info): it
 * answered what it records, as GetRecording. */

HavenSessionClient *haven_session_client_new (const char *socket_path);
void haven_session_client_spawn_async (HavenSessionClient *self, const char *binary,
    const char *log_format, const char *log_level, GAsyncReadyCallback callback,
    gpointer user_data);
void haven_session_client_connect_async (
    HavenSessionClient *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean haven_session_client_open_finish (
    HavenSessionClient *self, GAsyncResult *result, GError **error);

HavenDBusSession1 *haven_session_client_get_proxy (HavenSessionClient *self);
const char *haven_session_client_get_ended_reason (HavenSessionClient *self);
const char *haven_session_client_get_ended_detail (HavenSessionClient *self);
gint64 haven_session_client_get_pid (HavenSessionClient *self);
const char *haven_session_client_get_exit_reason (HavenSessionClient *self);
const char *haven_session_client_get_socket_path (HavenSessionClient *self);
gboolean haven_session_client_is_gone (HavenSessionClient *self);
void haven_session_client_kill (HavenSessionClient *self, int signal_number);
void haven_session_client_expect_end (HavenSessionClient *self, guint grace);
void haven_session_client_watch (HavenSessionClient *self, guint timeout);

void haven_session_client_start (HavenSessionClient *self, GVariant *settings, guint timeout,
    GAsyncReadyCallback callback, gpointer user_data);

void haven_session_client_add_viewer (HavenSessionClient *self, GSocket *socket, const char *form,
    GVariant *options, GAsyncReadyCallback callback, gpointer user_data);

void haven_session_snapshot_async (HavenDBusSession1 *proxy, guint width, guint quality,
    GAsyncReadyCallback callback, gpointer user_data);
GVariant *haven_session_snapshot_finish (
    HavenDBusSession1 *proxy, GAsyncResult *result, GError **error);

G_END_DECLS
