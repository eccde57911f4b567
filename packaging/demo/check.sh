#!/bin/sh
# Proves the main job against a running demo, from the outside, with curl, openssl and dig:
#   check.sh HTTPS-PORT SETUP-LINK DEMO-DIR WORK-DIR
# with LAB_CA, LAB_DOMAIN and LAB_DNS_PORT set; LAB_DNS_ADDR and LAB_GATEWAY_ADDR where these are
# not this machine's. Exit 0 when all of it holds.
set -eu
port=$1 setup_link=$2 demo=$3 work=$4
dns_addr=${LAB_DNS_ADDR:-127.0.0.1}
addr=${LAB_GATEWAY_ADDR:-127.0.0.1}
in_url=:$port
[ "$port" != 443 ] || in_url=
base=https://$LAB_DOMAIN$in_url
host=tv.$LAB_DOMAIN
device=https://$host$in_url
jar=$work/cookies
# What a browser says of a page that somebody opens.
navigate='Sec-Fetch-Mode: navigate
Sec-Fetch-Dest: document
Accept: text/html'

good() { echo "  ok    $*"; }
bad() {
	echo "  FAIL  $*" >&2
	exit 1
}

# retry SECONDS COMMAND…
retry() {
	tries=$(($1 * 2))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.5
	done
}

page() { # ARGUMENTS…: the page as a browser would ask for it, into $work/page
	printf '%s\n' "$navigate" >"$work/navigate"
	curl -sS -m 20 --cacert "$LAB_CA" -b "$jar" -c "$jar" -H "@$work/navigate" \
		-o "$work/page" -w '%{http_code} %{url_effective}\n' "$@" >"$work/status"
	read -r status url <"$work/status"
}

# The hidden fields of the form in $work/page, one "name=value" a line.
hidden_fields() {
	tr '<' '\n' <"$work/page" | grep '^input' | grep 'type="hidden"' |
		sed -n 's/.* name="\([^"]*\)".*/\1 &/p' |
		sed 's/^\([^ ]*\) .* value="\([^"]*\)".*/\1=\2/' | sed 's/&amp;/\&/g'
}

submit() { # PATH FIELD…: post the form in $work/page with these fields too
	path=$1
	shift
	for field in "$@"; do set -- "$@" --data-urlencode "$field" && shift; done
	hidden_fields >"$work/hidden"
	while IFS= read -r field; do
		set -- "$@" --data-urlencode "$field"
	done <"$work/hidden"
	page -H "Origin: $base" -H 'Sec-Fetch-Site: same-origin' "$@" "$base$path"
}

name_resolves() {
	[ "$(dig +short +time=2 +tries=1 "@$dns_addr" -p "$LAB_DNS_PORT" "$host" A)" = "$addr" ]
}

certificate_is_own() {
	openssl s_client -connect "$addr:$port" -servername "$host" -CAfile "$LAB_CA" \
		-verify_return_error -verify_hostname "$host" </dev/null >"$work/tls" 2>&1 || return 1
	names=$(openssl x509 -noout -ext subjectAltName <"$work/tls" 2>/dev/null | tail -n +2 |
		tr -d ' ')
	[ "$names" = "DNS:$host" ]
}

retry 60 name_resolves || bad "$host is not in DNS"
good "$host is in DNS, at $addr"
retry 60 certificate_is_own || bad "no certificate for $host alone: ${names-$(tail -n 3 "$work/tls")}"
good "its certificate is trusted and for $host alone"

rm -f "$jar"
page "$device/"
case $status in 302 | 303) ;; *) bad "a stranger got status $status from the device" ;; esac
good "a stranger is sent to sign in"
[ "$(curl -sS -m 20 --cacert "$LAB_CA" -o /dev/null -w '%{http_code}' "$device/headers")" = 401 ] ||
	bad "a script without a session is not refused with 401"
good "a script without a session is refused"

password=$(openssl rand -hex 12)
page "$setup_link"
[ "$status" = 200 ] || bad "the setup link answers $status"
submit /setup name=admin "password=$password" "password2=$password"
case $status in 200 | 302 | 303) ;; *) bad "making the first account: status $status" ;; esac
good "the one-time link made the first account"
page "$setup_link"
[ "$status" != 200 ] || ! grep -q 'name="password2"' "$work/page" ||
	bad "the setup link works a second time"
good "the link works only once"

rm -f "$jar"
page "$base/signin"
submit /signin user=admin password=wrong-password
grep -q '__Host-' "$jar" 2>/dev/null && grep -q "__Host-lanthorn" "$jar" &&
	bad "a wrong password opens a session"
page "$base/signin"
submit /signin user=admin "password=$password"
case $status in 200 | 302 | 303) ;; *) bad "sign-in: status $status" ;; esac
page -L "$base/"
grep -q /app.js "$work/page" || bad "no page after sign-in: status $status at $url"
page "$base/api/v1/launcher"
grep -q "$host" "$work/page" || bad "the launcher does not list $host: status $status at $url"
good "signed in; the launcher lists the device"

page -L "$device/"
[ "$status $url" = "200 $device/" ] || bad "the device's page: status $status at $url"
grep -q Television "$work/page" ||
	bad "the device's page is not the device's"
good "the device's page opens without a second question"
cookies=$(awk -v h="$host" '{ sub(/^#HttpOnly_/, "") } $1 == h { printf "%s%s=%s", s, $6, $7; s = "; " }' \
	"$jar")
page "$device/headers"
if grep -q '__Host-' "$work/page"; then bad "the gateway's cookies reach the device"; fi
good "the gateway's cookies stay with the gateway"
node "$demo/wsecho.js" "wss://$host$in_url/ws" "$LAB_CA" "$cookies" || bad "WebSocket echo"
good "a WebSocket echoes"
echo "The main job works."
