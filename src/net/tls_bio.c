/* The BIO between OpenSSL and the wire; one serves all streams of a loop, of which one at a time is
 * in a call of OpenSSL's: 200 bytes and a lock less for each connection. Input comes from a buffer
 * that the loop's streams share, so that one system call brings many records; output is gathered
 * and sent when the turn asks for it, and never blocks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "net/tls_int.h"

struct tls_bio {
	BIO *bio;
	struct tls_stream *now;
};

static struct tls_stream *stream_of(BIO *b)
{
	const struct tls_bio *tb = BIO_get_data(b);
	return tb->now;
}

static size_t take_kept(struct tls_stream *t, char *out, size_t n)
{
	if (n > t->raw.len)
		n = t->raw.len;
	memcpy(out, t->raw.data, n);
	buf_consume(&t->raw, n);
	if (!t->raw.len)
		buf_done(&t->raw);
	return n;
}

static size_t take_shared(struct stream_shared *sh, char *out, size_t n)
{
	if (n > sh->raw_len - sh->raw_off)
		n = sh->raw_len - sh->raw_off;
	memcpy(out, sh->raw + sh->raw_off, n);
	sh->raw_off += n;
	return n;
}

/* 1: there is input; 0: the wire ended; -EAGAIN or an error. */
static int fill_shared(struct tls_stream *t)
{
	struct stream_shared *sh = t->s.sh;
	if (sh->raw_owner == &t->s && sh->raw_off < sh->raw_len)
		return 1;
	if (t->drained || (sh->raw_owner && sh->raw_owner != &t->s))
		return -EAGAIN;
	ssize_t n = wire_recv(&t->s, sh->raw, STREAM_CHUNK);
	if (n <= 0)
		return (int)n;
	sh->raw_owner = &t->s;
	sh->raw_off = 0;
	sh->raw_len = (size_t)n;
	t->drained = (size_t)n < STREAM_CHUNK;
	return 1;
}

static int bio_read(BIO *b, char *out, size_t n, size_t *done)
{
	struct tls_stream *t = stream_of(b);
	BIO_clear_retry_flags(b);
	*done = 0;
	if (t->untimely > TLS_UNTIMELY_MAX) { /* before the rest of the buffer costs as much again */
		BIO_set_retry_read(b);
		return 0;
	}
	if (t->raw.len) {
		*done = take_kept(t, out, n);
		return 1;
	}
	int rc = fill_shared(t);
	if (rc == 1) {
		*done = take_shared(t->s.sh, out, n);
		return 1;
	}
	if (rc == -EAGAIN)
		BIO_set_retry_read(b);
	else if (rc == 0)
		t->wire_eof = true;
	return 0;
}

static int bio_write(BIO *b, const char *p, size_t n, size_t *done)
{
	struct tls_stream *t = stream_of(b);
	BIO_clear_retry_flags(b);
	wire_put(&t->s, (const uint8_t *)p, n);
	*done = n;
	return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	struct tls_stream *t = stream_of(b);
	(void)num, (void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return t->wire_eof;
	default:
		return 0;
	}
}

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lanthorn wire");
	if (!method)
		return;
	BIO_meth_set_read_ex(method, bio_read);
	BIO_meth_set_write_ex(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

static void tls_bio_free(void *coding)
{
	struct tls_bio *tb = coding;
	BIO_free(tb->bio);
	free(tb);
}

static struct tls_bio *bio_of(struct stream_shared *sh)
{
	if (sh->coding)
		return sh->coding;
	pthread_once(&method_once, make_method);
	BIO *b = method ? BIO_new(method) : NULL;
	if (!b)
		return NULL;
	struct tls_bio *tb = xcalloc(1, sizeof(*tb));
	tb->bio = b;
	BIO_set_data(b, tb);
	BIO_set_init(b, 1);
	sh->coding = tb;
	sh->coding_free = tls_bio_free;
	return tb;
}

bool tls_bio_set(struct tls_stream *t)
{
	struct tls_bio *tb = bio_of(t->s.sh);
	/* one reference for reading and writing, when both are the same */
	if (!tb || BIO_up_ref(tb->bio) != 1)
		return false;
	SSL_set_bio(t->ssl, tb->bio, tb->bio);
	return true;
}

void tls_bio_turn(struct tls_stream *t)
{
	struct tls_bio *tb = t->s.sh->coding;
	tb->now = t;
}

struct tls_stream *tls_bio_stream(const SSL *ssl)
{
	return stream_of(SSL_get_rbio(ssl));
}
