/* What participants send as data: packets, and the messages that become of them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "livekit-data.h"
#include "livekit-error.h"
#include "livekit.pb-c.h"

static LiveKitData *
take (LiveKitDataReader *reader, const Livekit__DataPacket *packet)
{
  const gsize size = livekit__data_packet__get_packed_size (packet);
  guint8 *data = g_malloc (size + 1);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (LiveKitPacket) parsed = NULL;

  livekit__data_packet__pack (packet, data);
  bytes = g_bytes_new_take (data, size);
  parsed = livekit_packet_parse (bytes, &error);
  g_assert_no_error (error);
  return livekit_data_reader_take (reader, parsed);
}

static void
assert_data (
    const LiveKitData *data, const char *participant, const char *topic, const char *payload)
{
  g_autofree char *text = NULL;

  g_assert_nonnull (data);
  text = g_strdup (""); /* g_strndup() makes nothing of nothing */
  if (g_bytes_get_size (data->payload) > 0) {
    g_free (text);
    text = g_strndup (g_bytes_get_data (data->payload, NULL), g_bytes_get_size (data->payload));
  }
  g_assert_cmpstr (data->participant, ==, participant);
  g_assert_cmpstr (data->topic, ==, topic);
  g_assert_cmpstr (text, ==, payload);
}

static LiveKitData *
take_user (LiveKitDataReader *reader, const char *topic, const char *payload, gsize size)
{
  Livekit__UserPacket user = LIVEKIT__USER_PACKET__INIT;
  Livekit__DataPacket packet = LIVEKIT__DATA_PACKET__INIT;

  user.topic = (char *)topic;
  user.payload.data = (guint8 *)payload;
  user.payload.len = size;
  packet.participant_identity = (char *)"ann";
  packet.value_case = LIVEKIT__DATA_PACKET__VALUE_USER;
  packet.user = &user;
  return take (reader, &packet);
}

static LiveKitData *
take_header (LiveKitDataReader *reader, const char *who, const char *id, const char *inlined,
    gboolean is_text)
{
  Livekit__DataStream__TextHeader text = LIVEKIT__DATA_STREAM__TEXT_HEADER__INIT;
  Livekit__DataStream__Header header = LIVEKIT__DATA_STREAM__HEADER__INIT;
  Livekit__DataPacket packet = LIVEKIT__DATA_PACKET__INIT;

  header.stream_id = (char *)id;
  header.topic = (char *)"lk.chat";
  header.inline_content.data = (guint8 *)inlined;
  header.inline_content.len = strlen (inlined);
  if (is_text) {
    header.content_header_case = LIVEKIT__DATA_STREAM__HEADER__CONTENT_HEADER_TEXT_HEADER;
    header.text_header = &text;
  }
  packet.participant_identity = (char *)who;
  packet.value_case = LIVEKIT__DATA_PACKET__VALUE_STREAM_HEADER;
  packet.stream_header = &header;
  return take (reader, &packet);
}

static LiveKitData *
take_chunk (
    LiveKitDataReader *reader, const char *who, const char *id, const char *content, gsize size)
{
  Livekit__DataStream__Chunk chunk = LIVEKIT__DATA_STREAM__CHUNK__INIT;
  Livekit__DataPacket packet = LIVEKIT__DATA_PACKET__INIT;

  chunk.stream_id = (char *)id;
  chunk.content.data = (guint8 *)content;
  chunk.content.len = size;
  packet.participant_identity = (char *)who;
  packet.value_case = LIVEKIT__DATA_PACKET__VALUE_STREAM_CHUNK;
  packet.stream_chunk = &chunk;
  return take (reader, &packet);
}

static LiveKitData *
take_trailer (LiveKitDataReader *reader, const char *who, const char *id)
{
  Livekit__DataStream__Trailer trailer = LIVEKIT__DATA_STREAM__TRAILER__INIT;
  Livekit__DataPacket packet = LIVEKIT__DATA_PACKET__INIT;

  trailer.stream_id = (char *)id;
  packet.participant_identity = (char *)who;
  packet.value_case = LIVEKIT__DATA_PACKET__VALUE_STREAM_TRAILER;
  packet.stream_trailer = &trailer;
  return take (reader, &packet);
}

