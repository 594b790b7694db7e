#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: vf_on_hardware.sh PF [SALLYPORT-VF]
# sallyport-vf on a real (or emulated) PF that is free for it: root, no VFs on it, nothing configured. Says "ok" or "FAILED" for each thing that it
# promises, and exits 0 when all held. Leaves the PF as it was. With systemd-udevd and driverctl also what is kept over boots, by replaying the
# event that a boot brings. For two VFs about 20 calls: seconds on hardware, a minute or two under emulation.
set -u

pf=${1:?the PF is missing}
tool=${2:-sallyport-vf}
device=/sys/class/net/$pf/device
failed=0
output=

say() { # NAME CONDITION-RESULT [DETAIL]
	if [ "$2" = 0 ]; then
		echo "ok      $1"
	else
		echo "FAILED  $1${3:+: $3}"
		failed=1
	fi
}

call() { # CODE PATTERN NAME ARGUMENT...: runs the tool; its exit code and a pattern of what it says
	local code=$1 pattern=$2 name=$3 got=0
	shift 3
	output=$("$tool" "$@" 2>&1) || got=$?
	if [ "$got" = "$code" ] && grep -qE -- "$pattern" <<<"$output"; then say "$name" 0; else say "$name" 1 "exit $got: $output"; fi
}

traces() { # all that the tool could leave
	find /etc/systemd /etc/driverctl.d /etc/udev/rules.d /run/sallyport-vf 2>/dev/null | sort
	cat "$device/sriov_numvfs" "$device/sriov_drivers_autoprobe"
	ip -o link show dev "$pf" | grep -o '<[^>]*>' | tr , '\n' | grep -cx '<*UP>*'
}

vf_at() { basename "$(readlink "$device/virtfn$1")"; }
driver_at() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
vf_line() { ip link show dev "$pf" | grep -E "^ +vf $1 "; }

kept=
if [ -S /run/udev/control ] && command -v driverctl >/dev/null; then kept=1; fi
before=$(traces)
address=$(basename "$(readlink "$device")")
max=$(cat "$device/sriov_totalvfs")

# --- refusals, each without a trace ------------------------------------------------------------------------------------------
call 1 "at most $max VFs" "more VFs than there can be are refused" create "$pf" $((max + 1))
call 1 "has no VFs" "nothing to remove is said" remove "$pf"
call 2 "undoing what was done" "a failure half way is an error" create "$pf" 2 --rate 9999999
after=$(traces)
[ "$before" = "$after" ]
say "a failure half way leaves nothing" $? "$(diff <(echo "$before") <(echo "$after") | tr '\n' ' ')"

# --- create, show ------------------------------------------------------------------------------------------------------------
call 0 "02:00:00:00:5a:01 +5 +on +off" "create with MAC, VLAN, trust and spoof check" create "$address" 2 --mac 02:00:00:00:5a:01,02:00:00:00:5a:02 --vlan 5 --trust on --spoofchk off
[[ $(vf_line 1) == *02:00:00:00:5a:02*"vlan 5"*"spoof checking off"*"trust on"* ]]
say "the kernel shows the same" $? "$(vf_line 1)"
[ "$(driver_at "$(vf_at 0)")$(driver_at "$(vf_at 1)")" = vfio-pcivfio-pci ]
say "the VFs are bound to vfio-pci" $?
call 1 "has 2 VFs already" "another number is refused" create "$pf" 1
call 0 "vfio-pci,host=$(vf_at 1),bus=" "show for QEMU, one VF" show --qemu --vf 1 "$pf"
call 0 "<mac address='02:00:00:00:5a:02'/>" "show for libvirt" show --libvirt "$pf"
call 1 "there is no 7" "a VF that is not there is refused" show --vf 7 "$pf"

# --- VFs in use --------------------------------------------------------------------------------------------------------------
exec 8<>"/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$(vf_at 0)/iommu_group")")"
call 0 "process $$ " "show says who has a VF open" show "$pf"
call 1 "in use by .*process $$ " "VFs in use are not removed" remove "$pf"
call 1 "in use by .*process $$ " "a VF in use is not unbound" unbind "$pf/0"
exec 8>&-

