/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-livekit.h"
#include "livekit-room.h"

#include <string.h>

#define GIVEN "given.token.1"
#define REFRESHED "refreshed.token.2"

/* ---- who is in the room
 * ------------------------------------------------------------------------------------------ */

/* One participant with one track; without one where source is UNKNOWN and type is 0. */
typedef struct
{
  const char *sid, *identity;
  int kind;
  gint64 joined_at_ms;
  const char *track_sid; /* (nullable) */
  int type, source;
  gboolean muted, gone;
} Guest;

#define CAMERA .type = LIVEKIT_KIND_VIDEO, .source = LIVEKIT_SOURCE_CAMERA
#define MICROPHONE .type = LIVEKIT_KIND_AUDIO, .source = LIVEKIT_SOURCE_MICROPHONE

static const Guest streamer = { "PA_1", "streamer", .track_sid = "TR_1", CAMERA };

/* Livekit__ParticipantInfo of guests, for as long as @list lives. */
typedef struct
{
  Livekit__ParticipantInfo **infos;
  guint n;
} GuestList;

static void
guest_list_clear (GuestList *list)
{
  for (guint i = 0; i < list->n; i++) {
    if (list->infos[i]->tracks) {
      g_free (list->infos[i]->tracks[0]);
      g_free (list->infos[i]->tracks);
    }
    g_free (list->infos[i]);
  }
  g_free (list->infos);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GuestList, guest_list_clear)

static void
guest_list_fill (GuestList *list, const Guest *guests, guint n)
{
  list->infos = g_new0 (Livekit__ParticipantInfo *, n + 1);
  list->n = n;
  for (guint i = 0; i < n; i++) {
    Livekit__ParticipantInfo *info = list->infos[i] = g_new (Livekit__ParticipantInfo, 1);

    livekit__participant_info__init (info);
    info->sid = (char *)guests[i].sid;
    info->identity = (char *)guests[i].identity;
    info->kind = (Livekit__ParticipantInfo__Kind)guests[i].kind;
    info->joined_at_ms = guests[i].joined_at_ms;
    info->state = guests[i].gone ? LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED
                                 : LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE;
    if (guests[i].track_sid) {
      Livekit__TrackInfo *track = g_new (Livekit__TrackInfo, 1);

      livekit__track_info__init (track);
      track->sid = (char *)guests[i].track_sid;
      track->type = (Livekit__TrackType)guests[i].type;
      track->source = (Livekit__TrackSource)guests[i].source;
      track->muted = guests[i].muted;
      track->mime_type = (char *)"video/VP8";
      info->tracks = g_new (Livekit__TrackInfo *, 1);
      info->tracks[0] = track;
      info->n_tracks = 1;
    }
  }
}

static void
send_update (FakeLiveKit *fake, const Guest *guests, guint n)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__ParticipantUpdate update = LIVEKIT__PARTICIPANT_UPDATE__INIT;
  g_auto (GuestList) list = { 0 };

  guest_list_fill (&list, guests, n);
  update.participants = list.infos;
  update.n_participants = n;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_UPDATE;
  response.update = &update;
  fake_livekit_send (fake, &response);
}

/* An update of ourselves. */
static void
send_permission (FakeLiveKit *fake, gboolean can_subscribe)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__ParticipantUpdate update = LIVEKIT__PARTICIPANT_UPDATE__INIT;
  Livekit__ParticipantInfo self = LIVEKIT__PARTICIPANT_INFO__INIT, *infos[] = { &self };
  Livekit__ParticipantPermission permission = LIVEKIT__PARTICIPANT_PERMISSION__INIT;

  self.sid = (char *)"PA_self";
  permission.can_subscribe = can_subscribe;
  self.permission = &permission;
  update.participants = infos;
  update.n_participants = 1;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_UPDATE;
  response.update = &update;
  fake_livekit_send (fake, &response);
}

/* The publisher of a track lets us receive it, or not. */
static void
send_track_permission (FakeLiveKit *fake, const char *sid, gboolean allowed)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__SubscriptionPermissionUpdate update = LIVEKIT__SUBSCRIPTION_PERMISSION_UPDATE__INIT;

  update.track_sid = (char *)sid;
  update.allowed = allowed;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SUBSCRIPTION_PERMISSION_UPDATE;
  response.subscription_permission_update = &update;
  fake_livekit_send (fake, &response);
}

static void
send_room (FakeLiveKit *fake, const char *sid)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__RoomUpdate update = LIVEKIT__ROOM_UPDATE__INIT;
  Livekit__Room room = LIVEKIT__ROOM__INIT;

  room.sid = (char *)sid;
  update.room = &room;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ROOM_UPDATE;
  response.room_update = &update;
  fake_livekit_send (fake, &response);
}

static void
send_room_moved (FakeLiveKit *fake, const Guest *guests, guint n)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__RoomMovedResponse moved = LIVEKIT__ROOM_MOVED_RESPONSE__INIT;
  Livekit__Room room = LIVEKIT__ROOM__INIT;
  Livekit__ParticipantInfo self = LIVEKIT__PARTICIPANT_INFO__INIT;
  g_auto (GuestList) list = { 0 };

  guest_list_fill (&list, guests, n);
  room.sid = (char *)"RM_other";
  room.name = (char *)"other";
  self.sid = (char *)"PA_moved";
  moved.room = &room;
  moved.token = (char *)"moved.token.3";
  moved.participant = &self;
  moved.other_participants = list.infos;
  moved.n_other_participants = n;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ROOM_MOVED;
  response.room_moved = &moved;
  fake_livekit_send (fake, &response);
}

/* ---- a room that writes down what it is told
 * --------------------------------------------------------------------- */

