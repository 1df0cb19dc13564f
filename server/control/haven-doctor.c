/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-doctor.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "haven-exit.h"
#include "haven-json.h"
#include "livekit-http.h"
#include "livekit-token.h"

#define TIMEOUT 5     /* s */
#define MAX_SKEW 60   /* s; LiveKit refuses tokens of another time */
#define LOW_DISK 1e9  /* bytes above the reserve: an hour or so */
#define LOW_STATE 1e8 /* bytes */

typedef struct
{
  JsonArray *checks; /* (owned) */
  gboolean json, sick;
} Doctor;

/* @advice: (nullable): what to do; without it, all is well */
static void found (Doctor *doctor, const char *what, const char *advice, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

static void
found (Doctor *doctor, const char *what, const char *advice, const char *format, ...)
{
  JsonObject *check = json_object_new ();
  g_autofree char *text = NULL;
  va_list values;

  va_start (values, format);
  text = g_strdup_vprintf (format, values);
  va_end (values);
  json_object_set_string_member (check, "check", what);
  json_object_set_boolean_member (check, "ok", !advice);
  json_object_set_string_member (check, "found", text);
  haven_json_set_string (check, "advice", advice);
  json_array_add_object_element (doctor->checks, check);
  doctor->sick |= advice != NULL;
  if (!doctor->json) {
    g_print ("%s %-9s %s\n", advice ? "✗" : "✓", what, text);
    if (advice)
      g_print ("            %s\n", advice);
  }
}

static void
check_clock (Doctor *doctor, SoupMessage *message)
{
  const char *text
      = soup_message_headers_get_one (soup_message_get_response_headers (message), "Date");
  g_autoptr (GDateTime) theirs = text ? soup_date_time_new_from_http_string (text) : NULL;
  gint64 skew;

  if (!theirs)
    return;
  skew = g_get_real_time () / G_USEC_PER_SEC - g_date_time_to_unix (theirs);
  found (doctor, "clock",
      ABS (skew) > MAX_SKEW ? "Set this machine's clock: LiveKit refuses tokens of another time."
                            : NULL,
      "%+" G_GINT64_FORMAT " s against LiveKit's", skew);
}

/* Whether the server takes a token of our key: the question asks for no room to be made.
 *
 * @key: the API key */
static void
check_key (
    Doctor *doctor, HavenConfig *config, SoupSession *session, const char *http, const char *key)
{
  const LiveKitTokenGrants grants
      = { .room_name = "haven-live-doctor", .identity = "haven-live-doctor", .validity = 60 };
  const char *secret = haven_config_get (config, HAVEN_KEY_LIVEKIT_API_SECRET);
  g_autofree char *token = livekit_token_new (key, secret, &grants, NULL);
  g_autofree char *validate = g_strconcat (http, "/rtc/validate", NULL);
  g_autoptr (GUri) uri = g_uri_parse (validate, G_URI_FLAGS_NONE, NULL);
  g_autoptr (SoupMessage) message = NULL;
  g_autoptr (GBytes) body = NULL;
  guint status;

  if (!uri || !livekit_http_is_token (token)) {
    found (doctor, "key", "Look at them again.", "no token can be made of API key and secret");
    return;
  }
  message = livekit_http_message_new ("GET", uri, token, FALSE);
  body = soup_session_send_and_read (session, message, NULL, NULL);
  status = body ? soup_message_get_status (message) : 0;
  /* 404: the token is good, and rooms are made by others there. */
  if (status == SOUP_STATUS_OK || status == SOUP_STATUS_NOT_FOUND)
    found (doctor, "key", NULL, "LiveKit takes a token of API key %s", key);
  else if (status == SOUP_STATUS_UNAUTHORIZED || status == SOUP_STATUS_FORBIDDEN)
    found (doctor, "key",
        "Look whether LIVEKIT_API_KEY and LIVEKIT_API_SECRET belong together, "
        "and to this server.",
        "LiveKit refuses a token of API key %s", key);
  else
    found (doctor, "key", "Is this a LiveKit server?", "the question for it is answered with %u",
        status);
}

static SoupMessage * /* (transfer full) (nullable): answered */
ask (SoupSession *session, const char *method, const char *url, GError **error)
{
  g_autoptr (SoupMessage) message = soup_message_new (method, url);
  g_autoptr (GInputStream) body = NULL;

  if (!message) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "it is no URL");
    return NULL;
  }
  body = soup_session_send (session, message, NULL, error);
  return body ? g_steal_pointer (&message) : NULL;
}

