# SPDX-License-Identifier: BSD-3-Clause
"""Associations of a real SCTP stack (usrsctp, as FreeBSD's) through the firewall: whole lives, loss, refusal, blind attacks, and the operator's kill."""
import os
import socket
import struct
import sys

import pytest
from bad_cables import BadCables
from conftest import BIN, LAST_CPU
from lab import LEFT4, PATIENCE, RIGHT4, Lab, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "packet"))
from sctp_table import crc32c  # noqa: E402

TSCTP = "/usr/lib/usrsctp/tsctp"
RULES = """version = 1;
default = { action = "drop"; };
rules = ( "10 allow sctp from inside to outside dport 5001 name 'signalling'", "11 allow icmp,icmpv6 from inside icmp_type echo-request" );
"""
SEND = "import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_RAW,132); [s.sendto(bytes.fromhex(p),(sys.argv[1],0)) for p in sys.argv[2:]]"


def serve(lab):
    lab.spawn(lab.right, TSCTP, "-p", "5001", "-L", RIGHT4)
    # it reads all that is SCTP by a raw socket
    wait_for(lambda: lab.run(lab.right, "ss", "-Hlwn").stdout.count("ipproto-132") or ":132" in lab.run(lab.right, "ss", "-Hlwn").stdout, PATIENCE, "SCTP service")


@pytest.fixture(scope="module")
def lab():
    with Lab(BIN, RULES, workers=(LAST_CPU,)) as made:
        serve(made)
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0


def client(lab, *options, port=5001):
    return lab.spawn(lab.left, TSCTP, "-p", str(port), *options, RIGHT4)


def sessions(lab):
    return lab.api("GET", "/v1/sessions?proto=sctp")[1]["sessions"]


def state(lab, wanted):
    return wait_for(lambda: [s for s in sessions(lab) if s["state"] == wanted], PATIENCE, lambda: f"session in {wanted}: {sessions(lab)}")[0]


def sctp_drops(lab):
    return {r: n for r, n in lab.stats()["drops"].items() if r.startswith("sctp_") and n}


def ended(child):
    assert child.wait(60) == 0


@pytest.fixture(autouse=True)
def clean(request):
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").api("DELETE", "/v1/sessions?all=1")


def test_a_whole_life(lab):
    """Handshake, 5,000 messages, shutdown: nothing is dropped, and the session knows that it is over."""
    before = sctp_drops(lab)
    child = client(lab, "-n", "5000", "-l", "1000")
    ended(child)
    session = state(lab, "sctp_closed")
    assert session["packets"][0] > 5000 / 2 and session["bytes"][0] > 5000 * 1000 and session["rule_name"] == "signalling"
    assert sctp_drops(lab) == before


def test_bad_cables():
    """Loss, duplicates and reordering: the association gets through, and its end is seen."""
    with BadCables(RULES, timeouts="") as bad:
        serve(bad)
        ended(client(bad, "-n", "3000", "-l", "500"))
        state(bad, "sctp_closed")
        # what was overtaken by the end of the association comes too late; nothing else is dropped
        assert set(sctp_drops(bad)) <= {"sctp_state"} and sum(sctp_drops(bad).values()) < 50
        assert bad.balance() == 0


def test_nobody_there():
    """A host without SCTP answers the INIT with ICMP (protocol unreachable), which passes with the session."""
    with Lab(BIN, RULES, workers=(LAST_CPU,)) as bare:
        child = client(bare, "-n", "1")
        count = "awk '/^Icmp:/ && $2 ~ /[0-9]/ { print $5 }' /proc/net/snmp"  # InDestUnreachs
        wait_for(lambda: int(bare.run(bare.left, "sh", "-c", count).stdout) > 0, PATIENCE, "ICMP error at the client")
        assert [s["state"] for s in sessions(bare)] == ["sctp_init"]
        assert not any(n for r, n in bare.stats()["drops"].items() if r.startswith("icmp_"))
        bare.end(child)


def established(lab, child):
    session = state(lab, "sctp_established")
    moved = session["packets"][0]
    wait_for(lambda: any(s["packets"][0] > moved for s in sessions(lab)), PATIENCE, "data")
    assert child.poll() is None
    return session


def test_blind_attacks_do_not_end_it(lab):
    """ABORT, SHUTDOWN ACK and data from the peer's own address, under tags that are guessed, reach nobody; an INIT changes nothing."""
    child = client(lab, "-T", "60", "-n", "0", "-l", "200")
    session = established(lab, child)
    before, forged = sctp_drops(lab).get("sctp_tag", 0), []
    for tag, chunk in ((1, "06000004"), (0, "06000004"), (0xFFFFFFFF, "06010004"), (77, "0000001500000001000000000000000000" + "00" * 7), (5, "0e000004"), (0, "01000014000000ff0000ffff000a000a00000001")):
        raw = struct.pack("!HHII", 5001, session["sport"], tag, 0) + bytes.fromhex(chunk)
        forged.append((raw[:8] + struct.pack("<I", crc32c(raw)) + raw[12:]).hex())
    sent = lab.run(lab.right, "/usr/bin/python3", "-c", SEND, LEFT4, *forged)
    assert sent.returncode == 0, sent.stderr
    wait_for(lambda: sctp_drops(lab).get("sctp_tag", 0) >= before + 4, PATIENCE, lambda: f"drops of forged packets: {sctp_drops(lab)}")
    (now,) = [s for s in sessions(lab) if s["state"] == "sctp_established"]
    wait_for(lambda: any(s["packets"][0] > now["packets"][0] and s["packets"][1] > now["packets"][1] for s in sessions(lab)), PATIENCE, "more data")
    lab.end(child)


def test_killed_it_stays_dead(lab):
    child = client(lab, "-T", "60", "-n", "0", "-l", "200")
    established(lab, child)
    before = lab.drops("sctp_no_session")
    assert lab.api("DELETE", "/v1/sessions?proto=sctp&state=sctp_established")[1]["killed"] == 1
    lab.wait_drops("sctp_no_session", before)
    assert sessions(lab) == []
    lab.end(child)
