/* See password.h. The blob: "s1" · log2 N · r · p · salt 16 · hash 32. */
#include "gate/password.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/crypto.h"

#define LOG2_N 14
#define R 8
#define P 5
#define HEAD_LEN 5
#define SALT_LEN 16
#define HASH_LEN 32
#define BLOB_LEN (HEAD_LEN + SALT_LEN + HASH_LEN)

struct hasher {
	struct loop *loop, *home;
	pthread_t thread;
	atomic_uint waiting;
};

static int hash_with(const uint8_t *head, const char *password, const uint8_t *salt, uint8_t *out)
{
	if (memcmp(head, "s1", 2) != 0 || head[2] < 10 || head[2] > 18 || head[3] > 32 ||
		head[4] > 16)
		return -EINVAL;
	return scrypt(out, HASH_LEN, password, salt, SALT_LEN, 1u << head[2], head[3], head[4]);
}

static void make_blob(struct hash_work *w)
{
	memcpy(w->blob, (uint8_t[]){'s', '1', LOG2_N, R, P}, HEAD_LEN);
	random_bytes(w->blob + HEAD_LEN, SALT_LEN);
	w->blob_len = BLOB_LEN;
	w->ok = hash_with(w->blob, w->password, w->blob + HEAD_LEN,
			w->blob + HEAD_LEN + SALT_LEN) == 0;
}

static void check_blob(struct hash_work *w)
{
	static const uint8_t nobody[BLOB_LEN] = {'s', '1', LOG2_N, R, P};
	uint8_t hash[HASH_LEN] = {0};
	bool known = w->blob_len == BLOB_LEN;
	const uint8_t *blob = known ? w->blob : nobody;
	int rc = hash_with(blob, w->password, blob + HEAD_LEN, hash);
	bool same = bytes_equal_ct(hash, blob + HEAD_LEN + SALT_LEN, HASH_LEN);
	w->ok = rc == 0 && known && same;
	wipe(hash, sizeof(hash));
}

static void forget_password(struct hash_work *w)
{
	free_secret_str(w->password);
	w->password = NULL;
}

static void on_home(struct job *job)
{
	struct hash_work *w = container_of(job, struct hash_work, job);
	w->fn(w);
}

static void on_work(struct job *job)
{
	struct hash_work *w = container_of(job, struct hash_work, job);
	if (w->check)
		check_blob(w);
	else
		make_blob(w);
	forget_password(w);
	atomic_fetch_sub(&w->hasher->waiting, 1);
	w->job = (struct job){.run = on_home};
	loop_post(w->home, &w->job);
}

static void on_dropped(struct job *job)
{
	struct hash_work *w = container_of(job, struct hash_work, job);
	forget_password(w);
}

static void *thread_main(void *arg)
{
	loop_run(((struct hasher *)arg)->loop);
	return NULL;
}

int hasher_start(struct hasher **out, struct loop *home, struct err *e)
{
	struct hasher *h = xcalloc(1, sizeof(*h));
	h->home = home;
	int rc = loop_new(&h->loop, e);
	if (rc == 0) {
		rc = -pthread_create(&h->thread, NULL, thread_main, h);
		if (rc < 0) {
			err_sys(e, rc, "cannot start the password thread");
			loop_free(h->loop);
		}
	}
	if (rc < 0) {
		free(h);
		return rc;
	}
	*out = h;
	return 0;
}

void hasher_stop(struct hasher *h)
{
	if (!h)
		return;
	loop_stop(h->loop);
	pthread_join(h->thread, NULL);
	loop_free(h->loop);
	free(h);
}

static int submit(struct hasher *h, struct hash_work *w, const char *password, bool check)
{
	if (atomic_load(&h->waiting) >= PASSWORD_QUEUE_MAX)
		return -EBUSY;
	w->hasher = h;
	w->home = h->home;
	w->password = xstrdup(password);
	w->check = check;
	w->ok = false;
	w->job = (struct job){.run = on_work, .cancel = on_dropped};
	atomic_fetch_add(&h->waiting, 1);
	return loop_post(h->loop, &w->job);
}

int hasher_make(struct hasher *h, struct hash_work *w, const char *password)
{
	return submit(h, w, password, false);
}

int hasher_check(struct hasher *h, struct hash_work *w, const char *password)
{
	return submit(h, w, password, true);
}

/* Of UTF-8: all bytes but those that continue a character. */
static size_t count_chars(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

int password_judge(const char *password, const char *user, struct err *e)
{
	size_t n = count_chars(password);
	if (n < PASSWORD_MIN)
		return err_set(e, -EINVAL, "The password needs at least %d characters.",
			PASSWORD_MIN);
	if (n > PASSWORD_MAX)
		return err_set(e, -EINVAL, "The password may have at most %d characters.",
			PASSWORD_MAX);
	if (str_eq_nocase(password, user))
		return err_set(e, -EINVAL, "The password must not be the name.");
	return 0;
}
