/* The description and the routes say the same.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "haven-app.h"

static JsonObject * /* (transfer full) */
read_paths (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) data
      = g_resources_lookup_data ("/org/haven/openapi.json", G_RESOURCE_LOOKUP_FLAGS_NONE, &error);
  g_autoptr (JsonNode) node = NULL;

  g_assert_no_error (error);
  node = json_from_string (g_bytes_get_data (data, NULL), &error);
  g_assert_no_error (error);
  return json_object_ref (json_object_get_object_member (json_node_get_object (node), "paths"));
}

static void
every_route_is_described (void)
{
  g_autoptr (JsonObject) paths = read_paths ();

  for (const HavenRoute *route = haven_routes; route->path; route++) {
    g_autofree char *method = g_ascii_strdown (route->method, -1);

    g_test_message ("%s %s", route->method, route->path);
    g_assert_true (json_object_has_member (paths, route->path));
    g_assert_true (
        json_object_has_member (json_object_get_object_member (paths, route->path), method));
  }
}

static gboolean
is_route (const char *method, const char *path)
{
  for (const HavenRoute *route = haven_routes; route->path; route++)
    if (strcmp (route->path, path) == 0 && g_ascii_strcasecmp (route->method, method) == 0)
      return TRUE;
  return FALSE;
}

static void
what_is_described_is_a_route (void)
{
  g_autoptr (JsonObject) paths = read_paths ();
  g_autoptr (GList) names = json_object_get_members (paths);

  g_assert_cmpuint (g_list_length (names), >, 20);
  for (GList *name = names; name; name = name->next) {
    g_autoptr (GList) methods
        = json_object_get_members (json_object_get_object_member (paths, name->data));

    for (GList *method = methods; method; method = method->next) {
      if (strcmp (method->data, "parameters") == 0)
        continue;
      g_test_message ("%s %s", (char *)method->data, (char *)name->data);
      g_assert_true (is_route (method->data, name->data));
    }
  }
}

static void
every_body_is_described (void)
{
  g_autoptr (JsonObject) paths = read_paths ();

  for (const HavenRoute *route = haven_routes; route->path; route++) {
    g_autofree char *method = g_ascii_strdown (route->method, -1);
    JsonObject *operation = json_object_get_object_member (
        json_object_get_object_member (paths, route->path), method);

    g_test_message ("%s %s", route->method, route->path);
    g_assert_cmpint (json_object_has_member (operation, "requestBody"), ==, route->fields != NULL);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name) g_test_add_func ("/openapi/" #name, name)
  TEST (every_route_is_described);
  TEST (what_is_described_is_a_route);
  TEST (every_body_is_described);
  return g_test_run ();
}
