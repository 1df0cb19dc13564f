/* What arrives at the webhook's address, and what is done where it does not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <libsoup/soup.h>
#include <string.h>

#include "haven-log.h"
#include "haven-notices.h"
#include "server-fixture.h"

typedef struct
{
  ServerFixture base;
  SoupServer *server;
  HavenWebhook *webhook;
  GPtrArray *bodies; /* that arrived */
  char *signature, *event, *delivery;
  guint answers[8]; /* statuses, in turn; then 200 */
  guint waited_for;
  gboolean done;
} Fixture;

static void
on_request (SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
    gpointer user_data)
{
  Fixture *fixture = user_data;
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (message);
  SoupMessageBody *body = soup_server_message_get_request_body (message);
  guint n = fixture->bodies->len;

  g_assert_cmpstr (soup_server_message_get_method (message), ==, "POST");
  g_assert_cmpstr (soup_message_headers_get_content_type (headers, NULL), ==, "application/json");
  g_free (fixture->signature);
  g_free (fixture->event);
  g_free (fixture->delivery);
  fixture->signature = g_strdup (soup_message_headers_get_one (headers, "Haven-Signature"));
  fixture->event = g_strdup (soup_message_headers_get_one (headers, "Haven-Event"));
  fixture->delivery = g_strdup (soup_message_headers_get_one (headers, "Haven-Delivery"));
  g_ptr_array_add (fixture->bodies, g_strndup (body->data, (gsize)body->length));
  soup_message_headers_replace (
      soup_server_message_get_response_headers (message), "Connection", "close");
  soup_message_headers_replace (
      soup_server_message_get_response_headers (message), "Location", "/elsewhere");
  soup_server_message_set_status (message,
      n < G_N_ELEMENTS (fixture->answers) && fixture->answers[n] ? fixture->answers[n] : 200, NULL);
}

static gboolean
check_done (gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->done = haven_store_count_notices (fixture->base.store, HAVEN_NOTICE_WEBHOOK) == 0
                  && fixture->bodies->len >= fixture->waited_for;
  return !fixture->done;
}

static void
run_until_all_are_sent (Fixture *fixture, guint requests)
{
  fixture->done = FALSE;
  fixture->waited_for = requests;
  haven_webhook_wake (fixture->webhook);
  g_timeout_add (5, check_done, fixture);
  server_fixture_run_until (&fixture->done);
  g_assert_cmpuint (fixture->bodies->len, ==, requests);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *url = NULL, *address = NULL;
  GSList *uris;

  server_fixture_set_up (&fixture->base);
  fixture->bodies = g_ptr_array_new_with_free_func (g_free);
  fixture->server = soup_server_new (NULL, NULL);
  soup_server_add_handler (fixture->server, NULL, on_request, fixture, NULL);
  soup_server_listen_local (fixture->server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
  g_assert_no_error (error);
  uris = soup_server_get_uris (fixture->server);
  address = g_uri_to_string (uris->data);
  url = g_strconcat (address, "hook?key=x", NULL);
  g_slist_free_full (uris, (GDestroyNotify)g_uri_unref);
  server_fixture_set (&fixture->base, HAVEN_KEY_WEBHOOK_URL, url);
  fixture->webhook = haven_webhook_new (fixture->base.config, fixture->base.store);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->webhook, haven_webhook_free);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_object_unref (fixture->server);
  g_ptr_array_unref (fixture->bodies);
  g_free (fixture->signature);
  g_free (fixture->event);
  g_free (fixture->delivery);
  server_fixture_tear_down (&fixture->base);
}

static void
add (Fixture *fixture, const char *body)
{
  const HavenNoticeRow notice = {
    .recording_id = (char *)"id", .event = (char *)"recording.completed", .body = (char *)body
  };
  guint n_lost;

  g_assert_true (
      haven_store_add_notice (fixture->base.store, HAVEN_NOTICE_WEBHOOK, &notice, 100, &n_lost));
}

