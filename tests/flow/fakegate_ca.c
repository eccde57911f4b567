/* See fakegate.h: certificates and the answers to short requests. */
#include "tests/flow/fakegate.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/str.h"

int64_t gate_now(const struct gate *g)
{
	return (int64_t)time(NULL) + g->offset;
}

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX c;
	X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	if (!ext || !X509_add_ext(x, ext, -1))
		die("extension");
	X509_EXTENSION_free(ext);
}

static X509 *blank(const struct gate *g, EVP_PKEY *key, const char *cn, X509 *issuer)
{
	static long serial = 1000;
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
	ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(gate_now(g) - 60));
	ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(gate_now(g) + g->life));
	X509_set_pubkey(x, key);
	return x;
}

X509 *gate_issue(const struct gate *g, EVP_PKEY *key, const char *cn, X509 *issuer)
{
	X509 *x = blank(g, key, cn, issuer);
	add_ext(x, issuer ? issuer : x, NID_basic_constraints,
		issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (issuer)
		add_ext(x, issuer, NID_ext_key_usage, "clientAuth");
	if (!X509_sign(x, g->ca_key ? g->ca_key : key, EVP_sha256()))
		die("sign");
	return x;
}

static X509 *issue_link(const struct gate *g)
{
	bool wrong = strcmp(g->mode, "wrong-name") == 0;
	X509 *x = blank(g, g->cert_key, "gateway", g->ca);
	add_ext(x, g->ca, NID_subject_alt_name,
		wrong ? "DNS:enroll.example.com" : "DNS:*" GATE_SUFFIX);
	if (strcmp(g->mode, "no-purpose") != 0)
		add_ext(x, g->ca, NID_ext_key_usage,
			strcmp(g->mode, "device-cert") == 0 ? "clientAuth" : "serverAuth");
	if (!X509_sign(x, g->ca_key, EVP_sha256()))
		die("sign");
	return x;
}

static void load_or_make_ca(struct gate *g)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/ca.pem", g->dir);
	FILE *f = fopen(path, "r");
	if (f) {
		g->ca_key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
		g->ca = PEM_read_X509(f, NULL, NULL, NULL);
	} else {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		g->ca = gate_issue(g, key, "test device CA", NULL);
		g->ca_key = key;
		f = fopen(path, "w");
		if (!f || !PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) ||
			!PEM_write_X509(f, g->ca))
			die(path);
	}
	fclose(f);
	if (!g->ca || !g->ca_key)
		die(path);
}

static void fill_token(struct gate *g)
{
	struct token *t = &g->token;
	strcpy(t->device_id, "tv");
	strcpy(t->dns_name, "localhost");
	strcpy(t->addrs[0], "127.0.0.1");
	t->n_addrs = 1;
	t->expires_at = INT32_MAX;
	memcpy(t->secret, "sixteen secrets.", TOKEN_SECRET_LEN);
	X509_digest(g->ca, EVP_sha256(), t->ca_sha256, NULL);
}

/* A foreign gateway has a CA of its own; "foreign-chain" also shows the true one's certificate. */
static void turn_foreign(struct gate *g)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_PKEY_free(g->ca_key);
	g->ca_key = NULL;
	X509 *ca = gate_issue(g, key, "test device CA", NULL);
	if (strcmp(g->mode, "foreign-chain") == 0)
		SSL_CTX_add1_chain_cert(g->ctx, g->ca);
	X509_free(g->ca);
	g->ca = ca;
	g->ca_key = key;
}

void gate_make(struct gate *g)
{
	load_or_make_ca(g);
	fill_token(g);
	g->ctx = SSL_CTX_new(TLS_server_method());
	if (str_starts(g->mode, "foreign"))
		turn_foreign(g);
	g->cert_key = EVP_EC_gen("P-256");
	g->cert = issue_link(g);
	if (!SSL_CTX_use_certificate(g->ctx, g->cert) ||
		!SSL_CTX_use_PrivateKey(g->ctx, g->cert_key) ||
		!SSL_CTX_add1_chain_cert(g->ctx, g->ca))
		die("certificate");
	SSL_CTX_set_max_proto_version(g->ctx, g->tls_max);
	SSL_CTX_set_session_id_context(g->ctx, (const unsigned char *)"test", 4);
}

static void reply(SSL *ssl, int status, const char *body)
{
	char text[16384];
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s",
		status, strlen(body), body);
	SSL_write(ssl, text, n);
}

