/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-room.h"
#include "livekit-sdp.h"

#include <string.h>

/* How long a streamer that lacks one of the wanted kinds may take to publish it before the other is
 * announced alone: a muxer accepts new streams only until its first data. Publishers send both
 * within a quarter of a second. */
#define SETTLE_MS 500
/* A track beside one of the same source: most often it replaces the other, whose end is told a
 * moment later, and goes out where the other did. Where both stay, the second is taken after so
 * long. */
#define REPLACEMENT_MS 1000
/* A subscription that brings no packet for so long is reported. */
#define SUBSCRIPTION_TIMEOUT_SECONDS 10
/* Pictures a second. The server leaves a limit in force when it is told of none, so one that limits
 * nothing lifts it. */
#define NO_FPS_LIMIT 1000
/* How long a lost peer connection waits for the server's word on it. */
#define LOSS_GRACE_MS 300
/* For whom we want, in a room that is full: each return is another participant for a moment. */
#define RESERVED_PLACES 16
/* A resumed session that ends sooner was not mended by it. */
#define STABLE_MS 5000

typedef struct
{
  LiveKitRoom *room; /* (unowned) the room owns the entry */
  LiveKitParticipant *participant;
  LiveKitTrack *track;
  gboolean subscribed;     /* in the present session */
  gboolean arrived;        /* packets came, in the present session */
  gboolean disabled;       /* nobody uses it */
  gboolean restricted;     /* the publisher does not let us receive it, in the present session */
  gboolean told_forbidden; /* whoever owns the room was told that it may not be received */
  gboolean fps_limited;    /* the server was told of a limit */
  guint silence_source;    /* fires when nothing came */
} Subscription;

struct _LiveKitRoom
{
  GObject parent;

  LiveKitRoomHandlers handlers;
  gpointer user_data;
  GMainContext *context;

  GSourceFunc stopped; /* (nullable) called when the last token that was asked for has come */
  gpointer stopped_data;
  guint n_fetches; /* tokens under way, cancelled or not */

  LiveKitTokenSource *tokens;
  char *wanted_participant;
  gboolean video, audio;
  guint sources;
  guint connect_timeout, participant_timeout, reconnect_timeout;
  GTlsDatabase *tls_database;
  gboolean tls_insecure;

  LiveKitState state;
  LiveKitSignal *signal;     /* (nullable) the current connection */
  LiveKitSignal *leaving;    /* (nullable) it says good-bye */
  GCancellable *cancellable; /* (nullable) of the try under way */
  GError *last_error;        /* (nullable) why the last try failed */
  char *url;                 /* (nullable) where the present session is */
  char *refreshed_token;     /* (nullable) the server's newest */
  gboolean renewed;          /* a refused token was already replaced once */
  guint attempt;             /* joins in a row that failed */
  guint n_resumes;           /* in a row that did not last */
  gboolean media_up;         /* the peer connection is connected */
  gboolean media_broken;     /* the session's peer connection is of no use any more */
  gboolean was_connected;    /* at least once */
  int resume_reason;

  char *own_sid, *own_identity;
  char *room_sid, *room_name;
  char *stream_info; /* (nullable) from the token endpoint */
  int ping_interval, ping_timeout;
  char *last_offer, *last_answer;

  GHashTable *participants;  /* sid -> LiveKitParticipant */
  GHashTable *subscriptions; /* track sid -> Subscription */
  char *streamer_identity;   /* (nullable) once chosen, for ever */
  gboolean settled;
  gboolean take_doubles;    /* while reconcile() runs for replacement_timer */
  gboolean told_permission; /* we may not subscribe at present, and said so */
  gboolean told_encrypted, told_settled, told_full;
  LiveKitTrackSettings layer;

  /* Timers, on context; NULL when not running. */
  GSource *try_timer; /* ends a try */
  GSource *backoff_timer;
  GSource *deadline_timer; /* ends the whole outage, or the first connection */
  GSource *media_timer;    /* the peer connection must be up by then */
  GSource *loss_timer;     /* the server may say until then why it cut the peer connection */
  GSource *stable_timer;   /* a resume has mended the session by then */
  GSource *participant_timer;
  GSource *settle_timer;
  GSource *replacement_timer;
};

G_DEFINE_FINAL_TYPE (LiveKitRoom, livekit_room, G_TYPE_OBJECT)

static void
set_string (char **field, const char *value)
{
  char *copy = g_strdup (value);

  g_free (*field);
  *field = copy;
}

static void handle (LiveKitRoom *self, LiveKitEvent event);
static void reconcile (LiveKitRoom *self);

static void
keep_error (LiveKitRoom *self, GError *error /* (transfer full) */)
{
  g_clear_error (&self->last_error);
  self->last_error = error;
}

static void
keep_token (LiveKitRoom *self, const char *token)
{
  if (*token)
    set_string (&self->refreshed_token, token);
}

/* A session that may not subscribe never gets a peer connection, and is whole without. */
static gboolean
has_media (LiveKitRoom *self)
{
  return self->media_up || self->told_permission;
}

/* Whether there is a session that goes on, if perhaps without signalling. */
static gboolean
in_session (LiveKitRoom *self)
{
  return self->state == LIVEKIT_STATE_JOINED || self->state == LIVEKIT_STATE_RESUME_BACKOFF
         || self->state == LIVEKIT_STATE_RESUMING;
}

#define CALL(self, handler, ...)                                         \
  G_STMT_START                                                           \
  {                                                                      \
    if ((self)->handlers.handler)                                        \
      (self)->handlers.handler (self, ##__VA_ARGS__, (self)->user_data); \
  }                                                                      \
  G_STMT_END

/* --- timers --- */

static void
clear_timer (GSource **timer)
{
  if (*timer) {
    g_source_destroy (*timer);
    g_clear_pointer (timer, g_source_unref);
  }
}

static void
set_timer (LiveKitRoom *self, GSource **timer, guint ms, GSourceFunc callback)
{
  clear_timer (timer);
  *timer = g_timeout_source_new (ms);
  g_source_set_callback (*timer, callback, self, NULL);
  g_source_attach (*timer, self->context);
}

/* --- subscriptions --- */

static void
subscription_stop_waiting (Subscription *subscription)
{
  GSource *source;

  if (!subscription->silence_source)
    return;
  source = g_main_context_find_source_by_id (
      subscription->room->context, subscription->silence_source);
  if (source)
    g_source_destroy (source);
  subscription->silence_source = 0;
}

static void
subscription_free (gpointer data)
{
  Subscription *subscription = data;

  subscription_stop_waiting (subscription);
  livekit_participant_unref (subscription->participant);
  livekit_track_unref (subscription->track);
  g_free (subscription);
}

static gboolean
on_track_silent (gpointer data)
{
  Subscription *subscription = data;
  g_autoptr (GError) error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT,
      "Track %s (%s) of “%s” was subscribed to, but nothing came for %d s",
      subscription->track->sid, subscription->track->mime, subscription->participant->identity,
      SUBSCRIPTION_TIMEOUT_SECONDS);

  subscription->silence_source = 0;
  CALL (subscription->room, warning, error);
  return G_SOURCE_REMOVE;
}

