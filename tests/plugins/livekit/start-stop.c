/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Starts and stops livekitsrc many times in one process, at chosen moments, and says what that cost
 * and left behind: a line of JSON for each moment. tests/integration/test_lifecycle.py runs it.
 *
 *   start-stop ROOM MOMENT:COUNT...
 *
 * At the moment "reconnecting" it writes "cut" and waits for somebody to cut the connection. */

#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE (60 * GST_SECOND)

typedef struct
{
  const char *name;
  const char *sink;    /* what stands behind the source */
  const char *message; /* stop at this element message; NULL: at once; "": at the first buffer */
  const char *state;   /* … with this state in it */
  guint wait;          /* ms more */
} Moment;

#define PICTURES "video/x-raw ! fakesink name=sink signal-handoffs=true"

static const Moment moments[] = {
  { "at-once", PICTURES, NULL },
  { "ready", PICTURES, "ready" },
  { "connecting", PICTURES, "livekit-connection-state", "connecting" },
  { "joined", PICTURES, "livekit-participant-joined" },
  { "negotiating", PICTURES, "livekit-track-added" },
  { "connected", PICTURES, "livekit-connection-state", "connected" },
  { "playing", PICTURES, "" },
  /* waits an hour to show the first picture, in front of a full queue */
  { "blocked",
      "video/x-raw ! tee name=t ! queue max-size-buffers=1 ! fakesink sync=true "
      "ts-offset=3600000000000 async=false t. ! fakesink name=sink signal-handoffs=true "
      "async=false",
      "", NULL, 300 },
  { "reconnecting", PICTURES, "livekit-connection-state", "reconnecting" },
  { "back-off", PICTURES, "livekit-connection-state", "connecting", 700 },
};

/* The names of all threads or, of /proc/self/fd, of all descriptors. */
static GStrv
list (const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  const char *entry;

  while ((entry = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (directory, entry, "comm", NULL), *name = NULL;

    if (g_file_get_contents (path, &name, NULL, NULL))
      g_strv_builder_add (names, g_strchomp (name));
    else
      g_strv_builder_add (names, entry);
  }
  return g_strv_builder_end (names);
}

static void
on_handoff (GstElement *sink, GstBuffer *buffer, GstPad *pad, GstElement *pipeline)
{
  gst_element_post_message (
      sink, gst_message_new_application (GST_OBJECT (sink), gst_structure_new_empty ("buffer")));
}

static gboolean
is_awaited (const Moment *moment, GstMessage *message)
{
  const GstStructure *structure = gst_message_get_structure (message);

  if (!*moment->message)
    return GST_MESSAGE_TYPE (message) == GST_MESSAGE_APPLICATION;
  return GST_MESSAGE_TYPE (message) == GST_MESSAGE_ELEMENT
         && gst_structure_has_name (structure, moment->message)
         && (!moment->state
             || g_strcmp0 (gst_structure_get_string (structure, "state"), moment->state) == 0);
}

static void
wait_for (const Moment *moment, GstBus *bus)
{
  for (;;) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (
        bus, PATIENCE, GST_MESSAGE_ELEMENT | GST_MESSAGE_APPLICATION | GST_MESSAGE_ERROR);

    if (!message || GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      g_autoptr (GError) error = NULL;

      if (message)
        gst_message_parse_error (message, &error, NULL);
      g_error ("%s: %s", moment->name, error ? error->message : "it did not come");
    }
    if (is_awaited (moment, message))
      return;
  }
}

/* What a stop cost and left behind, the worst of several. */
typedef struct
{
  gint64 longest; /* us */
  guint files, threads;
  guint ours; /* of the threads: those that the element makes itself */
} Cost;

#define THREADS "/proc/self/task"
#define FILES "/proc/self/fd"

static guint
count_ours (char **names)
{
  static const char *const ours[] = { "livekitsrc", "livekitsrc-end", "dtls-warm-up", NULL };
  guint n = 0;

  for (; *names; names++)
    n += g_strv_contains (ours, *names);
  return n;
}

static Cost
look (void)
{
  g_auto (GStrv) threads = list (THREADS), files = list (FILES);

  return (Cost){ 0, g_strv_length (files), g_strv_length (threads), count_ours (threads) };
}

/* webrtcbin, libnice and GStreamer's and GLib's thread pools wait for what their threads do, not
 * for the threads themselves, which end a moment later, and their descriptors with them; even one
 * that was joined is still listed for as long as the kernel takes to see it off. Waits, for a
 * second, until there is no more than @usual. */
static void
look_around (Cost *cost, const Cost *usual)
{
  Cost now = look ();

  for (guint i = 0;
       i < 200 && (now.threads > usual->threads || now.files > usual->files || now.ours > 0); i++) {
    g_usleep (5 * 1000);
    now = look ();
  }
  cost->files = MAX (cost->files, now.files);
  cost->threads = MAX (cost->threads, now.threads);
  cost->ours = MAX (cost->ours, now.ours);
}

static void
start_and_stop (const Moment *moment, const char *room, Cost *cost, const Cost *usual)
{
  g_autofree char *description
      = g_strdup_printf ("livekitsrc room-name=%s kinds=video ! %s", room, moment->sink);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (description, &error);
  g_autoptr (GstElement) sink = NULL;
  g_autoptr (GstBus) bus = NULL;
  gint64 start;

  g_assert_no_error (error);
  bus = gst_element_get_bus (pipeline);
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_signal_connect (sink, "handoff", G_CALLBACK (on_handoff), pipeline);
  if (g_strcmp0 (moment->message, "ready") == 0) {
    gst_element_set_state (pipeline, GST_STATE_READY);
  } else {
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    if (g_strcmp0 (moment->name, "reconnecting") == 0) {
      const Moment playing = { moment->name, NULL, "" };

      wait_for (&playing, bus);
      puts ("cut");
      fflush (stdout);
    }
    if (moment->message)
      wait_for (moment, bus);
    g_usleep (moment->wait * 1000);
  }
  start = g_get_monotonic_time ();
  gst_element_set_state (pipeline, GST_STATE_NULL);
  cost->longest = MAX (cost->longest, g_get_monotonic_time () - start);
  look_around (cost, usual);
}

static void
run (const Moment *moment, const char *room, guint count)
{
  const Cost nothing = { 0 };
  Cost first = { 0 }, others = { 0 };

  /* What is made once, and stays, is made here: GLib's worker "gmain" with a descriptor, usrsctp's
   * timer. */
  start_and_stop (moment, room, &first, &nothing);
  for (guint i = 0; i < count; i++)
    start_and_stop (moment, room, &others, &first);
  printf ("{\"moment\": \"%s\", \"count\": %u, \"longest_ms\": [%.1f, %.1f], \"ours\": [%u, %u], "
          "\"threads\": [%u, %u], \"files\": [%u, %u]}\n",
      moment->name, count, (double)first.longest / 1000, (double)others.longest / 1000, first.ours,
      others.ours, first.threads, others.threads, first.files, others.files);
  fflush (stdout);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  /* GLib keeps some threads of its pools for a quarter of a minute, in case they are of use again.
   */
  g_thread_pool_set_max_unused_threads (0);
  for (int i = 2; i < argc; i++) {
    g_auto (GStrv) words = g_strsplit (argv[i], ":", 2);
    gboolean known = FALSE;

    for (guint m = 0; m < G_N_ELEMENTS (moments); m++) {
      if (g_str_equal (moments[m].name, words[0])) {
        run (&moments[m], argv[1], (guint)atoi (words[1]));
        known = TRUE;
      }
    }
    g_assert (known);
  }
  gst_deinit ();
  return EXIT_SUCCESS;
}
