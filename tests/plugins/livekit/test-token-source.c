/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-token-source.h"
#include "livekit-token.h"

#include <json-glib/json-glib.h>
#include <libsoup/soup.h>
#include <string.h>

#include "fake-livekit.h"

/* ---- asking
 * ------------------------------------------------------------------------------------------------------
 */

typedef struct
{
  gboolean done;
  LiveKitCredentials *credentials;
  GError *error;
} Answer;

static void
answer_clear (Answer *answer)
{
  g_clear_pointer (&answer->credentials, livekit_credentials_free);
  g_clear_error (&answer->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Answer, answer_clear)

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Answer *answer = user_data;

  answer->credentials = livekit_token_source_get_finish (result, &answer->error);
  answer->done = TRUE;
}

static void
ask (const LiveKitTokenSource *source, Answer *answer)
{
  livekit_token_source_get_async (source, NULL, FALSE, NULL, on_answer, answer);
  wait_until (answer->done);
  g_assert_true ((answer->credentials == NULL) == (answer->error != NULL));
}

static void
assert_error (const LiveKitTokenSource *source, int code, const char *says)
{
  g_auto (Answer) answer = { 0 };

  ask (source, &answer);
  g_assert_error (answer.error, LIVEKIT_ERROR, code);
  g_test_message ("%s", answer.error->message);
  g_assert_nonnull (strstr (answer.error->message, says));
}

/* ---- an endpoint
 * -------------------------------------------------------------------------------------------------
 */

typedef struct
{
  SoupServer *server;
  char *url;
  guint status;     /* of the answer; 0: never answers */
  const char *body; /* of the answer */
  const char *location;
  guint n_requests;
  char *method, *request, *content_type;
} Endpoint;

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
    gpointer user_data)
{
  Endpoint *endpoint = user_data;
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (message);
  g_autoptr (GBytes) request
      = soup_message_body_flatten (soup_server_message_get_request_body (message));

  endpoint->n_requests++;
  g_free (endpoint->method);
  endpoint->method = g_strdup (soup_server_message_get_method (message));
  g_free (endpoint->request);
  endpoint->request = g_strndup (g_bytes_get_data (request, NULL), g_bytes_get_size (request));
  g_free (endpoint->content_type);
  endpoint->content_type = g_strdup (soup_message_headers_get_one (headers, "Content-Type"));
  if (endpoint->status == 0) {
    soup_server_message_pause (message);
    return;
  }
  soup_server_message_set_status (message, endpoint->status, NULL);
  soup_server_message_set_response (
      message, "application/json", SOUP_MEMORY_COPY, endpoint->body, strlen (endpoint->body));
  headers = soup_server_message_get_response_headers (message);
  soup_message_headers_replace (headers, "Connection", "close");
  if (endpoint->location)
    soup_message_headers_replace (headers, "Location", endpoint->location);
}

static Endpoint *
endpoint_new (GTlsCertificate *certificate)
{
  Endpoint *endpoint = g_new0 (Endpoint, 1);
  g_autoptr (GError) error = NULL;
  GSList *uris;

  endpoint->status = 200;
  endpoint->body = "{}";
  endpoint->server = g_object_new (SOUP_TYPE_SERVER, "tls-certificate", certificate, NULL);
  soup_server_add_handler (endpoint->server, NULL, on_request, endpoint, NULL);
  soup_server_listen_local (endpoint->server, 0,
      SOUP_SERVER_LISTEN_IPV4_ONLY | (certificate ? SOUP_SERVER_LISTEN_HTTPS : 0), &error);
  g_assert_no_error (error);
  uris = soup_server_get_uris (endpoint->server);
  endpoint->url = g_strdup_printf (
      "%s://127.0.0.1:%d/token", certificate ? "https" : "http", g_uri_get_port (uris->data));
  g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
  return endpoint;
}

static void
endpoint_free (Endpoint *endpoint)
{
  soup_server_disconnect (endpoint->server);
  g_object_unref (endpoint->server);
  g_free (endpoint->url);
  g_free (endpoint->method);
  g_free (endpoint->request);
  g_free (endpoint->content_type);
  g_free (endpoint);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Endpoint, endpoint_free)

