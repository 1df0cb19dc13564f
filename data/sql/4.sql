-- Rooms that are recorded whenever somebody streams in them.
CREATE TABLE auto_records (
  mint_id TEXT PRIMARY KEY,
  format TEXT, -- NULL: the default, as below
  video_quality TEXT,
  audio_quality TEXT,
  directory TEXT,
  name_template TEXT,
  chat INTEGER NOT NULL DEFAULT 0,
  recording_id TEXT, -- what runs for it
  held INTEGER NOT NULL DEFAULT 0, -- somebody stopped it: not again before the streamer has been gone
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE recordings ADD COLUMN name_template TEXT; -- of the names of its files; NULL: the default
ALTER TABLE recordings ADD COLUMN chat INTEGER NOT NULL DEFAULT 0; -- what is said is written beside it
