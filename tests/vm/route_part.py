# SPDX-License-Identifier: BSD-3-Clause
"""Sallyport as a router on virtual functions, between real hosts on the wires.

    client 192.0.2.10   -+- wire 0 -- [ VF "in"    192.0.2.1    ]  [ VF "out" 198.51.100.1 ] -- wire 1 -+- 198.51.100.10 server
    guest  203.0.113.10 -+  VLAN 20   [ VLAN "guest" 203.0.113.1 ] [ VF "dmz" 198.18.0.1   ]  VLAN 77  -+- 198.18.0.10   shop

VLAN 20 is the firewall's own; of VLAN 77 it sees nothing: the PF keeps its VF there. IPv6 is 2001:db8:N::10 and ::1, N from 1 to 4.
"""
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from firewall import Firewall
from hosts import Host, tag_of
from report import wait_for
from wire_part import whole

VLAN, PF_VLAN, FRAMES = 20, 77, 50
MACS = {"in": "02:00:00:00:00:10", "out": "02:00:00:00:00:11", "dmz": "02:00:00:00:00:21", "guest": "02:00:00:00:00:10"}
# host: (wire, its VLAN, the firewall's port, its networks, its MAC)
HOSTS = {
    "client": (0, 0, "in", ("192.0.2", "2001:db8:1:"), "02:00:00:00:0a:01"),
    "guest": (0, VLAN, "guest", ("203.0.113", "2001:db8:3:"), "02:00:00:00:0a:02"),
    "server": (1, 0, "out", ("198.51.100", "2001:db8:2:"), "02:00:00:00:0b:01"),
    "shop": (1, PF_VLAN, "dmz", ("198.18.0", "2001:db8:4:"), "02:00:00:00:0b:02"),
}
FAMILIES = (4, 6)
ATTACK = "/?id=1+UNION+SELECT+password"


class Hosts(dict):
    """The hosts by name; their addresses are address(name, family), those of the firewall on their links gateway(name, family)."""

    def __init__(self, vm):
        super().__init__()
        self.vm = vm
        for name, (wire, vlan, _, _, mac) in HOSTS.items():
            addresses = [f"{self.address(name, 4)}/24", f"{self.address(name, 6)}/64"]
            self[name] = Host(vm.wires[wire], name, mac, addresses, [self.gateway(name, f) for f in FAMILIES], vlan)
        for name in ("client", "server", "shop"):
            self[name].serve()

    @staticmethod
    def address(name, family):
        net4, net6 = HOSTS[name][3]
        return f"{net4}.10" if family == 4 else f"{net6}:10"

    @staticmethod
    def gateway(name, family):
        net4, net6 = HOSTS[name][3]
        return f"{net4}.1" if family == 4 else f"{net6}:1"

    def seen(self, wire, wanted, seconds=10):
        """The first frame out of a wire, since forget(), that is wanted; None."""
        frames = self.vm.wires[wire].receive(wanted, 1, seconds)
        return Ether(frames[0]) if frames else None

    def close(self):
        for host in self.values():
            host.close()


def counts(vm, what):
    return f"{sum(what)} of {len(what)}"


def start(vm, firewall, table):
    vm.run(f"for l in $LINK0 $LINK1; do $ip link set $l vf 0 spoofchk on; done; $ip link set $LINK1 vf 1 vlan {PF_VLAN}")
    log = firewall.start()
    ready = "sallyport: ready" in log
    table.row("it starts on three VFs", ready, "ready" if ready else log.strip()[-1200:])
    if not ready:
        return False
    commands = [f"$ip addr add {Hosts.gateway(name, f)}/{24 if f == 4 else 64} dev {HOSTS[name][2]} {'nodad' if f == 6 else ''}" for name in HOSTS for f in FAMILIES]
    code, said = vm.run(" && ".join(commands))
    table.row("Linux has an interface of each port and of the VLAN", code == 0, said)
    ports = firewall.ports()
    macs = {name: ports.get(name, {}).get("mac") for name in ("in", "out", "dmz")}
    links = {name: vm.run(f"cat /sys/class/net/{name}/address")[1].strip() for name in MACS}
    table.row("ports and interfaces have the MAC addresses that the PFs gave", macs == {n: MACS[n] for n in macs} and links == MACS, " ".join(map(str, macs.values())))
    up = [firewall.wait_link(name, "up", 20) is not None for name in ("in", "out", "dmz")]
    table.row("links are up", all(up), " ".join(map(str, up)))
    status, body = firewall.ready()
    shown = [(p.get("name"), p.get("link"), p.get("state")) for p in body.get("ports", [])]
    table.row("/v1/ready: 200, each port with its link and state", status == 200 and {s[1:] for s in shown} == {("up", "running")}, f"{status} {shown}")
    return True


