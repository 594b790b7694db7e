# SPDX-License-Identifier: BSD-3-Clause
"""Load balancing through the router: ten real servers behind one address, some of which die, refuse or are drained while clients come."""
import os
import subprocess
from collections import Counter

import pytest
from conftest import BIN
from lab import PATIENCE, Lab, sh, wait_for
from route_lab import FAMILIES, RouteLab, needs_sallyport

pytestmark = needs_sallyport
N = 10
SERVERS = {4: [f"10.2.0.{20 + n}" for n in range(N)], 6: [f"2001:db8:2::{20 + n}" for n in range(N)]}
VIP = {4: "198.51.100.80", 6: "2001:db8:80::80"}
ENTRY = {4: 4, 6: 6}
HEALTH = 'health = { type = "http"; path = "/healthz"; interval = "1s"; timeout = "1s"; up = 1; down = 2; };'  # a busy machine kills nobody
RULES = f"""version = 1;
sets = {{ farm4 = [ "{SERVERS[4][0]}-{SERVERS[4][-1]}" ]; farm6 = [ {', '.join(f'"{a}"' for a in SERVERS[6])} ]; }};
default = {{ action = "drop"; }};
rules = ( "10 allow tcp from inside to outside @farm4,@farm6 dport 8080", "11 allow icmp,icmpv6" );
nat = (
    {{ id = 4; type = "destination"; from = "inside"; proto = "tcp"; dst = "{VIP[4]}"; dport = 80; address = "@farm4"; port = 8080; method = "maglev"; {HEALTH} }},
    {{ id = 6; type = "destination"; from = "inside"; proto = "tcp"; dst = "{VIP[6]}"; dport = 80; address = "@farm6"; port = 8080; method = "maglev"; {HEALTH} }}
);
"""

# Every server says its address and keeps the connection until the client has gone. /healthz is 503 for those with a file of their name in a folder.
FARM = """import os, socket, sys, threading
def serve(c):
    me = c.getsockname()[0].split('%')[0].removeprefix('::ffff:')
    while True:
        d = c.recv(2000)
        if not d: break
        if d.startswith(b'GET /healthz '):
            c.sendall(b'HTTP/1.1 %d X\\r\\n\\r\\n' % (503 if os.path.exists(os.path.join(sys.argv[1], me)) else 200)); break
        c.sendall(me.encode() + b'\\n')
    c.close()
def run(c):
    try: serve(c)
    except OSError: pass
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('::', 8080)); s.listen(1024)
while True: threading.Thread(target=run, args=(s.accept()[0],), daemon=True).start()
"""

# n connections from ports of their own, one after the other: which server each met, one a line; "-" for none
CLIENT = """import socket, sys
addr, first, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for port in range(first, first + n):
    s = socket.socket(socket.AF_INET6 if ':' in addr else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0')
    s.settimeout(float(sys.argv[4]))
    try:
        s.bind(('', port)); s.connect((addr, 80)); s.sendall(b'who\\n'); print(s.recv(100).decode().strip() or '-')
    except OSError: print('-')
    s.close()
"""


class Farm:
    def __init__(self, lab):
        self.lab, self.ill = lab, os.path.join(lab.dir, "ill")
        os.makedirs(self.ill)
        for family in FAMILIES:
            for address in SERVERS[family]:
                lab.add_address(lab.right, "eth0", address, lab["right"].net[family])
        lab.spawn(lab.right, "/usr/bin/python3", "-c", FARM, self.ill)
        for family in FAMILIES:
            self.wait(family, lambda b: b["asked"] - b["failed"] >= 2)

    def backends(self, family):
        return [b for b in self.lab.api("GET", "/v1/nat")[1]["backends"] if b["entry"] == ENTRY[family]]

    def state(self, family):
        """What there is to know when something does not come."""
        drops = {reason: n for reason, n in self.lab.stats()["drops"].items() if n}
        return f"{self.backends(family)}; {self.who(family, 37000, 20, 2)}; {drops}; {self.lab.log()[-2000:]}"

    def wait(self, family, condition, of=range(N)):
        wait_for(lambda: all(condition(self.backends(family)[n]) for n in of), PATIENCE, lambda: f"health: {self.backends(family)}")

    def fall(self, family, *servers):
        for n in servers:
            open(os.path.join(self.ill, SERVERS[family][n]), "w").close()
        self.wait(family, lambda b: not b["live"], servers)

    def rise(self, family, *servers):
        for n in servers:
            os.unlink(os.path.join(self.ill, SERVERS[family][n]))
        self.wait(family, lambda b: b["live"], servers)

    def drain(self, address, on):
        done = self.lab.run(self.lab.box, os.path.join(BIN, "sallyctl"), "-s", self.lab.socket_path, "nat", "drain", address, *(() if on else ("--undo",)))
        assert done.returncode == 0, done.stderr

    def who(self, family, first, n, patience=PATIENCE):
        done = self.lab.run(self.lab.left, "/usr/bin/python3", "-c", CLIENT, VIP[family], str(first), str(n), str(patience))
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.fixture(scope="module")
def farm():
    with RouteLab(RULES) as lab:
        yield Farm(lab)
        lab.finish()


