/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-frame.h"

#include <string.h>

static WsMessage *
message_new (WsKind kind, GBytes *payload)
{
  WsMessage *message = g_new0 (WsMessage, 1);

  g_atomic_ref_count_init (&message->ref_count);
  message->kind = kind;
  message->payload = payload;
  return message;
}

/* @payload: (transfer full) */
WsMessage *
ws_message_new (WsKind kind, WsOpcode opcode, GBytes *payload)
{
  WsMessage *message = message_new (kind, payload);

  message->header_size = ws_frame_header (message->header, opcode, g_bytes_get_size (payload));
  return message;
}

/* A part begins with the line that ends the one before, so that the payload stays the last thing in
 * it and is not copied. */
static WsMessage *
new_mjpeg_part (GBytes *jpeg)
{
  WsMessage *message = message_new (WS_KIND_VIDEO, g_bytes_ref (jpeg));

  message->header_size = g_snprintf ((char *)message->header, sizeof message->header,
      "\r\n--" WS_MJPEG_BOUNDARY "\r\nContent-Type: image/jpeg\r\nContent-Length: %" G_GSIZE_FORMAT
      "\r\n\r\n",
      g_bytes_get_size (jpeg));
  return message;
}

/* What says goodbye in WS_FORM_MJPEG. */
WsMessage *
ws_message_new_mjpeg_end (void)
{
  static const char end[] = "\r\n--" WS_MJPEG_BOUNDARY "--\r\n";

  return message_new (WS_KIND_CONTROL, g_bytes_new_static (end, sizeof end - 1));
}

WsMessage *
ws_message_ref (WsMessage *message)
{
  g_atomic_ref_count_inc (&message->ref_count);
  return message;
}

void
ws_message_unref (WsMessage *message)
{
  if (!g_atomic_ref_count_dec (&message->ref_count))
    return;
  g_bytes_unref (message->payload);
  g_free (message);
}

/* Bytes on the wire. */
gsize
ws_message_size (const WsMessage *message)
{
  return message->header_size + g_bytes_get_size (message->payload);
}

const char *
ws_form_name (WsForm form)
{
  static const char *const names[WS_N_FORMS] = {
    [WS_FORM_BINARY] = "binary",
    [WS_FORM_JSON] = "json",
    [WS_FORM_V1] = "haven.v1",
    [WS_FORM_MJPEG] = "mjpeg",
  };

  return names[form];
}

/* Returns: (transfer full): text, which is UTF-8, as a JSON string with its quotes */
char *
ws_json_quote (const char *text)
{
  GString *out = g_string_new ("\"");

  for (const char *p = text; *p; p++) {
    guchar c = *p;

    if (c == '"' || c == '\\')
      g_string_append_printf (out, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
      g_string_append_printf (out, "\\u%04x", c);
    else
      g_string_append_c (out, c);
  }
  g_string_append_c (out, '"');
  return g_string_free (out, FALSE);
}

/* Returns: how long so many bytes of PCM sound, in ns */
guint64
ws_audio_duration (gsize n_bytes)
{
  return (guint64)n_bytes / sizeof (gint16) * G_GUINT64_CONSTANT (1000000000) / WS_AUDIO_RATE;
}

/* Returns: (transfer full): prefix, base64 of media, suffix; in one allocation */
static GBytes *
wrap_base64 (const char *prefix, GBytes *media, const char *suffix)
{
  gsize media_size, prefix_size = strlen (prefix), suffix_size = strlen (suffix);
  const guint8 *data = g_bytes_get_data (media, &media_size);
  int state = 0, save = 0;
  char *out, *p;

  /* g_base64_encode_step() may write (n / 3 + 1) * 4 bytes, and its close 4 more */
  out = p = g_malloc (prefix_size + (media_size / 3 + 1) * 4 + 4 + suffix_size);
  memcpy (p, prefix, prefix_size);
  p += prefix_size;
  if (media_size > 0)
    p += g_base64_encode_step (data, media_size, FALSE, p, &state, &save);
  p += g_base64_encode_close (FALSE, p, &state, &save);
  memcpy (p, suffix, suffix_size);
  p += suffix_size;
  return g_bytes_new_take (out, p - out);
}

static GBytes *
to_json (WsKind kind, GBytes *media, const char *quoted_name, gint64 real_time)
{
  g_autoptr (GDateTime) second = g_date_time_new_from_unix_utc (real_time / G_USEC_PER_SEC);
  g_autofree char *time = g_date_time_format (second, "%Y-%m-%dT%H:%M:%S");
  g_autofree char *prefix = g_strdup_printf ("{\"type\":\"%s\",\"mint_id\":%s,\"data\":\"",
      kind == WS_KIND_AUDIO ? "audio_frame" : "video_frame", quoted_name);
  g_autofree char *suffix = g_strdup_printf ("\",\"timestamp\":\"%s.%03dZ\"%s}", time,
      (int)(real_time % G_USEC_PER_SEC / 1000),
      kind == WS_KIND_AUDIO ? ",\"sample_rate\":48000,\"num_channels\":1" : "");

  return wrap_base64 (prefix, media, suffix);
}

static void
put (guint8 *out, guint64 value, guint n_bytes)
{
  for (guint i = 0; i < n_bytes; i++)
    out[i] = (guint8)(value >> (8 * (n_bytes - 1 - i)));
}

/* Both headers are in the message's, so that the payload is not copied. */
static WsMessage *
new_v1 (const WsMedia *media)
{
  WsMessage *message = message_new (media->kind, g_bytes_ref (media->bytes));
  guint8 *out;

  message->header_size = ws_frame_header (
      message->header, WS_OPCODE_BINARY, WS_V1_HEADER + g_bytes_get_size (media->bytes));
  out = message->header + message->header_size;
  out[0] = media->kind == WS_KIND_AUDIO ? 2 : 1;
  out[1] = media->codec;
  out[2] = media->flags;
  out[3] = 0;
  put (out + 4, media->sequence, 4);
  put (out + 8, (guint64)media->time, 8);
  message->header_size += WS_V1_HEADER;
  return message;
}

/* Returns: whether there is a message for that in form: but for haven.v1 they know JPEG and PCM */
gboolean
ws_form_carries (WsForm form, const WsMedia *media)
{
  if (form == WS_FORM_V1)
    return TRUE;
  return !(media->flags & WS_FLAG_CONFIG)
         && (media->codec == WS_CODEC_JPEG || media->codec == WS_CODEC_PCM);
}

/* @media: something that form carries
 * @quoted_name: the stream's name from ws_json_quote()
 *
 * A payload that is not text is not copied: the message refers to it.
 *
 * Returns: (transfer full): the message to send to every viewer of form */
WsMessage *
ws_frame_new (WsForm form, const WsMedia *media, const char *quoted_name)
{
  WsKind kind = media->kind;
  WsMessage *message;

  if (form == WS_FORM_V1)
    message = new_v1 (media);
  else if (form == WS_FORM_MJPEG)
    message = new_mjpeg_part (media->bytes);
  else if (form == WS_FORM_JSON)
    message = ws_message_new (
        kind, WS_OPCODE_TEXT, to_json (kind, media->bytes, quoted_name, media->real_time));
  else if (kind == WS_KIND_AUDIO)
    message = ws_message_new (kind, WS_OPCODE_TEXT, wrap_base64 ("audio:", media->bytes, ""));
  else
    message = ws_message_new (kind, WS_OPCODE_BINARY, g_bytes_ref (media->bytes));

  message->codec = media->codec;
  message->flags = media->flags;
  message->duration = media->duration;
  return message;
}
