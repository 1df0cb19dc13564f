/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "livekit-track.h"

G_BEGIN_DECLS

/* The signalling messages as plain structs: bytes in, struct out, and the other way round. Pure:
 * knows protobuf, but neither sockets nor elements. Unknown messages and fields are skipped,
 * malformed bytes are an error, never a crash. */

typedef enum
{
  LIVEKIT_MESSAGE_OTHER, /* well-formed, not of interest */
  LIVEKIT_MESSAGE_JOIN,
  LIVEKIT_MESSAGE_RECONNECT,
  LIVEKIT_MESSAGE_OFFER,
  LIVEKIT_MESSAGE_TRICKLE,
  LIVEKIT_MESSAGE_PARTICIPANTS,
  LIVEKIT_MESSAGE_ROOM,
  LIVEKIT_MESSAGE_ROOM_MOVED,
  LIVEKIT_MESSAGE_LEAVE,
  LIVEKIT_MESSAGE_REFRESH_TOKEN,
  LIVEKIT_MESSAGE_SUBSCRIPTION_FAILED, /* SubscriptionResponse with err */
  LIVEKIT_MESSAGE_SUBSCRIPTION_PERMISSION,
  LIVEKIT_MESSAGE_PONG,
} LiveKitMessageType;

/* The values are those of the protocol's LeaveRequest.Action. */
typedef enum
{
  LIVEKIT_LEAVE_DISCONNECT = 0,
  LIVEKIT_LEAVE_RESUME = 1,
  LIVEKIT_LEAVE_RECONNECT = 2,
} LiveKitLeaveAction;

/* The values are those of the protocol's DisconnectReason. */
typedef enum
{
  LIVEKIT_REASON_UNKNOWN = 0,
  LIVEKIT_REASON_CLIENT_INITIATED = 1,
  LIVEKIT_REASON_DUPLICATE_IDENTITY = 2,
  LIVEKIT_REASON_SERVER_SHUTDOWN = 3,
  LIVEKIT_REASON_PARTICIPANT_REMOVED = 4,
  LIVEKIT_REASON_ROOM_DELETED = 5,
  LIVEKIT_REASON_STATE_MISMATCH = 6,
  LIVEKIT_REASON_JOIN_FAILURE = 7,
  LIVEKIT_REASON_MIGRATION = 8,
  LIVEKIT_REASON_SIGNAL_CLOSE = 9,
  LIVEKIT_REASON_ROOM_CLOSED = 10,
  LIVEKIT_REASON_USER_UNAVAILABLE = 11,
  LIVEKIT_REASON_USER_REJECTED = 12,
  LIVEKIT_REASON_SIP_TRUNK_FAILURE = 13,
  LIVEKIT_REASON_CONNECTION_TIMEOUT = 14,
  LIVEKIT_REASON_MEDIA_FAILURE = 15,
  LIVEKIT_REASON_AGENT_ERROR = 16,
} LiveKitDisconnectReason;

typedef enum
{
  LIVEKIT_QUALITY_LOW = 0,
  LIVEKIT_QUALITY_MEDIUM = 1,
  LIVEKIT_QUALITY_HIGH = 2,
} LiveKitQuality;

typedef struct
{
  char **urls; /* (array zero-terminated=1) "stun:…", "turn:…?transport=udp", "turns:…" */
  char *username;
  char *credential;
} LiveKitIceServer;

/* One message; only the fields that its type names are set. Strings are never NULL where the type
 * names them. */
