# SPDX-License-Identifier: BSD-3-Clause
"""Two hundred connections of real stacks at once over cables that lose, double and reorder: none breaks, none stays in the table."""
import hashlib
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from bad_cables import BadCables
from conftest import LAST_CPU
from lab import LEFT6, PATIENCE, RIGHT4, RIGHT6, LabError, wait_for

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tcp_peers.py")

RULES = """version = 1;
default = { action = "drop"; };
rules = (
    "10 allow tcp from inside to outside dport 80",
    "11 allow tcp from inside to outside dport 5201,5202",
    "12 allow tcp from inside to outside dport 7000",
    "13 allow tcp from inside to outside dport 7100-7199"
);
"""

# Short where a connection has ended, long where it has not: a session that misses its end stays, and is found.
TIMEOUTS = 'sessions = { timeouts = { tcp_fin_wait = "600s"; tcp_closing = "600s"; tcp_time_wait = "2s"; tcp_closed = "1s"; }; };'

KINDS = {"echo": 110, "download": 12, "upload": 12, "early_end": 12, "slow_reader": 12, "reset_by_server": 10, "reset_by_client": 10, "churn": 8,
         "same_port": 4, "same_port_after_reset": 4, "fast_open": 4}
FILES, FILE_SIZE, STREAMS = 40, 1500000, 20


class Peers(BadCables):
    """Bad cables, and applications on both hosts."""

    def make_hosts(self):
        super().make_hosts()
        for ns in (self.left, self.right):
            self.run(ns, "sysctl", "-qw", "net.ipv4.tcp_fastopen=3", check=True)

    def serve_all(self):
        self.files = {f"f{n}": os.urandom(FILE_SIZE) for n in range(FILES)}
        self.serve_web(self.right, {"index.html": b"hello\n", **self.files}, rate=250000)
        for port in ("5201", "5202"):
            self.spawn(self.right, "iperf3", "-s", "-p", port)
            wait_for(lambda p=port: f":{p} " in self.run(self.right, "ss", "-Hltn").stdout, PATIENCE, "iperf3 server")
        self.serve_peers()

    def serve_peers(self):
        self.spawn(self.right, "/usr/bin/python3", "-B", PEERS, "serve", "7000")
        wait_for(lambda: ":7000 " in self.run(self.right, "ss", "-Hltn").stdout, PATIENCE, "server of all kinds")

    def drive(self, addr, kinds):
        """Connections of these kinds at once: {"done": …, "failures": …}."""
        done = self.run(self.left, "/usr/bin/python3", "-B", PEERS, "drive", addr, "7000", *(f"{kind}={count}" for kind, count in kinds.items()), timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def tcp_drops(self):
        return {reason: count for reason, count in self.stats()["drops"].items() if count and (reason.startswith("tcp_") or reason == "default")}

    def tell(self, what):
        """For who reads the log of a failed test."""
        dropped = [f"{d['reason']} {d['packet']}" for d in self.api("GET", "/v1/drops")[1]["drops"]]
        print(what, *self.wire_says(), self.stats()["packets"], self.tcp_drops(), *dropped, sep="\n", file=sys.stderr)

    def sessions(self):
        return self.api("GET", "/v1/sessions?limit=1000&proto=tcp")[1]["sessions"]

    def ends_clean(self):
        """No session is left after a while, every packet is accounted for, and the firewall leaves."""
        wait_for(lambda: not self.sessions(), 60, lambda: f"empty table: {len(self.sessions())} sessions, of them {self.sessions()[:3]}")
        assert self.balance() == 0
        assert self.stop_firewall()[0] == 0


def on_thread(results, name, work):
    def run():
        try:
            results[name] = work()
        except (LabError, AssertionError, ValueError, subprocess.TimeoutExpired) as error:
            results[name] = error

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def fetch_files(lab, addr):
    """All files at once by curl; the names of those that are not as they should be."""
    folder = os.path.join(lab.dir, "fetched")
    host = f"[{addr}]" if ":" in addr else addr
    config = "".join(f'url = "http://{host}/{name}"\noutput = "{folder}/{name}"\n' for name in lab.files)
    done = lab.run(lab.left, "curl", "-sS", "-g", "-m", "240", "-Z", "--parallel-immediate", "--parallel-max", str(FILES), "--create-dirs", "-K", "-",
                   input=config, timeout=300)
    assert done.returncode == 0, done.stderr

    def same(name, body):
        with open(os.path.join(folder, name), "rb") as f:
            return hashlib.sha256(f.read()).digest() == hashlib.sha256(body).digest()

    return [name for name, body in lab.files.items() if not same(name, body)]


def iperf(lab, addr, port, *options):
    """Bytes of each stream."""
    done = lab.run(lab.left, "iperf3", "-J", "-c", addr, "-p", port, "-P", str(STREAMS), "-t", "7", "-b", "4M", *options, timeout=300)
    assert done.returncode == 0, done.stdout[-800:]
    return [s["receiver"]["bytes"] for s in json.loads(done.stdout)["end"]["streams"]]


def established(lab):
    return len(lab.run(lab.left, "ss", "-Htn", "state", "established").stdout.splitlines())


@pytest.mark.parametrize("addr, workers", [(RIGHT4, (LAST_CPU,)), (RIGHT6, (0, 1))], ids=["ipv4-1-worker", "ipv6-2-workers"])
def test_two_hundred_connections(addr, workers):
    with Peers(RULES, workers, TIMEOUTS) as lab:
        lab.warm()
        lab.serve_all()
        results, peak = {}, 0
        threads = [
            on_thread(results, "peers", lambda: lab.drive(addr, KINDS)),
            on_thread(results, "curl", lambda: fetch_files(lab, addr)),
            on_thread(results, "up", lambda: iperf(lab, addr, "5201")),
            on_thread(results, "down", lambda: iperf(lab, addr, "5202", "-R")),
        ]
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, established(lab))
            threads[0].join(0.3)
        lab.tell(f"{peak} connections at once")
        for result in results.values():
            if isinstance(result, Exception):
                raise result
        assert results["peers"] == {"done": KINDS, "failures": []}
        assert int(lab.run(lab.left, "nstat", "-az", "TcpExtTCPFastOpenActive").stdout.split()[-2]) > 0, "no SYN carried data"
        assert results["curl"] == []
        for direction in ("up", "down"):
            assert len(results[direction]) == STREAMS and all(results[direction]), results[direction]
        assert peak >= 200
        assert lab.drops("tcp_window") * 1000 < lab.stats()["packets"]["rx"], "a late copy may be beside the window, but not many are"
        lab.ends_clean()


