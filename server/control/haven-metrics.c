/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-metrics.h"

#include <string.h>

#define STATS_TIMEOUT 2000 /* ms; a session that hangs must not hide the others */

static const struct
{
  const char *name, *type, *help;
} families[] = {
  { "haven_build_info", "gauge", "Always 1; the version is a label." },
  { "haven_start_time_seconds", "gauge", "When the server was started, in Unix seconds." },
  { "haven_sessions", "gauge", "Sessions that there are now, by state." },
  { "haven_viewers_waiting", "gauge", "Viewers whose session does not run yet." },
  { "haven_viewers", "gauge", "Viewers of a room." },
  { "haven_recordings", "gauge", "Recordings that run." },
  { "haven_event_listeners", "gauge", "Clients of the event stream." },
  { "haven_http_connections", "gauge", "Open connections that ask or are answered." },
  { "haven_http_requests_total", "counter", "Requests." },
  { "haven_http_refused_connections_total", "counter", "Connections cut off at a limit." },
  { "haven_session_up", "gauge", "1 where a session that runs answers, 0 where it does not." },
  { "haven_session_restarts_total", "counter",
      "Processes of sessions that were started again since the server started." },
  { "haven_session_failures_total", "counter",
      "Sessions that failed or were given up since the server started." },
  { "haven_session_reconnects_total", "counter", "Reconnects to the room." },
  { "haven_sent_frames_total", "counter", "Frames sent to viewers." },
  { "haven_sent_bytes_total", "counter", "Bytes sent to viewers." },
  { "haven_dropped_frames_total", "counter",
      "Frames that were left out, by cause: viewer (too slow to take them), picture (the machine "
      "too slow to make them for viewers), decoder (too slow to decode them)." },
  { "haven_encode_seconds_total", "counter",
      "Processor time spent encoding in the streaming threads; threads of an encoder's own are not "
      "in it." },
  { "haven_livekit_rtt_seconds", "gauge", "Round trip to LiveKit." },
  { "haven_livekit_lost_packets_total", "counter", "RTP packets lost." },
  { "haven_livekit_received_packets_total", "counter", "RTP packets received." },
  { "haven_recording_bytes", "gauge", "Size of a recording that runs." },
  { "haven_recording_duration_seconds", "gauge", "Length of a recording that runs." },
  { "haven_recording_dropped_frames_total", "counter",
      "Frames that are missing in a recording that runs." },
  { "haven_recording_concessions_total", "counter",
      "Steps that recordings took because their encoder did not keep up: a faster encoder, fewer "
      "pictures." },
  { "haven_recording_directory_free_bytes", "gauge",
      "What can still be written to the disk of the recording directory." },
  { "haven_recordings_deleted_total", "counter",
      "Recordings that keep-days or max-total-gigabytes deleted." },
  { "haven_auto_records", "gauge", "Rooms that are recorded whenever somebody streams, by state." },
  { "haven_commands_total", "counter",
      "Commands for recordings that have ended, by result: done, failed." },
  { "haven_webhook_requests_total", "counter",
      "Requests to the webhook, by result: delivered, failed." },
  { "haven_webhook_given_up_total", "counter", "Notices that the webhook will never get." },
  { "haven_notices_waiting", "gauge", "What is still to be told, by kind: command, webhook." },
  { "haven_recording_last_write_age_seconds", "gauge",
      "Time since a recording was last written to." },
};

struct _HavenMetrics
{
  GString *samples[G_N_ELEMENTS (families)];
};

HavenMetrics *
haven_metrics_new (void)
{
  HavenMetrics *metrics = g_new0 (HavenMetrics, 1);

  for (guint i = 0; i < G_N_ELEMENTS (families); i++)
    metrics->samples[i] = g_string_new (NULL);
  return metrics;
}

static void
append_escaped (GString *text, const char *value)
{
  for (; *value; value++) {
    if (*value == '\\' || *value == '"')
      g_string_append_c (text, '\\');
    if (*value == '\n')
      g_string_append (text, "\\n");
    else
      g_string_append_c (text, *value);
  }
}

static void
append_label (GString *text, const char *name, const char *value)
{
  g_string_append_printf (text, "%s%s=\"", g_str_has_suffix (text->str, "{") ? "" : ",", name);
  append_escaped (text, value);
  g_string_append_c (text, '"');
}

/* @label: (nullable)
 * @label2: (nullable) */
static void
add_labelled (HavenMetrics *metrics, const char *name, const char *label, const char *label_value,
    const char *label2, const char *label2_value, double value)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    GString *text = metrics->samples[i];

    if (strcmp (families[i].name, name) != 0)
      continue;
    g_string_append (text, name);
    if (label) {
      g_string_append_c (text, '{');
      append_label (text, label, label_value);
      if (label2)
        append_label (text, label2, label2_value);
      g_string_append_c (text, '}');
    }
    g_ascii_formatd (number, sizeof number, "%.17g", value);
    g_string_append_printf (text, " %s\n", number);
    return;
  }
  g_return_if_reached ();
}

