# SPDX-License-Identifier: BSD-3-Clause
"""Floods against real hosts: the SYN proxy carries real TCP stacks, engages and gives back, and a table that is full keeps what is established."""
import hashlib
import json
import os
import subprocess

import pytest
from conftest import BIN, LAST_CPU
from lab import PATIENCE, RIGHT4, RIGHT6, Lab, sh, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
BIG = os.urandom(1 << 20) * 8
RULES = """version = 1;
default = { action = "drop"; };
rules = ( "10 allow tcp from inside to outside", "11 allow icmp,icmpv6" );
"""
# Answers PUT with the sum of what it got.
RECEIVER = """
import hashlib, http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_PUT(self):
        left, total = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            got = self.rfile.read(min(left, 65536))
            total.update(got); left -= len(got)
        body = total.hexdigest().encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 8080), Handler).serve_forever()
"""
# Speaks first, as mail and shell servers do, and keeps the connection.
GREETER = """
import socket, threading
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("::", 2525)); s.listen(50)
def serve(c):
    c.sendall(b"220 hello\\r\\n")
    while (got := c.recv(4096)):
        c.sendall(got.upper())
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""
# Connects, prints what the server says first, then answers each line of its input with what comes back.
TALKER = """
import socket, sys
s = socket.create_connection((sys.argv[1], 2525), 30); print(s.recv(100).decode().strip(), flush=True)
for line in sys.stdin:
    s.sendall(line.encode()); print(s.recv(100).decode().strip(), flush=True)
"""


def url(addr, path="", port=80):
    return f"http://{f'[{addr}]' if ':' in addr else addr}:{port}/{path}"


def checksum(text):
    return hashlib.sha256(text).hexdigest()


def proxy(lab):
    return lab.stats()["defences"]["syn_proxy"]


def download(lab, addr, *options, seconds=60):
    """The sum of what a host gets, by curl."""
    path = os.path.join(lab.dir, "got")
    done = lab.run(lab.left, "curl", "-sS", "-g", "-m", str(seconds), "-o", path, *options, url(addr, "big"), timeout=seconds + 30)
    assert done.returncode == 0, done.stderr
    with open(path, "rb") as f:
        return checksum(f.read())


def upload(lab, addr, seconds=60):
    path = os.path.join(lab.dir, "big")
    with open(path, "wb") as f:
        f.write(BIG)
    done = lab.run(lab.left, "curl", "-sS", "-g", "-m", str(seconds), "-T", path, url(addr, "big", 8080), timeout=seconds + 30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def serve(lab):
    lab.serve_web(lab.right, {"index.html": b"hello\n", "big": BIG})
    lab.spawn(lab.right, "/usr/bin/python3", "-c", RECEIVER)
    lab.spawn(lab.right, "/usr/bin/python3", "-c", GREETER)
    for port in (8080, 2525):
        wait_for(lambda p=port: f":{p} " in lab.run(lab.right, "ss", "-Hltn").stdout, PATIENCE, f"service on {port}")


def talk(lab, addr=RIGHT4):
    """A connection that stays: give it lines, read lines."""
    child = subprocess.Popen(["ip", "netns", "exec", lab.left, "/usr/bin/python3", "-c", TALKER, addr], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, start_new_session=True)
    lab.children.append(child)
    return child


def say(child, line):
    child.stdin.write(line + "\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


def right_mac(lab):
    return sh("ip", "netns", "exec", lab.right, "cat", "/sys/class/net/eth0/address").stdout.strip()


def flood(lab, rate, seconds, addr=RIGHT4, port=80):
    return lab.spawn(lab.left, "/usr/bin/python3", os.path.join(HERE, "flood.py"), "eth0", right_mac(lab), addr, str(port), str(rate),
                     str(seconds), stdout=subprocess.PIPE, text=True)


def rss_kb(lab):
    with open(f"/proc/{firewall_pid(lab)}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def firewall_pid(lab):
    """`ip netns exec` becomes the firewall by exec."""
    return lab.firewall.pid


def defence_events(lab):
    with open(lab.eve_path) as f:
        return [e["defence"] for e in map(json.loads, f) if e["event_type"] == "defence"]


# --- real stacks through the proxy --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def always():
    with Lab(BIN, RULES, workers=(LAST_CPU,), extra_config='floods = { syn_proxy = "always"; };') as lab:
        serve(lab)
        yield lab
        assert lab.balance() == 0
        said = proxy(lab)
        assert said["opening"] == 0 and said["embryonic"] == 0, said
        assert lab.stop_firewall()[0] == 0


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_download_and_upload(always, addr):
    before = proxy(always)
    assert download(always, addr) == checksum(BIG)
    assert upload(always, addr) == checksum(BIG)
    after = proxy(always)
    assert after["opened"] == before["opened"] + 2 and after["cookies_sent"] >= before["cookies_sent"] + 2
    assert always.drops("tcp_window") == 0


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_server_that_speaks_first(always, addr):
    """The client has the window scale that the proxy offered, whatever the server's is."""
    child = talk(always, addr)
    assert child.stdout.readline().strip() == "220 hello"
    assert say(child, "through the proxy") == "THROUGH THE PROXY"
    said = always.run(always.left, "ss", "-Htin", "dport = :2525").stdout
    assert " wscale:7," in said, said
    assert [row["flags"] for row in always.api("GET", "/v1/sessions?port=2525&state=tcp_established")[1]["sessions"]] == [["proxied"]]
    always.end(child)


