#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""
make bench-vm: what forwarding a packet costs in a VM, by kernel and nftables or by Sallyport, on SR-IOV virtual functions or on virtio-net.

All four in one emulated machine, the same UDP traffic, the same rules. Emulated, so it compares the work done (interrupts, context switches,
register accesses, guest CPU time), not the speed of hardware. Writes vm.md and vm.json.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

from firewall import Firewall  # noqa: E402
from vm import Vm, VmLost, start_machine  # noqa: E402

RUN_SECONDS = 300
PACKETS, FLOWS, PAYLOAD = 20000, 64, 22  # 64-byte frames on a cable
PACED = 1000  # packets a second of the second load
PACED_PACKETS = 5000
VIRTIO = "virtio-net-pci,iommu_platform=on,disable-legacy=on,ioeventfd=off"  # a kick by ioeventfd would pass the trace by
CLIENT_MAC, SERVER_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"
JIFFY_MS = 10  # of /proc/stat: USER_HZ is 100
# By name of QEMU's memory region: what an access to it is.
REGISTERS = ("igbvf", "virtio-pci", "virtio-net-pci", "msix-table", "msix-pba")

# name: (who forwards, on which devices, wire in, wire out, MAC of the first port)
CASES = {
    "kernel-vf": ("kernel", "vf", 0, 1, "02:00:00:00:00:10"),
    "sallyport-vf": ("sallyport", "vf", 0, 1, "02:00:00:00:00:10"),
    "sallyport-virtio": ("sallyport", "virtio", 2, 3, "52:54:00:00:00:a2"),
    "kernel-virtio": ("kernel", "virtio", 2, 3, "52:54:00:00:00:a2"),
}
TITLES = {
    "kernel-vf": "kernel, nftables on VFs", "sallyport-vf": "Sallyport on VFs", "sallyport-virtio": "Sallyport on virtio-net",
    "kernel-virtio": "kernel, nftables on virtio-net",
}  # fmt: skip
# CPU copies of a 64-byte packet, reasoned from the sources of the drivers and of the device backends, not measured; and what leaves the guest.
COPIES = {
    "kernel-vf": (0, 0, "the NIC's DMA goes to and from the packet's buffer; igbvf hands that buffer up as it is"),
    "sallyport-vf": (0, 0, "the NIC's DMA goes to and from the mbuf, which leaves by the same buffer"),
    "sallyport-virtio": (2, 0, "the hypervisor's backend copies into the guest's buffer and out of it; the guest hands the mbuf on"),
    "kernel-virtio": (2, 1, "the backend's two, and virtio_net copies what fits the socket buffer's head: a small packet whole"),
}


# --- the guest ---------------------------------------------------------------------------------------------------------------


def must(vm, command, seconds=30):
    code, said = vm.run(command, seconds)
    if code != 0:
        raise VmLost(f"the guest refuses `{command}`: {said}")
    return said


def bind(vm, pci, driver):
    """Gives a PCI device to a driver, or to none."""
    must(vm, f"[ ! -e /sys/bus/pci/devices/{pci}/driver ] || echo {pci} >/sys/bus/pci/devices/{pci}/driver/unbind")
    must(vm, f"echo {driver} >/sys/bus/pci/devices/{pci}/driver_override; echo {pci} >/sys/bus/pci/drivers_probe")


def devices(vm, kind):
    if kind == "vf":
        return must(vm, "echo $VF0 $VF1").split()
    return must(vm, "for d in /sys/bus/pci/devices/*; do [ $(cat $d/vendor)$(cat $d/device) = 0x1af40x1041 ] && basename $d; done; true").split()


def link_of(vm, pci, kind):
    inside = f"/sys/bus/pci/devices/{pci}/" + ("net" if kind == "vf" else "virtio*/net")
    return must(vm, f"for i in $(seq 50); do ls {inside} 2>/dev/null | grep . && break; sleep 0.1; done").split()[0]