typedef struct _Watch Watch;

struct _Watch
{
  FakeLiveKit *fake;
  LiveKitRoom *room;

  /* what it does: set by the test, before watch_start() */
  LiveKitTokenSource tokens;
  LiveKitRoomConfig config;
  gboolean no_media;                    /* the peer connection does not come up */
  FakeLiveKitJoined on_join, on_resume; /* what the server does then; NULL: all is well */
  void (*on_state) (Watch *watch, LiveKitState state);
  const Guest *guests; /* in the room at each join */
  guint n_guests;

  /* what it saw */
  GArray *states;                        /* (element-type LiveKitState) */
  GPtrArray *handshakes;                 /* (element-type utf8) "join TOKEN", "resume TOKEN" */
  GPtrArray *added, *removed, *warnings; /* (element-type utf8) */
  GPtrArray *permissions;                /* (element-type utf8) "SID yes", "SID no" */
  guint n_sessions, n_joined, n_left, n_settled, n_room_changed, n_failed;
  GError *error; /* of failed */
  gboolean stopped;
};

static void
on_state_changed (LiveKitRoom *room, LiveKitState state, gpointer user_data)
{
  Watch *watch = user_data;

  g_array_append_val (watch->states, state);
  if (watch->on_state)
    watch->on_state (watch, state);
}

static void
on_room_changed (LiveKitRoom *room, gpointer user_data)
{
  ((Watch *)user_data)->n_room_changed++;
}

static void
on_session_started (LiveKitRoom *room, const LiveKitMessage *join, gpointer user_data)
{
  Watch *watch = user_data;

  watch->n_sessions++;
  if (!watch->no_media)
    livekit_room_media_connected (room);
}

static void
on_participant_joined (LiveKitRoom *room, LiveKitParticipant *participant, gpointer user_data)
{
  ((Watch *)user_data)->n_joined++;
}

static void
on_participant_left (LiveKitRoom *room, LiveKitParticipant *participant, gpointer user_data)
{
  ((Watch *)user_data)->n_left++;
}

static void
on_track_added (
    LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data)
{
  g_ptr_array_add (((Watch *)user_data)->added, g_strdup (track->sid));
}

static void
on_track_removed (
    LiveKitRoom *room, LiveKitParticipant *participant, LiveKitTrack *track, gpointer user_data)
{
  g_ptr_array_add (((Watch *)user_data)->removed, g_strdup (track->sid));
}

static void
on_track_permission (LiveKitRoom *room, const char *track_sid, gboolean allowed, gpointer user_data)
{
  g_ptr_array_add (((Watch *)user_data)->permissions,
      g_strdup_printf ("%s %s", track_sid, allowed ? "yes" : "no"));
}

static void
on_settled (LiveKitRoom *room, gpointer user_data)
{
  ((Watch *)user_data)->n_settled++;
}

static void
on_warning (LiveKitRoom *room, const GError *error, gpointer user_data)
{
  g_ptr_array_add (((Watch *)user_data)->warnings, g_strdup (error->message));
}

static void
on_failed (LiveKitRoom *room, const GError *error, gpointer user_data)
{
  Watch *watch = user_data;

  watch->n_failed++;
  g_clear_error (&watch->error);
  watch->error = g_error_copy (error);
}

static const LiveKitRoomHandlers handlers = {
  .state_changed = on_state_changed,
  .room_changed = on_room_changed,
  .session_started = on_session_started,
  .participant_joined = on_participant_joined,
  .participant_left = on_participant_left,
  .track_added = on_track_added,
  .track_removed = on_track_removed,
  .track_permission = on_track_permission,
  .settled = on_settled,
  .warning = on_warning,
  .failed = on_failed,
};

static gboolean
on_stopped (gpointer user_data)
{
  ((Watch *)user_data)->stopped = TRUE;
  return G_SOURCE_REMOVE;
}

#define NAMED "RM_named" /* the room's sid, which is the last that a client is told */

/* All is well: a join with the guests, or a resume; then a fresh token, as LiveKit does. */
static void
welcome (FakeLiveKit *fake, gpointer user_data)
{
  Watch *watch = user_data;

  if (strstr (fake->query, "reconnect=1")) {
    fake_livekit_send_reconnect (fake);
  } else {
    fake_livekit_send_join (fake);
    if (watch->n_guests > 0)
      send_update (fake, watch->guests, watch->n_guests);
  }
  fake_livekit_send_refresh_token (fake, REFRESHED);
  send_room (fake, NAMED);
}

static void
on_client (FakeLiveKit *fake, gpointer user_data)
{
  Watch *watch = user_data;
  const gboolean resumes = strstr (fake->query, "reconnect=1") != NULL;
  FakeLiveKitJoined script = resumes ? watch->on_resume : watch->on_join;

  g_assert_true (g_str_has_prefix (fake->authorization, "Bearer "));
  g_ptr_array_add (watch->handshakes, g_strdup_printf ("%s %s", resumes ? "resume" : "join",
                                          fake->authorization + strlen ("Bearer ")));
  (script ? script : welcome) (fake, user_data);
}

static Watch *
watch_new (void)
{
  Watch *watch = g_new0 (Watch, 1);

  watch->fake = fake_livekit_new (NULL);
  watch->fake->joined = on_client;
  watch->fake->user_data = watch;
  watch->tokens.url = watch->fake->url;
  watch->tokens.token = (char *)GIVEN;
  watch->config.tokens = &watch->tokens;
  watch->config.video = watch->config.audio = TRUE;
  watch->config.connect_timeout = 30;
  watch->config.participant_timeout = 30;
  watch->config.reconnect_timeout = 30;
  watch->states = g_array_new (FALSE, FALSE, sizeof (LiveKitState));
  watch->handshakes = g_ptr_array_new_with_free_func (g_free);
  watch->added = g_ptr_array_new_with_free_func (g_free);
  watch->removed = g_ptr_array_new_with_free_func (g_free);
  watch->warnings = g_ptr_array_new_with_free_func (g_free);
  watch->permissions = g_ptr_array_new_with_free_func (g_free);
  return watch;
}

