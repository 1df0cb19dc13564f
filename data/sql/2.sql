-- What a session must know to be started again, or adopted.
ALTER TABLE sessions ADD COLUMN participant_identity TEXT;
ALTER TABLE sessions ADD COLUMN record_session INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN for_viewers INTEGER NOT NULL DEFAULT 0; -- nobody asked for it by name
