# SPDX-License-Identifier: BSD-3-Clause
"""VLANs with zones of their own: tagged traffic of real hosts, each VLAN under other rules, also with two tags."""
import os

import pytest
from conftest import BIN, LAST_CPU
from lab import LEFT4, PATIENCE, RIGHT4, Lab, sh, tcp_connects, wait_for

RULES = """version = 1;
default = { action = "drop"; };
rules = (
    "10 allow icmp,icmpv6 from inside to outside icmp_type echo-request",
    "20 allow tcp from guest to dmz dport 80",
    "21 reject tcp from guest",
    "29 allow tcp from staff to outside dport 80",
    "30 allow tcp from staff dport 80",
    "40 allow icmp from provider vlan 100 icmp_type echo-request"
);
"""

VLANS = """,
    { name = "guest-in";  parent = "in";  vlan = 20;  zone = "guest"; },
    { name = "guest-out"; parent = "out"; vlan = 20;  zone = "dmz"; },
    { name = "staff";     parent = "in";  vlan = 30;  zone = "staff"; },
    { name = "provider";  parent = "in";  vlan = 100; zone = "provider"; }"""

# interface: (tags, IPv4 of the left and the right host, IPv6 of both)
LINKS = {
    "eth0.20": ("8100:20", "198.51.100.1", "198.51.100.10", "2001:db8:20::1", "2001:db8:20::10"),
    "eth0.30": ("8100:30", "203.0.113.1", "203.0.113.10", "2001:db8:30::1", "2001:db8:30::10"),
    "eth0.40": ("8100:40", "198.18.40.1", "198.18.40.10", "2001:db8:40::1", "2001:db8:40::10"),
    "s100.5": ("8100:100,8100:5", "198.18.5.1", "198.18.5.10", "2001:db8:5::1", "2001:db8:5::10"),
    "s100.6": ("8100:100,8100:6", "198.18.5.1", "198.18.5.10", None, None),
}
# DPDK's af_packet driver gives the outer tag back as 0x8100, whatever it was; service tags need another device
SERVICE_LINKS = {"ad100.5": ("88a8:100,8100:5", "198.18.6.1", "198.18.6.10", "2001:db8:6::1", "2001:db8:6::10")}
RIGHT_OF = {name: (link[2], link[4]) for name, link in {**LINKS, **SERVICE_LINKS}.items()}


def make_links(lab, links):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vlan_links.py")
    for ns in (lab.left, lab.right):
        lab.spawn(ns, "/usr/bin/python3", "-B", script, "eth0", *(f"{name}={link[0]}" for name, link in links.items()))
        wait_for(lambda n=ns: all(f" {name}:" in sh("ip", "-n", n, "-o", "link").stdout for name in links), PATIENCE, "VLAN interfaces")
        for name, link in links.items():
            addr4, addr6 = link[1:][ns == lab.right], link[3:][ns == lab.right]
            sh("ip", "-n", ns, "link", "set", name, "mtu", "1400", "up")
            # the two inner VLANs have the same addresses: only the one that a test names is routed
            sh("ip", "-n", ns, "addr", "add", f"{addr4}/24", "dev", name, "noprefixroute")
            if name != "s100.6":
                sh("ip", "-n", ns, "route", "add", f"{addr4.rpartition('.')[0]}.0/24", "dev", name)
            if addr6:
                sh("ip", "-n", ns, "addr", "add", f"{addr6}/64", "dev", name, "nodad")
    for name, link in links.items():
        if name == "s100.6":
            continue
        for addr in filter(None, (link[2], link[4])):
            lab.resolve(lab.left, addr, name)


@pytest.fixture(scope="module")
def lab():
    with Lab(BIN, RULES, workers=(LAST_CPU,), vlans=VLANS) as made:
        make_links(made, LINKS)
        made.serve_web(made.right, {"index.html": b"hello\n"})
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0


def curl(lab, addr):
    return lab.curl(f"http://[{addr}]/" if ":" in addr else f"http://{addr}/")


def cannot_connect(lab, addr):
    return tcp_connects(lab, lab.left, addr, 80, timeout=1) == "timeout"


