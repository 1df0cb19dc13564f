/* ws-frame: media in, WebSocket message out. A message is made once and shared by all its viewers.
 *
 * Pure: knows neither sockets nor elements.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "ws-codec.h"
#include "ws-protocol.h"

G_BEGIN_DECLS

#define WS_AUDIO_RATE 48000 /* Hz; s16le, one channel */
#define WS_MJPEG_BOUNDARY "haven"
#define WS_V1_PROTOCOL "haven.v1" /* as subprotocol */
#define WS_V1_HEADER 16           /* bytes before the payload in a message of WS_FORM_V1 */
#define WS_MAX_MESSAGE_HEADER 96  /* bytes; of a part of WS_FORM_MJPEG */

typedef enum
{
  WS_FORM_BINARY, /* generation 1: a bare JPEG; "audio:" and base64 */
  WS_FORM_JSON,   /* generation 2: both as JSON */
  WS_FORM_V1,     /* haven.v1: a header and whatever media; docs/haven-v1.md */
  WS_FORM_MJPEG, /* no WebSocket: the parts of an HTTP answer multipart/x-mixed-replace; no sound */
  WS_N_FORMS
} WsForm;

typedef enum
{
  WS_KIND_VIDEO,
  WS_KIND_AUDIO,
  WS_KIND_CONTROL, /* pong, close: ours, of one viewer */
  WS_N_KINDS
} WsKind;

typedef enum /* as haven.v1 has them on the wire */
{
  WS_FLAG_KEY = 1 << 0,           /* can be decoded without what came before */
  WS_FLAG_CONFIG = 1 << 1,        /* no media but JSON that says what follows */
  WS_FLAG_DISCONTINUITY = 1 << 2, /* something is missing before it */
} WsFlags;

typedef struct /* a frame, or what describes those that follow */
{
  WsKind kind;
  WsCodec codec;
  guint flags; /* WsFlags */
  guint32 sequence;
  gint64 time;      /* µs since 1970: when it is to be seen or heard */
  gint64 real_time; /* µs since 1970: when it came */
  guint64 duration; /* ns, of sound */
  GBytes *bytes;
} WsMedia;

typedef struct /* immutable, any thread */
{
  gatomicrefcount ref_count;
  WsKind kind;
  WsCodec codec;
  guint flags;      /* WsFlags */
  guint64 duration; /* of audio, in ns */
  guint header_size;
  guint8 header[WS_MAX_MESSAGE_HEADER];
  GBytes *payload; /* (owned) */
} WsMessage;

WsMessage *ws_message_new (WsKind kind, WsOpcode opcode, GBytes *payload);
WsMessage *ws_message_ref (WsMessage *message);
void ws_message_unref (WsMessage *message);
gsize ws_message_size (const WsMessage *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsMessage, ws_message_unref)

WsMessage *ws_message_new_mjpeg_end (void);

const char *ws_form_name (WsForm form);
char *ws_json_quote (const char *text);
guint64 ws_audio_duration (gsize n_bytes);
gboolean ws_form_carries (WsForm form, const WsMedia *media);
WsMessage *ws_frame_new (WsForm form, const WsMedia *media, const char *quoted_name);

G_END_DECLS
