/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-hub.h"

#include "ws-greeting.h"
#include "ws-target.h"

GST_DEBUG_CATEGORY_EXTERN (gst_haven_ws_sink_debug);
#define GST_CAT_DEFAULT gst_haven_ws_sink_debug

#define MAX_MAIL_VIDEO 8 /* frames that may wait for this thread; it is behind if one ever does */
#define MAX_MAIL_AUDIO WS_MAX_AUDIO_QUEUE /* ns of sound, the same */
#define STOP_TIMEOUT 500                  /* ms that viewers have to say goodbye */
#define KEY_FRAME_INTERVAL G_USEC_PER_SEC /* µs; at least so long between two key frames wanted */

typedef enum
{
  MAIL_MEDIA,
  MAIL_END,
  MAIL_RESUME,
  MAIL_CLOSE,
} MailType;

typedef struct
{
  MailType type;
  WsMedia media; /* its bytes (owned) (nullable) */
  guint16 code;  /* of MAIL_CLOSE, and the text */
  char *reason;  /* (owned) (nullable) */
} Mail;

/* Each field says which thread may use it: 'hub' is ours, 'any' includes the pipeline's streaming
 * threads and the application's. */
struct _WsHub
{
  gatomicrefcount ref_count;
  WsConfig *config;  /* (owned) any; immutable */
  char *quoted_name; /* (owned) any; immutable */
  guint port;        /* any; immutable */
  WsHubCallbacks callbacks;
  gpointer user_data;
  GThread *thread;       /* (owned) (nullable) of who starts and stops */
  GMainContext *context; /* (owned) any */
  GSource *mail_source;  /* (owned) any: a ready time wakes the hub */

  gint next_id;                   /* any, atomic */
  gint watchers[WS_KIND_CONTROL]; /* any, atomic: viewers who want that kind; written by hub */

  GMutex lock;        /* taken before a viewer's; never held while sending or calling back */
  GQueue mail;        /* (owned) Mail; protected by lock */
  guint mail_video;   /* protected by lock */
  guint64 mail_audio; /* ns; protected by lock */
  guint32 sequence[WS_KIND_CONTROL];         /* of the next frame; protected by lock */
  guint64 received[WS_KIND_CONTROL];         /* posted while someone watched; protected by lock */
  guint64 overrun[WS_KIND_CONTROL];          /* lost in the mailbox; protected by lock */
  guint64 made[WS_N_FORMS][WS_KIND_CONTROL]; /* messages made; protected by lock */
  WsViewerStats gone;                        /* sums over those who have gone; protected by lock */
  GPtrArray *viewers; /* (owned) WsViewer; hub writes it with lock, reads without; any with lock */

  /* hub only */
  GMainLoop *loop;                       /* (owned) */
  GSource *reap_source;                  /* (owned) (nullable) */
  GSource *stop_source;                  /* (owned) (nullable) */
  WsHttp *http;                          /* (owned) (nullable) */
  GPtrArray *guests;                     /* (owned) Guest */
  WsMessage *described[WS_KIND_CONTROL]; /* (owned) (nullable) the last config, in WS_FORM_V1 */
  gint64 last_key_wanted;                /* monotonic, µs */
  gboolean ended;                        /* the stream has ended; a viewer who comes is told so */
  gboolean stopping;
};

static void
mail_free (Mail *mail)
{
  g_clear_pointer (&mail->media.bytes, g_bytes_unref);
  g_free (mail->reason);
  g_free (mail);
}

static void
clear_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

/* -- viewers; on the hub's thread -- */

static void
count_watchers (WsHub *hub)
{
  gint video = 0, audio = 0;

  for (guint i = 0; i < hub->viewers->len; i++) {
    WsViewer *viewer = g_ptr_array_index (hub->viewers, i);

    video += ws_viewer_wants (viewer, WS_KIND_VIDEO);
    audio += ws_viewer_wants (viewer, WS_KIND_AUDIO);
  }
  g_atomic_int_set (&hub->watchers[WS_KIND_VIDEO], video);
  g_atomic_int_set (&hub->watchers[WS_KIND_AUDIO], audio);
}

static void
quit_if_stopped (WsHub *hub)
{
  if (hub->stopping && hub->viewers->len == 0 && hub->guests->len == 0)
    g_main_loop_quit (hub->loop);
}

