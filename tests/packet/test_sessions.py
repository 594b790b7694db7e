# SPDX-License-Identifier: BSD-3-Clause
"""Connection state: replies and related errors need no rule, everything else does. Each table is a conversation; `<` comes from outside."""
import pytest
from conftest import policy
from frames import ICMP, IN4, IN6, OUT4, OUT6, TCP, UDP, Dot1Q, Raw, conversation, ether, frame, ip4, ip6
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig
from scapy.layers.sctp import SCTP, SCTPChunkInit, SCTPChunkInitAck

OUTWARD = policy("10 allow from inside to outside")


def tcp(direction, flags, sport=40000, dport=80, payload=b"", v6=False, vlan=None):
    ins, outs = (IN6, OUT6) if v6 else (IN4, OUT4)
    ip = ip6 if v6 else ip4
    l2 = [ether()] + ([Dot1Q(vlan=vlan)] if vlan else [])
    if direction == ">":
        return frame(*l2, ip(ins, outs), TCP(sport=sport, dport=dport, flags=flags, seq=1000, ack=2000), Raw(payload))
    return frame(*l2, ip(outs, ins), TCP(sport=dport, dport=sport, flags=flags, seq=2000, ack=1000), Raw(payload))


def udp(direction, sport=40000, dport=53, v6=False):
    ins, outs = (IN6, OUT6) if v6 else (IN4, OUT4)
    ip = ip6 if v6 else ip4
    if direction == ">":
        return frame(ether(), ip(ins, outs), UDP(sport=sport, dport=dport), Raw(b"q"))
    return frame(ether(), ip(outs, ins), UDP(sport=dport, dport=sport), Raw(b"a"))


def echo(direction, ident=7, kind=None, v6=False):
    if v6:
        message = (ICMPv6EchoRequest if (kind or direction) in (">", "request") else ICMPv6EchoReply)(id=ident, data=b"x")
        return frame(ether(), ip6(IN6, OUT6) if direction == ">" else ip6(OUT6, IN6), message)
    message = ICMP(type=8 if (kind or direction) in (">", "request") else 0, id=ident)
    return frame(ether(), ip4(IN4, OUT4) if direction == ">" else ip4(OUT4, IN4), message, Raw(b"x"))


def unreachable(quoted, src=OUT4, dst=IN4, code=1, kind=3, mtu=0):
    """ICMP error from outside that quotes a frame that went out (its IP header and 8 bytes)."""
    return frame(ether(), ip4(src, dst), ICMP(type=kind, code=code, nexthopmtu=mtu), Raw(quoted[14:14 + 28]))


def unreachable6(quoted, message=None):
    return frame(ether(), ip6("2001:db8:20::1", IN6), message or ICMPv6DestUnreach(code=0), Raw(quoted[14:14 + 60]))


A, D = ("allow", None), ("drop", "default")


def d(reason):
    return ("drop", reason)


