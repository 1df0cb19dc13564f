/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-message.h"

#include "livekit-error.h"
#include "livekit-json.h"
#include "livekit.pb-c.h" /* nowhere else */

#include <stdlib.h>
#include <string.h>

/* What one message may hold. Lists are cut there rather than refused: their length is in the hands
 * of anybody in the room, and one crowded participant must not shut the others out. */
#define MAX_BYTES (4 * 1024 * 1024)
#define MAX_PARTICIPANTS 10000
#define MAX_TRACKS 64 /* of one participant */
#define MAX_NAME 512  /* bytes; longer names are cut. LiveKit allows 256 */
#define MAX_ICE_SERVERS 32
#define MAX_ICE_URLS 16
#define MAX_MIDS 4096
#define MAX_CANDIDATE_JSON 4096
#define MAX_MLINES 4096
#define MAX_SIDE 65535 /* pixels */

/* Our values are the protocol's; tests/integration/test_proto.py holds those to what is published.
 */
#define SAME(ours, theirs) G_STATIC_ASSERT ((int)LIVEKIT_##ours == (int)LIVEKIT__##theirs)
SAME (KIND_AUDIO, TRACK_TYPE__AUDIO);
SAME (KIND_VIDEO, TRACK_TYPE__VIDEO);
SAME (KIND_DATA, TRACK_TYPE__DATA);
SAME (SOURCE_CAMERA, TRACK_SOURCE__CAMERA);
SAME (SOURCE_MICROPHONE, TRACK_SOURCE__MICROPHONE);
SAME (SOURCE_SCREEN, TRACK_SOURCE__SCREEN_SHARE);
SAME (SOURCE_SCREEN_AUDIO, TRACK_SOURCE__SCREEN_SHARE_AUDIO);
SAME (PARTICIPANT_INGRESS, PARTICIPANT_INFO__KIND__INGRESS);
SAME (PARTICIPANT_EGRESS, PARTICIPANT_INFO__KIND__EGRESS);
SAME (PARTICIPANT_SIP, PARTICIPANT_INFO__KIND__SIP);
SAME (PARTICIPANT_AGENT, PARTICIPANT_INFO__KIND__AGENT);
SAME (LEAVE_DISCONNECT, LEAVE_REQUEST__ACTION__DISCONNECT);
SAME (LEAVE_RESUME, LEAVE_REQUEST__ACTION__RESUME);
SAME (LEAVE_RECONNECT, LEAVE_REQUEST__ACTION__RECONNECT);
SAME (QUALITY_LOW, VIDEO_QUALITY__LOW);
SAME (QUALITY_MEDIUM, VIDEO_QUALITY__MEDIUM);
SAME (QUALITY_HIGH, VIDEO_QUALITY__HIGH);
SAME (REASON_UNKNOWN, DISCONNECT_REASON__UNKNOWN_REASON);
SAME (REASON_CLIENT_INITIATED, DISCONNECT_REASON__CLIENT_INITIATED);
SAME (REASON_DUPLICATE_IDENTITY, DISCONNECT_REASON__DUPLICATE_IDENTITY);
SAME (REASON_SERVER_SHUTDOWN, DISCONNECT_REASON__SERVER_SHUTDOWN);
SAME (REASON_PARTICIPANT_REMOVED, DISCONNECT_REASON__PARTICIPANT_REMOVED);
SAME (REASON_ROOM_DELETED, DISCONNECT_REASON__ROOM_DELETED);
SAME (REASON_STATE_MISMATCH, DISCONNECT_REASON__STATE_MISMATCH);
SAME (REASON_JOIN_FAILURE, DISCONNECT_REASON__JOIN_FAILURE);
SAME (REASON_MIGRATION, DISCONNECT_REASON__MIGRATION);
SAME (REASON_SIGNAL_CLOSE, DISCONNECT_REASON__SIGNAL_CLOSE);
SAME (REASON_ROOM_CLOSED, DISCONNECT_REASON__ROOM_CLOSED);
SAME (REASON_USER_UNAVAILABLE, DISCONNECT_REASON__USER_UNAVAILABLE);
SAME (REASON_USER_REJECTED, DISCONNECT_REASON__USER_REJECTED);
SAME (REASON_SIP_TRUNK_FAILURE, DISCONNECT_REASON__SIP_TRUNK_FAILURE);
SAME (REASON_CONNECTION_TIMEOUT, DISCONNECT_REASON__CONNECTION_TIMEOUT);
SAME (REASON_MEDIA_FAILURE, DISCONNECT_REASON__MEDIA_FAILURE);
SAME (REASON_AGENT_ERROR, DISCONNECT_REASON__AGENT_ERROR);

