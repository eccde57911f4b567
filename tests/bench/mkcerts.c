/* Makes certificates for the benchmark: mkcerts DIR ID=NAME[,NAME]…, or with "-" instead of pairs,
 * one pair a line on standard input. DIR/ID.pem has a P-256 key of its own, a leaf and the
 * intermediate that signed it, as the gateway keeps them; DIR/ca.pem has the root and its key is
 * thrown away. */
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VALID_S (80L * 86400)

struct issuer {
	X509 *cert;
	EVP_PKEY *key;
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "mkcerts: %s\n", what);
	exit(70);
}

static void extend(X509 *c, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, c, NULL, NULL, 0);
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	need(x && X509_add_ext(c, x, -1), value);
	X509_EXTENSION_free(x);
}

/* Unsigned; begins an hour ago. */
static X509 *blank(const char *cn, EVP_PKEY *key, X509 *issuer)
{
	X509 *c = X509_new();
	uint8_t serial[16];
	need(c && RAND_bytes(serial, sizeof(serial)) == 1, "memory");
	serial[0] = (serial[0] & 0x7f) | 0x40;
	BIGNUM *bn = BN_bin2bn(serial, sizeof(serial), NULL);
	BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(c));
	BN_free(bn);
	X509_set_version(c, 2);
	X509_NAME_add_entry_by_txt(
		X509_get_subject_name(c), "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0);
	X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer : c));
	X509_gmtime_adj(X509_getm_notBefore(c), -3600);
	X509_gmtime_adj(X509_getm_notAfter(c), VALID_S);
	need(X509_set_pubkey(c, key) == 1, "key");
	return c;
}

static struct issuer authority(const char *cn, const struct issuer *by)
{
	struct issuer a = {.key = EVP_EC_gen("P-256")};
	need(a.key != NULL, "key");
	a.cert = blank(cn, a.key, by ? by->cert : NULL);
	X509 *issuer = by ? by->cert : a.cert;
	extend(a.cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
	extend(a.cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
	extend(a.cert, issuer, NID_subject_key_identifier, "hash");
	need(X509_sign(a.cert, by ? by->key : a.key, EVP_sha256()) > 0, "signature");
	return a;
}

static X509 *leaf(const char *names, EVP_PKEY *key, const struct issuer *by)
{
	char san[600] = "", cn[64] = "", copy[512];
	snprintf(copy, sizeof(copy), "%s", names);
	for (char *save, *n = strtok_r(copy, ",", &save); n; n = strtok_r(NULL, ",", &save)) {
		size_t at = strlen(san);
		snprintf(san + at, sizeof(san) - at, "%sDNS:%s", at ? "," : "", n);
		if (!at)
			snprintf(cn, sizeof(cn), "%.63s", n);
	}
	X509 *c = blank(cn, key, by->cert);
	extend(c, by->cert, NID_key_usage, "critical,digitalSignature");
	extend(c, by->cert, NID_ext_key_usage, "serverAuth,clientAuth");
	extend(c, by->cert, NID_basic_constraints, "critical,CA:FALSE");
	extend(c, by->cert, NID_subject_key_identifier, "hash");
	extend(c, by->cert, NID_authority_key_identifier, "keyid");
	extend(c, by->cert, NID_subject_alt_name, san);
	need(X509_sign(c, by->key, EVP_sha256()) > 0, "signature");
	return c;
}

static FILE *create(const char *dir, const char *id)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s.pem", dir, id);
	FILE *f = fopen(path, "w");
	need(f != NULL, path);
	return f;
}

static void make(const char *dir, char *pair, const struct issuer *by)
{
	char *names = strchr(pair, '=');
	need(names != NULL, "ID=NAME expected");
	*names++ = 0;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	need(key != NULL, "key");
	X509 *c = leaf(names, key, by);
	FILE *f = create(dir, pair);
	need(PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
			fputc('\n', f) != EOF && PEM_write_X509(f, c) == 1 &&
			PEM_write_X509(f, by->cert) == 1,
		"write");
	need(fclose(f) == 0, "write");
	X509_free(c);
	EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
	char line[700];
	need(argc > 2, "usage: mkcerts DIR ID=NAME[,NAME]…|-");
	umask(077);
	struct issuer root = authority("Benchmark Root", NULL);
	struct issuer middle = authority("Benchmark E1", &root);
	FILE *f = create(argv[1], "ca");
	need(PEM_write_X509(f, root.cert) == 1 && fclose(f) == 0, "write");
	if (strcmp(argv[2], "-") == 0) {
		while (fgets(line, sizeof(line), stdin)) {
			line[strcspn(line, "\n")] = 0;
			make(argv[1], line, &middle);
		}
	} else {
		for (int i = 2; i < argc; i++)
			make(argv[1], argv[i], &middle);
	}
	X509_free(middle.cert);
	EVP_PKEY_free(middle.key);
	X509_free(root.cert);
	EVP_PKEY_free(root.key);
	return 0;
}
