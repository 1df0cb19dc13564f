/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "haven-graph-private.h"

#include "haven-session-error.h"

GST_DEBUG_CATEGORY_EXTERN (haven_graph_debug);
#define GST_CAT_DEFAULT haven_graph_debug

static void check_ready (HavenGraph *self);

/* How long a published track may take to flow, and sound to be published after the picture, before
 * the session is ready without it, s. */
#define FLOW_TIMEOUT 10
#define OTHER_KIND_TIMEOUT 2

static char *
get_string (gpointer object, const char *property)
{
  char *value = NULL;

  g_object_get (object, property, &value, NULL);
  return value;
}

static const GstStructure *
track_of_pad (HavenGraph *self, GstPad *pad)
{
  g_autofree char *sid = get_string (pad, "track-sid");

  return sid ? g_hash_table_lookup (self->tracks, sid) : NULL;
}

/* What is shown where several tracks of a kind are there. */
static int
preference (const GstStructure *track)
{
  static const char *const order[] = { "camera", "screen", "microphone", "screen-audio" };
  const char *source = gst_structure_get_string (track, "source");

  for (guint i = 0; i < G_N_ELEMENTS (order); i++)
    if (g_strcmp0 (source, order[i]) == 0)
      return i;
  return G_N_ELEMENTS (order);
}

static void
link_pad (HavenGraph *self, HavenKind kind, GstPad *pad)
{
  g_autoptr (GstPad) sink = gst_element_get_static_pad (self->tees[kind], "sink");

  if (self->linked[kind])
    gst_pad_unlink (self->linked[kind], sink);
  g_clear_object (&self->linked[kind]);
  if (gst_pad_link (pad, sink) == GST_PAD_LINK_OK)
    self->linked[kind] = gst_object_ref (pad);
  GST_INFO ("%s comes from %s", haven_kind_names[kind], GST_PAD_NAME (pad));
}

static void
consider_pad (const GValue *item, gpointer user_data)
{
  GstPad **best = user_data; /* for each kind */
  GstPad *pad = g_value_get_object (item);
  HavenGraph *self = HAVEN_GRAPH (g_object_get_data (G_OBJECT (GST_PAD_PARENT (pad)), "graph"));
  HavenKind kind = g_str_has_prefix (GST_PAD_NAME (pad), "audio") ? HAVEN_AUDIO : HAVEN_VIDEO;
  const GstStructure *track = track_of_pad (self, pad);

  if (track && (!best[kind] || preference (track) < preference (track_of_pad (self, best[kind]))))
    best[kind] = pad;
}

static gboolean
is_muted (HavenGraph *self, HavenKind kind)
{
  const GstStructure *track = track_of_pad (self, self->linked[kind]);
  gboolean muted = FALSE;

  return track && gst_structure_get_boolean (track, "muted", &muted) && muted;
}

static gboolean
is_forbidden (HavenGraph *self, HavenKind kind)
{
  g_autofree char *sid = get_string (self->linked[kind], "track-sid");

  return sid && g_hash_table_contains (self->forbidden, sid);
}

void
haven_graph_note_silence (HavenGraph *self)
{
  GstClockTime now = haven_graph_get_running_time (self);

  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    gboolean linked = self->linked[kind] != NULL;
    gboolean published = linked && track_of_pad (self, self->linked[kind]);

    haven_silence_set (
        self->silence, kind, HAVEN_SILENCE_MUTED, published && is_muted (self, kind), now);
    haven_silence_set (
        self->silence, kind, HAVEN_SILENCE_FORBIDDEN, published && is_forbidden (self, kind), now);
    haven_silence_set (self->silence, kind, HAVEN_SILENCE_UNPUBLISHED, linked && !published, now);
    haven_silence_set (self->silence, kind, HAVEN_SILENCE_STREAMER_GONE, self->streamer_gone, now);
    haven_silence_set (self->silence, kind, HAVEN_SILENCE_RECONNECTING, self->reconnecting, now);
  }
}

