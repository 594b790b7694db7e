# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode: how Linux' tables are followed when much goes wrong, and how the firewall shows what it knows of them."""
import os
import re
import signal

import pytest
from lab import PATIENCE, sh, wait_for
from route_lab import FAMILIES, KERNEL, RouteLab

if KERNEL:
    pytest.skip("of the firewall alone", allow_module_level=True)

RULES = """version = 1;
default = { action = "drop"; };
rules = ( "10 allow from inside" );
"""


@pytest.fixture(scope="module")
def lab():
    with RouteLab(RULES, hosts=("left", "right", "third"), route="max4 = 2048") as made:
        sh("ip", "-n", made.right, "route", "add", "local", "100.64.0.0/10", "dev", "lo")
        yield made
        made.finish()


def batch(lab, verb, nets, via):
    text = "".join(f"route {verb} {net} via {via}\n" for net in nets)
    sh("ip", "-n", lab.box, "-batch", "-", input=text, timeout=60)


def metric(lab, name):
    text = lab.api("GET", "/metrics")[1]
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)[1])


def degraded(lab):
    return [reason["code"] for reason in lab.api("GET", "/v1/status")[1]["degraded"]]


def ctl(lab, *args):
    return lab.run(lab.box, os.path.join(lab.bin_dir, "sallyctl"), "-s", lab.socket_path, *args).stdout


# --- what is shown -----------------------------------------------------------------------------------------------------------


def test_routes_and_neighbours_are_listed(lab):
    """As the operator would look for them, one by one and in pages."""
    right = lab["right"]
    nets = [f"100.64.0.{n}/32" for n in range(100)]
    batch(lab, "add", nets, right.addr[4])
    wait_for(lambda: len(lab.api("GET", "/v1/routes?family=4&limit=1000&prefix=100.64.0.0/10")[1]["routes"]) == 100, PATIENCE, "routes in the list")
    assert lab.ping("100.64.0.7") and all(lab.ping(right.addr[family]) for family in FAMILIES)
    paged, cursor = [], ""
    while cursor is not None:
        page = lab.api("GET", f"/v1/routes?family=4&limit=30{f'&cursor={cursor}' if cursor else ''}")[1]
        assert len(page["routes"]) <= 30
        paged += [route["prefix"] for route in page["routes"]]
        cursor = page["next"]
    assert set(nets) <= set(paged) and len(paged) == len(set(paged))
    route = next(r for r in lab.api("GET", "/v1/routes?limit=1000&prefix=100.64.0.7/32")[1]["routes"] if r["prefix"] == "100.64.0.7/32")
    assert route["used"] and [(hop["gateway"], hop["link"]) for hop in route["hops"]] == [(right.addr[4], "out")]
    mac = re.search(r"link/ether (\S+)", sh("ip", "-n", right.ns, "-o", "link", "show", "eth0").stdout)[1]
    neighbours = {(n["address"], n["link"]): n for n in lab.api("GET", "/v1/neighbours?limit=1000")[1]["neighbours"]}
    for family in FAMILIES:
        assert (neighbours[right.addr[family], "out"]["mac"], neighbours[right.addr[family], "out"]["state"]) == (mac, "resolved")
    assert neighbours[right.addr[4], "out"]["gateway"]
    assert re.search(r"100\.64\.0\.99/32 .* 10\.2\.0\.10", ctl(lab, "routes")) and re.search(rf"10\.2\.0\.10 +out +{mac}", ctl(lab, "neighbours"))
    batch(lab, "del", nets, right.addr[4])
    wait_for(lambda: not lab.api("GET", "/v1/routes?family=4&prefix=100.64.0.0/10")[1]["routes"], PATIENCE, "end of the routes in the list")


def test_a_neighbour_that_is_missing_is_shown_as_failed(lab):
    lab.ping("10.2.0.97", seconds=5)
    wait_for(lambda: any(n["address"] == "10.2.0.97" and n["state"] == "failed" for n in lab.api("GET", "/v1/neighbours?limit=1000")[1]["neighbours"]), PATIENCE,
             "failed neighbour")  # fmt: skip
    assert lab.drops("route_neighbour") > 0


# --- what goes wrong ---------------------------------------------------------------------------------------------------------


def test_more_routes_than_there_is_room_for(lab):
    """They are counted; those before them, and the neighbours, go on. With room again the next ones are taken."""
    right = lab["right"]
    nets = [f"100.65.{n >> 8}.{n & 255}/32" for n in range(6000)]
    batch(lab, "add", nets, right.addr[4])
    wait_for(lambda: metric(lab, "sallyport_kernel_routes_refused_total") > 0, PATIENCE, "routes without room")
    lab.wait_ping("100.65.0.1")
    assert all(lab.ping(lab[name].addr[family]) for name in ("right", "third") for family in FAMILIES)
    batch(lab, "del", nets, right.addr[4])
    batch(lab, "add", ["100.66.0.0/16"], right.addr[4])
    lab.wait_ping("100.66.1.1")
    batch(lab, "del", ["100.66.0.0/16"], right.addr[4])


