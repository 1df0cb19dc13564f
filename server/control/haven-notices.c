/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-notices.h"

#include <string.h>

#include "haven-json.h"
#include "haven-log.h"

#define MOST 1000 /* of each kind that wait */

struct _HavenNotices
{
  HavenConfig *config; /* outlives us, as the others do */
  HavenStore *store;
  HavenCommand *command;
  HavenWebhook *webhook;
  GHashTable *begun; /* (owned) ids of recordings that run and are known to */
};

HavenNotices *
haven_notices_new (
    HavenConfig *config, HavenStore *store, HavenCommand *command, HavenWebhook *webhook)
{
  HavenNotices *notices = g_new0 (HavenNotices, 1);
  g_autoptr (GPtrArray) rows = haven_store_list_recordings (store, NULL, "recording", G_MAXINT, 0);

  notices->config = config;
  notices->store = store;
  notices->command = command;
  notices->webhook = webhook;
  notices->begun = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < rows->len; i++) /* a former life of the server told of them */
    g_hash_table_add (notices->begun, g_strdup (((HavenRecordingRow *)rows->pdata[i])->id));
  return notices;
}

void
haven_notices_free (HavenNotices *notices)
{
  g_hash_table_unref (notices->begun);
  g_free (notices);
}

static void
add (HavenNotices *notices, const char *kind, HavenKey key, const HavenNoticeRow *notice)
{
  guint n_lost;

  if (!haven_config_get (notices->config, key))
    return;
  /* Where it cannot be kept, the store has said so. */
  if (haven_store_add_notice (notices->store, kind, notice, MOST, &n_lost) && n_lost)
    haven_log (G_LOG_LEVEL_WARNING, "notice-lost", "kind", kind, NULL);
}

/* @row: after it began, changed, or ended
 * @description: of it, as answers give it */
void
haven_notices_tell (HavenNotices *notices, const HavenRecordingRow *row, JsonObject *description)
{
  gboolean runs = strcmp (row->state, "recording") == 0;
  g_autofree char *event = g_strconcat ("recording.", runs ? "started" : row->state, NULL);
  g_autoptr (JsonObject) object = json_object_new ();
  g_autofree char *body = NULL;
  HavenNoticeRow notice = { .recording_id = row->id, .event = event };

  if (runs && !g_hash_table_add (notices->begun, g_strdup (row->id)))
    return; /* a further part */
  json_object_set_string_member (object, "event", event);
  haven_json_set_time (object, "timestamp", g_get_real_time ());
  json_object_set_object_member (object, "recording", json_object_ref (description));
  notice.body = body = haven_json_to_text (object);
  add (notices, HAVEN_NOTICE_WEBHOOK, HAVEN_KEY_WEBHOOK_URL, &notice);
  haven_webhook_wake (notices->webhook);
  if (runs)
    return;
  g_hash_table_remove (notices->begun, row->id);
  add (notices, HAVEN_NOTICE_COMMAND, HAVEN_KEY_ON_COMPLETE, &notice);
  haven_command_wake (notices->command);
}