static void
check_livekit (Doctor *doctor, HavenConfig *config, SoupSession *session)
{
  const char *url = haven_config_get (config, HAVEN_KEY_LIVEKIT_URL);
  const char *key = haven_config_get (config, HAVEN_KEY_LIVEKIT_API_KEY);
  const char *endpoint = haven_config_get (config, HAVEN_KEY_TOKEN_ENDPOINT);
  g_autoptr (SoupMessage) message = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *http = NULL;

  if (!url) {
    found (doctor, "livekit",
        endpoint ? NULL : "Set LIVEKIT_URL, or url in [livekit] of the settings.",
        endpoint ? "the token endpoint says where it is" : "no URL is set");
    return;
  }
  http = haven_config_livekit_http (config);
  message = ask (session, "GET", http, &error);
  if (!message) {
    found (doctor, "livekit", "Is the URL right, the server up, and no firewall between?",
        "%s does not answer: %s", url, error->message);
    return;
  }
  found (doctor, "livekit", NULL, "%s answers", url);
  check_clock (doctor, message);
  if (!endpoint && key && haven_config_get (config, HAVEN_KEY_LIVEKIT_API_SECRET))
    check_key (doctor, config, session, http, key);
}

static void
check_tokens (Doctor *doctor, HavenConfig *config, SoupSession *session)
{
  const char *endpoint = haven_config_get (config, HAVEN_KEY_TOKEN_ENDPOINT);
  g_autoptr (GError) unreadable = NULL, silent = NULL;
  g_autoptr (SoupMessage) message = NULL;
  gboolean readable = haven_config_load_secrets (config, &unreadable);

  if (endpoint) {
    message = ask (session, "HEAD", endpoint, &silent); /* whatever it answers, it is there */
    if (message)
      found (doctor, "tokens", NULL, "%s answers", endpoint);
    else
      found (doctor, "tokens", "Is the URL right, and the service up?", "%s does not answer: %s",
          endpoint, silent->message);
  } else if (!readable) {
    found (doctor, "tokens", "Give the file that holds the secret, and the right to read it.", "%s",
        unreadable->message);
  } else if (!haven_config_get (config, HAVEN_KEY_LIVEKIT_API_KEY)
             || !haven_config_get (config, HAVEN_KEY_LIVEKIT_API_SECRET)) {
    found (doctor, "tokens", "Set LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or a token endpoint.",
        "API key or secret are not set");
  } else {
    found (doctor, "tokens", NULL, "made here, API key and secret are set");
  }
}

/* Whether this machine has a way for datagrams to LiveKit's host. Nothing is sent: the ports of
 * media are told to those who join, and answer nobody else. */
static void
check_udp (Doctor *doctor, HavenConfig *config)
{
  const char *url = haven_config_get (config, HAVEN_KEY_LIVEKIT_URL);
  g_autoptr (GSocketConnectable) target = NULL;
  g_autoptr (GSocketAddressEnumerator) addresses = NULL;
  g_autoptr (GSocketAddress) address = NULL, local = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *name = NULL;

  if (!url)
    return;
  target = g_network_address_parse_uri (url, 7880, &error);
  addresses = target ? g_socket_connectable_enumerate (target) : NULL;
  address = addresses ? g_socket_address_enumerator_next (addresses, NULL, &error) : NULL;
  if (address)
    socket = g_socket_new (g_socket_address_get_family (address), G_SOCKET_TYPE_DATAGRAM,
        G_SOCKET_PROTOCOL_UDP, &error);
  if (!socket || !g_socket_connect (socket, address, NULL, &error)) {
    found (doctor, "udp", "Media goes over TCP or a relay then, if LiveKit offers it.",
        "no route: %s", error ? error->message : "no address");
    return;
  }
  local = g_socket_get_local_address (socket, NULL);
  name = g_inet_address_to_string (
      g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (local)));
  found (doctor, "udp", NULL,
      "there is a route, by %s; that LiveKit's ports of media are reached was not tried", name);
}

