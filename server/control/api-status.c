/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "api.h"
#include "haven-metrics.h"

#define CSP                                                                                      \
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' " \
  "data:; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void
reply_resource (HavenRequest *request, const char *path, const char *type)
{
  g_autoptr (GBytes) data = g_resources_lookup_data (path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);

  if (!data) {
    haven_request_fail (request, HAVEN_ERROR_NO_ENDPOINT, "There is nothing at this address.");
    return;
  }
  haven_request_set_header (request, "Content-Security-Policy", CSP);
  haven_request_reply_data (request, 200, type, data, "no-cache");
}

static gboolean
wants_html (HavenRequest *request)
{
  const char *accept = haven_request_header (request, "Accept");

  return accept && strstr (accept, "text/html");
}

void
api_status_root (HavenRequest *request)
{
  JsonObject *body;

  haven_request_set_header (request, "Vary", "Origin, Accept");
  if (wants_html (request)) {
    reply_resource (request, "/org/haven/web/index.html", "text/html; charset=utf-8");
    return;
  }
  body = json_object_new ();
  json_object_set_string_member (body, "name", "Haven Live");
  json_object_set_string_member (body, "version", PACKAGE_VERSION);
  json_object_set_string_member (body, "status", "ok");
  json_object_set_string_member (body, "documentation", "/openapi.json");
  haven_request_reply_json (request, 200, body);
}

/* The page's other files. */
void
api_status_page (HavenRequest *request)
{
  static const struct
  {
    const char *suffix, *type;
  } types[] = {
    { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".html", "text/html; charset=utf-8" },
  };
  g_autofree char *path = g_strconcat ("/org/haven/web/", request->id, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_str_has_suffix (path, types[i].suffix)) {
      reply_resource (request, path, types[i].type);
      return;
    }
  haven_request_fail (request, HAVEN_ERROR_NO_ENDPOINT, "There is nothing at this address.");
}

void
api_status_health (HavenRequest *request)
{
  JsonObject *body = json_object_new ();

  json_object_set_string_member (body, "status", "ok");
  haven_request_reply_json (request, 200, body);
}

void
api_status_ready (HavenRequest *request)
{
  JsonObject *body;

  if (!request->app->ready) {
    haven_request_fail (request, HAVEN_ERROR_SHUTTING_DOWN, "The server is starting or stopping.");
    return;
  }
  body = json_object_new ();
  json_object_set_string_member (body, "status", "ready");
  haven_request_reply_json (request, 200, body);
}

void
api_status_openapi (HavenRequest *request)
{
  g_autoptr (GBytes) data
      = g_resources_lookup_data ("/org/haven/openapi.json", G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);

  haven_request_reply_data (request, 200, "application/json", data, "no-cache");
}

static void
on_metrics (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HavenRequest *request = user_data;
  g_autofree char *text = haven_metrics_collect_finish (result);
  g_autoptr (GBytes) data = g_bytes_new (text, strlen (text));

  haven_request_reply_data (request, 200, "text/plain; version=0.0.4; charset=utf-8", data, NULL);
}

void
api_status_metrics (HavenRequest *request)
{
  haven_metrics_collect_async (request->app, on_metrics, request);
}

void
api_status_events (HavenRequest *request)
{
  HavenEvents *events = request->app->events;
  g_autoptr (GIOStream) stream = NULL;
  GSocket *socket = NULL;
  GString *head = NULL;
  gboolean head_only = haven_request_is_head (request);
  g_autofree char *last_id = g_strdup (haven_request_header (request, "Last-Event-ID"));

  if (haven_events_full (events)) {
    haven_request_fail (request, HAVEN_ERROR_LIMIT, "Too many listen already.");
    return;
  }
  if (!api_may_stay (request))
    return;
  stream = haven_request_take_connection (request, 200, &socket, &head);
  if (!stream)
    return;
  g_string_append (
      head, "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\nretry: 2000\n\n");
  if (head_only)
    g_socket_send (socket, head->str, head->len, NULL, NULL);
  else
    haven_events_add (events, stream, socket, head->str, last_id);
  g_string_free (head, TRUE);
}
