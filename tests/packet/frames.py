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


def sum16(data):
    total = sum(int.from_bytes(data[i:i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def conversation(frames):
    """The frames with TCP numbers as of ends that heard all that came before: a SYN keeps its own, what follows counts from there. Frames of
    plain IPv4 and IPv6 without options; others stay as they are."""
    sent, out = {}, []
    for raw in frames:
        l3 = 14
        while raw[l3 - 2:l3] in (b"\x81\x00", b"\x88\xa8"):
            l3 += 4
        v6 = raw[l3 - 2:l3] == b"\x86\xdd"
        if not (v6 and raw[l3 + 6] == 6 or raw[l3 - 2:l3] == b"\x08\x00" and raw[l3] == 0x45 and raw[l3 + 9] == 6):
            out.append(raw)
            continue
        l4, addresses = (l3 + 40, raw[l3 + 8:l3 + 40]) if v6 else (l3 + 20, raw[l3 + 12:l3 + 20])
        end = l4 + int.from_bytes(raw[l3 + 4:l3 + 6], "big") if v6 else l3 + int.from_bytes(raw[l3 + 2:l3 + 4], "big")
        half, flags = len(addresses) // 2, raw[l4 + 13]
        source, destination = addresses[:half] + raw[l4:l4 + 2], addresses[half:] + raw[l4 + 2:l4 + 4]
        seq = int.from_bytes(raw[l4 + 4:l4 + 8], "big") if flags & 2 else sent.get((source, destination), 0)
        ack = sent.get((destination, source), 0) if flags & 16 else 0
        sent[source, destination] = seq + end - l4 - (raw[l4 + 12] >> 4) * 4 + (flags & 1) + (flags >> 1 & 1)
        tcp = raw[l4:l4 + 4] + seq.to_bytes(4, "big") + ack.to_bytes(4, "big") + raw[l4 + 12:l4 + 16] + b"\0\0" + raw[l4 + 18:end]
        checksum = sum16(addresses + len(tcp).to_bytes(4, "big") + b"\0\0\0\x06" + tcp)
        out.append(raw[:l4] + tcp[:16] + checksum.to_bytes(2, "big") + tcp[18:] + raw[end:])
    return out
