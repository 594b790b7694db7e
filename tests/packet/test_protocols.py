# SPDX-License-Identifier: BSD-3-Clause
"""What must pass, passes byte for byte: every protocol the parser knows, with and without tags, options and extension headers."""
import json

import pytest
from conftest import policy
from frames import (ARP, ICMP, IN4, IN6, MAC_IN, OUT4, OUT6, TCP, UDP, Dot1AD, Dot1Q, Ether, Raw, ether, fix_ip4_checksum, frame, ip4, ip6, patch, tcp4, tcp6, udp4,
                    udp6)
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr,
                                ICMPv6PacketTooBig, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, RouterAlert)
from scapy.layers.sctp import SCTP, SCTPChunkInit

ALLOW_ALL = policy("1 allow", default="drop", extra="builtin = { arp = true; nd = true; };")


def proto4(number, payload=b"\1\2\3\4\5\6\7\x08"):
    return frame(ether(), ip4(proto=number), Raw(payload))


def proto6(number, payload=b"\1\2\3\4\5\6\7\x08"):
    return frame(ether(), ip6(nh=number), Raw(payload))


def options4(options):
    udp = bytes(UDP(sport=1500, dport=53) / Raw(b"x"))
    head = udp4(1)[:34]
    header = bytes([0x45 + len(options) // 4, 0]) + (20 + len(options) + len(udp)).to_bytes(2, "big") + head[18:34] + options
    return fix_ip4_checksum(head[:14] + header + udp)


ROWS = [
    ("tcp syn", tcp4(1001)),
    ("tcp syn with options", tcp4(1002, options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)])),
    ("tcp syn with payload (fast open)", tcp4(1003, payload=b"GET / HTTP/1.0\r\n\r\n")),
    ("tcp syn ece cwr", tcp4(1004, flags="SEC")),
    ("tcp6 syn", tcp6(1005)),
    ("udp", udp4(1006)),
    ("udp empty", udp4(1007, payload=b"")),
    ("udp jumbo payload", udp4(1008, payload=b"x" * 8000)),
    ("udp without checksum", patch(udp4(1009), 40, b"\0\0")),
    ("udp6", udp6(1010)),
    ("sctp init", frame(ether(), ip4(), SCTP(sport=1011, dport=36412), SCTPChunkInit(init_tag=1))),
    ("sctp6 init", frame(ether(), ip6(), SCTP(sport=1012, dport=36412), SCTPChunkInit(init_tag=1))),
    ("icmp echo", frame(ether(), ip4(), ICMP(id=1013), Raw(b"ping"))),
    ("icmp timestamp", frame(ether(), ip4(), ICMP(type=13, id=1014))),
    ("icmpv6 echo", frame(ether(), ip6(), ICMPv6EchoRequest(id=1015, data=b"ping"))),
    ("gre", proto4(47)), ("esp", proto4(50)), ("ah", proto4(51, b"\x06\x04\0\0" + b"\0" * 20)), ("ospf", proto4(89)), ("pim", proto4(103)), ("vrrp", proto4(112)),
    ("ipip", proto4(4)), ("6in4", proto4(41)), ("udplite", proto4(136)), ("protocol 253", proto4(253)), ("protocol 255", proto4(255)), ("protocol 0", proto4(0)),
    ("gre6", proto6(47)), ("esp6", proto6(50)), ("ospf6", proto6(89)), ("no next header", proto6(59, b"")), ("protocol 253 over ipv6", proto6(253)),
    ("igmp to multicast", frame(ether(dst="01:00:5e:00:00:16"), ip4(dst="224.0.0.22", proto=2, ttl=1), Raw(b"\x22\0\xf9\x02\0\0\0\0"))),
    ("mld to multicast", frame(ether(dst="33:33:00:00:00:16"), ip6(src="fe80::3", dst="ff02::16", hlim=1), IPv6ExtHdrHopByHop(options=[RouterAlert()]),
                               ICMPv6MLReport2())),
    ("broadcast udp", frame(ether(dst="ff:ff:ff:ff:ff:ff"), ip4(dst="255.255.255.255"), UDP(sport=1016, dport=9), Raw(b"x"))),
    ("multicast udp", frame(ether(dst="01:00:5e:01:01:01"), ip4(dst="233.252.0.1"), UDP(sport=1017, dport=5004), Raw(b"x"))),
    ("dhcp discover from 0.0.0.0", frame(ether(dst="ff:ff:ff:ff:ff:ff"), ip4(src="0.0.0.0", dst="255.255.255.255"), UDP(sport=68, dport=67), BOOTP(),
                                         DHCP(options=[("message-type", "discover"), "end"]))),
    ("ipv4 record route", options4(b"\x07\x07\x04\0\0\0\0\0")),
    ("ipv4 router alert", options4(b"\x94\x04\0\0")),
    ("ipv4 nops and end", options4(b"\x01\x01\x00\x00")),
    ("ipv4 ten option words", options4(b"\x01" * 40)),
    ("ipv4 dscp and ecn", frame(ether(), ip4(tos=0xB9), UDP(sport=1018, dport=53))),
    ("ipv4 dont fragment", frame(ether(), ip4(flags="DF"), UDP(sport=1019, dport=53))),
    ("ipv4 ttl 1", frame(ether(), ip4(ttl=1), UDP(sport=1020, dport=53))),
    ("ipv6 hop-by-hop", frame(ether(), ip6(), IPv6ExtHdrHopByHop(options=[RouterAlert()]), UDP(sport=1021, dport=53))),
    ("ipv6 destination options", frame(ether(), ip6(), IPv6ExtHdrDestOpt(), UDP(sport=1022, dport=53))),
    ("ipv6 routing type 2", frame(ether(), ip6(), IPv6ExtHdrRouting(type=2, segleft=0, addresses=["2001:db8::5"]), UDP(sport=1023, dport=53))),
    ("ipv6 three extension headers", frame(ether(), ip6(), IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(type=2, segleft=0, addresses=["2001:db8::5"]),
                                           TCP(sport=1024, dport=80))),
    ("ipv6 flow label", frame(ether(), ip6(fl=0x12345, tc=0xB8), UDP(sport=1025, dport=53))),
    ("vlan udp", frame(ether(), Dot1Q(vlan=20), ip4(), UDP(sport=1026, dport=53))),
    ("vlan priority tag", frame(ether(), Dot1Q(vlan=0, prio=5), ip4(), UDP(sport=1027, dport=53))),
    ("vlan tcp6", frame(ether(), Dot1Q(vlan=4094), ip6(), TCP(sport=1028, dport=80))),
    ("qinq 88a8", frame(ether(), Dot1AD(vlan=100), Dot1Q(vlan=20), ip4(), TCP(sport=1029, dport=80))),
    ("qinq 9100", patch(frame(ether(), Dot1Q(vlan=100), Dot1Q(vlan=20), ip4(), UDP(sport=1040, dport=53)), 12, b"\x91\x00")),
    ("qinq 9200", patch(frame(ether(), Dot1Q(vlan=100), Dot1Q(vlan=20), ip4(), UDP(sport=1041, dport=53)), 12, b"\x92\x00")),
    ("qinq 9300", patch(frame(ether(), Dot1Q(vlan=100), Dot1Q(vlan=20), ip6(), UDP(sport=1042, dport=53)), 12, b"\x93\x00")),
    ("qinq 8100 twice", frame(ether(), Dot1Q(vlan=100), Dot1Q(vlan=20), ip6(), UDP(sport=1030, dport=53))),
    ("vlan dhcp", frame(ether(dst="ff:ff:ff:ff:ff:ff"), Dot1Q(vlan=7), ip4(src="0.0.0.0", dst="255.255.255.255"), UDP(sport=68, dport=67), BOOTP())),
    ("udp with ethernet padding", udp4(1031, payload=b"abc")[:45] + b"\xAA" * 20),
    ("tcp with trailer after ip", tcp4(1032) + b"\xDE\xAD"),
    ("arp request", frame(ether(dst="ff:ff:ff:ff:ff:ff"), ARP(psrc=IN4, pdst="10.1.2.1"))),
    ("arp reply", frame(ether(), ARP(op=2, psrc=OUT4, pdst=IN4))),
    ("vlan arp", frame(ether(), Dot1Q(vlan=20), ARP(psrc=IN4, pdst="10.1.2.1"))),
    ("neighbour solicitation", frame(ether(dst="33:33:ff:00:00:10"), ip6(dst="ff02::1:ff00:10", hlim=255), ICMPv6ND_NS(tgt=OUT6), ICMPv6NDOptSrcLLAddr(lladdr=MAC_IN))),
    ("neighbour solicitation for DAD", frame(ether(dst="33:33:ff:00:00:10"), ip6(src="::", dst="ff02::1:ff00:10", hlim=255), ICMPv6ND_NS(tgt=OUT6))),
    ("neighbour advertisement", frame(ether(), ip6(OUT6, IN6, hlim=255), ICMPv6ND_NA(tgt=OUT6))),
    ("router solicitation", frame(ether(), ip6(src="fe80::3", dst="ff02::2", hlim=255), ICMPv6ND_RS())),
    ("router advertisement", frame(ether(), ip6(src="fe80::1", dst="ff02::1", hlim=255), ICMPv6ND_RA())),
]


