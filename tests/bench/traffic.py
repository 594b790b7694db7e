# SPDX-License-Identifier: BSD-3-Clause
"""Captures that the bench sends in circles: flows of RFC 2544 addresses, one packet a flow, in both directions; UDP, TCP segments, or SYNs."""
import random
import struct

INSIDE, OUTSIDE = 0xC6120000, 0xC6130000  # 198.18.0.0/16 and 198.19.0.0/16
# Who sends, and the MAC addresses that net_pcap gives its first and second port: frames are for the port, as a router wants them.
CLIENT_MAC, SERVER_MAC = b"\x02\x00\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x02"
PORT_MACS = b"\x02pcap\x00", b"\x02pcap\x01"
FORTH_MACS, BACK_MACS = PORT_MACS[0] + CLIENT_MAC, PORT_MACS[1] + SERVER_MAC
SMALLEST = 18  # bytes of UDP payload in a frame of 64 bytes with its FCS
SYN, PSH, ACK = 2, 8, 16


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_frame(macs, src, dst, proto, body):
    """An Ethernet frame with IPv4, at least as long as Ethernet wants it."""
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(body), 0, 0, 64, proto, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return (macs + b"\x08\x00" + ip + body).ljust(60, b"\0")


def udp_frame(macs, src, dst, sport, dport, payload, summed=False):
    """The UDP checksum is left out, as IPv4 allows, unless `summed`."""
    length, total = 8 + len(payload), 0
    if summed:
        padded = payload + b"\0" * (len(payload) % 2)
        total = checksum(struct.pack("!IIHHHHHH", src, dst, 17, length, sport, dport, length, 0) + padded) or 0xFFFF
    return ip_frame(macs, src, dst, 17, struct.pack("!HHHH", sport, dport, length, total) + payload)


def tcp_frame(macs, src, dst, sport, dport, numbers, flags, payload=b""):
    """numbers: (sequence, acknowledgement). A SYN offers what clients offer: MSS, SACK, window scaling."""
    options = bytes.fromhex("020405b40402010303070000")[:12] if flags & SYN else b""
    head = struct.pack("!HHIIBBHHH", sport, dport, *numbers, (20 + len(options)) << 2, flags, 64240, 0, 0) + options
    pseudo = struct.pack("!IIHH", src, dst, 6, len(head) + len(payload)) + head + payload
    return ip_frame(macs, src, dst, 6, head[:16] + struct.pack("!H", checksum(pseudo + b"\0" * (len(pseudo) % 2))) + head[18:] + payload)


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


def numbers(index):
    """What a flow's client has sent so far, and its server."""
    return 1000 + index * 1000003 & 0xFFFFFFFF, 5000 + index * 999983 & 0xFFFFFFFF


def udp_pair(index, flow, payload, summed=False):
    client, server, sport, dport = flow
    return (
        udp_frame(FORTH_MACS, client, server, sport, dport, payload, summed),
        udp_frame(BACK_MACS, server, client, dport, sport, payload, summed),
    )


def summed_pair(index, flow, payload):
    """With checksums, which a translation must mend."""
    return udp_pair(index, flow, payload, True)


def tcp_pair(index, flow, payload):
    """Data of the client, and the server's acknowledgement of it: sent again and again, as after losses."""
    client, server, sport, dport = flow
    sent, received = numbers(index)
    data = payload[:6] if len(payload) <= SMALLEST else payload
    return (
        tcp_frame(FORTH_MACS, client, server, sport, dport, (sent, received), PSH | ACK, data),
        tcp_frame(BACK_MACS, server, client, dport, sport, (received, sent + len(data) & 0xFFFFFFFF), ACK),
    )


def syn_pair(index, flow, payload):
    """An opening of the client, and an answer that nobody needs to take."""
    client, server, sport, dport = flow
    sent, received = numbers(index)
    return (
        tcp_frame(FORTH_MACS, client, server, sport, dport, (sent, 0), SYN),
        tcp_frame(BACK_MACS, server, client, dport, sport, (received, sent + 1 & 0xFFFFFFFF), SYN | ACK),
    )


PAIRS = {"udp": udp_pair, "summed": summed_pair, "tcp": tcp_pair, "syn": syn_pair}


def make_pair(forth_path, back_path, count, payload_bytes=SMALLEST, kind="udp"):
    """Writes the two captures of `count` flows: what clients send, and the answers."""
    rng = random.Random(2)
    some = [text(rng, payload_bytes) if payload_bytes > SMALLEST else bytes(payload_bytes) for _ in range(64)]
    pairs = [PAIRS[kind](i, flow, some[i % 64]) for i, flow in enumerate(flows(count))]
    write_pcap(forth_path, (forth for forth, _ in pairs))
    write_pcap(back_path, (back for _, back in pairs))
