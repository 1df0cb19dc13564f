/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-connections.h"

#include <string.h>

#include "haven-error.h"
#include "haven-json.h"
#include "haven-linger.h"
#include "haven-log.h"

#define ACCEPT_AT_ONCE 16
#define ACCEPT_PAUSE 100  /* ms, when accepting fails: mostly because all descriptors are taken */
#define ANSWER_TIMEOUTS 3 /* of a request: until a client must have taken its answer */

struct _HavenConnections
{
  HavenConfig *config; /* outlives us, as server does */
  SoupServer *server;
  GSocket *listener; /* (owned) (nullable) */
  guint accept_id, resume_id;
  GQueue arriving; /* (unowned) Connection whose request is not complete, the oldest first */
  HavenLinger *linger;
  GHashTable *per_address; /* address -> number of connections of libsoup's */
  GHashTable *taken;       /* the same of those that were taken from it and live on */
  guint open;
  guint64 n_refused;
};

typedef struct /* a connection that libsoup has; lives until it goes or is taken */
{
  HavenConnections *owner;
  GSocketConnection *connection; /* weak */
  GSocketAddress *remote;        /* by which a message finds us */
  char *address;
  guint deadline; /* until its request is complete, and again until its answer is taken */
  GList *link;    /* (nullable) in owner->arriving */
} Connection;

static const char connection_key[] = "haven-connection";

/* Where libsoup is not asked: before it has the connection, or while it waits for the request. */
static char * /* (transfer full) */
raw_error (HavenError code, const char *sentence)
{
  g_autoptr (GError) error = g_error_new_literal (HAVEN_ERROR, (int)code, sentence);
  g_autoptr (JsonObject) body = haven_json_from_error (error);
  g_autofree char *json = haven_json_to_text (body);
  guint status = haven_error_status (error);

  return g_strdup_printf ("HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
                          "Content-Length: %" G_GSIZE_FORMAT "\r\nConnection: close\r\n%s\r\n%s",
      status, soup_status_get_phrase (status), strlen (json),
      status == 503 ? "Retry-After: " HAVEN_RETRY_AFTER "\r\n" : "", json);
}

static void
count_address (GHashTable *counts, const char *address, int step)
{
  guint count = GPOINTER_TO_UINT (g_hash_table_lookup (counts, address)) + (guint)step;

  if (count)
    g_hash_table_replace (counts, g_strdup (address), GUINT_TO_POINTER (count));
  else
    g_hash_table_remove (counts, address);
}

static void
set_complete (Connection *connection)
{
  g_clear_handle_id (&connection->deadline, g_source_remove);
  if (connection->link)
    g_queue_delete_link (&connection->owner->arriving, connection->link);
  connection->link = NULL;
}

static void
connection_free (Connection *connection)
{
  set_complete (connection);
  connection->owner->open--;
  count_address (connection->owner->per_address, connection->address, -1);
  g_object_set_data (G_OBJECT (connection->remote), connection_key, NULL);
  g_object_unref (connection->remote);
  g_free (connection->address);
  g_free (connection);
}

static void /* weak notify */
on_connection_gone (gpointer user_data, GObject *object)
{
  connection_free (user_data);
}

typedef struct /* a connection that was taken; may live longer than we do */
{
  GHashTable *counts; /* (owned) */
  char *address;
} Taken;

static void /* weak notify */
on_taken_gone (gpointer user_data, GObject *object)
{
  Taken *taken = user_data;

  count_address (taken->counts, taken->address, -1);
  g_hash_table_unref (taken->counts);
  g_free (taken->address);
  g_free (taken);
}

/* From here on it counts as one that stays. */
static void
untrack (GSocketConnection *object)
{
  Connection *connection = g_object_steal_data (G_OBJECT (object), connection_key);
  Taken *taken;

  if (!connection)
    return;
  g_object_weak_unref (G_OBJECT (object), on_connection_gone, connection);
  taken = g_new0 (Taken, 1);
  taken->counts = g_hash_table_ref (connection->owner->taken);
  taken->address = g_strdup (connection->address);
  count_address (taken->counts, taken->address, 1);
  g_object_weak_ref (G_OBJECT (object), on_taken_gone, taken);
  connection_free (connection);
}

