/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-viewer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <gst/gst.h>
#include <string.h>

GST_DEBUG_CATEGORY_EXTERN (gst_haven_ws_sink_debug);
#define GST_CAT_DEFAULT gst_haven_ws_sink_debug

#define MAX_REPLIES 8           /* answers that wait; with more we read no further questions */
#define READ_SIZE 1024          /* bytes read at once; they ask for 170 answers at most */
#define MAX_UNSENT (64 * 1024)  /* bytes the kernel may hold unsent: more would be old frames */
#define CLOSE_TIMEOUT 2         /* s, for the client to answer our close frame */
#define CLOSE_TIMEOUT_BEHIND 10 /* s, the same for one who must first take what it left lying */
#define DEAD_PEER_TIMEOUT 120   /* s in which the client's machine takes nothing and says nothing */

typedef enum
{
  STATE_OPEN,
  STATE_CLOSING, /* our close frame is queued or sent; of the client only its own matters */
  STATE_GONE,    /* the connection is closed */
} State;

static const char *const state_names[] = { "open", "closing", "gone" };

struct _WsViewer
{
  guint id;
  WsForm form;
  WsAsk ask;
  char *address;     /* (owned) */
  GIOStream *stream; /* (owned) read from here: libsoup may have taken bytes past the handshake */
  GSocket *socket;   /* (owned) written here */
  GSource *in, *out, *deadline; /* (owned) (nullable) */
  WsViewerGoneFunc gone;
  gpointer user_data;

  State state;
  WsParser parser;
  gboolean parser_done; /* it closed or broke the protocol: the rest is not for us */
  gboolean client_closed;

  /* What is to be sent, in this order. Bounded: replies by MAX_REPLIES and what one more read asks
   * for, audio by WS_MAX_AUDIO_QUEUE. */
  WsMessage *current; /* (owned) (nullable) on the wire, offset bytes of it have left */
  gsize offset;
  GQueue replies;     /* (owned) WsMessage */
  GQueue audio_queue; /* (owned) WsMessage */
  WsMessage *config;  /* (owned) (nullable) of the video that follows */
  WsMessage *video;   /* (owned) (nullable) waiting, the newest */
  WsMessage *close;   /* (owned) (nullable) */

  gboolean begun;     /* it was given a picture */
  gboolean needs_key; /* of encoded video: what comes before a key frame cannot be decoded */

  GMutex lock;         /* taken last, held for a few lines */
  WsViewerStats stats; /* protected by lock; written by the viewer's thread */
};

static void arm_in (WsViewer *viewer);

static char *
describe_peer (GSocket *socket)
{
  g_autoptr (GSocketAddress) address = g_socket_get_remote_address (socket, NULL);

  return address ? g_socket_connectable_to_string (G_SOCKET_CONNECTABLE (address)) : g_strdup ("?");
}

static void
set_tcp_options (GSocket *socket)
{
  if (g_socket_get_family (socket) != G_SOCKET_FAMILY_IPV4
      && g_socket_get_family (socket) != G_SOCKET_FAMILY_IPV6)
    return;
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, TRUE, NULL);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, MAX_UNSENT, NULL);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_PEER_TIMEOUT * 1000, NULL);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPIDLE, DEAD_PEER_TIMEOUT / 4, NULL);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPINTVL, DEAD_PEER_TIMEOUT / 4, NULL);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPCNT, 3, NULL);
  g_socket_set_keepalive (socket, TRUE);
}

/* @stream: the connection after its handshake
 * @socket: the socket below stream */
WsViewer *
ws_viewer_new (guint id, GIOStream *stream, GSocket *socket, WsForm form, const WsAsk *ask)
{
  WsViewer *viewer = g_new0 (WsViewer, 1);

  viewer->id = id;
  viewer->form = form;
  viewer->ask = *ask;
  viewer->needs_key = ask->video == WS_VIDEO_ENCODED;
  viewer->stream = g_object_ref (stream);
  viewer->socket = g_object_ref (socket);
  viewer->address = describe_peer (socket);
  ws_parser_init (&viewer->parser);
  viewer->parser_done = viewer->client_closed
      = form == WS_FORM_MJPEG; /* such a client says nothing */
  g_mutex_init (&viewer->lock);
  viewer->stats.since = g_get_real_time ();
  set_tcp_options (socket);
  return viewer;
}

