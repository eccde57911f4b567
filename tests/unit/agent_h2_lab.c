/* See agent_h2_lab.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/agent_h2_lab.h"
#include "tests/unit/agent_plain.h"

/* ---- the gateway ---- */

static struct seen *seen_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct seen *s = seen_of(session, frame->hd.stream_id);
	(void)flags, (void)user;
	size_t at = strlen(s->head);
	snprintf(s->head + at, sizeof(s->head) - at, "%.*s: %.*s\n", (int)name_len, name,
		(int)value_len, value);
	return 0;
}

static int on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct seen *s = seen_of(session, id);
	(void)flags, (void)user;
	s->body_len += n;
	buf_append(&s->body, p, n);
	nghttp2_session_consume_connection(session, n);
	if (!s->stalled)
		nghttp2_session_consume_stream(session, id, n);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct lab *l = user;
	struct seen *s = frame->hd.stream_id ? seen_of(session, frame->hd.stream_id) : NULL;
	bool has_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
	if (s && has_end && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		s->ended = true;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		l->goaway = true;
	if (frame->hd.type == NGHTTP2_PING && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
		l->pings++;
	if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
		l->streams_most = nghttp2_session_get_remote_settings(
			session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
		l->connect_protocol = nghttp2_session_get_remote_settings(
			session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
	}
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct seen *s = seen_of(session, id);
	(void)user;
	s->closed = true;
	s->code = code;
	return 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *p, size_t most,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct seen *s = source->ptr;
	size_t n = s->send_left < most ? s->send_left : most;
	(void)user;
	memset(p, 'u', n);
	s->send_left -= n;
	if (s->send_left || s->send_more)
		return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->trailer) {
		nghttp2_nv nv = {(uint8_t *)(uintptr_t) "x-after", (uint8_t *)(uintptr_t)s->trailer,
			7, strlen(s->trailer), 0};
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, &nv, 1);
	}
	return (ssize_t)n;
}

static void make_client(struct lab *l)
{
	nghttp2_session_callbacks *cbs;
	nghttp2_option *opt;
	nghttp2_settings_entry iv = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
	nghttp2_session_callbacks_new(&cbs);
	nghttp2_option_new(&opt);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_close);
	assert_int_equal(nghttp2_session_client_new2(&l->client, cbs, l, opt), 0);
	nghttp2_session_callbacks_del(cbs);
	nghttp2_option_del(opt);
	nghttp2_submit_settings(l->client, 0, &iv, 1);
}

static void gate_turn(struct lab *l)
{
	static uint8_t in[65536];
	const uint8_t *out;
	ssize_t n;
	while ((n = recv(l->gate, in, sizeof(in), 0)) > 0)
		assert_int_equal(nghttp2_session_mem_recv(l->client, in, (size_t)n), n);
	while ((n = nghttp2_session_mem_send(l->client, &out)) > 0) {
		for (ssize_t at = 0; at < n;) {
			ssize_t k = send(l->gate, out + at, (size_t)(n - at), MSG_NOSIGNAL);
			if (k < 0 && errno != EAGAIN)
				return;
			at += k > 0 ? k : 0;
			if (k < 0)
				loop_step(&l->loop);
		}
	}
	assert_int_equal(n, 0);
}

void lab_turn(struct lab *l, int times)
{
	for (int i = 0; i < times; i++) {
		loop_step(&l->loop);
		if (!l->mute)
			gate_turn(l);
	}
}

/* ---- requests ---- */

struct nva {
	nghttp2_nv at[80];
	size_t n;
};

static void put(struct nva *v, const char *name, size_t n, const char *value, size_t k)
{
	v->at[v->n++] =
		(nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, n, k, 0};
}

static void put_default(struct nva *v, const char *lines, const char *name, const char *value)
{
	if (!strstr(lines, name))
		put(v, name, strlen(name), value, strlen(value));
}

static struct seen *submit(struct lab *l, const char *lines, struct seen *s, bool has_body)
{
	struct nva v = {.n = 0};
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = on_read};
	put_default(&v, lines, ":method", "GET");
	put_default(&v, lines, ":scheme", "https");
	put_default(&v, lines, ":authority", "tv.home.example.com");
	put_default(&v, lines, ":path", "/");
	while (*lines) {
		size_t n = strcspn(lines, "\n"), name = strcspn(lines + 1, ":") + 1;
		put(&v, lines, name, lines + name + 2, n - name - 2);
		lines += n + (lines[n] == '\n');
	}
	s->id = nghttp2_submit_request(l->client, NULL, v.at, v.n, has_body ? &body : NULL, s);
	assert_true(s->id > 0);
	lab_turn(l, 4);
	return s;
}