static void
watch_stop (Watch *watch)
{
  if (!watch->room || watch->stopped)
    return;
  livekit_room_stop (watch->room, on_stopped, watch);
  wait_until (watch->stopped);
}

static void
watch_free (Watch *watch)
{
  gpointer room = watch->room;

  watch_stop (watch);
  if (watch->room) {
    g_object_add_weak_pointer (G_OBJECT (watch->room), &room);
    g_clear_object (&watch->room);
    wait_until (room == NULL); /* what libsoup still has under way may hold it a little longer */
  }
  fake_livekit_free (watch->fake);
  g_array_unref (watch->states);
  g_ptr_array_unref (watch->handshakes);
  g_ptr_array_unref (watch->added);
  g_ptr_array_unref (watch->removed);
  g_ptr_array_unref (watch->warnings);
  g_ptr_array_unref (watch->permissions);
  g_clear_error (&watch->error);
  g_free (watch);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Watch, watch_free)

static void
watch_start (Watch *watch)
{
  watch->room = livekit_room_new (&watch->config, &handlers, watch);
  livekit_room_start (watch->room);
}

static void
watch_join (Watch *watch)
{
  watch_start (watch);
  wait_until (g_strcmp0 (livekit_room_get_sid (watch->room), NAMED) == 0);
  g_assert_true (livekit_room_is_connected (watch->room));
}

static guint
count_states (Watch *watch, LiveKitState state)
{
  guint n = 0;

  for (guint i = 0; i < watch->states->len; i++)
    n += g_array_index (watch->states, LiveKitState, i) == state;
  return n;
}

static void
assert_strings (GPtrArray *strings, const char *expected)
{
  g_autofree char *joined = NULL;

  g_ptr_array_add (strings, NULL);
  joined = g_strjoinv (", ", (char **)strings->pdata);
  g_ptr_array_set_size (strings, (int)strings->len - 1);
  g_assert_cmpstr (joined, ==, expected);
}

/* How many requests of a kind came, and the last of them. */
static guint
count_requests (
    FakeLiveKit *fake, Livekit__SignalRequest__MessageCase kind, Livekit__SignalRequest **last)
{
  guint n = 0;

  for (guint i = 0; i < fake->requests->len; i++) {
    Livekit__SignalRequest *request = fake_livekit_get_request (fake, i);

    if (request->message_case == kind) {
      n++;
      if (last) {
        Livekit__SignalRequest *before = *last;

        *last = request;
        request = before;
      }
    }
    if (request)
      livekit__signal_request__free_unpacked (request, NULL);
  }
  return n;
}

#define REQUEST(kind) LIVEKIT__SIGNAL_REQUEST__MESSAGE_##kind

/* ---- the server ends the session
 * --------------------------------------------------------------------------------- */

static void
a_leave_that_says_resume_is_resumed (void)
{
  g_autoptr (Watch) watch = watch_new ();
  Livekit__SignalRequest *sync = NULL;

  watch->guests = &streamer;
  watch->n_guests = 1;
  watch->config.audio = FALSE;
  watch_join (watch);
  wait_until (count_requests (watch->fake, REQUEST (SUBSCRIPTION), NULL) == 1);
  fake_livekit_send_leave (watch->fake, LIVEKIT_LEAVE_RESUME, LIVEKIT_REASON_CONNECTION_TIMEOUT);
  wait_until (count_requests (watch->fake, REQUEST (SYNC_STATE), &sync) == 1);
  g_assert_nonnull (strstr (watch->fake->query, "&sid=PA_self&reconnect_reason=1"));
  g_assert_cmpint (sync->sync_state->subscription->n_track_sids, ==, 1);
  g_assert_cmpstr (sync->sync_state->subscription->track_sids[0], ==, "TR_1");
  livekit__signal_request__free_unpacked (sync, NULL);
  assert_strings (watch->handshakes, "join " GIVEN ", resume " REFRESHED);
  g_assert_true (livekit_room_is_connected (watch->room));
  g_assert_cmpint (watch->n_sessions, ==, 1);
  assert_strings (watch->added, "TR_1");
  assert_strings (watch->removed, "");
}

static void
a_leave_that_says_otherwise_is_followed_by_a_join (void)
{
  static const struct
  {
    int action, reason;
  } cases[] = {
    { LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_STATE_MISMATCH },
    { LIVEKIT_LEAVE_DISCONNECT, LIVEKIT_REASON_SERVER_SHUTDOWN },
    { LIVEKIT_LEAVE_DISCONNECT, LIVEKIT_REASON_UNKNOWN },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Watch) watch = watch_new ();

    watch_join (watch);
    fake_livekit_send_leave (watch->fake, cases[i].action, cases[i].reason);
    wait_until (watch->n_sessions == 2 && livekit_room_is_connected (watch->room));
    g_assert_cmpint (count_states (watch, LIVEKIT_STATE_RESUMING), ==, 0);
    g_assert_cmpint (count_states (watch, LIVEKIT_STATE_BACKOFF), ==, 1);
    g_assert_cmpint (watch->n_failed, ==, 0);
  }
}

