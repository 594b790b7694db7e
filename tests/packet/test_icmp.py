# SPDX-License-Identifier: BSD-3-Clause
"""ICMP and ICMPv6: which errors pass with a session (RFC 5927, 1122, 1812, 4443), which types rules must name (RFC 4890, 6633, 6918), and which
neighbour discovery a host would take (RFC 4861)."""
import struct

import pytest
from conftest import policy
from frames import ICMP, IN4, IN6, MAC_IN, OUT4, OUT6, TCP, UDP, Raw, ether, frame, ip4, ip6
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6MLQuery, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6ND_RS,
                                ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, ICMPv6Unknown, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment)
from sctp_table import UP, packet as sctp_packet

OUTWARD = policy("10 allow from inside to outside")
ROUTER4, ROUTER6 = "198.51.100.1", "2001:db8:20::1"
ISN, PEER = 1000, 5000
GROUP4, GROUP6 = "233.252.0.1", "ff0e::101"


def raw(packet, length=None):
    """The bytes of an IP packet, cut to `length`."""
    return bytes(packet)[:length]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def error4(quoted, kind=3, code=1, rest=b"\0\0\0\0", src=ROUTER4, dst=IN4):
    icmp = bytes([kind, code, 0, 0]) + rest + quoted
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    return frame(ether(), ip4(src, dst, proto=1), Raw(icmp))


def error6(quoted, kind=1, code=0, rest=b"\0\0\0\0", src=ROUTER6, dst=IN6):
    return frame(ether(), ip6(src, dst), ICMPv6Unknown(type=kind, code=code, msgbody=rest + quoted))


def mtu4(value):
    return struct.pack("!HH", 0, value)


def mtu6(value):
    return struct.pack("!I", value)


class Flow:
    """One session of each protocol: what opens it, and packets of it as a router would quote them."""

    def __init__(self, port, v6):
        self.port, self.v6 = port, v6
        self.ip = (lambda src, dst, **kw: ip6(src, dst, **kw)) if v6 else (lambda src, dst, **kw: ip4(src, dst, **kw))
        self.ins, self.outs = (IN6, OUT6) if v6 else (IN4, OUT4)

    def out(self, l4, **kw):
        return self.ip(self.ins, self.outs, **kw) / l4

    def back(self, l4):
        return self.ip(self.outs, self.ins) / l4

    def udp(self, size=100, **kw):
        return self.out(UDP(sport=self.port, dport=53) / Raw(b"x" * size), **kw)

    def tcp(self, seq, flags="PA", size=1000, **kw):
        return self.out(TCP(sport=self.port, dport=80, flags=flags, seq=seq % 2**32, ack=PEER + 1) / Raw(b"x" * size), **kw)

    def tcp_open(self):
        """Handshake, and 1,000 bytes on their way that nobody acknowledged yet."""
        return [ether() / self.tcp(ISN, "S", 0), ether() / self.back(TCP(sport=80, dport=self.port, flags="SA", seq=PEER, ack=ISN + 1)), ether() / self.tcp(ISN + 1, "A", 0),
                ether() / self.tcp(ISN + 1, size=1000)]

    def echo(self):
        message = ICMPv6EchoRequest(id=self.port, data=b"x" * 60) if self.v6 else ICMP(id=self.port) / Raw(b"x" * 60)
        return self.out(message)

    def error(self, quoted, **kw):
        return (error6 if self.v6 else error4)(quoted, **kw)


P, I, T, N, D = None, "icmp_implausible", "icmp_error_type", "icmp_no_session", "default"
ROWS = []  # name, family, function of Flow that gives (frames before, error, reason)


def row(name, v6, make):
    ROWS.append((f"{'v6' if v6 else 'v4'} {name}", v6, make))


def udp_row(name, v6, want, quote=lambda f: raw(f.udp()), **kw):
    row(name, v6, lambda f: ([ether() / f.udp()], f.error(quote(f), **kw), want))


def tcp_row(name, v6, want, seq, **kw):
    row(name, v6, lambda f: (f.tcp_open(), f.error(raw(f.tcp(seq), 28 if not v6 else 48), **kw), want))


