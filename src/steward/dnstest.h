/* DNS_TEST: sets a TXT record at _lanthorn-test.DOMAIN, waits until every name server answers it,
 * takes it out again, and says how that went. */
#pragma once

#include <stdint.h>

#include "steward/publish.h"

struct dnstest;
struct proof_tools;

/* One at a time: -EBUSY while another runs. The report is a STATE about `id`. */
int dnstest_start(
	struct dnstest **t, struct proof_tools *tools, uint64_t id, report_fn report, void *ctx);
/* NULL is accepted. */
void dnstest_free(struct dnstest *t);
