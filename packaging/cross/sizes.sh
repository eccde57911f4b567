#!/bin/sh
# Prints how large the agent is on devices, as a table for README.md: packaging/cross/sizes.sh [ARCH]…
# Made with -Os, stripped; alone, with the shared libraries that it needs, and linked statically; with
# and without HTTP/2.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cross=${LANTHORN_BUILD:-$top/build}/cross
small="-Os -ffunction-sections -fdata-sections"
export CFLAGS="$small"

# variant ARCH NAME LDFLAGS [LIBS]: the stripped agent, made in a folder of its own
variant() {
	LANTHORN_OPTIONS=$options LANTHORN_VARIANT=$2 LDFLAGS="-Wl,--gc-sections $3" "$top/packaging/cross/build.sh" "$1" \
		lanthorn-agent ${4:+"LIBS=$4"} >"$cross/sizes.log" 2>&1 || { tail -n 20 "$cross/sizes.log" >&2 && exit 1; }
	program=$cross/$1-$2/lanthorn-agent
	"$(sed -n 's/^STRIP = //p' "$cross/$1-$2/Makefile")" -o "$program.stripped" "$program"
	program=$program.stripped
}
kib() { # FILE…
	cat "$@" | wc -c | awk '{ printf "%.0f KiB", $1 / 1024 }'
}
libraries() { # ARCH: those that are not libc's, of the program
	readelf -d "$program" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v '^\(libc\|ld-.*\)\.so' |
		while read -r name; do
			find "$cross/sysroot/$1/usr/lib" -name "$name"
		done
}

row() { # ARCH LINKS
	kind=small static=static options=
	[ "$2" != HTTP/1.1 ] || kind=small-h1 static=static-h1 options=--without-agent-h2
	variant "$1" $kind ""
	alone=$(kib "$program")
	# shellcheck disable=SC2046 # files
	with=$(kib "$program" $(libraries "$1"))
	libs=
	[ "$1" != mipsel ] || libs=-latomic
	variant "$1" $static -static "$libs"
	echo "| $1 | $2 | $alone | $with | $(kib "$program") |"
}

[ $# -gt 0 ] || set -- aarch64 armhf mipsel
mkdir -p "$cross"
echo "| machine | links | program | with its libraries of Debian 12 | static, with libc |"
echo "|---|---|---|---|---|"
for arch in "$@"; do
	row "$arch" HTTP/2
	row "$arch" HTTP/1.1
done
