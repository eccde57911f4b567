#!/bin/sh
# Keeps the walls of the tree: which layer may include which, where each third-party header lives,
# the sizes of files and functions, no time_t for a library, and no path of anybody's own machine. Prints TAP.
# Usage: tests/layers.sh [ROOT]; with --scan ROOT it only prints the violations.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# The files under a root: what git tracks, or everything outside build folders.
list_files() {
	if [ -e "$1/.git" ]; then
		(cd "$1" && git ls-files -co --exclude-standard | while IFS= read -r f; do
			[ ! -f "$f" ] || printf '%s\n' "$f"
		done)
	else
		(cd "$1" && find . -type f ! -path './build*' ! -path '*/node_modules/*' |
			sed 's|^\./||')
	fi
}

# Reads lines "file:line:#include …"; prints "includes:" and "homes:" violations.
check_includes() {
	awk -v libc="aio arpa/ asm/ assert byteswap ctype dirent dlfcn endian err errno execinfo \
fcntl fenv float fnmatch ftw getopt glob grp ifaddrs inttypes iso646 langinfo libgen limits link \
linux/ locale malloc math mntent net/ netdb netinet/ netpacket/ poll pthread pwd regex resolv \
sched semaphore setjmp shadow signal spawn stdalign stdarg stdatomic stdbool stddef stdint stdio \
stdlib stdnoreturn string strings sys/ syslog termios threads time ucontext unistd utime wchar \
wctype" '
	function layer_of(f) {
		if (f ~ /^tests\//) return "tests"
		if (f ~ /^src\/(main|parent|gate|steward)[._]/ || f ~ /^src\/worker/) return "top"
		if (f ~ /^src\/ctl/) return "ctl"
		if (f ~ /^src\/tools\//) return "tools"
		if (f ~ /^src\/[a-z]+\//) { sub(/^src\//, "", f); sub(/\/.*/, "", f); return f }
		if (f ~ /^acme\/hook/) return "hook"
		if (f ~ /^dns-plugins\/run/) return "run"
		if (f ~ /^dns-plugins\//) return "plugins"
		if (f ~ /^acme\//) return "acme"
		if (f ~ /^device-agent\//) return "agent"
		return "?"
	}
	BEGIN {
		n = split(libc, w, " "); for (i = 1; i <= n; i++) c_header[w[i]] = 1
		may["base"] = "base"
		may["net"] = "net base"
		may["store"] = "store base"
		may["http"] = "http base net"
		may["run"] = "dns-plugins/run base net"
		may["acme"] = "acme base net store dns-plugins/run.h"
		may["gate"] = "gate base net store http acme/schedule.h"
		may["steward"] = "steward base net store acme dns-plugins/run.h"
		may["admin"] = "admin base net store http gate acme/schedule.h"
		may["ctl"] = "base ctl"
		may["hook"] = "acme/hook base"
		may["tools"] = "base"
		may["ui"] = "gate/assets.h"
		may["plugins"] = "dns-plugins base net/dnsmsg.h net/crypto.h"
		may["agent"] = "device-agent base http/msg http/h1_parse.h http/h1_text.h http/h2_head.h http/h2_nva.h http/ws.h"
		home["uv"] = "^src/net/"
		home["openssl/"] = "^(src/net/(tls|crypto)|acme/jws|device-agent/tls_openssl|src/gate/(x509|ca|certs|jwt|password))"
		home["mbedtls/"] = "^device-agent/tls_mbedtls"
		home["curl/"] = "^(src/net/fetch|src/ctl|dns-plugins/http|acme/uacme_help)"
		home["yaml"] = "^src/store/yaml"
		home["sqlite3"] = "^src/store/"
		home["zlib"] = "^(src/gate/coder|src/http/h2_slot|tests/unit/test_coder)"
		home["brotli/"] = "^(src/gate/coder|tests/unit/test_coder)"
		home["nghttp2/"] = "^(src/http/h2|device-agent/h2)"
		home["jansson"] = "^(acme/(builtin|ari)|src/admin/|src/ctl|dns-plugins/http)"
		home["qrencode"] = "^src/ctl"
		home["fido"] = "^src/gate/passkey"
		home["cmocka"] = "^tests/(unit|replay)/"
	}
	function within(inc, list,   w, n, i) {
		n = split(list, w, " ")
		for (i = 1; i <= n; i++)
			if (inc == w[i] || index(inc, w[i] "/") == 1 || index(inc, w[i] ".") == 1 ||
			    index(inc, w[i] "_") == 1)
				return 1
		return 0
	}
	{
		f = $0; sub(/:.*/, "", f)
		at = $0; sub(/^[^:]*:/, "", at); sub(/:.*/, "", at)
		layer = layer_of(f)
		inc = $0; sub(/^[^#]*#[ \t]*include[ \t]*/, "", inc)
		quoted = substr(inc, 1, 1) == "\""
		inc = substr(inc, 2); sub(/[">].*/, "", inc)
		if (quoted) {
			if (layer == "tests" || layer == "top") next
			if (!within(inc, may[layer]))
				print "includes: " f ":" at ": " layer " may not include \"" inc "\""
			next
		}
		key = inc; sub(/\.h$/, "", key)
		dir = inc; if (!sub(/\/.*/, "/", dir)) dir = key
		if (key in c_header || dir in c_header) next
		if (!(dir in home)) { print "homes: " f ":" at ": <" inc "> has no home"; next }
		if (layer == "tests" && dir != "cmocka") next
		if (f !~ home[dir]) print "homes: " f ":" at ": <" inc "> lives elsewhere"
	}'
}

# Function bodies of K&R C: from "{" to "}", both at column 0.
check_functions() {
	awk 'FNR == 1 { start = 0 }
	/^\{/ { start = FNR }
	/^\}/ { if (start && FNR - start + 1 > 60)
			print "functions: " FILENAME ":" start ": " FNR - start + 1 " lines, 60 allowed"
		start = 0 }' "$@"
}

# Calls that hand a time_t to a library. Debian's 32-bit libraries have one of 32 bits, we one of 64
# (configure.ac): they would read half of it, or the next argument.
time_calls='\<(ASN1_(UTC|GENERALIZED)?TIME_(set|adj|cmp_time_t)|X509_(cmp_time|time_adj|time_adj_ex)|'
time_calls="${time_calls}X509_cmp_timeframe|X509_(STORE_CTX|VERIFY_PARAM)_[gs]et_time|"
time_calls="${time_calls}SSL_(SESSION_)?[gs]et_time|curl_getdate) *\\("

# Prints one line for each violation under the root $1, its kind first.
scan() {
	cd "$1"
	list_files . >"$tmp/all"
	grep -E '\.[ch]$' "$tmp/all" >"$tmp/c" || :
	grep -E '\.([ch]|py|sh|ts|tsx|js|mjs|css|html|sql|inc)$|^(tests/run|packaging/quickstart)$' \
		"$tmp/all" >"$tmp/code" || :
	if [ -s "$tmp/c" ]; then
		tr '\n' '\0' <"$tmp/c" | xargs -0 grep -HnE '^[[:space:]]*#[[:space:]]*include' |
			check_includes
		while IFS= read -r f; do check_functions "$f"; done <"$tmp/c"
		grep -v '^tests/flow/' "$tmp/c" | tr '\n' '\0' | xargs -0r grep -HnE "$time_calls" |
			sed 's/^/times: /' || :
	fi
	while IFS= read -r f; do
		n=$(wc -l <"$f")
		[ "$n" -le 600 ] || echo "sizes: $f: $n lines, 600 allowed"
	done <"$tmp/code"
	grep -v -e '\.png$' "$tmp/all" | tr '\n' '\0' | xargs -0 grep -HnIE \
		'(^|[^A-Za-z0-9._/-])/([h]ome/[a-z]+/|[U]sers/[a-z]+/|[w]ork/|[r]oot/|[t]mp/[bw]/)' |
		cut -c1-120 | sed 's/^/paths: /' || :
}

# A small tree that breaks every rule once; each rule must notice.
make_bad_tree() {
	mkdir -p "$1/src/base" "$1/src/gate"
	{
		echo '#include "net/loop.h"'
		echo '#include <uv.h>'
		echo '#include <zlib.h>'
		echo 'int64_t at = curl_getdate(text, NULL);'
		echo 'void f(void)'
		echo '{'
		yes '	f();' | head -n 59
		echo '}'
	} >"$1/src/base/bad.c"
	echo '#include "acme/schedule.h"' >"$1/src/gate/good.c"
	yes '/* */' | head -n 601 >"$1/src/base/long.h"
	printf 'see %s\n' "/$(printf home)/someone/notes" >"$1/README.md"
}

tap=0
failed=0
report() { # report "ok|not ok" NAME
	tap=$((tap + 1))
	echo "$1 $tap - $2"
	[ "$1" = ok ] || failed=1
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if [ "${1-}" = --scan ]; then
	scan "$2"
	exit 0
fi
root=${1-$here/..}
"$0" --scan "$root" >"$tmp/found"
make_bad_tree "$tmp/bad"
"$0" --scan "$tmp/bad" >"$tmp/selftest"
echo 1..12
for kind in includes homes functions sizes times paths; do
	if grep "^$kind: " "$tmp/found" | sed 's/^/# /' | grep .; then
		report 'not ok' "$kind"
	else
		report ok "$kind"
	fi
	if grep -q "^$kind: " "$tmp/selftest"; then
		report ok "a violation of $kind is noticed"
	else
		report 'not ok' "a violation of $kind is noticed"
	fi
done
grep -q 'good\.c' "$tmp/selftest" && failed=1
exit $failed
