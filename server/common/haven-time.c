/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-time.h"

/* ISO 8601 in UTC, with milliseconds. */
char *
haven_time_format (gint64 unix_us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (unix_us / G_USEC_PER_SEC);
  g_autofree char *seconds = time ? g_date_time_format (time, "%Y-%m-%dT%H:%M:%S") : NULL;

  return g_strdup_printf ("%s.%03dZ", seconds ? seconds : "1970-01-01T00:00:00",
      (int)(unix_us % G_USEC_PER_SEC / 1000));
}
