# SPDX-License-Identifier: BSD-3-Clause
"""The TCP matrix (tests/packet/tcp_matrix.txt), segment by segment, through Linux conntrack in a namespace. Where it judges otherwise than
Sallyport is listed below with the reason; a difference that is not listed fails, and so does a listed one that is none."""
import ctypes
import os
import select
import socket
import sys
import time

import pytest
from lab import LabError, sh

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "packet"))
from tcp_matrix import FIRST_PORT, Row, rows  # noqa: E402

OPENER, PEER = "10.1.2.3", "192.0.2.10"
OPENER_MAC, PEER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
OUTGOING = 4  # PACKET_OUTGOING: what the socket's own side sent
CLONE_NEWNET = 0x40000000

# What a stateful ruleset of nftables says by default: only what conntrack knows, and new connections from inside.
RULESET = """table inet judge {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state invalid drop
        ct state established,related accept
        iifname "vin" ct state new accept
    }
}
"""
# Strict, as Sallyport is: no pick-up in mid-stream, windows checked, no leave for RSTs.
SYSCTLS = {"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.rp_filter": 0, "net.netfilter.nf_conntrack_tcp_loose": 0, "net.netfilter.nf_conntrack_tcp_be_liberal": 0,
           "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst": 0, "net.netfilter.nf_conntrack_checksum": 1}


class Conntrack:
    """A router in a namespace with a port on each side; frames are put on the wires and taken from them by packet sockets."""

    def __init__(self):
        self.tag = f"spct{os.getpid() % 100000}"
        self.box, self.host = f"{self.tag}-box", f"{self.tag}-host"
        self.wires = {}

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        for wire in self.wires.values():
            wire.close()
        for ns in (self.box, self.host):
            sh("ip", "netns", "del", ns, check=False)

    def make(self):
        for ns in (self.box, self.host):
            sh("ip", "netns", "add", ns)
        # The router's port towards one side has the MAC that this side's frames are sent to.
        for port, wire, mac, address, neighbour, neighbour_mac in (("vin", "left", PEER_MAC, "10.1.2.1/24", OPENER, OPENER_MAC),
                                                                    ("vout", "right", OPENER_MAC, "192.0.2.1/24", PEER, PEER_MAC)):
            sh("ip", "link", "add", wire, "netns", self.host, "type", "veth", "peer", "name", port, "netns", self.box)
            for ns, link in ((self.host, wire), (self.box, port)):
                sh("ip", "netns", "exec", ns, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
            sh("ip", "-n", self.box, "link", "set", port, "address", mac)
            sh("ip", "-n", self.host, "link", "set", wire, "up", "promisc", "on")
            sh("ip", "-n", self.box, "link", "set", port, "up")
            sh("ip", "-n", self.box, "addr", "add", address, "dev", port)
            sh("ip", "-n", self.box, "neigh", "add", neighbour, "lladdr", neighbour_mac, "dev", port, "nud", "permanent")
        done = sh("ip", "netns", "exec", self.box, "nft", "-f", "-", input=RULESET, check=False)
        if done.returncode != 0:
            raise LabError(f"this kernel does not do what the comparison needs, nftables with conntrack (nf_tables, nf_conntrack, nft_ct): {done.stderr.strip()}")
        for name, value in SYSCTLS.items():
            sh("ip", "netns", "exec", self.box, "sysctl", "-qw", f"{name}={value}")
        self.wires = self.open_wires()

    def open_wires(self):
        """Packet sockets on both wires. A socket stays in the namespace that it was made in; this process does not."""
        libc, wires = ctypes.CDLL(None, use_errno=True), {}
        with open("/proc/self/ns/net") as home, open(f"/run/netns/{self.host}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")
            try:
                for direction, wire in ((">", "left"), ("<", "right")):
                    wires[direction] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
                    wires[direction].bind((wire, 0x0003))
                    wires[direction].setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)
        return wires

    def pass_through(self, frames, last):
        """Sends frames (row, step, direction, bytes) in turn; (row, step) of each that came out. `last` are those that always do."""
        passed, cpus = set(), os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})  # one CPU's backlog keeps the order of frames on both wires
        try:
            for _, _, direction, frame in frames:
                self.wires[direction].send(frame)
                passed |= self.taken(0)
        finally:
            os.sched_setaffinity(0, cpus)
        end = time.monotonic() + 20
        while not last <= passed:
            if time.monotonic() > end:
                raise LabError("the last frames did not come through the router")
            passed |= self.taken(0.1)
        return passed

    def taken(self, seconds):
        """(row, step) of what has come out on either wire."""
        found = set()
        while True:
            ready = select.select(self.wires.values(), [], [], seconds)[0]
            if not ready:
                return found
            seconds = 0
            for wire in ready:
                frame, (_, _, kind, _, _) = wire.recvfrom(65535)
                if kind == OUTGOING or frame[12:14] != b"\x08\x00" or frame[23] != self.proto:
                    continue
                ports = int.from_bytes(frame[34:36], "big"), int.from_bytes(frame[36:38], "big")
                found.add((self.row_of(ports), int.from_bytes(frame[18:20], "big") - 1))


class TcpConntrack(Conntrack):
    proto = 6

    @staticmethod
    def row_of(ports):
        return max(ports) - FIRST_PORT

    def judge(self, matrix):
        """{row number: "+" for each segment that passed, "-" for each that did not}."""
        done = Row(len(matrix), "done", [], "> S 0; < SA 0 1 | syn_received | 3.5 | passes, and tells that all before it was judged")
        frames = [(row.number, i, s.direction, frame) for row in [*matrix, done] for i, (s, frame) in enumerate(zip(row.segments, row.frames(OPENER, PEER, OPENER_MAC, PEER_MAC)))]
        passed = self.pass_through(frames, {frames[-1][:2], frames[-2][:2]})
        return {row.number: "".join("+" if (row.number, i) in passed else "-" for i in range(len(row.segments))) for row in matrix}


MATRIX = rows()
DIFFERENCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conntrack_differences.txt")


def ours(row):
    return "".join("-" if s.reason else "+" for s in row.segments)


def differences():
    """{row name: what Linux does}; each row stands once, below a justification."""
    listed, justification = {}, None
    with open(DIFFERENCES) as f:
        for line in f:
            line = line.strip()
            if line.startswith("="):
                justification = line[1:].strip()
            elif line and not line.startswith("#"):
                verdicts, name = line.split(" ", 1)
                assert justification and "RFC " in justification and name not in listed, line
                listed[name] = verdicts
    return listed


@pytest.fixture(scope="module")
def linux():
    with TcpConntrack() as conntrack:
        return conntrack.judge(MATRIX)


def test_every_difference_is_listed_and_every_listed_one_is_one(linux):
    listed = differences()
    found = {row.name: linux[row.number] for row in MATRIX if linux[row.number] != ours(row)}
    assert listed.keys() <= {row.name for row in MATRIX}, "rows that are not in the matrix"
    assert found == listed


def test_most_rows_are_judged_alike(linux):
    """The comparison means something: Linux drops much, passes much, and mostly the same."""
    judged = [(linux[row.number][-1], ours(row)[-1]) for row in MATRIX]
    assert len(MATRIX) >= 300
    assert judged.count(("-", "-")) > 50 and judged.count(("+", "+")) > 150
