# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode where addresses come by themselves: DHCP and router advertisements, to the firewall's links and from them, with dhclient and dnsmasq."""
import os
import re

import pytest
from lab import PATIENCE, sh, wait_for
from route_lab import ANYCAST4, ANYCAST6, KERNEL, RouteLab, url_of

RULES = """version = 1;
default = {{ action = "drop"; log = true; }};
rules = (
{}
    "10 allow from inside to outside"
);
"""
SERVE = '    "1 allow udp from inside to self dport 67,547",\n'

# Debian's script keeps out of the machine's own files as long as no name server is told.
CLIENT = """initial-interval 1; backoff-cutoff 2; reboot 2; retry 2; timeout 60;
request subnet-mask, broadcast-address, routers, interface-mtu;
{}
"""


def serve_dhcp(lab, ns, *options):
    """A real dnsmasq; a function that gives its log."""
    path = os.path.join(lab.dir, f"dnsmasq-{len(lab.children)}.log")
    lab.spawn(
        ns, "dnsmasq", "-k", "-C", "/dev/null", "--port=0", "-u", "root", "--pid-file=", f"--dhcp-leasefile={path}.leases", "--no-ping", "--log-dhcp",
        f"--log-facility={path}", "--dhcp-authoritative", "--bind-dynamic", *options,
    )  # fmt: skip

    def log():
        try:
            with open(path) as f:
                return f.read()
        except OSError:
            return ""

    wait_for(lambda: "DHCP" in log() or "router advertisement" in log(), PATIENCE, "dnsmasq")
    return log


def start_client(lab, ns, link, family=4, extra=""):
    """A real dhclient that goes on renewing; the process."""
    base = os.path.join(lab.dir, f"dhclient-{link}-{family}")
    with open(f"{base}.conf", "w") as f:
        f.write(CLIENT.format(extra) if family == 4 else "")
    return lab.spawn(ns, "dhclient", "-d", f"-{family}", "-cf", f"{base}.conf", "-lf", f"{base}.leases", "-pf", f"{base}.pid", link)


def wait_address(ns, link, pattern, what):
    found = wait_for(lambda: re.search(pattern, sh("ip", "-n", ns, "-o", "addr", "show", "dev", link).stdout), PATIENCE, what)
    return found[1]


@pytest.fixture(scope="module")
def lab():
    """The firewall's `out` has no addresses but those that its provider, the right host, gives."""
    with RouteLab(RULES.format(""), bare=("out",), forwarding=True) as made:
        for addr in (f"{ANYCAST4}/32", f"{ANYCAST6}/128"):
            sh("ip", "-n", made.right, "addr", "add", addr, "dev", "lo")
        made.serve_web(made.right, {"index.html": b"hello\n"})
        yield made
        made.finish()


def forged_answers_go_nowhere(lab):
    """While Linux waits for DHCP's answers they go up to it; one that is for a host inside must not be what Linux then forwards."""
    left, right = lab["left"], lab["right"]
    with lab.watch(left.ns, f"src host {right.addr[4]}") as seen:
        lab.send(right.ns, f"IP(src='{right.addr[4]}',dst='{left.addr[4]}')/UDP(sport=67,dport=68)/'offer'", gateway=lab.mac_of_port(right))
        assert lab.ping(right.addr[4])
        wait_for(lambda: "echo reply" in seen(), PATIENCE, "answer")
        assert ".68:" not in seen(), seen()


def test_client_on_a_port(lab):
    """dhclient on a firewall's link gets an address and the default route, keeps them by renewing, and gives them back."""
    right = lab["right"]
    log = serve_dhcp(lab, lab.right, "-i", "eth0", "--dhcp-range=10.2.0.100,10.2.0.150,2m", f"--dhcp-option=3,{right.addr[4]}", "--dhcp-option=26,1400")
    child = start_client(lab, lab.box, "out", extra="supersede dhcp-renewal-time 2;")
    leased = wait_address(lab.box, "out", r"inet (10\.2\.0\.1\d\d)/24", "leased address")
    wait_for(lambda: f"default via {right.addr[4]} dev out" in lab.ip("route").stdout, PATIENCE, "default route")
    lab.use_gateways(right, {4: leased})
    assert lab.ping(leased, ns=lab.right)
    assert lab.curl(url_of(ANYCAST4)) == "hello\n"
    assert "mtu 1400" in lab.ip("-o", "link", "show", "out").stdout
    before = log().count("DHCPACK")
    wait_for(lambda: log().count("DHCPACK") > before, PATIENCE, "renewal")
    if not KERNEL:
        forged_answers_go_nowhere(lab)
    lab.end(child)
    base = os.path.join(lab.dir, "dhclient-out-4")
    lab.run(lab.box, "dhclient", "-r", "-cf", f"{base}.conf", "-lf", f"{base}.leases", "-pf", f"{base}.pid", "out", check=True)
    wait_for(lambda: "DHCPRELEASE" in log(), PATIENCE, "release")
    wait_for(lambda: lab.silent(leased, ns=lab.right), PATIENCE, "end of the address")
    lab.ip("link", "set", "out", "mtu", "1500")


