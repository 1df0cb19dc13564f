/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What the room tells about its participants and their tracks. Plain, immutable, reference counted
 * data: an update of the room brings new objects, so any thread may keep a reference to what it was
 * given. */

typedef enum
{
  LIVEKIT_KIND_AUDIO = 0,
  LIVEKIT_KIND_VIDEO = 1,
  LIVEKIT_KIND_DATA = 2,
} LiveKitKind;

/* The values are those of the protocol's TrackSource. */
typedef enum
{
  LIVEKIT_SOURCE_UNKNOWN = 0,
  LIVEKIT_SOURCE_CAMERA = 1,
  LIVEKIT_SOURCE_MICROPHONE = 2,
  LIVEKIT_SOURCE_SCREEN = 3,
  LIVEKIT_SOURCE_SCREEN_AUDIO = 4,
} LiveKitSource;

/* The values are those of the protocol's ParticipantInfo.Kind. */
typedef enum
{
  LIVEKIT_PARTICIPANT_STANDARD = 0,
  LIVEKIT_PARTICIPANT_INGRESS = 1,
  LIVEKIT_PARTICIPANT_EGRESS = 2,
  LIVEKIT_PARTICIPANT_SIP = 3,
  LIVEKIT_PARTICIPANT_AGENT = 4,
} LiveKitParticipantKind;

typedef struct
{
  char *sid; /* TR_…, new at each publication */
  char *name;
  char *mime; /* "video/VP8", "audio/opus", "audio/red" …; as sent, compare without case */
  LiveKitKind kind;
  LiveKitSource source;
  guint width, height; /* of the largest layer, pixels; 0 when not known */
  gboolean muted;
  gboolean encrypted; /* end to end: nothing here can decode it */
} LiveKitTrack;

typedef struct
{
  char *sid;      /* PA_…, new at each join */
  char *identity; /* stays over a rejoin */
  char *name;
  GPtrArray *tracks;   /* (element-type LiveKitTrack) (owned) */
  gint64 joined_at_ms; /* Unix time */
  guint32 version;     /* an update with a lower one is stale */
  LiveKitParticipantKind kind;
  gboolean disconnected;  /* state DISCONNECTED: gone, whatever the rest says */
  gboolean can_subscribe; /* of the permission; TRUE where none was sent */
} LiveKitParticipant;

LiveKitTrack *livekit_track_new (void);
LiveKitTrack *livekit_track_ref (LiveKitTrack *track);
void livekit_track_unref (LiveKitTrack *track);

LiveKitParticipant *livekit_participant_new (void);
LiveKitParticipant *livekit_participant_ref (LiveKitParticipant *participant);
void livekit_participant_unref (LiveKitParticipant *participant);
LiveKitTrack *livekit_participant_find_track (
    const LiveKitParticipant *participant, const char *track_sid);

const char *livekit_kind_to_string (LiveKitKind kind); /* "audio", "video", "data" */
const char *livekit_source_to_string (
    LiveKitSource source); /* "camera", "microphone", "screen", "screen-audio", "unknown" */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitTrack, livekit_track_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LiveKitParticipant, livekit_participant_unref)

G_END_DECLS
