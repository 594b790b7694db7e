#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""make test-vm: Sallyport on two virtual functions behind an IOMMU, in a VM; frames come in and go out by the PFs' wires."""
import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

from vm import Vm, VmLost  # noqa: E402

RUN_SECONDS = 300  # all checks together, far more than they take
START_TRIES = 3  # of the machine; what was tested once is never tried again
CLIENT_MAC, SERVER_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"
VF_MACS = ("02:00:00:00:00:10", "02:00:00:00:00:11")  # as guest_init.sh has the PFs set them
CLIENT, SERVER = "192.0.2.1", "198.51.100.10"
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


class Table:
    """One line a check: what was looked at, and what was seen."""

    def __init__(self):
        self.passed = self.failed = 0
        self.began = time.monotonic()
        print(f"\n  {'check':<64} {'seen':<50} at s\n  {'-' * 128}")

    def row(self, check, good, seen=""):
        self.passed += bool(good)
        self.failed += not good
        print(f"  {check:<64} {' '.join(str(seen).split())[:50]:<50} {time.monotonic() - self.began:4.0f}  {'ok' if good else 'FAILED'}", flush=True)
        if not good and len(str(seen)) > 50:
            print("\n".join(f"    | {line}" for line in str(seen).splitlines()), flush=True)


class Firewall:
    """The Sallyport in the guest, asked over its socket by curl."""

    def __init__(self, vm):
        self.vm = vm

    def start(self):
        self.vm.run(
            "(sallyport run -c /etc/sallyport/sallyport.conf >/run/sallyport.log 2>&1 & echo $! >/run/sallyport.pid; wait $!; "
            "echo $? >/run/sallyport.code) &")
        self.vm.run("for i in $(seq 300); do grep -q 'sallyport: ready' /run/sallyport.log && break; kill -0 $(cat /run/sallyport.pid) || break; sleep 0.1; done", 40)
        return self.log()

    def log(self):
        return self.vm.run("cat /run/sallyport.log")[1]

    def get(self, path):
        code, text = self.vm.run(f"curl -sS -m 10 --unix-socket /run/api.sock http://localhost{path}")
        try:
            return json.loads(text)
        except ValueError:
            return {"curl": code, "text": text}

    def stats(self):
        return self.get("/v1/stats")

    def drops(self, reason):
        return self.stats().get("drops", {}).get(reason, -1)

    def dropped(self, reason, before, count):
        """How many more than before were dropped for the reason; waits for up to ten seconds until they are so many."""
        end = time.monotonic() + 10
        while (more := self.drops(reason) - before) < count and time.monotonic() < end:
            time.sleep(0.2)
        return more

    def ports(self):
        return {port["name"]: port for port in self.get("/v1/ports").get("ports", [])}

    def stop(self):
        """Ends it by SIGTERM; its exit code as text, "" when it did not end."""
        return self.vm.run("kill $(cat /run/sallyport.pid); for i in $(seq 100); do cat /run/sallyport.code 2>/dev/null && break; sleep 0.1; done", 30)[1].strip()


def carried(vm, to, frames, wait=20.0):
    """How many of the frames, sent into the wire opposite of `to`, arrive at it unchanged."""
    vm.wires[to].forget()
    vm.wires[1 - to].send(frames)
    wanted = set(frames)
    return len(vm.wires[to].receive(lambda frame: frame in wanted, len(frames), wait))


# --- checks ------------------------------------------------------------------------------------------------------------------


def guest(vm, table):
    dmesg = vm.run("dmesg")[1]
    table.row("VT-d is on, with interrupt remapping", "DMAR: IOMMU enabled" in dmesg and "Enabled IRQ remapping" in dmesg)
    listed = vm.run("for v in $VF0 $VF1 $OTHER0 $OTHER1; do ls /sys/bus/pci/devices/$v/iommu_group/devices; done")[1].split()
    table.row("each VF is alone in its IOMMU group", len(listed) == 4 and len(set(listed)) == 4, " ".join(listed))
    drivers = vm.run("for v in $VF0 $VF1; do basename $(readlink /sys/bus/pci/devices/$v/driver); done")[1].split()
    table.row("the VFs are bound to vfio-pci", drivers == ["vfio-pci"] * 2, " ".join(drivers))


