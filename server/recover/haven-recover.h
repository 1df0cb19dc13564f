/* haven-recover: finishes what a crash left of a recording: its length, its index, its name.
 *
 * Works in the file itself, without a second copy, and in an order in which a crash at any moment
 * leaves a file that can be finished again: cut to what is whole, index behind it, synced, and only
 * then the mark that makes the file a finished one. A finished file is not touched, nor is one that
 * a session has locked because it writes it.
 *
 * Parses foreign bytes: run it in a process of its own. Of one thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HAVEN_RECOVER_ERROR (haven_recover_error_quark ())
GQuark haven_recover_error_quark (void);

typedef enum
{
  HAVEN_RECOVER_ERROR_FILE,      /* it cannot be read or written */
  HAVEN_RECOVER_ERROR_DISK_FULL, /* no room for the index; what was recorded is still there */
  HAVEN_RECOVER_ERROR_IN_USE,    /* a session writes it */
  HAVEN_RECOVER_ERROR_UNKNOWN,   /* it is no recording of ours */
  HAVEN_RECOVER_ERROR_EMPTY,     /* nothing of it plays */
  HAVEN_RECOVER_ERROR_DAMAGED,   /* it breaks off long before its end: it is left as it is */
} HavenRecoverError;

typedef struct
{
  gboolean complete; /* it was so before */
  char *path;        /* (owned) (nullable) what it is called now */
  guint64 size, cut; /* bytes that it has, and that were given up */
  double duration;   /* s; of the file when complete: 0, nobody counted */
  guint64 video_frames, audio_frames;
} HavenRecovery;

void haven_recovery_clear (HavenRecovery *recovery);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HavenRecovery, haven_recovery_clear)

gboolean haven_recover_fd (int fd, HavenRecovery *recovery, GError **error);
gboolean haven_recover_path (const char *path, HavenRecovery *recovery, GError **error);
int haven_recover_run (const char *path, gboolean json);

G_END_DECLS
