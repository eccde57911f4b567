/* See uacme_output.h. uacme prints lines "uacme: …" and, for what the CA said, a problem document
 * (RFC 8555 §6.7) re-printed with four spaces an indent, from "{" to "}" at column 0. Run with
 * three -v, it also prints the head and the body of each response; Retry-After is nowhere else. */
#include "acme/uacme_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/str.h"

#define DETAIL_MAX 640
#define RETRY_AFTER_MAX_S (7 * 86400)

struct problem {
	char type[64]; /* without "urn:ietf:params:acme:error:" */
	char detail[DETAIL_MAX];
	char sub[DETAIL_MAX]; /* the first subproblem's detail */
};

struct facts {
	struct problem problem;
	char last[256];      /* the last line of uacme */
	char transport[160]; /* what libcurl said */
	char ours[256];      /* a line of the wrapper that starts uacme */
	int status;          /* of the last response; 0: none */
	int64_t retry_after; /* what its head asks for; 0: nothing */
	bool challenge_failed, tokenless, directory, key, hook, ssl, json;
};

/* One \uXXXX or simple escape after the backslash; only printable ASCII survives. */
static const char *unescape(const char *s, char *out)
{
	if (*s == 'u') {
		char hex[5] = {0};
		for (int i = 0; i < 4 && s[i + 1]; i++)
			hex[i] = s[i + 1];
		unsigned long c = strtoul(hex, NULL, 16);
		*out = c >= 0x20 && c < 0x7f ? (char)c : '?';
		return s + strlen(hex) + 1;
	}
	*out = *s == 'n' || *s == 't' || *s == 'r' ? ' ' : *s;
	return s + 1;
}

/* The JSON string that starts at `s` (after the quote). */
static void copy_json(char *out, size_t size, const char *s)
{
	size_t n = 0;
	while (*s && *s != '"' && *s != '\n' && n + 1 < size) {
		char c = *s++;
		if (c == '\\' && *s && *s != '\n')
			s = unescape(s, &c);
		out[n++] = (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c;
	}
	out[n] = 0;
}

static void on_json_line(struct problem *p, const char *line)
{
	size_t indent = strspn(line, " ");
	const char *s = line + indent;
	if (str_starts(s, "\"type\": \"") && indent == 4) {
		s += strlen("\"type\": \"");
		if (str_starts(s, "urn:ietf:params:acme:error:"))
			s += strlen("urn:ietf:params:acme:error:");
		copy_json(p->type, sizeof(p->type), s);
	} else if (str_starts(s, "\"detail\": \"")) {
		s += strlen("\"detail\": \"");
		if (indent == 4)
			copy_json(p->detail, sizeof(p->detail), s);
		else if (!p->sub[0])
			copy_json(p->sub, sizeof(p->sub), s);
	}
}

static void copy_line(char *out, size_t size, const char *line)
{
	size_t n = strcspn(line, "\n");
	if (n >= size)
		n = size - 1;
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)line[i] < 0x20 || line[i] == 0x7f ? ' ' : line[i];
	out[n] = 0;
}

static bool line_has(const char *line, const char *words)
{
	const char *at = strstr(line, words);
	return at && at < line + strcspn(line, "\n");
}

static void on_transport(struct facts *f, const char *line)
{
	for (const char *at = line; (at = strstr(at, " failed: ")); at += 9) {
		if (at > line + strcspn(line, "\n"))
			break;
		copy_line(f->transport, sizeof(f->transport), at + 9);
	}
	/* "SSL connect error" alone is a connection that broke, not a doubt about who answers. */
	f->ssl |= line_has(line, "SSL CA") || line_has(line, "certificate");
}

static void on_uacme_line(struct facts *f, struct uacme_verdict *v, const char *s)
{
	if ((str_starts(s, "curl_get: ") || str_starts(s, "curl_post: ")) &&
		line_has(s, " failed: "))
		on_transport(f, s);
	f->challenge_failed |= str_starts(s, "challenge ") && line_has(s, " failed with status");
	f->tokenless |= str_starts(s, "failed to parse challenge");
	f->directory |= str_starts(s, "failed to fetch directory");
	f->json |= str_starts(s, "failed to find ") || str_starts(s, "failed to parse ");
	f->hook |= str_starts(s, "hook_run:");
	f->key |= str_starts(s, "key_") || str_starts(s, "failed to access ") ||
		  str_starts(s, "failed to write ") || str_starts(s, "failed to stat ");
	v->declined |= str_starts(s, "no challenge completed");
	v->no_account |= str_starts(s, "no account associated");
	v->has_account |= str_starts(s, "Account already exists");
	bool is_trace = str_starts(s, "acme_get: ") || str_starts(s, "acme_post: ");
	if (!is_trace && !line_has(s, "the server reported the following error"))
		copy_line(f->last, sizeof(f->last), s);
}