def addresses(vm):
    must(vm, "$ip addr add 192.0.2.1/24 dev in && $ip addr add 198.51.100.1/24 dev out")
    must(vm, f"$ip neigh replace 192.0.2.10 lladdr {CLIENT_MAC} nud permanent dev in && $ip neigh replace 198.51.100.10 lladdr {SERVER_MAC} nud permanent dev out")


class Kernel:
    """Linux forwards, by nftables with connection tracking."""

    def __init__(self, vm, kind):
        self.vm, self.kind, self.pci = vm, kind, devices(vm, kind)

    def start(self):
        vm = self.vm
        for pci, name in zip(self.pci, ("in", "out")):
            bind(vm, pci, "igbvf" if self.kind == "vf" else "virtio-pci")
            link = link_of(vm, pci, self.kind)
            must(vm, f"$ip link set {link} name {name} && echo 1 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6 && $ip link set {name} up")
        addresses(vm)
        must(vm, "nft -f /etc/sallyport/compare.nft && echo 1 >/proc/sys/net/ipv4/ip_forward")
        must(vm, "for i in $(seq 100); do [ $(cat /sys/class/net/in/carrier)$(cat /sys/class/net/out/carrier) = 11 ] && break; sleep 0.1; done")

    def work(self):
        return {}

    def stop(self):
        must(self.vm, "echo 0 >/proc/sys/net/ipv4/ip_forward; nft flush ruleset")
        for pci in self.pci:
            must(self.vm, f"echo {pci} >/sys/bus/pci/devices/{pci}/driver/unbind")


class Sallyport:
    """Sallyport forwards, by DPDK over vfio-pci."""

    def __init__(self, vm, kind):
        self.vm, self.pci, self.firewall = vm, devices(vm, kind), Firewall(vm, f"compare_{kind}")

    def start(self):
        for pci in self.pci:
            bind(self.vm, pci, "vfio-pci")
        log = self.firewall.start()
        if "sallyport: ready" not in log:
            raise VmLost(f"Sallyport does not start: {log[-1000:]}")
        addresses(self.vm)
        for name in ("in", "out"):
            if self.firewall.wait_link(name, "up", 20) is None:
                raise VmLost(f"link {name} stays down")
        time.sleep(1)  # what it reads by netlink

    def work(self):
        """Cycles in which workers had packets, of the TSC."""
        workers = self.firewall.get("/v1/workers").get("workers", [])
        return {"busy_cycles": sum(w.get("busy_cycles", w.get("cycles", {}).get("busy", 0)) for w in workers)}

    def stop(self):
        self.firewall.stop()
        must(self.vm, "$ip link del in; $ip link del out; true")


def snapshot(vm):
    """Counters of the whole guest: context switches, interrupts by kind, CPU time by kind in jiffies."""
    text = must(vm, "cat /proc/stat /proc/interrupts")
    ticks = [int(n) for n in re.search(r"^cpu +(.*)", text, re.M)[1].split()]
    seen = {"switches": int(re.search(r"^ctxt (\d+)", text, re.M)[1]), "interrupts": 0, "timer": 0, "busy": sum(ticks[:3]) + sum(ticks[5:7]), "kernel": ticks[2] + ticks[5] + ticks[6]}
    for line in text.splitlines():
        if found := re.match(r" *(\w+): +((?:\d+ +)+)(.*)", line):
            count = sum(int(n) for n in found[2].split())
            if found[1] == "LOC":
                seen["timer"] += count
            elif found[1].isdigit() and "ttyS" not in found[3]:
                seen["interrupts"] += count
    return seen


# --- one load ----------------------------------------------------------------------------------------------------------------


