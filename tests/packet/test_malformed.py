# SPDX-License-Identifier: BSD-3-Clause
"""Truncated, lying and looping headers: each ends in one counted drop with the reason that an operator would expect."""
import pytest
from conftest import policy
from frames import (ICMP, IN4, IN6, IP, MAC_IN, MAC_OUT, OUT4, OUT6, TCP, UDP, Dot1AD, Dot1Q, Raw, ether, fix_ip4_checksum, frame, ip4, ip6, patch, tcp4, tcp6,
                    udp4, udp6)
from scapy.layers.inet6 import (ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting)

ALLOW_ALL = policy("1 allow stateless", default="allow")
PLAIN = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
T4, U4, T6, U6 = tcp4(1000), udp4(1000, payload=b"payload!"), tcp6(1000), udp6(1000, payload=b"payload!")


def v4(proto, payload, **kw):
    return frame(ether(), ip4(proto=proto, **kw), Raw(payload), pad=False)


def v6(nh, payload, **kw):
    return frame(ether(), ip6(nh=nh, **kw), Raw(payload), pad=False)


def ext_chain(n):
    """IPv6 with n destination-options headers before TCP."""
    layers = [ether(), ip6()] + [IPv6ExtHdrDestOpt() for _ in range(n)] + [TCP(sport=1, dport=80)]
    return frame(*layers)


