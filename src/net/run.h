/* Child processes: cleared environment, own process group, a deadline for the whole group, bounded
 * capture of what they print. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct run;

#define RUN_FILE_MAX (64u << 20) /* bytes that a child may write to one file */
#define RUN_FILES_MAX 256	 /* descriptors that it may open */
#define RUN_OUTPUT_MAX 65536u /* of each output; the rest is read and dropped */

struct run_result {
	int exit_code;	  /* -1 when killed by a signal */
	int signal;	  /* 0 when it exited */
	int timed_out;	  /* the deadline killed it */
	const char *out;  /* stdout, NUL-terminated, ≤ RUN_OUTPUT_MAX */
	const char *errs; /* stderr, likewise */
	size_t out_len, errs_len;
};

/* `result` is lent. Comes exactly once, also after run_kill(), after which `r` is gone. */
typedef void (*run_done_fn)(void *ctx, const struct run_result *result);

struct run_opts {
	const char *const *argv; /* argv[0] is the path; NULL-terminated */
	const char *const *env;	 /* "K=V", NULL-terminated; NULL: PATH and LANG=C only */
	const char *dir;	 /* working folder; NULL: / */
	const void *input;	 /* written to stdin, then closed; copied */
	size_t input_len;
	uint64_t deadline_ms;
	bool keep_end; /* of a flood of output keep the last half at least, not the beginning */
};

/* Start. The group gets SIGTERM at the deadline and SIGKILL 2 s later; when the leader exits, what is
 * left of the group is killed. Descriptors other than 0–2 are closed in the child, which dumps no
 * core, has the limits above, and dies with the thread that started it. */
int run_start(struct run **out, struct loop *loop, const struct run_opts *o, run_done_fn fn,
	void *ctx, struct err *e);
/* End it now (SIGKILL to the group). Idempotent until `fn` came. */
void run_kill(struct run *r);
int run_pid(const struct run *r);
