# SPDX-License-Identifier: BSD-3-Clause
"""The whole TCP matrix (tcp_matrix.txt) through the firewall: each segment's verdict and reason, and what is answered."""
import struct

import pytest
from conftest import policy
from frames import IN4, MAC_IN, MAC_OUT, OUT4
from tcp_matrix import rows

OUTWARD = policy("10 allow from inside to outside")
ROWS = rows()


def reason_of(segment):
    return segment.reason if segment.reason in (None, "default") else f"tcp_{segment.reason}"


@pytest.fixture(scope="module")
def judged(firewall):
    """All rows through one firewall, one connection each: {row number: [(verdict, reason) of each segment]}, and the result."""
    frames = [frame for row in ROWS for frame in row.frames(IN4, OUT4, MAC_IN, MAC_OUT)]
    result = firewall.replay(OUTWARD, frames)
    verdicts, at = {}, 0
    for row in ROWS:
        part = result.packets[at:at + len(row.segments)]
        verdicts[row.number] = [(p["verdict"], p["reason"]) for p in part]
        at += len(row.segments)
    assert at == len(result.packets)
    return verdicts, result


def test_there_are_enough_rows():
    assert len(ROWS) >= 300
    assert len({row.section for row in ROWS}) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(judged, row):
    want = [("drop", reason_of(s)) if s.reason else ("allow", None) for s in row.segments]
    assert judged[0][row.number] == want, f"{row.section}: {row.title}"


def test_everything_is_accounted_for(judged):
    stats, segments = judged[1].stats, [s for row in ROWS for s in row.segments]
    assert judged[1].balance() == 0 and stats["packets"]["held"] == 0
    for reason in ("tcp_window", "tcp_rst", "tcp_syn", "tcp_state", "tcp_flags", "tcp_no_session"):
        assert stats["drops"].get(reason, 0) == sum(reason_of(s) == reason for s in segments), reason
    assert stats["packets"]["built"] > 0


def test_what_passes_is_unchanged_and_what_is_built_is_a_challenge(judged):
    """Out go the frames that passed, as they were, and bare ACKs."""
    passed = [frame for row in ROWS for frame, s in zip(row.frames(IN4, OUT4, MAC_IN, MAC_OUT), row.segments) if not s.reason]
    built = list(judged[1].out)
    for frame in passed:
        built.remove(frame)
    assert len(built) == judged[1].stats["packets"]["built"]
    for frame in built:
        assert frame[47] == 0x10 and struct.unpack_from("!H", frame, 16)[0] == 40


def test_verdicts_do_not_depend_on_how_segments_fall_into_bursts(firewall, judged):
    frames = [frame for row in ROWS for frame in row.frames(IN4, OUT4, MAC_IN, MAC_OUT)]
    together = firewall.replay(OUTWARD, frames, "--burst", "32")
    assert [(p["verdict"], p["reason"]) for p in together.packets] == [(p["verdict"], p["reason"]) for p in judged[1].packets]