def start(vm, firewall, table):
    log = firewall.start()
    ready = "sallyport: ready" in log
    table.row("Sallyport starts on a PCI address and on a MAC address", ready, "ready" if ready else log.strip()[-400:])
    lines = [line for line in log.splitlines() if line.startswith("sallyport: port ")]
    table.row("the driver of both is that of the VF", len(lines) == 2 and all("net_e1000_igb_vf" in line for line in lines))
    table.row("queues are as many as the device has: one", len(lines) == 2 and all("1 rx and 1 tx queues" in line for line in lines))
    table.row("memory is in huge pages", " of huge pages" in log)
    # Only where physical addresses are used does it keep the capabilities that reading them takes; CAP_IPC_LOCK is bit 14.
    kept = vm.run("grep CapPrm /proc/$(cat /run/sallyport.pid)/status")[1].split()[-1:]
    table.row("IOVA as VA: no capability for physical addresses is kept", kept == ["0000000000004000"], f"CapPrm {' '.join(kept)}")
    return ready


def ports(firewall, table):
    seen = firewall.ports()
    macs = [seen.get(name, {}).get("mac") for name in ("in", "out")]
    table.row("/v1/ports: MAC addresses as the PFs set them", tuple(macs) == VF_MACS, " ".join(map(str, macs)))
    up = [wait_link(firewall, name, "up", 20) is not None for name in ("in", "out")]
    table.row("/v1/ports: both links are up", all(up), " ".join(map(str, up)))


def allowed(vm, firewall, table):
    there = [from_client(UDP(sport=4000 + n, dport=9000) / Raw(b"question %d" % n)) for n in range(FRAMES)]
    count = carried(vm, 1, there)
    table.row("allowed UDP, client to server, unchanged", count == FRAMES, f"{count} of {FRAMES}")
    back = [from_server(UDP(sport=9000, dport=4000 + n) / Raw(b"answer %d" % n)) for n in range(FRAMES)]
    count = carried(vm, 0, back)
    table.row("its answers, server to client, unchanged", count == FRAMES, f"{count} of {FRAMES}")
    sessions = firewall.stats().get("sessions", {})
    table.row("a session each", sessions.get("active") == FRAMES, f"{sessions.get('active')} sessions")


def denied(vm, firewall, table):
    before = firewall.drops("default")
    count = carried(vm, 1, [from_client(UDP(sport=5000 + n, dport=9999) / Raw(b"no rule for this")) for n in range(FRAMES)], 0.5)
    dropped = firewall.dropped("default", before, FRAMES)
    table.row("denied UDP is dropped under its reason", count == 0 and dropped == FRAMES, f"{count} through, default +{dropped}")
    before = firewall.drops("default")
    count = carried(vm, 0, [from_server(UDP(sport=9001, dport=6000 + n) / Raw(b"not asked for")) for n in range(FRAMES)], 0.5)
    dropped = firewall.dropped("default", before, FRAMES)
    table.row("what nobody asked for is dropped under its reason", count == 0 and dropped == FRAMES, f"{count} through, default +{dropped}")
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


def request(sport, body):
    return from_client(TCP(sport=sport, dport=80, flags="PA", seq=1001, ack=2001) / Raw(body))


def inspected(vm, firewall, table):
    count = handshake(vm, 7000) + carried(vm, 1, [request(7000, b"GET /index.html HTTP/1.1\r\nHost: www\r\n\r\n")])
    table.row("TCP handshake and a harmless request pass", count == 4, f"{count} of 4")
    count = handshake(vm, 7001)
    before = firewall.drops("inspect_match")
    through = carried(vm, 1, [request(7001, ATTACK)], 1)
    caught = firewall.dropped("inspect_match", before, 1)
    table.row("an attack is caught by inspection", count == 3 and through == 0 and caught == 1, f"{through} through, inspect_match +{caught}")
    alerts = vm.run("for i in $(seq 100); do grep '\"event_type\":\"alert\"' /run/eve.json && break; sleep 0.1; done", 60)[1]
    table.row("its alert is in the event log, with the signature's id", "82576" in alerts and "SQL injection" in alerts)


