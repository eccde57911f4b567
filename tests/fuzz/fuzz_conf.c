/* Any bytes as gateway.yaml: either a configuration, or at least one mistake that names the file.
 * What loads must keep its own promises. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct conf *c)
{
	assert(*c->domain && c->public_port && c->listen.port);
	assert(c->addresses_auto == (c->addresses.n == 0));
	for (unsigned i = 0; i < c->n_devices; i++) {
		const struct conf_device *d = &c->devices[i];
		assert(*d->name && *d->host && d->port);
		assert(d->tls == (d->has_pin || *d->ca_file));
		assert(conf_device_find(c, d->name) == d);
	}
	for (unsigned i = 0; i < c->dns.n_settings; i++)
		assert(!strpbrk(c->dns.settings[i].value, "\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf_errors errors;
	struct conf *c;
	if (conf_parse(&c, "f", data, size, &errors) == 0) {
		assert(errors.n == 0);
		check(c);
	} else {
		assert(!c && errors.n > 0);
		for (unsigned i = 0; i < errors.n; i++)
			assert(!strncmp(errors.text[i], "f:", 2));
	}
	conf_unref(c);
	return 0;
}
