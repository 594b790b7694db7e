#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# First process of the hypervisor: finds its disk and hands over to systemd. Runs under busybox.
export PATH=/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
	insmod "/lib/modules/$module"
done </lib/modules/order
while [ ! -b /dev/vda ]; do
	sleep 0.1
done
mount -t ext4 /dev/vda /root
mount --move /dev /root/dev
mount --move /sys /root/sys
mount --move /proc /root/proc
exec switch_root /root /sbin/init
