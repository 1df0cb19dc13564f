/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-shared.h"

struct _HavenShared
{
  guint most;
  GHashTable *waiting; /* key -> GPtrArray of (unowned) waiters */
};

/* @most: different things that may be made at once */
HavenShared *
haven_shared_new (guint most)
{
  HavenShared *shared = g_new0 (HavenShared, 1);

  shared->most = most;
  shared->waiting
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  return shared;
}

void
haven_shared_free (HavenShared *shared)
{
  g_hash_table_unref (shared->waiting);
  g_free (shared);
}

HavenSharedPlace
haven_shared_wait (HavenShared *shared, const char *key, gpointer waiter)
{
  GPtrArray *waiters = g_hash_table_lookup (shared->waiting, key);

  if (waiters) {
    g_ptr_array_add (waiters, waiter);
    return HAVEN_SHARED_JOINED;
  }
  if (g_hash_table_size (shared->waiting) >= shared->most)
    return HAVEN_SHARED_FULL;
  waiters = g_ptr_array_new ();
  g_ptr_array_add (waiters, waiter);
  g_hash_table_insert (shared->waiting, g_strdup (key), waiters);
  return HAVEN_SHARED_FIRST;
}

/* Returns: (transfer full): all that wait for it; they wait no more */
GPtrArray *
haven_shared_take (HavenShared *shared, const char *key)
{
  g_autofree char *stolen_key = NULL;
  GPtrArray *waiters = NULL;

  g_hash_table_steal_extended (shared->waiting, key, (gpointer *)&stolen_key, (gpointer *)&waiters);
  return waiters;
}