static void
a_final_leave_is_no_cause_to_come_back (void)
{
  static const struct
  {
    int reason, code;
  } cases[] = {
    { LIVEKIT_REASON_DUPLICATE_IDENTITY, LIVEKIT_ERROR_DUPLICATE },
    { LIVEKIT_REASON_PARTICIPANT_REMOVED, LIVEKIT_ERROR_REMOVED },
    { LIVEKIT_REASON_USER_REJECTED, LIVEKIT_ERROR_REMOVED },
    { LIVEKIT_REASON_ROOM_DELETED, LIVEKIT_ERROR_ROOM_CLOSED },
    { LIVEKIT_REASON_ROOM_CLOSED, LIVEKIT_ERROR_ROOM_CLOSED },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Watch) watch = watch_new ();

    watch_join (watch);
    fake_livekit_send_leave (watch->fake, LIVEKIT_LEAVE_DISCONNECT, cases[i].reason);
    wait_until (watch->n_failed == 1);
    g_assert_error (watch->error, LIVEKIT_ERROR, cases[i].code);
    wait_until (watch->fake->n_closed == 1);
    watch_stop (watch);
    g_assert_cmpint (watch->fake->n_handshakes, ==, 1);
    g_assert_cmpint (count_requests (watch->fake, REQUEST (LEAVE), NULL), ==, 0);
  }
}

static void
who_gives_up_says_good_bye (void)
{
  g_autoptr (Watch) watch = watch_new ();
  Livekit__SignalRequest *leave = NULL;

  watch->config.participant_timeout = 1;
  watch_join (watch);
  wait_until (watch->n_failed == 1);
  g_assert_error (watch->error, LIVEKIT_ERROR, LIVEKIT_ERROR_NO_STREAMER);
  g_assert_nonnull (strstr (watch->error->message, "“demo”"));
  watch_stop (watch); /* at once: it waits for the good-bye */
  g_assert_cmpint (count_requests (watch->fake, REQUEST (LEAVE), &leave), ==, 1);
  g_assert_cmpint (leave->leave->reason, ==, LIVEKIT_REASON_CLIENT_INITIATED);
  livekit__signal_request__free_unpacked (leave, NULL);
}

static void
who_stops_says_good_bye (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  watch_stop (watch);
  g_assert_cmpint (count_requests (watch->fake, REQUEST (LEAVE), NULL), ==, 1);
}

/* ---- resumes
 * ---------------------------------------------------------------------------------------------------------
 */

static void
leave_first (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_send_leave (fake, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_STATE_MISMATCH);
  fake_livekit_close (fake, SOUP_WEBSOCKET_CLOSE_NORMAL);
}

static void
join_again (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_send_join (fake);
}

static void
a_resume_that_is_refused_is_followed_by_a_join (void)
{
  static const FakeLiveKitJoined refusals[] = { leave_first, join_again };

  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
    g_autoptr (Watch) watch = watch_new ();

    watch_join (watch);
    watch->on_resume = refusals[i];
    fake_livekit_cut (watch->fake);
    wait_until (watch->n_sessions == 2 && livekit_room_is_connected (watch->room));
    assert_strings (watch->handshakes, "join " GIVEN ", resume " REFRESHED ", join " REFRESHED);
  }
}

/* The handshake of the first resume is refused with the status; the join is not. */
static void
welcome_a_join (Watch *watch, LiveKitState state)
{
  if (state == LIVEKIT_STATE_CONNECTING)
    watch->fake->refuse_status = 0;
}

static void
a_resume_that_http_refuses_is_followed_by_a_join (void)
{
  static const struct
  {
    guint status;
    const char *token; /* of the join: not one that was refused */
  } cases[] = { { 400, REFRESHED }, { 401, GIVEN }, { 403, GIVEN }, { 404, REFRESHED } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Watch) watch = watch_new ();
    g_autofree char *expected = g_strdup_printf ("join " GIVEN ", join %s", cases[i].token);

    watch_join (watch);
    watch->on_state = welcome_a_join;
    watch->fake->refuse_status = cases[i].status;
    fake_livekit_cut (watch->fake);
    wait_until (watch->n_sessions == 2 && livekit_room_is_connected (watch->room));
    g_assert_cmpint (count_states (watch, LIVEKIT_STATE_RESUMING), ==, 1);
    assert_strings (watch->handshakes, expected);
  }
}

static void
welcome_the_third_resume (Watch *watch, LiveKitState state)
{
  if (count_states (watch, LIVEKIT_STATE_RESUMING) == 3)
    watch->fake->refuse_status = 0;
}

static void
resumes_go_on_while_media_does (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  watch->on_state = welcome_the_third_resume;
  watch->fake->refuse_status = 503;
  fake_livekit_cut (watch->fake);
  wait_until (
      count_states (watch, LIVEKIT_STATE_RESUMING) == 3 && livekit_room_is_connected (watch->room));
  g_assert_cmpint (watch->n_sessions, ==, 1);
  g_assert_cmpint (count_states (watch, LIVEKIT_STATE_CONNECTING), ==, 1);
  assert_strings (watch->handshakes, "join " GIVEN ", resume " REFRESHED);
}

static void
without_media_one_resume_is_tried (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  watch->on_state = welcome_a_join;
  watch->fake->refuse_status = 503;
  livekit_room_media_failed (watch->room); /* no word of the server on it will come */
  wait_until (watch->n_sessions == 2 && livekit_room_is_connected (watch->room));
  g_assert_cmpint (count_states (watch, LIVEKIT_STATE_RESUMING), ==, 1);
}

static void
lose_media_at_the_second_wait (Watch *watch, LiveKitState state)
{
  welcome_a_join (watch, state);
  if (state == LIVEKIT_STATE_RESUMING)
    livekit_room_media_failed (watch->room);
}

