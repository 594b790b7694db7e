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
	python3 zstd ca-certificates debian-archive-keyring)

# Where the machine's apt finds the repository of that label, Debian or Debian-Security.
repository() {
	apt-get indextargets --format "\$(LABEL)|\$(COMPONENT)|\$(REPO_URI)" 'Identifier: Packages' | awk -F'|' -v label="$1" '$1 == label && $2 == "main" && !found { print $3; found = 1 }'
}
mirror=$(repository Debian)
security=$(repository Debian-Security)
[ -n "$mirror" ] || { echo "make_image.sh: apt knows no Debian mirror (apt-get update?)" >&2; exit 1; }
[ -n "$security" ] || echo "make_image.sh: apt knows no Debian-Security mirror: the image goes without its updates" >&2
mkdir -p "$out"
# Nobody below may inherit descriptors: apt's pipes to its hooks must have numbers of one digit, which is all that dash knows.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>"$out/lock"
flock -n 9 || { echo "  waiting for another build in $out"; flock 9; }

step() {
	printf '  %4ds  %s\n' "$SECONDS" "$*"
}

# Runs a command in the build root; OUT is /out there. The mounts are in a namespace of their own and end with it.
in_buildroot() {
	cp -L /etc/resolv.conf /etc/hosts "$out/buildroot/etc/"
	# shellcheck disable=SC2016
	unshare --mount --pid --fork --kill-child sh -euc '
		mount --make-rprivate /
		mount --rbind /dev "$1/dev"
		mount -t proc proc "$1/proc"
		mkdir -p "$1/out"
		mount --bind "$2" "$1/out"
		root=$1; shift 2
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC "$@"' sh "$out/buildroot" "$out" SOURCE_DATE_EPOCH="$epoch" "$@" 9>&-
}

make_buildroot() {
	local want
	want=$(echo "$suite ${tools[*]} $*" | sha256sum)
	[ "$want" = "$(cat "$out/buildroot.stamp" 2>/dev/null)" ] && return
	step "build root"
	rm -rf --one-file-system "$out/buildroot" "$out/buildroot.stamp" "$out/deb"
	mmdebstrap --quiet --mode=root --variant=minbase --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/apt/*' \
		--include="$(printf '%s\n' "${tools[@]}" "$@" | sort -u | paste -sd,)" "$suite" "$out/buildroot" "$mirror" >"$out/buildroot.log" 2>&1 9>&- \
		|| { tail -5 "$out/buildroot.log"; exit 1; }
	echo "$want" >"$out/buildroot.stamp"
}

make_packages() {
	local digest
	digest=$("$here/../debian/stage.py" "$out/deb" "$version" "$epoch" "$@")
	[ "$digest" = "$(cat "$out/deb/stamp" 2>/dev/null)" ] && return
	step "packages"
	rm -f "$out/deb/stamp"
	in_buildroot /out/deb/sallyport/images/debian/build.sh /out/deb >"$out/deb.log" 2>&1 || { tail -30 "$out/deb.log"; exit 1; }
	echo "$digest" >"$out/deb/stamp"
}

make_buildroot "$@"
make_packages "$@"
step "root file system"
in_buildroot /out/deb/sallyport/images/disk/rootfs.sh "$version" "$mirror" "$security" >"$out/rootfs.log" 2>&1 || { tail -30 "$out/rootfs.log"; exit 1; }
step "disk"
# shellcheck disable=SC2086
in_buildroot /out/deb/sallyport/images/disk/disk.py "$version" $formats
rm -rf --one-file-system "$out/root"
step "done"
