-- What is still to be told of recordings: POSTed to the webhook, or given to the command.
CREATE TABLE notices (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, -- webhook, command
  recording_id TEXT NOT NULL, -- which may be gone by then
  event TEXT NOT NULL, -- recording.started, .completed, .interrupted, .failed
  body TEXT NOT NULL, -- JSON
  attempts INTEGER NOT NULL DEFAULT 0,
  next_time INTEGER NOT NULL
) STRICT;
CREATE INDEX notices_by_time ON notices (kind, next_time, id);
