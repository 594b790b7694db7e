# SPDX-License-Identifier: BSD-3-Clause
"""Every field of a rule decides packets as the rule file says; each row is a rule, packets it matches and packets it does not."""
import pytest
from conftest import policy
from frames import ICMP, IN4, MAC_IN, OUT4, TCP, UDP, Dot1Q, Ether, Raw, conversation, ether, frame, ip4, ip6, tcp4, tcp6, udp4, udp6
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.layers.sctp import SCTP


def vlan(vid, sport=1):
    return frame(ether(), Dot1Q(vlan=vid), ip4(), UDP(sport=sport, dport=53))


def tags(*vids):
    return frame(ether(), *[Dot1Q(vlan=v) for v in vids], ip4(), UDP(sport=2, dport=53))


def icmp(kind, code=0):
    return frame(ether(), ip4(), ICMP(type=kind, code=code, id=1))


def sctp(dport):
    return frame(ether(), ip4(), SCTP(sport=9, dport=dport), Raw(b"\0" * 8))


PING4, PING6 = icmp(8), frame(ether(), ip6(), ICMPv6EchoRequest(id=3))
FIELDS = [
    ("tcp", [tcp4(1), tcp6(1)], [udp4(1), PING4]),
    ("udp", [udp4(1), udp6(1)], [tcp4(1)]),
    ("tcp,udp", [tcp4(1), udp4(1)], [PING4, sctp(80)]),
    ("sctp", [sctp(80)], [tcp4(1)]),
    ("icmp", [PING4], [PING6, udp4(1)]),
    ("icmpv6", [PING6], [PING4]),
    ("proto 47", [frame(ether(), ip4(proto=47), Raw(b"\0" * 8))], [tcp4(1)]),
    ("proto gre,esp", [frame(ether(), ip4(proto=50), Raw(b"\0" * 8))], [tcp4(1)]),
    ("from inside", [tcp4(1)], [tcp4(1, src=OUT4, dst=IN4)]),
    ("to outside", [tcp4(1)], [tcp4(1, src=OUT4, dst=IN4)]),
    ("from inside,outside to outside", [tcp4(1)], [tcp4(2, src=OUT4, dst=IN4)]),
    ("from 10.1.2.3", [tcp4(1)], [tcp4(1, src="10.1.2.4")]),
    ("from 10.1.0.0/16", [tcp4(1), tcp4(1, src="10.1.255.255")], [tcp4(1, src="10.2.0.0"), tcp6(1)]),
    ("from 10.1.2.0-10.1.2.3", [tcp4(1, src="10.1.2.0"), tcp4(1)], [tcp4(1, src="10.1.2.4"), tcp4(1, src="10.1.1.255")]),
    ("from !10.1.2.3", [tcp4(1, src="10.1.2.4")], [tcp4(1)]),
    ("from 10.0.0.0/8,!10.1.2.3", [tcp4(1, src="10.1.2.4")], [tcp4(1), tcp4(1, src="11.0.0.1")]),
    ("from @lan", [tcp4(1), tcp6(1)], [tcp4(1, src="11.0.0.1"), tcp6(1, src="2001:db8:11::1")]),
    ("from !@lan", [tcp4(1, src="11.0.0.1"), tcp6(1, src="2001:db8:11::1")], [tcp4(1), tcp6(1)]),
    ("to @servers", [tcp4(1), tcp4(1, dst="192.0.2.15"), tcp6(1)], [tcp4(1, dst="192.0.2.9"), tcp4(1, dst="192.0.2.21")]),
    ("to @many", [tcp4(1, dst="198.18.0.2"), tcp4(1, dst="198.18.0.40")], [tcp4(1, dst="198.18.0.3"), tcp4(1, dst="198.18.0.42")]),
    ("to 2001:db8:20::/64", [tcp6(1)], [tcp6(1, dst="2001:db8:20:1::1"), tcp4(1)]),
    ("to 2001:db8:20::5-2001:db8:20::10", [tcp6(1)], [tcp6(1, dst="2001:db8:20::11")]),
    ("from inside @lan to outside @servers", [tcp4(1)], [tcp4(1, dst="192.0.2.99")]),
    ("dport 80", [tcp4(1), udp4(1, 80), sctp(80)], [tcp4(1, 81)]),
    ("tcp dport 80,443,8000-8100", [tcp4(1), tcp4(1, 443), tcp4(1, 8000), tcp4(1, 8100)], [tcp4(1, 7999), tcp4(1, 8101), udp4(1, 80)]),
    ("tcp dport @web_ports", [tcp4(1), tcp4(1, 8443)], [tcp4(1, 8444)]),
    ("tcp sport 1024-65535", [tcp4(1024), tcp4(65535)], [tcp4(1023)]),
    ("udp dport 1-65535", [udp4(1, 1), udp4(1, 65535)], [tcp4(1)]),
    ("icmp icmp_type echo-request", [PING4], [icmp(13)]),
    ("icmp icmp_type 8,13", [PING4, icmp(13)], [icmp(17)]),
    ("icmp icmp_type 13 icmp_code 0", [icmp(13)], [icmp(13, 1)]),
    ("icmp,icmpv6 icmp_type echo-request", [PING4, PING6], [icmp(13)]),
    ("tcp tcp_flags syn/syn,ack", [tcp4(1)], [tcp4(1, flags="SA"), tcp4(1, flags="A")]),
    ("tcp tcp_flags syn,ece,cwr/syn,ece,cwr", [tcp4(1, flags="SEC")], [tcp4(1)]),
    ("vlan 20", [vlan(20), tags(0, 20), tags(20, 30)], [vlan(21), udp4(1), tags(30, 20), tags(21, 0)]),
    ("vlan 20,30-32", [vlan(20), vlan(30), vlan(32)], [vlan(29), vlan(33)]),
    ("vlan 0", [udp4(1)], [vlan(20)]),
    ("length 60-100", [tcp4(1)], [udp4(1, payload=b"x" * 200)]),
    ("udp dscp ef", [frame(ether(), ip4(tos=46 << 2), UDP(sport=1, dport=53))], [udp4(2)]),
    ("udp dscp 0,cs1", [udp4(1), frame(ether(), ip6(tc=8 << 2), UDP(sport=1, dport=53))], [frame(ether(), ip4(tos=46 << 2), UDP(sport=3, dport=53))]),
    (f"src_mac {MAC_IN}", [tcp4(1)], [frame(Ether(src="02:00:00:00:00:99", dst="02:00:00:00:00:02"), ip4(), TCP(sport=1, dport=80))]),
    ("bpf 'tcp[13] = 2'", [tcp4(1)], [udp4(1)]),
    ("bpf 'vlan 20 and udp'", [vlan(20)], [vlan(21), udp4(1)]),
    ("bpf 'ether multicast'", [frame(ether(dst="01:00:5e:01:01:01"), ip4(dst="233.252.0.1"), UDP(sport=1, dport=2))], [udp4(1)]),
]
SETS = """sets = { lan = [ "10.0.0.0/8", "2001:db8:10::/48" ]; servers = [ "192.0.2.10-192.0.2.20", "192.0.2.80", "2001:db8:20::10" ];
 web_ports = "80,443,8443"; many = [ %s ]; };""" % ", ".join(f'"198.18.0.{n}"' for n in range(0, 42, 2))


