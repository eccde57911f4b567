/* What a device may answer to one request over HTTP/2, and how the call hears of it. See h2_device.h
 * for how answers are written, test_h2_client.c for what is told: the status, the body, the error. */
#pragma once

#define OK "H1 :status=200;"
#define LONG_VALUE                                                                                 \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG_4(n)                                                                                  \
	"|" n "1=" LONG_VALUE "|" n "2=" LONG_VALUE "|" n "3=" LONG_VALUE "|" n "4=" LONG_VALUE

#define I2 "H1 :status=103;H1 :status=103;"
#define I8 I2 I2 I2 I2
#define L8 "a103;a103;a103;a103;a103;a103;a103;a103;"

static const struct {
	const char *what, *method, *says, *log;
} answers[] = {
  /* good ones */
	{"a counted body",                   "GET",  "H1 :status=200|content-length=5|a=b;D1 he;D1e llo",
         "a200 a=b;aend[hello];"												   },
	{"an open body",                     "GET",  OK "D1 hello;D1e",                                     "a200;aend[hello];"    },
	{"no body",			  "GET",  "H1e :status=200",                                     "a200;aend[];"         },
	{"204",			      "GET",  "H1e :status=204",                                     "a204;aend[];"         },
	{"304 with a length",                "GET",  "H1e :status=304|content-length=9",                    "a304;aend[];"         },
	{"HEAD with a length",               "HEAD", "H1e :status=200|content-length=9",                    "a200;aend[];"         },
	{"trailers",			 "GET",  OK "D1 x;H1e sum=1",                                   "a200;aend[x]sum=1;"   },
	{"1xx first",			"GET",  "H1 :status=103|a=b;H1 :status=100;H1e :status=200",
         "a103 a=b;a100;a200;aend[];"											      },
	{"padding of others",                "GET",  "?0 abc;P0;" OK "W0 5;W1 5;D1e x",                     "a200;aend[x];"        },
	{"a cookie and a host are fields",   "GET",  "H1e :status=200|cookie=a|host=b|expect=c",
         "a200;aend[];"													    },
	{"reset after its end",              "GET",  OK "D1e x;R1 0",                                       "a200;aend[x];"        },
 /* heads */
	{"no status",			"GET",  "H1e a=b",					     "afail-71;"            },
	{"two statuses",                     "GET",  "H1e :status=200|:status=200",                         "afail-71;"            },
	{"status of two digits",             "GET",  "H1e :status=20",                                      "afail-71;"            },
	{"status of four digits",            "GET",  "H1e :status=2000",                                    "afail-71;"            },
	{"status that is none",              "GET",  "H1e :status=2x0",                                     "afail-71;"            },
	{"status 099",		       "GET",  "H1e :status=099",                                     "afail-71;"            },
	{"status 600",		       "GET",  "H1e :status=600",                                     "afail-71;"            },
	{"status 101",		       "GET",  "H1 :status=101",                                      "afail-71;"            },
	{"status after a field",             "GET",  "H1e a=b|:status=200",                                 "afail-71;"            },
	{"a pseudo-field of requests",       "GET",  "H1e :status=200|:path=/",                             "afail-71;"            },
	{"an upper-case name",               "GET",  "H1e :status=200|A=b",                                 "afail-71;"            },
	{"a name with a space",              "GET",  "H1e :status=200|a b=c",                               "afail-71;"            },
	{"a name with a colon",              "GET",  "H1e :status=200|a:b=c",                               "afail-71;"            },
	{"CR in a value",                    "GET",  "H1e :status=200|a=b\rc",                              "afail-71;"            },
	{"LF in a value",                    "GET",  "H1e :status=200|a=b\nc: d",                           "afail-71;"            },
	{"a control in a value",             "GET",  "H1e :status=200|a=b\x01",                             "afail-71;"            },
	{"connection",		       "GET",  "H1e :status=200|connection=close",                    "afail-71;"            },
	{"keep-alive",		       "GET",  "H1e :status=200|keep-alive=5",                        "afail-71;"            },
	{"proxy-connection",                 "GET",  "H1e :status=200|proxy-connection=x",                  "afail-71;"            },
	{"transfer-encoding",                "GET",  "H1 :status=200|transfer-encoding=chunked",            "afail-71;"            },
	{"upgrade",			  "GET",  "H1e :status=200|upgrade=h2c",                         "afail-71;"            },
	{"te",			       "GET",  "H1e :status=200|te=gzip",                             "afail-71;"            },
	{"1xx that ends",                    "GET",  "H1e :status=100",                                     "afail-71;"            },
	{"too many fields",                  "GET",
         "H1e :status=200|a=|b=|c=|d=|e=|f=|g=|h=|i=|j=|k=|l=|m=|n=|o=|p=|q=|r=|s=|t=|u=|v=|w=|x=|y=|z="
		"|aa=|bb=|cc=|dd=",									 "afail-105;"           },
	{"too large a head",                 "GET",  "H1e :status=200" LONG_4("a") LONG_4("b") LONG_4("c"),
         "afail-105;"													      },
 /* lengths */
	{"a length that is none",            "GET",  "H1 :status=200|content-length=5x",                    "afail-71;"            },
	{"a negative length",                "GET",  "H1 :status=200|content-length=-1",                    "afail-71;"            },
	{"two lengths",                      "GET",  "H1 :status=200|content-length=5|content-length=5",    "afail-71;"            },
	{"a list of lengths",                "GET",  "H1 :status=200|content-length=5, 5",                  "afail-71;"            },
	{"a length beyond all",              "GET",  "H1 :status=200|content-length=99999999999999999999",
         "afail-71;"													       },
	{"a body too short",                 "GET",  "H1 :status=200|content-length=5;D1e hell",            "a200;afail-71;"       },
	{"a body that is missing",           "GET",  "H1e :status=200|content-length=5",                    "afail-71;"            },
	{"a body too long",                  "GET",  "H1 :status=200|content-length=5;D1 hello;D1e !",
         "a200;afail-71;"													  },
	{"a body of HEAD",                   "HEAD", OK "D1e x",                                            "a200;afail-71;"       },
	{"a body of 204",                    "GET",  "H1 :status=204;D1e x",                                "a204;afail-71;"       },
	{"a body of 304",                    "GET",  "H1 :status=304;D1e x",                                "a304;afail-71;"       },
	{"a body without a head",            "GET",  "D1e x",                                               "afail-71;"            },
	{"a body after 1xx",                 "GET",  "H1 :status=100;D1e x",                                "a100;afail-71;"       },
 /* trailers */
	{"trailers with a status",           "GET",  OK "H1e :status=200",                                  "a200;afail-71;"       },
	{"trailers that do not end",         "GET",  OK "D1 x;H1 sum=1",                                    "a200;afail-71;"       },
	{"trailers with a length",           "GET",  OK "D1 x;H1e content-length=1",                        "a200;afail-71;"       },
 /* ends */
	{"reset before its head",            "GET",  "R1 8",                                                "afail-71;"            },
	{"reset inside its body",            "GET",  OK "D1 x;R1 2",                                        "a200;afail-71;"       },
	{"reset without an error",           "GET",  OK "D1 x;R1 0",                                        "a200;afail-71;"       },
	{"refused",			  "GET",  "R1 7",						"afail-104u;"          },
	{"refused inside its body",          "GET",  OK "R1 7",                                             "a200;afail-104;"      },
	{"gone away before",                 "GET",  "G0 0 0",					      "afail-104u;"          },
	{"gone away after",                  "GET",  "G0 1 0;" OK "D1e x",                                  "a200;aend[x];"        },
 /* the connection breaks */
	{"a push",			   "GET",  "U1 2",						"afail-71;"            },
	{"as many 1xx as are allowed",       "GET",  I8 I8 I8 I8 "H1e :status=200",
         L8 L8 L8 L8 "a200;aend[];"												},
	{"one more",			 "GET",  I8 I8 I8 I8 "H1 :status=103;H1e :status=200",          L8 L8 L8 L8 "afail-71;"},
	{"an answer that nobody waits for",  "GET",  "H3e :status=200",                                     "afail-71;"            },
	{"an answer on a stream of its own", "GET",  "H2e :status=200",                                     "afail-71;"            },
	{"data for nobody",                  "GET",  "D5 x",						"afail-71;"            },
	{"a bad setting",                    "GET",  "S0 4 4294967295",                                     "afail-71;"            },
	{"a window of nothing",              "GET",  "W0 0",						"afail-71;"            },
	{"a window beyond all",              "GET",  "W0 2147483647",                                       "afail-71;"            },
};