# --- bind, unbind ------------------------------------------------------------------------------------------------------------
call 0 "" "unbind" unbind "$pf/1"
own=$(driver_at "$(vf_at 1)")
[ -n "$own" ] && [ "$own" != vfio-pci ]
say "the VF has the kernel's own driver" $? "$own"
name=$(ls "/sys/bus/pci/devices/$(vf_at 1)/net" 2>/dev/null)
if [ -n "$name" ]; then
	ip netns add sallyport-pod && ip link set dev "$name" netns sallyport-pod
	call 1 "another network namespace" "a container's VF is not removed" remove "$pf"
	ip netns del sallyport-pod
	for _ in $(seq 50); do
		[ -z "$(ls "/sys/bus/pci/devices/$(vf_at 1)/net")" ] || break
		sleep 0.1
	done
	name=$(ls "/sys/bus/pci/devices/$(vf_at 1)/net")
	ip link set dev "$name" up && ip address add 198.51.100.2/24 dev "$name" && ip route add default via 198.51.100.1 table 77
	call 1 "$name carries the host's default route" "a VF that carries the default route is not removed" remove --yes "$pf"
	call 1 "--yes --yes" "nor bound" bind "$pf/1"
	call 1 "--yes --yes" "nor unbound" unbind --yes "$pf/1"
	ip address del 198.51.100.2/24 dev "$name"
fi
call 0 "" "bind" bind "$pf/1"
[ "$(driver_at "$(vf_at 1)")" = vfio-pci ]
say "the VF is bound to vfio-pci again" $?

# --- a default route on the PF -----------------------------------------------------------------------------------------------
ip link add link "$pf" name sp-vlan9 type vlan id 9 && ip link set sp-vlan9 up && ip -6 address add 2001:db8::2/64 dev sp-vlan9 nodad &&
	ip -6 route add default via 2001:db8::1 dev sp-vlan9 table 78
call 1 "default route dev sp-vlan9 table 78 \(sp-vlan9 on $pf\)" "a PF below the default route is refused" remove "$pf"
call 1 "--yes --yes" "told once is not enough" remove --yes "$pf"
ip link del sp-vlan9

# --- over boots --------------------------------------------------------------------------------------------------------------
if [ -n "$kept" ]; then
	echo 0 >"$device/sriov_numvfs"
	udevadm trigger --action=add "/sys/class/net/$pf" && udevadm settle
	for _ in $(seq 100); do
		[ "$(driver_at "$(vf_at 0)" 2>/dev/null)$(driver_at "$(vf_at 1)" 2>/dev/null)" != vfio-pcivfio-pci ] || break
		sleep 0.2
	done
	[[ $(vf_line 1) == *02:00:00:00:5a:02*"vlan 5"*"spoof checking off"*"trust on"* ]]
	say "udev makes the same VFs when the PF appears" $? "$(vf_line 1)"
	[ "$(driver_at "$(vf_at 0)")$(driver_at "$(vf_at 1)")" = vfio-pcivfio-pci ]
	say "driverctl binds them" $? "$(driver_at "$(vf_at 0)") $(driver_at "$(vf_at 1)")"
fi

# --- remove ------------------------------------------------------------------------------------------------------------------
call 0 "has no VFs any more" "remove" remove "$pf"
after=$(traces)
[ "$before" = "$after" ]
say "remove leaves nothing" $? "$(diff <(echo "$before") <(echo "$after") | tr '\n' ' ')"
if [ -n "$kept" ]; then
	call 0 "" "create once more" create "$pf" 2
	echo 0 >"$device/sriov_numvfs"
	call 0 "has no VFs any more" "remove when the VFs are gone already" remove "$pf"
	after=$(traces)
	[ "$before" = "$after" ]
	say "it leaves nothing either" $? "$(diff <(echo "$before") <(echo "$after") | tr '\n' ' ')"
fi
echo 1 >"$device/sriov_numvfs"
call 1 "were not made by sallyport-vf" "the VFs of others are left alone" remove "$pf"
call 0 "has no VFs any more" "unless told" remove --yes "$pf"
[ "$(traces)" = "$before" ]
say "and nothing is left" $?
exit $failed
