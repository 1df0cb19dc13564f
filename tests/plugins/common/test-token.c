/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-token.h"

#include <json-glib/json-glib.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>

#define KEY "devkey"
#define SECRET "0123456789abcdef0123456789abcdef"

/* The claims of @token, whose signature must be by SECRET, as libjwt reads them. */
static JsonObject *
verify (const char *token)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  jwt_t *jwt;
  char *json;

  g_assert_cmpint (jwt_decode (&jwt, token, (const guchar *)SECRET, strlen (SECRET)), ==, 0);
  g_assert_cmpint (jwt_get_alg (jwt), ==, JWT_ALG_HS256);
  json = jwt_get_grants_json (jwt, NULL);
  json_parser_load_from_data (parser, json, -1, &error);
  g_assert_no_error (error);
  free (json);
  jwt_free (jwt);
  return json_object_ref (json_node_get_object (json_parser_get_root (parser)));
}

static void
assert_members (JsonObject *object, const char *expected)
{
  g_autoptr (GList) members
      = g_list_sort (json_object_get_members (object), (GCompareFunc)g_strcmp0);
  g_autoptr (GString) names = g_string_new (NULL);

  for (GList *l = members; l; l = l->next)
    g_string_append_printf (names, "%s%s", names->len ? " " : "", (const char *)l->data);
  g_assert_cmpstr (names->str, ==, expected);
}

static void
token_lets_its_holder_watch_and_nothing_else (void)
{
  const LiveKitTokenGrants grants
      = { .room_name = "demo", .identity = "viewer-1", .participant_name = "Haven Player" };
  const gint64 before = g_get_real_time () / G_USEC_PER_SEC;
  g_autoptr (GError) error = NULL;
  g_autofree char *token = livekit_token_new (KEY, SECRET, &grants, &error);
  const gint64 after = g_get_real_time () / G_USEC_PER_SEC;
  g_autoptr (JsonObject) claims = NULL;
  JsonObject *video;

  g_assert_no_error (error);
  claims = verify (token);
  assert_members (claims, "exp iss kind name nbf sub video");
  g_assert_cmpstr (json_object_get_string_member (claims, "iss"), ==, KEY);
  g_assert_cmpstr (json_object_get_string_member (claims, "sub"), ==, "viewer-1");
  g_assert_cmpstr (json_object_get_string_member (claims, "name"), ==, "Haven Player");
  g_assert_cmpstr (json_object_get_string_member (claims, "kind"), ==, "standard");
  g_assert_cmpint (json_object_get_int_member (claims, "nbf"), >=, before - 10);
  g_assert_cmpint (json_object_get_int_member (claims, "nbf"), <=, after - 10);
  g_assert_cmpint (json_object_get_int_member (claims, "exp"), ==,
      json_object_get_int_member (claims, "nbf") + 610);

  video = json_object_get_object_member (claims, "video");
  assert_members (video, "canPublish canPublishData canSubscribe room roomJoin");
  g_assert_cmpstr (json_object_get_string_member (video, "room"), ==, "demo");
  g_assert_true (json_object_get_boolean_member (video, "roomJoin"));
  g_assert_true (json_object_get_boolean_member (video, "canSubscribe"));
  g_assert_false (json_object_get_boolean_member (video, "canPublish"));
  g_assert_false (json_object_get_boolean_member (video, "canPublishData"));
}

static void
hidden_and_validity_are_as_asked (void)
{
  const LiveKitTokenGrants grants
      = { .room_name = "demo", .identity = "ghost", .validity = 60, .hidden = TRUE };
  g_autofree char *token = livekit_token_new (KEY, SECRET, &grants, NULL);
  g_autoptr (JsonObject) claims = verify (token);

  assert_members (claims, "exp iss kind nbf sub video");
  g_assert_true (
      json_object_get_boolean_member (json_object_get_object_member (claims, "video"), "hidden"));
  g_assert_cmpint (json_object_get_int_member (claims, "exp"), ==,
      json_object_get_int_member (claims, "nbf") + 70);
}

static void
room_name_cannot_smuggle_a_grant (void)
{
  static const char *const names[] = { "a\",\"roomAdmin\":true,\"x\":\"", "back\\slash",
    "new\nline\ttab", "Ünïcödé 🎥", "{}", "]" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    const LiveKitTokenGrants grants
        = { .room_name = names[i], .identity = names[i], .participant_name = names[i] };
    g_autofree char *token = livekit_token_new (KEY, SECRET, &grants, NULL);
    g_autoptr (JsonObject) claims = verify (token);
    g_autoptr (LiveKitTokenInfo) info = livekit_token_inspect (token, NULL);
    JsonObject *video = json_object_get_object_member (claims, "video");

    assert_members (video, "canPublish canPublishData canSubscribe room roomJoin");
    g_assert_cmpstr (json_object_get_string_member (video, "room"), ==, names[i]);
    g_assert_cmpstr (info->room_name, ==, names[i]);
    g_assert_cmpstr (info->identity, ==, names[i]);
  }
}

