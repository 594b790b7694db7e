# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode between hosts of networks of their own: forwarding, its errors, path MTU, ECMP, with the programs people use."""
import hashlib
import os
import re
import signal

import pytest
from lab import PATIENCE, sh, tcp_connects, wait_for
from route_lab import ANYCAST4, ANYCAST6, FAMILIES, KERNEL, RouteLab, needs_sallyport, url_of

RULES = """version = 1;
default = { action = "drop"; log = true; };
rules = (
    "10 allow from inside",
    "20 allow tcp from outside to inside dport 80",
    "21 allow udp from outside to inside dport 9000",
    "22 allow icmp,icmpv6 from outside to inside icmp_type echo-request",
    "30 allow from outside to dmz"
);
"""
ANYCAST = {4: ANYCAST4, 6: ANYCAST6}
BODY = os.urandom(200000)
SUM = hashlib.sha256(BODY).digest()


@pytest.fixture(scope="module")
def lab():
    with RouteLab(RULES, hosts=("left", "right", "third"), route="max4 = 262144") as made:
        made.serve_web(made.right, {"index.html": b"hello\n", "body": BODY})
        made.serve_web(made.left, {})
        made.serve_udp(made.right, 9000)
        made.serve_names(("right", "third"), 9001)
        yield made
        made.finish()


@pytest.fixture
def small_link(lab):
    """The router's link to the right host takes 1300 bytes, of which that host knows nothing."""
    lab.ip("link", "set", "out", "mtu", "1300")
    try:
        yield 1300
    finally:
        lab.ip("link", "set", "out", "mtu", "1500")
        lab.forget_paths()


# --- forwarding --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_all_protocols_pass(lab, family):
    addr = lab["right"].addr[family]
    assert lab.ping(addr)
    assert lab.ping(lab["left"].addr[family], ns=lab.right)
    assert lab.ask_udp(lab.left, addr, 9000) == "HELLO"
    assert hashlib.sha256(lab.fetch(url_of(addr, "/body"))).digest() == SUM
    assert tcp_connects(lab, lab.left, addr, 81) == "refused"
    assert "refused" in lab.udp_outcome(lab.left, addr, 9999)[1].lower(), "the port unreachable comes back"


@pytest.mark.parametrize("family", FAMILIES)
def test_one_hop_less(lab, family):
    addr = lab["right"].addr[family]
    with lab.watch(lab.right, "icmp[0] == 8 or (icmp6 and ip6[40] == 128)") as seen:
        assert re.search(r"(ttl|hlim)=63\b", lab.ping_says(addr, "-t", "10")), "the answer of a host that begins with 64"
        wait_for(lambda: re.search(r"ttl 9\b|hlim 9\b", seen()), PATIENCE, lambda: f"request with one hop less: {seen()}")
    assert re.search(rf"From {lab['left'].gw[family]} .*Time (to live )?exceeded", lab.ping_says(addr, "-t", "1"))


@pytest.mark.parametrize("family, options", [
    (family, options) for family in FAMILIES for options in ((), ("-I",), ("-T", "-p", "80"), ("-U", "-p", "53"))
], ids=lambda v: "".join(v) if isinstance(v, tuple) else f"ipv{v}")  # fmt: skip
def test_traceroute(lab, family, options):
    assert lab.traceroute(lab["right"].addr[family], f"-{family}", *options) == [lab["left"].gw[family], lab["right"].addr[family]]


@pytest.mark.parametrize("family", FAMILIES)
def test_large_packets(lab, family):
    """What fills the link to the last byte, and what is fragmented by who sends it."""
    addr, full = lab["right"].addr[family], 1500 - (28 if family == 4 else 48)
    assert lab.ping(addr, "-M", "do", "-s", str(full))
    assert "too long" in lab.run(lab.left, "ping", "-c", "1", "-W", "1", "-M", "do", "-s", str(full + 1), addr).stderr
    assert lab.ping(addr, "-M", "dont", "-s", "5000")
    assert lab.ask_udp(lab.left, addr, 9000, "x" * 20000) == "X" * 20000