static void
clear_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
drop_media (WsViewer *viewer)
{
  g_queue_clear_full (&viewer->audio_queue, (GDestroyNotify)ws_message_unref);
  g_clear_pointer (&viewer->config, ws_message_unref);
  g_clear_pointer (&viewer->video, ws_message_unref);
}

static void
release_connection (WsViewer *viewer)
{
  clear_source (&viewer->in);
  clear_source (&viewer->out);
  clear_source (&viewer->deadline);
  drop_media (viewer);
  g_queue_clear_full (&viewer->replies, (GDestroyNotify)ws_message_unref);
  g_clear_pointer (&viewer->current, ws_message_unref);
  g_clear_pointer (&viewer->close, ws_message_unref);
  if (viewer->stream)
    g_io_stream_close (viewer->stream, NULL, NULL);
  if (viewer->socket)
    g_socket_close (viewer->socket, NULL); /* whatever else refers to it, the descriptor goes now */
  g_clear_object (&viewer->stream);
  g_clear_object (&viewer->socket);
}

void
ws_viewer_free (WsViewer *viewer)
{
  release_connection (viewer);
  g_mutex_clear (&viewer->lock);
  g_free (viewer->address);
  g_free (viewer);
}

static void
set_state (WsViewer *viewer, State state)
{
  GST_DEBUG ("viewer %u: %s -> %s", viewer->id, state_names[viewer->state], state_names[state]);
  g_assert (state > viewer->state); /* open -> closing -> gone, and never back */
  viewer->state = state;
}

/* The only way out. The caller returns at once: its sources are destroyed, though the viewer still
 * exists. */
static void
leave (WsViewer *viewer, const char *why)
{
  if (viewer->state == STATE_GONE)
    return;
  GST_INFO ("viewer %u (%s) has gone: %s", viewer->id, viewer->address, why);
  set_state (viewer, STATE_GONE);
  release_connection (viewer);
  g_mutex_lock (&viewer->lock);
  viewer->stats.video_queued = 0;
  viewer->stats.audio_queued = 0;
  g_mutex_unlock (&viewer->lock);
  if (viewer->gone)
    viewer->gone (viewer, viewer->user_data);
}

/* Returns: (transfer full) (nullable) */
static WsMessage *
next_message (WsViewer *viewer)
{
  WsMessage *message;

  if ((message = g_queue_pop_head (&viewer->replies)))
    return message;
  if ((message = g_queue_pop_head (&viewer->audio_queue)))
    return message;
  if (viewer->config)
    return g_steal_pointer (&viewer->config);
  if (viewer->video)
    return g_steal_pointer (&viewer->video);
  return g_steal_pointer (&viewer->close);
}

static void
count_bytes (WsViewer *viewer, gsize n)
{
  g_mutex_lock (&viewer->lock);
  viewer->stats.bytes += n;
  g_mutex_unlock (&viewer->lock);
}

static gboolean
is_frame (const WsMessage *message, WsKind kind)
{
  return message && message->kind == kind && !(message->flags & WS_FLAG_CONFIG);
}

static void
finish_current (WsViewer *viewer)
{
  g_mutex_lock (&viewer->lock);
  if (is_frame (viewer->current, WS_KIND_VIDEO)) {
    viewer->stats.video_sent++;
    viewer->stats.video_queued--;
  } else if (is_frame (viewer->current, WS_KIND_AUDIO)) {
    viewer->stats.audio_sent++;
    viewer->stats.audio_queued -= viewer->current->duration;
  }
  g_mutex_unlock (&viewer->lock);
  g_clear_pointer (&viewer->current, ws_message_unref);
  viewer->offset = 0;
}

/* Hands the kernel what it takes of the current message, header and payload in one call. */
static GPollableReturn
write_current (WsViewer *viewer, gsize *written, GError **error)
{
  WsMessage *message = viewer->current;
  GOutputVector vectors[2];
  gsize payload_size;
  const guint8 *payload = g_bytes_get_data (message->payload, &payload_size);
  gsize header_left = message->header_size - MIN (viewer->offset, message->header_size);
  gsize payload_done = viewer->offset - (message->header_size - header_left);
  int n = 0;

  if (header_left > 0)
    vectors[n++] = (GOutputVector){ message->header + viewer->offset, header_left };
  if (payload_done < payload_size)
    vectors[n++] = (GOutputVector){ payload + payload_done, payload_size - payload_done };
  return g_socket_send_message_with_timeout (
      viewer->socket, NULL, vectors, n, NULL, 0, 0, 0, written, NULL, error);
}

