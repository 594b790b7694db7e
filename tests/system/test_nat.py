# SPDX-License-Identifier: BSD-3-Clause
"""Address translation through the router with real stacks: out by the address of the link, in by a forwarded port, pings, traceroute, bulk
data, and what the management side tells of it."""
import json
import os

import pytest
from lab import PATIENCE, wait_for
from route_lab import RouteLab, needs_sallyport, url_of

pytestmark = needs_sallyport
RULES = """version = 1;
default = { action = "drop"; };
rules = (
    "10 allow from inside to outside log both",
    "20 allow tcp from outside to inside 10.1.0.10 dport 80"
);
nat = (
    { id = 1; type = "source"; from = "inside"; to = "outside"; src = "10.1.0.0/24"; address = "interface"; log = "both"; },
    { id = 2; type = "destination"; from = "outside"; proto = "tcp"; dst = "interface"; dport = 8080; address = "10.1.0.10"; port = 80; },
    { id = 3; type = "source"; from = "inside"; to = "outside"; src = "2001:db8:1::/64"; address = "interface"; }
);
"""
WORKERS = (0, 1)
INSIDE, OUTSIDE = "10.1.0.10", "10.2.0.10"
EXTERNAL = {4: "10.2.0.1", 6: "2001:db8:2::1"}
BODY = os.urandom(3000000)

# Says who asks, by TCP and UDP on the same port.
WHO = """import socket, sys, threading
def name(a): return a[0].split('%')[0].removeprefix('::ffff:')
t = socket.socket(socket.AF_INET6); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(('::', 7777)); t.listen(1024)
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.bind(('::', 7777))
def datagrams():
    while True:
        d, a = u.recvfrom(2000); u.sendto(('%s %d' % (name(a), a[1])).encode(), a)
threading.Thread(target=datagrams, daemon=True).start()
while True:
    c, a = t.accept(); c.sendall(('%s %d' % (name(a), a[1])).encode()); c.close()
"""

# n connections from ports of their own; who the server took each for, a line each
ASK = """import socket, sys
addr, first, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for port in range(first, first + n):
    s = socket.socket(socket.AF_INET6 if ':' in addr else socket.AF_INET)
    s.settimeout(20); s.bind(('', port)); s.connect((addr, 7777)); print(s.recv(100).decode()); s.close()
"""


@pytest.fixture(scope="module")
def lab():
    with RouteLab(RULES, workers=WORKERS) as made:
        made.serve_web(made.right, {"body": BODY})
        made.serve_web(made.left, {"body": BODY})
        made.spawn(made.right, "/usr/bin/python3", "-c", WHO)
        wait_for(lambda: ":7777 " in made.run(made.right, "ss", "-Hltn").stdout, PATIENCE, "the server")
        yield made
        made.finish()


def ask(lab, addr, first=20000, n=1, ns=None):
    done = lab.run(ns or lab.left, "/usr/bin/python3", "-c", ASK, addr, str(first), str(n))
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def nat(lab, query=""):
    status, body = lab.api("GET", f"/v1/nat{query}")
    assert status == 200, body
    return body if isinstance(body, dict) else json.loads(body)


@pytest.mark.parametrize("family", (4, 6))
def test_the_outside_sees_the_address_of_the_link(lab, family):
    addr = lab["right"].addr[family]
    for who, port in ask(lab, addr, first=21000 + 1000 * family, n=50):
        assert who == EXTERNAL[family]
        assert 1024 <= int(port) <= 65535
    assert lab.ask_udp(lab.left, addr, 7777).split()[0] == EXTERNAL[family]


@pytest.mark.parametrize("family", (4, 6))
def test_echo_comes_back(lab, family):
    assert lab.ping(lab["right"].addr[family])
    assert lab.ping(lab["right"].addr[family], "-s", "1400")
    assert lab.ping(lab["right"].addr[family], "-s", "4000"), "in fragments"


def test_bulk_data_both_ways(lab):
    assert lab.fetch(url_of(OUTSIDE, "/body")) == BODY
    assert lab.fetch(f"http://{EXTERNAL[4]}:8080/body", ns=lab.right) == BODY


def test_many_connections_at_once(lab):
    command = ["curl", "-s", "--parallel", "--parallel-max", "40", "-o", "/dev/null", "--fail", "-w", "%{http_code}\n", f"http://{OUTSIDE}/body?[1-60]"]
    done = lab.run(lab.left, *command)
    assert done.stdout.split() == ["200"] * 60, done.stderr


def test_errors_come_back_translated(lab):
    """A closed port, and the hops of traceroute."""
    assert "refused" in lab.udp_outcome(lab.left, OUTSIDE, 9999)[1].lower()
    assert lab.traceroute(OUTSIDE)[-1] == OUTSIDE


def test_a_host_keeps_its_address_and_a_port_its_mapping(lab):
    ask(lab, OUTSIDE, first=30000, n=1)
    rows = [m for m in nat(lab, "?limit=1000")["mappings"] if m["inside"] == INSIDE and m["inside_port"] == 30000]
    assert len(rows) <= 1, rows
    for row in rows:
        assert row["outside"] == EXTERNAL[4]


def test_the_api_and_the_log_tell(lab):
    lab.ask_udp(lab.left, OUTSIDE, 7777)
    answer = nat(lab)
    assert answer["counters"]["mappings"] > 0 and answer["counters"]["sessions"] > 0
    assert {e["entry"]: e["type"] for e in answer["entries"]} == {1: "source", 2: "destination", 3: "source"}
    pool = next(p for p in answer["pools"] if p["address"] == EXTERNAL[4])
    assert pool["ports"] == 64512 and pool["used"]["udp"] > 0
    status, sessions = lab.api("GET", f"/v1/sessions?ip={OUTSIDE}&proto=udp")
    assert status == 200
    sessions = sessions if isinstance(sessions, dict) else json.loads(sessions)
    assert any("translated" in s["flags"] and s["reply"]["dst"] == EXTERNAL[4] for s in sessions["sessions"]), sessions

    def logged():
        with open(lab.eve_path) as f:
            lines = [json.loads(line) for line in f if '"nat"' in line]
        mapped = [e for e in lines if e["event_type"] == "nat" and e["nat"]["event"] == "mapping" and e["nat"]["outside_ip"] == EXTERNAL[4]]
        flows = [e for e in lines if e["event_type"] == "flow" and e["src_ip"] == INSIDE and e["nat"]["src_ip"] == EXTERNAL[4]]
        return mapped and flows

    wait_for(logged, PATIENCE, "events of a mapping and of its flow")


def test_what_is_not_forwarded_meets_the_firewall(lab):
    done = lab.run(lab.right, "curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", f"http://{EXTERNAL[4]}:8081/")
    assert done.stdout == "000"


def test_a_new_address_of_the_link_is_used(lab):
    """Linux changes the link's first address: new sessions have it."""
    lab.ip("addr", "del", "10.2.0.1/24", "dev", "out")
    lab.ip("addr", "add", "10.2.0.99/24", "dev", "out")
    try:
        wait_for(lambda: (lab.ask_udp(lab.left, OUTSIDE, 7777, timeout=1) or "").startswith("10.2.0.99 "), PATIENCE, "the new address")
    finally:
        lab.ip("addr", "del", "10.2.0.99/24", "dev", "out")
        lab.ip("addr", "add", "10.2.0.1/24", "dev", "out")