/* ---- reading
 * ----------------------------------------------------------------------------------------------------
 */

/* protobuf-c turns an empty submessage of two bytes into a struct of two hundred: unpacking draws
 * on a budget. */
typedef struct
{
  gsize left;
} Budget;

static void *
budget_alloc (void *data, size_t size)
{
  Budget *budget = data;

  if (size > budget->left)
    return NULL; /* unpacking fails */
  budget->left -= size;
  return malloc (size);
}

static void
budget_free (void *data, void *pointer)
{
  free (pointer);
}

/* A copy that is never NULL and always UTF-8. */
static char *
text (const char *from)
{
  return g_utf8_make_valid (from ? from : "", -1);
}

/* What is kept for as long as the room knows its bearer. */
static char *
short_text (const char *from)
{
  return g_utf8_make_valid (from ? from : "", from ? (gssize)strnlen (from, MAX_NAME) : 0);
}

static guint
side (guint32 pixels)
{
  return pixels <= MAX_SIDE ? pixels : 0;
}

static void
grow (LiveKitTrack *track, guint32 width, guint32 height)
{
  if (side (width) * (guint64)side (height) > track->width * (guint64)track->height) {
    track->width = width;
    track->height = height;
  }
}

static void
grow_by_layers (LiveKitTrack *track, Livekit__VideoLayer **layers, gsize n_layers)
{
  for (gsize i = 0; i < n_layers; i++)
    grow (track, layers[i]->width, layers[i]->height);
}

static LiveKitTrack *
read_track (const Livekit__TrackInfo *info)
{
  LiveKitTrack *track = livekit_track_new ();
  const char *mime = info->mime_type;

  if (!*mime && info->n_codecs > 0)
    mime = info->codecs[0]->mime_type;
  track->sid = short_text (info->sid);
  track->name = short_text (info->name);
  track->mime = short_text (mime);
  track->kind = info->type == LIVEKIT__TRACK_TYPE__AUDIO   ? LIVEKIT_KIND_AUDIO
                : info->type == LIVEKIT__TRACK_TYPE__VIDEO ? LIVEKIT_KIND_VIDEO
                                                           : LIVEKIT_KIND_DATA;
  switch ((int)info->source) {
  case LIVEKIT_SOURCE_CAMERA:
  case LIVEKIT_SOURCE_MICROPHONE:
  case LIVEKIT_SOURCE_SCREEN:
  case LIVEKIT_SOURCE_SCREEN_AUDIO:
    track->source = (LiveKitSource)info->source;
    break;
  default:
    track->source = LIVEKIT_SOURCE_UNKNOWN;
    break;
  }
  grow (track, info->width, info->height);
  grow_by_layers (track, info->layers, info->n_layers);
  for (gsize i = 0; i < info->n_codecs; i++)
    grow_by_layers (track, info->codecs[i]->layers, info->codecs[i]->n_layers);
  track->muted = info->muted;
  track->encrypted = info->encryption != LIVEKIT__ENCRYPTION__TYPE__NONE;
  return track;
}

static LiveKitDisconnectReason
read_reason (int reason)
{
  return reason >= LIVEKIT_REASON_UNKNOWN && reason <= LIVEKIT_REASON_AGENT_ERROR
             ? (LiveKitDisconnectReason)reason
             : LIVEKIT_REASON_UNKNOWN;
}

static LiveKitParticipant *
read_participant (const Livekit__ParticipantInfo *info)
{
  LiveKitParticipant *participant = livekit_participant_new ();

  participant->sid = short_text (info->sid);
  participant->identity = short_text (info->identity);
  participant->name = short_text (info->name);
  for (gsize i = 0; i < MIN (info->n_tracks, MAX_TRACKS); i++)
    g_ptr_array_add (participant->tracks, read_track (info->tracks[i]));
  if (info->joined_at_ms > 0)
    participant->joined_at_ms = info->joined_at_ms;
  else if (info->joined_at > 0 && info->joined_at < G_MAXINT64 / 1000)
    participant->joined_at_ms = info->joined_at * 1000;
  participant->version = info->version;
  participant->kind = (LiveKitParticipantKind)info->kind;
  participant->disconnected = info->state == LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED;
  if (info->permission)
    participant->can_subscribe = info->permission->can_subscribe;
  return participant;
}

