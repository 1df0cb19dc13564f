/* haven-auto-record: rooms that are recorded whenever somebody streams in them.
 *
 * Nobody's process waits in an empty room: LiveKit is asked which rooms have a streamer, where it
 * lets us; otherwise a session is tried from time to time.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-config.h"
#include "haven-recorder.h"
#include "haven-session-manager.h"
#include "haven-store.h"

G_BEGIN_DECLS

#define HAVEN_AUTO_RECORD_MOST 1000 /* rooms */

typedef struct _HavenAutoRecord HavenAutoRecord;

typedef struct
{
  const HavenAutoRow *row;
  const char *state;        /* waiting, starting, recording, held */
  const char *recording_id; /* (nullable) what runs in that room, whoever began it */
  const char *error;        /* (nullable) why the last attempt failed */
} HavenAutoState;

HavenAutoRecord *haven_auto_record_new (
    HavenConfig *config, HavenStore *store, HavenSessionManager *manager, HavenRecorder *recorder);
void haven_auto_record_begin (HavenAutoRecord *self);
void haven_auto_record_stop (HavenAutoRecord *self);
void haven_auto_record_free (HavenAutoRecord *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenAutoRecord, haven_auto_record_free)

gboolean haven_auto_record_put (HavenAutoRecord *self, const HavenAutoRow *wanted, GError **error);
gboolean haven_auto_record_delete (HavenAutoRecord *self, const char *mint_id, GError **error);
gboolean haven_auto_record_get (HavenAutoRecord *self, const char *mint_id, HavenAutoState *state);
GPtrArray *haven_auto_record_list (HavenAutoRecord *self);

G_END_DECLS
