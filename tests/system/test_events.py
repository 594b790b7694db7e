# SPDX-License-Identifier: BSD-3-Clause
"""Events: the file and the live stream, under traffic, with readers and disks that fail."""
import glob
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from conftest import BIN, LAST_CPU
from lab import LEFT4, PATIENCE, RIGHT4, Lab, sh, wait_for

RULES = """version = 1;
default = { action = "drop"; log = true; };
rules = (
    "10 allow udp from inside dport 9000 log both",
    "20 drop udp from inside dport 7000 log",
    "21 drop udp from inside dport 7001 log"
);
"""

# Sends N datagrams of the given port, each from a source port of its own, at about RATE a second.
SEND = """import socket, sys, time
port, n, rate = (int(a) for a in sys.argv[1:])
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
began = time.monotonic()
for i in range(n):
    s[i % 50].sendto(b'x' * 20, ('192.0.2.10', port))
    while i > rate * (time.monotonic() - began):
        time.sleep(0.002)
"""


def send(lab, port, n, rate=2000):
    done = lab.run(lab.left, "/usr/bin/python3", "-c", SEND, str(port), str(n), str(rate))
    assert done.returncode == 0, done.stderr
    lab.settle()


def make(log="", rules=RULES, eve=None):
    """A lab whose log group has more keys."""
    made = Lab(BIN, rules, workers=(LAST_CPU,))
    plain = made.write_config

    def write_config():
        if eve:
            made.eve_path = eve
        plain()
        text = open(made.config_path).read().replace(f'eve = "{made.eve_path}";', f'eve = "{made.eve_path}"; {log}')
        open(made.config_path, "w").write(text)

    made.write_config = write_config
    return made