static GPtrArray *
read_participants (Livekit__ParticipantInfo **infos, gsize n_infos)
{
  const gsize n = MIN (n_infos, MAX_PARTICIPANTS);
  GPtrArray *participants
      = g_ptr_array_new_full ((guint)n, (GDestroyNotify)livekit_participant_unref);

  for (gsize i = 0; i < n; i++)
    g_ptr_array_add (participants, read_participant (infos[i]));
  return participants;
}

static LiveKitParticipant *
read_self (const Livekit__ParticipantInfo *info)
{
  const Livekit__ParticipantInfo empty = LIVEKIT__PARTICIPANT_INFO__INIT;

  return read_participant (info ? info : &empty);
}

static void
ice_server_free (gpointer data)
{
  LiveKitIceServer *server = data;

  g_strfreev (server->urls);
  g_free (server->username);
  g_free (server->credential);
  g_free (server);
}

static GPtrArray *
read_ice_servers (Livekit__ICEServer **infos, gsize n_infos)
{
  GPtrArray *servers = g_ptr_array_new_with_free_func (ice_server_free);

  for (gsize i = 0; i < MIN (n_infos, MAX_ICE_SERVERS); i++) {
    LiveKitIceServer *server = g_new0 (LiveKitIceServer, 1);
    const gsize n_urls = MIN (infos[i]->n_urls, MAX_ICE_URLS);

    server->urls = g_new0 (char *, n_urls + 1);
    for (gsize u = 0; u < n_urls; u++)
      server->urls[u] = text (infos[i]->urls[u]);
    server->username = text (infos[i]->username);
    server->credential = text (infos[i]->credential);
    g_ptr_array_add (servers, server);
  }
  return servers;
}

static gboolean
is_relay_forced (const Livekit__ClientConfiguration *configuration)
{
  return configuration && configuration->force_relay == LIVEKIT__CLIENT_CONFIG_SETTING__ENABLED;
}

static void
read_room (LiveKitMessage *message, const Livekit__Room *room)
{
  message->room_sid = short_text (room ? room->sid : NULL);
  message->room_name = short_text (room ? room->name : NULL);
}

static void
read_join (LiveKitMessage *message, const Livekit__JoinResponse *join)
{
  const char *version = join->server_info && *join->server_info->version
                            ? join->server_info->version
                            : join->server_version;

  read_room (message, join->room);
  message->participant = read_self (join->participant);
  message->participants = read_participants (join->other_participants, join->n_other_participants);
  message->ice_servers = read_ice_servers (join->ice_servers, join->n_ice_servers);
  message->force_relay = is_relay_forced (join->client_configuration);
  message->alternative_url = text (join->alternative_url);
  message->server_version = short_text (version);
  message->ping_interval = MAX (0, join->ping_interval);
  message->ping_timeout = MAX (0, join->ping_timeout);
}

static gboolean
read_offer (LiveKitMessage *message, const Livekit__SessionDescription *offer, GError **error)
{
  if (!g_utf8_validate (offer->sdp, -1, NULL)) {
    g_set_error_literal (
        error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL, "The server's offer is not text.");
    return FALSE;
  }
  message->sdp = g_strdup (offer->sdp);
  message->sdp_id = offer->id;
  message->mid_to_track = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (gsize i = 0; i < MIN (offer->n_mid_to_track_id, MAX_MIDS); i++)
    g_hash_table_replace (message->mid_to_track, text (offer->mid_to_track_id[i]->key),
        text (offer->mid_to_track_id[i]->value));
  return TRUE;
}

/* The line becomes part of session descriptions: nothing in it may look like the end of a line. */
static gboolean
is_candidate (const char *candidate)
{
  for (const char *c = candidate; *c; c++)
    if (!g_ascii_isprint (*c))
      return FALSE;
  return TRUE;
}

