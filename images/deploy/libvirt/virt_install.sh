#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A VM as in sallyport.xml by one virt-install line. What is likely to differ comes from the environment; any option of virt-install may follow:
#   IMAGE=fw.qcow2 SEED=fw-seed.iso WAN=0000:01:10.0 LAN=0000:02:10.0 ./virt_install.sh
#   ./virt_install.sh --dry-run --print-xml        shows the XML and does nothing
# The VFs keep the MAC addresses that sallyport-vf gave them.
set -euo pipefail

name=${NAME:-sallyport}
image=${IMAGE:-/var/lib/libvirt/images/sallyport.qcow2}
seed=${SEED:-/var/lib/libvirt/images/sallyport-seed.iso}
network=${NETWORK:-default} # management
wan=${WAN:-0000:01:10.0}    # VFs: sallyport-vf show
lan=${LAN:-0000:02:10.0}
cpus=${CPUS:-1,2,3} # host CPUs, one for each of the VM's: the first is its Linux's, the others poll
emulator=${EMULATOR_CPU:-0}

IFS=, read -r -a pins <<<"$cpus"
tune=emulatorpin.cpuset=$emulator
for i in "${!pins[@]}"; do tune+=,vcpupin$i.vcpu=$i,vcpupin$i.cpuset=${pins[i]}; done

exec virt-install --name "$name" --osinfo debian11 --virt-type kvm --arch x86_64 --machine q35 --import --noautoconsole \
	--memory 4096 --memorybacking hugepages=yes,nosharepages=yes,locked=yes \
	--vcpus "${#pins[@]},sockets=1,cores=${#pins[@]},threads=1" --cpu host-passthrough --cputune "$tune" \
	--features ioapic.driver=qemu,pmu.state=off --iommu model=intel,driver.intremap=on,driver.caching_mode=on,driver.aw_bits=39 \
	--disk "path=$image,driver.type=qcow2,bus=virtio,cache=none" --disk "path=$seed,device=cdrom,bus=sata" \
	--network "network=$network,model=virtio" --hostdev "$wan,driver.name=vfio" --hostdev "$lan,driver.name=vfio" \
	--graphics none --console pty,target.type=serial --watchdog i6300esb,action=reset --rng /dev/urandom --memballoon none "$@"