static void
arrives_signed (Fixture *fixture, gconstpointer data)
{
  g_autofree char *expected = NULL, *text = NULL, *digest = NULL;
  gint64 time;

  server_fixture_set (&fixture->base, HAVEN_KEY_WEBHOOK_SECRET, "hush");
  add (fixture, "{\"x\":1}");
  run_until_all_are_sent (fixture, 1);
  g_assert_cmpstr (fixture->bodies->pdata[0], ==, "{\"x\":1}");
  g_assert_cmpstr (fixture->event, ==, "recording.completed");
  g_assert_cmpstr (fixture->delivery, ==, "1");
  g_assert_true (g_str_has_prefix (fixture->signature, "t="));
  time = g_ascii_strtoll (fixture->signature + 2, NULL, 10);
  g_assert_cmpint (ABS (time - g_get_real_time () / G_USEC_PER_SEC), <, 100);
  text = g_strdup_printf ("%" G_GINT64_FORMAT ".{\"x\":1}", time);
  digest = g_compute_hmac_for_string (G_CHECKSUM_SHA256, (const guchar *)"hush", 4, text, -1);
  expected = g_strdup_printf ("t=%" G_GINT64_FORMAT ",v1=%s", time, digest);
  g_assert_cmpstr (fixture->signature, ==, expected);
}

/* As others compute it: RFC 4231 is of another form, so this is from Python's hmac. */
static void
the_signature_is_what_others_compute (Fixture *fixture, gconstpointer data)
{
  g_autofree char *signature = haven_webhook_signature ("secret", 1700000000, "{\"a\":\"ö\"}");

  g_assert_cmpstr (signature, ==,
      "t=1700000000,v1=3f4a716b7d7bbf38ea2306314b7e2b930b738a274c8a415056f4e2e678f3816d");
}

static void
without_a_secret_nothing_is_signed (Fixture *fixture, gconstpointer data)
{
  add (fixture, "{}");
  run_until_all_are_sent (fixture, 1);
  g_assert_null (fixture->signature);
}

static void
is_sent_again_until_it_arrives (Fixture *fixture, gconstpointer data)
{
  guint delivered, refused, given_up;

  fixture->answers[0] = 500;
  add (fixture, "{}");
  run_until_all_are_sent (fixture, 2);
  haven_webhook_counters (fixture->webhook, &delivered, &refused, &given_up);
  g_assert_cmpuint (delivered, ==, 1);
  g_assert_cmpuint (refused, ==, 1);
  g_assert_cmpuint (given_up, ==, 0);
}

static void
what_will_never_be_taken_is_not_sent_again (Fixture *fixture, gconstpointer data)
{
  static const guint final[] = { 302, 400, 401, 404, 410 };
  guint delivered, refused, given_up;

  for (guint i = 0; i < G_N_ELEMENTS (final); i++) {
    fixture->answers[i] = final[i];
    add (fixture, "{}");
  }
  run_until_all_are_sent (fixture, G_N_ELEMENTS (final));
  haven_webhook_counters (fixture->webhook, &delivered, &refused, &given_up);
  g_assert_cmpuint (given_up, ==, G_N_ELEMENTS (final));
}

static void
one_that_waits_for_its_next_attempt_holds_up_no_other (Fixture *fixture, gconstpointer data)
{
  fixture->answers[0] = 503;
  add (fixture, "first");
  add (fixture, "second");
  run_until_all_are_sent (fixture, 3);
  g_assert_cmpstr (fixture->bodies->pdata[0], ==, "first");
  g_assert_cmpstr (fixture->bodies->pdata[1], ==, "second");
  g_assert_cmpstr (fixture->bodies->pdata[2], ==, "first");
}

/* The attempts that were made count over a restart. */
static void
goes_on_after_a_restart_and_is_given_up_in_the_end (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) notices = NULL;
  guint delivered, refused, given_up;

  add (fixture, "{}");
  for (guint i = 1; i < HAVEN_WEBHOOK_ATTEMPTS; i++)
    g_assert_true (haven_store_postpone_notice (fixture->base.store, 1, 1));
  haven_webhook_free (fixture->webhook);
  server_fixture_reopen (&fixture->base);
  fixture->webhook = haven_webhook_new (fixture->base.config, fixture->base.store);
  notices = haven_store_list_notices (fixture->base.store, HAVEN_NOTICE_WEBHOOK, 10);
  g_assert_cmpuint (notices->len, ==, 1);
  g_assert_cmpuint (
      ((HavenNoticeRow *)notices->pdata[0])->attempts, ==, HAVEN_WEBHOOK_ATTEMPTS - 1);
  fixture->answers[0] = 500;
  run_until_all_are_sent (fixture, 1);
  haven_webhook_counters (fixture->webhook, &delivered, &refused, &given_up);
  g_assert_cmpuint (given_up, ==, 1);
}