@pytest.fixture(scope="module")
def outcome(firewall):
    return firewall.replay(ALLOW_ALL, [raw for _, raw in ROWS], zones=False)


@pytest.mark.parametrize("n", range(len(ROWS)), ids=[r[0] for r in ROWS])
def test_protocol_passes(outcome, n):
    assert (outcome.packets[n]["verdict"], outcome.packets[n]["reason"]) == ("allow", None)


def test_frames_leave_unchanged_and_in_order(outcome):
    assert outcome.out == [raw for _, raw in ROWS]


NON_IP = [
    ("lldp", bytes(Ether(src=MAC_IN, dst="01:80:c2:00:00:0e", type=0x88CC)) + b"\0" * 46),
    ("pppoe", bytes(Ether(src=MAC_IN, type=0x8863)) + b"\x11\x09" + b"\0" * 44),
    ("stp over llc", bytes.fromhex("0180c2000000020000000001") + b"\x00\x26\x42\x42\x03" + b"\0" * 43),
    ("mpls", bytes(Ether(src=MAC_IN, type=0x8847)) + b"\0" * 46),
    ("ipx", bytes(Ether(src=MAC_IN, type=0x8137)) + b"\0" * 46),
    ("ethertype 0", bytes(Ether(src=MAC_IN, type=0)) + b"\0" * 46),
]


