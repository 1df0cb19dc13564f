/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-error.h"
#include "livekit-message.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "livekit.pb-c.h"

static GBytes *
pack (const Livekit__SignalResponse *response)
{
  const gsize size = livekit__signal_response__get_packed_size (response);
  guint8 *data = g_malloc (size + 1);

  livekit__signal_response__pack (response, data);
  return g_bytes_new_take (data, size);
}

static LiveKitMessage *
parse (const Livekit__SignalResponse *response)
{
  g_autoptr (GBytes) bytes = pack (response);
  g_autoptr (GError) error = NULL;
  LiveKitMessage *message = livekit_message_parse (bytes, &error);

  g_assert_no_error (error);
  g_assert_nonnull (message);
  return message;
}

static void
assert_malformed (GBytes *bytes)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (livekit_message_parse (bytes, &error));
  g_assert_error (error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL);
}

static void
assert_malformed_bytes (const void *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  assert_malformed (bytes);
}

static Livekit__SignalRequest *
unpack (GBytes *bytes /* (transfer full) */)
{
  g_autoptr (GBytes) owned = bytes;
  Livekit__SignalRequest *request = livekit__signal_request__unpack (
      NULL, g_bytes_get_size (owned), g_bytes_get_data (owned, NULL));

  g_assert_nonnull (request);
  return request;
}

/* ---- reading
 * -----------------------------------------------------------------------------------------------------
 */

static void
join_tells_room_participants_and_servers (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__JoinResponse join = LIVEKIT__JOIN_RESPONSE__INIT;
  Livekit__Room room = LIVEKIT__ROOM__INIT;
  Livekit__ParticipantInfo self = LIVEKIT__PARTICIPANT_INFO__INIT,
                           other = LIVEKIT__PARTICIPANT_INFO__INIT;
  Livekit__ParticipantPermission permission = LIVEKIT__PARTICIPANT_PERMISSION__INIT;
  Livekit__TrackInfo video = LIVEKIT__TRACK_INFO__INIT, audio = LIVEKIT__TRACK_INFO__INIT;
  Livekit__ICEServer stun = LIVEKIT__ICESERVER__INIT, turn = LIVEKIT__ICESERVER__INIT;
  Livekit__ClientConfiguration configuration = LIVEKIT__CLIENT_CONFIGURATION__INIT;
  Livekit__ServerInfo info = LIVEKIT__SERVER_INFO__INIT;
  Livekit__ParticipantInfo *others[] = { &other };
  Livekit__TrackInfo *tracks[] = { &video, &audio };
  Livekit__ICEServer *servers[] = { &stun, &turn };
  char *stun_urls[] = { (char *)"stun:stun.example:3478" };
  char *turn_urls[]
      = { (char *)"turn:turn.example:3478?transport=udp", (char *)"turns:turn.example:5349" };
  g_autoptr (LiveKitMessage) message = NULL;
  LiveKitParticipant *participant;
  LiveKitTrack *track;
  LiveKitIceServer *server;

  room.sid = (char *)"RM_1";
  room.name = (char *)"demo";
  self.sid = (char *)"PA_self";
  self.identity = (char *)"viewer";
  self.permission = &permission; /* can_subscribe is false in it */
  other.sid = (char *)"PA_other";
  other.identity = (char *)"streamer";
  other.name = (char *)"The Streamer";
  other.joined_at = 1700000000;
  other.version = 7;
  other.kind = LIVEKIT__PARTICIPANT_INFO__KIND__INGRESS;
  other.tracks = tracks;
  other.n_tracks = 2;
  video.sid = (char *)"TR_v";
  video.name = (char *)"cam";
  video.type = LIVEKIT__TRACK_TYPE__VIDEO;
  video.source = LIVEKIT__TRACK_SOURCE__SCREEN_SHARE;
  video.mime_type = (char *)"video/VP8";
  video.width = 1280;
  video.height = 720;
  video.encryption = LIVEKIT__ENCRYPTION__TYPE__GCM;
  audio.sid = (char *)"TR_a";
  audio.source = LIVEKIT__TRACK_SOURCE__MICROPHONE;
  audio.mime_type = (char *)"audio/opus";
  audio.muted = TRUE;
  stun.urls = stun_urls;
  stun.n_urls = 1;
  turn.urls = turn_urls;
  turn.n_urls = 2;
  turn.username = (char *)"user";
  turn.credential = (char *)"pass";
  configuration.force_relay = LIVEKIT__CLIENT_CONFIG_SETTING__ENABLED;
  info.version = (char *)"1.13.5";
  join.room = &room;
  join.participant = &self;
  join.other_participants = others;
  join.n_other_participants = 1;
  join.ice_servers = servers;
  join.n_ice_servers = 2;
  join.client_configuration = &configuration;
  join.server_info = &info;
  join.server_version = (char *)"old";
  join.alternative_url = (char *)"wss://elsewhere.example";
  join.ping_interval = 5;
  join.ping_timeout = 15;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN;
  response.join = &join;
  message = parse (&response);

  g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_JOIN);
  g_assert_cmpstr (message->room_sid, ==, "RM_1");
  g_assert_cmpstr (message->room_name, ==, "demo");
  g_assert_cmpstr (message->participant->sid, ==, "PA_self");
  g_assert_false (message->participant->can_subscribe);
  g_assert_true (message->force_relay);
  g_assert_cmpstr (message->alternative_url, ==, "wss://elsewhere.example");
  g_assert_cmpstr (message->server_version, ==, "1.13.5");
  g_assert_cmpint (message->ping_interval, ==, 5);
  g_assert_cmpint (message->ping_timeout, ==, 15);

  g_assert_cmpint (message->participants->len, ==, 1);
  participant = g_ptr_array_index (message->participants, 0);
  g_assert_cmpstr (participant->sid, ==, "PA_other");
  g_assert_cmpstr (participant->identity, ==, "streamer");
  g_assert_cmpstr (participant->name, ==, "The Streamer");
  g_assert_cmpint (participant->joined_at_ms, ==, 1700000000000);
  g_assert_cmpint (participant->version, ==, 7);
  g_assert_cmpint (participant->kind, ==, LIVEKIT_PARTICIPANT_INGRESS);
  g_assert_false (participant->disconnected);
  g_assert_true (participant->can_subscribe);
  g_assert_cmpint (participant->tracks->len, ==, 2);
  track = livekit_participant_find_track (participant, "TR_v");
  g_assert_cmpstr (track->name, ==, "cam");
  g_assert_cmpstr (track->mime, ==, "video/VP8");
  g_assert_cmpint (track->kind, ==, LIVEKIT_KIND_VIDEO);
  g_assert_cmpint (track->source, ==, LIVEKIT_SOURCE_SCREEN);
  g_assert_cmpint (track->width, ==, 1280);
  g_assert_cmpint (track->height, ==, 720);
  g_assert_false (track->muted);
  g_assert_true (track->encrypted);
  track = livekit_participant_find_track (participant, "TR_a");
  g_assert_cmpint (track->kind, ==, LIVEKIT_KIND_AUDIO);
  g_assert_true (track->muted);
  g_assert_false (track->encrypted);
  g_assert_null (livekit_participant_find_track (participant, "TR_x"));

  g_assert_cmpint (message->ice_servers->len, ==, 2);
  server = g_ptr_array_index (message->ice_servers, 0);
  g_assert_cmpstr (server->urls[0], ==, stun_urls[0]);
  g_assert_null (server->urls[1]);
  g_assert_cmpstr (server->username, ==, "");
  server = g_ptr_array_index (message->ice_servers, 1);
  g_assert_cmpstr (server->urls[1], ==, turn_urls[1]);
  g_assert_cmpstr (server->username, ==, "user");
  g_assert_cmpstr (server->credential, ==, "pass");
}

