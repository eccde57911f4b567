/* See pages.h. The text comes from us; what came from elsewhere is escaped. */
#include "gate/pages.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "gate/html.h"

struct words {
	int status;
	const char *title, *text;
};

static const struct words table[] = {
	{400, "That request made no sense", "The browser sent something that could not be read."	       },
	{401, "Please sign in",	     "This device is for people who are signed in."		       },
	{403, "Not from there",	     "A page of another site asked for this, so it was not passed on."},
	{404, "Nothing here",	      "This address leads nowhere."				       },
	{421, "Unknown name",
	 "No device of this home goes by that name. If you have just added it, give it a minute."     },
	{502, "The device did not answer",
	 "It is connected, but its own page did not answer properly. Try again in a moment."	       },
	{503, "The device is away",
	 "It is switched off, out of reach, or busy. This page tries again by itself."		       },
	{504, "The device is silent",
	 "It took the request, but has not answered. Try again in a moment."			       },
};

static const struct words *words_for(int status)
{
	static const struct words other = {0, "Something went wrong", "Please try again."};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (table[i].status == status)
			return &table[i];
	}
	return &other;
}

static void put_html(struct buf *b, const struct page_error *e)
{
	const struct words *w = words_for(e->status);
	html_begin(b, w->title, e->retry_after);
	buf_printf(b, "<h1>%s</h1>\n<p>%s</p>\n", w->title, w->text);
	if (e->why) {
		buf_puts(b, "<p class=\"soft\">");
		if (e->device) {
			html_escape(b, e->device);
			buf_puts(b, ": ");
		}
		html_escape(b, e->why);
		buf_puts(b, "</p>\n");
	}
	html_end(b);
}

static void put_json(struct buf *b, const struct page_error *e)
{
	buf_printf(b, "{\"error\":{\"code\":%d,\"message\":\"%s\"", e->status,
		words_for(e->status)->title);
	if (e->why) {
		buf_puts(b, ",\"detail\":\"");
		html_json_escape(b, e->why);
		buf_puts(b, "\"");
	}
	buf_puts(b, "}}\n");
}

void page_error_reply(struct exchange *x, const struct page_error *e)
{
	struct buf b = BUF_INIT(16384);
	struct msg *head = msg_new_response(e->status);
	const char *accept = msg_get(x->req, "accept");
	bool html = accept && strstr(accept, "text/html");
	char seconds[16], policy[320];
	msg_add(head, "cache-control", "no-store");
	if (e->retry_after) {
		snprintf(seconds, sizeof(seconds), "%u", e->retry_after);
		msg_add(head, "retry-after", seconds);
	}
	if (e->clear_site)
		msg_add(head, "clear-site-data", "\"cache\", \"storage\"");
	if (html)
		put_html(&b, e);
	else
		put_json(&b, e);
	html_policy(policy, "'none'");
	msg_add(head, "content-security-policy", policy);
	msg_add(head, "x-content-type-options", "nosniff");
	exchange_reply(x, e->status, head, html ? "text/html; charset=utf-8" : "application/json",
		buf_str(&b));
	msg_free(head);
	buf_done(&b);
}
