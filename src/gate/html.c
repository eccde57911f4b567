/* See html.h. The style is small enough to travel with each page. */
#include "gate/html.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/crypto.h"

static const char style[] =
	":root{color-scheme:light dark;--paper:light-dark(#f7f5f0,#171614);"
	"--card:light-dark(#fffefb,#211f1c);--ink:light-dark(#2a2620,#ece7dc);"
	"--soft:light-dark(#6f675a,#a79f90);--line:light-dark(#e3ddd0,#37332c);"
	"--glow:light-dark(#b4580a,#f0a24a);--on-glow:light-dark(#fff,#1d1405)}"
	"*{box-sizing:border-box}"
	"body{margin:0;background:var(--paper);color:var(--ink);"
	"font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;"
	"min-height:100vh;display:flex;justify-content:center;align-items:flex-start}"
	"main{width:100%;max-width:26rem;margin:12vh 1rem 3rem;padding:2rem 1.75rem;"
	"background:var(--card);border:1px solid var(--line);border-radius:14px}"
	"main.wide{max-width:44rem;margin-top:6vh}"
	".mark{display:flex;align-items:center;gap:.6rem;color:var(--soft);font-size:.95rem;"
	"margin-bottom:1.25rem}.mark svg{width:1.6rem;height:1.6rem;color:var(--glow)}"
	"h1{font-size:1.4rem;line-height:1.25;font-weight:620;margin:0 0 .35rem}"
	"p{margin:.4rem 0 1rem}.soft{color:var(--soft)}a{color:var(--glow)}"
	"label{display:block;margin:.9rem 0 .25rem;font-size:.92rem}"
	"input{width:100%;font:inherit;color:inherit;background:var(--paper);padding:.65rem .75rem;"
	"border:1px solid var(--line);border-radius:9px}"
	"input:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--glow);"
	"outline-offset:2px}"
	"button{font:inherit;font-weight:600;border:0;border-radius:9px;padding:.7rem 1.1rem;"
	"cursor:pointer;background:var(--glow);color:var(--on-glow)}"
	"form.card button{width:100%;margin-top:1.4rem}"
	"button.quiet{background:none;color:var(--soft);font-weight:500;padding:.4rem .2rem;"
	"text-decoration:underline;text-underline-offset:.2em}"
	".note{border-left:3px solid var(--glow);padding:.35rem .8rem;margin:1rem 0}"
	"ul.tiles{list-style:none;margin:1.25rem 0;padding:0;display:grid;gap:.75rem;"
	"grid-template-columns:repeat(auto-fill,minmax(12rem,1fr))}"
	"ul.tiles a{display:block;padding:1rem 1.1rem;border:1px solid var(--line);"
	"border-radius:12px;color:inherit;text-decoration:none;background:var(--paper)}"
	"ul.tiles a:hover{border-color:var(--glow)}ul.tiles b{display:block;font-weight:600}"
	"ul.tiles span{color:var(--soft);font-size:.88rem;overflow-wrap:anywhere}"
	"footer{display:flex;justify-content:space-between;align-items:center;gap:1rem;"
	"margin-top:1.5rem;color:var(--soft);font-size:.92rem}footer form{margin:0}";

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
		buf_printf(b, "<meta http-equiv=\"refresh\" content=\"%u\">\n", refresh_s);
	buf_puts(b, "<title>");
	html_escape(b, title);
	buf_puts(b, "</title>\n<style>");
	buf_puts(b, style);
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
	sha256(hash, style, sizeof(style) - 1);
	base64_encode(text, hash, sizeof(hash));
	snprintf(out, 320,
		"default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
		"frame-ancestors 'none'; form-action %s",
		text, form_to);
}
