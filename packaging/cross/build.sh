#!/bin/sh
# Builds the tree for another kind of machine, with Debian's cross compilers. What it links against
# comes from Debian, too, into a folder below the build folder; nothing of this system changes.
#
#   packaging/cross/build.sh aarch64|armhf|mipsel|s390x [MAKE ARGUMENT]…
#
# Without arguments it makes programs and tests. The programs are then in build/cross/ARCH, and what
# they are linked with in build/cross/sysroot/ARCH. LANTHORN_MIRROR names another mirror of Debian;
# CFLAGS, LDFLAGS, LANTHORN_OPTIONS (for configure) and LANTHORN_VARIANT make them otherwise, in
# build/cross/ARCH-VARIANT.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
release=bookworm
libraries="libc6-dev libuv1-dev libssl-dev libnghttp2-dev zlib1g-dev libyaml-dev libsqlite3-dev libjansson-dev"
libraries="$libraries libcurl4-openssl-dev libqrencode-dev libcmocka-dev"

usage() {
	sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
	exit 64
}
case ${1-} in
aarch64) debian=arm64 tuple=aarch64-linux-gnu ;;
armhf) debian=armhf tuple=arm-linux-gnueabihf ;;
mipsel) debian=mipsel tuple=mipsel-linux-gnu ;;
s390x) debian=s390x tuple=s390x-linux-gnu ;;
*) usage ;;
esac
arch=$1
shift
mkdir -p "${LANTHORN_BUILD:-$top/build}/cross/sysroot"
cross=$(cd "${LANTHORN_BUILD:-$top/build}/cross" && pwd)
sysroot=$cross/sysroot/$arch
jobs=$(getconf _NPROCESSORS_ONLN)

# apt's books, archives and lists, all of our own.
apt() {
	apt-get -q -y -o Dir::State="$books" -o Dir::Cache="$books" -o Dir::Etc="$books" \
		-o Dir::State::status="$books/status" -o APT::Architecture="$debian" \
		-o APT::Architectures="$debian" -o APT::Sandbox::User="" \
		-o Acquire::Languages=none "$@"
}

mirror() {
	if [ -n "${LANTHORN_MIRROR-}" ]; then echo "$LANTHORN_MIRROR" && return; fi
	# shellcheck disable=SC2016 # apt fills these in
	known=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		"Codename: $release" 'Component: main' 'Origin: Debian' 2>/dev/null | head -n 1)
	if [ -z "$known" ]; then
		echo "apt knows no mirror of Debian $release; name one in LANTHORN_MIRROR" >&2
		return 1
	fi
	echo "$known"
}

# The libraries of the other machine, unpacked but not installed: no script of theirs runs.
make_sysroot() {
	made_of="$release $libraries"
	[ "$(cat "$sysroot/made-of" 2>/dev/null)" != "$made_of" ] || return 0
	from=$(mirror)
	books=$cross/sysroot/$arch.apt
	rm -rf "$sysroot" "$books"
	mkdir -p "$sysroot/usr/lib" "$books/lists/partial" "$books/archives/partial" \
		"$books/preferences.d" "$books/apt.conf.d" "$books/trusted.gpg.d"
	: >"$books/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $release main" \
		>"$books/sources.list"
	apt update
	# shellcheck disable=SC2086 # words
	apt --no-install-recommends --download-only install $libraries
	ln -s usr/lib "$sysroot/lib"
	for package in "$books"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -xf - -C "$sysroot" \
			--keep-directory-symlink --no-same-owner --exclude='./usr/share/doc/*' \
			--exclude='./usr/share/man/*'
	done
	rm -rf "$books"
	echo "$made_of" >"$sysroot/made-of"
}

configure() {
	# 64-bit file positions and times, optimisation for the compiler's warnings, no debugging
	# information: the tests run, nobody steps through them here.
	set -- --quiet --host="$tuple" --enable-werror CC="$tuple-gcc --sysroot=$sysroot" \
		CFLAGS="${CFLAGS--O1}" LDFLAGS="${LDFLAGS-}" PKG_CONFIG=pkg-config PKG_CONFIG_LIBDIR="$(printf %s:%s \
			"$sysroot/usr/lib/$tuple/pkgconfig" "$sysroot/usr/share/pkgconfig")" \
		PKG_CONFIG_SYSROOT_DIR="$sysroot" --sysconfdir=/etc --localstatedir=/var "$@"
	# shellcheck disable=SC2086 # words
	set -- "$@" ${LANTHORN_OPTIONS-}
	[ ! -f Makefile ] || [ "$(cat options 2>/dev/null)" != "$*" ] || return 0
	"$top/configure" "$@"
	echo "$*" >options
}

"$top/packaging/deps.sh" build cross
make_sysroot >"$cross/sysroot/$arch.log" 2>&1 </dev/null || {
	tail -n 20 "$cross/sysroot/$arch.log" >&2
	echo "build.sh: no libraries for $arch" >&2
	exit 1
}
[ -x "$top/configure" ] || (cd "$top" && ./autogen.sh)
tree=$cross/$arch${LANTHORN_VARIANT:+-$LANTHORN_VARIANT}
mkdir -p "$tree"
cd "$tree"
configure
if [ $# -gt 0 ]; then
	make -s -j"$jobs" "$@"
else
	make -s -j"$jobs" all
	make -s -j"$jobs" check TESTS=
fi