def accounting(firewall, table):
    stats = firewall.stats()
    packets, drops = stats.get("packets", {}), sum(stats.get("drops", {"?": 0}).values())
    left = packets.get("rx", 0) + packets.get("from_kernel", 0) + packets.get("built", 0) + packets.get("fragment_delta", 0)
    right = packets.get("tx", 0) + packets.get("to_kernel", 0) + packets.get("consumed", 0) + drops + packets.get("held", 0)
    table.row("curl /v1/stats: every packet is accounted for", left == right and packets.get("rx", 0) > 4 * FRAMES, f"{left} in, {right} out")


def wait_link(firewall, name, state, seconds):
    """Seconds until a port's link is reported so; None when it is not."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if firewall.ports().get(name, {}).get("link") == state:
            return passed
        time.sleep(0.1)
    return None


def answers(count, first=4000):
    """What the server says in sessions that allowed() opened: without their session, no rule would let them through."""
    return [from_server(UDP(sport=9000, dport=first + n) / Raw(b"later answer %d" % n)) for n in range(count)]


def refused_by_link(vm, firewall, table, what, to, frames):
    before = firewall.drops("route_link_down")
    through = carried(vm, to, frames, 0.5)
    dropped = firewall.dropped("route_link_down", before, len(frames))
    table.row(what, through == 0 and dropped == len(frames), f"{through} through, route_link_down +{dropped}")


def links_seen(vm, name):
    """The link states of a port, in what the guest wrote of /v1/ports to /run/seen meanwhile."""
    text, at, states = vm.run("cat /run/seen")[1], 0, []
    while (at := text.find("{", at)) >= 0:
        try:
            seen, at = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            break
        states += [port["link"] for port in seen["ports"] if port["name"] == name]
    return states


def wait_traffic(vm, seconds):
    """Seconds until answers pass to the client; None when they do not."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if carried(vm, 0, answers(5), 0.5) == 5:
            return passed
    return None


def reset_by_pf(vm, firewall, table):
    """
    The PF resets its VFs as it goes down and as it comes up. In between, the emulated device calls a VF's link up although nothing leaves by
    it; the link is down, and the port is paused, for some hundred milliseconds each time.
    """
    sessions = firewall.stats().get("sessions", {}).get("active")
    before = firewall.drops("route_link_down")
    vm.run("(while [ ! -e /run/enough ]; do curl -s -m 10 --unix-socket /run/api.sock http://localhost/v1/ports; sleep 0.1; done >/run/seen) &")
    vm.begin("/usr/bin/ip link set $LINK0 down; sleep 4; touch /run/enough")
    vm.wires[1].send(answers(FRAMES) * 5, pause=0.02)
    vm.finish(60)
    states = links_seen(vm, "in")
    table.row("PF down: the VF port's link is down while it is restarted", "down" in states, f"{states.count('down')} of {len(states)} times down")
    dropped = firewall.dropped("route_link_down", before, 1)
    table.row("PF down: packets to the paused port are dropped", dropped > 0, f"route_link_down +{dropped}")
    vm.run("/usr/bin/ip link set $LINK0 up", 60)
    seconds = wait_traffic(vm, 60)
    table.row("PF up again: the VF port was restarted, packets pass", seconds is not None, f"{firewall.log().count('restarted after a reset')} restarts")
    links = [port.get("link") for port in firewall.ports().values()]
    table.row("PF up again: both links are up", links == ["up", "up"], " ".join(map(str, links)))
    count = carried(vm, 0, answers(FRAMES))
    kept = firewall.stats().get("sessions", {}).get("active")
    table.row("PF up again: sessions were kept, answers pass in them", count == FRAMES and kept == sessions, f"{count} of {FRAMES}, {sessions} then {kept}")
    count = carried(vm, 1, [from_client(UDP(sport=8000 + n, dport=9000) / Raw(b"new")) for n in range(FRAMES)])
    table.row("PF up again: new sessions pass", count == FRAMES, f"{count} of {FRAMES}")


