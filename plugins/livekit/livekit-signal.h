/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include "livekit-error.h"
#include "livekit-message.h"

G_BEGIN_DECLS

/* One signalling connection: WebSocket handshake, messages, pings. Not thread safe: every call is
 * made in, and every signal comes from, the thread-default main context that was current when the
 * object was made. An object is connected once; a resume or a reconnect makes a new one, so that
 * nothing late of an old socket is taken for news of the new.
 *
 * Signals:
 *   "message" (LiveKitMessage *message)  each message but PONG, valid during the emission
 *   "closed"  (GError *error)            once, after a successful connect: the socket ended or fell
 * silent for ping-timeout (LIVEKIT_ERROR_CLOSED, LIVEKIT_ERROR_TIMEOUT). Not after
 *                                        livekit_signal_close().
 *   "rtt-measured" (gint64 ms)           a ping was answered
 */
#define LIVEKIT_TYPE_SIGNAL (livekit_signal_get_type ())
G_DECLARE_FINAL_TYPE (LiveKitSignal, livekit_signal, LIVEKIT, SIGNAL, GObject)

typedef struct
{
  const char *url;   /* ws, wss, http or https; with or without a path prefix or trailing slash */
  const char *token; /* goes into the Authorization header, never into the URL */
  const char *resume_sid;     /* (nullable) own participant sid: resume that session */
  int resume_reason;          /* reconnect_reason of the protocol; with resume_sid */
  GTlsDatabase *tls_database; /* (nullable) trust these certificates instead of the system's */
  gboolean tls_insecure;      /* accept any certificate */
  guint explain_time;         /* ms to wait for the sentence that explains a refusal; 0: 3000 */
} LiveKitSignalParams;

LiveKitSignal *livekit_signal_new (void);

/* Completes when the first message has come: a JOIN, RECONNECT or LEAVE, whose emission as
 * "message" follows. Errors are of LIVEKIT_ERROR, with the server's own sentence (from the validate
 * path) where it gives one. Time limits are the caller's, by @cancellable (then
 * G_IO_ERROR_CANCELLED). Strings in @params are copied. */
void livekit_signal_connect_async (LiveKitSignal *self, const LiveKitSignalParams *params,
    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
gboolean livekit_signal_connect_finish (LiveKitSignal *self, GAsyncResult *result, GError **error);

/* Queues a SignalRequest; a no-op once closed. @request is (transfer full). */
void livekit_signal_send (LiveKitSignal *self, GBytes *request);

/* Starts the pings that a JOIN asked for (interval and timeout in seconds); called by the owner
 * after JOIN, and with the same values after a RECONNECT. */
void livekit_signal_start_pings (LiveKitSignal *self, int interval, int timeout);

/* Closes without further signals. With @leave, sends LeaveRequest(CLIENT_INITIATED) first. Keeps
 * itself alive until what was queued has left or 300 ms have passed; needs its main context to run
 * for that. @done (nullable) is called then. */
void livekit_signal_close (
    LiveKitSignal *self, gboolean leave, GSourceFunc done, gpointer user_data);

G_END_DECLS
