# SPDX-License-Identifier: BSD-3-Clause
"""Captures that the bench sends in circles: UDP flows of RFC 2544 addresses, one packet a flow, in both directions."""
import random
import struct

INSIDE, OUTSIDE = 0xC6120000, 0xC6130000  # 198.18.0.0/16 and 198.19.0.0/16
INSIDE_MAC, OUTSIDE_MAC = b"\x02\x00\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x02"
SMALLEST = 18  # bytes of UDP payload in a frame of 64 bytes with its FCS


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(macs, src, dst, sport, dport, payload):
    """An Ethernet frame with IPv4 and UDP; the UDP checksum is left out, as IPv4 allows."""
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return macs + b"\x08\x00" + ip + struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def text(rng, length):
    """Words of small letters: payload that begins few matches, as most real payload does."""
    return bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz    ", k=length))


def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            file.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


def flows(count, seed=1):
    """(client, server, sport, dport) of `count` different flows, in an order without neighbours."""
    rng = random.Random(seed)
    made = [(INSIDE | i & 0xFFFF, OUTSIDE | rng.getrandbits(16), 1024 + (i * 7) % 60000, 2000 + (i >> 16)) for i in range(count)]
    rng.shuffle(made)
    return made


def make_pair(forth_path, back_path, count, payload_bytes=SMALLEST):
    """Writes the two captures of `count` flows: what clients send, and the answers."""
    rng = random.Random(2)
    some = [text(rng, payload_bytes) if payload_bytes > SMALLEST else bytes(payload_bytes) for _ in range(64)]
    made = flows(count)
    write_pcap(forth_path, (frame(OUTSIDE_MAC + INSIDE_MAC, c, s, sp, dp, some[i % 64]) for i, (c, s, sp, dp) in enumerate(made)))
    write_pcap(back_path, (frame(INSIDE_MAC + OUTSIDE_MAC, s, c, dp, sp, some[i % 64]) for i, (c, s, sp, dp) in enumerate(made)))