/* libsoup sees the end of the stream and cleans up as for a client that left. */
static void
shut (Connection *connection)
{
  connection->owner->n_refused++;
  g_socket_shutdown (g_socket_connection_get_socket (connection->connection), TRUE, TRUE, NULL);
}

/* Its request is not complete, so nothing has been written to it. */
static void
cut_off (Connection *connection, HavenError code, const char *sentence)
{
  g_autofree char *text = raw_error (code, sentence);

  set_complete (connection);
  g_socket_send (
      g_socket_connection_get_socket (connection->connection), text, strlen (text), NULL, NULL);
  shut (connection);
}

static gboolean
on_arrival_timeout (gpointer user_data)
{
  Connection *connection = user_data;

  connection->deadline = 0;
  cut_off (connection, HAVEN_ERROR_SLOW_REQUEST, "The request took too long to arrive.");
  return G_SOURCE_REMOVE;
}

static gboolean
on_answer_timeout (gpointer user_data)
{
  Connection *connection = user_data;

  connection->deadline = 0;
  shut (connection);
  return G_SOURCE_REMOVE;
}

static void
track (HavenConnections *self, GSocketConnection *object, GSocketAddress *remote)
{
  guint most = haven_config_get_uint (self->config, HAVEN_KEY_MAX_CONNECTIONS);
  Connection *connection = g_new0 (Connection, 1);

  connection->owner = self;
  connection->connection = object;
  connection->address = g_inet_address_to_string (
      g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (remote)));
  connection->deadline
      = g_timeout_add_seconds (haven_config_get_uint (self->config, HAVEN_KEY_REQUEST_TIMEOUT),
          on_arrival_timeout, connection);
  g_queue_push_tail (&self->arriving, connection);
  connection->link = self->arriving.tail;
  self->open++;
  count_address (self->per_address, connection->address, 1);
  g_object_set_data (G_OBJECT (object), connection_key, connection);
  g_object_set_data (G_OBJECT (remote), connection_key, connection);
  connection->remote = g_object_ref (remote);
  g_object_weak_ref (G_OBJECT (object), on_connection_gone, connection);
  if (self->open > most && self->arriving.head != connection->link)
    cut_off (
        g_queue_peek_head (&self->arriving), HAVEN_ERROR_LIMIT, "Too many clients; try again.");
}

static void
serve (HavenConnections *self, GSocket *socket)
{
  g_autoptr (GSocketAddress) local = g_socket_get_local_address (socket, NULL);
  g_autoptr (GSocketAddress) remote = g_socket_get_remote_address (socket, NULL);
  g_autoptr (GSocketConnection) connection = NULL;
  g_autofree char *address = NULL;
  guint most = haven_config_get_uint (self->config, HAVEN_KEY_MAX_CONNECTIONS_PER_ADDRESS);

  if (!local || !remote) /* left already */
    return;
  address = g_inet_address_to_string (
      g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (remote)));
  if (GPOINTER_TO_UINT (g_hash_table_lookup (self->per_address, address)) >= most
      || (self->open >= haven_config_get_uint (self->config, HAVEN_KEY_MAX_CONNECTIONS)
          && !self->arriving.head)) {
    g_autofree char *text = raw_error (HAVEN_ERROR_LIMIT, "Too many connections; try again.");

    self->n_refused++;
    haven_linger_say (self->linger, socket, NULL, text, strlen (text));
    return;
  }
  connection = g_socket_connection_factory_create_connection (socket);
  track (self, connection, remote);
  soup_server_accept_iostream (self->server, G_IO_STREAM (connection), local, remote, NULL);
}

static void resume_accepting (HavenConnections *self);

static gboolean
on_resume (gpointer user_data)
{
  HavenConnections *self = user_data;

  self->resume_id = 0;
  resume_accepting (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_incoming (GSocket *listener, GIOCondition condition, gpointer user_data)
{
  HavenConnections *self = user_data;

  for (guint i = 0; i < ACCEPT_AT_ONCE; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GSocket) socket = g_socket_accept (listener, NULL, &error);

    if (socket) {
      serve (self, socket);
    } else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
      break;
    } else {
      haven_log (G_LOG_LEVEL_WARNING, "accept-failed", "message", error->message, NULL);
      self->accept_id = 0;
      self->resume_id = g_timeout_add (ACCEPT_PAUSE, on_resume, self);
      return G_SOURCE_REMOVE;
    }
  }
  return G_SOURCE_CONTINUE;
}