static void
subscription_expect_media (Subscription *subscription)
{
  g_autoptr (GSource) source = NULL;

  subscription_stop_waiting (subscription);
  if (subscription->track->muted || subscription->disabled || !subscription->subscribed
      || subscription->arrived)
    return;
  source = g_timeout_source_new_seconds (SUBSCRIPTION_TIMEOUT_SECONDS);
  g_source_set_callback (source, on_track_silent, subscription, NULL);
  subscription->silence_source = g_source_attach (source, subscription->room->context);
}

static void
send_track_settings (LiveKitRoom *self, Subscription *subscription)
{
  LiveKitTrackSettings settings = { 0 };

  if (!self->signal || !subscription->subscribed)
    return;
  settings.quality = LIVEKIT_QUALITY_HIGH; /* the protocol's zero is LOW: it must always be said */
  if (subscription->track->kind == LIVEKIT_KIND_VIDEO)
    settings = self->layer;
  if (settings.fps)
    subscription->fps_limited = TRUE;
  else if (subscription->fps_limited)
    settings.fps = NO_FPS_LIMIT;
  settings.disabled = subscription->disabled;
  livekit_signal_send (
      self->signal, livekit_message_track_settings (subscription->track->sid, &settings));
}

static void
subscribe (LiveKitRoom *self, Subscription *subscription)
{
  const char *sids[] = { subscription->track->sid, NULL };

  subscription->subscribed = TRUE;
  livekit_signal_send (self->signal, livekit_message_subscribe (sids, TRUE));
  send_track_settings (self, subscription);
  subscription_expect_media (subscription);
}

/* --- choosing the streamer --- */

static gboolean
is_wanted_track (LiveKitRoom *self, const LiveKitTrack *track)
{
  if (track->kind == LIVEKIT_KIND_VIDEO   ? !self->video
      : track->kind == LIVEKIT_KIND_AUDIO ? !self->audio
                                          : TRUE)
    return FALSE;
  return self->sources == 0 || (self->sources & (1u << track->source));
}

static guint
count_tracks (LiveKitRoom *self, const LiveKitParticipant *participant, gboolean encrypted)
{
  guint n = 0;

  for (guint i = 0; i < participant->tracks->len; i++) {
    const LiveKitTrack *track = g_ptr_array_index (participant->tracks, i);
    n += is_wanted_track (self, track) && track->encrypted == encrypted;
  }
  return n;
}

static gboolean
has_picture (const LiveKitParticipant *participant)
{
  for (guint i = 0; i < participant->tracks->len; i++) {
    const LiveKitTrack *track = g_ptr_array_index (participant->tracks, i);
    if (track->source == LIVEKIT_SOURCE_CAMERA || track->source == LIVEKIT_SOURCE_SCREEN)
      return TRUE;
  }
  return FALSE;
}

/* The streamer rule: somebody with tracks who is a person or an ingress and not called a viewer;
 * with tracks that are not encrypted before without; with a camera or a screen before without; the
 * earliest. */
static gboolean
may_be_streamer (LiveKitRoom *self, const LiveKitParticipant *participant)
{
  return (participant->kind == LIVEKIT_PARTICIPANT_STANDARD
             || participant->kind == LIVEKIT_PARTICIPANT_INGRESS)
         && strstr (participant->identity, "viewer") == NULL
         && count_tracks (self, participant, FALSE) + count_tracks (self, participant, TRUE) > 0;
}

static gboolean
is_better_streamer (LiveKitRoom *self, const LiveKitParticipant *a, const LiveKitParticipant *b)
{
  const gboolean a_is_clear = count_tracks (self, a, FALSE) > 0;
  const gboolean b_is_clear = count_tracks (self, b, FALSE) > 0;

  if (a_is_clear != b_is_clear)
    return a_is_clear;
  if (has_picture (a) != has_picture (b))
    return has_picture (a);
  return a->joined_at_ms < b->joined_at_ms;
}

/* (nullable) the identity or sid of the only one whom we take; NULL: the streamer rule decides */
static const char *
get_wanted (LiveKitRoom *self)
{
  return self->streamer_identity ? self->streamer_identity : self->wanted_participant;
}

static gboolean
is_wanted_participant (LiveKitRoom *self, const LiveKitParticipant *participant)
{
  const char *wanted = get_wanted (self);

  return wanted
         && (g_str_equal (participant->identity, wanted) || g_str_equal (participant->sid, wanted));
}

static LiveKitParticipant *
find_streamer (LiveKitRoom *self)
{
  const gboolean by_name = get_wanted (self) != NULL;
  LiveKitParticipant *best = NULL, *participant;
  GHashTableIter iter;

  g_hash_table_iter_init (&iter, self->participants);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&participant)) {
    if (by_name) {
      if (is_wanted_participant (self, participant))
        return participant;
    } else if (may_be_streamer (self, participant)
               && (!best || is_better_streamer (self, participant, best))) {
      best = participant;
    }
  }
  return best;
}

static gboolean
on_settled (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->settle_timer);
  self->settled = TRUE;
  reconcile (self);
  return G_SOURCE_REMOVE;
}

static gboolean
has_wanted_kind (LiveKitRoom *self, const LiveKitParticipant *participant, LiveKitKind kind)
{
  for (guint i = 0; i < participant->tracks->len; i++) {
    const LiveKitTrack *track = g_ptr_array_index (participant->tracks, i);
    if (track->kind == kind && is_wanted_track (self, track) && !track->encrypted)
      return TRUE;
  }
  return FALSE;
}

static gboolean
is_settled (LiveKitRoom *self, const LiveKitParticipant *streamer)
{
  if (!self->settled && (!self->video || has_wanted_kind (self, streamer, LIVEKIT_KIND_VIDEO))
      && (!self->audio || has_wanted_kind (self, streamer, LIVEKIT_KIND_AUDIO)))
    self->settled = TRUE;
  if (!self->settled && !self->settle_timer)
    set_timer (self, &self->settle_timer, SETTLE_MS, on_settled);
  return self->settled;
}

