-- How a recording is divided: what goes on after a crash is divided as before. 0: not at all.
ALTER TABLE recordings ADD COLUMN segment_minutes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN segment_mb INTEGER NOT NULL DEFAULT 0;