static void
empty_join_has_no_null_string (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__JoinResponse join = LIVEKIT__JOIN_RESPONSE__INIT;
  g_autoptr (LiveKitMessage) message = NULL;

  join.ping_interval = -1;
  join.ping_timeout = G_MININT32;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN;
  response.join = &join;
  message = parse (&response);
  g_assert_cmpstr (message->room_sid, ==, "");
  g_assert_cmpstr (message->room_name, ==, "");
  g_assert_cmpstr (message->alternative_url, ==, "");
  g_assert_cmpstr (message->server_version, ==, "");
  g_assert_cmpstr (message->participant->sid, ==, "");
  g_assert_cmpstr (message->participant->identity, ==, "");
  g_assert_cmpstr (message->participant->name, ==, "");
  g_assert_cmpint (message->participants->len, ==, 0);
  g_assert_cmpint (message->ice_servers->len, ==, 0);
  g_assert_cmpint (message->ping_interval, ==, 0);
  g_assert_cmpint (message->ping_timeout, ==, 0);
}

static void
reconnect_tells_the_servers (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__ReconnectResponse reconnect = LIVEKIT__RECONNECT_RESPONSE__INIT;
  Livekit__ICEServer stun = LIVEKIT__ICESERVER__INIT;
  Livekit__ICEServer *servers[] = { &stun };
  g_autoptr (LiveKitMessage) message = NULL;

  reconnect.ice_servers = servers;
  reconnect.n_ice_servers = 1;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_RECONNECT;
  response.reconnect = &reconnect;
  message = parse (&response);
  g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_RECONNECT);
  g_assert_cmpint (message->ice_servers->len, ==, 1);
  g_assert_false (message->force_relay);
}

