# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode with VLANs: each is a link with an interface, addresses, and a zone of its own."""
import os
import re

import pytest
from lab import PATIENCE, sh, tcp_connects, wait_for
from route_lab import FAMILIES, KERNEL, RouteLab, needs_sallyport, url_of

RULES = """version = 1;
default = { action = "drop"; log = true; };
rules = (
    "10 allow icmp,icmpv6 from inside to guest icmp_type echo-request",
    "20 allow tcp from guest to servers dport 80",
    "21 allow icmp,icmpv6 from guest to servers icmp_type echo-request",
    "22 reject tcp from guest to staff",
    "30 allow from staff to guest",
    "31 allow udp from staff to servers",
    "32 allow tcp from staff to self dport 22"
);
"""
VLANS = """,
    { name = "guest";   parent = "in";  vlan = 20; zone = "guest"; },
    { name = "staff";   parent = "in";  vlan = 40; zone = "staff"; },
    { name = "servers"; parent = "out"; vlan = 30; zone = "servers"; }"""

# host: (the host whose cable it is on, its VLAN, number of its networks, its address in them)
HOSTS = {"guest": ("left", 20, 20, 10), "staff": ("left", 40, 40, 10), "servers": ("right", 30, 30, 10), "stranger": ("left", 99, 20, 66)}
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vlan_links.py")


class VlanHost:
    def __init__(self, lab, name):
        self.cable, self.vlan, number, last = HOSTS[name]
        self.ns = f"{lab.tag}-{name}"
        self.net = {4: f"10.{number}.0.0/24", 6: f"2001:db8:{number}::/64"}
        self.addr = {4: f"10.{number}.0.{last}", 6: f"2001:db8:{number}::{last}"}
        self.gw = {4: f"10.{number}.0.1", 6: f"2001:db8:{number}::1"}


class VlanLab(RouteLab):
    """Beside the hosts without tags, hosts whose link is a VLAN of those hosts' cables."""

    def make_hosts(self):
        super().make_hosts()
        self.tagged = {name: VlanHost(self, name) for name in HOSTS}
        for cable in ("left", "right"):
            links = {name: host for name, host in self.tagged.items() if host.cable == cable}
            self.make_vlans(self[cable].ns, "eth0", {name: host.vlan for name, host in links.items()})
            for name, host in links.items():
                self.further.append(host.ns)
                self.make_namespace(host.ns)
                sh("ip", "-n", self[cable].ns, "link", "set", name, "netns", host.ns, "name", "eth0")
                sh("ip", "-n", host.ns, "link", "set", "eth0", "up")
                for family in FAMILIES:
                    self.add_address(host.ns, "eth0", host.addr[family], host.net[family])
                self.use_gateways(host)

    def make_vlans(self, ns, cable, vlans):
        self.spawn(ns, "/usr/bin/python3", "-B", SCRIPT, cable, *(f"{name}=8100:{vlan}" for name, vlan in vlans.items()))
        for name in vlans:
            wait_for(lambda n=name: f" {n}:" in sh("ip", "-n", ns, "-o", "link").stdout, PATIENCE, f"VLAN interface {name}")

    def configure(self):
        if KERNEL:
            self.make_vlans(self.box, "in", {"guest": 20, "staff": 40})
            self.make_vlans(self.box, "out", {"servers": 30})
        super().configure()
        for name, host in self.tagged.items():
            if name != "stranger":
                self.ip("link", "set", name, "up")
                self.wait_link(self.box, name)
                for family in FAMILIES:
                    self.add_address(self.box, name, host.gw[family], host.net[family])

    def hits(self, rule):
        return 0 if KERNEL else self.api("GET", f"/v1/rules/{rule}")[1]["hits"]


@pytest.fixture(scope="module")
def lab():
    with VlanLab(RULES, vlans=VLANS) as made:
        made.serve_web(made.tagged["servers"].ns, {"index.html": b"hello\n", "body": bytes(300000)})
        made.serve_web(made.box, {}, ports=(22,))
        for name in ("servers", "guest"):
            made.serve_udp(made.tagged[name].ns, 9000)
        yield made
        made.finish()


