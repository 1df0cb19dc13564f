/* haven-session-manager: finds, starts, adopts, limits and restarts sessions; one for each room.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-config.h"
#include "haven-session-client.h"
#include "haven-store.h"

G_BEGIN_DECLS

typedef enum
{
  HAVEN_SESSION_STARTING,
  HAVEN_SESSION_ACTIVE,
  HAVEN_SESSION_RESTARTING, /* its process died; another is on its way */
  HAVEN_SESSION_STOPPING,
} HavenSessionPhase;

#define HAVEN_SESSION_DEATHS 20 /* within an hour are too many */

typedef struct /* read only outside haven-session-manager.c; valid until "session-removed" has been
                  emitted */
{
  char *mint_id, *room_name;
  gint64 id;
  HavenSessionPhase phase;
  HavenSessionClient *client; /* (owned) (nullable) */
  HavenDBusSession1 *proxy;   /* (unowned) (nullable) of client, when it can be called */
  char *participant_identity; /* (owned) (nullable) as asked for */
  char *failure;              /* (owned) (nullable) why it was last restarted, or failed */
  guint restarts;
  gboolean record_session; /* it was started so */
  gboolean for_viewers;    /* nobody asked for it but by coming to watch */
  gboolean adopted;        /* during "session-ready": its process ran before us */

  /* of the manager */
  struct _HavenSessionManager *manager;
  GPtrArray *starters, *stoppers;      /* (owned) GTask */
  gint64 deaths[HAVEN_SESSION_DEATHS]; /* monotonic; the oldest first; 0: none */
  gint64 active_since, lost_since;     /* monotonic; 0: is not */
  gboolean was_active;                 /* a room that was never there is not waited for */
  guint attempts;                      /* in a row, to start it again */
  guint timer;
  guint beginning; /* a timer, while its process is new */
} HavenSession;

#define HAVEN_TYPE_SESSION_MANAGER (haven_session_manager_get_type ())
G_DECLARE_FINAL_TYPE (HavenSessionManager, haven_session_manager, HAVEN, SESSION_MANAGER, GObject)

/* Signals, each with the HavenSession as gpointer:
 * "session-changed": its phase, state or streamer; "session-ready": it can be called, after a
 * start, a restart or an adoption; "session-removed": it ended; and with a dictionary from the
 * session (HavenSession *, GVariant *) "track-changed", and with what GetRecording says
 * "recording-changed", and "recording-seen" from time to time. */

HavenSessionManager *haven_session_manager_new (
    HavenConfig *config, HavenStore *store, const char *runtime_directory, const char *binary);
void haven_session_manager_adopt_async (
    HavenSessionManager *self, GAsyncReadyCallback callback, gpointer user_data);
void haven_session_manager_adopt_finish (HavenSessionManager *self, GAsyncResult *result);

HavenSession *haven_session_manager_find (HavenSessionManager *self, const char *id);
GPtrArray *haven_session_manager_list (HavenSessionManager *self);
const char *haven_session_manager_get_failure (HavenSessionManager *self, const char *id);
guint haven_session_manager_count_viewers (HavenSessionManager *self);
guint haven_session_manager_count_viewers_of (HavenSessionManager *self, const char *address);
void haven_session_manager_counters (HavenSessionManager *self, guint *restarts, guint *failures);

void haven_session_manager_start_async (HavenSessionManager *self, const char *mint_id,
    const char *participant_identity, GAsyncReadyCallback callback, gpointer user_data);
void haven_session_manager_start_for_viewers (HavenSessionManager *self, const char *mint_id,
    GAsyncReadyCallback callback, gpointer user_data);
void haven_session_manager_set_record_session (
    HavenSessionManager *self, HavenSession *session, gboolean record_session);
HavenSession *haven_session_manager_start_finish (
    HavenSessionManager *self, GAsyncResult *result, GError **error);
void haven_session_manager_stop_async (HavenSessionManager *self, HavenSession *session,
    guint16 code, const char *reason, GAsyncReadyCallback callback, gpointer user_data);
gboolean haven_session_manager_stop_finish (
    HavenSessionManager *self, GAsyncResult *result, GError **error);
void haven_session_manager_drain_async (
    HavenSessionManager *self, GAsyncReadyCallback callback, gpointer user_data);
void haven_session_manager_kill_all (HavenSessionManager *self);

const char *haven_session_state (HavenSession *session);

G_END_DECLS
