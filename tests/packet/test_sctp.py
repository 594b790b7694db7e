# SPDX-License-Identifier: BSD-3-Clause
"""SCTP associations (RFC 9260) through the real path: every row of sctp_table.py, over IPv4, IPv6, and in bursts."""
import pytest
from conftest import policy
from sctp_table import ANSWERED, ECHOED, GONE, NAMES, NEW, ROWS, SHUT, SHUTACK, UP, packet

OUTWARD = policy("10 allow sctp from inside to outside")


def play(firewall, *args, v6=False):
    frames, last = [], []
    for n, (_, _, before, step, _) in enumerate(ROWS):
        frames += [packet(s.lstrip("!"), 2000 + n, v6) for s in before] + [packet(step, 2000 + n, v6)]
        last.append(len(frames) - 1)
    return firewall.replay(OUTWARD, frames, *args), last


@pytest.fixture(scope="module", params=["v4", "v6", "bursts"])
def played(request, firewall):
    return play(firewall, *(["--burst", "32"] if request.param == "bursts" else []), v6=request.param == "v6")


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("n", range(len(ROWS)), ids=NAMES)
def test_row(played, n):
    result, last = played
    before, want = ROWS[n][2], ROWS[n][4]
    first = last[n] - len(before)
    assert [result.packets[first + k]["reason"] for k, s in enumerate(before) if not s.startswith("!")] == [None] * sum(not s.startswith("!") for s in before)
    assert result.packets[last[n]]["reason"] == want


TIMEOUTS = [(NEW, "< a initack(b)", 30), (ANSWERED, "> b echo", 30), (ECHOED, "< a cack", 30), (UP, "> b data", 600), (SHUT, "< a shutack", 60), (SHUTACK, "< a shutack", 30), (GONE, "< a shutack", 10)]


@pytest.mark.parametrize("n", range(len(TIMEOUTS)))
def test_each_state_has_its_timeout(firewall, n):
    before, step, seconds = TIMEOUTS[n]
    for wait, passes in ((seconds - 1, True), (seconds + 3, False)):
        frames = [(packet(s, 2000), 0.001 * k) for k, s in enumerate(before)] + [(packet(step, 2000), 0.001 * len(before) + wait)]
        assert (firewall.replay(OUTWARD, frames).verdicts()[-1] == "allow") == passes, wait


def test_rule_timeout_applies_when_up(firewall):
    rules = policy("10 allow sctp from inside to outside timeout 5s")
    for before, step, passes in ((UP, "> b data", False), (NEW, "< a initack(b)", True)):
        frames = [(packet(s, 2000), 0.001 * k) for k, s in enumerate(before)] + [(packet(step, 2000), 9)]
        assert (firewall.replay(rules, frames).verdicts()[-1] == "allow") == passes


def test_stateless_rules_judge_no_chunks(firewall):
    """A multi-homed pair whose second path must pass: by a rule that keeps no sessions."""
    rules = policy("10 allow sctp from inside to outside stateless", "11 allow sctp from outside to inside stateless")
    assert firewall.replay(rules, [packet("> b hb", 2000), packet("< a hback", 2000)]).verdicts() == ["allow", "allow"]