/* @room: (nullable): the label */
void
haven_metrics_add (HavenMetrics *metrics, const char *name, const char *room, double value)
{
  add_labelled (metrics, name, room ? "room" : NULL, room, NULL, NULL, value);
}

/* Frees metrics.
 *
 * Returns: (transfer full): the text, without families that have no sample */
char *
haven_metrics_end (HavenMetrics *metrics)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    if (metrics->samples[i]->len)
      g_string_append_printf (text, "# HELP %s %s\n# TYPE %s %s\n%s", families[i].name,
          families[i].help, families[i].name, families[i].type, metrics->samples[i]->str);
    g_string_free (metrics->samples[i], TRUE);
  }
  g_free (metrics);
  return g_string_free (text, FALSE);
}

/* -- collecting -- */

typedef struct
{
  HavenApp *app;
  HavenMetrics *metrics;
  guint pending;
} Collection;

typedef struct
{
  GTask *task; /* (owned) of the collection */
  char *room;
} Part;

static void
collection_step (GTask *task) /* @task: (transfer none) */
{
  Collection *collection = g_task_get_task_data (task);

  if (--collection->pending == 0)
    g_task_return_pointer (task, haven_metrics_end (collection->metrics), g_free);
}

static Part *
part_new (GTask *task, const char *room)
{
  Part *part = g_new0 (Part, 1);

  ((Collection *)g_task_get_task_data (task))->pending++;
  part->task = g_object_ref (task);
  part->room = g_strdup (room);
  return part;
}

static void
part_free (Part *part)
{
  collection_step (part->task);
  g_object_unref (part->task);
  g_free (part->room);
  g_free (part);
}

static double
number_of (GVariant *info, const char *name)
{
  g_autoptr (GVariant) value = g_variant_lookup_value (info, name, NULL);

  if (!value)
    return 0;
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    return g_variant_get_double (value);
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT64))
    return (double)g_variant_get_uint64 (value);
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    return (double)g_variant_get_int64 (value);
  return g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32) ? g_variant_get_uint32 (value) : 0;
}

static void
on_stats (GObject *source, GAsyncResult *result, gpointer user_data)
{
  static const struct
  {
    const char *name, *family;
  } counters[] = {
    { "reconnects", "haven_session_reconnects_total" },
    { "frames", "haven_sent_frames_total" },
    { "bytes", "haven_sent_bytes_total" },
    { "encode_seconds", "haven_encode_seconds_total" },
    { "concessions", "haven_recording_concessions_total" },
    { "rtt", "haven_livekit_rtt_seconds" },
    { "packets_lost", "haven_livekit_lost_packets_total" },
    { "packets_received", "haven_livekit_received_packets_total" },
  };
  static const struct
  {
    const char *name, *cause;
  } drops[] = {
    { "dropped", "viewer" },
    { "dropped_pictures", "picture" },
    { "dropped_before_decoding", "decoder" },
  };
  Part *part = user_data;
  Collection *collection = g_task_get_task_data (part->task);
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, NULL);
  g_autoptr (GVariant) stats = answer ? g_variant_get_child_value (answer, 0) : NULL;

  haven_metrics_add (collection->metrics, "haven_session_up", part->room, stats ? 1 : 0);
  for (guint i = 0; stats && i < G_N_ELEMENTS (counters); i++)
    haven_metrics_add (
        collection->metrics, counters[i].family, part->room, number_of (stats, counters[i].name));
  for (guint i = 0; stats && i < G_N_ELEMENTS (drops); i++)
    add_labelled (collection->metrics, "haven_dropped_frames_total", "room", part->room, "cause",
        drops[i].cause, number_of (stats, drops[i].name));
  part_free (part);
}

static void
on_recording (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Part *part = user_data;
  Collection *collection = g_task_get_task_data (part->task);
  g_autoptr (GVariant) answer = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, NULL);
  g_autoptr (GVariant) info = answer ? g_variant_get_child_value (answer, 0) : NULL;
  HavenMetrics *metrics = collection->metrics;

  if (info && g_variant_n_children (info)) {
    double written = number_of (info, "last_write");

    haven_metrics_add (
        metrics, "haven_recording_bytes", part->room, number_of (info, "file_size_bytes"));
    haven_metrics_add (metrics, "haven_recording_duration_seconds", part->room,
        number_of (info, "duration_seconds"));
    haven_metrics_add (metrics, "haven_recording_dropped_frames_total", part->room,
        number_of (info, "dropped_frames"));
    if (written > 0)
      haven_metrics_add (metrics, "haven_recording_last_write_age_seconds", part->room,
          MAX (0, ((double)g_get_real_time () - written) / G_USEC_PER_SEC));
  }
  part_free (part);
}

