/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-chat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "haven-manifest.h"
#include "haven-time.h"
#include "livekit-json.h"
#include "ws-frame.h"

/* Bytes; what comes beyond is left out, and the log says so. */
#define MAX_FILE (16 * 1024 * 1024)
#define SHOWN 5 /* s that a line of chat is shown */

#define TOPIC "lk.chat"
#define LEGACY_TOPIC "lk-chat-topic" /* of older senders: JSON */

typedef struct
{
  char *path;
  gboolean opened; /* or tried to */
  int fd;          /* -1: nothing is written */
  gsize size;
} File;

struct _HavenChat
{
  File messages, subtitles;
};

static void
close_file (File *file)
{
  if (file->fd >= 0)
    close (file->fd);
  file->fd = -1;
}

/* A line is there whole or not at all, as far as the disk goes along. */
static void
append (File *file, const char *text)
{
  gsize size = strlen (text);

  if (!file->opened) {
    file->opened = TRUE;
    file->fd = open (file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file->fd < 0)
      g_warning ("“%s” cannot be written: %s", file->path, g_strerror (errno));
  }
  if (file->fd < 0)
    return;
  if (file->size + size > MAX_FILE) {
    g_warning ("“%s” is as long as it may be; more is not written", file->path);
    close_file (file);
  } else if (write (file->fd, text, size) != (gssize)size) {
    g_warning ("“%s” cannot be written: %s", file->path, g_strerror (errno));
    if (ftruncate (file->fd, (off_t)file->size) < 0) /* what was written of it stays, then */
      g_debug ("“%s” is not cut: %s", file->path, g_strerror (errno));
    close_file (file);
  } else {
    file->size += size;
  }
}

HavenChat *
haven_chat_new (const char *path)
{
  HavenChat *chat = g_new0 (HavenChat, 1);

  chat->messages = (File){ .path = haven_manifest_sibling (path, ".jsonl"), .fd = -1 };
  chat->subtitles = (File){ .path = haven_manifest_sibling (path, ".vtt"), .fd = -1 };
  return chat;
}

void
haven_chat_free (HavenChat *chat)
{
  close_file (&chat->messages);
  close_file (&chat->subtitles);
  g_free (chat->messages.path);
  g_free (chat->subtitles.path);
  g_free (chat);
}

/* Returns: (transfer full) (nullable): NULL where it is no text */
static char *
get_text (GBytes *payload)
{
  gsize size;
  const char *data = g_bytes_get_data (payload, &size);

  return size == 0 ? g_strdup ("")
         : memchr (data, 0, size) || !g_utf8_validate (data, (gssize)size, NULL)
             ? NULL
             : g_strndup (data, size);
}

static void
take_message (HavenChat *chat, double offset, const char *participant, const char *topic,
    GBytes *payload, const char *text)
{
  g_autofree char *time = haven_time_format (g_get_real_time ());
  g_autofree char *quoted_participant = ws_json_quote (participant);
  g_autofree char *quoted_topic = ws_json_quote (topic);
  gsize size;
  const guchar *data = g_bytes_get_data (payload, &size);
  g_autofree char *base64 = text ? NULL : g_base64_encode (data, size);
  g_autofree char *quoted = ws_json_quote (text ? text : base64);
  char seconds[G_ASCII_DTOSTR_BUF_SIZE];
  g_autofree char *line = NULL;

  g_ascii_formatd (seconds, sizeof seconds, "%.3f", offset);
  line = g_strdup_printf (
      "{\"offset_seconds\":%s,\"timestamp\":\"%s\",\"participant\":%s,\"topic\":%s,\"%s\":%s}\n",
      seconds, time, quoted_participant, quoted_topic, text ? "text" : "base64", quoted);
  append (&chat->messages, line);
}

static char * /* (transfer full) */
vtt_time (double seconds)
{
  guint64 ms = (guint64)(MAX (seconds, 0) * 1000 + 0.5);

  return g_strdup_printf ("%02" G_GUINT64_FORMAT ":%02u:%02u.%03u", ms / 3600000,
      (guint)(ms / 60000 % 60), (guint)(ms / 1000 % 60), (guint)(ms % 1000));
}

/* In a cue's text nothing may begin a tag or a line. */
static char * /* (transfer full) */
vtt_text (const char *text)
{
  GString *out = g_string_new (NULL);

  for (; *text; text++) {
    if (*text == '&')
      g_string_append (out, "&amp;");
    else if (*text == '<')
      g_string_append (out, "&lt;");
    else if (*text == '>')
      g_string_append (out, "&gt;");
    else
      g_string_append_c (out, g_ascii_iscntrl (*text) ? ' ' : *text);
  }
  return g_string_free (out, FALSE);
}

static void
take_subtitle (HavenChat *chat, double offset, const char *participant, const char *text)
{
  g_autofree char *from = vtt_time (offset), *to = vtt_time (offset + SHOWN);
  g_autofree char *who = vtt_text (participant), *what = vtt_text (text);
  g_autofree char *cue = g_strdup_printf ("\n%s --> %s\n<v %s>%s\n", from, to, who, what);

  if (!chat->subtitles.opened)
    append (&chat->subtitles, "WEBVTT\n");
  append (&chat->subtitles, cue);
}

/* Whoever speaks both kinds says so in the older.
 *
 * Returns: (transfer full) (nullable) */
static char *
legacy_text (const char *text)
{
  g_autoptr (JsonObject) object = livekit_json_parse (text, strlen (text), NULL);

  return object && !json_object_get_boolean_member_with_default (object, "ignoreLegacy", FALSE)
             ? g_strdup (livekit_json_get_string (object, "message"))
             : NULL;
}

void
haven_chat_take (
    HavenChat *chat, double offset, const char *participant, const char *topic, GBytes *payload)
{
  g_autofree char *text = get_text (payload);
  g_autofree char *legacy = text && strcmp (topic, LEGACY_TOPIC) == 0 ? legacy_text (text) : NULL;

  take_message (chat, offset, participant, topic, payload, text);
  if (legacy)
    take_subtitle (chat, offset, participant, legacy);
  else if (text && strcmp (topic, TOPIC) == 0)
    take_subtitle (chat, offset, participant, text);
}
