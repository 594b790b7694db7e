#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: make_image.sh OUT VERSION EPOCH FORMATS BUILD_PACKAGE…
# Makes OUT/sallyport-VERSION-amd64.FORMAT, a disk that boots as the appliance, with vmlinuz, initrd and the list of its packages beside it. All that is compiled
# or written to the disk is made inside OUT/buildroot, a Debian 13 of its own, so that the tools of the machine do not matter: it needs mmdebstrap, root,
# and what its apt knows of a Debian mirror. OUT/buildroot and OUT/base.tar (Debian's packages of the image) are kept for the next run; base.tar is made again
# after a day, for Debian's updates, or when its list of packages changes.
set -euo pipefail
out=$(realpath -m "$1") version=$2 epoch=$3 formats=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
suite=trixie
tools=(build-essential debhelper dpkg-dev fakeroot lintian systemd-dev mmdebstrap e2fsprogs dosfstools mtools fdisk grub-common grub-pc-bin grub-efi-amd64-signed shim-signed qemu-utils
	python3 zstd driverctl ca-certificates debian-archive-keyring)

mirror=$(apt-get indextargets --format "\$(ORIGIN)|\$(COMPONENT)|\$(REPO_URI)" 'Identifier: Packages' | awk -F'|' '$1 == "Debian" && $2 == "main" { print $3; exit }')
[ -n "$mirror" ] || { echo "make_image.sh: apt knows no Debian mirror (apt-get update?)" >&2; exit 1; }
mkdir -p "$out"
exec 9>"$out/lock"
flock -n 9 || { echo "  waiting for another build in $out"; flock 9; }

step() {
	printf '  %4ds  %s\n' "$SECONDS" "$*"
}

# Runs a command in the build root; OUT is /work there. The mounts are in a namespace of their own and end with it.
in_buildroot() {
	cp -L /etc/resolv.conf /etc/hosts "$out/buildroot/etc/"
	# shellcheck disable=SC2016
	unshare --mount --pid --fork --kill-child sh -euc '
		mount --make-rprivate /
		mount --rbind /dev "$1/dev"
		mount -t proc proc "$1/proc"
		mkdir -p "$1/work"
		mount --bind "$2" "$1/work"
		root=$1; shift 2
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC "$@"' sh "$out/buildroot" "$out" SOURCE_DATE_EPOCH="$epoch" "$@"
}

make_buildroot() {
	local want
	want=$(echo "$suite ${tools[*]} $*" | sha256sum)
	[ "$want" = "$(cat "$out/buildroot.stamp" 2>/dev/null)" ] && return
	step "build root"
	rm -rf --one-file-system "$out/buildroot" "$out/buildroot.stamp" "$out/deb"
	mmdebstrap --quiet --mode=root --variant=minbase --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/apt/*' \
		--include="$(printf '%s\n' "${tools[@]}" "$@" | sort -u | paste -sd,)" "$suite" "$out/buildroot" "$mirror" >"$out/buildroot.log" 2>&1 \
		|| { tail -5 "$out/buildroot.log"; exit 1; }
	echo "$want" >"$out/buildroot.stamp"
}

make_packages() {
	local digest
	digest=$("$here/../debian/stage.py" "$out/deb" "$version" "$epoch" "$@")
	[ "$digest" = "$(cat "$out/deb/stamp" 2>/dev/null)" ] && return
	step "packages"
	rm -f "$out/deb/stamp"
	in_buildroot /work/deb/sallyport/images/debian/build.sh /work/deb >"$out/deb.log" 2>&1 || { tail -30 "$out/deb.log"; exit 1; }
	echo "$digest" >"$out/deb/stamp"
}

make_buildroot "$@"
make_packages "$@"
step "root file system"
in_buildroot /work/deb/sallyport/images/disk/rootfs.sh "$mirror" "$version" >"$out/rootfs.log" 2>&1 || { tail -30 "$out/rootfs.log"; exit 1; }
step "disk"
# shellcheck disable=SC2086
in_buildroot /work/deb/sallyport/images/disk/disk.py "$version" $formats
rm -rf --one-file-system "$out/root"
step "done"
