/* See choose.h. RFC 6066 §3 (unrecognized_name), RFC 7301 (ALPN). */
#include "worker/choose.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "gate/snapshot.h"

#define ALERT_UNRECOGNIZED_NAME 112
#define ALERT_NO_APPLICATION_PROTOCOL 120

int choose_alpn_has(const uint8_t *list, size_t n, const char *name)
{
	size_t want = strlen(name);
	for (size_t at = 0; at < n;) {
		size_t len = list[at++];
		if (len > n - at)
			return 0;
		if (len == want && memcmp(list + at, name, len) == 0)
			return 1;
		at += len;
	}
	return 0;
}

int choose_device_of(char *out, const char *sni)
{
	size_t n = strcspn(sni, ".");
	if (n == 0 || n > 63 || strcmp(sni + n, "." LINK_DOMAIN) != 0)
		return -EINVAL;
	memcpy(out, sni, n);
	out[n] = 0;
	return name_is_label(out) ? 0 : -EINVAL;
}

/* The version of reversed HTTP; NULL: none is offered. */
static const char *link_alpn(const struct tls_hello *h)
{
	if (choose_alpn_has(h->alpn, h->alpn_len, TLS_ALPN_RHTTP2))
		return TLS_ALPN_RHTTP2;
	return choose_alpn_has(h->alpn, h->alpn_len, TLS_ALPN_RHTTP1) ? TLS_ALPN_RHTTP1 : NULL;
}

static int choose_private(const struct snapshot *s, const struct tls_hello *h,
	struct tls_choice *out)
{
	char device[64];
	if (choose_device_of(device, h->sni) < 0)
		return ALERT_UNRECOGNIZED_NAME;
	bool enrol = strcmp(h->sni, ENROL_HOST) == 0;
	const char *link = enrol ? NULL : link_alpn(h);
	if (!link && !choose_alpn_has(h->alpn, h->alpn_len, "http/1.1"))
		return ALERT_NO_APPLICATION_PROTOCOL;
	out->role = enrol ? ROLE_ENROL : link ? ROLE_LINK : ROLE_AGENT;
	out->cert = enrol ? snapshot_enrol_cert(s) : snapshot_link_cert(s);
	out->alpn = link ? link : "http/1.1";
	out->require_client_cert = !enrol;
	out->ignore_dates = snapshot_dates_unknown(s);
	return out->cert ? 0 : ALERT_UNRECOGNIZED_NAME;
}

static int choose_public(const struct snapshot *s, const struct tls_hello *h,
	struct tls_choice *out)
{
	out->role = ROLE_BROWSER;
	out->cert = snapshot_cert(s, h->sni);
	if (!out->cert)
		return ALERT_UNRECOGNIZED_NAME;
	if (h->alpn_len && choose_alpn_has(h->alpn, h->alpn_len, "h2"))
		out->alpn = "h2";
	else if (h->alpn_len && !choose_alpn_has(h->alpn, h->alpn_len, "http/1.1"))
		return ALERT_NO_APPLICATION_PROTOCOL;
	else
		out->alpn = h->alpn_len ? "http/1.1" : NULL;
	return 0;
}

int choose(void *ctx, const struct tls_hello *hello, struct tls_choice *out)
{
	struct snapshot *s = snapshot_slot_get(ctx);
	if (!s)
		return ALERT_UNRECOGNIZED_NAME;
	int alert = str_ends(hello->sni, "." LINK_DOMAIN) ? choose_private(s, hello, out)
							  : choose_public(s, hello, out);
	out->cert = alert == 0 ? tls_cert_ref(out->cert) : NULL;
	snapshot_unref(s);
	return alert;
}

const char *choose_link_fault(
	const struct snapshot *snap, const struct tls_info *t, int64_t now, char *device)
{
	if (!t->peer)
		return "no device certificate";
	if (choose_device_of(device, t->sni) < 0)
		return "not a device name";
	const char *owner = snap ? snapshot_device_of_serial(snap, t->peer->serial) : NULL;
	if (!owner)
		return "the certificate belongs to no live device";
	if (strcmp(owner, device) != 0)
		return "the certificate belongs to another device";
	if (t->peer->not_after <= now && !snapshot_dates_unknown(snap))
		return "the device certificate has expired";
	return NULL;
}
