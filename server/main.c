/* haven-live: the command line. Each subcommand is a function; what it does is elsewhere.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "haven-app.h"
#include "haven-doctor.h"
#include "haven-exit.h"
#include "haven-format.h"
#include "haven-recover.h"
#include "livekit-token.h"

#define TOKEN_VALIDITY 3600 /* s */

static const char help[]
    = "Usage: haven-live COMMAND [OPTION…]\n"
      "\n"
      "Commands:\n"
      "  serve               serve the HTTP and WebSocket interface\n"
      "  record ROOM -o FILE record a room without a server\n"
      "  recover FILE|DIR    finish what a crash left of recordings\n"
      "  token ROOM          print a token with which one may watch a room\n"
      "  doctor              look what is missing on this machine\n"
      "\n"
      "haven-live COMMAND --help lists a command's options; --version prints the version.\n"
      "\n"
      "Settings come from, the later winning: built-in values, the configuration file, the "
      "environment, the\n"
      "command line, and what was set through the API. Secrets are never arguments: "
      "LIVEKIT_API_SECRET,\n"
      "HAVEN_API_TOKEN, files, or standard input, which a file named “-” is.\n"
      "\n"
      "Exit codes: 0 done, 1 failed, 2 wrong arguments or settings, 3 the room could not be "
      "joined, 4 LiveKit\n"
      "refused the token, 5 LiveKit cannot be reached, 6 the disk is full, 7 the recording was cut "
      "short,\n"
      "8 another haven-live uses the state directory or writes the file, 9 somebody else listens "
      "at "
      "the\naddress.\n";

typedef struct
{
  HavenConfig *config;
  const char *program;
  char *file; /* (nullable) the configuration file that was read */

  /* What was said on the command line: (owned) (nullable) */
  char *listen, *config_file, *state, *recordings, *token_file, *secret_file;
  char *log_format, *log_level;
  char *output, *format, *quality, *participant;
  int duration, segment_minutes, segment_mb;
  gboolean insecure, check, json, chat;
} Options;