static void
pauses_grow_to_an_hour (Fixture *fixture, gconstpointer data)
{
  guint sum = 0;

  g_assert_cmpuint (haven_webhook_pause (1), ==, 1);
  g_assert_cmpuint (haven_webhook_pause (2), ==, 2);
  for (guint i = 1; i < HAVEN_WEBHOOK_ATTEMPTS; i++) {
    g_assert_cmpuint (haven_webhook_pause (i + 1), >=, haven_webhook_pause (i));
    sum += haven_webhook_pause (i);
  }
  g_assert_cmpuint (haven_webhook_pause (HAVEN_WEBHOOK_ATTEMPTS), ==, 3600);
  g_assert_cmpuint (sum, >, 7000);
  g_assert_cmpuint (sum, <, 3 * 3600);
}

/* It is gone before its answer is. */
static void
an_answer_that_comes_too_late_does_no_harm (Fixture *fixture, gconstpointer data)
{
  add (fixture, "{}");
  haven_webhook_wake (fixture->webhook);
  g_clear_pointer (&fixture->webhook, haven_webhook_free);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (haven_store_count_notices (fixture->base.store, HAVEN_NOTICE_WEBHOOK), ==, 1);
}

/* -- what is told at all -- */

static void
tell (Fixture *fixture, HavenNotices *notices, const char *id)
{
  g_autoptr (HavenRecordingRow) row = haven_store_get_recording (fixture->base.store, id);
  g_autoptr (JsonObject) description = json_object_new ();

  json_object_set_string_member (description, "recording_id", id);
  haven_notices_tell (notices, row, description);
}

static void
beginning_and_end_are_told_once_each (Fixture *fixture, gconstpointer data)
{
  g_autoptr (HavenCommand) command = haven_command_new (fixture->base.config, fixture->base.store);
  g_autofree char *before
      = server_fixture_add_recording (&fixture->base, "before", "recording", 1, 1);
  g_autoptr (HavenNotices) notices
      = haven_notices_new (fixture->base.config, fixture->base.store, command, fixture->webhook);
  g_autofree char *path = server_fixture_add_recording (&fixture->base, "1", "recording", 1, 1);

  tell (fixture, notices, "before"); /* a former life of the server has told of it */
  tell (fixture, notices, "1");
  tell (fixture, notices, "1"); /* a further part */
  run_until_all_are_sent (fixture, 1);
  g_assert_cmpstr (fixture->event, ==, "recording.started");
  haven_store_end_recording (fixture->base.store, "1", "interrupted", "why", 2);
  tell (fixture, notices, "1");
  run_until_all_are_sent (fixture, 2);
  g_assert_cmpstr (fixture->event, ==, "recording.interrupted");
  g_assert_nonnull (strstr (fixture->bodies->pdata[1], "\"event\":\"recording.interrupted\""));
  g_assert_nonnull (strstr (fixture->bodies->pdata[1], "\"recording\":{\"recording_id\":\"1\"}"));
}

static void
no_more_than_so_many_wait (Fixture *fixture, gconstpointer data)
{
  const HavenNoticeRow notice
      = { .recording_id = (char *)"id", .event = (char *)"x", .body = (char *)"{}" };
  g_autoptr (GPtrArray) notices = NULL;
  guint n_lost, sum = 0;

  for (guint i = 0; i < 5; i++) {
    g_assert_true (
        haven_store_add_notice (fixture->base.store, HAVEN_NOTICE_WEBHOOK, &notice, 3, &n_lost));
    sum += n_lost;
  }
  g_assert_cmpuint (sum, ==, 2);
  notices = haven_store_list_notices (fixture->base.store, HAVEN_NOTICE_WEBHOOK, 10);
  g_assert_cmpuint (notices->len, ==, 3);
  g_assert_cmpint (((HavenNoticeRow *)notices->pdata[0])->id, ==, 3); /* the newest are kept */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  haven_log_set_up (HAVEN_LOG_LOGFMT, G_LOG_LEVEL_CRITICAL);
#define TEST(name) g_test_add ("/webhook/" #name, Fixture, NULL, set_up, name, tear_down)
  TEST (arrives_signed);
  TEST (the_signature_is_what_others_compute);
  TEST (without_a_secret_nothing_is_signed);
  TEST (is_sent_again_until_it_arrives);
  TEST (what_will_never_be_taken_is_not_sent_again);
  TEST (one_that_waits_for_its_next_attempt_holds_up_no_other);
  TEST (goes_on_after_a_restart_and_is_given_up_in_the_end);
  TEST (pauses_grow_to_an_hour);
  TEST (an_answer_that_comes_too_late_does_no_harm);
  TEST (beginning_and_end_are_told_once_each);
  TEST (no_more_than_so_many_wait);
#undef TEST
  return g_test_run ();
}