static void
add_stats (WsViewerStats *sum, WsViewer *viewer)
{
  WsViewerStats stats;

  ws_viewer_get_stats (viewer, &stats);
  sum->video_sent += stats.video_sent;
  sum->video_dropped += stats.video_dropped;
  sum->audio_sent += stats.audio_sent;
  sum->bytes += stats.bytes;
}

static gboolean
on_reap (gpointer user_data)
{
  WsHub *hub = user_data;

  clear_source (&hub->reap_source);
  for (guint i = 0; i < hub->viewers->len;) {
    WsViewer *viewer = g_ptr_array_index (hub->viewers, i);
    guint id = ws_viewer_get_id (viewer);

    if (!ws_viewer_is_gone (viewer)) {
      i++;
      continue;
    }
    g_mutex_lock (&hub->lock);
    add_stats (&hub->gone, viewer);
    g_ptr_array_remove_index (hub->viewers, i); /* frees it */
    g_mutex_unlock (&hub->lock);
    count_watchers (hub);
    hub->callbacks.viewer_removed (id, hub->user_data);
  }
  quit_if_stopped (hub);
  return G_SOURCE_REMOVE;
}

/* A viewer may go while we walk over all of them: it is taken off the list when the walk is over.
 */
static void
on_viewer_gone (WsViewer *viewer, gpointer user_data)
{
  WsHub *hub = user_data;

  if (hub->reap_source)
    return;
  hub->reap_source = g_idle_source_new ();
  g_source_set_priority (hub->reap_source, G_PRIORITY_DEFAULT);
  g_source_set_callback (hub->reap_source, on_reap, hub, NULL);
  g_source_attach (hub->reap_source, hub->context);
}

static void take_mail (WsHub *hub);

static void
want_key_frame (WsHub *hub)
{
  gint64 now = g_get_monotonic_time ();

  if (hub->last_key_wanted && now - hub->last_key_wanted < KEY_FRAME_INTERVAL)
    return;
  hub->last_key_wanted = now;
  hub->callbacks.key_frame_wanted (hub->user_data);
}

/* Tells a viewer of haven.v1 what comes, or that it is not what was asked for. */
static void
send_config (WsHub *hub, WsViewer *viewer, WsKind kind)
{
  WsMessage *config = hub->described[kind];

  if (!config || ws_viewer_get_form (viewer) != WS_FORM_V1 || !ws_viewer_wants (viewer, kind))
    return;
  if (!ws_viewer_takes (viewer, WS_FORM_V1, config->codec))
    ws_viewer_close (viewer, WS_CLOSE_NOT_SENT_HERE,
        kind == WS_KIND_VIDEO ? "video is not sent in that form here"
                              : "audio is not sent in that form here");
  else
    ws_viewer_send (viewer, config);
}

static guint
count_places (WsHub *hub)
{
  return hub->viewers->len + hub->guests->len;
}

static void
add_viewer (WsHub *hub, guint id, GIOStream *stream, GSocket *socket, WsForm form, const WsAsk *ask)
{
  WsViewer *viewer = ws_viewer_new (id, stream, socket, form, ask);
  gboolean full = count_places (hub) >= hub->config->max_viewers;

  take_mail (hub); /* what was before the viewer: has the stream ended? */
  GST_INFO ("viewer %u (%s), form %s, video %s, audio %s", id, ws_viewer_get_address (viewer),
      ws_form_name (form), ws_video_name (ask->video), ws_audio_name (ask->audio));
  g_mutex_lock (&hub->lock);
  g_ptr_array_add (hub->viewers, viewer);
  g_mutex_unlock (&hub->lock);
  ws_viewer_start (viewer, on_viewer_gone, hub);
  if (full)
    ws_viewer_close (viewer, WS_CLOSE_TRY_AGAIN_LATER, "all places are taken");
  else if (hub->stopping)
    ws_viewer_close (viewer, WS_CLOSE_GOING_AWAY, "the server stops");
  else if (hub->ended)
    ws_viewer_close (viewer, WS_CLOSE_NORMAL, "the stream has ended");
  count_watchers (hub);
  hub->callbacks.viewer_added (id, hub->user_data);
  for (WsKind kind = 0; kind < WS_KIND_CONTROL; kind++)
    send_config (hub, viewer, kind);
  if (ask->video == WS_VIDEO_ENCODED && ws_viewer_wants (viewer, WS_KIND_VIDEO))
    want_key_frame (hub);
}

