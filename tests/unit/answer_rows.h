/* Hostile answers of a device to the first of two requests, and what the browser gets for both. The
 * second is answered well by another connection: nothing of a hostile answer may be taken for it.
 * What must not reach the browser says EVIL. */
#pragma once

#include <stddef.h>

struct answer_row {
	const char *method; /* of the first request */
	const char *in;
	size_t n;
	const char *statuses; /* "cut": the browser's connection ended inside an answer */
};

#define ANSWER(method, in, statuses)                                                               \
	{                                                                                          \
		method, in, sizeof(in) - 1, statuses                                               \
	}
#define OK "HTTP/1.1 200 OK\r\n"
#define EVIL "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
#define HEAD(fields) OK fields "\r\n\r\nEVIL"
#define CROSSES(in) ANSWER("GET", in, "200 200")
#define REFUSED_ANSWER(in) ANSWER("GET", in, "502 200")
#define CUT(in) ANSWER("GET", in, "cut")

static const struct answer_row answer_rows[] = {
	/* good ones, and bytes behind them */
	CROSSES(OK "Content-Length: 2\r\n\r\nok"),
	CROSSES(OK "Content-Length: 2\r\n\r\nok" EVIL),
	CROSSES(OK "Content-Length: 2\r\n\r\nok\r\n" EVIL),
	CROSSES(OK "Content-Length: 0\r\n\r\nEVIL"),
	CROSSES(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" EVIL),
	CROSSES(OK "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n"
		   "Clear-Site-Data: EVIL\r\nAlt-Svc: EVIL\r\n\r\n"),
	CROSSES(OK "Content-Length: 2\r\nConnection: close\r\n\r\nok" EVIL),
	CROSSES("HTTP/1.1 103 Early Hints\r\nX: EVIL\r\n\r\n" OK "Content-Length: 2\r\n\r\nok"),
	CROSSES("HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nok" EVIL),
	/* without a body by nature */
	ANSWER("HEAD", OK "Content-Length: 4\r\n\r\nEVIL", "200 200"),
	ANSWER("HEAD", OK "Transfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n", "200 200"),
	ANSWER("HEAD", OK "\r\nEVIL", "200 200"),
	ANSWER("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nEVIL", "204 200"),
	ANSWER("GET", "HTTP/1.1 204 No Content\r\n\r\n" EVIL, "204 200"),
	ANSWER("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nEVIL", "304 200"),
	ANSWER("GET", "HTTP/1.1 304 Not Modified\r\n\r\n" EVIL, "304 200"),
	REFUSED_ANSWER("HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nEVIL" EVIL),
	/* switching unasked */
	REFUSED_ANSWER("HTTP/1.1 101 Switching Protocols\r\n\r\nEVIL"),
	REFUSED_ANSWER("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
		       "Upgrade: websocket\r\n\r\n" EVIL),
	REFUSED_ANSWER("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nEVIL"),
	/* framing */
	REFUSED_ANSWER(HEAD("Content-Length: 2\r\nContent-Length: 4")),
	REFUSED_ANSWER(HEAD("Content-Length: 2, 4")),
	REFUSED_ANSWER(HEAD("Content-Length: +4")),
	REFUSED_ANSWER(HEAD("Content-Length: -4")),
	REFUSED_ANSWER(HEAD("Content-Length: 0x4")),
	REFUSED_ANSWER(HEAD("Content-Length: 4x")),
	REFUSED_ANSWER(HEAD("Content-Length:")),
	REFUSED_ANSWER(HEAD("Content-Length: 18446744073709551620")),
	REFUSED_ANSWER(HEAD("Content-Length : 4")),
	REFUSED_ANSWER(HEAD("Content-Length: 4\r\nTransfer-Encoding: chunked")),
	REFUSED_ANSWER(HEAD("Transfer-Encoding: chunked\r\nContent-Length: 4")),
	REFUSED_ANSWER(HEAD("Transfer-Encoding: chunked, chunked")),
	REFUSED_ANSWER(HEAD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
	REFUSED_ANSWER(HEAD("Transfer-Encoding: gzip, chunked")),
	REFUSED_ANSWER(HEAD("Transfer-Encoding: xchunked")),
	REFUSED_ANSWER(HEAD("Transfer-Encoding:")),
	REFUSED_ANSWER(
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\nEVIL"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\n+4\r\nEVIL\r\n0\r\n\r\n"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nEVIL\r\n0\r\n\r\n"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nokx\r\n0\r\n\r\n"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX : EVIL\r\n\r\n"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: EVIL\r\n\r\n"),
	CUT(OK "Content-Length: 9\r\n\r\nok"),
	CUT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
	/* lines */
	REFUSED_ANSWER("HTTP/1.1 200 OK\nContent-Length: 4\n\nEVIL"),
	REFUSED_ANSWER(OK "X: y\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER(OK "X: y\rContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER(OK "X: y\r\n Content-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER(OK "X: \0y\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER(OK "X Y: z\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER(OK ": z\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER(OK "EVIL\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER("HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER("HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER("HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER("HTTP/1.1 600 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER("HTTP/1.1  200 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
	REFUSED_ANSWER("ICY 200 OK\r\n\r\nEVIL"),
	REFUSED_ANSWER("GET /EVIL HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED_ANSWER("EVIL\r\n\r\n"),
	/* nothing: tried once more */
	CROSSES(""),
};
