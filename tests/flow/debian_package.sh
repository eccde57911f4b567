#!/bin/sh
# The Debian packages are built, and installed, started, used, upgraded, removed and purged in a small
# Debian of their own, where systemd runs as process 1 in namespaces of its own: so the units' sandbox
# is the real one. The name server, the authority and the browser run beside it, in its network.
# Prints TAP. Needs root and Debian's mirror; the base system is kept in the build folder.
# shellcheck disable=SC2317,SC2016,SC1091 # run calls them; some dollars are for inside; a file of the lab
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/asan}
packages=${build%/*}/debian

# In namespaces of our own: a throw-away layer over the base system, and in it process 1.
boot() { # FOLDER BASE DEBS
	layer=$1/layer root=$1/layer/root
	mount --make-rprivate /
	mount -t tmpfs tmpfs "$layer"
	mkdir "$layer/upper" "$layer/work" "$root"
	mount -t overlay overlay -o "lowerdir=$2,upperdir=$layer/upper,workdir=$layer/work" "$root"
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount --bind /dev "$root/dev"
	for dir in run tmp sys/fs/cgroup; do mount -t tmpfs tmpfs "$root/$dir"; done
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		umount "$root/sys/fs/cgroup"
		mount -t cgroup2 none "$root/sys/fs/cgroup"
	else
		mkdir "$root/sys/fs/cgroup/unified" "$root/sys/fs/cgroup/systemd"
		mount -t cgroup2 none "$root/sys/fs/cgroup/unified"
		mount -t cgroup -o none,name=systemd none "$root/sys/fs/cgroup/systemd"
	fi
	cp "$3"/lanthorn_*.deb "$3"/lanthorn-agent_*.deb "$root/srv"
	ip link set lo up
	cd "$root"
	pivot_root . mnt
	exec env -i container=lanthorn PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . sh -c 'umount -l /mnt
		exec /lib/systemd/systemd --unit=multi-user.target --log-target=console --show-status=0'
}
if [ "${1-}" = --boot ]; then
	shift
	boot "$@"
fi

echo "1..17"
if [ "$(id -u)" -ne 0 ]; then
	for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do echo "ok $number # SKIP needs root"; done
	exit 0
fi
folder=$(mktemp -d)
mkdir "$folder/layer"
booted='' device=''
finish() {
	[ ! -d "$folder/lab" ] || "$top/packaging/demo/lab.sh" stop "$folder/lab" || :
	[ -z "$device" ] || kill "$device" 2>/dev/null || :
	[ -z "$booted" ] || kill -KILL "$booted" 2>/dev/null || :
	wait
	rm -rf "$folder"
}
trap finish EXIT
trap 'exit 143' TERM INT

number=0 failed=0
run() { # WHAT COMMAND…: one test; what it said goes to stderr
	number=$((number + 1)) rc=0
	what=$1
	shift
	"$@" >"$folder/said" 2>&1 || rc=$?
	if [ $rc -eq 0 ]; then echo "ok $number - $what" && return; fi
	echo "not ok $number - $what"
	sed "s/^/$number: /" "$folder/said" >&2
	failed=1
}
inside() { # COMMAND…, where process 1 runs
	nsenter -t "$first" -m -p -n -u -i -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}
beside() { # COMMAND…, a program of this system in that network
	nsenter -t "$first" -n "$@"
}
soon() { # COMMAND…: it succeeds within 40 s
	for _ in $(seq 200); do
		if "$@" >"$folder/last" 2>&1; then return; fi
		sleep 0.2
	done
	cat "$folder/last"
	return 1
}

# ---- base system ----

base_system() {
	base=$packages/base
	wanted=ca-certificates,systemd,systemd-sysv,uacme,libuv1,libnghttp2-14,libyaml-0-2,libsqlite3-0
	wanted=$wanted,libjansson4,libcurl4,libqrencode4,libssl3
	[ "$(cat "$base/made-of" 2>/dev/null)" != "$wanted" ] || return 0
	rm -rf "$base" || return 1
	# Nobody waits for this disk: what a crash leaves is made anew.
	DPKG_FORCE=unsafe-io debootstrap --variant=minbase --include="$wanted" bookworm "$base" >"$folder/debootstrap" \
		2>&1 || { tail -n 20 "$folder/debootstrap" && return 1; }
	echo "$wanted" >"$base/made-of"
}
booted() {
	unshare -m -p -n -u -i -C --fork --kill-child "$0" --boot "$folder" "$packages/base" \
		"$packages" >"$folder/console" 2>&1 </dev/null &
	booted=$!
	first=
	for _ in $(seq 100); do
		first=$(cat "/proc/$booted/task/$booted/children" 2>/dev/null) && first=${first% }
		[ -z "$first" ] || [ "$(cat "/proc/$first/comm")" != systemd ] || break
		sleep 0.1
	done
	soon inside systemctl is-active multi-user.target || { cat "$folder/console" && return 1; }
}

# ---- packages ----

# What the base system has, but for logs, dpkg's own books and the users.
files() {
	inside find /etc /usr /lib /bin /sbin /var /run /opt /srv /root -xdev ! -type d |
		grep -vE '^/var/(lib/(dpkg|systemd)|log|cache|tmp)/|^/run/systemd/|^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$' |
		grep -vE '^/etc/(\.pwd\.lock|machine-id)$' | sort
	inside find /etc /usr /var /run -xdev -type d -name '*lanthorn*' ! -path '*/systemd*'
}
install() {
	inside sh -c 'dpkg -i /srv/*.deb'
}
properties() { # UNIT NAME
	inside systemctl show -P "$2" "$1"
}
not_started_without_a_domain() {
	[ "$(properties lanthornd.service ActiveState)" = inactive ] &&
		! inside lanthornd --check &&
		[ "$(inside systemctl is-enabled lanthornd)" = disabled ] &&
		[ "$(inside systemctl is-enabled lanthorn-agent)" = enabled ] &&
		[ "$(properties lanthorn-agent.service ConditionResult)" = no ]
}
lab_started() {
	beside "$top/packaging/demo/lab.sh" start "$folder/lab" && . "$folder/lab/env"
}
configured() {
	inside sh -c 'cat >/etc/lanthorn/ca.pem' <"$LAB_ACME_CA"
	inside install -m 400 -o lanthorn-acme /dev/stdin /etc/lanthorn/secrets/tsig \
		<"$LAB_TSIG_SECRET_FILE"
	inside sh -c 'cat >/etc/lanthorn/gateway.yaml' <<END
domain: $LAB_DOMAIN
addresses: [127.0.0.1]
acme:
  directory: $LAB_ACME_DIRECTORY
  ca_file: /etc/lanthorn/ca.pem
dns:
  provider: rfc2136
  ttl: 1s
  resolvers: ["127.0.0.1:$LAB_DNS_PORT"]
  query_port: $LAB_DNS_PORT
  settings:
    server: 127.0.0.1:$LAB_DNS_PORT
    tsig_name: $LAB_TSIG_NAME
    tsig_algorithm: $LAB_TSIG_ALGORITHM
    tsig_secret_file: /etc/lanthorn/secrets/tsig
END
	inside lanthornd --check
}
started() {
	inside systemctl enable --now lanthornd && soon inside lanthornctl status
}
pid_of() { # USER: of the gateway's process that runs as it
	inside sh -c 'for p in $(cat /sys/fs/cgroup/*/system.slice/lanthornd.service/cgroup.procs \
		/sys/fs/cgroup/system.slice/lanthornd.service/cgroup.procs 2>/dev/null); do
		[ "$(stat -c %U /proc/$p)" != '"$1"' ] || echo $p; done' | sort -nu | head -n 1
}
status_of() { # USER FIELD
	inside awk -v field="$2:" '$1 == field { print $2 }' "/proc/$(pid_of "$1")/status"
}
bounded() {
	for user in lanthornd lanthorn lanthorn-acme; do
		[ "$(status_of "$user" NoNewPrivs)" = 1 ] || { echo "$user: privileges"; return 1; }
		[ "$(status_of "$user" Seccomp)" = 2 ] || { echo "$user: no filter"; return 1; }
		caps=0000000000000000
		[ "$user" != lanthornd ] || caps=00000000000000e0 # kill, setgid, setuid
		[ "$(status_of "$user" CapEff)" = "$caps" ] ||
			{ echo "$user: $(status_of "$user" CapEff)"; return 1; }
	done
	for folder_of in /usr /etc /var/lib /root; do
		! inside nsenter -t "$(pid_of lanthornd)" -m touch "$folder_of/x" || return 1
	done
}
shows() { # TEXT COMMAND…
	text=$1
	shift
	"$@" >"$folder/shown" 2>&1
	cat "$folder/shown"
	grep -q -e "$text" "$folder/shown"
}
has_a_certificate() {
	soon shows 'valid until' inside lanthornctl status
}
agent_links() {
	! inside sh -c 'echo nonsense | lanthorn-agent enrol' || return 1
	mkdir "$folder/page"
	echo "a device's own page" >"$folder/page/index.html"
	beside python3 -m http.server --bind 127.0.0.1 --directory "$folder/page" 8080 \
		>"$folder/device.log" 2>&1 &
	device=$!
	inside sh -c 'echo service 127.0.0.1:8080 >/etc/lanthorn/agent.conf'
	inside lanthornctl pair tv | grep -o 'lt1\.[A-Za-z0-9_-]*' | head -n 1 |
		inside lanthorn-agent enrol || return 1
	inside systemctl start lanthorn-agent
	[ "$(inside stat -c '%a %U' /var/lib/lanthorn-agent)" = "700 lanthorn-agent" ] &&
		[ "$(inside stat -c %U "/proc/$(properties lanthorn-agent.service MainPID)")" = lanthorn-agent ]
}
browse() { # [SETUP-LINK]
	beside python3 "$top/tests/flow/packaged.py" "$LAB_CA" "$LAB_DOMAIN" "$folder/jar" "$@"
}
signed_in() {
	link=$(inside lanthornctl setup | grep -o 'https://[^ ]*setup?token=[A-Za-z0-9_-]*') || return 1
	soon shows 'linked' inside journalctl -u lanthorn-agent --no-pager && browse "$link"
}