static void
add_server (HavenMetrics *metrics, HavenApp *app)
{
  guint open, restarts, failures;
  guint64 requests, refused;

  haven_session_manager_counters (app->manager, &restarts, &failures);
  haven_metrics_add (metrics, "haven_session_restarts_total", NULL, restarts);
  haven_metrics_add (metrics, "haven_session_failures_total", NULL, failures);

  haven_http_counters (app->http, &open, &requests, &refused);
  add_labelled (metrics, "haven_build_info", "version", PACKAGE_VERSION, NULL, NULL, 1);
  haven_metrics_add (
      metrics, "haven_start_time_seconds", NULL, (double)app->started / G_USEC_PER_SEC);
  haven_metrics_add (metrics, "haven_viewers_waiting", NULL, haven_viewers_waiting (app->viewers));
  haven_metrics_add (metrics, "haven_recordings", NULL, haven_recorder_count (app->recorder));
  haven_metrics_add (metrics, "haven_event_listeners", NULL, haven_events_count (app->events));
  haven_metrics_add (metrics, "haven_http_connections", NULL, open);
  haven_metrics_add (metrics, "haven_http_requests_total", NULL, (double)requests);
  haven_metrics_add (metrics, "haven_http_refused_connections_total", NULL, (double)refused);
}

static void
add_auto_records (HavenMetrics *metrics, HavenAutoRecord *list)
{
  static const char *const states[] = { "waiting", "starting", "recording", "held" };
  g_autoptr (GPtrArray) ids = haven_auto_record_list (list);
  guint counts[G_N_ELEMENTS (states)] = { 0 };
  HavenAutoState state;

  for (guint i = 0; i < ids->len; i++)
    for (guint s = 0; s < G_N_ELEMENTS (states); s++)
      counts[s] += haven_auto_record_get (list, ids->pdata[i], &state)
                   && strcmp (state.state, states[s]) == 0;
  for (guint s = 0; s < G_N_ELEMENTS (states); s++)
    add_labelled (metrics, "haven_auto_records", "state", states[s], NULL, NULL, counts[s]);
}

/* What goes on around recordings. */
static void
add_around (HavenMetrics *metrics, HavenApp *app)
{
  static const char *const kinds[] = { HAVEN_NOTICE_COMMAND, HAVEN_NOTICE_WEBHOOK };
  guint done, failed, delivered, refused, given_up;
  guint64 available;

  if (haven_disk_available (app->disk, &available))
    haven_metrics_add (metrics, "haven_recording_directory_free_bytes", NULL, (double)available);
  haven_metrics_add (
      metrics, "haven_recordings_deleted_total", NULL, haven_retention_count (app->retention));
  haven_command_counters (app->command, &done, &failed);
  add_labelled (metrics, "haven_commands_total", "result", "done", NULL, NULL, done);
  add_labelled (metrics, "haven_commands_total", "result", "failed", NULL, NULL, failed);
  haven_webhook_counters (app->webhook, &delivered, &refused, &given_up);
  add_labelled (
      metrics, "haven_webhook_requests_total", "result", "delivered", NULL, NULL, delivered);
  add_labelled (metrics, "haven_webhook_requests_total", "result", "failed", NULL, NULL, refused);
  haven_metrics_add (metrics, "haven_webhook_given_up_total", NULL, given_up);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    add_labelled (metrics, "haven_notices_waiting", "kind", kinds[i], NULL, NULL,
        haven_store_count_notices (app->store, kinds[i]));
  add_auto_records (metrics, app->auto_record);
}

static void
add_sessions (GTask *task, HavenMetrics *metrics, HavenApp *app)
{
  static const char *const states[] = { "connecting", "active", "reconnecting", "ended" };
  g_autoptr (GPtrArray) list = haven_session_manager_list (app->manager);

  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    guint count = 0;

    for (guint j = 0; j < list->len; j++)
      count += strcmp (haven_session_state (list->pdata[j]), states[i]) == 0;
    add_labelled (metrics, "haven_sessions", "state", states[i], NULL, NULL, count);
  }
  for (guint i = 0; i < list->len; i++) {
    HavenSession *session = list->pdata[i];

    if (session->phase != HAVEN_SESSION_ACTIVE)
      continue;
    haven_metrics_add (metrics, "haven_viewers", session->mint_id,
        haven_dbus_session1_get_num_viewers (session->proxy));
    g_dbus_proxy_call (G_DBUS_PROXY (session->proxy), "GetStats", NULL, G_DBUS_CALL_FLAGS_NONE,
        STATS_TIMEOUT, NULL, on_stats, part_new (task, session->mint_id));
    if (haven_recorder_find (app->recorder, session->mint_id))
      g_dbus_proxy_call (G_DBUS_PROXY (session->proxy), "GetRecording", NULL,
          G_DBUS_CALL_FLAGS_NONE, STATS_TIMEOUT, NULL, on_recording,
          part_new (task, session->mint_id));
  }
}

void
haven_metrics_collect_async (HavenApp *app, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);
  Collection *collection = g_new0 (Collection, 1);

  collection->app = app;
  collection->metrics = haven_metrics_new ();
  collection->pending = 1;
  g_task_set_task_data (task, collection, g_free);
  add_server (collection->metrics, app);
  add_around (collection->metrics, app);
  add_sessions (task, collection->metrics, app);
  collection_step (task);
}

char *
haven_metrics_collect_finish (GAsyncResult *result)
{
  return g_task_propagate_pointer (G_TASK (result), NULL);
}