# --- path MTU ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_packet_too_big_for_the_far_link(lab, small_link, family):
    addr = lab["right"].addr[family]
    said = lab.ping_says(addr, "-M", "do", "-s", "1400")
    assert re.search(rf"From {lab['left'].gw[family]} .*(Frag needed and DF set|Packet too big).*mtu ?= ?{small_link}", said), said
    assert lab.ping(addr, "-M", "do", "-s", str(small_link - (28 if family == 4 else 48)))
    assert f"mtu {small_link}" in lab.route_of(lab.left, addr)


@pytest.mark.parametrize("size, fragments", [(1400, 2), (4000, 6)], ids=("whole", "fragments"))
def test_a_packet_that_may_be_fragmented_is(lab, small_link, size, fragments):
    """IPv4's older way: who sends learns nothing, and the router cuts, also what has been cut before."""
    code = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(20)\n"
        "s.setsockopt(socket.IPPROTO_IP,10,0)\n"  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
        "s.sendto(b'x'*int(sys.argv[2]),(sys.argv[1],9001)); print(s.recv(99).decode())\n"
    )
    with lab.watch(lab.right, "ip[6:2] & 0x3fff != 0") as seen:
        assert lab.run(lab.left, "/usr/bin/python3", "-c", code, lab["right"].addr[4], str(size)).stdout == "right\n"
        wait_for(lambda: 2 <= len(re.findall(r"ethertype IPv4", seen())) <= fragments, PATIENCE, lambda: f"fragments: {seen()}")
        assert all(int(length) <= small_link + 14 for length in re.findall(r"ethertype IPv4 \(0x0800\), length (\d+)", seen())), seen()
    assert "mtu" not in lab.route_of(lab.left, lab["right"].addr[4])


@pytest.mark.parametrize("family", FAMILIES)
def test_tracepath(lab, small_link, family):
    said = lab.run(lab.left, "tracepath", "-n", f"-{family}", lab["right"].addr[family]).stdout
    assert re.search(rf"1: +{lab['left'].gw[family]} .*pmtu {small_link}|pmtu {small_link}\n.*1: +{lab['left'].gw[family]}", said, re.S), said
    assert re.search(rf"{lab['right'].addr[family]} .*reached", said) and f"Resume: pmtu {small_link} hops 2 back 2" in said, said


@pytest.mark.parametrize("family", FAMILIES)
def test_tcp_learns_the_path_mtu(lab, small_link, family):
    """A server behind the router sends full segments, until it learns what the link to the client takes."""
    assert hashlib.sha256(lab.fetch(url_of(lab["left"].addr[family], "/body"), ns=lab.right)).digest() == SUM
    assert f"mtu {small_link}" in lab.route_of(lab.left, lab["right"].addr[family])


@pytest.fixture(scope="module")
def far(lab):
    return lab.add_far(behind="right", mtu=1280)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_link_behind_another_router(lab, far, family):
    """What that router says of it belongs to the session and passes, to those who sent too much."""
    addr = far[family]
    assert lab.traceroute(addr, f"-{family}") == [lab["left"].gw[family], lab["right"].addr[family], addr]
    said = lab.ping_says(addr, "-M", "do", "-s", "1400")
    assert re.search(rf"From {lab['right'].addr[family]} .*mtu ?= ?1280", said), said
    assert "mtu 1280" in lab.route_of(lab.left, addr)
    lab.forget_paths()


# --- no way on ---------------------------------------------------------------------------------------------------------------

UNREACHABLE = r"Destination (Net|Host) Unreachable|Destination unreachable: (No route|Address unreachable)"
PROHIBITED = r"Packet filtered|Destination unreachable: Administratively prohibited"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind, pattern", [(None, UNREACHABLE), ("unreachable", UNREACHABLE), ("prohibit", PROHIBITED)], ids=["none", "unreachable", "prohibit"])
def test_routes_that_refuse(lab, family, kind, pattern):
    net, addr = {4: ("10.50.0.0/16", "10.50.1.2"), 6: ("2001:db8:50::/48", "2001:db8:50:1::2")}[family]
    if kind:
        lab.ip("route", "add", kind, net)
    try:
        # the router hears of the route a moment later
        wait_for(lambda: re.search(rf"From {lab['left'].gw[family]} .*({pattern})", lab.ping_says(addr, seconds=2)), PATIENCE, f"refusal of {addr}")
    finally:
        if kind:
            lab.ip("route", "del", kind, net)