def test_other_window_scales(always):
    """A server that scales by another number than the proxy said, one that does not scale, and a client that does not."""
    for where, name, value in ((always.right, "tcp_rmem", "4096 131072 1048576"), (always.right, "tcp_window_scaling", "0"),
                               (always.left, "tcp_window_scaling", "0")):
        before = sh("ip", "netns", "exec", where, "sysctl", "-n", f"net.ipv4.{name}").stdout.strip()
        sh("ip", "netns", "exec", where, "sysctl", "-qw", f"net.ipv4.{name}={value}")
        try:
            assert download(always, RIGHT4) == checksum(BIG), name
            assert upload(always, RIGHT4) == checksum(BIG), name
        finally:
            sh("ip", "netns", "exec", where, "sysctl", "-qw", f"net.ipv4.{name}={before}")
    assert always.drops("tcp_window") == 0


LOSS = "table inet loss { chain c { type filter hook input priority 0; meta l4proto tcp numgen random mod 100 < 1 drop; }; }"


def test_one_percent_loss(always):
    """Both hosts lose one segment in a hundred that comes: handshakes are repeated, SACK is used, everything arrives."""
    for ns in (always.left, always.right):
        always.run(ns, "nft", LOSS, check=True)
    try:
        for addr in (RIGHT4, RIGHT6):
            assert download(always, addr, seconds=120) == checksum(BIG)
            assert upload(always, addr, seconds=120) == checksum(BIG)
        said = always.run(always.right, "nstat", "-asz", "TcpExtTCPSackRecovery").stdout
        assert [int(line.split()[1]) for line in said.splitlines() if "SackRecovery" in line][0] > 0, said
        for n in range(40):
            assert always.run(always.left, "curl", "-sS", "-m", "60", url(RIGHT4)).stdout == "hello\n", n
    finally:
        for ns in (always.left, always.right):
            always.run(ns, "nft", "delete", "table", "inet", "loss", check=True)


def connect(lab, addr, port, seconds):
    """What becomes of a connection that waits for the server's first word."""
    code = (
        "import socket,sys\n"
        "try:\n"
        "    s=socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3])); s.recv(1); print('open')\n"
        "except (ConnectionRefusedError, ConnectionResetError): print('refused')\n"
        "except OSError as e: print(e)\n"
    )
    return lab.run(lab.left, "/usr/bin/python3", "-c", code, addr, str(port), str(seconds)).stdout.strip()


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_closed_port_is_refused(always, addr):
    before = proxy(always)["refused"]
    assert connect(always, addr, 81, 20) == "refused"
    assert proxy(always)["refused"] == before + 1


def test_silent_server_is_told(always):
    """A server that never answers: asked four times, then the client gets a RST."""
    ghost = "192.0.2.99"
    sh("ip", "-n", always.left, "neigh", "replace", ghost, "lladdr", right_mac(always), "dev", "eth0", "nud", "permanent")
    before = proxy(always)
    assert connect(always, ghost, 80, 40) == "refused"
    after = proxy(always)
    assert after["unanswered"] == before["unanswered"] + 1 and after["syn_retries"] == before["syn_retries"] + 3


