/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-record.h"

#include <glib-unix.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "haven-filename.h"
#include "haven-manifest.h"
#include "haven-session-error.h"
#include "haven-session.h"

#define MAX_SETTINGS (64 * 1024) /* bytes */

typedef struct
{
  HavenSession *session;
  GMainLoop *loop;
  GVariant *settings; /* (owned) */
  guint duration;     /* s; 0: until told */
  gboolean json, terminal;

  guint duration_timer, progress_timer;
  guint64 last_frames;
  gint64 last_time;
  gboolean ended;
  gboolean stopped; /* by a signal */
  gboolean shows_progress;
  char *error;      /* (owned) (nullable) */
  GVariant *result; /* (owned) (nullable) of the recording that ended */
  HavenExit exit;
} Recorder;

HavenExit
haven_exit_for_error (const char *name)
{
  switch (haven_session_error_from_name (name)) {
  case HAVEN_SESSION_ERROR_CONFIG:
  case HAVEN_SESSION_ERROR_FILE:
    return HAVEN_EXIT_USAGE;
  case HAVEN_SESSION_ERROR_UNAUTHORIZED:
  case HAVEN_SESSION_ERROR_PERMISSION:
    return HAVEN_EXIT_UNAUTHORIZED;
  case HAVEN_SESSION_ERROR_UNAVAILABLE:
  case HAVEN_SESSION_ERROR_TLS:
  case HAVEN_SESSION_ERROR_TIMEOUT:
  case HAVEN_SESSION_ERROR_PROTOCOL:
    return HAVEN_EXIT_UNAVAILABLE;
  case HAVEN_SESSION_ERROR_NOT_FOUND:
  case HAVEN_SESSION_ERROR_NO_STREAMER:
  case HAVEN_SESSION_ERROR_ROOM_CLOSED:
  case HAVEN_SESSION_ERROR_ENCRYPTED:
  case HAVEN_SESSION_ERROR_REMOVED:
  case HAVEN_SESSION_ERROR_DUPLICATE:
    return HAVEN_EXIT_ROOM;
  case HAVEN_SESSION_ERROR_DISK_FULL:
    return HAVEN_EXIT_DISK;
  default:
    return HAVEN_EXIT_FAILED;
  }
}

/* The first thing that went wrong is what counts. */
static void
fail (Recorder *self, HavenExit code, const char *message)
{
  if (self->exit != HAVEN_EXIT_OK)
    return;
  self->exit = code;
  self->error = g_strdup (message);
}

/* What a person is told is in fail() and on_progress(); G_MESSAGES_DEBUG shows the rest. Any
 * thread. */
static GLogWriterOutput
write_log (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  if ((level & G_LOG_LEVEL_MASK) > G_LOG_LEVEL_WARNING && !g_getenv ("G_MESSAGES_DEBUG"))
    return G_LOG_WRITER_HANDLED;
  return g_log_writer_default (level, fields, n_fields, user_data);
}

static gboolean
on_progress (gpointer user_data)
{
  Recorder *self = user_data;
  HavenRecording *recording = haven_session_peek_recording (self->session);
  gint64 now = g_get_monotonic_time ();
  HavenSessionProperties properties;
  HavenRecordingFigures figures;
  double fps;
  int seconds;

  if (!recording)
    return G_SOURCE_CONTINUE;
  haven_session_get_properties (self->session, &properties);
  haven_recording_get_figures (recording, &figures);
  fps = self->last_time
            ? (figures.frames.video_frames - self->last_frames) * 1e6 / (now - self->last_time)
            : 0;
  self->last_frames = figures.frames.video_frames;
  self->last_time = now;
  seconds = figures.duration;
  self->shows_progress = TRUE;
  g_printerr ("\r%02d:%02d:%02d  %.1f MB  %.1f fps  %" G_GUINT64_FORMAT " dropped%s\033[K",
      seconds / 3600, seconds / 60 % 60, seconds % 60, figures.size / 1e6, fps,
      figures.frames.dropped_frames,
      strcmp (properties.state, "reconnecting") == 0 ? "  reconnecting" : "");
  return G_SOURCE_CONTINUE;
}

static gboolean
on_duration (gpointer user_data)
{
  Recorder *self = user_data;

  self->duration_timer = 0;
  haven_session_stop (self->session, 1000, "done");
  return G_SOURCE_REMOVE;
}

static void
on_first_picture (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree char *path = user_data;
  g_autoptr (GBytes) jpeg = haven_graph_snapshot_finish (HAVEN_GRAPH (source), result, NULL);
  gsize size;
  const char *data = jpeg ? g_bytes_get_data (jpeg, &size) : NULL;

  if (data)
    g_free (haven_filename_write (path, data, size, NULL));
}

/* As serve does, beside what it records. */
static void
keep_first_picture (Recorder *self, GVariant *info)
{
  HavenGraph *graph = haven_session_get_graph (self->session, NULL);
  const HavenAsk ask = { .width = HAVEN_THUMBNAIL_WIDTH };
  const char *format = NULL, *path = NULL;

  g_variant_lookup (info, "format", "&s", &format);
  g_variant_lookup (info, "output_path", "&s", &path);
  if (graph && haven_format_has_video (haven_format_find (format)))
    haven_graph_snapshot_async (
        graph, &ask, on_first_picture, haven_manifest_sibling (path, ".jpg"));
}

