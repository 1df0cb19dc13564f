/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* havenwssink as a sink: states, pads, caps, ends, errors. */
#include "ws-fixture.h"

#include <string.h>

static GstElement *
make_sink (void)
{
  GstElement *sink = gst_element_factory_make ("havenwssink", NULL);

  g_object_set (sink, "port", 0, NULL);
  return sink;
}

static GstMessage *
wait_for (GstElement *pipeline, GstMessageType types)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  return gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, types);
}

static void
assert_runs_to_eos (const char *description)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (description, &error);
  g_autoptr (GstMessage) message = NULL;

  g_assert_no_error (error);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = wait_for (pipeline, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_cmpstr (GST_MESSAGE_TYPE_NAME (message), ==, "eos");
  g_assert_cmpint (gst_element_get_state (pipeline, NULL, NULL, GST_CLOCK_TIME_NONE), ==,
      GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

#define PICTURES \
  "fakesrc num-buffers=5 sizetype=fixed sizemax=64 ! image/jpeg,width=16,height=16 ! "
#define SOUND                     \
  "audiotestsrc num-buffers=5 ! " \
  "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved ! "

static void
test_pads_link_by_what_they_take (void)
{
  assert_runs_to_eos (PICTURES "havenwssink port=0");
  assert_runs_to_eos (SOUND "havenwssink port=0");
  assert_runs_to_eos ("havenwssink name=w port=0 " SOUND "w. " PICTURES "w.");
  assert_runs_to_eos ("havenwssink name=w port=0 " SOUND "queue ! w.audio " PICTURES "w.video");
}

static void
test_live_pipelines_play_and_end (void)
{
  assert_runs_to_eos ("havenwssink name=w port=0 " PICTURES "w. "
                      "audiotestsrc is-live=true num-buffers=3 samplesperbuffer=480 ! "
                      "audio/x-raw,format=S16LE,rate=48000,channels=1 ! w.");
  assert_runs_to_eos ("havenwssink name=w port=0 sync=true " PICTURES "w. "
                      "audiotestsrc is-live=true num-buffers=3 samplesperbuffer=480 ! "
                      "audio/x-raw,format=S16LE,rate=48000,channels=1 ! w.");
}

static void
test_other_media_is_refused (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline
      = gst_parse_launch ("audiotestsrc ! audio/x-raw,rate=44100 ! havenwssink port=0", &error);

  g_assert_nonnull (error);
}

static void
test_there_is_one_pad_of_each_name (void)
{
  g_autoptr (GstElement) sink = gst_object_ref_sink (make_sink ());
  g_autoptr (GstPad) video = gst_element_request_pad_simple (sink, "video");
  GstPadTemplate *template = gst_element_get_pad_template (sink, "video");

  g_assert_nonnull (video);
  g_assert_null (gst_element_request_pad (sink, template, NULL, NULL));
  gst_element_release_request_pad (sink, video);
  gst_clear_object (&video);
  video = gst_element_request_pad_simple (sink, "video");
  g_assert_nonnull (video);
  gst_element_release_request_pad (sink, video);
}

static void
test_paused_does_not_wait_for_a_silent_pad (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);

  gst_element_set_state (fixture->sink, GST_STATE_READY);
  g_assert_cmpint (
      gst_element_set_state (fixture->sink, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_SUCCESS);
  g_assert_cmpint (
      gst_element_set_state (fixture->sink, GST_STATE_PLAYING), ==, GST_STATE_CHANGE_SUCCESS);
}

static void
test_frames_of_any_size_pass (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_fixture_watch (fixture, LIVE);
  const gsize sizes[] = { 8, 125, 126, 65535, 65536, 3000000 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_auto (WsClientFrame) frame = { 0 };
    g_autofree char *caps
        = g_strdup_printf ("image/jpeg, width=%u, height=16, framerate=30/1", 16 * (i + 1));

    gst_harness_set_src_caps_str (fixture->video, caps);
    ws_fixture_push_video (fixture, sizes[i], i);
    g_assert_true (ws_client_receive (client, &frame));
    g_assert_cmpint (frame.opcode, ==, WS_OPCODE_BINARY);
    g_assert_cmpuint (g_bytes_get_size (frame.payload), ==, sizes[i]);
    g_assert_cmpuint (ws_fixture_frame_number (frame.payload), ==, i);
  }
}

static void
test_gaps_flushes_and_empty_buffers_do_no_harm (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_fixture_watch (fixture, LIVE);
  g_auto (WsClientFrame) frame = { 0 };
  GstSegment segment;

  g_assert_true (gst_harness_push_event (fixture->video, gst_event_new_gap (0, GST_SECOND)));
  g_assert_cmpint (gst_harness_push (fixture->video, gst_buffer_new ()), ==, GST_FLOW_OK);
  g_assert_true (gst_harness_push_event (fixture->video, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (fixture->video, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (fixture->video, gst_event_new_segment (&segment)));
  ws_fixture_push_video (fixture, 64, 7);
  g_assert_true (ws_client_receive (client, &frame));
  g_assert_cmpuint (ws_fixture_frame_number (frame.payload), ==, 7);
}

static void
test_the_end_of_all_pads_closes_with_1000_and_a_reason (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_fixture_watch (fixture, LIVE);
  g_autoptr (WsClient) late = NULL;
  g_autoptr (WsClient) again = NULL;
  g_autofree char *reason = NULL;
  g_auto (WsClientFrame) frame = { 0 };
  g_auto (WsClientFrame) pong = { 0 };

  g_assert_true (gst_harness_push_event (fixture->audio, gst_event_new_eos ()));
  ws_fixture_push_video (fixture, 64, 1); /* goes on without sound, and arrives before the end */
  g_assert_true (gst_harness_push_event (fixture->video, gst_event_new_eos ()));
  g_assert_true (ws_client_receive (client, &frame));
  g_assert_cmpuint (ws_fixture_frame_number (frame.payload), ==, 1);
  g_assert_cmpuint (ws_client_read_close (client, &reason), ==, WS_CLOSE_NORMAL);
  g_assert_cmpstr (reason, ==, "the stream has ended");

  late = ws_client_open (fixture->port, LIVE);
  g_assert_cmpuint (ws_client_read_close (late, NULL), ==, WS_CLOSE_NORMAL);

  /* A flush, as of a seek, revives it. */
  g_assert_true (gst_harness_push_event (fixture->video, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (fixture->video, gst_event_new_flush_stop (TRUE)));
  again = ws_fixture_watch (fixture, STREAM);
  ws_client_send (again, 0x81, "ping", 4);
  g_assert_true (ws_client_receive (again, &pong));
  g_assert_cmpint (pong.opcode, ==, WS_OPCODE_TEXT);
}

static void
test_a_stopped_element_says_1001 (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = ws_fixture_watch (fixture, LIVE);

  gst_element_set_state (fixture->sink, GST_STATE_NULL);
  g_assert_cmpuint (ws_client_read_close (client, NULL), ==, WS_CLOSE_GOING_AWAY);
  ws_fixture_wait_removed (fixture, 1);
}

static void
test_viewers_may_wait_in_ready_and_stay_through_a_restart (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = NULL;
  g_auto (WsClientFrame) frame = { 0 };

  gst_element_set_state (fixture->sink, GST_STATE_READY);
  client = ws_fixture_watch (fixture, LIVE);
  gst_element_set_state (fixture->sink, GST_STATE_PLAYING);
  ws_fixture_push_video (fixture, 64, 3);
  g_assert_true (ws_client_receive (client, &frame));
  g_assert_cmpuint (ws_fixture_frame_number (frame.payload), ==, 3);
}

static void
assert_start_fails (GstElement *sink, GQuark domain, gint code, const char *text)
{
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  gst_element_set_bus (sink, bus);
  g_assert_cmpint (gst_element_set_state (sink, GST_STATE_PLAYING), ==, GST_STATE_CHANGE_FAILURE);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_assert_error (error, domain, code);
  g_assert_cmpstr (error->message, ==, text);
  gst_element_set_bus (sink, NULL);
  gst_element_set_state (sink, GST_STATE_NULL);
}

static void
test_a_port_in_use_is_told_with_its_address (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (GstElement) sink = gst_object_ref_sink (make_sink ());
  g_autofree char *text
      = g_strdup_printf ("Port %u of 127.0.0.1 is already in use.", fixture->port);

  g_object_set (sink, "port", fixture->port, NULL);
  assert_start_fails (sink, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY, text);
}

static void
test_bad_settings_are_errors (void)
{
  g_autoptr (GstElement) sink = gst_object_ref_sink (make_sink ());

  g_object_set (sink, "address", "nowhere", NULL);
  assert_start_fails (sink, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE,
      "Could not listen on port 0 of nowhere.");
  g_object_set (sink, "address", "127.0.0.1", "stream-name", "a/b", NULL);
  assert_start_fails (sink, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "“a/b” cannot be the name of a stream.");
}

static void
test_nothing_is_copied_without_viewers (void)
{
  g_autoptr (WsFixture) fixture = ws_fixture_new (NULL, NULL);
  g_autoptr (WsClient) client = NULL;

  for (guint i = 0; i < 10; i++)
    ws_fixture_push_video (fixture, 64, i);
  g_assert_cmpuint (ws_fixture_stat (fixture, "video-received"), ==, 0);
  client = ws_fixture_watch (fixture, LIVE "?audio=0");
  ws_fixture_push_audio (fixture, 10, 1);
  g_assert_cmpuint (ws_fixture_stat (fixture, "audio-received"), ==, 0);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);
#define ADD(name) g_test_add_func ("/havenwssink/pipeline/" #name, test_##name)
  ADD (pads_link_by_what_they_take);
  ADD (live_pipelines_play_and_end);
  ADD (other_media_is_refused);
  ADD (there_is_one_pad_of_each_name);
  ADD (paused_does_not_wait_for_a_silent_pad);
  ADD (frames_of_any_size_pass);
  ADD (gaps_flushes_and_empty_buffers_do_no_harm);
  ADD (the_end_of_all_pads_closes_with_1000_and_a_reason);
  ADD (a_stopped_element_says_1001);
  ADD (viewers_may_wait_in_ready_and_stay_through_a_restart);
  ADD (a_port_in_use_is_told_with_its_address);
  ADD (bad_settings_are_errors);
  ADD (nothing_is_copied_without_viewers);
  return g_test_run ();
}
