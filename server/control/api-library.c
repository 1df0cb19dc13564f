/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api.h"
#include "haven-file.h"
#include "haven-filename.h"
#include "haven-manifest.h"
#include "haven-removal.h"

#define PAGE 50
#define MAX_PAGE 200

/* Returns: (transfer full) (nullable): what lies beside a part under its name; NULL: nothing does
 */
static char *
find_beside (const HavenPartRow *part, const char *ending)
{
  g_autofree char *name = haven_filename_finished (part->path);
  g_autofree char *path = haven_manifest_sibling (name, ending);

  return g_file_test (path, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer (&path) : NULL;
}

static JsonObject * /* (transfer full) */
describe_part (const HavenRecordingRow *row, const HavenPartRow *part)
{
  JsonObject *object = json_object_new ();
  g_autofree char *chat = row->chat ? find_beside (part, ".jsonl") : NULL;
  g_autofree char *subtitles = row->chat ? find_beside (part, ".vtt") : NULL;

  json_object_set_int_member (object, "part", part->number);
  json_object_set_string_member (object, "path", part->path);
  json_object_set_double_member (object, "duration_seconds", part->duration);
  json_object_set_int_member (object, "file_size_bytes", (gint64)part->size);
  json_object_set_boolean_member (object, "complete", part->complete);
  json_object_set_boolean_member (object, "recovered", haven_recorder_is_recovered (part));
  json_object_set_boolean_member (object, "chat", chat != NULL);
  json_object_set_boolean_member (object, "subtitles", subtitles != NULL);
  return object;
}

/* Returns: (transfer full) */
JsonObject *
api_describe_recording (const HavenRecordingRow *row)
{
  JsonObject *object = json_object_new ();
  JsonArray *parts = json_array_new ();
  HavenPartRow *last = haven_recording_row_last_part (row);

  for (guint i = 0; i < row->parts->len; i++)
    json_array_add_object_element (parts, describe_part (row, row->parts->pdata[i]));
  json_object_set_string_member (object, "recording_id", row->id);
  json_object_set_int_member (object, "session_id", row->session_id);
  json_object_set_string_member (object, "mint_id", row->mint_id);
  json_object_set_string_member (object, "room_name", row->room_name);
  haven_json_set_string (object, "participant_sid", row->participant_sid);
  json_object_set_string_member (object, "state", row->state);
  haven_json_set_string (object, "error", row->error);
  haven_json_set_string (object, "output_path", last ? last->path : NULL);
  haven_json_set_time (object, "start_time", row->start_time);
  haven_json_set_time (object, "end_time", row->end_time);
  json_object_set_double_member (object, "duration_seconds", haven_recording_row_duration (row));
  json_object_set_int_member (object, "file_size_bytes", (gint64)haven_recording_row_size (row));
  json_object_set_object_member (object, "config", api_recording_config (row));
  json_object_set_array_member (object, "parts", parts);
  return object;
}

static HavenRecordingRow * /* (transfer full) (nullable): it has replied where there is none */
path_recording (HavenRequest *request)
{
  HavenRecordingRow *row = haven_store_get_recording (request->app->store, request->id);

  if (row)
    haven_request_set_session (request, row->mint_id, row->session_id);
  else
    haven_request_fail (
        request, HAVEN_ERROR_NO_RECORDING, "There is no recording “%s”.", request->id);
  return row;
}

void
api_library_list (HavenRequest *request)
{
  HavenStore *store = request->app->store;
  const char *mint_id = g_hash_table_lookup (request->query, "mint_id");
  const char *state = g_hash_table_lookup (request->query, "state");
  JsonObject *body;
  JsonArray *recordings;
  g_autoptr (GPtrArray) rows = NULL;
  guint limit, offset;

  if (!haven_request_uint (request, "limit", 1, MAX_PAGE, PAGE, &limit)
      || !haven_request_uint (request, "offset", 0, G_MAXINT, 0, &offset))
    return;
  if ((mint_id && !haven_id_is_valid (mint_id)) || (state && !haven_id_is_valid (state))) {
    haven_request_fail (request, HAVEN_ERROR_INVALID, "“mint_id” or “state” is not valid.");
    return;
  }
  rows = haven_store_list_recordings (store, mint_id, state, limit, offset);
  recordings = json_array_new ();
  for (guint i = 0; i < rows->len; i++)
    json_array_add_object_element (recordings, api_describe_recording (rows->pdata[i]));
  body = json_object_new ();
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_int_member (body, "total", haven_store_count_recordings (store, mint_id, state));
  json_object_set_int_member (body, "limit", limit);
  json_object_set_int_member (body, "offset", offset);
  json_object_set_array_member (body, "recordings", recordings);
  haven_request_reply_json (request, 200, body);
}

void
api_library_get (HavenRequest *request)
{
  g_autoptr (HavenRecordingRow) row = path_recording (request);
  JsonObject *body;

  if (!row)
    return;
  body = api_describe_recording (row);
  json_object_set_boolean_member (body, "success", TRUE);
  haven_request_reply_json (request, 200, body);
}

void
api_library_delete (HavenRequest *request)
{
  HavenApp *app = request->app;
  g_autoptr (HavenRecordingRow) row = path_recording (request);
  g_autoptr (GError) error = NULL;
  JsonObject *body;

  if (!row)
    return;
  if (strcmp (row->state, "recording") == 0) {
    haven_request_fail (request, HAVEN_ERROR_RECORDING_RUNS, "The recording runs; stop it first.");
    return;
  }
  if (!haven_removal_delete (app->store, row, &error)) {
    haven_request_reply_error (request, error);
    return;
  }
  body = json_object_new ();
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "recording_id", row->id);
  haven_request_reply_json (request, 200, body);
}