# The same packages under a later version.
made_newer() {
	for deb in "$packages"/lanthorn_*.deb "$packages"/lanthorn-agent_*.deb; do
		rm -rf "$folder/newer"
		dpkg-deb -R "$deb" "$folder/newer" || return 1
		sed -i 's/^Version: .*/&+newer/' "$folder/newer/DEBIAN/control"
		dpkg-deb -b "$folder/newer" "$folder/newer.deb" || return 1
		inside sh -c 'mkdir -p /srv/newer; cat >/srv/newer/'"${deb##*/}" <"$folder/newer.deb"
	done
}
main_pids() {
	properties lanthornd.service MainPID
	properties lanthorn-agent.service MainPID
}
sum_of_state() {
	inside sh -c 'cat /var/lib/lanthorn/gate/device-ca.pem /etc/lanthorn/gateway.yaml \
		/etc/lanthorn/agent.conf /var/lib/lanthorn-agent/*.pem' | sha256sum
}
upgraded() {
	made_newer || return 1
	before=$(sum_of_state) old=$(main_pids)
	inside sh -c 'dpkg -i /srv/newer/*.deb' || return 1
	for package in lanthorn lanthorn-agent; do
		shows '+newer$' inside dpkg-query -W -f '${Version}' "$package" || return 1
	done
	soon inside lanthornctl status || return 1
	new=$(main_pids)
	for pid in $new; do
		case " $(echo "$old" | tr '\n' ' ') 0 " in
		*" $pid "*) echo "an old one runs, or none: $old, $new" && return 1 ;;
		esac
	done
	[ "$(sum_of_state)" = "$before" ]
}
still_signed_in() {
	soon browse
}
removed() {
	inside dpkg -r lanthorn lanthorn-agent || return 1
	[ "$(properties lanthornd.service ActiveState)" = inactive ] || return 1
	! inside test -e /usr/sbin/lanthornd && inside test -s /var/lib/lanthorn/gate/gate.db &&
		inside test -s /etc/lanthorn/secrets/tsig
}
purged() {
	inside rm -r /srv/newer /etc/lanthorn/ca.pem # what the test has put there
	inside dpkg -P lanthorn lanthorn-agent && files >"$folder/after" || return 1
	diff "$folder/before" "$folder/after"
}

run "the packages are built" "$top/packaging/debian/build.sh" "$packages"
# The project has no mail address to show.
run "lintian has nothing to say" lintian --allow-root --fail-on error,warning,info \
	--suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$packages"/lanthorn_*.changes
run "a small Debian is there" base_system
run "it boots" booted
[ $failed -eq 0 ] || exit 1
files >"$folder/before"
run "the packages are installed" install
run "nothing runs before there is a domain or an enrolment" not_started_without_a_domain
run "a name server and an authority are there" lab_started
run "a domain makes the configuration whole" configured
run "the gateway runs as a service and answers" started
run "each process is bounded" bounded
run "a certificate comes from an authority of one's own" has_a_certificate
run "an agent enrols and runs as its user" agent_links
run "the first account signs in and opens the device" signed_in
run "an upgrade starts both anew and keeps state and configuration" upgraded
run "the browser is signed in still" still_signed_in
run "removal stops it and keeps the state" removed
run "purge leaves no file" purged
[ $failed -eq 0 ] || inside journalctl -u lanthornd --no-pager -n 80 >&2 || tail -n 60 "$folder/console" >&2
exit $failed
