# SPDX-License-Identifier: BSD-3-Clause
"""Captures of real and hostile traffic go through without a crash and with every packet accounted for; noise and mutations of our own always, others' where present."""
import glob
import os
import random

import pytest
from conftest import ROOT, policy
from frames import tcp4, udp6
from test_malformed import ROWS as MALFORMED
from test_protocols import ROWS as PROTOCOLS

EVERYTHING = policy("1 drop tcp dport 23", "2 reject udp dport 1900", "3 allow tcp inspect all", "4 allow udp inspect all limit '1000/s per src'", "5 drop bpf 'ip[8] < 5'",
                    "6 allow", extra='inspect = { all = { mode = "block"; patterns = ( { id = 1; msg = "m"; pattern = "passw(or)?d"; flags = "i"; action = "drop"; },'
                    ' { id = 2; msg = "n"; pattern = "GET|POST|MZ"; action = "alert"; } ); }; };')
FOLDER = os.environ.get("SALLYPORT_CAPTURES", os.path.join(os.path.dirname(ROOT), "shared", "data", "pcaps"))
CAPTURES = sorted(glob.glob(os.path.join(FOLDER, "**", "*.pcap*"), recursive=True))


def mutate(rng, raw):
    data = bytearray(raw)
    for _ in range(rng.randint(1, 8)):
        data += bytes(max(0, 14 - len(data)))
        what = rng.randrange(4)
        if what == 0:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif what == 1:
            del data[rng.randrange(14, len(data) + 1):]
        elif what == 2:
            data += rng.randbytes(rng.randint(1, 40))
        else:
            at = rng.randrange(len(data))
            data[at:at + 2] = rng.choice([b"\0\0", b"\xff\xff", b"\0\1", b"\x7f\xff", b"\x2c\0", b"\x3c\0"])
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames(firewall, seed):
    rng = random.Random(seed)
    whole = [raw for _, raw in PROTOCOLS] + [raw for _, raw, _ in MALFORMED]
    result = firewall.replay(EVERYTHING, [mutate(rng, rng.choice(whole)) for _ in range(5000)], zones=False)
    assert len(result.packets) == 5000 and all(p["verdict"] in ("allow", "drop", "reject") for p in result.packets)
    assert all((p["reason"] is None) == (p["verdict"] == "allow") for p in result.packets)


def test_noise(firewall):
    rng = random.Random(9)
    noise = [rng.randbytes(rng.randint(14, 1500)) for _ in range(2000)]
    noise += [raw[:14] + rng.randbytes(rng.randint(0, 200)) for raw in (tcp4(1), udp6(1)) for _ in range(2000)]
    assert len(firewall.replay(EVERYTHING, noise, zones=False).packets) == 6000


def test_captures_of_others(firewall):
    """Runs over every capture found; the folder is not part of the project, so finding none is said, not hidden."""
    print(f"{len(CAPTURES)} captures in {os.path.basename(FOLDER)}")
    for path in CAPTURES:
        try:
            firewall.replay(EVERYTHING, path, zones=False)
        except AssertionError as error:
            # A link type without Ethernet, or a file that is no capture, is refused in one line; anything else is a defect.
            assert "exit 2" in str(error) and str(error).count("\n") <= 3, f"{path}: {error}"
