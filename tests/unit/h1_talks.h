/* Conversations with the server of test_h1_server.c: what goes in, what must come out (Date apart),
 * and what the handler must have been told. */
#pragma once

#include <stddef.h>

#define OPEN 1u     /* the server leaves the connection open: the peer closes after `out` */
#define FIN 2u      /* the peer half-closes when all is sent */
#define NO_BYTES 4u /* not one byte at a time */
#define CUT 8u      /* the end may be a reset */
#define BYTES_ONLY 16u
#define NOTHING 32u /* whatever was sent, it is no whole answer */
#define RAW_NUL 64u /* `out` holds a NUL */

struct talk {
	const char *in, *out, *log;
	unsigned flags;
	size_t n;
};
#define T(in, out, log, flags)                                                                     \
	{                                                                                          \
		in, out, log, flags, sizeof(in) - 1                                                \
	}
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET10(path) "GET " path " HTTP/1.0\r\n\r\n"
#define OK_HEAD "HTTP/1.1 200 OK\r\nServer: lt\r\n"
#define HELLO OK_HEAD "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
#define HELLO_CLOSE                                                                                \
	OK_HEAD "Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
#define REPLY(n, body) OK_HEAD "Content-Length: " n "\r\n\r\n" body
#define REPLY_CLOSE(n, body) OK_HEAD "Content-Length: " n "\r\nConnection: close\r\n\r\n" body
#define ECHO(chunks) OK_HEAD "X-App: 1\r\nTransfer-Encoding: chunked\r\n\r\n" chunks "0\r\n\r\n"
#define ERR(status, reason, n)                                                                     \
	"HTTP/1.1 " status " " reason "\r\nServer: lt\r\nContent-Type: text/plain\r\n"             \
	"Content-Length: " n "\r\nConnection: close\r\n\r\n" reason "\n"
#define POST(path, n, body)                                                                        \
	"POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " n "\r\n\r\n" body
#define CHUNKED(path, body)                                                                        \
	"POST " path " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" body
#define UPGRADE(path)                                                                              \
	"GET " path " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"

