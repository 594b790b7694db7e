# SPDX-License-Identifier: BSD-3-Clause
"""Sallyport as a bump in the wire on two virtual functions: frames pass unchanged, or not at all."""
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from firewall import Firewall

CLIENT_MAC, SERVER_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"
VF_MACS = ("02:00:00:00:00:10", "02:00:00:00:00:11")  # as guest_init.sh has the PFs set them
CLIENT, SERVER = "192.0.2.10", "198.51.100.10"
FRAMES = 50
ATTACK = b"GET /?id=1+UNION+SELECT+password HTTP/1.1\r\nHost: www\r\n\r\n"


def whole(packet):
    """As it looks on the wire: the NIC would pad what is shorter."""
    return bytes(packet).ljust(60, b"\0")


def from_client(layers):
    """A frame to the first VF, which is the only unicast that an emulated VF takes."""
    return whole(Ether(dst=VF_MACS[0], src=CLIENT_MAC) / IP(src=CLIENT, dst=SERVER) / layers)


def from_server(layers):
    return whole(Ether(dst=VF_MACS[1], src=SERVER_MAC) / IP(src=SERVER, dst=CLIENT) / layers)


def carried(vm, to, frames, wait=20.0):
    """How many of the frames, sent into the wire opposite of `to`, arrive at it unchanged."""
    vm.wires[to].forget()
    vm.wires[1 - to].send(frames)
    wanted = set(frames)
    return len(vm.wires[to].receive(lambda frame: frame in wanted, len(frames), wait))


def start(vm, firewall, table):
    # A frame keeps its source MAC address through a wire-mode firewall, so that the VF sends for others.
    vm.run("for l in $LINK0 $LINK1; do $ip link set $l vf 0 spoofchk off; done")
    log = firewall.start()
    ready = "sallyport: ready" in log
    table.row("Sallyport starts on a PCI address and on a MAC address", ready, "ready" if ready else log.strip()[-400:])
    lines = [line for line in log.splitlines() if line.startswith("sallyport: port ") and "driver" in line]
    table.row("the driver of both is that of the VF", len(lines) == 2 and all("net_e1000_igb_vf" in line for line in lines))
    table.row("queues are as many as the device has: one", len(lines) == 2 and all("1 rx and 1 tx queues" in line for line in lines))
    table.row("memory is in huge pages", " of huge pages" in log)
    # Only where physical addresses are used does it keep the capabilities that reading them takes; CAP_IPC_LOCK is bit 14.
    kept = vm.run("grep CapPrm /proc/$(cat /run/sallyport.pid)/status")[1].split()[-1:]
    table.row("IOVA as VA: no capability for physical addresses is kept", kept == ["0000000000004000"], f"CapPrm {' '.join(kept)}")
    up = [firewall.wait_link(name, "up", 20) is not None for name in ("in", "out")]
    table.row("/v1/ports: both links are up", all(up), " ".join(map(str, up)))
    return ready


def allowed(vm, firewall, table):
    there = [from_client(UDP(sport=4000 + n, dport=9000) / Raw(b"question %d" % n)) for n in range(FRAMES)]
    count = carried(vm, 1, there)
    table.row("allowed UDP, client to server, unchanged", count == FRAMES, f"{count} of {FRAMES}")
    back = [from_server(UDP(sport=9000, dport=4000 + n) / Raw(b"answer %d" % n)) for n in range(FRAMES)]
    count = carried(vm, 0, back)
    table.row("its answers, server to client, unchanged", count == FRAMES, f"{count} of {FRAMES}")
    active = firewall.sessions().get("active")
    table.row("a session each", active == FRAMES, f"{active} sessions")


def denied(vm, firewall, table):
    for what, to, frames in (
        ("denied UDP", 1, [from_client(UDP(sport=5000 + n, dport=9999) / Raw(b"no rule for this")) for n in range(FRAMES)]),
        ("what nobody asked for", 0, [from_server(UDP(sport=9001, dport=6000 + n) / Raw(b"not asked for")) for n in range(FRAMES)]),
    ):
        before = firewall.drops("default")
        count = carried(vm, to, frames, 0.5)
        dropped = firewall.dropped("default", before, FRAMES)
        table.row(f"{what} is dropped under its reason", count == 0 and dropped == FRAMES, f"{count} through, default +{dropped}")
    vm.wires[0].forget()
    vm.wires[0].send([from_client(UDP(sport=161, dport=161) / Raw(b"community"))])
    answer = vm.wires[0].receive(lambda frame: Ether(frame).haslayer(ICMP), 1, 20)
    good = bool(answer) and Ether(answer[0])[ICMP].type == 3 and Ether(answer[0]).dst == CLIENT_MAC
    table.row("reject is answered by an ICMP unreachable", good, Ether(answer[0]).summary()[8:] if answer else "no answer")


def handshake(vm, sport):
    syn = from_client(TCP(sport=sport, dport=80, flags="S", seq=1000))
    syn_ack = from_server(TCP(sport=80, dport=sport, flags="SA", seq=2000, ack=1001))
    ack = from_client(TCP(sport=sport, dport=80, flags="A", seq=1001, ack=2001))
    return carried(vm, 1, [syn]) + carried(vm, 0, [syn_ack]) + carried(vm, 1, [ack])


def inspected(vm, firewall, table):
    count = handshake(vm, 7001)
    before = firewall.drops("inspect_match")
    through = carried(vm, 1, [from_client(TCP(sport=7001, dport=80, flags="PA", seq=1001, ack=2001) / Raw(ATTACK))], 1)
    caught = firewall.dropped("inspect_match", before, 1)
    table.row("a TCP handshake passes; an attack is caught by inspection", count == 3 and through == 0 and caught == 1, f"{through} through, inspect_match +{caught}")


def accounting(firewall, table):
    seen = firewall.balance()
    table.row("curl /v1/stats: every packet is accounted for", seen["in"] == seen["out"] and seen["rx"] > 4 * FRAMES, f"{seen['in']} in, {seen['out']} out")


def stop(firewall, table):
    code = firewall.stop()
    table.row("SIGTERM ends it with exit code 0", code == "0", f"exit code {code}" if code else "it did not end")


def check(vm, table):
    firewall = Firewall(vm, "wire")
    table.part("as a bump in the wire")
    if start(vm, firewall, table):
        allowed(vm, firewall, table)
        denied(vm, firewall, table)
        inspected(vm, firewall, table)
        accounting(firewall, table)
        stop(firewall, table)
