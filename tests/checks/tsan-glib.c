/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tells ThreadSanitizer what GLib and GStreamer do to keep threads apart. They are not built with
 * it and lock with futexes and atomics of their own, which it cannot see: without this, all that a
 * GMutex protects looks like a race. Loaded before them (LD_PRELOAD), these functions stand in for
 * theirs, call them, and say what happened before what: a release is seen by every later acquire of
 * the same address.
 *
 * The reference counts are told too, as the last owner frees what others have written. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <gio/gio.h>
#include <gst/gst.h>

void __tsan_acquire (void *address);
void __tsan_release (void *address);

#define EXPORT __attribute__ ((visibility ("default")))

/* Calls the function that this one stands before. */
#define REAL(name) ((__typeof__ (&name))real (#name, &real_##name))
#define REAL_POINTER(name) static void *real_##name

static void *
real (const char *name, void **cache)
{
  void *function = __atomic_load_n (cache, __ATOMIC_RELAXED);

  if (!function) {
    function = dlsym (RTLD_NEXT, name);
    __atomic_store_n (cache, function, __ATOMIC_RELAXED);
  }
  return function;
}

#define LOCK(name, Type)        \
  REAL_POINTER (name);          \
  EXPORT void name (Type *lock) \
  {                             \
    REAL (name) (lock);         \
    __tsan_acquire (lock);      \
  }

#define TRYLOCK(name, Type)               \
  REAL_POINTER (name);                    \
  EXPORT gboolean name (Type *lock)       \
  {                                       \
    gboolean locked = REAL (name) (lock); \
                                          \
    if (locked)                           \
      __tsan_acquire (lock);              \
    return locked;                        \
  }

#define UNLOCK(name, Type)      \
  REAL_POINTER (name);          \
  EXPORT void name (Type *lock) \
  {                             \
    __tsan_release (lock);      \
    REAL (name) (lock);         \
  }

LOCK (g_mutex_lock, GMutex)
TRYLOCK (g_mutex_trylock, GMutex)
UNLOCK (g_mutex_unlock, GMutex)
LOCK (g_rec_mutex_lock, GRecMutex)
TRYLOCK (g_rec_mutex_trylock, GRecMutex)
UNLOCK (g_rec_mutex_unlock, GRecMutex)
LOCK (g_rw_lock_writer_lock, GRWLock)
TRYLOCK (g_rw_lock_writer_trylock, GRWLock)
UNLOCK (g_rw_lock_writer_unlock, GRWLock)
LOCK (g_rw_lock_reader_lock, GRWLock)
TRYLOCK (g_rw_lock_reader_trylock, GRWLock)
UNLOCK (g_rw_lock_reader_unlock, GRWLock)

REAL_POINTER (g_cond_wait);
EXPORT void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  __tsan_release (mutex);
  REAL (g_cond_wait) (cond, mutex);
  __tsan_acquire (mutex);
}

REAL_POINTER (g_cond_wait_until);
EXPORT gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end_time)
{
  gboolean signalled;

  __tsan_release (mutex);
  signalled = REAL (g_cond_wait_until) (cond, mutex, end_time);
  __tsan_acquire (mutex);
  return signalled;
}

/* Once: what the initialiser wrote is seen by all who come after it. */

#undef g_once_init_enter
#undef g_once_init_leave
REAL_POINTER (g_once_init_enter);
EXPORT
gboolean (g_once_init_enter) (volatile void *location)
{
  gboolean first = ((gboolean (*) (volatile void *))real (
      "g_once_init_enter", &real_g_once_init_enter)) (location);

  __tsan_acquire ((void *)location);
  return first;
}

REAL_POINTER (g_once_init_leave);
EXPORT void (g_once_init_leave) (volatile void *location, gsize result)
{
  __tsan_release ((void *)location);
  ((void (*) (volatile void *, gsize))real ("g_once_init_leave", &real_g_once_init_leave)) (
      location, result);
}

/* References: each owner's writes come before the last one frees. */

#define UNREF(name, Pointer)           \
  REAL_POINTER (name);                 \
  EXPORT void name (Pointer object)    \
  {                                    \
    if (object) {                      \
      __tsan_release ((void *)object); \
      __tsan_acquire ((void *)object); \
    }                                  \
    REAL (name) (object);              \
  }

UNREF (g_object_unref, gpointer)
UNREF (gst_mini_object_unref, GstMiniObject *)
UNREF (g_bytes_unref, GBytes *)
UNREF (g_source_unref, GSource *)
UNREF (g_main_context_unref, GMainContext *)
UNREF (g_main_loop_unref, GMainLoop *)
UNREF (g_hash_table_unref, GHashTable *)
UNREF (g_ptr_array_unref, GPtrArray *)
UNREF (g_atomic_rc_box_release, gpointer)

REAL_POINTER (g_atomic_rc_box_release_full);
EXPORT void
g_atomic_rc_box_release_full (gpointer box, GDestroyNotify clear)
{
  __tsan_release (box);
  __tsan_acquire (box);
  REAL (g_atomic_rc_box_release_full) (box, clear);
}

/* Queues. */

#define PUSH(name)                                     \
  REAL_POINTER (name);                                 \
  EXPORT void name (GAsyncQueue *queue, gpointer item) \
  {                                                    \
    __tsan_release (queue);                            \
    REAL (name) (queue, item);                         \
  }

