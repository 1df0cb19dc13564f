/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-sources: plugins/livekit/livekit-message.c plugins/livekit/livekit-track.c
 * plugins/livekit/livekit-json.c plugins/livekit/livekit-error.c + generated (livekit_proto); needs
 * json-glib */

/* A signalling message from the server: understood or refused, and what is understood keeps the
 * promises of livekit-message.h. */
#include <stdint.h>
#include <string.h>

#include "livekit-error.h"
#include "livekit-message.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_text (const char *text)
{
  g_assert_true (text && g_utf8_validate (text, -1, NULL));
}

static void
check_participant (const LiveKitParticipant *participant)
{
  check_text (participant->sid);
  check_text (participant->identity);
  check_text (participant->name);
  g_assert_cmpint (participant->joined_at_ms, >=, 0);
  g_assert_cmpint (participant->tracks->len, <=, 64);
  for (guint i = 0; i < participant->tracks->len; i++) {
    const LiveKitTrack *track = g_ptr_array_index (participant->tracks, i);

    check_text (track->sid);
    check_text (track->name);
    check_text (track->mime);
    g_assert_cmpint (track->width, <=, 65535);
    g_assert_cmpint (track->height, <=, 65535);
    g_assert_cmpint (track->source, <=, LIVEKIT_SOURCE_SCREEN_AUDIO);
  }
}

static void
check_participants (GPtrArray *participants)
{
  g_assert_nonnull (participants);
  for (guint i = 0; i < participants->len; i++)
    check_participant (g_ptr_array_index (participants, i));
}

static void
check_ice_servers (GPtrArray *servers)
{
  g_assert_nonnull (servers);
  g_assert_cmpint (servers->len, <=, 32);
  for (guint i = 0; i < servers->len; i++) {
    const LiveKitIceServer *server = g_ptr_array_index (servers, i);

    check_text (server->username);
    check_text (server->credential);
    for (char **url = server->urls; *url; url++)
      check_text (*url);
  }
}

static void
check (const LiveKitMessage *message)
{
  switch (message->type) {
  case LIVEKIT_MESSAGE_JOIN:
    check_text (message->alternative_url);
    check_text (message->server_version);
    g_assert_cmpint (message->ping_interval, >=, 0);
    g_assert_cmpint (message->ping_timeout, >=, 0);
    check_ice_servers (message->ice_servers);
    G_GNUC_FALLTHROUGH;
  case LIVEKIT_MESSAGE_ROOM_MOVED:
    check_participant (message->participant);
    check_participants (message->participants);
    if (message->type == LIVEKIT_MESSAGE_ROOM_MOVED)
      check_text (message->token);
    G_GNUC_FALLTHROUGH;
  case LIVEKIT_MESSAGE_ROOM:
    check_text (message->room_sid);
    check_text (message->room_name);
    break;
  case LIVEKIT_MESSAGE_RECONNECT:
    check_ice_servers (message->ice_servers);
    break;
  case LIVEKIT_MESSAGE_OFFER:
    check_text (message->sdp);
    g_assert_nonnull (message->mid_to_track);
    break;
  case LIVEKIT_MESSAGE_TRICKLE:
    check_text (message->candidate);
    g_assert_null (strpbrk (message->candidate, "\r\n"));
    g_assert_true (message->mline_index >= 0 && message->mline_index <= 4096);
    break;
  case LIVEKIT_MESSAGE_PARTICIPANTS:
    check_participants (message->participants);
    break;
  case LIVEKIT_MESSAGE_LEAVE:
    g_assert_true (
        message->action >= LIVEKIT_LEAVE_DISCONNECT && message->action <= LIVEKIT_LEAVE_RECONNECT);
    g_assert_nonnull (livekit_reason_to_string (message->reason));
    break;
  case LIVEKIT_MESSAGE_REFRESH_TOKEN:
    check_text (message->token);
    break;
  case LIVEKIT_MESSAGE_SUBSCRIPTION_PERMISSION:
  case LIVEKIT_MESSAGE_SUBSCRIPTION_FAILED:
    check_text (message->track_sid);
    break;
  case LIVEKIT_MESSAGE_PONG:
  case LIVEKIT_MESSAGE_OTHER:
    break;
  }
}

static void
run (const void *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (LiveKitMessage) message = livekit_message_parse (bytes, &error);

  if (message)
    check (message);
  else
    g_assert_error (error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL);
}

static void
append_varint (GByteArray *array, gsize value)
{
  do {
    const guint8 byte = (guint8)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));

    g_byte_array_append (array, &byte, 1);
    value >>= 7;
  } while (value > 0);
}

/* The data as what field @number holds: protobuf-c is not instrumented, so lengths are hard to hit
 * upon. */
static GByteArray *
wrap (guint number, const void *data, size_t size)
{
  GByteArray *array = g_byte_array_new ();

  append_varint (array, number << 3 | 2);
  append_varint (array, size);
  return g_byte_array_append (array, data, (guint)size);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const guint messages[] = { 1, 3, 4, 5, 8, 11, 13, 15, 16, 19, 20, 21, 24 };
  g_autoptr (GByteArray) message = NULL, field = NULL;

  run (data, size);
  if (size < 2)
    return 0;
  message = wrap (messages[data[0] % G_N_ELEMENTS (messages)], data + 2, size - 2);
  run (message->data, message->len);

  /* and as one field of that message: a participant, a candidate, a map's entry … */
  field = wrap (data[1] % 32 + 1, data + 2, size - 2);
  g_byte_array_unref (message);
  message = wrap (messages[data[0] % G_N_ELEMENTS (messages)], field->data, field->len);
  run (message->data, message->len);
  return 0;
}