static void
offer_maps_mids_to_tracks (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__SessionDescription offer = LIVEKIT__SESSION_DESCRIPTION__INIT;
  Livekit__SessionDescription__MidToTrackIdEntry one
      = LIVEKIT__SESSION_DESCRIPTION__MID_TO_TRACK_ID_ENTRY__INIT;
  Livekit__SessionDescription__MidToTrackIdEntry two
      = LIVEKIT__SESSION_DESCRIPTION__MID_TO_TRACK_ID_ENTRY__INIT;
  Livekit__SessionDescription__MidToTrackIdEntry *entries[] = { &one, &two };
  g_autoptr (LiveKitMessage) message = NULL;

  one.key = (char *)"0";
  one.value = (char *)"TR_a";
  two.key = (char *)"1";
  two.value = (char *)"TR_b";
  offer.type = (char *)"offer";
  offer.sdp = (char *)"v=0\r\n";
  offer.id = G_MAXUINT32;
  offer.mid_to_track_id = entries;
  offer.n_mid_to_track_id = 2;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_OFFER;
  response.offer = &offer;
  message = parse (&response);
  g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_OFFER);
  g_assert_cmpstr (message->sdp, ==, "v=0\r\n");
  g_assert_cmpuint (message->sdp_id, ==, G_MAXUINT32);
  g_assert_cmpint (g_hash_table_size (message->mid_to_track), ==, 2);
  g_assert_cmpstr (g_hash_table_lookup (message->mid_to_track, "1"), ==, "TR_b");
}

static void
offer_that_is_no_text_is_refused (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__SessionDescription offer = LIVEKIT__SESSION_DESCRIPTION__INIT;
  g_autoptr (GBytes) bytes = NULL;

  offer.sdp = (char *)"v=0\r\ns=\xff\r\n";
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_OFFER;
  response.offer = &offer;
  bytes = pack (&response);
  assert_malformed (bytes);
}

static GBytes *
pack_trickle (const char *json, Livekit__SignalTarget target)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__TrickleRequest trickle = LIVEKIT__TRICKLE_REQUEST__INIT;

  trickle.candidateinit = (char *)json;
  trickle.target = target;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRICKLE;
  response.trickle = &trickle;
  return pack (&response);
}

static void
candidates_are_taken_out_of_their_json (void)
{
  static const struct
  {
    const char *json, *candidate;
    int mline_index;
  } cases[] = {
    { "{\"candidate\":\"candidate:1 1 udp 2 10.0.0.1 7882 typ "
      "host\",\"sdpMid\":\"0\",\"sdpMLineIndex\":2}",
        "candidate:1 1 udp 2 10.0.0.1 7882 typ host", 2 },
    { "{\"candidate\":\"c\",\"sdpMid\":\"3\",\"sdpMLineIndex\":null,\"usernameFragment\":null}",
        "c", 3 },
    { "{\"candidate\":\"c\",\"sdpMid\":\"audio\"}", "c", 0 },
    { "{\"candidate\":\"c\",\"sdpMLineIndex\":\"2\"}", "c", 0 },
    { "{\"candidate\":\"\"}", "", 0 },
    { "{\"candidate\":null}", "", 0 },
    { "{\"candidate\":7}", "", 0 },
    { "{}", "", 0 },
    { "", "", 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GBytes) bytes = pack_trickle (cases[i].json, LIVEKIT__SIGNAL_TARGET__SUBSCRIBER);
    g_autoptr (GError) error = NULL;
    g_autoptr (LiveKitMessage) message = livekit_message_parse (bytes, &error);

    g_assert_no_error (error);
    g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_TRICKLE);
    g_assert_cmpstr (message->candidate, ==, cases[i].candidate);
    g_assert_cmpint (message->mline_index, ==, cases[i].mline_index);
    g_assert_false (message->for_publisher);
  }
}

static void
candidate_of_the_publisher_is_marked (void)
{
  g_autoptr (GBytes) bytes
      = pack_trickle ("{\"candidate\":\"c\"}", LIVEKIT__SIGNAL_TARGET__PUBLISHER);
  g_autoptr (LiveKitMessage) message = livekit_message_parse (bytes, NULL);

  g_assert_true (message->for_publisher);
}

static void
malformed_candidates_are_refused (void)
{
  g_autofree char *deep = g_strnfill (4000, '[');
  g_autofree char *nested = g_strconcat ("{\"a\":", deep, NULL);
  g_autofree char *many = g_strnfill (5000, 'x');
  g_autofree char *longer = g_strconcat ("{\"candidate\":\"", many, "\"}", NULL);
  const char *const cases[] = { "{", "[]", "7", "null", "candidate:1",
    "{\"candidate\":\"a\\r\\nb\"}", "{\"candidate\":\"a\\u0001\"}", "{\"candidate\":\"\\u00e9\"}",
    "{\"candidate\":\"c\",\"sdpMLineIndex\":-1}",
    "{\"candidate\":\"c\",\"sdpMLineIndex\":4294967296}", "{\"candidate\":\"\xff\"}",
    "/*\"*/{\"a\":1}x", nested, longer };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GBytes) bytes = pack_trickle (cases[i], LIVEKIT__SIGNAL_TARGET__SUBSCRIBER);

    assert_malformed (bytes);
  }
}

static LiveKitMessage *
parse_participant (Livekit__ParticipantInfo *info)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__ParticipantUpdate update = LIVEKIT__PARTICIPANT_UPDATE__INIT;
  LiveKitMessage *message;

  update.participants = &info;
  update.n_participants = 1;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_UPDATE;
  response.update = &update;
  message = parse (&response);
  g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_PARTICIPANTS);
  g_assert_cmpint (message->participants->len, ==, 1);
  return message;
}

