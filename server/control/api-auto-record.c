/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api.h"

static JsonObject * /* (transfer full) (nullable): where that room is not on the list */
describe (HavenApp *app, const char *mint_id)
{
  JsonObject *object;
  HavenAutoState state;

  if (!haven_auto_record_get (app->auto_record, mint_id, &state))
    return NULL;
  object = json_object_new ();
  json_object_set_string_member (object, "mint_id", state.row->mint_id);
  json_object_set_string_member (object, "state", state.state);
  haven_json_set_string (object, "recording_id", state.recording_id);
  haven_json_set_string (object, "error", state.error);
  haven_json_set_string (object, "output_format", state.row->format);
  haven_json_set_string (object, "video_quality", state.row->video_quality);
  haven_json_set_string (object, "audio_quality", state.row->audio_quality);
  haven_json_set_string (object, "output_directory", state.row->directory);
  haven_json_set_string (object, "name_template", state.row->name_template);
  json_object_set_boolean_member (object, "record_chat", state.row->chat);
  haven_json_set_time (object, "created_at", state.row->created_at);
  haven_json_set_time (object, "updated_at", state.row->updated_at);
  return object;
}

void
api_auto_record_list (HavenRequest *request)
{
  g_autoptr (GPtrArray) ids = haven_auto_record_list (request->app->auto_record);
  JsonObject *body = json_object_new ();
  JsonArray *rooms = json_array_new ();

  for (guint i = 0; i < ids->len; i++)
    json_array_add_object_element (rooms, describe (request->app, ids->pdata[i]));
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_array_member (body, "rooms", rooms);
  haven_request_reply_json (request, 200, body);
}

void
api_auto_record_get (HavenRequest *request)
{
  JsonObject *body = describe (request->app, request->id);

  if (!body) {
    haven_request_fail (
        request, HAVEN_ERROR_NO_AUTO_RECORD, "“%s” is not recorded automatically.", request->id);
    return;
  }
  json_object_set_boolean_member (body, "success", TRUE);
  haven_request_reply_json (request, 200, body);
}

void
api_auto_record_put (HavenRequest *request)
{
  const HavenAutoRow wanted = { .mint_id = request->id,
    .format = (char *)haven_json_string (request->body, "output_format"),
    .video_quality = (char *)haven_json_string (request->body, "video_quality"),
    .audio_quality = (char *)haven_json_string (request->body, "audio_quality"),
    .directory = (char *)haven_json_string (request->body, "output_directory"),
    .name_template = (char *)haven_json_string (request->body, "name_template"),
    .chat = haven_json_boolean (request->body, "record_chat", FALSE) };
  g_autoptr (GError) error = NULL;

  if (haven_auto_record_put (request->app->auto_record, &wanted, &error))
    api_auto_record_get (request);
  else
    haven_request_reply_error (request, error);
}

void
api_auto_record_delete (HavenRequest *request)
{
  g_autoptr (GError) error = NULL;
  JsonObject *body;

  if (!haven_auto_record_delete (request->app->auto_record, request->id, &error)) {
    haven_request_reply_error (request, error);
    return;
  }
  body = json_object_new ();
  json_object_set_boolean_member (body, "success", TRUE);
  json_object_set_string_member (body, "mint_id", request->id);
  haven_request_reply_json (request, 200, body);
}
