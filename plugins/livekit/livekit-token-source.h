/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include "livekit-error.h"

G_BEGIN_DECLS

#define LIVEKIT_STREAM_INFO_MAX (16 * 1024) /* bytes; what is longer is left out */

/* Where access tokens come from: given, made from key and secret, or fetched from an endpoint.
 * Immutable after set-up; asynchronous calls complete in the caller's thread-default main context.
 */
typedef struct
{
  char *url;   /* server; may be overridden by the endpoint's answer */
  char *token; /* a given token */
  char *api_key, *api_secret;
  char *token_endpoint; /* http or https */
  char *room_name, *identity, *participant_name;
} LiveKitTokenSource;

typedef struct
{
  char *url;         /* server to join */
  char *token;       /* JWT */
  char *room_name;   /* (nullable) as the token's grant says */
  char *identity;    /* (nullable) as the token says */
  char *stream_info; /* (nullable) what the endpoint says of the stream: a JSON value as text */
} LiveKitCredentials;

void livekit_token_source_clear (LiveKitTokenSource *source);
LiveKitTokenSource *livekit_token_source_copy (const LiveKitTokenSource *source);
void livekit_token_source_free (LiveKitTokenSource *source);

/* Whether a new token can be had after one was refused or has expired: not from a given token. */
gboolean livekit_token_source_can_renew (const LiveKitTokenSource *source);

/* Order: endpoint, key and secret, given token. LIVEKIT_ERROR_CONFIG names what is missing.
 * Endpoint: POST {"mintId": room, "role": "viewer"} -> 200/201 {"token", "livekit_url"?,
 * "room_name"?, "stream_info"?}; also takes the answers {server_url, participant_token} and their
 * camelCase spellings. */
void livekit_token_source_get_async (const LiveKitTokenSource *source, GTlsDatabase *tls_database,
    gboolean tls_insecure, GCancellable *cancellable, GAsyncReadyCallback callback,
    gpointer user_data);
LiveKitCredentials *livekit_token_source_get_finish (GAsyncResult *result, GError **error);
void livekit_credentials_free (LiveKitCredentials *credentials);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitCredentials, livekit_credentials_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitTokenSource, livekit_token_source_free)

G_END_DECLS
