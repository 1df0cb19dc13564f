/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-livekit.h"
#include "livekit-signal.h"
#include "livekit-token.h"

#include <string.h>

/* ---- a client that writes down what it is told
 * ------------------------------------------------------------------- */

typedef struct _Client Client;

struct _Client
{
  LiveKitSignal *signal;
  GCancellable *cancellable;
  guint n_connected; /* completions of connect */
  GError *connect_error;
  guint n_closed;
  GError *closed_error;
  GArray *types;  /* (element-type LiveKitMessageType) */
  GArray *tokens; /* lengths of refresh tokens */
  gboolean early; /* a message came before connect had completed */
  guint n_done;
  gint64 rtt; /* ms; 0: no pong yet */
  void (*on_message) (Client *client, LiveKitMessage *message);
};

static char *the_token;           /* what every test joins with */
static const char *the_signature; /* its secret part */

static void
on_message (LiveKitSignal *signal, LiveKitMessage *message, Client *client)
{
  if (client->n_connected == 0)
    client->early = TRUE;
  g_array_append_val (client->types, message->type);
  if (message->type == LIVEKIT_MESSAGE_REFRESH_TOKEN) {
    const gsize length = strlen (message->token);

    g_array_append_val (client->tokens, length);
  }
  if (client->on_message)
    client->on_message (client, message);
}

static void
on_closed (LiveKitSignal *signal, GError *error, Client *client)
{
  client->n_closed++;
  g_assert_nonnull (error);
  g_assert_null (client->closed_error);
  client->closed_error = g_error_copy (error);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Client *client = user_data;

  client->n_connected++;
  livekit_signal_connect_finish (LIVEKIT_SIGNAL (source), result, &client->connect_error);
}

static void
on_rtt_measured (LiveKitSignal *signal, gint64 ms, Client *client)
{
  client->rtt = ms;
}

static Client *
client_new (void)
{
  Client *client = g_new0 (Client, 1);

  client->signal = livekit_signal_new ();
  client->cancellable = g_cancellable_new ();
  client->types = g_array_new (FALSE, FALSE, sizeof (LiveKitMessageType));
  client->tokens = g_array_new (FALSE, FALSE, sizeof (gsize));
  g_signal_connect (client->signal, "message", G_CALLBACK (on_message), client);
  g_signal_connect (client->signal, "closed", G_CALLBACK (on_closed), client);
  g_signal_connect (client->signal, "rtt-measured", G_CALLBACK (on_rtt_measured), client);
  return client;
}

static void
client_connect_with (Client *client, const LiveKitSignalParams *params)
{
  LiveKitSignalParams patient = *params;

  if (!patient.explain_time)
    patient.explain_time = 60 * 1000; /* the machine may be slow: what is told is the matter */
  livekit_signal_connect_async (
      client->signal, &patient, client->cancellable, on_connected, client);
}

static void
client_connect (Client *client, const char *url)
{
  const LiveKitSignalParams params = { .url = url, .token = the_token };

  client_connect_with (client, &params);
}

static void
client_join (Client *client, FakeLiveKit *fake)
{
  client_connect (client, fake->url);
  wait_until (client->n_connected == 1);
  g_assert_no_error (client->connect_error);
}

static void
client_free (Client *client)
{
  gpointer signal = client->signal;

  g_assert_cmpint (client->n_connected, <=, 1);
  g_assert_cmpint (client->n_closed, <=, 1);
  g_assert_false (client->early);
  if (client->signal) {
    /* What is on its way out of the process may hold it a little longer; it says no more. */
    g_signal_handlers_disconnect_by_data (client->signal, client);
    g_object_add_weak_pointer (G_OBJECT (client->signal), &signal);
    g_clear_object (&client->signal);
    wait_until (signal == NULL);
  }
  g_object_unref (client->cancellable);
  g_clear_error (&client->connect_error);
  g_clear_error (&client->closed_error);
  g_array_unref (client->types);
  g_array_unref (client->tokens);
  g_free (client);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Client, client_free)

static LiveKitMessageType
nth_type (Client *client, guint n)
{
  g_assert_cmpint (n, <, client->types->len);
  return g_array_index (client->types, LiveKitMessageType, n);
}

static gboolean
on_done (gpointer user_data)
{
  ((Client *)user_data)->n_done++;
  return G_SOURCE_REMOVE;
}

static void
assert_connect_error (Client *client, int code, const char *says)
{
  wait_until (client->n_connected == 1);
  g_assert_error (client->connect_error, LIVEKIT_ERROR, code);
  if (says)
    g_assert_nonnull (strstr (client->connect_error->message, says));
  g_assert_null (strstr (client->connect_error->message, the_signature));
  g_assert_cmpint (client->types->len, ==, 0);
  g_assert_cmpint (client->n_closed, ==, 0);
}

static void
assert_closed (Client *client, int code, const char *says)
{
  wait_until (client->n_closed == 1);
  g_assert_error (client->closed_error, LIVEKIT_ERROR, code);
  if (says)
    g_assert_nonnull (strstr (client->closed_error->message, says));
}

/* ---- joining
 * -----------------------------------------------------------------------------------------------------
 */

static void
join_completes_before_its_message (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  wait_until (client->types->len == 1);
  g_assert_cmpint (nth_type (client, 0), ==, LIVEKIT_MESSAGE_JOIN);
  g_assert_false (client->early);
  g_assert_cmpint (client->rtt, ==, 0);
}

static void
handshake_says_what_the_protocol_asks (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  g_autofree char *bearer = g_strconcat ("Bearer ", the_token, NULL);

  client_join (client, fake);
  g_assert_cmpstr (fake->path, ==, "/rtc");
  g_assert_cmpstr (
      fake->query, ==, "protocol=16&auto_subscribe=0&version=" PACKAGE_VERSION "&os=linux");
  g_assert_cmpstr (fake->authorization, ==, bearer);
  g_assert_null (fake->extensions); /* neither compression nor what we use inside */
  g_assert_cmpstr (fake->user_agent, ==, "haven-live/" PACKAGE_VERSION);
  g_assert_cmpint (fake->n_validates, ==, 0);
}

static void
resume_names_session_and_reason (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  const LiveKitSignalParams params
      = { .url = fake->url, .token = the_token, .resume_sid = "PA_1&x=y", .resume_reason = 3 };

  fake->joined = (FakeLiveKitJoined)fake_livekit_send_reconnect;
  client_connect_with (client, &params);
  wait_until (client->types->len == 1);
  g_assert_no_error (client->connect_error);
  g_assert_cmpint (nth_type (client, 0), ==, LIVEKIT_MESSAGE_RECONNECT);
  g_assert_cmpstr (fake->query, ==,
      "protocol=16&auto_subscribe=0&version=" PACKAGE_VERSION
      "&os=linux&reconnect=1&sid=PA_1%26x%3Dy&reconnect_reason=3");
}

