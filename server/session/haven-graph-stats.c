/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-graph-private.h"

guint64
haven_graph_get_uint64 (const GstStructure *structure, const char *name)
{
  guint64 value = 0;

  gst_structure_get_uint64 (structure, name, &value);
  return value;
}

static void
add_source_stats (HavenGraph *self, GVariantDict *dict)
{
  g_autoptr (GstStructure) stats = NULL;
  const GValue *list;
  GVariantBuilder tracks;
  guint64 received = 0, lost = 0;

  g_variant_builder_init (&tracks, G_VARIANT_TYPE ("aa{sv}"));
  g_object_get (self->source, "stats", &stats, NULL);
  list = stats ? gst_structure_get_value (stats, "tracks") : NULL;
  for (guint i = 0; list && i < gst_value_array_get_size (list); i++) {
    const GstStructure *track = gst_value_get_structure (gst_value_array_get_value (list, i));
    const char *sid = gst_structure_get_string (track, "sid");
    const GstStructure *known = sid ? g_hash_table_lookup (self->tracks, sid) : NULL;
    GVariantBuilder fields;
    int track_lost = 0;
    guint jitter = 0;

    gst_structure_get_int (track, "packets-lost", &track_lost);
    gst_structure_get_uint (track, "jitter", &jitter);
    received += haven_graph_get_uint64 (track, "packets-received");
    lost += MAX (track_lost, 0);
    g_variant_builder_init (&fields, G_VARIANT_TYPE_VARDICT);
    if (sid)
      g_variant_builder_add (&fields, "{sv}", "sid", g_variant_new_string (sid));
    if (known) {
      static const char *const names[] = { "kind", "source", "name", "mime" };
      gboolean muted = FALSE;

      for (guint n = 0; n < G_N_ELEMENTS (names); n++) {
        const char *value = gst_structure_get_string (known, names[n]);
        if (value)
          g_variant_builder_add (&fields, "{sv}", names[n], g_variant_new_string (value));
      }
      gst_structure_get_boolean (known, "muted", &muted);
      g_variant_builder_add (&fields, "{sv}", "muted", g_variant_new_boolean (muted));
    }
    g_variant_builder_add (
        &fields, "{sv}", "frames", g_variant_new_uint64 (haven_graph_get_uint64 (track, "frames")));
    g_variant_builder_add (
        &fields, "{sv}", "gaps", g_variant_new_uint64 (haven_graph_get_uint64 (track, "gaps")));
    g_variant_builder_add (&fields, "{sv}", "bytes",
        g_variant_new_uint64 (haven_graph_get_uint64 (track, "bytes-received")));
    g_variant_builder_add (&fields, "{sv}", "packets_received",
        g_variant_new_uint64 (haven_graph_get_uint64 (track, "packets-received")));
    g_variant_builder_add (
        &fields, "{sv}", "packets_lost", g_variant_new_uint64 (MAX (track_lost, 0)));
    g_variant_builder_add (&fields, "{sv}", "jitter", g_variant_new_uint32 (jitter));
    g_variant_builder_add_value (&tracks, g_variant_builder_end (&fields));
  }
  g_variant_dict_insert (dict, "packets_received", "t", received);
  g_variant_dict_insert (dict, "packets_lost", "t", lost);
  g_variant_dict_insert_value (dict, "tracks", g_variant_builder_end (&tracks));
}

/* The entry of a pad in the array of tracks. */
static const GstStructure *
find_track_stats (const GstStructure *stats, GstPad *pad /* (nullable) */)
{
  const GValue *list = gst_structure_get_value (stats, "tracks");

  for (guint i = 0; pad && list && i < gst_value_array_get_size (list); i++) {
    const GstStructure *track = gst_value_get_structure (gst_value_array_get_value (list, i));

    if (g_strcmp0 (gst_structure_get_string (track, "pad"), GST_PAD_NAME (pad)) == 0)
      return track;
  }
  return NULL;
}

void
haven_graph_get_sync (HavenGraph *self, HavenSync *sync)
{
  const gint64 epoch = G_GINT64_CONSTANT (2208988800) * GST_SECOND; /* 1900 to 1970 */
  g_autoptr (GstStructure) stats = NULL;

  *sync = (HavenSync){ 0 };
  g_object_get (self->source, "stats", &stats, NULL);
  for (HavenKind kind = 0; stats && kind < HAVEN_N_KINDS; kind++) {
    const GstStructure *track = find_track_stats (stats, self->linked[kind]);

    if (!track)
      continue;
    if (gst_structure_get_int64 (track, "sender-offset", &sync->clock_offset)) {
      sync->clock_known = TRUE;
      sync->clock_offset += epoch; /* that of the sound, where both are known */
    }
    if (kind == HAVEN_VIDEO)
      sync->skew_known = gst_structure_get_int64 (track, "skew", &sync->skew);
  }
}

