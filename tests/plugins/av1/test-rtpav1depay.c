/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <gst/check/gstharness.h>
#include <gst/rtp/gstrtpbuffer.h>
#include <gst/video/video.h>

#include "av1-obu.h"

#define CAPS "application/x-rtp,media=video,encoding-name=AV1,clock-rate=90000,payload=35"
#define FRAME 3000 /* RTP time between pictures */
#define MAX_UNIT (8 * 1024 * 1024)

/* Aggregation headers of packets with one element. */
#define WHOLE 0x10
#define FIRST_PIECE 0x50
#define MIDDLE_PIECE 0xd0
#define LAST_PIECE 0x90
#define KEY 0x08

typedef struct
{
  GstHarness *h;
  guint16 seq;
  guint32 rtp_time;
} Fixture;

static void
set_up (Fixture *f, gconstpointer user_data)
{
  f->h = gst_harness_new ("rtpav1depay");
  f->seq = 65533; /* wraps soon */
  f->rtp_time = 4294960000u;
  gst_harness_set_src_caps_str (f->h, CAPS);
}

static void
tear_down (Fixture *f, gconstpointer user_data)
{
  gst_harness_teardown (f->h);
}

static void
push_packet (Fixture *f, gboolean marker, const guint8 *data, gsize size)
{
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;
  GstBuffer *buffer = gst_rtp_buffer_new_allocate (size, 0, 0);

  g_assert_true (gst_rtp_buffer_map (buffer, GST_MAP_WRITE, &rtp));
  gst_rtp_buffer_set_payload_type (&rtp, 35);
  gst_rtp_buffer_set_seq (&rtp, f->seq++);
  gst_rtp_buffer_set_timestamp (&rtp, f->rtp_time);
  gst_rtp_buffer_set_marker (&rtp, marker);
  if (size > 0)
    memcpy (gst_rtp_buffer_get_payload (&rtp), data, size);
  gst_rtp_buffer_unmap (&rtp);
  GST_BUFFER_PTS (buffer) = gst_util_uint64_scale (f->rtp_time, GST_SECOND, 90000);
  GST_BUFFER_DTS (buffer) = GST_BUFFER_PTS (buffer);
  g_assert_cmpint (gst_harness_push (f->h, buffer), ==, GST_FLOW_OK);
}

#define BYTES(...) (const guint8[]){ __VA_ARGS__ }, sizeof ((const guint8[]){ __VA_ARGS__ })

/* One packet of the present picture. */
#define PUSH(f, ...) push_packet (f, FALSE, BYTES (__VA_ARGS__))

/* The last packet of the present picture. */
#define PUSH_END(f, ...)                        \
  G_STMT_START                                  \
  {                                             \
    push_packet (f, TRUE, BYTES (__VA_ARGS__)); \
    (f)->rtp_time += FRAME;                     \
  }                                             \
  G_STMT_END

static void
push_key_picture (Fixture *f)
{
  PUSH_END (f, WHOLE | KEY, 0x08, 0xaa);
}

static void
push_picture (Fixture *f)
{
  PUSH_END (f, WHOLE, 0x30, 0xbb);
}

static GstBuffer *
pull (Fixture *f)
{
  GstBuffer *buffer = gst_harness_try_pull (f->h);

  g_assert_nonnull (buffer);
  return buffer;
}

static void
assert_bytes (GstBuffer *buffer, const guint8 *data, gsize size)
{
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  g_assert_cmpmem (map.data, map.size, data, size);
  gst_buffer_unmap (buffer, &map);
}

#define ASSERT_NEXT(f, ...)                      \
  G_STMT_START                                   \
  {                                              \
    GstBuffer *_buffer = pull (f);               \
    assert_bytes (_buffer, BYTES (__VA_ARGS__)); \
    gst_buffer_unref (_buffer);                  \
  }                                              \
  G_STMT_END

#define KEY_PICTURE 0x12, 0, 0x0a, 1, 0xaa
#define PICTURE 0x12, 0, 0x32, 1, 0xbb

static void
assert_nothing (Fixture *f)
{
  g_assert_cmpuint (gst_harness_buffers_in_queue (f->h), ==, 0);
}

