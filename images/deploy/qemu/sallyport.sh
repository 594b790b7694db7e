#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The image in QEMU, with VFs of the host, a seed and a serial console; without libvirt.
# shellcheck disable=SC2054 # the commas are those of QEMU's options
set -euo pipefail

usage() {
	cat <<'END'
Usage: sallyport.sh [OPTION]... IMAGE VF... [-- QEMU-ARGUMENT...]
Starts a Sallyport VM with the VFs at these PCI addresses (sallyport-vf show prints them). The console is this terminal: Ctrl-A X ends the VM.

  --seed ISO         the seed of the first boot (make_seed writes it)
  --memory MB        default 4096
  --cpus N           default 1 and one for each VF: CPU 0 is for Linux, the others poll
  --pin C,...        host CPUs for QEMU, best of the VFs' NUMA node
  --huge             the VM's memory from the host's huge pages (/dev/hugepages)
  --ssh PORT         PORT of the host's loopback leads to SSH of the VM (default 2222; 0: no management interface)
  --uefi             boot by UEFI (OVMF) instead of BIOS
  --snapshot         write nothing to IMAGE
  --no-kvm           emulate the CPU: slow, works anywhere
  --dry-run          print the command, one argument a line, and start nothing
  --help             this text

Exit status: QEMU's own; 2 when it could not be started.
END
}
fail() {
	echo "sallyport.sh: $*" >&2
	exit 2
}

seed='' memory=4096 cpus='' pin='' huge='' ssh=2222 uefi='' snapshot='' kvm=1 dry=''
parsed=$(getopt -n sallyport.sh -o +h -l help,seed:,memory:,cpus:,pin:,huge,ssh:,uefi,snapshot,no-kvm,dry-run -- "$@") || fail "see sallyport.sh --help"
eval set -- "$parsed"
while [ "$1" != -- ]; do
	case $1 in
	-h | --help) usage && exit 0 ;;
	--seed) seed=$2 && shift ;;
	--memory) memory=$2 && shift ;;
	--cpus) cpus=$2 && shift ;;
	--pin) pin=$2 && shift ;;
	--ssh) ssh=$2 && shift ;;
	--huge) huge=1 ;;
	--uefi) uefi=1 ;;
	--snapshot) snapshot=1 ;;
	--no-kvm) kvm='' ;;
	--dry-run) dry=1 ;;
	esac
	shift
done
shift
[ $# -gt 0 ] || { usage >&2 && exit 2; }
image=$1
shift
vfs=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	vfs+=("$1")
	shift
done
[ $# = 0 ] || shift

for number in "$memory" "${cpus:-1}" "$ssh"; do
	[[ $number =~ ^[0-9]{1,7}$ ]] || fail "'$number' is no number"
done
[ -r "$image" ] || fail "$image cannot be read"
[ -z "$seed" ] || [ -r "$seed" ] || fail "$seed cannot be read"
case $image in *.raw | *.img) format=raw ;; *) format=qcow2 ;; esac
cpus=${cpus:-$((1 + ${#vfs[@]}))}

args=(-nodefaults -display none -name sallyport)
# The IOMMU is the VM's own: vfio-pci works in it. It needs the interrupt controller split between KVM and QEMU, and caching mode for passed-through devices.
# 39 bits of address are 512 GiB, and what every host's IOMMU can pass on; QEMU refuses VFs when it has to offer more than the host's own translates.
args+=(-machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on,aw-bits=39)
if [ -n "$kvm" ]; then args+=(-accel kvm -cpu host); else args+=(-accel tcg,thread=multi -cpu max); fi
args+=(-smp "$cpus,sockets=1,cores=$cpus,threads=1" -m "$memory")
[ -z "$huge" ] || args+=(-object "memory-backend-file,id=ram,size=${memory}M,mem-path=/dev/hugepages,prealloc=on" -machine memory-backend=ram)
if [ -n "$uefi" ]; then
	firmware=
	for file in /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/OVMF/OVMF_CODE.fd; do
		[ -n "$firmware" ] || [ ! -r "$file" ] || firmware=$file
	done
	[ -n "$firmware" ] || fail "no UEFI firmware here: apt install ovmf"
	args+=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=$firmware" -drive "if=pflash,unit=1,format=raw,snapshot=on,file=${firmware/CODE/VARS}")
fi
args+=(-drive "file=$image,format=$format,if=none,id=disk,cache=none,discard=unmap${snapshot:+,snapshot=on}" -device virtio-blk-pci,drive=disk,bootindex=0)
[ -z "$seed" ] || args+=(-drive "file=$seed,format=raw,if=none,id=seed,readonly=on" -device ide-cd,drive=seed)
# Management; the VM has it in a VRF of its own.
[ "$ssh" = 0 ] || args+=(-netdev "user,id=mgmt,hostfwd=tcp:127.0.0.1:$ssh-:22" -device virtio-net-pci,netdev=mgmt)
for i in "${!vfs[@]}"; do
	[[ ${vfs[i]} =~ ^([0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$ ]] || fail "'${vfs[i]}' is no PCI address: it is to look like 0000:01:10.0"
	# A root port for each, so that it can be unplugged.
	args+=(-device "pcie-root-port,id=sallyport$i,chassis=$((100 + i)),slot=$((i + 1))" -device "vfio-pci,host=${vfs[i]},bus=sallyport$i")
done
args+=(-device i6300esb -action watchdog=reset -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng)
args+=(-chardev stdio,id=console,mux=on,signal=off -serial chardev:console -mon chardev=console)

command=(qemu-system-x86_64 "${args[@]}" "$@")
[ -z "$pin" ] || command=(taskset -c "$pin" "${command[@]}")
if [ -n "$dry" ]; then
	printf '%s\n' "${command[@]}"
	exit 0
fi
for vf in ${vfs[@]+"${vfs[@]}"}; do
	[[ $vf == *:*:* ]] || vf=0000:$vf
	[ "$(basename "$(readlink -f "/sys/bus/pci/devices/$vf/driver" || :)")" = vfio-pci ] ||
		fail "$vf is not bound to vfio-pci: sallyport-vf bind $vf"
done
exec "${command[@]}"