#define POP(name, parameters, arguments)   \
  REAL_POINTER (name);                     \
  EXPORT gpointer name parameters          \
  {                                        \
    gpointer item = REAL (name) arguments; \
                                           \
    __tsan_acquire (queue);                \
    return item;                           \
  }

PUSH (g_async_queue_push)
PUSH (g_async_queue_push_unlocked)
PUSH (g_async_queue_push_front)
POP (g_async_queue_pop, (GAsyncQueue * queue), (queue))
POP (g_async_queue_pop_unlocked, (GAsyncQueue * queue), (queue))
POP (g_async_queue_try_pop, (GAsyncQueue * queue), (queue))
POP (g_async_queue_timeout_pop, (GAsyncQueue * queue, guint64 timeout), (queue, timeout))

/* Callbacks: what was written before one was handed over is seen where it runs. */

typedef struct
{
  GSourceFunc function;
  gpointer data;
  GDestroyNotify notify;
} Callback;

static Callback *
callback_new (GSourceFunc function, gpointer data, GDestroyNotify notify)
{
  Callback *callback = g_new (Callback, 1);

  *callback = (Callback){ function, data, notify };
  __tsan_release (callback);
  return callback;
}

static gboolean
callback_run (gpointer user_data)
{
  Callback *callback = user_data;

  __tsan_acquire (callback);
  return callback->function (callback->data);
}

static void
callback_free (gpointer user_data)
{
  Callback *callback = user_data;

  __tsan_acquire (callback);
  if (callback->notify)
    callback->notify (callback->data);
  g_free (callback);
}

REAL_POINTER (g_main_context_invoke_full);
EXPORT void
g_main_context_invoke_full (GMainContext *context, gint priority, GSourceFunc function,
    gpointer data, GDestroyNotify notify)
{
  REAL (g_main_context_invoke_full)
  (context, priority, callback_run, callback_new (function, data, notify), callback_free);
}

EXPORT void
g_main_context_invoke (GMainContext *context, GSourceFunc function, gpointer data)
{
  g_main_context_invoke_full (context, G_PRIORITY_DEFAULT, function, data, NULL);
}

REAL_POINTER (g_idle_add_full);
EXPORT guint
g_idle_add_full (gint priority, GSourceFunc function, gpointer data, GDestroyNotify notify)
{
  return REAL (g_idle_add_full) (
      priority, callback_run, callback_new (function, data, notify), callback_free);
}

EXPORT guint
g_idle_add (GSourceFunc function, gpointer data)
{
  return g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, function, data, NULL);
}

REAL_POINTER (g_timeout_add_full);
EXPORT guint
g_timeout_add_full (
    gint priority, guint interval, GSourceFunc function, gpointer data, GDestroyNotify notify)
{
  return REAL (g_timeout_add_full) (
      priority, interval, callback_run, callback_new (function, data, notify), callback_free);
}

EXPORT guint
g_timeout_add (guint interval, GSourceFunc function, gpointer data)
{
  return g_timeout_add_full (G_PRIORITY_DEFAULT, interval, function, data, NULL);
}

/* Only of these sources the callback is known to be a GSourceFunc. */
REAL_POINTER (g_source_set_callback);
EXPORT void
g_source_set_callback (GSource *source, GSourceFunc function, gpointer data, GDestroyNotify notify)
{
  if (function
      && (source->source_funcs == &g_idle_funcs || source->source_funcs == &g_timeout_funcs)) {
    data = callback_new (function, data, notify);
    function = callback_run;
    notify = callback_free;
  }
  REAL (g_source_set_callback) (source, function, data, notify);
}

/* Tasks: what was written before a thread was asked for is seen in it, and what was written before
 * the result was returned where it is taken. */

static void
task_run (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GTaskThreadFunc function = (GTaskThreadFunc)g_object_get_data (G_OBJECT (task), "tsan-function");

  __tsan_acquire (task);
  function (task, source, data, cancellable);
}

REAL_POINTER (g_task_run_in_thread);
EXPORT void
g_task_run_in_thread (GTask *task, GTaskThreadFunc function)
{
  g_object_set_data (G_OBJECT (task), "tsan-function", (gpointer)function);
  __tsan_release (task);
  REAL (g_task_run_in_thread) (task, task_run);
}

#define TASK_RETURN(name, parameters, arguments) \
  REAL_POINTER (name);                           \
  EXPORT void name parameters                    \
  {                                              \
    __tsan_release (task);                       \
    REAL (name) arguments;                       \
  }

#define TASK_PROPAGATE(name, Type)               \
  REAL_POINTER (name);                           \
  EXPORT Type name (GTask *task, GError **error) \
  {                                              \
    __tsan_acquire (task);                       \
    return REAL (name) (task, error);            \
  }

TASK_RETURN (g_task_return_pointer, (GTask * task, gpointer result, GDestroyNotify notify),
    (task, result, notify))
TASK_RETURN (g_task_return_boolean, (GTask * task, gboolean result), (task, result))
TASK_RETURN (g_task_return_int, (GTask * task, gssize result), (task, result))
TASK_RETURN (g_task_return_error, (GTask * task, GError *error), (task, error))
TASK_PROPAGATE (g_task_propagate_pointer, gpointer)
TASK_PROPAGATE (g_task_propagate_boolean, gboolean)
TASK_PROPAGATE (g_task_propagate_int, gssize)

/* Threads: GLib starts them with pthread_create, which the sanitizer sees. */