def test_lost_messages_are_made_up_for(lab):
    """The process stands still while Linux changes more than its socket holds: it reads all anew, and is right again."""
    right, third = lab["right"], lab["third"]
    before = metric(lab, "sallyport_kernel_netlink_overruns_total")
    batch(lab, "add", ["100.67.0.0/16"], third.addr[4])
    os.kill(lab.firewall.pid, signal.SIGSTOP)
    try:
        for _ in range(15):
            for verb in ("add", "del"):
                batch(lab, verb, [f"100.68.{n >> 8}.{n & 255}/32" for n in range(10000)], right.addr[4])
        batch(lab, "replace", ["100.67.0.0/16"], right.addr[4])
        batch(lab, "add", ["100.69.0.0/16"], right.addr[4])
    finally:
        os.kill(lab.firewall.pid, signal.SIGCONT)
    wait_for(lambda: metric(lab, "sallyport_kernel_netlink_overruns_total") > before, PATIENCE, "overrun of the socket")
    for addr in ("100.67.1.1", "100.69.1.1", right.addr[6]):
        lab.wait_ping(addr)
    wait_for(lambda: not degraded(lab), PATIENCE, lambda: f"end of {degraded(lab)}")
    assert not lab.api("GET", "/v1/routes?family=4&prefix=100.68.0.0/16")[1]["routes"]


def test_address_that_somebody_else_has(lab):
    """Duplicate address detection works across the link, and what the other machine has stays its own."""
    before = metric(lab, "sallyport_kernel_address_conflicts_total")
    sh("ip", "-n", lab.right, "addr", "add", "2001:db8:2::66/64", "dev", "eth0", "nodad")
    lab.sysctl(lab.box, {"net.ipv6.conf.all.accept_dad": 1, "net.ipv6.conf.out.accept_dad": 1})
    lab.ip("addr", "add", "2001:db8:2::66/64", "dev", "out")
    wait_for(lambda: "dadfailed" in lab.ip("addr", "show", "dev", "out").stdout, PATIENCE, "failure of the detection")
    wait_for(lambda: metric(lab, "sallyport_kernel_address_conflicts_total") > before, PATIENCE, "count of the conflict")
    lab.ip("addr", "del", "2001:db8:2::66/64", "dev", "out")
    with lab.watch(lab.right, "icmp6 and dst host 2001:db8:2::66") as seen:
        lab.wait_ping("2001:db8:2::66")
        wait_for(lambda: "echo request" in seen(), PATIENCE, "request at the other machine")


def test_interface_taken_down_and_removed(lab):
    """Said in the status; the other links go on. A restart makes a removed one anew."""
    right, third = lab["right"], lab["third"]
    lab.ip("link", "set", "out", "down")
    wait_for(lambda: degraded(lab) == ["tap-down"], PATIENCE, "state of the link in the status")
    lab.ip("link", "set", "out", "up")
    wait_for(lambda: degraded(lab) == [], PATIENCE, "end of that state")
    lab.wait_ping(right.addr[4])
    lab.ip("link", "del", "out")
    wait_for(lambda: degraded(lab) == ["tap-down"], PATIENCE, "state of the link in the status")
    assert all(lab.ping(third.addr[family]) for family in FAMILIES) and not lab.ping(right.addr[4], seconds=1)
    assert lab.balance() == 0 and lab.stop_firewall()[0] == 0
    lab.start_firewall()
    assert degraded(lab) == []
    for family in FAMILIES:
        lab.wait_ping(right.addr[family])


def test_interfaces_in_a_namespace_of_their_own():
    """The ports are where the process is, the interfaces and with them all routes in another namespace."""
    class Apart(RouteLab):
        def make_hosts(self):
            super().make_hosts()
            self.further.append(f"{self.tag}-routes")
            self.make_namespace(self.further[-1])
            self.route = f'namespace = "{self.further[-1]}"'
            self.ports_ns = self.box

        def start_firewall(self, wait=True):
            self.box = self.ports_ns
            super(RouteLab, self).start_firewall(wait)
            self.box = self.further[-1]
            self.configure()

        def close(self):
            self.box = getattr(self, "ports_ns", self.box)
            super().close()

    with Apart(RULES) as lab:
        assert all(lab.ping(lab["right"].addr[family]) for family in FAMILIES)
        assert " in:" not in sh("ip", "-n", lab.ports_ns, "-o", "link").stdout
        lab.ip("route", "add", "100.70.0.0/16", "via", lab["right"].addr[4])
        sh("ip", "-n", lab.right, "route", "add", "local", "100.70.0.0/16", "dev", "lo")
        lab.wait_ping("100.70.1.1")
        lab.finish()