static void
addresses_of_every_form_are_understood (void)
{
  static const struct
  {
    const char *scheme, *rest, *path;
  } cases[] = {
    { "ws", "", "/rtc" },
    { "ws", "/", "/rtc" },
    { "WS", "//", "/rtc" },
    { "http", "", "/rtc" },
    { "http", "/prefix", "/prefix/rtc" },
    { "ws", "/a/b%20c/", "/a/b c/rtc" },
  };
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Client) client = client_new ();
    g_autofree char *url
        = g_strconcat (cases[i].scheme, fake->url + strlen ("ws"), cases[i].rest, NULL);

    client_connect (client, url);
    wait_until (client->n_connected == 1);
    g_assert_no_error (client->connect_error);
    g_assert_cmpstr (fake->path, ==, cases[i].path);
  }
}

static void
bad_settings_are_named (void)
{
  g_autofree char *huge = g_strnfill (100000, 'x');
  const struct
  {
    const char *url, *token;
  } cases[] = {
    { NULL, "t" },
    { "", "t" },
    { "localhost:7880", "t" },
    { "ws://", "t" },
    { "ws:///path", "t" },
    { "ftp://host", "t" },
    { "ws://user:pass@host", "t" },
    { "ws://host?access_token=x", "t" },
    { "ws://host#x", "t" },
    { "ws://ho st", "t" },
    { "ws://[::1", "t" },
    { "ws://host:99999", "t" },
    { huge, "t" },
    { "ws://127.0.0.1:9", NULL },
    { "ws://127.0.0.1:9", "" },
    { "ws://127.0.0.1:9", "a\r\nX-Evil: 1" },
    { "ws://127.0.0.1:9", "a b" },
    { "ws://127.0.0.1:9", "\xc3\xa9" },
    { "ws://127.0.0.1:9", huge },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Client) client = client_new ();
    const LiveKitSignalParams params = { .url = cases[i].url, .token = cases[i].token };

    client_connect_with (client, &params);
    assert_connect_error (client, LIVEKIT_ERROR_CONFIG, NULL);
  }
}

static void
send_leave_first (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_send_leave (fake, 2, LIVEKIT_REASON_STATE_MISMATCH);
  fake_livekit_close (fake, 1000);
}

static void
leave_can_be_the_first_message (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->joined = send_leave_first;
  client_connect (client, fake->url);
  assert_closed (client, LIVEKIT_ERROR_CLOSED, "1000");
  g_assert_no_error (client->connect_error);
  g_assert_cmpint (client->types->len, ==, 1);
  g_assert_cmpint (nth_type (client, 0), ==, LIVEKIT_MESSAGE_LEAVE);
}

static void
send_unknown_then_join (FakeLiveKit *fake, gpointer user_data)
{
  soup_websocket_connection_send_text (fake->socket, "{\"json\":\"is not for us\"}");
  fake_livekit_send_bytes (fake, "\xfa\x3e\x02hi", 5);
  fake_livekit_send_bytes (fake, "", 0);
  fake_livekit_send_join (fake);
}

static void
what_is_unknown_before_the_join_is_skipped (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->joined = send_unknown_then_join;
  client_join (client, fake);
  wait_until (client->types->len == 1);
  g_assert_cmpint (nth_type (client, 0), ==, LIVEKIT_MESSAGE_JOIN);
}

static void
send_garbage (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_send_bytes (fake, "\xff\xff\xff", 3);
}

static void
garbage_before_the_join_is_a_protocol_error (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->joined = send_garbage;
  client_connect (client, fake->url);
  assert_connect_error (client, LIVEKIT_ERROR_PROTOCOL, "cannot be read");
  wait_until (fake->n_closed == 1);
  g_assert_cmpint (fake->close_code, ==, SOUP_WEBSOCKET_CLOSE_PROTOCOL_ERROR);
}

static void
send_offer_first (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_send_offer (fake, "v=0\r\n", 1);
}

static void
offer_before_the_join_is_a_protocol_error (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->joined = send_offer_first;
  client_connect (client, fake->url);
  assert_connect_error (client, LIVEKIT_ERROR_PROTOCOL, NULL);
}

static void
close_at_once (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_close (fake, 1000);
}

static void
cut_at_once (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_cut (fake);
}

static void
close_before_the_join_is_an_error (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) polite = client_new (), abrupt = client_new ();

  fake->joined = close_at_once;
  client_connect (polite, fake->url);
  assert_connect_error (polite, LIVEKIT_ERROR_CLOSED, "1000");
  fake->joined = cut_at_once;
  client_connect (abrupt, fake->url);
  assert_connect_error (abrupt, LIVEKIT_ERROR_CLOSED, "lost");
}

static void
second_connect_is_refused (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  client->n_connected = 0;
  client_connect (client, fake->url);
  wait_until (client->n_connected == 1);
  g_assert_error (client->connect_error, LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED);
}

/* ---- refused
 * -----------------------------------------------------------------------------------------------------
 */