def test_of_a_healthy_connection_no_segment_is_dropped():
    """Over cables that lose nothing, also when ports are used again at once, windows are shut, or one half closes long before the other."""
    kinds = {"echo": 10, "download": 4, "upload": 4, "early_end": 4, "slow_reader": 4, "churn": 4, "same_port": 4, "same_port_after_reset": 4, "fast_open": 4}
    with Peers(RULES, timeouts=TIMEOUTS, dice=False) as lab:
        lab.warm()
        lab.serve_peers()
        done = lab.drive(RIGHT4, kinds)
        lab.tell("healthy connections")
        assert done == {"done": kinds, "failures": []}
        assert not {reason for reason in lab.tcp_drops() if reason != "default"}
        lab.ends_clean()


def test_keep_alives_keep_a_silent_connection():
    """Connections that say nothing for longer than their session lives without packets."""
    with Peers(RULES, timeouts=TIMEOUTS.replace("timeouts = {", 'timeouts = { tcp_established = "4s";')) as lab:
        lab.warm()
        lab.serve_peers()
        done = lab.drive(RIGHT4, {"idle": 10})
        lab.tell("ten silent connections")
        assert done == {"done": {"idle": 10}, "failures": []}
        lab.ends_clean()


def test_both_ends_open_and_close_at_once():
    """Long cables that lose nothing: the SYNs cross, then the FINs do, and the firewall has no reason to drop any packet of it."""
    with Peers(RULES, timeouts=TIMEOUTS, delay_us=100000, dice=False) as lab:
        lab.warm()
        moment = time.monotonic() + 1.5
        ends = [lab.spawn(ns, "/usr/bin/python3", "-B", PEERS, "together", *map(str, what), stderr=subprocess.PIPE, text=True)
                for ns, what in ((lab.left, (LEFT6, 7000, RIGHT6, 7100, moment, 0)), (lab.right, (RIGHT6, 7100, LEFT6, 7000, moment, 0.1)))]
        said = [end.communicate(timeout=120)[1] for end in ends]
        assert [end.returncode for end in ends] == [0, 0], said
        lab.tell("two connections opened and closed by both ends")
        for ns in (lab.left, lab.right):  # both ends are in TIME-WAIT only after FINs that crossed
            wait_for(lambda n=ns: len(lab.run(n, "ss", "-Htn", "state", "time-wait").stdout.splitlines()) == 2, PATIENCE, "end that both ends began")
        assert not {reason for reason in lab.tcp_drops() if reason != "default"}
        lab.ends_clean()
