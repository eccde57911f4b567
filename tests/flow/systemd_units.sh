#!/bin/sh
# The units are in order and as tight as promised; prints TAP. debian_package.sh installs and runs them.
# shellcheck disable=SC2317 # run calls them
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/asan}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
number=0 failed=0
result() { # EXIT-CODE WHAT
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; failed=1; fi
}
run() { # WHAT COMMAND…: one test; what it said goes to stderr
	what=$1 rc=0
	shift
	"$@" >"$folder/said" 2>&1 || rc=$?
	[ $rc -eq 0 ] || cat "$folder/said" >&2
	result $rc "$what"
}

fill() { # FILE: with its paths, as make does it
	sed -e "s|@bindir@|$build|g" -e "s|@sbindir@|$build|g" -e "s|@sysconfdir@|/etc|g" \
		-e "s|@localstatedir@|/var|g" "$top/packaging/systemd/$1.in" >"$folder/$1"
}

# verify also exits with 0 when it only warns.
verified() {
	systemd-analyze verify --man=no --recursive-errors=no "$folder/$1" >"$folder/out" 2>&1 || {
		cat "$folder/out"
		return 1
	}
	cat "$folder/out"
	! grep -q "$1" "$folder/out"
}

# Whether a bound can fail is shown by one that is a tenth lower.
exposed() { # UNIT TENTHS
	systemd-analyze security --offline=true --no-pager --threshold="$2" "$folder/$1"
}
tight() {
	exposed "$@" && ! exposed "$1" $(($2 - 1))
}

users_and_folders() {
	mkdir "$folder/root" && mkdir "$folder/root/etc" || return 1
	for name in sysusers sysusers-agent; do
		systemd-sysusers --root="$folder/root" "$top/packaging/systemd/$name.conf" || return 1
	done
	for name in tmpfiles tmpfiles-agent; do
		systemd-tmpfiles --root="$folder/root" --create "$folder/$name.conf" || return 1
	done
	(cd "$folder/root" && stat -c '%a %U %n' var/lib/lanthorn/* var/lib/lanthorn-agent \
		etc/lanthorn/secrets run/lanthorn/steward | awk '$1 != 700 { bad = 1 } { n++ }
		END { exit bad || n != 5 }')
}

for file in lanthornd.service lanthorn-agent.service tmpfiles.conf tmpfiles-agent.conf; do
	fill $file
done
echo "1..5"
run "lanthornd.service is in order" verified lanthornd.service
run "lanthorn-agent.service is in order" verified lanthorn-agent.service
run "lanthornd.service is exposed by 1.9, no more" tight lanthornd.service 19
run "lanthorn-agent.service is exposed by 1.1, no more" tight lanthorn-agent.service 11
run "users and folders are made, each folder for one user" users_and_folders
exit $failed
