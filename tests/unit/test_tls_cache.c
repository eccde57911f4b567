/* OpenSSL's objects of certificates: made when needed, shared, and forgotten without harm. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/tls_int.h"
#include "tls_lab.h"

#define CERTS 6

static struct lab_id ca, leaves[CERTS];
static struct tls_cert *certs[CERTS];

/* As gate/certs writes it: key, leaf, CA. */
static char *text_of(const struct lab_id *id)
{
	char *all = lab_pem(id, true), *above = lab_pem(&ca, false);
	char *key = strstr(all, "-----BEGIN PRIVATE"), *out = calloc(1, 10000);
	strcat(out, key);
	*key = 0;
	strcat(out, all);
	strcat(out, above);
	free(all);
	free(above);
	return out;
}

static int make_certs(void **state)
{
	(void)state;
	ca = lab_make(&(struct lab_want){"CA", NULL, true, 0, 0}, NULL);
	for (int i = 0; i < CERTS; i++) {
		leaves[i] =
			lab_make(&(struct lab_want){"leaf", "DNS:tv.home.test", false, 0, 0}, &ca);
		char *text = text_of(&leaves[i]);
		if (tls_cert_new(&certs[i], text, strlen(text), NULL) < 0)
			return -1;
		free(text);
	}
	return 0;
}

static int free_certs(void **state)
{
	(void)state;
	for (int i = 0; i < CERTS; i++) {
		tls_cert_unref(certs[i]);
		lab_free(&leaves[i]);
	}
	lab_free(&ca);
	return 0;
}

static void objects_are_made_once_and_are_the_certificates(void **state)
{
	struct tls_cache *k = tls_cache_new(4);
	struct tls_objects *a, *b;
	(void)state;
	assert_int_equal(tls_cache_count(k), 0);
	a = tls_cache_get(k, certs[0]);
	assert_non_null(a);
	b = tls_cache_get(k, certs[0]);
	assert_non_null(b);
	assert_int_equal(tls_cache_count(k), 1);
	assert_true(a->leaf == b->leaf && a->key == b->key && a->chain == b->chain);
	assert_int_equal(X509_cmp(a->leaf, leaves[0].cert), 0);
	assert_int_equal(EVP_PKEY_eq(a->key, leaves[0].key), 1);
	X509 *signed_by_it = X509_dup(a->leaf);
	assert_true(X509_sign(signed_by_it, a->key, EVP_sha256()) > 0);
	assert_int_equal(X509_verify(signed_by_it, leaves[0].key), 1);
	X509_free(signed_by_it);
	assert_int_equal(sk_X509_num(a->chain), 1);
	assert_int_equal(X509_cmp(sk_X509_value(a->chain, 0), ca.cert), 0);
	tls_objects_unref(a);
	tls_objects_unref(b);
	tls_cache_free(k);
}

static void the_least_recently_used_is_forgotten_while_in_use(void **state)
{
	struct tls_cache *k = tls_cache_new(2);
	struct tls_objects *o[3], *again;
	(void)state;
	o[0] = tls_cache_get(k, certs[0]);
	assert_non_null(o[0]);
	o[1] = tls_cache_get(k, certs[1]);
	assert_non_null(o[1]);
	again = tls_cache_get(k, certs[0]);
	assert_non_null(again);
	tls_objects_unref(again);
	o[2] = tls_cache_get(k, certs[2]);
	assert_non_null(o[2]);
	assert_int_equal(tls_cache_count(k), 2);
	again = tls_cache_get(k, certs[0]);
	assert_non_null(again);
	assert_ptr_equal(again->leaf, o[0]->leaf);
	tls_objects_unref(again);
	/* o[1] is ours alone now: still good, and not what the next one gets. */
	assert_int_equal(X509_check_private_key(o[1]->leaf, o[1]->key), 1);
	again = tls_cache_get(k, certs[1]);
	assert_non_null(again);
	assert_ptr_not_equal(again->leaf, o[1]->leaf);
	assert_int_equal(X509_cmp(again->leaf, o[1]->leaf), 0);
	tls_objects_unref(again);
	for (int i = 0; i < 3; i++)
		tls_objects_unref(o[i]);
	tls_cache_free(k);
}

static void a_shared_chain_is_made_once(void **state)
{
	struct tls_cache *k = tls_cache_new(4);
	struct tls_cert *c[3];
	struct tls_objects *a, *b;
	(void)state;
	for (int i = 0; i < 2; i++) {
		char *text = text_of(&leaves[i]);
		assert_int_equal(tls_cert_new(&c[i], text, strlen(text), NULL), 0);
		free(text);
	}
	char *alone = lab_pem(&leaves[2], true);
	assert_int_equal(tls_cert_new(&c[2], alone, strlen(alone), NULL), 0);
	free(alone);
	assert_true(tls_cert_share_chain(c[1], c[0]));
	assert_false(tls_cert_share_chain(c[2], c[0]));
	a = tls_cache_get(k, c[0]);
	assert_non_null(a);
	b = tls_cache_get(k, c[1]);
	assert_non_null(b);
	assert_ptr_equal(a->chain, b->chain);
	tls_objects_unref(a);
	tls_cert_unref(c[0]);
	assert_int_equal(X509_cmp(sk_X509_value(b->chain, 0), ca.cert), 0);
	tls_objects_unref(b);
	a = tls_cache_get(k, c[2]);
	assert_non_null(a);
	assert_int_equal(sk_X509_num(a->chain), 0);
	tls_objects_unref(a);
	tls_cert_unref(c[1]);
	tls_cert_unref(c[2]);
	tls_cache_free(k);
}

