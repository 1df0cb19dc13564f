/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gst/sdp/sdp.h>

G_BEGIN_DECLS

/* Session descriptions as LiveKit needs them from webrtcbin. Pure: texts in, texts out. */

typedef struct
{
  const char *const *
      codecs; /* (array zero-terminated=1) encoding names to accept, in any case: "VP8", "OPUS" … */
  gboolean nack;         /* ask for retransmission */
  const char *ice_ufrag; /* (nullable) local credentials that replace those of the answer … */
  const char *ice_pwd;   /* (nullable) … after an ICE restart */
} LiveKitAnswerOptions;

/* Rewrites @answer, webrtcbin's reply to @offer, in place: every active medium accepts each payload
 * type of the offer whose codec is wanted, with the retransmission type that belongs to it, and
 * asks for picture loss indications but not for full intra requests, which the server ignores as
 * rtpsession sends them. */
void livekit_sdp_edit_answer (
    const GstSDPMessage *offer, GstSDPMessage *answer, const LiveKitAnswerOptions *options);

/* webrtcbin 1.22 cannot take up a medium again that was inactive, but the server ends one with each
 * track and uses it for the next. So webrtcbin is told of @offer that all media go on, in place …
 */
void livekit_sdp_keep_media (GstSDPMessage *offer);

/* … and the server is told of @answer, in place, that what it ended in @offer has ended. */
void livekit_sdp_end_media (const GstSDPMessage *offer, GstSDPMessage *answer);

/* How many media a description has, without reading the rest of it. */
guint livekit_sdp_count_media (const char *sdp);

/* The ICE user fragment of a description; (nullable) (transfer none). */
const char *livekit_sdp_get_ufrag (const GstSDPMessage *sdp);

/* Table mid -> track sid, read from the msid lines, for servers that do not send it beside the
 * offer. (transfer full) */
GHashTable *livekit_sdp_get_tracks (const GstSDPMessage *sdp);

G_END_DECLS
