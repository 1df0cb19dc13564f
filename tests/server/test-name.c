/* What a recording's file is called.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "haven-name.h"

#define TIME (G_GINT64_CONSTANT (1769860799) * G_USEC_PER_SEC) /* in UTC 2026-01-31, 11:59:59 */

static void
assert_name (const char *name_template, const char *mint_id, const char *expected)
{
  g_autofree char *name = haven_name_make (name_template, mint_id, "the room", TIME);

  g_assert_cmpstr (name, ==, expected);
}

static void
is_made_of_id_and_time (void)
{
  assert_name (NULL, "coin", "coin_20260131_115959");
}

static void
follows_its_template (void)
{
  assert_name ("{date}-{time}.{room}.{mint_id}", "coin", "20260131-115959.the_room.coin");
  assert_name ("show", "coin", "show");
}

static void
holds_nothing_that_a_file_system_takes_amiss (void)
{
  assert_name (NULL, "../../etc/passwd", "_._.._etc_passwd_20260131_115959");
  assert_name ("{mint_id}", ".hidden", "_hidden");
  assert_name ("a b\\c:ö", "coin", "a_b_c___");
  assert_name ("{mint_id}", "{date}", "_date_"); /* what others write is no template */
}

static void
is_short_enough_for_any_file_system (void)
{
  g_autofree char *id = g_strnfill (4096, 'x');
  g_autofree char *name = haven_name_make (NULL, id, id, TIME);
  g_autofree char *twice = haven_name_make ("{room}{mint_id}", id, id, TIME);

  g_assert_true (g_str_has_suffix (name, "x_20260131_115959"));
  g_assert_cmpuint (strlen (name), ==, 216);
  g_assert_cmpuint (strlen (twice), ==, 220);
}

static void
a_template_has_known_placeholders_alone (void)
{
  static const char *const good[] = { "{room}", "x", "{mint_id}_{date}_{time}", "a b" };
  static const char *const bad[] = { "", "{nothing}", "{room", "room}", "a/b", "{{room}}" };
  g_autofree char *too_long = g_strnfill (HAVEN_NAME_MAX_TEMPLATE + 1, 'x');

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (haven_name_check (good[i], NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_test_message ("%s", bad[i]);
    g_assert_false (haven_name_check (bad[i], &error));
    g_assert_nonnull (error);
  }
  g_assert_false (haven_name_check (too_long, NULL));
}

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC", TRUE);
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add_func ("/name/" #name, name)
  TEST (is_made_of_id_and_time);
  TEST (follows_its_template);
  TEST (holds_nothing_that_a_file_system_takes_amiss);
  TEST (is_short_enough_for_any_file_system);
  TEST (a_template_has_known_placeholders_alone);
#undef TEST
  return g_test_run ();
}