static guint
count_keyframe_requests (Fixture *f)
{
  GstEvent *event;
  guint n = 0;

  while ((event = gst_harness_try_pull_upstream_event (f->h))) {
    gboolean all_headers = TRUE;

    if (gst_video_event_is_force_key_unit (event)) {
      g_assert_true (
          gst_video_event_parse_upstream_force_key_unit (event, NULL, &all_headers, NULL));
      g_assert_false (all_headers);
      n++;
    }
    gst_event_unref (event);
  }
  return n;
}

static void
test_unit_begins_with_delimiter_and_its_obus_have_sizes (Fixture *f, gconstpointer user_data)
{
  PUSH_END (f, 0x20 | KEY, 2, 0x08, 0xaa, 0x34, 0x20, 0xb1, 0xb2); /* the second has an extension */
  ASSERT_NEXT (f, 0x12, 0, 0x0a, 1, 0xaa, 0x36, 0x20, 2, 0xb1, 0xb2);
}

static void
test_output_is_a_temporal_unit_of_an_obu_stream (Fixture *f, gconstpointer user_data)
{
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GstCaps) expected
      = gst_caps_from_string ("video/x-av1,stream-format=obu-stream,alignment=tu");

  push_key_picture (f);
  caps = gst_pad_get_current_caps (f->h->sinkpad);
  g_assert_true (gst_caps_is_equal (caps, expected));
}

static void
test_only_key_pictures_are_sync_points (Fixture *f, gconstpointer user_data)
{
  GstBuffer *buffer;

  push_key_picture (f);
  push_picture (f);
  buffer = pull (f);
  g_assert_false (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT));
  gst_buffer_unref (buffer);
  buffer = pull (f);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DELTA_UNIT));
  g_assert_false (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
  gst_buffer_unref (buffer);
}

static void
test_pieces_are_joined_wherever_they_were_cut (Fixture *f, gconstpointer user_data)
{
  PUSH (f, FIRST_PIECE | KEY, 0x34); /* the extension byte comes later */
  PUSH (f, MIDDLE_PIECE, 0x20, 0xb1);
  PUSH (f, MIDDLE_PIECE);
  PUSH_END (f, 0xa0, 1, 0xb2, 0x78, 0xcc); /* the end of one, then a whole one */
  ASSERT_NEXT (f, 0x12, 0, 0x36, 0x20, 2, 0xb1, 0xb2, 0x7a, 1, 0xcc);
}

/* Around each size at which the size field grows. */
static void
test_pieces_are_joined_at_any_size (Fixture *f, gconstpointer user_data)
{
  const guint sizes[] = { 2, 127, 128, 16383, 16384, 2097151, 2097152 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree guint8 *packet = g_malloc (sizes[i] + 1);
    GstBuffer *buffer;
    GstMapInfo map;
    Av1Obu obu;

    for (guint byte = 2; byte <= sizes[i]; byte++)
      packet[byte] = byte * 7 >> 3;
    packet[0] = LAST_PIECE;
    packet[1] = 0x55;
    PUSH (f, FIRST_PIECE | KEY, 0x30);
    push_packet (f, TRUE, packet, sizes[i] + 1);
    f->rtp_time += FRAME;

    buffer = pull (f);
    g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
    g_assert_true (av1_obu_parse (map.data + 2, map.size - 2, &obu));
    g_assert_cmpuint (obu.payload_start, ==, 1 + av1_leb128_size (sizes[i]));
    g_assert_cmpuint (map.size, ==, 2 + obu.payload_start + sizes[i]);
    g_assert_cmpmem (map.data + 2 + obu.payload_start, obu.payload_size, packet + 1, sizes[i]);
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
}

static void
test_obus_may_bring_their_own_size (Fixture *f, gconstpointer user_data)
{
  PUSH_END (f, 0x00 | KEY, 3, 0x0a, 1, 0xaa, 3, 0x32, 1, 0xbb);
  ASSERT_NEXT (f, 0x12, 0, 0x0a, 1, 0xaa, 0x32, 1, 0xbb);
  PUSH (f, FIRST_PIECE, 0x32); /* in pieces, with a longer size than needed */
  PUSH (f, MIDDLE_PIECE, 0x82);
  PUSH_END (f, LAST_PIECE, 0x80, 0x00, 0xb1, 0xb2);
  ASSERT_NEXT (f, 0x12, 0, 0x32, 2, 0xb1, 0xb2);
}

static void
test_delimiters_and_tile_lists_are_left_out (Fixture *f, gconstpointer user_data)
{
  PUSH (f, 0x30 | KEY, 1, 0x10, 2, 0x08, 0xaa, 0x40, 1, 2, 3);
  PUSH (f, FIRST_PIECE, 0x40, 1);
  PUSH_END (f, 0xa0, 1, 2, 0x30, 0xbb);
  ASSERT_NEXT (f, 0x12, 0, 0x0a, 1, 0xaa, 0x32, 1, 0xbb);
  PUSH_END (f, WHOLE, 0x10); /* nothing else in the unit */
  assert_nothing (f);
}

static void
test_header_extension_and_padding_are_no_payload (Fixture *f, gconstpointer user_data)
{
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;
  GstBuffer *buffer = gst_rtp_buffer_new_allocate (3, 5, 2);
  const guint8 extension[] = { 1, 2, 3 };

  g_assert_true (gst_rtp_buffer_map (buffer, GST_MAP_READWRITE, &rtp));
  gst_rtp_buffer_set_seq (&rtp, f->seq++);
  gst_rtp_buffer_set_timestamp (&rtp, f->rtp_time);
  gst_rtp_buffer_set_marker (&rtp, TRUE);
  g_assert_true (
      gst_rtp_buffer_add_extension_onebyte_header (&rtp, 3, extension, sizeof extension));
  memcpy (gst_rtp_buffer_get_payload (&rtp), "\x18\x08\xaa", 3);
  gst_rtp_buffer_unmap (&rtp);
  g_assert_cmpint (gst_harness_push (f->h, buffer), ==, GST_FLOW_OK);
  ASSERT_NEXT (f, KEY_PICTURE);
}

static void
test_packets_of_padding_alone_change_nothing (Fixture *f, gconstpointer user_data)
{
  PUSH (f, FIRST_PIECE | KEY, 0x08);
  f->rtp_time += 7;
  push_packet (f, TRUE, NULL, 0);
  f->rtp_time -= 7;
  PUSH_END (f, LAST_PIECE, 0xaa);
  ASSERT_NEXT (f, KEY_PICTURE);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 0);
}

