/* Under an agent's link in tests: TLS is replaced by plain reads and writes on a socket, the clock by
 * a number. */
#pragma once

#include <stdint.h>

struct loop;
struct tls;

/* What clock_mono_ms() says. */
extern uint64_t plain_now_ms;

/* A connection over `fd`, which stays the caller's; freed by tls_free(). Reading ahead it gives no more
 * than 4 KiB at a time, as if they were its records. */
struct tls *plain_tls(int fd);
/* As the clock stands still, poll() must never wait: something is always due, until the end. One loop
 * at a time. */
void plain_stay_awake(struct loop *l);
void plain_stay_awake_end(void);
