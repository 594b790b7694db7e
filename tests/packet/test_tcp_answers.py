# SPDX-License-Identifier: BSD-3-Clause
"""Challenge ACKs (RFC 5961): what is built, for whom, how often; mid-stream pick-up; overlapping segments; windows after NATs of numbers."""
import itertools

import pytest
from conftest import policy
from frames import IN4, IN6, MAC_IN, MAC_OUT, OUT4, OUT6, TCP, Dot1Q, Ether, IPv6, Raw, ether, frame, ip4, ip6, sum16
from scapy.layers.inet import IP

OUTWARD = policy("10 allow from inside to outside")
A, B = 1000, 900000  # first numbers of opener and peer


def segment(direction, flags, seq, ack=0, payload=b"", v6=False, vlan=None, window=8192, port=40000, options=()):
    """Numbers count from the sender's first, acknowledgements from the receiver's."""
    ins, outs = (IN6, OUT6) if v6 else (IN4, OUT4)
    l2 = [ether() if direction == ">" else ether(src=MAC_OUT, dst=MAC_IN)] + ([Dot1Q(vlan=vlan)] if vlan else [])
    first, other, ports = (A, B, (port, 80)) if direction == ">" else (B, A, (80, port))
    addresses = (ins, outs) if direction == ">" else (outs, ins)
    tcp = TCP(sport=ports[0], dport=ports[1], flags=flags, seq=(first + seq) % 2**32, ack=(other + ack) % 2**32 if "A" in flags else 0, window=window, options=list(options))
    return frame(*l2, (ip6 if v6 else ip4)(*addresses), tcp, Raw(payload))


def handshake(**kw):
    return [segment(">", "S", 0, **kw), segment("<", "SA", 0, 1, **kw), segment(">", "A", 1, 1, **kw)]


def established(**kw):
    """The opener has sent 100 bytes and the peer 200, all acknowledged."""
    return handshake(**kw) + [segment(">", "PA", 1, 1, b"q" * 100, **kw), segment("<", "PA", 1, 101, b"a" * 200, **kw), segment(">", "A", 101, 201, **kw)]


def built(result, sent):
    """What left besides the frames that passed."""
    out = list(result.out)
    for raw, packet in zip(sent, result.packets):
        if packet["verdict"] == "allow":
            out.remove(raw)
    assert len(out) == result.stats["packets"]["built"]
    return out


def assert_checksums(raw):
    packet = Ether(raw)
    l3 = packet[IPv6] if IPv6 in packet else packet[IP]
    if IPv6 not in packet:
        assert sum16(bytes(l3)[:20]) == 0
    tcp, addresses = bytes(l3[TCP])[:20], bytes(l3)[8:40] if IPv6 in packet else bytes(l3)[12:20]
    assert sum16(addresses + len(tcp).to_bytes(4, "big") + b"\0\0\0\x06" + tcp) == 0


OFFENDERS = {
    "rst in the window": (segment, (">", "R", 5000), "tcp_rst"), "rst outside the window": (segment, (">", "R", 5000000), "tcp_rst"),
    "rst+ack in the window": (segment, (">", "RA", 150, 201), "tcp_rst"), "syn": (segment, (">", "S", 70000), "tcp_syn"), "the old syn": (segment, (">", "S", 0), "tcp_syn"),
    "rst of the peer": (segment, ("<", "R", 5000), "tcp_rst"), "syn+ack of the peer": (segment, ("<", "SA", 70000, 1), "tcp_syn"), "syn of the peer": (segment, ("<", "S", 9), "tcp_syn"),
}


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "vlan"])
@pytest.mark.parametrize("name", OFFENDERS)
def test_the_sender_is_asked_in_the_name_of_the_other_end(firewall, name, family):
    make, args, reason = OFFENDERS[name]
    kw = {"ipv4": {}, "ipv6": {"v6": True}, "vlan": {"vlan": 20}}[family]
    sent = established(**kw) + [make(*args, **kw)]
    result = firewall.replay(OUTWARD, sent)
    assert result.reasons() == [None] * 6 + [reason]
    answers = built(result, sent)
    assert len(answers) == 1
    answer, offence = Ether(answers[0]), Ether(sent[-1])
    assert_checksums(answers[0])
    assert (answer.src, answer.dst) == (offence.dst, offence.src)
    layer = IPv6 if family == "ipv6" else IP
    assert (answer[layer].src, answer[layer].dst) == (offence[layer].dst, offence[layer].src)
    assert (Dot1Q in answer) == (family == "vlan") and (Dot1Q not in answer or answer[Dot1Q].vlan == 20)
    tcp = answer[TCP]
    assert (tcp.sport, tcp.dport) == (offence[TCP].dport, offence[TCP].sport)
    assert tcp.flags == "A" and not tcp.options and not bytes(tcp.payload).strip(b"\0")
    numbers = (B + 201, A + 101) if args[0] == ">" else (A + 101, B + 201)
    assert (tcp.seq, tcp.ack, tcp.window) == (*numbers, 8192)
    assert result.stats["challenges"] == {"built": 1, "suppressed": 0}


