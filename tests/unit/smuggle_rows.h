/* Attacks on the framing of requests: what a client sends, the statuses that it gets, and how many
 * requests the device behind the proxy saw. Most rows have a second request behind the attack:
 * where the first is refused, nothing behind it may be taken for a request. */
#pragma once

#include <stddef.h>

struct smuggle_row {
	const char *in;
	size_t n;
	const char *statuses; /* "200 400", with "cut" where the last answer is missing */
	unsigned seen;
};

#define ROW(in, statuses, seen)                                                                    \
	{                                                                                          \
		in, sizeof(in) - 1, statuses, seen                                                 \
	}
#define NEXT "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
#define LINE(line) line "\r\nHost: a\r\n\r\n" NEXT
#define GET(fields) "GET /1 HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n"
#define POST(fields, body) "POST /1 HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n" body
/* A body of two bytes under such a length, or in such chunks, and the next request. */
#define LENGTH(value) POST("Content-Length:" value, "ab" NEXT)
#define CODING(value) POST("Transfer-Encoding:" value, "2\r\nab\r\n0\r\n\r\n" NEXT)
#define CHUNKS(body) POST("Transfer-Encoding: chunked", body NEXT)
#define FIELD(line) GET(line) NEXT

#define TAKEN(in) ROW(in, "200 200", 2)
#define REFUSED(in) ROW(in, "400", 0)
/* The head crossed before the body turned out to be broken; the device sees no whole request. */
#define BROKEN(in) ROW(in, "400", 0)

