/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "av1-config.h"

#define BYTES(...) (const guint8[]){ __VA_ARGS__ }, sizeof ((const guint8[]){ __VA_ARGS__ })

#define DELIMITER 0x12, 0

static void
assert_record (GBytes *record, const guint8 *data, gsize size)
{
  g_autoptr (GBytes) owned = record;

  g_assert_nonnull (owned);
  g_assert_cmpmem (g_bytes_get_data (owned, NULL), g_bytes_get_size (owned), data, size);
}

static void
test_holds_the_sequence_header (void)
{
  /* Level 4.0 (8) of the high tier, behind a delimiter and before a frame. */
  assert_record (
      av1_config_record_new (BYTES (DELIMITER, 0x0a, 5, 0x00, 0x00, 0x00, 0x44, 0x77, 0x32, 1, 9)),
      BYTES (0x81, 0x08, 0x8c, 0x00, 0x0a, 5, 0x00, 0x00, 0x00, 0x44, 0x77));
}

static void
test_low_levels_have_no_tier (void)
{
  assert_record (av1_config_record_new (BYTES (0x0a, 4, 0x00, 0x00, 0x00, 0x2f)),
      BYTES (0x81, 0x05, 0x0c, 0x00, 0x0a, 4, 0x00, 0x00, 0x00, 0x2f));
}

static void
test_refuses_what_it_does_not_understand (void)
{
  g_assert_null (av1_config_record_new (NULL, 0));
  g_assert_null (av1_config_record_new (BYTES (DELIMITER, 0x32, 1, 9)));           /* none there */
  g_assert_null (av1_config_record_new (BYTES (0x08, 0x00, 0x00, 0x00, 0x2f)));    /* no size */
  g_assert_null (av1_config_record_new (BYTES (0x0a, 3, 0x00, 0x00, 0x00)));       /* cut off */
  g_assert_null (av1_config_record_new (BYTES (0x0a, 9, 0x00, 0x00, 0x00, 0x2f))); /* claims more */
  g_assert_null (av1_config_record_new (BYTES (0x0a, 4, 0x10, 0x00, 0x00, 0x2f))); /* still */
  g_assert_null (av1_config_record_new (BYTES (0x0a, 4, 0x08, 0x00, 0x00, 0x2f))); /* reduced */
  g_assert_null (av1_config_record_new (BYTES (0x0a, 4, 0x04, 0x00, 0x00, 0x2f))); /* timing */
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/av1-config/holds_the_sequence_header", test_holds_the_sequence_header);
  g_test_add_func ("/av1-config/low_levels_have_no_tier", test_low_levels_have_no_tier);
  g_test_add_func (
      "/av1-config/refuses_what_it_does_not_understand", test_refuses_what_it_does_not_understand);
  return g_test_run ();
}