# types and codes, each about a UDP session
CODES4 = {3: set(range(14)) - {8}, 11: {0, 1}, 12: {0, 1, 2}}
for kind, good in CODES4.items():
    for code in list(range(17)) + [31, 32, 128, 255]:
        rest = mtu4(100) if (kind, code) == (3, 4) else b"\0\0\0\0"
        udp_row(f"type {kind} code {code} (RFC 1122 3.2.2, 1812 5.2.7)", False, P if code in good else T, kind=kind, code=code, rest=rest)
CODES6 = {1: set(range(9)), 2: {0}, 3: {0, 1}, 4: set(range(11))}
for kind, good in CODES6.items():
    for code in list(range(13)) + [31, 32, 128, 255]:
        rest = mtu6(1280) if kind == 2 else b"\0\0\0\0"
        udp_row(f"type {kind} code {code} (RFC 4890 4.3, 4443 3)", True, P if code in good else T, quote=lambda f: raw(f.udp(1400), 1200), kind=kind, code=code, rest=rest)
udp_row("source quench (RFC 6633)", False, D, kind=4, code=0)
for code in range(4):
    udp_row(f"redirect code {code} (RFC 1122 3.2.2.2)", False, D, kind=5, code=code)
for kind in (5, 100, 101, 127):
    udp_row(f"error type {kind} (RFC 4890 4.3.5)", True, D, kind=kind)

# the MTU of "too big"
for value, want in ((0, I), (67, I), (68, P), (127, P), (128, I), (1500, I), (65535, I)):
    udp_row(f"fragmentation needed, MTU {value} of 128 (RFC 1191, 5927 7)", False, want, kind=3, code=4, rest=mtu4(value))
for value, want in ((0, I), (68, I), (1279, I), (1280, P), (1447, P), (1448, I), (9000, I), (2**32 - 1, I)):
    udp_row(f"too big, MTU {value} of 1448 (RFC 8201 4)", True, want, quote=lambda f: raw(f.udp(1400), 1200), kind=2, rest=mtu6(value))
for pointer, want in ((0, P), (20, P), (127, P), (128, I), (255, I)):
    udp_row(f"parameter problem at {pointer} of 128 (RFC 792)", False, want, kind=12, code=0, rest=bytes([pointer, 0, 0, 0]))
for pointer, want in ((0, P), (40, P), (147, P), (148, I), (2**31, I)):
    udp_row(f"parameter problem at {pointer} of 148 (RFC 4443 3.4)", True, want, kind=4, code=0, rest=mtu6(pointer))

