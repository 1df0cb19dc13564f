/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-sdp.h"

#include <string.h>

/* Cut down from an offer of livekit-server 1.13.5, and what webrtcbin 1.22 answers to it. */
#define SESSION "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n"
static const char offer_text[] = SESSION
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 "
    "0.0.0.0\r\na=mid:0\r\na=ice-ufrag:AAAA\r\na=ice-pwd:BBBB\r\n"
    "a=sendrecv\r\na=sctp-port:5000\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 125 126 108 109 35 36 116 117\r\nc=IN IP4 "
    "0.0.0.0\r\na=mid:1\r\n"
    "a=ice-ufrag:AAAA\r\na=ice-pwd:BBBB\r\na=msid:PA_x|TR_video TR_video\r\na=sendrecv\r\n"
    "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 "
    "nack\r\na=rtcp-fb:96 nack pli\r\n"
    "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    "a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\na=rtcp-fb:98 nack\r\na=rtcp-fb:98 nack "
    "pli\r\n"
    "a=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n"
    "a=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=1\r\na=rtpmap:101 rtx/90000\r\na=fmtp:101 "
    "apt=100\r\n"
    "a=rtpmap:125 H264/90000\r\na=fmtp:125 "
    "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n"
    "a=rtpmap:126 rtx/90000\r\na=fmtp:126 apt=125\r\n"
    "a=rtpmap:108 H264/90000\r\na=fmtp:108 "
    "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    "a=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\n"
    "a=rtpmap:35 AV1/90000\r\na=rtcp-fb:35 nack pli\r\na=rtpmap:36 rtx/90000\r\na=fmtp:36 "
    "apt=35\r\n"
    "a=rtpmap:116 H265/90000\r\na=rtpmap:117 rtx/90000\r\na=fmtp:117 apt=116\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0\r\nc=IN IP4 "
    "0.0.0.0\r\na=mid:2\r\na=ice-ufrag:AAAA\r\na=ice-pwd:BBBB\r\n"
    "a=msid:PA_x|TR_audio TR_audio\r\na=recvonly\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 "
    "red/48000/2\r\na=fmtp:63 111/111\r\n"
    "a=rtpmap:0 PCMU/8000\r\n";
static const char answer_text[]
    = SESSION "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 "
              "0.0.0.0\r\na=mid:0\r\na=ice-ufrag:CCCC\r\na=ice-pwd:DDDD\r\n"
              "a=setup:active\r\na=sctp-port:5000\r\n"
              "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 "
              "0.0.0.0\r\na=mid:1\r\na=ice-ufrag:CCCC\r\na=ice-pwd:DDDD\r\na=rtcp-mux\r\n"
              "a=setup:active\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 "
              "nack pli\r\na=recvonly\r\n"
              "a=fingerprint:sha-256 00\r\n"
              "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 "
              "0.0.0.0\r\na=mid:2\r\na=ice-ufrag:CCCC\r\na=ice-pwd:DDDD\r\na=inactive\r\n"
              "a=rtpmap:111 OPUS/48000/2\r\n";

static const char *const all_codecs[] = { "VP8", "VP9", "H264", "AV1", "OPUS", NULL };

static GstSDPMessage *
parse (const char *text)
{
  GstSDPMessage *sdp;

  g_assert_cmpint (gst_sdp_message_new_from_text (text, &sdp), ==, GST_SDP_OK);
  return sdp;
}

static char *
edit (const char *offer_sdp, const char *answer_sdp, const LiveKitAnswerOptions *options)
{
  GstSDPMessage *offer = parse (offer_sdp), *answer = parse (answer_sdp);
  char *text;

  livekit_sdp_edit_answer (offer, answer, options);
  text = gst_sdp_message_as_text (answer);
  gst_sdp_message_free (offer);
  gst_sdp_message_free (answer);
  return text;
}

static void
every_wanted_codec_is_answered_with_its_retransmission (void)
{
  g_autofree char *text = edit (
      offer_text, answer_text, &(LiveKitAnswerOptions){ .codecs = all_codecs, .nack = TRUE });

  g_assert_nonnull (strstr (text, "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 108 109 35 36\r\n"));
  g_assert_nonnull (strstr (text, "a=rtpmap:108 H264/90000\r\n"));
  g_assert_nonnull (strstr (text, "a=fmtp:36 apt=35\r\n"));
  g_assert_nonnull (strstr (text, "a=rtcp-fb:96 nack\r\n"));
  g_assert_nonnull (strstr (text, "a=fingerprint:sha-256 00\r\n"));
  g_assert_null (strstr (text, "H265"));
  g_assert_null (strstr (text, "profile-id=1"));
  g_assert_null (strstr (text, "packetization-mode=0"));
}

static void
full_intra_requests_and_bandwidth_estimates_are_not_answered (void)
{
  g_autofree char *text = edit (
      offer_text, answer_text, &(LiveKitAnswerOptions){ .codecs = all_codecs, .nack = TRUE });

  g_assert_null (strstr (text, "ccm fir"));
  g_assert_null (strstr (text, "goog-remb"));
  g_assert_nonnull (strstr (text, "a=rtcp-fb:96 nack pli\r\n"));
}