static void
on_recording (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Recorder *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) info
      = haven_session_recording_finish (HAVEN_SESSION (source), result, &error);

  if (!info) {
    fail (self,
        self->stopped ? HAVEN_EXIT_FAILED : haven_exit_for_error (haven_session_error_name (error)),
        error->message);
    haven_session_stop (self->session, 1000, "done");
    return;
  }
  keep_first_picture (self, info);
  if (self->duration)
    self->duration_timer = g_timeout_add_seconds (self->duration, on_duration, self);
  if (self->terminal)
    self->progress_timer = g_timeout_add (500, on_progress, self);
}

static void
on_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Recorder *self = user_data;
  g_autoptr (GError) error = NULL;

  if (haven_session_start_finish (HAVEN_SESSION (source), result, &error))
    haven_session_start_recording_async (self->session, self->settings, on_recording, self);
  else if (!self->stopped)
    fail (self, haven_exit_for_error (haven_session_error_name (error)), error->message);
}

static void
on_recording_changed (HavenSession *session, GVariant *info, Recorder *self)
{
  const char *state = "";

  g_variant_lookup (info, "state", "&s", &state);
  if (strcmp (state, "stopped") != 0)
    return;
  g_clear_pointer (&self->result, g_variant_unref);
  self->result = g_variant_ref (info);
  haven_session_stop (session, 1000, "done");
}

static void
on_ended (HavenSession *session, const char *reason, const char *detail, Recorder *self)
{
  gboolean closed = strcmp (reason, "room-closed") == 0;
  const char *error = "";

  if (self->result)
    g_variant_lookup (self->result, "error", "&s", &error);
  if (*error && !(closed && strcmp (error, detail) == 0)) /* a room that closes is an end, too */
    fail (self, HAVEN_EXIT_CUT_SHORT, error);
  if (strcmp (reason, "stopped") != 0 && !closed)
    fail (self, self->result ? HAVEN_EXIT_CUT_SHORT : haven_exit_for_error (reason), detail);
  else if (!self->result)
    fail (self, self->stopped ? HAVEN_EXIT_FAILED : HAVEN_EXIT_ROOM, "Nothing was recorded");
  self->ended = TRUE;
  g_main_loop_quit (self->loop);
}

static gboolean
on_signal (gpointer user_data)
{
  Recorder *self = user_data;

  self->stopped = TRUE;
  haven_session_stop (self->session, 1000, "done");
  return G_SOURCE_CONTINUE;
}

static void
print_json (Recorder *self)
{
  g_auto (GVariantDict) answer = G_VARIANT_DICT_INIT (self->result);
  g_autoptr (GVariant) all = NULL;
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *text = NULL;

  g_variant_dict_insert (&answer, "success", "b", self->exit == HAVEN_EXIT_OK);
  g_variant_dict_insert (&answer, "error", "s", self->error ? self->error : "");
  g_variant_dict_insert (&answer, "exit_code", "i", self->exit);
  all = g_variant_ref_sink (g_variant_dict_end (&answer));
  node = json_gvariant_serialize (all);
  text = json_to_string (node, FALSE);
  g_print ("%s\n", text);
}

static void
print_result (Recorder *self)
{
  const char *path = NULL;

  if (self->shows_progress)
    g_printerr ("\n");
  if (self->json) {
    print_json (self);
    return;
  }
  if (self->result && g_variant_lookup (self->result, "final_path", "&s", &path) && *path)
    g_print ("%s\n", path);
  if (self->error)
    g_printerr ("haven-live: %s\n", self->error);
}

static GVariant * /* (transfer full) (nullable) */
read_settings (void)
{
  g_autofree char *text = g_malloc (MAX_SETTINGS + 1);
  gsize size = fread (text, 1, MAX_SETTINGS, stdin);

  text[size] = '\0';
  return g_variant_parse (G_VARIANT_TYPE_VARDICT, text, text + size, NULL, NULL);
}

static void
run (Recorder *self)
{
  guint sigint = g_unix_signal_add (SIGINT, on_signal, self);
  guint sigterm = g_unix_signal_add (SIGTERM, on_signal, self);

  g_signal_connect (self->session, "recording-changed", G_CALLBACK (on_recording_changed), self);
  g_signal_connect (self->session, "ended", G_CALLBACK (on_ended), self);
  haven_session_start_async (self->session, self->settings, on_started, self);
  if (!self->ended)
    g_main_loop_run (self->loop);
  g_source_remove (sigint);
  g_source_remove (sigterm);
  g_clear_handle_id (&self->duration_timer, g_source_remove);
  g_clear_handle_id (&self->progress_timer, g_source_remove);
}

HavenExit
haven_record_run (void)
{
  Recorder self = { .settings = read_settings () };

  if (!self.settings) {
    g_printerr ("haven-session: Standard input holds no settings\n");
    return HAVEN_EXIT_USAGE;
  }
  g_variant_lookup (self.settings, "duration", "u", &self.duration);
  g_variant_lookup (self.settings, "json", "b", &self.json);
  self.terminal = isatty (STDERR_FILENO) && !self.json;
  self.loop = g_main_loop_new (NULL, FALSE);
  g_log_set_writer_func (write_log, NULL, NULL);
  haven_graph_setup ();
  self.session = haven_session_new ();
  run (&self);
  print_result (&self);
  g_clear_pointer (&self.result, g_variant_unref);
  g_object_unref (self.session);
  g_main_loop_unref (self.loop);
  g_variant_unref (self.settings);
  g_free (self.error);
  return self.exit;
}
