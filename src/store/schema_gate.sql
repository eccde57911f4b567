-- What the gate remembers, version 1. Times are Unix seconds.
CREATE TABLE meta (
	key TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

-- AUTOINCREMENT wherever an id must not come back after its row is gone.
CREATE TABLE users (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,
	display TEXT NOT NULL,
	password BLOB,
	is_admin INTEGER NOT NULL,
	disabled INTEGER NOT NULL,
	created_at INTEGER NOT NULL
);

-- Devices by label, agents and configured ones alike: hence no reference to devices.
CREATE TABLE grants (
	user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
	device TEXT NOT NULL,
	PRIMARY KEY (user_id, device)
) WITHOUT ROWID;

CREATE TABLE invites (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	token_sha256 BLOB NOT NULL UNIQUE,
	kind INTEGER NOT NULL,
	user_id INTEGER REFERENCES users(id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	used_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX invites_user ON invites(user_id);

CREATE TABLE sessions (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	cookie_sha256 BLOB NOT NULL UNIQUE,
	user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
	host TEXT NOT NULL,
	parent INTEGER REFERENCES sessions(id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	last_seen_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	agent TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions(user_id, last_seen_at);
CREATE INDEX sessions_parent ON sessions(parent);
CREATE INDEX sessions_expires ON sessions(expires_at);
CREATE INDEX sessions_host ON sessions(host);

CREATE TABLE devices (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	label TEXT NOT NULL,
	title TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	last_seen_at INTEGER NOT NULL DEFAULT 0,
	removed_at INTEGER
);
CREATE UNIQUE INDEX devices_live ON devices(label) WHERE removed_at IS NULL;
CREATE INDEX devices_label ON devices(label);

CREATE TABLE device_certs (
	serial TEXT PRIMARY KEY,
	device_id INTEGER NOT NULL REFERENCES devices(id),
	spki_sha256 BLOB NOT NULL,
	not_after INTEGER NOT NULL,
	live INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE INDEX device_certs_device ON device_certs(device_id);

-- The secret is set to NULL before a row goes, with secure_delete on.
CREATE TABLE device_tokens (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	device_id INTEGER NOT NULL REFERENCES devices(id),
	secret BLOB,
	spki_sha256 BLOB,
	attempts INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX device_tokens_device ON device_tokens(device_id);
CREATE INDEX device_tokens_expires ON device_tokens(expires_at);

-- names: joined by commas.
CREATE TABLE certs (
	id TEXT PRIMARY KEY,
	names TEXT NOT NULL,
	state INTEGER NOT NULL,
	not_before INTEGER NOT NULL,
	not_after INTEGER NOT NULL,
	serial TEXT NOT NULL,
	issued_at INTEGER NOT NULL,
	fails INTEGER NOT NULL,
	fail_class INTEGER NOT NULL,
	fail_text TEXT NOT NULL,
	failed_at INTEGER NOT NULL,
	next_at INTEGER NOT NULL,
	order_id INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	outcome TEXT NOT NULL
);
