/* In place of HTTP/2 where the agent is built without it: see h2.h. */
#include "device-agent/h2.h"

#include <stddef.h>

const char *h2_protocol(void)
{
	return NULL;
}

struct h2 *h2_open(const struct h2_settings *s)
{
	(void)s;
	return NULL;
}

void h2_leave(struct h2 *h)
{
	(void)h;
}

void h2_close(struct h2 *h)
{
	(void)h;
}

unsigned h2_streams(const struct h2 *h)
{
	(void)h;
	return 0;
}

uint64_t h2_served(const struct h2 *h)
{
	(void)h;
	return 0;
}
