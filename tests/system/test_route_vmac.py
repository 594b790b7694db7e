# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode and interfaces of Linux that have MACs of their own on the firewall's: keepalived with `use_vmac` answers for its address with the
virtual router's MAC, and the firewall takes what is sent there, for itself and to route."""
import os

import pytest
from lab import PATIENCE, sh, wait_for
from route_lab import RouteLab, needs_sallyport

RULES = """version = 1;
default = { action = "drop"; log = true; };
rules = (
    "1 allow vrrp to self",
    "2 allow from inside to outside",
    "3 allow from self to outside"
);
"""
SHARED, VIRTUAL = "10.1.0.254", "00:00:5e:00:01:07"
CONFIG = f"""global_defs {{ vrrp_version 3; dynamic_interfaces allow_if_changes; }}
vrrp_instance one {{
    interface in
    use_vmac vrrp.7
    vmac_xmit_base
    state BACKUP
    virtual_router_id 7
    priority 200
    advert_int 0.5
    virtual_ipaddress {{ {SHARED}/24 }}
}}
"""


@pytest.fixture(scope="module")
def lab():
    with RouteLab(RULES) as made:
        base = os.path.join(made.dir, "keepalived")
        with open(f"{base}.conf", "w") as f:
            f.write(CONFIG)
        made.spawn(made.box, "keepalived", "-n", "-P", "-f", f"{base}.conf", "-p", f"{base}.pid", "-r", f"{base}.vrrp.pid", "-l")
        wait_for(lambda: f" {SHARED}/" in sh("ip", "-n", made.box, "-o", "addr", "show", "dev", "vrrp.7", check=False).stdout, PATIENCE, lambda: "no vrrp.7")
        yield made
        made.finish()


def neighbour(lab):
    return sh("ip", "-n", lab.left, "neigh", "show", SHARED, "dev", "eth0").stdout


@needs_sallyport
def test_shared_address_answers_with_the_virtual_mac(lab):
    assert lab.ping(SHARED, ns=lab.left)
    assert VIRTUAL in neighbour(lab)


@needs_sallyport
def test_what_is_sent_to_the_virtual_mac_is_routed(lab):
    sh("ip", "-n", lab.left, "route", "replace", lab["right"].net[4], "via", SHARED)
    assert lab.ping(lab["right"].addr[4], ns=lab.left)
    assert VIRTUAL in neighbour(lab)


@needs_sallyport
def test_frames_for_others_stay_out(lab):
    sh("ip", "-n", lab.left, "neigh", "replace", "10.1.0.253", "lladdr", "00:00:5e:00:01:08", "dev", "eth0", "nud", "permanent")
    before = lab.drops("route_not_ours")
    sh("ip", "netns", "exec", lab.left, "ping", "-c", "1", "-W", "1", "10.1.0.253", check=False)
    lab.wait_drops("route_not_ours", before)
