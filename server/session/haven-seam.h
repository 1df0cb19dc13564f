/* haven-seam: where one file ends and the next begins, so that each picture and each packet of
 * sound is in exactly one of them. Pure.
 *
 * Both files get the same stream. What leads, the picture or else the sound, is cut at the first
 * key frame once both are ready; what follows, the sound beside a picture, at the same time, or
 * behind what the old file has already of it.
 *
 * Any thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _HavenSeam HavenSeam;

HavenSeam *haven_seam_new (void);
HavenSeam *haven_seam_ref (HavenSeam *seam);
void haven_seam_unref (HavenSeam *seam);

/* Both files get the stream: from now on it may be cut. */
void haven_seam_arm (HavenSeam *seam);
/* It is not cut: all goes to the old file. Returns: FALSE: it has been */
gboolean haven_seam_cancel (HavenSeam *seam);

/* What is asked for each buffer of the leading stream. Returns: whether it goes into that file.
 *
 * @time: ns; @decided: (out): whether this one was where it is cut */
gboolean haven_seam_old_leads (HavenSeam *seam, guint64 time, gboolean key, gboolean *decided);
gboolean haven_seam_new_leads (HavenSeam *seam, guint64 time, gboolean key, gboolean *decided);

/* What is asked for each buffer of the other; for the new file once it is decided. */
gboolean haven_seam_old_follows (HavenSeam *seam, guint64 time, guint64 end);
gboolean haven_seam_new_follows (HavenSeam *seam, guint64 time);

G_END_DECLS