typedef struct
{
  LiveKitMessageType type;

  /* JOIN, ROOM, ROOM_MOVED */
  char *room_sid, *room_name;
  LiveKitParticipant *participant; /* JOIN, ROOM_MOVED: ourselves */
  GPtrArray *participants; /* JOIN, ROOM_MOVED: the others; PARTICIPANTS: those that changed */

  /* JOIN, RECONNECT */
  GPtrArray *ice_servers; /* (element-type LiveKitIceServer) */
  gboolean force_relay;   /* ClientConfiguration.force_relay == ENABLED */

  /* JOIN */
  char *alternative_url;           /* "" when not set */
  char *server_version;            /* for the log */
  int ping_interval, ping_timeout; /* seconds; 0: no pings */

  /* OFFER */
  char *sdp;
  guint32 sdp_id;
  GHashTable *mid_to_track; /* (element-type utf8 utf8) mid -> track sid; may be empty */

  /* TRICKLE */
  char *candidate; /* "" marks the end of candidates */
  int mline_index;
  gboolean for_publisher; /* target PUBLISHER: not ours */

  /* LEAVE */
  LiveKitLeaveAction action; /* of old servers: RECONNECT where can_reconnect */
  LiveKitDisconnectReason reason;

  /* REFRESH_TOKEN, ROOM_MOVED */
  char *token;

  /* SUBSCRIPTION_FAILED (track_sid, subscription_error), SUBSCRIPTION_PERMISSION (track_sid,
   * allowed) */
  char *track_sid;
  gboolean allowed;
  int subscription_error; /* 0 unknown, 1 codec unsupported, 2 track not found */

  /* PONG */
  gint64 ping_timestamp; /* ours, echoed, ms; 0 from an old server */
} LiveKitMessage;

LiveKitMessage *livekit_message_parse (GBytes *bytes, GError **error); /* a SignalResponse */
void livekit_message_free (LiveKitMessage *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitMessage, livekit_message_free)

/* SignalRequests. All (transfer full). */
GBytes *livekit_message_answer (const char *sdp, guint32 offer_id);
GBytes *livekit_message_trickle (const char *candidate, int mline_index);
GBytes *livekit_message_subscribe (const char *const *track_sids, gboolean subscribe);

typedef struct
{
  gboolean disabled;
  LiveKitQuality quality; /* used where width and height are 0 */
  guint width, height;    /* pixels; 0: by quality */
  guint fps;              /* 0: as sent */
} LiveKitTrackSettings;
GBytes *livekit_message_track_settings (
    const char *track_sid, const LiveKitTrackSettings *settings);

/* What a resumed connection is told: the last descriptions, what is subscribed, what is disabled.
 */
GBytes *livekit_message_sync_state (const char *offer_sdp, const char *answer_sdp,
    const char *const *subscribed_sids, const char *const *disabled_sids);
GBytes *livekit_message_leave (LiveKitDisconnectReason reason);
GBytes *livekit_message_ping (gint64 timestamp_ms, gint64 rtt_ms); /* ping_req */
GBytes *livekit_message_legacy_ping (gint64 timestamp_ms); /* ping, all that old servers know */

typedef enum
{
  LIVEKIT_PACKET_OTHER, /* well-formed, not of interest, or not for us to read */
  LIVEKIT_PACKET_USER,
  LIVEKIT_PACKET_CHAT,
  LIVEKIT_PACKET_STREAM_HEADER,
  LIVEKIT_PACKET_STREAM_CHUNK,
  LIVEKIT_PACKET_STREAM_TRAILER,
} LiveKitPacketType;

/* What came over a data channel. Only the fields that its type names are set, and those are never
 * NULL. */
typedef struct
{
  LiveKitPacketType type;
  char *participant; /* all: the sender's identity; "" for the server's own */
  char *topic;       /* USER, STREAM_HEADER */
  GBytes *content;   /* USER, CHAT, STREAM_HEADER, STREAM_CHUNK */
  char *stream_id;   /* STREAM_… */
  gboolean is_text;  /* STREAM_HEADER */
} LiveKitPacket;

LiveKitPacket *livekit_packet_parse (GBytes *bytes, GError **error); /* a DataPacket */
void livekit_packet_free (LiveKitPacket *packet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitPacket, livekit_packet_free)

const char *livekit_reason_to_string (
    LiveKitDisconnectReason reason); /* a phrase for the user: "removed from the room" */

G_END_DECLS