static void
test_new_timestamp_ends_a_unit_that_keeps_its_own (Fixture *f, gconstpointer user_data)
{
  guint32 first = f->rtp_time;
  GstBuffer *buffer;

  PUSH (f, WHOLE | KEY, 0x08, 0xaa);
  f->rtp_time += FRAME;
  PUSH_END (f, WHOLE, 0x30, 0xbb);
  buffer = pull (f);
  assert_bytes (buffer, BYTES (KEY_PICTURE));
  g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, gst_util_uint64_scale (first, GST_SECOND, 90000));
  gst_buffer_unref (buffer);
  buffer = pull (f);
  assert_bytes (buffer, BYTES (PICTURE));
  g_assert_cmpuint (
      GST_BUFFER_PTS (buffer), ==, gst_util_uint64_scale (first + FRAME, GST_SECOND, 90000));
  gst_buffer_unref (buffer);
}

static void
test_starts_with_a_key_picture (Fixture *f, gconstpointer user_data)
{
  push_picture (f);
  assert_nothing (f);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 1);
  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
}

static void
test_gives_nothing_after_a_gap_until_a_key_picture (Fixture *f, gconstpointer user_data)
{
  GstBuffer *buffer;

  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
  f->seq++;
  push_picture (f);
  push_picture (f);
  assert_nothing (f);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 1);

  push_key_picture (f);
  push_picture (f);
  buffer = pull (f);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
  assert_bytes (buffer, BYTES (KEY_PICTURE));
  gst_buffer_unref (buffer);
  ASSERT_NEXT (f, PICTURE);
}

static void
test_gap_within_a_unit_loses_that_unit (Fixture *f, gconstpointer user_data)
{
  PUSH (f, WHOLE | KEY, 0x08, 0xaa);
  f->seq++;
  PUSH_END (f, WHOLE, 0x30, 0xbb);
  assert_nothing (f);
  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
}

static void
test_key_picture_right_after_a_gap_is_taken (Fixture *f, gconstpointer user_data)
{
  push_key_picture (f);
  f->seq++;
  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
  ASSERT_NEXT (f, KEY_PICTURE);
}

static void
push_lost_event (Fixture *f)
{
  GstStructure *lost = gst_structure_new ("GstRTPPacketLost", "seqnum", G_TYPE_UINT, f->seq++,
      "timestamp", G_TYPE_UINT64, gst_util_uint64_scale (f->rtp_time, GST_SECOND, 90000),
      "duration", G_TYPE_UINT64, GST_MSECOND * 33, "retry", G_TYPE_UINT, 0, NULL);

  g_assert_true (
      gst_harness_push_event (f->h, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM, lost)));
}

