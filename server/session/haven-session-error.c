/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-session-error.h"

#define PREFIX "org.haven.Error."

static const GDBusErrorEntry entries[] = {
  { HAVEN_SESSION_ERROR_CONFIG, PREFIX "Config" },
  { HAVEN_SESSION_ERROR_UNAUTHORIZED, PREFIX "Unauthorized" },
  { HAVEN_SESSION_ERROR_NOT_FOUND, PREFIX "NotFound" },
  { HAVEN_SESSION_ERROR_UNAVAILABLE, PREFIX "Unavailable" },
  { HAVEN_SESSION_ERROR_TLS, PREFIX "Tls" },
  { HAVEN_SESSION_ERROR_TIMEOUT, PREFIX "Timeout" },
  { HAVEN_SESSION_ERROR_PROTOCOL, PREFIX "Protocol" },
  { HAVEN_SESSION_ERROR_CLOSED, PREFIX "Closed" },
  { HAVEN_SESSION_ERROR_REMOVED, PREFIX "Removed" },
  { HAVEN_SESSION_ERROR_DUPLICATE, PREFIX "Duplicate" },
  { HAVEN_SESSION_ERROR_ROOM_CLOSED, PREFIX "RoomClosed" },
  { HAVEN_SESSION_ERROR_NO_STREAMER, PREFIX "NoStreamer" },
  { HAVEN_SESSION_ERROR_ENCRYPTED, PREFIX "Encrypted" },
  { HAVEN_SESSION_ERROR_PERMISSION, PREFIX "Permission" },
  { HAVEN_SESSION_ERROR_BUSY, PREFIX "Busy" },
  { HAVEN_SESSION_ERROR_NOT_RECORDING, PREFIX "NotRecording" },
  { HAVEN_SESSION_ERROR_DISK_FULL, PREFIX "DiskFull" },
  { HAVEN_SESSION_ERROR_LIMIT, PREFIX "Limit" },
  { HAVEN_SESSION_ERROR_FILE, PREFIX "File" },
  { HAVEN_SESSION_ERROR_INTERNAL, PREFIX "Internal" },
};
G_STATIC_ASSERT (G_N_ELEMENTS (entries) == HAVEN_SESSION_N_ERRORS);

GQuark
haven_session_error_quark (void)
{
  static gsize quark;

  g_dbus_error_register_error_domain (
      "haven-session-error", &quark, entries, G_N_ELEMENTS (entries));
  return (GQuark)quark;
}

const char *
haven_session_error_name (const GError *error)
{
  int code = error->domain == HAVEN_SESSION_ERROR && error->code < HAVEN_SESSION_N_ERRORS
                 ? error->code
                 : HAVEN_SESSION_ERROR_INTERNAL;

  return entries[code].dbus_error_name + sizeof PREFIX - 1;
}

static gboolean
is_same_word (const char *a, const char *b)
{
  for (;; a++, b++) {
    while (*a == '-')
      a++;
    while (*b == '-')
      b++;
    if (g_ascii_tolower (*a) != g_ascii_tolower (*b))
      return FALSE;
    if (!*a)
      return TRUE;
  }
}

HavenSessionError
haven_session_error_from_name (const char *name)
{
  for (guint i = 0; name && i < G_N_ELEMENTS (entries); i++)
    if (is_same_word (entries[i].dbus_error_name + sizeof PREFIX - 1, name))
      return entries[i].error_code;
  return HAVEN_SESSION_ERROR_INTERNAL;
}
