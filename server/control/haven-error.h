/* haven-error: what can go wrong, as HTTP, D-Bus and programs know it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HAVEN_ERROR (haven_error_quark ())
GQuark haven_error_quark (void);

/* The message of an error is a sentence for the user and holds no secret. */
typedef enum
{
  HAVEN_ERROR_INTERNAL,
  /* What a session answers: org.haven.Error.NAME */
  HAVEN_ERROR_CONFIG,
  HAVEN_ERROR_UNAUTHORIZED,
  HAVEN_ERROR_NOT_FOUND,
  HAVEN_ERROR_UNAVAILABLE,
  HAVEN_ERROR_TLS,
  HAVEN_ERROR_TIMEOUT,
  HAVEN_ERROR_PROTOCOL,
  HAVEN_ERROR_CLOSED,
  HAVEN_ERROR_REMOVED,
  HAVEN_ERROR_DUPLICATE,
  HAVEN_ERROR_ROOM_CLOSED,
  HAVEN_ERROR_NO_STREAMER,
  HAVEN_ERROR_ENCRYPTED,
  HAVEN_ERROR_PERMISSION,
  HAVEN_ERROR_BUSY,
  HAVEN_ERROR_NOT_RECORDING,
  HAVEN_ERROR_DISK_FULL,
  HAVEN_ERROR_LIMIT,
  HAVEN_ERROR_FILE, /* cannot be made where it should be */
  /* What control finds itself */
  HAVEN_ERROR_SESSION_FAILED,
  HAVEN_ERROR_SESSION_TIMEOUT,
  HAVEN_ERROR_NOT_READY, /* a session that starts or is restarted */
  HAVEN_ERROR_OTHER_STREAMER,
  HAVEN_ERROR_STOPPED,
  HAVEN_ERROR_RECORDING_STOPPED,
  HAVEN_ERROR_BAD_REQUEST,
  HAVEN_ERROR_SLOW_REQUEST,
  HAVEN_ERROR_MALFORMED,
  HAVEN_ERROR_INVALID,
  HAVEN_ERROR_TOO_LARGE,
  HAVEN_ERROR_MEDIA_TYPE,
  HAVEN_ERROR_TOKEN,
  HAVEN_ERROR_ORIGIN,
  HAVEN_ERROR_HOST,
  HAVEN_ERROR_NO_SESSION,
  HAVEN_ERROR_NO_RECORDING,
  HAVEN_ERROR_NO_AUTO_RECORD,
  HAVEN_ERROR_NO_FILE,
  HAVEN_ERROR_NO_ENDPOINT,
  HAVEN_ERROR_METHOD,
  HAVEN_ERROR_UPGRADE,
  HAVEN_ERROR_HANDSHAKE,
  HAVEN_ERROR_SUBPROTOCOL,
  HAVEN_ERROR_RECORDING_RUNS,
  HAVEN_ERROR_IN_USE,
  HAVEN_ERROR_RANGE,
  HAVEN_ERROR_SHUTTING_DOWN,
  HAVEN_N_ERRORS
} HavenError;

guint haven_error_status (const GError *error);
const char *haven_error_code (const GError *error);
GError *haven_error_from_dbus (GError *error);
const char *haven_error_sentence (const GError *error);

G_END_DECLS
