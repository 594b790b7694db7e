# SPDX-License-Identifier: BSD-3-Clause
"""`explain` and the packet path say the same of a packet that the `nat` list translates: verdict, rule, reason, and the addresses that leave."""
import ipaddress
import json

import pytest
from frames import ICMP, IP, TCP, UDP, Ether, IPv6, Raw, ether, frame
from scapy.layers.inet6 import ICMPv6EchoRequest

RULES = """version = 1;
sets = { web = [ "10.0.2.1", "10.0.2.2-10.0.2.3" ]; };
default = { action = "drop"; };
rules = (
    "1 allow udp from inside to outside dport 9999 stateless",
    "2 allow from inside to outside",
    "3 reject tcp from outside to inside 10.0.0.9 dport 17009",
    "4 allow tcp,udp from outside to inside 10.0.0.0/8",
    "5 allow from outside to inside fd01:203:405::/48",
    "6 allow from outside to inside fd00:7::/64"
);
nat = (
    { id = 1; type = "destination"; from = "outside"; dst = "203.0.113.9"; dport = "7000-7009"; address = "10.0.0.9"; port = "17000-17009"; },
    { id = 2; type = "destination"; from = "outside"; dst = "203.0.113.0/24"; proto = "icmp"; address = "none"; },
    { id = 3; type = "destination"; from = "outside"; dst = "203.0.113.9"; dport = "80,443"; address = "@web"; port = 8080; method = "maglev"; },
    { id = 4; type = "destination"; from = "outside"; dst = "203.0.113.10"; address = "10.0.0.10"; },
    { id = 10; type = "static"; from = "inside"; to = "outside"; src = "10.0.1.0/28"; address = "198.51.100.16/28"; },
    { id = 11; type = "prefix"; src = "fd01:203:405::/48"; address = "2001:db8:1::/48"; },
    { id = 12; type = "prefix"; src = "fd00:7::/64"; address = "2001:db8:2:7::/64"; },
    { id = 20; type = "source"; from = "inside"; to = "outside"; src = "10.0.0.0/8"; dst = "192.0.2.128/25"; address = "none"; },
    { id = 21; type = "source"; from = "inside"; to = "outside"; src = "10.0.0.0/8"; proto = "udp"; address = "203.0.113.53"; },
    { id = 22; type = "source"; from = "inside"; to = "outside"; src = "10.0.0.0/8"; address = "203.0.113.64/28"; }
);
"""
# What is outside of each entry counts as inside for a wire's zones, which go by the addresses of the capture.
INSIDE = "inside=10.0.0.0/8,fd00::/8,203.0.113.0/26,198.51.100.0/24,2001:db8:1::/48,2001:db8:2::/48"

PACKETS = [
    # as a description, with the entries that must have a say: destination, source (None: none)
    ("tcp 10.0.1.3:1000 > 192.0.2.1:80", None, 10),
    ("udp 10.0.1.15:1000 > 192.0.2.1:53", None, 10),
    ("gre 10.0.1.3 > 192.0.2.1", None, 10),
    ("tcp 10.0.1.16:1000 > 192.0.2.1:80", None, 22),
    ("udp 10.0.9.3:1000 > 192.0.2.1:80", None, 21),
    ("tcp 10.0.9.3:1000 > 192.0.2.200:80", None, 20),
    ("icmp 10.0.9.3 > 192.0.2.1", None, 22),
    ("gre 10.0.9.3 > 192.0.2.1", None, 22),
    ("udp 10.0.9.3:1000 > 192.0.2.1:9999", None, 21),  # stateless: nothing would translate the answers
    ("udp 10.0.1.3:1000 > 192.0.2.1:9999", None, 10),  # but a static entry can
    ("udp 192.0.2.1:5 > 203.0.113.9:7003", 1, None),
    ("tcp 192.0.2.1:5 > 203.0.113.9:7009", 1, None),
    ("udp 192.0.2.1:5 > 203.0.113.9:7010", None, None),
    ("tcp 192.0.2.1:5 > 203.0.113.9:443", 3, None),
    ("icmp 192.0.2.1 > 203.0.113.10", 2, None),
    ("tcp 192.0.2.1:5 > 203.0.113.10:99", 4, None),
    ("tcp 192.0.2.1:5 > 198.51.100.19:99", 10, None),
    ("tcp 192.0.2.1:5 > 198.51.100.32:99", None, None),
    ("udp [fd01:203:405:1::1234]:5 > [2001:db8:9::1]:53", None, 11),
    ("udp [fd01:203:405:ffff::1234]:5 > [2001:db8:9::1]:53", None, 11),
    ("udp [2001:db8:9::1]:9 > [2001:db8:1:d550::1234]:53", 11, None),
    ("icmpv6 2001:db8:9::1 > 2001:db8:1:ffff::1", 11, None),
    ("icmpv6 fd00:7::1 > 2001:db8:9::1", None, 12),
    ("icmpv6 fd00:7:0:0:ffff:ffff:ffff:ffff > 2001:db8:9::1", None, 12),
    ("tcp [2001:db8:9::1]:9 > [2001:db8:2:7:ffff::5]:53", 12, None),
]


