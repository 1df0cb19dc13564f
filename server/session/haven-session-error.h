/* haven-session-error: why a session cannot do what it was asked; on D-Bus org.haven.Error.NAME.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  HAVEN_SESSION_ERROR_CONFIG,
  HAVEN_SESSION_ERROR_UNAUTHORIZED,
  HAVEN_SESSION_ERROR_NOT_FOUND,
  HAVEN_SESSION_ERROR_UNAVAILABLE,
  HAVEN_SESSION_ERROR_TLS,
  HAVEN_SESSION_ERROR_TIMEOUT,
  HAVEN_SESSION_ERROR_PROTOCOL,
  HAVEN_SESSION_ERROR_CLOSED,
  HAVEN_SESSION_ERROR_REMOVED,
  HAVEN_SESSION_ERROR_DUPLICATE,
  HAVEN_SESSION_ERROR_ROOM_CLOSED,
  HAVEN_SESSION_ERROR_NO_STREAMER,
  HAVEN_SESSION_ERROR_ENCRYPTED,
  HAVEN_SESSION_ERROR_PERMISSION,
  HAVEN_SESSION_ERROR_BUSY,
  HAVEN_SESSION_ERROR_NOT_RECORDING,
  HAVEN_SESSION_ERROR_DISK_FULL,
  HAVEN_SESSION_ERROR_LIMIT,
  HAVEN_SESSION_ERROR_FILE, /* cannot be made where it should be */
  HAVEN_SESSION_ERROR_INTERNAL,
  HAVEN_SESSION_N_ERRORS
} HavenSessionError;

#define HAVEN_SESSION_ERROR (haven_session_error_quark ())
GQuark haven_session_error_quark (void);

/* Returns: the NAME in org.haven.Error.NAME; Internal for an error of another domain */
const char *haven_session_error_name (const GError *error);

/* Returns: the code whose name, in any case and with or without dashes, is name; INTERNAL if none
 * is */
HavenSessionError haven_session_error_from_name (const char *name);

G_END_DECLS