static gboolean
track_differs (const LiveKitTrack *a, const LiveKitTrack *b)
{
  return a->muted != b->muted || a->width != b->width || a->height != b->height
         || !g_str_equal (a->mime, b->mime);
}

static void
take_track (LiveKitRoom *self, LiveKitParticipant *participant, LiveKitTrack *track)
{
  Subscription *subscription = g_hash_table_lookup (self->subscriptions, track->sid);

  if (!subscription) {
    subscription = g_new0 (Subscription, 1);
    subscription->room = self;
    subscription->participant = livekit_participant_ref (participant);
    subscription->track = livekit_track_ref (track);
    g_hash_table_insert (self->subscriptions, track->sid, subscription);
    CALL (self, track_added, participant, track);
  } else if (subscription->track != track) {
    gboolean differs = track_differs (subscription->track, track);
    gboolean muted_differs = subscription->track->muted != track->muted;

    /* The key of the table lives in the track: replace both together. */
    g_hash_table_steal (self->subscriptions, track->sid);
    livekit_participant_unref (subscription->participant);
    livekit_track_unref (subscription->track);
    subscription->participant = livekit_participant_ref (participant);
    subscription->track = livekit_track_ref (track);
    g_hash_table_insert (self->subscriptions, track->sid, subscription);
    if (differs)
      CALL (self, track_changed, participant, track);
    if (muted_differs)
      subscription_expect_media (subscription);
  }

  if (!subscription->subscribed && self->signal && self->state == LIVEKIT_STATE_JOINED)
    subscribe (self, subscription);
}

static gboolean
on_not_replaced (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->replacement_timer);
  self->take_doubles = TRUE;
  reconcile (self);
  self->take_doubles = FALSE;
  return G_SOURCE_REMOVE;
}

/* Whether @track stands beside one of the same source and may be about to replace it. */
static gboolean
may_replace_another (LiveKitRoom *self, const LiveKitTrack *track)
{
  Subscription *subscription;
  GHashTableIter iter;

  if (self->take_doubles || g_hash_table_contains (self->subscriptions, track->sid))
    return FALSE;
  g_hash_table_iter_init (&iter, self->subscriptions);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&subscription)) {
    if (subscription->track->kind == track->kind && subscription->track->source == track->source) {
      if (!self->replacement_timer)
        set_timer (self, &self->replacement_timer, REPLACEMENT_MS, on_not_replaced);
      return TRUE;
    }
  }
  return FALSE;
}

static void
drop_vanished_tracks (LiveKitRoom *self, LiveKitParticipant *streamer)
{
  g_autoptr (GPtrArray) gone = g_ptr_array_new_with_free_func (subscription_free);
  Subscription *subscription;
  GHashTableIter iter;

  g_hash_table_iter_init (&iter, self->subscriptions);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&subscription)) {
    if (streamer && livekit_participant_find_track (streamer, subscription->track->sid))
      continue;
    g_hash_table_iter_steal (&iter);
    g_ptr_array_add (gone, subscription);
  }
  for (guint i = 0; i < gone->len; i++) {
    subscription = g_ptr_array_index (gone, i);
    CALL (self, track_removed, subscription->participant, subscription->track);
  }
}

static void
warn_once (LiveKitRoom *self, gboolean *told, LiveKitError code, const char *message)
{
  g_autoptr (GError) error = NULL;

  if (*told)
    return;
  *told = TRUE;
  error = g_error_new_literal (LIVEKIT_ERROR, code, message);
  CALL (self, warning, error);
}

/* Brings what is subscribed into line with what the room has. */
static void
reconcile (LiveKitRoom *self)
{
  static const LiveKitKind order[] = { LIVEKIT_KIND_VIDEO, LIVEKIT_KIND_AUDIO };
  g_autoptr (LiveKitParticipant) streamer = NULL;

  if (!in_session (self))
    return;
  if ((streamer = find_streamer (self)))
    livekit_participant_ref (streamer);
  drop_vanished_tracks (self, streamer);
  if (!streamer)
    return;

  if (count_tracks (self, streamer, TRUE) > 0)
    warn_once (self, &self->told_encrypted, LIVEKIT_ERROR_ENCRYPTED,
        "The streamer's media is end-to-end encrypted; it cannot be decoded without its key and is "
        "left out");
  if (self->told_permission || count_tracks (self, streamer, FALSE) == 0
      || !is_settled (self, streamer))
    return;

  clear_timer (&self->participant_timer);
  if (!self->streamer_identity)
    self->streamer_identity = g_strdup (streamer->identity);
  for (guint k = 0; k < G_N_ELEMENTS (order); k++) {
    for (guint i = 0; i < streamer->tracks->len; i++) {
      LiveKitTrack *track = g_ptr_array_index (streamer->tracks, i);
      if (track->kind == order[k] && is_wanted_track (self, track) && !track->encrypted
          && !may_replace_another (self, track))
        take_track (self, streamer, track);
    }
  }
  if (!self->told_settled) {
    self->told_settled = TRUE;
    CALL (self, settled);
  }
}

/* Our token decides whether a track may come, and whoever publishes it. */
static void
tell_permissions (LiveKitRoom *self)
{
  Subscription *subscription;
  GHashTableIter iter;

  g_hash_table_iter_init (&iter, self->subscriptions);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&subscription)) {
    gboolean forbidden = self->told_permission || subscription->restricted;

    if (forbidden == subscription->told_forbidden)
      continue;
    subscription->told_forbidden = forbidden;
    CALL (self, track_permission, subscription->track->sid, !forbidden);
  }
}

/* --- participants --- */

static void
update_self (LiveKitRoom *self, const LiveKitParticipant *participant)
{
  if (participant->can_subscribe)
    self->told_permission = FALSE;
  else
    warn_once (self, &self->told_permission, LIVEKIT_ERROR_PERMISSION,
        "The access token does not allow to subscribe (grant canSubscribe): no media will come");
  tell_permissions (self);
}

/* Whether there is no place left for @participant. */
static gboolean
is_full (LiveKitRoom *self, const LiveKitParticipant *participant)
{
  const guint n = g_hash_table_size (self->participants);
  g_autofree char *message = NULL;

  if (n < LIVEKIT_ROOM_MAX_PARTICIPANTS
      || (n < LIVEKIT_ROOM_MAX_PARTICIPANTS + RESERVED_PLACES
          && is_wanted_participant (self, participant)))
    return FALSE;
  message = g_strdup_printf ("The room has more than %d participants; the others are left out",
      LIVEKIT_ROOM_MAX_PARTICIPANTS);
  warn_once (self, &self->told_full, LIVEKIT_ERROR_PROTOCOL, message);
  return TRUE;
}

