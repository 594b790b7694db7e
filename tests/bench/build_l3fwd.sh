#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# build_l3fwd.sh OUT: builds DPDK's example l3fwd from the package dpdk-doc into OUT/l3fwd-VERSION, linked from OUT/l3fwd.
#
# Two changes, without which it does not run on virtual devices: no rx checksum offload, which they lack, and a mempool for captures.
set -euo pipefail
out=$1
examples=/usr/share/dpdk/examples
version=$(pkg-config --modversion libdpdk)
binary=$out/l3fwd-$version
buffers=262144

mkdir -p "$out"
ln -sfn "l3fwd-$version" "$out/l3fwd"
[ ! -x "$binary" ] || exit 0
[ -d $examples/l3fwd ] || {
	echo "build_l3fwd.sh: $examples/l3fwd is missing; install the package dpdk-doc" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r $examples/l3fwd $examples/common "$work"
cd "$work/l3fwd"
gunzip -q ./*.gz 2>/dev/null || true
sed -i 's/RTE_ETH_RX_OFFLOAD_CHECKSUM/0/' main.c
sed -i "s/^\([[:space:]]*\)(unsigned\( int\)\?)8192)/\1(unsigned)$buffers)/" main.c
grep -q "$buffers" main.c || {
	echo "build_l3fwd.sh: l3fwd $version states its mempool's size otherwise than expected" >&2
	exit 1
}
read -ra sources <<<"$(sed -n 's/^SRCS-y *[:+]= *//p' Makefile | tr '\n' ' ')"
read -ra cflags <<<"$(pkg-config --cflags libdpdk)"
read -ra libs <<<"$(pkg-config --libs libdpdk)"
gcc -O3 -w -include rte_config.h -DALLOW_EXPERIMENTAL_API -I../common "${cflags[@]}" "${sources[@]}" -o l3fwd "${libs[@]}"
cd - >/dev/null
mv "$work/l3fwd/l3fwd" "$binary"