static void
without_nack_no_retransmission_is_asked_for (void)
{
  g_autofree char *text
      = edit (offer_text, answer_text, &(LiveKitAnswerOptions){ .codecs = all_codecs });

  g_assert_nonnull (strstr (text, "m=video 9 UDP/TLS/RTP/SAVPF 96 98 108 35\r\n"));
  g_assert_null (strstr (text, "a=rtcp-fb:96 nack\r\n"));
  g_assert_null (strstr (text, "rtx"));
}

static void
an_inactive_medium_is_left_alone (void)
{
  g_autofree char *text = edit (
      offer_text, answer_text, &(LiveKitAnswerOptions){ .codecs = all_codecs, .nack = TRUE });

  g_assert_nonnull (strstr (text, "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"));
  g_assert_nonnull (strstr (text, "a=rtpmap:111 OPUS/48000/2\r\n"));
}

static void
a_medium_without_a_wanted_codec_keeps_its_answer (void)
{
  static const char *const none[] = { "THEORA", NULL };
  g_autofree char *text
      = edit (offer_text, answer_text, &(LiveKitAnswerOptions){ .codecs = none, .nack = TRUE });

  g_assert_nonnull (strstr (text, "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"));
}

static void
credentials_of_a_restart_go_into_every_medium (void)
{
  LiveKitAnswerOptions options = { .codecs = all_codecs, .ice_ufrag = "EEEE", .ice_pwd = "FFFF" };
  g_autofree char *text = edit (offer_text, answer_text, &options);
  guint n = 0;

  for (const char *p = text; (p = strstr (p, "a=ice-ufrag:EEEE\r\n")); p++)
    n++;
  g_assert_cmpuint (n, ==, 3);
  g_assert_null (strstr (text, "CCCC"));
  g_assert_null (strstr (text, "DDDD"));
}

static void
an_answer_with_fewer_media_than_the_offer_is_safe (void)
{
  g_autofree char *text
      = edit (offer_text, SESSION, &(LiveKitAnswerOptions){ .codecs = all_codecs });

  g_assert_null (strstr (text, "m="));
}

static void
webrtcbin_hears_of_no_end_of_a_medium_and_the_server_does (void)
{
  GstSDPMessage *offer = parse (offer_text), *kept = parse (offer_text),
                *answer = parse (answer_text);
  const GstSDPMedia *audio, *video;

  livekit_sdp_keep_media (kept);
  audio = gst_sdp_message_get_media (kept, 2);
  g_assert_nonnull (gst_sdp_media_get_attribute_val (audio, "sendrecv"));
  g_assert_null (gst_sdp_media_get_attribute_val (audio, "recvonly"));

  livekit_sdp_end_media (offer, answer);
  video = gst_sdp_message_get_media (answer, 1);
  audio = gst_sdp_message_get_media (answer, 2);
  g_assert_nonnull (gst_sdp_media_get_attribute_val (video, "recvonly"));
  g_assert_nonnull (gst_sdp_media_get_attribute_val (audio, "inactive"));
  g_assert_null (gst_sdp_media_get_attribute_val (audio, "recvonly"));

  gst_sdp_message_free (offer);
  gst_sdp_message_free (kept);
  gst_sdp_message_free (answer);
}

static void
tracks_are_found_by_mid_and_ended_ones_are_not (void)
{
  GstSDPMessage *sdp = parse (offer_text);
  g_autoptr (GHashTable) tracks = livekit_sdp_get_tracks (sdp);

  g_assert_cmpuint (g_hash_table_size (tracks), ==, 1);
  g_assert_cmpstr (g_hash_table_lookup (tracks, "1"), ==, "TR_video");
  g_assert_cmpstr (livekit_sdp_get_ufrag (sdp), ==, "AAAA");
  gst_sdp_message_free (sdp);
}

static void
media_are_counted_by_their_lines (void)
{
  g_assert_cmpuint (livekit_sdp_count_media (offer_text), ==, 3);
  g_assert_cmpuint (livekit_sdp_count_media (""), ==, 0);
  g_assert_cmpuint (livekit_sdp_count_media ("m=video\rm=audio\nm=\n\nm=x\r\na=m=\r\n"), ==, 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(test) g_test_add_func ("/sdp/" #test, test)
  ADD (every_wanted_codec_is_answered_with_its_retransmission);
  ADD (full_intra_requests_and_bandwidth_estimates_are_not_answered);
  ADD (without_nack_no_retransmission_is_asked_for);
  ADD (an_inactive_medium_is_left_alone);
  ADD (a_medium_without_a_wanted_codec_keeps_its_answer);
  ADD (credentials_of_a_restart_go_into_every_medium);
  ADD (an_answer_with_fewer_media_than_the_offer_is_safe);
  ADD (webrtcbin_hears_of_no_end_of_a_medium_and_the_server_does);
  ADD (tracks_are_found_by_mid_and_ended_ones_are_not);
  ADD (media_are_counted_by_their_lines);
  return g_test_run ();
}
