/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Why the room cannot be reached or kept. The message of an error is a sentence for the user and
 * never holds a token. */
#define LIVEKIT_ERROR (livekit_error_quark ())
GQuark livekit_error_quark (void);
const char *livekit_error_name (const GError *error);

typedef enum
{
  LIVEKIT_ERROR_CONFIG, /* settings missing or contradictory; HTTP 400: trying again cannot help
                           before they once worked */
  LIVEKIT_ERROR_UNAUTHORIZED, /* HTTP 401, 403: the token was refused; a new token may help, once */
  LIVEKIT_ERROR_NOT_FOUND,    /* HTTP 404: no such room, or no LiveKit server at this address; try
                                 again slowly */
  LIVEKIT_ERROR_UNAVAILABLE,  /* HTTP 429, 5xx, refused or unreachable: try again with back-off */
  LIVEKIT_ERROR_TLS,          /* certificate not trusted, or no TLS; as CONFIG */
  LIVEKIT_ERROR_TIMEOUT,      /* no answer in time */
  LIVEKIT_ERROR_PROTOCOL,     /* the other side does not speak LiveKit */
  LIVEKIT_ERROR_CLOSED,       /* the connection ended without a word */
  LIVEKIT_ERROR_REMOVED,      /* removed from the room, or the user rejected */
  LIVEKIT_ERROR_DUPLICATE,    /* another client joined with our identity */
  LIVEKIT_ERROR_ROOM_CLOSED,  /* the room was deleted or closed */
  LIVEKIT_ERROR_NO_STREAMER,  /* nobody to watch came in time */
  LIVEKIT_ERROR_ENCRYPTED,    /* end-to-end encrypted media only */
  LIVEKIT_ERROR_PERMISSION,   /* the token lacks canSubscribe, or the publisher does not let us */
} LiveKitError;

G_END_DECLS
