# SPDX-License-Identifier: BSD-3-Clause
"""Address translation, packet by packet. Outside ports are drawn by chance, so what comes back to them is looked at by the unit tests; here are
all translations that can be told beforehand, and what no entry may let through."""
import pytest
from frames import ICMP, IP, TCP, UDP, Ether, IPv6, Raw, ether, frame, ip4, ip6
from scapy.layers.inet6 import ICMPv6EchoRequest

HOST, SERVER, CLIENT, VIP, POOL = "10.0.0.5", "10.0.0.80", "198.51.100.7", "203.0.113.80", ("203.0.113.1", "203.0.113.2")
HOST6, CLIENT6 = "2001:db8:10:1::5", "2001:db8:20::7"
ZONES = ["--zone", "inside=10.0.0.0/8,203.0.113.0/24,2001:db8:10::/48,2001:db8:99::/48", "--zone", "outside=0.0.0.0/0,::/0"]
NAT = """nat = (
    { id = 1; type = "source"; from = "inside"; src = "10.0.9.0/24"; address = "none"; },
    { id = 2; type = "static"; src = "10.0.40.0/28"; address = "203.0.113.64/28"; },
    { id = 3; type = "prefix"; src = "2001:db8:10::/48"; address = "2001:db8:99::/48"; },
    { id = 4; type = "source"; from = "inside"; to = "outside"; src = "10.0.0.0/8"; address = "203.0.113.1-203.0.113.2"; },
    { id = 5; type = "destination"; from = "outside"; proto = "tcp"; dst = "203.0.113.80"; dport = 80; address = "10.0.0.80"; port = 8080; },
    { id = 6; type = "destination"; from = "outside"; proto = "udp"; dst = "203.0.113.80"; dport = "6000-6010"; address = "10.0.0.81"; port = "7000-7010"; },
    { id = 7; type = "destination"; from = "outside"; proto = "udp"; dst = "203.0.113.80"; dport = 53; address = "10.0.0.82"; }
);
"""
RULES = """version = 1;
default = { action = "drop"; };
rules = ( "10 allow from inside to outside", "20 allow tcp from outside to inside 10.0.0.80 dport 8080",
    "21 allow udp from outside to inside 10.0.0.81 dport 7000-7009", "22 allow udp from outside to inside 10.0.40.0/28", "23 reject udp from outside to inside 10.0.0.82",
    "24 allow tcp from outside to inside 2001:db8:10::/48" );
""" + NAT


def out(l4, src=HOST, dst=CLIENT, payload=b""):
    return frame(ether(), (ip6 if ":" in src else ip4)(src, dst), l4, Raw(payload))