def neighbours(hosts, table):
    """Each host finds the firewall by ARP and by neighbour discovery, and is found by it."""
    for name in HOSTS:
        for family in FAMILIES:
            answered = hosts[name].ping(hosts.gateway(name, family))
            known = hosts[name].run("ip", "neigh", "show", hosts.gateway(name, family)).stdout
            table.row(f"{name}: {'ARP' if family == 4 else 'ND'}, and the firewall answers pings", answered and MACS[HOSTS[name][2]] in known, known.strip() or "no neighbour")


def forwarded(hosts, table):
    """One echo request from client to server, as it is on either wire."""
    for family, layer, left in ((4, IP, "ttl"), (6, IPv6, "hlim")):
        for wire in hosts.vm.wires:
            wire.forget()
        answered = hosts["client"].ping(hosts.address("server", family))
        frame = hosts.seen(1, lambda f: Ether(f).haslayer(layer) and Ether(f)[layer].dst == hosts.address("server", family))
        seen = f"{frame.src} > {frame.dst}, {left} {getattr(frame[layer], left)}" if frame else "nothing"
        good = answered and frame and (frame.src, frame.dst, getattr(frame[layer], left)) == (MACS["out"], HOSTS["server"][4], 63)
        table.row(f"IPv{family}: an echo request leaves with new MACs and one hop less", good, seen)
        back = hosts.seen(0, lambda f: Ether(f).haslayer(layer) and Ether(f)[layer].src == hosts.address("server", family))
        good = back and (back.src, back.dst, getattr(back[layer], left)) == (MACS["in"], HOSTS["client"][4], 63)
        table.row(f"IPv{family}: so does its answer", good, f"{back.src} > {back.dst}, {left} {getattr(back[layer], left)}" if back else "nothing")


def allowed(hosts, table):
    for family in FAMILIES:
        said = hosts["client"].fetch(hosts.address("server", family))
        table.row(f"IPv{family}: curl gets a page from the server", said == "hello", said)
        said = hosts["client"].ask(hosts.address("server", family), 9000)
        table.row(f"IPv{family}: the server sees the client's own address", said == f"you are {hosts.address('client', family)}", said)
        said = hosts["server"].ask(hosts.address("client", family), 9001)
        table.row(f"IPv{family}: what a rule allows from outside passes", said == f"you are {hosts.address('server', family)}", said)
        hop = hosts["client"].run("ping", "-n", "-c", "1", "-t", "1", "-w", "10", hosts.address("server", family)).stdout
        exceeded = [line for line in hop.splitlines() if "From" in line]
        good = exceeded and f"{hosts.gateway('client', family)} " in exceeded[0] and "ime" in exceeded[0]
        table.row(f"IPv{family}: it is a hop, as traceroute sees it", good, exceeded[0] if exceeded else hop)


def denied(hosts, firewall, table):
    vm, client = hosts.vm, HOSTS["client"][4]
    frames = [whole(Ether(dst=MACS["in"], src=client) / IP(src=hosts.address("client", 4), dst=hosts.address("server", 4)) / UDP(sport=5000 + n, dport=9999) / Raw(b"no rule")) for n in range(FRAMES)]
    before = firewall.drops("default")
    vm.wires[1].forget()
    vm.wires[0].send(frames)
    dropped = firewall.dropped("default", before, FRAMES)
    through = vm.wires[1].receive(lambda f: Ether(f).haslayer(UDP) and Ether(f)[UDP].dport == 9999, 1, 0.5)
    table.row("denied UDP is dropped under its reason", not through and FRAMES <= dropped <= FRAMES + 5, f"{len(through)} through, default +{dropped}")
    for family in FAMILIES:
        said = hosts["client"].connect(hosts.address("server", family), 23)
        table.row(f"IPv{family}: a rejected connection is refused at once", said == "ECONNREFUSED", said)
        said = hosts["client"].ask(hosts.address("server", family), 161)
        table.row(f"IPv{family}: a rejected datagram is answered by ICMP", said in ("EHOSTUNREACH", "EACCES", "ECONNREFUSED"), said)
    before = firewall.drops("default")
    said = hosts["server"].connect(hosts.address("client", 4), 80, 3)
    table.row("a connection from outside is dropped under its reason", said == "ETIMEDOUT" and firewall.drops("default") > before, said)


