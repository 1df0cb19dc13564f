/* haven-http: listens, guards, routes, and replies. What is said is in api-*.c.
 *
 * Of the main context's thread. A handler replies at once or later, exactly once; the request lives
 * until then.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>
#include <libsoup/soup.h>

#include "haven-config.h"
#include "haven-error.h"
#include "haven-json.h"

G_BEGIN_DECLS

typedef struct _HavenHttp HavenHttp;
typedef struct _HavenApp HavenApp;
typedef struct _HavenRequest HavenRequest;
typedef void (*HavenHandler) (HavenRequest *request);

typedef enum
{
  HAVEN_ROUTE_OPEN = 1 << 0,   /* needs no API token */
  HAVEN_ROUTE_SOCKET = 1 << 1, /* a WebSocket: answered before there is a body */
  HAVEN_ROUTE_STREAM = 1 << 2, /* takes its connection: answered before there is a body */
} HavenRouteFlags;

typedef struct
{
  const char *method;
  const char *path; /* "{id}" stands for what may contain slashes too */
  HavenHandler handler;
  const HavenField *fields; /* (nullable) of the body; NULL: a body is not looked at */
  HavenRouteFlags flags;
} HavenRoute;

struct _HavenRequest
{
  HavenApp *app; /* outlives it */
  const HavenRoute *route;
  char *id;          /* (nullable) of the path */
  JsonObject *body;  /* (nullable) */
  GHashTable *query; /* names -> values */

  /* of haven-http.c */
  HavenHttp *http;
  SoupServerMessage *msg;
  gint64 began;
  gboolean unread;  /* its body may still be on its way */
  gboolean handled; /* by its route, which owes a reply */
  gboolean paused;
  gboolean gone;  /* nobody waits for the reply */
  char *mint_id;  /* (nullable) of the session that it is about, and its number: for the log */
  gint64 session; /* 0: it has none, or not yet */
  gpointer data;  /* of the handler */
  GDestroyNotify free_data;
};

HavenHttp *haven_http_new (HavenApp *app, HavenConfig *config, const HavenRoute *routes);
gboolean haven_http_listen (HavenHttp *http, GError **error);
void haven_http_stop (HavenHttp *http);
void haven_http_reload (HavenHttp *http);
void haven_http_free (HavenHttp *http);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenHttp, haven_http_free)
guint16 haven_http_port (HavenHttp *http);
void haven_http_counters (HavenHttp *http, guint *open, guint64 *requests, guint64 *refused);

void haven_request_reply_json (HavenRequest *request, guint status, JsonObject *body);
void haven_request_reply_data (
    HavenRequest *request, guint status, const char *type, GBytes *data, const char *cache);
void haven_request_reply_error (HavenRequest *request, const GError *error);
void haven_request_fail (HavenRequest *request, HavenError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);
void haven_request_set_session (HavenRequest *request, const char *mint_id, gint64 session);
void haven_request_set_header (HavenRequest *request, const char *name, const char *value);
void haven_request_set_data (HavenRequest *request, gpointer data, GDestroyNotify free_data);
gboolean haven_request_uint (
    HavenRequest *request, const char *name, guint min, guint max, guint otherwise, guint *value);
guint haven_request_count_taken (HavenRequest *request, const char **address);
gboolean haven_request_is_head (HavenRequest *request);
const char *haven_request_header (HavenRequest *request, const char *name);

/* Takes the connection from libsoup: what is written to it from now on is the caller's affair.
 * The first is after the 101 of a handshake, without extensions; the second at once, with the
 * headers that go into the answer. @too_early: the client sent frames before it had the answer, and
 * they are lost. */
typedef void (*HavenSocketTaken) (
    GIOStream *stream, GSocket *socket, gboolean too_early, gpointer user_data);
gboolean haven_request_accept_socket (HavenRequest *request, const char *protocol,
    HavenSocketTaken taken, gpointer user_data, GDestroyNotify free_data);
GIOStream *haven_request_take_connection (
    HavenRequest *request, guint status, GSocket **socket, GString **head);

G_END_DECLS