static gboolean flush (WsViewer *viewer);

static gboolean
on_writable (GSocket *socket, GIOCondition condition, gpointer user_data)
{
  flush (user_data);
  return G_SOURCE_CONTINUE;
}

static void
arm_out (WsViewer *viewer)
{
  if (viewer->out)
    return;
  viewer->out = g_socket_create_source (viewer->socket, G_IO_OUT, NULL);
  g_source_set_callback (viewer->out, (GSourceFunc)on_writable, viewer, NULL);
  g_source_attach (viewer->out, g_main_context_get_thread_default ());
}

/* Sends what waits, as far as the socket takes it.
 *
 * Returns: whether the viewer is still there */
static gboolean
flush (WsViewer *viewer)
{
  gboolean sent_close = FALSE;

  while (viewer->current || (viewer->current = next_message (viewer))) {
    g_autoptr (GError) error = NULL;
    gsize written = 0;
    GPollableReturn result = write_current (viewer, &written, &error);

    if (result == G_POLLABLE_RETURN_WOULD_BLOCK) {
      arm_out (viewer);
      return TRUE;
    }
    if (result == G_POLLABLE_RETURN_FAILED) {
      leave (viewer, error->message);
      return FALSE;
    }
    viewer->offset += written;
    count_bytes (viewer, written);
    if (viewer->offset == ws_message_size (viewer->current)) {
      sent_close = viewer->current->kind == WS_KIND_CONTROL && viewer->state == STATE_CLOSING
                   && !viewer->close && g_queue_is_empty (&viewer->replies);
      finish_current (viewer);
    }
  }

  clear_source (&viewer->out);
  if (sent_close && viewer->client_closed) {
    leave (viewer, "closed");
    return FALSE;
  }
  if (viewer->state == STATE_OPEN)
    arm_in (viewer);
  return TRUE;
}

/* Of encoded video a frame may need all since the last key frame: one that cannot be sent ends what
 * can be, until the next.
 *
 * Returns: whether message is of use to the viewer, and can be held */
static gboolean
admit_encoded (WsViewer *viewer, const WsMessage *message)
{
  if (message->flags & WS_FLAG_KEY)
    viewer->needs_key = FALSE;
  else if (viewer->video || (message->flags & WS_FLAG_DISCONTINUITY))
    viewer->needs_key = TRUE;
  return !viewer->needs_key;
}

static void
count_dropped (WsViewer *viewer)
{
  g_mutex_lock (&viewer->lock);
  viewer->stats.video_dropped++;
  g_mutex_unlock (&viewer->lock);
}

static void
queue_video (WsViewer *viewer, WsMessage *message)
{
  if (ws_codec_is_encoded_video (message->codec) && !admit_encoded (viewer, message)) {
    if (viewer->begun)
      count_dropped (viewer);
    return;
  }
  viewer->begun = TRUE;
  g_mutex_lock (&viewer->lock);
  if (viewer->video)
    viewer->stats.video_dropped++;
  else
    viewer->stats.video_queued++;
  g_mutex_unlock (&viewer->lock);
  if (viewer->video)
    GST_LOG ("viewer %u: a newer frame takes the place of the waiting one", viewer->id);
  g_clear_pointer (&viewer->video, ws_message_unref);
  viewer->video = ws_message_ref (message);
}

/* What waits is of the kind that was before. */
static void
queue_config (WsViewer *viewer, WsMessage *message)
{
  viewer->needs_key = ws_codec_is_encoded_video (message->codec);
  if (viewer->video && viewer->needs_key) {
    g_mutex_lock (&viewer->lock);
    viewer->stats.video_dropped++;
    viewer->stats.video_queued--;
    g_mutex_unlock (&viewer->lock);
    g_clear_pointer (&viewer->video, ws_message_unref);
  }
  g_clear_pointer (&viewer->config, ws_message_unref);
  viewer->config = ws_message_ref (message);
}

