#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage (in the build root): rootfs.sh VERSION MIRROR [SECURITY-MIRROR]
# Makes /out/root, the image's root file system, of Debian's packages (kept in /out/base.tar) and those in /out/deb.
set -euo pipefail
version=$1
repositories=("deb $2 trixie main")
[ -z "${3-}" ] || repositories+=("deb $3 trixie-security main")
here=$(cd "$(dirname "$0")" && pwd)
root=/out/root
export DEBIAN_FRONTEND=noninteractive

debs=(/out/deb/sallyport_*.deb /out/deb/sallyport-appliance_*.deb)

# Names of Debian's packages to install: ours, and the first alternative of what our packages depend on.
wanted_packages() {
	grep -v '^#' "$here/packages"
	for deb in "${debs[@]}"; do
		dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed -E 's/[|(].*//; s/[[:space:]]//g'
	done | grep -v '^sallyport'
}

# Debian's part. The configuration under files/ is in place before the first package asks for it; no initramfs is made before the end.
make_base() {
	local include want
	include=$(wanted_packages | sort -u | paste -sd,)
	want=$(echo "${repositories[*]} $include"; cat "$here"/files/etc/dpkg/dpkg.cfg.d/*)
	if [ "$want" = "$(cat /out/base.stamp 2>/dev/null)" ] && [ -n "$(find /out/base.tar -mmin -1440 2>/dev/null)" ]; then
		return
	fi
	rm -f /out/base.stamp
	mmdebstrap --mode=root --variant=minbase --format=tar --aptopt='APT::Install-Recommends "false"' --include="$include" \
		--setup-hook="mkdir -p \"\$1\"/etc/dpkg/dpkg.cfg.d && cp $here/files/etc/dpkg/dpkg.cfg.d/* \"\$1\"/etc/dpkg/dpkg.cfg.d/" \
		--essential-hook="mkdir -p \"\$1\"/etc/initramfs-tools && echo update_initramfs=no >\"\$1\"/etc/initramfs-tools/update-initramfs.conf" \
		trixie /out/base.tar "${repositories[@]}"
	echo "$want" >/out/base.stamp
}

make_base
rm -rf --one-file-system "$root"
mkdir "$root"
tar -C "$root" --numeric-owner --xattrs --xattrs-include='*' -xf /out/base.tar
cp -r "$here/files/." "$root/"
mkdir -p "$root/boot/grub"
ids=$(python3 "$here/disk.py" "$version" --ids)
root_fs=$(sed -n 's/^root_fs=//p' <<<"$ids")
sed "s/@root_fs@/$root_fs/; s/@VERSION@/$version/" "$here/grub.cfg.in" >"$root/boot/grub/grub.cfg"
echo "UUID=$root_fs / ext4 noatime,errors=remount-ro,x-systemd.growfs 0 1" >"$root/etc/fstab"
cp "${debs[@]}" "$root/tmp/"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
chroot "$root" sh -c 'dpkg --force-confold -i /tmp/*.deb && rm /tmp/*.deb'
cp /usr/share/doc/apt/examples/debian.sources "$root/etc/apt/sources.list.d/"
cp "$here/setup.sh" "$root/tmp/setup.sh"
chroot "$root" bash /tmp/setup.sh
umount "$root/proc" "$root/dev"
rm "$root/usr/sbin/policy-rc.d" "$root/tmp/setup.sh"
dpkg-query --admindir="$root/var/lib/dpkg" -W >"/out/sallyport-$version-amd64.packages"
find "$root" -xdev -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch -h -d "@$SOURCE_DATE_EPOCH"
