# SPDX-License-Identifier: BSD-3-Clause
"""Fragments: put together, judged and inspected as a whole, sent on as they came. Every shape of overlap in every order has one outcome."""
import itertools
import json
import struct

import pytest
from conftest import policy
from frames import (ICMP, IN4, IN6, MAC_IN, MAC_OUT, OUT4, OUT6, TCP, UDP, Dot1AD, Dot1Q, Ether, Raw, ether, fix_ip4_checksum, frame, ip4, ip6, patch, tcp4,
                    udp4, udp6)
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting)

ALLOW_ALL = policy("1 allow stateless", default="allow")
DNS_ONLY = policy("10 allow udp dport 53", "20 reject udp dport 99")
FAMILIES = [4, 6]
MACS = bytes.fromhex("020000000002020000000001")


def sum16(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def piece4(data, offset, more, ident=7, proto=17, src=bytes([10, 1, 2, 3]), dst=bytes([192, 0, 2, 10]), options=b"", ether_head=MACS + b"\x08\x00", pad=60, **_):
    """One IPv4 fragment as bytes; offset in bytes."""
    header = struct.pack(">BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(data), ident & 0xFFFF, (0x2000 if more else 0) | offset >> 3, 64, proto, 0)
    header += src + dst + options
    header = header[:10] + struct.pack(">H", sum16(header)) + header[12:]
    return (ether_head + header + data).ljust(pad, b"\0")


def piece6(data, offset, more, ident=7, proto=17, src=None, dst=None, before=b"", first_next=44, ether_head=MACS + b"\x86\xdd", pad=60, **_):
    """One IPv6 fragment as bytes; `before` are extension headers in front of the fragment header, the first of kind first_next."""
    src = src or bytes.fromhex("20010db8001000000000000000000003")
    dst = dst or bytes.fromhex("20010db8002000000000000000000010")
    fragment = struct.pack(">BBHI", proto, 0, offset | more, ident)
    header = struct.pack(">IHBB", 6 << 28, len(before) + 8 + len(data), first_next, 64) + src + dst
    return (ether_head + header + before + fragment + data).ljust(pad, b"\0")


PIECE = {4: piece4, 6: piece6}
PROTO_ICMP = {4: 1, 6: 58}


def l4_udp(family, payload, dport=53, sport=4000):
    whole = (ip4() if family == 4 else ip6()) / UDP(sport=sport, dport=dport) / Raw(payload)
    return bytes(whole)[20 if family == 4 else 40:]


def l4_tcp(family, payload, flags="S", dport=80, sport=4000, options=()):
    whole = (ip4() if family == 4 else ip6()) / TCP(sport=sport, dport=dport, flags=flags, options=list(options)) / Raw(payload)
    return bytes(whole)[20 if family == 4 else 40:]


def cut(family, l4, sizes, **kw):
    """The fragments of an upper-layer packet: pieces of these sizes, the last takes the rest."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(PIECE[family](l4[at:at + size], at, True, **kw))
        at += size
    return pieces + [PIECE[family](l4[at:], at, False, **kw)]


def ordered(pieces, family):
    """By offset, as the firewall sends them."""
    def offset(raw):
        l3 = 14
        while raw[l3 - 2:l3] in (b"\x81\x00", b"\x88\xa8"):
            l3 += 4
        if family == 4:
            return struct.unpack_from(">H", raw, l3 + 6)[0] & 0x1FFF
        return struct.unpack_from(">H", raw, raw.index(b"\x20\x01\x0d\xb8\x00\x20", l3) + 16 + 2)[0] >> 3
    return sorted(pieces, key=offset)


# --- put together -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("family", FAMILIES)
def test_every_order_passes_unchanged(firewall, family):
    frames, expected = [], []
    for n, order in enumerate(itertools.permutations(range(4))):
        pieces = cut(family, l4_udp(family, bytes(range(100)) * 5, sport=4000 + n), [160, 16, 304], ident=n)
        frames += [pieces[i] for i in order]
        expected += pieces
    result = firewall.replay(DNS_ONLY, frames)
    assert result.verdicts() == ["allow"] * len(frames)
    assert [p["n"] for p in result.packets] == list(range(1, len(frames) + 1))
    assert {p["rule"] for p in result.packets} == {10}
    assert result.out == expected
    assert result.stats["fragments"] == result.stats["fragments"] | {"received": 96, "reassembled": 24, "waiting": 0}
    assert result.stats["packets"]["fragment_delta"] == 0 and result.stats["sessions"]["created"] == 24


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("dport,reason", [(53, None), (54, "default"), (99, "rule")])
def test_ports_of_the_first_fragment_decide_for_all(firewall, family, order, dport, reason):
    pieces = cut(family, l4_udp(family, b"x" * 600, dport), [8, 400])
    result = firewall.replay(DNS_ONLY, [pieces[i] for i in order])
    assert result.reasons() == [reason] * 3
    drops = {r: n for r, n in result.stats["drops"].items() if n}
    if reason is None:
        assert result.out == pieces and drops == {}
    else:
        # one packet was refused, and answered once
        assert drops == {reason: 1} and result.stats["packets"]["fragment_delta"] == -2
        assert len(result.out) == (1 if dport == 99 else 0) == result.stats["rejects"]["built"]


@pytest.mark.parametrize("family", FAMILIES)
def test_reply_fragments_belong_to_the_session(firewall, family):
    there = cut(family, l4_udp(family, b"q" * 3000), [1480, 1480])
    back_l4 = bytes((ip4(OUT4, IN4) if family == 4 else ip6(OUT6, IN6)) / UDP(sport=53, dport=4000) / Raw(b"a" * 3000))[20 if family == 4 else 40:]
    addresses = {4: (bytes([192, 0, 2, 10]), bytes([10, 1, 2, 3])), 6: (there[0][38:54], there[0][22:38])}[family]
    head = MACS[6:] + MACS[:6] + (b"\x08\x00" if family == 4 else b"\x86\xdd")
    back = cut(family, back_l4, [1480, 1480], src=addresses[0], dst=addresses[1], ether_head=head)
    result = firewall.replay(DNS_ONLY, there + back[::-1])
    assert result.verdicts() == ["allow"] * 6 and result.out == there + back
    assert result.stats["sessions"]["created"] == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy_name", ["trust", "verify"])
def test_checksum_of_the_whole(firewall, family, policy_name):
    l4 = l4_udp(family, b"y" * 500)
    bad = patch(l4, 300, b"z")
    frames = cut(family, l4, [256], ident=1) + cut(family, bad, [256], ident=2)
    result = firewall.replay(ALLOW_ALL, frames, "--checksum", policy_name)
    assert result.reasons() == [None, None, "parse_l4_checksum", "parse_l4_checksum"]
    assert firewall.replay(ALLOW_ALL, frames, "--checksum", "off").reasons() == [None] * 4


@pytest.mark.parametrize("family", FAMILIES)
def test_longest_datagram_and_one_byte_more(firewall, family):
    most = 65535 - 20 if family == 4 else 65535
    l4 = l4_udp(family, b"m" * (most - 8))
    frames = cut(family, l4, [1480] * 44)
    result = firewall.replay(DNS_ONLY, frames)
    assert set(result.reasons()) == {None} and result.out == frames
    more = PIECE[family](b"m" * (len(l4) - 44 * 1480 + 1), 44 * 1480, False, ident=9)
    if family == 4:
        assert firewall.replay(DNS_ONLY, [more]).reasons() == ["frag_too_long"]
    options = {4: {"options": b"\x01\x01\x01\x01"}, 6: {"before": b"\x2c\x00\x01\x04\0\0\0\0", "first_next": 60}}[family]
    late = cut(family, l4, [1480] * 44, **options)
    # only the first has extra headers: what is too long is seen when all are there
    result = firewall.replay(DNS_ONLY, [late[0]] + frames[1:])
    assert set(result.reasons()) == {"frag_too_long"} and result.out == []


def test_frames_of_many_kinds(firewall):
    """Padding, tags, options, extension headers, frames of several buffers: all leave as they came."""
    rows = [cut(4, l4_udp(4, b"p" * 40), [40]), cut(4, l4_udp(4, b"p" * 9000), [4000, 4000], ident=8), cut(6, l4_udp(6, b"p" * 9000), [4000, 4000], ident=8)]
    tag = MACS + b"\x81\x00\x00\x05\x08\x00"
    rows.append(cut(4, l4_udp(4, b"p" * 60), [8, 40], ether_head=tag))
    rows.append(cut(6, l4_udp(6, b"p" * 60), [8, 40], ether_head=MACS + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x86\xdd"))
    rows.append(cut(4, l4_udp(4, b"p" * 60), [8, 40], ident=10, options=b"\x01" * 8))
    rows.append(cut(6, l4_udp(6, b"p" * 60), [8, 40], ident=10, before=b"\x2c\x00\x01\x04\0\0\0\0", first_next=0))
    rows.append(cut(6, b"\x11\x00\x01\x04\0\0\0\0" + l4_udp(6, b"p" * 60), [24, 40], ident=11, proto=60))
    rows.append(cut(4, l4_tcp(4, b"early data", options=[("MSS", 1460), ("WScale", 7)]), [32], ident=12, proto=6))
    rows.append(cut(4, bytes(ICMP(id=5) / Raw(b"e" * 3000)), [1480, 1480], ident=13, proto=1))
    rows.append(cut(6, bytes(ip6() / ICMPv6EchoRequest(id=5, data=b"e" * 3000))[40:], [1480, 1480], ident=13, proto=58))
    rows.append(cut(4, b"g" * 100, [16, 16], ident=14, proto=47))
    for pieces in rows:
        result = firewall.replay(policy("1 allow"), pieces[::-1], "--checksum", "verify")
        assert result.reasons() == [None] * len(pieces), pieces[0].hex()
        assert result.out == pieces
    whole = cut(4, l4_udp(4, b"p" * 40), [40])
    result = firewall.replay(ALLOW_ALL, [p + b"trailer" * 900 for p in whole])
    assert result.out == [p[:60] if len(p) <= 60 else p for p in whole]


def test_limits_and_lengths_count_the_whole(firewall):
    pieces = cut(4, l4_udp(4, b"l" * 2000), [1480])
    assert firewall.replay(policy("1 allow udp length 2000-2100 stateless"), pieces).verdicts() == ["allow"] * 2
    assert firewall.replay(policy("1 allow udp length 0-1600 stateless"), pieces).reasons() == ["default"] * 2
    many = [p for n in range(4) for p in cut(4, l4_udp(4, b"l" * 2000), [1480], ident=n)]
    # a limit of packets counts fragments; one of what is opened, datagrams
    for limited in ("1 allow udp stateless limit '1pps burst 5'", "1 allow udp limit '1pps burst 5'"):
        assert firewall.replay(policy(limited), many).reasons() == [None] * 4 + ["limit"] * 4
    assert firewall.replay(policy("1 allow udp limit '1/h burst 1'"), many).reasons() == [None] * 8


# --- one piece by itself ------------------------------------------------------------------------------------------------------------

T4, U4, U6 = l4_tcp(4, b"d" * 64), l4_udp(4, b"d" * 64), l4_udp(6, b"d" * 64)
NS = bytes(ip6("fe80::1", "fe80::2", hlim=255) / ICMPv6ND_NS(tgt="fe80::2"))[40:]
UNREACHABLE6 = bytes(ip6() / ICMPv6DestUnreach() / ip6(OUT6, IN6) / UDP(sport=9, dport=9) / Raw(b"u" * 64))[40:]
SINGLE = [
    ("4 no data", piece4(b"", 8, True), "frag_length"),
    ("4 no data, last", piece4(b"", 64, False), "frag_length"),
    ("6 no data", piece6(b"", 8, True), "frag_length"),
    ("4 length 12, more", piece4(b"x" * 12, 64, True), "frag_length"),
    ("6 length 15, more", piece6(b"x" * 15, 64, True), "frag_length"),
    ("4 first of length 30, more", piece4(U4[:30], 0, True), "frag_length"),
    ("4 past 65535", piece4(b"x" * 64, 8191 * 8, False), "frag_too_long"),
    ("4 past 65535 by its header", piece4(b"x" * 8, 65512, False), "frag_too_long"),
    ("6 past 65535", piece6(b"x" * 64, 8191 * 8, False), "frag_too_long"),
    ("6 up to 65535", piece6(b"x" * 7, 65528, False), "frag_timeout"),
    ("6 past 65535 by an extension", piece6(b"x" * 7, 65528, False, before=b"\x2c\x00\x01\x04\0\0\0\0", first_next=0), "frag_too_long"),
    ("4 tcp of 8 bytes", piece4(T4[:8], 0, True, proto=6), "frag_tiny"),
    ("4 tcp of 16 bytes", piece4(T4[:16], 0, True, proto=6), "frag_tiny"),
    ("4 tcp of 24 bytes", piece4(T4[:24], 0, True, proto=6), "frag_timeout"),
    ("4 tcp options cut", piece4(l4_tcp(4, b"d" * 64, options=[("MSS", 1460), ("WScale", 7)])[:24], 0, True, proto=6), "frag_tiny"),
    ("4 tcp at offset 8", piece4(T4[8:32], 8, True, proto=6), "frag_tiny"),
    ("4 tcp at offset 8, last", piece4(T4[8:30], 8, False, proto=6), "frag_tiny"),
    ("4 tcp at offset 16", piece4(T4[16:32], 16, True, proto=6), "frag_timeout"),
    ("4 udp at offset 8", piece4(U4[8:32], 8, True), "frag_timeout"),
    ("4 udp of 8 bytes", piece4(U4[:8], 0, True), "frag_timeout"),
    ("4 sctp of 8 bytes", piece4(b"s" * 8, 0, True, proto=132), "frag_tiny"),
    ("4 icmp of 8 bytes", piece4(b"\x08\0\0\0\0\0\0\0", 0, True, proto=1), "frag_timeout"),
    ("6 tcp of 16 bytes", piece6(T4[:16], 0, True, proto=6), "frag_tiny"),
    ("6 chain goes on", piece6(b"\x11\x01\x01\x04\0\0\0\0", 0, True, proto=60), "frag_tiny"),
    ("6 chain ends, no header", piece6(b"\x11\x00\x01\x04\0\0\0\0", 0, True, proto=60), "frag_tiny"),
    ("6 chain ends, header", piece6(b"\x11\x00\x01\x04\0\0\0\0" + U6[:8], 0, True, proto=60), "frag_timeout"),
    ("6 hop-by-hop behind the fragment header", piece6(b"\x11\x00\x01\x04\0\0\0\0" + U6[:8], 0, True, proto=0), "parse_ipv6_extension"),
    ("6 two fragment headers, first", piece6(b"\x11\0\0\1\0\0\0\1" + U6[:8], 0, True, proto=44), "frag_headers"),
    ("6 two fragment headers, later", piece6(b"\x11\0\0\1\0\0\0\1" + U6[:8], 8, True, proto=44), "frag_headers"),
    ("6 two fragment headers, both atomic", piece6(b"\x11\0\0\0\0\0\0\1" + U6, 0, False, proto=44), "frag_headers"),
    ("6 fragment header and one in front", piece6(U6[:8], 0, True, before=b"\x2c\0\0\0\0\0\0\1"), "frag_headers"),
    ("6 atomic", piece6(U6, 0, False), None),
    ("6 atomic with reserved bits", patch(piece6(U6, 0, False), 55, b"\xff"), None),
    ("6 atomic behind options", piece6(U6, 0, False, before=b"\x2c\x00\x01\x04\0\0\0\0", first_next=0), None),
    ("6 atomic tcp cut", piece6(T4[:12], 0, False, proto=6), "parse_tcp"),
    ("6 neighbour solicitation", piece6(NS[:16], 0, True, proto=58), "frag_icmp"),
    ("6 neighbour solicitation, atomic", piece6(NS, 0, False, proto=58, src=bytes.fromhex("fe80" + "0" * 27 + "1"), dst=bytes.fromhex("fe80" + "0" * 27 + "2")), "frag_icmp"),
    ("4 icmp error", piece4(bytes(ICMP(type=3, code=1) / ip4(OUT4, IN4) / UDP() / Raw(b"u" * 12)), 0, True, proto=1), "frag_icmp"),
    ("6 icmp error", piece6(UNREACHABLE6[:64], 0, True, proto=58), "frag_icmp"),
    ("4 source is the destination", piece4(b"x" * 8, 8, True, src=bytes([10, 1, 2, 3]), dst=bytes([10, 1, 2, 3])), "parse_address"),
    ("6 jumbogram", piece6(b"x" * 8, 8, True, before=b"\x2c\x00\xc2\x04\0\1\0\0", first_next=0), "frag_timeout"),
]


@pytest.mark.parametrize("name,raw,reason", SINGLE, ids=[row[0] for row in SINGLE])
def test_single(firewall, name, raw, reason):
    result = firewall.replay(ALLOW_ALL, [raw], "--checksum", "off", zones=False)
    assert result.reasons() == [reason]
    assert result.out == ([raw] if reason is None else [])


@pytest.mark.parametrize("family", FAMILIES)
def test_too_many_pieces(firewall, family):
    l4 = l4_udp(family, b"t" * (65 * 8))
    for order in (1, -1):
        fits = cut(family, l4[:64 * 8 - 3], [8] * 63)
        assert firewall.replay(ALLOW_ALL, fits[::order], "--checksum", "off").reasons() == ["parse_udp"] * 64
        over = cut(family, l4, [8] * 65)
        assert firewall.replay(ALLOW_ALL, over[::order], "--checksum", "off").reasons() == ["frag_too_many"] * 66


# --- overlaps: every way to lay two and three pieces over four units ------------------------------------------------------------------

UNITS = 4
SPANS = [(a, b) for a in range(UNITS) for b in range(a + 1, UNITS + 1)]
SHAPES = [(a, b, more) for a, b in SPANS for more in (True, False)]


def model(sequence, contents):
    """What the policy says of pieces (first unit, end, more) in this order: the reason of each, None when it passes."""
    reasons, waiting, refused = [None] * len(sequence), [], None
    for n, (a, b, more) in enumerate(sequence):
        if a == 0 and not more:  # fragments nothing
            continue
        if refused:
            reasons[n] = refused
            continue
        hit = [w for w in waiting if sequence[w][0] < b and a < sequence[w][1]]
        if len(hit) == 1 and sequence[hit[0]] == sequence[n] and contents[hit[0]] == contents[n]:
            reasons[n] = "frag_duplicate"
            continue
        last = [w for w in waiting if not sequence[w][2]]
        if hit:
            refused = "frag_overlap"
        elif last and (not more or b > sequence[last[0]][1]):
            refused = "frag_end"
        elif not more and any(sequence[w][1] > b for w in waiting):
            refused = "frag_end"
        waiting.append(n)
        if refused:
            for w in waiting:
                reasons[w] = refused
            waiting = []
            continue
        ends = [sequence[w][1] for w in waiting if not sequence[w][2]]
        if ends and sum(sequence[w][1] - sequence[w][0] for w in waiting) == ends[0]:
            waiting = []
    for w in waiting:
        reasons[w] = "frag_timeout"
    return reasons


def content(a, b, seed):
    return bytes((seed * 31 + i) & 0xFF for i in range(a * 8, b * 8))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n,seeds", [(2, "same"), (2, "differ"), (3, "same"), (3, "differ")])
def test_every_overlap_in_every_order(firewall, family, n, seeds):
    frames, expected, out, at = [], [], [], 0.0
    for case, sequence in enumerate(itertools.product(SHAPES, repeat=n)):
        # a source of its own for each, or the bound per source would have a say
        src = bytes([10, 9]) + (case + 1).to_bytes(2, "big") if family == 4 else bytes.fromhex("20010db80010") + case.to_bytes(2, "big") + bytes(7) + b"\1"
        contents = [0 if seeds == "same" else k for k in range(n)]
        pieces = [PIECE[family](content(a, b, contents[k]), a * 8, more, ident=case * 77, proto=253, src=src)
                  for k, (a, b, more) in enumerate(sequence)]
        reasons = model(sequence, contents)
        frames += [(piece, at + 0.001 * k) for k, piece in enumerate(pieces)]
        expected += reasons
        out += [pieces[k] for k in range(n) if reasons[k] is None]
        at += 0.02
    result = firewall.replay(ALLOW_ALL, frames, zones=False)
    wrong = [(i, e, r) for i, (e, r) in enumerate(zip(expected, result.reasons())) if e != r]
    assert not wrong, (len(wrong), [(list(itertools.product(SHAPES, repeat=n))[i // n], i % n, e, r) for i, e, r in wrong[:5]])
    assert sorted(result.out) == sorted(out)


# --- inspected as a whole -------------------------------------------------------------------------------------------------------------

INSPECT = 'inspect = { web = { mode = "block"; patterns = ( { id = 1001; msg = "sql"; pattern = "union\\\\s+select"; action = "drop"; } ); }; };'
INSPECTED = policy("10 allow inspect web", extra=INSPECT)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("proto", ["udp", "icmp"])
def test_attack_split_over_fragments_is_caught(firewall, family, proto):
    attack, frames = b"x" * 52 + b"union    select" + b"y" * 61, []
    l4 = {"udp": l4_udp(family, attack), "icmp": bytes((ip4() / ICMP(id=9) if family == 4 else ip6() / ICMPv6EchoRequest(id=9)) / Raw(attack))[20 if family == 4 else 40:]}[proto]
    assert l4.index(b"union") == 60
    cases = list(itertools.product([[64], [72], [8, 56], [64, 8], [40, 24, 8, 16]], [1, -1]))
    for n, (sizes, order) in enumerate(cases):
        # a session of its own for each: a match blocks the session
        whole = patch(l4, 0 if proto == "udp" else 4, struct.pack(">H", 5000 + n))
        kind = PROTO_ICMP[family] if proto == "icmp" else 17
        frames.append(cut(family, whole, sizes, ident=n, proto=kind)[::order])
    flat = [f for pieces in frames for f in pieces]
    result = firewall.replay(INSPECTED, flat, "--checksum", "off")
    assert set(result.reasons()) == {"inspect_match"} and result.out == []
    assert {tuple(p["signatures"]) for p in result.packets} == {(1001,)}
    assert result.stats["inspection"]["drops"] == len(cases) == result.stats["drops"]["inspect_match"]
    harmless = cut(family, l4_udp(family, b"x" * 52 + b"union   -select" + b"y" * 61), [64])
    assert firewall.replay(INSPECTED, harmless, "--checksum", "off").reasons() == [None, None]


@pytest.mark.parametrize("family", FAMILIES)
def test_tcp_attack_in_fragments(firewall, family):
    def segment(flags, payload, back=False, **kw):
        src, dst = (IN4, OUT4) if family == 4 else (IN6, OUT6)
        src, dst = (dst, src) if back else (src, dst)
        ports = {"sport": 80, "dport": 4000} if back else {"sport": 4000, "dport": 80}
        ip = ip4(src, dst) if family == 4 else ip6(src, dst)
        head = ether(src=MAC_OUT, dst=MAC_IN) if back else ether()
        return frame(head, ip, TCP(flags=flags, **ports, **kw), Raw(payload))
    hello = [segment("S", b"", seq=100), segment("SA", b"", True, seq=500, ack=101), segment("A", b"", seq=101, ack=501)]
    data = segment("PA", b"GET /" + b"q" * 80 + b"union select", seq=101, ack=501)[34 if family == 4 else 54:]
    result = firewall.replay(INSPECTED, hello + cut(family, data, [24, 80], proto=6))
    assert result.reasons() == [None] * 3 + ["inspect_match"] * 3


# --- time and bounds ------------------------------------------------------------------------------------------------------------------

def config(firewall, fragments):
    path = firewall.path("fragments.conf")
    with open(path, "w") as f:
        f.write(f"""ports = ( {{ name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }},
  {{ name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; }} );
fragments = {{ {fragments} }};
""")
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_time_out_and_reused_identification(firewall, family):
    first, second = cut(family, l4_udp(family, b"o" * 100), [64])
    new = cut(family, l4_udp(family, b"n" * 100), [64])
    other = udp4(1, 53)
    rows = [((first, 0), (second, 29.9)), [None, None]], [((first, 0), (second, 30.1)), ["frag_timeout"] * 2], \
        [((first, 0), (other, 30.1), (new[0], 40), (new[1], 41)), ["frag_timeout", None, None, None]], \
        [((second, 0), (new[0], 30.5), (new[1], 31)), ["frag_timeout", None, None]], \
        [((first, 0), (new[0], 1), (new[1], 2), (second, 31)), ["frag_overlap"] * 3 + ["frag_timeout"]]
    for frames, reasons in rows:
        result = firewall.replay(DNS_ONLY, list(frames))
        assert result.reasons() == reasons
        assert [p["n"] for p in result.packets] == list(range(1, len(frames) + 1))
    assert firewall.replay(DNS_ONLY, [(first, 0), (second, 5.5)], "-c", config(firewall, 'timeout = "5s";'), zones=False).reasons() == ["frag_timeout"] * 2


@pytest.mark.parametrize("family", FAMILIES)
def test_duplicates_do_not_harm(firewall, family):
    pieces = cut(family, l4_udp(family, b"d" * 300), [64, 64, 64])
    for k in range(4):
        others = [p for n, p in enumerate(pieces) if n != k]
        result = firewall.replay(DNS_ONLY, [pieces[k]] + [pieces[k]] + others[:2] + [others[2]])
        assert result.reasons() == [None, "frag_duplicate", None, None, None] and result.out == pieces
        # the copy of a piece that has gone with its datagram waits alone
        result = firewall.replay(DNS_ONLY, pieces + [pieces[k]])
        assert result.reasons() == [None] * 4 + ["frag_timeout"]
    # same place, other bytes
    changed = patch(pieces[1], len(pieces[1]) - 1, b"e")
    assert firewall.replay(DNS_ONLY, [pieces[0], pieces[1], changed, pieces[2], pieces[3]]).reasons() == ["frag_overlap"] * 5


def test_bound_of_a_source(firewall):
    conf = config(firewall, "per_source = 4;")
    rules = policy("10 allow udp dport 53")
    pieces = [cut(4, l4_udp(4, b"s" * 100, sport=4000 + n), [64], ident=n) for n in range(6)]
    other = cut(4, bytes(ip4("10.1.2.4") / UDP(sport=4000, dport=53) / Raw(b"s" * 100))[20:], [64], src=bytes([10, 1, 2, 4]))
    frames = [other[0]] + [p[0] for p in pieces] + [other[1]] + [p[1] for p in pieces[2:]]
    result = firewall.replay(rules, frames, "-c", conf, zones=False)
    # the source lost its own oldest two, nobody else's, and the others are whole
    assert result.reasons() == [None] + ["frag_source"] * 2 + [None] * 4 + [None] + [None] * 4
    # in IPv6 a /64 is one source
    six = [cut(6, l4_udp(6, b"s" * 100), [64], ident=n, src=bytes.fromhex("20010db800100000") + bytes(7) + bytes([n + 1]))[0] for n in range(6)]
    result = firewall.replay(rules, six, "-c", conf, zones=False)
    assert result.reasons() == ["frag_source"] * 2 + ["frag_timeout"] * 4


def test_full_table_loses_the_oldest(firewall):
    conf = config(firewall, "datagrams = 16;")
    firsts = [piece4(b"f" * 64, 8, True, src=bytes([10, 1, 3, n])) for n in range(20)]
    result = firewall.replay(ALLOW_ALL, firsts, "-c", conf, zones=False)
    assert result.reasons() == ["table_fragments_full"] * 4 + ["frag_timeout"] * 16


def test_bad_configuration(firewall):
    for text, said in [("datagrams = 15;", "16"), ("buffers = 127;", "128"), ('timeout = "121s";', "120"), ("per_source = 0;", "1"), ("sources = 5;", "sources"),
                       ('timeout = "0s";', "timeout")]:
        done = firewall.run("check", config(firewall, text))
        assert done.returncode == 1 and said in done.stderr + done.stdout, (text, done.stderr + done.stdout)
        assert "fragments.conf:3" in done.stderr + done.stdout
    assert firewall.run("check", config(firewall, "datagrams = 4096; buffers = 16384; timeout = \"60s\"; per_source = 256;")).returncode == 0


def test_text_report_and_bursts(firewall):
    """Verdicts do not depend on how frames fall into bursts, and are told in order."""
    pieces = [cut(f, l4_udp(f, b"b" * 200, sport=4000 + f), [64, 64]) for f in FAMILIES]
    frames = [pieces[0][2], udp4(1, 53), pieces[1][0], pieces[0][0], udp4(2, 54), pieces[1][2], pieces[1][1], pieces[0][1], piece4(b"l" * 8, 80, True)]
    first = firewall.replay(DNS_ONLY, frames)
    assert first.reasons() == [None] * 4 + ["default"] + [None] * 3 + ["frag_timeout"]
    for burst in (1, 2, 3, 5):
        again = firewall.replay(DNS_ONLY, frames, "--burst", str(burst))
        assert again.packets == first.packets and sorted(again.out) == sorted(first.out)
