#!/bin/sh
# Proves that the generated files are what the sources give: it makes them anew,
# and puts the old ones back.
set -eu
cd "$(dirname "$0")"

old=$(mktemp -d)
status=0
for file in */object_bpfe[lb].go */object_bpfe[lb].o; do
	mkdir -p "$old/${file%/*}"
	cp "$file" "$old/$file"
done
trap 'for d in "$old"/*/; do cp "$d"* "$(basename "$d")/"; done; rm -rf "$old"' EXIT
"${GO:-go}" generate ./...
for file in */object_bpfe[lb].go */object_bpfe[lb].o; do
	if ! cmp -s "$file" "$old/$file"; then
		echo "bpf/$file is not what its source gives: run make generate, and commit it" >&2
		status=1
	fi
done
exit $status
