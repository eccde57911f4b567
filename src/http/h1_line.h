/* Inside http/: what heads and trailer sections have in common. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "http/msg.h"

/* Add one field line (without CRLF) to `m`. 0, -EINVAL when it is not one, -ENOBUFS when the
 * fields grow too large. */
int h1_add_field(struct msg *m, const char *line, size_t n);
