#!/bin/sh
# Puts the sample devices and the packages they use into a folder: prepare.sh DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
for file in device.js hostile.js hostile-page.js wsecho.js package.json package-lock.json; do
	cmp -s "$here/$file" "$1/$file" || { cp "$here/$file" "$1/$file" && touch "$1/stale"; }
done
if [ ! -d "$1/node_modules/ws" ] || [ -e "$1/stale" ]; then
	(cd "$1" && npm ci --silent --no-audit --no-fund </dev/null)
	rm -f "$1/stale"
fi
