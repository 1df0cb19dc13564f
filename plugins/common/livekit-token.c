/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-token.h"

#include <errno.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_VALIDITY 600
#define MAX_VALIDITY (30 * 24 * 3600)
#define LIST_VALIDITY 60
#define NOT_BEFORE_LEEWAY 10  /* for a server whose clock is behind ours */
#define MAX_TOKEN (64 * 1024) /* longer ones fit in no server's header */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (jwt_t, jwt_free)

static void
set_error (GError **error, GQuark domain, int code, const char *message)
{
  g_set_error_literal (error, domain, code, message);
}

static gboolean
is_text (const char *text)
{
  return text && *text && g_utf8_validate (text, -1, NULL);
}

/* The text as a JSON string, quotes included. */
static char *
quote (const char *text)
{
  GString *out = g_string_new ("\"");

  for (const char *c = text; *c; c++) {
    if (*c == '"' || *c == '\\')
      g_string_append_c (out, '\\');
    if ((guchar)*c < 0x20)
      g_string_append_printf (out, "\\u%04x", (guint)*c);
    else
      g_string_append_c (out, *c);
  }
  g_string_append_c (out, '"');
  return g_string_free (out, FALSE);
}

/* @name: (nullable): the participant's
 * @claims: more of them, as a JSON object */
static gboolean
add_claims (jwt_t *jwt, const char *api_key, const char *identity, const char *name, guint validity,
    const char *claims)
{
  const gint64 now = g_get_real_time () / G_USEC_PER_SEC;

  if (name && *name && jwt_add_grant (jwt, "name", name) != 0)
    return FALSE;

  return jwt_add_grant (jwt, "iss", api_key) == 0 && jwt_add_grant (jwt, "sub", identity) == 0
         && jwt_add_grant_int (jwt, "nbf", now - NOT_BEFORE_LEEWAY) == 0
         && jwt_add_grant_int (jwt, "exp", now + validity) == 0
         && jwt_add_grant (jwt, "kind", "standard") == 0 && jwt_add_grants_json (jwt, claims) == 0;
}

static gboolean
check_key (const char *api_key, const char *api_secret, GError **error)
{
  const char *missing = NULL;

  if (!is_text (api_key))
    missing = "An access token needs an API key.";
  else if (!api_secret || !*api_secret || strlen (api_secret) > G_MAXINT)
    missing = "An access token needs an API secret.";
  if (missing)
    set_error (error, G_CONVERT_ERROR, G_CONVERT_ERROR_FAILED, missing);
  return !missing;
}

/* (transfer full) (nullable) */
static char *
sign (jwt_t *jwt, gboolean has_claims, const char *api_secret, GError **error)
{
  char *encoded, *token;

  if (!has_claims
      || jwt_set_alg (jwt, JWT_ALG_HS256, (const guchar *)api_secret, (int)strlen (api_secret)) != 0
      || !(encoded = jwt_encode_str (jwt))) {
    set_error (
        error, G_CONVERT_ERROR, G_CONVERT_ERROR_FAILED, "The access token could not be signed.");
    return NULL;
  }
  token = g_strdup (encoded);
  free (encoded); /* libjwt's own allocator is malloc; jwt_free_str() came later than 1.10 */
  return token;
}

/**
 * livekit_token_new:
 *
 * Returns: (transfer full) (nullable): the signed token, or %NULL with a #GError of
 * %G_CONVERT_ERROR
 */
char *
livekit_token_new (
    const char *api_key, const char *api_secret, const LiveKitTokenGrants *grants, GError **error)
{
  const guint validity = grants->validity ? MIN (grants->validity, MAX_VALIDITY) : DEFAULT_VALIDITY;
  g_autoptr (jwt_t) jwt = NULL;
  const char *missing = NULL;
  g_autofree char *room = NULL, *claims = NULL;
  gboolean has_claims;

  if (!check_key (api_key, api_secret, error))
    return NULL;
  if (!is_text (grants->room_name))
    missing = "An access token needs a room name.";
  else if (!is_text (grants->identity))
    missing = "An access token needs an identity.";
  else if (grants->participant_name && !g_utf8_validate (grants->participant_name, -1, NULL))
    missing = "The participant name is not UTF-8.";
  if (missing) {
    set_error (error, G_CONVERT_ERROR, G_CONVERT_ERROR_FAILED, missing);
    return NULL;
  }

  room = quote (grants->room_name);
  claims = g_strdup_printf ("{\"video\":{\"room\":%s,\"roomJoin\":true,\"canSubscribe\":true,"
                            "\"canPublish\":false,\"canPublishData\":false%s}}",
      room, grants->hidden ? ",\"hidden\":true" : "");
  has_claims
      = jwt_new (&jwt) == 0
        && add_claims (jwt, api_key, grants->identity, grants->participant_name, validity, claims);
  return sign (jwt, has_claims, api_secret, error);
}