static gboolean
read_trickle (LiveKitMessage *message, const Livekit__TrickleRequest *trickle, GError **error)
{
  const gsize length = strlen (trickle->candidateinit);
  const char *candidate = "", *mid = NULL;
  gint64 mline_index = 0;
  g_autoptr (JsonObject) json = NULL;

  if (length > 0) {
    if (length > MAX_CANDIDATE_JSON
        || !(json = livekit_json_parse (trickle->candidateinit, length, NULL)))
      goto malformed;
    if ((candidate = livekit_json_get_string (json, "candidate")) == NULL)
      candidate = "";
    /* All media is bundled on one transport, so a missing index is no matter. */
    if ((mid = livekit_json_get_string (json, "sdpMid")) != NULL)
      g_ascii_string_to_signed (mid, 10, 0, MAX_MLINES, &mline_index, NULL);
    mline_index = livekit_json_get_int (json, "sdpMLineIndex", mline_index);
  }
  if (!is_candidate (candidate) || mline_index < 0 || mline_index > MAX_MLINES)
    goto malformed;

  message->candidate = g_strdup (candidate);
  message->mline_index = (int)mline_index;
  message->for_publisher = trickle->target != LIVEKIT__SIGNAL_TARGET__SUBSCRIBER;
  return TRUE;

malformed:
  g_set_error_literal (
      error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL, "The server's ICE candidate cannot be read.");
  return FALSE;
}

static void
read_leave (LiveKitMessage *message, const Livekit__LeaveRequest *leave)
{
  message->reason = read_reason ((int)leave->reason);
  switch ((int)leave->action) {
  case LIVEKIT_LEAVE_DISCONNECT: /* also what an old server leaves unsaid */
    message->action = leave->can_reconnect ? LIVEKIT_LEAVE_RECONNECT : LIVEKIT_LEAVE_DISCONNECT;
    break;
  case LIVEKIT_LEAVE_RESUME:
    message->action = LIVEKIT_LEAVE_RESUME;
    break;
  default: /* an action from the future is not a dismissal, and a new join is right in any state */
    message->action = LIVEKIT_LEAVE_RECONNECT;
    break;
  }
}

static gboolean
read_response (LiveKitMessage *message, const Livekit__SignalResponse *response, GError **error)
{
  switch (response->message_case) {
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN:
    message->type = LIVEKIT_MESSAGE_JOIN;
    read_join (message, response->join);
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_RECONNECT:
    message->type = LIVEKIT_MESSAGE_RECONNECT;
    message->ice_servers
        = read_ice_servers (response->reconnect->ice_servers, response->reconnect->n_ice_servers);
    message->force_relay = is_relay_forced (response->reconnect->client_configuration);
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_OFFER:
    message->type = LIVEKIT_MESSAGE_OFFER;
    return read_offer (message, response->offer, error);
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRICKLE:
    message->type = LIVEKIT_MESSAGE_TRICKLE;
    return read_trickle (message, response->trickle, error);
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_UPDATE:
    message->type = LIVEKIT_MESSAGE_PARTICIPANTS;
    message->participants
        = read_participants (response->update->participants, response->update->n_participants);
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ROOM_UPDATE:
    message->type = LIVEKIT_MESSAGE_ROOM;
    read_room (message, response->room_update->room);
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ROOM_MOVED:
    message->type = LIVEKIT_MESSAGE_ROOM_MOVED;
    read_room (message, response->room_moved->room);
    message->token = text (response->room_moved->token);
    message->participant = read_self (response->room_moved->participant);
    message->participants = read_participants (
        response->room_moved->other_participants, response->room_moved->n_other_participants);
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE:
    message->type = LIVEKIT_MESSAGE_LEAVE;
    read_leave (message, response->leave);
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_REFRESH_TOKEN:
    message->type = LIVEKIT_MESSAGE_REFRESH_TOKEN;
    message->token = text (response->refresh_token);
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SUBSCRIPTION_RESPONSE:
    message->type = LIVEKIT_MESSAGE_SUBSCRIPTION_FAILED;
    message->track_sid = short_text (response->subscription_response->track_sid);
    message->subscription_error = (int)response->subscription_response->err;
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_SUBSCRIPTION_PERMISSION_UPDATE:
    message->type = LIVEKIT_MESSAGE_SUBSCRIPTION_PERMISSION;
    message->track_sid = short_text (response->subscription_permission_update->track_sid);
    message->allowed = response->subscription_permission_update->allowed;
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG:
    message->type = LIVEKIT_MESSAGE_PONG; /* carries the server's time, nothing of ours */
    return TRUE;
  case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG_RESP:
    message->type = LIVEKIT_MESSAGE_PONG;
    message->ping_timestamp = response->pong_resp->last_ping_timestamp;
    return TRUE;
  default:
    message->type = LIVEKIT_MESSAGE_OTHER;
    return TRUE;
  }
}

