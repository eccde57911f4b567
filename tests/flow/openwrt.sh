#!/bin/sh
# The packages for OpenWrt: their Makefile is evaluated against stubs of OpenWrt's rules and installs
# into a folder, where the init scripts and the converter run under busybox ash, with a uci, rc.common
# and procd that stand for OpenWrt's (tests/data/openwrt). Prints TAP.
# shellcheck disable=SC2317 # run calls them
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/asan}
stubs=$top/tests/data/openwrt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
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
same() { # EXPECTED GOT
	[ "$1" = "$2" ] || { printf 'expected:\n%s\ngot:\n%s\n' "$1" "$2" && return 1; }
}

# ---- packages ----

package() { # TARGET
	make -s -C "$top/packaging/openwrt/lanthorn" TOPDIR="$stubs" DEST="$root" \
		PKG_INSTALL_DIR="$folder/built" PKG_BUILD_DIR="$top" "$1"
}
installed() {
	make -s -C "$build" install DESTDIR="$folder/built" prefix=/usr >"$folder/make" 2>&1 ||
		{ tail "$folder/make" && return 1; }
	package install-lanthorn && [ ! -e "$root/usr/libexec/lanthorn/lanthorn-dns" ] &&
		package install-lanthorn-dns && package install-lanthorn-agent || return 1
	for file in usr/sbin/lanthornd usr/bin/lanthornctl usr/bin/lanthorn-agent \
		etc/init.d/lanthorn etc/init.d/lanthorn-agent usr/libexec/lanthorn/lanthorn-steward \
		usr/libexec/lanthorn/lanthorn-hook usr/libexec/lanthorn/lanthorn-dns; do
		[ -x "$root/$file" ] || { echo "no $file" && return 1; }
	done
	[ -s "$root/etc/config/lanthorn" ] && [ -s "$root/etc/config/lanthorn-agent" ]
}
described() {
	version=$(sed -n 's/^AC_INIT(\[lanthorn\], \[\(.*\)\])/\1/p' "$top/configure.ac")
	package show-source | grep -q "^lanthorn $version lanthorn-$version.tar.xz MIT .*--libexecdir" ||
		return 1
	for word in +lanthorn-dns +uacme +libuv +libopenssl +libnghttp2 +zlib +libyaml +libsqlite3 +jansson +libcurl +libqrencode \
		lanthorn-acme:lanthorn-acme; do
		package show-lanthorn | grep -qF -e "$word" || { echo "no $word" && return 1; }
	done
	package show-lanthorn-agent | grep -q '|+libopenssl +libnghttp2|lanthorn-agent:lanthorn-agent|' &&
		package show-scripts | grep -v -e --- | busybox ash -n || return 1
	# What an upgrade of a package keeps is what sysupgrade keeps, and the state is in it.
	for file in /etc/config/lanthorn /etc/lanthorn/ /etc/config/lanthorn-agent /etc/lanthorn-agent/; do
		case " $(package show-conffiles | tr '\n' ' ') " in
		*" $file "*) ;;
		*) echo "$file is not kept" && return 1 ;;
		esac
	done
	same "/etc/lanthorn/ /etc/lanthorn-agent/" "$(cat "$root/lib/upgrade/keep.d/lanthorn" \
		"$root/lib/upgrade/keep.d/lanthorn-agent" | tr '\n' ' ' | sed 's/ $//')"
}
fed() {
	version=$(sed -n 's/^PKG_VERSION:=//p' "$top/packaging/openwrt/lanthorn/Makefile")
	echo archive >"$folder/lanthorn-$version.tar.xz"
	"$top/packaging/openwrt/feed.sh" "$folder/feed" "$folder/lanthorn-$version.tar.xz" || return 1
	grep -q "^PKG_HASH:=$(sha256sum <"$folder/lanthorn-$version.tar.xz" | cut -d' ' -f1)\$" \
		"$folder/feed/lanthorn/Makefile" && [ -s "$folder/feed/lanthorn/lanthorn-$version.tar.xz" ] &&
		! "$top/packaging/openwrt/feed.sh" "$folder/feed" "$folder/make"
}

# ---- a router ----

