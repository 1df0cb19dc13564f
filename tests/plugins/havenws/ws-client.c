/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TIMEOUT 60 /* s: a test that waits in vain fails instead of hanging */
#define MAX_HEAD 65536

/* Takes its own reference of socket, which is connected. */
WsClient *
ws_client_new_for_socket (GSocket *socket)
{
  WsClient *client = g_new0 (WsClient, 1);

  client->socket = g_object_ref (socket);
  client->host = g_strdup ("localhost");
  g_socket_set_blocking (socket, TRUE);
  g_socket_set_timeout (socket, TIMEOUT);
  return client;
}

/* @receive_buffer: bytes that the kernel keeps for a client that does not read; 0 for its usual
 * size */
WsClient *
ws_client_new (guint port, gint receive_buffer)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket
      = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", port);
  WsClient *client;

  g_assert_no_error (error);
  if (receive_buffer > 0)
    g_socket_set_option (socket, SOL_SOCKET, SO_RCVBUF, receive_buffer, NULL);
  g_socket_connect (socket, address, NULL, &error);
  g_assert_no_error (error);
  client = ws_client_new_for_socket (socket);
  g_free (client->host);
  client->host = g_strdup_printf ("127.0.0.1:%u", port);
  return client;
}

/* Connects and shakes hands, which must succeed. */
WsClient *
ws_client_open (guint port, const char *target)
{
  WsClient *client = ws_client_new (port, 0);

  g_assert_cmpuint (ws_client_handshake (client, target, WS_CLIENT_HEADERS), ==, 101);
  return client;
}

void
ws_client_free (WsClient *client)
{
  g_socket_close (client->socket, NULL);
  g_object_unref (client->socket);
  g_free (client->host);
  g_free (client);
}

/* Disconnects the hard way, with RST, as a machine that was switched off and on does. */
void
ws_client_reset (WsClient *client)
{
  struct linger linger = { 1, 0 };

  setsockopt (g_socket_get_fd (client->socket), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  ws_client_free (client);
}

/* Returns: whether all of it was sent */
gboolean
ws_client_write (WsClient *client, const void *data, gsize size)
{
  const char *p = data;

  while (size > 0) {
    gssize n = g_socket_send (client->socket, p, size, NULL, NULL);

    if (n <= 0)
      return FALSE;
    p += n;
    size -= n;
  }
  return TRUE;
}

/* Returns: whether all of it came */
gboolean
ws_client_read (WsClient *client, void *data, gsize size)
{
  char *p = data;

  while (size > 0) {
    g_autoptr (GError) error = NULL;
    gssize n = g_socket_receive (client->socket, p, size, NULL, &error);

    g_assert_false (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT));
    if (n <= 0)
      return FALSE;
    p += n;
    size -= n;
  }
  return TRUE;
}

/* Returns: (transfer full): a request as text
 * @headers: each with its CRLF; Host is added unless they hold one */
char *
ws_client_request (WsClient *client, const char *target, const char *headers)
{
  g_autofree char *host
      = strstr (headers, "Host:") ? g_strdup ("") : g_strdup_printf ("Host: %s\r\n", client->host);

  return g_strdup_printf ("GET %s HTTP/1.1\r\n%s%s\r\n", target, host, headers);
}

/* Returns: (transfer full) (nullable): the answer's head, with the empty line; NULL if there is
 * none */
char *
ws_client_read_head (WsClient *client)
{
  g_autoptr (GString) head = g_string_new (NULL);
  char c;

  while (!g_str_has_suffix (head->str, "\r\n\r\n")) {
    if (head->len > MAX_HEAD || !ws_client_read (client, &c, 1))
      return NULL;
    g_string_append_c (head, c);
  }
  return g_string_free (g_steal_pointer (&head), FALSE);
}

/* Returns: (transfer full): all until the server closes */
char *
ws_client_read_rest (WsClient *client)
{
  GString *rest = g_string_new (NULL);
  char c;

  while (ws_client_read (client, &c, 1))
    g_string_append_c (rest, c);
  return g_string_free (rest, FALSE);
}

/* Returns: the status of the answer, or 0 if none came */
guint
ws_client_handshake (WsClient *client, const char *target, const char *headers)
{
  g_autofree char *request = ws_client_request (client, target, headers);
  g_autofree char *head = NULL;

  if (!ws_client_write (client, request, strlen (request)))
    return 0;
  head = ws_client_read_head (client);
  return head && g_str_has_prefix (head, "HTTP/1.1 ") ? atoi (head + 9) : 0;
}

/* Returns: (transfer full): a masked frame
 * @first: its first byte: 0x80 (final) and opcode */
GByteArray *
ws_client_make_frame (guint8 first, const void *payload, gsize size)
{
  static const guint8 mask[] = { 0x12, 0x34, 0x56, 0x78 };
  GByteArray *frame = g_byte_array_new ();
  guint8 header[WS_MAX_HEADER];
  guint header_size = ws_frame_header (header, first & 0xf, size);
  const guint8 *bytes = payload;

  header[0] = first;
  header[1] |= 0x80;
  g_byte_array_append (frame, header, header_size);
  g_byte_array_append (frame, mask, sizeof mask);
  for (gsize i = 0; i < size; i++) {
    guint8 byte = bytes[i] ^ mask[i & 3];

    g_byte_array_append (frame, &byte, 1);
  }
  return frame;
}

void
ws_client_send (WsClient *client, guint8 first, const void *payload, gsize size)
{
  g_autoptr (GByteArray) frame = ws_client_make_frame (first, payload, size);

  ws_client_write (client, frame->data, frame->len);
}

/* Returns: whether a whole frame came; a server must not mask */
gboolean
ws_client_receive (WsClient *client, WsClientFrame *frame)
{
  guint8 header[2], length[8];
  guint64 size;
  g_autofree guint8 *payload = NULL;

  *frame = (WsClientFrame){ 0 };
  if (!ws_client_read (client, header, 2))
    return FALSE;
  g_assert_cmphex (header[0] & 0xf0, ==, 0x80);
  g_assert_cmphex (header[1] & 0x80, ==, 0);
  size = header[1];
  if (size >= 126) {
    guint n = size == 126 ? 2 : 8;

    if (!ws_client_read (client, length, n))
      return FALSE;
    size = 0;
    for (guint i = 0; i < n; i++)
      size = size << 8 | length[i];
  }
  g_assert_cmpuint (size, <, 64 << 20);
  payload = g_malloc (MAX (size, 1));
  if (!ws_client_read (client, payload, size))
    return FALSE;
  *frame = (WsClientFrame){ header[0] & 0xf, g_bytes_new_take (g_steal_pointer (&payload), size) };
  return TRUE;
}

void
ws_client_frame_clear (WsClientFrame *frame)
{
  g_clear_pointer (&frame->payload, g_bytes_unref);
}

/* Reads on until the server says goodbye.
 *
 * @reason: (out) (optional) (transfer full)
 *
 * Returns: its close code; 1005 for none; 0 if it just hung up */
guint
ws_client_read_close (WsClient *client, char **reason)
{
  for (;;) {
    g_auto (WsClientFrame) frame = { 0 };
    const guint8 *data;
    gsize size;

    if (!ws_client_receive (client, &frame))
      return 0;
    if (frame.opcode != WS_OPCODE_CLOSE)
      continue;
    data = g_bytes_get_data (frame.payload, &size);
    if (size < 2)
      return WS_CLOSE_NO_STATUS;
    if (reason)
      *reason = g_strndup ((const char *)data + 2, size - 2);
    return data[0] << 8 | data[1];
  }
}
