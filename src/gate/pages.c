/* See pages.h. The text comes from us; what came from elsewhere is escaped. */
#include "gate/pages.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/str.h"
#include "gate/html.h"
#include "net/crypto.h"

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
	{503, "The device is away",	     "It is switched off, out of reach, or busy."		       },
	{504, "The device is silent",
	 "It took the request, but has not answered. Try again in a moment."			       },
};

static struct words words_for(const struct page_error *e)
{
	struct words w = {0, "Something went wrong", "Please try again."};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].status == e->status)
			w = table[i];
	if (e->title)
		w.title = e->title;
	if (e->text)
		w.text = e->text;
	return w;
}

/* Asks for the page again after `data-again` seconds, once somebody can see it, and shows times in
 * the zone of who looks. Without scripts html_begin's refresh does the first. */
static const char script[] =
	"'use strict';"
	"for(const t of document.querySelectorAll('time')){"
	"const d=new Date(t.dateTime),l=Date.now()-d>72e6;"
	"t.textContent=d.toLocaleString([],{hour:'2-digit',minute:'2-digit',"
	"day:l?'numeric':undefined,month:l?'long':undefined});}"
	"const go=()=>{document.hidden?"
	"document.addEventListener('visibilitychange',go,{once:true}):location.reload();};"
	"setTimeout(go,document.querySelector('[data-again]').dataset.again*1000);";

/* "12 minutes": the largest unit alone. */
static void put_span(struct buf *b, unsigned seconds)
{
	static const struct {
		unsigned s;
		const char *name;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
	size_t i = 0;
	while (units[i].s > 1 && seconds < units[i].s)
		i++;
	unsigned n = seconds / units[i].s;
	buf_printf(b, "%u %s%s", n, units[i].name, n == 1 ? "" : "s");
}

/* "tv has not been reachable since 14:02 (12 minutes)." */
static void put_since(struct buf *b, const struct page_error *e)
{
	char machine[32], people[32];
	struct tm at;
	buf_puts(b, "<p>");
	html_escape(b, e->device);
	if (e->since) {
		gmtime_r(&(time_t){e->since}, &at);
		strftime(machine, sizeof(machine), "%Y-%m-%dT%H:%M:%SZ", &at);
		localtime_r(&(time_t){e->since}, &at);
		strftime(people, sizeof(people), e->away_s > 72000 ? "%e %B, %H:%M" : "%H:%M", &at);
		buf_printf(b, " has not been reachable since <time datetime=\"%s\">%s</time> (",
			machine, people);
		put_span(b, e->away_s);
		buf_puts(b, ").</p>\n");
	} else {
		buf_puts(b, " has not been reachable for ");
		put_span(b, e->away_s);
		buf_puts(b, ".</p>\n");
	}
}

static void put_html(struct buf *b, const struct page_error *e, unsigned again)
{
	struct words w = words_for(e);
	html_begin(b, w.title, again);
	buf_printf(b, "<h1>%s</h1>\n", w.title);
	if (e->away_s)
		put_since(b, e);
	buf_printf(b, "<p>%s</p>\n", w.text);
	if (e->why) {
		buf_puts(b, "<p class=\"soft\">");
		if (e->device) {
			html_escape(b, e->device);
			buf_puts(b, ": ");
		}
		html_escape(b, e->why);
		buf_puts(b, "</p>\n");
	}
	if (again) {
		buf_printf(b, "<p class=\"soft\" data-again=\"%u\">", again);
		buf_printf(b, "This page tries again by itself.</p>\n<script>%s</script>\n", script);
	}
	html_end(b);
}

static void put_json(struct buf *b, const struct page_error *e)
{
	buf_printf(b, "{\"error\":{\"code\":%d,\"message\":\"%s\"", e->status,
		words_for(e).title);
	if (e->why) {
		buf_puts(b, ",\"detail\":\"");
		html_json_escape(b, e->why);
		buf_puts(b, "\"");
	}
	if (e->since)
		buf_printf(b, ",\"since\":%lld", (long long)e->since);
	buf_puts(b, "}}\n");
}

static void allow_script(char *policy, size_t size)
{
	uint8_t hash[32];
	char text[BASE64_LEN(32)];
	size_t n = strlen(policy);
	sha256(hash, script, sizeof(script) - 1);
	base64_encode(text, hash, sizeof(hash));
	snprintf(policy + n, size - n, "; script-src 'sha256-%s'", text);
}

void page_error_reply(struct exchange *x, const struct page_error *e)
{
	struct buf b = BUF_INIT(16384);
	struct msg *head = msg_new_response(e->status);
	const char *accept = msg_get(x->req, "accept");
	bool html = accept && strstr(accept, "text/html");
	char seconds[16], policy[320 + 80];
	/* Never a form that was sent: trying again would send it twice. */
	unsigned again = msg_method(x->req) == METHOD_GET ? e->retry_after : 0;
	msg_add(head, "cache-control", "no-store");
	if (e->retry_after) {
		snprintf(seconds, sizeof(seconds), "%u", e->retry_after);
		msg_add(head, "retry-after", seconds);
	}
	if (e->clear_site)
		msg_add(head, "clear-site-data", "\"cache\", \"storage\"");
	if (html)
		put_html(&b, e, again);
	else
		put_json(&b, e);
	html_policy(policy, "'none'");
	if (html && again)
		allow_script(policy, sizeof(policy));
	msg_add(head, "content-security-policy", policy);
	msg_add(head, "x-content-type-options", "nosniff");
	exchange_reply(x, e->status, head, html ? "text/html; charset=utf-8" : "application/json",
		buf_str(&b));
	msg_free(head);
	buf_done(&b);
}
