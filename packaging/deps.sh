#!/bin/sh
# Installs the Debian packages of the named groups, only those that are missing, in one apt call.
# Usage: packaging/deps.sh [build|demo|test|package|browser|bench|cross]…
set -eu

packages_of() {
	case $1 in
	build)
		echo autoconf automake make gcc libc6-dev pkg-config xz-utils libuv1-dev libssl-dev \
			libnghttp2-dev zlib1g-dev libbrotli-dev libyaml-dev libsqlite3-dev libjansson-dev libcurl4-openssl-dev libqrencode-dev
		command -v npm >/dev/null || echo nodejs npm
		;;
	demo) echo uacme pebble bind9 bind9-dnsutils openssl curl ca-certificates ;;
	test) echo libcmocka-dev clang libclang-rt-dev shellcheck python3 git \
			python3-dnspython python3-h2 faketime systemd busybox bind9 bind9-dnsutils iproute2 \
			nftables strace nghttp2-client wrk ;;
	package) echo debhelper debootstrap dpkg-dev fakeroot lintian ;;
	cross) echo gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf gcc-mipsel-linux-gnu \
			gcc-s390x-linux-gnu qemu-user libcmocka-dev ;;
	browser) echo chromium firefox-esr libnss3-tools fonts-dejavu-core ;;
	bench) echo nginx-light haproxy h2o caddy nghttp2-client wrk openssl curl python3 ;;
	*) echo "deps.sh: no group $1" >&2 && return 64 ;;
	esac
}

wanted=
for group in "$@"; do
	wanted="$wanted $(packages_of "$group")"
done
missing=
for package in $wanted; do
	case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "Please install, as root:$missing" >&2
		exit 1
	}
	as_root=sudo
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of words
if ! { $as_root apt-get -q update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
	--no-install-recommends install $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "apt could not install:$missing" >&2
	exit 1
fi
# Only the programs are wanted: a server that nobody asked for must not keep running.
[ -d /run/systemd/system ] || exit 0
for service in bind9:named nginx-light:nginx haproxy:haproxy h2o:h2o caddy:caddy; do
	case " $missing " in
	*" ${service%:*} "*) $as_root systemctl -q disable --now "${service#*:}" ;;
	esac
done
