/* What lanthornctl prints for people: aligned, calm, and never a control character from elsewhere. */
#pragma once

#include <jansson.h>

void show_status(const json_t *status);
void show_devices(const json_t *body);
void show_certs(const json_t *body);
void show_users(const json_t *body);
void show_pairing(const json_t *device);
void show_logs(const json_t *body);
/* The end of a DNS test. Returns the exit status: 0 passed, 1 failed. */
int show_dns_test(int status, const json_t *body, int as_json);
/* An API error, on stderr: the sentence and what to do. */
void show_error(int status, const json_t *body);
