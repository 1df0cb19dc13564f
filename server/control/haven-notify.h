/* haven-notify: tells systemd how we are, where it asked for it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

void haven_notify (const char *state);
guint haven_notify_watchdog_interval (void);

G_END_DECLS
