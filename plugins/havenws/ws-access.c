/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ws-access.h"

#include <gio/gio.h>
#include <string.h>

/* @list: (nullable): words between commas, with or without blanks
 *
 * Returns: (transfer full): the words */
char **
ws_access_split (const char *list)
{
  g_auto (GStrv) words = g_strsplit (list ? list : "", ",", -1);
  g_autoptr (GPtrArray) kept = g_ptr_array_new ();

  for (char **word = words; *word; word++) {
    g_strstrip (*word);
    if (**word)
      g_ptr_array_add (kept, g_strdup (*word));
  }
  g_ptr_array_add (kept, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&kept), FALSE);
}

static gboolean
is_port (const char *text)
{
  return *text == '\0' || (*text == ':' && strspn (text + 1, "0123456789") == strlen (text + 1));
}

/* Returns: (transfer full) (nullable): the host of "host", "host:port", "[v6]:port"; without
 * brackets */
static char *
host_without_port (const char *host)
{
  const char *end;

  if (*host == '[') {
    end = strchr (++host, ']');
    if (!end || !is_port (end + 1))
      return NULL;
  } else {
    end = host + strcspn (host, ":");
    if (!is_port (end))
      return NULL;
  }
  return end > host ? g_strndup (host, end - host) : NULL;
}

/* A page of a stranger whose name was rebound to our address gives that name as Host: so we answer
 * to addresses, to localhost and to the names in allowed only.
 *
 * @host: (nullable): the Host header */
gboolean
ws_access_host (const char *host, char **allowed)
{
  g_autofree char *name = host ? host_without_port (host) : NULL;

  if (!name)
    return FALSE;
  if (g_hostname_is_ip_address (name) || g_ascii_strcasecmp (name, "localhost") == 0)
    return TRUE;
  for (; *allowed; allowed++)
    if (g_ascii_strcasecmp (name, *allowed) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
origin_matches (const char *origin, const char *pattern)
{
  gsize size = strlen (pattern);

  if (strcmp (pattern, "*") == 0)
    return TRUE;
  if (!g_str_has_suffix (pattern, ":*"))
    return g_ascii_strcasecmp (origin, pattern) == 0;
  return g_ascii_strncasecmp (origin, pattern, size - 2) == 0 && is_port (origin + size - 2);
}

/* @origin: (nullable): the Origin header; programs other than browsers send none, and may watch
 * @host: the Host header, which ws_access_host() has let pass: our own page may watch
 * @allowed: origins; ":*" at the end stands for any port, "*" alone for any origin */
gboolean
ws_access_origin (const char *origin, const char *host, char **allowed)
{
  if (!origin)
    return TRUE;
  if (host) {
    const char *after_scheme = strstr (origin, "://");

    if (after_scheme && g_str_has_prefix (origin, "http")
        && g_ascii_strcasecmp (after_scheme + 3, host) == 0)
      return TRUE;
  }
  for (; *allowed; allowed++)
    if (origin_matches (origin, *allowed))
      return TRUE;
  return FALSE;
}

/* In a time that does not tell how much of the guess was right. */
static gboolean
equal_secrets (const char *expected, const char *guess)
{
  gsize size = strlen (expected), guess_size = strlen (guess);
  guint difference = size != guess_size;

  for (gsize i = 0; i < guess_size; i++)
    difference |= (guchar)guess[i] ^ (guchar)expected[size ? i % size : 0];
  return difference == 0;
}

/* @expected: (nullable): the secret; without one, everyone may watch
 * @authorization: (nullable): the Authorization header
 * @query_token: (nullable): browsers cannot add a header to a WebSocket: they put it into the query
 */
gboolean
ws_access_token (const char *expected, const char *authorization, const char *query_token)
{
  if (!expected || !*expected)
    return TRUE;
  if (authorization && g_ascii_strncasecmp (authorization, "Bearer ", 7) == 0
      && equal_secrets (expected, authorization + 7))
    return TRUE;
  return query_token && equal_secrets (expected, query_token);
}
