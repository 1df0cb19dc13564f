/* ws-fixture: a havenwssink that listens on a free port, fed by hand.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>

#include "ws-client.h"

G_BEGIN_DECLS

#define LIVE "/any/where/ws/live/live"
#define STREAM "/any/where/stream/live"
#define WATCH "/any/where/watch/live"
#define V1_HEADERS WS_CLIENT_HEADERS "Sec-WebSocket-Protocol: haven.v1\r\n"

typedef struct
{
  GstElement *sink;
  GstHarness *video, *audio;
  guint port;

  GMutex lock;
  GCond changed;
  guint n_added, n_removed; /* protected by lock */
} WsFixture;

WsFixture *ws_fixture_new (const char *first_property, ...) G_GNUC_NULL_TERMINATED;
void ws_fixture_free (WsFixture *fixture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WsFixture, ws_fixture_free)

void ws_fixture_wait_added (WsFixture *fixture, guint n);
void ws_fixture_wait_removed (WsFixture *fixture, guint n);
WsClient *ws_fixture_watch (WsFixture *fixture, const char *target);
void ws_fixture_push_video (WsFixture *fixture, gsize size, guint32 number);
void ws_fixture_push_audio (WsFixture *fixture, guint ms, gint16 sample);
guint32 ws_fixture_frame_number (GBytes *jpeg);
guint64 ws_fixture_stat (WsFixture *fixture, const char *name);
guint64 ws_fixture_viewer_stat (WsFixture *fixture, guint id, const char *name);
void ws_fixture_wait_viewer_stat (WsFixture *fixture, guint id, const char *name, guint64 value);
GIOStream *ws_fixture_connect (GSocket **other);
guint ws_fixture_count_fds (void);
guint ws_fixture_count_threads (void);

G_END_DECLS
