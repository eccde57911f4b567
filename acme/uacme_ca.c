/* For uacme before 1.7.6, which knows no UACME_CAINFO: a library that is loaded into it and does
 * what later ones do themselves, at the only place where it can be done without privileges. It
 * stays in that one process: what uacme starts must not inherit it. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>

typedef CURL *(*init_fn)(void);
typedef CURLcode (*setopt_fn)(CURL *, CURLoption, ...);

__attribute__((constructor)) static void stay_here(void)
{
	unsetenv("LD_PRELOAD");
}

CURL *curl_easy_init(void)
{
	init_fn init = (init_fn)dlsym(RTLD_NEXT, "curl_easy_init");
	setopt_fn setopt = (setopt_fn)dlsym(RTLD_NEXT, "curl_easy_setopt");
	const char *file = getenv("UACME_CAINFO");
	CURL *c = init ? init() : NULL;
	if (c && setopt && file)
		setopt(c, CURLOPT_CAINFO, file);
	return c;
}
