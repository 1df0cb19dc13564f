/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-recorder-report.h"

HavenRecorderReport *
haven_recorder_report_new (void)
{
  HavenRecorderReport *report = g_new0 (HavenRecorderReport, 1);

  report->gaps = g_array_new (FALSE, FALSE, sizeof (HavenGap));
  report->concessions = g_array_new (FALSE, FALSE, sizeof (HavenConcession));
  return report;
}

void
haven_recorder_report_free (HavenRecorderReport *report)
{
  g_array_unref (report->gaps);
  g_array_unref (report->concessions);
  g_free (report);
}
