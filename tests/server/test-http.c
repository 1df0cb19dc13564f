/* haven-http alone, with routes of its own: what clients that misbehave get, and that nothing of
 * them stays.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "haven-http.h"
#include "haven-log.h"

#define MANY 300 /* more than one address may have at a time */
#define BIG (16 * 1024 * 1024)

typedef struct
{
  HavenConfig *config;
  HavenHttp *http;
} Fixture;

static void
say_plain (HavenRequest *request)
{
  JsonObject *body = json_object_new ();

  json_object_set_string_member (body, "word", "plain");
  haven_request_reply_json (request, 200, body);
}

static void
say_big (HavenRequest *request)
{
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (BIG), BIG);

  haven_request_reply_data (request, 200, "application/octet-stream", bytes, NULL);
}

static const HavenField fields[] = { { "word", HAVEN_FIELD_STRING }, { NULL } };

static const HavenRoute routes[] = {
  { "GET", "/plain", say_plain },
  { "GET", "/open", say_plain, NULL, HAVEN_ROUTE_OPEN },
  { "GET", "/big", say_big },
  { "POST", "/body", say_plain, fields },
  { "GET", "/of/{id}", say_plain },
  { NULL },
};

static void
set (Fixture *fixture, HavenKey key, const char *value)
{
  g_autoptr (GError) error = NULL;

  haven_config_set (fixture->config, HAVEN_LAYER_COMMAND_LINE, key, value, &error);
  g_assert_no_error (error);
}

static void
begin (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  fixture->http = haven_http_new (NULL, fixture->config, routes);
  haven_http_listen (fixture->http, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
  fixture->config = haven_config_new ();
  set (fixture, HAVEN_KEY_LISTEN, "127.0.0.1:0");
}

static guint
n_open (Fixture *fixture)
{
  guint64 requests, refused;
  guint open;

  haven_http_counters (fixture->http, &open, &requests, &refused);
  return open;
}

static void
until_none_is_open (Fixture *fixture)
{
  gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;

  while (n_open (fixture) > 0 && g_get_monotonic_time () < end)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (n_open (fixture), ==, 0);
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  until_none_is_open (fixture);
  haven_http_free (fixture->http);
  haven_config_free (fixture->config);
}

/* -- clients -- */

static GSocket * /* (transfer full) */
reach (Fixture *fixture)
{
  g_autoptr (GSocketAddress) address
      = g_inet_socket_address_new_from_string ("127.0.0.1", haven_http_port (fixture->http));
  g_autoptr (GError) error = NULL;
  GSocket *socket
      = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);

  g_assert_no_error (error);
  g_socket_connect (socket, address, NULL, &error);
  g_assert_no_error (error);
  g_socket_set_blocking (socket, FALSE);
  return socket;
}

static void
say (GSocket *socket, const char *text)
{
  g_assert_cmpint (g_socket_send (socket, text, strlen (text), NULL, NULL), ==, strlen (text));
}

/* Returns: (transfer full): all that comes until the server closes */
static char *
hear (GSocket *socket)
{
  GString *text = g_string_new (NULL);
  gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  char buffer[16 * 1024];

  while (g_get_monotonic_time () < end) {
    g_autoptr (GError) error = NULL;
    gssize size = g_socket_receive (socket, buffer, sizeof buffer, NULL, &error);

    if (size > 0)
      g_string_append_len (text, buffer, size);
    else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
      return g_string_free (text, FALSE);
    g_main_context_iteration (NULL, FALSE);
  }
  g_error ("nothing ended within 20 s: %s", text->str);
}

static char * /* (transfer full) */
ask (Fixture *fixture, const char *text)
{
  g_autoptr (GSocket) socket = reach (fixture);

  say (socket, text);
  return hear (socket);
}

static void
assert_answer (const char *answer, guint status, const char *part)
{
  g_autofree char *line = g_strdup_printf (" %u ", status);

  if (strstr (answer, line) != answer + strlen ("HTTP/1.1") || !strstr (answer, part))
    g_error ("not %u with “%s”: %s", status, part, answer);
}

#define HEAD(line) line " HTTP/1.1\r\nHost: localhost\r\n"
#define JSON "Content-Type: application/json\r\n"

/* -- tests -- */

static void
uploads_that_are_given_up_leave_nothing (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *answer = NULL;

  begin (fixture);
  for (guint i = 0; i < MANY; i++) {
    g_autoptr (GSocket) socket = reach (fixture);

    say (socket, i % 2 ? HEAD ("POST /body") JSON "Content-Length: 9\r\n\r\n{\"a\""
                       : HEAD ("GET /plain") "Content-Length: 9\r\n\r\n");
    for (guint n = 0; n < 5; n++) /* it gets to read the head */
      g_main_context_iteration (NULL, FALSE);
    g_socket_close (socket, NULL);
  }
  until_none_is_open (fixture);
  answer = ask (fixture, HEAD ("GET /plain") "\r\n");
  assert_answer (answer, 200, "\"plain\"");
}