/**
 * livekit_message_parse:
 *
 * Returns: (transfer full) (nullable): the message, or %NULL with %LIVEKIT_ERROR_PROTOCOL
 */
LiveKitMessage *
livekit_message_parse (GBytes *bytes, GError **error)
{
  g_autoptr (LiveKitMessage) message = NULL;
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  Budget budget = { .left = MIN (size, MAX_BYTES) * 16 + 1024 * 1024 };
  ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
  Livekit__SignalResponse *response = NULL;
  gboolean ok;

  if (size <= MAX_BYTES)
    response = livekit__signal_response__unpack (&allocator, size, data);
  if (!response) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "The server sent a message that cannot be read.");
    return NULL;
  }

  message = g_new0 (LiveKitMessage, 1);
  ok = read_response (message, response, error);
  livekit__signal_response__free_unpacked (response, &allocator);
  return ok ? g_steal_pointer (&message) : NULL;
}

void
livekit_message_free (LiveKitMessage *message)
{
  if (!message)
    return;
  g_free (message->room_sid);
  g_free (message->room_name);
  g_clear_pointer (&message->participant, livekit_participant_unref);
  g_clear_pointer (&message->participants, g_ptr_array_unref);
  g_clear_pointer (&message->ice_servers, g_ptr_array_unref);
  g_free (message->alternative_url);
  g_free (message->server_version);
  g_free (message->sdp);
  g_clear_pointer (&message->mid_to_track, g_hash_table_unref);
  g_free (message->candidate);
  g_free (message->token);
  g_free (message->track_sid);
  g_free (message);
}

/* ---- data channels
 * ----------------------------------------------------------------------------------------------------
 */

static GBytes *
content (const ProtobufCBinaryData *from)
{
  return g_bytes_new (from->data, from->len);
}

static void
read_packet (LiveKitPacket *packet, const Livekit__DataPacket *from)
{
  const char *participant = from->participant_identity;

  switch (from->value_case) {
  case LIVEKIT__DATA_PACKET__VALUE_USER:
    packet->type = LIVEKIT_PACKET_USER;
    if (!participant || !*participant) /* old senders say it there */
      participant = from->user->participant_identity;
    packet->topic = short_text (from->user->topic);
    packet->content = content (&from->user->payload);
    break;
  case LIVEKIT__DATA_PACKET__VALUE_CHAT_MESSAGE:
    if (from->chat_message->deleted)
      break;
    packet->type = LIVEKIT_PACKET_CHAT;
    packet->content = g_bytes_new (from->chat_message->message,
        from->chat_message->message ? strlen (from->chat_message->message) : 0);
    break;
  case LIVEKIT__DATA_PACKET__VALUE_STREAM_HEADER:
    packet->type = LIVEKIT_PACKET_STREAM_HEADER;
    packet->stream_id = short_text (from->stream_header->stream_id);
    packet->topic = short_text (from->stream_header->topic);
    packet->content = content (&from->stream_header->inline_content);
    packet->is_text
        = from->stream_header->content_header_case
              == LIVEKIT__DATA_STREAM__HEADER__CONTENT_HEADER_TEXT_HEADER
          && from->stream_header->compression == LIVEKIT__DATA_STREAM__COMPRESSION_TYPE__NONE
          && from->stream_header->encryption_type == LIVEKIT__ENCRYPTION__TYPE__NONE;
    break;
  case LIVEKIT__DATA_PACKET__VALUE_STREAM_CHUNK:
    packet->type = LIVEKIT_PACKET_STREAM_CHUNK;
    packet->stream_id = short_text (from->stream_chunk->stream_id);
    packet->content = content (&from->stream_chunk->content);
    break;
  case LIVEKIT__DATA_PACKET__VALUE_STREAM_TRAILER:
    packet->type = LIVEKIT_PACKET_STREAM_TRAILER;
    packet->stream_id = short_text (from->stream_trailer->stream_id);
    break;
  default:
    break;
  }
  packet->participant = short_text (participant);
}

