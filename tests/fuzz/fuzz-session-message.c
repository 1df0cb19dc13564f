/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as what a session's process says over D-Bus: a dictionary of its own, a whole message,
 * or JSON in one of its strings. A session parses what comes off the network, so nothing that it
 * says may harm the control server. */

#include <gio/gio.h>

#include "haven-json.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

static void
try_value (GVariant *value)
{
  g_autoptr (JsonNode) node = haven_json_from_variant (value), again = NULL;
  g_autofree char *text = json_to_string (node, FALSE);
  g_autoptr (GError) error = NULL;

  again = json_from_string (text, &error);
  g_assert_no_error (error);
}

static void
try_dictionary (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (GVariant) dictionary
      = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE_VARDICT, bytes, FALSE));

  try_value (dictionary);
}

static void
try_message (const guint8 *data, gsize size)
{
  g_autofree guchar *copy = g_memdup2 (data, size);
  g_autoptr (GDBusMessage) message
      = g_dbus_message_new_from_blob (copy, size, G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, NULL);
  GVariant *body = message ? g_dbus_message_get_body (message) : NULL;
  GVariantIter iter;
  GVariant *child;

  if (!body)
    return;
  g_variant_iter_init (&iter, body);
  while ((child = g_variant_iter_next_value (&iter)) != NULL) {
    try_value (child);
    g_variant_unref (child);
  }
}

/* What it says that a token endpoint had said of the stream. */
static void
try_stream_info (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  JsonObject *ours = json_object_new ();
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *answer = NULL;

  json_object_set_string_member (ours, "state", "active");
  node = haven_json_complete (ours, text);
  g_assert_true (!JSON_NODE_HOLDS_OBJECT (node)
                 || json_object_has_member (json_node_get_object (node), "state"));
  answer = json_to_string (node, FALSE);
  g_assert_nonnull (answer);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  try_stream_info (data, size);
  try_dictionary (data, size);
  if (size > 0)
    try_message (data, size);
  return 0;
}