make_router() {
	mkdir -p "$folder/bin" "$root/lib/functions" "$root/tmp"
	busybox --install -s "$folder/bin"
	ln -s "$stubs/uci" "$folder/bin/uci"
	for stub in "$folder/bin/logger" "$folder/bin/chown" "$root/etc/init.d/dnsmasq" \
		"$root/etc/init.d/uhttpd"; do
		printf '#!/bin/sh\necho "%s $*" >>"%s/log"\n' "${stub##*/}" "$folder" >"$folder/new"
		chmod +x "$folder/new"
		mv "$folder/new" "$stub"
	done
	# shellcheck disable=SC2016 # for the router
	echo 'network_get_ipaddr() { [ "$2" = lan ] && eval "$1=192.168.1.1"; }' \
		>"$root/lib/functions/network.sh"
	sed -i "1s|.*|#!$(command -v busybox) ash|" "$root"/usr/share/lanthorn*/lanthorn-uci2conf
	python3 -c 'import sys' && fresh
}
fresh() { # the configuration of a router as it comes
	rm -rf "$root/tmp/.uci" "${root:?}/var" "$folder/log" "$folder/procd"
	: >"$folder/log"
	: >"$folder/procd"
	cat >"$root/etc/config/dhcp" <<-END
		config dnsmasq
			option domain 'lan'
			list rebind_domain 'mine.example.net'
			list address '/mine.example.net/192.168.1.9'
	END
	cat >"$root/etc/config/uhttpd" <<-END
		config uhttpd 'main'
			list listen_http '0.0.0.0:80'
			list listen_http '[::]:80'
			list listen_https '0.0.0.0:443'
			list listen_https '[::]:443'
	END
	cat >"$root/etc/config/lanthorn" <<-END
		config gateway 'main'
			option enabled '1'
			option domain 'home.example.com'
			option interface 'br-lan'
		config dns
			option provider 'exec'
			option command '/etc/lanthorn/plugin.sh'
	END
}
router() { # COMMAND…, as on the router
	env -i PATH="$folder/bin:/usr/bin:/bin" UCI_ROOT="$root" IPKG_INSTROOT="$root" \
		PROCD_LOG="$folder/procd" PROCD_RUNNING="${running-}" "$@"
}
service() { # ACTION
	router busybox ash "$stubs/rc.common" "$root/etc/init.d/${name-lanthorn}" "$@"
}
convert() {
	router "$root/usr/share/lanthorn/lanthorn-uci2conf" gateway
}
uci() {
	router uci -q "$@"
}
conf=$root/var/etc/lanthorn/gateway.yaml

# ---- the converter ----

# SECTION KEY of the reference; examples of settings are no keys.
keys_of_reference() {
	"$root/usr/sbin/lanthornd" --print-schema | awk '
		/^#?[a-z_]+:/ { top = 1; settings = 0 }
		/^#[a-z_]+:/ { sub(/^#/, ""); sub(/:.*/, ""); print "gateway", $0; next }
		/^[a-z_]+:/ { sub(/:.*/, ""); section = $0; next }
		section == "devices" && /^  #(- |  )[a-z_]+:/ {
			sub(/^  #(- |  )/, ""); sub(/:.*/, ""); print "device", $0; next }
		/^  #[a-z_]+:/ { sub(/^  #/, ""); sub(/:.*/, "");
			print section, ($0 == "settings" ? "setting" : $0) }' | sort
}
every_key_has_an_option() {
	same "$(keys_of_reference)" "$("$root/usr/share/lanthorn/lanthorn-uci2conf" --rows |
		awk '$3 != "own" { print $1, $2 }' | sort)"
}
every_option_arrives() {
	cp "$stubs/every.config" "$root/etc/config/lanthorn"
	"$root/usr/share/lanthorn/lanthorn-uci2conf" --rows | while read -r type option _; do
		# An interface goes with automatic addresses only; the defaults have it.
		case $type.$option in router.* | gateway.interface) continue ;; esac
		awk -v type="$type" -v option="$option" '$1 == "config" { at = $2 }
			at == type && $2 == option { found = 1 } END { exit !found }' \
			"$stubs/every.config" || { echo "no $type.$option in every.config" && exit 1; }
	done || return 1
	convert >"$folder/every.yaml" && diff "$stubs/every.yaml" "$folder/every.yaml" &&
		"$root/usr/sbin/lanthornd" --check --config "$folder/every.yaml"
}
defaults_fit_a_router() {
	fresh
	convert >"$folder/small.yaml" || return 1
	"$root/usr/sbin/lanthornd" --check --config "$folder/small.yaml" || return 1
	for line in 'interface: "br-lan"' '  http_port: "0"' 'state_dir: "/etc/lanthorn/state"' '  uacme: "/usr/sbin/uacme"'; do
		grep -qxF "$line" "$folder/small.yaml" || { echo "no $line" && return 1; }
	done
}
refused() { # MESSAGE LINE…
	fresh
	message=$1
	shift
	printf '%s\n' "$@" >>"$root/etc/config/lanthorn"
	code=0
	convert >"$folder/out" 2>"$folder/why" || code=$?
	if same 78 "$code" && grep -qF "/etc/config/lanthorn: $message" "$folder/why"; then return; fi
	cat "$folder/why"
	return 1
}
mistakes_are_named() {
	refused "no such option in config acme: emial" "config acme" "option emial 'x'" &&
		refused "no such section: config acne" "config acne 'a'" &&
		refused "config dns stands there twice" "config dns" "option ttl '60s'" &&
		refused "acme.email: one value is meant" "config acme" "list email 'a'" "list email 'b'" &&
		refused "device.public: 1 or 0 is meant, not maybe" "config device" "option public 'maybe'" &&
		refused "a config device is empty" "config device 'tv'" || return 1
	fresh
	printf "\tlist setting 'zone'\n" >>"$root/etc/config/lanthorn"
	! convert 2>"$folder/why" && grep -qF "NAME=VALUE is meant, not zone" "$folder/why"
}

