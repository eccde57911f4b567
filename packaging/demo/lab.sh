#!/bin/sh
# A public Internet in miniature, on loopback: a name server that is authoritative for the domain
# and takes signed updates, and a certificate authority that validates by asking it. Nothing it
# does leaves the machine.
#
#   lab.sh start DIR   ports and names go to DIR/env, the roots to trust to DIR/ca.pem (browsers)
#                      and DIR/acme-ca.pem (ACME clients)
#   lab.sh stop DIR
#
# LAB_DOMAIN (lan.localhost), LAB_VALIDITY (seconds a certificate is good for, 90 days),
# LAB_NONCE_REJECT (percent of requests answered badNonce, 0) change what it is. Where name server
# and authority stand on machines of their own: LAB_DNS_ADDR, LAB_ACME_ADDR (127.0.0.1 both),
# LAB_DNS_ON, LAB_ACME_ON, commands that run a program over there. LAB_DNS_FIXED_PORT,
# LAB_ACME_FIXED_PORT and LAB_MGMT_FIXED_PORT are taken instead of free ones.
set -eu
domain=${LAB_DOMAIN:-lan.localhost}
dns_addr=${LAB_DNS_ADDR:-127.0.0.1}
acme_addr=${LAB_ACME_ADDR:-127.0.0.1}
acme_host=localhost
[ "$acme_addr" = 127.0.0.1 ] || acme_host=$acme_addr
PATH=$PATH:/usr/sbin:/sbin

fail() {
	echo "lab: $*" >&2
	exit 1
}

# A port that nobody listens on, below the range the kernel hands out.
free_port() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		port=$(($(od -An -N2 -tu2 /dev/urandom) % 12000 + 20000))
		hex=$(printf ':%04X' "$port")
		cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null |
			awk -v p="$hex" 'index($2, p) { found = 1 } END { exit found }' || continue
		case " ${taken-} " in *" $port "*) continue ;; esac
		taken="${taken-} $port"
		return 0
	done
	fail "no free port"
}

