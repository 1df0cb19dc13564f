/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "haven-time.h"
#include "ws-frame.h"

static struct /* set before there are threads, and by SIGHUP on the main one */
{
  HavenLogFormat format;
  GLogLevelFlags most; /* the least important level that is written */
  gboolean journal;    /* what writes to the journal says its priority and no time */
  char session[24];    /* of the process that serves one; empty: none */
} settings = { HAVEN_LOG_LOGFMT, G_LOG_LEVEL_INFO, FALSE, "" };

static const struct
{
  GLogLevelFlags level;
  const char *name;
  int priority; /* syslog */
} levels[] = {
  { G_LOG_LEVEL_ERROR, "error", 3 },
  { G_LOG_LEVEL_CRITICAL, "error", 3 },
  { G_LOG_LEVEL_WARNING, "warning", 4 },
  { G_LOG_LEVEL_MESSAGE, "notice", 5 },
  { G_LOG_LEVEL_INFO, "info", 6 },
  { G_LOG_LEVEL_DEBUG, "debug", 7 },
};

static guint
find_level (GLogLevelFlags level)
{
  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    if (level & levels[i].level)
      return i;
  return G_N_ELEMENTS (levels) - 1;
}

static void
append_logfmt (GString *line, const char *name, const char *value)
{
  g_autofree char *quoted = NULL;

  if (*value == '\0' || value[strcspn (value, " =\"\\\t\r\n")] || !g_str_is_ascii (value))
    value = quoted = ws_json_quote (value);
  g_string_append_printf (line, "%s%s=%s", line->len ? " " : "", name, value);
}

static void
append_json (GString *line, const char *name, const char *value)
{
  g_autofree char *quoted = ws_json_quote (value);

  g_string_append_printf (line, "%s\"%s\":%s", line->len > 1 ? "," : "", name, quoted);
}

/* @pairs: names and values, ended by a name that is NULL; a NULL value leaves its pair out
 *
 * Returns: (transfer full): without the end of the line */
char *
haven_log_line (HavenLogFormat format, gint64 now, GLogLevelFlags level, const char *event,
    const char *const *pairs)
{
  void (*append) (GString *, const char *, const char *)
      = format == HAVEN_LOG_JSON ? append_json : append_logfmt;
  GString *line = g_string_new (format == HAVEN_LOG_JSON ? "{" : NULL);

  if (now) {
    g_autofree char *time = haven_time_format (now);

    append (line, "time", time);
  }
  append (line, "level", levels[find_level (level)].name);
  append (line, "event", event);
  for (; *pairs; pairs += 2) {
    g_autofree char *valid = pairs[1] ? g_utf8_make_valid (pairs[1], -1) : NULL;

    if (valid)
      append (line, pairs[0], valid);
  }
  if (format == HAVEN_LOG_JSON)
    g_string_append_c (line, '}');
  return g_string_free (line, FALSE);
}

static void
write_line (GLogLevelFlags level, const char *event, const char *const *pairs)
{
  g_autofree char *line = NULL;
  g_autofree char *whole = NULL;

  if (levels[find_level (level)].level > settings.most)
    return;
  line = haven_log_line (
      settings.format, settings.journal ? 0 : g_get_real_time (), level, event, pairs);
  if (settings.journal)
    whole = g_strdup_printf ("<%d>%s\n", levels[find_level (level)].priority, line);
  else
    whole = g_strconcat (line, "\n", NULL);
  if (write (STDERR_FILENO, whole, strlen (whole)) < 0) /* whoever read it is gone */
    return;
}

static void
collect (GPtrArray *pairs, va_list rest)
{
  const char *name;

  if (*settings.session) {
    g_ptr_array_add (pairs, (gpointer) "session");
    g_ptr_array_add (pairs, settings.session);
  }
  while ((name = va_arg (rest, const char *)) != NULL) {
    g_ptr_array_add (pairs, (gpointer)name);
    g_ptr_array_add (pairs, va_arg (rest, char *));
  }
  g_ptr_array_add (pairs, NULL);
}

/* @...: names and values (nullable), then NULL */
void
haven_log (GLogLevelFlags level, const char *event, ...)
{
  g_autoptr (GPtrArray) pairs = g_ptr_array_new ();
  va_list rest;

  va_start (rest, event);
  collect (pairs, rest);
  va_end (rest);
  write_line (level, event, (const char *const *)pairs->pdata);
}

/* The same of one session. */
void
haven_log_session (GLogLevelFlags level, const char *event, gint64 session, ...)
{
  g_autoptr (GPtrArray) pairs = g_ptr_array_new ();
  char id[24];
  va_list rest;

  g_snprintf (id, sizeof id, "%" G_GINT64_FORMAT, session);
  g_ptr_array_add (pairs, (gpointer) "session");
  g_ptr_array_add (pairs, id);
  va_start (rest, session);
  collect (pairs, rest);
  va_end (rest);
  write_line (level, event, (const char *const *)pairs->pdata);
}

/* What libraries have to say, and our own code that the elements could hold too. */
static GLogWriterOutput
on_library_line (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  const char *message = NULL, *domain = NULL;

  for (gsize i = 0; i < n_fields; i++) {
    if (strcmp (fields[i].key, "MESSAGE") == 0)
      message = fields[i].value;
    else if (strcmp (fields[i].key, "GLIB_DOMAIN") == 0)
      domain = fields[i].value;
  }
  if (message && (level & G_LOG_LEVEL_MASK) <= G_LOG_LEVEL_MESSAGE) {
    gboolean is_ours = g_strcmp0 (domain, G_LOG_DOMAIN) == 0;

    haven_log (level, is_ours ? "message" : "library", "domain", is_ours ? NULL : domain, "message",
        message, NULL);
  }
  return G_LOG_WRITER_HANDLED;
}

/* For a process that serves one session: its lines say so. */
void
haven_log_set_session (gint64 session)
{
  g_snprintf (settings.session, sizeof settings.session, "%" G_GINT64_FORMAT, session);
}

/* May be called again, with other settings. */
void
haven_log_set_up (HavenLogFormat format, GLogLevelFlags most)
{
  static gboolean writer_set;

  settings.format = format;
  settings.most = most;
  settings.journal = g_log_writer_is_journald (STDERR_FILENO);
  if (!writer_set)
    g_log_set_writer_func (on_library_line, NULL, NULL);
  writer_set = TRUE;
}

/* @format: (nullable): json, or else logfmt
 * @level: (nullable): error, warning or debug, or else info */
void
haven_log_set_up_by_name (const char *format, const char *level)
{
  static const struct
  {
    const char *name;
    GLogLevelFlags most;
  } names[] = { { "error", G_LOG_LEVEL_CRITICAL }, { "warning", G_LOG_LEVEL_WARNING },
    { "debug", G_LOG_LEVEL_DEBUG } };
  GLogLevelFlags most = G_LOG_LEVEL_INFO;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_strcmp0 (level, names[i].name) == 0)
      most = names[i].most;
  haven_log_set_up (g_strcmp0 (format, "json") == 0 ? HAVEN_LOG_JSON : HAVEN_LOG_LOGFMT, most);
}