/* @name: of the finished file */
static const char *
media_type (const char *name)
{
  static const char *const types[][2] = {
    { ".json", "application/json" },
    { ".jsonl", "application/jsonl" },
    { ".mp4", "video/mp4" },
    { ".opus", "audio/ogg" },
    { ".vtt", "text/vtt" },
    { ".wav", "audio/wav" },
    { ".webm", "video/webm" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_str_has_suffix (name, types[i][0]))
      return types[i][1];
  return "video/x-matroska";
}

/* Returns: (transfer none) (nullable): it has replied where there is none */
static const HavenPartRow *
find_part (HavenRequest *request, const HavenRecordingRow *row)
{
  guint number;

  if (!haven_request_uint (request, "part", 1, MAX (row->parts->len, 1), 1, &number))
    return NULL;
  if (row->parts->len)
    return row->parts->pdata[number - 1];
  haven_request_fail (request, HAVEN_ERROR_NO_FILE, "The recording's file is gone.");
  return NULL;
}

/* A part whose recording runs has its name with .part yet.
 *
 * Returns: (transfer full) (nullable): it is gone */
static char *
find_file (const HavenPartRow *part)
{
  g_autofree char *unfinished = g_strconcat (part->path, HAVEN_UNFINISHED, NULL);

  if (g_file_test (part->path, G_FILE_TEST_IS_REGULAR))
    return g_strdup (part->path);
  return g_file_test (unfinished, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer (&unfinished) : NULL;
}

static char * /* (transfer full) */
file_head (GString *head, const char *path, HavenRangeKind kind, guint64 first, guint64 length,
    guint64 size)
{
  g_autofree char *finished = haven_filename_finished (path);
  g_autofree char *name = g_path_get_basename (finished);

  g_string_append_printf (head,
      "Content-Type: %s\r\nContent-Length: %" G_GUINT64_FORMAT
      "\r\nAccept-Ranges: bytes\r\nCache-Control: no-store\r\n"
      "Content-Disposition: inline; filename=\"%s\"\r\n",
      media_type (name), length, name);
  if (kind == HAVEN_RANGE_PART)
    g_string_append_printf (head,
        "Content-Range: bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT
        "\r\n",
        first, first + length - 1, size);
  g_string_append (head, "\r\n");
  return g_string_free (head, FALSE);
}

static void
send_file (HavenRequest *request, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) input = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autofree char *text = NULL;
  guint64 size, first, length;
  HavenRangeKind kind;
  gboolean head_only;
  GSocket *socket = NULL;
  GString *head = NULL;
  GStatBuf status;

  if (haven_file_full ()) {
    haven_request_fail (request, HAVEN_ERROR_LIMIT, "Too many files are being sent; try again.");
    return;
  }
  if (!api_may_stay (request))
    return;
  input = g_file_read (file, NULL, NULL);
  if (!input || g_stat (path, &status) < 0) {
    haven_request_fail (request, HAVEN_ERROR_NO_FILE, "The recording's file cannot be read.");
    return;
  }
  size = (guint64)status.st_size;
  kind = haven_range_parse (haven_request_header (request, "Range"), size, &first, &length);
  if (kind == HAVEN_RANGE_UNSATISFIABLE
      || !g_seekable_seek (G_SEEKABLE (input), (goffset)first, G_SEEK_SET, NULL, NULL)) {
    g_autofree char *all = g_strdup_printf ("bytes */%" G_GUINT64_FORMAT, size);

    haven_request_set_header (request, "Content-Range", all);
    haven_request_fail (request, HAVEN_ERROR_RANGE, "The file has no such bytes.");
    return;
  }
  head_only = haven_request_is_head (request);
  stream = haven_request_take_connection (
      request, kind == HAVEN_RANGE_PART ? 206 : 200, &socket, &head);
  if (!stream)
    return;
  text = file_head (head, path, kind, first, length, size);
  haven_file_send (stream, socket, text, input, head_only ? 0 : length);
}

void
api_library_file (HavenRequest *request)
{
  g_autoptr (HavenRecordingRow) row = path_recording (request);
  const HavenPartRow *part = row ? find_part (request, row) : NULL;
  g_autofree char *path = part ? find_file (part) : NULL;

  if (path)
    send_file (request, path);
  else if (part)
    haven_request_fail (request, HAVEN_ERROR_NO_FILE, "The recording's file is gone.");
}

static void
send_beside (HavenRequest *request, const char *ending, const char *what)
{
  g_autoptr (HavenRecordingRow) row = path_recording (request);
  const HavenPartRow *part = row ? find_part (request, row) : NULL;
  g_autofree char *path = part ? find_beside (part, ending) : NULL;

  if (path)
    send_file (request, path);
  else if (part)
    haven_request_fail (request, HAVEN_ERROR_NO_FILE, "The recording has no %s.", what);
}

void
api_library_chat (HavenRequest *request)
{
  send_beside (request, ".jsonl", "chat");
}

void
api_library_subtitles (HavenRequest *request)
{
  send_beside (request, ".vtt", "subtitles");
}

/* That of a later part lies beside an earlier one. */
void
api_library_manifest (HavenRequest *request)
{
  g_autoptr (HavenRecordingRow) row = path_recording (request);
  const HavenPartRow *part = row ? find_part (request, row) : NULL;
  g_autofree char *name = part ? haven_filename_finished (part->path) : NULL, *path = NULL;
  g_autoptr (JsonNode) manifest = name ? haven_manifest_find (name, &path) : NULL;

  if (manifest)
    send_file (request, path);
  else if (part)
    haven_request_fail (request, HAVEN_ERROR_NO_FILE, "The recording has no manifest yet.");
}

/* The picture that was kept when the recording began: media is not parsed in this process. */
void
api_library_thumbnail (HavenRequest *request)
{
  g_autoptr (HavenRecordingRow) row = path_recording (request);
  g_autofree char *path = row ? haven_recorder_thumbnail (row) : NULL;
  g_autoptr (GBytes) jpeg = NULL;
  char *data;
  gsize size;

  if (!row)
    return;
  if (!path || !g_file_get_contents (path, &data, &size, NULL)) {
    haven_request_fail (request, HAVEN_ERROR_NO_FILE, "The recording has no picture to show.");
    return;
  }
  jpeg = g_bytes_new_take (data, size);
  haven_request_reply_data (request, 200, "image/jpeg", jpeg, "private, max-age=3600");
}
