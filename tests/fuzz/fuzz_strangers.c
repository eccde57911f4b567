/* The small formats that strangers send to the gateway; the first byte chooses. Forms and what is
 * escaped of them into pages, server_name and ALPN of a ClientHello, enrolment's text and its
 * signing request. */
#include <assert.h>
#include <ctype.h>
#include <string.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/str.h"
#include "gate/enroll_msg.h"
#include "gate/form.h"
#include "gate/html.h"
#include "net/tls_hello.h"

static void check_escapes(const char *text)
{
	struct buf b = BUF_INIT(1u << 20);
	html_escape(&b, text);
	assert(!b.len || !strpbrk(buf_str(&b), "<>\"'"));
	b.len = 0;
	html_json_escape(&b, text);
	for (size_t i = 0; i < b.len; i++) {
		assert(b.data[i] >= 0x20 && b.data[i] != '"');
		i += b.data[i] == '\\'; /* and what it escapes */
	}
	b.len = 0;
	html_url_escape(&b, text);
	for (size_t i = 0; i < b.len; i++)
		assert(isalnum(b.data[i]) || strchr("%-._~/", b.data[i]));
	buf_done(&b);
}

static void take_form(const uint8_t *p, size_t n)
{
	struct form f;
	if (form_parse(&f, (const char *)p, n) < 0) {
		assert(f.n == 0);
		return;
	}
	assert(f.n <= FORM_FIELDS_MAX);
	for (unsigned i = 0; i < f.n; i++) {
		assert(strlen(f.values[i]) <= n && form_get(&f, f.names[i]));
		check_escapes(f.values[i]);
	}
	form_done(&f);
}

static void take_query(const uint8_t *p, size_t n)
{
	struct form f;
	char *target = strndup((const char *)p, n);
	if (form_parse_query(&f, target) == 0)
		form_done(&f);
	check_escapes(target);
	free(target);
}

static void take_sni(const uint8_t *p, size_t n)
{
	char host[TLS_HOST_MAX];
	memset(host, 'x', sizeof(host));
	tls_hello_sni(host, p, n);
	assert(!host[0] || name_is_host(host));
	for (const char *c = host; *c; c++)
		assert(!isupper((unsigned char)*c));
}

/* What counts as a list is one to OpenSSL, too. */
static void take_alpn(const uint8_t *p, size_t n)
{
	static const uint8_t ours[] = "\x08http/1.1\x04\xc6\x96\xc9\xa5";
	const uint8_t *list;
	unsigned char *out, len;
	size_t k = tls_hello_alpn(&list, p, n);
	if (!k)
		return;
	assert(list >= p && list + k <= p + n);
	SSL_select_next_proto(&out, &len, ours, sizeof(ours) - 1, list, (unsigned)k);
}

static void take_enrolment(const uint8_t *p, size_t n, bool with_proof)
{
	struct enroll_request r;
	struct buf body = BUF_INIT(65536);
	struct err e = {0};
	if (buf_append(&body, p, n) == 0) {
		if (enroll_request_read(&r, &body, with_proof, &e) == 0) {
			assert(name_is_label(r.facts.device) && r.csr.len);
			enroll_request_done(&r);
		} else {
			assert(e.text[0]);
		}
	}
	buf_done(&body);
}

static void take_csr(const uint8_t *p, size_t n)
{
	struct ca_csr facts;
	struct err e = {0};
	if (ca_csr_read(&facts, p, n, &e) == 0)
		assert(name_is_label(facts.device));
	else
		assert(e.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (!n)
		return 0;
	switch (p[0] % 7) {
	case 0:
		take_form(p + 1, n - 1);
		break;
	case 1:
		take_query(p + 1, n - 1);
		break;
	case 2:
		take_sni(p + 1, n - 1);
		break;
	case 3:
		take_alpn(p + 1, n - 1);
		break;
	case 4:
		take_enrolment(p + 1, n - 1, true);
		break;
	case 5:
		take_enrolment(p + 1, n - 1, false);
		break;
	case 6:
		take_csr(p + 1, n - 1);
		break;
	}
	return 0;
}
