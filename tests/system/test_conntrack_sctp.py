# SPDX-License-Identifier: BSD-3-Clause
"""The SCTP table (tests/packet/sctp_table.py), packet by packet, through Linux conntrack in a namespace. Where it judges otherwise than Sallyport
is listed below with the reason; a difference that is not listed fails, and so does a listed one that is none."""
import os
import sys

import pytest
from test_conntrack import OPENER_MAC, PEER_MAC, Conntrack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "packet"))
from frames import fix_ip4_checksum, patch  # noqa: E402
from sctp_table import NAMES, ROWS, packet  # noqa: E402

FIRST_PORT = 2000
MACS = {">": PEER_MAC + OPENER_MAC, "<": OPENER_MAC + PEER_MAC}  # destination, source

# reason: {row: what Linux does with each packet of it ("+" passes)}
DIFFERENCES = {
    "Linux has chunks that no end can send in this state, or that no end takes, pass without a change; here they are dropped (RFC 9260 5.1, 9.2)": {
        "data from the peer too soon (5.1)": "++", "cookie ack too soon (5.1 D)": "++", "shutdown too soon (9.2)": "++", "shutdown ack too soon (9.2)": "++",
        "shutdown complete too soon (9.2)": "++", "data before the cookie (5.1 C)": "+++", "data from the peer before the cookie (5.1 C)": "+++",
        "cookie ack before the cookie (5.1 D)": "+++", "shutdown before the cookie (9.2)": "+++", "heartbeat before the cookie (8.3)": "+++",
        "opener shuts down too soon (9.2)": "++++", "shutdown ack without shutdown (9.2)": "++++", "complete without shutdown (9.2)": "++++", "shutdown ack unasked (9.2)": "+++++",
        "shutdown complete unasked (9.2)": "+++++", "complete without ack (9.2)": "++++++"},
    "Linux lets data and more pass after the end, until its entry is gone; here only what the ends still exchange to agree on it (8.4)": {
        "data of the dead (8.4)": "++++++++", "data of the dead, other side (8.4)": "++++++++", "shutdown of the dead (8.4)": "++++++++", "heartbeat of the dead (8.4)": "++++++++",
        "after an abort nothing goes on (9.1)": "++++++"},
    "Linux lets the peer open a new association under the old entry; here it needs a rule of its own": {"init of the peer after the end (rules)": "++++++++"},
    "Linux takes heartbeats, and a SHUTDOWN ACK, under any tag (its heuristics for further paths); here 8.5 holds for all": {
        "heartbeat under a wrong tag (8.5)": "+++++", "shutdown ack under a wrong tag (8.5)": "++++++"},
    "Linux opens entries by a HEARTBEAT or SHUTDOWN ACK, for paths of a multi-homed host; here one path is a session, and a stateless rule passes others": {
        "heartbeat of a second path (8.3, one path a session)": "+", "shutdown ack of nobody (8.4)": "+"},
    "Linux believes the tag of every INIT at once, so that a forged one cuts an association off and lets an ABORT under its tag close it; here an offer is one until a COOKIE ACK "
    "(5.2.2, 5.2.4)": {
        "first answer taken up (5.2.3)": "++++-", "what was offered and not taken up is over (5.2.3)": "++---+", "restart: old tag until the cookie ack (5.2.4 A)": "+++++++-",
        "forged init does not let an abort close (8.5.1 B)": "++++++-", "after a forged init the tags are as before (5.2.2)": "+++++-", "and the opener's (5.2.2)": "+++++-"},
    "Linux does not ask that a tag is offered (3.3.2, 3.3.3)": {"init that offers no tag (3.3.2)": "+", "init ack that offers none (3.3.3)": "++"},
    "Linux has COOKIE ECHO come first, also before the AUTH that vouches for it (RFC 4895 6.3)": {"cookie echo behind auth (RFC 4895 6.3)": "++-"},
    "Linux does not look at padding, at chunks that reach past the packet, or at what follows an ABORT, and has no bound on their number": {
        "chunks behind an abort (3.3.7)": "+++++", "chunk of length 3 (3.2)": "+++++", "chunk longer than the packet (3.2)": "+++++", "trailing bytes (3.2)": "+++++",
        "no padding at the end (3.2)": "+++++", "good chunk before a bad one (3.2)": "+++++", "a dropped packet has changed nothing (3.2)": "++++++", "257 chunks (bounded)": "+++++"},
}


def steps(row):
    return [s.lstrip("!") for s in row[2]] + [row[3]]


def ours(row):
    return "".join("-" if s.startswith("!") else "+" for s in row[2]) + ("+" if row[4] is None else "-")


class SctpConntrack(Conntrack):
    proto = 132

    @staticmethod
    def row_of(ports):
        return min(ports) - FIRST_PORT

    def judge_rows(self):
        """For each row "+" for a packet that passed, "-" for one that did not."""
        rows = [*ROWS, ("done", "", [], "> 0 init(a)", None)]  # the last tells that all before it was judged
        frames = []
        for n, row in enumerate(rows):
            for i, step in enumerate(steps(row)):
                raw = packet(step, FIRST_PORT + n)
                raw = bytes.fromhex(MACS[step[0]].replace(":", "")) + fix_ip4_checksum(patch(raw, 18, (i + 1).to_bytes(2, "big")))[12:]
                frames.append((n, i, step[0], raw))
        passed = self.pass_through(frames, {(len(ROWS), 0)})
        return ["".join("+" if (n, i) in passed else "-" for i in range(len(steps(row)))) for n, row in enumerate(ROWS)]


@pytest.fixture(scope="module")
def linux():
    with SctpConntrack() as box:
        return dict(zip(NAMES, box.judge_rows()))


def test_every_difference_is_justified(linux):
    listed = {name: verdicts for group in DIFFERENCES.values() for name, verdicts in group.items()}
    found = {name: linux[name] for name, row in zip(NAMES, ROWS) if linux[name] != ours(row)}
    assert found == listed
