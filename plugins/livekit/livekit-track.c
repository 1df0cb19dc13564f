/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-track.h"

/* Both are made by g_atomic_rc_box_new0(): references may be taken and dropped in any thread. */

static void
track_clear (gpointer data)
{
  LiveKitTrack *track = data;

  g_free (track->sid);
  g_free (track->name);
  g_free (track->mime);
}

/**
 * livekit_track_new:
 *
 * Returns: (transfer full): an empty track; the maker fills it before it gives it away
 */
LiveKitTrack *
livekit_track_new (void)
{
  return g_atomic_rc_box_new0 (LiveKitTrack);
}

LiveKitTrack *
livekit_track_ref (LiveKitTrack *track)
{
  return g_atomic_rc_box_acquire (track);
}

void
livekit_track_unref (LiveKitTrack *track)
{
  g_atomic_rc_box_release_full (track, track_clear);
}

static void
participant_clear (gpointer data)
{
  LiveKitParticipant *participant = data;

  g_free (participant->sid);
  g_free (participant->identity);
  g_free (participant->name);
  g_ptr_array_unref (participant->tracks);
}

/**
 * livekit_participant_new:
 *
 * Returns: (transfer full): a participant without tracks; the maker fills it before it gives it
 * away
 */
LiveKitParticipant *
livekit_participant_new (void)
{
  LiveKitParticipant *participant = g_atomic_rc_box_new0 (LiveKitParticipant);

  participant->tracks = g_ptr_array_new_with_free_func ((GDestroyNotify)livekit_track_unref);
  participant->can_subscribe = TRUE;
  return participant;
}

LiveKitParticipant *
livekit_participant_ref (LiveKitParticipant *participant)
{
  return g_atomic_rc_box_acquire (participant);
}

void
livekit_participant_unref (LiveKitParticipant *participant)
{
  g_atomic_rc_box_release_full (participant, participant_clear);
}

/**
 * livekit_participant_find_track:
 *
 * Returns: (transfer none) (nullable): the track of @participant with that sid
 */
LiveKitTrack *
livekit_participant_find_track (const LiveKitParticipant *participant, const char *track_sid)
{
  for (guint i = 0; i < participant->tracks->len; i++) {
    LiveKitTrack *track = g_ptr_array_index (participant->tracks, i);

    if (g_strcmp0 (track->sid, track_sid) == 0)
      return track;
  }
  return NULL;
}

const char *
livekit_kind_to_string (LiveKitKind kind)
{
  switch (kind) {
  case LIVEKIT_KIND_AUDIO:
    return "audio";
  case LIVEKIT_KIND_VIDEO:
    return "video";
  case LIVEKIT_KIND_DATA:
    break;
  }
  return "data";
}

const char *
livekit_source_to_string (LiveKitSource source)
{
  switch (source) {
  case LIVEKIT_SOURCE_CAMERA:
    return "camera";
  case LIVEKIT_SOURCE_MICROPHONE:
    return "microphone";
  case LIVEKIT_SOURCE_SCREEN:
    return "screen";
  case LIVEKIT_SOURCE_SCREEN_AUDIO:
    return "screen-audio";
  case LIVEKIT_SOURCE_UNKNOWN:
    break;
  }
  return "unknown";
}