static struct seen *new_seen(struct lab *l)
{
	assert_true(l->n < LAB_STREAMS);
	struct seen *s = &l->seen[l->n++];
	s->body = BUF_INIT(1 << 16);
	return s;
}

struct seen *lab_ask(struct lab *l, const char *lines, long body)
{
	struct seen *s = new_seen(l);
	s->send_left = body > 0 ? (size_t)body : 0;
	return submit(l, lines, s, body >= 0);
}

struct seen *lab_open(struct lab *l, const char *lines, size_t body)
{
	struct seen *s = new_seen(l);
	s->send_left = body;
	s->send_more = true;
	return submit(l, lines, s, true);
}

void lab_send_more(struct lab *l, struct seen *s, size_t n, bool end)
{
	s->send_left = n;
	s->send_more = !end;
	nghttp2_session_resume_data(l->client, s->id);
	lab_turn(l, 4);
}

bool lab_has(const struct seen *s, const char *line)
{
	char want[300];
	snprintf(want, sizeof(want), "%s\n", line);
	const char *at = strstr(s->head, want);
	return at && (at == s->head || at[-1] == '\n');
}

/* ---- the service ---- */

int lab_accept(struct lab *l)
{
	int fd = -1;
	for (int i = 0; i < 50 && fd < 0; i++) {
		lab_turn(l, 1);
		fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK);
	}
	assert_true(fd >= 0);
	lab_turn(l, 2);
	return fd;
}

bool lab_nobody_connects(struct lab *l)
{
	lab_turn(l, 4);
	return accept(l->listener, NULL, NULL) < 0;
}

const char *lab_read(struct lab *l, int fd)
{
	static char text[200000];
	size_t at = 0;
	for (int calm = 0; calm < 6 && at < sizeof(text) - 1;) {
		ssize_t n = recv(fd, text + at, sizeof(text) - 1 - at, MSG_DONTWAIT);
		if (n == 0)
			break;
		calm = n > 0 ? 0 : calm + 1;
		at += n > 0 ? (size_t)n : 0;
		lab_turn(l, 1);
	}
	text[at] = 0;
	return text;
}

size_t lab_count(struct lab *l, int fd, bool *ended)
{
	static char scrap[65536];
	size_t total = 0;
	*ended = false;
	/* The kernel passes bytes on in its own time: calm is what lasts. */
	for (int calm = 0; calm < 60;) {
		ssize_t n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
		if (n == 0) {
			*ended = true;
			break;
		}
		calm = n > 0 ? 0 : calm + 1;
		total += n > 0 ? (size_t)n : 0;
		if (calm)
			usleep(1000);
		lab_turn(l, 1);
	}
	return total;
}

void lab_say(struct lab *l, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	lab_turn(l, 6);
}

int lab_serve(struct lab *l, const char *answer)
{
	int fd = lab_accept(l);
	lab_read(l, fd);
	lab_say(l, fd, answer);
	return fd;
}

void lab_service_down(struct lab *l)
{
	close(l->listener);
	l->listener = -1;
}

/* ---- all together ---- */

static void on_event(void *ctx, enum h2_event event, const struct err *why)
{
	struct lab *l = ctx;
	switch (event) {
	case H2_EVENT_USED:
		l->used++;
		break;
	case H2_EVENT_LEAVING:
		l->leaving++;
		break;
	case H2_EVENT_CLOSED:
		l->closed++;
		l->why = why->code;
		h2_close(l->h2);
		l->h2 = NULL;
		break;
	}
}

static void listen_any(struct lab *l)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(l->conf.service_addr);
	l->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(l->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l->listener, 64), 0);
	memset(&l->conf.service_addr, 0, n);
	getsockname(l->listener, (struct sockaddr *)&l->conf.service_addr, &n);
}

void lab_start(struct lab *l, unsigned streams)
{
	int pair[2];
	memset(l, 0, sizeof(*l));
	log_setup(LOG_LEVEL_ERROR, false);
	plain_now_ms = 1000;
	loop_init(&l->loop);
	plain_stay_awake(&l->loop);
	conf_defaults(&l->conf);
	l->conf.connections = streams;
	listen_any(l);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	l->gate = pair[0];
	struct h2_settings s = {.loop = &l->loop,
		.tls = plain_tls(pair[1]),
		.fd = pair[1],
		.conf = &l->conf,
		.on_event = on_event,
		.ctx = l};
	l->h2 = h2_open(&s);
	assert_non_null(l->h2);
	make_client(l);
	lab_turn(l, 4);
}

void lab_end(struct lab *l)
{
	h2_close(l->h2);
	nghttp2_session_del(l->client);
	plain_stay_awake_end();
	assert_int_equal(l->loop.n, 0);
	for (unsigned i = 0; i < l->n; i++)
		buf_done(&l->seen[i].body);
	close(l->gate);
	if (l->listener >= 0)
		close(l->listener);
}