@pytest.mark.parametrize("field,matching,others", FIELDS, ids=[f[0] for f in FIELDS])
def test_field(firewall, field, matching, others):
    rules = policy(f"10 allow {field} stateless", extra=SETS)
    result = firewall.replay(rules, matching + others)
    want = [("allow", 10)] * len(matching) + [("drop", None)] * len(others)
    assert [(p["verdict"], p["rule"]) for p in result.packets] == want


def test_first_match_wins_in_file_order(firewall):
    rules = policy("30 drop tcp dport 80", "10 allow tcp", "20 drop udp dport 53", "5 allow udp")
    result = firewall.replay(rules, [tcp4(1), tcp4(1, 81), udp4(1), udp4(1, 54)], zones=False)
    assert [p["rule"] for p in result.packets] == [30, 10, 20, 5]


def test_group_gives_what_its_rules_leave_out(firewall):
    rules = """version = 1; default = { action = "drop"; };
rules = ( { group = "g"; from = "inside"; to = "outside"; proto = "tcp"; rules = ( "10 allow dport 80", "11 allow udp dport 53", "12 reject" ); }, "20 allow" );"""
    result = firewall.replay(rules, [tcp4(1), udp4(1), tcp4(1, 81), udp4(1, 54), tcp4(9, src=OUT4, dst=IN4)])
    assert [p["rule"] for p in result.packets] == [10, 11, 12, 20, 20]