static void
remove_participant (LiveKitRoom *self, LiveKitParticipant *participant)
{
  g_autoptr (LiveKitParticipant) left = livekit_participant_ref (participant);

  g_hash_table_remove (self->participants, left->sid);
  CALL (self, participant_left, left);
}

/* An identity is in a room once. Where the streamer comes anew while we are away, nobody tells us
 * that it left before: its earlier self would be waited for, for ever. */
static void
remove_earlier_self (LiveKitRoom *self, const LiveKitParticipant *participant)
{
  LiveKitParticipant *other;
  GHashTableIter iter;

  if (g_strcmp0 (participant->identity, self->streamer_identity) != 0)
    return;
  g_hash_table_iter_init (&iter, self->participants);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&other)) {
    if (g_str_equal (other->identity, participant->identity)
        && other->joined_at_ms <= participant->joined_at_ms) {
      remove_participant (self, other);
      return;
    }
  }
}

static void
update_participant (LiveKitRoom *self, LiveKitParticipant *participant)
{
  LiveKitParticipant *known = g_hash_table_lookup (self->participants, participant->sid);

  if (g_strcmp0 (participant->sid, self->own_sid) == 0) {
    update_self (self, participant);
    return;
  }
  if (known && participant->version < known->version)
    return; /* overtaken on the way */
  if (!known && !participant->disconnected && is_full (self, participant))
    return;

  if (participant->disconnected) {
    if (known)
      remove_participant (self, known);
    return;
  }
  if (!known)
    remove_earlier_self (self, participant);
  g_hash_table_replace (
      self->participants, participant->sid, livekit_participant_ref (participant));
  if (!known)
    CALL (self, participant_joined, participant);
}

static void
update_participants (LiveKitRoom *self, GPtrArray *participants)
{
  for (guint i = 0; i < participants->len; i++)
    update_participant (self, g_ptr_array_index (participants, i));
  reconcile (self);
}

/* A full list: whoever is not in it has left. */
static void
replace_participants (LiveKitRoom *self, GPtrArray *participants)
{
  g_autoptr (GHashTable) present = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) gone
      = g_ptr_array_new_with_free_func ((GDestroyNotify)livekit_participant_unref);
  LiveKitParticipant *known;
  GHashTableIter iter;

  for (guint i = 0; i < participants->len; i++)
    g_hash_table_add (present, ((LiveKitParticipant *)g_ptr_array_index (participants, i))->sid);
  g_hash_table_iter_init (&iter, self->participants);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&known)) {
    if (g_hash_table_contains (present, known->sid))
      continue;
    g_ptr_array_add (gone, livekit_participant_ref (known));
    g_hash_table_iter_remove (&iter);
  }
  for (guint i = 0; i < gone->len; i++)
    CALL (self, participant_left, g_ptr_array_index (gone, i));
  update_participants (self, participants);
}

/* --- failing --- */

static void
fail (LiveKitRoom *self, GError *error /* (transfer full) */)
{
  keep_error (self, error);
  handle (self, LIVEKIT_EVENT_GIVE_UP);
}

/* Whether trying again cannot help. What once worked is no mistake of the user's: proxies restart,
 * certificates are renewed, and reconnect-timeout says how long that may take. */
static gboolean
is_fatal (LiveKitRoom *self, const GError *error)
{
  if (g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG)
      || g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_TLS))
    return !self->was_connected;
  /* At first a refused token is the user's news at once. Later it may only have grown old: there
   * may be another, once. */
  if (g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_UNAUTHORIZED))
    return !self->was_connected || self->renewed
           || (!self->refreshed_token && !livekit_token_source_can_renew (self->tokens));
  return FALSE;
}

static void
join_failed (LiveKitRoom *self, GError *error /* (transfer full) */)
{
  if (is_fatal (self, error)) {
    fail (self, error);
    return;
  }
  if (g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_UNAUTHORIZED)) {
    self->renewed = TRUE;
    g_clear_pointer (&self->refreshed_token, g_free);
  }
  keep_error (self, error);
  handle (self, LIVEKIT_EVENT_LOST);
}

/* Whether the server does not know the session any more, or lets us have it no more. */
static gboolean
is_refusal (const GError *error)
{
  return g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_CONFIG)
         || g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_UNAUTHORIZED)
         || g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_NOT_FOUND);
}

static void
resume_failed (LiveKitRoom *self, GError *error /* (transfer full) */)
{
  const gboolean refused = is_refusal (error);

  if (g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_UNAUTHORIZED))
    g_clear_pointer (&self->refreshed_token, g_free);
  keep_error (self, error);
  handle (self, refused ? LIVEKIT_EVENT_RECONNECT : LIVEKIT_EVENT_LOST);
}

static void
try_failed (LiveKitRoom *self, GError *error /* (transfer full) */)
{
  if (self->state == LIVEKIT_STATE_RESUMING)
    resume_failed (self, error);
  else
    join_failed (self, error);
}

static gboolean
on_deadline (gpointer data)
{
  LiveKitRoom *self = data;
  const char *reason = self->last_error ? self->last_error->message
                       : self->state == LIVEKIT_STATE_CONNECTING && !self->signal
                           ? "The token endpoint does not answer."
                           : "The server does not answer.";
  /* Before the first connection the reason is the news; afterwards the length of the outage is. */
  int code = self->last_error && self->last_error->domain == LIVEKIT_ERROR && !self->was_connected
                 ? self->last_error->code
                 : LIVEKIT_ERROR_TIMEOUT;
  GError *error;

  clear_timer (&self->deadline_timer);
  if (self->was_connected)
    error = g_error_new (LIVEKIT_ERROR, code, "The connection to the room was lost for %u s: %s",
        self->reconnect_timeout, reason);
  /* What the server did wrong in a session before this one is the better reason. */
  else if (self->state == LIVEKIT_STATE_JOINED
           && !g_error_matches (self->last_error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL))
    error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT,
        "The room was joined, but no media connection came up in %u s; are UDP and TCP to the "
        "server's media ports open?",
        self->connect_timeout);
  else
    error = g_error_new (
        LIVEKIT_ERROR, code, "Could not join the room in %u s: %s", self->connect_timeout, reason);
  fail (self, error);
  return G_SOURCE_REMOVE;
}

