/* See ctl_show.h. */
#include "ctl_show.h"

#include <qrencode.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static json_int_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool truth_of(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* Terminal escapes in a device's title or a CA's words must stay words. */
static void put_clean(FILE *f, const char *s)
{
	for (; *s; s++)
		fputc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, f);
}

static void put_padded(const char *s, int width)
{
	int n = 0;
	put_clean(stdout, s);
	for (const char *p = s; *p; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	printf("%*s", n < width ? width - n : 1, "");
}

static const char *when(json_int_t at, char out[32])
{
	time_t t = (time_t)at;
	struct tm tm;
	if (!at)
		return "–";
	localtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%d %H:%M", &tm);
	return out;
}

/* "in 23 days", "3 minutes ago". */
static const char *how_far(json_int_t at, char out[48])
{
	static const struct {
		const char *word;
		json_int_t seconds;
	} units[] = {
		{"day",    86400},
                {"hour",   3600 },
                {"minute", 60   },
                {"second", 1    }
        };
	json_int_t d = at - (json_int_t)time(NULL), n = d < 0 ? -d : d;
	size_t i = 0;
	if (!at)
		return "never";
	while (i < 3 && n < 2 * units[i].seconds)
		i++;
	n /= units[i].seconds;
	snprintf(out, 48, d < 0 ? "%lld %s%s ago" : "in %lld %s%s", (long long)n, units[i].word,
		n == 1 ? "" : "s");
	return out;
}

/* ---- certificates ---- */

static void show_failure(const json_t *failure, json_int_t next_try)
{
	char a[32], b[48];
	if (!json_is_object(failure))
		return;
	printf("      failed %s (%s): ", when(number_of(failure, "at"), a),
		text_of(failure, "class"));
	put_clean(stdout, text_of(failure, "text"));
	printf("\n      what to do: ");
	put_clean(stdout, text_of(failure, "remedy"));
	if (next_try)
		printf("\n      next try: %s", how_far(next_try, b));
	printf("\n");
}

static void show_cert(const json_t *c)
{
	char until[32], left[48], renew[32];
	const json_t *name;
	size_t i;
	bool valid = truth_of(c, "valid");
	printf("  %s ", valid ? "●" : "○");
	put_padded(text_of(c, "id"), 16);
	json_array_foreach(json_object_get(c, "names"), i, name)
	{
		printf("%s", i ? ", " : "");
		put_clean(stdout, json_string_value(name));
	}
	printf("\n      ");
	if (valid)
		printf("valid until %s (%s), renewal %s\n", when(number_of(c, "not_after"), until),
			how_far(number_of(c, "not_after"), left),
			when(number_of(c, "next_renewal"), renew));
	else if (number_of(c, "not_after"))
		printf("expired on %s by this machine's clock\n",
			when(number_of(c, "not_after"), until));
	else
		printf("%s\n", strcmp(text_of(c, "state"), "ordered") == 0 ? "ordered, on its way"
									   : "not there yet");
	show_failure(json_object_get(c, "failure"), number_of(c, "next_try"));
}

void show_certs(const json_t *body)
{
	size_t i;
	const json_t *c;
	json_array_foreach(json_object_get(body, "certificates"), i, c) show_cert(c);
}

/* ---- devices ---- */

static void show_dns_failure(const char *who, const json_t *name)
{
	const json_t *failure = json_object_get(name, "failure");
	if (!json_is_object(failure))
		return;
	printf("      %s not in DNS: ", who);
	put_clean(stdout, text_of(failure, "text"));
	printf("\n      what to do: ");
	put_clean(stdout, text_of(failure, "remedy"));
	printf("\n");
}

static void show_upstream(const json_t *d, bool away)
{
	char since[48];
	printf("→ %s", text_of(d, "upstream"));
	if (!away)
		return;
	printf(", out of reach, noticed %s: ", how_far(number_of(d, "since"), since));
	put_clean(stdout, text_of(d, "fault"));
}

static void show_links(const json_t *d)
{
	json_int_t n = number_of(d, "links");
	bool h2 = strcmp(text_of(d, "protocol"), "h2") == 0;
	printf("connected from %s, %lld %s of %s", text_of(d, "peer"), (long long)n,
		n == 1 ? "link" : "links", h2 ? "HTTP/2" : "HTTP/1.1");
}

static void show_device(const json_t *d)
{
	char seen[48];
	bool agent = strcmp(text_of(d, "kind"), "agent") == 0;
	bool away = strcmp(text_of(d, "state"), "offline") == 0;
	printf("  %s ", (agent ? truth_of(d, "online") : !away) ? "●" : "○");
	put_padded(text_of(d, "name"), 16);
	put_padded(text_of(d, "url"), 40);
	if (!agent)
		show_upstream(d, away);
	else if (truth_of(d, "online"))
		show_links(d);
	else if (number_of(d, "last_seen"))
		printf("away, last seen %s", how_far(number_of(d, "last_seen"), seen));
	else
		printf("waiting to be paired");
	printf("\n");
	show_dns_failure("its name is", json_object_get(d, "dns"));
}

void show_devices(const json_t *body)
{
	size_t i;
	const json_t *d, *list = json_object_get(body, "devices");
	if (json_array_size(list) == 0)
		puts("  none yet; add one with: lanthornctl pair NAME");
	json_array_foreach(list, i, d) show_device(d);
}

/* ---- people ---- */

void show_users(const json_t *body)
{
	size_t i, k;
	const json_t *u, *d, *list = json_object_get(body, "users");
	if (json_array_size(list) == 0)
		puts("  nobody yet; make the first administrator with: lanthornctl setup");
	json_array_foreach(list, i, u)
	{
		printf("  ");
		put_padded(text_of(u, "name"), 20);
		printf("%s", truth_of(u, "admin") ? "admin" : "person");
		if (truth_of(u, "disabled"))
			printf(", disabled");
		if (!truth_of(u, "has_password"))
			printf(", has not set a password yet");
		if (truth_of(u, "admin"))
			printf(", reaches every device");
		json_array_foreach(json_object_get(u, "devices"), k, d)
			printf("%s%s", k ? ", " : ", reaches ", json_string_value(d));
		printf("\n");
	}
}

/* ---- status ---- */

/* The first two may be the base name and the wildcard; a device's stands with the device. */
static void show_gateway_name(const json_t *s)
{
	size_t i;
	const json_t *name;
	json_array_foreach(json_object_get(s, "names"), i, name)
	{
		const char *text = text_of(name, "name");
		if (strcmp(text, text_of(s, "domain")) == 0 || text[0] == '*')
			show_dns_failure(
				text[0] == '*' ? "the wildcard is" : "the gateway's name is", name);
	}
}

void show_status(const json_t *s)
{
	char since[48];
	const json_t *steward = json_object_get(s, "steward"), *t = json_object_get(s, "time");
	const json_t *sandbox = json_object_get(s, "sandbox");
	printf("%s\n", text_of(s, "url"));
	printf("  Lanthorn %s, started %s, certificates %s\n", text_of(s, "version"),
		how_far(number_of(s, "started"), since), text_of(s, "mode"));
	if (!truth_of(steward, "up"))
		puts("  The certificate process has not answered yet; see: lanthornctl logs");
	if (!truth_of(t, "believable")) {
		printf("  The clock is wrong: ");
		put_clean(stdout, text_of(t, "why"));
		printf("\n");
	}
	if (number_of(sandbox, "landlock") == 0)
		puts("  This kernel has no Landlock; only users and permissions guard the files");
	if (!truth_of(sandbox, "system_calls"))
		puts("  This kernel cannot filter system calls");
	show_gateway_name(s);
	puts("\nCertificates");
	show_certs(s);
	puts("\nDevices");
	show_devices(s);
}

/* ---- pairing ---- */

static bool qr_dark(const QRcode *q, int x, int y)
{
	return x >= 0 && y >= 0 && x < q->width && y < q->width && (q->data[y * q->width + x] & 1);
}

/* Two modules a character; drawn light on dark with a quiet zone, so that phones read it on either
 * kind of terminal. */
static void show_qr(const char *text)
{
	QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	if (!q)
		return;
	for (int y = -2; y < q->width + 2; y += 2) {
		printf("\033[40;97m");
		for (int x = -2; x < q->width + 2; x++) {
			bool top = !qr_dark(q, x, y), bottom = !qr_dark(q, x, y + 1);
			fputs(top ? bottom ? "█" : "▀" : bottom ? "▄" : " ", stdout);
		}
		printf("\033[0m\n");
	}
	QRcode_free(q);
}

void show_pairing(const json_t *d)
{
	char left[48];
	printf("\nToken for %s, works once, expires %s:\n\n%s\n\n", text_of(d, "name"),
		how_far(number_of(d, "expires"), left), text_of(d, "token"));
	show_qr(text_of(d, "token"));
	printf("\nOn the device, give it to:  lanthorn-agent enrol\n"
	       "It then appears at %s\n",
		text_of(d, "url"));
}

void show_logs(const json_t *body)
{
	size_t i;
	const json_t *line;
	json_array_foreach(json_object_get(body, "lines"), i, line)
	{
		put_clean(stdout, json_string_value(line));
		printf("\n");
	}
}

void show_error(int status, const json_t *body)
{
	size_t i;
	const json_t *more, *e = json_object_get(body, "error");
	fputs("lanthornctl: ", stderr);
	if (json_is_object(e))
		put_clean(stderr, text_of(e, "message"));
	else
		fprintf(stderr, "the gateway answered %d", status);
	fputs("\n", stderr);
	json_array_foreach(json_object_get(e, "details"), i, more)
	{
		if (i == 0)
			continue; /* the message again */
		put_clean(stderr, json_string_value(more));
		fputs("\n", stderr);
	}
	if (*text_of(e, "remedy"))
		fprintf(stderr, "What to do: %s\n", text_of(e, "remedy"));
}

int show_dns_test(int status, const json_t *body, int as_json)
{
	bool passed = strcmp(text_of(body, "state"), "passed") == 0;
	if (as_json) {
		json_dumpf(body, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (status >= 300) {
		show_error(status, body);
	} else {
		printf("DNS %s: ", passed ? "works" : "does not work");
		put_clean(stdout, text_of(body, "text"));
		printf("\n");
		if (!passed)
			printf("What to do: %s\n", text_of(body, "remedy"));
	}
	return passed ? 0 : 1;
}
