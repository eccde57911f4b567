/* What uacme leaves on stderr, the words of a hostile CA in it: always a failure with a sentence
 * that can be shown to people, and a wait that ends. */
#include "acme/uacme_output.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct uacme_verdict v;
	char *text = strndup((const char *)p, n);
	memset(&v, 0, sizeof(v));
	uacme_classify(&v, text, 1800000000);
	free(text);
	assert(v.class >= STATE_FAIL_OURS && v.class <= STATE_FAIL_NET);
	assert(v.text[0] && strnlen(v.text, sizeof(v.text)) < sizeof(v.text));
	for (const char *c = v.text; *c; c++)
		assert((unsigned char)*c >= 0x20 && *c != 0x7f);
	assert(v.retry_after_s >= 0 && v.retry_after_s <= 7 * 86400);
	return 0;
}