static void
test_lost_packet_is_a_gap_downstream_and_asks_for_a_key_picture (
    Fixture *f, gconstpointer user_data)
{
  GstEvent *event;
  gboolean gap = FALSE;

  push_key_picture (f);
  push_lost_event (f);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 1);
  while ((event = gst_harness_try_pull_event (f->h))) {
    gap |= GST_EVENT_TYPE (event) == GST_EVENT_GAP;
    gst_event_unref (event);
  }
  g_assert_true (gap);
  ASSERT_NEXT (f, KEY_PICTURE);
  push_picture (f);
  assert_nothing (f);
}

static void
test_asks_for_a_key_picture_once_a_second (Fixture *f, gconstpointer user_data)
{
  for (guint i = 0; i < 10; i++)
    push_picture (f);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 1);
  gst_harness_set_time (f->h, GST_SECOND - 1);
  push_picture (f);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 0);
  gst_harness_set_time (f->h, GST_SECOND);
  push_picture (f);
  push_picture (f);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 1);
}

static void
test_asks_for_nothing_where_told_not_to (Fixture *f, gconstpointer user_data)
{
  g_object_set (f->h->element, "request-keyframe", FALSE, NULL);
  push_picture (f);
  f->seq++;
  push_picture (f);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 0);
}

static void
test_goes_on_with_the_next_whole_unit_where_told_not_to_wait (Fixture *f, gconstpointer user_data)
{
  g_object_set (f->h->element, "wait-for-keyframe", FALSE, NULL);
  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
  f->seq++;
  PUSH (f, WHOLE, 0x30, 0xbb); /* its beginning may be what is missing */
  PUSH_END (f, WHOLE, 0x30, 0xbb);
  assert_nothing (f);
  push_picture (f);
  ASSERT_NEXT (f, PICTURE);
}

static void
test_malformed_packets_are_a_loss (Fixture *f, gconstpointer user_data)
{
  const struct
  {
    guint8 data[8];
    gsize size;
  } malformed[] = {
    { { 0x98, 0x30, 0xbb }, 3 },             /* starts a sequence and continues a piece */
    { { LAST_PIECE, 0x30, 0xbb }, 3 },       /* continues what never began */
    { { 0x20 }, 1 },                         /* two elements, no byte */
    { { 0x20, 9, 0x30, 0xbb }, 4 },          /* length beyond the packet */
    { { 0x00, 0x80, 0x80 }, 3 },             /* length cut off */
    { { 0x00, 0xff, 0xff, 0xff, 0x7f }, 5 }, /* length near 2^28 */
    { { WHOLE, 0xb0, 0xbb }, 3 },            /* forbidden bit */
    { { WHOLE, 0x34 }, 2 },                  /* no extension byte */
    { { WHOLE, 0x32, 9, 0xbb }, 4 },         /* own size beyond the element */
    { { FIRST_PIECE, 0x30, 0xbb }, 3 },      /* marker before the last piece */
  };

  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
  for (guint i = 0; i < G_N_ELEMENTS (malformed); i++) {
    GstBuffer *buffer;

    gst_harness_set_time (f->h, (i + 1) * GST_SECOND);
    push_packet (f, TRUE, malformed[i].data, malformed[i].size);
    f->rtp_time += FRAME;
    g_assert_cmpuint (count_keyframe_requests (f), ==, 1);
    push_picture (f);
    assert_nothing (f);

    push_key_picture (f);
    buffer = pull (f);
    g_assert_true (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT));
    assert_bytes (buffer, BYTES (KEY_PICTURE));
    gst_buffer_unref (buffer);
  }
}

static void
test_piece_without_its_end_is_a_loss (Fixture *f, gconstpointer user_data)
{
  PUSH (f, FIRST_PIECE | KEY, 0x08);
  PUSH_END (f, WHOLE, 0x30, 0xbb);
  assert_nothing (f);
  PUSH (f, FIRST_PIECE | KEY, 0x08);
  f->rtp_time += FRAME;
  push_picture (f);
  assert_nothing (f);
  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
}

