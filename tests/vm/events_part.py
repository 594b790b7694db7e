# SPDX-License-Identifier: BSD-3-Clause
"""What happens to devices under a running router, and that connections outlive it: PF down, cable, VF taken away and given
back, a new MAC address."""
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from report import wait_for
from route_part import FAMILIES, HOSTS, MACS, whole

NEW_MAC = "02:00:00:00:00:30"


class Connections:
    """One connection of each family through the firewall, open all along."""

    def __init__(self, hosts):
        self.talks = [hosts["client"].talk(hosts.address("server", family), 7) for family in FAMILIES]
        self.works = self.alive()

    def alive(self, seconds=40):
        return all([talk.alive(seconds) for talk in self.talks])

    def row(self, table, what):
        works = self.alive()
        table.row(f"{what}: both connections go on", works, "both answer" if works else "no answer")


def to_client(hosts, count):
    """Datagrams from the server that a rule lets through to the client."""
    return [whole(Ether(dst=MACS["out"], src=HOSTS["server"][4]) / IP(src=hosts.address("server", 4), dst=hosts.address("client", 4)) / UDP(sport=7000 + n % 50, dport=9001) / Raw(b"more")) for n in range(count)]


def told(firewall, what, port):
    """Whether the event log has such a port event."""
    return wait_for(lambda: any(f'"{port}"' in line and f'"{what}"' in line for line in firewall.events('"event_type":"port"')), 10)


def reset_by_pf(vm, hosts, firewall, connections, table):
    """
    The PF resets its VFs as it goes down and as it comes up. In between, the emulated device calls a VF's link up although nothing leaves by
    it; the link is down, and the port is paused, for some hundred milliseconds each time.
    """
    before = firewall.drops("route_link_down")
    vm.begin("$ip link set $LINK0 down; sleep 4")
    vm.wires[1].send(to_client(hosts, 250), pause=0.02)
    vm.finish(60)
    dropped = firewall.dropped("route_link_down", before, 1)
    table.row("PF down: packets to the paused port are dropped", dropped > 0, f"route_link_down +{dropped}")
    vm.run("$ip link set $LINK0 up", 60)
    connections.row(table, "PF up again")
    restarts = firewall.log().count("restarted after a reset")
    table.row("PF up again: the port was restarted, and the log says so", restarts > 0, f"{restarts} restarts")
    table.row("PF up again: port events link-down and restarted", told(firewall, "link-down", "in") and told(firewall, "restarted", "in"))
    up = [firewall.wait_link(name, "up", 20) is not None for name in ("in", "out", "dmz")]
    table.row("PF up again: links are up", all(up), " ".join(map(str, up)))
    said = hosts["client"].ask(hosts.address("server", 4), 9000)
    table.row("PF up again: new sessions pass", said == f"you are {hosts.address('client', 4)}", said)
    said = hosts["guest"].ask(hosts.address("shop", 4), 9000)
    table.row("PF up again: the VLAN passes, its filter is set anew", said == f"you are {hosts.address('guest', 4)}", said)


def new_mac(vm, hosts, firewall, connections, table):
    """The PF gives the VF another MAC address and resets it: port, interface and neighbours follow."""
    vm.wires[0].forget()
    vm.run(f"$ip link set $LINK0 vf 0 mac {NEW_MAC}; $ip link set $LINK0 down; sleep 1; $ip link set $LINK0 up", 60)
    mac = wait_for(lambda: firewall.ports().get("in", {}).get("mac") == NEW_MAC, 40)
    table.row("new MAC from the PF: the port has it", mac, firewall.ports().get("in", {}).get("mac"))
    links = wait_for(lambda: vm.run("cat /sys/class/net/in/address /sys/class/net/guest/address")[1].split() == [NEW_MAC] * 2, 10)
    table.row("new MAC from the PF: the interface and its VLAN have it", links, vm.run("cat /sys/class/net/in/address /sys/class/net/guest/address")[1])
    gratuitous = hosts.seen(0, lambda f: Ether(f).haslayer(ARP) and Ether(f)[ARP].hwsrc == NEW_MAC and Ether(f)[ARP].psrc == Ether(f)[ARP].pdst, 20)
    table.row("new MAC from the PF: neighbours are told by gratuitous ARP", gratuitous, gratuitous.summary()[8:] if gratuitous else "none")
    connections.row(table, "new MAC from the PF")
    known = hosts["client"].run("ip", "neigh", "show", hosts.gateway("client", 4)).stdout.strip()
    table.row("new MAC from the PF: the client uses it", NEW_MAC in known, known)
    table.row("new MAC from the PF: port event mac-changed", told(firewall, "mac-changed", "in"))


