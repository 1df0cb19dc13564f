/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-file.h"

#include <string.h>

#define CHUNK (64 * 1024)
#define MAX_TRANSFERS 256
#define STALL_TIMEOUT 60 /* s that a reader may take for nothing */

/* One range of bytes. Several, or what is no range, is as if there were none: the whole file is an
 * answer too.
 *
 * @header: (nullable)
 * @first, @length: (out): of what is to be sent */
HavenRangeKind
haven_range_parse (const char *header, guint64 size, guint64 *first, guint64 *length)
{
  g_auto (GStrv) ends = NULL;
  guint64 from, to;

  *first = 0;
  *length = size;
  if (!header || !g_str_has_prefix (header, "bytes=") || strchr (header, ','))
    return HAVEN_RANGE_NONE;
  ends = g_strsplit (header + strlen ("bytes="), "-", 2);
  if (g_strv_length (ends) != 2)
    return HAVEN_RANGE_NONE;
  if (!*ends[0]) { /* the last bytes */
    if (!g_ascii_string_to_unsigned (ends[1], 10, 0, G_MAXUINT64, &to, NULL))
      return HAVEN_RANGE_NONE;
    if (to == 0 || size == 0)
      return HAVEN_RANGE_UNSATISFIABLE;
    *length = MIN (to, size);
    *first = size - *length;
    return HAVEN_RANGE_PART;
  }
  to = G_MAXUINT64;
  if (!g_ascii_string_to_unsigned (ends[0], 10, 0, G_MAXUINT64, &from, NULL)
      || (*ends[1] && !g_ascii_string_to_unsigned (ends[1], 10, 0, G_MAXUINT64, &to, NULL))
      || to < from)
    return HAVEN_RANGE_NONE;
  if (from >= size)
    return HAVEN_RANGE_UNSATISFIABLE;
  *first = from;
  *length = MIN (to, size - 1) - from + 1;
  return HAVEN_RANGE_PART;
}

typedef struct
{
  GIOStream *stream;   /* (owned) holds socket */
  GSocket *socket;     /* (owned) */
  GInputStream *file;  /* (owned) */
  GCancellable *stall; /* (owned) */
  guint timer;
  guint64 left;
  gsize have;
  char buffer[CHUNK];
} Transfer;

static guint n_transfers; /* of the main context's thread */

static void read_next (Transfer *transfer);

static void
transfer_free (Transfer *transfer)
{
  n_transfers--;
  g_clear_handle_id (&transfer->timer, g_source_remove);
  g_socket_shutdown (transfer->socket, FALSE, TRUE, NULL);
  g_socket_close (transfer->socket, NULL);
  g_object_unref (transfer->socket);
  g_object_unref (transfer->stream);
  g_object_unref (transfer->file);
  g_object_unref (transfer->stall);
  g_free (transfer);
}

static gboolean
on_stall (gpointer user_data)
{
  Transfer *transfer = user_data;

  transfer->timer = 0;
  g_cancellable_cancel (transfer->stall);
  return G_SOURCE_REMOVE;
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Transfer *transfer = user_data;

  g_clear_handle_id (&transfer->timer, g_source_remove);
  if (!g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, NULL)
      || transfer->left == 0)
    transfer_free (transfer);
  else
    read_next (transfer);
}

static void
write_buffer (Transfer *transfer)
{
  transfer->timer = g_timeout_add_seconds (STALL_TIMEOUT, on_stall, transfer);
  g_output_stream_write_all_async (g_io_stream_get_output_stream (transfer->stream),
      transfer->buffer, transfer->have, G_PRIORITY_DEFAULT_IDLE, transfer->stall, on_written,
      transfer);
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Transfer *transfer = user_data;
  gssize size = g_input_stream_read_finish (G_INPUT_STREAM (source), result, NULL);

  if (size <= 0) { /* shorter than it was: the reader sees that bytes are missing */
    transfer_free (transfer);
    return;
  }
  transfer->have = (gsize)size;
  transfer->left -= (guint64)size;
  write_buffer (transfer);
}

static void
read_next (Transfer *transfer)
{
  g_input_stream_read_async (transfer->file, transfer->buffer, MIN (CHUNK, transfer->left),
      G_PRIORITY_DEFAULT_IDLE, transfer->stall, on_read, transfer);
}

/* @head: the answer's whole head, shorter than 64 KiB
 * @file: (transfer none): at the first byte to send
 * @length: 0: the head alone */
void
haven_file_send (
    GIOStream *stream, GSocket *socket, const char *head, GFileInputStream *file, guint64 length)
{
  Transfer *transfer = g_new0 (Transfer, 1);

  n_transfers++;
  transfer->stream = g_object_ref (stream);
  transfer->socket = g_object_ref (socket);
  transfer->file = g_object_ref (G_INPUT_STREAM (file));
  transfer->stall = g_cancellable_new ();
  transfer->left = length;
  transfer->have = MIN (strlen (head), CHUNK);
  memcpy (transfer->buffer, head, transfer->have);
  write_buffer (transfer);
}

/* Whether as many are being sent as may be at once. */
gboolean
haven_file_full (void)
{
  return n_transfers >= MAX_TRANSFERS;
}