def applied(farm, family, first, gone):
    """Waits until a change has reached the workers: new connections from `first` on never meet `gone`."""
    wait_for(lambda: gone not in farm.who(family, first, 40), PATIENCE, f"flows without {gone}")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_server_gets_its_share(farm, family):
    met = Counter(farm.who(family, 20000, 400))
    assert set(met) == set(SERVERS[family])
    # of 400 flows 40 are the mean, and six times the standard deviation of 6 is what no fair hash passes
    assert all(4 <= n <= 76 for n in met.values()), met


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_flow_meets_the_same_server(farm, family):
    assert farm.who(family, 30000, 60) == farm.who(family, 30000, 60)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_that_falls_takes_few_along(farm, family):
    gone = SERVERS[family][3]
    before = farm.who(family, 31000, 400)
    farm.fall(family, 3)
    applied(farm, family, 33000, gone)
    after = farm.who(family, 31000, 400)
    assert gone not in after and "-" not in after
    others = [(b, a) for b, a in zip(before, after) if b != gone]
    assert sum(b != a for b, a in others) <= 0.12 * len(others)
    farm.rise(family, 3)
    wait_for(lambda: gone in farm.who(family, 33000, 40), PATIENCE, "flows of the one that is back")
    assert farm.who(family, 31000, 400) == before


@pytest.mark.parametrize("family", FAMILIES)
def test_a_drained_server_keeps_what_it_has(farm, family):
    """Connections stay up on the server that is drained; new ones go elsewhere, until it is taken back."""
    code = (
        "import socket,sys,os\n"
        "c=[socket.create_connection((sys.argv[1],80)) for n in range(60)]\n"
        "def ask():\n"
        "    for s in c: s.sendall(b'who\\n')\n"
        "    return [s.recv(100).decode().strip() for s in c]\n"
        "print(' '.join(ask()),flush=True)\n"
        "sys.stdin.readline()\n"
        "print(' '.join(ask()),flush=True)\n"
    )
    child = subprocess.Popen(["ip", "netns", "exec", farm.lab.left, "/usr/bin/python3", "-c", code, VIP[family]],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        before = child.stdout.readline().split()
        assert len(before) == 60
        drained = Counter(before).most_common(1)[0][0]
        farm.drain(drained, True)
        applied(farm, family, 35000, drained)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline().split() == before
    finally:
        child.kill()
        child.communicate()
    farm.drain(drained, False)
    wait_for(lambda: drained in farm.who(family, 35000, 40), PATIENCE, "flows of the one that was taken back")


@pytest.mark.parametrize("family", FAMILIES)
def test_without_any_server_nobody_is_served(farm, family):
    farm.fall(family, *range(N))
    before = farm.lab.drops("nat_no_backend")
    wait_for(lambda: set(farm.who(family, 36000, 3, 0.3)) == {"-"}, PATIENCE, "no answer")
    assert farm.lab.drops("nat_no_backend") > before
    degraded = [d["text"] for d in farm.lab.api("GET", "/v1/status")[1]["degraded"] if d["code"] == "no-backend"]
    assert degraded == [f"no backend of nat entry {ENTRY[family]} takes new flows; `sallyctl nat` says why"]
    farm.rise(family, *range(N))
    wait_for(lambda: "-" not in farm.who(family, 36000, 40), PATIENCE, lambda: f"answers: {farm.state(family)}")


def test_servers_are_asked_where_the_interfaces_are():
    """With the interfaces in another network namespace, that is from where backends are asked."""

    class Elsewhere(RouteLab):
        def start_firewall(self, wait=True):
            self.make_namespace(f"{self.tag}-else")
            self.further.append(f"{self.tag}-else")
            for address in SERVERS[4]:
                sh("ip", "-n", self.further[-1], "addr", "add", f"{address}/32", "dev", "lo")
            os.makedirs(os.path.join(self.dir, "ill"))
            self.spawn(self.further[-1], "/usr/bin/python3", "-c", FARM, os.path.join(self.dir, "ill"))
            Lab.start_firewall(self, wait)

        def warm(self):
            pass

    lab = Elsewhere(RULES)
    lab.route = f'namespace = "{lab.tag}-else"'
    with lab:
        def good(entry):
            return [b["asked"] - b["failed"] for b in lab.api("GET", "/v1/nat")[1]["backends"] if b["entry"] == entry]

        wait_for(lambda: all(n >= 2 for n in good(4)), PATIENCE, "good answers")
        assert not any(good(6))
        pid = sh("pgrep", "-P", str(lab.firewall.pid), check=False).stdout.split() or [lab.firewall.pid]
        for task in os.listdir(f"/proc/{pid[0]}/task"):
            with open(f"/proc/{pid[0]}/task/{task}/comm") as f:
                name = f.read().strip()
            with open(f"/proc/{pid[0]}/task/{task}/status") as f:
                status = dict(line.split(":", 1) for line in f.read().splitlines())
            assert status["NoNewPrivs"].strip() == "1"
            assert int(status["CapPrm"], 16) & ~(1 << 14 | 1 << 12) == 0, name  # CAP_IPC_LOCK, CAP_NET_ADMIN
        assert lab.stop_firewall()[0] == 0, lab.log()
