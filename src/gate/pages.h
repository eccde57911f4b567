/* The short pages a loop sends by itself: errors, said calmly, with what to do. HTML for people, JSON
 * for scripts (by Accept). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "http/exchange.h"

#define PAGE_AGAIN_MIN_S 3u
#define PAGE_AGAIN_MAX_S 30u

struct page_error {
	int status;
	const char *device;   /* label, or NULL */
	const char *title;    /* NULL: the status's own */
	const char *text;     /* the same */
	const char *why;      /* one sentence for people; NULL: a standard one */
	unsigned retry_after; /* seconds; 0: no such field. A page that was got tries again then */
	unsigned away_s;      /* 503: for so long, and */
	int64_t since;	      /* since then, Unix time; 0: not known */
	bool clear_site;      /* let the browser forget what pages of this host left in it */
};

/* Answer `x` with a whole page. Never cached. */
void page_error_reply(struct exchange *x, const struct page_error *e);
