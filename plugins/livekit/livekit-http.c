/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-http.h"

#include <string.h>

#define MAX_TOKEN (64 * 1024)
#define MAX_REASON 200 /* characters */

SoupSession *
livekit_http_session_new (GTlsDatabase *tls_database)
{
  SoupSession *session
      = soup_session_new_with_options ("user-agent", "haven-live/" PACKAGE_VERSION, NULL);

  soup_session_remove_feature_by_type (
      session, SOUP_TYPE_AUTH_MANAGER); /* it would touch our Authorization */
  soup_session_remove_feature_by_type (
      session, SOUP_TYPE_CONTENT_DECODER); /* a limit is one of bytes received */
  if (tls_database)
    soup_session_set_tls_database (session, tls_database);
  return session;
}

static gboolean
on_accept_certificate (SoupMessage *message, GTlsCertificate *certificate,
    GTlsCertificateFlags errors, gpointer user_data)
{
  return TRUE;
}

SoupMessage *
livekit_http_message_new (const char *method, GUri *uri, const char *token, gboolean tls_insecure)
{
  SoupMessage *message = soup_message_new_from_uri (method, uri);

  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT);
  if (token) {
    g_autofree char *bearer = g_strconcat ("Bearer ", token, NULL);

    soup_message_headers_replace (
        soup_message_get_request_headers (message), "Authorization", bearer);
  }
  if (tls_insecure)
    g_signal_connect (message, "accept-certificate", G_CALLBACK (on_accept_certificate), NULL);
  return message;
}

gboolean
livekit_http_is_token (const char *token)
{
  const gsize length = strnlen (token, MAX_TOKEN + 1);

  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isgraph (token[i]))
      return FALSE;
  return length > 0 && length <= MAX_TOKEN;
}

/* ---- a request and its small answer
 * ------------------------------------------------------------------------------ */

static void
on_body (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  GByteArray *body = g_task_get_task_data (task);
  gsize length;

  if (!g_input_stream_read_all_finish (G_INPUT_STREAM (source), result, &length, &error)) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  g_task_return_pointer (task, g_bytes_new (body->data, length), (GDestroyNotify)g_bytes_unref);
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GInputStream) stream
      = soup_session_send_finish (SOUP_SESSION (source), result, &error);
  GByteArray *body;

  if (!stream) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  body = g_byte_array_set_size (g_byte_array_new (), LIVEKIT_HTTP_MAX_BODY + 1);
  g_task_set_task_data (task, body, (GDestroyNotify)g_byte_array_unref);
  g_input_stream_read_all_async (stream, body->data, body->len, G_PRIORITY_DEFAULT,
      g_task_get_cancellable (task), on_body, g_object_ref (task));
}

void
livekit_http_send_async (SoupSession *session, SoupMessage *message, GCancellable *cancellable,
    GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (session, cancellable, callback, user_data);

  soup_session_send_async (session, message, G_PRIORITY_DEFAULT, cancellable, on_answer, task);
}

