/* See identity.h. */
#include "device-agent/identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "device-agent/conf.h"
#include "device-agent/tls.h"

void identity_init(struct identity *id)
{
	memset(id, 0, sizeof(*id));
	buf_init(&id->cert, TLS_CERT_MAX);
	buf_init(&id->ca, TLS_CERT_MAX);
}

void identity_done(struct identity *id)
{
	buf_done(&id->cert);
	buf_done(&id->ca);
	identity_init(id);
}

void identity_move(struct identity *id, struct identity *from)
{
	identity_done(id);
	*id = *from;
	identity_init(from);
}

static int set_der(struct buf *der, const char *value)
{
	size_t n = TLS_CERT_MAX;
	der->len = 0;
	int rc = buf_reserve(der, n);
	if (rc == 0)
		rc = base64_decode(der->data, &n, value, strlen(value));
	der->len = rc == 0 ? n : 0;
	return rc == 0 && n == 0 ? -EINVAL : rc;
}

static int set_name(struct identity *id, const char *value)
{
	if (!name_is_host(value) || !str_ends(value, LINK_SUFFIX))
		return -EINVAL;
	size_t n = strcspn(value, ".");
	return strcmp(value + n, LINK_SUFFIX) == 0 ? str_copy(id->name, sizeof(id->name), value)
						   : -EINVAL;
}

static int set_addr(struct identity *id, const char *value)
{
	uint8_t raw[16];
	if (inet_pton(AF_INET, value, raw) != 1 && inet_pton(AF_INET6, value, raw) != 1)
		return -EINVAL;
	if (id->n_addrs == IDENTITY_ADDRS_MAX)
		return 0; /* the first ones are the best ones */
	return str_copy(id->addrs[id->n_addrs++], 46, value);
}

static int set_port(struct identity *id, const char *value)
{
	uint64_t port;
	int rc = str_to_u64(value, 65535, &port);
	id->port = (uint16_t)port;
	return rc == 0 && port == 0 ? -EINVAL : rc;
}

static int set_time(struct identity *id, const char *value)
{
	uint64_t t;
	int rc = str_to_u64(value, INT64_MAX, &t);
	id->time = (int64_t)t;
	return rc;
}

static int set_pair(struct identity *id, const char *key, const char *value)
{
	if (strcmp(key, "cert") == 0)
		return set_der(&id->cert, value);
	if (strcmp(key, "ca") == 0)
		return set_der(&id->ca, value);
	if (strcmp(key, "name") == 0)
		return set_name(id, value);
	if (strcmp(key, "port") == 0)
		return set_port(id, value);
	if (strcmp(key, "addr") == 0)
		return set_addr(id, value);
	if (strcmp(key, "dns") == 0)
		return name_is_host(value) ? str_copy(id->dns_name, sizeof(id->dns_name), value)
					   : -EINVAL;
	if (strcmp(key, "time") == 0)
		return set_time(id, value);
	return 0;
}

static int parse_line(struct identity *id, const char *line, size_t n, struct err *e)
{
	char key[32], value[BASE64_LEN(TLS_CERT_MAX)];
	size_t k = 0;
	while (k < n && line[k] != ' ')
		k++;
	if (n && line[n - 1] == '\r')
		n--;
	if (n == 0)
		return 0;
	if (k == 0 || k >= n || k >= sizeof(key) || n - k - 1 >= sizeof(value))
		return err_set(e, -EINVAL, "a line is not of the form \"key value\"");
	memcpy(key, line, k);
	key[k] = 0;
	memcpy(value, line + k + 1, n - k - 1);
	value[n - k - 1] = 0;
	if (set_pair(id, key, value) < 0)
		return err_set(e, -EINVAL, "the value of \"%s\" is damaged", key);
	return 0;
}

static int check_whole(const struct identity *id, struct err *e)
{
	const char *missing = NULL;
	if (!id->cert.len)
		missing = "cert";
	else if (!id->ca.len)
		missing = "ca";
	else if (!id->name[0])
		missing = "name";
	else if (!id->port)
		missing = "port";
	else if (!id->n_addrs && !id->dns_name[0])
		missing = "addr";
	return missing ? err_set(e, -EINVAL, "\"%s\" is missing", missing) : 0;
}

