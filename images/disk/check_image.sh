#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: check_image.sh OUT VERSION EPOCH BUILD_PACKAGE…
# Builds packages and image twice from nothing (only the build root is kept) and says which files differ; exit 1 when any does.
set -euo pipefail
out=$1 version=$2 epoch=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
stem=sallyport-$version-amd64

for build in first second; do
	rm -rf "$out/deb" "$out/base.tar" "$out/base.stamp"
	"$here/make_image.sh" "$out" "$version" "$epoch" "raw qcow2 vmdk ova" "$@"
	(cd "$out" && sha256sum "$stem".{files,raw,qcow2,vmdk,ova} vmlinuz initrd deb/*.deb) >"$out/$build.sha256"
	mv "$out/$stem.files" "$out/$build.files"
done
cp "$out/second.files" "$out/$stem.files"
rm "$out/$stem.raw"
if ! cmp -s "$out/first.sha256" "$out/second.sha256"; then
	diff "$out/first.sha256" "$out/second.sha256" || true
	diff "$out/first.files" "$out/second.files" | head -40 || true
	echo "image-check: two builds differ"
	exit 1
fi
echo "image-check: two builds are equal"