@pytest.mark.parametrize("family", FAMILIES)
def test_blackhole_is_silent(lab, family):
    net, addr = {4: ("10.51.0.0/16", "10.51.1.2"), 6: ("2001:db8:51::/48", "2001:db8:51:1::2")}[family]
    lab.ip("route", "add", "blackhole", net)
    try:
        wait_for(lambda: "From" not in lab.ping_says(addr, seconds=2), PATIENCE, "silence")
        assert lab.silent(addr) and lab.ping(lab["right"].addr[family])
    finally:
        lab.ip("route", "del", "blackhole", net)


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbour_that_never_answers(lab, family):
    """Who asks for it is told within seconds; a flood at it costs the others nothing, and no packet waits for ever."""
    missing = {4: "10.2.0.99", 6: "2001:db8:2::99"}[family]
    said = lab.ping_says(missing, seconds=10)
    assert re.search(rf"From {lab['left'].gw[family]} .*(Destination Host Unreachable|Address unreachable)", said), said
    flood = lab.spawn(lab.left, "ping", "-q", "-i", "0.002", "-c", "2000", "-W", "1", missing)
    assert all(lab.ask_udp(lab.left, lab["right"].addr[family], 9000, f"q{n}") == f"Q{n}" for n in range(5))
    assert lab.ping(lab["right"].addr[family])
    lab.end(flood)
    if not KERNEL:
        wait_for(lambda: lab.stats()["packets"]["held"] == 0, PATIENCE, "end of the wait for the neighbour")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_packet_to_a_neighbour_arrives(lab, family):
    """It waits for the neighbour's address; the one that asks is never sent again."""
    addr = lab["right"].addr[family]
    for _ in range(3):
        lab.ip("neigh", "del", addr, "dev", "out", check=False)
        assert lab.ask_udp(lab.left, addr, 9000, "first") == "FIRST"


def test_routes_to_the_missing_are_mended(lab):
    """A route whose next hop does not answer, changed for one whose does."""
    lab.ip("route", "add", "10.60.0.0/16", "via", "10.2.0.98", "dev", "out")
    sh("ip", "-n", lab.right, "route", "add", "local", "10.60.0.0/16", "dev", "lo")
    try:
        assert "Destination Host Unreachable" in lab.ping_says("10.60.1.1", seconds=10)
        lab.ip("route", "replace", "10.60.0.0/16", "via", lab["right"].addr[4], "dev", "out")
        lab.wait_ping("10.60.1.1")
        lab.ip("route", "del", "10.60.0.0/16")
        wait_for(lambda: re.search(UNREACHABLE, lab.ping_says("10.60.1.1", seconds=2)), PATIENCE, "end of the route")
    finally:
        lab.ip("route", "del", "10.60.0.0/16", check=False)
        sh("ip", "-n", lab.right, "route", "del", "local", "10.60.0.0/16", "dev", "lo")


