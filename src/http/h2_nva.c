/* See h2_nva.h. */
#include "http/h2_nva.h"

#include <string.h>

#include "http/msg_build.h"

#define NAME(literal) {literal, sizeof(literal) - 1}

const struct h2_nva_name h2_nva_names[256] = {
	[1] = NAME("strict-transport-security"),
	[3] = NAME("allow"),
	[5] = NAME("link"),
	[11] = NAME("accept"),
	[15] = NAME("cache-control"),
	[22] = NAME("via"),
	[27] = NAME("pragma"),
	[30] = NAME("x-forwarded-host"),
	[34] = NAME("vary"),
	[36] = NAME("content-encoding"),
	[37] = NAME("if-modified-since"),
	[51] = NAME("lanthorn-user"),
	[57] = NAME("sec-fetch-user"),
	[58] = NAME("referer"),
	[60] = NAME("sec-ch-ua-platform"),
	[63] = NAME("access-control-allow-credentials"),
	[64] = NAME("last-modified"),
	[66] = NAME("access-control-allow-origin"),
	[71] = NAME("upgrade-insecure-requests"),
	[74] = NAME("access-control-allow-methods"),
	[81] = NAME("accept-language"),
	[90] = NAME("priority"),
	[104] = NAME("x-content-type-options"),
	[107] = NAME("authorization"),
	[109] = NAME("permissions-policy"),
	[113] = NAME("accept-ranges"),
	[115] = NAME("origin"),
	[118] = NAME("x-requested-with"),
	[139] = NAME("x-powered-by"),
	[140] = NAME("cross-origin-resource-policy"),
	[142] = NAME("content-security-policy"),
	[145] = NAME("location"),
	[146] = NAME("x-frame-options"),
	[149] = NAME("content-disposition"),
	[151] = NAME("accept-encoding"),
	[152] = NAME("cookie"),
	[160] = NAME("user-agent"),
	[163] = NAME("referrer-policy"),
	[164] = NAME("set-cookie"),
	[165] = NAME("age"),
	[170] = NAME("sec-fetch-mode"),
	[176] = NAME("content-type"),
	[177] = NAME("cross-origin-opener-policy"),
	[197] = NAME("sec-fetch-dest"),
	[198] = NAME("range"),
	[207] = NAME("content-range"),
	[213] = NAME("sec-ch-ua-mobile"),
	[222] = NAME("content-language"),
	[223] = NAME("x-forwarded-proto"),
	[230] = NAME("expires"),
	[234] = NAME("date"),
	[238] = NAME("etag"),
	[240] = NAME("forwarded"),
	[244] = NAME("sec-ch-ua"),
	[251] = NAME("server"),
	[255] = NAME("x-forwarded-for"),
};

unsigned h2_nva_place(uint16_t hash)
{
	return (uint16_t)(hash * 2563u) >> 8;
}

static const char *literal_of(const struct msg_piece *f)
{
	const struct h2_nva_name *k = &h2_nva_names[h2_nva_place(f->hash)];
	return k->n == f->name_len && memcmp(k->text, f->name, k->n) == 0 ? k->text : NULL;
}

static void put(struct h2_nva *v, const nghttp2_nv *f)
{
	if (v->n < H2_NVA_MAX)
		v->at[v->n++] = *f;
}

void h2_nva_put(struct h2_nva *v, const char *name, const char *value)
{
	put(v, &(nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		       .namelen = strlen(name),
		       .value = (uint8_t *)(uintptr_t)value,
		       .valuelen = strlen(value),
		       .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME});
}

void h2_nva_fields(struct h2_nva *v, const struct msg *m, const char *without)
{
	for (unsigned i = 0, n = msg_count(m); i < n; i++) {
		struct msg_piece f = msg_piece(m, i);
		if (msg_is_framing(&f) || (without && !strcmp(f.name, without)))
			continue;
		const char *known = literal_of(&f);
		put(v, &(nghttp2_nv){.name = (uint8_t *)(uintptr_t)(known ? known : f.name),
			       .namelen = f.name_len,
			       .value = (uint8_t *)(uintptr_t)f.value,
			       .valuelen = f.value_len,
			       .flags = known ? NGHTTP2_NV_FLAG_NO_COPY_NAME : 0});
	}
}