static void a_known_text_gives_the_same(void **state)
{
	static const char names[][254] = {"tv.home.test", "*.x.test"};
	struct tls_cache *k = tls_cache_new(4);
	struct tls_cert *c;
	struct tls_objects *o;
	struct err e = {0};
	char *text = text_of(&leaves[3]);
	struct tls_cert_text t = {text, strlen(text), names, 2};
	(void)state;
	assert_int_equal(tls_cert_new_known(&c, &t, &e), 0);
	assert_true(tls_cert_covers(c, "tv.home.test") && tls_cert_covers(c, "a.x.test"));
	assert_false(tls_cert_covers(c, "home.test"));
	o = tls_cache_get(k, c);
	assert_non_null(o);
	assert_int_equal(X509_cmp(o->leaf, leaves[3].cert), 0);
	assert_int_equal(EVP_PKEY_eq(o->key, leaves[3].key), 1);
	assert_int_equal(sk_X509_num(o->chain), 1);
	tls_objects_unref(o);
	tls_cert_unref(c);
	t.len = strlen(text) - 30; /* the last block has no end */
	assert_int_equal(tls_cert_new_known(&c, &t, &e), -EBADMSG);
	t.len = (size_t)(strstr(text, "-----BEGIN CERT") - text);
	assert_int_equal(tls_cert_new_known(&c, &t, &e), -EBADMSG);
	t.pem = text + t.len;
	t.len = strlen(t.pem);
	assert_int_equal(tls_cert_new_known(&c, &t, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "not a key and its chain"));
	free(text);
	tls_cache_free(k);
}

static void der_that_cannot_be_read_is_an_error(void **state)
{
	static const char rubbish[] =
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	struct tls_cert_text t = {.pem = rubbish, .len = sizeof(rubbish) - 1};
	struct tls_cache *k = tls_cache_new(4);
	struct tls_cert *c;
	(void)state;
	assert_int_equal(tls_cert_new_known(&c, &t, NULL), 0);
	assert_null(tls_cache_get(k, c));
	assert_int_equal(tls_cache_count(k), 0);
	tls_cert_unref(c);
	tls_cache_free(k);
}

/* Keys that the gateway does not make itself: an operator's own, an older one. */
static void other_kinds_of_keys_are_read(void **state)
{
	struct tls_cache *k = tls_cache_new(4);
	EVP_PKEY *keys[] = {EVP_EC_gen("P-384"), EVP_RSA_gen(2048)};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct lab_id id = {keys[i], X509_dup(leaves[0].cert)};
		struct tls_cert *c;
		struct tls_objects *o;
		assert_int_equal(X509_set_pubkey(id.cert, id.key), 1);
		assert_true(X509_sign(id.cert, ca.key, EVP_sha256()) > 0);
		char *text = lab_pem(&id, true);
		assert_int_equal(tls_cert_new(&c, text, strlen(text), NULL), 0);
		o = tls_cache_get(k, c);
		assert_non_null(o);
		assert_int_equal(EVP_PKEY_eq(o->key, id.key), 1);
		assert_int_equal(X509_check_private_key(o->leaf, o->key), 1);
		tls_objects_unref(o);
		tls_cert_unref(c);
		free(text);
		lab_free(&id);
	}
	tls_cache_free(k);
}

static void *use_all(void *arg)
{
	struct tls_objects *o;
	long wrong = 0;
	for (int i = 0; i < 300; i++) {
		int at = (i * 5 + i / 7) % CERTS;
		o = tls_cache_get(arg, certs[at]);
		if (!o)
			return (void *)1000L;
		wrong += X509_cmp(o->leaf, leaves[at].cert) != 0;
		wrong += sk_X509_num(o->chain) != 1;
		tls_objects_unref(o);
	}
	return (void *)wrong;
}

static void threads_share_a_cache_that_is_too_small(void **state)
{
	struct tls_cache *k = tls_cache_new(3);
	pthread_t threads[4];
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_all, k), 0);
	for (int i = 0; i < 4; i++) {
		void *wrong = NULL;
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(tls_cache_count(k), 3);
	tls_cache_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_made_once_and_are_the_certificates),
		cmocka_unit_test(the_least_recently_used_is_forgotten_while_in_use),
		cmocka_unit_test(a_shared_chain_is_made_once),
		cmocka_unit_test(a_known_text_gives_the_same),
		cmocka_unit_test(der_that_cannot_be_read_is_an_error),
		cmocka_unit_test(other_kinds_of_keys_are_read),
		cmocka_unit_test(threads_share_a_cache_that_is_too_small),
	};
	return cmocka_run_group_tests(tests, make_certs, free_certs);
}