static char *
make_token (void)
{
  const LiveKitTokenGrants grants = { .room_name = "room-of-the-token", .identity = "me" };

  return livekit_token_new ("devkey", "secret", &grants, NULL);
}

/* ---- tests
 * -------------------------------------------------------------------------------------------------------
 */

static void
given_token_is_passed_on (void)
{
  g_autofree char *token = make_token ();
  const LiveKitTokenSource source = { .url = (char *)"ws://host", .token = token };
  g_auto (Answer) answer = { 0 };

  ask (&source, &answer);
  g_assert_no_error (answer.error);
  g_assert_cmpstr (answer.credentials->url, ==, "ws://host");
  g_assert_cmpstr (answer.credentials->token, ==, token);
  g_assert_cmpstr (answer.credentials->room_name, ==, "room-of-the-token");
  g_assert_cmpstr (answer.credentials->identity, ==, "me");
  g_assert_false (livekit_token_source_can_renew (&source));
}

static void
token_that_cannot_be_read_is_left_to_the_server (void)
{
  const LiveKitTokenSource source = { .url = (char *)"ws://host", .token = (char *)"garbage" };
  g_auto (Answer) answer = { 0 };

  ask (&source, &answer);
  g_assert_no_error (answer.error);
  g_assert_cmpstr (answer.credentials->token, ==, "garbage");
  g_assert_null (answer.credentials->room_name);
  g_assert_null (answer.credentials->identity);
}

static void
token_is_made_of_key_and_secret (void)
{
  const LiveKitTokenSource source = { .url = (char *)"ws://host",
    .token = (char *)"not this one",
    .api_key = (char *)"k",
    .api_secret = (char *)"s",
    .room_name = (char *)"demo",
    .identity = (char *)"viewer" };
  g_auto (Answer) first = { 0 }, second = { 0 };
  g_autoptr (LiveKitTokenInfo) info = NULL;

  ask (&source, &first);
  g_assert_no_error (first.error);
  info = livekit_token_inspect (first.credentials->token, NULL);
  g_assert_cmpstr (info->room_name, ==, "demo");
  g_assert_cmpint (info->expires_at, >, g_get_real_time () / G_USEC_PER_SEC + 500);
  g_assert_cmpstr (first.credentials->room_name, ==, "demo");
  g_assert_cmpstr (first.credentials->identity, ==, "viewer");
  g_assert_true (livekit_token_source_can_renew (&source));
  ask (&source, &second);
  g_assert_no_error (second.error);
}