/* A CA that names a far year must not silence the gateway until then. */
static int64_t bounded(int64_t s)
{
	return s < 0 ? 0 : s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S;
}

/* Retry-After of RFC 9110 §10.2.3: seconds, or a date. */
static int64_t retry_after_field(const char *s, int64_t now)
{
	struct tm tm = {0};
	if (*s >= '0' && *s <= '9')
		return bounded(strtoll(s, NULL, 10));
	if (!strptime(s, "%a, %d %b %Y %H:%M:%S GMT", &tm))
		return 0;
	return bounded(timegm(&tm) - now);
}

static void on_head_line(struct facts *f, const char *line, int64_t now)
{
	if (str_starts(line, "HTTP/")) {
		size_t version = strcspn(line, " \r\n");
		f->status = line[version] == ' ' ? atoi(line + version + 1) : 0;
		f->retry_after = 0;
	} else if (!strncasecmp(line, "Retry-After:", 12)) {
		line += 12;
		f->retry_after = retry_after_field(line + strspn(line, " \t"), now);
	}
}

static bool is_response(const char *line, const char *part)
{
	return (str_starts(line, "uacme: acme_get: ") || str_starts(line, "uacme: acme_post: ")) &&
	       line_has(line, part);
}

enum part { WORDS, PROBLEM, HEAD, BODY };

static enum part on_line(struct facts *f, struct uacme_verdict *v, const char *line, enum part part)
{
	if (is_response(line, ": HTTP headers"))
		return HEAD;
	if (is_response(line, ": HTTP body"))
		return BODY;
	if (part == BODY)
		return is_response(line, ": return code ") ? WORDS : BODY;
	if (str_starts(line, "uacme: ")) {
		on_uacme_line(f, v, line + 7);
		return line_has(line, "the server reported the following error") ? PROBLEM : WORDS;
	}
	if (str_starts(line, "lanthorn-steward: "))
		copy_line(f->ours, sizeof(f->ours), line + strlen("lanthorn-steward: "));
	return *line == '}' ? WORDS : part;
}

