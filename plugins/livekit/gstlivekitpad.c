/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "gstlivekitpad.h"

struct _GstLiveKitPad
{
  GstGhostPad parent;

  /* Protected by OBJECT_LOCK. */
  char *track_sid, *track_name, *track_source, *participant_sid, *participant_identity;
};

G_DEFINE_FINAL_TYPE (GstLiveKitPad, gst_livekit_pad, GST_TYPE_GHOST_PAD)

enum
{
  PROP_TRACK_SID = 1,
  PROP_TRACK_NAME,
  PROP_TRACK_SOURCE,
  PROP_PARTICIPANT_SID,
  PROP_PARTICIPANT_IDENTITY,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

static char **
field (GstLiveKitPad *self, guint id)
{
  switch (id) {
  case PROP_TRACK_SID:
    return &self->track_sid;
  case PROP_TRACK_NAME:
    return &self->track_name;
  case PROP_TRACK_SOURCE:
    return &self->track_source;
  case PROP_PARTICIPANT_SID:
    return &self->participant_sid;
  case PROP_PARTICIPANT_IDENTITY:
    return &self->participant_identity;
  default:
    return NULL;
  }
}

GstPad *
gst_livekit_pad_new (const char *name, GstPad *target, GstPadTemplate *templ)
{
  GstPad *pad = g_object_new (
      GST_TYPE_LIVEKIT_PAD, "name", name, "direction", GST_PAD_SRC, "template", templ, NULL);

  gst_ghost_pad_set_target (GST_GHOST_PAD (pad), target);
  return pad;
}

void
gst_livekit_pad_set_track (
    GstLiveKitPad *self, const LiveKitParticipant *participant, const LiveKitTrack *track)
{
  const char *const values[N_PROPS] = {
    [PROP_TRACK_SID] = track->sid,
    [PROP_TRACK_NAME] = track->name,
    [PROP_TRACK_SOURCE] = livekit_source_to_string (track->source),
    [PROP_PARTICIPANT_SID] = participant->sid,
    [PROP_PARTICIPANT_IDENTITY] = participant->identity,
  };

  GST_OBJECT_LOCK (self);
  for (guint id = 1; id < N_PROPS; id++) {
    g_free (*field (self, id));
    *field (self, id) = g_strdup (values[id]);
  }
  GST_OBJECT_UNLOCK (self);
  for (guint id = 1; id < N_PROPS; id++)
    g_object_notify_by_pspec (G_OBJECT (self), props[id]);
}

static void
gst_livekit_pad_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstLiveKitPad *self = GST_LIVEKIT_PAD (object);

  if (!field (self, id)) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    return;
  }
  GST_OBJECT_LOCK (self);
  g_value_set_string (value, *field (self, id));
  GST_OBJECT_UNLOCK (self);
}

static void
gst_livekit_pad_finalize (GObject *object)
{
  for (guint id = 1; id < N_PROPS; id++)
    g_free (*field (GST_LIVEKIT_PAD (object), id));
  G_OBJECT_CLASS (gst_livekit_pad_parent_class)->finalize (object);
}

static void
gst_livekit_pad_class_init (GstLiveKitPadClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  object_class->get_property = gst_livekit_pad_get_property;
  object_class->finalize = gst_livekit_pad_finalize;
  /**
   * GstLiveKitPad:track-sid:
   *
   * The server's id of the present publication: another each time that the track is published.
   *
   * Since: 0.1
   */
  props[PROP_TRACK_SID]
      = g_param_spec_string ("track-sid", "Track sid", "Of the present publication", NULL, flags);
  /**
   * GstLiveKitPad:track-name:
   *
   * The track's name, as its publisher chose it; may be empty.
   *
   * Since: 0.1
   */
  props[PROP_TRACK_NAME]
      = g_param_spec_string ("track-name", "Track name", "As the publisher named it", NULL, flags);
  /**
   * GstLiveKitPad:track-source:
   *
   * `camera`, `microphone`, `screen`, `screen-audio` or `unknown`.
   *
   * Since: 0.1
   */
  props[PROP_TRACK_SOURCE] = g_param_spec_string ("track-source", "Track source",
      "camera, microphone, screen, screen-audio or unknown", NULL, flags);
  /**
   * GstLiveKitPad:participant-sid:
   *
   * The server's id of the publisher: another each time that it joins.
   *
   * Since: 0.1
   */
  props[PROP_PARTICIPANT_SID] = g_param_spec_string (
      "participant-sid", "Participant sid", "Changes at each join", NULL, flags);
  /**
   * GstLiveKitPad:participant-identity:
   *
   * The publisher's identity: it stays over joins.
   *
   * Since: 0.1
   */
  props[PROP_PARTICIPANT_IDENTITY] = g_param_spec_string (
      "participant-identity", "Participant identity", "Stays over joins", NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
gst_livekit_pad_init (GstLiveKitPad *self)
{
}
