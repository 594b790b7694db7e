# SPDX-License-Identifier: BSD-3-Clause
"""Real stacks fragment and put together, with the firewall between them, of one worker and of two."""
import pytest
from bad_cables import BadCables
from conftest import BIN
from lab import PATIENCE, RIGHT4, RIGHT6, Lab, wait_for

RULES = """version = 1;
inspect = { notes = { mode = "block"; patterns = ( { id = 77; msg = "attack"; pattern = "union select"; action = "drop"; } ); }; };
default = { action = "drop"; };
rules = (
    "12 allow udp from inside to outside dport 9000",
    "13 allow icmp,icmpv6 from inside icmp_type echo-request",
    "14 reject udp from inside dport 23",
    "15 allow udp from inside to outside dport 9001 inspect notes"
);
"""


@pytest.fixture(scope="module", params=[(1,), (0, 1)], ids=["one worker", "two workers"])
def pair(request):
    with Lab(BIN, RULES, workers=request.param) as made:
        made.serve_udp(made.right, 9000)
        made.serve_udp(made.right, 9001)
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0


def echo(lab, addr, size, count=20):
    """Sends so many datagrams, each with other text, one after the other's answer; how many answers were right."""
    code = (
        "import socket,sys\n"
        "a=socket.getaddrinfo(sys.argv[1],int(sys.argv[2]),type=socket.SOCK_DGRAM)[0]\n"
        "s=socket.socket(a[0],a[1]); s.settimeout(float(sys.argv[5])); s.connect(a[4]); right=0\n"
        "for n in range(int(sys.argv[4])):\n"
        "    text=(b'%08d'%n+b'abcdefg'*10000)[:int(sys.argv[3])]; s.send(text)\n"
        "    try: right+=s.recv(65535)==text.upper()\n"
        "    except OSError: break\n"
        "print(right)\n"
    )
    done = lab.run(lab.left, "/usr/bin/python3", "-c", code, addr, "9000", str(size), str(count), str(PATIENCE))
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
@pytest.mark.parametrize("size", [1473, 4000, 65000])
def test_ping_in_fragments(pair, addr, size):
    before = pair.stats()["fragments"]["reassembled"]
    assert " 3 received" in pair.run(pair.left, "ping", "-c", "3", "-i", "0.2", "-s", str(size), "-W", str(PATIENCE), addr).stdout
    assert pair.stats()["fragments"]["reassembled"] >= before + 6


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
@pytest.mark.parametrize("size", [4096, 65507])
def test_udp_echo(pair, addr, size):
    before = pair.stats()["fragments"]["reassembled"]
    assert echo(pair, addr, size) == 20
    assert pair.stats()["fragments"]["reassembled"] >= before + 40
    assert pair.balance() == 0


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_attack_across_fragments_is_caught(pair, addr):
    text = "x" * 1440 + "union-select " * 5 + "y" * 1440
    assert pair.ask_udp(pair.left, addr, 9001, text) == text.upper()
    # the pattern, at every fourth place around the border between the first two fragments
    for at in range(1430, 1475, 4):
        before = pair.drops("inspect_match")

        def caught():
            assert pair.ask_udp(pair.left, addr, 9001, "x" * at + "union select" + "y" * 1440, timeout=0.1) is None
            return pair.drops("inspect_match") > before

        wait_for(caught, PATIENCE, f"drop of the attack at {at}")


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_reject_is_heard_once(pair, addr):
    before = pair.stats()["rejects"]["built"]
    answer, why = pair.udp_outcome(pair.left, addr, 23, "z" * 4000)
    assert answer is None and "timed out" not in why, why
    assert pair.stats()["rejects"]["built"] == before + 1


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_cables_that_lose_double_and_reorder(addr):
    """Datagrams that come whole pass, in whatever order their fragments came; of the others nothing passes and nothing stays."""
    code = (
        "import socket,sys,time\n"
        "a=socket.getaddrinfo(sys.argv[1],9000,type=socket.SOCK_DGRAM)[0]\n"
        "s=socket.socket(a[0],a[1]); s.connect(a[4]); s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,1<<22); right=set(); wrong=0\n"
        "def text(n): return (b'%08d'%n+b'abcdefg'*2000)[:8000]\n"
        "def take(seconds):\n"
        "    global wrong\n"
        "    s.settimeout(seconds)\n"
        "    try:\n"
        "        while got:=s.recv(65535):\n"
        "            n=int(got[:8]); wrong+=got!=text(n).upper(); right.add(n)\n"
        "    except OSError: pass\n"
        "for n in range(400): s.send(text(n)); take(0.002)\n"
        "take(2)\n"
        "print(len(right),wrong)\n"
    )
    with BadCables(RULES, workers=(0, 1), timeouts='fragments = { timeout = "3s"; per_source = 1000; };') as lab:
        lab.serve_udp(lab.right, 9000)
        right, wrong = lab.run(lab.left, "/usr/bin/python3", "-c", code, addr, check=True).stdout.split()
        # six fragments there and six back, by two cables each that lose one in a hundred
        assert int(wrong) == 0 and 250 < int(right) < 400, lab.wire_says()
        wait_for(lambda: lab.stats()["fragments"]["waiting"] == 0, PATIENCE, "end of what waits")
        drops = {reason: count for reason, count in lab.stats()["drops"].items() if count and reason.startswith("frag_")}
        assert set(drops) == {"frag_timeout", "frag_duplicate"}, drops
        assert lab.balance() == 0
        assert lab.stop_firewall()[0] == 0