static void
resume_accepting (HavenConnections *self)
{
  g_autoptr (GSource) source = g_socket_create_source (self->listener, G_IO_IN, NULL);

  g_source_set_callback (source, (GSourceFunc)(void (*) (void))on_incoming, self, NULL);
  self->accept_id = g_source_attach (source, NULL);
}

/* -- what becomes of a connection -- */

static Connection * /* (nullable) */
connection_of (SoupServerMessage *msg)
{
  GSocketAddress *remote = soup_server_message_get_remote_address (msg); /* the one from serve() */

  return remote ? g_object_get_data (G_OBJECT (remote), connection_key) : NULL;
}

/* How many connections the address of this one has that were taken, and still are open here.
 *
 * @address: (out) (transfer none) (nullable): lives as long as msg has its connection */
guint
haven_connections_count_taken (HavenConnections *self, SoupServerMessage *msg, const char **address)
{
  Connection *connection = connection_of (msg);

  *address = connection ? connection->address : NULL;
  return *address ? GPOINTER_TO_UINT (g_hash_table_lookup (self->taken, *address)) : 0;
}

/* Its request is: no more has to come. */
void
haven_connections_request_complete (SoupServerMessage *msg)
{
  Connection *connection = connection_of (msg);

  if (connection)
    set_complete (connection);
}

/* Its answer is there: from now on it is to be taken. */
void
haven_connections_expect_taken (SoupServerMessage *msg)
{
  Connection *connection = connection_of (msg);
  guint timeout;

  if (!connection)
    return;
  set_complete (connection);
  timeout = haven_config_get_uint (connection->owner->config, HAVEN_KEY_REQUEST_TIMEOUT);
  connection->deadline
      = g_timeout_add_seconds (ANSWER_TIMEOUTS * timeout, on_answer_timeout, connection);
}

/* Takes a connection from libsoup, and from us.
 *
 * @socket: (out) (transfer none): lives with the stream
 *
 * Returns: (transfer full) (nullable) */
GIOStream *
haven_connections_take (SoupServerMessage *msg, GSocket **socket)
{
  g_autoptr (GIOStream) stream = soup_server_message_steal_connection (msg);
  g_autoptr (GIOStream) base = NULL;

  if (!stream)
    return NULL;
  g_object_get (stream, "base-iostream", &base, NULL);
  untrack (G_SOCKET_CONNECTION (base));
  *socket
      = g_socket_connection_get_socket (G_SOCKET_CONNECTION (base)); /* base lives on in stream */
  return g_steal_pointer (&stream);
}

/* Ends a connection that was taken, so that what is said arrives. */
void
haven_connections_say_last (
    HavenConnections *self, GSocket *socket, GIOStream *stream, const char *text, gsize size)
{
  haven_linger_say (self->linger, socket, stream, text, size);
}

/* -- life -- */

HavenConnections *
haven_connections_new (HavenConfig *config, SoupServer *server)
{
  HavenConnections *self = g_new0 (HavenConnections, 1);

  self->config = config;
  self->server = server;
  self->linger = haven_linger_new ();
  self->per_address = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->taken = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_queue_init (&self->arriving);
  return self;
}

/* @listener: (transfer none): non-blocking */
void
haven_connections_accept (HavenConnections *self, GSocket *listener)
{
  self->listener = g_object_ref (listener);
  resume_accepting (self);
}

/* Accepts no more. */
void
haven_connections_stop (HavenConnections *self)
{
  g_clear_handle_id (&self->accept_id, g_source_remove);
  g_clear_handle_id (&self->resume_id, g_source_remove);
}

/* After the server has let go of its connections. */
void
haven_connections_free (HavenConnections *self)
{
  haven_connections_stop (self);
  g_clear_object (&self->listener);
  haven_linger_free (self->linger);
  g_hash_table_unref (self->per_address);
  g_hash_table_unref (self->taken);
  g_free (self);
}

void
haven_connections_counters (HavenConnections *self, guint *open, guint64 *refused)
{
  *open = self->open;
  *refused = self->n_refused;
}
