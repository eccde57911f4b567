/* See dnstest.h. Its ledger row belongs to an order id that no gate ever uses. */
#include "steward/dnstest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/crypto.h"
#include "steward/proof.h"
#include "steward/removal.h"
#include "store/conf.h"

#define AREA "steward/dnstest"
#define TEST_ORDER ((uint64_t)INT64_MAX)

struct dnstest {
	struct dnstest **slot;
	struct proof_tools *tools;
	uint64_t id;
	struct proof *proof;
	report_fn report;
	void *ctx;
};

static void on_proof(void *ctx, int rc, const char *text)
{
	struct dnstest *t = ctx;
	struct procmsg m = {.type = PROCMSG_STATE, .id = t->id, .class = STATE_TESTED};
	t->proof = NULL;
	*t->slot = NULL;
	snprintf(m.text, sizeof(m.text), "%s",
		rc ? text
		   : "a test record was set, seen everywhere and "
		     "removed again");
	if (rc < 0)
		m.class = rc == -ENETUNREACH ? STATE_FAIL_NET : STATE_FAIL_DNS;
	else
		removals_add_order(t->tools->removals, TEST_ORDER, NULL);
	log_info(AREA, rc ? "test failed" : "test passed", "why", rc ? text : NULL);
	t->report(t->ctx, &m);
	free(t);
}

int dnstest_start(
	struct dnstest **out, struct proof_tools *tools, uint64_t id, report_fn report, void *ctx)
{
	char name[300], value[BASE64_LEN(16)];
	if (*out)
		return -EBUSY;
	struct dnstest *t = xcalloc(1, sizeof(*t));
	t->slot = out;
	t->tools = tools;
	t->id = id;
	t->report = report;
	t->ctx = ctx;
	snprintf(name, sizeof(name), "_lanthorn-test.%s", tools->conf->domain);
	random_token(value, 16);
	t->proof = proof_start(tools, name, value, TEST_ORDER, on_proof, t);
	*out = t;
	return 0;
}

void dnstest_free(struct dnstest *t)
{
	if (!t)
		return;
	proof_cancel(t->proof);
	free(t);
}