static void
what_is_missing_is_named (void)
{
  char *const x = (char *)"x", *const empty = (char *)"";
  const struct
  {
    LiveKitTokenSource source;
    const char *says;
  } cases[] = {
    { { .url = x }, "An access token" },
    { { .url = x, .token = empty, .api_key = empty }, "An access token" },
    { { .url = x, .api_key = x }, "The API secret" },
    { { .url = x, .api_secret = x }, "The API key" },
    { { .token = x }, "address of the server" },
    { { .url = empty, .token = x }, "address of the server" },
    { { .api_key = x, .api_secret = x, .room_name = x, .identity = x }, "address of the server" },
    { { .url = x, .api_key = x, .api_secret = x, .identity = x }, "name of the room" },
    { { .url = x, .api_key = x, .api_secret = x, .room_name = x }, "identity" },
    { { .url = x, .token_endpoint = (char *)"http://127.0.0.1:9/" }, "name of the room" },
    { { .url = x, .token_endpoint = (char *)"ws://127.0.0.1:9/", .room_name = x },
        "token endpoint" },
    { { .url = x, .token_endpoint = (char *)"http://", .room_name = x }, "token endpoint" },
    { { .url = x, .token_endpoint = (char *)"nonsense", .room_name = x }, "token endpoint" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_error (&cases[i].source, LIVEKIT_ERROR_CONFIG, cases[i].says);
}

static void
key_with_a_token_beside_half_of_it_is_not_used (void)
{
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token = (char *)"given", .api_key = (char *)"from the environment"
  };
  g_auto (Answer) answer = { 0 };

  ask (&source, &answer);
  g_assert_no_error (answer.error);
  g_assert_cmpstr (answer.credentials->token, ==, "given");
  g_assert_false (livekit_token_source_can_renew (&source));
}

static void
endpoint_is_asked_for_a_viewer (void)
{
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  g_autofree char *token = make_token ();
  g_autofree char *body = g_strdup_printf ("{\"token\":\"%s\"}", token);
  const LiveKitTokenSource source = { .url = (char *)"ws://host",
    .token = (char *)"no",
    .api_key = (char *)"no",
    .api_secret = (char *)"no",
    .token_endpoint = endpoint->url,
    .room_name = (char *)"a \"coin\"" };
  g_auto (Answer) answer = { 0 };
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *request;

  endpoint->body = body;
  ask (&source, &answer);
  g_assert_no_error (answer.error);
  g_assert_cmpstr (answer.credentials->url, ==, "ws://host");
  g_assert_cmpstr (answer.credentials->token, ==, token);
  g_assert_cmpstr (answer.credentials->room_name, ==, "room-of-the-token");
  g_assert_cmpstr (answer.credentials->identity, ==, "me");
  g_assert_true (livekit_token_source_can_renew (&source));

  g_assert_cmpstr (endpoint->method, ==, "POST");
  g_assert_cmpstr (endpoint->content_type, ==, "application/json");
  g_assert_true (json_parser_load_from_data (parser, endpoint->request, -1, NULL));
  request = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpint (json_object_get_size (request), ==, 2);
  g_assert_cmpstr (json_object_get_string_member (request, "mintId"), ==, "a \"coin\"");
  g_assert_cmpstr (json_object_get_string_member (request, "role"), ==, "viewer");
}

static void
answers_of_every_spelling_are_read (void)
{
  static const struct
  {
    guint status;
    const char *body, *url, *token, *room, *info;
  } cases[] = {
    { 201,
        "{\"token\":\"t\",\"livekit_url\":\"wss://"
        "a\",\"room_name\":\"r\",\"stream_info\":{\"x\":[1,2]}}",
        "wss://a", "t", "r", "{\"x\":[1,2]}" },
    { 200, "{\"token\":\"t\",\"stream_info\":\"a \\\"word\\\"\"}", "ws://host", "t", NULL,
        "\"a \\\"word\\\"\"" },
    { 200, "{\"token\":\"t\",\"stream_info\":null}", "ws://host", "t", NULL },
    { 200, "{\"participant_token\":\"t\",\"server_url\":\"wss://b\"}", "wss://b", "t", NULL },
    { 200, "{\"participantToken\":\"t\",\"serverUrl\":\"wss://c\",\"roomName\":\"r\"}", "wss://c",
        "t", "r" },
    { 200, "{\"token\":\"t\",\"livekit_url\":null,\"room_name\":7}", "ws://host", "t", NULL },
    { 200, "{\"token\":\"\",\"participantToken\":\"t\",\"livekit_url\":\"\"}", "ws://host", "t",
        NULL },
  };
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Answer) answer = { 0 };

    endpoint->status = cases[i].status;
    endpoint->body = cases[i].body;
    ask (&source, &answer);
    g_assert_no_error (answer.error);
    g_assert_cmpstr (answer.credentials->url, ==, cases[i].url);
    g_assert_cmpstr (answer.credentials->token, ==, cases[i].token);
    g_assert_cmpstr (answer.credentials->room_name, ==, cases[i].room);
    g_assert_cmpstr (answer.credentials->stream_info, ==, cases[i].info);
  }
}

static void
what_is_said_of_the_stream_is_bounded (void)
{
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };

  endpoint->status = 200;
  for (guint extra = 0; extra < 2;
       extra++) { /* with its quotes it is as long as can be, or longer */
    g_autofree char *filler = g_strnfill (LIVEKIT_STREAM_INFO_MAX - 2 + extra, 'x');
    g_autofree char *body = g_strdup_printf ("{\"token\":\"t\",\"stream_info\":\"%s\"}", filler);
    g_auto (Answer) answer = { 0 };

    endpoint->body = body;
    ask (&source, &answer);
    g_assert_no_error (answer.error);
    g_assert_cmpuint (answer.credentials->stream_info != NULL, ==, extra == 0);
  }
}

