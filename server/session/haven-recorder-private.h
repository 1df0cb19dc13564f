/* haven-recorder-private: a recording's branch of the graph: haven-graph-recorder.c is its life,
 * haven-recorder-chain.c makes what is in it, haven-recorder-seam.c lets one file follow another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-graph-private.h"
#include "haven-ladder.h"
#include "haven-pace.h"
#include "haven-seam.h"
#include "haven-timeline.h"

G_BEGIN_DECLS

struct _HavenRecorder
{
  HavenGraph *graph;
  const HavenFormat *format;
  gpointer key;                      /* the bin's address: any thread, while the bin streams */
  GstElement *bin;                   /* (owned) (nullable) gone when stopped */
  GstElement *queues[HAVEN_N_KINDS]; /* (owned by bin) (nullable) */
  GstElement *muxer;                 /* (owned by bin) */
  HavenFeed feeds[HAVEN_N_KINDS];
  GstClockTimeDiff offset; /* of times in the branch from running time */
  gboolean encodes;        /* the picture comes decoded */
  gboolean uses_decoded;
  const char *video_codec; /* interned */
  gboolean foreign;        /* streaming thread of the tee: another codec has come */
  guint stop_timer, key_frame_timer;
  gboolean cut, stopping, ended;
  gboolean whole; /* the muxer has written all, and the end */
  GError *error;  /* (nullable) why it ended */
  HavenRecorderHandlers handlers;
  gpointer user_data;

  gint muxed[HAVEN_N_KINDS]; /* buffers; atomic */
  gint muted[HAVEN_N_KINDS]; /* what stands in for it goes to the muxer; atomic */
  GstClockTime zero;         /* time in the branch that is 0 in an Ogg file; the queue's thread */
  GstBuffer *last_picture;   /* (owned) (nullable) before the encoder; the queue's thread */
  HavenRecorderStats last;   /* when bin was still there */

  /* of what goes to the muxer or the encoder, in running time; streaming thread of the queue, and
   * main context once that has ended */
  HavenTimeline timelines[HAVEN_N_KINDS];
  guint64 lost_before, lost_until; /* pictures before decoding, when it began and ended */
  guint undecoded;                 /* pictures that waited for the decoder when it was stopped */
  guint64 shed_from;               /* lost pictures when it was told to hurry */
  gboolean shed;
  HavenRecorderReport *report; /* (owned) filled in when it has ended */

  HavenSeam *seam;        /* (owned) (nullable) of its beginning */
  gpointer before;        /* (nullable) the key of what it goes on from */
  gulong held;            /* the probe that holds its sound back; 0: none */
  guint last_sound_timer; /* of one that another goes on from */

  GstElement *encoder; /* (owned by bin) (nullable) */
  HavenLadder ladder;
  guint ladder_timer;
  gint max_fps;   /* 0: all pictures; atomic */
  HavenPace pace; /* streaming thread of the queue */
  gint left_out;  /* pictures, for max_fps; atomic */
};

/* Makes the muxer, what is before it, and the file, in recorder->bin.
 *
 * @video, @audio: (nullable) the caps that come
 * @quality: (nullable) what was asked for */
gboolean haven_recorder_build (HavenRecorder *recorder, GstCaps *video, GstCaps *audio,
    const HavenQuality *quality, const char *path, GError **error);

/* It goes on from another: what that gets and this gets lies on both sides of a cut. First
 * prepared, before it gets anything, then armed, when it does. */
void haven_recorder_seam_prepare (HavenRecorder *recorder, HavenRecorder *before);
void haven_recorder_seam_arm (HavenRecorder *recorder, HavenRecorder *before);
/* It is stopped: without a cut, where there was none. */
void haven_recorder_seam_stop (HavenRecorder *recorder);

/* Returns: (nullable) */
HavenRecorder *haven_graph_find_recorder (HavenGraph *graph, gpointer key);

/* What happens in streaming threads, told to the life. */
void haven_recorder_file_begins (HavenRecorder *recorder);
void haven_recorder_file_ends (HavenRecorder *recorder);
void haven_recorder_other_codec (HavenRecorder *recorder);

/* (nullable) "video/x-vp8" of the caps */
const char *haven_recorder_media_type (GstCaps *caps);

G_END_DECLS
