/* See ctl_http.h. */
#include "ctl_http.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/xalloc.h"

#define ANSWER_MAX (16u << 20)
#define TIMEOUT_S 30L
#define TELL_AFTER_MS 2000

struct patience {
	uint64_t begun_ms;
	bool told;
};

static size_t on_data(char *p, size_t size, size_t n, void *ctx)
{
	return buf_append(ctx, p, size * n) < 0 ? 0 : size * n;
}

static void set_body(CURL *h, char *text)
{
	curl_easy_setopt(h, CURLOPT_POSTFIELDS, text ? text : "");
	curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)(text ? strlen(text) : 0));
}

/* The parent holds the socket open while it waits to start the gate again, so that a call is taken
 * and nobody answers it yet. */
static int on_progress(void *ctx, curl_off_t d_all, curl_off_t d, curl_off_t u_all, curl_off_t u)
{
	struct patience *w = ctx;
	(void)d_all, (void)u_all, (void)u;
	if (w->told || d || clock_mono_ms() - w->begun_ms < TELL_AFTER_MS)
		return 0;
	w->told = true;
	fprintf(stderr,
		"lanthornctl: the gateway does not answer yet; waiting up to %ld seconds. It may be "
		"starting again after a fault: its log says why.\n",
		TIMEOUT_S);
	return 0;
}

static void explain(CURLcode rc, const char *socket)
{
	if (rc == CURLE_OPERATION_TIMEDOUT) {
		fprintf(stderr,
			"lanthornctl: the gateway has not answered within %ld seconds. "
			"Look into the log of lanthornd.\n",
			TIMEOUT_S);
		return;
	}
	fprintf(stderr, "lanthornctl: cannot reach the gateway at %s: %s\n", socket,
		curl_easy_strerror(rc));
	if (rc == CURLE_COULDNT_CONNECT)
		fputs("Is lanthornd running? Only its own user and root may talk to it; "
		      "--socket FILE names another socket.\n",
			stderr);
}

static int perform(CURL *h, const char *socket, struct ctl_answer *out)
{
	struct buf b = BUF_INIT(ANSWER_MAX);
	struct patience w = {.begun_ms = clock_mono_ms()};
	long status = 0;
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, &w);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, &b);
	CURLcode rc = curl_easy_perform(h);
	if (rc == CURLE_OK) {
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
		out->status = (int)status;
		out->body = b.len ? json_loadb((char *)b.data, b.len, 0, NULL) : NULL;
	} else {
		explain(rc, socket);
	}
	buf_done_secret(&b);
	return rc == CURLE_OK ? 0 : -1;
}

int ctl_http(const char *socket, const char *method, const char *path, const json_t *body,
	struct ctl_answer *out)
{
	memset(out, 0, sizeof(*out));
	CURL *h = curl_easy_init();
	if (!h)
		return -1;
	char *url = xasprintf("http://local/api/v1/%s", path);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct curl_slist *fields = curl_slist_append(NULL, "Content-Type: application/json");
	curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_PROXY, "");
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
	if (strcmp(method, "GET") != 0) {
		curl_easy_setopt(h, CURLOPT_HTTPHEADER, fields);
		set_body(h, text);
	}
	int rc = perform(h, socket, out);
	curl_slist_free_all(fields);
	free(text);
	free(url);
	curl_easy_cleanup(h);
	return rc;
}

char *ctl_http_escape(const char *text)
{
	char *s = curl_easy_escape(NULL, text, 0);
	char *copy = xstrdup(s ? s : "");
	curl_free(s);
	return copy;
}
