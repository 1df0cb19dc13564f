/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-error.h"

#include <gio/gio.h>
#include <string.h>

#include "livekit-error.h"

G_DEFINE_QUARK (haven - error - quark, haven_error)

#define DBUS_PREFIX "org.haven.Error."

typedef struct
{
  guint status;     /* HTTP */
  const char *code; /* stable: programs compare it */
  const char *dbus; /* (nullable) name after DBUS_PREFIX */
} Known;

static const Known known[HAVEN_N_ERRORS] = {
  [HAVEN_ERROR_INTERNAL] = { 500, "internal", "Internal" },
  [HAVEN_ERROR_CONFIG] = { 409, "not_configured", "Config" },
  [HAVEN_ERROR_UNAUTHORIZED] = { 502, "livekit_refused", "Unauthorized" },
  [HAVEN_ERROR_NOT_FOUND] = { 404, "room_not_found", "NotFound" },
  [HAVEN_ERROR_UNAVAILABLE] = { 502, "livekit_unavailable", "Unavailable" },
  [HAVEN_ERROR_TLS] = { 502, "livekit_tls", "Tls" },
  [HAVEN_ERROR_TIMEOUT] = { 504, "livekit_timeout", "Timeout" },
  [HAVEN_ERROR_PROTOCOL] = { 502, "livekit_protocol", "Protocol" },
  [HAVEN_ERROR_CLOSED] = { 502, "livekit_closed", "Closed" },
  [HAVEN_ERROR_REMOVED] = { 502, "removed_from_room", "Removed" },
  [HAVEN_ERROR_DUPLICATE] = { 502, "identity_in_use", "Duplicate" },
  [HAVEN_ERROR_ROOM_CLOSED] = { 502, "room_closed", "RoomClosed" },
  [HAVEN_ERROR_NO_STREAMER] = { 504, "no_streamer", "NoStreamer" },
  [HAVEN_ERROR_ENCRYPTED] = { 502, "room_encrypted", "Encrypted" },
  [HAVEN_ERROR_PERMISSION] = { 502, "not_permitted", "Permission" },
  [HAVEN_ERROR_BUSY] = { 409, "already_recording", "Busy" },
  [HAVEN_ERROR_NOT_RECORDING] = { 404, "not_recording", "NotRecording" },
  [HAVEN_ERROR_DISK_FULL] = { 507, "disk_full", "DiskFull" },
  [HAVEN_ERROR_LIMIT] = { 503, "limit_reached", "Limit" },
  [HAVEN_ERROR_FILE] = { 422, "file_not_writable", "File" },
  [HAVEN_ERROR_SESSION_FAILED] = { 502, "session_failed", NULL },
  [HAVEN_ERROR_SESSION_TIMEOUT] = { 504, "session_timeout", NULL },
  [HAVEN_ERROR_NOT_READY] = { 503, "session_not_ready", NULL },
  [HAVEN_ERROR_OTHER_STREAMER] = { 409, "other_streamer", NULL },
  [HAVEN_ERROR_STOPPED] = { 409, "session_stopped", NULL },
  [HAVEN_ERROR_RECORDING_STOPPED] = { 409, "recording_stopped", NULL },
  [HAVEN_ERROR_BAD_REQUEST] = { 400, "bad_request", NULL },
  [HAVEN_ERROR_SLOW_REQUEST] = { 408, "request_timeout", NULL },
  [HAVEN_ERROR_MALFORMED] = { 400, "malformed_json", NULL },
  [HAVEN_ERROR_INVALID] = { 422, "invalid_request", NULL },
  [HAVEN_ERROR_TOO_LARGE] = { 413, "body_too_large", NULL },
  [HAVEN_ERROR_MEDIA_TYPE] = { 415, "unsupported_media_type", NULL },
  [HAVEN_ERROR_TOKEN] = { 401, "unauthorized", NULL },
  [HAVEN_ERROR_ORIGIN] = { 403, "origin_not_allowed", NULL },
  [HAVEN_ERROR_HOST] = { 403, "host_not_allowed", NULL },
  [HAVEN_ERROR_NO_SESSION] = { 404, "session_not_found", NULL },
  [HAVEN_ERROR_NO_RECORDING] = { 404, "recording_not_found", NULL },
  [HAVEN_ERROR_NO_AUTO_RECORD] = { 404, "auto_record_not_found", NULL },
  [HAVEN_ERROR_NO_FILE] = { 404, "file_not_found", NULL },
  [HAVEN_ERROR_NO_ENDPOINT] = { 404, "not_found", NULL },
  [HAVEN_ERROR_METHOD] = { 405, "method_not_allowed", NULL },
  [HAVEN_ERROR_UPGRADE] = { 426, "upgrade_required", NULL },
  [HAVEN_ERROR_HANDSHAKE] = { 400, "bad_handshake", NULL }, /* as havenwssink answers it, … */
  [HAVEN_ERROR_SUBPROTOCOL] = { 400, "wrong_subprotocol", NULL }, /* … and this */
  [HAVEN_ERROR_RECORDING_RUNS] = { 409, "recording_runs", NULL },
  [HAVEN_ERROR_IN_USE] = { 409, "in_use", NULL },
  [HAVEN_ERROR_RANGE] = { 416, "range_not_satisfiable", NULL },
  [HAVEN_ERROR_SHUTTING_DOWN] = { 503, "shutting_down", NULL },
};

