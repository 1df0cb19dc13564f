/* Where one file ends and the next begins: nothing is in both, and nothing in neither.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "haven-seam.h"

#define KEYS_EVERY 5

typedef struct
{
  HavenSeam *seam;
  guint64 cut; /* 0: not yet */
} Cut;

/* A picture as a tee gives it: to both files, in one order or the other. Returns: whether it went
 * into the old one */
static gboolean
give_picture (Cut *cut, guint64 time, gboolean new_first)
{
  gboolean key = time % KEYS_EVERY == 0, by_old = FALSE, by_new = FALSE, old, new;

  if (new_first) {
    new = haven_seam_new_leads (cut->seam, time, key, &by_new);
    old = haven_seam_old_leads (cut->seam, time, key, &by_old);
  } else {
    old = haven_seam_old_leads (cut->seam, time, key, &by_old);
    new = haven_seam_new_leads (cut->seam, time, key, &by_new);
  }
  g_assert_true (old != new); /* in exactly one */
  g_assert_false (by_old && by_new);
  if (by_old || by_new) {
    g_assert_true (new);
    cut->cut = time;
  }
  return old;
}

static void
test_the_picture_is_cut_at_a_key_frame (gconstpointer new_first)
{
  Cut cut = { haven_seam_new () };

  for (guint64 time = 1; time < 8; time++)
    g_assert_true (give_picture (&cut, time, !!new_first)); /* not armed yet */
  haven_seam_arm (cut.seam);
  for (guint64 time = 8; time < 20; time++)
    g_assert_cmpint (give_picture (&cut, time, !!new_first), ==, time < 10);
  g_assert_cmpuint (cut.cut, ==, 10);
  haven_seam_unref (cut.seam);
}

/* The old file had the key frame when the seam was armed, and the new one sees it only then. */
static void
test_what_the_old_file_has_is_no_place_to_cut (void)
{
  HavenSeam *seam = haven_seam_new ();
  gboolean decided;

  g_assert_true (haven_seam_old_leads (seam, 10, TRUE, &decided));
  haven_seam_arm (seam);
  g_assert_false (haven_seam_new_leads (seam, 10, TRUE, &decided));
  g_assert_false (decided);
  g_assert_false (haven_seam_old_leads (seam, 15, TRUE, &decided));
  g_assert_true (decided);
  g_assert_true (haven_seam_new_leads (seam, 15, TRUE, &decided));
  haven_seam_unref (seam);
}

/* @ahead: by how much the sound is ahead of the picture when it is cut */
static void
check_sound (guint64 ahead)
{
  HavenSeam *seam = haven_seam_new ();
  GArray *waits = g_array_new (FALSE, FALSE, sizeof (guint64)); /* in the new file's queue */
  guint old = 0, new = 0;
  gboolean decided;

  haven_seam_arm (seam);
  for (guint64 time = 100; time < 100 + ahead; time += 2, old++) {
    g_assert_true (haven_seam_old_follows (seam, time, time + 2));
    g_array_append_val (waits, time);
  }
  g_assert_false (haven_seam_old_leads (seam, 150, TRUE, &decided));
  g_assert_true (decided);
  for (guint64 time = 100 + ahead; time < 200; time += 2) {
    old += haven_seam_old_follows (seam, time, time + 2);
    g_array_append_val (waits, time);
  }
  for (guint i = 0; i < waits->len; i++) {
    guint64 time = g_array_index (waits, guint64, i);

    if (haven_seam_new_follows (seam, time)) {
      g_assert_cmpuint (time, ==, 100 + 2 * (old + new));
      new ++;
    }
  }
  g_assert_cmpuint (old + new, ==, 50);
  g_assert_cmpuint (old, ==, MAX (25, ahead / 2));
  g_array_unref (waits);
  haven_seam_unref (seam);
}

static void
test_the_sound_is_cut_where_the_picture_is (void)
{
  check_sound (0);
  check_sound (20);
  check_sound (50);
}

static void
test_sound_that_is_ahead_is_cut_behind_what_is_written (void)
{
  check_sound (60);
}

static void
test_without_a_cut_all_goes_to_the_old_file (void)
{
  HavenSeam *seam = haven_seam_new ();
  gboolean decided;

  haven_seam_arm (seam);
  g_assert_true (haven_seam_cancel (seam));
  g_assert_true (haven_seam_old_leads (seam, 10, TRUE, &decided));
  g_assert_false (decided);
  g_assert_false (haven_seam_new_leads (seam, 10, TRUE, &decided));
  g_assert_false (haven_seam_new_follows (seam, 10));
  g_assert_true (haven_seam_old_follows (seam, 10, 12));
  haven_seam_unref (seam);
}

static void
test_what_is_cut_stays_cut (void)
{
  HavenSeam *seam = haven_seam_new ();
  gboolean decided;

  haven_seam_arm (seam);
  g_assert_false (haven_seam_old_leads (seam, 10, TRUE, &decided));
  g_assert_false (haven_seam_cancel (seam));
  g_assert_true (haven_seam_new_leads (seam, 10, TRUE, &decided));
  haven_seam_unref (seam);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func (
      "/seam/the_picture_is_cut_at_a_key_frame", NULL, test_the_picture_is_cut_at_a_key_frame);
  g_test_add_data_func ("/seam/the_picture_is_cut_at_a_key_frame_in_the_other_order", "new first",
      test_the_picture_is_cut_at_a_key_frame);
  g_test_add_func ("/seam/what_the_old_file_has_is_no_place_to_cut",
      test_what_the_old_file_has_is_no_place_to_cut);
  g_test_add_func (
      "/seam/the_sound_is_cut_where_the_picture_is", test_the_sound_is_cut_where_the_picture_is);
  g_test_add_func ("/seam/sound_that_is_ahead_is_cut_behind_what_is_written",
      test_sound_that_is_ahead_is_cut_behind_what_is_written);
  g_test_add_func (
      "/seam/without_a_cut_all_goes_to_the_old_file", test_without_a_cut_all_goes_to_the_old_file);
  g_test_add_func ("/seam/what_is_cut_stays_cut", test_what_is_cut_stays_cut);
  return g_test_run ();
}