static void
resumes_end_with_the_media (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  watch->on_state = lose_media_at_the_second_wait;
  watch->fake->refuse_status = 503;
  fake_livekit_cut (watch->fake);
  wait_until (watch->n_sessions == 2 && livekit_room_is_connected (watch->room));
  g_assert_cmpint (count_states (watch, LIVEKIT_STATE_RESUMING), ==, 1);
}

static void
media_that_ends_while_a_resume_waits_means_a_join (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  watch->on_state = welcome_a_join;
  watch->fake->refuse_status = 503;
  fake_livekit_cut (watch->fake);
  wait_until (count_states (watch, LIVEKIT_STATE_RESUME_BACKOFF) == 2);
  livekit_room_media_failed (watch->room);
  g_assert_cmpint (g_array_index (watch->states, LiveKitState, watch->states->len - 1), ==,
      LIVEKIT_STATE_BACKOFF);
  wait_until (watch->n_sessions == 2 && livekit_room_is_connected (watch->room));
}

static void
resume_and_cut (FakeLiveKit *fake, gpointer user_data)
{
  fake_livekit_send_reconnect (fake);
  fake_livekit_send_refresh_token (fake, REFRESHED);
  fake_livekit_close (fake, SOUP_WEBSOCKET_CLOSE_NORMAL);
}

static void
resumes_that_do_not_last_are_not_tried_without_a_pause (void)
{
  g_autoptr (Watch) watch = watch_new ();
  gint64 start;

  watch_join (watch);
  watch->on_resume = resume_and_cut;
  start = g_get_monotonic_time ();
  fake_livekit_cut (watch->fake);
  wait_until (count_states (watch, LIVEKIT_STATE_RESUMING) == 4);
  /* The waits before the second, third and fourth, each at its shortest. */
  g_assert_cmpint (g_get_monotonic_time () - start, >=, (125 + 150 + 600) * 1000);
  g_assert_cmpint (watch->n_sessions, ==, 1);
}

static void
resume_first (FakeLiveKit *fake, gpointer user_data)
{
  Watch *watch = user_data;

  if (watch->handshakes->len == 1)
    fake_livekit_send_reconnect (fake);
  else
    welcome (fake, user_data);
}

static void
a_join_that_is_answered_with_a_resume_is_tried_again (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch->on_join = resume_first;
  watch_join (watch);
  assert_strings (watch->handshakes, "join " GIVEN ", join " GIVEN);
  g_assert_cmpint (watch->n_sessions, ==, 1);
}

static void
a_join_that_is_always_answered_with_a_resume_is_an_error (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch->config.connect_timeout = 1;
  watch->on_join = (FakeLiveKitJoined)fake_livekit_send_reconnect;
  watch_start (watch);
  wait_until (watch->n_failed == 1);
  g_assert_error (watch->error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (watch->error->message, "resume of another session"));
}

/* ---- joins that fail
 * -------------------------------------------------------------------------------------------------
 */

static void
what_is_wrong_at_first_is_an_error_at_once (void)
{
  static const struct
  {
    guint status;
    int code;
  } cases[] = { { 400, LIVEKIT_ERROR_CONFIG }, { 401, LIVEKIT_ERROR_UNAUTHORIZED } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Watch) watch = watch_new ();

    watch->fake->refuse_status = cases[i].status;
    watch_start (watch);
    wait_until (watch->n_failed == 1);
    g_assert_error (watch->error, LIVEKIT_ERROR, cases[i].code);
    g_assert_cmpint (watch->fake->n_handshakes, ==, 1);
  }
}

static void
welcome_the_third_join (Watch *watch, LiveKitState state)
{
  if (count_states (watch, LIVEKIT_STATE_CONNECTING) == 1 + 3)
    watch->fake->refuse_status = 0;
}

static void
what_once_worked_is_tried_again (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  watch->on_state = welcome_the_third_join;
  watch->fake->refuse_status = 400;
  fake_livekit_cut (watch->fake);
  wait_until (watch->n_sessions == 2 && livekit_room_is_connected (watch->room));
  g_assert_cmpint (watch->n_failed, ==, 0);
}

static void
an_outage_that_lasts_is_an_error_with_its_reason (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch->config.reconnect_timeout = 1;
  watch_join (watch);
  watch->fake->refuse_status = 400;
  fake_livekit_cut (watch->fake);
  wait_until (watch->n_failed == 1);
  g_assert_error (watch->error, LIVEKIT_ERROR, LIVEKIT_ERROR_TIMEOUT);
  g_assert_nonnull (strstr (watch->error->message, "lost for 1 s: "));
  g_assert_nonnull (strstr (watch->error->message, "refused the request"));
}

static void
an_old_token_gives_way_to_the_servers_newer_one (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  fake_livekit_send_leave (watch->fake, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_MIGRATION);
  wait_until (watch->n_sessions == 2);
  assert_strings (watch->handshakes, "join " GIVEN ", join " REFRESHED);
}

static void
a_token_that_is_refused_twice_is_an_error (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  watch->fake->refuse_status = 401;
  fake_livekit_send_leave (watch->fake, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_MIGRATION);
  wait_until (watch->n_failed == 1);
  g_assert_error (watch->error, LIVEKIT_ERROR, LIVEKIT_ERROR_UNAUTHORIZED);
  g_assert_cmpint (watch->fake->n_handshakes, ==, 3); /* the refreshed one, then the given one */
}

static void
an_empty_token_is_none (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  fake_livekit_send_refresh_token (watch->fake, "");
  fake_livekit_send_leave (watch->fake, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_MIGRATION);
  wait_until (watch->n_sessions == 2);
  assert_strings (watch->handshakes, "join " GIVEN ", join " REFRESHED);
}

