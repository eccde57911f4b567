-- Version 2: from where a session was begun, so that people recognise their own.
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
