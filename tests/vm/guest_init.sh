#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# First process of the VM: VFs of both PFs, all but one bound to vfio-pci, huge pages, then commands from the second serial line, each answered
# with its output, its tag and its exit code. Runs under busybox.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
ip=/usr/bin/ip # busybox prefers its own, which knows no VFs

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/hugepages /dev/shm /tmp /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug

load() { # FILE of /lib/modules with names of modules, in their order
	missing=0
	while read -r module; do
		insmod "/lib/modules/$module" || { echo "guest: $module is not loaded"; missing=1; }
	done <"/lib/modules/$1"
	return $missing
}
load boot

vf_of() { # PCI-ADDRESS-OF-PF NUMBER
	basename "$(readlink "/sys/bus/pci/devices/$1/virtfn$2")"
}

bind_vfio() {
	echo vfio-pci >"/sys/bus/pci/devices/$1/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
}

# 8086:10c9 is the 82576's PF. Each gets two VFs. MAC addresses are the PF's to give.
$ip link set lo up
n=0
for device in /sys/bus/pci/devices/*; do
	[ "$(cat "$device/vendor")$(cat "$device/device")" = 0x80860x10c9 ] || continue
	pf=$(basename "$device")
	link=$(basename "$device"/net/*)
	# The PF's own link is on the same wire as its VFs: Linux must not answer there for addresses that it has elsewhere.
	echo 1 >"/proc/sys/net/ipv6/conf/$link/disable_ipv6"
	$ip link set "$link" arp off up
	echo 0 >"$device/sriov_drivers_autoprobe"
	echo 2 >"$device/sriov_numvfs"
	$ip link set "$link" vf 0 mac "02:00:00:00:00:1$n"
	$ip link set "$link" vf 1 mac "02:00:00:00:00:2$n"
	vf=$(vf_of "$pf" 0)
	bind_vfio "$vf"
	eval "export PF$n=$pf LINK$n=$link VF$n=$vf OTHER$n=$(vf_of "$pf" 1)"
	n=$((n + 1))
done
bind_vfio "$OTHER1"

echo 400 >/proc/sys/vm/nr_hugepages
mount -t hugetlbfs hugetlbfs /dev/hugepages

# shellcheck source=/dev/null
. /lib/answer.sh
poweroff -f