/* -- guests: they have not said yet what they want; on the hub's thread -- */

typedef struct
{
  WsHub *hub;
  guint id;
  WsGreeting *greeting; /* (owned) */
} Guest;

static void
guest_free (Guest *guest)
{
  ws_greeting_free (guest->greeting);
  g_free (guest);
}

static void
on_greeted (WsGreeting *greeting, const WsAsk *ask, gpointer user_data)
{
  Guest *guest = user_data;
  WsHub *hub = guest->hub;
  guint id = guest->id;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GIOStream) stream = ask ? ws_greeting_steal (greeting, &socket) : NULL;

  g_ptr_array_remove_fast (hub->guests, guest); /* frees it */
  if (ask)
    add_viewer (hub, id, stream, socket, WS_FORM_V1, ask);
  else
    hub->callbacks.viewer_removed (id, hub->user_data);
  quit_if_stopped (hub);
}

static void
close_guests (WsHub *hub, guint16 code, const char *reason)
{
  for (guint i = 0; i < hub->guests->len; i++)
    ws_greeting_close (((Guest *)g_ptr_array_index (hub->guests, i))->greeting, code, reason);
}

static void
add_guest (WsHub *hub, guint id, GIOStream *stream, GSocket *socket)
{
  gboolean full = count_places (hub) >= hub->config->max_viewers;
  Guest *guest = g_new0 (Guest, 1);

  guest->hub = hub;
  guest->id = id;
  guest->greeting = ws_greeting_new (stream, socket, on_greeted, guest);
  g_ptr_array_add (hub->guests, guest);
  if (full)
    ws_greeting_close (guest->greeting, WS_CLOSE_TRY_AGAIN_LATER, "all places are taken");
  else if (hub->stopping)
    ws_greeting_close (guest->greeting, WS_CLOSE_GOING_AWAY, "the server stops");
}

/* @ask: (nullable): not known yet */
static void
admit (WsHub *hub, guint id, GIOStream *stream, GSocket *socket, WsForm form, const WsAsk *ask)
{
  if (ask)
    add_viewer (hub, id, stream, socket, form, ask);
  else
    add_guest (hub, id, stream, socket);
}

static guint
http_count_viewers (gpointer user_data)
{
  return count_places (user_data);
}

/* What someone asks for to get what comes; before anything has, what mostly does. */
static void
http_ask_for_all (WsAsk *ask, gpointer user_data)
{
  WsMessage **described = ((WsHub *)user_data)->described;

  *ask = (WsAsk){ WS_VIDEO_JPEG, WS_AUDIO_PCM };
  if (described[WS_KIND_VIDEO] && ws_codec_is_encoded_video (described[WS_KIND_VIDEO]->codec))
    ask->video = WS_VIDEO_ENCODED;
  if (described[WS_KIND_AUDIO] && described[WS_KIND_AUDIO]->codec == WS_CODEC_OPUS)
    ask->audio = WS_AUDIO_OPUS;
}

static guint
make_id (WsHub *hub)
{
  return (guint)g_atomic_int_add (&hub->next_id, 1) + 1;
}

static void
http_upgraded (
    GIOStream *stream, GSocket *socket, WsForm form, const WsAsk *ask, gpointer user_data)
{
  admit (user_data, make_id (user_data), stream, socket, form, ask);
}

/* -- delivery; on the hub's thread -- */

/* What does not suit what a viewer asked for ends it. */
static void
take_config (WsHub *hub, const WsMedia *media)
{
  g_clear_pointer (&hub->described[media->kind], ws_message_unref);
  hub->described[media->kind] = ws_frame_new (WS_FORM_V1, media, hub->quoted_name);
  for (guint i = 0; i < hub->viewers->len; i++)
    send_config (hub, g_ptr_array_index (hub->viewers, i), media->kind);
  count_watchers (hub);
}

/* A viewer of haven.v1 is told first what comes; of some codecs only a key frame says it. */
static gboolean
is_described (WsHub *hub, const WsMedia *media)
{
  return hub->described[media->kind] && hub->described[media->kind]->codec == media->codec;
}