# --- engaging ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers,addr", [(1, RIGHT4), (2, RIGHT6)])
def test_flood_engages_the_proxy_and_a_download_goes_on(workers, addr):
    """While SYNs from forged addresses come in, a real client downloads; afterwards all is as before."""
    config = 'floods = { embryonic = 256; embryonic_low = 64; calm = "2s"; }; sessions = { max = 16384; timeouts = { tcp_syn_sent = "3s"; }; };'
    with Lab(BIN, RULES, workers=tuple(range(workers)), extra_config=config) as lab:
        serve(lab)
        assert download(lab, addr) == checksum(BIG)
        assert proxy(lab)["engaged"] == 0 and proxy(lab)["cookies_sent"] == 0
        before = rss_kb(lab)
        attacker = flood(lab, 20000, 8, addr)
        wait_for(lambda: proxy(lab)["engaged"] == workers, PATIENCE, "engaged proxy")
        status = lab.api("GET", "/v1/status")[1]
        assert status["ready"] and [d["code"] for d in status["defending"]] == ["syn_proxy"]
        assert f'sallyport_defence_engaged{{defence="syn_proxy"}} {workers}' in lab.api("GET", "/metrics")[1]
        while attacker.poll() is None:
            assert download(lab, addr) == checksum(BIG)
        said = proxy(lab)
        assert said["opened"] >= 1 and said["cookies_sent"] > 1000, said
        assert lab.drops("table_sessions_full") == 0
        wait_for(lambda: proxy(lab)["engaged"] == 0, 60, "disengaged proxy")
        wait_for(lambda: lab.stats()["sessions"]["active_by_state"]["tcp_syn_sent"] == 0, 60, "end of half-open sessions")
        assert rss_kb(lab) - before < 16384
        wait_for(lambda: len(defence_events(lab)) == 2 * workers, PATIENCE, "event of each engagement and its end")
        assert [e["engaged"] for e in defence_events(lab)].count(True) == workers
        assert lab.api("GET", "/v1/status")[1]["defending"] == []
        assert download(lab, addr) == checksum(BIG)
        assert lab.balance() == 0
        assert lab.stop_firewall()[0] == 0


def test_full_table_keeps_what_is_established():
    """Without the proxy a flood fills the table: it gives up what is half open, a connection of before lives on, and new ones get in."""
    config = 'floods = { syn_proxy = "off"; calm = "1s"; }; sessions = { max4 = 512; max6 = 64; timeouts = { tcp_syn_sent = "4s"; }; };'
    with Lab(BIN, RULES, workers=(LAST_CPU,), extra_config=config) as lab:
        serve(lab)
        child = talk(lab)
        assert child.stdout.readline().strip() == "220 hello"
        attacker = flood(lab, 5000, 5)
        wait_for(lambda: lab.stats()["sessions"]["evicted"] > 1000, PATIENCE, "eviction")
        wait_for(lambda: lab.stats()["defences"]["pressure"]["engaged"] == 1, PATIENCE, "pressure")
        while attacker.poll() is None:
            assert say(child, "still here") == "STILL HERE"
            assert lab.run(lab.left, "curl", "-sS", "-m", "60", url(RIGHT4)).stdout == "hello\n"
        sessions = lab.stats()["sessions"]
        assert sessions["evicted"] == sum(sessions["evicted_by_state"].values())
        assert sessions["evicted_by_state"]["tcp_established"] == 0
        assert sessions["evicted_by_state"]["tcp_syn_sent"] > 1000
        assert sessions["created"] == sessions["active"] + sessions["expired"] + sessions["killed"] + sessions["evicted"]
        assert say(child, "to the end") == "TO THE END"
        lab.end(child)
        wait_for(lambda: lab.stats()["defences"]["pressure"]["engaged"] == 0, 90, "end of the pressure")
        wait_for(lambda: [e["engaged"] for e in defence_events(lab) if e["name"] == "pressure"] == [True, False], PATIENCE, "event of the pressure and of its end")
        assert lab.balance() == 0
        assert lab.stop_firewall()[0] == 0