/* Returns: whether there was room for it */
static gboolean
queue_audio (WsViewer *viewer, WsMessage *message)
{
  gboolean behind;

  g_mutex_lock (&viewer->lock);
  behind = viewer->stats.audio_queued > 0
           && viewer->stats.audio_queued + message->duration > WS_MAX_AUDIO_QUEUE;
  if (!behind && !(message->flags & WS_FLAG_CONFIG))
    viewer->stats.audio_queued += message->duration;
  g_mutex_unlock (&viewer->lock);
  if (!behind)
    g_queue_push_tail (&viewer->audio_queue, ws_message_ref (message));
  return !behind;
}

/* Queues a picture or sound and sends what it can. Takes its own reference of message.
 *
 * Returns: whether the viewer waits for a key frame */
gboolean
ws_viewer_send (WsViewer *viewer, WsMessage *message)
{
  if (viewer->state != STATE_OPEN)
    return FALSE;
  if (message->kind == WS_KIND_AUDIO) {
    if (!queue_audio (viewer, message)) {
      ws_viewer_close (
          viewer, WS_CLOSE_TRY_AGAIN_LATER, "too slow: no sound could be delivered for 5 seconds");
      return FALSE;
    }
  } else if (message->flags & WS_FLAG_CONFIG) {
    queue_config (viewer, message);
  } else {
    queue_video (viewer, message);
  }
  if (!viewer->out) /* else the socket is full, and its source will go on */
    flush (viewer);
  return viewer->needs_key;
}

static gboolean
on_deadline (gpointer user_data)
{
  leave (user_data, "did not answer the close frame in time");
  return G_SOURCE_REMOVE;
}

/* Says goodbye: after what waits if code is WS_CLOSE_NORMAL, otherwise instead of it. Then waits
 * for the client's goodbye. */
void
ws_viewer_close (WsViewer *viewer, guint16 code, const char *reason)
{
  guint8 payload[WS_MAX_CONTROL_PAYLOAD];
  gsize size;
  gboolean at_once = code != WS_CLOSE_NORMAL || viewer->client_closed;

  if (viewer->state != STATE_OPEN)
    return;
  GST_INFO ("viewer %u (%s): closing with %u %s", viewer->id, viewer->address, code,
      reason ? reason : "");
  set_state (viewer, STATE_CLOSING);
  g_mutex_lock (&viewer->lock);
  viewer->stats.closing = TRUE;
  if (at_once) {
    WsMessage *current = viewer->current;

    viewer->stats.video_queued = is_frame (current, WS_KIND_VIDEO) ? 1 : 0;
    viewer->stats.audio_queued = is_frame (current, WS_KIND_AUDIO) ? current->duration : 0;
  }
  g_mutex_unlock (&viewer->lock);
  if (at_once)
    drop_media (viewer);

  if (viewer->form == WS_FORM_MJPEG) {
    viewer->close = ws_message_new_mjpeg_end ();
  } else {
    size = ws_close_payload (payload, code, reason);
    viewer->close = ws_message_new (WS_KIND_CONTROL, WS_OPCODE_CLOSE, g_bytes_new (payload, size));
  }
  viewer->deadline = g_timeout_source_new_seconds (
      code == WS_CLOSE_TRY_AGAIN_LATER ? CLOSE_TIMEOUT_BEHIND : CLOSE_TIMEOUT);
  g_source_set_callback (viewer->deadline, on_deadline, viewer, NULL);
  g_source_attach (viewer->deadline, g_main_context_get_thread_default ());

  /* The end is no longer late news: let the kernel take all that is left. */
  g_socket_set_option (viewer->socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, G_MAXINT, NULL);
  if (flush (viewer))
    arm_in (viewer);
}

/* Closes the connection at once. */
void
ws_viewer_abort (WsViewer *viewer)
{
  leave (viewer, "aborted");
}

static void
queue_reply (WsViewer *viewer, WsOpcode opcode, const guint8 *data, gsize size)
{
  g_queue_push_tail (
      &viewer->replies, ws_message_new (WS_KIND_CONTROL, opcode, g_bytes_new (data, size)));
  if (!viewer->out)
    flush (viewer);
}

static void
on_client_close (WsViewer *viewer, guint16 code)
{
  viewer->parser_done = viewer->client_closed = TRUE;
  if (viewer->state == STATE_OPEN)
    ws_viewer_close (viewer, code, NULL);
  else if (!viewer->current && !viewer->close) /* both have closed */
    leave (viewer, "closed");
}