write_names() {
	[ -s "$dir/tsig.secret" ] || (umask 077 && openssl rand -base64 32 >"$dir/tsig.secret")
	chmod 600 "$dir/tsig.secret"
	cat >"$dir/named/$domain.zone" <<-Z
		\$TTL 1
		@ SOA ns hostmaster 1 60 60 600 1
		@ NS ns
		ns A $dns_addr
	Z
	cat >"$dir/named/root.zone" <<-Z
		\$TTL 1
		@ SOA ns.$domain. hostmaster.$domain. 1 60 60 600 1
		@ NS ns.$domain.
		$domain. NS ns.$domain.
		ns.$domain. A $dns_addr
	Z
	rm -f "$dir"/named/*.jnl
	(umask 077 && cat >"$dir/named/named.conf") <<-C
		key "lanthorn." { algorithm hmac-sha256; secret "$(cat "$dir/tsig.secret")"; };
		options {
			directory "$dir/named";
			pid-file "$dir/named/named.pid";
			session-keyfile "$dir/named/session.key";
			listen-on port $dns_port { $dns_addr; };
			listen-on-v6 { none; };
			recursion yes;
			allow-recursion { localhost; localnets; };
			allow-transfer { none; };
			notify no;
			dnssec-validation no;
			minimal-responses yes;
		};
		controls { };
		zone "." { type primary; file "root.zone"; };
		zone "$domain" {
			type primary;
			file "$domain.zone";
			update-policy { grant lanthorn. zonesub TXT A AAAA CNAME; };
		};
	C
}

# The certificate of the authority's own HTTPS, under a root that only its clients trust.
write_https() {
	[ ! -s "$dir/acme-ca.pem" ] || return 0
	(
		umask 077
		cd "$dir/pebble"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
			-subj "/CN=Demo ACME server root" \
			-addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
			-keyout key.pem -out req.pem
		printf 'subjectAltName=DNS:localhost,IP:%s\nextendedKeyUsage=serverAuth\n' \
			"$acme_addr" >ext
		openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 \
			-extfile ext -out cert.pem
	) >"$dir/log/openssl.log" 2>&1 || fail "openssl failed; see $dir/log/openssl.log"
	cp "$dir/pebble/ca.pem" "$dir/acme-ca.pem"
	chmod 644 "$dir/acme-ca.pem"
}

write_pebble() {
	cat >"$dir/pebble/config.json" <<-J
		{ "pebble": {
			"listenAddress": "$acme_addr:$acme_port",
			"managementListenAddress": "$acme_addr:$mgmt_port",
			"certificate": "$dir/pebble/cert.pem",
			"privateKey": "$dir/pebble/key.pem",
			"httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": "",
			"externalAccountBindingRequired": false,
			"certificateValidityPeriod": ${LAB_VALIDITY:-7776000} } }
	J
}

write_env() {
	cat >"$dir/env" <<-V
		LAB_DOMAIN='$domain'
		LAB_DNS_ADDR='$dns_addr'
		LAB_DNS_PORT='$dns_port'
		LAB_ACME_PORT='$acme_port'
		LAB_MGMT_PORT='$mgmt_port'
		LAB_ACME_DIRECTORY='https://$acme_host:$acme_port/dir'
		LAB_ACME_CA='$dir/acme-ca.pem'
		LAB_CA='$dir/ca.pem'
		LAB_TSIG_NAME='lanthorn.'
		LAB_TSIG_ALGORITHM='hmac-sha256'
		LAB_TSIG_SECRET_FILE='$dir/tsig.secret'
	V
}

# The process $1 of this lab lives: its command line names our folder, so no stranger is meant.
lives() {
	[ -s "$dir/run/$1.pid" ] || return 1
	tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$dir/run/$1.pid")/cmdline" | grep -qF "$dir"
}

answers() {
	[ "$(dig +short +time=1 +tries=1 @"$dns_addr" -p "$dns_port" "$domain" NS)" = "ns.$domain." ] &&
		curl -fsS -m 5 --cacert "$dir/acme-ca.pem" -o "$dir/directory.json" \
			"https://$acme_host:$acme_port/dir" &&
		curl -fsS -m 5 --cacert "$dir/acme-ca.pem" -o "$dir/ca.pem" \
			"https://$acme_host:$mgmt_port/roots/0"
}

start() {
	if lives named || lives pebble; then
		fail "already running in $dir; stop it first"
	fi
	mkdir -p "$dir/named" "$dir/pebble" "$dir/run" "$dir/log"
	free_port && dns_port=${LAB_DNS_FIXED_PORT:-$port}
	free_port && acme_port=${LAB_ACME_FIXED_PORT:-$port}
	free_port && mgmt_port=${LAB_MGMT_FIXED_PORT:-$port}
	write_names
	write_https
	write_pebble
	write_env
	# AppArmor binds its profile for named to the path of the program; a copy may use our folder.
	cp "$(command -v named)" "$dir/named/named"
	# shellcheck disable=SC2086 # LAB_…_ON are words
	${LAB_DNS_ON-} "$dir/named/named" -c "$dir/named/named.conf" -f </dev/null >"$dir/log/named.log" 2>&1 &
	echo $! >"$dir/run/named.pid"
	# shellcheck disable=SC2086
	PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=${LAB_NONCE_REJECT:-0} \
		${LAB_ACME_ON-} pebble -config "$dir/pebble/config.json" \
		-dnsserver "$dns_addr:$dns_port" \
		</dev/null >"$dir/log/pebble.log" 2>&1 &
	echo $! >"$dir/run/pebble.pid"
	tries=0
	until answers >/dev/null 2>"$dir/log/start.log"; do
		tries=$((tries + 1))
		if [ $tries -ge 100 ] || ! lives named || ! lives pebble; then
			tail -n 5 "$dir/log/named.log" "$dir/log/pebble.log" "$dir/log/start.log" >&2
			stop
			fail "the name server or the certificate authority did not come up"
		fi
		sleep 0.1
	done
}

# The process $1 is not gone yet. One that only waits for its parent's notice is.
runs() {
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	'' | Z*) return 1 ;;
	esac
}

stop() {
	for name in pebble named; do
		if lives $name; then
			pid=$(cat "$dir/run/$name.pid")
			kill "$pid" 2>/dev/null || :
			tries=0
			while runs "$pid" && [ $tries -lt 50 ]; do
				tries=$((tries + 1))
				sleep 0.1
			done
			if runs "$pid"; then kill -9 "$pid"; fi
		fi
		rm -f "$dir/run/$name.pid"
	done
}

[ $# -eq 2 ] || fail "usage: lab.sh start|stop DIR"
case $1 in
start)
	mkdir -p "$2"
	dir=$(cd "$2" && pwd)
	start
	;;
stop)
	[ -d "$2" ] || exit 0
	dir=$(cd "$2" && pwd)
	stop
	;;
*) fail "usage: lab.sh start|stop DIR" ;;
esac
