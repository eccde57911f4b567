/* What people see of sign-in: calm pages without scripts. All text that came from outside is
 * escaped. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "gate/ask.h"
#include "gate/auth_int.h"
#include "gate/html.h"
#include "store/conf.h"

#define PAGE_MAX (512u * 1024)

static void send_page(struct auth *a, struct ask *ask, int status, struct buf *b)
{
	char policy[320], to[300], form_to[320];
	/* After sign-in the browser is led on to the device's host: that is a form target too. */
	auth_origin(a, auth_domain(a), to);
	snprintf(form_to, sizeof(form_to), "'self' https://*.%s", to + strlen("https://"));
	html_policy(policy, strlen(form_to) < 160 ? form_to : "'self' https:");
	if (!ask->resp)
		ask->resp = msg_new_response(status);
	msg_set(ask->resp, "content-security-policy", policy);
	msg_set(ask->resp, "x-content-type-options", "nosniff");
	msg_set(ask->resp, "referrer-policy", "same-origin");
	msg_set(ask->resp, "cross-origin-opener-policy", "same-origin");
	msg_set(ask->resp, "strict-transport-security", "max-age=15552000");
	msg_set(ask->resp, "cache-control", "no-store");
	ask_answer(ask, status, "text/html; charset=utf-8", buf_str(b));
	buf_done_secret(b);
}

static void put_field(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "<input type=\"hidden\" name=\"%s\" value=\"", name);
	html_escape(b, value);
	buf_puts(b, "\">\n");
}

static void put_note(struct buf *b, const char *note)
{
	if (!note)
		return;
	buf_puts(b, "<p class=\"note\" role=\"alert\">");
	html_escape(b, note);
	buf_puts(b, "</p>\n");
}

static void put_target(struct buf *b, const struct auth_target *t)
{
	char state[BASE64_LEN(32)];
	if (!t)
		return;
	if (!t->host[0]) {
		if (t->to[1])
			put_field(b, "to", t->to);
		return;
	}
	base64url_encode(state, t->state, sizeof(t->state));
	put_field(b, "host", t->host);
	put_field(b, "state", state);
	put_field(b, "to", t->to);
}

static void put_retry(struct ask *ask, unsigned seconds)
{
	char text[16];
	if (!seconds)
		return;
	snprintf(text, sizeof(text), "%u", seconds);
	if (!ask->resp)
		ask->resp = msg_new_response(429);
	msg_set(ask->resp, "retry-after", text);
}

void auth_page_signin(struct auth *a, struct ask *ask, const struct auth_page *p)
{
	struct buf b = BUF_INIT(PAGE_MAX);
	html_begin(&b, "Sign in", 0);
	buf_puts(&b, "<h1>Sign in</h1>\n<p class=\"soft\">");
	if (p->target && p->target->host[0]) {
		buf_puts(&b, "to continue to ");
		html_escape(&b, p->target->host);
	} else {
		buf_puts(&b, "to ");
		html_escape(&b, a->o.conf->title);
	}
	buf_puts(&b, "</p>\n");
	put_note(&b, p->note);
	buf_puts(&b, "<form class=\"card\" method=\"post\" action=\"/signin\">\n"
		     "<label for=\"user\">Name</label>\n"
		     "<input id=\"user\" name=\"user\" autocomplete=\"username\" "
		     "autocapitalize=\"none\" spellcheck=\"false\" required maxlength=\"32\"");
	if (p->name && p->name[0]) {
		buf_puts(&b, " value=\"");
		html_escape(&b, p->name);
		buf_puts(&b, "\">\n");
	} else {
		buf_puts(&b, " autofocus>\n");
	}
	buf_puts(&b, "<label for=\"password\">Password</label>\n"
		     "<input id=\"password\" name=\"password\" type=\"password\" "
		     "autocomplete=\"current-password\" required maxlength=\"256\">\n");
	put_target(&b, p->target);
	buf_puts(&b, "<button>Sign in</button>\n</form>\n");
	html_end(&b);
	put_retry(ask, p->retry_after);
	send_page(a, ask, p->status, &b);
}

static void put_new_password(struct buf *b)
{
	buf_puts(b, "<label for=\"password\">Password</label>\n"
		    "<input id=\"password\" name=\"password\" type=\"password\" "
		    "autocomplete=\"new-password\" required minlength=\"8\" maxlength=\"256\">\n"
		    "<label for=\"password2\">The same password again</label>\n"
		    "<input id=\"password2\" name=\"password2\" type=\"password\" "
		    "autocomplete=\"new-password\" required minlength=\"8\" maxlength=\"256\">\n");
}

void auth_page_link(struct auth *a, struct ask *ask, const struct auth_page *p)
{
	struct buf b = BUF_INIT(PAGE_MAX);
	html_begin(&b, p->setup ? "Welcome" : "Choose a password", 0);
	if (p->setup)
		buf_puts(&b, "<h1>Welcome</h1>\n<p class=\"soft\">Choose the name and password with "
			     "which you will look after this home.</p>\n");
	else
		buf_puts(&b, "<h1>Choose a password</h1>\n<p class=\"soft\">You can then sign in "
			     "to the devices that are open to you.</p>\n");
	put_note(&b, p->note);
	buf_printf(&b, "<form class=\"card\" method=\"post\" action=\"/%s\">\n",
		p->setup ? "setup" : "invite");
	buf_printf(&b,
		"<label for=\"name\">Name</label>\n<input id=\"name\" name=\"name\" "
		"autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required "
		"maxlength=\"32\" pattern=\"[a-z0-9._\\-]{1,32}\" "
		"title=\"Small letters, digits, dot, hyphen: for example ada\" %s value=\"",
		p->setup ? "autofocus" : "readonly");
	html_escape(&b, p->name ? p->name : "");
	buf_puts(&b, "\">\n");
	put_new_password(&b);
	put_field(&b, "token", p->token);
	buf_puts(&b, "<button>Save and continue</button>\n</form>\n");
	html_end(&b);
	put_retry(ask, p->retry_after);
	send_page(a, ask, p->status, &b);
}

void auth_page_plain(struct auth *a, struct ask *ask, int status, const struct auth_words *w)
{
	struct buf b = BUF_INIT(PAGE_MAX);
	html_begin(&b, w->title, 0);
	buf_printf(&b, "<h1>%s</h1>\n<p>%s</p>\n", w->title, w->text);
	buf_printf(&b, "<p><a href=\"%s\">Continue</a></p>\n", w->link);
	html_end(&b);
	send_page(a, ask, status, &b);
}

int auth_page_nothing(struct auth *a, struct ask *ask)
{
	static const struct auth_words nothing = {
		"Nothing here", "This address leads nowhere.", "/"};
	const char *accept = msg_get(ask->req, "accept");
	if (!accept || !strstr(accept, "text/html"))
		return -ENOENT;
	auth_page_plain(a, ask, 404, &nothing);
	return 0;
}
