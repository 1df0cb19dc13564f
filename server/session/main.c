/* haven-session: the process of one room.
 *
 *   haven-session --socket PATH   serves org.haven.Session1 there, for a control server
 *   haven-session --record        records without a server, as standard input says
 *   haven-session --probe         prints as JSON what this machine can record
 *   haven-session --checksum FILE fills in the checksums of that manifest
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib-unix.h>
#include <json-glib/json-glib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "haven-checksum.h"
#include "haven-log.h"
#include "haven-record.h"
#include "haven-service.h"

#define UNUSED_TIMEOUT 60 /* s until somebody must have asked for the room */

typedef struct
{
  HavenSession *session;
  HavenService *service;
  const char *path; /* of the socket */
  GMainLoop *loop;
  HavenExit exit;
} Server;

/* For a control server that is not there now: without it, it would take this for a death. */
static void
leave_last_words (Server *self, const char *reason, const char *detail)
{
  g_autofree char *path = g_strconcat (self->path, ".ended", NULL);
  g_autofree char *text = g_strdup_printf ("%s\n%s\n", reason, detail);
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    g_warning ("%s", error->message);
}

static void
on_ended (HavenSession *session, const char *reason, const char *detail, Server *self)
{
  static const char *const fine[] = { "stopped", "idle", "room-closed", NULL };

  if (haven_service_was_used (self->service) && !haven_service_has_client (self->service))
    leave_last_words (self, reason, detail);
  self->exit = g_strv_contains (fine, reason) ? HAVEN_EXIT_OK : haven_exit_for_error (reason);
  g_main_loop_quit (self->loop);
}

static gboolean
on_terminate (gpointer user_data)
{
  haven_session_stop (((Server *)user_data)->session, 1001, "the server stops");
  return G_SOURCE_CONTINUE;
}

static gboolean
on_unused (gpointer user_data)
{
  Server *self = user_data;

  if (!haven_service_was_used (self->service)) {
    g_message ("Nobody asked for a room");
    haven_session_stop (self->session, 1001, "the server stops");
  }
  return G_SOURCE_REMOVE;
}

static int
serve (const char *path)
{
  Server self
      = { .session = haven_session_new (), .path = path, .loop = g_main_loop_new (NULL, FALSE) };
  g_autoptr (GError) error = NULL;
  guint terminate, interrupt, unused;

  signal (SIGPIPE, SIG_IGN); /* whoever read our log may be gone */
  haven_log_set_up_by_name (g_getenv ("HAVEN_LOG_FORMAT"), g_getenv ("HAVEN_LOG_LEVEL"));
  haven_graph_setup ();
  self.service = haven_service_new (path, self.session, &error);
  if (!self.service) {
    g_printerr ("haven-session: %s\n", error->message);
    return HAVEN_EXIT_FAILED;
  }
  g_signal_connect (self.session, "ended", G_CALLBACK (on_ended), &self);
  terminate = g_unix_signal_add (SIGTERM, on_terminate, &self);
  interrupt = g_unix_signal_add (SIGINT, on_terminate, &self);
  unused = g_timeout_add_seconds (UNUSED_TIMEOUT, on_unused, &self);
  g_main_loop_run (self.loop);

  g_source_remove (terminate);
  g_source_remove (interrupt);
  if (g_main_context_find_source_by_id (NULL, unused))
    g_source_remove (unused);
  haven_service_free (self.service);
  g_object_unref (self.session);
  g_main_loop_unref (self.loop);
  return self.exit;
}

static void
add_format (JsonBuilder *builder, const HavenFormat *format)
{
  g_autoptr (GPtrArray) missing = haven_graph_list_missing (format);
  const struct
  {
    const char *name, *value;
  } fields[] = {
    { "description", format->description },
    { "codec", format->video_codec },
    { "video_codec", format->video_codec },
    { "audio_codec", format->audio_codec },
    { "container", format->container },
    { "extension", format->extension },
  };

  json_builder_set_member_name (builder, format->name);
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "available");
  json_builder_add_boolean_value (builder, missing->len == 0);
  json_builder_set_member_name (builder, "missing");
  json_builder_begin_array (builder);
  for (guint i = 0; i < missing->len; i++)
    json_builder_add_string_value (builder, missing->pdata[i]);
  json_builder_end_array (builder);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++) {
    json_builder_set_member_name (builder, fields[i].name);
    json_builder_add_string_value (builder, fields[i].value);
  }
  json_builder_end_object (builder);
}

static int
probe (void)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *version = NULL, *text = NULL;

  haven_graph_setup ();
  version = haven_graph_describe_version ();
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "gstreamer");
  json_builder_add_string_value (builder, version);
  json_builder_set_member_name (builder, "formats");
  json_builder_begin_object (builder);
  for (const HavenFormat *format = haven_formats; format->name; format++)
    add_format (builder, format);
  json_builder_end_object (builder);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  text = json_to_string (root, TRUE);
  g_print ("%s\n", text);
  return HAVEN_EXIT_OK;
}

static int
make_checksums (const char *manifest)
{
  g_autoptr (GError) error = NULL;

  if (haven_checksum_run (manifest, &error))
    return HAVEN_EXIT_OK;
  g_printerr ("haven-session: %s\n", error->message);
  return HAVEN_EXIT_FAILED;
}

int
main (int argc, char **argv)
{
  g_autofree char *path = NULL, *manifest = NULL;
  gboolean version = FALSE, do_probe = FALSE, do_record = FALSE;
  const GOptionEntry entries[] = {
    { "socket", 's', 0, G_OPTION_ARG_FILENAME, &path,
        "Serve org.haven.Session1 on this Unix socket", "PATH" },
    { "record", 0, 0, G_OPTION_ARG_NONE, &do_record,
        "Record, with the settings that standard input gives; haven-live record starts this",
        NULL },
    { "probe", 0, 0, G_OPTION_ARG_NONE, &do_probe, "Print what this machine can record, as JSON",
        NULL },
    { "checksum", 0, 0, G_OPTION_ARG_FILENAME, &manifest,
        "Compute the checksums that this manifest lacks; each recording's end starts this",
        "FILE" },
    { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_summary (context, "The process of one room; haven-live starts it.");
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("haven-session: %s\n", error->message);
    return HAVEN_EXIT_USAGE;
  }
  if (version) {
    g_print ("haven-session %s\n", PACKAGE_VERSION);
    return HAVEN_EXIT_OK;
  }
  if (do_probe)
    return probe ();
  if (manifest)
    return make_checksums (manifest);
  if (do_record)
    return haven_record_run ();
  if (!path || argc > 1) {
    g_printerr ("haven-session: Say --socket PATH, --probe, --record or --checksum FILE\n");
    return HAVEN_EXIT_USAGE;
  }
  return serve (path);
}
