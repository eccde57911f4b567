/* What every wire version of the server shares: limits and the date. */
#include "http/server.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

const struct http_limits http_limits_default = {
	.head_max = 32768,
	.url_max = 8192,
	.fields_max = 100,
	.head_ms = 10000,
	.keepalive_ms = 75000,
	.idle_ms = 60000,
};

const char *http_date(void)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static _Thread_local int64_t at = -1;
	static _Thread_local char text[64];
	int64_t now = clock_unix();
	if (now == at)
		return text;
	time_t t = now;
	struct tm tm;
	gmtime_r(&t, &tm);
	snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
		days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
		tm.tm_hour, tm.tm_min, tm.tm_sec);
	at = now;
	return text;
}