static void
a_packet_is_a_message (void)
{
  g_autoptr (LiveKitDataReader) reader = livekit_data_reader_new ();
  g_autoptr (LiveKitData) data = take_user (reader, "cursor", "x=1", 3);
  g_autofree char *large = g_strnfill (LIVEKIT_DATA_MAX + 1, 'x');

  assert_data (data, "ann", "cursor", "x=1");
  g_assert_null (take_user (reader, "cursor", large, LIVEKIT_DATA_MAX + 1));
}

static void
chat_has_its_topic (void)
{
  g_autoptr (LiveKitDataReader) reader = livekit_data_reader_new ();
  Livekit__ChatMessage chat = LIVEKIT__CHAT_MESSAGE__INIT;
  Livekit__DataPacket packet = LIVEKIT__DATA_PACKET__INIT;
  g_autoptr (LiveKitData) data = NULL;

  chat.message = (char *)"hello";
  packet.participant_identity = (char *)"ann";
  packet.value_case = LIVEKIT__DATA_PACKET__VALUE_CHAT_MESSAGE;
  packet.chat_message = &chat;
  data = take (reader, &packet);
  assert_data (data, "ann", LIVEKIT_DATA_CHAT_TOPIC, "hello");
  chat.deleted = TRUE;
  g_assert_null (take (reader, &packet));
}

/* Two people may choose the same id. */
static void
a_text_comes_in_pieces (void)
{
  g_autoptr (LiveKitDataReader) reader = livekit_data_reader_new ();
  g_autoptr (LiveKitData) ann = NULL, bob = NULL;

  g_assert_null (take_header (reader, "ann", "1", "", TRUE));
  g_assert_null (take_header (reader, "bob", "1", "in", TRUE));
  g_assert_null (take_chunk (reader, "ann", "1", "hel", 3));
  g_assert_null (take_chunk (reader, "bob", "1", "line", 4));
  g_assert_null (take_chunk (reader, "ann", "1", "lo", 2));
  g_assert_null (take_chunk (reader, "ann", "2", "of none", 7));
  ann = take_trailer (reader, "ann", "1");
  bob = take_trailer (reader, "bob", "1");
  assert_data (ann, "ann", "lk.chat", "hello");
  assert_data (bob, "bob", "lk.chat", "inline");
  g_assert_null (take_trailer (reader, "ann", "1"));
}

static void
files_are_not_read (void)
{
  g_autoptr (LiveKitDataReader) reader = livekit_data_reader_new ();

  g_assert_null (take_header (reader, "ann", "1", "", FALSE));
  g_assert_null (take_chunk (reader, "ann", "1", "file", 4));
  g_assert_null (take_trailer (reader, "ann", "1"));
}

static void
what_never_ends_is_forgotten (void)
{
  g_autoptr (LiveKitDataReader) reader = livekit_data_reader_new ();
  g_autofree char *large = g_strnfill (LIVEKIT_DATA_MAX, 'x');
  g_autoptr (LiveKitData) last = NULL;

  for (guint i = 0; i < 1000; i++) {
    g_autofree char *id = g_strdup_printf ("%u", i);

    g_assert_null (take_header (reader, "ann", id, "", TRUE));
  }
  g_assert_null (take_trailer (reader, "ann", "0"));
  last = take_trailer (reader, "ann", "999");
  assert_data (last, "ann", "lk.chat", "");
  g_assert_null (take_header (reader, "ann", "long", "", TRUE));
  g_assert_null (take_chunk (reader, "ann", "long", large, LIVEKIT_DATA_MAX));
  g_assert_null (take_chunk (reader, "ann", "long", "x", 1));
  g_assert_null (take_trailer (reader, "ann", "long"));
}

static void
what_is_no_packet_is_an_error (void)
{
  static const char *const texts[] = { "\xff", "\x12\x05hello", "\x12\xff\xff\xff\xff\x0f" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GBytes) bytes = g_bytes_new (texts[i], strlen (texts[i]));
    g_autoptr (GError) error = NULL;

    g_assert_null (livekit_packet_parse (bytes, &error));
    g_assert_error (error, LIVEKIT_ERROR, LIVEKIT_ERROR_PROTOCOL);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add_func ("/livekit-data/" #name, name)
  TEST (a_packet_is_a_message);
  TEST (chat_has_its_topic);
  TEST (a_text_comes_in_pieces);
  TEST (files_are_not_read);
  TEST (what_never_ends_is_forgotten);
  TEST (what_is_no_packet_is_an_error);
#undef TEST
  return g_test_run ();
}
