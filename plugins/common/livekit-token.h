/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* LiveKit access tokens: HS256 JSON Web Tokens with the room's grants. */

typedef struct
{
  const char *room_name;
  const char *identity;
  const char *participant_name; /* (nullable) */
  guint validity;               /* seconds; 0: 600 */
  gboolean hidden;              /* not shown to the other participants */
} LiveKitTokenGrants;

/* A token that lets @identity subscribe in the room and publish nothing. NULL and @error where a
 * field is empty. */
char *livekit_token_new (
    const char *api_key, const char *api_secret, const LiveKitTokenGrants *grants, GError **error);

/* One with which the server's rooms can be listed, and nothing else; for a minute. */
char *livekit_token_new_for_list (const char *api_key, const char *api_secret, GError **error);

typedef struct
{
  char *identity;    /* (nullable) sub */
  char *room_name;   /* (nullable) video.room */
  gint64 expires_at; /* Unix seconds; 0 when the token has no end */
} LiveKitTokenInfo;

/* Reads a token without checking its signature: for when it ends and which room it opens. */
LiveKitTokenInfo *livekit_token_inspect (const char *token, GError **error);
void livekit_token_info_free (LiveKitTokenInfo *info);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitTokenInfo, livekit_token_info_free)

G_END_DECLS
