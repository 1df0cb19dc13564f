/* haven-recorder: recordings as rows, files and parts; the sessions make them.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-format.h"
#include "haven-session-manager.h"

G_BEGIN_DECLS

typedef struct _HavenRecorder HavenRecorder;

typedef struct
{
  const char *format, *video_quality, *audio_quality; /* (nullable) */
  guint segment_minutes, segment_mb;     /* after which another part is begun; 0: no limit */
  const char *directory, *name_template; /* (nullable) */
  gboolean chat;                         /* what is said is written beside it */
} HavenRecordingOrder;

char *haven_recording_check_directory (HavenConfig *config, const char *directory, GError **error);

HavenRecorder *haven_recorder_new (
    HavenConfig *config, HavenStore *store, HavenSessionManager *manager);
void haven_recorder_free (HavenRecorder *recorder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenRecorder, haven_recorder_free)
void haven_recorder_reconcile (HavenRecorder *recorder);

/* @row: as it now is, after a recording began, changed, or ended in any way */
typedef void (*HavenRecordingChanged) (const HavenRecordingRow *row, gpointer user_data);
void haven_recorder_set_listener (
    HavenRecorder *recorder, HavenRecordingChanged changed, gpointer user_data);

const char *haven_recorder_find (HavenRecorder *recorder, const char *mint_id);
char *haven_recorder_thumbnail (const HavenRecordingRow *row);
gboolean haven_recorder_is_recovered (const HavenPartRow *part);
gboolean haven_recorder_is_whole (const HavenPartRow *part);
guint haven_recorder_count (HavenRecorder *recorder);

/* Both answer with the recording's row, as it then is. */
void haven_recorder_start_async (HavenRecorder *recorder, HavenSession *session,
    const HavenRecordingOrder *settings, GAsyncReadyCallback callback, gpointer user_data);
void haven_recorder_stop_async (HavenRecorder *recorder, HavenSession *session,
    GAsyncReadyCallback callback, gpointer user_data);
HavenRecordingRow *haven_recorder_finish (GAsyncResult *result, GError **error);

/* (transfer full): what the session says now. */
void haven_recorder_status_async (HavenRecorder *recorder, HavenSession *session,
    GAsyncReadyCallback callback, gpointer user_data);
GVariant *haven_recorder_status_finish (GAsyncResult *result, GError **error);

G_END_DECLS
