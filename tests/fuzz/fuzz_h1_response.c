/* Response heads; the first byte chooses the method that is answered. */
#include "http/h1_parse.h"

#include <assert.h>
#include <string.h>

static const struct h1_limits limits = {.head_max = 4096, .url_max = 512, .fields_max = 20};

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (!n)
		return 0;
	enum method to = p[0] & 1 ? METHOD_HEAD : METHOD_GET;
	struct h1_head h;
	struct err e;
	int rc = h1_parse_response(&h, p + 1, n - 1, &limits, to, &e);
	if (rc <= 0) {
		assert(!h.msg);
		return 0;
	}
	assert((size_t)rc <= n - 1);
	const struct msg *m = h.msg;
	assert(msg_status(m) >= 100 && msg_status(m) <= 599);
	assert(to != METHOD_HEAD || msg_body(m) == BODY_NONE);
	for (unsigned i = 0; i < msg_count(m); i++) {
		struct field f = msg_field(m, i);
		assert(f.name[0] && !strpbrk(f.name, " \t:\r\n"));
		assert(!strpbrk(f.value, "\r\n"));
	}
	msg_free(h.msg);
	return 0;
}