# quoted TCP: sequence numbers in flight (RFC 5927 4.1); in flight are ISN+1 .. ISN+1001
for v6 in (False, True):
    for name, seq, want in (("the keep-alive's number", ISN, P), ("the first byte in flight", ISN + 1, P), ("the last byte in flight", ISN + 1000, P), ("the next number", ISN + 1001, P),
                            ("beyond what was sent", ISN + 1002, I), ("before what was acknowledged", ISN - 1, I), ("zero", 0, I), ("half way round", ISN + 2**31, I),
                            ("far beyond", ISN + 70000, I), ("all ones", 2**32 - 1, I)):
        tcp_row(f"tcp, {name} (RFC 5927 4.1)", v6, want, seq)
    tcp_row("tcp time exceeded in flight", v6, P, ISN + 1, kind=3 if v6 else 11, code=0)
    tcp_row("tcp too big, blind (RFC 5927 7)", v6, I, ISN + 5000, kind=2 if v6 else 3, code=0 if v6 else 4, rest=mtu6(1280) if v6 else mtu4(576))
    row("tcp too big in flight", v6, lambda f: (f.tcp_open() + [ether() / f.tcp(ISN + 1001, size=1400)],
                                                f.error(raw(f.tcp(ISN + 1001, size=1400), 100), **(dict(kind=2, rest=mtu6(1280)) if f.v6 else dict(code=4, rest=mtu4(1400)))), P))
    row("tcp syn quoted (RFC 1122 4.2.3.9)", v6, lambda f: ([ether() / f.tcp(ISN, "S", 0)], f.error(raw(f.tcp(ISN, "S", 0))), P))
    row("tcp syn with another number", v6, lambda f: ([ether() / f.tcp(ISN, "S", 0)], f.error(raw(f.tcp(ISN + 77, "S", 0))), I))
    row("tcp of another port", v6, lambda f: (f.tcp_open(), f.error(raw(Flow(f.port + 20000, f.v6).tcp(ISN + 1), 60)), N))
    row("error from inside about the peer's segment", v6,
        lambda f: (f.tcp_open(), f.error(raw(f.back(TCP(sport=80, dport=f.port, flags="A", seq=PEER + 1, ack=ISN + 1))), src=f.ins, dst=f.outs), P))
    row("error from inside about what the peer never sent", v6,
        lambda f: (f.tcp_open(), f.error(raw(f.back(TCP(sport=80, dport=f.port, flags="A", seq=PEER + 9999, ack=ISN + 1))), src=f.ins, dst=f.outs), I))
    # quoted UDP, ICMP, SCTP, others
    udp_row("udp", v6, P)
    udp_row("udp, from the peer itself", v6, P, src=OUT6 if v6 else OUT4)
    for length, want in ((0, I), (7, I), (8, P), (108, P), (109, I), (65535, I)):
        udp_row(f"udp length {length} of 108 (RFC 768)", v6, want,
                quote=lambda f, length=length: raw(f.out(UDP(sport=f.port, dport=53, len=length, chksum=1) / Raw(b"x" * 100))))
    udp_row("quoted checksum that a translator broke", v6, P, quote=lambda f: raw(f.out(UDP(sport=f.port, dport=53, chksum=0x1234) / Raw(b"x" * 100))))
    row("echo", v6, lambda f: ([ether() / f.echo()], f.error(raw(f.echo())), P))
    row("echo of another identifier (RFC 5508 4)", v6, lambda f: ([ether() / f.echo()], f.error(raw(Flow(f.port + 20000, f.v6).echo())), N))
    row("gre", v6, lambda f: ([frame(ether(), f.ip(f.ins, f.outs, **({"nh": 47} if f.v6 else {"proto": 47})), Raw(bytes(8)))],
                              f.error(raw(f.ip(f.ins, f.outs, **({"nh": 47} if f.v6 else {"proto": 47})) / Raw(bytes(8)))), P))

    def sctp(f, step, before=UP):
        return [sctp_packet(s, f.port, f.v6) for s in before], f.error(sctp_packet(step, f.port, f.v6)[14:14 + 60 + 20 * f.v6]), None

    for name, step, before, want in (("its tag", "> b data", UP, P), ("a wrong tag (RFC 9260 10.1)", "> x data", UP, I), ("the other's tag", "> a data", UP, I),
                                     ("no tag when up", "> 0 init(a)", UP, I), ("the INIT", "> 0 init(a)", UP[:1], P)):
        row(f"sctp, {name}", v6, lambda f, step=step, before=before, want=want: (*sctp(f, step, before)[:2], want))

