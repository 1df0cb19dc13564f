/* haven-log: one line an event, logfmt or JSON, on standard error.
 *
 *   haven_log (G_LOG_LEVEL_INFO, "session-started", "session", "12", "room", room, NULL);
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  HAVEN_LOG_LOGFMT,
  HAVEN_LOG_JSON,
} HavenLogFormat;

void haven_log_set_up (HavenLogFormat format, GLogLevelFlags most);
void haven_log_set_up_by_name (const char *format, const char *level);
void haven_log_set_session (gint64 session);
void haven_log (GLogLevelFlags level, const char *event, ...) G_GNUC_NULL_TERMINATED;
void haven_log_session (
    GLogLevelFlags level, const char *event, gint64 session, ...) G_GNUC_NULL_TERMINATED;
char *haven_log_line (HavenLogFormat format, gint64 now, GLogLevelFlags level, const char *event,
    const char *const *pairs);

G_END_DECLS
