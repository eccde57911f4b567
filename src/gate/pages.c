/* See pages.h. The text comes from us; what came from elsewhere is escaped. */
#include "gate/pages.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

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

static void put_escaped(struct buf *b, const char *s, bool json)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (json ? (c < 0x20 || c == '"' || c == '\\') : strchr("<>&\"'", c) != NULL)
			buf_printf(b, json ? "\\u%04x" : "&#%u;", c);
		else
			buf_append(b, s, 1);
	}
}

static void put_html(struct buf *b, const struct page_error *e)
{
	const struct words *w = words_for(e->status);
	buf_puts(b, "<!doctype html><html lang=en><meta charset=utf-8>"
		    "<meta name=viewport content=\"width=device-width,initial-scale=1\">");
	if (e->retry_after)
		buf_printf(b, "<meta http-equiv=refresh content=%u>", e->retry_after);
	buf_printf(b, "<title>%s</title><style>", w->title);
	buf_puts(b, ":root{color-scheme:light dark}body{font:17px/1.55 system-ui,sans-serif;"
		    "margin:0;min-height:100vh;display:grid;place-items:center;"
		    "background:light-dark(#f6f4ef,#191816);color:light-dark(#2b2822,#e9e5dc)}"
		    "main{max-width:30rem;padding:2rem}h1{font-size:1.5rem;font-weight:600;"
		    "margin:0 0 .5rem}p{margin:.5rem 0}small{opacity:.7}</style>");
	buf_printf(b, "<main><h1>%s</h1><p>%s</p>", w->title, w->text);
	if (e->why) {
		buf_puts(b, "<p><small>");
		if (e->device) {
			put_escaped(b, e->device, false);
			buf_puts(b, ": ");
		}
		put_escaped(b, e->why, false);
		buf_puts(b, "</small></p>");
	}
	buf_puts(b, "</main></html>\n");
}

static void put_json(struct buf *b, const struct page_error *e)
{
	buf_printf(b, "{\"error\":{\"code\":%d,\"message\":\"%s\"", e->status,
		words_for(e->status)->title);
	if (e->why) {
		buf_puts(b, ",\"detail\":\"");
		put_escaped(b, e->why, true);
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
	char seconds[16];
	msg_add(head, "cache-control", "no-store");
	if (e->retry_after) {
		snprintf(seconds, sizeof(seconds), "%u", e->retry_after);
		msg_add(head, "retry-after", seconds);
	}
	if (html)
		put_html(&b, e);
	else
		put_json(&b, e);
	msg_add(head, "content-security-policy",
		"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
	msg_add(head, "x-content-type-options", "nosniff");
	exchange_reply(x, e->status, head, html ? "text/html; charset=utf-8" : "application/json",
		buf_str(&b));
	msg_free(head);
	buf_done(&b);
}
