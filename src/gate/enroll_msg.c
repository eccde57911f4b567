/* See enroll_msg.h. */
#include "gate/enroll_msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "net/crypto.h"

enum { GOT_DEVICE = 1, GOT_PROOF = 2, GOT_CSR = 4 };

struct reader {
	struct enroll_request *r;
	char device[TOKEN_ID_MAX + 1];
	unsigned got;
};

static int read_csr(struct buf *out, const char *text)
{
	size_t n = CA_CSR_MAX;
	int rc = buf_reserve(out, n);
	if (rc == 0)
		rc = base64_decode(out->data, &n, text, strlen(text));
	if (rc == 0)
		out->len = n;
	return rc;
}

/* 0, or negative for a line that does not belong here. */
static int read_line(struct reader *in, const char *line)
{
	unsigned key = 0;
	int rc = -EINVAL;
	if (str_starts(line, "device ")) {
		key = GOT_DEVICE;
		rc = str_copy(in->device, sizeof(in->device), line + 7);
		if (rc == 0 && !name_is_label(in->device))
			rc = -EINVAL;
	} else if (str_starts(line, "proof ")) {
		key = GOT_PROOF;
		rc = hex_decode(in->r->proof, sizeof(in->r->proof), line + 6);
	} else if (str_starts(line, "csr ")) {
		key = GOT_CSR;
		rc = in->got & GOT_CSR ? -EINVAL : read_csr(&in->r->csr, line + 4);
	}
	if (rc < 0 || (in->got & key))
		return -EINVAL;
	in->got |= key;
	return 0;
}

/* Lines end in LF; the last may lack it; CR before LF is tolerated. */
static int read_lines(struct reader *in, char *text)
{
	while (*text) {
		char *end = text + strcspn(text, "\n");
		char *next = *end ? end + 1 : end;
		*end = 0;
		if (end > text && end[-1] == '\r')
			end[-1] = 0;
		if (read_line(in, text) < 0)
			return -EINVAL;
		text = next;
	}
	return 0;
}

int enroll_request_read(
	struct enroll_request *r, const struct buf *body, bool with_proof, struct err *e)
{
	struct reader in = {.r = r};
	unsigned need = with_proof ? GOT_DEVICE | GOT_PROOF | GOT_CSR : GOT_CSR;
	memset(r, 0, sizeof(*r));
	buf_init(&r->csr, CA_CSR_MAX);
	int rc = -EINVAL;
	if (body->len == 0 || body->len > ENROLL_BODY_MAX || memchr(body->data, 0, body->len))
		return err_set(e, rc, "the request is not text of 1 to 8192 bytes");
	char *text = xstrndup((const char *)body->data, body->len);
	if (read_lines(&in, text) < 0 || in.got != need)
		err_set(e, rc, "the request is not made of the lines that it needs");
	else
		rc = ca_csr_read(&r->facts, r->csr.data, r->csr.len, e);
	if (rc == 0 && with_proof && strcmp(in.device, r->facts.device) != 0)
		rc = err_set(e, -EINVAL, "the signing request names another device");
	free(text);
	if (rc < 0)
		enroll_request_done(r);
	return rc;
}

void enroll_request_done(struct enroll_request *r)
{
	buf_done(&r->csr);
}

void enroll_proof(uint8_t out[64], const uint8_t secret[TOKEN_SECRET_LEN],
	const uint8_t exporter[32], const struct buf *csr)
{
	uint8_t text[sizeof(ENROLL_PROOF_LABEL) - 1 + 64], *p = text;
	memcpy(p, ENROLL_PROOF_LABEL, sizeof(ENROLL_PROOF_LABEL) - 1);
	p += sizeof(ENROLL_PROOF_LABEL) - 1;
	memcpy(p, exporter, 32);
	sha256(p + 32, csr->data, csr->len);
	hmac(HMAC_SHA256, out, secret, TOKEN_SECRET_LEN, text, sizeof(text));
}

static int put_base64(struct buf *out, const char *key, const uint8_t *p, size_t n)
{
	int rc = buf_printf(out, "%s ", key);
	if (rc == 0)
		rc = buf_reserve(out, BASE64_LEN(n));
	if (rc < 0)
		return rc;
	base64_encode((char *)out->data + out->len, p, n);
	out->len += BASE64_LEN(n) - 1;
	return buf_puts(out, "\n");
}

int enroll_answer_put(struct buf *out, const struct enroll_answer *m)
{
	const struct enroll_gateway *g = m->gateway;
	int rc = put_base64(out, "cert", m->cert->data, m->cert->len);
	if (rc == 0)
		rc = put_base64(out, "ca", m->ca_der, m->ca_len);
	if (rc == 0)
		rc = buf_printf(out, "name %s." CA_LINK_ZONE "\nport %u\n", m->device, g->port);
	for (unsigned i = 0; rc == 0 && i < g->n_addrs; i++)
		rc = buf_printf(out, "addr %s\n", g->addrs[i]);
	if (rc == 0)
		rc = buf_printf(out, "dns %s\ntime %lld\n", g->dns_name, (long long)m->now);
	return rc;
}
