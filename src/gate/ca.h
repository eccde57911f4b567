/* The device CA: the private root that links trust and browsers never see (decision 4). It signs
 * the gateway's own link certificate and the devices' client certificates, and nothing else. Its
 * key is made at the first start and never leaves its file and this process. Control thread only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct ca;
struct tls_cert;

#define CA_LINK_ZONE "link.lanthorn.internal"
#define CA_DEVICE_LIFE_S (14 * 86400)
#define CA_SERIAL_LEN 32 /* hexadecimal digits: 128 bits */
#define CA_CSR_MAX 4096  /* bytes of DER */

/* Load key and certificate from the one file `path`, or make them there, durably, mode 0600, when
 * it does not exist. A file that is there and cannot be used is an error: a new CA would strand
 * every device. */
int ca_open(struct ca **out, const char *path, int64_t now, struct err *e);
void ca_free(struct ca *ca);

/* The certificate alone: PEM (NUL-terminated), DER, and the SHA-256 of the DER. Live as long as
 * `ca`. */
const char *ca_pem(const struct ca *ca);
const uint8_t *ca_der(const struct ca *ca, size_t *n);
const uint8_t *ca_sha256(const struct ca *ca);

/* A fresh key and certificate for `*.link.lanthorn.internal`, valid two years: `link` shows the
 * leaf, `enrol` leaf and root. The caller unrefs both. */
int ca_link_certs(
	struct ca *ca, int64_t now, struct tls_cert **link, struct tls_cert **enrol, struct err *e);

/* What a device's signing request says, after its signature was verified. */
struct ca_csr {
	char device[64]; /* CN */
	uint8_t spki_sha256[32];
};
/* -EINVAL: not a PKCS#10 request, trailing bytes, wrong signature, a key other than P-256, or a CN
 * that is no label. */
int ca_csr_read(struct ca_csr *out, const uint8_t *der, size_t n, struct err *e);

struct ca_issued {
	char serial[CA_SERIAL_LEN + 1]; /* lower case */
	uint8_t spki_sha256[32];
	int64_t not_after;
	struct buf der; /* for buf_done() */
};
/* A client certificate for that request, 14 days, valid from an hour ago. Everything but the key
 * and the CN is ours: extensions of the request are ignored. */
int ca_issue(struct ca *ca, const uint8_t *csr_der, size_t n, int64_t now, struct ca_issued *out,
	struct err *e);