def test_other_ethertypes_meet_the_default(firewall):
    result = firewall.replay(ALLOW_ALL, [raw for _, raw in NON_IP], zones=False)
    assert result.reasons() == ["route_non_ip"] * len(NON_IP)


def test_ethertype_rules_pass_and_stop_frames(firewall):
    rules = policy("1 allow ethertype 0x88cc", "2 drop ethertype 0x0806", "3 allow ethertype 0x8863,0x8864", extra="builtin = { arp = true; nd = true; };")
    arp = frame(ether(), ARP(psrc=IN4, pdst="10.1.2.1"))
    result = firewall.replay(rules, [raw for _, raw in NON_IP] + [arp], zones=False)
    assert [(p["verdict"], p["rule"]) for p in result.packets] == [("allow", 1), ("allow", 3), ("drop", None), ("drop", None), ("drop", None), ("drop", None), ("drop", 2)]


def test_builtins_can_be_switched_off(firewall):
    arp = frame(ether(), ARP(psrc=IN4, pdst="10.1.2.1"))
    nd = next(raw for name, raw in ROWS if name == "neighbour solicitation")
    off = policy("1 allow tcp", extra="builtin = { arp = false; nd = false; };")
    assert firewall.replay(off, [arp, nd], zones=False).reasons() == ["route_non_ip", "default"]
    routed_nd = patch(nd, 21, b"\xfe")
    on = policy("1 allow tcp")
    assert firewall.replay(on, [arp, nd, routed_nd], zones=False).reasons() == [None, None, "default"]