static void
departed_participant_is_marked (void)
{
  Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
  g_autoptr (LiveKitMessage) message = NULL;
  LiveKitParticipant *participant;

  info.state = LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED;
  info.joined_at = G_MAXINT64;
  info.joined_at_ms = 1234567890123;
  message = parse_participant (&info);
  participant = g_ptr_array_index (message->participants, 0);
  g_assert_true (participant->disconnected);
  g_assert_cmpint (participant->joined_at_ms, ==, 1234567890123);
}

static void
join_time_that_overflows_is_unknown (void)
{
  Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
  g_autoptr (LiveKitMessage) message = NULL;

  info.joined_at = G_MAXINT64;
  info.joined_at_ms = G_MININT64;
  message = parse_participant (&info);
  g_assert_cmpint (
      ((LiveKitParticipant *)g_ptr_array_index (message->participants, 0))->joined_at_ms, ==, 0);
}

static void
track_is_as_large_as_its_largest_layer (void)
{
  Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
  Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT;
  Livekit__TrackInfo *tracks[] = { &track };
  Livekit__SimulcastCodecInfo codec = LIVEKIT__SIMULCAST_CODEC_INFO__INIT;
  Livekit__SimulcastCodecInfo *codecs[] = { &codec };
  Livekit__VideoLayer low = LIVEKIT__VIDEO_LAYER__INIT, high = LIVEKIT__VIDEO_LAYER__INIT;
  Livekit__VideoLayer absurd = LIVEKIT__VIDEO_LAYER__INIT;
  Livekit__VideoLayer *old_layers[] = { &low }, *layers[] = { &low, &high, &absurd };
  g_autoptr (LiveKitMessage) message = NULL;
  LiveKitTrack *read;

  low.width = 320;
  low.height = 180;
  high.width = 1920;
  high.height = 1080;
  absurd.width = absurd.height = G_MAXUINT32;
  codec.mime_type = (char *)"video/AV1";
  codec.layers = layers;
  codec.n_layers = 3;
  track.type = LIVEKIT__TRACK_TYPE__VIDEO;
  track.source = (Livekit__TrackSource)99;
  track.layers = old_layers;
  track.n_layers = 1;
  track.codecs = codecs;
  track.n_codecs = 1;
  info.tracks = tracks;
  info.n_tracks = 1;
  message = parse_participant (&info);
  read = g_ptr_array_index (
      ((LiveKitParticipant *)g_ptr_array_index (message->participants, 0))->tracks, 0);
  g_assert_cmpint (read->width, ==, 1920);
  g_assert_cmpint (read->height, ==, 1080);
  g_assert_cmpstr (read->mime, ==, "video/AV1"); /* of the codec, where the track has none */
  g_assert_cmpint (read->source, ==, LIVEKIT_SOURCE_UNKNOWN);
}

static void
room_and_move_are_read (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__RoomUpdate update = LIVEKIT__ROOM_UPDATE__INIT;
  Livekit__RoomMovedResponse moved = LIVEKIT__ROOM_MOVED_RESPONSE__INIT;
  Livekit__Room room = LIVEKIT__ROOM__INIT;

  room.sid = (char *)"RM_2";
  room.name = (char *)"other";
  update.room = &room;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ROOM_UPDATE;
  response.room_update = &update;
  {
    g_autoptr (LiveKitMessage) message = parse (&response);

    g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_ROOM);
    g_assert_cmpstr (message->room_sid, ==, "RM_2");
    g_assert_cmpstr (message->room_name, ==, "other");
  }

  moved.room = &room;
  moved.token = (char *)"new-token";
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ROOM_MOVED;
  response.room_moved = &moved;
  {
    g_autoptr (LiveKitMessage) message = parse (&response);

    g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_ROOM_MOVED);
    g_assert_cmpstr (message->room_name, ==, "other");
    g_assert_cmpstr (message->token, ==, "new-token");
    g_assert_nonnull (message->participant);
    g_assert_cmpint (message->participants->len, ==, 0);
  }
}

static void
leave_says_what_to_do (void)
{
  static const struct
  {
    int action, reason;
    gboolean can_reconnect;
    LiveKitLeaveAction read_action;
    LiveKitDisconnectReason read_reason;
  } cases[] = {
    { 0, 4, FALSE, LIVEKIT_LEAVE_DISCONNECT, LIVEKIT_REASON_PARTICIPANT_REMOVED },
    { 0, 6, TRUE, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_STATE_MISMATCH },
    { 1, 14, FALSE, LIVEKIT_LEAVE_RESUME, LIVEKIT_REASON_CONNECTION_TIMEOUT },
    { 1, 14, TRUE, LIVEKIT_LEAVE_RESUME, LIVEKIT_REASON_CONNECTION_TIMEOUT },
    { 2, 6, FALSE, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_STATE_MISMATCH },
    { 9, 99, FALSE, LIVEKIT_LEAVE_RECONNECT, LIVEKIT_REASON_UNKNOWN },
    { 0, -1, FALSE, LIVEKIT_LEAVE_DISCONNECT, LIVEKIT_REASON_UNKNOWN },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
    Livekit__LeaveRequest leave = LIVEKIT__LEAVE_REQUEST__INIT;
    g_autoptr (LiveKitMessage) message = NULL;

    leave.action = (Livekit__LeaveRequest__Action)cases[i].action;
    leave.reason = (Livekit__DisconnectReason)cases[i].reason;
    leave.can_reconnect = cases[i].can_reconnect;
    response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE;
    response.leave = &leave;
    message = parse (&response);
    g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_LEAVE);
    g_assert_cmpint (message->action, ==, cases[i].read_action);
    g_assert_cmpint (message->reason, ==, cases[i].read_reason);
  }
}

