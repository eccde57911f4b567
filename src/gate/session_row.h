/* One browser session as the control thread tells it to the loops: what gate/session keeps in its
 * tables, in a header of its own so that it can stand beside store/sessions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SESSION_COOKIE "__Host-lanthorn"
#define SESSION_STATE_COOKIE "__Host-ls"
/* Scripts send the same kind of secret in a field of its own; it never reaches a device. */
#define SESSION_TOKEN_FIELD "lanthorn-token"

struct session_row {
	uint8_t hash[32]; /* SHA-256 of the cookie's text */
	char host[254];	  /* valid on this host alone */
	char user[33];
	int64_t user_id;
	bool is_admin;
	int64_t created_at, expires_at; /* Unix seconds */
};
