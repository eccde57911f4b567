/* The text of enrolment and renewal on the wire (device-agent/PROTOCOL.md): strict reading,
 * writing, and the proof. Pure but for the CSR's signature. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/token.h"
#include "gate/ca.h"
#include "gate/enroll.h"

#define ENROLL_ANSWER_MAX 16384u
#define ENROLL_PROOF_LABEL "lanthorn-enrol-1"

struct enroll_request {
	uint8_t proof[32]; /* enrolment alone */
	struct buf csr;    /* DER */
	struct ca_csr facts;
};

/* Read a body: lines "device", "proof", "csr" (`with_proof`), or "csr" alone, each exactly once,
 * and nothing else. -EINVAL with words; then there is nothing to free. */
int enroll_request_read(
	struct enroll_request *r, const struct buf *body, bool with_proof, struct err *e);
void enroll_request_done(struct enroll_request *r);

/* HMAC-SHA256(secret, label ‖ exporter ‖ SHA-256(csr)); the first 32 bytes of `out` count. */
void enroll_proof(uint8_t out[64], const uint8_t secret[TOKEN_SECRET_LEN],
	const uint8_t exporter[32], const struct buf *csr);

struct enroll_answer {
	const char *device;
	const struct enroll_gateway *gateway;
	const struct buf *cert; /* DER */
	const uint8_t *ca_der;
	size_t ca_len;
	int64_t now;
};
/* Append. 0 or as buf_append(). */
int enroll_answer_put(struct buf *out, const struct enroll_answer *m);
