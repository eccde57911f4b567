/* A library that is loaded into uacme, and does there what nobody can from outside without
 * privileges: its memory, with the account's key, is not for debuggers, and versions before 1.7.6
 * learn what UACME_CAINFO means. It stays in that one process: what uacme starts does not inherit
 * it. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/prctl.h>

typedef CURL *(*init_fn)(void);
typedef CURLcode (*setopt_fn)(CURL *, CURLoption, ...);

__attribute__((constructor)) static void prepare(void)
{
	unsetenv("LD_PRELOAD");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
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