static void
on_event (WsViewer *viewer, const WsEvent *event)
{
  switch (event->type) {
  case WS_EVENT_MESSAGE:
    if (event->opcode == WS_OPCODE_TEXT && event->size == 4 && memcmp (event->data, "ping", 4) == 0
        && viewer->state == STATE_OPEN)
      queue_reply (viewer, WS_OPCODE_TEXT, (const guint8 *)"pong", 4);
    break;
  case WS_EVENT_PING:
    if (viewer->state == STATE_OPEN)
      queue_reply (viewer, WS_OPCODE_PONG, event->data, event->size);
    break;
  case WS_EVENT_CLOSE:
    on_client_close (viewer, event->code);
    break;
  case WS_EVENT_ERROR:
    viewer->parser_done = TRUE;
    ws_viewer_close (viewer, event->code, event->reason);
    break;
  case WS_EVENT_PONG:
  case WS_EVENT_NONE:
    break;
  }
}

static void
take_bytes (WsViewer *viewer, const guint8 *data, gsize size)
{
  while (size > 0 && !viewer->parser_done && viewer->state != STATE_GONE) {
    WsEvent event;
    gsize taken = ws_parser_feed (&viewer->parser, data, size, &event);

    on_event (viewer, &event);
    data += taken;
    size -= taken;
  }
}

static gboolean
on_readable (GObject *pollable, gpointer user_data)
{
  WsViewer *viewer = user_data;
  GPollableInputStream *in = G_POLLABLE_INPUT_STREAM (pollable);
  g_autoptr (GError) error = NULL;
  guint8 data[READ_SIZE];
  gssize n;

  /* Made anew each time: libsoup's source looks once, when it is made, whether bytes lie in its own
   * buffer. */
  clear_source (&viewer->in);
  n = g_pollable_input_stream_read_nonblocking (in, data, sizeof data, NULL, &error);
  if (n > 0)
    take_bytes (viewer, data, n);
  else if (n == 0)
    leave (viewer, "disconnected");
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    leave (viewer, error->message);

  if (viewer->state != STATE_GONE && g_queue_get_length (&viewer->replies) < MAX_REPLIES)
    arm_in (viewer); /* else flush() does, when the client has taken its answers */
  return G_SOURCE_REMOVE;
}

static void
arm_in (WsViewer *viewer)
{
  GPollableInputStream *in
      = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (viewer->stream));

  if (viewer->in)
    return;
  viewer->in = g_pollable_input_stream_create_source (in, NULL);
  g_source_set_callback (viewer->in, G_SOURCE_FUNC (on_readable), viewer, NULL);
  g_source_attach (viewer->in, g_main_context_get_thread_default ());
}

/* Begins to listen to the client, in the thread-default main context. */
void
ws_viewer_start (WsViewer *viewer, WsViewerGoneFunc gone, gpointer user_data)
{
  viewer->gone = gone;
  viewer->user_data = user_data;
  arm_in (viewer);
}

guint
ws_viewer_get_id (const WsViewer *viewer)
{
  return viewer->id;
}

WsForm
ws_viewer_get_form (const WsViewer *viewer)
{
  return viewer->form;
}

/* Returns: whether it has an interest in that kind, in whatever codec */
gboolean
ws_viewer_wants (const WsViewer *viewer, WsKind kind)
{
  return viewer->state == STATE_OPEN
         && (kind != WS_KIND_AUDIO || viewer->ask.audio != WS_AUDIO_NONE);
}

/* Returns: whether messages of that form with that codec are for this viewer */
gboolean
ws_viewer_takes (const WsViewer *viewer, WsForm form, WsCodec codec)
{
  return viewer->state == STATE_OPEN && viewer->form == form && ws_ask_takes (&viewer->ask, codec);
}

gboolean
ws_viewer_is_gone (const WsViewer *viewer)
{
  return viewer->state == STATE_GONE;
}

/* Returns: (transfer none): where the viewer is, for people */
const char *
ws_viewer_get_address (const WsViewer *viewer)
{
  return viewer->address;
}

/* Any thread. */
void
ws_viewer_get_stats (WsViewer *viewer, WsViewerStats *stats)
{
  g_mutex_lock (&viewer->lock);
  *stats = viewer->stats;
  g_mutex_unlock (&viewer->lock);
}
