/* haven-linger: a last word on a connection that we end. Closing while its peer still sends would
 * throw that word away, so what comes is read and forgotten for a while.
 *
 * Of the main context's thread. Bounded in number, time and bytes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _HavenLinger HavenLinger;

HavenLinger *haven_linger_new (void);
void haven_linger_free (HavenLinger *linger);
void haven_linger_say (
    HavenLinger *linger, GSocket *socket, GIOStream *stream, const char *text, gsize size);

G_END_DECLS
