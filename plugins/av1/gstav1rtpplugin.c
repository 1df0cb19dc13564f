/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "gstrtpav1depay.h"

#ifdef HAVE_AOM
#include "gsthavenav1enc.h"
#endif

/* GStreamer 1.22 has no depayloader for AV1, later plugins of others have. Where one is there
 * already, it stays. */
static gboolean
leave_to_other_plugin (GstPlugin *plugin)
{
  g_autoptr (GstElementFactory) factory = gst_element_factory_find ("rtpav1depay");
  g_autoptr (GstPlugin) other = NULL;
  const char *file;

  if (!factory)
    return FALSE;
  other = gst_plugin_feature_get_plugin (GST_PLUGIN_FEATURE (factory));
  if (other && g_str_equal (gst_plugin_get_name (other), gst_plugin_get_name (plugin)))
    return FALSE; /* what the registry remembers of ourselves */

  /* Should that plugin go away, the registry looks at this one again. */
  if (other && (file = gst_plugin_get_filename (other))) {
    g_autofree char *directory = g_path_get_dirname (file);
    g_autofree char *name = g_path_get_basename (file);

    gst_plugin_add_dependency_simple (
        plugin, NULL, directory, name, GST_PLUGIN_DEPENDENCY_FLAG_NONE);
  }
  return TRUE;
}

static gboolean
plugin_init (GstPlugin *plugin)
{
  gboolean done = leave_to_other_plugin (plugin) || GST_ELEMENT_REGISTER (rtpav1depay, plugin);

#ifdef HAVE_AOM
  done &= GST_ELEMENT_REGISTER (havenav1enc, plugin);
#endif
  return done;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, havenav1,
    "AV1 video over RTP, and encoded live", plugin_init, PACKAGE_VERSION, "LGPL", PACKAGE_NAME,
    PACKAGE_ORIGIN)
