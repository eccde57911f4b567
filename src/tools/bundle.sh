#!/bin/sh
# Builds the pages and makes C of them: bundle.sh UI-FOLDER WORK-FOLDER EMBED OUTPUT
# Works on a copy in WORK-FOLDER, since sources may be read-only. NODE and NPM name the programs; EMBED
# is the program made of embed.c.
set -eu
ui=$1 work=$2 out=$4
embed=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")

for program in "${NODE:-no}" "${NPM:-no}"; do
	if [ "$program" = no ]; then
		echo "The pages have to be built, which needs Node.js 18 or later with npm. Install it and" >&2
		echo "run configure again, or build from a release archive, which has them ready." >&2
		exit 1
	fi
done

mkdir -p "$work/src" "$work/dist"
tar -C "$ui" --exclude=./node_modules --exclude=./dist --exclude=./made --exclude=./bundle.c -cf - . |
	tar -C "$work/src" -xf -
chmod -R u+w "$work/src"
cd "$work/src"
if ! cmp -s package-lock.json node_modules/.installed-lock; then
	rm -rf node_modules
	if ! "$NPM" ci --omit=dev --ignore-scripts --no-audit --no-fund >../npm.log 2>&1; then
		cat ../npm.log >&2
		echo "npm could not install what the pages are built with." >&2
		exit 1
	fi
	cp package-lock.json node_modules/.installed-lock
fi
rm -rf ../dist
mkdir ../dist
OUT=$(cd ../dist && pwd) "$NODE" build.mjs >../build.log 2>&1 || {
	cat ../build.log >&2
	exit 1
}
cd ../dist
gzip -9nk ./*
set --
for file in *; do
	case $file in *.gz) ;; *) set -- "$@" "$file" ;; esac
done
"$embed" gate/assets.h assets_bundle "$@" >../bundle.c
cd ../../../..
mv "$work/bundle.c" "$out"
