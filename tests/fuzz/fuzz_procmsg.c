/* libFuzzer target: what a process that was taken over sends to the other. What is accepted must be
 * what the encoder writes, byte for byte. */
#include "base/procmsg.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static uint8_t out[PROCMSG_MAX];
	struct procmsg m;
	struct err e;
	if (n > PROCMSG_MAX || procmsg_decode(&m, p, n, &e) < 0)
		return 0;
	int k = procmsg_encode(&m, out);
	if (k != (int)n || memcmp(out, p, n) != 0)
		abort();
	return 0;
}