/* Keeps a track for as long as it is published; then takes the best of the others. */
static void
choose_tracks (HavenGraph *self)
{
  GstPad *best[HAVEN_N_KINDS] = { NULL, NULL };
  g_autoptr (GstIterator) pads = gst_element_iterate_src_pads (self->source);

  while (gst_iterator_foreach (pads, consider_pad, best) == GST_ITERATOR_RESYNC) {
    memset (best, 0, sizeof best);
    gst_iterator_resync (pads);
  }
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    GstPad *now = self->linked[kind];

    if (best[kind] && best[kind] != now && (!now || !track_of_pad (self, now)))
      link_pad (self, kind, best[kind]);
  }
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    if (!self->linked[kind])
      continue;
    g_free (self->participant_sid);
    g_free (self->participant_identity);
    self->participant_sid = get_string (self->linked[kind], "participant-sid");
    self->participant_identity = get_string (self->linked[kind], "participant-identity");
    break;
  }
  haven_graph_note_silence (self);
  check_ready (self);
}

/* Not the pad's own: those are the old ones while the event of the new is still on its way through
 * the branches, and a recording that begins then would be for a codec that comes no more. */
GstCaps *
haven_graph_get_flowing_caps (HavenGraph *self, HavenKind kind)
{
  GstCaps *caps;

  g_mutex_lock (&self->lock);
  caps = self->caps[kind] ? gst_caps_ref (self->caps[kind]) : NULL;
  g_mutex_unlock (&self->lock);
  return caps;
}

static gboolean
is_flowing (HavenGraph *self, HavenKind kind)
{
  g_autoptr (GstCaps) caps = haven_graph_get_flowing_caps (self, kind);

  return caps != NULL;
}

static void
run_pads_changed (HavenGraph *self, gpointer object, guint number)
{
  choose_tracks (self);
  haven_graph_renew_recorders (self);
}

static void
on_pad_track (
    GstPad *pad, GParamSpec *pspec, HavenGraph *self) /* signalling thread of livekitsrc */
{
  haven_graph_post (self, run_pads_changed, NULL, 0);
}

static void
on_pad_added (
    GstElement *source, GstPad *pad, HavenGraph *self) /* signalling thread of livekitsrc */
{
  g_signal_connect_object (pad, "notify::track-sid", G_CALLBACK (on_pad_track), self, 0);
  haven_graph_post (self, run_pads_changed, NULL, 0);
}

static void
take_caps (HavenGraph *self, HavenKind kind, GstEvent *event) /* streaming thread of the tee */
{
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  if (kind == HAVEN_VIDEO)
    haven_novelty_take_caps (&self->novelty, self->caps[kind], caps); /* written here alone */
  g_mutex_lock (&self->lock);
  gst_caps_replace (&self->caps[kind], caps);
  g_mutex_unlock (&self->lock);
}

