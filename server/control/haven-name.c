/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-name.h"

#include <string.h>

#include "haven-error.h"

#define DEFAULT "{mint_id}_{date}_{time}"
#define MAX_ID 200   /* bytes of a mint_id or a room's name */
#define MAX_NAME 220 /* bytes, to which a number and an ending come */
#define ALLOWED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static const char *const placeholders[] = { "{mint_id}", "{room}", "{date}", "{time}" };

/* Returns: which one stands there, or how many there are */
static guint
placeholder_at (const char *text)
{
  guint i = 0;

  while (i < G_N_ELEMENTS (placeholders) && !g_str_has_prefix (text, placeholders[i]))
    i++;
  return i;
}

/* Whether it is one: its braces hold placeholders and nothing else. */
gboolean
haven_name_check (const char *name_template, GError **error)
{
  for (const char *c = name_template; *c; c++) {
    guint i = placeholder_at (c);

    if (i < G_N_ELEMENTS (placeholders)) {
      c += strlen (placeholders[i]) - 1;
    } else if (strchr ("{}/", *c)) {
      g_autofree char *all = g_strjoin (
          ", ", placeholders[0], placeholders[1], placeholders[2], placeholders[3], NULL);

      g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID,
          "A name holds %s, and no other braces or slashes.", all);
      return FALSE;
    }
  }
  if (*name_template && strlen (name_template) <= HAVEN_NAME_MAX_TEMPLATE)
    return TRUE;
  g_set_error (error, HAVEN_ERROR, HAVEN_ERROR_INVALID, "A name must have 1 to %d bytes.",
      HAVEN_NAME_MAX_TEMPLATE);
  return FALSE;
}

static void
append_id (GString *name, const char *id)
{
  g_string_append_len (name, id, (gssize)strnlen (id, MAX_ID));
}

/* The name without its ending. What a file system might take amiss becomes “_”.
 *
 * @name_template: (nullable): one that haven_name_check() takes
 *
 * Returns: (transfer full) */
char *
haven_name_make (
    const char *name_template, const char *mint_id, const char *room_name, gint64 unix_us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (unix_us / G_USEC_PER_SEC);
  g_autofree char *date = g_date_time_format (time, "%Y%m%d");
  g_autofree char *clock = g_date_time_format (time, "%H%M%S");
  const char *const values[] = { mint_id, room_name, date, clock };
  GString *name = g_string_new (NULL);

  for (const char *c = name_template ? name_template : DEFAULT; *c; c++) {
    guint i = placeholder_at (c);

    if (i < G_N_ELEMENTS (placeholders)) {
      append_id (name, values[i]);
      c += strlen (placeholders[i]) - 1;
    } else {
      g_string_append_c (name, *c);
    }
  }
  g_string_truncate (name, MIN (name->len, MAX_NAME));
  g_strcanon (name->str, ALLOWED, '_');
  if (*name->str == '.') /* neither hidden nor a way up */
    *name->str = '_';
  return g_string_free (name, FALSE);
}
