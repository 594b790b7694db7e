# SPDX-License-Identifier: BSD-3-Clause
"""FRR beside the firewall: BGP and OSPF with a neighbour across the firewall's TAPs, ten thousand routes, and what is left of them when the firewall dies."""
import json
import os
import signal
import time

import pytest
from lab import PATIENCE, sh, tcp_connects, wait_for
from route_lab import FAMILIES, RouteLab, needs_sallyport, url_of

DAEMONS = "/usr/lib/frr"
ROUTES = 10000
# BGP: /28s of 100.64.0.0/10 and /64s of 2001:db8:6400::/40; OSPF: one network. The neighbour answers for every address of them.
NETS4 = [f"100.{64 + (n >> 12)}.{n >> 4 & 255}.{(n & 15) << 4}" for n in range(ROUTES)]
NETS6 = [f"2001:db8:64{n >> 8:02x}:{n & 255:x}::" for n in range(1000)]
OSPF_NET = "10.77.0.0/24"
BACK = 60  # seconds within which all is as before

RULES = """version = 1;
default = { action = "drop"; log = true; };
sets = { routers = [ "10.2.0.10", "2001:db8:2::10" ]; };
rules = (
    "1 allow tcp from outside @routers to self dport 179",
    "2 allow ospf from outside @routers to self",
    "10 allow from inside to outside"
);
"""

COMMON = "hostname {name}\nlog file {folder}/log\n"
# Linux takes nexthop objects away, and every route with them, when a link is without carrier for a moment; zebra may not notice (seen in 8.4).
KEEP = "no zebra nexthop kernel enable\n"
OSPF = """interface {link}
 ip ospf hello-interval 1
 ip ospf dead-interval 4
 ip ospf retransmit-interval 3
router ospf
 ospf router-id {id}
 network 10.2.0.0/24 area 0
 timers throttle lsa all 0
 timers lsa min-arrival 0
{extra}
"""
BGP = """router bgp {own}
 bgp router-id {id}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 timers bgp 3 9
 neighbor {peer4} remote-as {other}
 neighbor {peer4} timers connect 1
 neighbor {peer4} advertisement-interval 0
 neighbor {peer6} remote-as {other}
 neighbor {peer6} timers connect 1
 neighbor {peer6} advertisement-interval 0
 address-family ipv4 unicast
  neighbor {peer4} activate
{nets4}
 exit-address-family
 address-family ipv6 unicast
  neighbor {peer6} activate
{nets6}
 exit-address-family
"""


class Frr:
    """Three daemons of FRR in a namespace, with a folder of their own."""

    def __init__(self, lab, ns, name, config):
        self.lab, self.ns, self.folder = lab, ns, os.path.join(lab.dir, f"frr-{name}")
        os.mkdir(self.folder)
        for daemon, text in config.items():
            with open(f"{self.folder}/{daemon}.conf", "w") as f:
                f.write(COMMON.format(name=name, folder=self.folder) + text)
        sh("chown", "-R", "frr:frr", self.folder)
        self.daemons = {daemon: None for daemon in config}
        self.start()

    def start(self):
        for daemon in self.daemons:
            self.daemons[daemon] = self.lab.spawn(
                self.ns, f"{DAEMONS}/{daemon}", "-f", f"{self.folder}/{daemon}.conf", "-i", f"{self.folder}/{daemon}.pid", "-z", f"{self.folder}/zserv",
                "--vty_socket", self.folder, "-P", "0", *(("-s", "90000000") if daemon == "zebra" else ()),  # as Debian starts it
            )  # fmt: skip
            wait_for(lambda d=daemon: "FRR" in self.says("show version", d), PATIENCE, lambda d=daemon: f"{d}; it says: {self.log()}")

    def kill(self):
        """Zebra first, which would take the others' routes out of Linux as they go."""
        for child in self.daemons.values():
            self.lab.end(child)

    def log(self):
        try:
            with open(f"{self.folder}/log") as f:
                return f.read()[-2000:]
        except OSError:
            return ""

    def says(self, command, daemon=None):
        return self.lab.run(self.ns, "vtysh", "--vty_socket", self.folder, *(("-d", daemon) if daemon else ()), "-c", command).stdout