static void
refusals_carry_the_sentence_of_the_server (void)
{
  static const struct
  {
    guint status;
    const char *reason;
    int code;
  } cases[] = {
    { 400, "no room name", LIVEKIT_ERROR_CONFIG },
    { 401, "permissions denied", LIVEKIT_ERROR_UNAUTHORIZED },
    { 403, "not for you", LIVEKIT_ERROR_UNAUTHORIZED },
    { 404, "requested room does not exist", LIVEKIT_ERROR_NOT_FOUND },
    { 429, "too many", LIVEKIT_ERROR_UNAVAILABLE },
    { 500, "internal error", LIVEKIT_ERROR_UNAVAILABLE },
    { 503, "room is full", LIVEKIT_ERROR_UNAVAILABLE },
    { 418, "a teapot", LIVEKIT_ERROR_PROTOCOL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
    g_autoptr (Client) client = client_new ();
    g_autofree char *url = g_strconcat (fake->url, "/prefix/", NULL);
    g_autofree char *bearer = g_strconcat ("Bearer ", the_token, NULL);

    fake->refuse_status = cases[i].status;
    fake->reason = cases[i].reason;
    client_connect (client, url);
    assert_connect_error (client, cases[i].code, cases[i].reason);
    g_assert_cmpint (fake->n_validates, ==, 1);
    g_assert_cmpstr (fake->validate_path, ==, "/prefix/rtc/validate");
    g_assert_cmpstr (fake->validate_query, ==, fake->query);
    g_assert_cmpstr (fake->validate_authorization, ==, bearer);
  }
}

static void
refusal_that_echoes_the_token_is_told_without_it (void)
{
  static const char *const reasons[] = { "invalid token: ", "token ", "" };

  for (guint i = 0; i < G_N_ELEMENTS (reasons); i++) {
    g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
    g_autoptr (Client) client = client_new ();
    g_autofree char *payload = g_strndup (strchr (the_token, '.') + 1, 20);

    fake->refuse_status = 401;
    fake->reason = reasons[i];
    fake->echo_token = TRUE;
    client_connect (client, fake->url);
    assert_connect_error (client, LIVEKIT_ERROR_UNAUTHORIZED, "refused the access token");
    g_assert_null (strstr (client->connect_error->message, payload));
  }
}

static void
refusal_that_echoes_half_the_token_is_told_without_it (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  g_autofree char *reason = g_strconcat ("bad signature ", the_signature, NULL);

  fake->refuse_status = 401;
  fake->reason = reason;
  client_connect (client, fake->url);
  assert_connect_error (client, LIVEKIT_ERROR_UNAUTHORIZED, "refused the access token.");
}

static void
expired_token_is_said_to_be_expired (void)
{
  /* exp is 1000000000; the signature is nobody's */
  static const char token[]
      = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjEwMDAwMDAwMDB9.c2lnbmF0dXJl";
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  const LiveKitSignalParams params = { .url = fake->url, .token = token };

  fake->refuse_status = 401;
  fake->echo_token = TRUE;
  client_connect_with (client, &params);
  assert_connect_error (client, LIVEKIT_ERROR_UNAUTHORIZED, "it has expired");
}

static void
long_and_ugly_reasons_are_tidied (void)
{
  g_autofree char *huge = g_strnfill (200 * 1024, 'x');
  const struct
  {
    const char *reason, *says, *says_not;
  } cases[] = {
    { huge, "xxx…", "\n" },
    { "two\r\nlines\x1b[31m", "two  lines", "\x1b" },
    { "<html><body>504</body></html>", "HTTP 503", "html" },
    { "not \xff utf-8", "not ", "\xff" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
    g_autoptr (Client) client = client_new ();

    fake->refuse_status = 503;
    fake->reason = cases[i].reason;
    client_connect (client, fake->url);
    assert_connect_error (client, LIVEKIT_ERROR_UNAVAILABLE, cases[i].says);
    g_assert_null (strstr (client->connect_error->message, cases[i].says_not));
    g_assert_cmpint (strlen (client->connect_error->message), <, 400);
    g_assert_true (g_utf8_validate (client->connect_error->message, -1, NULL));
  }
}

static void
reason_of_another_status_is_not_believed (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->refuse_status = 503;
  fake->validate_status = 200;
  fake->reason = "success";
  client_connect (client, fake->url);
  assert_connect_error (client, LIVEKIT_ERROR_UNAVAILABLE, "HTTP 503");
  g_assert_null (strstr (client->connect_error->message, "success"));
}

static void
refusal_stands_when_validate_never_answers (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  const LiveKitSignalParams params = { .url = fake->url, .token = the_token, .explain_time = 100 };

  fake->refuse_status = 400;
  fake->hold_validate = TRUE;
  client_connect_with (client, &params);
  assert_connect_error (client, LIVEKIT_ERROR_CONFIG, "refused the request");
}

static void
redirection_is_not_followed (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL), other = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->refuse_status = 302;
  fake->redirect = other->url;
  client_connect (client, fake->url);
  assert_connect_error (client, LIVEKIT_ERROR_PROTOCOL, "302");
  g_assert_cmpint (
      other->n_handshakes + other->n_validates, ==, 0); /* nor did the token go there */
}

static void
refused_connection_is_unavailable (void)
{
  g_autoptr (Client) client = client_new ();
  g_autofree char *url = fake_livekit_unused_url ();

  client_connect (client, url);
  assert_connect_error (client, LIVEKIT_ERROR_UNAVAILABLE, url + strlen ("ws://"));
}

static void
write_script (FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data)
{
  fake_server_write_text (stream, user_data);
}

static void
upgrade_with_wrong_key (FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data)
{
  if (accept)
    fake_server_write_upgrade (stream, "bm90IHRoZSByaWdodCBrZXk=");
}

static void
broken_handshakes_are_errors (void)
{
  static const struct
  {
    FakeServerScript script;
    const char *text;
    int code;
  } cases[] = {
    { write_script, "", LIVEKIT_ERROR_UNAVAILABLE },
    { write_script, "HTTP/1.1 101 Switch", LIVEKIT_ERROR_PROTOCOL },
    { write_script, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websock",
        LIVEKIT_ERROR_PROTOCOL },
    { write_script, "SSH-2.0-OpenSSH_9.2\r\n\r\n", LIVEKIT_ERROR_PROTOCOL },
    { write_script, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        LIVEKIT_ERROR_PROTOCOL },
    { write_script,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        LIVEKIT_ERROR_PROTOCOL },
    { upgrade_with_wrong_key, NULL, LIVEKIT_ERROR_PROTOCOL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (FakeServer) fake = fake_server_new (cases[i].script, (gpointer)cases[i].text);
    g_autoptr (Client) client = client_new ();

    g_test_message ("handshake %u", i);
    client_connect (client, fake->url);
    assert_connect_error (client, cases[i].code, NULL);
  }
}

static void
upgrade_with_extension (FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data)
{
  g_autofree char *extended
      = g_strconcat (accept, "\r\nSec-WebSocket-Extensions: ", (char *)user_data, NULL);

  if (accept)
    fake_server_write_upgrade (stream, extended);
}

static void
extension_that_was_not_offered_is_refused (void)
{
  static const char *const extensions[]
      = { "permessage-deflate", "x-haven-limit, permessage-deflate", "x-other; a=1; a=1" };

  for (guint i = 0; i < G_N_ELEMENTS (extensions); i++) {
    g_autoptr (FakeServer) fake = fake_server_new (upgrade_with_extension, (gpointer)extensions[i]);
    g_autoptr (Client) client = client_new ();

    client_connect (client, fake->url);
    assert_connect_error (client, LIVEKIT_ERROR_PROTOCOL, NULL);
  }
}

/* ---- TLS
 * ---------------------------------------------------------------------------------------------------------
 */

static GTlsCertificate *
load_certificate (const char *name)
{
  g_autofree char *path = g_build_filename (g_getenv ("TEST_CERTIFICATES"), name, NULL);
  g_autoptr (GError) error = NULL;
  GTlsCertificate *certificate = g_tls_certificate_new_from_file (path, &error);

  g_assert_no_error (error);
  return certificate;
}

static GTlsDatabase *
load_ca (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("TEST_CERTIFICATES"), "ca.pem", NULL);
  g_autoptr (GError) error = NULL;
  GTlsDatabase *database = g_tls_file_database_new (path, &error);

  g_assert_no_error (error);
  return database;
}

static void
private_ca_is_trusted_when_given (void)
{
  g_autoptr (GTlsCertificate) certificate = load_certificate ("local.pem");
  g_autoptr (GTlsDatabase) ca = load_ca ();
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (certificate);
  g_autofree char *https = g_strconcat ("https", fake->url + strlen ("wss"), NULL);
  const char *const urls[] = { fake->url, https };

  for (guint i = 0; i < G_N_ELEMENTS (urls); i++) {
    g_autoptr (Client) client = client_new ();
    const LiveKitSignalParams params = { .url = urls[i], .token = the_token, .tls_database = ca };

    client_connect_with (client, &params);
    wait_until (client->types->len == 1);
    g_assert_no_error (client->connect_error);
    livekit_signal_close (client->signal, TRUE, on_done, client);
    wait_until (client->n_done == 1);
  }
}

static void
refusal_over_tls_has_its_sentence (void)
{
  g_autoptr (GTlsCertificate) certificate = load_certificate ("local.pem");
  g_autoptr (GTlsDatabase) ca = load_ca ();
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (certificate);
  g_autoptr (Client) with_ca = client_new (), insecure = client_new ();
  const LiveKitSignalParams params = { .url = fake->url, .token = the_token, .tls_database = ca };
  const LiveKitSignalParams any = { .url = fake->url, .token = the_token, .tls_insecure = TRUE };

  fake->refuse_status = 401;
  fake->reason = "permissions denied";
  client_connect_with (with_ca, &params);
  assert_connect_error (with_ca, LIVEKIT_ERROR_UNAUTHORIZED, "permissions denied");
  client_connect_with (insecure, &any);
  assert_connect_error (insecure, LIVEKIT_ERROR_UNAUTHORIZED, "permissions denied");
}

static void
unknown_ca_is_not_trusted (void)
{
  g_autoptr (GTlsCertificate) certificate = load_certificate ("local.pem");
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (certificate);
  g_autoptr (Client) client = client_new ();

  client_connect (client, fake->url);
  assert_connect_error (client, LIVEKIT_ERROR_TLS, "issuer is not known");
  g_assert_cmpint (fake->n_handshakes + fake->n_validates, ==, 0); /* the token was not sent */
}

static void
certificate_for_another_name_is_not_trusted (void)
{
  g_autoptr (GTlsCertificate) certificate = load_certificate ("elsewhere.pem");
  g_autoptr (GTlsDatabase) ca = load_ca ();
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (certificate);
  g_autoptr (Client) client = client_new ();
  const LiveKitSignalParams params = { .url = fake->url, .token = the_token, .tls_database = ca };

  client_connect_with (client, &params);
  assert_connect_error (client, LIVEKIT_ERROR_TLS, "another name");
}

static void
any_certificate_will_do_when_told_so (void)
{
  g_autoptr (GTlsCertificate) certificate = load_certificate ("elsewhere.pem");
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (certificate);
  g_autoptr (Client) client = client_new ();
  const LiveKitSignalParams params = { .url = fake->url, .token = the_token, .tls_insecure = TRUE };

  client_connect_with (client, &params);
  wait_until (client->types->len == 1);
  g_assert_no_error (client->connect_error);
}

static void
tls_and_plain_do_not_mix (void)
{
  g_autoptr (GTlsCertificate) certificate = load_certificate ("local.pem");
  g_autoptr (FakeLiveKit) secure = fake_livekit_new (certificate);
  g_autoptr (FakeServer) plain = fake_server_new (
      write_script, (gpointer) "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  g_autofree char *to_plain = g_strconcat ("wss", plain->url + strlen ("ws"), NULL);
  g_autofree char *to_secure = g_strconcat ("ws", secure->url + strlen ("wss"), NULL);
  g_autoptr (Client) one = client_new (), two = client_new ();

  client_connect (one, to_plain);
  assert_connect_error (one, LIVEKIT_ERROR_TLS, NULL);
  client_connect (two, to_secure);
  wait_until (two->n_connected == 1);
  g_assert_nonnull (two->connect_error);
  g_assert_cmpint (two->connect_error->domain, ==, LIVEKIT_ERROR);
}

/* ---- cancelled
 * ---------------------------------------------------------------------------------------------------
 */

static void
assert_cancelled (Client *client)
{
  wait_until (client->n_connected == 1);
  g_assert_error (client->connect_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (client->types->len, ==, 0);
  g_assert_cmpint (client->n_closed, ==, 0);
}

static void
say_nothing (FakeLiveKit *fake, gpointer user_data)
{
}

static void
hold (FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data)
{
  fake_server_wait_for_end (fake, stream);
}

static void
cancelled_beforehand (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  g_cancellable_cancel (client->cancellable);
  client_connect (client, fake->url);
  assert_cancelled (client);
  g_assert_cmpint (fake->n_handshakes, ==, 0);
}

static void
cancelled_at_once (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_connect (client, fake->url);
  g_cancellable_cancel (client->cancellable);
  assert_cancelled (client);
}

static void
cancelled_during_the_handshake (void)
{
  g_autoptr (FakeServer) fake = fake_server_new (hold, NULL);
  g_autoptr (Client) client = client_new ();

  client_connect (client, fake->url);
  wait_until (g_atomic_int_get (&fake->n_connections) == 1
              || (g_thread_yield (), g_main_context_wakeup (NULL), FALSE));
  g_cancellable_cancel (client->cancellable);
  assert_cancelled (client);
}

static void
cancelled_while_waiting_for_the_join (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->joined = say_nothing;
  client_connect (client, fake->url);
  wait_until (fake->socket != NULL);
  g_cancellable_cancel (client->cancellable);
  assert_cancelled (client);
  wait_until (fake->n_closed == 1);
}

static void
cancelled_while_asking_why (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->refuse_status = 401;
  fake->hold_validate = TRUE;
  client_connect (client, fake->url);
  wait_until (fake->n_validates == 1);
  g_cancellable_cancel (client->cancellable);
  assert_cancelled (client);
}

static gpointer
cancel_in_thread (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
cancelled_by_another_thread (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);

  for (guint i = 0; i < 50; i++) {
    g_autoptr (Client) client = client_new ();
    GThread *thread;

    client_connect (client, fake->url);
    thread = g_thread_new ("cancel", cancel_in_thread, client->cancellable);
    wait_until (client->n_connected == 1); /* joined or cancelled, once */
    g_thread_join (thread);
    if (client->connect_error)
      g_assert_error (client->connect_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
}

static void
cancelled_after_the_join_changes_nothing (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  g_cancellable_cancel (client->cancellable);
  fake_livekit_send_refresh_token (fake, "fresh");
  wait_until (client->types->len == 2);
  g_assert_cmpint (client->n_closed, ==, 0);
}

/* ---- messages
 * ----------------------------------------------------------------------------------------------------
 */

static void
messages_come_in_order (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  fake_livekit_send_refresh_token (fake, "fresh");
  fake_livekit_send_offer (fake, "v=0\r\n", 7);
  fake_livekit_send_bytes (fake, "\xfa\x3e\x02hi", 5);
  fake_livekit_send_leave (fake, 1, 14);
  wait_until (client->types->len == 5);
  g_assert_cmpint (nth_type (client, 0), ==, LIVEKIT_MESSAGE_JOIN);
  g_assert_cmpint (nth_type (client, 1), ==, LIVEKIT_MESSAGE_REFRESH_TOKEN);
  g_assert_cmpint (nth_type (client, 2), ==, LIVEKIT_MESSAGE_OFFER);
  g_assert_cmpint (nth_type (client, 3), ==, LIVEKIT_MESSAGE_OTHER);
  g_assert_cmpint (nth_type (client, 4), ==, LIVEKIT_MESSAGE_LEAVE);
}

static void
requests_reach_the_server (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  Livekit__SignalRequest *request;

  client_join (client, fake);
  livekit_signal_send (client->signal, livekit_message_answer ("v=0\r\n", 7));
  livekit_signal_send (client->signal, livekit_message_trickle ("candidate", 1));
  wait_until (fake->requests->len == 2);
  request = fake_livekit_get_request (fake, 0);
  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_ANSWER);
  livekit__signal_request__free_unpacked (request, NULL);
}

static void
request_to_nobody_is_dropped (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  livekit_signal_send (client->signal, livekit_message_answer ("v=0\r\n", 7));
  client_join (client, fake);
  livekit_signal_close (client->signal, FALSE, NULL, NULL);
  livekit_signal_send (client->signal, livekit_message_answer ("v=0\r\n", 7));
  wait_until (fake->n_closed == 1);
  g_assert_cmpint (fake->requests->len, ==, 0);
}

static void
nine_malformed_messages_are_forgiven (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  for (guint round = 0; round < 3; round++) {
    for (guint i = 0; i < 9; i++)
      send_garbage (fake, NULL);
    soup_websocket_connection_send_text (fake->socket, "text is no message");
    fake_livekit_send_refresh_token (fake, "fresh");
  }
  wait_until (client->types->len == 4);
  g_assert_cmpint (client->n_closed, ==, 0);
}

static void
ten_malformed_messages_end_it (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  for (guint i = 0; i < 10; i++)
    send_garbage (fake, NULL);
  assert_closed (client, LIVEKIT_ERROR_PROTOCOL, "cannot be read");
  wait_until (fake->n_closed == 1);
  g_assert_cmpint (fake->close_code, ==, SOUP_WEBSOCKET_CLOSE_PROTOCOL_ERROR);
}

static void
message_of_three_mib_is_taken (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  g_autofree char *token = g_strnfill (3 * 1024 * 1024, 'x');

  client_join (client, fake);
  fake_livekit_send_refresh_token (fake, token);
  wait_until (client->tokens->len == 1);
  g_assert_cmpint (g_array_index (client->tokens, gsize, 0), ==, 3 * 1024 * 1024);
}

static void
message_over_four_mib_ends_it (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  g_autofree char *token = g_strnfill (4 * 1024 * 1024, 'x');

  client_join (client, fake);
  fake_livekit_send_refresh_token (fake, token);
  assert_closed (client, LIVEKIT_ERROR_PROTOCOL, "4 MiB");
  wait_until (fake->n_closed == 1);
}

static void
send_too_much_first (FakeLiveKit *fake, gpointer user_data)
{
  g_autofree char *token = g_strnfill (5 * 1024 * 1024, 'x');

  fake_livekit_send_refresh_token (fake, token);
}

static void
message_over_four_mib_instead_of_a_join (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->joined = send_too_much_first;
  client_connect (client, fake->url);
  assert_connect_error (client, LIVEKIT_ERROR_PROTOCOL, "4 MiB");
}

/* A refresh token of 3 MiB, by 64 KiB fragments with a ping in between; then the same again, which
 * is another message. */
static void
send_fragments (FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data)
{
  g_autofree char *fragment = g_strnfill (65536, 'x');
  const guint8 head[] = { 0x82, 0x01, 0x80, 0x80, 0xc0, 0x01 }; /* refresh_token, 3 MiB */

  fake_server_write_upgrade (stream, accept);
  fake_server_write_frame (stream, 0x82, "\x0a\x00", 2); /* JOIN */
  for (guint round = 0; round < 2; round++) {
    fake_server_write_frame (stream, 0x02, head, sizeof (head));
    for (guint i = 0; i < 48; i++) {
      fake_server_write_frame (stream, 0x00, fragment, 65536);
      fake_server_write_frame (stream, 0x89, "", 0); /* ping */
    }
    fake_server_write_frame (stream, 0x80, "", 0);
  }
  fake_server_wait_for_end (fake, stream);
}

static void
fragments_are_joined (void)
{
  g_autoptr (FakeServer) fake = fake_server_new (send_fragments, NULL);
  g_autoptr (Client) client = client_new ();

  client_connect (client, fake->url);
  wait_until (client->tokens->len == 2);
  g_assert_cmpint (g_array_index (client->tokens, gsize, 0), ==, 3 * 1024 * 1024);
  g_assert_cmpint (g_array_index (client->tokens, gsize, 1), ==, 3 * 1024 * 1024);
}

static void
send_fragments_without_end (
    FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data)
{
  g_autofree char *fragment = g_strnfill (65536, 'x');
  g_autofree char *extended
      = g_strconcat (accept, "\r\nSec-WebSocket-Extensions:", user_data, NULL);

  fake_server_write_upgrade (stream, extended);
  fake_server_write_frame (stream, 0x82, "\x0a\x00", 2); /* JOIN */
  fake_server_write_frame (stream, 0x02, fragment, 65536);
  while (fake_server_write_frame (stream, 0x00, fragment, 65536))
    ; /* until the client has had enough */
}

static void
fragments_without_end_end_it (void)
{
  /* what the answer says of extensions does not switch the limit off */
  static const char *const extensions[]
      = { "", " , ,", " x-haven-limit", " x-haven-limit, x-haven-limit" };

  for (guint i = 0; i < G_N_ELEMENTS (extensions); i++) {
    g_autoptr (FakeServer) fake
        = fake_server_new (send_fragments_without_end, (gpointer)extensions[i]);
    g_autoptr (Client) client = client_new ();

    client_connect (client, fake->url);
    assert_closed (client, LIVEKIT_ERROR_PROTOCOL, "4 MiB");
    g_assert_no_error (client->connect_error);
  }
}

typedef struct
{
  guint8 first_byte;
  const char *data;
  gsize size;
  int code;
} BadFrame;

static void
send_bad_frame (FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data)
{
  const BadFrame *frame = user_data;

  fake_server_write_upgrade (stream, accept);
  fake_server_write_frame (stream, 0x82, "\x0a\x00", 2); /* JOIN */
  fake_server_write_frame (stream, frame->first_byte, frame->data, frame->size);
  fake_server_wait_for_end (fake, stream);
}

static void
broken_frames_end_it (void)
{
  static const BadFrame frames[] = {
    { 0x80, "x", 1, LIVEKIT_ERROR_PROTOCOL },        /* an end without a beginning */
    { 0x00, "x", 1, LIVEKIT_ERROR_PROTOCOL },        /* a middle without one */
    { 0xc2, "x", 1, LIVEKIT_ERROR_PROTOCOL },        /* a reserved bit: compressed? */
    { 0x83, "x", 1, LIVEKIT_ERROR_PROTOCOL },        /* an unknown kind */
    { 0x8f, "x", 1, LIVEKIT_ERROR_PROTOCOL },        /* an unknown control frame */
    { 0x09, "x", 1, LIVEKIT_ERROR_PROTOCOL },        /* a ping in fragments */
    { 0x81, "\xff\xfe", 2, LIVEKIT_ERROR_PROTOCOL }, /* text that is none */
    { 0x88, "\x03", 1, LIVEKIT_ERROR_PROTOCOL },     /* a close with half a code */
  };

  for (guint i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_autoptr (FakeServer) fake = fake_server_new (send_bad_frame, (gpointer)&frames[i]);
    g_autoptr (Client) client = client_new ();

    g_test_message ("frame %u", i);
    client_connect (client, fake->url);
    assert_closed (client, frames[i].code, NULL);
    g_assert_cmpint (client->types->len, ==, 1);
  }
}

/* ---- the other side ends
 * ----------------------------------------------------------------------------------------- */

static void
close_of_the_server_is_told_once (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  fake_livekit_close (fake, 1000);
  assert_closed (client, LIVEKIT_ERROR_CLOSED, "code 1000");
  wait_until (fake->n_closed == 1);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  g_assert_cmpint (client->n_done, ==, 0); /* not within the call */
  wait_until (client->n_done == 1);
}

static void
abrupt_end_is_told_once (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  fake_livekit_cut (fake);
  assert_closed (client, LIVEKIT_ERROR_CLOSED, "lost");
}

/* ---- pings
 * -------------------------------------------------------------------------------------------------------
 */

static void
both_pings_are_sent_and_the_answer_is_timed (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  Livekit__SignalRequest *first, *second, *third;

  client_join (client, fake);
  livekit_signal_start_pings (client->signal, 1, 15);
  wait_until (fake->requests->len >= 3);
  first = fake_livekit_get_request (fake, 0);
  second = fake_livekit_get_request (fake, 1);
  third = fake_livekit_get_request (fake, 2);
  g_assert_cmpint (first->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ);
  g_assert_cmpint (first->ping_req->rtt, ==, 0);
  g_assert_cmpint (first->ping_req->timestamp, >, 1500000000000);
  g_assert_cmpint (second->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING);
  g_assert_cmpint (second->ping, ==, first->ping_req->timestamp);
  g_assert_cmpint (third->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ);
  g_assert_cmpint (third->ping_req->rtt, ==, client->rtt);
  g_assert_cmpint (third->ping_req->rtt, >, 0);
  livekit__signal_request__free_unpacked (first, NULL);
  livekit__signal_request__free_unpacked (second, NULL);
  livekit__signal_request__free_unpacked (third, NULL);
  g_assert_cmpint (client->types->len, ==, 1); /* pongs are not passed on */
  g_assert_cmpint (client->n_closed, ==, 0);
}

static void
answer_legacy_ping_alone (
    FakeLiveKit *fake, const Livekit__SignalRequest *request, gpointer user_data)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;

  if (request->message_case != LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING)
    return;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG;
  response.pong = 1;
  fake_livekit_send (fake, &response);
}

static void
pong_of_an_old_server_is_timed_too (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->request = answer_legacy_ping_alone;
  client_join (client, fake);
  livekit_signal_start_pings (client->signal, 1, 15);
  wait_until (client->rtt > 0);
}

static void
answer_wrong_ping (FakeLiveKit *fake, const Livekit__SignalRequest *request, gpointer user_data)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__Pong pong = LIVEKIT__PONG__INIT;

  if (request->message_case != LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ)
    return;
  pong.last_ping_timestamp = request->ping_req->timestamp - 1;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG_RESP;
  response.pong_resp = &pong;
  fake_livekit_send (fake, &response);
}

static void
pong_for_another_ping_is_not_timed (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->request = answer_wrong_ping;
  client_join (client, fake);
  livekit_signal_start_pings (client->signal, 1, 15);
  wait_until (fake->requests->len >= 4); /* the first pong has been read by now */
  g_assert_cmpint (client->rtt, ==, 0);
}

static void
answer_nothing (FakeLiveKit *fake, const Livekit__SignalRequest *request, gpointer user_data)
{
}

static void
silence_ends_it (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->request = answer_nothing;
  client_join (client, fake);
  livekit_signal_start_pings (client->signal, 1, 2);
  assert_closed (client, LIVEKIT_ERROR_TIMEOUT, "silent");
  g_assert_cmpint (fake->requests->len, >=, 2);
}

static gboolean
send_something (gpointer user_data)
{
  FakeLiveKit *fake = user_data;

  if (fake->socket)
    fake_livekit_send_bytes (fake, "\xfa\x3e\x02hi", 5);
  return G_SOURCE_CONTINUE;
}

static void
any_message_is_a_sign_of_life (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  guint source;

  fake->request = answer_nothing;
  client_join (client, fake);
  livekit_signal_start_pings (client->signal, 1, 3);
  source = g_timeout_add (500, send_something, fake);
  wait_until (client->types->len == 10); /* 4.5 s, more than the timeout */
  g_assert_cmpint (client->n_closed, ==, 0);
  g_source_remove (source);
  assert_closed (client, LIVEKIT_ERROR_TIMEOUT, NULL);
}

static void
no_interval_means_no_pings (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL), other = fake_livekit_new (NULL);
  g_autoptr (Client) quiet = client_new (), pinging = client_new ();

  fake->request = answer_nothing;
  client_join (quiet, other);
  livekit_signal_start_pings (quiet->signal, 0, 1);
  livekit_signal_start_pings (quiet->signal, -1, 1);
  livekit_signal_start_pings (quiet->signal, G_MAXINT, 1);
  client_join (pinging, fake);
  livekit_signal_start_pings (pinging->signal, 1, 0); /* and no timeout */
  wait_until (fake->requests->len >= 6);
  g_assert_cmpint (quiet->n_closed, ==, 0);
  g_assert_cmpint (other->requests->len, ==, 0);
  g_assert_cmpint (pinging->n_closed, ==, 0);
}

static void
pings_need_a_connection (void)
{
  g_autoptr (Client) client = client_new ();

  livekit_signal_start_pings (client->signal, 1, 2);
  livekit_signal_close (client->signal, FALSE, NULL, NULL);
  livekit_signal_start_pings (client->signal, 1, 2);
}

/* ---- we end
 * ------------------------------------------------------------------------------------------------------
 */

static void
close_says_leave_and_waits_for_the_echo (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  Livekit__SignalRequest *request;

  client_join (client, fake);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  g_clear_object (&client->signal); /* it keeps itself alive */
  wait_until (client->n_done == 2);
  wait_until (fake->n_closed == 1);
  g_assert_cmpint (fake->close_code, ==, 1000);
  g_assert_cmpint (fake->requests->len, ==, 1);
  request = fake_livekit_get_request (fake, 0);
  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_LEAVE);
  g_assert_cmpint (request->leave->reason, ==, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
  livekit__signal_request__free_unpacked (request, NULL);
  g_assert_cmpint (client->n_closed, ==, 0);
  g_assert_cmpint (client->types->len, ==, 1);
}

static void
what_was_queued_leaves_before_the_close (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();
  g_autofree char *sdp = g_strnfill (1024 * 1024, 'x');

  client_join (client, fake);
  livekit_signal_send (client->signal, livekit_message_answer (sdp, 1));
  livekit_signal_close (client->signal, TRUE, on_done, client);
  wait_until (client->n_done == 1);
  wait_until (fake->requests->len == 2);
}

static void
close_without_leave_says_none (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  livekit_signal_close (client->signal, FALSE, on_done, client);
  fake_livekit_send_refresh_token (fake, "too late");
  wait_until (client->n_done == 1);
  wait_until (fake->n_closed == 1);
  g_assert_cmpint (fake->close_code, ==, 1000);
  g_assert_cmpint (fake->requests->len, ==, 0);
  g_assert_cmpint (client->n_closed, ==, 0);
}

static void
close_does_not_wait_for_a_silent_server (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->request = answer_nothing;
  client_join (client, fake);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  wait_until (client->n_done == 1);
  wait_until (fake->n_closed == 1);
}

static void
close_of_a_new_object_is_done_at_once (void)
{
  g_autoptr (Client) client = client_new ();

  livekit_signal_close (client->signal, TRUE, NULL, NULL);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  g_assert_cmpint (client->n_done, ==, 0);
  wait_until (client->n_done == 1);
  client_connect (client, "ws://127.0.0.1:9");
  assert_connect_error (client, LIVEKIT_ERROR_CLOSED, NULL);
}

static void
close_during_the_handshake_cancels_it (void)
{
  g_autoptr (FakeServer) fake = fake_server_new (hold, NULL);
  g_autoptr (Client) client = client_new ();

  client_connect (client, fake->url);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  assert_cancelled (client);
  wait_until (client->n_done == 1);
}

static void
close_while_waiting_for_the_join_cancels_it (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->joined = say_nothing;
  client_connect (client, fake->url);
  wait_until (fake->socket != NULL);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  assert_cancelled (client);
  wait_until (client->n_done == 1);
  wait_until (fake->n_closed == 1);
}

static void
close_while_asking_why_cancels_it (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  fake->refuse_status = 401;
  fake->hold_validate = TRUE;
  client_connect (client, fake->url);
  wait_until (fake->n_validates == 1);
  livekit_signal_close (client->signal, TRUE, on_done, client);
  assert_cancelled (client);
  wait_until (client->n_done == 1);
}

static void
close_now (Client *client, LiveKitMessage *message)
{
  livekit_signal_close (client->signal, TRUE, on_done, client);
}

static void
drop_now (Client *client, LiveKitMessage *message)
{
  g_clear_object (&client->signal);
}

static void
close_within_a_message_ends_the_messages (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) client = client_new ();

  client_join (client, fake);
  client->on_message = close_now;
  fake_livekit_send_refresh_token (fake, "one");
  fake_livekit_send_refresh_token (fake, "two");
  wait_until (client->n_done == 1);
  g_assert_cmpint (client->types->len, ==, 2); /* JOIN and the one */
  g_assert_cmpint (client->n_closed, ==, 0);
}