static void gather(struct facts *f, struct uacme_verdict *v, const char *errs, int64_t now)
{
	enum part part = WORDS;
	for (const char *line = errs; *line;) {
		part = on_line(f, v, line, part);
		if (part == PROBLEM && *line == ' ')
			on_json_line(&f->problem, line);
		else if (part == HEAD)
			on_head_line(f, line, now);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
}

/* "retry after 2026-12-01 10:22:33 UTC", as Let's Encrypt writes it; 0 when there is none. */
static int64_t retry_after(const char *detail, int64_t now)
{
	const char *at = strstr(detail, "retry after ");
	struct tm tm = {0};
	char sep;
	if (!at)
		return 0;
	at += strlen("retry after ");
	if (sscanf(at, "%4d-%2d-%2d%c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &sep,
		    &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 7)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return bounded(timegm(&tm) - now);
}

/* What the problem types of RFC 8555 §6.7 mean to the person who runs the gateway. */
static const struct {
	const char *type;
	enum state_class class;
	const char *text; /* in front of the CA's own words */
} types[] = {
	{"rateLimited",             STATE_FAIL_LIMIT, "the certificate authority limits how often it is asked"      },
	{"dns",		     STATE_FAIL_DNS,
         "the certificate authority could not look the name up; check that the "
		"domain is delegated and its name servers answer"                                                   },
	{"caa",		     STATE_FAIL_DNS,
         "a CAA record of the domain forbids this certificate authority; change "
		"the record or acme.directory"								      },
	{"connection",              STATE_FAIL_DNS,
         "the certificate authority could not reach the name servers"                                               },
	{"rejectedIdentifier",      STATE_FAIL_CA,
         "the certificate authority does not issue for this name"                                                   },
	{"unsupportedIdentifier",   STATE_FAIL_CA,
         "the certificate authority does not issue for this kind of name"                                           },
	{"badCSR",                  STATE_FAIL_OURS,  "the certificate authority refused the request's key or names"},
	{"externalAccountRequired", STATE_FAIL_OURS,
         "this certificate authority wants an account binding, which uacme would show to every "
		"local user on its command line; choose another acme.directory"                                     },
	{"invalidContact",          STATE_FAIL_OURS,  "the certificate authority refused acme.email"                },
	{"unsupportedContact",      STATE_FAIL_OURS,  "the certificate authority refused acme.email"                },
	{"userActionRequired",      STATE_FAIL_CA,
         "the certificate authority wants a person to act, such as to accept new terms"                             },
	{"orderNotReady",           STATE_FAIL_CA,    "the certificate authority was not ready"                     },
	{"serverInternal",          STATE_FAIL_CA,    "the certificate authority has trouble of its own"            },
};

static void say(struct uacme_verdict *v, enum state_class class, const char *text, const char *more)
{
	v->class = class;
	snprintf(v->text, sizeof(v->text), more && *more ? "%s: %.*s" : "%s", text,
		(int)sizeof(v->text) - 320, more ? more : "");
}

static void say_status(struct uacme_verdict *v, const struct facts *f, const char *text)
{
	char status[32];
	snprintf(status, sizeof(status), "HTTP status %d", f->status);
	say(v, STATE_FAIL_CA, text, status);
}

static void judge_problem(struct uacme_verdict *v, const struct facts *f, int64_t now)
{
	const struct problem *p = &f->problem;
	const char *words = p->sub[0] ? p->sub : p->detail;
	if (!v->retry_after_s)
		v->retry_after_s = retry_after(p->detail, now);
	if (!v->retry_after_s)
		v->retry_after_s = retry_after(p->sub, now);
	v->no_account |= !strcmp(p->type, "accountDoesNotExist");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!strcmp(p->type, types[i].type)) {
			say(v, types[i].class, types[i].text, words);
			return;
		}
	}
	if (f->challenge_failed)
		say(v, STATE_FAIL_DNS, "the certificate authority did not see our proof in DNS",
			words);
	else
		say(v, STATE_FAIL_CA, "the certificate authority refused", words);
}

static void judge_words(struct uacme_verdict *v, const struct facts *f)
{
	if (f->tokenless)
		say(v, STATE_FAIL_OURS,
			"this uacme is too old for the certificate authority: it stumbles "
			"over a challenge without a token; install uacme 1.8 or later",
			NULL);
	else if (v->declined)
		say(v, STATE_FAIL_DNS, "the proof could not be put into DNS", NULL);
	else if (f->ssl)
		say(v, STATE_FAIL_NET,
			"the certificate authority's server is not trusted; check the clock, "
			"and for a private authority set acme.ca_file",
			f->transport);
	else if (f->transport[0])
		say(v, STATE_FAIL_NET, "the certificate authority cannot be reached", f->transport);
	else if (f->status == 429)
		say(v, STATE_FAIL_LIMIT, "the certificate authority limits how often it is asked",
			"HTTP status 429");
	else if (f->status >= 500)
		say_status(v, f, "the certificate authority is out of order or being maintained");
	else if (f->status >= 300 && f->status < 400)
		say_status(v, f,
			"the certificate authority sends us elsewhere, which ACME does not know; check "
			"acme.directory");
	else if (f->directory)
		say(v, STATE_FAIL_CA,
			"acme.directory gave no usable answer; check the URL, or the "
			"certificate authority is out of order",
			NULL);
	else if (f->json)
		say(v, STATE_FAIL_CA,
			"the certificate authority's answer is not what ACME promises; check "
			"acme.directory",
			f->last);
	else if (f->hook)
		say(v, STATE_FAIL_OURS, "uacme could not run lanthorn-hook", f->last);
	else if (f->key)
		say(v, STATE_FAIL_OURS, "uacme cannot use its files; check disk and permissions",
			f->last);
	else if (f->ours[0])
		say(v, STATE_FAIL_OURS, "uacme could not be started", f->ours);
	else
		say(v, STATE_FAIL_OURS, "uacme failed", f->last);
}

void uacme_classify(struct uacme_verdict *v, const char *errs, int64_t now)
{
	struct facts f = {0};
	memset(v, 0, sizeof(*v));
	gather(&f, v, errs, now);
	if (f.status >= 300)
		v->retry_after_s = f.retry_after;
	if (f.problem.type[0] || f.problem.detail[0])
		judge_problem(v, &f, now);
	else
		judge_words(v, &f);
}