@pytest.mark.parametrize("name", ("guest", "staff", "servers"))
def test_each_vlan_has_the_firewalls_addresses(lab, name):
    """Also the large packets pass that fill the link, beside the tag."""
    host = lab.tagged[name]
    for family in FAMILIES:
        assert lab.ping(host.gw[family], ns=host.ns)
        assert lab.ping(host.gw[family], "-M", "do", "-s", str(1500 - (28 if family == 4 else 48)), ns=host.ns)


@pytest.mark.parametrize("family", FAMILIES)
def test_between_vlans(lab, family):
    guest, staff, servers = (lab.tagged[name] for name in ("guest", "staff", "servers"))
    before = lab.hits(20)
    with lab.watch(lab.right, "vlan 30") as tagged, lab.watch(lab.left, "vlan 20") as also:
        assert lab.curl(url_of(servers.addr[family]), ns=guest.ns) == "hello\n"
        assert len(lab.fetch(url_of(servers.addr[family], "/body"), ns=guest.ns)) == 300000
        wait_for(lambda: "vlan 30" in tagged() and "vlan 20" in also(), PATIENCE, "frames with their tags")
    assert lab.hits(20) == before + (0 if KERNEL else 2)
    assert lab.ask_udp(staff.ns, servers.addr[family], 9000) == "HELLO"
    assert lab.traceroute(servers.addr[family], f"-{family}", ns=staff.ns) == [staff.gw[family], servers.addr[family]]


@pytest.mark.parametrize("family", FAMILIES)
def test_between_vlans_of_one_port(lab, family):
    guest, staff = lab.tagged["guest"], lab.tagged["staff"]
    assert lab.ask_udp(staff.ns, guest.addr[family], 9000) == "HELLO"
    assert lab.ping(guest.addr[family], ns=lab.left), "and from the hosts without a tag"


@needs_sallyport
@pytest.mark.parametrize("family", FAMILIES)
def test_each_vlan_has_its_own_rules(lab, family):
    guest, staff, servers = (lab.tagged[name] for name in ("guest", "staff", "servers"))
    assert tcp_connects(lab, staff.ns, servers.addr[family], 80, timeout=1) == "timeout"
    assert tcp_connects(lab, guest.ns, staff.addr[family], 80) == "refused"
    assert tcp_connects(lab, staff.ns, staff.gw[family], 22) == "open"
    assert tcp_connects(lab, guest.ns, guest.gw[family], 22, timeout=1) == "timeout"
    assert lab.silent(lab["left"].addr[family], ns=guest.ns), "the port's own zone is none of the guests'"
    assert lab.ask_udp(guest.ns, servers.addr[family], 9000, timeout=1) is None


def test_a_vlan_that_nobody_defined(lab):
    """Its host has addresses of the guests, and is not among them."""
    stranger = lab.tagged["stranger"]
    before = 0 if KERNEL else lab.drops("route_no_link")
    assert all(lab.silent(stranger.gw[family], ns=stranger.ns) for family in FAMILIES)
    if not KERNEL:
        lab.wait_drops("route_no_link", before)


def test_a_vlan_taken_down_leaves_the_others(lab):
    guest, staff, servers = (lab.tagged[name] for name in ("guest", "staff", "servers"))
    lab.ip("link", "set", "guest", "down")
    try:
        wait_for(lambda: lab.silent(guest.gw[4], ns=guest.ns), PATIENCE, "end of the VLAN")
        assert lab.ask_udp(staff.ns, servers.addr[4], 9000) == "HELLO"
    finally:
        lab.ip("link", "set", "guest", "up")
        lab.add_address(lab.box, "guest", guest.gw[6], guest.net[6])
    assert lab.curl(url_of(servers.addr[6]), ns=guest.ns) == lab.curl(url_of(servers.addr[4]), ns=guest.ns) == "hello\n"


@needs_sallyport
def test_links_are_listed(lab):
    """The interfaces of Linux are the ports and VLANs of the configuration, with the port's MAC."""
    mac = {name: re.search(r"link/ether (\S+)", lab.ip("-o", "link", "show", name).stdout)[1] for name in ("in", "guest", "staff", "out", "servers", "vin", "vout")}
    assert mac["in"] == mac["guest"] == mac["staff"] == mac["vin"] and mac["out"] == mac["servers"] == mac["vout"]