static void
owner_may_drop_it_within_a_message (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  g_autoptr (Client) first = client_new (), later = client_new ();

  first->on_message = drop_now;
  client_connect (first, fake->url);
  wait_until (fake->n_closed == 1);
  g_assert_cmpint (first->types->len, ==, 1);

  client_join (later, fake);
  later->on_message = drop_now;
  fake_livekit_send_refresh_token (fake, "one");
  fake_livekit_send_refresh_token (fake, "two");
  wait_until (fake->n_closed == 2);
  g_assert_cmpint (later->types->len, ==, 2);
}

static void
on_connected_drop (GObject *source, GAsyncResult *result, gpointer user_data)
{
  on_connected (source, result, user_data);
  g_clear_object (&((Client *)user_data)->signal);
}

static void
on_connected_close (GObject *source, GAsyncResult *result, gpointer user_data)
{
  on_connected (source, result, user_data);
  close_now (user_data, NULL);
}

static void
owner_may_end_it_in_the_completion (void)
{
  static const GAsyncReadyCallback callbacks[] = { on_connected_drop, on_connected_close };
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  const LiveKitSignalParams params = { .url = fake->url, .token = the_token };

  for (guint i = 0; i < G_N_ELEMENTS (callbacks); i++) {
    g_autoptr (Client) client = client_new ();

    livekit_signal_connect_async (client->signal, &params, NULL, callbacks[i], client);
    wait_until (fake->n_closed == i + 1);
    g_assert_cmpint (client->n_connected, ==, 1);
    g_assert_no_error (client->connect_error);
    g_assert_cmpint (client->types->len, ==, 0);
    wait_until (client->n_done == i);
  }
}

