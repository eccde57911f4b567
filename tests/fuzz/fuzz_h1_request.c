/* Request heads. What was accepted keeps the promises that the rest of the program relies on, and
 * its head, written out plainly, is accepted again and says the same. */
#include "http/h1_parse.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct h1_limits limits = {.head_max = 4096, .url_max = 512, .fields_max = 20};

static void check_text(const char *s, unsigned char least)
{
	for (; *s; s++)
		assert(((unsigned char)*s >= least || *s == '\t') && *s != 0x7f);
}

static void check_message(const struct msg *m)
{
	check_text(msg_authority(m), 0x21);
	check_text(msg_target(m), 0x21);
	assert(msg_target(m)[0] == '/' || !strcmp(msg_target(m), "*"));
	for (unsigned i = 0; i < msg_count(m); i++) {
		struct field f = msg_field(m, i);
		assert(f.name[0] && !strpbrk(f.name, " \t:ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
		assert(strcmp(f.name, "host"));
		check_text(f.value, 0x20);
	}
	assert(msg_body(m) != BODY_UNTIL_CLOSE);
	assert(!(msg_get(m, "content-length") && msg_get(m, "transfer-encoding")));
}

static void check_again(const struct h1_head *h)
{
	static char out[16384];
	const struct msg *m = h->msg;
	size_t n = (size_t)sprintf(
		out, "%s %s HTTP/1.%d\r\n", msg_method_text(m), msg_target(m), h->minor);
	if (msg_authority(m)[0])
		n += (size_t)sprintf(out + n, "Host: %s\r\n", msg_authority(m));
	for (unsigned i = 0; i < msg_count(m); i++)
		n += (size_t)sprintf(
			out + n, "%s: %s\r\n", msg_field(m, i).name, msg_field(m, i).value);
	n += (size_t)sprintf(out + n, "\r\n");
	struct h1_limits wide = {.head_max = sizeof(out), .url_max = 4096, .fields_max = 100};
	struct h1_head again;
	int rc = h1_parse_request(&again, (const uint8_t *)out, n, &wide, "http", NULL);
	assert(rc == (int)n);
	assert(msg_count(again.msg) == msg_count(m) && msg_body(again.msg) == msg_body(m));
	assert(again.keep_alive == h->keep_alive);
	assert(!strcmp(msg_authority(again.msg), msg_authority(m)));
	msg_free(again.msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct h1_head h;
	struct err e;
	int rc = h1_parse_request(&h, p, n, &limits, "http", &e);
	if (rc <= 0) {
		assert(!h.msg && (rc == 0 || (h.status >= 400 && h.status < 600)));
		return 0;
	}
	assert((size_t)rc <= n);
	check_message(h.msg);
	check_again(&h);
	struct msg *copy = msg_copy(h.msg);
	msg_strip_hop_by_hop(copy);
	assert(!msg_get(copy, "connection") && !msg_get(copy, "transfer-encoding"));
	msg_free(copy);
	msg_free(h.msg);
	return 0;
}