# the quoted header
udp_row("cut to 8 bytes of payload (RFC 792)", False, P, quote=lambda f: raw(f.udp(), 28))
udp_row("cut to 7 bytes of payload", False, "parse_icmp", quote=lambda f: raw(f.udp(), 27))
udp_row("quoted total length below its header", False, I, quote=lambda f: raw(f.udp(len=19), 28))
udp_row("quoted total length of 27", False, I, quote=lambda f: raw(f.udp(len=27), 28))
udp_row("quoted total length of 128", False, P, quote=lambda f: raw(f.udp(len=128), 28))
udp_row("quoted header with options", False, P, quote=lambda f: raw(f.udp(options=[b"\x94\x04\0\0"]), 32))
udp_row("quoted first fragment", False, P, quote=lambda f: raw(f.udp(1400, flags="MF", len=628), 60))
udp_row("quoted first fragment, UDP shorter than it", False, I, quote=lambda f: raw(f.udp(100, flags="MF", len=628), 60))
udp_row("quoted later fragment (RFC 1122 3.2.2)", False, "parse_icmp", quote=lambda f: raw(f.udp(frag=10), 60))
udp_row("quoted version 6 in IPv4", False, "parse_icmp", quote=lambda f: b"\x65" + raw(f.udp())[1:])
udp_row("quoted payload length 0", True, I, quote=lambda f: raw(f.udp(plen=0)))
udp_row("quoted payload length 7", True, I, quote=lambda f: raw(f.udp(plen=7)))
udp_row("quoted extension header", True, P, quote=lambda f: raw(f.out(IPv6ExtHdrDestOpt() / UDP(sport=f.port, dport=53) / Raw(b"x" * 100))))
udp_row("quoted first fragment", True, P, quote=lambda f: raw(f.out(IPv6ExtHdrFragment(m=1, offset=0) / UDP(sport=f.port, dport=53, len=1400) / Raw(b"x" * 100))))
udp_row("quoted later fragment", True, "parse_icmp", quote=lambda f: raw(f.out(IPv6ExtHdrFragment(m=1, offset=5, nh=17) / Raw(b"x" * 100))))
udp_row("whole error of 1280 bytes (RFC 4443 2.4 c)", True, P, quote=lambda f: raw(f.udp(1400), 1232))
udp_row("whole error of 1281 bytes", True, I, quote=lambda f: raw(f.udp(1400), 1233))
udp_row("about an error (RFC 1122 3.2.2)", False, "parse_icmp", quote=lambda f: raw(f.out(ICMP(type=3, code=1)) / Raw(raw(f.udp()))))
udp_row("sent to another than the quoted sender", False, "parse_icmp", dst="10.9.9.9")
row("about a packet to a group (RFC 1122 3.2.2)", False, lambda f: ([ether() / f.ip(IN4, GROUP4) / UDP(sport=f.port, dport=9) / Raw(b"x" * 100)],
                                                                    f.error(raw(f.ip(IN4, GROUP4) / UDP(sport=f.port, dport=9) / Raw(b"x" * 100))), I))
row("about a packet to everyone (RFC 1122 3.2.2)", False, lambda f: ([ether() / f.ip(IN4, "255.255.255.255") / UDP(sport=f.port, dport=9) / Raw(b"x" * 100)],
                                                                     f.error(raw(f.ip(IN4, "255.255.255.255") / UDP(sport=f.port, dport=9) / Raw(b"x" * 100))), I))
for name, kw, want in (("unreachable", dict(kind=1, code=0), I), ("too big", dict(kind=2, rest=mtu6(1280)), P), ("unknown option", dict(kind=4, code=2), P),
                       ("unknown header", dict(kind=4, code=1), I), ("time exceeded", dict(kind=3), I)):
    row(f"{name} about a packet to a group (RFC 4443 2.4 e.3)", True, lambda f, kw=kw, want=want: (
        [ether() / f.ip(IN6, GROUP6) / UDP(sport=f.port, dport=9) / Raw(b"x" * 1400)], f.error(raw(f.ip(IN6, GROUP6) / UDP(sport=f.port, dport=9) / Raw(b"x" * 1400), 1000), **kw), want))
NAMES = [name for name, _, _ in ROWS]


@pytest.fixture(scope="module", params=["alone", "bursts"])
def errors(request, firewall):
    frames, found = [], []
    for n, (_, v6, make) in enumerate(ROWS):
        before, error, want = make(Flow(1000 + n, v6))
        frames += before + [error]
        found.append((len(frames) - 1 - len(before), len(frames) - 1, want))
    result = firewall.replay(OUTWARD, frames, *(["--burst", "32"] if request.param == "bursts" else []))
    return result, found


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("n", range(len(ROWS)), ids=NAMES)
def test_error(errors, n):
    result, found = errors
    first, last, want = found[n]
    assert [p["reason"] for p in result.packets[first:last]] == [None] * (last - first)
    assert result.packets[last]["reason"] == want


