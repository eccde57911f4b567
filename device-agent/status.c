/* See status.h. */
#include "device-agent/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "device-agent/identity.h"
#include "device-agent/schedule.h"
#include "device-agent/tls.h"

struct status_server {
	struct watch watch;
	char path[CONF_PATH_MAX + 16];
	void (*print)(void *ctx, struct buf *out);
	void *ctx;
};

static int set_path(struct sockaddr_un *to, const char *state, struct err *e)
{
	*to = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(to->sun_path, sizeof(to->sun_path), "%s/agent.sock", state);
	return n < (int)sizeof(to->sun_path)
		       ? 0
		       : err_set(e, -ENAMETOOLONG, "%s is too long for a socket", state);
}

static void on_asked(struct watch *w, short revents)
{
	struct status_server *s = container_of(w, struct status_server, watch);
	struct buf out = BUF_INIT(STATUS_MAX);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	(void)revents;
	if (fd < 0)
		return;
	s->print(s->ctx, &out);
	if (send(fd, out.data, out.len, MSG_NOSIGNAL) < 0)
		errno = 0; /* who asked is gone */
	buf_done(&out);
	close(fd);
}

struct status_server *status_open(struct loop *l, const char *state,
	void (*print)(void *ctx, struct buf *out), void *ctx, struct err *e)
{
	struct sockaddr_un at;
	if (set_path(&at, state, e) < 0)
		return NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old = umask(0077);
	unlink(at.sun_path); /* the state's lock is held: whoever made it is gone */
	int rc = fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0
			 ? -errno
			 : 0;
	umask(old);
	struct status_server *s = xcalloc(1, sizeof(*s));
	s->watch = (struct watch){.fd = fd, .events = POLLIN, .on_event = on_asked};
	s->print = print;
	s->ctx = ctx;
	str_copy(s->path, sizeof(s->path), at.sun_path);
	if (rc == 0 && loop_add(l, &s->watch))
		return s;
	err_sys(e, rc < 0 ? rc : -EMFILE, "%s", at.sun_path);
	if (fd >= 0)
		close(fd);
	free(s);
	return NULL;
}

void status_close(struct status_server *s)
{
	if (!s)
		return;
	loop_remove(&s->watch);
	close(s->watch.fd);
	unlink(s->path);
	free(s);
}

int status_ask(const char *state, struct buf *out, struct err *e)
{
	struct sockaddr_un to;
	struct timeval most = {.tv_sec = 5};
	int rc = set_path(&to, state, e);
	if (rc < 0)
		return rc;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, -errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		rc = err_sys(e, -errno, "%s", to.sun_path);
	while (rc == 0 && (rc = buf_reserve(out, 512)) == 0) {
		ssize_t n = recv(fd, out->data + out->len, 512, 0);
		if (n <= 0) {
			rc = n < 0 ? err_sys(e, -errno, "%s", to.sun_path) : 0;
			break;
		}
		out->len += (size_t)n;
	}
	close(fd);
	return rc;
}

static int print_json_string(struct buf *out, const char *s, size_t n)
{
	int rc = buf_puts(out, "\"");
	for (size_t i = 0; rc == 0 && i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
			rc = buf_printf(out, "\\u%04x", c);
		else
			rc = buf_append(out, s + i, 1);
	}
	return rc == 0 ? buf_puts(out, "\"") : rc;
}

static bool is_number(const char *s, size_t n)
{
	char text[20];
	uint64_t v;
	if (n == 0 || n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = 0;
	return str_to_u64(text, INT64_MAX, &v) == 0;
}

int status_to_json(const char *lines, struct buf *out)
{
	int rc = buf_puts(out, "{");
	for (const char *sep = ""; rc == 0 && *lines; sep = ",") {
		size_t n = strcspn(lines, "\n"), k = strcspn(lines, " \n");
		const char *value = lines + k + (k < n);
		size_t len = (size_t)(lines + n - value);
		rc = buf_puts(out, sep);
		if (rc == 0)
			rc = print_json_string(out, lines, k);
		if (rc == 0)
			rc = buf_puts(out, ":");
		if (rc == 0)
			rc = is_number(value, len) ? buf_append(out, value, len)
						   : print_json_string(out, value, len);
		lines += n + (lines[n] == '\n');
	}
	return rc == 0 ? buf_puts(out, "}\n") : rc;
}

/* Without a running agent: what the files say. */
static int print_stored(const struct conf *c, struct buf *out)
{
	struct identity id;
	struct tls_cert cert;
	struct err e = {0};
	identity_init(&id);
	int rc = identity_load(&id, c->state, &e);
	if (rc == 0)
		rc = tls_cert_read(&id.cert, &cert, &e);
	if (rc == 0)
		buf_printf(out,
			"state stopped\ndevice %s\nnot_after %lld\nrenew_at %lld\nhint start it: "
			"lanthorn-agent run\n",
			id.name, (long long)cert.not_after,
			(long long)renew_at(cert.not_before, cert.not_after));
	else if (rc == -ENOENT)
		buf_printf(out,
			"state not-enrolled\nhint get a token on the gateway (lanthornctl pair NAME), "
			"then run: lanthorn-agent enrol\n");
	else
		buf_printf(out, "state broken\nlast_error %s\n", e.text);
	identity_done(&id);
	return rc == 0 ? 3 : 78;
}

static void show_line(const char *key, const char *value)
{
	char when[32];
	uint64_t t;
	struct tm tm;
	if (str_ends(key, "_at") || str_ends(key, "_after") || str_ends(key, "_time")) {
		if (str_to_u64(value, INT64_MAX, &t) < 0 || !gmtime_r(&(time_t){(time_t)t}, &tm))
			return;
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
		value = when;
	}
	printf("%-13s %s\n", key, value);
}

static void show_human(const char *lines)
{
	while (*lines) {
		char line[600];
		size_t n = strcspn(lines, "\n"), m = n < sizeof(line) ? n : sizeof(line) - 1;
		memcpy(line, lines, m);
		line[m] = 0;
		char *space = strchr(line, ' ');
		if (space) {
			*space = 0;
			show_line(line, space + 1);
		}
		lines += n + (lines[n] == '\n');
	}
}

int status_show(const struct conf *c, bool json)
{
	struct buf lines = BUF_INIT(STATUS_MAX), out = BUF_INIT(STATUS_MAX * 2);
	struct err e = {0};
	int code, rc = status_ask(c->state, &lines, &e);
	if (rc == 0 && lines.len)
		code = str_starts(buf_str(&lines), "state linked\n") ? 0 : 1;
	else
		code = print_stored(c, &lines);
	if (json && status_to_json(buf_str(&lines), &out) == 0)
		fputs(buf_str(&out), stdout);
	else
		show_human(buf_str(&lines));
	buf_done(&lines);
	buf_done(&out);
	return code;
}
