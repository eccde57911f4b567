/* Holds an answer of the API against the shape that its route promises; fails the test. */
#pragma once

#include <jansson.h>

void api_fits(const char *method, const char *target, int status, const json_t *answer);
