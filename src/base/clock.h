/* The two clocks. Pure modules take times as arguments instead of calling these. */
#pragma once

#include <stdint.h>

/* What was written down as of later than this from now was made under a wrong clock: a life that
 * begins there would be longer than meant. */
#define CLOCK_SKEW_S 600

/* Seconds since 1970, as the machine believes them; may jump. */
int64_t clock_unix(void);
/* Milliseconds on a clock that only goes forward. */
uint64_t clock_mono_ms(void);
