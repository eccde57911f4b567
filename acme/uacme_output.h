/* What uacme's stderr means: whose fault it is, one sentence for people, and when the CA wants to
 * be asked again. Pure. Knows the words of uacme 1.7 and 1.8; words it does not know still give a
 * sentence. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/procmsg.h"

struct uacme_verdict {
	enum state_class class; /* STATE_FAIL_… */
	char text[PROCMSG_TEXT_MAX];
	int64_t retry_after_s; /* 0: nothing said */
	bool no_account;       /* the CA does not know this account key: make an account */
	bool has_account;      /* "new" found that it exists already */
	bool declined;         /* our hook refused; the steward knows why */
};

/* `errs`: the whole of stderr after a run that failed. `now`: Unix seconds. */
void uacme_classify(struct uacme_verdict *v, const char *errs, int64_t now);
