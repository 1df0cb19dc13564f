/* What tests of the server's parts begin with: settings, and a store, in a directory of their own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-config.h"
#include "haven-store.h"

G_BEGIN_DECLS

typedef struct
{
  char *directory; /* recordings go to it too */
  HavenConfig *config;
  HavenStore *store;
} ServerFixture;

void server_fixture_set_up (ServerFixture *fixture);
void server_fixture_tear_down (ServerFixture *fixture);
void server_fixture_reopen (ServerFixture *fixture);
void server_fixture_set (ServerFixture *fixture, HavenKey key, const char *value);
char *server_fixture_add_recording (
    ServerFixture *fixture, const char *id, const char *state, gint64 end_time, gsize size);
void server_fixture_run_until (const gboolean *done);

G_END_DECLS
