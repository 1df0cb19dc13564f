/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-sdp.h"

#include <stdlib.h>
#include <string.h>

/* The value of "a=NAME:PT rest" without the payload type, or NULL. */
static const char *
after_payload_type (const char *value, const char *pt)
{
  gsize len = strlen (pt);

  if (!value || strncmp (value, pt, len) != 0 || value[len] != ' ')
    return NULL;
  return value + len + 1;
}

static const char *
find_attribute (const GstSDPMedia *media, const char *name, const char *pt)
{
  const char *value, *rest;

  for (guint i = 0; (value = gst_sdp_media_get_attribute_val_n (media, name, i)); i++)
    if ((rest = after_payload_type (value, pt)))
      return rest;
  return NULL;
}

static gboolean
is_encoding (const char *rtpmap, const char *name)
{
  gsize len = strlen (name);

  return rtpmap && g_ascii_strncasecmp (rtpmap, name, len) == 0 && rtpmap[len] == '/';
}

static gboolean
is_wanted_codec (const GstSDPMedia *offer, const char *pt, const char *const *codecs)
{
  const char *rtpmap = find_attribute (offer, "rtpmap", pt);
  const char *fmtp = find_attribute (offer, "fmtp", pt);

  for (; *codecs; codecs++) {
    if (!is_encoding (rtpmap, *codecs))
      continue;
    /* Packetization mode 0 says the same pictures in single NAL units; one of the two is enough. */
    if (is_encoding (rtpmap, "H264"))
      return fmtp && strstr (fmtp, "packetization-mode=1");
    /* VP9 profiles above 0 are high bit depth or 4:4:4. */
    if (is_encoding (rtpmap, "VP9"))
      return !fmtp || !strstr (fmtp, "profile-id=") || strstr (fmtp, "profile-id=0");
    return TRUE;
  }
  return FALSE;
}

static gboolean
is_wanted (const GstSDPMedia *offer, const char *pt, const LiveKitAnswerOptions *options)
{
  const char *fmtp;

  if (!is_encoding (find_attribute (offer, "rtpmap", pt), "rtx"))
    return is_wanted_codec (offer, pt, options->codecs);

  fmtp = find_attribute (offer, "fmtp", pt);
  if (!options->nack || !fmtp || !g_str_has_prefix (fmtp, "apt="))
    return FALSE;
  {
    g_autofree char *apt = g_strndup (fmtp + 4, strcspn (fmtp + 4, "; "));
    return is_wanted_codec (offer, apt, options->codecs);
  }
}

static gboolean
is_wanted_feedback (const char *feedback, const LiveKitAnswerOptions *options)
{
  return g_str_equal (feedback, "nack pli") || (options->nack && g_str_equal (feedback, "nack"));
}

static gboolean
is_active (const GstSDPMedia *media)
{
  return gst_sdp_media_get_port (media) != 0
         && !gst_sdp_media_get_attribute_val (media, "inactive");
}

static void
remove_attributes (GstSDPMedia *media, const char *const *names)
{
  for (guint i = gst_sdp_media_attributes_len (media); i > 0; i--) {
    const GstSDPAttribute *attribute = gst_sdp_media_get_attribute (media, i - 1);
    if (g_strv_contains (names, attribute->key))
      gst_sdp_media_remove_attribute (media, i - 1);
  }
}

static void
copy_payload_type (const GstSDPMedia *offer, GstSDPMedia *answer, const char *pt,
    const LiveKitAnswerOptions *options)
{
  static const char *const copied[] = { "rtpmap", "fmtp", "rtcp-fb", NULL };

  gst_sdp_media_add_format (answer, pt);
  for (guint i = 0; i < gst_sdp_media_attributes_len (offer); i++) {
    const GstSDPAttribute *attribute = gst_sdp_media_get_attribute (offer, i);
    const char *rest;

    if (!g_strv_contains (copied, attribute->key)
        || !(rest = after_payload_type (attribute->value, pt)))
      continue;
    if (g_str_equal (attribute->key, "rtcp-fb") && !is_wanted_feedback (rest, options))
      continue;
    gst_sdp_media_add_attribute (answer, attribute->key, attribute->value);
  }
}

static void
edit_media (const GstSDPMedia *offer, GstSDPMedia *answer, const LiveKitAnswerOptions *options)
{
  static const char *const rewritten[] = { "rtpmap", "fmtp", "rtcp-fb", NULL };
  g_autoptr (GPtrArray) wanted = g_ptr_array_new ();

  for (guint i = 0; i < gst_sdp_media_formats_len (offer); i++) {
    const char *pt = gst_sdp_media_get_format (offer, i);
    if (is_wanted (offer, pt, options))
      g_ptr_array_add (wanted, (gpointer)pt);
  }
  if (wanted->len == 0)
    return; /* leave it to webrtcbin's own choice: better a codec nobody wants than an m-line
               without one */

  while (gst_sdp_media_formats_len (answer) > 0)
    gst_sdp_media_remove_format (answer, 0);
  remove_attributes (answer, rewritten);
  for (guint i = 0; i < wanted->len; i++)
    copy_payload_type (offer, answer, g_ptr_array_index (wanted, i), options);
}