def test_errors_about_a_session_are_bounded(firewall):
    """Ten a second and session, of those that are plausible; forged ones do not use them up, other sessions have their own."""
    a, b = Flow(2000, False), Flow(2001, False)
    good, forged, other = error4(raw(a.udp())), error4(raw(a.udp()), kind=3, code=4, rest=mtu4(1)), error4(raw(b.udp()))
    frames = [(ether() / a.udp(), 0), (ether() / b.udp(), 0)] + [(forged, 1.1)] * 20 + [(good, 1.2)] * 12 + [(other, 1.3)] * 2 + [(good, 2.1)]
    assert firewall.replay(OUTWARD, frames).reasons() == [None] * 2 + ["icmp_implausible"] * 20 + [None] * 10 + ["icmp_error_rate"] * 2 + [None] * 3


def test_an_error_is_no_sign_of_life(firewall):
    f = Flow(2000, False)
    frames = [(ether() / f.udp(), 0)] + [(error4(raw(f.udp())), 10), (error4(raw(f.udp())), 28), (error4(raw(f.udp())), 34)]
    assert firewall.replay(OUTWARD, frames).reasons() == [None, None, None, "icmp_no_session"]


def test_errors_of_no_session_are_for_rules(firewall):
    f = Flow(2000, False)
    rules = policy("10 allow icmp from outside to inside icmp_type 3")
    assert firewall.replay(rules, [error4(raw(f.udp())), error4(raw(f.udp()), kind=11)]).reasons() == [None, "icmp_no_session"]


# --- types that a rule must name ----------------------------------------------------------------------------------------------------------

NAMED4 = {4, 5, 6, 15, 16, 17, 18, 41, 253, 254, 255} | set(range(30, 40))
NAMED6 = set(range(5, 128)) | {137, 138, 139, 140, 200, 201, 255}
ND = {133, 134, 135, 136, 137}
REPLIES4, REPLIES6, ERRORS4, ERRORS6 = {0, 14}, {129}, {3, 11, 12}, {1, 2, 3, 4}


def message4(kind):
    return frame(ether(), ip4(IN4, OUT4, proto=1), Raw(struct.pack("!BBHHH", kind, 0, checksum(struct.pack("!BBHHH", kind, 0, 0, kind, 1)), kind, 1)))


def message6(kind):
    return frame(ether(), ip6(IN6, OUT6), ICMPv6Unknown(type=kind, code=0, msgbody=bytes(36)))


@pytest.mark.parametrize("default", ["rule", "default"])
def test_types_that_a_rule_must_name(firewall, default):
    """`allow` alone, and a default of allow, pass what RFC 4890 and 6918 leave to rules; the rest needs its icmp_type."""
    rules = policy("1 allow", extra="builtin = { nd = false; };") if default == "rule" else policy("1 drop tcp", default="allow", extra="builtin = { nd = false; };")
    kinds4 = [k for k in range(256) if k not in ERRORS4]
    kinds6 = [k for k in range(256) if k not in ERRORS6]
    result = firewall.replay(rules, [message4(k) for k in kinds4] + [message6(k) for k in kinds6], zones=False)
    for kind, reason in zip(kinds4, result.reasons()):
        assert (kind, reason) == (kind, "icmp_type" if kind in NAMED4 else "icmp_no_session" if kind in REPLIES4 else None)
    for kind, reason in zip(kinds6, result.reasons()[len(kinds4):]):
        assert (kind, reason) == (kind, "icmp_type" if kind in NAMED6 else "icmp_nd" if kind in ND else "icmp_no_session" if kind in REPLIES6 else None)


def test_a_rule_that_names_the_type_passes_it(firewall):
    rules = policy("1 allow icmp icmp_type 4,5,17", "2 allow icmpv6 icmp_type 138-140,200", "3 allow icmp,icmpv6")
    frames = [message4(k) for k in (4, 5, 17, 18)] + [message6(k) for k in (138, 139, 140, 200, 201)]
    assert [(p["rule"], p["reason"]) for p in firewall.replay(rules, frames, zones=False).packets] == \
        [(1, None)] * 3 + [(3, "icmp_type")] + [(2, None)] * 4 + [(3, "icmp_type")]


