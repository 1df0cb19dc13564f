/* gsthavenwsinput: one pad of havenwssink: a small sink that hands each buffer on. Not registered
 * as an element.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/base/gstbasesink.h>

#include "ws-frame.h"

G_BEGIN_DECLS

#define GST_TYPE_HAVEN_WS_INPUT (gst_haven_ws_input_get_type ())
G_DECLARE_FINAL_TYPE (GstHavenWsInput, gst_haven_ws_input, GST, HAVEN_WS_INPUT, GstBaseSink)

typedef struct /* called on the streaming thread; eos_changed also on that which changes the state
                */
{
  gboolean (*is_watched) (WsKind kind, gpointer user_data);
  /* Returns: µs since 1970 at that running time */
  gint64 (*get_time) (GstClockTime running_time, gpointer user_data);
  void (*media) (const WsMedia *media, gpointer user_data);
  void (*eos_changed) (gpointer user_data);
} GstHavenWsInputCallbacks;

GstElement *gst_haven_ws_input_new (const char *name, WsKind kind, GstCaps *caps,
    const GstHavenWsInputCallbacks *callbacks, gpointer user_data);
gboolean gst_haven_ws_input_is_eos (GstHavenWsInput *self);

G_END_DECLS
