/* What the device agent reads; the first byte chooses. The gateway's short answers: looked at again
 * with every byte that comes, they must end in the same way as when they came at once. The identity
 * in such an answer (and in the state's file) is written and read again. And agent.conf. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "device-agent/conf.h"
#include "device-agent/http_short.h"
#include "device-agent/identity.h"

static void take_answer(const uint8_t *p, size_t n, bool ended)
{
	struct http_short whole, part;
	struct err e = {0};
	int rc = http_short_parse(&whole, p, n, ended, &e);
	assert(rc == 1 || rc == 0 || e.text[0]);
	if (rc == 1) {
		assert(whole.status >= 200 && whole.status <= 599);
		assert(whole.body >= p && whole.body + whole.body_len <= p + n);
		assert(whole.body_len <= HTTP_SHORT_BODY_MAX);
	}
	assert(!ended || rc != 0);
	for (size_t k = 0, step = 1 + n / 64; k < n; k += step) {
		int early = http_short_parse(&part, p, k, false, &e);
		if (early < 0)
			assert(rc < 0);
		if (early != 1)
			continue;
		/* What follows a whole answer is not looked at. */
		assert(rc == 1 && part.status == whole.status && part.body_len == whole.body_len);
		return;
	}
}

static void check_identity(const struct identity *id)
{
	assert(id->cert.len && id->ca.len && id->port && id->name[0]);
	assert(id->n_addrs <= IDENTITY_ADDRS_MAX);
	assert(!id->dns_name[0] || name_is_host(id->dns_name));
	struct buf out = BUF_INIT(2 * IDENTITY_TEXT_MAX);
	struct identity again;
	struct err e;
	int rc = identity_print(id, &out);
	assert(rc == 0);
	identity_init(&again);
	rc = identity_parse(&again, buf_str(&out), &e);
	assert(rc == 0 && again.cert.len == id->cert.len && again.port == id->port);
	assert(!memcmp(again.addrs, id->addrs, sizeof(id->addrs)));
	assert(!strcmp(again.name, id->name) && again.time == id->time);
	identity_done(&again);
	buf_done(&out);
}

static void take_identity(const char *text)
{
	struct identity id;
	struct err e = {0};
	identity_init(&id);
	if (identity_parse(&id, text, &e) == 0)
		check_identity(&id);
	else
		assert(e.text[0] && !id.cert.len && !id.n_addrs);
	identity_done(&id);
}

static void take_conf(const char *text)
{
	struct conf c;
	struct err e = {0};
	conf_defaults(&c);
	if (conf_parse(&c, text, "f", &e) < 0) {
		assert(str_starts(e.text, "f:"));
		return;
	}
	assert(c.spares >= 1 && c.spares <= 8 && c.connections >= 2 && c.connections <= 64);
	assert(c.state[0] == '/' && c.service[0]);
	conf_check(&c, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (!n)
		return 0;
	char *text = strndup((const char *)p + 1, n - 1);
	switch (p[0] % 4) {
	case 0:
	case 1:
		take_answer(p + 1, n - 1, p[0] % 4 == 1);
		break;
	case 2:
		take_identity(text);
		break;
	case 3:
		take_conf(text);
		break;
	}
	free(text);
	return 0;
}