HANDSHAKE = [(tcp(">", "S"), A), (tcp("<", "SA"), A), (tcp(">", "A"), A)]
CONVERSATIONS = {
    "tcp whole life": HANDSHAKE + [(tcp(">", "PA", payload=b"GET"), A), (tcp("<", "PA", payload=b"200"), A), (tcp(">", "FA"), A), (tcp("<", "A"), A), (tcp("<", "FA"), A),
                                   (tcp(">", "A"), A)],
    "tcp over ipv6": [(tcp(">", "S", v6=True), A), (tcp("<", "SA", v6=True), A), (tcp(">", "A", v6=True), A), (tcp("<", "PA", payload=b"x", v6=True), A)],
    "tcp closed by the other side": HANDSHAKE + [(tcp("<", "FA"), A), (tcp(">", "A"), A), (tcp(">", "FA"), A), (tcp("<", "A"), A)],
    "tcp simultaneous close": HANDSHAKE + [(tcp(">", "FA"), A), (tcp("<", "FA"), A), (tcp(">", "A"), A), (tcp("<", "A"), A)],
    "tcp half close": HANDSHAKE + [(tcp(">", "FA"), A), (tcp("<", "A"), A), (tcp("<", "PA", payload=b"more"), A), (tcp(">", "A"), A), (tcp("<", "FA"), A), (tcp(">", "A"), A)],
    "tcp syn retransmitted": [(tcp(">", "S"), A), (tcp(">", "S"), A), (tcp("<", "SA"), A), (tcp("<", "SA"), A), (tcp(">", "A"), A)],
    "tcp refused": [(tcp(">", "S"), A), (tcp("<", "RA"), A)],
    "tcp reset in mid life": HANDSHAKE + [(tcp("<", "R"), A), (tcp(">", "PA", payload=b"late"), d("tcp_state"))],
    "tcp opened anew after the end": HANDSHAKE + [(tcp("<", "R"), A), (tcp(">", "S"), A), (tcp("<", "SA"), A), (tcp(">", "A"), A)],
    "tcp data before the handshake": [(tcp(">", "PA", payload=b"x"), d("tcp_no_session"))],
    "tcp stray ack": [(tcp(">", "A"), d("tcp_no_session"))],
    "tcp stray syn-ack from outside": [(tcp("<", "SA"), D)],
    "tcp stray rst from inside": [(tcp(">", "R"), d("tcp_no_session"))],
    "tcp syn from outside": [(tcp("<", "S"), D)],
    "tcp null scan": [(tcp(">", 0), d("tcp_flags"))],
    "tcp xmas scan": [(tcp(">", "FPU"), d("tcp_flags"))],
    "tcp syn-fin": [(tcp(">", "SF"), d("tcp_flags"))],
    "tcp syn-rst": [(tcp(">", "SR"), d("tcp_flags"))],
    "tcp fin without ack": [(tcp(">", "F"), d("tcp_flags"))],
    "tcp reply to another port": [(tcp(">", "S"), A), (tcp("<", "SA", sport=40001), D)],
    "tcp in a vlan": [(tcp(">", "S", vlan=20), A), (tcp("<", "SA", vlan=20), A), (tcp(">", "A", vlan=20), A)],
    "tcp reply in another vlan": [(tcp(">", "S", vlan=20), A), (tcp("<", "SA", vlan=21), D), (tcp("<", "SA"), D)],
    "udp": [(udp(">"), A), (udp("<"), A), (udp(">"), A)],
    "udp6": [(udp(">", v6=True), A), (udp("<", v6=True), A)],
    "udp unasked": [(udp("<"), D)],
    "udp reply to another port": [(udp(">"), A), (udp("<", sport=40001), D)],
    "udp reply of the other family": [(udp(">"), A), (udp("<", v6=True), D)],
    "ping": [(echo(">"), A), (echo("<"), A), (echo(">"), A)],
    "ping6": [(echo(">", v6=True), A), (echo("<", v6=True), A)],
    "ping from outside": [(echo("<", kind="request"), D)],
    "reply nobody asked for": [(echo("<"), D)],
    "reply of another ping": [(echo(">"), A), (echo("<", ident=8), D)],
    "request in the reply's direction": [(echo(">"), A), (echo("<", kind="request"), D)],
    "reply from inside nobody asked for": [(echo(">", kind="reply"), d("icmp_no_session"))],
    "unreachable for a session": [(udp(">"), A), (unreachable(udp(">")), A)],
    "unreachable from a router on the way": [(udp(">"), A), (unreachable(udp(">"), src="198.51.100.1"), A)],
    "too big for a tcp session": HANDSHAKE + [(unreachable(tcp(">", "A", payload=b"x" * 1400), code=4, mtu=1400), A)],
    "time exceeded for a session": [(udp(">"), A), (unreachable(udp(">"), kind=11, code=0), A)],
    "unreachable for no session": [(unreachable(udp(">")), d("icmp_no_session"))],
    "unreachable quoting another port": [(udp(">"), A), (unreachable(udp(">", sport=40001)), d("icmp_no_session"))],
    "unreachable for a ping": [(echo(">"), A), (unreachable(echo(">")), A)],
    "unreachable6 for a session": [(udp(">", v6=True), A), (unreachable6(udp(">", v6=True)), A)],
    "too big6 for a session": [(tcp(">", "S", v6=True), A), (unreachable6(tcp(">", "S", v6=True, payload=b"x" * 1400), ICMPv6PacketTooBig(mtu=1280)), A)],
    "unreachable6 for no session": [(unreachable6(udp(">", v6=True)), d("icmp_no_session"))],
    "sctp": [(frame(ether(), ip4(), SCTP(sport=5, dport=6), SCTPChunkInit(init_tag=1)), A),
             (frame(ether(), ip4(OUT4, IN4), SCTP(sport=6, dport=5, tag=1), SCTPChunkInitAck(init_tag=2)), A)],
    "gre by addresses": [(frame(ether(), ip4(proto=47), Raw(b"\0" * 8)), A), (frame(ether(), ip4(OUT4, IN4, proto=47), Raw(b"\0" * 8)), A)],
    "esp unasked": [(frame(ether(), ip4(OUT4, IN4, proto=50), Raw(b"\0" * 8)), D)],
}


