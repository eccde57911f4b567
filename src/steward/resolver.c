/* See resolver.h. */
#include "steward/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/dnsask.h"
#include "store/conf.h"

#define ASK_MS 5000

struct resolve {
	struct loop *loop;
	const struct resolvers *from;
	unsigned at;
	char name[DNS_NAME_MAX];
	enum dns_type type;
	struct dnsask *ask;
	resolve_fn fn;
	void *ctx;
};

static bool is_literal(const char *s)
{
	uint8_t raw[16];
	return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1;
}

int resolver_parse(struct resolver *r, const char *text)
{
	const char *close = strchr(text, ']'), *colon = strrchr(text, ':');
	uint64_t port = 53;
	size_t n = strlen(text);
	r->port = 53;
	if (is_literal(text))
		return str_copy(r->addr, sizeof(r->addr), text) < 0 ? -EINVAL : 0;
	if (text[0] == '[') {
		if (!close || (close[1] && close[1] != ':'))
			return -EINVAL;
		n = (size_t)(close - text) - 1;
		colon = close[1] ? close + 1 : NULL;
		text++;
	} else if (colon) {
		n = (size_t)(colon - text);
	}
	if (n >= sizeof(r->addr) || (colon && str_to_u64(colon + 1, 65535, &port) < 0) || !port)
		return -EINVAL;
	memcpy(r->addr, text, n);
	r->addr[n] = 0;
	r->port = (uint16_t)port;
	return is_literal(r->addr) ? 0 : -EINVAL;
}

void resolvers_parse_system(struct resolvers *r, const char *text)
{
	while (*text && r->n < RESOLVERS_MAX) {
		char addr[46] = "";
		if (sscanf(text, "nameserver%*[ \t]%45s", addr) == 1 &&
			resolver_parse(&r->v[r->n], addr) == 0)
			r->n++;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
}

void resolvers_load(struct resolvers *r, const struct conf *conf)
{
	struct buf text = BUF_INIT(65536);
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < conf->dns.resolvers.n && r->n < RESOLVERS_MAX; i++) {
		if (resolver_parse(&r->v[r->n], conf->dns.resolvers.v[i]) == 0)
			r->n++;
	}
	if (!r->n && file_read("/etc/resolv.conf", &text, NULL) == 0 && text.len)
		resolvers_parse_system(r, buf_str(&text));
	buf_done(&text);
	if (!r->n) {
		resolver_parse(&r->v[0], "127.0.0.1");
		r->n = 1;
	}
}

static void on_reply(void *ctx, const struct dns_reply *reply, const struct err *e);

static void ask(struct resolve *q)
{
	const struct resolver *r = &q->from->v[q->at];
	q->ask = dnsask_start(q->loop,
		&(struct dnsask_opts){.server = r->addr,
			.port = r->port,
			.name = q->name,
			.type = q->type,
			.recursion_desired = true,
			.deadline_ms = ASK_MS},
		on_reply, q);
}

static void on_reply(void *ctx, const struct dns_reply *reply, const struct err *e)
{
	struct resolve *q = ctx;
	bool useful = reply && (reply->rcode == DNS_NOERROR || reply->rcode == DNS_NXDOMAIN);
	q->ask = NULL;
	if (!useful && ++q->at < q->from->n) {
		ask(q);
		return;
	}
	q->fn(q->ctx, reply, e);
	free(q);
}

struct resolve *resolve_start(struct loop *loop, const struct resolvers *r, const char *name,
	enum dns_type type, resolve_fn fn, void *ctx)
{
	struct resolve *q = xcalloc(1, sizeof(*q));
	q->loop = loop;
	q->from = r;
	q->type = type;
	q->fn = fn;
	q->ctx = ctx;
	str_copy(q->name, sizeof(q->name), name);
	ask(q);
	return q;
}

void resolve_cancel(struct resolve *q)
{
	if (!q)
		return;
	if (q->ask)
		dnsask_cancel(q->ask);
	free(q);
}
