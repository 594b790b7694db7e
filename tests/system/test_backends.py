# SPDX-License-Identifier: BSD-3-Clause
"""Health of backends: a firewall that has given up its privileges asks real web servers, and sallyctl tells and drains."""
import json
import os

import pytest
from conftest import BIN, LAST_CPU
from lab import PATIENCE, Lab, sh, wait_for

RULES = """version = 1;
default = { action = "drop"; };
rules = ( "10 allow tcp from inside to outside dport 80" );
nat = (
    { id = 2; type = "destination"; from = "inside"; proto = "tcp"; dst = "198.51.100.1"; dport = 80; address = "203.0.113.11-203.0.113.13";
      port = 8080; method = "maglev"; health = { type = "http"; path = "/healthz"; status = 200; interval = "500ms"; up = 1; down = 2; }; },
    { id = 5; type = "destination"; from = "inside"; proto = "tcp"; dst = "2001:db8:f::1"; dport = 80; address = "2001:db8:b::11, 2001:db8:b::12";
      method = "maglev"; health = { type = "tcp"; interval = "500ms"; up = 1; down = 2; }; },
    { id = 8; type = "destination"; from = "inside"; proto = "tcp"; dst = "198.51.100.2"; dport = 443; address = "203.0.113.11-203.0.113.12";
      method = "maglev"; }
);
"""
V4 = ["203.0.113.11", "203.0.113.12", "203.0.113.13"]
V6 = ["2001:db8:b::11", "2001:db8:b::12"]

# /healthz is 200 while the file is there, and 503 while it is not
SERVER = """import http.server, os, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/healthz' and os.path.exists(sys.argv[3]) else 503)
        self.end_headers()
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""


class Farm:
    """The backends, all of them addresses of the firewall's host, and the firewall."""

    def __init__(self, lab):
        self.lab = lab
        self.good = os.path.join(lab.dir, "good")
        open(self.good, "w").close()
        for address in V4:
            sh("ip", "-n", lab.box, "addr", "add", f"{address}/32", "dev", "lo")
        for address in V6:
            sh("ip", "-n", lab.box, "addr", "add", f"{address}/128", "dev", "lo", "nodad")
        self.servers = {}
        for address in V4 + V6:
            self.serve(address)

    def serve(self, address):
        port = 80 if ":" in address else 8080
        self.servers[address] = self.lab.spawn(self.lab.box, "/usr/bin/python3", "-c", SERVER, address, str(port), self.good)

    def kill(self, address):
        self.lab.end(self.servers[address])

    def backends(self):
        return self.lab.api("GET", "/v1/nat")[1]["backends"]

    def one(self, entry, address):
        return next(b for b in self.backends() if (b["entry"], b["address"]) == (entry, address))

    def wait_live(self, entry, address, live=True):
        wait_for(lambda: self.one(entry, address)["live"] == live, PATIENCE, lambda: f"{'live' if live else 'dead'}: {self.one(entry, address)}")

    def ctl(self, *args):
        return self.lab.run(self.lab.box, os.path.join(BIN, "sallyctl"), "-s", self.lab.socket_path, *args)


@pytest.fixture(scope="module")
def farm():
    with Lab(BIN, RULES, workers=(LAST_CPU,)) as lab:
        made = Farm(lab)
        for entry, addresses in ((2, V4), (5, V6)):
            for address in addresses:
                wait_for(lambda e=entry, a=address: made.one(e, a)["why"] is None and made.one(e, a)["asked"] > 0, PATIENCE, f"good answer of {address}")
                made.wait_live(entry, address)
        yield made
        assert lab.balance() == 0
        assert lab.stop_firewall()[0] == 0


def test_backends_live_in_the_order_of_the_rules(farm):
    backends = farm.backends()
    assert [(b["entry"], b["address"], b["port"], b["checked"]) for b in backends] == \
        [(2, a, 8080, True) for a in V4] + [(5, a, 80, True) for a in V6] + [(8, a, 443, False) for a in V4[:2]]
    assert all(b["live"] and not b["drained"] for b in backends)
    wait_for(lambda: all(b["why"] is None for b in farm.backends()), PATIENCE, "good answers of all")