/**
 * livekit_packet_parse:
 *
 * Returns: (transfer full) (nullable): the packet, or %NULL with %LIVEKIT_ERROR_PROTOCOL
 */
LiveKitPacket *
livekit_packet_parse (GBytes *bytes, GError **error)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  Budget budget = { .left = MIN (size, MAX_BYTES) * 16 + 64 * 1024 };
  ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
  Livekit__DataPacket *from = NULL;
  LiveKitPacket *packet;

  if (size <= MAX_BYTES)
    from = livekit__data_packet__unpack (&allocator, size, data);
  if (!from) {
    g_set_error_literal (error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL,
        "A participant sent data that cannot be read.");
    return NULL;
  }
  packet = g_new0 (LiveKitPacket, 1);
  read_packet (packet, from);
  livekit__data_packet__free_unpacked (from, &allocator);
  return packet;
}

void
livekit_packet_free (LiveKitPacket *packet)
{
  g_free (packet->participant);
  g_free (packet->topic);
  g_clear_pointer (&packet->content, g_bytes_unref);
  g_free (packet->stream_id);
  g_free (packet);
}

/* ---- writing
 * ----------------------------------------------------------------------------------------------------
 */

/* protobuf-c's structs hold char * for what packing only reads: hence the casts below. */

static GBytes *
pack (const Livekit__SignalRequest *request)
{
  const gsize size = livekit__signal_request__get_packed_size (request);
  guint8 *data = g_malloc (MAX (size, 1));

  livekit__signal_request__pack (request, data);
  return g_bytes_new_take (data, size);
}

GBytes *
livekit_message_answer (const char *sdp, guint32 offer_id)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;
  Livekit__SessionDescription answer = LIVEKIT__SESSION_DESCRIPTION__INIT;

  answer.type = (char *)"answer";
  answer.sdp = (char *)sdp;
  answer.id = offer_id;
  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_ANSWER;
  request.answer = &answer;
  return pack (&request);
}

GBytes *
livekit_message_trickle (const char *candidate, int mline_index)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;
  Livekit__TrickleRequest trickle = LIVEKIT__TRICKLE_REQUEST__INIT;
  g_autoptr (JsonObject) object = json_object_new ();
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  g_autofree char *json = NULL;

  json_object_set_string_member (object, "candidate", candidate);
  json_object_set_int_member (object, "sdpMLineIndex", mline_index);
  json_node_set_object (node, object);
  json = json_to_string (node, FALSE);

  trickle.candidateinit = json;
  trickle.target = LIVEKIT__SIGNAL_TARGET__SUBSCRIBER;
  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_TRICKLE;
  request.trickle = &trickle;
  return pack (&request);
}

static void
fill_subscription (
    Livekit__UpdateSubscription *subscription, const char *const *track_sids, gboolean subscribe)
{
  subscription->track_sids = (char **)track_sids;
  subscription->n_track_sids = track_sids ? g_strv_length ((char **)track_sids) : 0;
  subscription->subscribe = subscribe;
}

GBytes *
livekit_message_subscribe (const char *const *track_sids, gboolean subscribe)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;
  Livekit__UpdateSubscription subscription = LIVEKIT__UPDATE_SUBSCRIPTION__INIT;

  fill_subscription (&subscription, track_sids, subscribe);
  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SUBSCRIPTION;
  request.subscription = &subscription;
  return pack (&request);
}

GBytes *
livekit_message_track_settings (const char *track_sid, const LiveKitTrackSettings *settings)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;
  Livekit__UpdateTrackSettings track_setting = LIVEKIT__UPDATE_TRACK_SETTINGS__INIT;
  char *track_sids[] = { (char *)track_sid };
  const gboolean by_size = settings->width > 0 && settings->height > 0;

  track_setting.track_sids = track_sids;
  track_setting.n_track_sids = G_N_ELEMENTS (track_sids);
  track_setting.disabled = settings->disabled;
  /* A quality that is left out reads as LOW: with a size it says HIGH, so as not to contradict it.
   */
  track_setting.quality
      = by_size ? LIVEKIT__VIDEO_QUALITY__HIGH : (Livekit__VideoQuality)settings->quality;
  track_setting.width = by_size ? settings->width : 0;
  track_setting.height = by_size ? settings->height : 0;
  track_setting.fps = settings->fps;
  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_TRACK_SETTING;
  request.track_setting = &track_setting;
  return pack (&request);
}