# --- several next hops -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_cost_paths(lab, family):
    """Flows are spread over both next hops, and each stays with its own."""
    addr, hops = ANYCAST[family], [lab[name] for name in ("right", "third")]
    lab.ip(f"-{family}", "route", "add", addr, *(word for hop in hops for word in ("nexthop", "via", hop.addr[family], "dev", hop.port)))
    code = (
        "import socket,sys\n"
        "kind=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
        "flows=[socket.socket(kind,socket.SOCK_DGRAM) for _ in range(64)]\n"
        "for s in flows: s.settimeout(20); s.connect((sys.argv[1],9001))\n"
        "for _ in range(4):\n"
        "    for s in flows: s.send(b'who')\n"
        "    print(*(s.recv(99).decode() for s in flows))\n"
    )
    try:
        wait_for(lambda: lab.ask_udp(lab.left, addr, 9001, timeout=1), PATIENCE, "answer from the anycast address")
        done = lab.run(lab.left, "/usr/bin/python3", "-c", code, addr)
        assert done.returncode == 0, done.stderr
        rounds = [line.split() for line in done.stdout.splitlines()]
        assert len(rounds) == 4 and all(one == rounds[0] for one in rounds), "a flow changes its path"
        assert all(rounds[0].count(name) >= 16 for name in ("right", "third")), rounds[0]
        # one of them goes away: all flows have the other
        lab.ip(f"-{family}", "route", "replace", addr, "via", lab["third"].addr[family], "dev", "dmz")
        wait_for(lambda: {lab.ask_udp(lab.left, addr, 9001, timeout=5) for _ in range(8)} == {"third"}, PATIENCE, "move of all flows")
    finally:
        lab.ip(f"-{family}", "route", "del", addr)


# --- what the kernel is told -------------------------------------------------------------------------------------------------


def test_flapping_link(lab):
    """The right host's cable comes and goes; what has passed before passes again."""
    right = lab["right"]
    for _ in range(5):
        sh("ip", "-n", right.ns, "link", "set", "eth0", "down")
        lab.wait_link(lab.box, lab.cable(right), up=False)
        sh("ip", "-n", right.ns, "link", "set", "eth0", "up")
        lab.wait_link(lab.box, lab.cable(right))
    lab.use_gateways(right)
    for family in FAMILIES:
        lab.wait_ping(right.addr[family])
    assert lab.curl(url_of(right.addr[6])) == "hello\n"


def test_links_that_flap_without_pause(lab):
    """Up and down as fast as ip(8) can, by the operator's hand: nothing is stuck at the end."""
    batch = "link set out down\nlink set out up\n" * 100
    sh("ip", "-n", lab.box, "-batch", "-", input=batch)
    lab.wait_link(lab.box, "out")
    for family in FAMILIES:
        lab.add_address(lab.box, "out", lab["right"].gw[family], lab["right"].net[family])
        lab.wait_ping(lab["right"].addr[family])
    assert lab.ping(lab["third"].addr[4])


def test_link_taken_down(lab):
    lab.ip("link", "set", "out", "down")
    try:
        wait_for(lambda: re.search(UNREACHABLE, lab.ping_says(lab["right"].addr[4], seconds=2)), PATIENCE, "end of the link")
        assert lab.ping(lab["third"].addr[4])
    finally:
        lab.ip("link", "set", "out", "up")
        lab.add_address(lab.box, "out", lab["right"].gw[6], lab["right"].net[6])
    for family in FAMILIES:
        lab.wait_ping(lab["right"].addr[family])


def test_changed_address(lab):
    right = lab["right"]
    assert lab.ip("addr", "add", "10.2.0.1/24", "dev", "out", check=False).returncode != 0, "a second time the same"
    assert lab.ping("10.2.0.1")
    lab.ip("addr", "add", "10.2.0.5/24", "dev", "out")
    lab.ip("addr", "del", "10.2.0.1/24", "dev", "out")
    lab.ip("addr", "replace", "10.2.0.5/24", "dev", "out")  # Linux has taken it off as the first one's secondary
    try:
        lab.use_gateways(right, {4: "10.2.0.5"})
        lab.wait_ping("10.2.0.5")
        lab.wait_ping(right.addr[4])
        said = lab.ping_says("10.2.0.1", seconds=10)
        assert "Destination Host Unreachable" in said, f"nobody has that address any more: {said}"
    finally:
        lab.ip("addr", "add", "10.2.0.1/24", "dev", "out")
        lab.ip("addr", "del", "10.2.0.5/24", "dev", "out")
        lab.add_address(lab.box, "out", "10.2.0.1", "10.2.0.0/24")
        lab.use_gateways(right)
    lab.wait_ping(right.addr[4])