class Trace:
    """Accesses to what QEMU emulates by functions (registers, not RAM), meanwhile, counted by memory region."""

    def __init__(self, vm, path):
        self.vm, self.path = vm, path

    def switch(self, on):
        for event in ("memory_region_ops_read", "memory_region_ops_write"):
            self.vm.monitor.ask("trace-event-set-state", name=event, enable=on)

    def __enter__(self):
        self.began = os.path.getsize(self.path) if os.path.exists(self.path) else 0
        self.switch(True)
        return self

    def __exit__(self, *exc):
        self.switch(False)

    def counts(self):
        found = {}
        with open(self.path, errors="replace") as f:
            f.seek(self.began)
            for line in f:
                if "memory_region_ops_" in line and (name := re.search(r"name '([^']*)'", line)):
                    found[name[1]] = found.get(name[1], 0) + 1
        return found


def blast(vm, program, case, packets, rate):
    _, _, wire_in, wire_out, mac = CASES[case]
    frame = bytes(Ether(dst=mac, src=CLIENT_MAC) / IP(src="192.0.2.10", dst="198.51.100.10") / UDP(sport=10000, dport=9000, chksum=0) / Raw(bytes(PAYLOAD - 4)))
    at = vm.folder
    command = [program, f"{at}/host{wire_in}.sock", f"{at}/guest{wire_in}.sock", f"{at}/host{wire_out}.sock", str(packets), str(rate), str(FLOWS)]
    done = subprocess.run(["setpriv", "--pdeathsig", "KILL", *command], input=frame.ljust(60, b"\0"), capture_output=True, timeout=120)
    if done.returncode != 0:
        raise VmLost(f"blast: {done.stderr.decode()}")
    return json.loads(done.stdout)


def measure(vm, program, forwarder, case, packets, rate, trace):
    """One load twice: counted in the guest, and once more while QEMU's accesses are traced, which slows it."""
    before, work = snapshot(vm), forwarder.work()
    seen = blast(vm, program, case, packets, rate)
    after, worked = snapshot(vm), forwarder.work()
    n = max(seen["received"], 1)
    result = {"sent": seen["sent"], "received": seen["received"], "seconds": seen["seconds"], "packets_per_second": round(seen["received"] / max(seen["seconds"], 1e-6))}
    for key in ("switches", "interrupts", "timer"):
        result[key] = (after[key] - before[key]) / n
    for key in ("busy", "kernel"):
        result[f"{key}_cpu_us"] = (after[key] - before[key]) * JIFFY_MS * 1000 / n
    for key in worked:
        result[key] = (worked[key] - work.get(key, 0)) / n
    with Trace(vm, trace) as traced:
        again = blast(vm, program, case, packets, rate)
    regions = traced.counts()
    n = max(again["received"], 1)
    result["regions"] = {name: count / n for name, count in sorted(regions.items(), key=lambda item: -item[1])}
    result["registers"] = sum(count for name, count in regions.items() if name.startswith(REGISTERS)) / n
    return result


# --- report ------------------------------------------------------------------------------------------------------------------


def number(value):
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.01 or value == 0 else f"{value:.4f}"


def table(results, load):
    names = list(results)
    rows = [
        ("packets sent, received", lambda c, r: f"{r['sent']}, {r['received']}"),
        ("packets a second (emulated)", lambda c, r: str(r["packets_per_second"])),
        ("device interrupts a packet", lambda c, r: number(r["interrupts"])),
        ("timer interrupts a packet", lambda c, r: number(r["timer"])),
        ("context switches a packet", lambda c, r: number(r["switches"])),
        ("NIC register accesses a packet", lambda c, r: number(r["registers"])),
        ("of these VM exits, if it were hardware (reasoned)", lambda c, r: "0: BAR is mapped" if CASES[c][1] == "vf" else f"{number(r['registers'])}: kicks"),
        ("CPU copies a packet, hypervisor + guest (reasoned)", lambda c, r: f"{COPIES[c][0]} + {COPIES[c][1]}"),
        ("guest CPU, all, microseconds a packet", lambda c, r: number(r["busy_cpu_us"])),
        ("of it in the kernel", lambda c, r: number(r["kernel_cpu_us"])),
        ("cycles with work, of Sallyport's worker, a packet", lambda c, r: number(r.get("busy_cycles"))),
    ]
    lines = [f"| {' | '.join(['', *(TITLES[n] for n in names)])} |", f"|---{'|---:' * len(names)}|"]
    lines += [f"| {title} | {' | '.join(cell(n, results[n][load]) for n in names)} |" for title, cell in rows]
    return "\n".join(lines)