static void
set_credentials (GstSDPMedia *media, const LiveKitAnswerOptions *options)
{
  static const char *const replaced[] = { "ice-ufrag", "ice-pwd", NULL };

  remove_attributes (media, replaced);
  gst_sdp_media_add_attribute (media, "ice-ufrag", options->ice_ufrag);
  gst_sdp_media_add_attribute (media, "ice-pwd", options->ice_pwd);
}

void
livekit_sdp_edit_answer (
    const GstSDPMessage *offer, GstSDPMessage *answer, const LiveKitAnswerOptions *options)
{
  guint n = MIN (gst_sdp_message_medias_len (offer), gst_sdp_message_medias_len (answer));

  for (guint i = 0; i < n; i++) {
    const GstSDPMedia *offered = gst_sdp_message_get_media (offer, i);
    GstSDPMedia *answered = (GstSDPMedia *)gst_sdp_message_get_media (answer, i);
    const char *media = gst_sdp_media_get_media (offered);

    if (options->ice_ufrag && options->ice_pwd)
      set_credentials (answered, options);
    if ((g_strcmp0 (media, "video") == 0 || g_strcmp0 (media, "audio") == 0)
        && is_active (answered))
      edit_media (offered, answered, options);
  }
}

static gboolean
is_ended (const GstSDPMedia *media)
{
  const char *kind = gst_sdp_media_get_media (media);

  return (g_strcmp0 (kind, "video") == 0 || g_strcmp0 (kind, "audio") == 0)
         && (gst_sdp_media_get_attribute_val (media, "recvonly")
             || gst_sdp_media_get_attribute_val (media, "inactive"));
}

static void
set_direction (GstSDPMedia *media, const char *direction)
{
  static const char *const directions[] = { "sendrecv", "sendonly", "recvonly", "inactive", NULL };

  remove_attributes (media, directions);
  gst_sdp_media_add_attribute (media, direction, "");
}

void
livekit_sdp_keep_media (GstSDPMessage *offer)
{
  for (guint i = 0; i < gst_sdp_message_medias_len (offer); i++) {
    GstSDPMedia *media = (GstSDPMedia *)gst_sdp_message_get_media (offer, i);
    if (is_ended (media))
      set_direction (media, "sendrecv");
  }
}

void
livekit_sdp_end_media (const GstSDPMessage *offer, GstSDPMessage *answer)
{
  guint n = MIN (gst_sdp_message_medias_len (offer), gst_sdp_message_medias_len (answer));

  for (guint i = 0; i < n; i++)
    if (is_ended (gst_sdp_message_get_media (offer, i)))
      set_direction ((GstSDPMedia *)gst_sdp_message_get_media (answer, i), "inactive");
}

guint
livekit_sdp_count_media (const char *sdp)
{
  guint n = g_str_has_prefix (sdp, "m=");

  for (const char *line = sdp; (line = strpbrk (line, "\r\n")); line++)
    n += g_str_has_prefix (line + 1, "m=");
  return n;
}

const char *
livekit_sdp_get_ufrag (const GstSDPMessage *sdp)
{
  const char *ufrag = gst_sdp_message_get_attribute_val (sdp, "ice-ufrag");

  for (guint i = 0; !ufrag && i < gst_sdp_message_medias_len (sdp); i++)
    ufrag = gst_sdp_media_get_attribute_val (gst_sdp_message_get_media (sdp, i), "ice-ufrag");
  return ufrag;
}

/* "a=msid:PA_x|TR_y TR_y": the second word is the track; some servers leave it out. */
static char *
track_of_msid (const char *msid)
{
  g_auto (GStrv) words = g_strsplit (msid, " ", 3);
  const char *bar;

  if (words[0] && words[1] && g_str_has_prefix (words[1], "TR_"))
    return g_strdup (words[1]);
  if (words[0] && (bar = strchr (words[0], '|')))
    return g_strdup (bar + 1);
  return NULL;
}

GHashTable *
livekit_sdp_get_tracks (const GstSDPMessage *sdp)
{
  GHashTable *tracks = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  for (guint i = 0; i < gst_sdp_message_medias_len (sdp); i++) {
    const GstSDPMedia *media = gst_sdp_message_get_media (sdp, i);
    const char *mid = gst_sdp_media_get_attribute_val (media, "mid");
    const char *msid = gst_sdp_media_get_attribute_val (media, "msid");
    char *sid = msid ? track_of_msid (msid) : NULL;

    if (mid && sid
        && (gst_sdp_media_get_attribute_val (media, "sendrecv")
            || gst_sdp_media_get_attribute_val (media, "sendonly")))
      g_hash_table_insert (tracks, g_strdup (mid), sid);
    else
      g_free (sid);
  }
  return tracks;
}
