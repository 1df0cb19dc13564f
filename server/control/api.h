/* api: what the handlers of api-*.c share. Handlers parse, call, reply.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-app.h"

G_BEGIN_DECLS

extern const HavenField haven_start_fields[], haven_stop_fields[], haven_config_fields[],
    haven_record_fields[], haven_record_stop_fields[], haven_directory_fields[],
    haven_auto_record_fields[];

void api_live_start (HavenRequest *request);
void api_live_stop (HavenRequest *request);
void api_live_active (HavenRequest *request);
void api_live_get (HavenRequest *request);
void api_live_watch_binary (HavenRequest *request);
void api_live_watch_json (HavenRequest *request);
void api_live_watch_haven (HavenRequest *request);
void api_live_snapshot (HavenRequest *request);
void api_live_mjpeg (HavenRequest *request);
void api_live_connection (HavenRequest *request);
void api_live_disconnect (HavenRequest *request);

void api_config_get (HavenRequest *request);
void api_config_put (HavenRequest *request);

void api_recording_start (HavenRequest *request);
void api_recording_stop (HavenRequest *request);
void api_recording_status (HavenRequest *request);
void api_recording_active (HavenRequest *request);
void api_recording_formats (HavenRequest *request);
void api_recording_get_directory (HavenRequest *request);
void api_recording_set_directory (HavenRequest *request);

void api_auto_record_list (HavenRequest *request);
void api_auto_record_get (HavenRequest *request);
void api_auto_record_put (HavenRequest *request);
void api_auto_record_delete (HavenRequest *request);

void api_library_list (HavenRequest *request);
void api_library_get (HavenRequest *request);
void api_library_delete (HavenRequest *request);
void api_library_file (HavenRequest *request);
void api_library_chat (HavenRequest *request);
void api_library_subtitles (HavenRequest *request);
void api_library_manifest (HavenRequest *request);
void api_library_thumbnail (HavenRequest *request);

void api_status_root (HavenRequest *request);
void api_status_health (HavenRequest *request);
void api_status_ready (HavenRequest *request);
void api_status_metrics (HavenRequest *request);
void api_status_openapi (HavenRequest *request);
void api_status_events (HavenRequest *request);
void api_status_page (HavenRequest *request);

HavenSession *api_find_session (HavenRequest *request, const char *id);
const char *api_body_id (HavenRequest *request);
gboolean api_may_stay (HavenRequest *request);
void api_add_session (JsonObject *object, HavenSession *session);
JsonObject *api_describe_recording (const HavenRecordingRow *row);
JsonObject *api_recording_config (const HavenRecordingRow *row);
gboolean api_store_setting (HavenApp *app, HavenKey key, const char *value, GError **error);

G_END_DECLS