static const struct talk talks[] = {
	/* one and more requests */
	T(GET("/hello"), HELLO, "done0;closed0;", OPEN),
	T(GET("/empty"), REPLY("0", ""), "done0;closed0;", OPEN),
	T(GET("/hello") GET("/empty") GET("/hello"), HELLO REPLY("0", "") HELLO,
		"done0;done0;done0;closed0;", OPEN),
	T(GET("/later") GET("/hello"), REPLY("5", "later") HELLO, "done0;done0;closed0;", OPEN),
	T(GET("/later") GET("/later") "GARBAGE\r\n\r\n",
		REPLY("5", "later") REPLY("5", "later") ERR("400", "Bad Request", "12"),
		"done0;done0;closed0;", 0),
	T("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/hello"), HELLO_CLOSE,
		"done0;closed0;", 0),
	T(GET("/later"), REPLY_CLOSE("5", "later"), "done0;closed0;", FIN | NO_BYTES),
	T("", "", "closed0;", FIN),
	T("GET / HT", "", "closed0;", FIN),
	T("\r\n" GET("/hello"), HELLO, "done0;closed0;", OPEN),
	/* HTTP/1.0 */
	T(GET10("/hello"), HELLO_CLOSE, "done0;closed0;", 0),
	T("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		OK_HEAD
		"Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"
		"hello",
		"done0;closed0;", OPEN),
	T(GET10("/trailers"), OK_HEAD "X-App: 1\r\nConnection: close\r\n\r\nabc", "done0;closed0;",
		0),
	T(GET10("/early"), REPLY_CLOSE("5", "early"), "done0;closed0;", 0),
	/* bodies */
	T(POST("/count", "5", "12345") GET("/hello"), REPLY("7", "counted") HELLO,
		"end5;done0;done0;closed0;", OPEN),
	T(POST("/count", "0", "") GET("/hello"), REPLY("7", "counted") HELLO,
		"end0;done0;done0;closed0;", OPEN),
	T(GET("/count"), REPLY("7", "counted"), "end0;done0;closed0;", OPEN),
	T(CHUNKED("/count", "3\r\nabc\r\n2;x\r\nde\r\n0\r\nA: b\r\n\r\n") GET("/hello"),
		REPLY("7", "counted") HELLO, "end5;done0;done0;closed0;", OPEN),
	T(POST("/echo", "5", "12345"), ECHO("5\r\n12345\r\n"), "end5;done0;closed0;",
		OPEN | NO_BYTES),
	T(POST("/echo", "2", "12"), ECHO("1\r\n1\r\n1\r\n2\r\n"), "end2;done0;closed0;", 16),
	T(CHUNKED("/echo", "2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n"),
		OK_HEAD
		"X-App: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n",
		"end2;done0;closed0;", OPEN | NO_BYTES),
	T(POST("/sips", "5", "12345") GET("/hello"), REPLY("7", "counted") HELLO,
		"end5;done0;done0;closed0;", OPEN),
	T(CHUNKED("/sips", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n") GET("/hello"),
		REPLY("7", "counted") HELLO, "end2;done0;done0;closed0;", OPEN),
	/* a body that nobody reads */
	T(POST("/hello", "5", "12345") GET("/hello"), HELLO HELLO, "done0;done0;closed0;", OPEN),
	T(CHUNKED("/hello", "3\r\nabc\r\n0\r\n\r\n") GET("/hello"), HELLO HELLO,
		"done0;done0;closed0;", OPEN),
	T(CHUNKED("/hello", "x"), HELLO, "done0;closed0;", CUT),
	T(POST("/hello", "70000", "x"), HELLO, "done0;closed0;", FIN),
	/* broken bodies */
	T(CHUNKED("/count", "zz\r\n"), ERR("400", "Bad Request", "12"), "done-71;closed0;", 0),
	T(CHUNKED("/count", "1\r\na\r\nq"), ERR("400", "Bad Request", "12"), "done-71;closed0;", 0),
	T("HEAD /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 400 Bad Request\r\nServer: lt\r\nContent-Type: text/plain\r\n"
		"Content-Length: 12\r\nConnection: close\r\n\r\n",
		"done-71;closed0;", 0),
	T(POST("/count", "5", "123"), "", "done-104;closed0;", FIN | CUT),
	/* no body by nature */
	T("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" GET("/hello"),
		OK_HEAD "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n" HELLO,
		"done0;done0;closed0;", OPEN),
	T("HEAD /trailers HTTP/1.1\r\nHost: a\r\n\r\n", OK_HEAD "X-App: 1\r\n\r\n",
		"done0;closed0;", OPEN),
	T("HEAD /head-length HTTP/1.1\r\nHost: a\r\n\r\n", OK_HEAD "Content-Length: 77\r\n\r\n",
		"done0;closed0;", OPEN),
	T(GET("/head-length"), REPLY("0", ""), "done0;closed0;", OPEN),
	T(GET("/204") GET("/hello"), "HTTP/1.1 204 No Content\r\nServer: lt\r\n\r\n" HELLO,
		"done0;done0;closed0;", OPEN),
	T(GET("/304") GET("/hello"), "HTTP/1.1 304 Not Modified\r\nServer: lt\r\n\r\n" HELLO,
		"done0;done0;closed0;", OPEN),
	/* heads */
	T(GET("/early"), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" REPLY("5", "early"),
		"done0;closed0;", OPEN),
	T(GET("/trailers"),
		OK_HEAD "X-App: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n"
			"X-Sum: 7\r\n\r\n",
		"done0;closed0;", OPEN),
	T(GET("/hostile-head"),
		"HTTP/1.1 200 OK\r\nDate: then\r\nServer: mine\r\nContent-Length: 2\r\n\r\nok",
		"done0;closed0;", OPEN),
	/* expectation */
	T("POST /continue HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab" GET(
		  "/hello"),
		"HTTP/1.1 100 Continue\r\n\r\n" REPLY("7", "counted") HELLO,
		"end2;done0;done0;closed0;", OPEN),
	T("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		HELLO_CLOSE, "done0;closed0;", 0),
	T(GET("/continue"), REPLY("7", "counted"), "end0;done0;closed0;", OPEN),
	/* cut transfers */
	T(GET("/abort"), "", "done-125;closed0;", CUT | 32),
	T(GET("/short"), "", "done-125;closed0;", CUT | 32),
	T(GET("/long"), "", "done-125;closed0;", CUT | 32),
	T(GET("/end-without-head"), "", "done-125;closed0;", CUT | 32),
	T(GET("/close-conn"), "", "done-125;closed0;", CUT | 32),
	T(GET("/drain-conn") GET("/hello"), REPLY_CLOSE("7", "drained"), "done0;closed0;", 0),
	/* tunnels */
	T(UPGRADE("/upgrade") "raw\r\n\0bytes", SWITCH "raw\r\n\0bytes", "end11;done0;closed0;",
		FIN | 64),
	T(UPGRADE("/later-upgrade") "raw", SWITCH "raw", "end3;done0;closed0;", FIN),
	T(UPGRADE("/upgrade-at-end"), SWITCH, "end0;end0;done0;closed0;", FIN),
	T(GET("/upgrade"),
		"HTTP/1.1 400 Bad Request\r\nServer: lt\r\nContent-Length: 10\r\n\r\nno upgrade",
		"done0;closed0;", OPEN),
	/* refusals */
	T("GET / HTTP/1.1\r\n\r\n", ERR("400", "Bad Request", "12"), "closed0;", 0),
	T("GET / HTTP/2.0\r\n\r\n", ERR("505", "HTTP Version Not Supported", "27"), "closed0;", 0),
	T("CONNECT a:1 HTTP/1.1\r\n\r\n", ERR("501", "Not Implemented", "16"), "closed0;", 0),
	T("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", ERR("417", "Expectation Failed", "19"),
		"closed0;", 0),
	T("\x16\x03\x01", ERR("400", "Bad Request", "12"), "closed0;", 0),
	T("GET / HTTP/1.1\nHost: a\n\n", ERR("400", "Bad Request", "12"), "closed0;", 0),
	T(GET("/hello") "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n" GET("/hello"),
		HELLO ERR("400", "Bad Request", "12"), "done0;closed0;", 0),
};
