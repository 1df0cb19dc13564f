/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "livekit-report.h"

GstStructure *
livekit_report_participant (const char *name, const LiveKitParticipant *participant)
{
  return gst_structure_new (name, "identity", G_TYPE_STRING, participant->identity, "sid",
      G_TYPE_STRING, participant->sid, "name", G_TYPE_STRING, participant->name, NULL);
}

GstStructure *
livekit_report_track (
    const char *name, const LiveKitParticipant *participant, const LiveKitTrack *track)
{
  return gst_structure_new (name, "participant", G_TYPE_STRING, participant->identity, "sid",
      G_TYPE_STRING, track->sid, "kind", G_TYPE_STRING, livekit_kind_to_string (track->kind),
      "source", G_TYPE_STRING, livekit_source_to_string (track->source), "name", G_TYPE_STRING,
      track->name, "mime", G_TYPE_STRING, track->mime, "muted", G_TYPE_BOOLEAN, track->muted,
      "width", G_TYPE_UINT, track->width, "height", G_TYPE_UINT, track->height, NULL);
}

void
livekit_report_append (GValue *array, GstStructure *structure /* (transfer full) */)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed (&value, structure);
  gst_value_array_append_and_take_value (array, &value);
}

void
livekit_report_participants (const GPtrArray *participants, GValue *array)
{
  for (guint i = 0; i < participants->len; i++) {
    const LiveKitParticipant *participant = g_ptr_array_index (participants, i);
    GstStructure *structure = livekit_report_participant ("participant", participant);
    GValue tracks = G_VALUE_INIT;

    g_value_init (&tracks, GST_TYPE_ARRAY);
    for (guint t = 0; t < participant->tracks->len; t++)
      livekit_report_append (&tracks,
          livekit_report_track ("track", participant, g_ptr_array_index (participant->tracks, t)));
    gst_structure_take_value (structure, "tracks", &tracks);
    livekit_report_append (array, structure);
  }
}

static void
copy_counter (
    const GstStructure *from, const char *from_name, GstStructure *to, const char *to_name)
{
  const GValue *value = from ? gst_structure_get_value (from, from_name) : NULL;

  if (value)
    gst_structure_set_value (to, to_name, value);
}

GstStructure *
livekit_report_stats (const char *pad, const char *track_sid, const GstLiveKitOutputStats *output,
    const GstClockTimeDiff *sync_offset, const GstStructure *rtp)
{
  GstStructure *stats = gst_structure_new ("track", "pad", G_TYPE_STRING, pad, "sid", G_TYPE_STRING,
      track_sid, "frames", G_TYPE_UINT64, output->buffers, "blank-frames", G_TYPE_UINT64,
      output->blank, "late-frames", G_TYPE_UINT64, output->late, "gaps", G_TYPE_UINT64,
      output->gaps, "shift", G_TYPE_INT64, output->shift, NULL);

  if (sync_offset)
    gst_structure_set (stats, "sender-offset", G_TYPE_INT64, *sync_offset + output->shift, NULL);
  if (output->shift_known)
    gst_structure_set (stats, "skew", G_TYPE_INT64, output->shift - output->shift_wanted, NULL);
  copy_counter (rtp, "packets-received", stats, "packets-received");
  copy_counter (rtp, "octets-received", stats, "bytes-received");
  copy_counter (rtp, "packets-lost", stats, "packets-lost");
  copy_counter (rtp, "jitter", stats, "jitter");
  copy_counter (rtp, "bitrate", stats, "bitrate");
  copy_counter (rtp, "sent-pli-count", stats, "pli-sent");
  copy_counter (rtp, "sent-fir-count", stats, "fir-sent");
  copy_counter (rtp, "sent-nack-count", stats, "nack-sent");
  return stats;
}

void
livekit_report_error_code (const GError *error, gboolean connected, GQuark *domain, int *code)
{
  static const struct
  {
    GstResourceError before, after; /* the first connection */
  } codes[] = {
    [LIVEKIT_ERROR_CONFIG] = { GST_RESOURCE_ERROR_SETTINGS, GST_RESOURCE_ERROR_SETTINGS },
    [LIVEKIT_ERROR_UNAUTHORIZED]
    = { GST_RESOURCE_ERROR_NOT_AUTHORIZED, GST_RESOURCE_ERROR_NOT_AUTHORIZED },
    [LIVEKIT_ERROR_NOT_FOUND] = { GST_RESOURCE_ERROR_NOT_FOUND, GST_RESOURCE_ERROR_NOT_FOUND },
    [LIVEKIT_ERROR_UNAVAILABLE] = { GST_RESOURCE_ERROR_OPEN_READ, GST_RESOURCE_ERROR_READ },
    [LIVEKIT_ERROR_TLS] = { GST_RESOURCE_ERROR_OPEN_READ, GST_RESOURCE_ERROR_OPEN_READ },
    [LIVEKIT_ERROR_TIMEOUT] = { GST_RESOURCE_ERROR_OPEN_READ, GST_RESOURCE_ERROR_READ },
    [LIVEKIT_ERROR_PROTOCOL] = { GST_RESOURCE_ERROR_FAILED, GST_RESOURCE_ERROR_FAILED },
    [LIVEKIT_ERROR_CLOSED] = { GST_RESOURCE_ERROR_OPEN_READ, GST_RESOURCE_ERROR_READ },
    [LIVEKIT_ERROR_REMOVED]
    = { GST_RESOURCE_ERROR_NOT_AUTHORIZED, GST_RESOURCE_ERROR_NOT_AUTHORIZED },
    [LIVEKIT_ERROR_DUPLICATE] = { GST_RESOURCE_ERROR_BUSY, GST_RESOURCE_ERROR_BUSY },
    [LIVEKIT_ERROR_ROOM_CLOSED] = { GST_RESOURCE_ERROR_NOT_FOUND, GST_RESOURCE_ERROR_NOT_FOUND },
    [LIVEKIT_ERROR_NO_STREAMER] = { GST_RESOURCE_ERROR_NOT_FOUND, GST_RESOURCE_ERROR_NOT_FOUND },
    [LIVEKIT_ERROR_ENCRYPTED] = { GST_RESOURCE_ERROR_FAILED, GST_RESOURCE_ERROR_FAILED },
    [LIVEKIT_ERROR_PERMISSION]
    = { GST_RESOURCE_ERROR_NOT_AUTHORIZED, GST_RESOURCE_ERROR_NOT_AUTHORIZED },
  };

  *domain = GST_RESOURCE_ERROR;
  *code = GST_RESOURCE_ERROR_FAILED;
  if (error->domain == GST_CORE_ERROR || error->domain == GST_STREAM_ERROR) {
    *domain = error->domain;
    *code = error->code;
  } else if (g_error_matches (error, LIVEKIT_ERROR, LIVEKIT_ERROR_ENCRYPTED)) {
    *domain = GST_STREAM_ERROR;
    *code = GST_STREAM_ERROR_DECRYPT_NOKEY;
  } else if (error->domain == LIVEKIT_ERROR && error->code < (int)G_N_ELEMENTS (codes)) {
    *code = connected ? codes[error->code].after : codes[error->code].before;
  }
}
