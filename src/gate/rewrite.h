/* Addresses that a device says of itself, put right: one that believes to be http://192.168.1.20
 * redirects there, and sets cookies for it. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct msg;

/* What a device may call itself, and what it is truly called. All lent. */
struct rewrite {
	const char *authority;    /* as the browser asked: host[:port] */
	const char *host;         /* the trusted name without a port */
	const char *const *addrs; /* where the gateway finds it: names or IP literals */
	unsigned n_addrs;
	uint16_t port; /* there */
};

/* Append the trusted form of `url` when it is absolute (or begins with "//"), http or https, and
 * means the device: an address of it with its port (80 and 443 stand for each other, since http of
 * one device commonly leads to its https), or its name with no port, its own or the browser's.
 * False: leave it. */
bool rewrite_url(const struct rewrite *r, const char *url, size_t n, struct buf *out);
/* The same for the URL in a Refresh field ("5; url=…"). */
bool rewrite_refresh(const struct rewrite *r, const char *value, struct buf *out);
/* Does the answer, as the browser would see it, redirect GET or HEAD to the very URL that was asked, with
 * no cookie that could make a difference the next time? */
bool rewrite_leads_back(const struct msg *req, const struct msg *resp);
/* Does a cookie's Domain of `n` bytes mean this device alone? */
bool rewrite_is_self(const struct rewrite *r, const char *domain, size_t n);