def test_the_thread_has_no_privileges(farm):
    pid = sh("pgrep", "-P", str(farm.lab.firewall.pid), check=False).stdout.split() or [farm.lab.firewall.pid]
    tasks = f"/proc/{pid[0]}/task"
    names = {open(f"{tasks}/{t}/comm").read().strip(): t for t in os.listdir(tasks)}
    status = dict(line.split(":", 1) for line in open(f"{tasks}/{names['health']}/status").read().splitlines())
    allowed = 1 << 14  # CAP_IPC_LOCK
    assert int(status["CapPrm"], 16) & ~allowed == 0
    assert status["NoNewPrivs"].strip() == "1"


def test_one_that_goes_is_dead_until_it_comes_back(farm):
    farm.kill(V4[1])
    farm.kill(V6[0])
    farm.wait_live(2, V4[1], False)
    farm.wait_live(5, V6[0], False)
    gone = farm.one(2, V4[1])
    assert gone["why"] == "no connection: Connection refused" and gone["failed"] >= 2 and gone["since"]
    assert farm.one(2, V4[0])["live"] and farm.one(5, V6[1])["live"]
    assert farm.one(8, V4[1])["live"]  # which is not asked there
    assert "nat entry 2: backend 203.0.113.12 port 8080 is dead: no connection: Connection refused" in farm.lab.log()
    table = farm.ctl("nat")
    assert table.returncode == 0
    row = next(line for line in table.stdout.splitlines() if " 203.0.113.12 " in line)
    assert row.split()[:4] == ["2", "203.0.113.12", "8080", "dead"] and "Connection refused" in row
    farm.serve(V4[1])
    farm.serve(V6[0])
    farm.wait_live(2, V4[1])
    farm.wait_live(5, V6[0])
    assert "backend 203.0.113.12 port 8080 is alive" in farm.lab.log()


def test_a_server_that_says_no_is_dead(farm):
    os.unlink(farm.good)
    for address in V4:
        farm.wait_live(2, address, False)
        assert farm.one(2, address)["why"] == "status 503"
    assert all(farm.one(5, a)["live"] for a in V6)  # a connection is all that is asked of them
    open(farm.good, "w").close()
    for address in V4:
        farm.wait_live(2, address)


def test_draining_by_hand(farm):
    done = farm.ctl("nat", "drain", V4[0])
    assert (done.returncode, done.stdout) == (0, "203.0.113.11 takes no new flows (2 entries)\n")
    assert [b["drained"] for b in farm.backends()] == [True, False, False, False, False, True, False]
    assert "drained" in farm.ctl("nat").stdout
    done = farm.ctl("nat", "drain", V4[0], "--entry", "2", "--undo")
    assert (done.returncode, done.stdout) == (0, "203.0.113.11 takes new flows (1 entry)\n")
    done = farm.ctl("nat", "drain", V4[0], "--entry", "2", "--undo")
    assert (done.returncode, done.stdout) == (0, "203.0.113.11 was not drained\n")
    assert farm.ctl("reload").returncode == 0
    assert [b["drained"] for b in farm.backends()] == [False] * 5 + [True, False]
    assert json.loads(farm.ctl("-j", "nat", "drain", V4[0], "--undo").stdout) == {"changed": 1}
    assert json.loads(farm.ctl("-j", "nat", "list").stdout)["backends_left_out"] == 0


@pytest.mark.parametrize("args,code", [
    (("drain", "203.0.113.99"), 1), (("drain", "203.0.113.13", "--entry", "8"), 1), (("drain", "203.0.113.0/24"), 2), (("drain",), 2),
    (("drain", "x"), 2), (("--entry", "2"), 2), (("list", "--undo"), 2), (("drain", "203.0.113.11", "--entry", "0"), 2), (("fill", "x"), 2)])
def test_wrong_words(farm, args, code):
    done = farm.ctl("nat", *args)
    assert done.returncode == code and done.stderr.startswith("sallyctl: ")
    assert not any(b["drained"] for b in farm.backends())
