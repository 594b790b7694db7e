# SPDX-License-Identifier: BSD-3-Clause
"""Hosts in networks of their own, joined by a router.

    left   10.1.0.10  2001:db8:1::10 -- [ in                    ]
                                        [ in box: 10.N.0.1,     ]
    right  10.2.0.10  2001:db8:2::10 -- [ out   2001:db8:N::1   ]
                                        [                       ]
    third  10.3.0.10  2001:db8:3::10 -- [ dmz                   ]

The router is Sallyport in routed mode, whose links are TAPs in the namespace `box`, addressed by ip(8) as an operator would. With ROUTER=kernel
in the environment it is Linux itself, with the cables' ends in the place of the TAPs: what then fails is a fault of the test, or is policy, for
which Linux has none here (`needs_sallyport`).
"""
import os
import re
from contextlib import contextmanager

import pytest
from conftest import BIN, LAST_CPU
from lab import PATIENCE, Lab, sh, wait_for

KERNEL = os.environ.get("ROUTER", "sallyport") == "kernel"
needs_sallyport = pytest.mark.skipif(KERNEL, reason="Linux as the router has no policy")

HOSTS = {"left": (1, "in", "inside"), "right": (2, "out", "outside"), "third": (3, "dmz", "dmz")}
ANYCAST4, ANYCAST6 = "10.9.0.1", "2001:db8:9::1"
FAMILIES = (4, 6)


class Host:
    """A host's namespace and its addresses: `addr[4]`, `addr[6]`; `gw` are the router's on the same link, `net` the link's networks."""

    def __init__(self, lab, name):
        self.name, self.ns = name, f"{lab.tag}-{name}"
        self.number, self.port, self.zone = HOSTS[name]
        self.net = {4: f"10.{self.number}.0.0/24", 6: f"2001:db8:{self.number}::/64"}
        self.addr = {4: f"10.{self.number}.0.10", 6: f"2001:db8:{self.number}::10"}
        self.gw = {4: f"10.{self.number}.0.1", 6: f"2001:db8:{self.number}::1"}


def url_of(addr, path="/"):
    return f"http://[{addr}]{path}" if ":" in addr else f"http://{addr}{path}"


