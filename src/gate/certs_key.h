/* The cryptographic part of a public certificate's life: the key and the signing request that go
 * out, and the judgement on the chain that comes back. Nothing is served that was not judged here:
 * steward and CA may be wrong or worse. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/certs.h"

#define CERTS_CHAIN_MAX 65536u
#define CERTS_CHAIN_CERTS_MAX 6
#define CERTS_KEY_MAX 4096u

/* A new P-256 key, appended as PEM. */
int certs_key_new(struct buf *pem, struct err *e);

/* Names, as in a row. */
struct certs_names {
	const char (*names)[254];
	unsigned n;
};

/* Append the DER of a request for `want`, signed by `key_pem`: SAN only, and the first name as CN
 * where it is no longer than 64 bytes. -EINVAL for a key that cannot be used. */
int certs_csr_new(
	struct buf *der, const struct buf *key_pem, const struct certs_names *want, struct err *e);

struct certs_facts {
	int64_t not_before, not_after;
	char serial[CERTS_SERIAL_MAX + 1];
	uint8_t file_sha256[32]; /* certs_file: of the text that says so; zeros: none */
};

/* Does this PEM chain (leaf first) prove `want` for our key? At most 64 KiB and six certificates;
 * the leaf has our key and exactly the names ordered; not expired, not from more than a day ahead;
 * each certificate signed by the next. Trust in the last is not judged: the browser does. */
struct certs_judge {
	const struct buf *key_pem;
	const struct certs_names *want;
	int64_t now;       /* 0: whether the dates fit is not judged */
	struct buf *clean; /* gets the certificates and nothing else, encoded anew; may be NULL */
};
int certs_chain_judge(const struct certs_judge *j, const void *pem, size_t n,
	struct certs_facts *out, struct err *e);
