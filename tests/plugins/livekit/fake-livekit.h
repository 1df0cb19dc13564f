/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libsoup/soup.h>

#include "livekit.pb-c.h"

G_BEGIN_DECLS

/* A LiveKit server as far as a subscriber's signalling sees it, in the same process and the same
 * main context (the thread default when it was made), on a free port of 127.0.0.1. It says what the
 * test tells it to say, sense or not. */

typedef struct _FakeLiveKit FakeLiveKit;

/* A client is there and has heard nothing yet. */
typedef void (*FakeLiveKitJoined) (FakeLiveKit *fake, gpointer user_data);

/* A SignalRequest has come; valid during the call. */
typedef void (*FakeLiveKitRequest) (
    FakeLiveKit *fake, const Livekit__SignalRequest *request, gpointer user_data);

struct _FakeLiveKit
{
  SoupServer *server;
  char *url; /* "ws://127.0.0.1:PORT" or "wss://…" */

  /* what it does: set by the test */
  FakeLiveKitJoined joined;   /* NULL: sends a plain JOIN */
  FakeLiveKitRequest request; /* NULL: answers pings, echoes leave and closes */
  gpointer user_data;
  guint refuse_status;    /* of the handshake and of validate; 0: welcome */
  guint validate_status;  /* of validate alone; 0: the same */
  const char *reason;     /* body of validate */
  gboolean echo_token;    /* … with the client's token put behind it */
  gboolean hold_validate; /* never answers there */
  const char *redirect;   /* Location of a refusal */

  /* what it saw */
  SoupWebsocketConnection *socket; /* the newest, (nullable) once it is closed */
  GSocket *raw;                    /* its TCP socket */
  guint n_handshakes, n_closed, n_validates;
  gushort close_code;                                           /* of the socket that closed last */
  char *path, *query, *authorization, *extensions, *user_agent; /* of the newest handshake */
  char *validate_path, *validate_query, *validate_authorization;
  GPtrArray *requests; /* (element-type GBytes) */
};

FakeLiveKit *fake_livekit_new (
    GTlsCertificate *certificate); /* @certificate (nullable): https and wss */
void fake_livekit_free (FakeLiveKit *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FakeLiveKit, fake_livekit_free)

/* Sends to the newest client. */
void fake_livekit_send (FakeLiveKit *fake, const Livekit__SignalResponse *response);
void fake_livekit_send_bytes (FakeLiveKit *fake, const void *data, gsize size);
void fake_livekit_send_join (FakeLiveKit *fake); /* room "demo", ourselves PA_self, nobody else */
void fake_livekit_send_reconnect (FakeLiveKit *fake);
void fake_livekit_send_leave (FakeLiveKit *fake, int action, int reason);
void fake_livekit_send_refresh_token (FakeLiveKit *fake, const char *token);
void fake_livekit_send_offer (FakeLiveKit *fake, const char *sdp, guint32 id);
void fake_livekit_send_refused_track (
    FakeLiveKit *fake, const char *sid, Livekit__SubscriptionError reason);

/* Ends the newest client's connection: in order, or by a reset without a word. */
void fake_livekit_close (FakeLiveKit *fake, gushort code);
void fake_livekit_cut (FakeLiveKit *fake);

/* The n-th request, or NULL. Free with livekit__signal_request__free_unpacked (…, NULL). */
Livekit__SignalRequest *fake_livekit_get_request (FakeLiveKit *fake, guint n);

/* What does not even speak HTTP, or breaks off in the middle of it: @script runs in a thread of the
 * server's own, for one connection after the other, when the head of a request was read, and the
 * connection is closed after it. @accept is the Sec-WebSocket-Accept that the request calls for (or
 * NULL). */
typedef struct _FakeServer FakeServer;
typedef void (*FakeServerScript) (
    FakeServer *fake, GIOStream *stream, const char *accept, gpointer user_data);

struct _FakeServer
{
  char *url; /* "ws://127.0.0.1:PORT" */
  FakeServerScript script;
  gpointer user_data;
  gint n_connections; /* atomic */

  GThread *thread;
  gint ended; /* atomic */
  GSocketListener *listener;
  GCancellable *stop;
};

FakeServer *fake_server_new (FakeServerScript script, gpointer user_data);
void fake_server_free (FakeServer *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FakeServer, fake_server_free)

/* For scripts. FALSE once the other side is gone. */
gboolean fake_server_write (GIOStream *stream, const void *data, gsize size);
gboolean fake_server_write_text (GIOStream *stream, const char *text);
gboolean fake_server_write_upgrade (GIOStream *stream, const char *accept);
gboolean fake_server_write_frame (
    GIOStream *stream, guint8 first_byte, const void *data, gsize size);
void fake_server_wait_for_end (
    FakeServer *fake, GIOStream *stream); /* reads until the client leaves, or the test ends */

/* Runs the main context until @condition holds. A test that hangs says where. */
#define wait_until(condition)                                                                 \
  G_STMT_START                                                                                \
  {                                                                                           \
    const guint deadline_ = g_timeout_add_seconds (                                           \
        FAKE_LIVEKIT_DEADLINE, fake_livekit_on_deadline, (gpointer)G_STRLOC ": " #condition); \
                                                                                              \
    while (!(condition))                                                                      \
      g_main_context_iteration (NULL, TRUE);                                                  \
    g_source_remove (deadline_);                                                              \
  }                                                                                           \
  G_STMT_END
#define FAKE_LIVEKIT_DEADLINE 60 /* seconds */
gboolean fake_livekit_on_deadline (gpointer where);

/* At the end of a program that used TLS: until GLib's idle worker threads are gone. LeakSanitizer
 * of GCC 12 crashes on what GnuTLS leaves in them. */
void fake_livekit_wait_for_threads (void);

/* An address where nothing listens. */
char *fake_livekit_unused_url (void);

G_END_DECLS
