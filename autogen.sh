#!/bin/sh
# Makes ./configure from configure.ac (a checkout has none; a release tarball does).
set -eu
cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf --install --force --warnings=all,no-obsolete