class FrrLab(RouteLab):
    def start_frr(self):
        neighbour, box = self["right"], "10.2.0.1"
        self.sysctl(neighbour.ns, {"net.ipv6.ip_nonlocal_bind": 1})  # it answers from any of them
        for net in ("100.64.0.0/10", "2001:db8:6400::/40", OSPF_NET):
            sh("ip", "-n", neighbour.ns, "route", "add", "local", net, "dev", "lo")
        sh("ip", "-n", neighbour.ns, "addr", "add", "10.77.0.1/24", "dev", "lo")
        bgp = {"nets4": "\n".join(f"  network {net}/28" for net in NETS4), "nets6": "\n".join(f"  network {net}/64" for net in NETS6)}
        self.neighbour = Frr(self, neighbour.ns, "neighbour", {
            "zebra": "", "ospfd": OSPF.format(link="eth0", id=neighbour.addr[4], extra=" redistribute connected"),
            "bgpd": BGP.format(own=65002, other=65001, id=neighbour.addr[4], peer4=box, peer6=neighbour.gw[6], **bgp),
        })  # fmt: skip
        self.frr = Frr(self, self.box, "box", {
            "zebra": KEEP, "ospfd": OSPF.format(link="out", id=box, extra=""),
            "bgpd": BGP.format(own=65001, other=65002, id=box, peer4=neighbour.addr[4], peer6=neighbour.addr[6], nets4="", nets6=""),
        })  # fmt: skip

    def count(self, family, proto):
        return self.ip(f"-{family}", "route", "show", "proto", proto).stdout.count("\n")

    def received(self, family):
        """How many prefixes the neighbour has told in the session that stands."""
        text = self.frr.says("show bgp summary json")
        peers = json.loads(text or "{}").get(f"ipv{family}Unicast", {}).get("peers", {})
        return peers.get(self["right"].addr[family], {}).get("pfxRcd", 0)

    def wait_routes(self, seconds=BACK):
        """Until both daemons have told zebra, and zebra Linux, all that the neighbour announces."""
        def said():
            return "\n".join(self.frr.says(command) for command in ("show bgp summary", "show ip ospf neighbor"))

        for family, nets in ((4, NETS4), (6, NETS6)):
            wait_for(lambda f=family, n=len(nets): self.received(f) == self.count(f, "bgp") == n, seconds, lambda f=family: f"IPv{f} routes by BGP: {said()}")
        wait_for(lambda: "Full/" in said() and OSPF_NET in self.ip("route", "show", "proto", "ospf").stdout, seconds, lambda: f"route by OSPF: {said()}")

    def use_routes(self):
        """Packets of all three kinds go where the routes lead."""
        for net in NETS4[:: ROUTES // 8] + NETS4[-1:]:
            assert self.ping(net.rpartition(".")[0] + "." + str(int(net.rpartition(".")[2]) + 5)), net
        for net in NETS6[::250] + NETS6[-1:]:
            assert self.ping(f"{net}5"), net
        assert self.ask_udp(self.left, f"{NETS6[77]}9", 9000) == "hello"
        assert self.curl(url_of(NETS4[4321])) == self.curl(url_of("10.77.0.99")) == "hello\n"


@pytest.fixture(scope="module")
def lab():
    """Zebra makes Linux forward; the firewall must not care."""
    with FrrLab(RULES, forwarding=True) as made:
        made.serve_web(made.right, {"index.html": b"hello\n"})
        made.serve_word(made.right, 9000, "hello")
        made.start_frr()
        yield made
        made.finish()


def test_routes_arrive_and_are_used(lab):
    lab.wait_routes()
    lab.use_routes()


@needs_sallyport
def test_sessions_are_those_that_rules_allow(lab):
    """BGP is open to the neighbour, and to nobody inside."""
    assert lab.api("GET", "/v1/rules/2")[1]["hits"] > 0
    for family in FAMILIES:
        assert tcp_connects(lab, lab.left, lab["left"].gw[family], 179, timeout=1) == "timeout"
        assert tcp_connects(lab, lab.right, lab["right"].gw[family], 2601, timeout=1) == "timeout"


def test_withdrawn_routes(lab):
    """A route that the neighbour takes back is gone, and comes again."""
    lab.wait_routes()
    net, addr = f"{NETS4[5000]}/28", NETS4[5000][:-1] + "5" if NETS4[5000].endswith("0") else NETS4[5000]
    change = ("configure terminal", "router bgp 65002", "address-family ipv4 unicast")
    for word, there in (("no network", False), ("network", True)):
        commands = [part for line in (*change, f"{word} {net}") for part in ("-c", line)]
        lab.run(lab.right, "vtysh", "--vty_socket", lab.neighbour.folder, *commands, check=True)
        wait_for(lambda t=there: (lab.count(4, "bgp") == ROUTES) == t, PATIENCE, f"{word} {net}")
        wait_for(lambda t=there: ("1 received" in lab.ping_says(addr, seconds=1)) == t, PATIENCE, f"effect of {word} {net}")


@needs_sallyport
def test_killed_and_started_again(lab):
    """FRR sees the links go down; when the firewall is back, all routes are, within a bound, and nobody has configured anything."""
    lab.wait_routes()
    lab.stop_firewall(signal.SIGKILL)
    wait_for(lambda: "protocol is down" in lab.frr.says("show interface out"), PATIENCE, "end of the link")
    began = time.monotonic()
    lab.start_firewall_again()
    lab.wait_routes()
    lab.use_routes()
    assert time.monotonic() - began < BACK


@needs_sallyport
def test_all_started_anew(lab):
    """As when the machine starts: no link is there yet, and the daemons come up at the same time as the firewall."""
    lab.wait_routes()
    assert lab.stop_firewall()[0] == 0
    lab.frr.kill()
    for host in lab.hosts.values():
        lab.ip("link", "del", host.port)
    began = time.monotonic()
    lab.start_firewall(wait=False)
    lab.frr.start()
    wait_for(lab.ready, 60, lambda: "ready firewall; it says:\n" + lab.log())
    lab.configure()
    lab.wait_routes()
    lab.use_routes()
    assert time.monotonic() - began < BACK


def test_frr_killed_alone(lab):
    """Routes of daemons that are gone stay in Linux until they are back and have made them anew: they go on being used."""
    lab.wait_routes()
    lab.frr.kill()
    lab.use_routes()
    lab.frr.start()
    lab.wait_routes()
    lab.use_routes()