static void
every_reason_is_a_phrase (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (int reason = LIVEKIT_REASON_UNKNOWN; reason <= LIVEKIT_REASON_AGENT_ERROR; reason++)
    g_assert_true (g_hash_table_add (
        seen, (char *)livekit_reason_to_string ((LiveKitDisconnectReason)reason)));
  g_assert_cmpstr (
      livekit_reason_to_string (LIVEKIT_REASON_PARTICIPANT_REMOVED), ==, "removed from the room");
  g_assert_nonnull (livekit_reason_to_string ((LiveKitDisconnectReason)99));
}

static void
small_messages_are_read (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__SubscriptionResponse subscription = LIVEKIT__SUBSCRIPTION_RESPONSE__INIT;
  Livekit__SubscriptionPermissionUpdate permission = LIVEKIT__SUBSCRIPTION_PERMISSION_UPDATE__INIT;
  Livekit__Pong pong = LIVEKIT__PONG__INIT;
  g_autoptr (LiveKitMessage) token = NULL, failed = NULL, allowed = NULL, old_pong = NULL,
                             new_pong = NULL;

  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_REFRESH_TOKEN;
  response.refresh_token = (char *)"fresh";
  token = parse (&response);
  g_assert_cmpint (token->type, ==, LIVEKIT_MESSAGE_REFRESH_TOKEN);
  g_assert_cmpstr (token->token, ==, "fresh");

  subscription.track_sid = (char *)"TR_1";
  subscription.err = LIVEKIT__SUBSCRIPTION_ERROR__SE_CODEC_UNSUPPORTED;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SUBSCRIPTION_RESPONSE;
  response.subscription_response = &subscription;
  failed = parse (&response);
  g_assert_cmpint (failed->type, ==, LIVEKIT_MESSAGE_SUBSCRIPTION_FAILED);
  g_assert_cmpstr (failed->track_sid, ==, "TR_1");
  g_assert_cmpint (failed->subscription_error, ==, 1);

  permission.track_sid = (char *)"TR_2";
  permission.allowed = TRUE;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SUBSCRIPTION_PERMISSION_UPDATE;
  response.subscription_permission_update = &permission;
  allowed = parse (&response);
  g_assert_cmpint (allowed->type, ==, LIVEKIT_MESSAGE_SUBSCRIPTION_PERMISSION);
  g_assert_cmpstr (allowed->track_sid, ==, "TR_2");
  g_assert_true (allowed->allowed);

  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG;
  response.pong = 1700000000000;
  old_pong = parse (&response);
  g_assert_cmpint (old_pong->type, ==, LIVEKIT_MESSAGE_PONG);
  g_assert_cmpint (old_pong->ping_timestamp, ==, 0);

  pong.last_ping_timestamp = 42;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG_RESP;
  response.pong_resp = &pong;
  new_pong = parse (&response);
  g_assert_cmpint (new_pong->type, ==, LIVEKIT_MESSAGE_PONG);
  g_assert_cmpint (new_pong->ping_timestamp, ==, 42);
}

static void
unknown_messages_and_fields_are_skipped (void)
{
  static const guint8 unknown_case[] = { 0xfa, 0x3e, 2, 'h', 'i' }; /* field 1007, 2 bytes */
  static const guint8 room_with_future[]
      = { 0x5a, 9, 0x0a, 7, 0x0a, 1, 'R', 0xf8, 0x3e, 0x96, 0x01 }; /* Room.1007 */
  g_autoptr (GBytes) nothing = g_bytes_new (NULL, 0);
  g_autoptr (GBytes) first = g_bytes_new_static (unknown_case, sizeof (unknown_case));
  g_autoptr (GBytes) second = g_bytes_new_static (room_with_future, sizeof (room_with_future));
  g_autoptr (LiveKitMessage) a = livekit_message_parse (nothing, NULL);
  g_autoptr (LiveKitMessage) b = livekit_message_parse (first, NULL);
  g_autoptr (LiveKitMessage) c = livekit_message_parse (second, NULL);

  g_assert_cmpint (a->type, ==, LIVEKIT_MESSAGE_OTHER);
  g_assert_cmpint (b->type, ==, LIVEKIT_MESSAGE_OTHER);
  g_assert_cmpint (c->type, ==, LIVEKIT_MESSAGE_ROOM);
  g_assert_cmpstr (c->room_sid, ==, "R");
}