static const struct smuggle_row smuggle_rows[] = {
	/* lengths */
	TAKEN(LENGTH(" 2")),
	TAKEN(LENGTH("2")),
	TAKEN(LENGTH(" \t2\t ")),
	REFUSED(LENGTH(" 02")),
	REFUSED(LENGTH(" 0000000000000000002")),
	REFUSED(LENGTH("")),
	REFUSED(LENGTH(" +2")),
	REFUSED(LENGTH(" -2")),
	REFUSED(LENGTH(" -0")),
	REFUSED(LENGTH(" 0x2")),
	REFUSED(LENGTH(" 2a")),
	REFUSED(LENGTH(" 2.0")),
	REFUSED(LENGTH(" 2e0")),
	REFUSED(LENGTH(" 2 2")),
	REFUSED(LENGTH(" \"2\"")),
	REFUSED(LENGTH(" 2;")),
	REFUSED(LENGTH(" 2,")),
	REFUSED(LENGTH(" ,2")),
	REFUSED(LENGTH(" 2, 2")),
	REFUSED(LENGTH(" 2, 3")),
	REFUSED(LENGTH(" 2\v")),
	REFUSED(LENGTH(" \f2")),
	REFUSED(LENGTH(" 2\0")),
	REFUSED(LENGTH(" \xb2")),
	REFUSED(LENGTH(" chunked")),
	REFUSED(LENGTH(" 18446744073709551616")),
	REFUSED(LENGTH(" 18446744073709551618")),
	REFUSED(LENGTH(" 99999999999999999999999999")),
	REFUSED(LENGTH(" 2\r\nContent-Length: 2")),
	REFUSED(LENGTH(" 2\r\nContent-Length: 3")),
	REFUSED(LENGTH(" 3\r\nContent-Length: 2")),
	REFUSED(LENGTH(" 2\r\ncontent-length: 0")),
	REFUSED(LENGTH(" 2\r\nX: y\r\nCONTENT-LENGTH: 2")),
	REFUSED(POST("Content-Length : 2", "ab" NEXT)),
	REFUSED(POST("Content-Length\t: 2", "ab" NEXT)),
	REFUSED(POST(" Content-Length: 2", "ab" NEXT)),
	REFUSED(POST("Content-Length:\r\n 2", "ab" NEXT)),
	REFUSED(POST("Content-Length: 2\r\n 2", "ab" NEXT)),
	REFUSED(POST("Content-Length", "ab" NEXT)),
	/* a length that is none, and bytes that are a request then */
	ROW(POST("Content_Length: 2", "a b" NEXT), "200 400", 1),
	ROW(POST("Content-Lengths: 2", "a b" NEXT), "200 400", 1),
	ROW(POST("X: y", "a b" NEXT), "200 400", 1),
	ROW(GET("X: y") "a b" NEXT, "200 400", 1),
	ROW(GET("X: y") "\r\n\r\n\r\n" NEXT, "200 400", 1),
	ROW(GET("X: y") "\r\n" NEXT, "200 200", 2),
	ROW(GET("X: y") "\n" NEXT, "200 400", 1),
	ROW(GET("X: y") "\0" NEXT, "200 400", 1),
	/* the body is what the length says, whatever stands in it */
	ROW(POST("Content-Length: 28", NEXT) NEXT, "200 200", 2),
	ROW(GET("Content-Length: 28") NEXT NEXT, "200 200", 2),
	ROW("HEAD /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n" NEXT NEXT, "200 200", 2),
	ROW("DELETE /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n" NEXT NEXT, "200 200", 2),
	ROW(POST("Content-Length: 28\r\nExpect: 100-continue", NEXT) NEXT, "200 200", 2),
	ROW(POST("Content-Length: 28\r\nExpect: 100-continue, x", NEXT) NEXT, "417", 0),
	ROW(POST("Content-Length: 28\r\nExpect: 200-ok", NEXT) NEXT, "417", 0),
	ROW(POST("Content-Length: 29", NEXT), "cut", 0),
	/* both ways of framing */
	REFUSED(POST(
		"Content-Length: 12\r\nTransfer-Encoding: chunked", "2\r\nab\r\n0\r\n\r\n" NEXT)),
	REFUSED(POST(
		"Transfer-Encoding: chunked\r\nContent-Length: 12", "2\r\nab\r\n0\r\n\r\n" NEXT)),
	REFUSED(POST("Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	ROW(POST("Content-Length: 5\r\nTransfer-Encoding: identity", "0\r\n\r\n" NEXT), "501", 0),
	REFUSED(POST("Content-Length: 5\r\nTransfer-Encoding:", "0\r\n\r\n" NEXT)),
	REFUSED(GET("Content-Length: 5\r\nTransfer-Encoding: chunked") "0\r\n\r\n" NEXT),
	REFUSED(POST(
		"Content-Length: 5\r\nConnection: content-length\r\nTransfer-Encoding: chunked",
		"0\r\n\r\n" NEXT)),
	/* codings */
	TAKEN(CODING(" chunked")),
	TAKEN(CODING("chunked")),
	TAKEN(CODING(" Chunked")),
	TAKEN(CODING(" CHUNKED\t")),
	REFUSED(CODING("")),
	REFUSED(CODING(" chunked, chunked")),
	REFUSED(CODING(" chunked\r\nTransfer-Encoding: chunked")),
	REFUSED(CODING(" chunked\r\nTransfer-Encoding: identity")),
	ROW(CODING(" identity\r\nTransfer-Encoding: chunked"), "501", 0),
	REFUSED(CODING(" ,chunked")),
	REFUSED(CODING(" chunked,")),
	ROW(CODING(" chunked;q=1"), "501", 0),
	ROW(CODING(" \"chunked\""), "501", 0),
	REFUSED(CODING(" \vchunked")),
	REFUSED(CODING(" chunked\v")),
	REFUSED(CODING(" chunked\0")),
	ROW(CODING("\xa0"
		   "chunked"),
		"501", 0),
	REFUSED(CODING(" chunked\x7f")),
	REFUSED(CODING("\n chunked")),
	REFUSED(CODING("\r\n chunked")),
	REFUSED(CODING("\r\n\tchunked")),
	REFUSED(CODING(" chunked\r\n X")),
	REFUSED(POST("Transfer-Encoding : chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("Transfer-Encoding\t: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST(" Transfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("X: y\r\n Transfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("X: y\nTransfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("X: y\rTransfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("X: y\r\n\nTransfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("X:\nTransfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("Transfer-Encoding\0: chunked", "0\r\n\r\n" NEXT)),
	REFUSED(POST("\xef\xbb\xbfTransfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	ROW(CODING(" gzip"), "501", 0),
	REFUSED(CODING(" gzip, chunked")),
	REFUSED(CODING(" chunked, gzip")),
	ROW(CODING(" identity"), "501", 0),
	REFUSED(CODING(" identity, chunked")),
	ROW(CODING(" xchunked"), "501", 0),
	ROW(CODING(" chunkedx"), "501", 0),
	ROW(CODING(" cow"), "501", 0),
	ROW(POST("Transfer_Encoding: chunked", "0\r\n\r\n" NEXT), "200 400", 1),
	ROW(POST("X-Transfer-Encoding: chunked", "0\r\n\r\n" NEXT), "200 400", 1),
	REFUSED("POST /1 HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT),
	REFUSED("POST /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n"
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT),
	/* chunks */
	TAKEN(CHUNKS("2\r\nab\r\n0\r\n\r\n")),
	TAKEN(CHUNKS("0\r\n\r\n")),
	TAKEN(CHUNKS("00\r\n\r\n")),
	TAKEN(CHUNKS("0002\r\nab\r\n0\r\n\r\n")),
	TAKEN(CHUNKS("A\r\n0123456789\r\n0\r\n\r\n")),
	TAKEN(CHUNKS("2;a=b\r\nab\r\n0;c\r\n\r\n")),
	TAKEN(CHUNKS("2;a=\"b\"\r\nab\r\n0\r\n\r\n")),
	TAKEN(CHUNKS("1C\r\n" NEXT "\r\n0\r\n\r\n")),
	TAKEN(CHUNKS("2\r\n\r\n\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("+2\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("-2\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("-0\r\n\r\n")),
	BROKEN(CHUNKS("0x2\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS(" 2\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2 2\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2,2\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2\0\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2\rab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2\r\rab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2;a\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2;a\rb\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2;\0\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("\r\n2\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("\r\n")),
	BROKEN(CHUNKS(";a\r\n\r\n")),
	BROKEN(CHUNKS("g\r\n\r\n")),
	BROKEN(CHUNKS("2\r\nabc\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2\r\na\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("2\r\nab0\r\n\r\n")),
	BROKEN(CHUNKS("2\r\nab\n0\r\n\r\n")),
	BROKEN(CHUNKS("2\r\nab\r0\r\n\r\n")),
	BROKEN(CHUNKS("10000000000000000\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("10000000000000002\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("fffffffffffffffff\r\nab\r\n0\r\n\r\n")),
	BROKEN(CHUNKS("0\n\r\n")),
	BROKEN(CHUNKS("0\r\n\n")),
	BROKEN(CHUNKS("0\r\nX\r\n\r\n")),
	BROKEN(CHUNKS("0\r\n X: y\r\n\r\n")),
	BROKEN(CHUNKS("0\r\nX : y\r\n\r\n")),
	BROKEN(CHUNKS("0\r\nX: y\n\r\n")),
	BROKEN(CHUNKS("0\r\nX: y\r\n z\r\n\r\n")),
	BROKEN(CHUNKS("0\r\nX: \0\r\n\r\n")),
	/* trailers end here, whatever they say */
	TAKEN(CHUNKS("0\r\nX: y\r\n\r\n")),
	TAKEN(CHUNKS("0\r\nLanthorn-User: root\r\n\r\n")),
	/* who is asked */
	REFUSED(LINE("GET http://b/1 HTTP/1.1")),
	TAKEN(LINE("GET http://a/1 HTTP/1.1")),
	REFUSED(LINE("GET http://a:81/1 HTTP/1.1")),
	REFUSED(LINE("GET http://x@a/1 HTTP/1.1")),
	REFUSED(LINE("GET //b@a HTTP/1.1\r\nHost: b")),
	REFUSED(LINE("GET b/1 HTTP/1.1")),
	REFUSED(FIELD("Host: a")),
	REFUSED(FIELD("Host: b")),
	REFUSED(FIELD("host: b")),
	REFUSED(FIELD("Host : b")),
	REFUSED("GET /1 HTTP/1.1\r\n\r\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\nHost: a, b\r\n\r\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\nHost: a b\r\n\r\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\nHost: a#b\r\n\r\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\nHost: a\r\n b\r\n\r\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\nHost: a\0b\r\n\r\n" NEXT),
	/* lines */
	REFUSED(LINE("GET /1 HTTP/1.1 ")),
	REFUSED(LINE("GET  /1 HTTP/1.1")),
	REFUSED(LINE("GET\t/1 HTTP/1.1")),
	REFUSED(LINE(" GET /1 HTTP/1.1")),
	REFUSED(LINE("GET /1\vHTTP/1.1")),
	REFUSED(LINE("GET /1 HTTP/1.1\r")),
	REFUSED(LINE("GET /1 HTTP/1.1 X\r\nHost: b")),
	REFUSED(LINE("GET /\xc3\xa4 HTTP/1.1")),
	REFUSED(LINE("GET /1\0 HTTP/1.1")),
	REFUSED(LINE("GET /1")),
	REFUSED("GET /1 HTTP/1.1\nHost: a\n\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\nHost: a\n\r\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\nHost: a\r\n\n" NEXT),
	REFUSED("GET /1 HTTP/1.1\r\n\rHost: a\r\n\r\n" NEXT),
	ROW(LINE("GET /1 HTTP/1.2"), "505", 0),
	ROW(LINE("GET /1 HTTP/2.0"), "505", 0),
	ROW(LINE("GET /1 HTTP/0.9"), "505", 0),
	ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" NEXT, "505", 0),
	ROW("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" NEXT, "501", 0),
	ROW("GET /1 HTTP/1.0\r\nHost: a\r\n\r\n" NEXT, "200", 1),
	ROW("GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" NEXT, "200 200", 2),
	ROW("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" NEXT, "200", 1),
	/* fields */
	REFUSED(FIELD("X: a\rb")),
	REFUSED(FIELD("X: a\nb: c")),
	REFUSED(FIELD("X: a\0b")),
	REFUSED(FIELD("X: a\x7f")),
	REFUSED(FIELD("X: \x01")),
	REFUSED(FIELD("X")),
	REFUSED(FIELD(": a")),
	REFUSED(FIELD("X Y: a")),
	REFUSED(FIELD("X\v: a")),
	REFUSED(FIELD("X(: a")),
	REFUSED(FIELD("X: a\r\n\tb")),
	TAKEN(FIELD("X:")),
	TAKEN(FIELD("X: \xc3\xa4")),
	/* Connection may name what it likes: framing and identity do not depend on it */
	TAKEN(POST(
		"Connection: transfer-encoding\r\nTransfer-Encoding: chunked", "0\r\n\r\n" NEXT)),
	TAKEN(POST("Connection: content-length\r\nContent-Length: 28", NEXT) NEXT),
	TAKEN(FIELD("Connection: host")),
	TAKEN(FIELD("Connection: forwarded, x-forwarded-for, lanthorn-user")),
	TAKEN(FIELD("Connection: keep-alive, cookie\r\nCookie: __Host-lanthorn=secret")),
	TAKEN(FIELD("Lanthorn-User: root\r\nLanthorn_User: root\r\nX-Forwarded-For: 127.0.0.1")),
	TAKEN(FIELD("TE: chunked\r\nTrailer: Content-Length")),
	TAKEN(FIELD("Keep-Alive: timeout=1\r\nProxy-Connection: close")),
	/* upgrades that the device declines leave requests behind them what they are */
	TAKEN(FIELD("Connection: Upgrade\r\nUpgrade: websocket")),
	TAKEN(FIELD(
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk")),
	TAKEN(POST("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 28", NEXT) NEXT),
};