# ---- the service ----

nothing_starts_unless_enabled() {
	fresh
	cp "$top/packaging/openwrt/lanthorn/files/lanthorn.config" "$root/etc/config/lanthorn"
	service start && same "" "$(cat "$folder/procd" "$folder/log")"
}
uhttpd_is_asked_about() {
	fresh
	! service start 2>"$folder/why" && grep -q "443 is uhttpd's; run: .* setup" "$folder/why" || return 1
	before=$(cat "$root/etc/config/uhttpd")
	! echo n | service setup && ! service setup </dev/null || return 1
	same "$before" "$(cat "$root/etc/config/uhttpd")" || return 1
	echo y | service setup || return 1
	same "0.0.0.0:8443 [::]:8443" "$(uci get uhttpd.main.listen_https)" &&
		same "0.0.0.0:80 [::]:80" "$(uci get uhttpd.main.listen_http)" &&
		grep -q 'uhttpd restart' "$folder/log" && [ ! -e "$root/tmp/.uci/uhttpd" ] &&
		service setup | grep -q 'is free'
}
it_starts() {
	service start || { cat "$folder/log" && return 1; }
	grep -qxF "command $root/usr/sbin/lanthornd --config $conf" "$folder/procd" &&
		grep -q '^no_new_privs 1' "$folder/procd" && [ -s "$conf" ] &&
		"$root/usr/sbin/lanthornd" --check --config "$conf"
}
dnsmasq_knows() {
	same "mine.example.net home.example.com" "$(uci get 'dhcp.@dnsmasq[0].rebind_domain')" &&
		same "/mine.example.net/192.168.1.9 /home.example.com/192.168.1.1" \
			"$(uci get 'dhcp.@dnsmasq[0].address')" && [ ! -e "$root/tmp/.uci/dhcp" ] || return 1
	service start # again: nothing twice, and no second reload
	same 1 "$(grep -c 'dnsmasq reload' "$folder/log")" &&
		same "mine.example.net home.example.com" "$(uci get 'dhcp.@dnsmasq[0].rebind_domain')"
}
a_mistake_stops_nothing() {
	running=1
	before=$(cat "$conf")
	: >"$folder/procd"
	uci set lanthorn.main.domain='not a name' && uci commit lanthorn
	! service reload 2>"$folder/why" && grep -q 'domain' "$folder/why" || return 1
	same "$before" "$(cat "$conf")" && same "" "$(cat "$folder/procd")"
}
a_change_is_told() {
	running=1
	uci set lanthorn.main.domain=new.example.com && uci commit lanthorn
	service reload && grep -qxF 'signal lanthorn * HUP' "$folder/procd" &&
		same "mine.example.net new.example.com" "$(uci get 'dhcp.@dnsmasq[0].rebind_domain')" &&
		grep -q '^domain: "new.example.com"' "$conf"
}
going_down_keeps_entries() {
	service shutdown && grep -qx kill "$folder/procd" &&
		same "mine.example.net new.example.com" "$(uci get 'dhcp.@dnsmasq[0].rebind_domain')"
}
stop_takes_them_back() {
	service stop && same mine.example.net "$(uci get 'dhcp.@dnsmasq[0].rebind_domain')" &&
		same /mine.example.net/192.168.1.9 "$(uci get 'dhcp.@dnsmasq[0].address')"
}
what_was_there_stays() {
	fresh
	uci delete uhttpd.main.listen_https && uci commit uhttpd
	uci add_list 'dhcp.@dnsmasq[0].rebind_domain=home.example.com' && uci commit dhcp
	service start && service stop &&
		same "mine.example.net home.example.com" "$(uci get 'dhcp.@dnsmasq[0].rebind_domain')"
}
# What the package's own script does, as opkg calls it.
prerm() { # PKG_UPGRADE
	package show-prerm | sed 's|/etc/init.d/lanthorn release|echo released|' >"$folder/prerm"
	router env IPKG_INSTROOT= PKG_UPGRADE="$1" busybox ash "$folder/prerm"
}
only_removal_releases() {
	same "" "$(prerm 1)" && same released "$(prerm 0)"
}
release_gives_the_port_back() {
	fresh
	echo y | service setup && service start && service release || return 1
	same "0.0.0.0:443 [::]:443" "$(uci get uhttpd.main.listen_https)" &&
		! grep -q router "$root/etc/config/lanthorn" &&
		! grep -q home.example.com "$root/etc/config/dhcp"
}

