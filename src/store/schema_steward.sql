-- What the steward remembers, version 1. Times are Unix seconds.
CREATE TABLE meta (
	key TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

-- TXT records that may stand in DNS because of us.
CREATE TABLE ledger (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	zone TEXT NOT NULL,
	order_id INTEGER NOT NULL,
	state INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (name, value)
);
CREATE INDEX ledger_order ON ledger(order_id);

-- A and AAAA records: what is wanted, and what may stand there.
CREATE TABLE published (
	name TEXT NOT NULL,
	addr TEXT NOT NULL,
	wanted INTEGER NOT NULL,
	state INTEGER NOT NULL,
	PRIMARY KEY (name, addr)
) WITHOUT ROWID;

CREATE TABLE attempts (
	names TEXT PRIMARY KEY,
	fails INTEGER NOT NULL,
	class INTEGER NOT NULL,
	text TEXT NOT NULL,
	last_at INTEGER NOT NULL,
	next_at INTEGER NOT NULL
) WITHOUT ROWID;
