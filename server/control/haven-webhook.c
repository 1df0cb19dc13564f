/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-webhook.h"

#include <libsoup/soup.h>
#include <string.h>

#include "haven-log.h"
#include "livekit-http.h"

#define SILENCE 10      /* s without a byte */
#define MOST_TIME 30    /* s for an answer, however it dribbles */
#define LAST_PAUSE 3600 /* s */
#define STORE_PAUSE 60  /* s, where the store could not be written: it must not be sent for ever */
#define LONGEST_SLEEP (60 * G_TIME_SPAN_SECOND) /* clocks are set */

struct _HavenWebhook
{
  HavenConfig *config; /* outlives us, as store does */
  HavenStore *store;
  SoupSession *session;    /* (owned) */
  struct Sending *sending; /* (nullable): one at a time */
  guint timer;             /* until the next is due */
  guint n_delivered, n_refused, n_given_up;
};

typedef struct Sending
{
  HavenWebhook *webhook; /* (nullable): it is gone */
  gint64 notice;
  char *recording_id, *event;
  guint attempts;       /* before this one */
  SoupMessage *message; /* (owned) */
  GCancellable *patience;
  guint timer;
} Sending;

static void
sending_free (Sending *sending)
{
  g_clear_handle_id (&sending->timer, g_source_remove);
  g_object_unref (sending->patience);
  g_object_unref (sending->message);
  g_free (sending->recording_id);
  g_free (sending->event);
  g_free (sending);
}

/* How long to wait after so many attempts in vain, s. */
guint
haven_webhook_pause (guint attempts)
{
  return attempts > 12 ? LAST_PAUSE : MIN (1u << (attempts - 1), LAST_PAUSE);
}

/* Over the time of sending too: who hears it once cannot say it again tomorrow.
 *
 * @time: Unix s
 *
 * Returns: (transfer full): what the header Haven-Signature says */
char *
haven_webhook_signature (const char *secret, gint64 time, const char *body)
{
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT ".%s", time, body);
  g_autofree char *digest = g_compute_hmac_for_string (
      G_CHECKSUM_SHA256, (const guchar *)secret, strlen (secret), text, (gssize)strlen (text));

  return g_strdup_printf ("t=%" G_GINT64_FORMAT ",v1=%s", time, digest);
}

static gboolean
on_due (gpointer user_data)
{
  HavenWebhook *webhook = user_data;

  webhook->timer = 0;
  haven_webhook_wake (webhook);
  return G_SOURCE_REMOVE;
}

static void
sleep_for (HavenWebhook *webhook, gint64 us)
{
  g_clear_handle_id (&webhook->timer, g_source_remove);
  webhook->timer
      = g_timeout_add ((guint)(CLAMP (us, 0, LONGEST_SLEEP) / 1000 + 1), on_due, webhook);
}

/* It will never be taken: what is wrong is the request, not the moment. */
static gboolean
is_final (guint status)
{
  return status >= 300 && status < 500 && status != SOUP_STATUS_REQUEST_TIMEOUT && status != 425
         && status != 429;
}

/* Returns: whether the store took it */
static gboolean
settle (HavenWebhook *webhook, const Sending *sending, guint status, const GError *error)
{
  g_autofree char *host = livekit_http_describe (soup_message_get_uri (sending->message));
  g_autofree char *reason = error ? g_strdup (error->message) : g_strdup_printf ("HTTP %u", status);
  g_autofree char *attempt = g_strdup_printf ("%u", sending->attempts + 1);
  gboolean given_up;

  if (!error && status >= 200 && status < 300) {
    webhook->n_delivered++;
    haven_log (G_LOG_LEVEL_INFO, "webhook-delivered", "recording", sending->recording_id, "type",
        sending->event, "host", host, NULL);
    return haven_store_delete_notice (webhook->store, sending->notice);
  }
  webhook->n_refused++;
  given_up = (!error && is_final (status)) || sending->attempts + 1 >= HAVEN_WEBHOOK_ATTEMPTS;
  haven_log (G_LOG_LEVEL_WARNING, given_up ? "webhook-given-up" : "webhook-failed", "recording",
      sending->recording_id, "type", sending->event, "host", host, "attempt", attempt, "reason",
      reason, NULL);
  if (given_up) {
    webhook->n_given_up++;
    return haven_store_delete_notice (webhook->store, sending->notice);
  }
  return haven_store_postpone_notice (webhook->store, sending->notice,
      g_get_real_time () + haven_webhook_pause (sending->attempts + 1) * (gint64)G_USEC_PER_SEC);
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Sending *sending = user_data;
  HavenWebhook *webhook = sending->webhook;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) body = livekit_http_send_finish (SOUP_SESSION (source), result, &error);
  gboolean settled;

  if (webhook) {
    webhook->sending = NULL;
    settled = settle (webhook, sending, soup_message_get_status (sending->message), error);
    if (settled)
      haven_webhook_wake (webhook);
    else
      sleep_for (webhook, STORE_PAUSE * G_USEC_PER_SEC);
  }
  sending_free (sending);
}

