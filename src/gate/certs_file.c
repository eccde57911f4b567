/* See certs_file.h. */
#include "gate/certs_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "net/crypto.h"
#include "net/tls.h"

static int path_of(
	char out[PATH_MAX], const struct certs_place *at, const char *suffix, struct err *e)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s", at->dir, at->id, suffix);
	return n < PATH_MAX ? 0 : err_set(e, -ENAMETOOLONG, "%s: path too long", at->dir);
}

static const char *suffix_of(enum certs_file which)
{
	switch (which) {
	case CERTS_FILE_PEM:
		return ".pem";
	case CERTS_FILE_KEY:
		return ".key";
	}
	return "";
}

static int read_file(
	const struct certs_place *at, enum certs_file which, struct buf *out, struct err *e)
{
	char path[PATH_MAX];
	int rc = path_of(path, at, suffix_of(which), e);
	return rc < 0 ? rc : file_read_secret(path, out, e);
}

static void move_aside(const struct certs_place *at)
{
	char from[PATH_MAX], to[PATH_MAX];
	if (path_of(from, at, ".pem", NULL) == 0 && path_of(to, at, ".pem.damaged", NULL) == 0)
		rename(from, to);
}

static size_t len_of(const struct buf *b)
{
	return b->len && b->data[b->len - 1] == '\n' ? b->len - 1 : b->len;
}

/* The chain must be there byte for byte as it was written: readers of PEM pass over what they do
 * not recognize, so damage to one line could silently cost an intermediate certificate. */
static int judge_file(const struct buf *pem, const struct certs_names *want,
	struct certs_facts *facts, struct err *e)
{
	struct buf chain = BUF_INIT(CERTS_FILE_MAX);
	struct certs_judge j = {.key_pem = pem, .want = want, .clean = &chain};
	int rc = certs_chain_judge(&j, pem->data, pem->len, facts, e);
	size_t n = len_of(&chain), all = len_of(pem);
	if (rc == 0 && (all < n || memcmp(pem->data + all - n, chain.data, n) != 0 ||
			       memmem(pem->data, all - n, "CERTIFICATE", 11)))
		rc = err_set(e, -EINVAL, "the chain is not as it was written");
	buf_done(&chain);
	return rc;
}

void certs_file_hash(uint8_t out[32], const struct buf *pem)
{
	sha256(out, pem->data, len_of(pem));
}

/* A file that was judged is judged for ever, as long as it is the same. */
static int use_file(const struct buf *pem, const struct certs_names *want,
	struct certs_facts *facts, struct tls_cert **out, struct err *e)
{
	struct tls_cert_text text = {pem->data, pem->len, (const char(*)[254])want->names, want->n};
	uint8_t hash[32];
	certs_file_hash(hash, pem);
	if (memcmp(hash, facts->file_sha256, sizeof(hash)) == 0 &&
		tls_cert_new_known(out, &text, NULL) == 0)
		return 0;
	int rc = judge_file(pem, want, facts, e);
	if (rc == 0)
		rc = tls_cert_new(out, pem->data, pem->len, e);
	memcpy(facts->file_sha256, hash, sizeof(hash));
	return rc;
}

int certs_file_load(const struct certs_place *at, const struct certs_names *want,
	struct certs_facts *facts, struct tls_cert **out, struct err *e)
{
	struct buf pem = BUF_INIT(CERTS_FILE_MAX);
	int rc = read_file(at, CERTS_FILE_PEM, &pem, e);
	if (rc == 0)
		rc = use_file(&pem, want, facts, out, e);
	if (rc < 0)
		memset(facts, 0, sizeof(*facts));
	if (rc < 0 && rc != -ENOENT) {
		move_aside(at);
		rc = -EINVAL;
	}
	buf_done_secret(&pem);
	return rc;
}

int certs_file_key(const struct certs_place *at, struct buf *pem, struct err *e)
{
	return read_file(at, CERTS_FILE_KEY, pem, e);
}

bool certs_file_key_exists(const struct certs_place *at)
{
	char path[PATH_MAX];
	return path_of(path, at, ".key", NULL) == 0 && access(path, F_OK) == 0;
}

bool certs_file_is_for_key(const struct certs_place *at, const struct certs_names *want)
{
	struct buf pem = BUF_INIT(CERTS_FILE_MAX), key = BUF_INIT(CERTS_KEY_MAX);
	struct certs_facts facts;
	bool same = false;
	if (read_file(at, CERTS_FILE_PEM, &pem, NULL) == 0 &&
		read_file(at, CERTS_FILE_KEY, &key, NULL) == 0) {
		struct certs_judge j = {.key_pem = &key, .want = want};
		same = certs_chain_judge(&j, pem.data, pem.len, &facts, NULL) == 0;
	}
	buf_done_secret(&pem);
	buf_done_secret(&key);
	return same;
}

int certs_file_write(
	const struct certs_place *at, enum certs_file which, const struct buf *pem, struct err *e)
{
	char path[PATH_MAX];
	int rc = path_of(path, at, suffix_of(which), e);
	return rc < 0 ? rc : file_write_durable(path, pem->data, pem->len, 0600, e);
}

int certs_file_remove(const struct certs_place *at, enum certs_file which, struct err *e)
{
	char path[PATH_MAX];
	int rc = path_of(path, at, suffix_of(which), e);
	return rc < 0 ? rc : file_remove_durable(path, e);
}