static gboolean
on_no_streamer (gpointer data)
{
  LiveKitRoom *self = data;
  LiveKitParticipant *streamer = find_streamer (self);
  GError *error;

  clear_timer (&self->participant_timer);
  if (streamer && count_tracks (self, streamer, TRUE) > 0)
    error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_ENCRYPTED,
        "All media of “%s” is end-to-end encrypted and cannot be decoded without its key",
        streamer->identity);
  else if (self->told_encrypted)
    error = g_error_new_literal (
        LIVEKIT_ERROR, LIVEKIT_ERROR_ENCRYPTED, "All media is end-to-end encrypted");
  else if (self->told_permission)
    error = g_error_new_literal (LIVEKIT_ERROR, LIVEKIT_ERROR_PERMISSION,
        "The access token does not allow to subscribe (grant canSubscribe)");
  else if (self->wanted_participant)
    error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_NO_STREAMER,
        "Participant “%s” published nothing in %u s", self->wanted_participant,
        self->participant_timeout);
  else
    error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_NO_STREAMER,
        "Nobody published in room “%s” in %u s", self->room_name ? self->room_name : "",
        self->participant_timeout);
  fail (self, error);
  return G_SOURCE_REMOVE;
}

/* --- a try: token, socket, first message --- */

static void
drop_signal (LiveKitRoom *self)
{
  if (self->cancellable) {
    g_cancellable_cancel (self->cancellable);
    g_clear_object (&self->cancellable);
  }
  clear_timer (&self->try_timer);
  if (self->signal) {
    g_signal_handlers_disconnect_by_data (self->signal, self);
    livekit_signal_close (self->signal, FALSE, NULL, NULL);
    g_clear_object (&self->signal);
  }
}

/* A server may name the room a moment after the join. */
static void
set_room (LiveKitRoom *self, const LiveKitMessage *message)
{
  if (*message->room_name)
    set_string (&self->room_name, message->room_name);
  if (!*message->room_sid || g_strcmp0 (self->room_sid, message->room_sid) == 0)
    return;
  set_string (&self->room_sid, message->room_sid);
  CALL (self, room_changed);
}

static void
set_own (LiveKitRoom *self, const LiveKitParticipant *own)
{
  set_string (&self->own_sid, own->sid);
  set_string (&self->own_identity, own->identity);
}

static void
on_join (LiveKitRoom *self, const LiveKitMessage *join)
{
  Subscription *subscription;
  GHashTableIter iter;

  if (join->alternative_url && *join->alternative_url) {
    set_string (&self->tokens->url, join->alternative_url);
    try_failed (self, g_error_new_literal (LIVEKIT_ERROR, LIVEKIT_ERROR_UNAVAILABLE,
                          "The server named another address"));
    return;
  }

  g_debug ("joined a room of LiveKit %s", join->server_version);
  set_own (self, join->participant);
  set_room (self, join);
  g_clear_pointer (&self->last_offer, g_free);
  g_clear_pointer (&self->last_answer, g_free);
  self->ping_interval = join->ping_interval;
  self->ping_timeout = join->ping_timeout;
  livekit_signal_start_pings (self->signal, join->ping_interval, join->ping_timeout);

  g_hash_table_iter_init (&iter, self->subscriptions);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&subscription))
    subscription->subscribed = subscription->arrived = subscription->restricted
        = FALSE; /* of the session before */
  self->media_up = self->media_broken = FALSE;
  self->n_resumes = 0;
  CALL (self, session_started, join);
  update_self (self, join->participant);
  handle (self, LIVEKIT_EVENT_JOINED);
  replace_participants (self, join->participants);
}

static void
send_sync_state (LiveKitRoom *self)
{
  g_autoptr (GPtrArray) subscribed = g_ptr_array_new (), disabled = g_ptr_array_new ();
  Subscription *subscription;
  GHashTableIter iter;

  g_hash_table_iter_init (&iter, self->subscriptions);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&subscription)) {
    if (subscription->subscribed)
      g_ptr_array_add (subscribed, subscription->track->sid);
    if (subscription->disabled)
      g_ptr_array_add (disabled, subscription->track->sid);
  }
  g_ptr_array_add (subscribed, NULL);
  g_ptr_array_add (disabled, NULL);
  livekit_signal_send (self->signal,
      livekit_message_sync_state (self->last_offer, self->last_answer,
          (const char *const *)subscribed->pdata, (const char *const *)disabled->pdata));
}

static void
on_resumed (LiveKitRoom *self)
{
  Subscription *subscription;
  GHashTableIter iter;

  livekit_signal_start_pings (self->signal, self->ping_interval, self->ping_timeout);
  send_sync_state (self);
  /* What was asked for meanwhile did not go out. */
  g_hash_table_iter_init (&iter, self->subscriptions);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&subscription))
    send_track_settings (self, subscription);
  handle (self, LIVEKIT_EVENT_JOINED);
  reconcile (self);
}

/* Where a leave means that we are not to come back: that would throw somebody out, make a room anew
 * that somebody ended, or be in vain. (nullable) (transfer full) */
static GError *
error_of_final_leave (LiveKitRoom *self, const LiveKitMessage *leave)
{
  const char *reason = livekit_reason_to_string (leave->reason);

  switch (leave->reason) {
  case LIVEKIT_REASON_DUPLICATE_IDENTITY:
    return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_DUPLICATE,
        "Another client joined the room with our identity “%s”",
        self->own_identity ? self->own_identity : "");
  case LIVEKIT_REASON_PARTICIPANT_REMOVED:
  case LIVEKIT_REASON_USER_REJECTED:
    return g_error_new (
        LIVEKIT_ERROR, LIVEKIT_ERROR_REMOVED, "The server ended our stay: %s", reason);
  case LIVEKIT_REASON_ROOM_DELETED:
  case LIVEKIT_REASON_ROOM_CLOSED:
    return g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_ROOM_CLOSED, "The room has ended: %s", reason);
  default:
    return NULL;
  }
}

static void
on_leave (LiveKitRoom *self, const LiveKitMessage *leave)
{
  GError *final = error_of_final_leave (self, leave);

  if (final) {
    drop_signal (self); /* nobody is there to whom we could say good-bye */
    fail (self, final);
    return;
  }
  keep_error (
      self, g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED, "The server ended the session: %s",
                livekit_reason_to_string (leave->reason)));
  if (leave->action == LIVEKIT_LEAVE_RESUME && self->state == LIVEKIT_STATE_JOINED) {
    self->resume_reason = 1;
    handle (self, LIVEKIT_EVENT_LOST);
  } else {
    handle (self, LIVEKIT_EVENT_RECONNECT);
  }
}