def test_stateless_rules_must_name_them_too(firewall):
    assert firewall.replay(policy("1 allow stateless"), [message6(138), message4(5), message6(129)], zones=False).reasons() == ["icmp_type", "icmp_type", None]


def test_multicast_listeners_are_for_rules(firewall):
    """RFC 4890 4.3.3: MLD neither passes by itself nor is it kept from rules."""
    query = frame(ether(), ip6("fe80::1", "ff02::1", hlim=1), ICMPv6MLQuery())
    report = frame(ether(), ip6("fe80::3", "ff02::16", hlim=1), ICMPv6MLReport2())
    assert firewall.replay(policy("1 allow tcp"), [query, report], zones=False).reasons() == ["default"] * 2
    assert firewall.replay(policy("1 allow icmpv6 icmp_type 130-132,143"), [query, report], zones=False).reasons() == [None] * 2


# --- neighbour discovery -------------------------------------------------------------------------------------------------------------------

LINK, ALL, SOLICITED = "fe80::1", "ff02::1", "ff02::1:ff00:10"


def nd(message, src=LINK, dst=ALL, hlim=255, code=None, cut=None, tail=b""):
    if code is not None:
        message.code = code
    packet = ip6(src, dst, hlim=hlim) / message / Raw(tail)
    if cut is not None:
        packet = ip6(src, dst, hlim=hlim) / ICMPv6Unknown(type=message.type, code=0, msgbody=bytes(message)[4:cut])
    return frame(ether(), packet)


OPTION = b"\x01\x01\x02\0\0\0\0\x01"
ND_ROWS = [
    ("router solicitation", "6.1.1", nd(ICMPv6ND_RS(), dst="ff02::2"), True), ("router solicitation from nowhere", "6.1.1", nd(ICMPv6ND_RS(), src="::", dst="ff02::2"), True),
    ("router solicitation from nowhere with an address", "6.1.1", nd(ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=MAC_IN), src="::", dst="ff02::2"), False),
    ("router advertisement", "6.1.2", nd(ICMPv6ND_RA()), True), ("router advertisement not from the link", "6.1.2", nd(ICMPv6ND_RA(), src=OUT6), False),
    ("neighbour solicitation", "7.1.1", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED), True), ("neighbour solicitation, unicast", "7.1.1", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=OUT6), True),
    ("for duplicates", "7.1.1", nd(ICMPv6ND_NS(tgt=OUT6), src="::", dst=SOLICITED), True), ("for duplicates to all", "7.1.1", nd(ICMPv6ND_NS(tgt=OUT6), src="::", dst=ALL), False),
    ("for duplicates with an address", "7.1.1", nd(ICMPv6ND_NS(tgt=OUT6) / ICMPv6NDOptSrcLLAddr(lladdr=MAC_IN), src="::", dst=SOLICITED), False),
    ("neighbour solicitation of a group", "7.1.1", nd(ICMPv6ND_NS(tgt="ff02::5"), src=IN6, dst=SOLICITED), False),
    ("neighbour advertisement", "7.1.2", nd(ICMPv6ND_NA(tgt=OUT6, S=1), src=OUT6, dst=IN6), True), ("unsolicited advertisement to all", "7.1.2", nd(ICMPv6ND_NA(tgt=OUT6, S=0), src=OUT6), True),
    ("solicited advertisement to all", "7.1.2", nd(ICMPv6ND_NA(tgt=OUT6, S=1), src=OUT6), False), ("advertisement of a group", "7.1.2", nd(ICMPv6ND_NA(tgt="ff02::5", S=0), src=OUT6), False),
    ("redirect", "8.1", nd(ICMPv6ND_Redirect(tgt="fe80::2", dst=OUT6), dst=IN6), True), ("redirect to the destination itself", "8.1", nd(ICMPv6ND_Redirect(tgt=OUT6, dst=OUT6), dst=IN6), True),
    ("redirect not from the link", "8.1", nd(ICMPv6ND_Redirect(tgt="fe80::2", dst=OUT6), src=OUT6, dst=IN6), False),
    ("redirect to elsewhere", "8.1", nd(ICMPv6ND_Redirect(tgt="2001:db8:20::99", dst=OUT6), dst=IN6), False),
    ("redirect of a group", "8.1", nd(ICMPv6ND_Redirect(tgt="fe80::2", dst="ff0e::1"), dst=IN6), False),
    ("code 1", "7.1.1", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED, code=1), False),
    ("cut by a byte", "7.1.1", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED, cut=23), False), ("advertisement cut by a byte", "6.1.2", nd(ICMPv6ND_RA(), cut=15), False),
    ("redirect cut by a byte", "8.1", nd(ICMPv6ND_Redirect(tgt="fe80::2", dst=OUT6), dst=IN6, cut=39), False),
    ("an option", "4.6", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED, tail=OPTION), True), ("64 options", "bounded", nd(ICMPv6ND_RA(), tail=b"\x0e\x01\0\0\0\0\0\0" * 64), True),
    ("65 options", "bounded", nd(ICMPv6ND_RA(), tail=b"\x0e\x01\0\0\0\0\0\0" * 65), False),
    ("option of length 0", "4.6", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED, tail=b"\x01\x00" + bytes(6)), False),
    ("option longer than the message", "4.6", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED, tail=b"\x01\x02" + bytes(6)), False),
    ("half an option", "4.6", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED, tail=OPTION[:4]), False),
    ("address option", "4.6.1", nd(ICMPv6ND_NA(tgt=OUT6, S=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC_IN), src=OUT6, dst=IN6), True),
]
ND_ROWS += [(f"hop limit {hlim}", "11.2", nd(ICMPv6ND_NS(tgt=OUT6), src=IN6, dst=SOLICITED, hlim=hlim), False) for hlim in (0, 1, 64, 254)]


