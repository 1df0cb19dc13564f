/* haven-store: what outlives the process: settings, sessions, recordings. The only file that knows
 * SQLite.
 *
 * Not thread safe: of the main context's thread. Every call is a short transaction.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _HavenStore HavenStore;

typedef struct
{
  gint64 id;
  char *mint_id, *room_name, *state;
  char *error; /* (nullable) */
  gint64 start_time, end_time, created_at, updated_at;
  guint restarts;
  char *participant_identity; /* (nullable) */
  gboolean record_session, for_viewers;
} HavenSessionRow;

typedef struct
{
  guint number; /* from 1 */
  char *path;
  double duration;
  guint64 size;
  char *info; /* (nullable) JSON */
  gboolean complete;
} HavenPartRow;

typedef struct
{
  char *id;
  gint64 session_id;
  char *mint_id, *room_name;
  char *participant_sid; /* (nullable) */
  char *format, *video_quality, *audio_quality, *state;
  char *name_template;               /* (nullable) */
  gboolean chat;                     /* what is said is written beside it */
  guint segment_minutes, segment_mb; /* after which another part is begun; 0: no limit */
  char *error;                       /* (nullable) */
  gint64 start_time, end_time;
  GPtrArray *parts; /* (element-type HavenPartRow), in order */
} HavenRecordingRow;

typedef struct /* a room that is recorded whenever somebody streams in it */
{
  char *mint_id;
  char *format, *video_quality, *audio_quality, *directory, *name_template; /* (nullable) */
  gboolean chat;
  char *recording_id; /* (nullable) what runs for it */
  gboolean held;      /* somebody stopped it: not again before the streamer has been gone */
  gint64 created_at, updated_at;
} HavenAutoRow;

typedef struct /* what is still to be told of a recording */
{
  gint64 id;
  char *recording_id, *event, *body;
  guint attempts;
  gint64 next_time;
} HavenNoticeRow;

HavenStore *haven_store_open (const char *directory, GError **error);
HavenStore *haven_store_open_to_read (const char *directory, GError **error);
void haven_store_free (HavenStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenStore, haven_store_free)

char *haven_store_get_setting (HavenStore *store, const char *name);
gboolean haven_store_set_setting (
    HavenStore *store, const char *name, const char *value, GError **error);
gint64 haven_store_settings_updated_at (HavenStore *store);

gint64 haven_store_add_session (HavenStore *store, const HavenSessionRow *session, GError **error);
void haven_store_update_session (
    HavenStore *store, gint64 id, const char *state, const char *detail, guint restarts);
HavenSessionRow *haven_store_get_session (HavenStore *store, gint64 id);
GPtrArray *haven_store_list_running_sessions (HavenStore *store);
char *haven_store_get_failure (HavenStore *store, const char *mint_id);
void haven_store_set_record_session (HavenStore *store, gint64 id, gboolean record_session);
void haven_store_keep_session (HavenStore *store, gint64 id);

gboolean haven_store_add_recording (
    HavenStore *store, const HavenRecordingRow *recording, const char *path, GError **error);
gboolean haven_store_keep_part (
    HavenStore *store, const char *recording_id, const HavenPartRow *part, GError **error);
void haven_store_delete_part (HavenStore *store, const char *recording_id, guint number);
void haven_store_end_recording (
    HavenStore *store, const char *id, const char *state, const char *detail, gint64 end_time);
HavenRecordingRow *haven_store_get_recording (HavenStore *store, const char *id);
GPtrArray *haven_store_list_recordings (
    HavenStore *store, const char *mint_id, const char *state, guint limit, guint offset);
HavenRecordingRow *haven_store_find_oldest_recording (
    HavenStore *store, gint64 ended_before, guint passed);
guint64 haven_store_total_size (HavenStore *store);
guint haven_store_count_recordings (HavenStore *store, const char *mint_id, const char *state);
gboolean haven_store_delete_recording (HavenStore *store, const char *id, GError **error);

gboolean haven_store_add_notice (
    HavenStore *store, const char *kind, const HavenNoticeRow *notice, guint most, guint *n_lost);
GPtrArray *haven_store_list_notices (HavenStore *store, const char *kind, guint limit);
gboolean haven_store_postpone_notice (HavenStore *store, gint64 id, gint64 next_time);
gboolean haven_store_delete_notice (HavenStore *store, gint64 id);
guint haven_store_count_notices (HavenStore *store, const char *kind);
guint haven_store_clear_notices (HavenStore *store, const char *kind);

gboolean haven_store_keep_auto (HavenStore *store, const HavenAutoRow *row, GError **error);
gboolean haven_store_delete_auto (HavenStore *store, const char *mint_id, GError **error);
GPtrArray *haven_store_list_auto (HavenStore *store);

void haven_auto_row_free (HavenAutoRow *row);
void haven_notice_row_free (HavenNoticeRow *row);
void haven_session_row_free (HavenSessionRow *row);
void haven_recording_row_free (HavenRecordingRow *row);
HavenPartRow *haven_recording_row_last_part (const HavenRecordingRow *row);
double haven_recording_row_duration (const HavenRecordingRow *row);
guint64 haven_recording_row_size (const HavenRecordingRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenAutoRow, haven_auto_row_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenSessionRow, haven_session_row_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenRecordingRow, haven_recording_row_free)

G_END_DECLS
