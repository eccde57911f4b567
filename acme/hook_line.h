/* What lanthorn-hook and the steward say to each other on the hook socket: one line there, one
 * back.
 *
 *   hook → steward   ORDER METHOD TYPE IDENT TOKEN AUTH \n   (single spaces, printable ASCII)
 *   steward → hook   ok \n   or   no \n */
#pragma once

#include <stdint.h>

#define HOOK_LINE_MAX 1024
#define HOOK_LINE_ENV_SOCKET "LANTHORN_HOOK"
#define HOOK_LINE_ENV_ORDER "LANTHORN_ORDER"
#define HOOK_LINE_ENV_WAIT "LANTHORN_HOOK_WAIT" /* seconds that `begin` may take */
