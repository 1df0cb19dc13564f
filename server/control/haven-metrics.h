/* haven-metrics: counters as Prometheus reads them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "haven-app.h"

G_BEGIN_DECLS

void haven_metrics_collect_async (HavenApp *app, GAsyncReadyCallback callback, gpointer user_data);
char *haven_metrics_collect_finish (GAsyncResult *result);

/* Pure. */
typedef struct _HavenMetrics HavenMetrics;
HavenMetrics *haven_metrics_new (void);
void haven_metrics_add (HavenMetrics *metrics, const char *name, const char *room, double value);
char *haven_metrics_end (HavenMetrics *metrics);

G_END_DECLS
