/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-linger.h"

#define MAX_LINGERING 64
#define PATIENCE 5 /* s */
#define MAX_DISCARDED (16 * 1024 * 1024)
#define CHUNK (16 * 1024)

struct _HavenLinger
{
  GQueue peers; /* (owned) Peer; the oldest first */
};

typedef struct
{
  HavenLinger *linger;
  GIOStream *stream; /* (owned) (nullable) holds socket */
  GSocket *socket;   /* (owned) */
  GSource *watch;    /* (owned) */
  guint timer;
  gsize discarded;
} Peer;

static void
peer_free (gpointer data)
{
  Peer *peer = data;

  g_source_remove (peer->timer);
  g_source_destroy (peer->watch);
  g_source_unref (peer->watch);
  g_socket_close (peer->socket, NULL);
  g_object_unref (peer->socket);
  g_clear_object (&peer->stream);
  g_free (peer);
}

static gboolean
leave (gpointer user_data)
{
  Peer *peer = user_data;

  g_queue_remove (&peer->linger->peers, peer);
  peer_free (peer);
  return G_SOURCE_REMOVE;
}

static gboolean
on_readable (GSocket *socket, GIOCondition condition, gpointer user_data)
{
  Peer *peer = user_data;
  char forgotten[CHUNK];
  g_autoptr (GError) error = NULL;
  gssize size = g_socket_receive (socket, forgotten, sizeof forgotten, NULL, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    return G_SOURCE_CONTINUE;
  peer->discarded += (gsize)MAX (size, 0);
  if (size <= 0 || peer->discarded > MAX_DISCARDED)
    return leave (peer);
  return G_SOURCE_CONTINUE;
}

HavenLinger *
haven_linger_new (void)
{
  HavenLinger *linger = g_new0 (HavenLinger, 1);

  g_queue_init (&linger->peers);
  return linger;
}

void
haven_linger_free (HavenLinger *linger)
{
  g_queue_clear_full (&linger->peers, peer_free);
  g_free (linger);
}

/* Sends what fits at once, ends our side, and closes when the peer has, or after a while.
 *
 * @socket: non-blocking
 * @stream: (nullable): what the socket belongs to
 * @text: shorter than an empty send buffer */
void
haven_linger_say (
    HavenLinger *linger, GSocket *socket, GIOStream *stream, const char *text, gsize size)
{
  Peer *peer = g_new0 (Peer, 1);

  if (g_queue_get_length (&linger->peers) >= MAX_LINGERING)
    peer_free (g_queue_pop_head (&linger->peers));
  peer->linger = linger;
  peer->socket = g_object_ref (socket);
  peer->stream = stream ? g_object_ref (stream) : NULL;
  g_socket_send (socket, text, size, NULL, NULL);
  g_socket_shutdown (socket, FALSE, TRUE, NULL);
  peer->timer = g_timeout_add_seconds (PATIENCE, leave, peer);
  peer->watch = g_socket_create_source (socket, G_IO_IN, NULL);
  g_source_set_callback (peer->watch, (GSourceFunc)(void (*) (void))on_readable, peer, NULL);
  g_source_attach (peer->watch, NULL);
  g_queue_push_tail (&linger->peers, peer);
}