static void
on_subscription_problem (LiveKitRoom *self, const LiveKitMessage *message)
{
  g_autoptr (GError) error = NULL;
  Subscription *subscription = g_hash_table_lookup (self->subscriptions, message->track_sid);
  const char *name = subscription ? subscription->participant->identity : "a participant";

  if (message->type == LIVEKIT_MESSAGE_SUBSCRIPTION_PERMISSION) {
    if (subscription)
      subscription->restricted = !message->allowed;
    tell_permissions (self);
    if (message->allowed)
      return; /* the server subscribes us again by itself */
    error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PERMISSION,
        "“%s” does not let us receive track %s", name, message->track_sid);
  } else if (!subscription && message->subscription_error == 2) {
    return; /* it was unpublished before the server heard that we wanted it */
  } else {
    error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The server refused track %s (%s): %s", message->track_sid,
        subscription ? subscription->track->mime : "unknown",
        message->subscription_error == 1   ? "no codec in common"
        : message->subscription_error == 2 ? "no such track"
                                           : "no reason given");
  }
  CALL (self, warning, error);
}

static void
on_offer (LiveKitRoom *self, const LiveKitMessage *offer)
{
  g_autoptr (GError) error = NULL;

  if (livekit_sdp_count_media (offer->sdp) > LIVEKIT_ROOM_MAX_MEDIA) {
    error = g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The server offers more than %d media", LIVEKIT_ROOM_MAX_MEDIA);
    livekit_room_media_broken (self, error);
    return;
  }
  set_string (&self->last_offer, offer->sdp);
  CALL (self, offer, offer);
}

static void
on_room_moved (LiveKitRoom *self, const LiveKitMessage *moved)
{
  set_room (self, moved);
  if (*moved->participant->sid)
    set_own (self, moved->participant);
  if (*moved->room_name) /* that is where a token must lead from now on */
    set_string (&self->tokens->room_name, moved->room_name);
  keep_token (self, moved->token);
  replace_participants (self, moved->participants);
}

/* A session that began or goes on though we asked for the other. */
static void
on_wrong_answer (LiveKitRoom *self, const char *what)
{
  keep_error (self, g_error_new_literal (LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL, what));
  handle (self, LIVEKIT_EVENT_RECONNECT);
}

/* Runs in the room's context, as everything here. */
static void
on_message (LiveKitSignal *signal, LiveKitMessage *message, gpointer user_data)
{
  g_autoptr (LiveKitRoom) self = g_object_ref (user_data);

  if (signal != self->signal)
    return;
  switch (message->type) {
  case LIVEKIT_MESSAGE_JOIN:
    if (self->state == LIVEKIT_STATE_CONNECTING)
      on_join (self, message);
    else if (self->state == LIVEKIT_STATE_RESUMING)
      on_wrong_answer (self, "The server answered a resume with a new session");
    break;
  case LIVEKIT_MESSAGE_RECONNECT:
    if (self->state == LIVEKIT_STATE_RESUMING)
      on_resumed (self);
    else if (self->state == LIVEKIT_STATE_CONNECTING)
      on_wrong_answer (self, "The server answered a join with the resume of another session");
    break;
  case LIVEKIT_MESSAGE_OFFER:
    on_offer (self, message);
    break;
  case LIVEKIT_MESSAGE_TRICKLE:
    if (!message->for_publisher && *message->candidate)
      CALL (self, candidate, message->candidate, message->mline_index);
    break;
  case LIVEKIT_MESSAGE_PARTICIPANTS:
    update_participants (self, message->participants);
    break;
  case LIVEKIT_MESSAGE_ROOM:
    set_room (self, message);
    break;
  case LIVEKIT_MESSAGE_ROOM_MOVED:
    on_room_moved (self, message);
    break;
  case LIVEKIT_MESSAGE_LEAVE:
    on_leave (self, message);
    break;
  case LIVEKIT_MESSAGE_REFRESH_TOKEN:
    keep_token (self, message->token);
    break;
  case LIVEKIT_MESSAGE_SUBSCRIPTION_FAILED:
  case LIVEKIT_MESSAGE_SUBSCRIPTION_PERMISSION:
    on_subscription_problem (self, message);
    break;
  case LIVEKIT_MESSAGE_PONG:
  case LIVEKIT_MESSAGE_OTHER:
    break;
  }
}

static void
on_rtt_measured (LiveKitSignal *signal, gint64 ms, gpointer user_data)
{
  LiveKitRoom *self = user_data;

  CALL (self, rtt_measured, ms);
}

static void
on_closed (LiveKitSignal *signal, GError *error, gpointer user_data)
{
  g_autoptr (LiveKitRoom) self = g_object_ref (user_data);

  if (signal != self->signal)
    return; /* late news of a socket that was given up */
  keep_error (self, g_error_copy (error));
  self->resume_reason = 1;
  handle (self, LIVEKIT_EVENT_LOST);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LiveKitRoom) self = user_data;
  g_autoptr (GError) error = NULL;
  gboolean ok = livekit_signal_connect_finish (LIVEKIT_SIGNAL (source), result, &error);

  if (LIVEKIT_SIGNAL (source) != self->signal)
    return;
  clear_timer (&self->try_timer);
  if (ok)
    return; /* what comes next is a message */
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    try_failed (self, g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT,
                          "The server did not answer in %u s", self->connect_timeout));
  else
    try_failed (self, g_steal_pointer (&error));
}

static gboolean
on_try_timeout (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->try_timer);
  g_cancellable_cancel (self->cancellable);
  return G_SOURCE_REMOVE;
}

static void
open_signal (LiveKitRoom *self, const char *token, const char *resume_sid)
{
  LiveKitSignalParams params = {
    .url = self->url,
    .token = token,
    .resume_sid = resume_sid,
    .resume_reason = self->resume_reason,
    .tls_database = self->tls_database,
    .tls_insecure = self->tls_insecure,
  };

  self->signal = livekit_signal_new ();
  g_signal_connect (self->signal, "message", G_CALLBACK (on_message), self);
  g_signal_connect (self->signal, "closed", G_CALLBACK (on_closed), self);
  g_signal_connect (self->signal, "rtt-measured", G_CALLBACK (on_rtt_measured), self);
  livekit_signal_connect_async (
      self->signal, &params, self->cancellable, on_connected, g_object_ref (self));
}

static void
start_try (LiveKitRoom *self)
{
  drop_signal (self);
  self->cancellable = g_cancellable_new ();
  set_timer (self, &self->try_timer, self->connect_timeout * 1000, on_try_timeout);
}

