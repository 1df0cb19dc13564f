/* haven-app: creates and owns everything, in order; shutdown mirrors startup.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-auto-record.h"
#include "haven-config.h"
#include "haven-disk.h"
#include "haven-events.h"
#include "haven-http.h"
#include "haven-notices.h"
#include "haven-recorder.h"
#include "haven-retention.h"
#include "haven-session-manager.h"
#include "haven-shared.h"
#include "haven-store.h"
#include "haven-viewers.h"

G_BEGIN_DECLS

struct _HavenApp /* of the main context's thread; read only outside haven-app.c, but for probed */
{
  HavenConfig *config;
  HavenStore *store;
  HavenSessionManager *manager;
  HavenViewers *viewers;
  HavenRecorder *recorder;
  HavenEvents *events;
  HavenAutoRecord *auto_record;
  HavenDisk *disk;
  HavenRetention *retention;
  HavenCommand *command;
  HavenWebhook *webhook;
  HavenNotices *notices; /* what these two are to tell */
  HavenHttp *http;
  HavenShared *snapshots; /* requests that wait for a picture */
  HavenShared *probes;    /* requests that wait for what this machine can do */
  char *probed;           /* (nullable) JSON: what it could when it was last asked */
  gint64 probed_at;       /* monotonic */
  char *session_binary;
  gint64 started; /* Unix µs */
  gboolean ready; /* what ran before has been adopted */
};

int haven_app_run (HavenConfig *config, const char *config_file, const char *program);
char *haven_app_find_runtime_directory (HavenConfig *config, GError **error);
char *haven_app_find_session_binary (HavenConfig *config, const char *program);
gboolean haven_app_load_stored (HavenConfig *config, HavenStore *store, GError **error);
extern const HavenRoute haven_routes[];

G_END_DECLS