static int read_request(SSL *ssl, char *text, size_t size)
{
	size_t n = 0;
	for (;;) {
		int k = SSL_read(ssl, text + n, (int)(size - 1 - n));
		if (k <= 0)
			return (int)n;
		n += (size_t)k;
		text[n] = 0;
		char *head = strstr(text, "\r\n\r\n"), *len = strstr(text, "Content-Length: ");
		if (head &&
			n >= (size_t)(head - text) + 4 + (len ? strtoul(len + 16, NULL, 10) : 0))
			return (int)n;
	}
}

static bool find(const char *text, const char *key, char *out, size_t size)
{
	const char *p = strstr(text, key);
	size_t n = p ? strcspn(p + strlen(key), "\n") : size;
	if (n >= size)
		return false;
	memcpy(out, p + strlen(key), n);
	out[n] = 0;
	return true;
}

static bool proof_is_right(
	const struct gate *g, SSL *ssl, const char *hex, const uint8_t *csr, size_t n)
{
	uint8_t msg[16 + 64] = "lanthorn-enrol-1", want[32], got[32];
	unsigned k = 32;
	SSL_export_keying_material(ssl, msg + 16, 32, "EXPORTER-lanthorn-enrol-1", 25, NULL, 0, 0);
	EVP_Digest(csr, n, msg + 48, &k, EVP_sha256(), NULL);
	HMAC(EVP_sha256(), g->token.secret, TOKEN_SECRET_LEN, msg, sizeof(msg), want, &k);
	return hex_decode(got, sizeof(got), hex) == 0 && memcmp(got, want, sizeof(got)) == 0;
}

static void reply_identity(const struct gate *g, SSL *ssl, EVP_PKEY *key)
{
	unsigned char *der = NULL, *ca = NULL;
	char text[2][4096], body[12288];
	X509 *x = gate_issue(g, key, "tv", g->ca);
	int n = i2d_X509(x, &der);
	base64_encode(text[0], der, (size_t)n);
	n = i2d_X509(g->ca, &ca);
	base64_encode(text[1], ca, (size_t)n);
	snprintf(body, sizeof(body),
		"cert %s\nca %s\nname tv" GATE_SUFFIX
		"\nport %u\naddr 127.0.0.1\ndns localhost\nfuture thing\ntime %lld\n",
		text[0], text[1], g->port, (long long)gate_now(g));
	reply(ssl, 200, body);
	OPENSSL_free(der);
	OPENSSL_free(ca);
	X509_free(x);
}

static void sign_csr(const struct gate *g, SSL *ssl, const char *text, bool enrol)
{
	char b64[4096], proof[128] = "";
	uint8_t der[2048];
	size_t n = sizeof(der);
	const unsigned char *p = der;
	if (!find(text, "\ncsr ", b64, sizeof(b64)) ||
		base64_decode(der, &n, b64, strlen(b64)) < 0) {
		reply(ssl, 400, "no csr\n");
		return;
	}
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)n);
	EVP_PKEY *key = req ? X509_REQ_get_pubkey(req) : NULL;
	if (!key || X509_REQ_verify(req, key) != 1) {
		reply(ssl, 400, "the csr is not signed\n");
	} else if (enrol && (!find(text, "\nproof ", proof, sizeof(proof)) ||
				    !proof_is_right(g, ssl, proof, der, n))) {
		say("bad-proof");
		reply(ssl, 403, "the token is not right\n");
	} else {
		say("%s", enrol ? "enrolled" : "renewed");
		reply_identity(g, ssl, key);
	}
	EVP_PKEY_free(key);
	X509_REQ_free(req);
}

void gate_answer(struct gate *g, SSL *ssl, bool enrol)
{
	char text[16384] = "", body[64];
	int n = read_request(ssl, text, sizeof(text));
	say("app-bytes %d", n);
	if (n == 0)
		return;
	if (strcmp(g->mode, "cut") == 0)
		return;
	if (strcmp(g->mode, "gone") == 0) {
		reply(ssl, 410, "this device was removed\n");
	} else if (enrol ? str_starts(text, "POST /v1/enrol HTTP/1.1\r\n")
			 : str_starts(text, "POST /v1/renew HTTP/1.1\r\n")) {
		sign_csr(g, ssl, text, enrol);
	} else if (!enrol && str_starts(text, "GET /v1/time HTTP/1.1\r\n")) {
		snprintf(body, sizeof(body), "time %lld\n", (long long)gate_now(g));
		reply(ssl, 200, body);
	} else {
		reply(ssl, 404, "no such thing\n");
	}
}