static void
on_credentials (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LiveKitRoom) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (LiveKitCredentials) credentials = livekit_token_source_get_finish (result, &error);

  if (--self->n_fetches == 0 && self->stopped)
    self->stopped (self->stopped_data);
  if (self->state != LIVEKIT_STATE_CONNECTING || self->signal)
    return; /* stopped, or overtaken */
  if (!credentials) {
    clear_timer (&self->try_timer);
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      try_failed (self, g_error_new (LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT,
                            "The token endpoint did not answer in %u s", self->connect_timeout));
    else
      try_failed (self, g_steal_pointer (&error));
    return;
  }
  set_string (&self->url, credentials->url);
  set_string (&self->stream_info, credentials->stream_info);
  /* A given token grows old; the server's refreshed one is as good and newer. */
  if (!livekit_token_source_can_renew (self->tokens) && self->refreshed_token)
    open_signal (self, self->refreshed_token, NULL);
  else
    open_signal (self, credentials->token, NULL);
}

/* --- states --- */

static void
enter_connecting (LiveKitRoom *self)
{
  start_try (self);
  self->n_fetches++;
  livekit_token_source_get_async (self->tokens, self->tls_database, self->tls_insecure,
      self->cancellable, on_credentials, g_object_ref (self));
}

static void
enter_resuming (LiveKitRoom *self)
{
  self->n_resumes++;
  start_try (self);
  open_signal (self, self->refreshed_token, self->own_sid);
}

static gboolean
on_backoff_over (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->backoff_timer);
  handle (self, LIVEKIT_EVENT_TIMER);
  return G_SOURCE_REMOVE;
}

static void
enter_resume_backoff (LiveKitRoom *self)
{
  const guint wait
      = self->n_resumes > 0 ? livekit_backoff_ms (self->n_resumes - 1, g_random_double ()) : 0;

  drop_signal (self);
  if (!self->media_broken && *self->own_sid && self->refreshed_token
      && livekit_may_resume (self->n_resumes, has_media (self)))
    set_timer (self, &self->backoff_timer, wait, on_backoff_over);
  else
    handle (self, LIVEKIT_EVENT_RECONNECT);
}

static void
enter_backoff (LiveKitRoom *self)
{
  drop_signal (self);
  set_timer (self, &self->backoff_timer, livekit_backoff_ms (self->attempt++, g_random_double ()),
      on_backoff_over);
}

static gboolean
on_media_timeout (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->media_timer);
  keep_error (self, g_error_new_literal (LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT,
                        "The media connection did not come up"));
  handle (self, LIVEKIT_EVENT_RECONNECT);
  return G_SOURCE_REMOVE;
}

static gboolean
on_stable (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->stable_timer);
  self->n_resumes = 0;
  return G_SOURCE_REMOVE;
}

static void
connection_is_whole (LiveKitRoom *self)
{
  clear_timer (&self->media_timer);
  clear_timer (&self->deadline_timer);
  if (!self->was_connected && self->participant_timeout && !self->streamer_identity)
    set_timer (self, &self->participant_timer, self->participant_timeout * 1000, on_no_streamer);
  self->was_connected = TRUE;
  self->attempt = 0;
  self->renewed = FALSE;
  if (self->n_resumes > 0)
    set_timer (self, &self->stable_timer, STABLE_MS, on_stable);
  g_clear_error (&self->last_error);
}

static void
enter_joined (LiveKitRoom *self)
{
  if (has_media (self))
    connection_is_whole (self);
  else
    set_timer (self, &self->media_timer, self->connect_timeout * 1000, on_media_timeout);
}

static void
stop_everything (LiveKitRoom *self)
{
  clear_timer (&self->backoff_timer);
  clear_timer (&self->deadline_timer);
  clear_timer (&self->media_timer);
  clear_timer (&self->loss_timer);
  clear_timer (&self->stable_timer);
  clear_timer (&self->participant_timer);
  clear_timer (&self->settle_timer);
  clear_timer (&self->replacement_timer);
  clear_timer (&self->try_timer);
}

/* Where we are in a room, says so: else the others would see us there until the server misses us.
 */
static void
leave (LiveKitRoom *self)
{
  if (self->signal) {
    g_signal_handlers_disconnect_by_data (self->signal, self);
    self->leaving = g_steal_pointer (&self->signal);
    livekit_signal_close (self->leaving, TRUE, NULL, NULL);
  }
  drop_signal (self);
}

static void
enter_failed (LiveKitRoom *self)
{
  stop_everything (self);
  leave (self);
  CALL (self, failed, self->last_error);
}

/* The only writer of self->state. */
static void
handle (LiveKitRoom *self, LiveKitEvent event)
{
  static void (*const on_enter[LIVEKIT_N_STATES]) (LiveKitRoom *) = {
    [LIVEKIT_STATE_CONNECTING] = enter_connecting,
    [LIVEKIT_STATE_JOINED] = enter_joined,
    [LIVEKIT_STATE_RESUME_BACKOFF] = enter_resume_backoff,
    [LIVEKIT_STATE_RESUMING] = enter_resuming,
    [LIVEKIT_STATE_BACKOFF] = enter_backoff,
    [LIVEKIT_STATE_FAILED] = enter_failed,
  };
  LiveKitState next = livekit_state_next (self->state, event);

  g_debug ("room: %s on %s -> %s", livekit_state_to_string (self->state),
      livekit_event_to_string (event), livekit_state_to_string (next));
  if (next == LIVEKIT_STATE_INVALID)
    return;
  if (self->was_connected && !self->deadline_timer && self->reconnect_timeout
      && (next == LIVEKIT_STATE_RESUME_BACKOFF || next == LIVEKIT_STATE_BACKOFF))
    set_timer (self, &self->deadline_timer, self->reconnect_timeout * 1000, on_deadline);
  clear_timer (&self->media_timer);
  clear_timer (&self->loss_timer);
  clear_timer (&self->stable_timer);
  self->state = next;
  CALL (self, state_changed, next);
  if (on_enter[next])
    on_enter[next](self);
}

/* --- public --- */

LiveKitRoom *
livekit_room_new (
    const LiveKitRoomConfig *config, const LiveKitRoomHandlers *handlers, gpointer user_data)
{
  LiveKitRoom *self = g_object_new (LIVEKIT_TYPE_ROOM, NULL);

  self->handlers = *handlers;
  self->user_data = user_data;
  self->tokens = livekit_token_source_copy (config->tokens);
  self->wanted_participant = g_strdup (config->participant);
  self->video = config->video;
  self->audio = config->audio;
  self->sources = config->sources;
  self->connect_timeout = config->connect_timeout;
  self->participant_timeout = config->participant_timeout;
  self->reconnect_timeout = config->reconnect_timeout;
  self->tls_database = config->tls_database ? g_object_ref (config->tls_database) : NULL;
  self->tls_insecure = config->tls_insecure;
  return self;
}

