/* haven-session: one room: joined, watched, recorded, left. Knows nothing of D-Bus.
 *
 * States: idle -> connecting -> active <-> reconnecting -> ended | failed. Lives on one main
 * context.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-recording.h"

G_BEGIN_DECLS

#define HAVEN_TYPE_SESSION (haven_session_get_type ())
G_DECLARE_FINAL_TYPE (HavenSession, haven_session, HAVEN, SESSION, GObject)

/* Signals:
 *   changed ()                       one of the properties below may be another
 *   track-changed (GVariant a{sv})
 *   recording-changed (GVariant a{sv})
 *   ended (reason, detail)           all is finished: files complete, viewers gone, room left; once
 */
HavenSession *haven_session_new (void);

/* @settings: as Start takes them */
void haven_session_start_async (
    HavenSession *session, GVariant *settings, GAsyncReadyCallback callback, gpointer user_data);
gboolean haven_session_start_finish (HavenSession *session, GAsyncResult *result, GError **error);
GVariant *haven_session_get_info (HavenSession *session); /* (transfer floating) a{sv} */

/* @reason: "stopped", for the signal; @code and @text are for the viewers. "ended" follows. */
void haven_session_stop (HavenSession *session, guint16 code, const char *text);

guint haven_session_add_viewer (HavenSession *session, GSocketConnection *socket, const char *form,
    GVariant *options, GError **error);
/* (nullable): the graph of a session that runs, for snapshots */
HavenGraph *haven_session_get_graph (HavenSession *session, GError **error);

void haven_session_start_recording_async (
    HavenSession *session, GVariant *settings, GAsyncReadyCallback callback, gpointer user_data);
void haven_session_stop_recording_async (
    HavenSession *session, GAsyncReadyCallback callback, gpointer user_data);
/* For both. Returns: (transfer full): as GetRecording */
GVariant *haven_session_recording_finish (
    HavenSession *session, GAsyncResult *result, GError **error);
GVariant *haven_session_get_recording (
    HavenSession *session); /* (transfer floating) empty when it does not record */
HavenRecording *haven_session_peek_recording (HavenSession *session); /* (nullable) */
GVariant *haven_session_get_stats (HavenSession *session);            /* (transfer floating) */

typedef struct /* strings are never NULL and belong to the session */
{
  gint64 session_id, start_time;
  const char *mint_id, *room_name, *state, *error, *participant_sid, *participant_identity;
  const char *stream_info;
  guint n_viewers;
  GVariant *viewer_addresses; /* (owned) of the session: a{su} */
  gboolean recording, connected;
} HavenSessionProperties;
void haven_session_get_properties (HavenSession *session, HavenSessionProperties *properties);

G_END_DECLS
