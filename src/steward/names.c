/* See names.h. */
#include "steward/names.h"

#include <string.h>

#include "base/str.h"

bool names_allowed(const char *domain, const char *name, bool wildcard)
{
	char label[64];
	const char *dot = strchr(name, '.');
	if (!strcmp(name, domain))
		return name_is_host(name);
	if (!dot || strcmp(dot + 1, domain) != 0 || (size_t)(dot - name) >= sizeof(label))
		return false;
	memcpy(label, name, (size_t)(dot - name));
	label[dot - name] = 0;
	if (!strcmp(label, "*"))
		return wildcard;
	return name_is_label(label) && name_is_host(name);
}
