# SPDX-License-Identifier: BSD-3-Clause
"""Packet tables through the real stages: a capture goes in by `sallyport replay`, verdicts and forwarded frames come out."""
import json
import os
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, os.environ.get("SALLYPORT_BIN", "build/gcc-release"))
ZONES = ["inside=10.0.0.0/8,2001:db8:10::/48,fe80::/10", "outside=0.0.0.0/0,::/0"]


class Replayed:
    """What became of a capture: `packets` in order, `stats`, and the frames that left (`out`, bytes)."""

    def __init__(self, packets, stats, out):
        self.packets, self.stats, self.out = packets, stats, out

    def verdicts(self):
        return [p["verdict"] for p in self.packets]

    def reasons(self):
        return [p["reason"] for p in self.packets]

    def balance(self):
        p, drops = self.stats["packets"], sum(self.stats["drops"].values())
        return p["rx"] + p["from_kernel"] + p["built"] + p["fragment_delta"] - p["tx"] - p["to_kernel"] - p["consumed"] - drops - p["held"]


def write_pcap(path, frames, gap=0.001, start=1000.0):
    """Frames (bytes or scapy packets) as a classic capture of Ethernet, `gap` seconds apart; a (frame, time) pair sets its own time."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n, frame in enumerate(frames):
            at = start + n * gap
            if isinstance(frame, tuple):
                frame, at = frame[0], start + frame[1]
            raw = bytes(frame)
            f.write(struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(raw), len(raw)) + raw)


def read_pcap(path):
    frames, at = [], 24
    with open(path, "rb") as f:
        data = f.read()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}[data[:4]]
    while at < len(data):
        length = struct.unpack_from(f"{order}I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames


class Firewall:
    def __init__(self, folder):
        self.folder, self.n = folder, 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def replay(self, rules, frames, *args, zones=True, check_balance=True, timeout=120):
        self.n += 1
        rule_file, capture, out = self.path(f"{self.n}.rules"), self.path(f"{self.n}.pcap"), self.path(f"{self.n}.out.pcap")
        with open(rule_file, "w") as f:
            f.write(rules)
        if isinstance(frames, str):
            capture = frames
        else:
            write_pcap(capture, frames)
        command = [os.path.join(BIN, "sallyport"), "replay", "--rules", rule_file, capture, "-o", out, "--json", *args]
        if zones:
            for zone in ZONES:
                command += ["--zone", zone]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"replay: exit {done.returncode}\n{done.stderr[-4000:]}"
        answer = json.loads(done.stdout)
        result = Replayed(answer["packets"], answer["stats"], read_pcap(out))
        if check_balance:
            assert result.balance() == 0, result.stats["packets"]
        return result

    def run(self, *args, text=None, timeout=60):
        return subprocess.run([os.path.join(BIN, "sallyport"), *args], input=text, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="session")
def firewall(tmp_path_factory):
    return Firewall(str(tmp_path_factory.mktemp("replay")))


def policy(*rules, default="drop", extra=""):
    """A rule file of one-line rules."""
    body = ",\n    ".join(json.dumps(r) if isinstance(r, str) else r["raw"] for r in rules)
    return f'version = 1;\n{extra}\ndefault = {{ action = "{default}"; }};\nrules = (\n    {body}\n);\n'
