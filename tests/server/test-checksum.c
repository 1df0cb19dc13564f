/* The checksums in a manifest.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "haven-checksum.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* of "abc" */

typedef struct
{
  char *directory, *manifest;
} Place;

static void
set_up (Place *place, gconstpointer data)
{
  g_autofree char *file = NULL;

  place->directory = g_dir_make_tmp ("checksum-XXXXXX", NULL);
  place->manifest = g_build_filename (place->directory, "a.json", NULL);
  file = g_build_filename (place->directory, "a.mkv", NULL);
  g_assert_true (g_file_set_contents (file, "abc", 3, NULL));
}

static void
tear_down (Place *place, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (place->directory, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (place->directory, name, NULL);

    g_unlink (path);
  }
  g_rmdir (place->directory);
  g_free (place->directory);
  g_free (place->manifest);
}

static gboolean
run (Place *place, const char *manifest)
{
  g_autoptr (GError) error = NULL;
  gboolean done;

  if (manifest)
    g_assert_true (g_file_set_contents (place->manifest, manifest, -1, NULL));
  done = haven_checksum_run (place->manifest, &error);
  g_assert_true (done == (error == NULL));
  return done;
}

static gboolean
says (Place *place, const char *text)
{
  g_autofree char *manifest = NULL;

  g_assert_true (g_file_get_contents (place->manifest, &manifest, NULL, NULL));
  return strstr (manifest, text) != NULL;
}

static void
test_a_missing_one_is_filled_in (Place *place, gconstpointer data)
{
  g_assert_true (
      run (place, "{\"version\": 1, \"parts\": [{\"file\": \"a.mkv\", \"size_bytes\": 3, "
                  "\"sha256\": null, \"video_frames\": 9}]}"));
  g_assert_true (says (place, ABC));
  g_assert_true (says (place, "\"video_frames\" : 9"));
  g_assert_true (run (place, NULL)); /* again: nothing is missing */
}

static void
test_one_that_is_there_stays (Place *place, gconstpointer data)
{
  g_assert_true (run (place, "{\"parts\": [{\"file\": \"a.mkv\", \"size_bytes\": 3, \"sha256\": "
                             "\"already\"}]}"));
  g_assert_true (says (place, "already"));
}

static void
test_a_file_that_is_not_as_it_says_gets_none (Place *place, gconstpointer data)
{
  g_assert_false (run (place, "{\"parts\": [{\"file\": \"a.mkv\", \"size_bytes\": 4, \"sha256\": "
                              "null}, {\"file\": \"gone.mkv\", \"size_bytes\": 3}]}"));
  g_assert_false (says (place, ABC));
}

static void
test_no_file_of_elsewhere_is_read (Place *place, gconstpointer data)
{
  g_autofree char *manifest = g_strdup_printf (
      "{\"parts\": [{\"file\": \"%s/a.mkv\", \"size_bytes\": 3}]}", place->directory);

  g_assert_true (run (place, manifest));
  g_assert_false (says (place, ABC));
}

static void
test_what_is_no_manifest_is_refused (Place *place, gconstpointer data)
{
  g_assert_false (run (place, NULL)); /* there is none */
  g_assert_false (run (place, "[]"));
  g_assert_false (run (place, "{\"parts\": 3}"));
  g_assert_true (run (place, "{\"parts\": [3, {}]}"));
}

#define ADD(name) g_test_add ("/checksum/" #name, Place, NULL, set_up, test_##name, tear_down)

#define PATIENCE (60 * G_USEC_PER_SEC)

/* As what is started to compute them. Returns: the exit status */
static int
tell_priorities (const char *path)
{
  int disk = IOPRIO_PRIO_CLASS (syscall (SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
  g_autofree char *text = g_strdup_printf ("%d %d", getpriority (PRIO_PROCESS, 0), disk);

  return !g_file_set_contents (path, text, -1, NULL);
}

static void
test_they_are_computed_when_nothing_else_wants_the_machine (Place *place, gconstpointer data)
{
  g_autofree char *idle = g_strdup_printf ("19 %d", IOPRIO_CLASS_IDLE);
  g_autofree char *told = NULL;
  gint64 begin = g_get_monotonic_time ();

  haven_checksum_spawn (place->manifest); /* that is this program */
  while (!g_file_get_contents (place->manifest, &told, NULL, NULL)) {
    g_assert_cmpint (g_get_monotonic_time () - begin, <, PATIENCE);
    g_usleep (10000);
  }
  g_assert_cmpstr (told, ==, idle);
}

int
main (int argc, char **argv)
{
  if (argc == 3 && strcmp (argv[1], "--checksum") == 0)
    return tell_priorities (argv[2]);
  g_test_init (&argc, &argv, NULL);
  ADD (a_missing_one_is_filled_in);
  ADD (one_that_is_there_stays);
  ADD (a_file_that_is_not_as_it_says_gets_none);
  ADD (no_file_of_elsewhere_is_read);
  ADD (what_is_no_manifest_is_refused);
  ADD (they_are_computed_when_nothing_else_wants_the_machine);
  return g_test_run ();
}
