# SPDX-License-Identifier: BSD-3-Clause
"""Two workers, all traffic on one queue: half of the sessions are handed over, none is lost, both directions meet."""
import os

import pytest
from conftest import BIN, RULES
from lab import PATIENCE, RIGHT4, RIGHT6, Lab, wait_for


@pytest.fixture(scope="module")
def pair():
    with Lab(BIN, RULES, workers=(0, 1)) as made:
        made.serve_web(made.right, {"index.html": b"hello\n", "big": os.urandom(1 << 20) * 4})
        made.serve_udp(made.right, 9000)
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0


def test_sessions_are_spread_and_nothing_is_lost(pair):
    for n in range(20):
        assert pair.curl(f"http://{RIGHT4}/") == "hello\n"
        assert pair.ask_udp(pair.left, RIGHT6, 9000, f"q{n}") == f"Q{n}"
    whole = pair.run(pair.left, "sh", "-c", f"curl -s -m 60 http://{RIGHT4}/big | wc -c").stdout
    assert whole.strip() == str(4 << 20)
    workers = pair.api("GET", "/v1/workers")[1]["workers"]
    assert len(workers) == 2
    assert sum(w["handed_out"] for w in workers) > 0 and all(w["sessions"] > 0 for w in workers)
    assert pair.balance() == 0
    assert pair.drops("queue_handover") == 0 and pair.drops("tcp_no_session") == 0
    wait_for(lambda: len(pair.api("GET", "/v1/sessions?limit=1000")[1]["sessions"]) == pair.stats()["sessions"]["active"], PATIENCE, "list of all sessions")