static void
last_of_several_cases_counts (void)
{
  static const guint8 bytes[]
      = { 0x82, 0x01, 1, 'a', 0x90, 0x01, 5, 0x82, 0x01, 1, 'b' }; /* token, pong, token */
  g_autoptr (GBytes) owned = g_bytes_new_static (bytes, sizeof (bytes));
  g_autoptr (LiveKitMessage) message = livekit_message_parse (owned, NULL);

  g_assert_cmpint (message->type, ==, LIVEKIT_MESSAGE_REFRESH_TOKEN);
  g_assert_cmpstr (message->token, ==, "b");
}

static void
invalid_text_is_made_valid (void)
{
  Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
  g_autoptr (LiveKitMessage) message = NULL;
  LiveKitParticipant *participant;

  info.sid = (char *)"PA_\xff";
  info.name = (char *)"\xc3\x28";
  message = parse_participant (&info);
  participant = g_ptr_array_index (message->participants, 0);
  g_assert_true (g_utf8_validate (participant->sid, -1, NULL));
  g_assert_true (g_utf8_validate (participant->name, -1, NULL));
}

/* ---- hostile
 * -----------------------------------------------------------------------------------------------------
 */

static void
garbage_is_refused (void)
{
  static const guint8 truncated[] = { 0x0a, 0x7f, 0x0a }, endless[] = { 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
  static const guint8 wrong_type[] = { 0x08, 0x01 }, field_zero[] = { 0x00, 0x00 },
                      group[] = { 0x0b };
  static const guint8 huge_length[] = { 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f },
                      text[] = "GET / HTTP/1.1";

  assert_malformed_bytes (truncated, sizeof (truncated));
  assert_malformed_bytes (endless, sizeof (endless));
  assert_malformed_bytes (wrong_type, sizeof (wrong_type));
  assert_malformed_bytes (field_zero, sizeof (field_zero));
  assert_malformed_bytes (group, sizeof (group));
  assert_malformed_bytes (huge_length, sizeof (huge_length));
  assert_malformed_bytes (text, sizeof (text));
}

/* Two bytes on the wire, two hundred in memory: refused at the budget, not at the end of the
 * memory. */
static void
message_that_swells_is_refused (void)
{
  const gsize n = 1024 * 1024;
  g_autoptr (GByteArray) array = g_byte_array_new ();
  const guint8 head[] = { 0x2a, 0x80, 0x80, 0x80, 0x01 }; /* update, 2 MiB long */
  g_autoptr (GBytes) bytes = NULL;

  g_byte_array_append (array, head, sizeof (head));
  for (gsize i = 0; i < n; i++)
    g_byte_array_append (array, (const guint8 *)"\x0a\x00", 2);
  bytes = g_byte_array_free_to_bytes (g_steal_pointer (&array));
  assert_malformed (bytes);
}

static void
message_over_four_mib_is_refused (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  g_autofree char *token
      = g_strnfill (4 * 1024 * 1024 - 6, 'x'); /* with the head: just the limit */
  g_autofree char *longer = g_strnfill (4 * 1024 * 1024, 'x');
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (LiveKitMessage) message = NULL;

  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_REFRESH_TOKEN;
  response.refresh_token = token;
  message = parse (&response);
  g_assert_cmpstr (message->token, ==, token);
  response.refresh_token = longer;
  bytes = pack (&response);
  assert_malformed (bytes);
}

static void
lists_are_cut_at_their_limit (void)
{
  Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
  Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT;
  Livekit__TrackInfo *tracks[300];
  g_autoptr (LiveKitMessage) message = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (tracks); i++)
    tracks[i] = &track;
  info.tracks = tracks;
  info.n_tracks = G_N_ELEMENTS (tracks);
  message = parse_participant (&info);
  g_assert_cmpint (
      ((LiveKitParticipant *)g_ptr_array_index (message->participants, 0))->tracks->len, ==, 64);
}

static void
long_names_are_cut (void)
{
  Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
  g_autofree char *long_name = g_strnfill (100000, 'x');
  g_autoptr (LiveKitMessage) message = NULL;
  const LiveKitParticipant *participant;

  info.identity = long_name;
  info.name = (char *)"short";
  message = parse_participant (&info);
  participant = g_ptr_array_index (message->participants, 0);
  g_assert_cmpuint (strlen (participant->identity), ==, 512);
  g_assert_cmpstr (participant->name, ==, "short");
}