def optioned(options):
    """TCP behind an IPv4 header with these option bytes (a multiple of four)."""
    tcp = bytes(TCP(sport=1000, dport=80))
    header = bytes([0x45 + len(options) // 4, 0]) + (20 + len(options) + len(tcp)).to_bytes(2, "big") + T4[18:34] + options
    return fix_ip4_checksum(T4[:14] + header + tcp)


def quoted4(length):
    """ICMP unreachable that quotes `length` bytes of a TCP packet."""
    inner = bytes(ip4(OUT4, IN4) / TCP(sport=80, dport=1000))[:length]
    return frame(ether(), ip4(OUT4, OUT4.replace("10", "99")), ICMP(type=3, code=1), Raw(inner), pad=False)


ROWS = [
    # Ethernet
    ("ether empty payload", PLAIN + b"\x08\x00", "parse_ipv4"),
    ("ether 13 bytes", PLAIN + b"\x08", "parse_ether"),
    ("vlan tag cut", PLAIN + b"\x81\x00\x00", "parse_ether"),
    ("vlan tag without inner type", PLAIN + b"\x81\x00\x00\x05\x08", "parse_ether"),
    ("qinq inner cut", PLAIN + b"\x88\xa8\x00\x05\x81\x00\x00", "parse_ether"),
    ("three vlan tags", frame(ether(), Dot1AD(vlan=1), Dot1Q(vlan=2), Dot1Q(vlan=3), ip4(), TCP()), "parse_vlan_depth"),
    # IPv4
    ("ipv4 header cut at 1", PLAIN + b"\x08\x00\x45", "parse_ipv4"),
    ("ipv4 header cut at 19", T4[:33], "parse_ipv4"),
    ("ipv4 version 5", fix_ip4_checksum(patch(T4, 14, b"\x55")), "parse_ipv4"),
    ("ipv4 version 6 in ethertype 0800", patch(T6, 12, b"\x08\x00"), "parse_ipv4"),
    ("ipv4 ihl 4", patch(T4, 14, b"\x44"), "parse_ipv4"),
    ("ipv4 ihl 0", patch(T4, 14, b"\x40"), "parse_ipv4"),
    ("ipv4 ihl beyond the frame", patch(T4, 14, b"\x4f")[:14 + 40], "parse_ipv4"),
    ("ipv4 total length below header", fix_ip4_checksum(patch(T4, 16, b"\x00\x13")), "parse_ipv4"),
    ("ipv4 total length zero", fix_ip4_checksum(patch(T4, 16, b"\x00\x00")), "parse_ipv4"),
    ("ipv4 total length beyond the frame", fix_ip4_checksum(patch(T4, 16, b"\x05\xdc")), "parse_ipv4"),
    ("ipv4 checksum wrong", patch(T4, 24, b"\x12\x34"), "parse_ipv4_checksum"),
    ("ipv4 option length 0", optioned(b"\x07\x00\x04\x00"), "parse_ipv4_options"),
    ("ipv4 option length 1", optioned(b"\x44\x01\x00\x00"), "parse_ipv4_options"),
    ("ipv4 option past the header", optioned(b"\x07\x40\x04\x00"), "parse_ipv4_options"),
    ("ipv4 option length byte missing", optioned(b"\x01\x01\x01\x07"), "parse_ipv4_options"),
    ("ipv4 loose source route", optioned(b"\x83\x07\x04\xc0\x00\x02\x01\x00"), "parse_ipv4_options"),
    ("ipv4 strict source route", optioned(b"\x89\x07\x04\xc0\x00\x02\x01\x00"), "parse_ipv4_options"),
    ("ipv4 first fragment", frame(ether(), ip4(flags="MF"), UDP(sport=9, dport=53), Raw(b"x" * 24)), "frag_timeout"),
    ("ipv4 later fragment", frame(ether(), ip4(frag=3), Raw(b"x" * 24)), "frag_timeout"),
    ("ipv4 tiny first fragment", v4(6, b"\0" * 8, flags="MF"), "frag_tiny"),
    ("ipv4 fragment past 65535", v4(17, b"\0" * 64, frag=8191), "frag_too_long"),
    # IPv6
    ("ipv6 header cut at 39", T6[:53], "parse_ipv6"),
    ("ipv6 header cut at 1", PLAIN + b"\x86\xdd\x60", "parse_ipv6"),
    ("ipv6 version 4", patch(T6, 14, b"\x40"), "parse_ipv6"),
    ("ipv6 payload length beyond the frame", patch(T6, 18, b"\x05\xdc"), "parse_ipv6"),
    ("ipv6 payload length zero with tcp", patch(T6, 18, b"\x00\x00"), "parse_tcp"),
    ("ipv6 hop-by-hop cut", v6(0, b"\x06"), "parse_ipv6_extension"),
    ("ipv6 hop-by-hop length past the packet", v6(0, b"\x06\x09" + b"\0" * 6), "parse_ipv6_extension"),
    ("ipv6 hop-by-hop not first", frame(ether(), ip6(), IPv6ExtHdrDestOpt(), IPv6ExtHdrHopByHop(), TCP()), "parse_ipv6_extension"),
    ("ipv6 routing type 0", frame(ether(), ip6(), IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8::5"]), TCP()), "parse_ipv6_extension"),
    ("ipv6 nine extension headers", ext_chain(9), "parse_ipv6_extension"),
    ("ipv6 sixty extension headers", ext_chain(60), "parse_ipv6_extension"),
    ("ipv6 fragment", frame(ether(), ip6(), IPv6ExtHdrFragment(m=1, id=7), UDP(sport=9, dport=53), Raw(b"x" * 15)), "frag_length"),
    ("ipv6 later fragment", frame(ether(), ip6(), IPv6ExtHdrFragment(offset=4, id=7, nh=17), Raw(b"x" * 16)), "frag_timeout"),
    ("ipv6 two fragment headers", frame(ether(), ip6(), IPv6ExtHdrFragment(id=7), IPv6ExtHdrFragment(id=7), UDP(sport=9, dport=53)), "frag_headers"),
    ("ipv6 fragment header cut", v6(44, b"\x11\0\0"), "parse_ipv6_extension"),
    ("ipv6 destination options cut", v6(60, b"\x06\x00\x01"), "parse_ipv6_extension"),
    ("ipv6 ah cut", v6(51, b"\x06\x04\0\0" + b"\0" * 4), "parse_ipv6_extension"),
    # addresses
    ("land ipv4", tcp4(80, 80, src=OUT4, dst=OUT4), "parse_address"),
    ("land ipv6", tcp6(80, 80, src=OUT6, dst=OUT6), "parse_address"),
    ("ipv4 multicast source", tcp4(1, src="224.0.0.5"), "parse_address"),
    ("ipv4 broadcast source", tcp4(1, src="255.255.255.255"), "parse_address"),
    ("ipv4 loopback source", tcp4(1, src="127.0.0.1"), "parse_address"),
    ("ipv4 loopback destination", tcp4(1, dst="127.0.0.1"), "parse_address"),
    ("ipv4 destination zero", tcp4(1, dst="0.0.0.0"), "parse_address"),
    ("ipv6 multicast source", tcp6(1, src="ff02::1"), "parse_address"),
    ("ipv6 loopback source", tcp6(1, src="::1"), "parse_address"),
    ("ipv6 loopback destination", tcp6(1, dst="::1"), "parse_address"),
    ("ipv6 unspecified destination", tcp6(1, dst="::"), "parse_address"),
    ("ipv6 mapped source", tcp6(1, src="::ffff:192.0.2.1"), "parse_address"),
    # TCP
    ("tcp header cut", v4(6, b"\x04\x00\x00\x50" + b"\0" * 15), "parse_tcp"),
    ("tcp empty", v4(6, b""), "parse_tcp"),
    ("tcp offset 4", patch(T4, 46, b"\x40"), "parse_tcp"),
    ("tcp offset 0", patch(T4, 46, b"\x00"), "parse_tcp"),
    ("tcp offset past the packet", patch(T4, 46, b"\xf0"), "parse_tcp"),
    ("tcp port zero", tcp4(0), "parse_port_zero"),
    ("tcp destination port zero", tcp4(5, 0), "parse_port_zero"),
    ("tcp6 header cut", v6(6, b"\0" * 19), "parse_tcp"),
    ("tcp6 offset past the packet", patch(T6, 66, b"\xf0"), "parse_tcp"),
    # UDP
    ("udp header cut", v4(17, b"\x04\x00\x00\x35\x00\x08\x00"), "parse_udp"),
    ("udp length below 8", patch(U4, 38, b"\x00\x07"), "parse_udp"),
    ("udp length past the packet", patch(U4, 38, b"\x00\xff"), "parse_udp"),
    ("udp port zero", udp4(0), "parse_port_zero"),
    ("udp6 length past the packet", patch(U6, 58, b"\x00\xff"), "parse_udp"),
    ("udp6 header cut", v6(17, b"\0" * 7), "parse_udp"),
    # SCTP
    ("sctp header cut", v4(132, b"\x00\x01\x00\x02" + b"\0" * 7), "parse_sctp"),
    ("sctp port zero", v4(132, b"\x00\x00\x00\x02" + b"\0" * 12), "parse_port_zero"),
    ("sctp6 header cut", v6(132, b"\x00\x01"), "parse_sctp"),
    # ICMP
    ("icmp cut", v4(1, b"\x08\x00\x00"), "parse_icmp"),
    ("icmp echo cut before its id", v4(1, b"\x08\x00\xf7\xff"), "parse_icmp"),
    ("icmp error quoting nothing", quoted4(0), "parse_icmp"),
    ("icmp error quoting 19 bytes", quoted4(19), "parse_icmp"),
    ("icmp error quoting 27 bytes", quoted4(27), "parse_icmp"),
    ("icmpv6 cut", v6(58, b"\x80\x00"), "parse_icmp"),
    ("icmpv6 error quoting 40 bytes", frame(ether(), ip6(OUT6, IN6, nh=58), Raw(b"\x01\x04\0\0\0\0\0\0" + bytes(IPv6(src=IN6, dst=OUT6, nh=6, plen=20))), pad=False), "parse_icmp"),
]


@pytest.fixture(scope="module")
def outcome(firewall):
    return firewall.replay(ALLOW_ALL, [raw for _, raw, _ in ROWS], zones=False)


@pytest.mark.parametrize("n", range(len(ROWS)), ids=[r[0] for r in ROWS])
def test_malformed_packet_is_dropped_with_its_reason(outcome, n):
    got = outcome.packets[n]
    assert (got["verdict"], got["reason"]) == ("drop", ROWS[n][2])


def test_every_drop_is_counted_once(outcome):
    want = {}
    for _, _, reason in ROWS:
        want[reason] = want.get(reason, 0) + 1
    assert {r: n for r, n in outcome.stats["drops"].items() if n} == want
    assert outcome.stats["packets"]["tx"] == 0


@pytest.mark.parametrize("name,whole", [("tcp4", T4), ("udp4", U4), ("tcp6", T6), ("udp6", U6),
                                        ("echo4", frame(ether(), ip4(), ICMP(id=7), Raw(b"abc"))),
                                        ("echo6", frame(ether(), ip6(), ICMPv6EchoRequest(id=7, data=b"abc"))),
                                        ("ext6", ext_chain(3))])
def test_truncation_at_every_length(firewall, name, whole):
    """A valid frame cut at each length never reads past its end (ASan) and is never forwarded."""
    used = len(whole) if whole[12:14] == b"\x86\xdd" else 14 + int.from_bytes(whole[16:18], "big")
    result = firewall.replay(ALLOW_ALL, [whole[:n] for n in range(14, used)], zones=False)
    assert set(result.verdicts()) == {"drop"}
    assert all(r.startswith("parse_") or r.startswith("route_") for r in result.reasons())


def test_checksums_by_policy(firewall):
    """Layer 4 checksums count under `verify`, and only there."""
    bad = [patch(T4, 50, b"\x12\x34"), patch(U4, 40, b"\x12\x34"), patch(T6, 70, b"\x12\x34"), patch(U6, 60, b"\x00\x00"),
           patch(frame(ether(), ip4(), ICMP(id=7)), 36, b"\x12\x34")]
    good = [T4, U4, T6, U6, frame(ether(), ip4(), ICMP(id=7)), patch(U4, 40, b"\x00\x00")]
    verified = firewall.replay(ALLOW_ALL, bad + good, "--checksum", "verify", zones=False)
    assert verified.reasons() == ["parse_l4_checksum"] * len(bad) + [None] * len(good)
    assert firewall.replay(ALLOW_ALL, bad + good, zones=False).reasons() == [None] * (len(bad) + len(good))


def test_macs_do_not_matter(firewall):
    assert firewall.replay(ALLOW_ALL, [frame(ether(src=MAC_OUT, dst=MAC_IN), ip4(IN4, OUT4), UDP(sport=5, dport=6))], zones=False).verdicts() == ["allow"]