def hits(lab, rule):
    return lab.api("GET", f"/v1/rules/{rule}")[1]["hits"]


def test_untagged_traffic_has_the_ports_zones(lab):
    assert lab.ping(RIGHT4)
    assert cannot_connect(lab, RIGHT4)
    assert hits(lab, 10) > 0


def test_vlan_with_zones_on_both_ports(lab):
    for addr in RIGHT_OF["eth0.20"]:
        assert curl(lab, addr) == "hello\n"
        assert lab.silent(addr)
        assert tcp_connects(lab, lab.left, addr, 8080) == "refused"
    assert hits(lab, 20) == 2 and hits(lab, 21) >= 2


def test_vlan_with_a_zone_on_one_port(lab):
    assert [curl(lab, addr) for addr in RIGHT_OF["eth0.30"]] == ["hello\n"] * 2
    # the other port is divided too, and does not know this VLAN: no zone, not the one of its untagged frames
    assert hits(lab, 29) == 0 and hits(lab, 30) == 2
    # rule 10 is for the zone inside, and this VLAN is not
    assert lab.silent(RIGHT_OF["eth0.30"][0])


def test_vlan_that_nobody_defined_has_no_zone(lab):
    before, dropped = hits(lab, 10), lab.drops("default")
    assert all(lab.silent(addr) for addr in RIGHT_OF["eth0.40"])
    lab.wait_drops("default", dropped)
    assert hits(lab, 10) == before


def test_two_tags(lab):
    """The outer tag says the zone; flows with the same addresses on two inner tags are two sessions."""
    assert lab.ping(RIGHT_OF["s100.5"][0], "-I", "s100.5")
    assert lab.ping(RIGHT_OF["s100.5"][0], "-e", "7", "-I", "s100.5")
    before = hits(lab, 40)
    for link, other in (("s100.6", "s100.5"), ("s100.5", "s100.6")):
        for ns in (lab.left, lab.right):
            sh("ip", "-n", ns, "route", "replace", "198.18.5.0/24", "dev", link)
            sh("ip", "-n", ns, "neigh", "flush", "dev", other)
        lab.resolve(lab.left, RIGHT_OF["s100.5"][0], link)
        assert lab.ping(RIGHT_OF["s100.5"][0], "-e", "7", "-I", link)
    assert hits(lab, 40) == before + 1, "the second inner VLAN opens a session of its own, the first one's goes on"
    assert cannot_connect(lab, RIGHT_OF["s100.5"][0])
    sessions = lab.api("GET", "/v1/sessions?limit=1000&rule=40")[1]["sessions"]
    assert len(sessions) >= 3


def test_sessions_do_not_cross_vlans(lab):
    """A reply that comes tagged otherwise belongs to nobody."""
    assert lab.ping(RIGHT4)
    code = (
        "from scapy.all import *\n"
        f"sendp(Ether(dst='ff:ff:ff:ff:ff:ff')/Dot1Q(vlan=20)/IP(src='{RIGHT4}',dst='{LEFT4}')/ICMP(type=0,id=99),iface='eth0',verbose=0)\n"
    )
    before = lab.drops("default") + lab.drops("icmp_no_session")
    assert lab.run(lab.right, "/usr/bin/python3", "-c", code).returncode == 0
    wait_for(lambda: lab.drops("default") + lab.drops("icmp_no_session") > before, PATIENCE, "drop of the reply")


def test_service_tags():
    """802.1ad outside and 802.1Q inside leave as they came."""
    devices = ("net_af_xdp0,iface=vin,force_copy=1", "net_af_xdp1,iface=vout,force_copy=1")
    with Lab(BIN, RULES, workers=(LAST_CPU,), devices=devices, vlans=VLANS) as lab:
        make_links(lab, SERVICE_LINKS)
        assert lab.ping(RIGHT_OF["ad100.5"][0])
        assert hits(lab, 40) == 1
        assert cannot_connect(lab, RIGHT_OF["ad100.5"][0])
        assert lab.balance() == 0
        assert lab.stop_firewall()[0] == 0