# ---- the agent ----

agent() {
	name=lanthorn-agent service "$@"
}
agent_starts_as_its_user() {
	fresh
	cat >"$root/etc/config/lanthorn-agent" <<-END
		config agent
			option enabled '1'
			option service '127.0.0.1:8080'
			option state '$root/agent-state'
			option link 'h1'
			option spares '1'
			option connections '4'
			option log 'json'
			option level 'debug'
	END
	agent start || return 1
	grep -qx 'user lanthorn-agent' "$folder/procd" &&
		grep -q "command .*/usr/bin/lanthorn-agent --config .*/lanthorn-agent.conf run" "$folder/procd" &&
		grep -q "chown lanthorn-agent:lanthorn-agent $root/agent-state" "$folder/log" || return 1
	same "$(grep -c '^#[a-z]' "$top/conf/agent.conf")" "$(grep -vc '^#' "$root/var/etc/lanthorn-agent.conf")" ||
		return 1
	for key in service state link spares connections log level; do
		grep -q "^#$key " "$top/conf/agent.conf" || { echo "$key is no key" && return 1; }
		grep -q "^$key " "$root/var/etc/lanthorn-agent.conf" || { echo "no $key" && return 1; }
	done
	# Every line is understood: it gets as far as not being enrolled.
	agent status 2>&1 | grep -i enrol
}
agent_mistakes_are_named() {
	uci set 'lanthorn-agent.@agent[0].servcie=x' && uci commit lanthorn-agent
	: >"$folder/procd"
	! agent start 2>"$folder/why" && grep -q 'no such option in config agent: servcie' "$folder/why" &&
		same "" "$(cat "$folder/procd")"
}

echo "1..21"
run "the packages install" installed
[ $failed -eq 0 ] || exit 1
run "the packages say what they need" described
run "feed.sh makes a feed with archive and hash" fed
run "a router is there" make_router
run "every key of gateway.yaml has an option" every_key_has_an_option
run "every option arrives, quoted, and passes --check" every_option_arrives
run "defaults fit a router: state on flash, :80 left alone" defaults_fit_a_router
run "mistakes are named" mistakes_are_named
run "nothing starts unless enabled" nothing_starts_unless_enabled
run "uhttpd is moved from :443 only after asking" uhttpd_is_asked_about
run "it starts" it_starts
run "dnsmasq gets its entries, once" dnsmasq_knows
run "a mistake stops nothing that runs" a_mistake_stops_nothing
run "a change is told to it and to dnsmasq" a_change_is_told
run "going down with the router keeps the entries" going_down_keeps_entries
run "stop takes them back" stop_takes_them_back
run "what was there before stays" what_was_there_stays
run "an upgrade of the package takes nothing back, its removal does" only_removal_releases
run "release gives uhttpd its port back" release_gives_the_port_back
run "the agent starts as its user, with every option" agent_starts_as_its_user
run "the agent's mistakes are named" agent_mistakes_are_named
exit $failed
