/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-events.h"

#include <string.h>

#include "haven-json.h"

#define MAX_LISTENERS 256
#define KEEP_ALIVE 15 /* s between comments, by which a listener that left is noticed */
#define KEPT 256      /* events that one who comes back can still get */

struct _HavenEvents
{
  GPtrArray *listeners; /* (owned) Listener */
  guint timer;
  gint64 epoch; /* Unix µs: ids of a former life of the server are none of ours */
  guint64 last_id;
  GQueue kept; /* (owned) char *: the newest events, as they were sent; the oldest first */
};

typedef struct
{
  HavenEvents *events;
  GIOStream *stream; /* (owned) holds socket */
  GSocket *socket;   /* (owned) */
  GSource *watch;    /* (owned) whether it leaves */
} Listener;

static void
listener_free (gpointer data)
{
  Listener *listener = data;

  g_source_destroy (listener->watch);
  g_source_unref (listener->watch);
  g_socket_close (listener->socket, NULL);
  g_object_unref (listener->socket);
  g_object_unref (listener->stream);
  g_free (listener);
}

/* Its kernel buffer is all the patience there is. */
static gboolean
send_text (Listener *listener, const char *text, gsize size)
{
  return g_socket_send (listener->socket, text, size, NULL, NULL) == (gssize)size;
}

static void
send_to_all (HavenEvents *events, const char *text)
{
  gsize size = strlen (text);

  for (guint i = events->listeners->len; i-- > 0;)
    if (!send_text (events->listeners->pdata[i], text, size))
      g_ptr_array_remove_index_fast (events->listeners, i);
}

static gboolean
on_keep_alive (gpointer user_data)
{
  send_to_all (user_data, ":\n\n");
  return G_SOURCE_CONTINUE;
}

static gboolean /* a listener has nothing to say: it left, or is none */
on_listener_readable (GSocket *socket, GIOCondition condition, gpointer user_data)
{
  Listener *listener = user_data;

  g_ptr_array_remove_fast (listener->events->listeners, listener);
  return G_SOURCE_REMOVE;
}

HavenEvents *
haven_events_new (void)
{
  HavenEvents *events = g_new0 (HavenEvents, 1);

  events->epoch = g_get_real_time ();
  g_queue_init (&events->kept);
  events->listeners = g_ptr_array_new_with_free_func (listener_free);
  events->timer = g_timeout_add_seconds (KEEP_ALIVE, on_keep_alive, events);
  return events;
}

void
haven_events_free (HavenEvents *events)
{
  g_source_remove (events->timer);
  g_ptr_array_unref (events->listeners);
  g_queue_clear_full (&events->kept, g_free);
  g_free (events);
}

/* What came after the event of that id; or, where that is not known any more, the word that what
 * the listener knows is old. */
static char * /* (transfer full) */
missed (HavenEvents *events, const char *last_id)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *prefix = g_strdup_printf ("%" G_GINT64_FORMAT "-", events->epoch);
  guint64 first = events->last_id - g_queue_get_length (&events->kept) + 1, id;

  if (!last_id)
    return g_strdup ("");
  if (!g_str_has_prefix (last_id, prefix)
      || !g_ascii_string_to_unsigned (
          last_id + strlen (prefix), 10, first - 1, events->last_id, &id, NULL))
    return g_strdup_printf (
        "id: %s%" G_GUINT64_FORMAT "\nevent: reset\ndata: {}\n\n", prefix, events->last_id);
  for (GList *link = g_queue_peek_nth_link (&events->kept, (guint)(id + 1 - first)); link;
       link = link->next)
    g_string_append (text, link->data);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* @head: the answer's whole head, and what comes first
 * @last_id: (nullable): the Last-Event-ID of one that comes back */
void
haven_events_add (
    HavenEvents *events, GIOStream *stream, GSocket *socket, const char *head, const char *last_id)
{
  Listener *listener = g_new0 (Listener, 1);
  g_autofree char *news = missed (events, last_id);
  g_autofree char *text = g_strconcat (head, news, NULL);

  listener->events = events;
  listener->stream = g_object_ref (stream);
  listener->socket = g_object_ref (socket);
  listener->watch = g_socket_create_source (socket, G_IO_IN | G_IO_HUP | G_IO_ERR, NULL);
  g_source_set_callback (
      listener->watch, (GSourceFunc)(void (*) (void))on_listener_readable, listener, NULL);
  g_source_attach (listener->watch, NULL);
  if (send_text (listener, text, strlen (text)))
    g_ptr_array_add (events->listeners, listener);
  else
    listener_free (listener);
}

/* @data: (transfer full) */
void
haven_events_send (HavenEvents *events, const char *type, JsonObject *data)
{
  g_autoptr (JsonObject) owned = data;
  g_autofree char *time = haven_time_format (g_get_real_time ());
  g_autofree char *json = NULL;
  char *text;

  events->last_id++;
  json_object_set_string_member (owned, "timestamp", time);
  json = haven_json_to_text (owned);
  text = g_strdup_printf ("id: %" G_GINT64_FORMAT "-%" G_GUINT64_FORMAT "\nevent: %s\ndata: %s\n\n",
      events->epoch, events->last_id, type, json);
  send_to_all (events, text);
  g_queue_push_tail (&events->kept, text);
  if (g_queue_get_length (&events->kept) > KEPT)
    g_free (g_queue_pop_head (&events->kept));
}

guint
haven_events_count (HavenEvents *events)
{
  return events->listeners->len;
}

gboolean
haven_events_full (HavenEvents *events)
{
  return events->listeners->len >= MAX_LISTENERS;
}
