/* What a person pastes as an enrolment token. What is taken keeps the promises that the agent
 * relies on, and comes back the same when it is written again. */
#include "base/token.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/str.h"

static void check(const struct token *t)
{
	uint8_t addr[16];
	assert(name_is_label(t->device_id));
	assert(!t->dns_name[0] || name_is_host(t->dns_name));
	assert(t->n_addrs <= TOKEN_ADDRS_MAX && t->port);
	for (unsigned i = 0; i < t->n_addrs; i++)
		assert(inet_pton(AF_INET, t->addrs[i], addr) == 1 ||
			inet_pton(AF_INET6, t->addrs[i], addr) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct token t, again;
	char text[2000], out[TOKEN_TEXT_MAX];
	struct err e = {0};
	if (n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = 0;
	if (token_decode(&t, text, &e) < 0) {
		assert(e.code < 0 && e.text[0]);
		return 0;
	}
	check(&t);
	int rc = token_encode(&t, out);
	assert(rc == 0);
	rc = token_decode(&again, out, &e);
	assert(rc == 0 && memcmp(&t, &again, sizeof(t)) == 0);
	return 0;
}