def report(results, machine):
    copies = "\n".join(f"- {TITLES[name]}: {COPIES[name][2]}." for name in results)
    return f"""# Forwarding in a VM: kernel and Sallyport, VFs and virtio-net

**Emulated** ({machine}; no hardware NIC, IOMMU or virtualization takes part): a comparison of the work that is done for a packet, not of
hardware speed. The emulated VFs and the emulated virtio-net stand for hardware VFs and for a hypervisor's vhost backend. Packets a second say how
much work a packet makes for this emulator; a polling worker spends its CPU also while nothing comes.

One VM, two CPUs, behind an emulated VT-d; 64-byte UDP, {FLOWS} flows, one direction, one rule with connection tracking on either side.
Register accesses are counted by QEMU's trace in a second run of each load.

## As fast as it goes: {PACKETS} packets

{table(results, "full")}

## {PACED} packets a second: {PACED_PACKETS} packets

{table(results, "paced")}

Copies and exits are reasoned, not measured: emulation has neither DMA engine nor VM exits. With pass-through a VF's registers are the guest's
own pages, so an access to them leaves no guest; a virtio kick leaves it, unless the backend polls. DMA of the device is no CPU copy.

{copies}
"""


# --- run ---------------------------------------------------------------------------------------------------------------------


class CompareVm(Vm):
    """Two NICs with VFs, and two of virtio-net; QEMU's trace goes to a file."""

    def arguments(self):
        return [*super().arguments(), "-D", self.trace()]

    def trace(self):
        return os.path.join(self.folder, "trace")


def run_case(vm, program, case):
    who, kind = CASES[case][:2]
    forwarder = (Kernel if who == "kernel" else Sallyport)(vm, kind)
    forwarder.start()
    try:
        blast(vm, program, case, 500, 0)  # sessions, caches
        return {
            "full": measure(vm, program, forwarder, case, PACKETS, 0, vm.trace()),
            "paced": measure(vm, program, forwarder, case, PACED_PACKETS, PACED, vm.trace()),
        }
    finally:
        forwarder.stop()


def too_late(*_):
    raise TimeoutError(f"not done after {RUN_SECONDS} s")


def compare(vm, program, cases):
    results = {}
    must(vm, "load compare")
    for wire in vm.wires:
        wire.close()  # blast takes their place
    for case in cases:
        began = time.monotonic()
        results[case] = run_case(vm, program, case)
        print(f"  {TITLES[case]}: {results[case]['full']['packets_per_second']} packets/s, {time.monotonic() - began:.0f} s", flush=True)
    return results


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--image", required=True, help="folder with vmlinuz and initrd")
    options.add_argument("--blast", required=True, help="the program made of blast.c")
    options.add_argument("--out", required=True, help="folder for vm.md and vm.json")
    options.add_argument("--cases", default=",".join(CASES), help="of %(default)s, those to run")
    args = options.parse_args()
    console = os.path.join(os.path.abspath(args.image), "console.log")
    vm = start_machine(lambda: CompareVm(args.image, console, ("igb", "igb", VIRTIO, VIRTIO)), "bench-vm")
    if vm is None:
        return 1
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(RUN_SECONDS)
    try:
        results = compare(vm, os.path.abspath(args.blast), args.cases.split(","))
    except (VmLost, TimeoutError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench-vm: {error}", file=sys.stderr)
        return 1
    finally:
        signal.alarm(0)
        vm.close()
    machine = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True).stdout.split("\n")[0] + ", TCG"
    text = report(results, machine)
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "vm.md"), "w") as f:
        f.write(text)
    with open(os.path.join(args.out, "vm.json"), "w") as f:
        json.dump({"emulated": True, "machine": machine, "flows": FLOWS, "cases": results, "copies_reasoned": COPIES}, f, indent=1)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