static void
owner_may_drop_it_at_any_moment (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);

  for (guint iterations = 0; iterations < 40; iterations++) {
    g_autoptr (Client) client = client_new ();

    client_connect (client, fake->url);
    for (guint i = 0; i < iterations; i++)
      g_main_context_iteration (NULL, FALSE);
    if (iterations % 2)
      livekit_signal_close (client->signal, iterations % 4 == 1, NULL, NULL);
    g_clear_object (&client->signal);
    wait_until (client->n_connected == 1);
  }
  wait_until (fake->socket == NULL);
}

static void
hundred_joins_leave_nothing_behind (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);

  for (guint i = 0; i < 100; i++) {
    g_autoptr (Client) client = client_new ();

    client_join (client, fake);
    livekit_signal_start_pings (client->signal, 1, 2);
    livekit_signal_close (client->signal, TRUE, on_done, client);
    wait_until (client->n_done == 1);
    wait_until (fake->n_closed == i + 1);
  }
}

/* ---- another context
 * --------------------------------------------------------------------------------------------- */

typedef struct
{
  const char *url;
  GMainContext *context;
  gboolean connected, closed;
  GThread *seen;
} Elsewhere;

static void
on_elsewhere_message (LiveKitSignal *signal, LiveKitMessage *message, Elsewhere *elsewhere)
{
  g_assert_true (g_thread_self () == elsewhere->seen);
  livekit_signal_close (signal, TRUE, NULL, NULL);
}