/* ---- the streamer
 * ----------------------------------------------------------------------------------------------------
 */

static void
the_streamer_is_chosen_by_the_rule (void)
{
  static const struct
  {
    const char *chosen, *wanted;
    Guest guests[3];
  } cases[] = {
    { "TR_a", NULL, { { "PA_a", "a", .track_sid = "TR_a", CAMERA }, { "PA_b", "b" } } },
    /* agents and recorders do not count, an ingress does */
    { "TR_c", NULL,
        { { "PA_a", "a", LIVEKIT_PARTICIPANT_AGENT, 1, "TR_a", CAMERA },
            { "PA_b", "b", LIVEKIT_PARTICIPANT_EGRESS, 2, "TR_b", CAMERA },
            { "PA_c", "c", LIVEKIT_PARTICIPANT_INGRESS, 3, "TR_c", CAMERA } } },
    /* nor do viewers */
    { "TR_b", NULL,
        { { "PA_a", "viewer-1", 0, 1, "TR_a", CAMERA }, { "PA_b", "b", 0, 2, "TR_b", CAMERA } } },
    /* the earliest to join */
    { "TR_b", NULL,
        { { "PA_a", "a", 0, 3, "TR_a", CAMERA }, { "PA_b", "b", 0, 1, "TR_b", CAMERA },
            { "PA_c", "c", 0, 2, "TR_c", CAMERA } } },
    /* camera or screen before sound alone */
    { "TR_c", NULL,
        { { "PA_a", "a", 0, 1, "TR_a", MICROPHONE }, { "PA_b", "b", 0, 3, "TR_b", CAMERA },
            { "PA_c", "c", 0, 2, "TR_c", LIVEKIT_KIND_VIDEO, LIVEKIT_SOURCE_SCREEN } } },
    /* whoever is asked for, by identity or sid */
    { "TR_a", "viewer-1",
        { { "PA_a", "viewer-1", 0, 2, "TR_a", CAMERA }, { "PA_b", "b", 0, 1, "TR_b", CAMERA } } },
    { "TR_a", "PA_a",
        { { "PA_a", "a", LIVEKIT_PARTICIPANT_AGENT, 2, "TR_a", CAMERA },
            { "PA_b", "b", 0, 1, "TR_b", CAMERA } } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Watch) watch = watch_new ();

    watch->config.participant = cases[i].wanted;
    watch->guests = cases[i].guests;
    while (watch->n_guests < G_N_ELEMENTS (cases[i].guests) && cases[i].guests[watch->n_guests].sid)
      watch->n_guests++;
    watch_join (watch);
    wait_until (watch->n_settled == 1);
    assert_strings (watch->added, cases[i].chosen);
    g_assert_cmpint (watch->n_joined, ==, watch->n_guests);
  }
}

static void
the_streamer_is_kept_by_identity (void)
{
  static const Guest other = { "PA_0", "earlier", 0, 1, "TR_0", CAMERA },
                     left = { "PA_1", "streamer", .gone = TRUE },
                     back = { "PA_2", "streamer", 0, 9, "TR_2", CAMERA };
  g_autoptr (Watch) watch = watch_new ();

  watch->guests = &streamer;
  watch->n_guests = 1;
  watch->config.audio = FALSE;
  watch_join (watch);
  wait_until (watch->added->len == 1);
  send_update (watch->fake, &other, 1);
  send_update (watch->fake, &left, 1);
  wait_until (watch->n_left == 1);
  assert_strings (watch->removed, "TR_1");
  send_update (watch->fake, &back, 1);
  wait_until (watch->added->len == 2);
  assert_strings (watch->added, "TR_1, TR_2");
}

/* As while we are away and the streamer comes anew: the server has told others that it left. */
static void
a_streamer_who_is_there_anew_has_left_before (void)
{
  static const Guest anew = { "PA_2", "streamer", 0, 9, "TR_2", CAMERA };
  g_autoptr (Watch) watch = watch_new ();

  watch->guests = &streamer;
  watch->n_guests = 1;
  watch->config.audio = FALSE;
  watch_join (watch);
  wait_until (watch->added->len == 1);
  send_update (watch->fake, &anew, 1);
  wait_until (watch->added->len == 2);
  assert_strings (watch->added, "TR_1, TR_2");
  assert_strings (watch->removed, "TR_1");
  g_assert_cmpuint (watch->n_left, ==, 1);
}

static void
may_not_subscribe (FakeLiveKit *fake, gpointer user_data)
{
  welcome (fake, user_data);
  send_permission (fake, FALSE);
}

static void
a_token_that_does_not_allow_to_subscribe_is_told (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch->guests = &streamer;
  watch->n_guests = 1;
  watch->on_join = may_not_subscribe;
  watch->no_media = TRUE; /* the server makes no offer */
  watch->config.audio = FALSE;
  watch_start (watch);
  wait_until (watch->warnings->len == 1);
  g_assert_nonnull (strstr (g_ptr_array_index (watch->warnings, 0), "canSubscribe"));
}

static void
a_permission_that_comes_later_lets_media_in (void)
{
  g_autoptr (Watch) watch = watch_new ();
  const Guest microphone = { "PA_1", "streamer", .track_sid = "TR_1", MICROPHONE };

  watch->config.video = FALSE;
  watch_join (watch);
  send_permission (watch->fake, FALSE);
  wait_until (watch->warnings->len == 1);
  send_update (watch->fake, &microphone, 1);
  wait_until (watch->n_joined == 1);
  g_assert_cmpint (watch->added->len, ==, 0);
  send_permission (watch->fake, TRUE);
  wait_until (watch->added->len == 1);
}

