/* See backoff.h. */
#include "steward/backoff.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/crypto.h"
#include "store/meta.h"

static void meta_key(const struct backoff *b, char out[80])
{
	uint8_t digest[32];
	char hex[65];
	sha256(digest, b->key, strlen(b->key));
	hex_encode(hex, digest, sizeof(digest));
	snprintf(out, 80, "issued:%s", hex);
}

static int load_issued(struct backoff *b, struct db *db, struct err *e)
{
	char key[80], text[256], hex[2 * BACKOFF_REQUEST_LEN + 1];
	long long last, next;
	unsigned issued;
	meta_key(b, key);
	int rc = meta_get(db, key, text, sizeof(text), e);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	if (sscanf(text, "%u %lld %lld %64s", &issued, &last, &next, hex) != 4 ||
		hex_decode(b->request, sizeof(b->request), hex) < 0)
		return 0;
	b->when.issued = issued;
	b->when.last_at = last;
	b->when.next_at = next;
	return 0;
}

int backoff_load(struct backoff *b, struct db *db, const struct procmsg *order, struct err *e)
{
	struct attempt a;
	memset(b, 0, sizeof(*b));
	attempts_key(order, b->key);
	int rc = load_issued(b, db, e);
	if (rc < 0)
		return rc;
	rc = attempts_get(db, b->key, &a, e);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	b->when.failures = a.fails;
	b->when.last_at = a.last_at;
	b->when.next_at = a.next_at;
	b->class = a.class;
	str_copy(b->text, sizeof(b->text), a.text);
	return 0;
}

static int save_issued(const struct backoff *b, struct db *db, struct err *e)
{
	char key[80], text[256], hex[2 * BACKOFF_REQUEST_LEN + 1];
	meta_key(b, key);
	hex_encode(hex, b->request, sizeof(b->request));
	snprintf(text, sizeof(text), "%u %lld %lld %s", b->when.issued, (long long)b->when.last_at,
		(long long)b->when.next_at, hex);
	return meta_set(db, key, text, e);
}

int backoff_save(const struct backoff *b, struct db *db, struct err *e)
{
	struct attempt a = {.fails = b->when.failures,
		.class = b->class,
		.last_at = b->when.last_at,
		.next_at = b->when.next_at};
	if (!b->when.failures) {
		int rc = attempts_clear(db, b->key, e);
		return rc < 0 ? rc : save_issued(b, db, e);
	}
	str_copy(a.key, sizeof(a.key), b->key);
	str_copy(a.text, sizeof(a.text), b->text);
	return attempts_put(db, &a, e);
}