static const GstStructure *
find_viewer_stats (const GstStructure *stats, guint sink_id)
{
  const GValue *list = gst_structure_get_value (stats, "viewers");

  for (guint i = 0; list && i < gst_value_list_get_size (list); i++) {
    const GstStructure *viewer = gst_value_get_structure (gst_value_list_get_value (list, i));
    guint id = 0;

    if (gst_structure_get_uint (viewer, "id", &id) && id == sink_id)
      return viewer;
  }
  return NULL;
}

static void
add_viewer_stats (HavenGraph *self, GVariantDict *dict)
{
  GVariantBuilder viewers;
  GHashTableIter iter;
  gpointer key, value;

  g_variant_builder_init (&viewers, G_VARIANT_TYPE ("aa{sv}"));
  g_hash_table_iter_init (&iter, self->viewers);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    HavenViewer *viewer = value;
    g_autoptr (GstStructure) stats = NULL;
    const GstStructure *own;
    GVariantBuilder fields;
    gint64 since = 0;

    if (!viewer->show)
      continue;
    g_object_get (viewer->show->sink, "stats", &stats, NULL);
    own = find_viewer_stats (stats, viewer->sink_id);
    if (!own)
      continue;
    gst_structure_get_int64 (own, "since", &since);
    g_variant_builder_init (&fields, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add (&fields, "{sv}", "id", g_variant_new_uint32 (GPOINTER_TO_UINT (key)));
    g_variant_builder_add (
        &fields, "{sv}", "form", g_variant_new_string (gst_structure_get_string (own, "form")));
    g_variant_builder_add (&fields, "{sv}", "address",
        g_variant_new_string (gst_structure_get_string (own, "remote-address")));
    g_variant_builder_add (
        &fields, "{sv}", "width", g_variant_new_uint32 (viewer->show->ask.width));
    g_variant_builder_add (&fields, "{sv}", "fps", g_variant_new_uint32 (viewer->show->ask.fps));
    g_variant_builder_add (
        &fields, "{sv}", "quality", g_variant_new_uint32 (viewer->show->ask.quality));
    g_variant_builder_add (&fields, "{sv}", "frames",
        g_variant_new_uint64 (haven_graph_get_uint64 (own, "video-sent")));
    g_variant_builder_add (&fields, "{sv}", "dropped",
        g_variant_new_uint64 (haven_graph_get_uint64 (own, "video-dropped")));
    g_variant_builder_add (
        &fields, "{sv}", "bytes", g_variant_new_uint64 (haven_graph_get_uint64 (own, "bytes")));
    g_variant_builder_add (&fields, "{sv}", "since", g_variant_new_int64 (since));
    g_variant_builder_add_value (&viewers, g_variant_builder_end (&fields));
  }
  g_variant_dict_insert_value (dict, "viewers", g_variant_builder_end (&viewers));
}

void
haven_graph_add_stats (HavenGraph *self, GVariantDict *dict)
{
  HavenShowCount count = self->gone;
  guint64 encode_ns;

  for (guint i = 0; i < self->shows->len; i++)
    haven_show_count (g_ptr_array_index (self->shows, i), &count);
  g_mutex_lock (&self->encode_time.lock);
  encode_ns = self->encode_time.ns;
  g_mutex_unlock (&self->encode_time.lock);
  g_variant_dict_insert (dict, "frames", "t", count.frames);
  g_variant_dict_insert (dict, "dropped", "t", count.dropped);
  g_variant_dict_insert (dict, "dropped_pictures", "t", count.not_made);
  g_variant_dict_insert (dict, "dropped_before_decoding", "t",
      self->gone_before_decoding + haven_graph_lost_before_decoding (self));
  g_variant_dict_insert (dict, "bytes", "t", count.bytes);
  g_variant_dict_insert (dict, "encode_seconds", "d", encode_ns / 1e9);
  g_variant_dict_insert (dict, "concessions", "t", self->concessions);
  g_variant_dict_insert (dict, "reconnects", "u", self->reconnects);
  g_variant_dict_insert (dict, "decoders", "u", (guint) !!self->decoded[HAVEN_VIDEO].bin);
  g_variant_dict_insert (dict, "encoders", "u",
      haven_graph_count_pictures (self) + haven_graph_count_encoding_recorders (self));
  add_source_stats (self, dict);
  add_viewer_stats (self, dict);
}