def test_the_window_of_a_challenge_is_what_is_open_scaled(firewall):
    scale = [("WScale", 3)]
    sent = [segment(">", "S", 0, options=scale), segment("<", "SA", 0, 1, options=scale), segment(">", "A", 1, 1), segment("<", "A", 1, 1, window=5000),
            segment(">", "PA", 1, 1, b"x" * 800), segment("<", "A", 1, 401, window=4000), segment(">", "R", 3000)]
    answer = Ether(built(firewall.replay(OUTWARD, sent), sent)[0])[TCP]
    assert (answer.ack, answer.window) == (A + 401, (5000 * 8 - 400) // 8)


def test_nobody_is_asked_about_what_is_unknown(firewall):
    """Before an answer the firewall knows no numbers of the other end."""
    sent = [segment(">", "S", 0), segment(">", "R", 500), segment("<", "RA", 0, 77)]
    result = firewall.replay(OUTWARD, sent)
    assert result.reasons() == [None, "tcp_rst", "tcp_rst"] and built(result, sent) == []


def test_a_session_is_challenged_twice_a_second_at_most(firewall):
    sent = [(raw, i * 0.001) for i, raw in enumerate(established())] + [(segment(">", "R", 3000 + i), 1 + i * 0.01) for i in range(300)]
    result = firewall.replay(OUTWARD, sent)
    assert 6 <= result.stats["challenges"]["built"] <= 8
    assert result.stats["challenges"]["built"] + result.stats["challenges"]["suppressed"] == 300


def test_a_worker_challenges_so_many_a_second_and_nobody_can_count_them(firewall, tmp_path):
    """Between half and one and a half times the rate, drawn anew each second."""
    config = tmp_path / "few.conf"
    config.write_text('mode = "wire"; ports = ( { name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }, { name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; } );\n'
                      "tcp = { challenges = 20; };\n")
    counts = set()
    for _ in range(6):
        sent = [(raw, 0) for port in range(100) for raw in handshake(port=1000 + port)] + [(segment(">", "R", 3000, port=1000 + port), 0.5) for port in range(100)]
        result = firewall.replay(OUTWARD, sent, "-c", str(config))
        counts.add(result.stats["challenges"]["built"])
    assert all(10 <= n <= 30 for n in counts) and len(counts) > 1


def test_no_challenges_when_none_are_wanted(firewall, tmp_path):
    config = tmp_path / "none.conf"
    config.write_text('mode = "wire"; ports = ( { name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }, { name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; } );\n'
                      "tcp = { challenges = 0; };\n")
    result = firewall.replay(OUTWARD, established() + [segment(">", "R", 3000)], "-c", str(config))
    assert result.reasons()[-1] == "tcp_rst" and result.stats["challenges"] == {"built": 0, "suppressed": 1}


# --- mid-stream -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def midstream(tmp_path):
    config = tmp_path / "midstream.conf"
    config.write_text('mode = "wire"; ports = ( { name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }, { name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; } );\n'
                      "tcp = { midstream = true; };\n")
    return ["-c", str(config)]


MIDSTREAM = {
    "data and its ack": [(">", "PA", 5000, 7000, b"x" * 100, None), ("<", "A", 7000, 5100, b"", None), (">", "PA", 5100, 7000, b"x", None)],
    "an ack first, data back": [(">", "A", 5000, 7000, b"", None), ("<", "PA", 7000, 5000, b"y" * 1000, None), (">", "A", 5000, 8000, b"", None)],
    "repeated data first": [(">", "PA", 5000, 7000, b"x" * 100, None), ("<", "A", 7500, 9000, b"", None), (">", "PA", 9000, 7500, b"x", None)],
    "a syn+ack opens nothing": [(">", "SA", 0, 1, b"", "tcp_no_session")],
    "a fin opens nothing": [(">", "FA", 5000, 7000, b"", "tcp_no_session")],
    "a rst opens nothing": [(">", "R", 5000, 0, b"", "tcp_no_session"), (">", "RA", 5000, 7000, b"", "tcp_no_session")],
    "the rules still decide": [("<", "PA", 7000, 5000, b"x", "default")],
    "then windows hold": [(">", "A", 5000, 7000, b"", None), ("<", "A", 7000, 5000, b"", None), (">", "A", 5000, 9000, b"", "tcp_window"), ("<", "A", 7000, 5001, b"", "tcp_window"),
                          (">", "R", 6000, 0, b"", "tcp_rst"), (">", "S", 6000, 0, b"", "tcp_syn"), (">", "R", 5000, 0, b"", None)],
    "an answer that does not fit": [(">", "PA", 5000, 7000, b"x" * 100, None), ("<", "PA", 7000, 5100, b"y", None), ("<", "PA", 2 * 10**9, 5100, b"y", "tcp_window")],
    "and it closes": [(">", "PA", 5000, 7000, b"x", None), ("<", "A", 7000, 5001, b"", None), (">", "FA", 5001, 7000, b"", None), ("<", "FA", 7000, 5002, b"", None),
                      (">", "A", 5002, 7001, b"", None), (">", "PA", 5002, 7001, b"x", "tcp_window")],
}


@pytest.mark.parametrize("name", MIDSTREAM)
def test_midstream(firewall, midstream, name):
    sent = [segment(*row[:5]) for row in MIDSTREAM[name]]
    assert firewall.replay(OUTWARD, sent, *midstream).reasons() == [row[5] for row in MIDSTREAM[name]]


@pytest.mark.parametrize("name", MIDSTREAM)
def test_midstream_is_off_by_default(firewall, name):
    result = firewall.replay(OUTWARD, [segment(*row[:5]) for row in MIDSTREAM[name]])
    assert "allow" not in result.verdicts()[:2] or name == "then windows hold" and result.verdicts()[:5] == ["drop"] * 5


# --- overlaps ---------------------------------------------------------------------------------------------------------------------


def pieces(length, count):
    """All ways in which `count` pieces with ends on a grid cover [0, length)."""
    grid = range(0, length + 1, length // 4)
    spans = [(a, b) for a in grid for b in grid if a < b]
    for chosen in itertools.product(spans, repeat=count):
        covered = set()
        for a, b in chosen:
            covered |= set(range(a, b))
        if len(covered) == length:
            yield chosen


@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("count", [2, 3])
def test_overlapping_pieces_in_any_order(firewall, count, v6):
    """One policy: segments inside the windows pass, whatever they overlap and carry, and the windows end up the same. An ACK of all of it passes
    afterwards, one of an octet more does not, and data goes on up to the same limit."""
    sent, want = [], []
    for port, chosen in enumerate(pieces(100, count), 2000):
        kw = {"v6": v6, "port": port}
        for n, (a, b) in enumerate(chosen):
            kw_piece = [segment(">", "PA", 1 + a, 1, bytes([65 + n]) * (b - a), **kw)]
            sent += (handshake(**kw) if n == 0 else []) + kw_piece
        sent += [segment("<", "A", 1, 102, **kw), segment(">", "PA", 8093, 1, b"z" * 101, **kw), segment("<", "A", 1, 101, **kw), segment(">", "PA", 8193, 1, b"z" * 100, **kw),
                 segment(">", "R", 8293, **kw)]
        want += [None] * (3 + count) + ["tcp_window", "tcp_window", None, None, None]
    result = firewall.replay(OUTWARD, sent)
    assert len(want) > (100 if count == 2 else 1000)
    assert result.reasons() == want