static gboolean
on_too_long (gpointer user_data)
{
  Sending *sending = user_data;

  sending->timer = 0;
  g_cancellable_cancel (sending->patience);
  return G_SOURCE_REMOVE;
}

static SoupMessage * /* (transfer full) */
make_message (HavenWebhook *webhook, const HavenNoticeRow *notice)
{
  g_autoptr (GUri) uri = g_uri_parse (
      haven_config_get (webhook->config, HAVEN_KEY_WEBHOOK_URL), SOUP_HTTP_URI_FLAGS, NULL);
  SoupMessage *message = livekit_http_message_new ("POST", uri, NULL, FALSE);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);
  const char *secret = haven_config_get (webhook->config, HAVEN_KEY_WEBHOOK_SECRET);
  g_autoptr (GBytes) body = g_bytes_new (notice->body, strlen (notice->body));
  g_autofree char *delivery = g_strdup_printf ("%" G_GINT64_FORMAT, notice->id);
  g_autofree char *signature
      = secret ? haven_webhook_signature (secret, g_get_real_time () / G_USEC_PER_SEC, notice->body)
               : NULL;

  soup_message_headers_replace (headers, "Haven-Event", notice->event);
  soup_message_headers_replace (headers, "Haven-Delivery", delivery);
  if (signature)
    soup_message_headers_replace (headers, "Haven-Signature", signature);
  soup_message_set_request_body_from_bytes (message, "application/json", body);
  return message;
}

static void
begin (HavenWebhook *webhook, const HavenNoticeRow *notice)
{
  Sending *sending = g_new0 (Sending, 1);

  sending->webhook = webhook;
  sending->notice = notice->id;
  sending->recording_id = g_strdup (notice->recording_id);
  sending->event = g_strdup (notice->event);
  sending->attempts = notice->attempts;
  sending->message = make_message (webhook, notice);
  sending->patience = g_cancellable_new ();
  sending->timer = g_timeout_add_seconds (MOST_TIME, on_too_long, sending);
  webhook->sending = sending;
  livekit_http_send_async (
      webhook->session, sending->message, sending->patience, on_answer, sending);
}

/* There may be something to send. */
void
haven_webhook_wake (HavenWebhook *webhook)
{
  g_autoptr (GPtrArray) notices = NULL;
  const HavenNoticeRow *next;
  gint64 now = g_get_real_time ();

  if (webhook->sending)
    return;
  if (!haven_config_get (webhook->config, HAVEN_KEY_WEBHOOK_URL)) {
    if (haven_store_clear_notices (webhook->store, HAVEN_NOTICE_WEBHOOK))
      haven_log (G_LOG_LEVEL_WARNING, "webhook-not-set", NULL);
    return;
  }
  notices = haven_store_list_notices (webhook->store, HAVEN_NOTICE_WEBHOOK, 1);
  if (!notices->len)
    return;
  next = notices->pdata[0];
  if (next->next_time > now)
    sleep_for (webhook, next->next_time - now);
  else
    begin (webhook, next);
}

HavenWebhook *
haven_webhook_new (HavenConfig *config, HavenStore *store)
{
  HavenWebhook *webhook = g_new0 (HavenWebhook, 1);

  webhook->config = config;
  webhook->store = store;
  webhook->session = livekit_http_session_new (NULL);
  soup_session_set_timeout (webhook->session, SILENCE);
  return webhook;
}

void
haven_webhook_free (HavenWebhook *webhook)
{
  g_clear_handle_id (&webhook->timer, g_source_remove);
  if (webhook->sending) {
    webhook->sending->webhook = NULL;
    g_cancellable_cancel (webhook->sending->patience);
  }
  g_object_unref (webhook->session);
  g_free (webhook);
}

/* Since the server started.
 *
 * @refused: attempts in vain
 * @given_up: notices that will not be sent any more */
void
haven_webhook_counters (HavenWebhook *webhook, guint *delivered, guint *refused, guint *given_up)
{
  *delivered = webhook->n_delivered;
  *refused = webhook->n_refused;
  *given_up = webhook->n_given_up;
}
