/* What lanthornctl prints for people: aligned, calm, and never a control character from elsewhere. */
#pragma once

#include <jansson.h>

void show_status(const json_t *status);
void show_devices(const json_t *body);
void show_certs(const json_t *body);
void show_users(const json_t *body);
void show_pairing(const json_t *device);
void show_logs(const json_t *body);
/* An API error, on stderr: the sentence and what to do. */
void show_error(int status, const json_t *body);
