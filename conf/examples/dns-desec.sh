#!/bin/sh
# DNS at deSEC (https://desec.io, free names under dedyn.io) for `provider: exec`.
# Contract: set|unset NAME TYPE TTL VALUE; settings as key=value lines on stdin; exit 0 done, 1 never,
# 75 try later, one line on stderr that says why.
#   zone   the domain as deSEC lists it, such as myhome.dedyn.io
#   token  from desec.io, Token Management (write `token_file: PATH` in gateway.yaml)
#   url    of the API, only for tests
# deSEC replaces whole record sets, so what is there is read first and kept. Needs curl.
set -eu

never() { printf 'deSEC: %s\n' "$1" >&2; exit 1; }
later() { printf 'deSEC: %s\n' "$1" >&2; exit 75; }

[ $# -eq 5 ] || never "usage: set|unset NAME TYPE TTL VALUE"
verb=$1 name=$2 type=$3 ttl=$4 value=$5
zone='' token='' url=https://desec.io/api/v1
while IFS='=' read -r key rest; do
	case $key in
	zone) zone=$rest ;;
	token) token=$rest ;;
	url) url=$rest ;;
	esac
done
[ -n "$zone" ] || never "the setting zone is missing"
case $token in
'') never "the setting token is missing; write token_file: PATH" ;;
*[!A-Za-z0-9_-]*) never "the token has characters that no deSEC token has" ;;
esac

case $name in
"$zone") sub='' path=@ ;;
*".$zone") sub=${name%".$zone"} path=$sub ;;
*) never "$name is not in the zone $zone" ;;
esac
case $verb in set | unset) ;; *) never "unknown verb $verb" ;; esac
case $type in
TXT) item="\"\\\"$value\\\"\"" ;;
A | AAAA) item="\"$value\"" ;;
*) never "records of type $type are not supported" ;;
esac
case $value$name in
*[!A-Za-z0-9_.:=-]*) never "a name or value with unusual characters" ;;
esac
# deSEC takes no less.
[ "$ttl" -ge 3600 ] || ttl=3600

# api PATH [CURL ARGUMENTS]: sets $code and $body. The token goes by stdin, so that no list of
# processes shows it.
api() {
	at=$1
	shift
	answer=$(printf 'header = "Authorization: Token %s"\n' "$token" |
		curl -q -sS -m 40 --max-filesize 1048576 -K - -w '\n%{http_code}' \
			-H 'Content-Type: application/json' "$@" "$url/domains/$zone/rrsets/$at" 2>&1) ||
		later "no answer: $(printf '%s' "$answer" | tr '\n' ' ')"
	code=${answer##*"
"}
	body=${answer%"
"*}
}

# what went wrong, for codes that neither caller takes as success
complain() {
	said=$(printf '%s' "$body" | tr '\n' ' ' | cut -c1-160)
	case $code in
	401 | 403) never "the token is not accepted for $zone ($code): $said" ;;
	404) never "there is no domain $zone in this account" ;;
	429) later "too many requests: $said" ;;
	5*) later "the service has a problem ($code): $said" ;;
	*) never "refused ($code): $said" ;;
	esac
}

api "$path/$type/"
case $code in
200)
	have=$(printf '%s' "$body" | tr -d '\n' | sed -n 's/.*"records" *: *\[\([^]]*\)\].*/\1/p')
	# A record with a bracket would be cut there: better nothing than half of it written back.
	case $have in
	*\\\") never "cannot read the records of $name" ;;
	\"*\") ;;
	*) never "cannot read the records of $name" ;;
	esac
	;;
404) have='' ;;
*) complain ;;
esac

# All values but this one; they are kept byte for byte.
others='' found=no
rest=$have
while [ -n "$rest" ]; do
	case $rest in
	*'","'*) one=${rest%%'","'*}\" rest=\"${rest#*'","'} ;;
	*) one=$rest rest='' ;;
	esac
	if [ "$one" = "$item" ]; then
		found=yes
	else
		others=${others:+$others,}$one
	fi
done

case $verb$found in
setyes | unsetno) exit 0 ;;
setno) records=${others:+$others,}$item ;;
*) records=$others ;;
esac
api '' -X PATCH --data \
	"[{\"subname\":\"$sub\",\"type\":\"$type\",\"ttl\":$ttl,\"records\":[$records]}]"
case $code in
2*) ;;
*) complain ;;
esac
