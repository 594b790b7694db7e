# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode and VRRP: keepalived beside the firewall shares an address with another machine's, and moves it by gratuitous ARP with the port's MAC."""
import os
import re
import signal

import pytest
from lab import PATIENCE, sh, wait_for
from route_lab import FAMILIES, RouteLab, needs_sallyport

RULES = """version = 1;
default = { action = "drop"; log = true; };
rules = (
    "1 allow vrrp from outside to self"
);
"""
SHARED = {4: "10.2.0.254", 6: "fe80::254"}
CONFIG = """global_defs {{ vrrp_version 3; dynamic_interfaces allow_if_changes; }}
vrrp_instance four {{
    interface {link}
    state BACKUP
    virtual_router_id 4
    priority {priority}
    advert_int 0.5
    virtual_ipaddress {{ {four}/24 }}
}}
vrrp_instance six {{
    interface {link}
    state BACKUP
    virtual_router_id 6
    priority {priority}
    advert_int 0.5
    virtual_ipaddress {{ {six}/64 }}
}}
"""


def share(lab, ns, link, priority):
    """A real keepalived; the process."""
    base = os.path.join(lab.dir, f"keepalived-{link}")
    with open(f"{base}.conf", "w") as f:
        f.write(CONFIG.format(link=link, priority=priority, four=SHARED[4], six=SHARED[6]))
    return lab.spawn(ns, "keepalived", "-n", "-P", "-f", f"{base}.conf", "-p", f"{base}.pid", "-r", f"{base}.vrrp.pid", "-l")


@pytest.fixture(scope="module")
def lab():
    with RouteLab(RULES) as made:
        yield made
        made.finish()


def wait_holder(lab, name):
    """Until only this machine, or none, has the addresses."""
    def holders():
        ends = (("firewall", lab.box, "out"), ("right", lab.right, "eth0"))
        shown = {who: sh("ip", "-n", ns, "-o", "addr", "show", "dev", link, check=False).stdout for who, ns, link in ends}
        return [{who for who, text in shown.items() if f" {SHARED[family]}/" in text} for family in FAMILIES]

    wait_for(lambda: holders() == [{name}, {name}], PATIENCE, lambda: f"addresses with {name}: {holders()}")


def assert_firewall_answers(lab):
    """The other machine has no longer its own, and has learned the port's MAC."""
    mac = re.search(r"link/ether (\S+)", lab.ip("-o", "link", "show", "out").stdout)[1]
    for family, scope in ((4, ""), (6, "%eth0")):
        assert lab.ping(SHARED[family] + scope, ns=lab.right)
        assert mac in sh("ip", "-n", lab.right, "neigh", "show", SHARED[family], "dev", "eth0").stdout


def test_addresses_change_hands(lab):
    share(lab, lab.right, "eth0", 100)
    wait_holder(lab, "right")
    own = share(lab, lab.box, "out", 200)
    wait_holder(lab, "firewall")
    assert_firewall_answers(lab)
    own.terminate()
    own.wait(PATIENCE)
    wait_holder(lab, "right")
    assert lab.ping(SHARED[4], ns=lab.box) and lab.ping(f"{SHARED[6]}%out", ns=lab.box)
    share(lab, lab.box, "out", 200)
    wait_holder(lab, "firewall")
    assert_firewall_answers(lab)


@needs_sallyport
def test_a_dead_firewall_loses_them(lab):
    """Its links go down with it; keepalived stays, and has the addresses again when they are back."""
    lab.stop_firewall(signal.SIGKILL)
    wait_holder(lab, "right")
    lab.start_firewall_again()
    wait_holder(lab, "firewall")
    assert_firewall_answers(lab)
