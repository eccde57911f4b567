/* The verb enrol: from a token that a person carried here to a key, a certificate and an address
 * list in the state folder. See PROTOCOL.md, "Enrol". */
#pragma once

#include <stdbool.h>

#include "device-agent/conf.h"

/* Speaks to people on stdout and stderr. `token_file` NULL or "-": stdin. Exit code: 0; 1 refused
 * or of no use; 75 the gateway was not reached, trying again may help; 78 local trouble. */
int enroll_run(const struct conf *c, const char *token_file, bool again);