static void
nobody_may_be_received_without_the_permission (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch->config.participant_timeout = 1;
  watch_join (watch);
  send_permission (watch->fake, FALSE);
  send_update (watch->fake, &streamer, 1);
  wait_until (watch->n_failed == 1);
  g_assert_error (watch->error, LIVEKIT_ERROR, LIVEKIT_ERROR_PERMISSION);
}

/* Its track, TR_1, has been added then. */
static void
join_with_microphone (Watch *watch)
{
  static const Guest microphone = { "PA_1", "streamer", .track_sid = "TR_1", MICROPHONE };

  watch->config.video = FALSE;
  watch->guests = &microphone;
  watch->n_guests = 1;
  watch_join (watch);
  wait_until (watch->added->len == 1);
}

/* By our token or by its publisher: it comes when neither forbids it. */
static void
that_a_track_is_forbidden_is_told_when_it_changes (void)
{
  g_autoptr (Watch) watch = watch_new ();

  join_with_microphone (watch);
  send_track_permission (watch->fake, "TR_1", FALSE);
  send_permission (watch->fake, FALSE);
  send_track_permission (watch->fake, "TR_1", TRUE);
  send_permission (watch->fake, TRUE);
  send_track_permission (watch->fake, "TR_other", FALSE);
  wait_until (watch->permissions->len == 2);
  assert_strings (watch->permissions, "TR_1 no, TR_1 yes");
}

/* In a new session the server tells anew what its publisher forbids. */
static void
what_a_publisher_forbade_ends_with_the_session (void)
{
  g_autoptr (Watch) watch = watch_new ();

  join_with_microphone (watch);
  send_track_permission (watch->fake, "TR_1", FALSE);
  wait_until (watch->permissions->len == 1);
  fake_livekit_send_leave (watch->fake, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_STATE_MISMATCH);
  wait_until (watch->n_sessions == 2);
  wait_until (watch->permissions->len == 2);
  assert_strings (watch->permissions, "TR_1 no, TR_1 yes");
}

/* The server answers what was asked of a track that has been unpublished since. */
static void
that_a_track_is_gone_is_told_of_one_that_is_there_alone (void)
{
  g_autoptr (Watch) watch = watch_new ();
  const Guest microphone = { "PA_1", "streamer", .track_sid = "TR_1", MICROPHONE };

  watch->config.video = FALSE;
  watch_join (watch);
  send_update (watch->fake, &microphone, 1);
  wait_until (watch->added->len == 1);
  fake_livekit_send_refused_track (
      watch->fake, "TR_0", LIVEKIT__SUBSCRIPTION_ERROR__SE_TRACK_NOTFOUND);
  fake_livekit_send_refused_track (
      watch->fake, "TR_1", LIVEKIT__SUBSCRIPTION_ERROR__SE_TRACK_NOTFOUND);
  wait_until (watch->warnings->len > 0);
  g_assert_nonnull (strstr (g_ptr_array_index (watch->warnings, 0), "TR_1"));
}

/* ---- the room
 * --------------------------------------------------------------------------------------------------------
 */

static void
the_room_is_known_by_what_the_server_said_last (void)
{
  static const Guest elsewhere = { "PA_9", "somebody" };
  g_autoptr (Watch) watch = watch_new ();

  watch->guests = &streamer;
  watch->n_guests = 1;
  watch_join (watch);
  g_assert_cmpint (watch->n_room_changed, ==, 2); /* RM_demo, at the join, and NAMED */

  send_room (watch->fake, NAMED);
  send_room (watch->fake, "");
  send_room_moved (watch->fake, &elsewhere, 1);
  wait_until (watch->n_room_changed == 3);
  g_assert_cmpstr (livekit_room_get_sid (watch->room), ==, "RM_other");
  wait_until (watch->n_left == 1 && watch->n_joined == 2);

  fake_livekit_cut (watch->fake);
  wait_until (watch->handshakes->len == 2);
  g_assert_nonnull (strstr (watch->fake->query, "sid=PA_moved"));
  assert_strings (watch->handshakes, "join " GIVEN ", resume moved.token.3");
}

static void
participants_beyond_the_limit_are_left_out (void)
{
  const guint n = LIVEKIT_ROOM_MAX_PARTICIPANTS / 2 + 1;
  g_autofree Guest *guests = g_new0 (Guest, n);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (Watch) watch = watch_new ();

  watch->config.participant = "streamer";
  watch->config.audio = FALSE;
  watch_join (watch);
  for (guint round = 0; round < 2; round++) {
    for (guint i = 0; i < n; i++) {
      guests[i].sid = guests[i].identity = g_strdup_printf ("PA_%u_%u", round, i);
      g_ptr_array_add (names, (char *)guests[i].sid);
    }
    send_update (watch->fake, guests, n);
  }
  wait_until (watch->warnings->len == 1);
  g_assert_nonnull (strstr (g_ptr_array_index (watch->warnings, 0), "10000 participants"));
  g_assert_cmpint (watch->n_joined, ==, LIVEKIT_ROOM_MAX_PARTICIPANTS);

  send_update (watch->fake, &streamer, 1);
  wait_until (watch->added->len == 1); /* whom we came for is let in all the same */
  g_assert_cmpint (watch->warnings->len, ==, 1);
}

static void
send_offer_of_too_many_media (FakeLiveKit *fake)
{
  g_autoptr (GString) sdp = g_string_new ("v=0\r\n");

  for (guint i = 0; i <= LIVEKIT_ROOM_MAX_MEDIA; i++)
    g_string_append (sdp, "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n");
  fake_livekit_send_offer (fake, sdp->str, 1);
}