def test_brace_rules_say_the_same(firewall):
    rules = policy({"raw": '{ id = 30; proto = "icmp"; icmp_type = "echo-request"; action = "allow"; }'}, {"raw": '{ id = 31; proto = "tcp"; dport = 443; action = "allow"; }'})
    assert [p["rule"] for p in firewall.replay(rules, [PING4, tcp4(1, 443), tcp4(1)], zones=False).packets] == [30, 31, None]


def test_disabled_rule_never_matches(firewall):
    rules = policy("10 drop tcp enabled false", "11 allow tcp")
    assert firewall.replay(rules, [tcp4(1)], zones=False).packets[0]["rule"] == 11


def test_monitor_goes_on_to_the_next_rule(firewall):
    rules = policy("10 drop tcp dport 80 monitor", "11 allow tcp")
    assert firewall.replay(rules, [tcp4(1)], zones=False).packets[0]["rule"] == 11


def test_failed_residual_continues_at_the_next_rule(firewall):
    rules = policy("10 drop tcp bpf 'tcp[2:2] = 81'", "11 drop tcp length 1000-2000", "12 allow tcp tcp_flags syn", "13 drop tcp")
    result = firewall.replay(rules, [tcp4(1), tcp4(1, 81), tcp4(2, payload=b"x" * 1000), tcp4(3, flags="A")], zones=False)
    assert [p["rule"] for p in result.packets] == [12, 10, 11, 13]


@pytest.mark.parametrize("n", [1, 10, 100])
def test_many_residual_rules(firewall, n):
    rules = policy(*[f"{i} drop udp bpf 'udp[2:2] = {1000 + i}'" for i in range(1, n + 1)], "999 allow")
    result = firewall.replay(rules, [udp4(1, 1000 + n), udp4(1, 1001), udp4(1, 999)], zones=False)
    assert [p["rule"] for p in result.packets] == [n, 1, 999]


def test_limit_drops_the_excess(firewall):
    rules = policy("10 allow udp limit '10/s burst 10'", "11 allow udp")
    result = firewall.replay(rules, [(udp4(1000 + n), n * 0.0001) for n in range(30)], zones=False)
    assert result.verdicts().count("allow") in (10, 11)
    assert set(result.reasons()) == {None, "limit"}
    assert {p["rule"] for p in result.packets} == {10}


def test_limit_refills(firewall):
    rules = policy("10 allow udp limit '10/s burst 5'")
    packets = [(udp4(1000 + n), 0.0001 * n) for n in range(10)] + [(udp4(2000 + n), 2 + 0.0001 * n) for n in range(10)]
    verdicts = firewall.replay(rules, packets, zones=False).verdicts()
    assert verdicts[:5] == ["allow"] * 5 and verdicts[6:10] == ["drop"] * 4 and verdicts[10:15] == ["allow"] * 5 and verdicts[16:] == ["drop"] * 4