static GBytes *
pack_busy_join (void)
{
  Livekit__SignalResponse response = LIVEKIT__SIGNAL_RESPONSE__INIT;
  Livekit__JoinResponse join = LIVEKIT__JOIN_RESPONSE__INIT;
  Livekit__Room room = LIVEKIT__ROOM__INIT;
  Livekit__ParticipantInfo info = LIVEKIT__PARTICIPANT_INFO__INIT;
  Livekit__ParticipantInfo *infos[] = { &info, &info, &info };
  Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT;
  Livekit__TrackInfo *tracks[] = { &track, &track };
  Livekit__ICEServer server = LIVEKIT__ICESERVER__INIT;
  Livekit__ICEServer *servers[] = { &server };
  char *urls[] = { (char *)"stun:a", (char *)"turn:b" };

  room.name = (char *)"demo";
  track.sid = (char *)"TR_1";
  track.mime_type = (char *)"video/VP8";
  track.width = 640;
  info.sid = (char *)"PA_1";
  info.identity = (char *)"somebody";
  info.tracks = tracks;
  info.n_tracks = 2;
  server.urls = urls;
  server.n_urls = 2;
  join.room = &room;
  join.participant = &info;
  join.other_participants = infos;
  join.n_other_participants = 3;
  join.ice_servers = servers;
  join.n_ice_servers = 1;
  response.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN;
  response.join = &join;
  return pack (&response);
}

/* Every prefix, and every byte changed: read or refused, never a crash. */
static void
damaged_messages_do_no_harm (void)
{
  g_autoptr (GBytes) bytes = pack_busy_join ();
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  for (gsize i = 0; i < size; i++) {
    g_autoptr (GBytes) prefix = g_bytes_new (data, i);

    livekit_message_free (livekit_message_parse (prefix, NULL));
    for (guint c = 0; c < 256; c += 3) {
      g_autofree guint8 *changed = g_memdup2 (data, size);
      g_autoptr (GBytes) other = NULL;

      changed[i] = (guint8)c;
      other = g_bytes_new (changed, size);
      livekit_message_free (livekit_message_parse (other, NULL));
    }
  }
}

/* ---- writing
 * -----------------------------------------------------------------------------------------------------
 */

static void
answer_echoes_the_id_of_the_offer (void)
{
  Livekit__SignalRequest *request = unpack (livekit_message_answer ("v=0\r\n", 77));

  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_ANSWER);
  g_assert_cmpstr (request->answer->type, ==, "answer");
  g_assert_cmpstr (request->answer->sdp, ==, "v=0\r\n");
  g_assert_cmpuint (request->answer->id, ==, 77);
  livekit__signal_request__free_unpacked (request, NULL);
}

static void
candidate_goes_out_as_json_for_the_subscriber (void)
{
  Livekit__SignalRequest *request
      = unpack (livekit_message_trickle ("candidate:1 1 UDP \"x\" typ host", 2));
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *object;

  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_TRICKLE);
  g_assert_cmpint (request->trickle->target, ==, LIVEKIT__SIGNAL_TARGET__SUBSCRIBER);
  g_assert_true (json_parser_load_from_data (parser, request->trickle->candidateinit, -1, NULL));
  object = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpstr (
      json_object_get_string_member (object, "candidate"), ==, "candidate:1 1 UDP \"x\" typ host");
  g_assert_cmpint (json_object_get_int_member (object, "sdpMLineIndex"), ==, 2);
  livekit__signal_request__free_unpacked (request, NULL);
}

static void
subscription_names_its_tracks (void)
{
  const char *const sids[] = { "TR_1", "TR_2", NULL };
  Livekit__SignalRequest *request = unpack (livekit_message_subscribe (sids, TRUE));

  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_SUBSCRIPTION);
  g_assert_cmpint (request->subscription->n_track_sids, ==, 2);
  g_assert_cmpstr (request->subscription->track_sids[1], ==, "TR_2");
  g_assert_true (request->subscription->subscribe);
  livekit__signal_request__free_unpacked (request, NULL);

  request = unpack (livekit_message_subscribe (sids, FALSE));
  g_assert_false (request->subscription->subscribe);
  livekit__signal_request__free_unpacked (request, NULL);
}

static void
track_settings_always_carry_quality_or_size (void)
{
  static const struct
  {
    LiveKitTrackSettings settings;
    int quality;
    guint width, height;
  } cases[] = {
    { { .quality = LIVEKIT_QUALITY_MEDIUM }, 1, 0, 0 },
    { { .quality = LIVEKIT_QUALITY_HIGH, .fps = 5 }, 2, 0, 0 },
    { { .quality = LIVEKIT_QUALITY_LOW, .width = 640, .height = 360 }, 2, 640, 360 },
    { { .quality = LIVEKIT_QUALITY_MEDIUM, .width = 640 }, 1, 0, 0 }, /* half a size is none */
    { { .disabled = TRUE, .quality = LIVEKIT_QUALITY_HIGH }, 2, 0, 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Livekit__SignalRequest *request
        = unpack (livekit_message_track_settings ("TR_1", &cases[i].settings));

    g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_TRACK_SETTING);
    g_assert_cmpint (request->track_setting->n_track_sids, ==, 1);
    g_assert_cmpstr (request->track_setting->track_sids[0], ==, "TR_1");
    g_assert_cmpint (request->track_setting->disabled, ==, cases[i].settings.disabled);
    g_assert_cmpint (request->track_setting->quality, ==, cases[i].quality);
    g_assert_cmpint (request->track_setting->width, ==, cases[i].width);
    g_assert_cmpint (request->track_setting->height, ==, cases[i].height);
    g_assert_cmpint (request->track_setting->fps, ==, cases[i].settings.fps);
    livekit__signal_request__free_unpacked (request, NULL);
  }
}

