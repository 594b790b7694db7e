# SPDX-License-Identifier: BSD-3-Clause
"""Challenge ACKs among real stacks: hosts that lost a connection get through again, forged segments change nothing (RFC 5961)."""
import pytest
from conftest import BIN, LAST_CPU
from lab import RIGHT4, RIGHT6, Lab, wait_for

RULES = """version = 1;
default = { action = "drop"; };
rules = ( "10 allow tcp from inside to outside dport 7000" );
"""

# Accepts for ever and sends back what it gets. A client says "forget" to make the server lose that connection without a word to anybody.
SERVER = """
import socket, threading
TCP_REPAIR = 19
def serve(c):
    while data := c.recv(65536):
        if data == b"forget":
            c.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            c.close()
            return
        c.sendall(data)
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", 7000)); s.listen(64)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""

CLIENT = """
import socket, struct, sys
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
def connect(timeout=20):
    s = socket.socket(family); s.settimeout(timeout)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", port)); s.connect((host, 7000))
    return s
def forget(s):
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1); s.close()
def echo(s, data):
    s.sendall(data)
    got = b""
    while len(got) < len(data):
        more = s.recv(65536)
        if not more: raise EOFError("closed")
        got += more
    assert got == data
def next_number(s):
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, 2)
    seq = struct.unpack("I", s.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, 4))[0]
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    return seq
def forge(s, flags, seq):
    "A segment of this connection that its stack does not know of."
    me, peer = s.getsockname(), s.getpeername()
    addresses = socket.inet_pton(family, me[0]) + socket.inet_pton(family, peer[0])
    head = struct.pack("!HHIIBBHHH", me[1], peer[1], seq % 2**32, 0, 0x50, flags, 8192, 0, 0)
    data = addresses + struct.pack("!IHBB", len(head), 0, 0, 6) + head
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.sendto(head[:16] + struct.pack("!H", ~total & 0xffff) + head[18:], (peer[0], 0))
"""

# Each ends by itself when all is well, and fails otherwise.
SCENES = {
    # It has no memory of the old connection, which the firewall and the server have.
    "a client that restarted": "s = connect(); echo(s, b'x' * 5000); forget(s); s = connect(); echo(s, b'y' * 5000); s.close()",
    "a client that restarted often": "for i in range(5):\n    s = connect(); echo(s, b'x' * 100 * i); forget(s)\ns = connect(); echo(s, b'z'); s.close()",
    "a server that restarted": "s = connect(); echo(s, b'x' * 100); s.sendall(b'forget'); import time; time.sleep(0.2); s.sendall(b'y')\n"
                               "try: assert s.recv(1) == b'never'\nexcept ConnectionResetError: pass\ns = connect(); echo(s, b'z'); s.close()",
    "a forged rst in the window": "s = connect(); echo(s, b'x' * 100); forge(s, 4, next_number(s) + 3000); echo(s, b'y' * 100000); s.close()",
    "a forged rst outside the window": "s = connect(); echo(s, b'x' * 100); forge(s, 4, next_number(s) + 2**31 - 5); echo(s, b'y' * 100000); s.close()",
    "a forged syn": "s = connect(); echo(s, b'x' * 100); forge(s, 2, next_number(s) + 1000); echo(s, b'y' * 100000); s.close()",
    "a forged exact rst": "s = connect(); echo(s, b'x' * 100); forge(s, 4, next_number(s)); s.settimeout(2)\ntry: echo(s, b'y' * 100); sys.exit('still alive')\nexcept (OSError, EOFError): pass",
}
EXPECTED = {"a client that restarted": "tcp_syn", "a client that restarted often": "tcp_syn", "a forged rst in the window": "tcp_rst", "a forged rst outside the window": "tcp_rst",
            "a forged syn": "tcp_syn"}


@pytest.fixture(scope="module")
def pair():
    with Lab(BIN, RULES, workers=(LAST_CPU,)) as made:
        made.spawn(made.right, "/usr/bin/python3", "-c", SERVER)
        wait_for(lambda: ":7000 " in made.run(made.right, "ss", "-Hltn").stdout, 10, "server")
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("name", SCENES)
def test_scene(pair, name, family):
    before = pair.stats()
    port = 30000 + 10 * list(SCENES).index(name) + (family == "ipv6")
    done = pair.run(pair.left, "/usr/bin/python3", "-c", f"{CLIENT}\n{SCENES[name]}", RIGHT4 if family == "ipv4" else RIGHT6, str(port), timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    after = pair.stats()
    for reason in ("tcp_syn", "tcp_rst"):
        dropped = after["drops"].get(reason, 0) - before["drops"].get(reason, 0)
        assert (dropped > 0) == (EXPECTED.get(name) == reason), (reason, dropped)
    assert (after["challenges"]["built"] > before["challenges"]["built"]) == (name in EXPECTED)
