/* For tests of gate and admin: a public CA in miniature (root and intermediate) that signs what the
 * gateway orders, rightly or in every wrong way, and devices' keys with their requests. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct lab {
	EVP_PKEY *root_key, *mid_key;
	X509 *root, *mid;
	int64_t now;
};

void lab_init(struct lab *l, int64_t now);
void lab_done(struct lab *l);

/* What to get wrong. */
enum lab_fault {
	LAB_GOOD,
	LAB_OTHER_KEY, /* the leaf is for a key of somebody else */
	LAB_NAME_MORE, /* one name that nobody ordered */
	LAB_NAME_LESS, /* one name is missing */
	LAB_EXPIRED,
	LAB_FUTURE,      /* begins two days ahead */
	LAB_WRONG_ORDER, /* leaf, root, intermediate */
	LAB_FORGED,      /* names the intermediate as its issuer, signed by another key */
	LAB_TOO_MANY,    /* seven certificates */
	LAB_EMPTY,
	LAB_GARBAGE,
	LAB_CUT, /* the last certificate ends in the middle */
};

/* Sign the request, valid from an hour before l->now for `life_s`; PEM into `out`. */
void lab_sign(struct lab *l, const uint8_t *csr, size_t n, int64_t life_s, enum lab_fault fault,
	struct buf *out);

/* A key (freed by EVP_PKEY_free) and a device's request with it. `curve`: "P-256". */
EVP_PKEY *lab_key(const char *curve);
void lab_device_csr(struct buf *der, EVP_PKEY *key, const char *cn);
