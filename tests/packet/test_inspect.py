# SPDX-License-Identifier: BSD-3-Clause
"""Payload inspection: what patterns catch, in which mode, how deep, and what becomes of the session."""
import pytest
from conftest import policy
from frames import ICMP, IN4, IN6, MAC_IN, MAC_OUT, OUT4, OUT6, TCP, UDP, Dot1Q, Raw, conversation, ether, frame, ip4, ip6, tcp4, udp4, udp6

EXTRA = """inspect = {
  web = { mode = "%s"; depth = %d; patterns = (
    { id = 1001; msg = "sql"; pattern = "union\\\\s+select"; flags = "i"; action = "drop"; },
    { id = 1002; msg = "traversal"; pattern = "\\\\.\\\\./\\\\.\\\\./"; action = "drop"; },
    { id = 1003; msg = "curl"; pattern = "User-Agent: curl"; action = "alert"; },
    { id = 1004; msg = "nul"; pattern = "\\\\x00\\\\x01\\\\x02"; action = "drop"; } ); };
};"""
ATTACK, CLEAN = b"GET /?q=1 UNION  SELECT 2 HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: example.org\r\n"


def rules(mode="block", depth=0, rule="10 allow inspect web"):
    return policy(rule, extra=EXTRA % (mode, depth))


def back():
    return ether(src=MAC_OUT, dst=MAC_IN)


def outward(payload, sport=40000, flags="PA"):
    return tcp4(sport, flags=flags, payload=payload)


def inward(payload, sport=40000):
    return frame(back(), ip4(OUT4, IN4), TCP(sport=80, dport=sport, flags="PA"), Raw(payload))


SYN, SYNACK, ACK = tcp4(40000), frame(back(), ip4(OUT4, IN4), TCP(sport=80, dport=40000, flags="SA")), tcp4(40000, flags="A")
HELLO = [SYN, SYNACK, ACK]


def test_match_drops_and_blocks_the_session(firewall):
    result = firewall.replay(rules(), conversation(HELLO + [outward(CLEAN), outward(ATTACK), outward(CLEAN), inward(b"answer")]), zones=False)
    assert result.reasons() == [None] * 4 + ["inspect_match", "inspect_blocked", "inspect_blocked"]
    assert result.packets[4]["signatures"] == [1001] and result.packets[4]["rule"] == 10
    assert result.stats["inspection"]["drops"] == 1


PAYLOADS = [("case", b"x uNiOn sElEcT y", [1001], True), ("traversal", b"GET /../../etc/passwd", [1002], True), ("alert only", b"User-Agent: curl/8", [1003], False),
            ("binary", b"\xff\x00\x01\x02", [1004], True), ("two", b"../../ union select", [1001, 1002], True), ("nothing", b"select union", [], False), ("empty", b"", [], False),
            ("at the end", b"x" * 1400 + b"union select", [1001], True), ("at the start", b"union select" + b"x" * 1400, [1001], True)]


@pytest.mark.parametrize("name,payload,ids,drops", PAYLOADS, ids=[p[0] for p in PAYLOADS])
@pytest.mark.parametrize("carrier", ["udp4", "udp6", "vlan", "tcp", "extension"])
def test_payload(firewall, carrier, name, payload, ids, drops):
    packets = {
        "udp4": [udp4(5000, 80, payload)], "udp6": [udp6(5000, 80, payload)],
        "vlan": [frame(ether(), Dot1Q(vlan=5), ip4(), UDP(sport=5000, dport=80), Raw(payload))],
        "tcp": HELLO + [outward(payload)],
        "extension": [frame(ether(), ip6(IN6, OUT6, nh=60), Raw(b"\x11\x00\x01\x04\0\0\0\0" + bytes(UDP(sport=5000, dport=80, len=8 + len(payload), chksum=1) / Raw(payload))))],
    }[carrier]
    last = firewall.replay(rules(), conversation(packets), zones=False).packets[-1]
    assert (sorted(last["signatures"]), last["verdict"]) == (ids, "drop" if drops else "allow")


def test_detect_never_drops(firewall):
    result = firewall.replay(rules("detect"), conversation(HELLO + [outward(ATTACK), outward(CLEAN)]), zones=False)
    assert result.verdicts() == ["allow"] * 5 and result.packets[3]["signatures"] == [1001]


def test_replies_are_inspected(firewall):
    assert firewall.replay(rules(), conversation(HELLO + [inward(ATTACK)]), zones=False).reasons()[-1] == "inspect_match"


def test_depth_is_bytes_a_direction(firewall):
    packets = HELLO + [outward(b"x" * 100), outward(ATTACK), inward(ATTACK)]
    result = firewall.replay(rules(depth=100), conversation(packets), zones=False)
    assert result.reasons() == [None] * 5 + ["inspect_match"]
    assert firewall.replay(rules(depth=200), conversation(packets), zones=False).reasons()[4] == "inspect_match"


def test_only_rules_that_ask_inspect(firewall):
    assert firewall.replay(policy("9 allow udp", "10 allow tcp inspect web", extra=EXTRA % ("block", 0)), [udp4(1, 80, ATTACK)], zones=False).verdicts() == ["allow"]


def test_stateless_rules_inspect_each_packet(firewall):
    result = firewall.replay(rules(rule="10 allow stateless inspect web"), [udp4(1, 80, ATTACK), udp4(1, 80, CLEAN)], zones=False)
    assert result.reasons() == ["inspect_match", None]


def test_padding_is_not_payload(firewall):
    short = udp4(5000, 80, b"ok")
    assert firewall.replay(rules(), [short[:44] + b"../../ union select"], zones=False).verdicts() == ["allow"]


def test_whole_attack_in_one_burst(firewall):
    result = firewall.replay(rules(), conversation(HELLO + [outward(ATTACK), outward(CLEAN)]), "--burst", "8", zones=False)
    assert result.reasons() == [None] * 3 + ["inspect_match", "inspect_blocked"]


def test_blocked_session_ends_a_minute_after_its_last_packet(firewall):
    """Each packet of a blocked session keeps it blocked; a quiet one is forgotten, and the next packet is judged anew."""
    packets = [(udp4(5000, 80, ATTACK), 0), (udp4(5000, 80, CLEAN), 50), (udp4(5000, 80, CLEAN), 100), (udp4(5000, 80, CLEAN), 165)]
    assert firewall.replay(rules(), conversation(packets), zones=False).reasons() == ["inspect_match", "inspect_blocked", "inspect_blocked", None]


def test_session_that_ends_inside_its_burst(firewall):
    """A tuple used anew in the burst that ended its session: nothing of the dead session is touched."""
    data = outward(CLEAN, flags="PA")
    for middle in ([tcp4(40000, flags="R")], [tcp4(40000, flags="R"), tcp4(40000, flags="A"), data]):
        packets = [SYN, *middle, SYN, SYNACK, ACK, data, outward(ATTACK)]
        alone, together = (firewall.replay(rules(), conversation(packets), "--burst", n, zones=False) for n in ("1", "32"))
        assert together.reasons() == alone.reasons() and together.reasons()[-1] == "inspect_match"


def test_icmp_error_of_a_rule_that_inspects_is_scanned(firewall):
    quoted = bytes(ip4(OUT4, IN4) / UDP(sport=9, dport=10) / Raw(b"../../etc"))
    result = firewall.replay(rules(rule="10 allow icmp inspect web"), [frame(ether(), ip4(), ICMP(type=3, code=1), Raw(quoted))], zones=False)
    assert result.reasons() == ["inspect_match"]