static gboolean
on_elsewhere_done (gpointer user_data)
{
  Elsewhere *elsewhere = user_data;

  g_assert_true (g_thread_self () == elsewhere->seen);
  elsewhere->closed = TRUE;
  return G_SOURCE_REMOVE;
}

static void
on_elsewhere_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Elsewhere *elsewhere = user_data;

  g_assert_true (g_thread_self () == elsewhere->seen);
  elsewhere->connected = livekit_signal_connect_finish (LIVEKIT_SIGNAL (source), result, NULL);
  livekit_signal_close (LIVEKIT_SIGNAL (source), TRUE, on_elsewhere_done, elsewhere);
}

static gpointer
run_elsewhere (gpointer user_data)
{
  Elsewhere *elsewhere = user_data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  const LiveKitSignalParams params = { .url = elsewhere->url, .token = the_token };
  LiveKitSignal *signal;

  g_main_context_push_thread_default (context);
  elsewhere->seen = g_thread_self ();
  signal = livekit_signal_new ();
  g_signal_connect (signal, "message", G_CALLBACK (on_elsewhere_message), elsewhere);
  livekit_signal_connect_async (signal, &params, NULL, on_elsewhere_connected, elsewhere);
  while (!elsewhere->closed)
    g_main_context_iteration (context, TRUE);
  g_object_unref (signal);
  while (g_main_context_iteration (context, FALSE))
    ;
  g_main_context_pop_thread_default (context);
  g_main_context_wakeup (NULL);
  return NULL;
}

