/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-ws-limit.h"

/* libsoup shows each incoming frame to the extensions that both sides agreed on, and to nobody
 * else. So ours is one that the other side never hears of: its name is taken out of the request
 * before it is sent, and put into both headers once the answer has come. All of it runs in the
 * thread that connects. */

#define NAME "x-haven-limit"
#define EXTENSIONS "Sec-WebSocket-Extensions"
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */

#define LIVEKIT_TYPE_WS_LIMIT (livekit_ws_limit_get_type ())
G_DECLARE_FINAL_TYPE (LiveKitWsLimit, livekit_ws_limit, LIVEKIT, WS_LIMIT, SoupWebsocketExtension)

struct _LiveKitWsLimit
{
  SoupWebsocketExtension parent;

  gsize so_far; /* bytes of the unfinished message */
};
G_DEFINE_FINAL_TYPE (LiveKitWsLimit, livekit_ws_limit, SOUP_TYPE_WEBSOCKET_EXTENSION)

static gboolean
livekit_ws_limit_configure (SoupWebsocketExtension *extension, SoupWebsocketConnectionType type,
    GHashTable *params, GError **error)
{
  return TRUE;
}

static GBytes *
livekit_ws_limit_process_incoming (
    SoupWebsocketExtension *extension, guint8 *header, GBytes *payload, GError **error)
{
  LiveKitWsLimit *self = LIVEKIT_WS_LIMIT (extension);
  const gboolean control = header[0] & 0x08, final = header[0] & 0x80;

  if (control)
    return payload;
  self->so_far += g_bytes_get_size (payload); /* a frame is within the limit already: no overflow */
  if (self->so_far > LIVEKIT_WS_MAX_MESSAGE) {
    g_set_error_literal (
        error, SOUP_WEBSOCKET_ERROR, SOUP_WEBSOCKET_CLOSE_TOO_BIG, "Message too big");
    g_bytes_unref (payload);
    return NULL;
  }
  if (final)
    self->so_far = 0;
  return payload;
}

static void
livekit_ws_limit_class_init (LiveKitWsLimitClass *klass)
{
  SoupWebsocketExtensionClass *extension_class = SOUP_WEBSOCKET_EXTENSION_CLASS (klass);

  extension_class->name = NAME;
  extension_class->configure = livekit_ws_limit_configure;
  extension_class->process_incoming_message = livekit_ws_limit_process_incoming;
}

static void
livekit_ws_limit_init (LiveKitWsLimit *self)
{
}

static void
on_starting (SoupMessage *handshake, gpointer user_data)
{
  soup_message_headers_remove (soup_message_get_request_headers (handshake), EXTENSIONS);
}

/* libsoup checks this again, but leaks what it has accepted by then. */
static gboolean
is_accepted (SoupMessage *handshake)
{
  const char *key = soup_message_headers_get_one (
      soup_message_get_request_headers (handshake), "Sec-WebSocket-Key");
  const char *accept = soup_message_headers_get_one (
      soup_message_get_response_headers (handshake), "Sec-WebSocket-Accept");
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA1);
  g_autofree char *expected = NULL;
  guint8 digest[20];
  gsize length = sizeof (digest);

  if (!key || !accept)
    return FALSE;
  g_checksum_update (checksum, (const guchar *)key, -1);
  g_checksum_update (checksum, (const guchar *)ACCEPT_GUID, -1);
  g_checksum_get_digest (checksum, digest, &length);
  expected = g_base64_encode (digest, length);
  return g_ascii_strcasecmp (accept, expected) == 0;
}

static void
on_got_informational (SoupMessage *handshake, gpointer user_data)
{
  if (soup_message_get_status (handshake) != SOUP_STATUS_SWITCHING_PROTOCOLS
      || !is_accepted (handshake))
    return;
  /* Behind whatever the answer names already: we offered nothing, and libsoup refuses what it does
   * not know. */
  soup_message_headers_replace (soup_message_get_request_headers (handshake), EXTENSIONS, NAME);
  soup_message_headers_append (soup_message_get_response_headers (handshake), EXTENSIONS, NAME);
}

void
livekit_ws_limit_add_to_session (SoupSession *session)
{
  soup_session_add_feature_by_type (session, SOUP_TYPE_WEBSOCKET_EXTENSION_MANAGER);
  soup_session_remove_feature_by_type (session, SOUP_TYPE_WEBSOCKET_EXTENSION_DEFLATE);
  soup_session_add_feature_by_type (session, LIVEKIT_TYPE_WS_LIMIT);
}

void
livekit_ws_limit_add_to_handshake (SoupMessage *handshake)
{
  g_signal_connect (handshake, "starting", G_CALLBACK (on_starting), NULL);
  g_signal_connect (handshake, "got-informational", G_CALLBACK (on_got_informational), NULL);
}

gboolean
livekit_ws_limit_start (SoupWebsocketConnection *socket)
{
  soup_websocket_connection_set_max_incoming_payload_size (socket, LIVEKIT_WS_MAX_MESSAGE);
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (socket), "max-total-message-size"))
    g_object_set (socket, "max-total-message-size", (guint64)LIVEKIT_WS_MAX_MESSAGE, NULL);
  for (GList *l = soup_websocket_connection_get_extensions (socket); l; l = l->next)
    if (LIVEKIT_IS_WS_LIMIT (l->data))
      return TRUE;
  return FALSE;
}