GBytes *
livekit_message_sync_state (const char *offer_sdp, const char *answer_sdp,
    const char *const *subscribed_sids, const char *const *disabled_sids)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;
  Livekit__SyncState state = LIVEKIT__SYNC_STATE__INIT;
  Livekit__SessionDescription offer = LIVEKIT__SESSION_DESCRIPTION__INIT;
  Livekit__SessionDescription answer = LIVEKIT__SESSION_DESCRIPTION__INIT;
  Livekit__UpdateSubscription subscription = LIVEKIT__UPDATE_SUBSCRIPTION__INIT;

  if (offer_sdp) {
    offer.type = (char *)"offer";
    offer.sdp = (char *)offer_sdp;
    state.offer = &offer;
  }
  if (answer_sdp) {
    answer.type = (char *)"answer";
    answer.sdp = (char *)answer_sdp;
    state.answer = &answer;
  }
  fill_subscription (
      &subscription, subscribed_sids, TRUE); /* we join with auto_subscribe=0: name what we have */
  state.subscription = &subscription;
  state.track_sids_disabled = (char **)disabled_sids;
  state.n_track_sids_disabled = disabled_sids ? g_strv_length ((char **)disabled_sids) : 0;
  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SYNC_STATE;
  request.sync_state = &state;
  return pack (&request);
}

GBytes *
livekit_message_leave (LiveKitDisconnectReason reason)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;
  Livekit__LeaveRequest leave = LIVEKIT__LEAVE_REQUEST__INIT;

  leave.reason = (Livekit__DisconnectReason)reason;
  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_LEAVE;
  request.leave = &leave;
  return pack (&request);
}

GBytes *
livekit_message_ping (gint64 timestamp_ms, gint64 rtt_ms)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;
  Livekit__Ping ping = LIVEKIT__PING__INIT;

  ping.timestamp = timestamp_ms;
  ping.rtt = rtt_ms;
  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ;
  request.ping_req = &ping;
  return pack (&request);
}

GBytes *
livekit_message_legacy_ping (gint64 timestamp_ms)
{
  Livekit__SignalRequest request = LIVEKIT__SIGNAL_REQUEST__INIT;

  request.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING;
  request.ping = timestamp_ms;
  return pack (&request);
}

const char *
livekit_reason_to_string (LiveKitDisconnectReason reason)
{
  switch (reason) {
  case LIVEKIT_REASON_CLIENT_INITIATED:
    return "left the room";
  case LIVEKIT_REASON_DUPLICATE_IDENTITY:
    return "another client joined with the same identity";
  case LIVEKIT_REASON_SERVER_SHUTDOWN:
    return "the server is shutting down";
  case LIVEKIT_REASON_PARTICIPANT_REMOVED:
    return "removed from the room";
  case LIVEKIT_REASON_ROOM_DELETED:
    return "the room was deleted";
  case LIVEKIT_REASON_STATE_MISMATCH:
    return "the server does not know this session any more";
  case LIVEKIT_REASON_JOIN_FAILURE:
    return "the media connection was never made";
  case LIVEKIT_REASON_MIGRATION:
    return "the room moves to another server";
  case LIVEKIT_REASON_SIGNAL_CLOSE:
    return "the signalling connection was closed";
  case LIVEKIT_REASON_ROOM_CLOSED:
    return "the room was closed";
  case LIVEKIT_REASON_USER_UNAVAILABLE:
    return "the other side does not answer";
  case LIVEKIT_REASON_USER_REJECTED:
    return "rejected by the other side";
  case LIVEKIT_REASON_SIP_TRUNK_FAILURE:
    return "the telephone line failed";
  case LIVEKIT_REASON_CONNECTION_TIMEOUT:
    return "the media connection was lost";
  case LIVEKIT_REASON_MEDIA_FAILURE:
    return "the media failed";
  case LIVEKIT_REASON_AGENT_ERROR:
    return "the agent failed";
  case LIVEKIT_REASON_UNKNOWN:
    break;
  }
  return "no reason given";
}