class RouteLab(Lab):
    """The hosts named and the router. Use as a context manager.

    `vlans` is text of further ports, `route` the inside of the configuration's route group, `rpf` {port: its reverse-path filter}, `bare` names
    ports that get no addresses; `forwarding` whether Linux forwards too (it always does when it is the router).
    """

    def __init__(self, rules, hosts=("left", "right"), workers=(LAST_CPU,), route="", rpf=None, extra_config="", vlans="", bare=(), forwarding=False):
        super().__init__(BIN, rules, workers, extra_config, vlans=vlans)
        self.hosts = {name: Host(self, name) for name in hosts}
        self.route, self.rpf, self.bare, self.forwarding = route, rpf or {}, bare, forwarding or KERNEL
        self.further = []  # namespaces beside the hosts'
        self.watched = 0

    def __getitem__(self, name):
        return self.hosts[name]

    # --- hosts -----------------------------------------------------------------------------------------------------------

    def make_hosts(self):
        cpus = os.cpu_count() or 1
        self.workers = [w % cpus for w in self.workers]
        self.make_namespace(self.box)
        for host in self.hosts.values():
            self.make_namespace(host.ns)
            self.make_cable(host.ns, "eth0", self.box, self.cable(host))
            for family in FAMILIES:
                self.add_address(host.ns, "eth0", host.addr[family], host.net[family])
            self.use_gateways(host)

    @staticmethod
    def cable(host):
        """The box's end of a host's cable: the firewall's port, or Linux' own link of the same name."""
        return host.port if KERNEL else f"v{host.port}"

    def make_namespace(self, ns):
        sh("ip", "netns", "add", ns)
        sh("ip", "-n", ns, "link", "set", "lo", "up")
        forwards = int(self.forwarding and ns == self.box)
        self.sysctl(ns, {
            "net.ipv4.ip_forward": forwards, "net.ipv6.conf.all.forwarding": forwards, "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0,
            "net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0, "net.ipv6.conf.default.accept_ra": 0,
            "net.ipv6.conf.default.router_solicitations": 0, "net.ipv4.icmp_ratelimit": 0, "net.ipv6.icmp.ratelimit": 0,
            "net.ipv4.fib_multipath_hash_policy": 1, "net.ipv6.fib_multipath_hash_policy": 1, "net.ipv4.conf.all.send_redirects": 0,
            "net.ipv4.conf.default.send_redirects": 0, "net.ipv4.ping_group_range": "0 0",
        })  # fmt: skip

    def sysctl(self, ns, values):
        sh("ip", "netns", "exec", ns, "sysctl", "-qw", *(f"{key}={value}" for key, value in values.items()))

    def make_cable(self, ns, link, other, other_link):
        """A cable between two namespaces, of the kind Lab makes, both ends up."""
        # An end whose index is its peer's too counts as no cable's, and the kernel is up to a second late with its link state.
        sh("ip", "link", "add", link, "index", "11", "netns", ns, "type", "veth", "peer", "name", other_link, "netns", other)
        ends = ((ns, link), (other, other_link))
        for where, name in ends:
            port = where == self.box and not KERNEL
            self.sysctl(where, {f"net.ipv6.conf.{name}.disable_ipv6": 1} if port else {f"net.ipv6.conf.{name}.keep_addr_on_down": 1})
            # veth would hand over unfinished checksums and 64 KB segments
            sh("ip", "netns", "exec", where, "ethtool", "-K", name, "tx", "off", "gso", "off", "tso", "off", "gro", "off", check=False)
            if port:
                # Linux sees a copy of all that af_packet takes; of a port that it has no driver for it sees nothing
                chain = f"chain {name} {{ type filter hook ingress device {name} priority 0; policy drop; }}\n"
                self.run(where, "nft", "-f", "-", input=f"table netdev ports {{\n{chain}}}\n", check=True)
            sh("ip", "-n", where, "link", "set", name, "up")
        for where, name in ends:
            self.wait_link(where, name)

    def wait_link(self, ns, link, up=True):
        wait_for(lambda: ("LOWER_UP" in sh("ip", "-n", ns, "-o", "link", "show", link, check=False).stdout) == up, PATIENCE, f"link {'up' if up else 'down'} of {link}")

    @staticmethod
    def add_address(ns, link, addr, net):
        sh("ip", "-n", ns, "addr", "replace", f"{addr}/{net.rpartition('/')[2]}", "dev", link, *(("nodad",) if ":" in addr else ()))

    def use_gateways(self, host, gateways=None):
        for family, gw in (gateways or host.gw).items():
            sh("ip", "-n", host.ns, f"-{family}", "route", "replace", "default", "via", gw, "dev", "eth0")

    def add_far(self, behind, mtu):
        """A host behind another that becomes a router, over a cable of this MTU: {4: address, 6: address}."""
        ns, host, addr = f"{self.tag}-far", self[behind], {4: "10.8.0.10", 6: "2001:db8:8::10"}
        self.further.append(ns)
        self.make_namespace(ns)
        self.make_cable(ns, "eth0", host.ns, "far")
        self.sysctl(host.ns, {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        for where, link in ((ns, "eth0"), (host.ns, "far")):
            sh("ip", "-n", where, "link", "set", link, "mtu", str(mtu))
        for family, net, gw in ((4, "10.8.0.0/24", "10.8.0.1"), (6, "2001:db8:8::/64", "2001:db8:8::1")):
            self.add_address(ns, "eth0", addr[family], net)
            self.add_address(host.ns, "far", gw, net)
            sh("ip", "-n", ns, f"-{family}", "route", "add", "default", "via", gw)
            self.ip("route", "replace", net, "via", host.addr[family], "dev", host.port)
        return addr

    def warm(self):
        """Each host knows the router, and the router each host."""
        for host in self.hosts.values():
            if host.port in self.bare:
                continue
            for family in FAMILIES:
                self.resolve(host.ns, host.gw[family])
                assert self.ping(host.gw[family], ns=host.ns), f"{host.name} has no answer from {host.gw[family]}"

    # --- the router ------------------------------------------------------------------------------------------------------

    def ip(self, *args, **kwargs):
        """ip(8) where the router is."""
        return sh("ip", "-n", self.box, *args, **kwargs)

    def rpf_key(self, port):
        return f'rpf = "{self.rpf[port]}"; ' if port in self.rpf else ""

    def write_config(self):
        with open(self.rules_path, "w") as f:
            f.write(self.rules)
        ports = ",\n".join(
            f'    {{ name = "{host.port}"; device = "net_af_packet{n},iface=v{host.port}"; zone = "{host.zone}"; '
            f"{self.rpf_key(host.port)}}}"
            for n, host in enumerate(self.hosts.values())
        )
        with open(self.config_path, "w") as f:
            f.write(
                'mode = "route";\n'
                f"workers = [ {', '.join(str(w) for w in self.workers)} ];\n"
                "memory = { huge = false; mb = 512; };\n"
                f"ports = (\n{ports}{self.vlans}\n);\n"
                f"{f'route = {{ {self.route} }};' if self.route else ''}\n"
                f'rules = "{self.rules_path}";\n'
                f'api = {{ socket = "{self.socket_path}"; }};\n'
                f'log = {{ eve = "{self.eve_path}"; }};\n'
                'poll = "adaptive";\n'
                f"{self.extra_config}\n"
            )

    def start_firewall(self, wait=True):
        if not KERNEL:
            super().start_firewall(wait)
        if wait:
            self.configure()

    def start_firewall_again(self):
        """The links that it left in Linux have their addresses still: nobody configures anything."""
        super().start_firewall()
        for host in self.hosts.values():
            self.wait_link(self.box, host.port)

    def configure(self):
        """What an operator's network configuration does as the links appear."""
        for host in self.hosts.values():
            self.ip("link", "set", host.port, "up")
            self.wait_link(self.box, host.port)
            if host.port not in self.bare:
                for family in FAMILIES:
                    self.add_address(self.box, host.port, host.gw[family], host.net[family])
            if KERNEL and host.port in self.rpf:
                self.sysctl(self.box, {f"net.ipv4.conf.{host.port}.rp_filter": {"off": 0, "strict": 1, "loose": 2}[self.rpf[host.port]]})

    def load_rules(self, text):
        """Puts other rules in force."""
        status, said = self.api("PUT", "/v1/rules", text)
        assert status == 200, said

    def finish(self):
        """Every packet is accounted for, and the firewall leaves."""
        if not KERNEL:
            assert self.balance() == 0
            assert self.stop_firewall()[0] == 0, self.log()

    def close(self):
        super().close()
        for ns in [host.ns for host in self.hosts.values() if host.ns not in (self.left, self.right)] + self.further:
            sh("ip", "netns", "del", ns, check=False)

    # --- programs on hosts -----------------------------------------------------------------------------------------------

    def wait_ping(self, addr, *options, ns=None):
        """Until an echo request is answered; errors meanwhile are taken for what the router has not heard yet."""
        wait_for(lambda: self.ping(addr, *options, ns=ns, seconds=1), PATIENCE, f"answer from {addr}")

    def ping_says(self, addr, *options, ns=None, seconds=PATIENCE):
        """What ping(8) of a host (the left one) prints of one request at a time until the first answer or error."""
        return self.run(ns or self.left, "ping", "-n", "-c", "1", "-w", str(seconds), *options, addr).stdout

    def fetch(self, url, ns=None):
        """The bytes that a host (the left one) gets from a web server, as far as they came."""
        path = os.path.join(self.dir, "fetched")
        with open(path, "wb"):
            pass
        self.curl(url, "-o", path, ns=ns)
        with open(path, "rb") as f:
            return f.read()

    def traceroute(self, addr, *options, ns=None):
        """The hops as traceroute(8) of a host (the left one) prints them, or what it says instead."""
        done = self.run(ns or self.left, "traceroute", "-n", "-q", "2", "-w", "5", "-m", "4", *options, addr)
        return [re.findall(r"^ *\d+ +(?:\* )*(\S+)", line)[0] for line in done.stdout.splitlines()[1:]] or [done.stderr]

    def route_of(self, ns, addr):
        """What a host knows of the way to an address."""
        return sh("ip", "-n", ns, "route", "get", addr).stdout

    def forget_paths(self):
        """Hosts forget the MTUs that they have learned."""
        for host in self.hosts.values():
            for family in FAMILIES:
                sh("ip", "-n", host.ns, f"-{family}", "route", "flush", "cache", check=False)

    @contextmanager
    def watch(self, ns, what, link="eth0"):
        """Frames of a filter that pass a link meanwhile: a function that gives the lines tcpdump has written up to now."""
        self.watched += 1
        path = os.path.join(self.dir, f"watch{self.watched}")
        with open(path, "w") as out, open(f"{path}.err", "w") as err:
            child = self.spawn(ns, "tcpdump", "-n", "-e", "-v", "-l", "--immediate-mode", "-i", link, what, stdout=out, stderr=err)

        def text():
            with open(path) as f:
                return f.read()

        def started():
            with open(f"{path}.err") as f:
                return "listening on" in f.read()

        try:
            wait_for(started, PATIENCE, f"tcpdump on {link}")
            yield text
        finally:
            self.end(child)

    def send(self, ns, *frames, gateway=None):
        """Sends raw frames from a host, by scapy: expressions of what follows the Ethernet header, or of whole frames where gateway is None."""
        start = f"Ether(dst='{gateway}')/" if gateway else ""
        code = f"from scapy.all import *\nsendp([{', '.join(f'{start}{frame}' for frame in frames)}], iface='eth0', verbose=0)\n"
        self.run(ns, "/usr/bin/python3", "-c", code, check=True)

    def mac_of_port(self, host):
        """The router's MAC on a host's link."""
        return re.search(r"link/ether (\S+)", self.ip("-o", "link", "show", host.port).stdout)[1]

    def serve_word(self, ns, port, word):
        """Answers each datagram with a word, from the address that was asked, whichever it is."""
        code = (
            "import socket,sys\n"
            "s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\n"
            "s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_V6ONLY,0); s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_RECVPKTINFO,1)\n"
            "s.bind(('::',int(sys.argv[1])))\n"
            "while True:\n"
            "    d,c,f,a=s.recvmsg(2048,256)\n"
            "    s.sendmsg([sys.argv[2].encode()],[x for x in c if x[:2]==(socket.IPPROTO_IPV6,socket.IPV6_PKTINFO)],0,a)\n"
        )
        self.spawn(ns, "/usr/bin/python3", "-c", code, str(port), word)
        wait_for(lambda: f":{port} " in self.run(ns, "ss", "-Hlun").stdout, PATIENCE, f"UDP service on {port}")

    def serve_names(self, names, port):
        """Each of these hosts has the anycast addresses and answers each datagram with its own name."""
        for name in names:
            sh("ip", "-n", self[name].ns, "addr", "add", f"{ANYCAST4}/32", "dev", "lo")
            sh("ip", "-n", self[name].ns, "addr", "add", f"{ANYCAST6}/128", "dev", "lo", "nodad")
            self.serve_word(self[name].ns, port, name)