def test_limit_per_source(firewall):
    rules = policy("10 allow udp limit '10/s burst 3 per src'")
    packets = [(udp4(1000 + n, src=f"10.0.0.{1 + n % 2}"), n * 0.0001) for n in range(12)]
    assert firewall.replay(rules, packets, zones=False).verdicts().count("allow") in (6, 7, 8)


def test_packet_limit_counts_every_packet(firewall):
    rules = policy("10 allow udp limit '10 pps burst 5'")
    verdicts = firewall.replay(rules, [(udp4(1000), n * 0.0001) for n in range(20)], zones=False).verdicts()
    assert verdicts[:5] == ["allow"] * 5 and verdicts.count("allow") in (5, 6)


def test_packet_over_the_limit_changes_no_state(firewall):
    """A RST that the limit drops has not closed the connection."""
    rules = policy("10 allow tcp limit '4 pps burst 4'")
    steps = [(tcp4(1000), 0), (tcp4(80, 1000, "SA", src=OUT4, dst=IN4), 0.001), (tcp4(1000, flags="A"), 0.002), (tcp4(1000, flags="A"), 0.003), (tcp4(1000, flags="R"), 0.004),
             (tcp4(1000, flags="PA", payload=b"x"), 2)]
    timed = list(zip(conversation([raw for raw, _ in steps]), [at for _, at in steps]))
    assert firewall.replay(rules, timed, zones=False).reasons() == [None] * 4 + ["limit", None]


def test_max_sessions(firewall):
    rules = policy("10 allow udp max_sessions 4")
    result = firewall.replay(rules, [udp4(1000 + n) for n in range(8)] + [udp4(1000)], zones=False)
    assert result.reasons() == [None] * 4 + ["limit"] * 4 + [None]


def test_max_per_source(firewall):
    rules = policy("10 allow udp max_per_source 2")
    result = firewall.replay(rules, [udp4(1000 + n, src=f"10.0.0.{1 + n % 3}") for n in range(9)], zones=False)
    assert result.reasons() == [None] * 6 + ["limit"] * 3


def test_quota_comes_back_when_sessions_end(firewall):
    rules = policy("10 allow udp max_sessions 1 max_per_source 1")
    assert firewall.replay(rules, [(udp4(1000), 0), (udp4(1001), 1), (udp4(1002), 40)], zones=False).reasons() == [None, "limit", None]


def test_mss_is_clamped_and_checksums_hold(firewall):
    rules = policy("10 allow tcp mss 1200")
    syn = tcp4(1, options=[("NOP", None), ("MSS", 1460), ("SAckOK", b"")])
    small = tcp4(2, options=[("MSS", 536)])
    syn6 = tcp6(3, options=[("MSS", 1440)])
    out = firewall.replay(rules, [syn, small, syn6], zones=False).out
    got = [dict(o for o in Ether(raw)[TCP].options if o[0] == "MSS")["MSS"] for raw in out]
    assert got == [1200, 536, 1200]
    for raw in out:
        packet = Ether(raw)
        was = packet[TCP].chksum
        del packet[TCP].chksum
        assert Ether(bytes(packet))[TCP].chksum == was



def test_expect_lines_are_bounded(firewall):
    """Rules times expectations is the price of each load: a file that asks too much is refused at once."""
    rules = ",".join(f'"{n} allow udp dport {1 + n % 65535}"' for n in range(1, 30001))
    expects = ",".join('"drop: tcp 10.0.0.1 > 192.0.2.1:80"' for _ in range(2000))
    path = firewall.path("bounded.rules")
    with open(path, "w") as f:
        f.write(f'version = 1; default = {{ action = "drop"; }}; rules = ({rules}); expect = ({expects});\n')
    done = firewall.run("check", path)
    assert done.returncode == 1 and "2000 expect lines" in done.stderr + done.stdout
