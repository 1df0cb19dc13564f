/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-error.h"

G_DEFINE_QUARK (livekit - error - quark, livekit_error)

/* Returns: what the errors of livekitsrc carry in the field "error" of their details */
const char *
livekit_error_name (const GError *error)
{
  static const char *const names[] = {
    [LIVEKIT_ERROR_CONFIG] = "config",
    [LIVEKIT_ERROR_UNAUTHORIZED] = "unauthorized",
    [LIVEKIT_ERROR_NOT_FOUND] = "not-found",
    [LIVEKIT_ERROR_UNAVAILABLE] = "unavailable",
    [LIVEKIT_ERROR_TLS] = "tls",
    [LIVEKIT_ERROR_TIMEOUT] = "timeout",
    [LIVEKIT_ERROR_PROTOCOL] = "protocol",
    [LIVEKIT_ERROR_CLOSED] = "closed",
    [LIVEKIT_ERROR_REMOVED] = "removed",
    [LIVEKIT_ERROR_DUPLICATE] = "duplicate",
    [LIVEKIT_ERROR_ROOM_CLOSED] = "room-closed",
    [LIVEKIT_ERROR_NO_STREAMER] = "no-streamer",
    [LIVEKIT_ERROR_ENCRYPTED] = "encrypted",
    [LIVEKIT_ERROR_PERMISSION] = "permission",
  };

  if (error->domain != LIVEKIT_ERROR || error->code < 0 || error->code >= (int)G_N_ELEMENTS (names))
    return "internal";
  return names[error->code];
}
