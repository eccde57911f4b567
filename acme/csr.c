/* See csr.h. */
#include "acme/csr.h"

#include <errno.h>

#include "net/crypto.h"

/* A DER SEQUENCE at `p`: its header's and content's length. */
static int sequence(const uint8_t *p, size_t n, size_t *head, size_t *body)
{
	if (n < 2 || p[0] != 0x30)
		return -EBADMSG;
	*head = 2;
	*body = p[1];
	if (p[1] & 0x80) {
		unsigned bytes = p[1] & 0x7f;
		if (bytes < 1 || bytes > 3 || n < 2 + bytes)
			return -EBADMSG;
		*body = 0;
		for (unsigned i = 0; i < bytes; i++)
			*body = *body << 8 | p[2 + i];
		*head += bytes;
	}
	return *body <= n - *head ? 0 : -EBADMSG;
}

int csr_digest(uint8_t out[32], const uint8_t *der, size_t n)
{
	size_t head, body;
	int rc = sequence(der, n, &head, &body);
	if (rc < 0 || head + body != n)
		return -EBADMSG;
	der += head;
	rc = sequence(der, body, &head, &body);
	if (rc < 0)
		return rc;
	sha256(out, der, head + body);
	return 0;
}
