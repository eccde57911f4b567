/* The files of one public certificate: ID.pem (key and chain) and ID.key (the key of an open
 * order). Part of gate/certs. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "gate/certs_key.h"

struct tls_cert;

#define CERTS_FILE_MAX (CERTS_CHAIN_MAX + CERTS_KEY_MAX)

enum certs_file { CERTS_FILE_PEM, CERTS_FILE_KEY };

/* Where, for one id. */
struct certs_place {
	const char *dir, *id;
};

/* Load ID.pem and judge it for `want`, dates aside. `facts`: what an earlier judgement for the same
 * names said, or zeros; a file that is still the same is not judged again, which takes a hundredth
 * of the time. -ENOENT: there is none. -EINVAL: damaged, and now moved aside to ID.pem.damaged. */
int certs_file_load(const struct certs_place *at, const struct certs_names *want,
	struct certs_facts *facts, struct tls_cert **out, struct err *e);
/* What certs_file_load() will know a file with this text by. */
void certs_file_hash(uint8_t out[32], const struct buf *pem);
/* The pending key, appended. */
int certs_file_key(const struct certs_place *at, struct buf *pem, struct err *e);
/* Is there a key of an open order, readable or not? */
bool certs_file_key_exists(const struct certs_place *at);
/* True when ID.pem was made with the pending key: a crash came between the two steps of storing. */
bool certs_file_is_for_key(const struct certs_place *at, const struct certs_names *want);
int certs_file_write(
	const struct certs_place *at, enum certs_file which, const struct buf *pem, struct err *e);
int certs_file_remove(const struct certs_place *at, enum certs_file which, struct err *e);
