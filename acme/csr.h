/* Just enough of PKCS #10 (RFC 2986) to tell two requests apart. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* SHA-256 of the CertificationRequestInfo: names and key, without the signature, which for ECDSA
 * differs each time that the same request is signed. -EBADMSG for what is no DER of that shape. */
int csr_digest(uint8_t out[32], const uint8_t *der, size_t n);
