/* haven-shared: who asks for the same while it is being made waits for the one answer.
 *
 * Of the main context's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _HavenShared HavenShared;

HavenShared *haven_shared_new (guint most);
void haven_shared_free (HavenShared *shared);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HavenShared, haven_shared_free)

typedef enum
{
  HAVEN_SHARED_FIRST,  /* make it, then haven_shared_take() who waits */
  HAVEN_SHARED_JOINED, /* it is being made */
  HAVEN_SHARED_FULL,   /* so much else is being made that this has to wait; not kept */
} HavenSharedPlace;

HavenSharedPlace haven_shared_wait (HavenShared *shared, const char *key, gpointer waiter);
GPtrArray *haven_shared_take (HavenShared *shared, const char *key);

G_END_DECLS
