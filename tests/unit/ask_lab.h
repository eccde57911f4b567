/* Questions for a desk without HTTP: made by hand here, answered by the code under test. Stands in
 * for gate/ask, whose names it defines. */
#pragma once

#include <semaphore.h>

#include "gate/ask.h"

struct ask_lab {
	struct ask a;
	struct job job;
	const struct ask_desk *desk;
	sem_t done;
	int answers; /* must end at one */
};

struct ask_question {
	enum ask_kind kind;
	const char *method, *target;
	const char *body;   /* NULL: none */
	const char *type;   /* of the body; NULL: JSON */
	const char *cookie; /* NULL: none */
	const char *peer;   /* NULL: "local" on the Unix socket, else 192.168.7.50 */
	/* Host, exporter and peer certificate are taken from it; NULL: host home.example.com. */
	const struct ask *like;
};

struct ask_lab *ask_lab_new(const struct ask_question *q);
void ask_lab_free(struct ask_lab *x);
/* At most 20 s. */
void ask_lab_wait(struct ask_lab *x);
int ask_lab_status(const struct ask_lab *x);
const char *ask_lab_text(struct ask_lab *x);