void
livekit_room_start (LiveKitRoom *self)
{
  set_timer (self, &self->deadline_timer, self->connect_timeout * 1000, on_deadline);
  handle (self, LIVEKIT_EVENT_START);
}

void
livekit_room_stop (LiveKitRoom *self, GSourceFunc done, gpointer user_data)
{
  LiveKitRoomHandlers none = { 0 };

  self->handlers = none;
  stop_everything (self);
  handle (self, LIVEKIT_EVENT_STOP);
  g_hash_table_remove_all (self->subscriptions);
  leave (self);
  if (self->leaving)
    livekit_signal_close (self->leaving, TRUE, done, user_data);
  else if (self->n_fetches == 0)
    done (user_data);
  else {
    self->stopped = done;
    self->stopped_data = user_data;
  }
}

void
livekit_room_send_answer (LiveKitRoom *self, const char *sdp, guint32 offer_id)
{
  set_string (&self->last_answer, sdp);
  if (self->signal)
    livekit_signal_send (self->signal, livekit_message_answer (sdp, offer_id));
}

void
livekit_room_send_candidate (LiveKitRoom *self, const char *candidate, int mline_index)
{
  if (self->signal)
    livekit_signal_send (self->signal, livekit_message_trickle (candidate, mline_index));
}

void
livekit_room_media_connected (LiveKitRoom *self)
{
  self->media_up = TRUE;
  clear_timer (&self->loss_timer);
  if (self->state != LIVEKIT_STATE_JOINED)
    return;
  connection_is_whole (self);
  CALL (self, state_changed, self->state);
}

static gboolean
on_loss_unexplained (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->loss_timer);
  keep_error (self,
      g_error_new_literal (LIVEKIT_ERROR, LIVEKIT_ERROR_CLOSED, "The media connection was lost"));
  self->resume_reason = 3;
  handle (self, LIVEKIT_EVENT_LOST);
  return G_SOURCE_REMOVE;
}

/* A server that ends our stay closes the media too, and that news may be here before its word.
 * Going back at once would bring us into a room that was deleted, and so make it anew. */
void
livekit_room_media_failed (LiveKitRoom *self)
{
  self->media_up = FALSE;
  if (self->state == LIVEKIT_STATE_JOINED && !self->loss_timer)
    set_timer (self, &self->loss_timer, LOSS_GRACE_MS, on_loss_unexplained);
  else if (self->state == LIVEKIT_STATE_RESUME_BACKOFF && self->n_resumes > 0)
    handle (self, LIVEKIT_EVENT_RECONNECT); /* it was for the media that we kept trying */
}

static gboolean
on_break_unexplained (gpointer data)
{
  LiveKitRoom *self = data;

  clear_timer (&self->loss_timer);
  handle (self, LIVEKIT_EVENT_RECONNECT);
  return G_SOURCE_REMOVE;
}

void
livekit_room_media_broken (LiveKitRoom *self, const GError *error)
{
  self->media_up = FALSE;
  if (!in_session (self))
    return;
  self->media_broken = TRUE;
  keep_error (self, g_error_copy (error));
  if (self->state == LIVEKIT_STATE_JOINED)
    set_timer (self, &self->loss_timer, LOSS_GRACE_MS, on_break_unexplained);
  else
    handle (self, LIVEKIT_EVENT_RECONNECT);
}

void
livekit_room_track_arrived (LiveKitRoom *self, const char *track_sid)
{
  Subscription *subscription = g_hash_table_lookup (self->subscriptions, track_sid);

  if (!subscription)
    return;
  subscription->arrived = TRUE;
  subscription_stop_waiting (subscription);
}

void
livekit_room_set_layer (LiveKitRoom *self, const LiveKitTrackSettings *settings)
{
  Subscription *subscription;
  GHashTableIter iter;

  self->layer = *settings;
  g_hash_table_iter_init (&iter, self->subscriptions);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&subscription))
    if (subscription->track->kind == LIVEKIT_KIND_VIDEO)
      send_track_settings (self, subscription);
}

void
livekit_room_set_track_enabled (LiveKitRoom *self, const char *track_sid, gboolean enabled)
{
  Subscription *subscription = g_hash_table_lookup (self->subscriptions, track_sid);

  if (!subscription || subscription->disabled == !enabled)
    return;
  subscription->disabled = !enabled;
  send_track_settings (self, subscription);
  subscription_expect_media (subscription);
}

gboolean
livekit_room_is_connected (LiveKitRoom *self)
{
  return self->state == LIVEKIT_STATE_JOINED && has_media (self);
}

gboolean
livekit_room_has_joined (LiveKitRoom *self)
{
  return self->own_sid != NULL;
}

const char *
livekit_room_get_sid (LiveKitRoom *self)
{
  return self->room_sid;
}

const char *
livekit_room_get_stream_info (LiveKitRoom *self)
{
  return self->stream_info;
}

GPtrArray *
livekit_room_get_participants (LiveKitRoom *self)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify)livekit_participant_unref);
  LiveKitParticipant *participant;
  GHashTableIter iter;

  g_hash_table_iter_init (&iter, self->participants);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *)&participant))
    g_ptr_array_add (list, livekit_participant_ref (participant));
  return list;
}

static void
livekit_room_finalize (GObject *object)
{
  LiveKitRoom *self = LIVEKIT_ROOM (object);

  stop_everything (self);
  drop_signal (self);
  g_clear_object (&self->leaving);
  g_hash_table_unref (self->subscriptions);
  g_hash_table_unref (self->participants);
  livekit_token_source_free (self->tokens);
  g_clear_object (&self->tls_database);
  g_clear_error (&self->last_error);
  g_free (self->wanted_participant);
  g_free (self->streamer_identity);
  g_free (self->url);
  g_free (self->refreshed_token);
  g_free (self->own_sid);
  g_free (self->own_identity);
  g_free (self->room_sid);
  g_free (self->room_name);
  g_free (self->stream_info);
  g_free (self->last_offer);
  g_free (self->last_answer);
  g_main_context_unref (self->context);
  G_OBJECT_CLASS (livekit_room_parent_class)->finalize (object);
}

static void
livekit_room_class_init (LiveKitRoomClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = livekit_room_finalize;
}

static void
livekit_room_init (LiveKitRoom *self)
{
  self->state = LIVEKIT_STATE_IDLE;
  self->context = g_main_context_ref_thread_default ();
  self->layer.quality = LIVEKIT_QUALITY_HIGH;
  /* The keys live in the values. */
  self->participants = g_hash_table_new_full (
      g_str_hash, g_str_equal, NULL, (GDestroyNotify)livekit_participant_unref);
  self->subscriptions = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, subscription_free);
}