def test_redirects_pass_by_rule_only(firewall):
    """RFC 4890 4.4.1: a redirect steers hosts, so builtin neighbour discovery does not carry it."""
    redirects = [frame(ether(), ip6("fe80::1", IN6, hlim=255), ICMPv6ND_Redirect(tgt="fe80::2", dst=OUT6)),
                 frame(ether(), ip4("10.1.0.1", IN4), ICMP(type=5, code=1, gw="10.1.0.2"), ip4(), UDP(sport=1040, dport=53))]
    assert firewall.replay(policy("1 allow tcp"), redirects, zones=False).reasons() == ["default"] * 2
    by_rule = policy("1 allow icmpv6 icmp_type redirect", "2 allow icmp icmp_type redirect")
    assert [(p["verdict"], p["rule"]) for p in firewall.replay(by_rule, redirects, zones=False).packets] == [("allow", 1), ("allow", 2)]


NAMES = {"F": "fin", "S": "syn", "R": "rst", "P": "psh", "A": "ack", "U": "urg"}
TCP_FLAGS = ["".join(f for k, f in enumerate(NAMES) if bits >> k & 1) for bits in range(64)] + ["SEC"]
QUOTED4, QUOTED6 = ip4(OUT4, IN4) / UDP(sport=1041, dport=53) / Raw(b"12345678"), ip6(OUT6, IN6) / UDP(sport=1041, dport=53) / Raw(b"12345678")
FIRST_PACKETS = [(tcp4(1100 + n, flags=flags), f"tcp {IN4}:{1100 + n} > {OUT4}:80 flags={','.join((NAMES | {'E': 'ece', 'C': 'cwr'})[f] for f in flags) or 'none'}")
                 for n, flags in enumerate(TCP_FLAGS)]
FIRST_PACKETS += [(frame(ether(), ip4(), ICMP(type=t, id=1200 + t), Raw(bytes(32))), f"icmp {IN4} > {OUT4} type={t}") for t in (0, 5, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42)]
FIRST_PACKETS += [(frame(ether(), ip4(), ICMP(type=t), QUOTED4), f"icmp {IN4} > {OUT4} type={t}") for t in (3, 11, 12)]
FIRST_PACKETS += [(frame(ether(), ip6(), ICMPv6EchoRequest(id=1301)), f"icmpv6 {IN6} > {OUT6} type=128"),
                  (frame(ether(), ip6(), ICMPv6EchoReply(id=1302)), f"icmpv6 {IN6} > {OUT6} type=129"),
                  (frame(ether(), ip6(), ICMPv6PacketTooBig(), QUOTED6), f"icmpv6 {IN6} > {OUT6} type=2"),
                  (frame(ether(), ip6("fe80::1", IN6, hlim=255), ICMPv6ND_Redirect(tgt="fe80::2", dst=OUT6)), f"icmpv6 fe80::1 > {IN6} type=137"),
                  (udp4(1042), f"udp {IN4}:1042 > {OUT4}:53"), (frame(ether(dst="ff:ff:ff:ff:ff:ff"), ARP(psrc=IN4, pdst="10.1.2.1")), "arp"),
                  (bytes(Ether(src=MAC_IN, type=0x88CC)) + bytes(46), "ethertype=lldp")]
POLICIES = {"stateful": policy("1 allow"), "stateless": policy("1 allow stateless"), "drop": policy("1 drop tcp,icmp"), "default drop": policy("1 allow sctp"),
            "default allow": policy("1 drop sctp", default="allow"), "by flags": policy("1 allow tcp tcp_flags ack stateless", "2 allow tcp tcp_flags rst", "3 allow icmp")}


@pytest.mark.parametrize("rules", POLICIES.values(), ids=POLICIES.keys())
def test_explain_decides_as_the_path_does(firewall, rules):
    """The first packet of a flow: the same verdict, rule and reason from its description as from the packet itself."""
    replayed = firewall.replay(rules, [raw for raw, _ in FIRST_PACKETS], zones=False).packets
    path = firewall.path("explain.rules")
    with open(path, "w") as f:
        f.write(rules)
    for (_, text), packet in zip(FIRST_PACKETS, replayed):
        answer = json.loads(firewall.run("explain", "--rules", path, "--json", text).stdout)
        assert (text, answer["verdict"], answer["rule"], answer["reason"]) == (text, packet["verdict"], packet["rule"], packet["reason"])
