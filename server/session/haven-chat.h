/* haven-chat: what participants said during a recording, beside it: all messages as NAME.jsonl,
 * chat as subtitles in NAME.vtt.
 *
 * Lives on the main context it was made in.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _HavenChat HavenChat;

/* @path: of the recording's file. Ours are made when there is something to write. */
HavenChat *haven_chat_new (const char *path);
void haven_chat_free (HavenChat *chat);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenChat, haven_chat_free)

/* @offset: in the recording's time, s */
void haven_chat_take (
    HavenChat *chat, double offset, const char *participant, const char *topic, GBytes *payload);

G_END_DECLS