static void
an_offer_of_too_many_media_ends_the_session (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch_join (watch);
  send_offer_of_too_many_media (watch->fake);
  wait_until (watch->n_sessions == 2);
  g_assert_cmpint (count_states (watch, LIVEKIT_STATE_RESUMING), ==, 0);
}

static void
offer_too_many_media_first (FakeLiveKit *fake, gpointer user_data)
{
  welcome (fake, user_data);
  if (((Watch *)user_data)->handshakes->len == 1)
    send_offer_of_too_many_media (fake);
}

/* The second session stands, and waits for media, when the time is up. */
static void
what_the_server_did_wrong_is_told_though_another_session_began (void)
{
  g_autoptr (Watch) watch = watch_new ();

  watch->config.connect_timeout = 3;
  watch->no_media = TRUE;
  watch->on_join = offer_too_many_media_first;
  watch_start (watch);
  wait_until (watch->n_failed == 1);
  g_assert_cmpint (watch->n_sessions, ==, 2);
  g_assert_error (watch->error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (watch->error->message, "offers more than"));
}

static guint
count_silent (Watch *watch, const char *sid)
{
  guint n = 0;

  for (guint i = 0; i < watch->warnings->len; i++)
    n += strstr (g_ptr_array_index (watch->warnings, i), sid)
         && strstr (g_ptr_array_index (watch->warnings, i), "nothing came");
  return n;
}

/* Three rooms at once, since each takes the ten seconds after which silence is told. */
static void
silence_is_told_of_a_track_that_is_unmuted_or_enabled (void)
{
  const Guest muted = { "PA_1", "streamer", .track_sid = "TR_muted", CAMERA, .muted = TRUE };
  const Guest unmuted = { "PA_1", "streamer", .track_sid = "TR_muted", CAMERA };
  const Guest unused = { "PA_1", "streamer", .track_sid = "TR_unused", CAMERA };
  const Guest heard = { "PA_1", "streamer", .track_sid = "TR_heard", CAMERA };
  const Guest heard_muted = { "PA_1", "streamer", .track_sid = "TR_heard", CAMERA, .muted = TRUE };
  const Guest *guests[] = { &muted, &unused, &heard };
  Watch *watches[G_N_ELEMENTS (guests)];

  for (guint i = 0; i < G_N_ELEMENTS (guests); i++) {
    watches[i] = watch_new ();
    watches[i]->config.audio = FALSE;
    watches[i]->guests = guests[i];
    watches[i]->n_guests = 1;
    watch_join (watches[i]);
    wait_until (watches[i]->added->len == 1);
  }
  livekit_room_set_track_enabled (watches[1]->room, "TR_unused", FALSE);
  livekit_room_track_arrived (watches[2]->room, "TR_heard");

  /* Last the one of which no warning may come, so that it would be there by then. */
  send_update (watches[2]->fake, &heard_muted, 1);
  send_update (watches[2]->fake, &heard, 1);
  send_update (watches[0]->fake, &unmuted, 1);
  livekit_room_set_track_enabled (watches[1]->room, "TR_unused", TRUE);
  wait_until (count_silent (watches[0], "TR_muted") == 1);
  wait_until (count_silent (watches[1], "TR_unused") == 1);
  g_assert_cmpint (watches[2]->warnings->len, ==, 0);

  for (guint i = 0; i < G_N_ELEMENTS (watches); i++)
    watch_free (watches[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(test) g_test_add_func ("/room/" #test, test)
  ADD (a_leave_that_says_resume_is_resumed);
  ADD (a_leave_that_says_otherwise_is_followed_by_a_join);
  ADD (a_final_leave_is_no_cause_to_come_back);
  ADD (who_gives_up_says_good_bye);
  ADD (who_stops_says_good_bye);
  ADD (a_resume_that_is_refused_is_followed_by_a_join);
  ADD (a_resume_that_http_refuses_is_followed_by_a_join);
  ADD (resumes_go_on_while_media_does);
  ADD (without_media_one_resume_is_tried);
  ADD (resumes_end_with_the_media);
  ADD (media_that_ends_while_a_resume_waits_means_a_join);
  ADD (resumes_that_do_not_last_are_not_tried_without_a_pause);
  ADD (a_join_that_is_answered_with_a_resume_is_tried_again);
  ADD (a_join_that_is_always_answered_with_a_resume_is_an_error);
  ADD (what_is_wrong_at_first_is_an_error_at_once);
  ADD (what_once_worked_is_tried_again);
  ADD (an_outage_that_lasts_is_an_error_with_its_reason);
  ADD (an_old_token_gives_way_to_the_servers_newer_one);
  ADD (a_token_that_is_refused_twice_is_an_error);
  ADD (an_empty_token_is_none);
  ADD (the_streamer_is_chosen_by_the_rule);
  ADD (the_streamer_is_kept_by_identity);
  ADD (a_streamer_who_is_there_anew_has_left_before);
  ADD (a_token_that_does_not_allow_to_subscribe_is_told);
  ADD (a_permission_that_comes_later_lets_media_in);
  ADD (nobody_may_be_received_without_the_permission);
  ADD (that_a_track_is_forbidden_is_told_when_it_changes);
  ADD (what_a_publisher_forbade_ends_with_the_session);
  ADD (that_a_track_is_gone_is_told_of_one_that_is_there_alone);
  ADD (the_room_is_known_by_what_the_server_said_last);
  ADD (participants_beyond_the_limit_are_left_out);
  ADD (an_offer_of_too_many_media_ends_the_session);
  ADD (what_the_server_did_wrong_is_told_though_another_session_began);
  ADD (silence_is_told_of_a_track_that_is_unmuted_or_enabled);
  return g_test_run ();
}