def into(l4, src=CLIENT, dst=VIP, payload=b""):
    return frame(ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01"), (ip6 if ":" in src else ip4)(src, dst), l4, Raw(payload))


def ends(raw):
    packet = Ether(raw)
    ip = packet[IPv6] if IPv6 in packet else packet[IP]
    l4 = packet[TCP] if TCP in packet else packet[UDP] if UDP in packet else None
    return (ip.src, l4.sport, ip.dst, l4.dport) if l4 else (ip.src, None, ip.dst, None)


def assert_checksums(raw):
    """As scapy computes them anew."""
    packet = Ether(raw)
    for layer in (IP, TCP, UDP, ICMP):
        if layer in packet:
            del packet[layer].chksum
    if ICMPv6EchoRequest in packet:
        del packet[ICMPv6EchoRequest].cksum
    assert bytes(packet)[:len(raw)] == raw, packet.summary()


@pytest.fixture(scope="module")
def replay(firewall):
    def run(frames, rules=RULES):
        return firewall.replay(rules, frames, *ZONES, zones=False)

    return run


# frame, verdict, reason, ends as they leave: None stands for a drawn port
TABLE = {
    "exempt": (out(UDP(sport=5000, dport=53), src="10.0.9.9"), "allow", None, ("10.0.9.9", 5000, CLIENT, 53)),
    "static out": (out(UDP(sport=5000, dport=53), src="10.0.40.3"), "allow", None, ("203.0.113.67", 5000, CLIENT, 53)),
    "static in": (into(UDP(sport=5000, dport=53), dst="203.0.113.66"), "allow", None, (CLIENT, 5000, "10.0.40.2", 53)),
    "static echo": (out(ICMP(id=7), src="10.0.40.3"), "allow", None, ("203.0.113.67", None, CLIENT, None)),
    "static, no ports": (frame(ether(), ip4("10.0.40.3", CLIENT, proto=47), Raw(b"12345678")), "allow", None, ("203.0.113.67", None, CLIENT, None)),
    "forwarded": (into(TCP(sport=5000, dport=80, flags="S")), "allow", None, (CLIENT, 5000, SERVER, 8080)),
    "not forwarded": (into(TCP(sport=5000, dport=81, flags="S")), "drop", "default", None),
    "forwarded first port": (into(UDP(sport=5000, dport=6000)), "allow", None, (CLIENT, 5000, "10.0.0.81", 7000)),
    "forwarded in step": (into(UDP(sport=5000, dport=6009)), "allow", None, (CLIENT, 5000, "10.0.0.81", 7009)),
    "forwarded, rules say no": (into(UDP(sport=5000, dport=6010)), "drop", "default", None),
    "from inside no entry": (out(TCP(sport=5000, dport=80, flags="S"), dst="203.0.113.80"), "drop", "default", None),
    "source": (out(UDP(sport=5000, dport=53)), "allow", None, (POOL, None, CLIENT, 53)),
    "source echo": (out(ICMP(id=7)), "allow", None, (POOL, None, CLIENT, None)),
    "no ports": (frame(ether(), ip4(HOST, CLIENT, proto=47), Raw(b"12345678")), "drop", "nat_untranslatable", None),
    "unknown tcp": (out(TCP(sport=5000, dport=80, flags="A")), "drop", "tcp_no_session", None),
    "to nobody's mapping": (into(UDP(sport=5000, dport=5000), dst=POOL[0]), "drop", "default", None),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(replay, name):
    sent, verdict, reason, expected = TABLE[name]
    r = replay([sent])
    assert (r.packets[0]["verdict"], r.packets[0]["reason"]) == (verdict, reason)
    if verdict != "allow":
        assert not r.out
        return
    assert len(r.out) == 1
    assert_checksums(r.out[0])
    for got, wanted in zip(ends(r.out[0]), expected):
        assert wanted is None or got == wanted or got in wanted


def test_answers_of_forwarded_ports(replay):
    syn = into(TCP(sport=5000, dport=80, flags="S", seq=100))
    synack = out(TCP(sport=8080, dport=5000, flags="SA", seq=500, ack=101), src=SERVER)
    ack = into(TCP(sport=5000, dport=80, flags="A", seq=101, ack=501))
    data = into(TCP(sport=5000, dport=80, flags="PA", seq=101, ack=501), payload=b"GET")
    r = replay([syn, synack, ack, data])
    assert r.verdicts() == ["allow"] * 4
    assert [ends(o) for o in r.out] == [(CLIENT, 5000, SERVER, 8080), (VIP, 80, CLIENT, 5000), (CLIENT, 5000, SERVER, 8080), (CLIENT, 5000, SERVER, 8080)]
    for o in r.out:
        assert_checksums(o)
    assert r.stats["sessions"]["active"] == 1


def test_one_address_for_a_host(replay):
    r = replay([out(UDP(sport=5000 + n, dport=53)) for n in range(40)] + [out(ICMP(id=n)) for n in range(5)])
    assert len({ends(o)[0] for o in r.out}) == 1
    ports = [ends(o)[1] for o in r.out[:40]]
    assert len(set(ports)) == 40 and all(1024 <= p <= 65535 for p in ports)


def test_one_port_for_all_remote_ends(replay):
    r = replay([out(UDP(sport=5000, dport=53 + n), dst=f"198.51.100.{n + 1}") for n in range(20)])
    assert len({ends(o)[:2] for o in r.out}) == 1


def test_both_pool_addresses_are_used(replay):
    r = replay([out(UDP(sport=5000, dport=53), src=f"10.0.1.{n + 1}") for n in range(60)])
    assert {ends(o)[0] for o in r.out} == set(POOL)


def test_prefix_both_ways(replay):
    """RFC 6296: neutral to the checksums above."""
    first = out(TCP(sport=5000, dport=80, flags="S", seq=1), src=HOST6, dst=CLIENT6)
    r = replay([first])
    outside = Ether(r.out[0])[IPv6].src
    assert outside.startswith("2001:db8:99:") and r.out[0][54:] == first[54:]
    answer = into(TCP(sport=80, dport=5000, flags="SA", seq=9, ack=2), src=CLIENT6, dst=outside)
    r = replay([first, answer])
    assert ends(r.out[1]) == (CLIENT6, 80, HOST6, 5000)
    r = replay([into(TCP(sport=7, dport=80, flags="S"), src=CLIENT6, dst=outside)])
    assert ends(r.out[0]) == (CLIENT6, 7, HOST6, 80)


def test_rejects_speak_of_what_came(replay):
    """The answer to a rejected packet is about the packet as its sender knows it."""
    r = replay([into(UDP(sport=5000, dport=53))])
    assert r.verdicts() == ["reject"]
    answer = Ether(r.out[0])
    assert (answer[IP].src, answer[IP].dst) == (VIP, CLIENT)
    assert answer[ICMP].type == 3 and answer["IPerror"].dst == VIP


def test_verdicts_do_not_depend_on_bursts(firewall):
    frames = [out(UDP(sport=5000 + n % 7, dport=53 + n % 3), src=f"10.0.{n % 3}.5") for n in range(64)] + [into(TCP(sport=6000 + n, dport=80, flags="S")) for n in range(32)]
    for burst in ("1", "7", "32"):
        r = firewall.replay(RULES, frames, *ZONES, "--burst", burst, zones=False)
        assert r.verdicts() == ["allow"] * len(frames)
        assert r.stats["sessions"]["active"] == 21 + 32
