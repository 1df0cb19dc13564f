/* The whole interface, a line for each method of each path. docs/openapi.yaml describes it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "api.h"

#define WS HAVEN_ROUTE_SOCKET
#define STREAM HAVEN_ROUTE_STREAM
#define OPEN HAVEN_ROUTE_OPEN

const HavenRoute haven_routes[] = {
  /* the first pattern that fits is the path's */
  { "POST", "/api/live-sessions/start", api_live_start, haven_start_fields },
  { "POST", "/api/live-sessions/stop", api_live_stop, haven_stop_fields },
  { "GET", "/api/live-sessions/active", api_live_active },
  { "GET", "/api/live-sessions/ws/live/{id}", api_live_watch_binary, NULL, WS },
  { "GET", "/api/live-sessions/stream/{id}", api_live_watch_json, NULL, WS },
  { "GET", "/api/live-sessions/watch/{id}", api_live_watch_haven, NULL, WS },
  { "GET", "/api/live-sessions/{id}/snapshot.jpg", api_live_snapshot },
  { "GET", "/api/live-sessions/{id}/stream.mjpeg", api_live_mjpeg, NULL, STREAM },
  { "GET", "/api/live-sessions/{id}", api_live_get },

  { "GET", "/api/config", api_config_get },
  { "PUT", "/api/config", api_config_put, haven_config_fields },

  { "POST", "/api/recording/start", api_recording_start, haven_record_fields },
  { "POST", "/api/recording/stop", api_recording_stop, haven_record_stop_fields },
  { "GET", "/api/recording/status/{id}", api_recording_status },
  { "GET", "/api/recording/active", api_recording_active },
  { "GET", "/api/recording/formats", api_recording_formats },
  { "GET", "/api/recording/output-directory", api_recording_get_directory },
  { "POST", "/api/recording/set-output-directory", api_recording_set_directory,
      haven_directory_fields },

  { "GET", "/api/live/connection/{id}", api_live_connection },
  { "POST", "/api/live/disconnect/{id}", api_live_disconnect },
  { "DELETE", "/api/live/disconnect/{id}", api_live_disconnect },

  { "GET", "/api/auto-record", api_auto_record_list },
  { "GET", "/api/auto-record/{id}", api_auto_record_get },
  { "PUT", "/api/auto-record/{id}", api_auto_record_put, haven_auto_record_fields },
  { "DELETE", "/api/auto-record/{id}", api_auto_record_delete },

  { "GET", "/api/recordings", api_library_list },
  { "GET", "/api/recordings/{id}/file", api_library_file, NULL, STREAM },
  { "GET", "/api/recordings/{id}/chat.jsonl", api_library_chat, NULL, STREAM },
  { "GET", "/api/recordings/{id}/chat.vtt", api_library_subtitles, NULL, STREAM },
  { "GET", "/api/recordings/{id}/manifest.json", api_library_manifest, NULL, STREAM },
  { "GET", "/api/recordings/{id}/thumbnail.jpg", api_library_thumbnail },
  { "GET", "/api/recordings/{id}", api_library_get },
  { "DELETE", "/api/recordings/{id}", api_library_delete },

  { "GET", "/api/events", api_status_events, NULL, STREAM },
  { "GET", "/", api_status_root, NULL, OPEN },
  { "GET", "/health", api_status_health, NULL, OPEN },
  { "GET", "/ready", api_status_ready, NULL, OPEN },
  { "GET", "/metrics", api_status_metrics },
  { "GET", "/openapi.json", api_status_openapi, NULL, OPEN },
  { "GET", "/web/{id}", api_status_page, NULL, OPEN },
  { NULL },
};
