#!/bin/sh
# Makes a feed for OpenWrt's build system: packaging/openwrt/feed.sh FOLDER ARCHIVE
# ARCHIVE is lanthorn-VERSION.tar.xz, from `make dist`. Then, in OpenWrt's tree:
#   echo "src-link lanthorn FOLDER" >>feeds.conf && scripts/feeds update lanthorn
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 2 ] || [ ! -f "$2" ]; then sed -n '2,4s/^# //p' "$0" && exit 64; fi
version=$(sed -n 's/^PKG_VERSION:=//p' "$here/lanthorn/Makefile")
[ "${2##*/}" = "lanthorn-$version.tar.xz" ] || {
	echo "feed.sh: the Makefile wants lanthorn-$version.tar.xz" >&2
	exit 1
}
mkdir -p "$1"
rm -rf "$1/lanthorn"
cp -R "$here/lanthorn" "$1"
cp "$2" "$1/lanthorn"
hash=$(sha256sum "$2")
sed -i "s/^PKG_HASH:=.*/PKG_HASH:=${hash%% *}/" "$1/lanthorn/Makefile"