static void
a_request_that_takes_too_long_hears_408 (Fixture *fixture, gconstpointer unused)
{
  static const char *const beginnings[]
      = { "GET /pl", HEAD ("POST /body") JSON "Content-Length: 9\r\n\r\n{" };

  set (fixture, HAVEN_KEY_REQUEST_TIMEOUT, "1");
  begin (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (beginnings); i++) {
    g_autofree char *answer = ask (fixture, beginnings[i]);

    assert_answer (answer, 408, "\"request_timeout\"");
  }
}

static void
one_connection_too_many_hears_503 (Fixture *fixture, gconstpointer unused)
{
  GSocket *idle[4];
  g_autofree char *answer = NULL;

  set (fixture, HAVEN_KEY_MAX_CONNECTIONS_PER_ADDRESS, "4");
  begin (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (idle); i++)
    idle[i] = reach (fixture);
  answer = ask (fixture, HEAD ("GET /plain") "\r\n");
  assert_answer (answer, 503, "Retry-After: ");
  assert_answer (answer, 503, "\"limit_reached\"");
  for (guint i = 0; i < G_N_ELEMENTS (idle); i++)
    g_object_unref (idle[i]);
}

static void
the_oldest_of_too_many_hears_503 (Fixture *fixture, gconstpointer unused)
{
  GSocket *idle[8];
  g_autofree char *answer = NULL, *last_words = NULL;

  set (fixture, HAVEN_KEY_MAX_CONNECTIONS, "8");
  begin (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (idle); i++)
    idle[i] = reach (fixture);
  answer = ask (fixture, HEAD ("GET /plain") "\r\n");
  assert_answer (answer, 200, "\"plain\"");
  last_words = hear (idle[0]);
  assert_answer (last_words, 503, "\"limit_reached\"");
  for (guint i = 0; i < G_N_ELEMENTS (idle); i++)
    g_object_unref (idle[i]);
}

static void
an_answer_that_is_not_taken_is_given_up (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GSocket) socket = NULL;

  set (fixture, HAVEN_KEY_REQUEST_TIMEOUT, "1");
  begin (fixture);
  socket = reach (fixture);
  say (socket, HEAD ("GET /big") "\r\n");
  while (n_open (fixture) == 0)
    g_main_context_iteration (NULL, FALSE);
  until_none_is_open (fixture); /* although nobody reads and nobody leaves */
}

static void
what_is_refused_is_answered_before_its_body_is_there (Fixture *fixture, gconstpointer unused)
{
  static const struct
  {
    const char *head;
    guint status;
    const char *code;
  } refused[] = {
    { HEAD ("POST /body") JSON "Content-Length: 99999999\r\n\r\n{", 413, "\"body_too_large\"" },
    { HEAD ("POST /body") "Content-Type: text/plain\r\nContent-Length: 9\r\n\r\n", 415,
        "\"unsupported_media_type\"" },
    { HEAD ("POST /nothing") "Content-Length: 9\r\n\r\n", 404, "\"not_found\"" },
    { HEAD ("POST /plain") "Transfer-Encoding: chunked\r\n\r\n", 405, "Allow: GET, HEAD" },
    { HEAD ("POST /body") JSON "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", 413,
        "\"body_too_large\"" },
  };

  begin (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autofree char *answer = ask (fixture, refused[i].head);

    assert_answer (answer, refused[i].status, refused[i].code);
  }
}

static void
a_chunked_body_may_not_grow_for_ever (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *blanks = g_strnfill (0x8000, ' ');
  g_autofree char *chunk = g_strconcat ("8000\r\n", blanks, "\r\n", NULL);
  g_autofree char *answer = NULL;

  begin (fixture);
  socket = reach (fixture);
  say (socket, HEAD ("POST /body") JSON "Transfer-Encoding: chunked\r\n\r\n");
  for (guint i = 0; i < 3; i++)
    say (socket, chunk);
  answer = hear (socket);
  assert_answer (answer, 413, "\"body_too_large\"");
}

static void
json_is_never_answered_in_parts (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *part = NULL, *beyond = NULL;

  begin (fixture);
  part = ask (fixture, HEAD ("GET /plain") "Range: bytes=0-3\r\n\r\n");
  assert_answer (part, 200, "{\"word\":\"plain\"}");
  beyond = ask (fixture, HEAD ("GET /plain") "Range: bytes=9999-\r\n\r\n");
  assert_answer (beyond, 200, "{\"word\":\"plain\"}");
}