def test_neighbour_with_another_mac(lab):
    """As after a change of hands between two machines: it tells, and is believed."""
    lab.sysctl(lab.right, {"net.ipv4.conf.eth0.arp_notify": 1, "net.ipv6.conf.eth0.ndisc_notify": 1})
    assert all(lab.ping(lab["right"].addr[family]) for family in FAMILIES)
    sh("ip", "-n", lab.right, "link", "set", "eth0", "address", "02:00:00:00:02:77")
    assert all(lab.ping(lab["right"].addr[family]) for family in FAMILIES)


def test_address_conflict(lab):
    """Another machine claims the router's own address, again and again: the router stays what it is."""
    claim = "Ether(dst='ff:ff:ff:ff:ff:ff',src='02:00:00:00:02:66')/ARP(op=2,hwsrc='02:00:00:00:02:66',psrc='10.2.0.1',hwdst='ff:ff:ff:ff:ff:ff',pdst='10.2.0.1')"
    lab.send(lab.right, *[claim] * 20)
    assert lab.ping(lab["right"].addr[4]) and lab.ping("10.2.0.1")
    sh("ip", "-n", lab.right, "neigh", "flush", "dev", "eth0")
    assert lab.ping(lab["left"].addr[4], ns=lab.right)
    assert lab.mac_of_port(lab["right"]) in sh("ip", "-n", lab.right, "neigh", "show", "10.2.0.1", "dev", "eth0").stdout


def test_hundred_thousand_routes(lab):
    """They come in one batch, are used, and go again."""
    sh("ip", "-n", lab.right, "route", "add", "local", "100.64.0.0/10", "dev", "lo")
    nets = [f"100.{64 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in range(100000)]
    try:
        for verb in ("add", "del"):
            text = "".join(f"route {verb} {net}/32 via {lab['right'].addr[4]}\n" for net in nets)
            sh("ip", "-n", lab.box, "-batch", "-", input=text, timeout=60)
            some = nets[:: len(nets) // 5] + nets[-1:]
            if verb == "add":
                for addr in some:
                    lab.wait_ping(addr)
                if not KERNEL:
                    assert lab.ping(lab["third"].addr[6])
            else:
                for addr in some[::3]:
                    wait_for(lambda a=addr: re.search(UNREACHABLE, lab.ping_says(a, seconds=2)), PATIENCE, f"end of the route to {addr}")
    finally:
        lab.ip("route", "flush", "root", "100.64.0.0/10")
        sh("ip", "-n", lab.right, "route", "del", "local", "100.64.0.0/10", "dev", "lo")


@needs_sallyport
@pytest.mark.parametrize("sig", (signal.SIGKILL, signal.SIGTERM))
def test_a_restart_reads_all_from_linux(lab, sig):
    """Addresses and routes are Linux', and stay there without the firewall; nobody configures anything again."""
    nets = {4: [f"100.64.{n >> 8}.{n & 255}/32" for n in range(10000)], 6: [f"2001:db8:64:{n:x}::/64" for n in range(1000)]}
    for family, name in ((4, "right"), (6, "third")):
        text = "".join(f"route replace {net} via {lab[name].addr[family]}\n" for net in nets[family])
        sh("ip", "-n", lab.box, f"-{family}", "-batch", "-", input=text, timeout=60)
    sh("ip", "-n", lab.right, "route", "replace", "local", "100.64.0.0/10", "dev", "lo")
    sh("ip", "-n", lab["third"].ns, "route", "replace", "local", "2001:db8:64::/48", "dev", "lo")
    code = lab.stop_firewall(sig)[0]
    assert code == (0 if sig == signal.SIGTERM else -sig)
    lab.start_firewall_again()
    try:
        for addr in ("100.64.0.77", "100.64.39.15", "2001:db8:64:3e7::1", lab["right"].addr[6], lab["third"].addr[4]):
            lab.wait_ping(addr)
    finally:
        lab.ip("route", "flush", "root", "100.64.0.0/10")
        lab.ip("-6", "route", "flush", "root", "2001:db8:64::/48")