static void
useless_answers_are_errors (void)
{
  g_autofree char *brackets = g_strnfill (60000, '[');
  g_autofree char *deep = g_strconcat ("{\"token\":", brackets, NULL);
  g_autofree char *filler = g_strnfill (70000, ' ');
  g_autofree char *large = g_strconcat ("{\"token\":\"t\"", filler, "}", NULL);
  const char *const bodies[] = { "", "{}", "[]", "null", "\"token\"", "{\"token\":7}",
    "{\"token\":\"\"}", "{\"token\":\"t\"", "{\"token\":\"a\\r\\nX: y\"}", "{\"token\":\"a b\"}",
    "{\"tok\xff\":\"t\"}", "<html>", deep, large };
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };

  for (guint i = 0; i < G_N_ELEMENTS (bodies); i++) {
    endpoint->body = bodies[i];
    assert_error (&source, LIVEKIT_ERROR_PROTOCOL, "The token endpoint answered with");
  }
}

static void
server_address_must_come_from_somewhere (void)
{
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  const LiveKitTokenSource source
      = { .token_endpoint = endpoint->url, .room_name = (char *)"demo" };

  endpoint->body = "{\"token\":\"t\"}";
  assert_error (&source, LIVEKIT_ERROR_CONFIG, "address of the server");
}

static void
refusals_carry_the_detail (void)
{
  static const struct
  {
    guint status;
    const char *body;
    int code;
    const char *says;
  } cases[] = {
    { 400, "{\"detail\":\"no such coin\"}", LIVEKIT_ERROR_CONFIG, "no such coin" },
    { 422, "{\"message\":\"mintId is wrong\"}", LIVEKIT_ERROR_CONFIG, "mintId is wrong" },
    { 401, "{\"error\":\"log in\"}", LIVEKIT_ERROR_UNAUTHORIZED, "log in" },
    { 403, "{\"error\":{\"nested\":1}}", LIVEKIT_ERROR_UNAUTHORIZED, "HTTP 403" },
    { 404, "no page here", LIVEKIT_ERROR_NOT_FOUND, "no page here" },
    { 404, "<html>nginx</html>", LIVEKIT_ERROR_NOT_FOUND, "HTTP 404" },
    { 429, "", LIVEKIT_ERROR_UNAVAILABLE, "HTTP 429" },
    { 500, "{\"detail\":\"a\\r\\nb\"}", LIVEKIT_ERROR_UNAVAILABLE, "a  b" },
    { 503, "{", LIVEKIT_ERROR_UNAVAILABLE, "HTTP 503" },
    { 204, "", LIVEKIT_ERROR_PROTOCOL, "HTTP 204" },
  };
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    endpoint->status = cases[i].status;
    endpoint->body = cases[i].body;
    assert_error (&source, cases[i].code, cases[i].says);
    assert_error (&source, cases[i].code, "token endpoint");
  }
}

static void
endpoint_does_not_redirect_us (void)
{
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL), other = endpoint_new (NULL);
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };

  endpoint->status = 307;
  endpoint->location = other->url;
  assert_error (&source, LIVEKIT_ERROR_PROTOCOL, "307");
  g_assert_cmpint (other->n_requests, ==, 0);
}

static void
endpoint_that_is_not_there_is_unavailable (void)
{
  g_autofree char *ws = fake_livekit_unused_url ();
  g_autofree char *url = g_strconcat ("http", ws + strlen ("ws"), NULL);
  const LiveKitTokenSource source
      = { .url = (char *)"ws://host", .token_endpoint = url, .room_name = (char *)"demo" };

  assert_error (&source, LIVEKIT_ERROR_UNAVAILABLE, "Token endpoint");
}