static void
what_libsoup_refuses_has_our_form (Fixture *fixture, gconstpointer unused)
{
  static const char *const bad[] = {
    "NONSENSE\r\n\r\n",
    "GET /plain HTTP/1.1\r\n\r\n", /* no Host */
    HEAD ("GET /of/a%2f..%2f..%2fb") "\r\n",
    HEAD ("GET /of/a%00b") "\r\n",
  };

  begin (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *answer = ask (fixture, bad[i]);

    assert_answer (answer, 400, "\"code\":\"bad_request\"");
    assert_answer (answer, 400, "Content-Type: application/json");
  }
}

static void
a_token_in_the_query_only_reads (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *read = NULL, *write = NULL, *wrong = NULL, *header = NULL;

  set (fixture, HAVEN_KEY_API_TOKEN, "sesame");
  begin (fixture);
  read = ask (fixture, HEAD ("GET /plain?access_token=sesame") "\r\n");
  assert_answer (read, 200, "plain");
  wrong = ask (fixture, HEAD ("GET /plain?access_token=sesam") "\r\n");
  assert_answer (wrong, 401, "WWW-Authenticate: Bearer");
  write = ask (fixture, HEAD ("POST /body?access_token=sesame") JSON "Content-Length: 2\r\n\r\n{}");
  assert_answer (write, 401, "\"unauthorized\"");
  header = ask (fixture,
      HEAD ("POST /body") JSON "Authorization: Bearer sesame\r\nContent-Length: 2\r\n\r\n{}");
  assert_answer (header, 200, "plain");
}

static void
an_allowed_page_may_read_why_it_was_refused (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *locked = NULL, *host = NULL, *stranger = NULL, *rebound = NULL;
  static const char allows[] = "Access-Control-Allow-Origin: http://localhost:3000\r\n";

  set (fixture, HAVEN_KEY_API_TOKEN, "sesame");
  begin (fixture);
  locked = ask (fixture, HEAD ("GET /plain") "Origin: http://localhost:3000\r\n\r\n");
  assert_answer (locked, 401, allows);
  host = ask (
      fixture, "GET /plain HTTP/1.1\r\nHost: example.org\r\nOrigin: http://localhost:3000\r\n\r\n");
  assert_answer (host, 403, allows);
  assert_answer (host, 403, "\"host_not_allowed\"");
  stranger = ask (fixture, HEAD ("GET /plain") "Origin: http://example.org\r\n\r\n");
  assert_answer (stranger, 403, "\"origin_not_allowed\"");
  g_assert_null (strstr (stranger, "Access-Control-Allow-Origin"));
  rebound = ask (
      fixture, "GET /plain HTTP/1.1\r\nHost: example.org\r\nOrigin: http://example.org\r\n\r\n");
  assert_answer (rebound, 403, "\"host_not_allowed\"");
  g_assert_null (strstr (rebound, "Access-Control-Allow-Origin"));
}

static void
a_foreign_page_shows_no_picture_of_ours (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *embedded = NULL, *opened = NULL, *page = NULL, *own = NULL;

  begin (fixture);
  embedded = ask (
      fixture, HEAD ("GET /plain") "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\r\n");
  assert_answer (embedded, 403, "\"origin_not_allowed\"");
  opened = ask (fixture,
      HEAD ("GET /plain") "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\r\n");
  assert_answer (opened, 200, "plain");
  page = ask (
      fixture, HEAD ("GET /open") "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\r\n");
  assert_answer (page, 200, "Cross-Origin-Resource-Policy: same-site");
  own = ask (fixture,
      HEAD ("GET /plain") "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\n\r\n");
  assert_answer (own, 200, "plain");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add ("/http/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (uploads_that_are_given_up_leave_nothing);
  TEST (a_request_that_takes_too_long_hears_408);
  TEST (one_connection_too_many_hears_503);
  TEST (the_oldest_of_too_many_hears_503);
  TEST (an_answer_that_is_not_taken_is_given_up);
  TEST (what_is_refused_is_answered_before_its_body_is_there);
  TEST (a_chunked_body_may_not_grow_for_ever);
  TEST (json_is_never_answered_in_parts);
  TEST (what_libsoup_refuses_has_our_form);
  TEST (a_token_in_the_query_only_reads);
  TEST (an_allowed_page_may_read_why_it_was_refused);
  TEST (a_foreign_page_shows_no_picture_of_ours);
  return g_test_run ();
}
