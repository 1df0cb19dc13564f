/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livekit-data.h"

#include <string.h>

#define MAX_STREAMS 16 /* that are under way; the oldest gives way */

typedef struct /* a text that comes in pieces */
{
  char *participant, *id, *topic;
  GByteArray *content;
} Stream;

struct _LiveKitDataReader
{
  GPtrArray *streams; /* (owned) Stream; the oldest first */
};

static void
stream_free (gpointer data)
{
  Stream *stream = data;

  g_free (stream->participant);
  g_free (stream->id);
  g_free (stream->topic);
  g_byte_array_unref (stream->content);
  g_free (stream);
}

LiveKitDataReader *
livekit_data_reader_new (void)
{
  LiveKitDataReader *reader = g_new0 (LiveKitDataReader, 1);

  reader->streams = g_ptr_array_new_with_free_func (stream_free);
  return reader;
}

void
livekit_data_reader_free (LiveKitDataReader *reader)
{
  g_ptr_array_unref (reader->streams);
  g_free (reader);
}

void
livekit_data_free (LiveKitData *data)
{
  g_free (data->participant);
  g_free (data->topic);
  g_bytes_unref (data->payload);
  g_free (data);
}

static LiveKitData *
data_new (const char *participant, const char *topic, GBytes *payload)
{
  LiveKitData *data;

  if (g_bytes_get_size (payload) > LIVEKIT_DATA_MAX)
    return NULL;
  data = g_new0 (LiveKitData, 1);
  data->participant = g_strdup (participant);
  data->topic = g_strdup (topic);
  data->payload = g_bytes_ref (payload);
  return data;
}

static gboolean
find_stream (LiveKitDataReader *reader, const LiveKitPacket *packet, guint *index)
{
  for (*index = 0; *index < reader->streams->len; (*index)++) {
    const Stream *stream = g_ptr_array_index (reader->streams, *index);

    if (g_str_equal (stream->id, packet->stream_id)
        && g_str_equal (stream->participant, packet->participant))
      return TRUE;
  }
  return FALSE;
}

static void
append (LiveKitDataReader *reader, guint index, GBytes *content)
{
  Stream *stream = g_ptr_array_index (reader->streams, index);
  gsize size;
  const guint8 *bytes = g_bytes_get_data (content, &size);

  if (stream->content->len + size > LIVEKIT_DATA_MAX)
    g_ptr_array_remove_index (reader->streams, index);
  else
    g_byte_array_append (stream->content, bytes, size);
}

static void
begin (LiveKitDataReader *reader, const LiveKitPacket *packet)
{
  Stream *stream;
  guint index;

  if (!packet->is_text)
    return;
  if (find_stream (reader, packet, &index))
    g_ptr_array_remove_index (reader->streams, index);
  else if (reader->streams->len >= MAX_STREAMS)
    g_ptr_array_remove_index (reader->streams, 0);
  stream = g_new0 (Stream, 1);
  stream->participant = g_strdup (packet->participant);
  stream->id = g_strdup (packet->stream_id);
  stream->topic = g_strdup (packet->topic);
  stream->content = g_byte_array_new ();
  g_ptr_array_add (reader->streams, stream);
  append (reader, reader->streams->len - 1, packet->content);
}

static LiveKitData *
end (LiveKitDataReader *reader, const LiveKitPacket *packet)
{
  LiveKitData *data;
  Stream *stream;
  g_autoptr (GBytes) content = NULL;
  guint index;

  if (!find_stream (reader, packet, &index))
    return NULL;
  stream = g_ptr_array_index (reader->streams, index);
  content = g_bytes_new (stream->content->data, stream->content->len);
  data = data_new (stream->participant, stream->topic, content);
  g_ptr_array_remove_index (reader->streams, index);
  return data;
}

LiveKitData *
livekit_data_reader_take (LiveKitDataReader *reader, const LiveKitPacket *packet)
{
  guint index;

  switch (packet->type) {
  case LIVEKIT_PACKET_USER:
    return data_new (packet->participant, packet->topic, packet->content);
  case LIVEKIT_PACKET_CHAT:
    return data_new (packet->participant, LIVEKIT_DATA_CHAT_TOPIC, packet->content);
  case LIVEKIT_PACKET_STREAM_HEADER:
    begin (reader, packet);
    return NULL;
  case LIVEKIT_PACKET_STREAM_CHUNK:
    if (find_stream (reader, packet, &index))
      append (reader, index, packet->content);
    return NULL;
  case LIVEKIT_PACKET_STREAM_TRAILER:
    return end (reader, packet);
  default:
    return NULL;
  }
}