GBytes *
livekit_http_send_finish (SoupSession *session, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- errors
 * ------------------------------------------------------------------------------------------------------
 */

char *
livekit_http_describe (GUri *uri)
{
  const char *host = g_uri_get_host (uri);
  const gboolean is_ipv6 = host && strchr (host, ':');

  if (g_uri_get_port (uri) > 0)
    return g_strdup_printf (is_ipv6 ? "[%s]:%d" : "%s:%d", host ? host : "", g_uri_get_port (uri));
  return g_strdup (host ? host : "");
}

static const char *
why_untrusted (GTlsCertificateFlags flags)
{
  if (flags & G_TLS_CERTIFICATE_UNKNOWN_CA)
    return "its issuer is not known";
  if (flags & G_TLS_CERTIFICATE_BAD_IDENTITY)
    return "it was issued for another name";
  if (flags & G_TLS_CERTIFICATE_EXPIRED)
    return "it has expired";
  if (flags & G_TLS_CERTIFICATE_NOT_ACTIVATED)
    return "it is not valid yet";
  if (flags & G_TLS_CERTIFICATE_REVOKED)
    return "it was revoked";
  return "it cannot be verified";
}

GError *
livekit_http_error_from_transport (const GError *error, SoupMessage *message)
{
  g_autofree char *server = livekit_http_describe (soup_message_get_uri (message));

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return g_error_copy (error);
  if (g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
    return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_TLS,
        "The certificate of %s is not trusted: %s.", server,
        why_untrusted (soup_message_get_tls_peer_certificate_errors (message)));
  if (error->domain == G_TLS_ERROR && error->code != G_TLS_ERROR_EOF)
    return g_error_new (
        LIVEKIT_ERROR, LIVEKIT_ERROR_TLS, "No secure connection to %s: %s", server, error->message);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return g_error_new (
        LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT, "The server at %s did not answer in time.", server);
  if (error->domain == SOUP_WEBSOCKET_ERROR
      || g_error_matches (error, SOUP_SESSION_ERROR, SOUP_SESSION_ERROR_PARSING)
      || g_error_matches (error, SOUP_SESSION_ERROR, SOUP_SESSION_ERROR_ENCODING))
    return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The server at %s does not speak LiveKit: %s", server, error->message);
  return g_error_new (
      LIVEKIT_ERROR, LIVEKIT_ERROR_UNAVAILABLE, "Could not reach %s: %s", server, error->message);
}

GError *
livekit_http_error_from_status (guint status, GUri *uri, const char *reason)
{
  g_autofree char *server = livekit_http_describe (uri);
  const char *colon = reason ? ": " : ".";

  if (!reason)
    reason = "";
  switch (status) {
  case SOUP_STATUS_BAD_REQUEST:
  case SOUP_STATUS_UNPROCESSABLE_ENTITY:
    return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG,
        "The server at %s refused the request%s%s", server, colon, reason);
  case SOUP_STATUS_UNAUTHORIZED:
  case SOUP_STATUS_FORBIDDEN:
    return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_UNAUTHORIZED,
        "The server at %s refused the access token%s%s", server, colon, reason);
  case SOUP_STATUS_NOT_FOUND:
    return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_NOT_FOUND,
        "No such room, or no LiveKit server, at %s%s%s", server, colon, reason);
  case SOUP_STATUS_PROXY_UNAUTHORIZED:
  case SOUP_STATUS_REQUEST_TIMEOUT:
  case 425: /* Too Early */
  case 429: /* Too Many Requests */
    break;
  default:
    if (!SOUP_STATUS_IS_SERVER_ERROR (status))
      return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
          "The server at %s does not speak LiveKit (HTTP %u)%s%s", server, status, colon, reason);
    break;
  }
  return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_UNAVAILABLE,
      "The server at %s is not available (HTTP %u)%s%s", server, status, colon, reason);
}

/* Whether the text holds the token, or a part of it that is worth something to a thief: its claims
 * or its signature. */
static gboolean
gives_away (const char *text, const char *token)
{
  g_auto (GStrv) parts = g_strsplit (token, ".", 4);

  if (strstr (text, token))
    return TRUE;
  for (guint i = parts[0] && parts[1] ? 1 : 0; parts[i]; i++)
    if (*parts[i] && strstr (text, parts[i]))
      return TRUE;
  return FALSE;
}

/* What stands around the token: LiveKit answers "invalid token: TOKEN, error: why". */
static char *
leave_out (const char *text, const char *token)
{
  g_auto (GStrv) pieces = g_strsplit (text, token, -1);
  g_autoptr (GStrvBuilder) kept = g_strv_builder_new ();
  g_auto (GStrv) words = NULL;

  for (char **piece = pieces; *piece; piece++) {
    char *start = *piece + strspn (*piece, " ,:");

    for (gsize end = strlen (start); end > 0 && strchr (" ,:", start[end - 1]); end--)
      start[end - 1] = '\0';
    if (*start)
      g_strv_builder_add (kept, start);
  }
  words = g_strv_builder_end (kept);
  return g_strjoinv (": ", words);
}

char *
livekit_http_reason (const char *text, gsize length, const char *token)
{
  g_autofree char *valid
      = g_utf8_make_valid (length > 0 ? text : "", (gssize)MIN (length, LIVEKIT_HTTP_MAX_BODY));
  g_autofree char *copy
      = token && *token && strstr (valid, token) ? leave_out (valid, token) : g_strdup (valid);
  g_autofree char *shown = NULL;

  for (char *c = copy; *c; c++)
    if (g_ascii_iscntrl (*c))
      *c = ' ';
  g_strstrip (copy);
  /* HTML is for browsers: a proxy's error page tells a user of ours nothing. */
  if (!*copy || *copy == '<' || (token && gives_away (copy, token)))
    return NULL;
  if (g_utf8_strlen (copy, -1) <= MAX_REASON)
    return g_steal_pointer (&copy);
  shown = g_utf8_substring (copy, 0, MAX_REASON);
  return g_strconcat (shown, "…", NULL);
}
