#!/bin/sh
# Builds for another kind of machine and runs there, under qemu-user, what the tests prove here.
# Prints TAP: one point for the build, one for each test program, and those of flow.py.
#
#   tests/cross/run.sh [--all] aarch64|armhf|mipsel|s390x
#
# The flow needs this machine's programs in $BUILD (build/asan) and the demo in $DEMO (build/demo).
# s390x (big-endian, 64 bits) and mipsel (little-endian, 32 bits) have all programs and tests, the
# others the agent and its tests. --all: everything, and what only computes (scrypt, thousands of
# signatures), which takes minutes under emulation.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
self=$top/tests/cross/run.sh
mkdir -p "${LANTHORN_BUILD:-$top/build}/cross"
cross=$(cd "${LANTHORN_BUILD:-$top/build}/cross" && pwd)

usage() {
	sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
	exit 64
}
# For below, in a namespace of users of our own: the kernel runs the other machine's programs by qemu,
# whoever starts them.
if [ "${1-}" = --binfmt ]; then
	magic=$(head -c 20 "$2/lanthornd" | od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g')
	mask=$(printf '\\xff%.0s' 1 2 3 4 5 6 7)'\x00'$(printf '\\xff%.0s' 1 2 3 4 5 6 7 8 9 10 11 12)
	mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 1
	echo ":lanthorn:M:0:$magic:$mask:$2/qemu:" >/proc/sys/fs/binfmt_misc/register || exit 1
	shift 2
	exec "$@"
fi
# For xargs below: one program; its output and exit code stay in the results.
if [ "${1-}" = --one ]; then
	arch=$2 base=$cross/results/$2/${3##*/} rc=0
	cd "$cross/$arch"
	CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 300 run/qemu "$3" >"$base.tap" 2>"$base.log" \
		</dev/null || rc=$?
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

run=$cross/$arch/run
results=$cross/results/$arch
rm -rf "$results" "$run"
mkdir -p "$results" "$run"

# How a program of the other machine is started, also where nobody can say so any more.
shim=
if [ "$arch" = mipsel ]; then
	shim="-E LD_PRELOAD=$run/so_error.so"
	mipsel-linux-gnu-gcc --sysroot="$cross/sysroot/$arch" -D_GNU_SOURCE -shared -fPIC -O1 \
		-o "$run/so_error.so" "$top/tests/cross/so_error.c"
fi
machine=$arch
[ "$arch" != armhf ] || machine=arm
printf '#!/bin/sh\nexec qemu-%s -L "%s" %s "$@"\n' "$machine" "$cross/sysroot/$arch" "$shim" >"$run/qemu"
chmod +x "$run/qemu"

programs | xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN)" "$self" --one "$arch"
for program in $(programs); do
	base=$results/${program##*/}
	if [ "$(cat "$base.rc")" -eq 0 ] && grep -q '^1\.\.[1-9]' "$base.tap"; then
		point ok "$program"
	else
		point "not ok" "$program" "$base.tap" "$base.log"
	fi
done

# ---- flow ----

native=${BUILD:-$top/build/asan}
# All of its programs where the kernel can be told how, else its agent with a gateway of ours.
if [ "$part" = all ] && unshare -Urm mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null
then
	cp "$cross/$arch/lanthorn"* "$run/"
	cp "$native"/lanthorn-*.so "$run/" # uacme is a program of this machine
	set -- unshare -Urm "$self" --binfmt "$run"
else
	ln -s "$native"/lanthorn* "$run/"
	rm "$run/lanthorn-agent"
	printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$run/qemu" "$cross/$arch/lanthorn-agent" \
		>"$run/lanthorn-agent"
	chmod +x "$run/lanthorn-agent"
	set -- env ONLY_AGENT=1
fi
rc=0
NATIVE=$native BUILD=$run DEMO=${DEMO:-$top/build/demo} timeout -k 10 400 "$@" \
	"$top/tests/cross/flow.py" >"$results/flow.tap" 2>"$results/flow.log" </dev/null || rc=$?
said=$(grep -E '^(not )?ok ' "$results/flow.tap") || :
while read -r line; do
	case $line in
	'ok '*) point ok "flow: ${line#*- }" ;;
	'not ok '*) point "not ok" "flow: ${line#*- }" "$results/flow.tap" "$results/flow.log" ;;
	esac
done <<EOF
$said
EOF
[ $rc -eq 0 ] || [ $failed -ne 0 ] || point "not ok" "flow" "$results/flow.log"
finish
