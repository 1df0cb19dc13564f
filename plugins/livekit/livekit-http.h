/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libsoup/soup.h>
#include "livekit-error.h"

G_BEGIN_DECLS

/* HTTP as the signalling connection and the token endpoint need it: small answers, errors as
 * sentences. Everything runs in the thread-default main context of the caller. */

#define LIVEKIT_HTTP_MAX_BODY (64 * 1024)

/* @tls_database (nullable): trust these certificates instead of the system's. */
SoupSession *livekit_http_session_new (GTlsDatabase *tls_database);

/* Sends @token (nullable) as bearer and follows no redirection, which could take it elsewhere. */
SoupMessage *livekit_http_message_new (
    const char *method, GUri *uri, const char *token, gboolean tls_insecure);

/* What an HTTP header can carry. */
gboolean livekit_http_is_token (const char *token);

/* The body of the answer, cut after LIVEKIT_HTTP_MAX_BODY + 1 bytes. */
void livekit_http_send_async (SoupSession *session, SoupMessage *message, GCancellable *cancellable,
    GAsyncReadyCallback callback, gpointer user_data);
GBytes *livekit_http_send_finish (SoupSession *session, GAsyncResult *result, GError **error);

/* LIVEKIT_ERROR for what kept @message from being answered; G_IO_ERROR_CANCELLED as it is.
 * (transfer full) */
GError *livekit_http_error_from_transport (const GError *error, SoupMessage *message);

/* LIVEKIT_ERROR for an answer that is no success; @reason (nullable) is the server's own. (transfer
 * full) */
GError *livekit_http_error_from_status (guint status, GUri *uri, const char *reason);

/* One line that may be shown to a user, or NULL where there is none or it gives @token (nullable)
 * away. (transfer full) */
char *livekit_http_reason (const char *text, gsize length, const char *token);

/* "host:port" (transfer full) */
char *livekit_http_describe (GUri *uri);

G_END_DECLS