def inspected(hosts, firewall, table):
    before = firewall.drops("inspect_match")
    said = hosts["client"].fetch(hosts.address("server", 4), ATTACK, 4)
    caught = firewall.dropped("inspect_match", before, 1)
    table.row("an attack does not get to the server: inspection drops it", said != "hello" and caught == 1, f"inspect_match +{caught}, {said}")
    alerts = wait_for(lambda: firewall.events('"event_type":"alert"'), 10)
    table.row("its alert is in the event log, with the signature's id", any("82576" in a and "SQL injection" in a for a in alerts), f"{len(alerts)} alerts")


def vlans(hosts, firewall, table):
    vm = hosts.vm
    for wire in vm.wires:
        wire.forget()
    said = hosts["guest"].fetch(hosts.address("shop", 4))
    table.row("a host in a VLAN of the firewall gets a page", said == "hello", said)
    frame = hosts.seen(0, lambda f: tag_of(f) == VLAN and Ether(f).haslayer(IP))
    table.row("what the firewall sends there has the tag", frame and frame.src == MACS["guest"] and frame[Dot1Q].vlan == VLAN, frame.summary() if frame else "nothing")
    # The shop is behind a VLAN of which the VF knows nothing: the PF puts the tag on and takes it off.
    frame = hosts.seen(1, lambda f: tag_of(f) == PF_VLAN and Ether(f).haslayer(IP))
    table.row("`vf N vlan` of the PF: its tag is on the wire", frame and frame.src == MACS["dmz"], frame.summary() if frame else "nothing")
    said = hosts["guest"].fetch(hosts.address("shop", 6))
    table.row("the same by IPv6", said == "hello", said)
    said = hosts["client"].ask(hosts.address("shop", 4), 9000)
    table.row("between an untagged port and the VF in the PF's VLAN", said == f"you are {hosts.address('client', 4)}", said)
    before = firewall.balance()["rx"]
    stray = [whole(Ether(dst=MACS["in"], src="02:00:00:00:0a:99") / Dot1Q(vlan=99) / IP(src=hosts.address("client", 4), dst=hosts.address("server", 4)) / UDP(sport=5000, dport=9000) / Raw(b"stray")) for _ in range(FRAMES)]
    vm.wires[1].forget()
    vm.wires[0].send(stray)
    through = vm.wires[1].receive(lambda f: b"stray" in f, 1, 0.5)
    came = firewall.balance()["rx"] - before
    table.row("the device's VLAN filter keeps other VLANs out", not through and came < FRAMES, f"{came} of {FRAMES} came to the firewall")


def translated(hosts, table):
    said = hosts["guest"].ask(hosts.address("server", 4), 9000)
    table.row("NAT: the server sees the firewall's address", said == f"you are {hosts.gateway('server', 4)}", said)


def groups(hosts, firewall, table):
    """Groups come in by the VF's multicast list, which follows what Linux joins."""
    vm = hosts.vm
    advert = [whole(Ether(dst="01:00:5e:00:00:12", src=HOSTS["server"][4]) / IP(src=hosts.address("server", 4), dst="224.0.0.18", ttl=255, proto=112) / Raw(bytes([0x31, 7, 100, 1, 0, 100, 0, 0, 198, 51, 100, 254]))) for _ in range(FRAMES)]

    def heard():
        before = firewall.hits(17)
        vm.wires[1].send(advert)
        wait_for(lambda: firewall.hits(17) - before >= FRAMES, 3)
        return firewall.hits(17) - before

    count = heard()
    table.row("VRRP: a group that nobody joined stays out of the VF", count == 0, f"{count} of {FRAMES}")
    vm.run("$ip addr add 224.0.0.18/32 dev out autojoin")
    count = wait_for(lambda: heard() or None, 10)
    table.row("VRRP: joined in Linux, its frames come to the firewall", count is not None and count > 0, f"{count} of {FRAMES}")
    vm.run("$ip addr del 224.0.0.18/32 dev out")
    count = wait_for(lambda: heard() == 0, 10)
    table.row("VRRP: left in Linux, they stay out again", count, "none" if count else "they still come")


def check(vm, firewall, hosts, table):
    neighbours(hosts, table)
    forwarded(hosts, table)
    allowed(hosts, table)
    denied(hosts, firewall, table)
    inspected(hosts, firewall, table)
    vlans(hosts, firewall, table)
    translated(hosts, table)
    groups(hosts, firewall, table)


def begin(vm, table):
    """The firewall as a router, and the hosts; None when it did not start."""
    firewall = Firewall(vm, "route")
    table.part("as a router between hosts")
    return firewall if start(vm, firewall, table) else None
