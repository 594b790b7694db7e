#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Run in the image's root file system once all packages are in: what no package decides, and an end to all that two builds would not have in common.
set -euo pipefail

: >/etc/apt/sources.list
rm -f /etc/apt/apt.conf.d/99mmdebstrap
echo sallyport >/etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\tsallyport\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n' >/etc/hosts
usermod -p '!*' root

# --- units -----------------------------------------------------------------------------------------------------------------
# Nothing runs by a timer that competes with the workers, or that an appliance has no use for.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty-static.service \
	systemd-firstboot.service systemd-hwdb-update.service systemd-pcrphase.service 2>&1
systemctl enable systemd-networkd.service 2>&1
systemctl set-default multi-user.target 2>&1
if [ -e /usr/lib/sallyport/image-setup ]; then
	sh -e /usr/lib/sallyport/image-setup
fi

# --- kernel and initramfs ----------------------------------------------------------------------------------------------------
echo update_initramfs=yes >/etc/initramfs-tools/update-initramfs.conf
kernel=$(ls /lib/modules)
depmod "$kernel"
mkinitramfs -o "/boot/initrd.img-$kernel" "$kernel"
ln -sfn "boot/vmlinuz-$kernel" /vmlinuz
ln -sfn "boot/initrd.img-$kernel" /initrd.img

# --- what belongs to one machine, or to one moment -----------------------------------------------------------------------------
: >/etc/machine-id
rm -rf /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/catalog/database /var/lib/cloud /var/lib/dpkg/*-old /etc/*- \
	/var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache /var/lib/apt/lists/* /var/tmp/* /run/* /etc/resolv.conf /etc/.resolv.conf.systemd-resolved.bak
find /etc \( -name '*.dpkg-*' -o -name '*.ucf-*' \) -delete
find /var/log /tmp -type f ! -path /tmp/setup.sh -delete
find /root -mindepth 1 ! -name .bashrc ! -name .profile -delete
day=$((SOURCE_DATE_EPOCH / 86400))
sed -Ei "s/^([^:]*:[^:]*):[0-9]+:/\1:$day:/" /etc/shadow
mkdir -p /var/log/journal /var/lib/apt/lists/partial /var/cache/apt/archives/partial
ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