static void
deliver_media (WsHub *hub, const WsMedia *media)
{
  gboolean needs_key = FALSE;

  for (WsForm form = 0; form < WS_N_FORMS; form++) {
    g_autoptr (WsMessage) message = NULL;

    if (!ws_form_carries (form, media))
      continue;
    for (guint i = 0; i < hub->viewers->len; i++) {
      WsViewer *viewer = g_ptr_array_index (hub->viewers, i);

      if (!ws_viewer_takes (viewer, form, media->codec))
        continue;
      if (form == WS_FORM_V1 && !is_described (hub, media)) {
        needs_key = TRUE;
        break;
      }
      if (!message) {
        message = ws_frame_new (form, media, hub->quoted_name);
        g_mutex_lock (&hub->lock);
        hub->made[form][media->kind]++;
        g_mutex_unlock (&hub->lock);
      }
      needs_key |= ws_viewer_send (viewer, message);
    }
  }
  if (needs_key)
    want_key_frame (hub);
}

static void
close_all (WsHub *hub, guint16 code, const char *reason)
{
  for (guint i = 0; i < hub->viewers->len; i++)
    ws_viewer_close (g_ptr_array_index (hub->viewers, i), code, reason);
  close_guests (hub, code, reason);
  count_watchers (hub);
}

static void
deliver (WsHub *hub, const Mail *mail)
{
  switch (mail->type) {
  case MAIL_MEDIA:
    if (mail->media.flags & WS_FLAG_CONFIG)
      take_config (hub, &mail->media);
    else
      deliver_media (hub, &mail->media);
    break;
  case MAIL_END:
    hub->ended = TRUE;
    close_all (hub, WS_CLOSE_NORMAL, "the stream has ended");
    break;
  case MAIL_RESUME:
    hub->ended = FALSE;
    break;
  case MAIL_CLOSE:
    close_all (hub, mail->code, mail->reason);
    break;
  }
}

static void
take_mail (WsHub *hub)
{
  GQueue mail;
  Mail *item;

  g_mutex_lock (&hub->lock);
  mail = hub->mail;
  g_queue_init (&hub->mail);
  hub->mail_video = 0;
  hub->mail_audio = 0;
  g_mutex_unlock (&hub->lock);

  while ((item = g_queue_pop_head (&mail))) {
    deliver (hub, item);
    mail_free (item);
  }
}

