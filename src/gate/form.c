/* See form.h (URL standard, §5.1). */
#include "gate/form.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "base/xalloc.h"

static int decode(char **out, const char *p, size_t n)
{
	char *s = xcalloc(1, n + 1);
	size_t o = 0;
	*out = s;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		if (c == '%') {
			char hex[3] = {0};
			if (n - i < 3)
				return -EINVAL;
			memcpy(hex, p + i + 1, 2);
			if (hex_decode(&c, 1, hex) < 0)
				return -EINVAL;
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if (c < 0x20 || c == 0x7f)
			return -EINVAL;
		s[o++] = (char)c;
	}
	return 0;
}

static int add_field(struct form *f, const char *p, size_t n)
{
	if (f->n == FORM_FIELDS_MAX)
		return -E2BIG;
	const char *eq = memchr(p, '=', n);
	size_t name_len = eq ? (size_t)(eq - p) : n;
	unsigned i = f->n++;
	int rc = decode(&f->names[i], p, name_len);
	int rc2 = eq ? decode(&f->values[i], eq + 1, n - name_len - 1) : decode(&f->values[i], "", 0);
	return rc < 0 ? rc : rc2;
}

int form_parse(struct form *f, const char *p, size_t n)
{
	memset(f, 0, sizeof(*f));
	while (n) {
		const char *amp = memchr(p, '&', n);
		size_t len = amp ? (size_t)(amp - p) : n;
		int rc = len ? add_field(f, p, len) : 0;
		if (rc < 0) {
			form_done(f);
			return rc;
		}
		p += amp ? len + 1 : len;
		n -= amp ? len + 1 : len;
	}
	return 0;
}

int form_parse_query(struct form *f, const char *target)
{
	const char *q = strchr(target, '?');
	return form_parse(f, q ? q + 1 : "", q ? strlen(q + 1) : 0);
}

const char *form_get(const struct form *f, const char *name)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (strcmp(f->names[i], name) == 0)
			return f->values[i];
	}
	return "";
}

void form_done(struct form *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		free_secret_str(f->names[i]);
		free_secret_str(f->values[i]);
	}
	memset(f, 0, sizeof(*f));
}
