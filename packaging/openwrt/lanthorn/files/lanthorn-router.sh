#!/bin/sh
# What the gateway changes in the router's own services: entries of dnsmasq, and uhttpd's port once
# its owner has agreed. Each change is noted in the section `router` of /etc/config/lanthorn first, so
# that exactly this is taken back, and what was there before stays.
newline='
'

has() { # OPTION VALUE
	uci -q -d "$newline" get "$1" | grep -qxF -e "$2"
}
note() { # OPTION VALUE
	uci -q get lanthorn.router >/dev/null || uci set lanthorn.router=router
	has "lanthorn.router.$1" "$2" || uci add_list "lanthorn.router.$1=$2"
	uci commit lanthorn
}
noted() { # OPTION: one value a line
	uci -q -d "$newline" get "lanthorn.router.$1"
}
forget() { # OPTION
	uci -q delete "lanthorn.router.$1"
	[ -n "$(noted rebind_domain)$(noted address)$(noted uhttpd)" ] ||
		uci -q delete lanthorn.router
	uci commit lanthorn
}
service_do() { # SERVICE ACTION
	[ ! -x "$IPKG_INSTROOT/etc/init.d/$1" ] || "$IPKG_INSTROOT/etc/init.d/$1" "$2"
}

# ---- dnsmasq ----

# The names resolve although their address is a private one, and without the Internet too.
dnsmasq_add() { # DOMAIN ADDRESS…
	uci -q get 'dhcp.@dnsmasq[0]' >/dev/null || return 0
	domain=$1 changed=
	shift
	dnsmasq_entry rebind_domain "$domain"
	for address in "$@"; do dnsmasq_entry address "/$domain/$address"; done
	[ -z "$changed" ] || dnsmasq_commit
}
dnsmasq_entry() { # OPTION VALUE
	! has "dhcp.@dnsmasq[0].$1" "$2" || return 0
	note "$1" "$2"
	uci add_list "dhcp.@dnsmasq[0].$1=$2"
	changed=1
}
dnsmasq_commit() {
	uci commit dhcp
	service_do dnsmasq reload
}
dnsmasq_remove() {
	[ -n "$(noted rebind_domain)$(noted address)" ] || return 0
	for option in rebind_domain address; do
		noted $option | while IFS= read -r value; do
			uci -q del_list "dhcp.@dnsmasq[0].$option=$value"
		done
	done
	dnsmasq_commit
	forget rebind_domain
	forget address
}

# ---- uhttpd ----

# Lines SECTION|LISTEN of uhttpd's HTTPS at this port.
uhttpd_at() { # PORT
	index=0
	while uci -q get "uhttpd.@uhttpd[$index]" >/dev/null; do
		uci -q -d "$newline" get "uhttpd.@uhttpd[$index].listen_https" |
			grep -e ":$1\$" | sed "s/^/@uhttpd[$index]|/"
		index=$((index + 1))
	done
}
uhttpd_replace() { # SECTION OLD NEW
	uci -q del_list "uhttpd.$1.listen_https=$2"
	uci add_list "uhttpd.$1.listen_https=$3"
}
uhttpd_move() { # FROM-PORT TO-PORT
	uhttpd_at "$1" | while IFS='|' read -r section listen; do
		moved=${listen%:*}:$2
		note uhttpd "$section|$listen|$moved"
		uhttpd_replace "$section" "$listen" "$moved"
	done
	uci commit uhttpd
	service_do uhttpd restart
}
uhttpd_back() {
	[ -n "$(noted uhttpd)" ] || return 0
	noted uhttpd | while IFS='|' read -r section listen moved; do
		! has "uhttpd.$section.listen_https" "$moved" ||
			uhttpd_replace "$section" "$moved" "$listen"
	done
	uci commit uhttpd
	service_do uhttpd restart
	forget uhttpd
}
