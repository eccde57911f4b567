/* See h2_priority.h. Of the dictionary (RFC 8941 §3.2) only the members "u" and "i" are read. */
#include "http/h2_priority.h"

#include <string.h>

#include "http/msg.h"

/* The end of a member: the comma after it, or the end; one inside a string is none. */
static const char *member_end(const char *p)
{
	bool quoted = false;
	for (; *p && (quoted || *p != ','); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\' && p[1])
			p++;
	}
	return p;
}

/* Without its parameters and the white space around it. */
static void merge_member(struct h2_priority *p, const char *at, const char *end)
{
	size_t n = (size_t)(end - at);
	const char *params = memchr(at, ';', n);
	if (params)
		n = (size_t)(params - at);
	while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
		n--;
	if (n == 3 && at[0] == 'u' && at[1] == '=' && at[2] >= '0' && at[2] <= '7')
		p->urgency = at[2] - '0';
	else if (n == 1 && at[0] == 'i')
		p->incremental = true;
	else if (n == 4 && !memcmp(at, "i=?", 3) && (at[3] == '0' || at[3] == '1'))
		p->incremental = at[3] == '1';
}

void h2_priority_merge(struct h2_priority *p, const char *value)
{
	for (;;) {
		value += strspn(value, " \t,");
		if (!*value)
			return;
		const char *end = member_end(value);
		merge_member(p, value, end);
		value = end;
	}
}

bool h2_priority_of(struct h2_priority *p, const struct msg *req, const struct msg *resp)
{
	const char *said = msg_get(resp, "priority"), *asked = msg_get(req, "priority");
	if (!said)
		return false;
	*p = (struct h2_priority){.urgency = 3};
	if (asked)
		h2_priority_merge(p, asked);
	h2_priority_merge(p, said);
	return true;
}