static void
sync_state_tells_descriptions_and_subscriptions (void)
{
  const char *const sids[] = { "TR_1", NULL }, *const disabled[] = { "TR_2", "TR_3", NULL };
  Livekit__SignalRequest *request
      = unpack (livekit_message_sync_state ("the offer", "the answer", sids, disabled));

  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_SYNC_STATE);
  g_assert_cmpstr (request->sync_state->offer->type, ==, "offer");
  g_assert_cmpstr (request->sync_state->offer->sdp, ==, "the offer");
  g_assert_cmpstr (request->sync_state->answer->type, ==, "answer");
  g_assert_cmpstr (request->sync_state->answer->sdp, ==, "the answer");
  g_assert_true (request->sync_state->subscription->subscribe);
  g_assert_cmpint (request->sync_state->subscription->n_track_sids, ==, 1);
  g_assert_cmpint (request->sync_state->n_track_sids_disabled, ==, 2);
  livekit__signal_request__free_unpacked (request, NULL);

  request = unpack (livekit_message_sync_state (NULL, NULL, NULL, NULL));
  g_assert_null (request->sync_state->offer);
  g_assert_null (request->sync_state->answer);
  g_assert_cmpint (request->sync_state->subscription->n_track_sids, ==, 0);
  livekit__signal_request__free_unpacked (request, NULL);
}

static void
leave_and_pings_go_out (void)
{
  Livekit__SignalRequest *request
      = unpack (livekit_message_leave (LIVEKIT_REASON_CLIENT_INITIATED));

  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_LEAVE);
  g_assert_cmpint (request->leave->reason, ==, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
  g_assert_cmpint (request->leave->action, ==, LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
  livekit__signal_request__free_unpacked (request, NULL);

  request = unpack (livekit_message_ping (1700000000000, 12));
  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ);
  g_assert_cmpint (request->ping_req->timestamp, ==, 1700000000000);
  g_assert_cmpint (request->ping_req->rtt, ==, 12);
  livekit__signal_request__free_unpacked (request, NULL);

  request = unpack (livekit_message_legacy_ping (1700000000000));
  g_assert_cmpint (request->message_case, ==, LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING);
  g_assert_cmpint (request->ping, ==, 1700000000000);
  livekit__signal_request__free_unpacked (request, NULL);
}

static void
kinds_and_sources_have_names (void)
{
  g_assert_cmpstr (livekit_kind_to_string (LIVEKIT_KIND_AUDIO), ==, "audio");
  g_assert_cmpstr (livekit_kind_to_string (LIVEKIT_KIND_VIDEO), ==, "video");
  g_assert_cmpstr (livekit_kind_to_string (LIVEKIT_KIND_DATA), ==, "data");
  g_assert_cmpstr (livekit_source_to_string (LIVEKIT_SOURCE_UNKNOWN), ==, "unknown");
  g_assert_cmpstr (livekit_source_to_string (LIVEKIT_SOURCE_CAMERA), ==, "camera");
  g_assert_cmpstr (livekit_source_to_string (LIVEKIT_SOURCE_MICROPHONE), ==, "microphone");
  g_assert_cmpstr (livekit_source_to_string (LIVEKIT_SOURCE_SCREEN), ==, "screen");
  g_assert_cmpstr (livekit_source_to_string (LIVEKIT_SOURCE_SCREEN_AUDIO), ==, "screen-audio");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(test) g_test_add_func ("/message/" #test, test)
  ADD (join_tells_room_participants_and_servers);
  ADD (empty_join_has_no_null_string);
  ADD (reconnect_tells_the_servers);
  ADD (offer_maps_mids_to_tracks);
  ADD (offer_that_is_no_text_is_refused);
  ADD (candidates_are_taken_out_of_their_json);
  ADD (candidate_of_the_publisher_is_marked);
  ADD (malformed_candidates_are_refused);
  ADD (departed_participant_is_marked);
  ADD (join_time_that_overflows_is_unknown);
  ADD (track_is_as_large_as_its_largest_layer);
  ADD (room_and_move_are_read);
  ADD (leave_says_what_to_do);
  ADD (every_reason_is_a_phrase);
  ADD (small_messages_are_read);
  ADD (unknown_messages_and_fields_are_skipped);
  ADD (last_of_several_cases_counts);
  ADD (invalid_text_is_made_valid);
  ADD (garbage_is_refused);
  ADD (message_that_swells_is_refused);
  ADD (message_over_four_mib_is_refused);
  ADD (lists_are_cut_at_their_limit);
  ADD (long_names_are_cut);
  ADD (damaged_messages_do_no_harm);
  ADD (answer_echoes_the_id_of_the_offer);
  ADD (candidate_goes_out_as_json_for_the_subscriber);
  ADD (subscription_names_its_tracks);
  ADD (track_settings_always_carry_quality_or_size);
  ADD (sync_state_tells_descriptions_and_subscriptions);
  ADD (leave_and_pings_go_out);
  ADD (kinds_and_sources_have_names);
  return g_test_run ();
}