def cable(vm, hosts, firewall, connections, table):
    vm.cable(1, False)
    down = [firewall.wait_link(name, "down", 30) is not None for name in ("out", "dmz")]
    table.row("cable out: links of both VFs on it are down", all(down), " ".join(map(str, down)))
    status, body = firewall.ready()
    shown = {p.get("name"): p.get("link") for p in body.get("ports", [])}
    table.row("cable out: /v1/ready says 503 and which ports", status == 503 and shown.get("out") == "down" and shown.get("in") == "up", f"{status} {shown}")
    carrier = wait_for(lambda: vm.run("cat /sys/class/net/out/carrier")[1].strip() == "0", 10)
    table.row("cable out: Linux sees it", carrier, f"carrier {vm.run('cat /sys/class/net/out/carrier')[1].strip()}")
    vm.cable(1, True)
    up = [firewall.wait_link(name, "up", 60) is not None for name in ("out", "dmz")]
    table.row("cable in: links are up", all(up), " ".join(map(str, up)))
    connections.row(table, "cable in")
    status, _ = firewall.ready()
    table.row("cable in: /v1/ready says 200", status == 200, status)


def taken_away(vm, hosts, firewall, connections, table):
    """The kernel asks for the second port's VF back while packets go to it, and gives it again."""
    vm.run("rm -f /run/unbind.code; (echo $VF1 >/sys/bus/pci/drivers/vfio-pci/unbind; echo $? >/run/unbind.code) &")
    question = [whole(Ether(dst=firewall.ports()["in"]["mac"], src=HOSTS["client"][4]) / IP(src=hosts.address("client", 4), dst=hosts.address("server", 4)) / UDP(sport=4000 + n, dport=9000) / Raw(b"question")) for n in range(50)]
    vm.wires[0].send(question)
    seconds = firewall.wait_link("out", "down", 10)
    table.row("VF taken away under traffic: its link is down", seconds is not None, firewall.log()[-200:] if seconds is None else f"after {seconds:.1f} s")
    code = wait_for(lambda: vm.run("cat /run/unbind.code 2>/dev/null")[1].strip(), 20)
    table.row("VF taken away: the kernel has it back", code == "0", f"unbind: exit {code}")
    before = firewall.drops("route_link_down") + firewall.drops("route_unreachable")
    vm.wires[0].send(question)
    dropped = wait_for(lambda: (n := firewall.drops("route_link_down") + firewall.drops("route_unreachable") - before) >= 50 and n, 10)
    table.row("VF taken away: packets to it are dropped under their reason", dropped, f"+{dropped}")
    state = firewall.ports().get("out", {}).get("state")
    table.row("VF taken away: the port is absent, and the log says so", state == "absent" and told(firewall, "absent", "out"), state)
    degraded = [entry.get("code") for entry in firewall.get("/v1/status").get("degraded", [])]
    table.row("VF taken away: status is degraded by port-absent", "port-absent" in degraded, " ".join(map(str, degraded)))
    code, said = vm.run("echo $VF1 >/sys/bus/pci/drivers_probe; basename $(readlink /sys/bus/pci/devices/$VF1/driver)")
    table.row("VF given back: it is vfio-pci's again", said.strip() == "vfio-pci", said)
    seconds = firewall.wait_link("out", "up", 60)
    table.row("VF given back: the port attaches again, its link is up", seconds is not None, firewall.log()[-300:] if seconds is None else f"after {seconds:.1f} s")
    connections.row(table, "VF given back")
    table.row("VF given back: port event attached", told(firewall, "attached", "out"))
    said = hosts["client"].ask(hosts.address("server", 6), 9000)
    table.row("VF given back: new sessions pass", said == f"you are {hosts.address('client', 6)}", said)


def check(vm, firewall, hosts, table):
    table.part("what happens to devices, under two connections that stay")
    connections = Connections(hosts)
    table.row("a connection of each family is open", connections.works)
    reset_by_pf(vm, hosts, firewall, connections, table)
    cable(vm, hosts, firewall, connections, table)
    taken_away(vm, hosts, firewall, connections, table)
    new_mac(vm, hosts, firewall, connections, table)
