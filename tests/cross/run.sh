#!/bin/sh
# Builds for another kind of machine and runs there, under qemu-user, what the tests prove here.
# Prints TAP: one point for the build, one for each test program.
#
#   tests/cross/run.sh [--all] aarch64|armhf|mipsel|s390x
#
# s390x (big-endian, 64 bits) and mipsel (little-endian, 32 bits) have all programs and tests, the
# others the agent and its tests. --all: everything, and what only computes (scrypt, thousands of
# signatures), which takes minutes under emulation.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
self=$top/tests/cross/run.sh
mkdir -p "${LANTHORN_BUILD:-$top/build}/cross"
cross=$(cd "${LANTHORN_BUILD:-$top/build}/cross" && pwd)

usage() {
	sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
	exit 64
}
# For xargs below: one program; its output and exit code stay in the results.
if [ "${1-}" = --one ]; then
	arch=$2 base=$cross/results/$2/${3##*/} rc=0
	case $arch in
	armhf) set -- "$3" qemu-arm ;;
	*) set -- "$3" "qemu-$arch" ;;
	esac
	mkdir -p "${base%/*}"
	cd "$cross/$arch"
	CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 300 "$2" -L "$cross/sysroot/$arch" ${SHIM:+-E} \
		${SHIM:+"LD_PRELOAD=$SHIM"} "$1" >"$base.tap" 2>"$base.log" </dev/null || rc=$?
	echo $rc >"$base.rc"
	exit 0
fi
all=
if [ "${1-}" = --all ]; then
	all=all
	shift
fi
arch=${1-}
case $arch in
s390x | mipsel) part=all ;;
aarch64 | armhf) part=${all:-agent} ;;
*) usage ;;
esac

number=0 failed=0
point() { # RESULT WORDS [LOG]…: one point; of a bad one, the end of its logs
	number=$((number + 1))
	echo "$1 $number - $arch $2"
	[ "$1" != ok ] || return 0
	failed=1
	shift 2
	for log in "$@"; do tail -n 30 "$log" >&2; done
}
finish() {
	echo "1..$number"
	exit $failed
}

# ---- what ----

tests_of_agent=" agent agent_link agent_renew agent_splice buf err file log map str token "
# What qemu 7.2 cannot do: hand on in6_ifreq with its bytes swapped.
cannot() {
	case $arch/$1 in s390x/ifaddr) ;; *) return 1 ;; esac
}
# What computes for minutes under emulation.
is_slow() {
	[ -z "$all" ] || return 1
	case $1 in api | auth | certlife | control | enroll | password) ;; *) return 1 ;; esac
}
programs() {
	for source in "$top"/tests/unit/test_*.c "$top"/tests/replay/test_*.c; do
		stem=${source##*/test_}
		stem=${stem%.c}
		source=${source%.c}
		if cannot "$stem" || is_slow "$stem"; then continue; fi
		case $part$tests_of_agent in
		agent*" $stem "* | all*) echo "${source#"$top/"}" ;;
		esac
	done
}

# ---- build ----

# shellcheck disable=SC2046 # words, or none
if ! "$top/packaging/cross/build.sh" "$arch" \
	$([ "$part" = all ] || { echo lanthorn-agent && programs; }) >"$cross/$arch.log" 2>&1; then
	point "not ok" "builds" "$cross/$arch.log"
	finish
fi
point ok builds

# ---- run ----

SHIM=
if [ "$arch" = mipsel ]; then
	SHIM=$cross/$arch/so_error.so
	mipsel-linux-gnu-gcc --sysroot="$cross/sysroot/$arch" -D_GNU_SOURCE -shared -fPIC -O1 \
		-o "$SHIM" "$top/tests/cross/so_error.c"
fi
export SHIM
rm -rf "$cross/results/$arch"
programs | xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN)" "$self" --one "$arch"
for program in $(programs); do
	base=$cross/results/$arch/${program##*/}
	if [ "$(cat "$base.rc")" -eq 0 ] && grep -q '^1\.\.[1-9]' "$base.tap"; then
		point ok "$program"
	else
		point "not ok" "$program" "$base.tap" "$base.log"
	fi
done
finish
