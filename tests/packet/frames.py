# SPDX-License-Identifier: BSD-3-Clause
"""Frames for the packet tables. Addresses: inside 10.0.0.0/8 and 2001:db8:10::/48; outside RFC 5737, RFC 3849."""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

MAC_IN, MAC_OUT = "02:00:00:00:00:01", "02:00:00:00:00:02"
IN4, OUT4 = "10.1.2.3", "192.0.2.10"
IN6, OUT6 = "2001:db8:10::3", "2001:db8:20::10"


def ether(**kw):
    return Ether(src=kw.pop("src", MAC_IN), dst=kw.pop("dst", MAC_OUT), **kw)


def ip4(src=IN4, dst=OUT4, **kw):
    return IP(src=src, dst=dst, **kw)


def ip6(src=IN6, dst=OUT6, **kw):
    return IPv6(src=src, dst=dst, **kw)


def frame(*layers, pad=True):
    """Builds the frame, padded to 60 bytes as a NIC would send it."""
    packet = layers[0]
    for layer in layers[1:]:
        packet = packet / layer
    raw = bytes(packet)
    return raw + b"\0" * max(0, 60 - len(raw)) if pad else raw


def tcp4(sport, dport=80, flags="S", payload=b"", src=IN4, dst=OUT4, **kw):
    return frame(ether(), ip4(src, dst), TCP(sport=sport, dport=dport, flags=flags, **kw), Raw(payload))


def tcp6(sport, dport=80, flags="S", payload=b"", src=IN6, dst=OUT6, **kw):
    return frame(ether(), ip6(src, dst), TCP(sport=sport, dport=dport, flags=flags, **kw), Raw(payload))


def udp4(sport, dport=53, payload=b"x", src=IN4, dst=OUT4):
    return frame(ether(), ip4(src, dst), UDP(sport=sport, dport=dport), Raw(payload))


def udp6(sport, dport=53, payload=b"x", src=IN6, dst=OUT6):
    return frame(ether(), ip6(src, dst), UDP(sport=sport, dport=dport), Raw(payload))


def patch(raw, offset, data):
    """The frame with bytes at offset replaced."""
    data = bytes(data)
    return raw[:offset] + data + raw[offset + len(data):]


def fix_ip4_checksum(raw, l3=14):
    """Recomputes the IPv4 header checksum after a patch."""
    length = (raw[l3] & 15) * 4
    header = bytearray(raw[l3:l3 + length])
    header[10:12] = b"\0\0"
    total = sum(int.from_bytes(header[i:i + 2].ljust(2, b"\0"), "big") for i in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return patch(raw, l3 + 10, (~total & 0xFFFF).to_bytes(2, "big"))