static gboolean
dispatch_mail (GSource *source, GSourceFunc callback, gpointer user_data)
{
  g_source_set_ready_time (source, -1); /* before looking: what comes now wakes us again */
  take_mail (user_data);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_mail (gpointer user_data) /* only a place for dispatch_mail() to get the hub from */
{
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs mail_source_funcs = { .dispatch = dispatch_mail };

/* -- mailbox; any thread -- */

static gboolean
is_frame (const Mail *mail, WsKind kind)
{
  return mail->type == MAIL_MEDIA && mail->media.kind == kind
         && !(mail->media.flags & WS_FLAG_CONFIG);
}

/* With lock held: the frame after one that is lost does not continue what was before. */
static void
mark_gap (GList *after)
{
  for (GList *l = after; l; l = l->next) {
    Mail *mail = l->data;

    if (!is_frame (mail, WS_KIND_VIDEO))
      continue;
    mail->media.flags |= WS_FLAG_DISCONTINUITY;
    return;
  }
}

/* With lock held: makes room for one more. Old pictures go first, never sound before them. */
static void
bound_mailbox (WsHub *hub)
{
  for (GList *l = hub->mail.head, *next; l && hub->mail_video > MAX_MAIL_VIDEO; l = next) {
    Mail *mail = l->data;

    next = l->next;
    if (!is_frame (mail, WS_KIND_VIDEO))
      continue;
    hub->mail_video--;
    hub->overrun[WS_KIND_VIDEO]++;
    mark_gap (next);
    mail_free (mail);
    g_queue_delete_link (&hub->mail, l);
  }
  for (GList *l = hub->mail.head, *next; l && hub->mail_audio > MAX_MAIL_AUDIO; l = next) {
    Mail *mail = l->data;

    next = l->next;
    if (!is_frame (mail, WS_KIND_AUDIO) || l == hub->mail.tail)
      continue;
    hub->mail_audio -= mail->media.duration;
    hub->overrun[WS_KIND_AUDIO]++;
    mail_free (mail);
    g_queue_delete_link (&hub->mail, l);
  }
}

/* With lock held. */
static void
number_and_count (WsHub *hub, WsMedia *media)
{
  media->sequence = hub->sequence[media->kind];
  if (media->flags & WS_FLAG_CONFIG)
    return;
  hub->sequence[media->kind]++;
  hub->received[media->kind]++;
  if (media->kind == WS_KIND_VIDEO)
    hub->mail_video++;
  else
    hub->mail_audio += media->duration;
}

static void
post (WsHub *hub, Mail filled)
{
  Mail *mail = g_memdup2 (&filled, sizeof filled);
  gboolean wake;

  mail->media.real_time = g_get_real_time ();
  g_mutex_lock (&hub->lock);
  wake = g_queue_is_empty (&hub->mail); /* otherwise someone has, and the mail was not taken yet */
  g_queue_push_tail (&hub->mail, mail);
  if (mail->type == MAIL_MEDIA) {
    number_and_count (hub, &mail->media);
    bound_mailbox (hub);
  }
  g_mutex_unlock (&hub->lock);
  if (wake)
    g_source_set_ready_time (hub->mail_source, 0);
}

/* Returns: whether anyone wants what is of that kind: otherwise spare the work to make it */
gboolean
ws_hub_is_watched (WsHub *hub, WsKind kind)
{
  return g_atomic_int_get (&hub->watchers[kind]) > 0;
}

/* @media: a frame, or with WS_FLAG_CONFIG what describes those that follow; a reference to its
 * bytes is taken. Sequence and real_time are filled in here. */
void
ws_hub_post (WsHub *hub, const WsMedia *media)
{
  g_bytes_ref (media->bytes);
  post (hub, (Mail){ .type = MAIL_MEDIA, .media = *media });
}

/* Closes the viewers, after what was posted before. Who comes later is closed too, until
 * ws_hub_post_resume(). */
void
ws_hub_post_end (WsHub *hub)
{
  post (hub, (Mail){ .type = MAIL_END });
}

void
ws_hub_post_resume (WsHub *hub)
{
  post (hub, (Mail){ .type = MAIL_RESUME });
}

/* Closes the viewers of now, after what was posted before if code is 1000, and otherwise at once.
 */
void
ws_hub_post_close (WsHub *hub, guint16 code, const char *reason)
{
  post (hub, (Mail){ .type = MAIL_CLOSE, .code = code, .reason = g_strdup (reason) });
}

/* -- connections from elsewhere; any thread -- */

typedef struct
{
  WsHub *hub; /* outlives the source that this belongs to */
  guint id;
  GIOStream *stream; /* (owned) */
  WsForm form;
  WsAsk ask;
  gboolean asked;
} Adoption;

static void
adoption_free (Adoption *adoption)
{
  g_object_unref (adoption->stream);
  g_free (adoption);
}

static gboolean
on_adopt (gpointer user_data)
{
  Adoption *adoption = user_data;

  admit (adoption->hub, adoption->id, adoption->stream,
      g_socket_connection_get_socket (G_SOCKET_CONNECTION (adoption->stream)), adoption->form,
      adoption->asked ? &adoption->ask : NULL);
  return G_SOURCE_REMOVE;
}

/* @stream: a GSocketConnection that has its WebSocket handshake behind it; it is ours from now on
 * @target: the path and query that were asked for, of which the end tells the form
 *
 * Returns: the viewer's id, or 0 */
guint
ws_hub_add_connection (WsHub *hub, GIOStream *stream, const char *target)
{
  g_auto (WsTarget) parsed = { 0 };
  g_autoptr (GSource) source = NULL;
  Adoption *adoption;
  guint id;

  if (!G_IS_SOCKET_CONNECTION (stream) || !ws_target_parse_uri (target, &parsed))
    return 0;
  adoption = g_new0 (Adoption, 1);
  id = make_id (hub);
  *adoption = (Adoption){ hub, id, g_object_ref (stream), parsed.form, parsed.ask, parsed.asked };
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_adopt, adoption, (GDestroyNotify)adoption_free);
  g_source_attach (source, hub->context);
  return id;
}

/* -- life
 * ------------------------------------------------------------------------------------------ */

static gboolean
on_stop_timeout (gpointer user_data)
{
  WsHub *hub = user_data;

  g_main_loop_quit (hub->loop);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_stop (gpointer user_data)
{
  WsHub *hub = user_data;

  hub->stopping = TRUE;
  g_clear_pointer (&hub->http, ws_http_free);
  close_all (hub, WS_CLOSE_GOING_AWAY, "the server stops");
  hub->stop_source = g_timeout_source_new (STOP_TIMEOUT);
  g_source_set_callback (hub->stop_source, on_stop_timeout, hub, NULL);
  g_source_attach (hub->stop_source, hub->context);
  quit_if_stopped (hub);
  return G_SOURCE_REMOVE;
}

static gpointer
run (gpointer user_data)
{
  WsHub *hub = user_data;

  g_main_context_push_thread_default (hub->context);
  g_main_loop_run (hub->loop);

  for (guint i = 0; i < hub->viewers->len; i++)
    ws_viewer_abort (g_ptr_array_index (hub->viewers, i));
  on_reap (hub);
  g_ptr_array_set_size (hub->guests, 0);
  clear_source (&hub->stop_source);
  g_main_context_pop_thread_default (hub->context);
  return NULL;
}

static const WsHttpCallbacks http_callbacks
    = { http_count_viewers, http_ask_for_all, http_upgraded };

static guint
get_local_port (GSocket *listener)
{
  g_autoptr (GSocketAddress) address = g_socket_get_local_address (listener, NULL);

  return address ? g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)) : 0;
}

