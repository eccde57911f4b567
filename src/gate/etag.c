/* See etag.h. Small devices forget the quotes, and compare as text: what they said comes back. */
#include "gate/etag.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "http/msg.h"

#define MARK_LEN (sizeof(ETAG_MARK) - 1)

void etag_mark(struct msg *resp)
{
	const char *tag = msg_get(resp, "etag");
	if (!tag || !*tag || str_starts(tag, "W/"))
		return;
	size_t n = strlen(tag);
	bool quoted = n > 1 && tag[n - 1] == '"';
	struct buf weak = BUF_INIT(65536);
	if (buf_printf(&weak, "W/%.*s" ETAG_MARK "%s", (int)(n - quoted), tag, quoted ? "\"" : "") < 0 ||
		msg_set(resp, "etag", buf_str(&weak)) < 0)
		msg_remove(resp, "etag"); /* rather none than a strong one */
	buf_done(&weak);
}

/* The length of the tag that begins at `p`. */
static size_t tag_len(const char *p, const char *end)
{
	const char *at = p;
	if (end - at > 2 && at[0] == 'W' && at[1] == '/')
		at += 2;
	if (*at == '"') {
		const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
		return close ? (size_t)(close + 1 - p) : (size_t)(end - p);
	}
	while (at < end && *at != ',' && *at != ' ' && *at != '\t')
		at++;
	return (size_t)(at - p);
}

bool etag_is_marked(const char *tag, size_t n)
{
	bool quoted = n && tag[n - 1] == '"';
	n -= quoted;
	return n > 2 + MARK_LEN && tag[0] == 'W' && tag[1] == '/' && (tag[2] == '"') == quoted &&
	       memcmp(tag + n - MARK_LEN, ETAG_MARK, MARK_LEN) == 0;
}

bool etag_unmark(char *list, size_t *n)
{
	char *out = list;
	const char *p = list, *end = list + *n;
	bool found = false;
	while (p < end) {
		size_t len = tag_len(p, end);
		if (!len) {
			*out++ = *p++;
			continue;
		}
		bool marked = etag_is_marked(p, len), quoted = p[len - 1] == '"';
		size_t kept = marked ? len - 2 - MARK_LEN - quoted : len;
		memmove(out, marked ? p + 2 : p, kept);
		out += kept;
		if (marked && quoted)
			*out++ = '"';
		p += len;
		found |= marked;
	}
	*n = (size_t)(out - list);
	return found;
}
