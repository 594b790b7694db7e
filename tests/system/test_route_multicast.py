# SPDX-License-Identifier: BSD-3-Clause
"""Groups in routed mode: what is sent to a group is for the firewall itself (`to self`), and Linux forwards it where its multicast routes say."""
import pytest
from lab import PATIENCE, wait_for
from route_lab import RouteLab, needs_sallyport

GROUP, OTHER, PORT = "239.1.2.3", "239.1.2.4", 5000

RULES = """version = 1; default = { action = "drop"; };
rules = ( "10 allow udp from inside to self 239.1.2.3 dport 5000", "11 allow igmp from outside to self", "12 allow icmpv6 to self icmp_type 143",
          "13 allow tcp from inside to outside dport 80 mss 1000", "14 allow icmp" );
"""
CLOSED = """version = 1; default = { action = "drop"; }; rules = ( "10 allow udp dport 5000", "14 allow icmp" );
"""

# What a routing daemon does: two links, and a route for each group from the first to the second (linux/mroute.h).
ROUTER = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
s.setsockopt(socket.IPPROTO_IP, 200, 1)
for n, link in enumerate(sys.argv[2:4]):
    s.setsockopt(socket.IPPROTO_IP, 202, struct.pack("HBBIiI", n, 8, 1, 0, socket.if_nametoindex(link), 0))
for group in sys.argv[4:]:
    ttls = bytes([0, 1] + [0] * 30)
    s.setsockopt(socket.IPPROTO_IP, 204, socket.inet_aton(sys.argv[1]) + socket.inet_aton(group) + struct.pack("H32sxxIIIi", 0, ttls, 0, 0, 0, 0))
print("ready", flush=True)
time.sleep(600)
"""

RECEIVER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[2])))
for group in sys.argv[3:]:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(sys.argv[1]))
print("ready", flush=True)
while True:
    print(s.recv(100).decode(), flush=True)
"""

SENDER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
s.sendto(sys.argv[4].encode(), (sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture(scope="module")
def lab():
    with RouteLab(RULES, forwarding=True) as lab:
        yield lab
        lab.finish()


def program(lab, ns, code, *args):
    """Starts a program on a host and waits for its "ready": a function that gives the lines it has printed since."""
    lab.watched += 1
    path = f"{lab.dir}/program{lab.watched}"
    with open(path, "w") as out:
        lab.spawn(ns, "/usr/bin/python3", "-c", code, *args, stdout=out)

    def lines():
        with open(path) as f:
            return f.read().splitlines()

    wait_for(lambda: "ready" in lines(), PATIENCE, "program")
    return lambda: lines()[1:]


def send(lab, group, text):
    left = lab["left"]
    lab.run(left.ns, "/usr/bin/python3", "-c", SENDER, left.addr[4], group, str(PORT), text, check=True)


def test_groups_cross_as_rules_and_multicast_routes_say(lab):
    left, right = lab["left"], lab["right"]
    heard = program(lab, right.ns, RECEIVER, right.addr[4], str(PORT), GROUP, OTHER)
    program(lab, lab.box, ROUTER, left.addr[4], "in", "out", GROUP, OTHER)
    send(lab, GROUP, "first")
    wait_for(lambda: "first" in heard(), PATIENCE, "datagram of the group")
    before = lab.drops("default")
    send(lab, OTHER, "second")
    lab.wait_drops("default", before)
    send(lab, GROUP, "third")
    wait_for(lambda: "third" in heard(), PATIENCE, "datagram of the group")
    assert heard() == ["first", "third"]


@needs_sallyport
@pytest.mark.parametrize("what, member", [("igmp", "239.7.7.7"), ("ip6 and dst host ff02::16", "ff0e::777")], ids=["igmp", "mld"])
def test_reports_of_groups_reach_linux_as_rules_say(lab, what, member):
    right = lab["right"]

    def join(member):
        code = f"import socket,struct,time\ns=socket.socket(socket.AF_INET{'6' if ':' in member else ''},socket.SOCK_DGRAM)\n"
        if ":" in member:
            code += f"s.setsockopt(41,20,socket.inet_pton(socket.AF_INET6,'{member}')+struct.pack('I',socket.if_nametoindex('eth0')))\n"
        else:
            code += f"s.setsockopt(0,35,socket.inet_aton('{member}')+socket.inet_aton('{right.addr[4]}'))\n"
        return lab.spawn(right.ns, "/usr/bin/python3", "-c", code + "time.sleep(600)\n")

    with lab.watch(lab.box, what, "out") as seen:
        child = join(member)
        wait_for(lambda: member in seen(), PATIENCE, f"report of {member}")
        lab.end(child)
    lab.load_rules(CLOSED)
    try:
        before = lab.drops("default")
        with lab.watch(lab.box, what, "out") as seen:
            child = join(member)
            lab.wait_drops("default", before)
            assert member not in seen()
            lab.end(child)
    finally:
        lab.load_rules(RULES)


@needs_sallyport
def test_mss_of_routed_connections_is_clamped(lab):
    right = lab["right"]
    lab.serve_web(right.ns, {"index.html": b"hello\n"})
    with lab.watch(right.ns, "tcp[tcpflags] & tcp-syn != 0 and dst port 80") as seen:
        assert lab.curl(f"http://{right.addr[4]}/") == "hello\n"
        wait_for(lambda: "mss 1000" in seen(), PATIENCE, "clamped MSS")