def end(text):
    """Address and port of `10.0.0.1:80`, `[fd00::1]:80`, or an address alone."""
    if text.startswith("["):
        address, port = text[1:].split("]:")
        return address, int(port)
    if text.count(":") == 1:
        address, port = text.split(":")
        return address, int(port)
    return text, 0


def built(description):
    proto, src, _, dst = description.split()
    (src, sport), (dst, dport) = end(src), end(dst)
    ip = IPv6(src=src, dst=dst) if ":" in src else IP(src=src, dst=dst, **({"proto": 47} if proto == "gre" else {}))
    if proto == "tcp":
        return frame(ether(), ip, TCP(sport=sport, dport=dport, flags="S"))
    if proto == "udp":
        return frame(ether(), ip, UDP(sport=sport, dport=dport), Raw(b"x"))
    if proto == "icmp":
        return frame(ether(), ip, ICMP(type=8, id=5))
    if proto == "icmpv6":
        return frame(ether(), ip, ICMPv6EchoRequest(id=5))
    return frame(ether(), ip, Raw(b"\0" * 8))


def zones(description):
    outwards = description.split()[1].strip("[").startswith(("10.", "fd0"))
    return " from inside to outside" if outwards else " from outside to inside"


@pytest.fixture(scope="module")
def policy(firewall):
    path = firewall.path("nat.rules")
    with open(path, "w") as f:
        f.write(RULES)
    return path


def explained(firewall, policy, description):
    done = firewall.run("explain", "--rules", policy, "--json", description + zones(description))
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def entry(explanation, which):
    part = explanation["nat"][which]
    return part and part["entry"]


def holds(text, address):
    """Whether an address is what explain names: an address, or a prefix that is the pool."""
    return ipaddress.ip_address(address) in ipaddress.ip_network(text)


@pytest.mark.parametrize("description,destination,source", PACKETS, ids=[p[0] for p in PACKETS])
def test_explain_and_the_path_agree(firewall, policy, description, destination, source):
    told = explained(firewall, policy, description)
    assert (entry(told, "destination"), entry(told, "source")) == (destination, source)
    done = firewall.replay(RULES, [built(description)], "--zone", INSIDE, "--zone", "outside=0.0.0.0/0,::/0", zones=False)
    assert len(done.packets) == 1
    got = done.packets[0]
    assert (got["verdict"], got["rule"], got["reason"]) == (told["verdict"], told["rule"], told["reason"])
    if got["verdict"] != "allow":
        return
    left, came = Ether(done.out[0]).payload, Ether(built(description)).payload
    # where it goes to
    part = told["nat"]["destination"]
    if part is None or part["exempt"]:
        assert left.dst == came.dst
    elif part["servers"] > 1:
        assert left.dst in ("10.0.2.1", "10.0.2.2", "10.0.2.3") and left.payload.dport == part["port"]
    else:
        assert ipaddress.ip_address(left.dst) == ipaddress.ip_address(part["address"])
        assert part["port"] is None or left.payload.dport == part["port"]
    # and where it seems to come from
    part = told["nat"]["source"]
    if part is None or part["exempt"]:
        assert left.src == came.src
    else:
        assert holds(part["address"], left.src), left.src
    # no checksum is wrong
    again = left.__class__(bytes(left))
    for layer in (again, again.payload):
        for name in ("chksum", "cksum"):
            if name in layer.fields:
                delattr(layer, name)
    assert bytes(again) == bytes(left)


def test_prefixes_leave_the_checksum_alone(firewall):
    """RFC 6296: no header behind the address changes, not even its checksum."""
    raw = built("udp [fd01:203:405:1::1234]:5 > [2001:db8:9::1]:53")
    done = firewall.replay(RULES, [raw], "--zone", INSIDE, "--zone", "outside=0.0.0.0/0,::/0", zones=False)
    left = Ether(done.out[0])
    assert left[IPv6].src == "2001:db8:1:d550::1234"
    assert left[UDP].chksum == Ether(raw)[UDP].chksum
