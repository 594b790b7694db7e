# SPDX-License-Identifier: BSD-3-Clause
"""Answers to rejected packets, field by field, as an independent implementation (scapy) reads them."""
import pytest
from conftest import policy
from frames import ICMP, IN4, IN6, IP, MAC_IN, MAC_OUT, OUT4, OUT6, TCP, UDP, Dot1AD, Dot1Q, Ether, Raw, ether, frame, ip4, ip6, tcp4, tcp6, udp4, udp6
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, IPerror6, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.sctp import SCTP

REJECT = policy("1 reject")


def answer(firewall, raw):
    result = firewall.replay(REJECT, [raw], zones=False)
    assert result.verdicts() == ["reject"] and result.packets[0]["rule"] == 1 and result.packets[0]["reason"] == "rule"
    assert result.stats["packets"]["built"] == len(result.out)
    return Ether(result.out[0]) if result.out else None


def ones_sum(data):
    """The internet checksum's sum: 0xffff over anything that carries a right checksum."""
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksums_hold(packet):
    """Whether the IPv4 header and what it, or IPv6, carries sum up right."""
    if IP in packet:
        ip = bytes(packet[IP])[:packet[IP].len]
        pseudo = ip[12:20] + bytes([0, packet[IP].proto]) + (len(ip) - 20).to_bytes(2, "big") if TCP in packet else b""
        return ones_sum(ip[:20]) == 0xFFFF and ones_sum(pseudo + ip[20:]) == 0xFFFF
    ip = bytes(packet[IPv6])[:40 + packet[IPv6].plen]
    return ones_sum(ip[8:40] + (len(ip) - 40).to_bytes(4, "big") + bytes([0, 0, 0, packet[IPv6].nh]) + ip[40:]) == 0xFFFF


@pytest.mark.parametrize("raw", [tcp4(40000), tcp4(40000, payload=b"data"), tcp6(40000), tcp6(40000, payload=b"xyz")])
def test_rst_for_syn(firewall, raw):
    sent, got = Ether(raw), answer(firewall, raw)
    v6 = IPv6 in sent
    layer = IPv6 if v6 else IP
    assert (got.src, got.dst) == (sent.dst, sent.src)
    assert (got[layer].src, got[layer].dst) == (sent[layer].dst, sent[layer].src)
    assert (got[TCP].sport, got[TCP].dport, str(got[TCP].flags)) == (80, 40000, "RA")
    payload = 4 if b"data" in raw else 3 if b"xyz" in raw else 0
    assert (got[TCP].seq, got[TCP].ack) == (0, sent[TCP].seq + 1 + payload)
    assert checksums_hold(got)


def test_rst_for_ack(firewall):
    got = answer(firewall, tcp4(40000, flags="A", seq=5, ack=777))
    assert (str(got[TCP].flags), got[TCP].seq) == ("R", 777)


def test_rst_keeps_vlan_tags(firewall):
    got = answer(firewall, frame(ether(), Dot1AD(vlan=100), Dot1Q(vlan=20), ip4(), TCP(sport=40000, dport=80, flags="S")))
    assert (got[Dot1AD].vlan, got[Dot1Q].vlan, str(got[TCP].flags)) == (100, 20, "RA")


@pytest.mark.parametrize("raw", [udp4(40000), udp4(40000, payload=b"y" * 1200), frame(ether(), ip4(), ICMP(id=7), Raw(b"ping")),
                                 frame(ether(), ip4(), SCTP(sport=1, dport=2), Raw(b"\0" * 8)), frame(ether(), ip4(proto=47), Raw(b"gre" * 5))])
def test_icmp_prohibited(firewall, raw):
    got = answer(firewall, raw)
    assert (got.src, got.dst, got[IP].src, got[IP].dst) == (MAC_OUT, MAC_IN, OUT4, IN4)
    assert (got[ICMP].type, got[ICMP].code) == (3, 13)
    quoted = bytes(got[ICMP])[8:]
    sent = raw[14:14 + int.from_bytes(raw[16:18], "big")]
    assert sent.startswith(quoted[:len(sent)]) and len(quoted) >= min(28, len(sent)) and len(bytes(got[IP])) <= 576
    assert checksums_hold(got)


@pytest.mark.parametrize("raw", [udp6(40000), udp6(40000, payload=b"y" * 1400), frame(ether(), ip6(), ICMPv6EchoRequest(id=7)),
                                 frame(ether(), ip6(), IPv6ExtHdrDestOpt(), UDP(sport=5, dport=6), Raw(b"abc"))])
def test_icmpv6_prohibited(firewall, raw):
    got = answer(firewall, raw)
    assert (got[IPv6].src, got[IPv6].dst) == (OUT6, IN6)
    assert (got[ICMPv6DestUnreach].type, got[ICMPv6DestUnreach].code) == (1, 1)
    assert IPerror6 in got and len(bytes(got[IPv6])) <= 1280
    assert checksums_hold(got)


UNANSWERED = [
    ("rst", tcp4(40000, flags="R")),
    ("rst-ack", tcp4(40000, flags="RA")),
    ("icmp unreachable", frame(ether(), ip4(), ICMP(type=3, code=1), Raw(bytes(ip4(OUT4, IN4) / UDP(sport=1, dport=2))))),
    ("icmpv6 unreachable", frame(ether(), ip6(), ICMPv6DestUnreach(), Raw(bytes(ip6(OUT6, IN6) / UDP(sport=1, dport=2))))),
    ("multicast destination", frame(ether(dst="01:00:5e:01:01:01"), ip4(dst="233.252.0.1"), UDP(sport=1, dport=2))),
    ("broadcast destination", frame(ether(dst="ff:ff:ff:ff:ff:ff"), ip4(dst="255.255.255.255"), UDP(sport=1, dport=2))),
    ("link broadcast to a unicast address", frame(ether(dst="ff:ff:ff:ff:ff:ff"), ip4(), UDP(sport=1, dport=2))),
    ("ipv6 multicast destination", frame(ether(dst="33:33:00:00:00:05"), ip6(dst="ff02::5"), UDP(sport=1, dport=2))),
    ("source 0.0.0.0", frame(ether(), ip4(src="0.0.0.0", dst="255.255.255.255"), UDP(sport=68, dport=67))),
]


@pytest.mark.parametrize("name,raw", UNANSWERED, ids=[u[0] for u in UNANSWERED])
def test_no_answer_to(firewall, name, raw):
    result = firewall.replay(REJECT, [raw], zones=False)
    assert result.verdicts() == ["reject"] and result.out == []
    assert result.stats["packets"]["built"] == 0


def test_default_may_reject(firewall):
    result = firewall.replay(policy("1 allow udp", default="reject"), [tcp4(40000)], zones=False)
    assert result.reasons() == ["default"] and result.verdicts() == ["reject"]
    assert str(Ether(result.out[0])[TCP].flags) == "RA"


def test_answers_are_bounded(firewall):
    """A flood of rejected packets gets a bounded number of answers."""
    result = firewall.replay(REJECT, [(udp4(1 + n % 60000), n * 1e-5) for n in range(20000)], zones=False)
    assert result.stats["drops"]["rule"] == 20000
    assert 0 < len(result.out) < 10000
