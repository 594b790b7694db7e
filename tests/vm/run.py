#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""
make test-vm: Sallyport on virtual functions behind an IOMMU, in a VM; frames come in and go out by the PFs' wires. First as a bump in the wire,
then as a router between real hosts; what happens to its devices meanwhile; and that they reach no memory but theirs.
"""
import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

import events_part  # noqa: E402
import route_part  # noqa: E402
import wire_part  # noqa: E402
from report import Table  # noqa: E402
from vm import Vm, VmLost, start_machine  # noqa: E402

RUN_SECONDS = 600  # all checks together, far more than they take
PARTS = ("wire", "route", "events", "memory")


def guest(vm, table):
    table.part("the machine")
    dmesg = vm.run("dmesg")[1]
    table.row("VT-d is on, with interrupt remapping", "DMAR: IOMMU enabled" in dmesg and "Enabled IRQ remapping" in dmesg)
    listed = vm.run("for v in $VF0 $VF1 $OTHER0 $OTHER1; do ls /sys/bus/pci/devices/$v/iommu_group/devices; done")[1].split()
    table.row("each VF is alone in its IOMMU group", len(listed) == 4 and len(set(listed)) == 4, " ".join(listed))
    drivers = vm.run("for v in $VF0 $VF1 $OTHER1; do basename $(readlink /sys/bus/pci/devices/$v/driver); done")[1].split()
    table.row("the VFs are bound to vfio-pci", drivers == ["vfio-pci"] * 3, " ".join(drivers))


def doctor(vm, table):
    """`sallyport doctor` in the guest, beside the firewall that runs: what it says of the devices is what is there."""
    code, text = vm.run("sallyport doctor --json -c /etc/sallyport/route.conf 2>/run/doctor.err", 60)
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    vfs = sorted(d.get("pci") for d in said.get("devices", []) if d.get("kind") == "vf" and d.get("driver") == "vfio-pci")
    known = sorted(vm.run("echo $VF0 $VF1 $OTHER1")[1].split())
    table.row("sallyport doctor --json names the three VFs and their driver", vfs == known, " ".join(map(str, vfs)) or f"exit {code}: {text[-200:]}")
    levels = {f.get("level") for f in said.get("findings", [])}
    table.row("sallyport doctor: levels are of its four, exit code fits", levels and levels <= {"ok", "note", "warning", "error"} and code == int("error" in levels), f"exit {code}, {sorted(map(str, levels))}")


def isolation(vm, table):
    """A device that is told to read and write where nothing is mapped for it."""
    table.part("memory")
    vm.run("dmesg -c >/dev/null")
    mac = vm.run("$ip link show $LINK0 | sed -n 's/.*vf 0 .*link\\/ether \\([0-9a-f:]*\\).*/\\1/p'")[1].strip()
    vm.wires[0].forget()
    vm.begin("dma_probe $VF0")
    said = vm.until(r"armed\n|dma_probe: .*\n", 60)
    sent = vm.wires[0].receive(lambda frame: b"FROM-MAPPED-MEMORY" in frame, 1, 20)
    table.row("DMA inside the mapping: a frame is sent from it", "read inside: done" in said and len(sent) == 1)
    vm.wires[0].send([bytes(Ether(dst=mac, src=wire_part.CLIENT_MAC, type=0x88B5) / Raw(b"into memory %d" % n + bytes(46))) for n in range(2)])
    said += vm.finish()[1]
    table.row("DMA inside the mapping: a frame is received into it", "write inside: done" in said)
    faults = [line[line.index("DMAR: [") + 6 :] for line in vm.run("dmesg")[1].splitlines() if "DMAR: [" in line]
    for way, address in (("read", "0xdead0000"), ("write", "0xbeef0000")):
        seen = [f for f in faults if f"DMA {way.title()}" in f and f"fault addr {address}" in f and "01:10.0" in f]
        table.row(f"DMA {way} outside the mapping faults", seen, seen[0].strip() if seen else f"{len(faults)} faults; {said.strip()[-200:]}")


def routed(vm, table, parts):
    firewall = route_part.begin(vm, table)
    if firewall is None:
        return
    hosts = route_part.Hosts(vm)
    try:
        if "route" in parts:
            route_part.check(vm, firewall, hosts, table)
            doctor(vm, table)
        if "events" in parts:
            events_part.check(vm, firewall, hosts, table)
    finally:
        hosts.close()
        if table.failed:
            print("    the firewall said:\n" + "".join(f"    | {line}\n" for line in firewall.log().splitlines()[-40:]), flush=True)
    wire_part.accounting(firewall, table)
    wire_part.stop(firewall, table)


def check_all(vm, table, parts):
    guest(vm, table)
    if "wire" in parts:
        wire_part.check(vm, table)
    if "route" in parts or "events" in parts:
        routed(vm, table, parts)
    if "memory" in parts:
        isolation(vm, table)


def too_late(*_):
    raise TimeoutError(f"the checks were not done after {RUN_SECONDS} s")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--image", required=True, help="folder with vmlinuz and initrd")
    options.add_argument("--parts", default=",".join(PARTS), help="of %(default)s, those to run")
    args = options.parse_args()
    began = time.monotonic()
    console = os.path.join(os.path.abspath(args.image), "console.log")
    vm = start_machine(lambda: Vm(args.image, console), "test-vm")
    if vm is None:
        print("0 passed, 1 failed")
        return 1
    print(f"test-vm: the machine is up after {time.monotonic() - began:.0f} s; its console: {console}")
    table = Table()
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(RUN_SECONDS)
    try:
        check_all(vm, table, args.parts.split(","))
    except (VmLost, TimeoutError, OSError) as error:
        table.row("the machine stays to the end", False, error)
    finally:
        signal.alarm(0)
        vm.close()
    print(f"\n  {time.monotonic() - began:.0f} s\n{table.passed} passed, {table.failed} failed")
    return 0 if table.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