/* Listens, if so configured, and starts the thread.
 *
 * @config: (transfer full) */
WsHub *
ws_hub_new (WsConfig *config, const WsHubCallbacks *callbacks, gpointer user_data, GError **error)
{
  g_autoptr (WsConfig) owned = config;
  g_autoptr (GSocket) listener = config->listen ? ws_http_listen (config, error) : NULL;
  WsHub *hub;

  if (config->listen && !listener)
    return NULL;
  hub = g_new0 (WsHub, 1);
  g_atomic_ref_count_init (&hub->ref_count);
  hub->config = g_steal_pointer (&owned);
  hub->quoted_name = ws_json_quote (config->stream_name);
  hub->port = listener ? get_local_port (listener) : 0;
  hub->callbacks = *callbacks;
  hub->user_data = user_data;
  g_mutex_init (&hub->lock);
  g_queue_init (&hub->mail);
  hub->viewers = g_ptr_array_new_with_free_func ((GDestroyNotify)ws_viewer_free);
  hub->guests = g_ptr_array_new_with_free_func ((GDestroyNotify)guest_free);
  hub->context = g_main_context_new ();
  hub->loop = g_main_loop_new (hub->context, FALSE);
  hub->mail_source = g_source_new (&mail_source_funcs, sizeof (GSource));
  g_source_set_callback (hub->mail_source, on_mail, hub, NULL);
  g_source_attach (hub->mail_source, hub->context);

  /* Not yet shared: made here, used by the thread alone from its start on. */
  g_main_context_push_thread_default (hub->context);
  if (listener)
    hub->http = ws_http_new (hub->config, listener, &http_callbacks, hub);
  g_main_context_pop_thread_default (hub->context);
  hub->thread = g_thread_new ("havenwssink", run, hub);
  return hub;
}

WsHub *
ws_hub_ref (WsHub *hub)
{
  g_atomic_ref_count_inc (&hub->ref_count);
  return hub;
}

/* Call ws_hub_stop() before the owner's is dropped. */
void
ws_hub_unref (WsHub *hub)
{
  if (!g_atomic_ref_count_dec (&hub->ref_count))
    return;
  g_assert (!hub->thread);
  clear_source (&hub->mail_source);
  g_queue_clear_full (&hub->mail, (GDestroyNotify)mail_free);
  g_ptr_array_unref (hub->viewers);
  g_ptr_array_unref (hub->guests);
  for (WsKind kind = 0; kind < WS_KIND_CONTROL; kind++)
    g_clear_pointer (&hub->described[kind], ws_message_unref);
  g_main_loop_unref (hub->loop);
  g_main_context_unref (hub->context);
  g_mutex_clear (&hub->lock);
  g_free (hub->quoted_name);
  ws_config_free (hub->config);
  g_free (hub);
}

/* Says goodbye to the viewers and waits for the thread, half a second at most. Once, not from a
 * callback. */