static void
it_lives_in_the_context_it_was_made_in (void)
{
  g_autoptr (FakeLiveKit) fake = fake_livekit_new (NULL);
  Elsewhere elsewhere = { .url = fake->url };
  GThread *thread = g_thread_new ("elsewhere", run_elsewhere, &elsewhere);

  wait_until (fake->n_closed == 1);
  g_thread_join (thread);
  g_assert_true (elsewhere.connected);
}

/* ---- no secret in a log
 * ------------------------------------------------------------------------------------------ */

static gint n_logged, n_leaked; /* atomic */

static GLogWriterOutput /* in any thread */
on_log (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  for (gsize i = 0; i < n_fields; i++) {
    if (g_str_equal (fields[i].key, "GLIB_DOMAIN") && g_strcmp0 (fields[i].value, "livekit") == 0)
      g_atomic_int_inc (&n_logged);
    if (g_str_equal (fields[i].key, "MESSAGE") && strstr (fields[i].value, the_signature))
      g_atomic_int_inc (&n_leaked);
  }
  return level & (G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO)
             ? G_LOG_WRITER_HANDLED
             : g_log_writer_default (level, fields, n_fields, user_data);
}

/* The last test: over all that ran before it. */
static void
no_log_line_held_the_token (void)
{
  g_assert_cmpint (g_atomic_int_get (&n_logged), >, 0);
  g_assert_cmpint (g_atomic_int_get (&n_leaked), ==, 0);
}