class Stream:
    """A client of /v1/events on a raw socket: what came is in lines; stall() stops reading."""

    def __init__(self, lab, query=""):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(10)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.connect(lab.socket_path)
        self.s.sendall(f"GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.raw, self.events, self.ended = b"", [], False
        while b"\r\n\r\n" not in self.raw:
            self.raw += self.s.recv(1)
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        assert self.status != 200 or b"application/x-ndjson" in head
        self.text = b""

    def read(self, seconds, until=lambda events: False):
        """Reads for so long, or until the events are enough."""
        end = time.monotonic() + seconds
        while not self.ended and not until(self.events) and (left := end - time.monotonic()) > 0:
            self.s.settimeout(left)
            try:
                data = self.s.recv(65536)
            except TimeoutError:
                break
            if not data:
                break
            self.raw += data
            self.take_chunks()
        return self.events

    def follow(self):
        """Reads on a thread of its own until the stream ends or is closed."""
        def run():
            try:
                self.read(600)
            except OSError:
                pass

        threading.Thread(target=run, daemon=True).start()

    def take_chunks(self):
        while b"\r\n" in self.raw:
            size, rest = self.raw.split(b"\r\n", 1)
            n = int(size, 16)
            if len(rest) < n + 2:
                return
            self.text += rest[:n]
            self.raw = rest[n + 2:]
            self.ended = n == 0
        *lines, self.text = self.text.split(b"\n")
        self.events += [json.loads(line) for line in lines]

    def close(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()


def hits(lab, rule):
    """How often a rule matched: what a sender sent may not all arrive."""
    return lab.api("GET", f"/v1/rules/{rule}")[1]["hits"]


def lines_of(*paths):
    """Every line of the files; each must be JSON."""
    return [json.loads(line) for path in paths for line in open(path)]


def whole_lines_of(path):
    """The lines of a file that was cut when its disk was full: torn ones are left out."""
    events = []
    for line in open(path):
        try:
            events.append(json.loads(line))
        except ValueError:
            pass
    return events


def count(events, **want):
    return sum(all(e.get(k) == v for k, v in want.items()) for e in events)


@pytest.fixture(scope="module")
def lab():
    with make("stats_interval = \"1s\"; rate = 0;") as made:
        made.serve_udp(made.right, 9000)
        yield made
        assert made.balance() == 0


def test_live_events_of_traffic_and_changes(lab):
    stream = Stream(lab)
    assert lab.ask_udp(lab.left, RIGHT4, 9000) == "HELLO"
    send(lab, 7000, 3)
    assert lab.api("DELETE", f"/v1/sessions?ip={LEFT4}")[0] == 200
    lab.api("POST", "/v1/reload")
    lab.api("PUT", "/v1/rules", body=RULES)
    events = stream.read(PATIENCE, lambda e: count(e, event_type="audit") >= 3 and count(e, event_type="stats") >= 1
                         and count(e, event_type="flow") >= 2 and count(e, event_type="drop", rule=20) >= 3)
    start, end = (next(e for e in events if e["event_type"] == "flow" and e["flow"]["event"] == what) for what in ("start", "end"))
    assert start["flow"]["state"] == "new" and start["rule"] == 10 and start["dest_port"] == 9000
    assert end["flow_id"] == start["flow_id"] and end["community_id"] == start["community_id"] and end["flow"]["reason"] == "killed"
    assert end["flow"]["pkts_toserver"] == 1 and end["flow"]["pkts_toclient"] == 1
    drops = [e for e in events if e["event_type"] == "drop" and e["rule"] == 20]
    assert len(drops) == 3 and drops[0]["drop"]["reason"] == "rule" and drops[0]["verdict"] == {"action": "drop"} and drops[0]["in_iface"] == "in"
    audits = [e["audit"] for e in events if e["event_type"] == "audit"]
    assert [a["action"] for a in audits] == ["kill-sessions", "reload", "put-rules"]
    assert all(a["by"]["uid"] == os.getuid() and a["by"]["pid"] > 1 for a in audits)
    assert next(e for e in events if e["event_type"] == "stats")["stats"]["packets"]["rx"] > 0
    os.kill(lab.firewall.pid, signal.SIGHUP)
    assert stream.read(PATIENCE, lambda e: any(x.get("audit", {}).get("by") == "signal" for x in e))
    stream.close()


def test_filters(lab):
    enough = {
        "?type=drop": lambda e: len(e) >= 11,
        "?type=flow,audit": lambda e: count(e, event_type="flow") and count(e, event_type="audit"),
        "?rule=21": lambda e: len(e) >= 4,
        "?rule=default": lambda e: count(e, dest_port=7002) >= 5,
        "?ip=192.0.2.0/24&type=drop": lambda e: count(e, src_ip=LEFT4) >= 11,
    }
    streams = {q: Stream(lab, q) for q in (*enough, "?ip=198.51.100.1")}
    assert lab.ask_udp(lab.left, RIGHT4, 9000)
    send(lab, 7000, 2)
    send(lab, 7001, 4)
    send(lab, 7002, 5)
    lab.api("POST", "/v1/reload")
    for q, want in enough.items():
        streams[q].read(PATIENCE, want)
    # by now all have been told of; what a stream should not say would be there too
    seen = {q: s.read(0.2) for q, s in streams.items()}
    for s in streams.values():
        s.close()
    assert {e["event_type"] for e in seen["?type=drop"]} == {"drop"} and count(seen["?type=drop"], rule=20) == 2
    assert {e["event_type"] for e in seen["?type=flow,audit"]} == {"flow", "audit"}
    assert [e["rule"] for e in seen["?rule=21"]] == [21] * 4
    assert count(seen["?rule=default"], dest_port=7002) == 5 and {e["rule"] for e in seen["?rule=default"]} == {None}
    assert count(seen["?ip=192.0.2.0/24&type=drop"], src_ip=LEFT4) >= 11
    assert seen["?ip=198.51.100.1"] == []


@pytest.mark.parametrize("query", ["?type=nonsense", "?type=", "?type=drop,", "?type=lost", "?rule=0", "?rule=x", "?ip=banana", "?kind=drop", "?rule=1&rule=2"])
def test_wrong_filters_are_refused(lab, query):
    status, problem = lab.api("GET", f"/v1/events{query}")
    assert status == 400 and problem["detail"]


def test_readers_are_bounded_and_dead_ones_give_their_place(lab):
    wait_for(lambda: lab.stats()["events"]["readers"] == 0, PATIENCE, "end of former readers")
    streams = [Stream(lab, "?type=audit") for _ in range(8)]
    status, problem = lab.api("GET", "/v1/events")
    assert status == 503 and "8 clients" in problem["detail"]
    for s in streams:
        s.close()
    wait_for(lambda: lab.stats()["events"]["readers"] == 0, PATIENCE, "notice that silent readers have left")


def test_a_stalled_reader_loses_lines_and_disturbs_nobody(lab):
    stalled, reading = Stream(lab, "?rule=20"), Stream(lab, "?rule=20")
    reading.follow()
    before, shed, rounds = hits(lab, 20), lab.stats()["events"]["shed"], 0
    while lab.stats()["events"]["shed"] == shed and rounds < 15:
        send(lab, 7000, 2000, rate=4000)
        rounds += 1
    assert lab.stats()["events"]["shed"] > shed, "the stalled reader never lost a line"
    assert lab.api("GET", "/v1/ready")[0] == 200
    done = hits(lab, 20) - before
    wait_for(lambda: count(reading.events, event_type="drop") == done, PATIENCE, "events of every packet at the reader that reads")
    assert count(reading.events, event_type="lost") == 0

    def total(events):
        return count(events, event_type="drop") + sum(e["lost"] for e in events if e.get("where") == "reader")

    late = stalled.read(PATIENCE, lambda e: total(e) >= done)
    assert total(late) == done and count(late, event_type="lost", where="reader") >= 1
    send(lab, 7000, 5)
    done = hits(lab, 20) - before
    assert total(stalled.read(PATIENCE, lambda e: total(e) >= done)) == done, "from here on it has all again"
    stalled.close()
    reading.close()
    wait_for(lambda: lab.stats()["events"]["readers"] == 0, PATIENCE, "end of the readers")


def test_sallyctl_follows_and_leaves(lab):
    follow = lambda *args: subprocess.Popen([f"{BIN}/sallyctl", "-s", lab.socket_path, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    human, raw = follow("events", "--type", "drop", "--rule", "21", "--ip", LEFT4), follow("-j", "events", "--type", "drop")
    wait_for(lambda: lab.stats()["events"]["readers"] == 2, PATIENCE, "two readers")
    send(lab, 7001, 2)
    assert "drop" in human.stdout.readline() and "rule 21" in human.stdout.readline()
    assert json.loads(raw.stdout.readline())["rule"] == 21
    human.send_signal(signal.SIGINT)
    raw.send_signal(signal.SIGTERM)
    for child in (human, raw):
        out, err = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0 and err == "" and (out == "" or out.endswith("\n"))
    done = subprocess.run([f"{BIN}/sallyctl", "-s", lab.socket_path, "events", "--type", "nonsense"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "nonsense" in done.stderr


def test_reopening_after_a_rename_loses_nothing(lab):
    before = count(lines_of(lab.eve_path), rule=21) - hits(lab, 21)
    sender = lab.spawn(lab.left, "/usr/bin/python3", "-c", SEND, "7001", "3000", "1500")
    moved = []
    for i in range(5):
        time.sleep(0.3)
        moved.append(f"{lab.eve_path}.moved{i}")
        os.rename(lab.eve_path, moved[-1])
        os.kill(lab.firewall.pid, signal.SIGHUP)
        wait_for(lambda: os.path.exists(lab.eve_path), PATIENCE, "new file after SIGHUP")
    assert sender.wait(60) == 0
    files = [*moved, lab.eve_path]
    wait_for(lambda: count(lines_of(*files), rule=21) == before + hits(lab, 21), PATIENCE, "events of every packet")
    assert hits(lab, 21) > 1000 and count(lines_of(*files), event_type="lost") == 0


def test_rotation_under_load_loses_no_line():
    with make("rotate_mb = 1; keep = 20; rate = 0;") as lab:
        rounds = 0
        while len(glob.glob(lab.eve_path + "*")) < 4 and rounds < 10:
            send(lab, 7000, 4000, rate=4000)
            rounds += 1
        wait_for(lambda: lab.stats()["events"]["written"] >= hits(lab, 20), PATIENCE, "lines of every packet")
        files = glob.glob(lab.eve_path + "*")
        assert len(files) >= 4 and lab.stats()["events"]["rotated"] == len(files) - 1
        assert all(os.path.getsize(f) <= 1 << 20 for f in files)
        events = lines_of(*files)
        assert count(events, rule=20) == hits(lab, 20) > 5000 and count(events, event_type="lost") == 0


def test_a_full_disk_is_told_and_recovers(tmp_path):
    sh("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path))
    try:
        # only the rules speak: what a kernel sends of itself shall not be among the lines that the disk does not take
        with make("rate = 0;", RULES.replace("log = true; }", "}"), eve=str(tmp_path / "eve.json")) as lab:
            degraded = lambda: [d["code"] for d in lab.api("GET", "/v1/status")[1]["degraded"]]
            stream = Stream(lab, "?rule=20")
            stream.follow()
            (tmp_path / "ballast").write_bytes(b"x" * (128 << 10))
            send(lab, 7000, 3000)
            wait_for(lambda: "events-not-written" in degraded(), PATIENCE, "degraded status")
            assert lab.stats()["events"]["unwritten"] > 0 and lab.api("GET", "/v1/ready")[0] == 200
            wait_for(lambda: count(stream.events, rule=20) == hits(lab, 20), PATIENCE, "every event at who reads along, who does not need the disk")
            (tmp_path / "ballast").unlink()
            wait_for(lambda: "events-not-written" not in degraded(), PATIENCE, "end of the degraded status")
            send(lab, 7000, 20)
            file = tmp_path / "eve.json"
            wait_for(lambda: count(whole_lines_of(file), rule=20) + lab.stats()["events"]["unwritten"] == hits(lab, 20), PATIENCE, "lines again")
            told = sum(e["lost"] for e in whole_lines_of(file) if e["event_type"] == "lost")
            assert told == lab.stats()["events"]["unwritten"] > 0
            stream.close()
            assert lab.balance() == 0
    finally:
        sh("umount", "-l", str(tmp_path))


def test_a_flood_of_one_rule_is_cut_and_counted():
    with make("rate = 20;") as lab:
        stream = Stream(lab, "?type=drop")
        send(lab, 7000, 5000, rate=5000)
        send(lab, 7001, 3)
        time.sleep(1.1)
        send(lab, 7000, 1)
        floods = hits(lab, 20)

        def told(events):
            return sum(e.get("suppressed", 0) for e in events if e["rule"] == 20)

        events = stream.read(PATIENCE, lambda e: count(e, rule=21) == 3 and told(e) + count(e, rule=20) >= floods)
        assert count(events, rule=21) == 3, "another rule is not silenced"
        assert told(events) + count(events, rule=20) == floods > 2000 and count(events, rule=20) < floods / 4
        assert lab.drops("rule") == floods + 3, "packets are counted all the same"
        assert lab.stats()["events"]["suppressed"] == told(events) == lab.api("GET", "/v1/rules/20")[1]["events_suppressed"]


def test_streams_end_cleanly_when_the_firewall_leaves():
    with make("rate = 0;") as lab:
        idle, stalled = Stream(lab, "?type=alert"), Stream(lab)
        send(lab, 7000, 3000)
        code = lab.stop_firewall()[0]
        idle.read(PATIENCE)
        assert code == 0 and idle.ended, "the last chunk says that nothing is missing"
        stalled.read(PATIENCE)
        assert stalled.events and not stalled.ended, "who does not read is cut off, and can tell"
        stalled.close()