static void
options_clear (Options *options)
{
  char *texts[] = { options->file, options->listen, options->config_file, options->state,
    options->recordings, options->token_file, options->secret_file, options->log_format,
    options->log_level, options->output, options->format, options->quality, options->participant };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (texts[i]);
  g_clear_pointer (&options->config, haven_config_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

/* -- answers -- */

static void
print_json (JsonObject *object)
{
  g_autofree char *text = haven_json_to_text (object);

  g_print ("%s\n", text);
}

/* Returns: @code */
static HavenExit
complain (gboolean json, HavenExit code, const char *message)
{
  if (json) {
    g_autoptr (JsonObject) object = json_object_new ();

    json_object_set_boolean_member (object, "success", FALSE);
    json_object_set_string_member (object, "error", message);
    json_object_set_int_member (object, "exit_code", code);
    print_json (object);
  } else {
    g_printerr ("haven-live: %s\n", message);
  }
  return code;
}

/* -- options -- */

static char * /* (transfer full) (nullable) */
absolute (const char *path)
{
  return path && strcmp (path, "-") != 0 ? g_canonicalize_filename (path, NULL) : g_strdup (path);
}

static gboolean
apply (Options *options, GError **error)
{
  g_autofree char *state = absolute (options->state);
  g_autofree char *recordings = absolute (options->recordings);
  g_autofree char *token_file = absolute (options->token_file);
  g_autofree char *secret_file = absolute (options->secret_file);
  const struct
  {
    HavenKey key;
    const char *value;
  } given[] = {
    { HAVEN_KEY_LISTEN, options->listen },
    { HAVEN_KEY_STATE_DIRECTORY, state },
    { HAVEN_KEY_RECORDING_DIRECTORY, recordings },
    { HAVEN_KEY_API_TOKEN_FILE, token_file },
    { HAVEN_KEY_LIVEKIT_API_SECRET_FILE, secret_file },
    { HAVEN_KEY_LOG_FORMAT, options->log_format },
    { HAVEN_KEY_LOG_LEVEL, options->log_level },
    { HAVEN_KEY_INSECURE, options->insecure ? "true" : NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (given); i++)
    if (given[i].value
        && !haven_config_set (
            options->config, HAVEN_LAYER_COMMAND_LINE, given[i].key, given[i].value, error))
      return FALSE;
  return TRUE;
}

typedef enum
{
  FOR_ALL = 0,
  FOR_SERVER = 1 << 0,
  FOR_CHECK = 1 << 1,
  FOR_RECORD = 1 << 2,
  FOR_FILES = 1 << 3, /* it needs no settings */
} Group;

static void
add_entries (GOptionContext *context, Options *options, Group groups)
{
  const GOptionEntry settings[] = {
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &options->config_file, "The configuration file",
        "FILE" },
    { "api-secret-file", 0, 0, G_OPTION_ARG_FILENAME, &options->secret_file,
        "The file that holds the secret of LiveKit's API key; - is standard input", "FILE" },
    { NULL },
  };
  const GOptionEntry json[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &options->json, "Answer as JSON", NULL },
    { NULL },
  };
  const GOptionEntry server[] = {
    { "listen", 0, 0, G_OPTION_ARG_STRING, &options->listen, "Where to listen (127.0.0.1:8000)",
        "ADDRESS:PORT" },
    { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->state, "Where the database is",
        "DIRECTORY" },
    { "recordings", 0, 0, G_OPTION_ARG_FILENAME, &options->recordings, "Where recordings go",
        "DIRECTORY" },
    { "api-token-file", 0, 0, G_OPTION_ARG_FILENAME, &options->token_file,
        "The file that holds the token which callers must have; - is standard input", "FILE" },
    { "insecure", 0, 0, G_OPTION_ARG_NONE, &options->insecure,
        "Let other machines in without an API token", NULL },
    { "log-format", 0, 0, G_OPTION_ARG_STRING, &options->log_format, "logfmt or json", "FORMAT" },
    { "log-level", 0, 0, G_OPTION_ARG_STRING, &options->log_level, "error, warning, info or debug",
        "LEVEL" },
    { NULL },
  };
  const GOptionEntry check[] = {
    { "check-config", 0, 0, G_OPTION_ARG_NONE, &options->check,
        "Say whether it would start with these settings, and end", NULL },
    { NULL },
  };
  const GOptionEntry record[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options->output,
        "File to write; its end tells the format", "FILE" },
    { "format", 'f', 0, G_OPTION_ARG_STRING, &options->format,
        "av1, source, h264, vp9, mp4, webm, opus or wav", "FORMAT" },
    { "quality", 'q', 0, G_OPTION_ARG_STRING, &options->quality,
        "low, medium or high (default: as the room sends it, where that fits the format)",
        "QUALITY" },
    { "duration", 'd', 0, G_OPTION_ARG_INT, &options->duration,
        "Stop after so many seconds (default: at Ctrl-C)", "SECONDS" },
    { "segment-minutes", 0, 0, G_OPTION_ARG_INT, &options->segment_minutes,
        "Begin another file after so many minutes", "MINUTES" },
    { "segment-mb", 0, 0, G_OPTION_ARG_INT, &options->segment_mb,
        "Begin another file after so many megabytes", "MEGABYTES" },
    { "chat", 0, 0, G_OPTION_ARG_NONE, &options->chat,
        "Write what participants say as data beside the file", NULL },
    { "participant", 'p', 0, G_OPTION_ARG_STRING, &options->participant,
        "Whom to record (default: the streamer)", "IDENTITY" },
    { NULL },
  };

  if (!(groups & FOR_FILES))
    g_option_context_add_main_entries (context, settings, NULL);
  g_option_context_add_main_entries (context, json, NULL);
  if (groups & FOR_SERVER)
    g_option_context_add_main_entries (context, server, NULL);
  if (groups & FOR_CHECK)
    g_option_context_add_main_entries (context, check, NULL);
  if (groups & FOR_RECORD)
    g_option_context_add_main_entries (context, record, NULL);
}

static gboolean
load (Options *options, GError **error)
{
  options->file
      = options->config_file ? absolute (options->config_file) : haven_config_default_file ();
  return (!options->file || haven_config_load_file (options->config, options->file, error))
         && haven_config_load_environment (options->config, error) && apply (options, error);
}

/* -- commands -- */

/* What serve would complain about at its start; changes nothing. */
static gboolean
check_settings (Options *options, GError **error)
{
  HavenConfig *config = options->config;
  g_autoptr (GError) problem = NULL;
  g_autoptr (HavenStore) store
      = haven_store_open_to_read (haven_config_get (config, HAVEN_KEY_STATE_DIRECTORY), &problem);
  g_autofree char *binary = NULL, *runtime = NULL;

  if (problem) {
    g_propagate_error (error, g_steal_pointer (&problem));
    return FALSE;
  }
  if (store && !haven_app_load_stored (config, store, error))
    return FALSE;
  runtime = haven_app_find_runtime_directory (config, error);
  if (!runtime || !haven_config_check_access (config, error)
      || !haven_doctor_check_directory (runtime, NULL, error)
      || !haven_doctor_check_directory (
          haven_config_get (config, HAVEN_KEY_STATE_DIRECTORY), NULL, error)
      || !haven_doctor_check_directory (
          haven_config_get (config, HAVEN_KEY_RECORDING_DIRECTORY), NULL, error))
    return FALSE;
  binary = haven_app_find_session_binary (config, options->program);
  if (g_file_test (binary, G_FILE_TEST_IS_EXECUTABLE))
    return TRUE;
  g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_CONFIG, "%s cannot be run.", binary);
  return FALSE;
}

