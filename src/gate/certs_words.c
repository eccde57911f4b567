/* What a failure class means to people: see certs.h. */
#include "gate/certs.h"

const char *class_remedy(enum state_class class)
{
	switch (class) {
	case STATE_FAIL_OURS:
		return "See `lanthornctl logs` and check the configuration and the disk of this gateway";
	case STATE_FAIL_DNS:
		return "Check the dns: section (provider, zone, key) and that the provider's name servers "
		       "answer for the domain";
	case STATE_FAIL_CA:
		return "Check acme.directory and the CA's status page; what the CA said is above";
	case STATE_FAIL_LIMIT:
		return "Nothing to do: the CA allows a limited number of certificates, the gateway waits "
		       "and tries again by itself";
	case STATE_FAIL_NET:
		return "Check that this gateway reaches the Internet (HTTPS to the CA, DNS to the name "
		       "servers)";
	case STATE_STARTED:
	case STATE_WORKING:
	case STATE_PUBLISHED:
	case STATE_TESTED:
	case STATE_LOG:
		break;
	}
	return "";
}

const char *class_word(enum state_class class)
{
	switch (class) {
	case STATE_FAIL_OURS:
		return "ours";
	case STATE_FAIL_DNS:
		return "dns";
	case STATE_FAIL_CA:
		return "ca";
	case STATE_FAIL_LIMIT:
		return "limit";
	case STATE_FAIL_NET:
		return "network";
	case STATE_STARTED:
	case STATE_WORKING:
	case STATE_PUBLISHED:
	case STATE_TESTED:
	case STATE_LOG:
		break;
	}
	return "";
}
