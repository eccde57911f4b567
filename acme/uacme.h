/* The driver that runs uacme in CSR mode as a child process. It bridges what uacme lacks: a
 * deadline for the whole process group, one run at a time per name (four in all), an account made
 * when there is none and again when the CA forgot it, a 0-byte account key repaired, words for
 * people. */
#pragma once

#include <stdint.h>

#include "acme/driver.h"
#include "base/err.h"

struct loop;

/* Strings are copied. */
struct uacme_opts {
	const char *program;   /* path or name of uacme */
	const char *directory; /* the CA's directory URL */
	const char *email;     /* "": none */
	const char *ca_file;   /* "": the system's */
	const char *state_dir; /* made when missing; accounts, requests and locks live here */
	const char *self;      /* path of the program that understands --exec-uacme */
	const char *hook;      /* path of lanthorn-hook */
	const char *socket;    /* the steward's hook socket */
	uint64_t hook_wait_s;  /* how long the hook may take to put one proof into DNS */
	uint64_t timeout_ms;   /* of one run */
};

int uacme_new(struct driver **out, struct loop *loop, const struct uacme_opts *o, struct err *e);
/* Use other settings from the next run on. */
int uacme_configure(struct driver *d, const struct uacme_opts *o, struct err *e);