static void
check_codecs (Doctor *doctor, const char *binary)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) probe
      = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
          &error, binary, "--probe", NULL);
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GString) have = g_string_new (NULL), lack = g_string_new (NULL);
  g_autoptr (GList) names = NULL;
  JsonObject *formats;

  if (probe && g_subprocess_communicate_utf8 (probe, NULL, NULL, &text, NULL, NULL) && text)
    node = json_from_string (text, NULL);
  if (!node || !JSON_NODE_HOLDS_OBJECT (node)
      || !json_object_has_member (json_node_get_object (node), "formats")) {
    found (doctor, "codecs", "Is haven-live installed whole?", "%s cannot tell: %s", binary,
        error ? error->message : "it gives no answer");
    return;
  }
  formats = json_object_get_object_member (json_node_get_object (node), "formats");
  names = json_object_get_members (formats);
  for (GList *l = names; l; l = l->next) {
    JsonObject *format = json_object_get_object_member (formats, l->data);
    JsonArray *missing = json_object_get_array_member (format, "missing");

    if (json_object_get_boolean_member (format, "available"))
      g_string_append_printf (have, " %s", (char *)l->data);
    else
      g_string_append_printf (
          lack, " %s (no %s)", (char *)l->data, json_array_get_string_element (missing, 0));
  }
  found (doctor, "codecs",
      lack->len ? "Install gstreamer1.0-plugins-good, -bad, -nice and -ugly, or record in another "
                  "format."
                : NULL,
      "recordings as%s%s%s", have->len ? have->str : " nothing", lack->len ? "; not as" : "",
      lack->str);
}

/* Whether one can write there, or make it.
 *
 * @available: (out) (optional): bytes */
gboolean
haven_doctor_check_directory (const char *directory, double *available, GError **error)
{
  g_autofree char *place = g_strdup (directory);
  struct statvfs status;

  while (g_access (place, F_OK) < 0 && strcmp (place, "/") != 0) { /* it is made when needed */
    char *parent = g_path_get_dirname (place);

    g_free (place);
    place = parent;
  }
  if (!g_file_test (place, G_FILE_TEST_IS_DIR)) {
    g_set_error (
        error, G_IO_ERROR, G_IO_ERROR_NOT_DIRECTORY, "%s: %s is no directory", directory, place);
    return FALSE;
  }
  if (g_access (place, W_OK | X_OK) < 0 || statvfs (place, &status) < 0) {
    g_set_error (
        error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", directory, g_strerror (errno));
    return FALSE;
  }
  if (available)
    *available = (double)status.f_bavail * (double)status.f_frsize;
  return TRUE;
}

static void
check_disk (Doctor *doctor, const char *what, const char *directory, double wanted)
{
  g_autoptr (GError) error = NULL;
  double available;

  if (!haven_doctor_check_directory (directory, &available, &error))
    found (
        doctor, what, "Give another directory, or the right to write there.", "%s", error->message);
  else
    found (doctor, what,
        available < wanted ? "Make room: recordings stop when the disk is full." : NULL,
        "%s: %.1f GB free", directory, available / 1e9);
}

int
haven_doctor_run (HavenConfig *config, const char *session_binary, gboolean json)
{
  Doctor doctor = { json_array_new (), json, FALSE };
  g_autoptr (SoupSession) session = soup_session_new_with_options ("timeout", TIMEOUT, NULL);
  double reserve = haven_config_get_uint (config, HAVEN_KEY_RECORDING_RESERVE) * 1e6;

  check_tokens (&doctor, config, session);
  check_livekit (&doctor, config, session);
  check_udp (&doctor, config);
  check_codecs (&doctor, session_binary);
  check_disk (&doctor, "disk", haven_config_get (config, HAVEN_KEY_RECORDING_DIRECTORY),
      LOW_DISK + reserve);
  check_disk (&doctor, "state", haven_config_get (config, HAVEN_KEY_STATE_DIRECTORY), LOW_STATE);
  if (json) {
    g_autoptr (JsonObject) answer = json_object_new ();
    g_autofree char *text = NULL;

    json_object_set_boolean_member (answer, "success", !doctor.sick);
    json_object_set_array_member (answer, "checks", json_array_ref (doctor.checks));
    text = haven_json_to_text (answer);
    g_print ("%s\n", text);
  }
  json_array_unref (doctor.checks);
  return doctor.sick ? HAVEN_EXIT_FAILED : HAVEN_EXIT_OK;
}