def taken_away(vm, firewall, table):
    """The kernel asks for the second VF back while packets go to it."""
    vm.run("(echo $VF1 >/sys/bus/pci/drivers/vfio-pci/unbind; echo $? >/run/unbind.code) &")
    question = [from_client(UDP(sport=4000 + n, dport=9000) / Raw(b"question")) for n in range(FRAMES)]
    carried(vm, 1, question, 0.1)
    seconds = wait_link(firewall, "out", "down", 10)
    table.row("a VF is taken away under traffic: its link is down", seconds is not None, firewall.log()[-200:] if seconds is None else f"after {seconds:.1f} s")
    code = vm.run("for i in $(seq 100); do cat /run/unbind.code 2>/dev/null && break; sleep 0.1; done", 20)[1].strip()
    table.row("a VF is taken away: the kernel has it back", code == "0", f"unbind: exit {code}")
    refused_by_link(vm, firewall, table, "a VF is taken away: packets to it are dropped under their reason", 1, question)
    table.row("a VF is taken away: it is logged", "the device was taken away" in firewall.log())


def stop(firewall, table):
    code = firewall.stop()
    table.row("SIGTERM ends it with exit code 0", code == "0", f"exit code {code}" if code else "it did not end")


def isolation(vm, table):
    vm.run("dmesg -c >/dev/null")
    vm.wires[0].forget()
    vm.begin("dma_probe $VF0")
    said = vm.until(r"armed\n|dma_probe: .*\n", 60)
    sent = vm.wires[0].receive(lambda frame: b"FROM-MAPPED-MEMORY" in frame, 1, 20)
    table.row("DMA inside the mapping: a frame is sent from it", "read inside: done" in said and len(sent) == 1)
    vm.wires[0].send([bytes(Ether(dst=VF_MACS[0], src=CLIENT_MAC, type=0x88B5) / Raw(b"into memory %d" % n + bytes(46))) for n in range(2)])
    said += vm.finish()[1]
    table.row("DMA inside the mapping: a frame is received into it", "write inside: done" in said)
    faults = [line[line.index("DMAR: [") + 6 :] for line in vm.run("dmesg")[1].splitlines() if "DMAR: [" in line]
    for way, address in (("read", "0xdead0000"), ("write", "0xbeef0000")):
        seen = [f for f in faults if f"DMA {way.title()}" in f and f"fault addr {address}" in f and "01:10.0" in f]
        table.row(f"DMA {way} outside the mapping faults", seen, seen[0].strip() if seen else f"{len(faults)} faults; {said.strip()[-200:]}")


def check_all(vm, table):
    firewall = Firewall(vm)
    guest(vm, table)
    if start(vm, firewall, table):
        ports(firewall, table)
        allowed(vm, firewall, table)
        denied(vm, firewall, table)
        inspected(vm, firewall, table)
        reset_by_pf(vm, firewall, table)
        taken_away(vm, firewall, table)
        accounting(firewall, table)
        stop(firewall, table)
    isolation(vm, table)


def start_machine(image, console):
    """The machine, up. It is started again when it does not come up; every such failure is told."""
    for attempt in range(1, START_TRIES + 1):
        vm = Vm(image, console)
        try:
            return vm.__enter__()
        except VmLost as error:
            print(f"test-vm: start {attempt} of {START_TRIES} failed: {error}", flush=True)
    return None


def too_late(*_):
    raise TimeoutError(f"the checks were not done after {RUN_SECONDS} s")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--image", required=True, help="folder with vmlinuz and initrd")
    args = options.parse_args()
    began = time.monotonic()
    console = os.path.join(os.path.abspath(args.image), "console.log")
    vm = start_machine(args.image, console)
    if vm is None:
        print("0 passed, 1 failed")
        return 1
    print(f"test-vm: the machine is up after {time.monotonic() - began:.0f} s; its console: {console}")
    table = Table()
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(RUN_SECONDS)
    try:
        check_all(vm, table)
    except (VmLost, TimeoutError, OSError) as error:
        table.row("the machine stays to the end", False, error)
    finally:
        signal.alarm(0)
        vm.close()
    print(f"\n  {time.monotonic() - began:.0f} s\n{table.passed} passed, {table.failed} failed")
    return 0 if table.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
