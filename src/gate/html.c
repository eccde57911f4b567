/* See html.h. The style is small enough to travel with each page, so that one needs no second request,
 * also where the address is none of ours. */
#include "gate/html.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "gate/assets.h"
#include "net/crypto.h"

/* One look for these pages and those with scripts: a part of the same sheet. */
static const struct asset *style(void)
{
	return assets_find(assets_bundle, "/pages.css");
}

static const char lantern[] =
	"<svg viewBox='0 0 24 24' fill='none' stroke='currentColor' stroke-width='1.6' "
	"stroke-linejoin='round' stroke-linecap='round' aria-hidden='true'>"
	"<path d='M9 5h6M12 2.5V5M8 8.5 9 5h6l1 3.5M7.5 8.5h9l.8 10.5H6.7zM6 21.5h12'/>"
	"<path d='M12 11.2c1.6 1.7 2 2.7 2 3.5a2 2 0 0 1-4 0c0-.8.4-1.8 2-3.5z' "
	"fill='currentColor'/></svg>";

void html_escape(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (strchr("<>&\"'", c))
			buf_printf(b, "&#%u;", c);
		else
			buf_append(b, s, 1);
	}
}

void html_json_escape(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c == '"' || c == '\\')
			buf_printf(b, "\\u%04x", c);
		else
			buf_append(b, s, 1);
	}
}

void html_url_escape(struct buf *b, const char *s)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_append(b, s, 1);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

void html_begin(struct buf *b, const char *title, unsigned refresh_s)
{
	buf_puts(b, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
	if (refresh_s)
		buf_printf(b,
			"<noscript><meta http-equiv=\"refresh\" content=\"%u\"></noscript>\n",
			refresh_s);
	buf_puts(b, "<title>");
	html_escape(b, title);
	buf_puts(b, "</title>\n<style>");
	buf_puts(b, (const char *)style()->data);
	buf_puts(b, "</style>\n<main>\n<div class=\"mark\">");
	buf_puts(b, lantern);
	buf_puts(b, "<span>Lanthorn</span></div>\n");
}

void html_end(struct buf *b)
{
	buf_puts(b, "</main>\n</html>\n");
}

void html_policy(char *out, const char *form_to)
{
	uint8_t hash[32];
	char text[BASE64_LEN(32)];
	sha256(hash, style()->data, style()->len);
	base64_encode(text, hash, sizeof(hash));
	snprintf(out, 320,
		"default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
		"frame-ancestors 'none'; form-action %s",
		text, form_to);
}