int
main (int argc, char **argv)
{
  const LiveKitTokenGrants grants = { .room_name = "demo", .identity = "viewer" };
  int result;

  g_test_init (&argc, &argv, NULL);
  g_log_set_writer_func (on_log, NULL, NULL);
  the_token = livekit_token_new ("devkey", "secret-of-the-key", &grants, NULL);
  the_signature = strrchr (the_token, '.') + 1;
#define ADD(test) g_test_add_func ("/signal/" #test, test)
  ADD (join_completes_before_its_message);
  ADD (handshake_says_what_the_protocol_asks);
  ADD (resume_names_session_and_reason);
  ADD (addresses_of_every_form_are_understood);
  ADD (bad_settings_are_named);
  ADD (leave_can_be_the_first_message);
  ADD (what_is_unknown_before_the_join_is_skipped);
  ADD (garbage_before_the_join_is_a_protocol_error);
  ADD (offer_before_the_join_is_a_protocol_error);
  ADD (close_before_the_join_is_an_error);
  ADD (second_connect_is_refused);
  ADD (refusals_carry_the_sentence_of_the_server);
  ADD (refusal_that_echoes_the_token_is_told_without_it);
  ADD (refusal_that_echoes_half_the_token_is_told_without_it);
  ADD (expired_token_is_said_to_be_expired);
  ADD (long_and_ugly_reasons_are_tidied);
  ADD (reason_of_another_status_is_not_believed);
  ADD (refusal_stands_when_validate_never_answers);
  ADD (redirection_is_not_followed);
  ADD (refused_connection_is_unavailable);
  ADD (broken_handshakes_are_errors);
  ADD (extension_that_was_not_offered_is_refused);
  ADD (private_ca_is_trusted_when_given);
  ADD (refusal_over_tls_has_its_sentence);
  ADD (unknown_ca_is_not_trusted);
  ADD (certificate_for_another_name_is_not_trusted);
  ADD (any_certificate_will_do_when_told_so);
  ADD (tls_and_plain_do_not_mix);
  ADD (cancelled_beforehand);
  ADD (cancelled_at_once);
  ADD (cancelled_during_the_handshake);
  ADD (cancelled_while_waiting_for_the_join);
  ADD (cancelled_while_asking_why);
  ADD (cancelled_by_another_thread);
  ADD (cancelled_after_the_join_changes_nothing);
  ADD (messages_come_in_order);
  ADD (requests_reach_the_server);
  ADD (request_to_nobody_is_dropped);
  ADD (nine_malformed_messages_are_forgiven);
  ADD (ten_malformed_messages_end_it);
  ADD (message_of_three_mib_is_taken);
  ADD (message_over_four_mib_ends_it);
  ADD (message_over_four_mib_instead_of_a_join);
  ADD (fragments_are_joined);
  ADD (fragments_without_end_end_it);
  ADD (broken_frames_end_it);
  ADD (close_of_the_server_is_told_once);
  ADD (abrupt_end_is_told_once);
  ADD (both_pings_are_sent_and_the_answer_is_timed);
  ADD (pong_of_an_old_server_is_timed_too);
  ADD (pong_for_another_ping_is_not_timed);
  ADD (silence_ends_it);
  ADD (any_message_is_a_sign_of_life);
  ADD (no_interval_means_no_pings);
  ADD (pings_need_a_connection);
  ADD (close_says_leave_and_waits_for_the_echo);
  ADD (what_was_queued_leaves_before_the_close);
  ADD (close_without_leave_says_none);
  ADD (close_does_not_wait_for_a_silent_server);
  ADD (close_of_a_new_object_is_done_at_once);
  ADD (close_during_the_handshake_cancels_it);
  ADD (close_while_waiting_for_the_join_cancels_it);
  ADD (close_while_asking_why_cancels_it);
  ADD (close_within_a_message_ends_the_messages);
  ADD (owner_may_drop_it_within_a_message);
  ADD (owner_may_end_it_in_the_completion);
  ADD (owner_may_drop_it_at_any_moment);
  ADD (hundred_joins_leave_nothing_behind);
  ADD (it_lives_in_the_context_it_was_made_in);
  ADD (no_log_line_held_the_token);
  result = g_test_run ();
  fake_livekit_wait_for_threads ();
  g_free (the_token);
  return result;
}