/**
 * livekit_token_new_for_list:
 *
 * Returns: (transfer full) (nullable): the signed token, or %NULL with a #GError of
 * %G_CONVERT_ERROR
 */
char *
livekit_token_new_for_list (const char *api_key, const char *api_secret, GError **error)
{
  g_autoptr (jwt_t) jwt = NULL;
  gboolean has_claims;

  if (!check_key (api_key, api_secret, error))
    return NULL;
  has_claims = jwt_new (&jwt) == 0
               && add_claims (
                   jwt, api_key, api_key, NULL, LIST_VALIDITY, "{\"video\":{\"roomList\":true}}");
  return sign (jwt, has_claims, api_secret, error);
}

/* The string member @name of the object that the claim @claim holds. (transfer full) (nullable) */
static char *
get_nested (jwt_t *jwt, const char *claim, const char *name)
{
  g_autoptr (jwt_t) inner = NULL;
  char *json = jwt_get_grants_json (jwt, claim);
  char *value = NULL;

  if (json && jwt_new (&inner) == 0 && jwt_add_grants_json (inner, json) == 0)
    value = g_strdup (jwt_get_grant (inner, name));
  free (json);
  return value;
}

/* Not jwt_decode(): in Debian's libjwt 1.10 it writes behind its buffer when the length of a part
 * is not one that base64 has. Here only whole, clean JSON reaches the library. */

/* What base64url without padding stands for, as a string without a NUL in it. (transfer full)
 * (nullable) */
static char *
decode_part (const char *part)
{
  g_autoptr (GString) padded = g_string_new (part);
  g_autofree char *text = NULL;
  gsize length;

  if (padded->len == 0 || padded->len % 4 == 1)
    return NULL;
  for (char *c = padded->str; *c; c++) {
    if (!g_ascii_isalnum (*c) && *c != '-' && *c != '_')
      return NULL;
    *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
  }
  while (padded->len % 4 != 0)
    g_string_append_c (padded, '=');
  text = (char *)g_base64_decode (padded->str, &length);
  if (length == 0 || !g_utf8_validate (text, (gssize)length, NULL))
    return NULL;
  return g_strndup (text, length);
}

/* The object that the part holds, as grants. (transfer full) (nullable) */
static jwt_t *
read_part (const char *part)
{
  g_autofree char *json = decode_part (part);
  g_autoptr (jwt_t) jwt = NULL;

  if (!json || jwt_new (&jwt) != 0 || jwt_add_grants_json (jwt, json) != 0)
    return NULL;
  return g_steal_pointer (&jwt);
}

/* The claims of a token that has the form of one. (transfer full) (nullable) */
static jwt_t *
read_claims (const char *token)
{
  g_auto (GStrv) parts = NULL;
  g_autoptr (jwt_t) header = NULL;

  if (!token || strnlen (token, MAX_TOKEN + 1) > MAX_TOKEN)
    return NULL;
  parts = g_strsplit (token, ".", 4);
  if (g_strv_length (parts) != 3)
    return NULL;
  header = read_part (parts[0]);
  return header && jwt_get_grant (header, "alg") ? read_part (parts[1]) : NULL;
}

/**
 * livekit_token_inspect:
 *
 * Returns: (transfer full) (nullable): the claims, or %NULL with a #GError of %G_CONVERT_ERROR
 */
LiveKitTokenInfo *
livekit_token_inspect (const char *token, GError **error)
{
  g_autoptr (jwt_t) jwt = read_claims (token);
  LiveKitTokenInfo *info;

  if (!jwt) {
    set_error (error, G_CONVERT_ERROR, G_CONVERT_ERROR_ILLEGAL_SEQUENCE,
        "The access token is not a JSON Web Token.");
    return NULL;
  }

  info = g_new0 (LiveKitTokenInfo, 1);
  info->identity = g_strdup (jwt_get_grant (jwt, "sub"));
  info->expires_at = MAX (0, jwt_get_grant_int (jwt, "exp"));
  info->room_name = get_nested (jwt, "video", "room");
  return info;
}

void
livekit_token_info_free (LiveKitTokenInfo *info)
{
  if (!info)
    return;
  g_free (info->identity);
  g_free (info->room_name);
  g_free (info);
}