/* The same mishaps where control speaks to LiveKit or a token endpoint itself. */
static const HavenError of_livekit[] = {
  [LIVEKIT_ERROR_CONFIG] = HAVEN_ERROR_CONFIG,
  [LIVEKIT_ERROR_UNAUTHORIZED] = HAVEN_ERROR_UNAUTHORIZED,
  [LIVEKIT_ERROR_NOT_FOUND] = HAVEN_ERROR_UNAVAILABLE,
  [LIVEKIT_ERROR_UNAVAILABLE] = HAVEN_ERROR_UNAVAILABLE,
  [LIVEKIT_ERROR_TLS] = HAVEN_ERROR_TLS,
  [LIVEKIT_ERROR_TIMEOUT] = HAVEN_ERROR_TIMEOUT,
  [LIVEKIT_ERROR_PROTOCOL] = HAVEN_ERROR_PROTOCOL,
  [LIVEKIT_ERROR_CLOSED] = HAVEN_ERROR_CLOSED,
  [LIVEKIT_ERROR_REMOVED] = HAVEN_ERROR_REMOVED,
  [LIVEKIT_ERROR_DUPLICATE] = HAVEN_ERROR_DUPLICATE,
  [LIVEKIT_ERROR_ROOM_CLOSED] = HAVEN_ERROR_ROOM_CLOSED,
  [LIVEKIT_ERROR_NO_STREAMER] = HAVEN_ERROR_NO_STREAMER,
  [LIVEKIT_ERROR_ENCRYPTED] = HAVEN_ERROR_ENCRYPTED,
  [LIVEKIT_ERROR_PERMISSION] = HAVEN_ERROR_PERMISSION,
};

static const Known *
find (const GError *error)
{
  if (error->domain == HAVEN_ERROR && error->code >= 0 && error->code < HAVEN_N_ERRORS)
    return &known[error->code];
  if (error->domain == LIVEKIT_ERROR && error->code >= 0
      && error->code < (int)G_N_ELEMENTS (of_livekit))
    return &known[of_livekit[error->code]];
  return &known[HAVEN_ERROR_INTERNAL];
}

guint
haven_error_status (const GError *error)
{
  return find (error)->status;
}

const char *
haven_error_code (const GError *error)
{
  return find (error)->code;
}

/* What may be shown of it: the sentences of our own errors, and no word of any other. */
const char *
haven_error_sentence (const GError *error)
{
  if (error->domain == HAVEN_ERROR || error->domain == LIVEKIT_ERROR)
    return error->message;
  return "Something went wrong inside the server; its log says more.";
}

/* @error: (transfer full): what a call to a session ended with
 *
 * Returns: (transfer full): of our domain */
GError *
haven_error_from_dbus (GError *error)
{
  g_autoptr (GError) given = error;
  g_autofree char *name = g_dbus_error_get_remote_error (given);

  if (name && g_str_has_prefix (name, DBUS_PREFIX)) {
    g_dbus_error_strip_remote_error (given);
    for (guint i = 0; i < HAVEN_N_ERRORS; i++)
      if (known[i].dbus && strcmp (known[i].dbus, name + strlen (DBUS_PREFIX)) == 0)
        return g_error_new_literal (HAVEN_ERROR, i, given->message);
  }
  if (g_error_matches (given, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return g_error_new_literal (HAVEN_ERROR, HAVEN_ERROR_STOPPED, "The session was stopped.");
  if (g_error_matches (given, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return g_error_new_literal (
        HAVEN_ERROR, HAVEN_ERROR_SESSION_TIMEOUT, "The session's process does not answer.");
  if (given->domain == HAVEN_ERROR)
    return g_steal_pointer (&given);
  return g_error_new (HAVEN_ERROR, HAVEN_ERROR_SESSION_FAILED, "The session's process ended.");
}