static GstPadProbeReturn
on_tee_event (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  HavenGraph *self = user_data;
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);

  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS)
    take_caps (
        self, GST_PAD_PARENT (pad) == self->tees[HAVEN_VIDEO] ? HAVEN_VIDEO : HAVEN_AUDIO, event);
  else if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT) /* after caps: media follows */
    haven_graph_post (self, run_pads_changed, NULL, 0);
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_picture (GstPad *pad, GstPadProbeInfo *info, gpointer user_data) /* streaming thread */
{
  HavenGraph *self = user_data;

  haven_novelty_add (&self->novelty, GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

void
haven_graph_watch_tracks (HavenGraph *self)
{
  g_object_set_data (G_OBJECT (self->source), "graph", self);
  g_signal_connect_object (self->source, "pad-added", G_CALLBACK (on_pad_added), self, 0);
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++) {
    self->tees[kind] = haven_graph_make_tee (self);
    haven_branch_add_probe (
        self->tees[kind], "sink", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_tee_event, self);
  }
  haven_branch_add_probe (
      self->tees[HAVEN_VIDEO], "sink", GST_PAD_PROBE_TYPE_BUFFER, on_picture, self);
}

static void
become_ready (HavenGraph *self)
{
  g_clear_handle_id (&self->ready_timer, g_source_remove);
  self->ready = TRUE;
  self->handlers.ready (self->user_data);
}

/* Ready though not everything flows; but where nothing does, that is an error. */
static gboolean
on_ready_timeout (gpointer user_data)
{
  HavenGraph *self = user_data;
  g_autoptr (GError) error = NULL;
  gboolean any = FALSE;

  self->ready_timer = 0;
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    any |= self->linked[kind] && (is_flowing (self, kind) || is_muted (self, kind));
  if (any) {
    become_ready (self);
    return G_SOURCE_REMOVE;
  }
  if (self->flow_timeout > self->ready_timeout) {
    self->ready_timeout = self->flow_timeout - self->ready_timeout;
    self->ready_timer = g_timeout_add_seconds (self->ready_timeout, on_ready_timeout, self);
    self->flow_timeout = 0;
    return G_SOURCE_REMOVE;
  }
  error = g_error_new (HAVEN_SESSION_ERROR, HAVEN_SESSION_ERROR_TIMEOUT,
      "The streamer has published, but nothing comes of it");
  self->handlers.failed (error, self->user_data);
  return G_SOURCE_REMOVE;
}

/* Ready is when every published track flows, that is not muted. */
static void
check_ready (HavenGraph *self)
{
  gboolean flowing = TRUE;
  guint timeout;

  if (self->ready || (!self->linked[HAVEN_VIDEO] && !self->linked[HAVEN_AUDIO]))
    return;
  for (HavenKind kind = 0; kind < HAVEN_N_KINDS; kind++)
    if (self->linked[kind])
      flowing &= is_flowing (self, kind) || is_muted (self, kind);
  if (flowing && self->linked[HAVEN_VIDEO] && self->linked[HAVEN_AUDIO]) {
    become_ready (self);
    return;
  }
  timeout = flowing ? OTHER_KIND_TIMEOUT : FLOW_TIMEOUT;
  if (self->ready_timer && self->ready_timeout <= timeout)
    return;
  g_clear_handle_id (&self->ready_timer, g_source_remove);
  self->ready_timeout = timeout;
  self->ready_timer = g_timeout_add_seconds (timeout, on_ready_timeout, self);
}

static GVariant *
track_to_variant (const GstStructure *track, const char *change)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&builder, "{sv}", "change", g_variant_new_string (change));
  for (int i = 0; i < gst_structure_n_fields (track); i++) {
    const char *name = gst_structure_nth_field_name (track, i);
    const GValue *value = gst_structure_get_value (track, name);

    if (G_VALUE_HOLDS_STRING (value) && g_value_get_string (value))
      g_variant_builder_add (
          &builder, "{sv}", name, g_variant_new_string (g_value_get_string (value)));
    else if (G_VALUE_HOLDS_BOOLEAN (value))
      g_variant_builder_add (
          &builder, "{sv}", name, g_variant_new_boolean (g_value_get_boolean (value)));
    else if (G_VALUE_HOLDS_UINT (value))
      g_variant_builder_add (
          &builder, "{sv}", name, g_variant_new_uint32 (g_value_get_uint (value)));
  }
  return g_variant_builder_end (&builder);
}

void
haven_graph_take_track (HavenGraph *self, const GstStructure *track, const char *change)
{
  const char *sid = gst_structure_get_string (track, "sid");

  if (!sid)
    return;
  if (g_str_equal (change, "removed")) {
    g_hash_table_remove (self->tracks, sid);
    g_hash_table_remove (self->forbidden, sid);
  } else {
    g_hash_table_replace (self->tracks, g_strdup (sid), gst_structure_copy (track));
  }
  choose_tracks (self);
  self->handlers.tracks_changed (track_to_variant (track, change), self->user_data);
}

void
haven_graph_take_permission (HavenGraph *self, const char *sid, gboolean allowed)
{
  if (allowed)
    g_hash_table_remove (self->forbidden, sid);
  else
    g_hash_table_add (self->forbidden, g_strdup (sid));
  haven_graph_note_silence (self);
}