def test_addresses_by_router_advertisement(lab):
    """The firewall's link takes its IPv6 address and default route from the provider's router, whose address is a link-local one."""
    right = lab["right"]
    lab.sysctl(lab.right, {"net.ipv6.conf.all.forwarding": 1})
    serve_dhcp(lab, lab.right, "-i", "eth0", "--enable-ra", "--dhcp-range=2001:db8:2::,ra-only", "--ra-param=eth0,4,60")
    lab.sysctl(lab.box, {"net.ipv6.conf.out.accept_ra": 2, "net.ipv6.conf.out.router_solicitations": 3})
    lab.ip("link", "set", "out", "down")
    lab.ip("link", "set", "out", "up")
    address = wait_address(lab.box, "out", r"inet6 (2001:db8:2:0:\S+)/64", "address")
    wait_for(lambda: re.search(r"default via fe80::\S+ dev out proto ra", lab.ip("-6", "route").stdout), PATIENCE, "default route")
    lab.use_gateways(right, {6: address})
    assert lab.ping(address, ns=lab.right)
    assert lab.curl(url_of(ANYCAST6)) == "hello\n"


def test_dhcpv6_client_on_a_port(lab):
    log = serve_dhcp(lab, lab.right, "-i", "eth0", "--dhcp-range=2001:db8:2::100,2001:db8:2::150,64,2m")
    child = start_client(lab, lab.box, "out", family=6)
    leased = wait_address(lab.box, "out", r"inet6 (2001:db8:2::1[0-5][0-9a-f])/", "leased address")
    assert "DHCPREPLY" in log() and lab.ping(leased, ns=lab.right)
    lab.end(child)


def test_hosts_behind_it_configure_themselves(lab):
    """SLAAC and DHCP from a dnsmasq beside the firewall: advertisements need no rule, its DHCP service does."""
    left, right = lab["left"], lab["right"]
    lab.ip("addr", "replace", f"{right.gw[4]}/24", "dev", "out")
    lab.add_address(lab.box, "out", right.gw[6], right.net[6])
    lab.use_gateways(right)
    sh("ip", "-n", left.ns, "addr", "flush", "dev", "eth0", "scope", "global")
    for family in (4, 6):
        sh("ip", "-n", left.ns, f"-{family}", "route", "flush", "default", check=False)
    serve_dhcp(lab, lab.box, "-i", "in", "--enable-ra", "--dhcp-range=2001:db8:1::,ra-only", "--dhcp-range=10.1.0.100,10.1.0.150,2m")
    lab.sysctl(left.ns, {"net.ipv6.conf.eth0.accept_ra": 2, "net.ipv6.conf.eth0.autoconf": 1, "net.ipv6.conf.eth0.router_solicitations": 3})
    sh("ip", "-n", left.ns, "link", "set", "eth0", "down")
    sh("ip", "-n", left.ns, "link", "set", "eth0", "up")
    wait_address(left.ns, "eth0", r"inet6 (2001:db8:1:0:\S+)/64", "address by SLAAC")
    wait_for(lambda: re.search(r"default via fe80::", sh("ip", "-n", left.ns, "-6", "route").stdout), PATIENCE, "default route")
    assert lab.ping(right.addr[6]) and lab.curl(url_of(right.addr[6])) == "hello\n"

    dropped = 0 if KERNEL else lab.drops("default")
    child = start_client(lab, left.ns, "eth0")
    if not KERNEL:
        lab.wait_drops("default", dropped)
        assert "inet 10.1." not in sh("ip", "-n", left.ns, "-o", "addr", "show", "dev", "eth0").stdout
        lab.load_rules(RULES.format(SERVE))
    wait_address(left.ns, "eth0", r"inet (10\.1\.0\.1\d\d)/24", "leased address")
    wait_for(lambda: "default via 10.1.0.1" in sh("ip", "-n", left.ns, "route").stdout, PATIENCE, "default route")
    assert lab.curl(url_of(right.addr[4])) == "hello\n"
    lab.end(child)
