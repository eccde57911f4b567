/* See link_quota.h. */
#include "gate/link_quota.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "gate/limit.h"

#define KEYS_MAX 4096u

struct link_quota {
	pthread_mutex_t lock;  /* of all below; held for no longer than it takes to count */
	struct limit *devices; /* links that nobody needed */
	struct limit *addrs;   /* handshakes that proved nothing */
	struct limit *nets;    /* the same, of a whole network of IPv6 */
	struct limit *proved;  /* of device and address: not judged by what its network does */
	struct limit *pairs;   /* of device and address: turned away at once */
};

struct pair {
	char text[64 + 1 + 46];
};

/* `addr`: exact, or as limit_key_of_addr() has it. */
static struct pair pair_of(const char *device, const char *addr)
{
	struct pair p;
	snprintf(p.text, sizeof(p.text), "%.63s %.45s", device, addr);
	return p;
}

static struct limit *new_limit(unsigned most, uint64_t ms)
{
	return limit_new(&(struct limit_opts){most, ms, KEYS_MAX});
}

struct link_quota *link_quota_new(void)
{
	struct link_quota *q = xcalloc(1, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	q->devices = new_limit(LINK_QUOTA_MOST, LINK_QUOTA_MS);
	q->addrs = new_limit(LINK_QUOTA_MOST, LINK_QUOTA_MS);
	q->nets = new_limit(LINK_QUOTA_NET, LINK_QUOTA_MS);
	q->proved = new_limit(1, LINK_QUOTA_PROVED_MS);
	q->pairs = new_limit(1, LINK_QUOTA_MS);
	return q;
}

void link_quota_free(struct link_quota *q)
{
	if (!q)
		return;
	limit_free(q->devices);
	limit_free(q->addrs);
	limit_free(q->nets);
	limit_free(q->proved);
	limit_free(q->pairs);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static bool admits(
	const struct link_quota *q, const char *device, const char *addr, uint64_t now_ms)
{
	char net[46];
	limit_key_of_addr(net, addr);
	if (limit_wait_s(q->pairs, pair_of(device, net).text, now_ms) ||
		limit_wait_s(q->addrs, addr, now_ms))
		return false;
	return !limit_wait_s(q->nets, net, now_ms) ||
	       limit_wait_s(q->proved, pair_of(device, addr).text, now_ms);
}

bool link_quota_admits(
	struct link_quota *q, const char *device, const char *addr, uint64_t now_ms)
{
	pthread_mutex_lock(&q->lock);
	bool yes = admits(q, device, addr, now_ms);
	pthread_mutex_unlock(&q->lock);
	return yes;
}

static bool is_spent(const struct link_quota *q, const char *device, uint64_t now_ms)
{
	return limit_wait_s(q->devices, device, now_ms) > 0;
}

/* The address is turned away when it has shown the certificate while the device had nothing left,
 * so each that the device has costs one handshake. */
static enum link_quota_verdict opened(
	struct link_quota *q, const char *device, const char *addr, uint64_t now_ms)
{
	bool over = is_spent(q, device, now_ms);
	char net[46];
	limit_key_of_addr(net, addr);
	limit_failed(q->proved, pair_of(device, addr).text, now_ms);
	if (!over)
		limit_failed(q->devices, device, now_ms);
	if (!is_spent(q, device, now_ms))
		return LINK_QUOTA_FINE;
	limit_failed(q->pairs, pair_of(device, net).text, now_ms);
	return over ? LINK_QUOTA_OVER : LINK_QUOTA_SPENT;
}

enum link_quota_verdict link_quota_opened(
	struct link_quota *q, const char *device, const char *addr, uint64_t now_ms)
{
	pthread_mutex_lock(&q->lock);
	enum link_quota_verdict v = opened(q, device, addr, now_ms);
	pthread_mutex_unlock(&q->lock);
	return v;
}

static bool failed(struct link_quota *q, const char *addr, uint64_t now_ms)
{
	char net[46];
	limit_key_of_addr(net, addr);
	if (limit_wait_s(q->addrs, addr, now_ms))
		return false; /* was under way already */
	limit_failed(q->addrs, addr, now_ms);
	limit_failed(q->nets, net, now_ms);
	return limit_wait_s(q->addrs, addr, now_ms) > 0;
}

bool link_quota_failed(struct link_quota *q, const char *addr, uint64_t now_ms)
{
	pthread_mutex_lock(&q->lock);
	bool spent = failed(q, addr, now_ms);
	pthread_mutex_unlock(&q->lock);
	return spent;
}

void link_quota_used(struct link_quota *q, const char *device)
{
	pthread_mutex_lock(&q->lock);
	limit_forgive(q->devices, device);
	pthread_mutex_unlock(&q->lock);
}

static bool broken(struct link_quota *q, const char *device, uint64_t now_ms)
{
	if (is_spent(q, device, now_ms))
		return false;
	for (unsigned i = 0; i < LINK_QUOTA_BROKEN; i++)
		limit_failed(q->devices, device, now_ms);
	return is_spent(q, device, now_ms);
}

bool link_quota_broken(struct link_quota *q, const char *device, uint64_t now_ms)
{
	pthread_mutex_lock(&q->lock);
	bool spent = broken(q, device, now_ms);
	pthread_mutex_unlock(&q->lock);
	return spent;
}

void link_quota_forget(struct link_quota *q, const char *device)
{
	pthread_mutex_lock(&q->lock);
	limit_clear(q->devices, device);
	pthread_mutex_unlock(&q->lock);
}
