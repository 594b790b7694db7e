#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# First process of a guest that has a VF and no IOMMU of its own: lets dma_probe drive the VF, and ends. Runs under busybox.
export PATH=/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo 8 >/proc/sys/vm/nr_hugepages
mkdir -p /dev/hugepages
mount -t hugetlbfs hugetlbfs /dev/hugepages
for device in /sys/bus/pci/devices/*; do
	# 8086:10ca is the 82576's VF
	[ "$(cat "$device/vendor")$(cat "$device/device")" = 0x80860x10ca ] && dma_probe --physical "$(basename "$device")"
done
echo "guest: end"
poweroff -f
