/* The OpenAPI document without a gateway, for those who build something on it. */
#pragma once

#include <stdio.h>

/* Print it. 0, or -1 when that failed. */
int api_print_document(FILE *f);
