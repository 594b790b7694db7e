# SPDX-License-Identifier: BSD-3-Clause
"""Reads tcp_matrix.txt and makes frames of its rows; shared with tests/system/test_conntrack.py. Needs nothing but Python."""
import os
import re
import struct

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tcp_matrix.txt")
FIRST_NUMBERS = [(1000, 5000), (2**32 - 60, 2**31 - 60), (2**31 - 1, 2**32 - 1), (77, 2**32 - 8000)]  # of opener and peer, by row
FIRST_PORT = 20000
SEGMENT = re.compile(r"([<>]) ([FSRPAU]+|0) (-?\d+)(?::(\d+))?(?: (-?\d+))?((?: (?:w|ws)=\d+)*)(?: !(\w+))?$")
FLAGS = {letter: 1 << bit for bit, letter in enumerate("FSRPAU")}
STATES = {"none", "new", "syn_sent", "syn_received", "established", "fin_wait", "closing", "time_wait", "closed"}


class Segment:
    def __init__(self, text):
        match = SEGMENT.match(text)
        assert match, f"tcp_matrix.txt: not a segment: {text!r}"
        self.text, self.direction, letters = text, match[1], match[2]
        self.flags = 0 if letters == "0" else sum(FLAGS[letter] for letter in letters)
        self.seq, self.payload = int(match[3]), int(match[4] or 0)
        assert (match[5] is not None) == bool(self.flags & 16), f"tcp_matrix.txt: ACK flag and number: {text!r}"
        self.ack = int(match[5] or 0)
        options = dict(option.split("=") for option in match[6].split())
        self.window, self.scale, self.reason = int(options.get("w", 8192)), options.get("ws"), match[7]


class Row:
    def __init__(self, number, group, before, text):
        fields = [field.strip() for field in text.split("|")]
        assert len(fields) == 4 and all(fields), f"tcp_matrix.txt: not a row: {text!r}"
        assert fields[1] in STATES, f"tcp_matrix.txt: no state: {text!r}"
        self.number, self.group, self.state, self.section, self.title = number, group, fields[1], fields[2], fields[3]
        self.segments = before + [Segment(part.strip()) for part in fields[0].split(";")]
        self.name = f"{group}: {fields[0]}"
        self.first = FIRST_NUMBERS[number % len(FIRST_NUMBERS)]
        self.port = FIRST_PORT + number

    def frames(self, opener, peer, opener_mac, peer_mac):
        """The segments as frames. Addresses and MACs of both sides; IP identification counts the segments from 1."""
        mine = [(opener, opener_mac, self.port), (peer, peer_mac, 80)]
        for index, segment in enumerate(self.segments):
            d = segment.direction == "<"
            yield frame(mine[d], mine[not d], index + 1, segment, self.first[d], self.first[not d])


def rows():
    found, group, before = [], None, []
    with open(FILE) as f:
        for line in f:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("="):
                group, _, text = line[1:].partition(":")
                group, before = group.strip(), [Segment(part.strip()) for part in text.split(";") if part.strip()]
            else:
                found.append(Row(len(found), group, before, line))
    assert len({row.name for row in found}) == len(found), "tcp_matrix.txt: a row stands twice"
    return found


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data)) if len(data) % 2 == 0 else sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0"))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(src, dst, ident, segment, first, other_first):
    address = lambda text: bytes(int(part) for part in text.split("."))  # noqa: E731
    mac = lambda text: bytes.fromhex(text.replace(":", ""))  # noqa: E731
    options = struct.pack("!BBBB", 3, 3, int(segment.scale), 1) if segment.scale is not None else b""
    payload = bytes((segment.seq + i) & 0xFF for i in range(segment.payload))
    ack = segment.ack + other_first if segment.flags & 16 else 0
    header = struct.pack("!HHIIBBHHH", src[2], dst[2], (segment.seq + first) % 2**32, ack % 2**32, (5 + len(options) // 4) << 4, segment.flags, segment.window, 0, 0)
    tcp = header + options + payload
    pseudo = address(src[0]) + address(dst[0]) + struct.pack("!HH", 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), ident, 0x4000, 64, 6, 0, address(src[0]), address(dst[0]))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    raw = mac(dst[1]) + mac(src[1]) + b"\x08\x00" + ip + tcp
    return raw + b"\0" * max(0, 60 - len(raw))
