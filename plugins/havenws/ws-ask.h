/* ws-ask: what a viewer of haven.v1 wants: its first message. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "ws-codec.h"

G_BEGIN_DECLS

#define WS_MAX_ASK 1024 /* bytes; also bounds how deep its brackets go */

typedef enum
{
  WS_VIDEO_JPEG,
  WS_VIDEO_ENCODED, /* in whatever codec it comes */
  WS_N_VIDEOS
} WsVideo;

typedef enum
{
  WS_AUDIO_PCM,
  WS_AUDIO_OPUS,
  WS_AUDIO_NONE,
  WS_N_AUDIOS
} WsAudio;

typedef struct
{
  WsVideo video;
  WsAudio audio;
  guint width, fps, quality; /* of JPEG; 0: not said */
} WsAsk;

gboolean ws_ask_parse (const char *text, gsize size, WsAsk *ask, char **problem);

const char *ws_video_name (WsVideo video);
const char *ws_audio_name (WsAudio audio);
gboolean ws_video_from_name (const char *name, WsVideo *video);
gboolean ws_audio_from_name (const char *name, WsAudio *audio);

/* Whether media of that codec is what was asked for. */
gboolean ws_ask_takes (const WsAsk *ask, WsCodec codec);

G_END_DECLS