def test_neighbour_discovery(firewall):
    """Invalid messages pass neither by themselves nor by a rule that allows everything and names them."""
    frames = [raw for *_, raw, _ in ND_ROWS]
    named = policy("1 allow icmpv6 icmp_type 133-137", extra="builtin = { nd = false; };")
    by_rule, by_itself = firewall.replay(named, frames, zones=False), firewall.replay(policy("1 allow tcp"), frames, zones=False)
    for k, (name, rfc, _, valid) in enumerate(ND_ROWS):
        assert (name, rfc, by_rule.packets[k]["reason"]) == (name, rfc, None if valid else "icmp_nd")
        passes = valid and not name.startswith("redirect")
        assert (name, rfc, by_itself.packets[k]["reason"]) == (name, rfc, None if passes else "default")


def test_forwarded_neighbour_discovery_falls_through_to_rules(firewall):
    """Builtin does not pass it; a rule that allows everything does not either."""
    far = nd(ICMPv6ND_RA(), hlim=64)
    assert firewall.replay(policy("1 allow"), [far], zones=False).reasons() == ["icmp_nd"]


def test_echo_is_by_identifier(firewall):
    """A reply needs its request; any sequence number will do, and after 30 s none."""
    def echo(kind, ident, seq, v6):
        if v6:
            return ether() / ip6(*((IN6, OUT6) if kind == 8 else (OUT6, IN6))) / (ICMPv6EchoRequest if kind == 8 else ICMPv6EchoReply)(id=ident, seq=seq)
        return ether() / ip4(*((IN4, OUT4) if kind == 8 else (OUT4, IN4))) / ICMP(type=kind, id=ident, seq=seq)

    for v6 in (False, True):
        frames = [(echo(8, 7, 1, v6), 0), (echo(0, 7, 9, v6), 1), (echo(0, 8, 1, v6), 2), (echo(0, 7, 1, v6), 30), (echo(0, 7, 1, v6), 64)]
        assert firewall.replay(OUTWARD, frames).verdicts() == ["allow", "allow", "drop", "allow", "drop"]