static HavenExit
check_config (Options *options)
{
  g_autoptr (GError) error = NULL;

  if (!check_settings (options, &error))
    return complain (options->json, HAVEN_EXIT_USAGE, error->message);
  if (options->json) {
    g_autoptr (JsonObject) object = json_object_new ();

    json_object_set_boolean_member (object, "success", TRUE);
    haven_json_set_string (object, "file", options->file);
    print_json (object);
  } else {
    g_print ("The settings are valid (%s).\n", options->file ? options->file : "no file");
  }
  return HAVEN_EXIT_OK;
}

static HavenExit
serve (Options *options, const char *nothing)
{
  g_autoptr (GError) error = NULL;

  if (!haven_config_load_secrets (options->config, &error))
    return complain (options->json, HAVEN_EXIT_USAGE, error->message);
  if (options->check)
    return check_config (options);
  return haven_app_run (options->config, options->file, options->program);
}

static HavenExit
print_token (Options *options, const char *room)
{
  HavenConfig *config = options->config;
  g_autofree char *identity = g_strdup_printf ("haven-viewer-%08x", g_random_int ());
  const LiveKitTokenGrants grants
      = { .room_name = room, .identity = identity, .validity = TOKEN_VALIDITY };
  g_autoptr (GError) error = NULL;
  g_autofree char *token = NULL;

  if (haven_config_load_secrets (config, &error))
    token = livekit_token_new (haven_config_get (config, HAVEN_KEY_LIVEKIT_API_KEY),
        haven_config_get (config, HAVEN_KEY_LIVEKIT_API_SECRET), &grants, &error);
  if (!token)
    return complain (options->json, HAVEN_EXIT_USAGE, error->message);
  if (options->json) {
    g_autoptr (JsonObject) object = json_object_new ();

    json_object_set_boolean_member (object, "success", TRUE);
    json_object_set_string_member (object, "token", token);
    json_object_set_string_member (object, "room_name", room);
    json_object_set_string_member (object, "identity", identity);
    haven_json_set_string (object, "livekit_url", haven_config_get (config, HAVEN_KEY_LIVEKIT_URL));
    print_json (object);
  } else {
    g_print ("%s\n", token);
  }
  return HAVEN_EXIT_OK;
}

static HavenExit
doctor (Options *options, const char *nothing)
{
  g_autofree char *binary = haven_app_find_session_binary (options->config, options->program);

  return haven_doctor_run (options->config, binary, options->json);
}

static HavenExit
recover (Options *options, const char *path)
{
  return haven_recover_run (path, options->json);
}

/* -- record: the session's binary does it; here it is settled what -- */

static const HavenFormat * /* (nullable) */
find_format (Options *options, GError **error)
{
  const HavenFormat *format = options->format ? haven_format_find (options->format)
                                              : haven_format_for_file (options->output);

  if (!format && options->format)
    g_set_error (
        error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "There is no format “%s”.", options->format);
  else if (!format)
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "Say with --format what “%s” shall be.",
        options->output);
  return format;
}

static GVariant * /* (transfer full) (nullable) */
record_settings (Options *options, const char *room, GError **error)
{
  g_auto (GVariantDict) settings = G_VARIANT_DICT_INIT (NULL);
  const char *quality = options->quality ? options->quality : ""; /* what the room sends may do */
  /* Of its own: two of one identity throw each other out of the room. */
  g_autofree char *identity = g_strdup_printf ("haven-recorder-%08x", g_random_int ());
  g_autofree char *path = NULL;
  const char *token = g_getenv ("LIVEKIT_TOKEN"); /* one's own */
  const HavenFormat *format;

  if (!options->output || options->duration < 0) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID,
        options->output ? "--duration must be a number of seconds."
                        : "Say with --output which file to write.");
    return NULL;
  }
  if (options->segment_minutes < 0 || options->segment_mb < 0) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID,
        "--segment-minutes and --segment-mb must not be below 0.");
    return NULL;
  }
  format = find_format (options, error);
  if (!format || !haven_config_load_secrets (options->config, error)
      || !haven_config_add_session (options->config, token, &settings, error))
    return NULL;
  if (!haven_quality_find (quality)) {
    g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "There is no quality “%s”.", quality);
    return NULL;
  }
  path = absolute (options->output);
  g_variant_dict_insert (&settings, "mint_id", "s", room);
  g_variant_dict_insert (&settings, "room_name", "s", room);
  g_variant_dict_insert (&settings, "identity", "s", identity);
  g_variant_dict_insert (&settings, "participant_name", "s", "Haven Recorder");
  if (options->participant)
    g_variant_dict_insert (&settings, "participant_identity", "s", options->participant);
  g_variant_dict_insert (&settings, "path", "s", path);
  g_variant_dict_insert (&settings, "format", "s", format->name);
  g_variant_dict_insert (&settings, "video_quality", "s", quality);
  g_variant_dict_insert (&settings, "audio_quality", "s", quality);
  g_variant_dict_insert (&settings, "segment_minutes", "u", (guint)options->segment_minutes);
  g_variant_dict_insert (&settings, "segment_mb", "u", (guint)options->segment_mb);
  g_variant_dict_insert (&settings, "chat", "b", options->chat);
  g_variant_dict_insert (&settings, "duration", "u", (guint)options->duration);
  g_variant_dict_insert (&settings, "json", "b", options->json);
  return g_variant_ref_sink (g_variant_dict_end (&settings));
}

