#!/bin/sh
# Builds the Debian packages from a release archive: packaging/debian/build.sh [OUTPUT-FOLDER]
# The folder is build/debian if not given; the .deb files are put there. What is needed is installed
# by: packaging/deps.sh build package
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "${1:-$top/build/debian}"
out=$(cd "${1:-$top/build/debian}" && pwd)

[ -x "$top/configure" ] || (cd "$top" && ./autogen.sh) >"$out/autogen.log" 2>&1
mkdir -p "$out/dist"
cd "$out/dist"
[ -f Makefile ] || "$top/configure" --quiet
make -s dist >"$out/dist.log" 2>&1 || { tail -n 20 "$out/dist.log" >&2 && exit 1; }

version=$(sed -n '1s/.*(\(.*\)-[^-]*).*/\1/p' "$top/packaging/debian/changelog")
[ -f "lanthorn-$version.tar.xz" ] || {
	echo "the changelog's version, $version, is not that of configure.ac" >&2
	exit 1
}
rm -rf "$out/tree" && mkdir "$out/tree"
cp "lanthorn-$version.tar.xz" "$out/tree/lanthorn_$version.orig.tar.xz"
cd "$out/tree"
tar -xf "lanthorn_$version.orig.tar.xz"
cd "lanthorn-$version"
cp -R "$top/packaging/debian" debian
rm debian/build.sh debian/Makefile.inc
export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-nocheck parallel=2}"
dpkg-buildpackage -us -uc >"$out/build.log" 2>&1 || { tail -n 30 "$out/build.log" >&2 && exit 1; }
rm -f "$out"/lanthorn*
find .. -maxdepth 1 -type f -exec mv {} "$out" \;
ls "$out"/*.deb
