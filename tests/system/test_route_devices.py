# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode over devices that come, go, and change their MAC or MTU: links and Linux follow, and what Linux was given stays."""
import json
import signal

import pytest
from conftest import RULES
from lab import PATIENCE, LabError, sh, wait_for
from route_lab import FAMILIES, RouteLab, needs_sallyport

pytestmark = needs_sallyport
ALLOW = RULES.replace('"13 allow icmp,icmpv6 from inside icmp_type echo-request"', '"13 allow icmp,icmpv6"')


@pytest.fixture()
def lab():
    made = RouteLab(ALLOW)
    made.run_options = ("--fail-closed",)
    with made:
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0


def interface(lab, name):
    return json.loads(lab.ip("-j", "link", "show", name).stdout)[0]


def link(lab, name):
    return next(it for it in lab.api("GET", "/v1/ports")[1]["links"] if it["name"] == name)


def neighbour(ns, addr):
    return sh("ip", "-n", ns, "neigh", "show", addr, "dev", "eth0").stdout


def test_links_and_linux_follow_the_mac(lab):
    """As after a VF's reset with another MAC: the host on the link is told, and need not find out."""
    left, fresh = lab["left"], "02:00:00:00:66:01"
    known = {family: neighbour(left.ns, left.gw[family]) for family in FAMILIES}
    assert all("lladdr" in text and fresh not in text for text in known.values())
    lab.ip("link", "set", "vin", "address", fresh)
    wait_for(lambda: link(lab, "in")["mac"] == fresh, PATIENCE, lambda: f"MAC of the link; it says:\n{lab.log()}")
    assert interface(lab, "in")["address"] == fresh and interface(lab, "out")["address"] != fresh
    for family in FAMILIES:
        wait_for(lambda f=family: fresh in neighbour(left.ns, left.gw[f]), PATIENCE, lambda f=family: f"news at the host: {neighbour(left.ns, left.gw[f])}")
        assert lab.ping(lab["right"].addr[family])


def test_a_mac_that_linux_chose_stays(lab):
    """An operator's, or a daemon's: frames to it come in, those to the former one do not, and a device that comes back is told of it."""
    left, chosen = lab["left"], "02:00:00:00:77:01"
    lab.ip("link", "set", "in", "address", chosen)
    wait_for(lambda: link(lab, "in")["mac"] == chosen, PATIENCE, "MAC of the link")
    # af_packet has one MAC only: its interface takes all, as a NIC with a list of addresses would take this one
    lab.ip("link", "set", "vin", "promisc", "on")
    sh("ip", "-n", left.ns, "neigh", "flush", "dev", "eth0")
    wait_for(lambda: lab.ping(left.gw[4], seconds=1), PATIENCE, "answer from the new MAC")
    assert chosen in neighbour(left.ns, left.gw[4])
    before = lab.drops("route_not_ours")
    sh("ip", "-n", left.ns, "neigh", "replace", left.gw[4], "lladdr", interface(lab, "vin")["address"], "dev", "eth0")
    assert not lab.ping(left.gw[4], seconds=1) and lab.drops("route_not_ours") > before
    lab.ip("link", "set", "vin", "address", "02:00:00:00:77:02")
    wait_for(lambda: next(p for p in lab.api("GET", "/v1/ports")[1]["ports"] if p["name"] == "in")["mac"] == "02:00:00:00:77:02", PATIENCE, "MAC of the device")
    wait_for(lab.ready, PATIENCE, "port that runs")
    assert link(lab, "in")["mac"] == chosen == interface(lab, "in")["address"]


def test_a_restart_leaves_linux_what_it_was_given(lab):
    """A smaller MTU, and a neighbour that an operator has nailed down, are not the firewall's to forget."""
    lab.ip("link", "set", "in", "mtu", "1400")
    lab.ip("neigh", "replace", "10.1.0.77", "lladdr", "02:00:00:00:00:77", "nud", "permanent", "dev", "in")
    wait_for(lambda: link(lab, "in")["mtu"] == 1400, PATIENCE, "MTU of the link")
    for sig in (signal.SIGTERM, signal.SIGKILL):
        lab.stop_firewall(sig)
        lab.start_firewall_again()
        assert interface(lab, "in")["mtu"] == 1400 and interface(lab, "out")["mtu"] == 1500
        assert "PERMANENT" in lab.ip("neigh", "show", "10.1.0.77").stdout
        wait_for(lambda: link(lab, "in")["mtu"] == 1400, PATIENCE, "MTU of the link")


def test_a_device_that_comes_late(lab):
    """Its link is there from the start, without a carrier, with what an operator gives it; traffic goes as soon as the device does."""
    right = lab["right"]
    lab.stop_firewall()
    sh("ip", "-n", lab.box, "link", "del", "vout")
    lab.ip("link", "del", "out")
    super(RouteLab, lab).start_firewall(wait=False)

    def serves():
        try:
            return lab.api("GET", "/v1/ready")[0] == 503
        except LabError:
            return False

    wait_for(serves, 60, "socket")
    wait_for(lambda: "in" in lab.log() and interface(lab, "in")["operstate"] in ("UP", "UNKNOWN"), PATIENCE, "other link")
    assert "NO-CARRIER" in interface(lab, "out")["flags"] and link(lab, "out")["link"] == "down"
    for family in FAMILIES:
        lab.add_address(lab.box, "out", right.gw[family], right.net[family])
    assert lab.ping(lab["left"].gw[4])
    lab.make_cable(right.ns, "eth0", lab.box, "vout")
    for family in FAMILIES:
        lab.add_address(right.ns, "eth0", right.addr[family], right.net[family])
    lab.use_gateways(right)
    wait_for(lab.ready, PATIENCE, lambda: f"ready firewall; it says:\n{lab.log()}")
    wait_for(lambda: interface(lab, "out")["address"] == interface(lab, "vout")["address"] == link(lab, "out")["mac"], PATIENCE, "MAC of the device at the link")
    for family in FAMILIES:
        lab.wait_ping(right.addr[family])