void
ws_hub_stop (WsHub *hub)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (
      source, G_PRIORITY_DEFAULT); /* after mail that is there already: an end is told first */
  g_source_set_callback (source, on_stop, hub, NULL);
  g_source_attach (source, hub->context);
  g_thread_join (g_steal_pointer (&hub->thread));
}

/* -- figures; any thread -- */

guint
ws_hub_get_port (WsHub *hub)
{
  return hub->port;
}

guint
ws_hub_count_viewers (WsHub *hub)
{
  guint n;

  g_mutex_lock (&hub->lock);
  n = hub->viewers->len;
  g_mutex_unlock (&hub->lock);
  return n;
}

static void
append_viewer (GValue *list, WsViewer *viewer)
{
  WsViewerStats stats;
  GValue value = G_VALUE_INIT;

  ws_viewer_get_stats (viewer, &stats);
  g_value_init (&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed (&value,
      gst_structure_new ("viewer", "id", G_TYPE_UINT, ws_viewer_get_id (viewer), "form",
          G_TYPE_STRING, ws_form_name (ws_viewer_get_form (viewer)), "remote-address",
          G_TYPE_STRING, ws_viewer_get_address (viewer), "closing", G_TYPE_BOOLEAN, stats.closing,
          "video-sent", G_TYPE_UINT64, stats.video_sent, "video-dropped", G_TYPE_UINT64,
          stats.video_dropped, "video-queued", G_TYPE_UINT, stats.video_queued, "audio-sent",
          G_TYPE_UINT64, stats.audio_sent, "audio-queued", G_TYPE_UINT64, stats.audio_queued,
          "bytes", G_TYPE_UINT64, stats.bytes, "since", G_TYPE_INT64, stats.since, NULL));
  gst_value_list_append_and_take_value (list, &value);
}

/* Returns: (transfer full) */
GstStructure *
ws_hub_get_stats (WsHub *hub)
{
  GValue viewers = G_VALUE_INIT;
  GstStructure *stats;
  WsViewerStats sum;

  g_value_init (&viewers, GST_TYPE_LIST);
  g_mutex_lock (&hub->lock);
  for (guint i = 0; i < hub->viewers->len; i++)
    append_viewer (&viewers, g_ptr_array_index (hub->viewers, i));
  sum = hub->gone;
  for (guint i = 0; i < hub->viewers->len; i++)
    add_stats (&sum, g_ptr_array_index (hub->viewers, i));
  stats = gst_structure_new ("havenwssink-stats", "num-viewers", G_TYPE_UINT, hub->viewers->len,
      "video-received", G_TYPE_UINT64, hub->received[WS_KIND_VIDEO], "audio-received",
      G_TYPE_UINT64, hub->received[WS_KIND_AUDIO], "video-overrun", G_TYPE_UINT64,
      hub->overrun[WS_KIND_VIDEO], "audio-overrun", G_TYPE_UINT64, hub->overrun[WS_KIND_AUDIO],
      "video-made-binary", G_TYPE_UINT64, hub->made[WS_FORM_BINARY][WS_KIND_VIDEO],
      "audio-made-binary", G_TYPE_UINT64, hub->made[WS_FORM_BINARY][WS_KIND_AUDIO],
      "video-made-json", G_TYPE_UINT64, hub->made[WS_FORM_JSON][WS_KIND_VIDEO], "audio-made-json",
      G_TYPE_UINT64, hub->made[WS_FORM_JSON][WS_KIND_AUDIO], "video-made-mjpeg", G_TYPE_UINT64,
      hub->made[WS_FORM_MJPEG][WS_KIND_VIDEO], "video-made-v1", G_TYPE_UINT64,
      hub->made[WS_FORM_V1][WS_KIND_VIDEO], "audio-made-v1", G_TYPE_UINT64,
      hub->made[WS_FORM_V1][WS_KIND_AUDIO], "video-sent", G_TYPE_UINT64, sum.video_sent,
      "video-dropped", G_TYPE_UINT64, sum.video_dropped, "audio-sent", G_TYPE_UINT64,
      sum.audio_sent, "bytes", G_TYPE_UINT64, sum.bytes, NULL);
  g_mutex_unlock (&hub->lock);
  gst_structure_take_value (stats, "viewers", &viewers);
  return stats;
}