/* Whoever can read our memory can read this; arguments and the environment are read by more. */
static gboolean
put_on_input (GVariant *settings)
{
  g_autofree char *text = g_variant_print (settings, TRUE);
  gsize size = strlen (text);
  int fd = memfd_create ("haven-live-record", 0);

  return fd >= 0 && write (fd, text, size) == (gssize)size && lseek (fd, 0, SEEK_SET) == 0
         && dup2 (fd, STDIN_FILENO) == STDIN_FILENO && close (fd) == 0;
}

static HavenExit
record (Options *options, const char *room)
{
  static const char *const secrets[] = { "LIVEKIT_API_SECRET", "LIVEKIT_TOKEN", "HAVEN_API_TOKEN" };
  g_autofree char *binary = haven_app_find_session_binary (options->config, options->program);
  char *arguments[] = { binary, (char *)"--record", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) settings = record_settings (options, room, &error);
  g_autofree char *message = NULL;

  if (!settings)
    return complain (options->json, HAVEN_EXIT_USAGE, error->message);
  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++)
    g_unsetenv (secrets[i]);
  if (put_on_input (settings))
    execv (binary, arguments);
  message = g_strdup_printf ("%s cannot be started: %s", binary, g_strerror (errno));
  return complain (options->json, HAVEN_EXIT_FAILED, message);
}

/* -- which command -- */

static int
print_version (gboolean json)
{
  g_print (
      json ? "{\"name\":\"haven-live\",\"version\":\"%s\"}\n" : "haven-live %s\n", PACKAGE_VERSION);
  return HAVEN_EXIT_OK;
}

typedef struct
{
  const char *name, *argument; /* (nullable) what it wants one of */
  Group groups;
  HavenExit (*run) (Options *options, const char *argument);
} Command;

static HavenExit
run (const Command *command, const char *program, int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (command->argument);
  g_autofree char *prgname = g_strconcat ("haven-live ", command->name, NULL);
  g_auto (Options) options = { .config = haven_config_new (), .program = program };
  gboolean json = g_strv_contains ((const char *const *)argv, "--json"); /* before it is parsed */
  int wanted = command->argument ? 2 : 1;
  g_autoptr (GError) error = NULL;

  g_set_prgname (prgname);
  add_entries (context, &options, command->groups);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    return complain (json, HAVEN_EXIT_USAGE, error->message);
  if (argc != wanted) {
    g_autofree char *message
        = argc > wanted ? g_strdup_printf ("%s takes no “%s”.", command->name, argv[wanted])
                        : g_strdup_printf ("%s wants a %s.", command->name, command->argument);

    return complain (json, HAVEN_EXIT_USAGE, message);
  }
  if (!(command->groups & FOR_FILES) && !load (&options, &error))
    return complain (json, HAVEN_EXIT_USAGE, error->message);
  return command->run (&options, argv[1]);
}

int
main (int argc, char **argv)
{
  static const Command commands[] = {
    { "serve", NULL, FOR_SERVER | FOR_CHECK, serve },
    { "record", "ROOM", FOR_RECORD, record },
    { "recover", "FILE|DIR", FOR_FILES, recover },
    { "token", "ROOM", FOR_ALL, print_token },
    { "doctor", NULL, FOR_SERVER, doctor },
  };
  const char *name = argc > 1 ? argv[1] : "";

  setlocale (LC_ALL, "");
  if (strcmp (name, "--help") == 0 || strcmp (name, "-h") == 0) {
    g_print ("%s", help);
    return HAVEN_EXIT_OK;
  }
  if (strcmp (name, "--version") == 0)
    return print_version (argc > 2 && strcmp (argv[2], "--json") == 0);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (name, commands[i].name) == 0)
      return run (&commands[i], argv[0], argc - 1, argv + 1);
  g_printerr ("%s", help);
  return HAVEN_EXIT_USAGE;
}