for name, steps in CONVERSATIONS.items():
    CONVERSATIONS[name] = list(zip(conversation([raw for raw, _ in steps]), [want for _, want in steps]))


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(firewall, name):
    steps = CONVERSATIONS[name]
    result = firewall.replay(OUTWARD, [raw for raw, _ in steps])
    assert [(p["verdict"], p["reason"]) for p in result.packets] == [want for _, want in steps]
    assert result.out == [raw for raw, want in steps if want == A]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_verdicts_do_not_depend_on_how_packets_fall_into_bursts(firewall, name):
    """A whole conversation inside one burst is judged as packet by packet."""
    steps = CONVERSATIONS[name]
    together = firewall.replay(OUTWARD, [raw for raw, _ in steps], "--burst", "32")
    assert [(p["verdict"], p["reason"]) for p in together.packets] == [want for _, want in steps]


def test_sessions_expire(firewall):
    """An unanswered UDP session ends after 30 s, an answered one after 180 s."""
    times = [(udp(">"), 0), (udp("<"), 29), (udp("<"), 29 + 179), (udp("<"), 29 + 179 + 183)]
    assert firewall.replay(OUTWARD, times).verdicts() == ["allow", "allow", "allow", "drop"]
    assert firewall.replay(OUTWARD, [(udp(">"), 0), (udp("<"), 33)]).verdicts() == ["allow", "drop"]


def test_rule_timeout_overrides(firewall):
    rules = policy("10 allow udp from inside to outside timeout 10s")
    late = [(udp(">"), 0), (udp("<"), 1), (udp("<"), 14)]
    assert firewall.replay(rules, late).verdicts() == ["allow", "allow", "drop"]


def test_stateless_judges_each_packet_alone(firewall):
    rules = policy("10 allow from inside to outside stateless")
    assert firewall.replay(rules, [tcp(">", "A"), tcp("<", "A"), udp(">"), udp("<")]).verdicts() == ["allow", "drop", "allow", "drop"]


def test_sessions_are_counted(firewall):
    sessions = firewall.replay(OUTWARD, [udp(">", sport=p) for p in range(1000, 1100)]).stats["sessions"]
    assert (sessions["active"], sessions["created"]) == (100, 100)


def test_a_session_is_no_pass_for_the_other_side(firewall, tmp_path):
    """What claims to be an end of a session but comes from another zone is dropped: here the same addresses are moved to another zone by the prefixes."""
    rules = policy("10 allow from inside to outside", "11 allow from dmz to outside")
    zones = ["--zone", "inside=10.1.2.3/32", "--zone", "outside=192.0.2.0/24", "--zone", "dmz=10.1.2.4/32"]
    packets = [udp(">"), udp("<"), frame(ether(), ip4("10.1.2.4", IN4), ICMP(type=3, code=1), Raw(udp(">")[14:42]))]
    result = firewall.replay(rules, packets, *zones, zones=False)
    assert result.reasons() == [None, None, "icmp_no_session"]
