# SPDX-License-Identifier: BSD-3-Clause
"""VLAN interfaces of a host, for kernels with and without a VLAN driver: TAPs whose frames travel tagged on the host's cable.

    vlan_links.py eth0 NAME=TPID:ID[,TPID:ID] ...        tags from the outer one inwards, TPID in hexadecimal

Each interface has the cable's MAC address and lives as long as this process.
"""
import fcntl
import os
import select
import socket
import struct
import sys

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 3, 263, 8, 4
TUNSETIFF, IFF_TAP, IFF_NO_PI, SIOCSIFHWADDR = 0x400454CA, 2, 0x1000, 0x8924
VLAN_VALID, TPID_VALID = 1 << 4, 1 << 6
TPIDS = (0x8100, 0x88A8)


def make_tap(name, mac):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFHWADDR, struct.pack("16sH6s8x", name.encode(), 1, mac))
    return fd


def tags_of(frame, ancillary):
    """(tags from the outer one inwards, the frame without them); the kernel has taken the outer tag off."""
    tags, at = [], 12
    for level, kind, data in ancillary:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
            if status & VLAN_VALID:
                tags.append((tpid if status & TPID_VALID else 0x8100, tci & 0xFFF))
    while len(frame) >= at + 4 and struct.unpack_from("!H", frame, at)[0] in TPIDS:
        tpid, tci = struct.unpack_from("!HH", frame, at)
        tags.append((tpid, tci & 0xFFF))
        at += 4
    return tuple(tags), frame[:12] + frame[at:]


def main(cable, links):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.bind((cable, 0))
    by_tags, by_tap = {}, {}
    for link in links:
        name, _, text = link.partition("=")
        tags = tuple((int(tpid, 16), int(number)) for tpid, number in (tag.split(":") for tag in text.split(",")))
        tap = make_tap(name, wire.getsockname()[4])
        by_tags[tags], by_tap[tap] = tap, b"".join(struct.pack("!HH", *tag) for tag in tags)
    while True:
        for ready in select.select([wire, *by_tap], [], [])[0]:
            try:
                if ready is wire:
                    frame, ancillary, _, address = wire.recvmsg(65536, 64)
                    tags, frame = tags_of(frame, ancillary)
                    if address[2] != PACKET_OUTGOING and tags in by_tags:
                        os.write(by_tags[tags], frame)
                else:
                    frame = os.read(ready, 65536)
                    wire.send(frame[:12] + by_tap[ready] + frame[12:])
            except OSError:
                pass  # an interface that is not up yet, or full: a lost frame, as on any wire


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
