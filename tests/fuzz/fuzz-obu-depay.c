/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any packets into the whole element: it never fails and never gives out an empty buffer. The input
 * is packets, each behind three bytes: length of the payload, step of the sequence number with the
 * marker, step of the RTP time. */

#include <gst/check/gstharness.h>
#include <gst/rtp/gstrtpbuffer.h>

#include "gstrtpav1depay.h"

#define MARKER 0x80

const char *__asan_default_options (void);
int LLVMFuzzerInitialize (int *argc, char ***argv);
int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  gst_init (argc, argv);
  return 0;
}

/* GLib's table of quarks outgrows its first memory and leaves it; telling that from a leak takes
 * slow stack traces, ten times slower. The unit tests look for the element's leaks. */
const char *
__asan_default_options (void)
{
  return "detect_leaks=0";
}

static GstBuffer *
new_packet (const guint8 *payload, gsize size, guint16 seq, guint32 rtp_time, gboolean marker)
{
  GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;
  GstBuffer *packet = gst_rtp_buffer_new_allocate (size, 0, 0);

  g_assert_true (gst_rtp_buffer_map (packet, GST_MAP_WRITE, &rtp));
  gst_rtp_buffer_set_seq (&rtp, seq);
  gst_rtp_buffer_set_timestamp (&rtp, rtp_time);
  gst_rtp_buffer_set_marker (&rtp, marker);
  if (size > 0)
    memcpy (gst_rtp_buffer_get_payload (&rtp), payload, size);
  gst_rtp_buffer_unmap (&rtp);
  return packet;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  GstElement *depay = g_object_new (GST_TYPE_RTP_AV1_DEPAY, NULL);
  GstHarness *h = gst_harness_new_with_element (gst_object_ref_sink (depay), "sink", "src");
  guint16 seq = 0;
  guint32 rtp_time = 0;
  GstBuffer *out;

  gst_harness_set_src_caps_str (
      h, "application/x-rtp,media=video,encoding-name=AV1,clock-rate=90000");
  while (size > 3) {
    gsize payload_size = MIN (data[0], size - 3);

    seq += 1 + (data[1] & 1);
    rtp_time += data[2];
    g_assert_cmpint (gst_harness_push (h, new_packet (data + 3, payload_size, seq, rtp_time,
                                              (data[1] & MARKER) != 0)),
        ==, GST_FLOW_OK);
    data += 3 + payload_size;
    size -= 3 + payload_size;
  }
  while ((out = gst_harness_try_pull (h))) {
    g_assert_cmpuint (gst_buffer_get_size (out), >, 2);
    gst_buffer_unref (out);
  }
  gst_harness_teardown (h);
  gst_object_unref (depay);
  return 0;
}
