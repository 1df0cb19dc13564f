-- What the API has set, above configuration file, environment and command line.
CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at INTEGER NOT NULL -- Unix microseconds, as all times here
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  mint_id TEXT NOT NULL,
  room_name TEXT NOT NULL,
  state TEXT NOT NULL, -- connecting, active, reconnecting, ended, failed
  error TEXT,
  start_time INTEGER NOT NULL,
  end_time INTEGER,
  restarts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of_mint ON sessions (mint_id, id);

CREATE TABLE recordings (
  id TEXT PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES sessions (id),
  mint_id TEXT NOT NULL,
  room_name TEXT NOT NULL,
  participant_sid TEXT,
  format TEXT NOT NULL,
  video_quality TEXT NOT NULL,
  audio_quality TEXT NOT NULL,
  state TEXT NOT NULL, -- recording, completed, interrupted, failed
  error TEXT,
  start_time INTEGER NOT NULL,
  end_time INTEGER,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX recordings_by_time ON recordings (start_time DESC, id);

-- A session that died goes on in another file.
CREATE TABLE parts (
  recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
  number INTEGER NOT NULL, -- from 1
  path TEXT NOT NULL UNIQUE,
  duration REAL NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0,
  info TEXT, -- JSON: what the session said last
  complete INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (recording_id, number)
) STRICT, WITHOUT ROWID;