int identity_parse(struct identity *id, const char *text, struct err *e)
{
	int rc = 0;
	identity_done(id);
	while (rc == 0 && *text) {
		size_t n = strcspn(text, "\n");
		rc = parse_line(id, text, n, e);
		text += n + (text[n] == '\n');
	}
	if (rc == 0)
		rc = check_whole(id, e);
	if (rc < 0)
		identity_done(id);
	return rc;
}

static int print_der(struct buf *out, const char *key, const struct buf *der)
{
	char text[BASE64_LEN(TLS_CERT_MAX)];
	base64_encode(text, der->data, der->len);
	return buf_printf(out, "%s %s\n", key, text);
}

int identity_print(const struct identity *id, struct buf *out)
{
	int rc = print_der(out, "cert", &id->cert);
	if (rc == 0)
		rc = print_der(out, "ca", &id->ca);
	if (rc == 0)
		rc = buf_printf(out, "name %s\nport %u\n", id->name, id->port);
	for (unsigned i = 0; rc == 0 && i < id->n_addrs; i++)
		rc = buf_printf(out, "addr %s\n", id->addrs[i]);
	if (rc == 0 && id->dns_name[0])
		rc = buf_printf(out, "dns %s\n", id->dns_name);
	return rc < 0 ? rc : buf_printf(out, "time %lld\n", (long long)id->time);
}

static int state_path(char out[CONF_PATH_MAX + 16], const char *state, const char *file)
{
	int n = snprintf(out, CONF_PATH_MAX + 16, "%s/%s", state, file);
	return n < CONF_PATH_MAX + 16 ? 0 : -ENAMETOOLONG;
}

int state_lock(const char *state, struct err *e)
{
	char path[CONF_PATH_MAX + 16];
	if (state_path(path, state, "lock") < 0)
		return err_sys(e, -ENAMETOOLONG, "%s", state);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		dir_sweep(state);
		return fd;
	}
	close(fd);
	return err_set(e, -EBUSY, "another lanthorn-agent runs on %s", state);
}

int identity_load(struct identity *id, const char *state, struct err *e)
{
	char path[CONF_PATH_MAX + 16];
	struct buf b = BUF_INIT(IDENTITY_TEXT_MAX);
	int rc = state_path(path, state, "identity");
	if (rc == 0)
		rc = file_read(path, &b, e);
	if (rc == 0 && b.len && memchr(b.data, 0, b.len))
		rc = err_set(e, -EINVAL, "not a text file");
	if (rc == 0)
		rc = identity_parse(id, buf_str(&b), e);
	if (rc < 0 && rc != -ENOENT)
		err_prefix(e, "%s", path);
	buf_done(&b);
	return rc;
}

int identity_store(const struct identity *id, const char *state, struct err *e)
{
	char path[CONF_PATH_MAX + 16];
	struct buf b = BUF_INIT(IDENTITY_TEXT_MAX);
	int rc = state_path(path, state, "identity");
	if (rc == 0)
		rc = identity_print(id, &b);
	if (rc < 0)
		err_sys(e, rc, "cannot write the identity");
	else
		rc = file_write_durable(path, b.data, b.len, 0644, e);
	buf_done(&b);
	return rc;
}

int key_load(struct buf *pem, const char *state, struct err *e)
{
	char path[CONF_PATH_MAX + 16];
	int rc = state_path(path, state, "key");
	return rc < 0 ? err_sys(e, rc, "%s", state) : file_read_secret(path, pem, e);
}

int key_store(const struct buf *pem, const char *state, struct err *e)
{
	char path[CONF_PATH_MAX + 16];
	int rc = state_path(path, state, "key");
	return rc < 0 ? err_sys(e, rc, "%s", state)
		      : file_write_durable(path, pem->data, pem->len, 0600, e);
}