static void
test_unit_without_end_is_given_up (Fixture *f, gconstpointer user_data)
{
  gsize size = MAX_UNIT / 4;
  g_autofree guint8 *piece = g_malloc0 (size);

  piece[0] = FIRST_PIECE | KEY;
  piece[1] = 0x30;
  push_packet (f, FALSE, piece, size);
  piece[0] = MIDDLE_PIECE;
  push_packet (f, FALSE, piece, size);
  push_packet (f, FALSE, piece, size);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 0);
  push_packet (f, FALSE, piece, size);
  g_assert_cmpuint (count_keyframe_requests (f), ==, 1);
  PUSH_END (f, LAST_PIECE, 0);
  assert_nothing (f);
  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
}

static void
test_flush_forgets_the_unit_that_was_coming_in (Fixture *f, gconstpointer user_data)
{
  GstSegment segment;

  PUSH (f, WHOLE | KEY, 0x08, 0xaa);
  g_assert_true (gst_harness_push_event (f->h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (f->h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (f->h, gst_event_new_segment (&segment)));
  PUSH_END (f, WHOLE, 0x30, 0xbb);
  assert_nothing (f);
  push_key_picture (f);
  ASSERT_NEXT (f, KEY_PICTURE);
}

typedef GstElement OtherDepay;
typedef GstElementClass OtherDepayClass;
static GType other_depay_get_type (void);
G_DEFINE_TYPE (OtherDepay, other_depay, GST_TYPE_ELEMENT)

static void
other_depay_class_init (OtherDepayClass *klass)
{
  gst_element_class_set_static_metadata (klass, "other", "Codec", "other", "other");
}

static void
other_depay_init (OtherDepay *self)
{
}

static gboolean
other_plugin_init (GstPlugin *plugin)
{
  return gst_element_register (plugin, "rtpav1depay", GST_RANK_NONE, other_depay_get_type ());
}

/* Last of all: it changes the registry of this process. */
static void
test_another_element_of_the_name_stays (void)
{
  g_autoptr (GstPlugin) ours = gst_registry_find_plugin (gst_registry_get (), "havenav1");
  g_autofree char *file = g_strdup (gst_plugin_get_filename (ours));
  g_autoptr (GstPlugin) again = NULL;
  g_autoptr (GstElement) element = NULL;

  gst_registry_remove_plugin (gst_registry_get (), ours);
  g_assert_true (gst_plugin_register_static (GST_VERSION_MAJOR, GST_VERSION_MINOR, "other", "other",
      other_plugin_init, "1", "LGPL", "other", "other", "other"));
  again = gst_plugin_load_file (file, NULL);
  g_assert_nonnull (again);
  element = gst_element_factory_make ("rtpav1depay", NULL);
  gst_object_ref_sink (element);
  g_assert_true (G_OBJECT_TYPE (element) == other_depay_get_type ());
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add ("/rtpav1depay/" #name, Fixture, NULL, set_up, test_##name, tear_down)
  ADD (unit_begins_with_delimiter_and_its_obus_have_sizes);
  ADD (output_is_a_temporal_unit_of_an_obu_stream);
  ADD (only_key_pictures_are_sync_points);
  ADD (pieces_are_joined_wherever_they_were_cut);
  ADD (pieces_are_joined_at_any_size);
  ADD (obus_may_bring_their_own_size);
  ADD (delimiters_and_tile_lists_are_left_out);
  ADD (header_extension_and_padding_are_no_payload);
  ADD (packets_of_padding_alone_change_nothing);
  ADD (new_timestamp_ends_a_unit_that_keeps_its_own);
  ADD (starts_with_a_key_picture);
  ADD (gives_nothing_after_a_gap_until_a_key_picture);
  ADD (gap_within_a_unit_loses_that_unit);
  ADD (key_picture_right_after_a_gap_is_taken);
  ADD (lost_packet_is_a_gap_downstream_and_asks_for_a_key_picture);
  ADD (asks_for_a_key_picture_once_a_second);
  ADD (asks_for_nothing_where_told_not_to);
  ADD (goes_on_with_the_next_whole_unit_where_told_not_to_wait);
  ADD (malformed_packets_are_a_loss);
  ADD (piece_without_its_end_is_a_loss);
  ADD (unit_without_end_is_given_up);
  ADD (flush_forgets_the_unit_that_was_coming_in);
  g_test_add_func (
      "/rtpav1depay/another_element_of_the_name_stays", test_another_element_of_the_name_stays);
  return g_test_run ();
}