static void
incomplete_grants_make_no_token (void)
{
  static const struct
  {
    const char *key, *secret, *room, *identity, *name, *says;
  } cases[] = {
    { NULL, SECRET, "r", "i", NULL, "key" },
    { "", SECRET, "r", "i", NULL, "key" },
    { KEY, NULL, "r", "i", NULL, "secret" },
    { KEY, "", "r", "i", NULL, "secret" },
    { KEY, SECRET, NULL, "i", NULL, "room" },
    { KEY, SECRET, "", "i", NULL, "room" },
    { KEY, SECRET, "\xff", "i", NULL, "room" },
    { KEY, SECRET, "r", NULL, NULL, "identity" },
    { KEY, SECRET, "r", "", NULL, "identity" },
    { KEY, SECRET, "r", "i", "\xc3", "name" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const LiveKitTokenGrants grants = {
      .room_name = cases[i].room, .identity = cases[i].identity, .participant_name = cases[i].name
    };
    g_autoptr (GError) error = NULL;

    g_assert_null (livekit_token_new (cases[i].key, cases[i].secret, &grants, &error));
    g_assert_error (error, G_CONVERT_ERROR, G_CONVERT_ERROR_FAILED);
    g_assert_nonnull (strstr (error->message, cases[i].says));
    g_assert_null (strstr (error->message, SECRET));
  }
}

static char *
encode (const char *header, const char *claims)
{
  g_autofree char *a = g_base64_encode ((const guchar *)header, strlen (header));
  g_autofree char *b = g_base64_encode ((const guchar *)claims, strlen (claims));
  char *token = g_strdup_printf (
      "%s.%s.c2lnbmF0dXJl", g_strdelimit (a, "+", '-'), g_strdelimit (b, "+", '-'));

  g_strdelimit (token, "/", '_');
  for (char *c; (c = strchr (token, '=')) != NULL;)
    memmove (c, c + 1, strlen (c));
  return token;
}

static void
tokens_of_others_are_read_without_their_key (void)
{
  static const struct
  {
    const char *header, *claims, *identity, *room;
    gint64 expires_at;
  } cases[] = {
    { "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"sub\":\"me\",\"exp\":1700000000,\"video\":{\"room\":\"demo\"}}", "me", "demo",
        1700000000 },
    { "{\"typ\":\"JWT\",\"alg\":\"HS512\"}", "{\"video\":{\"room\":\"demo\"}}", NULL, "demo", 0 },
    { "{\"alg\":\"HS256\"}", "{\"sub\":\"me\",\"video\":{\"roomJoin\":true}}", "me", NULL, 0 },
    { "{\"alg\":\"HS256\"}", "{\"sub\":7,\"exp\":\"soon\",\"video\":[1,2]}", NULL, NULL, 0 },
    { "{\"alg\":\"HS256\"}", "{\"exp\":-5,\"video\":\"demo\"}", NULL, NULL, 0 },
    { "{\"alg\":\"HS256\"}", "{\"video\":{\"room\":{\"name\":1}}}", NULL, NULL, 0 },
    { "{\"alg\":\"HS256\"}", "{}", NULL, NULL, 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *token = encode (cases[i].header, cases[i].claims);
    g_autoptr (GError) error = NULL;
    g_autoptr (LiveKitTokenInfo) info = livekit_token_inspect (token, &error);

    g_assert_no_error (error);
    g_assert_cmpstr (info->identity, ==, cases[i].identity);
    g_assert_cmpstr (info->room_name, ==, cases[i].room);
    g_assert_cmpint (info->expires_at, ==, cases[i].expires_at);
  }
}

static void
assert_malformed (const char *token)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (livekit_token_inspect (token, &error));
  g_assert_error (error, G_CONVERT_ERROR, G_CONVERT_ERROR_ILLEGAL_SEQUENCE);
  g_assert_cmpstr (error->message, ==, "The access token is not a JSON Web Token.");
}

static void
malformed_tokens_are_an_error (void)
{
  static const char *const tokens[] = { "", ".", "..", "...", "garbage", "a.b", "a.b.c",
    "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJIUzI1NiJ9.", "eyJhbGciOiJIUzI1NiJ9..",
    "eyJhbGciOiJIUzI1NiJ9.W10.x", "W10.W10.x", "eyJhbGciOiJIUzI1NiJ9.e30", "\xff\xfe.\xff.\xff",
    "e30.e30.x", "eyJhbGciOiJIUzI1NiJ9.e30=.x", "eyJhbGciOiJIUzI1NiJ9.e30.x.y",
    "eyJhbGciOiJIUzI1NiJ9.eyJhIjoiAAAifQ.x", "=.=.=" };
  g_autofree char *huge = g_strnfill (1024 * 1024, 'a');
  g_autofree char *deep = g_strnfill (40000, '[');
  g_autofree char *nested = encode ("{\"alg\":\"HS256\"}", deep);

  assert_malformed (NULL);
  assert_malformed (huge);
  assert_malformed (nested);
  for (guint i = 0; i < G_N_ELEMENTS (tokens); i++)
    assert_malformed (tokens[i]);
}

/* Every prefix, and every byte changed: read or refused, never a crash. */
static void
damaged_tokens_do_no_harm (void)
{
  const LiveKitTokenGrants grants = { .room_name = "demo", .identity = "viewer" };
  g_autofree char *token = livekit_token_new (KEY, SECRET, &grants, NULL);

  for (gsize i = 0; i < strlen (token); i++) {
    g_autofree char *prefix = g_strndup (token, i);
    g_autofree char *changed = g_strdup (token);

    livekit_token_info_free (livekit_token_inspect (prefix, NULL));
    for (guint c = 1; c < 256; c += 5) {
      changed[i] = (char)c;
      livekit_token_info_free (livekit_token_inspect (changed, NULL));
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(test) g_test_add_func ("/token/" #test, test)
  ADD (token_lets_its_holder_watch_and_nothing_else);
  ADD (hidden_and_validity_are_as_asked);
  ADD (room_name_cannot_smuggle_a_grant);
  ADD (incomplete_grants_make_no_token);
  ADD (tokens_of_others_are_read_without_their_key);
  ADD (malformed_tokens_are_an_error);
  ADD (damaged_tokens_do_no_harm);
  return g_test_run ();
}
