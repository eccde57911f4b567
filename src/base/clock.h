/* The two clocks. Pure modules take times as arguments instead of calling these. */
#pragma once

#include <stdint.h>

/* Seconds since 1970, as the machine believes them; may jump. */
int64_t clock_unix(void);
/* Milliseconds on a clock that only goes forward. */
uint64_t clock_mono_ms(void);