static void
request_can_be_cancelled (void)
{
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Answer) waiting = { 0 }, beforehand = { 0 };

  endpoint->status = 0;
  livekit_token_source_get_async (&source, NULL, FALSE, cancellable, on_answer, &waiting);
  wait_until (endpoint->n_requests == 1);
  g_cancellable_cancel (cancellable);
  wait_until (waiting.done);
  g_assert_error (waiting.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  livekit_token_source_get_async (&source, NULL, FALSE, cancellable, on_answer, &beforehand);
  wait_until (beforehand.done);
  g_assert_error (beforehand.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
source_may_go_while_it_is_asked (void)
{
  g_autoptr (Endpoint) endpoint = endpoint_new (NULL);
  const LiveKitTokenSource original = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };
  LiveKitTokenSource *source = livekit_token_source_copy (&original);
  g_auto (Answer) answer = { 0 };

  endpoint->body = "{\"token\":\"t\"}";
  livekit_token_source_get_async (source, NULL, FALSE, NULL, on_answer, &answer);
  livekit_token_source_free (source);
  wait_until (answer.done);
  g_assert_no_error (answer.error);
  g_assert_cmpstr (answer.credentials->url, ==, "ws://host");
}

static void
endpoint_over_tls_is_verified (void)
{
  g_autofree char *pem = g_build_filename (g_getenv ("TEST_CERTIFICATES"), "local.pem", NULL);
  g_autofree char *ca_pem = g_build_filename (g_getenv ("TEST_CERTIFICATES"), "ca.pem", NULL);
  g_autoptr (GTlsCertificate) certificate = g_tls_certificate_new_from_file (pem, NULL);
  g_autoptr (GTlsDatabase) ca = g_tls_file_database_new (ca_pem, NULL);
  g_autoptr (Endpoint) endpoint = endpoint_new (certificate);
  const LiveKitTokenSource source = {
    .url = (char *)"ws://host", .token_endpoint = endpoint->url, .room_name = (char *)"demo"
  };
  g_auto (Answer) trusted = { 0 }, insecure = { 0 };

  endpoint->body = "{\"token\":\"t\"}";
  assert_error (&source, LIVEKIT_ERROR_TLS, "not trusted");
  livekit_token_source_get_async (&source, ca, FALSE, NULL, on_answer, &trusted);
  wait_until (trusted.done);
  g_assert_no_error (trusted.error);
  livekit_token_source_get_async (&source, NULL, TRUE, NULL, on_answer, &insecure);
  wait_until (insecure.done);
  g_assert_no_error (insecure.error);
}

static void
copy_holds_everything (void)
{
  LiveKitTokenSource source = { g_strdup ("1"), g_strdup ("2"), g_strdup ("3"), g_strdup ("4"),
    g_strdup ("5"), g_strdup ("6"), g_strdup ("7"), g_strdup ("8") };
  g_autoptr (LiveKitTokenSource) copy = livekit_token_source_copy (&source);
  char *const *from = (char *const *)&source, *const *to = (char *const *)copy;

  for (gsize i = 0; i < sizeof (source) / sizeof (char *); i++)
    g_assert_cmpstr (from[i], ==, to[i]);
  livekit_token_source_clear (&source);
  g_assert_null (source.url);
  g_assert_cmpstr (copy->participant_name, ==, "8");
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
#define ADD(test) g_test_add_func ("/token-source/" #test, test)
  ADD (given_token_is_passed_on);
  ADD (token_that_cannot_be_read_is_left_to_the_server);
  ADD (token_is_made_of_key_and_secret);
  ADD (what_is_missing_is_named);
  ADD (key_with_a_token_beside_half_of_it_is_not_used);
  ADD (endpoint_is_asked_for_a_viewer);
  ADD (answers_of_every_spelling_are_read);
  ADD (what_is_said_of_the_stream_is_bounded);
  ADD (useless_answers_are_errors);
  ADD (server_address_must_come_from_somewhere);
  ADD (refusals_carry_the_detail);
  ADD (endpoint_does_not_redirect_us);
  ADD (endpoint_that_is_not_there_is_unavailable);
  ADD (request_can_be_cancelled);
  ADD (source_may_go_while_it_is_asked);
  ADD (endpoint_over_tls_is_verified);
  ADD (copy_holds_everything);
  result = g_test_run ();
  fake_livekit_wait_for_threads ();
  return result;
}
