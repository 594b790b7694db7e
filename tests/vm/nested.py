#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""
make test-vm-nested: a hypervisor in a VM makes virtual functions with sallyport-vf and gives them to the built image, which boots from a seed and
firewalls between the hosts on the wires.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "hypervisor")]
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

from hosts import Host  # noqa: E402
from machine import Appliance, Guest, Hypervisor  # noqa: E402
from report import Table, wait_for  # noqa: E402
from seed import HOSTNAME, text_of, write_seed  # noqa: E402
from vm import VmLost  # noqa: E402

ATTEMPT_SECONDS = 2400  # all of it, far more than it takes on a machine that does nothing else
TRIES = 3  # of what the emulation may break: a machine that does not come up. What was tested once is never tried again
BOOT_SECONDS = 600  # of the appliance, from its QEMU to the login prompt
HOST_TOOL_SECONDS = 400
SSH_SECONDS = 200  # from there to SSH
VFS = {0: ("02:00:00:00:00:10", "02:00:00:00:00:20"), 1: ("02:00:00:00:00:11", "02:00:00:00:00:21")}  # MAC addresses of each PF's VFs
CLIENT, SERVER = ("192.0.2.1", "2001:db8:a::1"), ("198.51.100.10", "2001:db8:b::10")
ATTACK = "/?id=1+UNION+SELECT+password"


# --- the hypervisor ----------------------------------------------------------------------------------------------------------


def host_tool(vm, table):
    """All that sallyport-vf promises of a PF, which it leaves as it was; what outlasts a boot is seen by the event that a boot brings."""
    table.part("sallyport-vf on a PF of the hypervisor")
    code, said = vm.run("bash /share/vf_on_hardware.sh $LINK0", HOST_TOOL_SECONDS)
    for good, name in re.findall(r"^(ok|FAILED) +(.*)$", said, re.M):
        table.row(name, good == "ok", name)
    table.row("all of it was done", code == 0, said[-400:] if code else "")


def make_vfs(vm, table):
    table.part("the hypervisor")
    kernel = vm.run("dmesg | grep -c 'DMAR: IOMMU enabled'; ls /dev/kvm")[1].split()
    table.row("its kernel uses the IOMMU, and has KVM", kernel == ["1", "/dev/kvm"], " ".join(kernel))
    for n, macs in VFS.items():
        code, said = vm.run(f"sallyport-vf create $LINK{n} {len(macs)} --mac {','.join(macs)} --driver vfio-pci", 60)
        table.row(f"sallyport-vf create: two VFs on PF {n}", code == 0 and all(mac in said for mac in macs), said if code else "exit 0, their MAC addresses shown")
    seen = vm.run("for v in /sys/bus/pci/devices/*/virtfn*; do basename $(readlink $v/driver); ls $v/iommu_group/devices; done")[1].split()
    table.row("all four are bound to vfio-pci", seen[0::2] == ["vfio-pci"] * 4, " ".join(seen[0::2]))
    table.row("each is alone in its IOMMU group", len(seen) == 8 and len(set(seen[1::2])) == 4, " ".join(seen[1::2]))
    code, printed = vm.run("sallyport-vf show --qemu --vf 0 $PF0 $PF1")
    table.row("sallyport-vf show --qemu prints arguments", code == 0 and printed.count("vfio-pci,host=") == 2, "" if code == 0 else printed)
    return " ".join(printed.split())


def arguments_without_iommu(vm):
    """The first VF for a guest that has no IOMMU: what sallyport-vf prints for it, without the IOMMU."""
    printed = vm.sh("sallyport-vf show --qemu --vf 0 $PF0").splitlines()
    return " ".join(line for line in printed if "intel-iommu" not in line)


def isolation(vm, table):
    """A guest that drives its VF by guest-physical addresses, as a hostile one would."""
    table.part("a guest without an IOMMU drives its VF by hand")
    guest = Guest(vm, "hostile", 512)
    vm.sh("dmesg -C")

    def armed():
        guest.start(f"{arguments_without_iommu(vm)} -accel kvm -kernel /share/vmlinuz -initrd /share/guest-initrd -append 'console=ttyS0 panic=-1 loglevel=4' -no-reboot")
        guest.until_console("armed|dma_probe:|guest: end", 90)

    vm.wires[0].forget()
    retried(guest, table, "a guest without an IOMMU", armed)
    sent = vm.wires[0].receive(lambda frame: b"FROM-MAPPED-MEMORY" in frame, 1, 10)
    vm.wires[0].send([bytes(Ether(dst=VFS[0][0], src="02:00:00:00:0a:01", type=0x88B5) / Raw(b"into memory %d" % n + bytes(46))) for n in range(2)])
    guest.until_console("guest: end", 60)
    said = guest.console()
    guest.wait_end()
    table.row("DMA inside its RAM: a frame is sent from it", "read inside: done" in said and len(sent) == 1, said[-300:] if not sent else "")
    table.row("DMA inside its RAM: a frame is received into it", "write inside: done" in said)
    faults = [line[line.index("DMAR: [") + 6 :] for line in vm.run("dmesg")[1].splitlines() if "DMAR: [" in line]
    for way, address in (("read", "0x70000000"), ("write", "0x78000000")):
        seen = [f for f in faults if f"DMA {way.title()}" in f and f"fault addr {address}" in f and "01:10.0" in f]
        table.row(f"DMA {way} of the hypervisor's RAM: blocked, in its log", seen, seen[0].strip() if seen else f"{len(faults)} faults; {said.strip()[-200:]}")


# --- the appliance -----------------------------------------------------------------------------------------------------------


def retried(guest, table, what, start):
    """Starts a guest, again where the emulation broke it. VmLost when it does not come up at last, or a check failed."""
    failed = table.failed
    for attempt in range(1, TRIES + 1):
        try:
            return start()
        except (VmLost, TimeoutError) as error:
            if table.failed > failed or attempt == TRIES:
                raise VmLost(f"{what} does not come up: {error}") from error
            print(f"test-vm-nested: {what}, start {attempt} of {TRIES} failed: {error}", flush=True)
            guest.cut_power()
    return None


class Nested:
    """The appliance in the hypervisor, and the hosts on both wires."""

    def __init__(self, vm, table, devices):
        self.vm, self.table, self.devices = vm, table, devices
        self.gate = Appliance(vm, "appliance")
        self.client = Host(vm.wires[0], "client", "02:00:00:00:0a:01", [f"{CLIENT[0]}/24", f"{CLIENT[1]}/64"], ["192.0.2.2", "2001:db8:a::2"])
        self.server = Host(vm.wires[1], "server", "02:00:00:00:0b:01", [f"{SERVER[0]}/24", f"{SERVER[1]}/64"], ["198.51.100.2", "2001:db8:b::2"])
        self.client.serve()
        self.server.serve()

    def close(self):
        self.client.close()
        self.server.close()

    def start(self, what):
        """Powers the appliance on and waits until it takes SSH; the seconds that it took."""
        return retried(self.gate, self.table, what, self.power_on)

    def power_on(self):
        began = time.monotonic()
        disks = "-drive file=/dev/vdb,format=raw,if=none,id=disk,cache=none -device virtio-blk-pci,drive=disk,bootindex=1"
        disks += " -drive file=/share/seed.iso,format=raw,if=none,id=seed,readonly=on -device virtio-blk-pci,drive=seed"
        management = "-netdev user,id=mgmt,hostfwd=tcp:127.0.0.1:2222-:22 -device virtio-net-pci,netdev=mgmt,romfile="
        self.gate.forget_ssh()
        self.gate.start(f"-accel kvm {self.devices} {disks} {management}")
        self.reachable()
        return time.monotonic() - began

    def reachable(self):
        """Waits until the appliance has booted, as its console shows, and takes SSH."""
        self.gate.until_console(r"login:", BOOT_SECONDS)
        code, said = wait_for(lambda: (found := self.gate.ssh("true"))[0] == 0 and found, SSH_SECONDS, 2) or (255, "")
        if code != 0:
            self.table.row("SSH into the appliance, which has booted", False, f"{said} {self.gate.console().strip()[-1500:]}")
            raise VmLost("no SSH into the appliance")

    def wait_ready(self, seconds=60):
        """Whether all ports of the firewall are up, and what it says otherwise."""
        wait_for(lambda: self.gate.ask("status").get("ready") is True, seconds, 1)
        ports = self.gate.ask("ports").get("ports", [])
        up = [port.get("link") for port in ports] == ["up", "up"]
        return up, " ".join(f"{port.get('name')}: {port.get('mac')} {port.get('link')}" for port in ports)

    def drops(self, reason):
        return self.gate.ask("stats").get("drops", {}).get(reason, -1)

    def dropped(self, reason, act):
        """(what act returned, how many more packets were dropped for the reason)"""
        before = self.drops(reason)
        result = act()
        wait_for(lambda: self.drops(reason) > before, 10, 1)
        return result, self.drops(reason) - before


def first_boot(nested):
    table, gate = nested.table, nested.gate
    table.part("the appliance boots from its seed")
    seconds = nested.start("the appliance")
    table.row("SSH with the seed's key", True, f"after {seconds:.0f} s")
    name = gate.ssh("hostname")[1].strip()
    table.row("its hostname is the seed's", name == HOSTNAME, name)
    up, seen = nested.wait_ready()
    table.row("both ports are up", up, seen)
    ports = [(port.get("driver"), port.get("mac")) for port in gate.ask("ports").get("ports", [])]
    table.row("on the VFs, with the MAC addresses that the PFs gave them", ports == [("net_e1000_igb_vf", VFS[n][0]) for n in VFS], ports)
    status = gate.ask("status")
    table.row("nothing is degraded", status.get("degraded") == [], status.get("degraded", status))
    ids = [rule.get("id") for rule in gate.ask("rules").get("rules", [])]
    table.row("the seed's rules are in force", ids == [10, 11, 12, 13], ids)
    if table.failed:
        print("    the firewall said:\n" + "".join(f"    | {line}\n" for line in gate.ssh("journalctl -b --no-pager -u sallyport | tail -40")[1].splitlines()), flush=True)


def traffic(nested):
    table, client, server = nested.table, nested.client, nested.server
    table.part("hosts on the wires")
    for n, kind in enumerate(("IPv4", "IPv6")):
        table.row(f"{kind}: ping from client to server", client.ping(SERVER[n], seconds=20))
        said = client.ask(SERVER[n], 9000)
        table.row(f"{kind}: allowed UDP, client to server and back", said == f"you are {CLIENT[n]}", said)
        said = server.ask(CLIENT[n], 9001)
        table.row(f"{kind}: allowed UDP, server to client and back", said == f"you are {SERVER[n]}", said)
        page = client.fetch(SERVER[n])
        table.row(f"{kind}: a web page", page == "hello", page)
    said, more = nested.dropped("default", lambda: client.ask(SERVER[0], 9001, 3))
    table.row("what no rule allows is dropped under its reason", said == "ETIMEDOUT" and more >= 1, f"{said}, default +{more}")
    said, more = nested.dropped("default", lambda: server.connect(CLIENT[0], 80, 3))
    table.row("nor may the server open what only the client may", said == "ETIMEDOUT" and more >= 1, f"{said}, default +{more}")
    page, more = nested.dropped("inspect_match", lambda: client.fetch(SERVER[0], ATTACK, 8))
    table.row("inspection drops an attack", page != "hello" and more >= 1, f"{page}; inspect_match +{more}")
    said = nested.gate.ssh("sudo dmesg | grep -c 'advertised our address'")[1].strip()
    table.row("Linux takes no frame of its own for a neighbour's", said == "0", f"{said} times; route_own {nested.drops('route_own')}")


def rules_hold(nested, when):
    """That the later rules are in force, seen from the wires."""
    said = nested.client.ask(SERVER[0], 9001, 20)
    nested.table.row(f"{when}: what they allow passes", said == f"you are {CLIENT[0]}", said)
    said, more = nested.dropped("default", lambda: nested.client.ask(SERVER[0], 9000, 3))
    nested.table.row(f"{when}: what they no longer allow is dropped", said == "ETIMEDOUT" and more >= 1, f"{said}, default +{more}")


def load_rules(nested):
    table, gate = nested.table, nested.gate
    table.part("a rule file loaded over SSH")
    code, said = nested.vm.run(f"cat /share/later.rules | timeout 60 {gate.SSH} sallyctl rules put - 2>&1", 70)
    table.row("sallyctl rules put, through SSH", code == 0, said)
    text = gate.ssh("sudo cat /etc/sallyport/rules.d/main.rules")[1]
    table.row("the rule file is what was loaded", text == text_of("later.rules"), text[:200])
    rules_hold(nested, "loaded")


def after_boot(nested, when):
    up, seen = nested.wait_ready()
    nested.table.row(f"{when}: both ports are up", up, seen)
    ids = [rule.get("id") for rule in nested.gate.ask("rules").get("rules", [])]
    nested.table.row(f"{when}: the loaded rules are in force", ids == [10, 12, 13, 21], ids)
    rules_hold(nested, when)


def reboot(nested):
    nested.table.part("a reboot")
    began = time.monotonic()
    nested.gate.reboot()
    try:
        nested.reachable()
    except VmLost as error:
        if nested.table.failed:
            raise
        print(f"test-vm-nested: the emulation lost the reboot, powered on again: {error}", flush=True)
        nested.gate.cut_power()
        nested.start("the appliance after a reboot")
    nested.table.row("after a reboot: SSH", True, f"after {time.monotonic() - began:.0f} s")
    after_boot(nested, "after a reboot")


def power_loss(nested):
    nested.table.part("a power loss")
    nested.gate.cut_power()
    seconds = nested.start("the appliance after a power loss")
    nested.table.row("after a power loss: SSH", True, f"after {seconds:.0f} s")
    after_boot(nested, "after a power loss")


def unplugged(nested):
    """The hypervisor takes a VF out of the running appliance, and gives it back."""
    table, gate = nested.table, nested.gate
    table.part("a VF taken out of the running appliance, and given back")
    listed = gate.monitor("qom-list /machine/peripheral-anon")
    first = re.search(r"(device\[\d+\]) \(child<vfio-pci>\)", listed)
    if first is None:
        raise VmLost(f"QEMU lists no VF: {listed[-300:]}")
    gate.monitor(f"device_del /machine/peripheral-anon/{first[1]}")

    def states():
        return {port.get("name"): port.get("state") for port in gate.ask("ports").get("ports", [])}

    wait_for(lambda: states().get("lan") == "absent", 40, 1)
    seen = states()
    table.row("its port is absent, the other one runs", seen == {"lan": "absent", "wan": "running"}, seen)
    codes = [entry.get("code") for entry in gate.ask("status").get("degraded", [])]
    table.row("the status says so", "port-absent" in codes, codes)
    said = nested.server.run("ping", "-n", "-c", "1", "-w", "15", "198.51.100.2", seconds=20)
    table.row("what is left answers", said.returncode == 0, said.stdout.strip()[-100:])
    back = re.search(r"-device (vfio-pci,host=\S+)", nested.devices)[1]
    said = gate.monitor(f"device_add {back}")
    wait_for(lambda: states().get("lan") == "running", 150, 2)
    seen = states()
    runs = seen == {"lan": "running", "wan": "running"}
    table.row("given back, it is bound, and its port runs without a restart", runs, seen if runs else f"{seen} {said.strip()[-200:]}")
    table.row("and the client reaches the server again", nested.client.ping(SERVER[0], seconds=30))


# --- all of it ---------------------------------------------------------------------------------------------------------------


def share_files(args, share):
    """What the hypervisor reads, in a folder that it sees; a key of SSH for this run alone."""
    shutil.rmtree(share, ignore_errors=True)
    os.makedirs(share)
    for name in ("vmlinuz", "guest-initrd"):
        shutil.copy(os.path.join(args.hypervisor, name), share)
    shutil.copy(os.path.join(HERE, "hypervisor", "seed", "later.rules"), share)
    shutil.copy(os.path.join(HERE, os.pardir, "deploy", "vf_on_hardware.sh"), share)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nested test", "-f", os.path.join(share, "key")], check=True)
    with open(os.path.join(share, "key.pub")) as f:
        write_seed(os.path.join(share, "seed.iso"), f.read().strip())


def check_all(vm, table, parts):
    vm.sh("mkdir -p /share && mount -t 9p -o trans=virtio,ro share /share && install -m 600 /share/key /run/key")
    if parts == ["host"]:
        host_tool(vm, table)
        return
    devices = make_vfs(vm, table)
    if "isolation" in parts:
        isolation(vm, table)
    if "appliance" not in parts:
        return
    nested = Nested(vm, table, devices)
    try:
        first_boot(nested)
        traffic(nested)
        load_rules(nested)
        if "boots" in parts:
            reboot(nested)
            power_loss(nested)
        if "unplug" in parts:
            unplugged(nested)
    finally:
        nested.close()


def attempt(args, share):
    """One machine, all checks: the table, and what broke the machine or None."""
    table = Table()
    try:
        with Hypervisor(args.hypervisor, share, args.image) as vm:
            print(f"test-vm-nested: the hypervisor is up after {time.monotonic() - table.began:.0f} s; consoles: {vm.console_path}, {vm.guest_console}", flush=True)
            check_all(vm, table, args.parts.split(","))
    except (VmLost, TimeoutError, OSError) as error:
        return table, error
    return table, None


def too_late(*_):
    raise TimeoutError(f"the checks were not done after {ATTEMPT_SECONDS} s")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hypervisor", required=True, help="folder that hypervisor/build.py made")
    options.add_argument("--image", required=True, help="disk image of the appliance")
    options.add_argument("--parts", default="isolation,appliance,boots,unplug", help="what to do (%(default)s), or host, which wants a machine for itself")
    args = options.parse_args()
    args.hypervisor = os.path.abspath(args.hypervisor)
    share = os.path.join(args.hypervisor, "share")
    share_files(args, share)
    signal.signal(signal.SIGALRM, too_late)
    began = time.monotonic()
    for n in range(1, TRIES + 1):
        signal.alarm(ATTEMPT_SECONDS)
        table, broken = attempt(args, share)
        signal.alarm(0)
        # What was tested and failed has failed. Only a machine that the emulation broke before that is given another chance.
        if broken is None or table.failed > 0 or n == TRIES:
            break
        print(f"test-vm-nested: attempt {n} of {TRIES}: the emulation broke the machine, all is done anew: {broken}", flush=True)
    if broken is not None:
        table.row("the machines stay to the end", False, broken)
    print(f"\n  {time.monotonic() - began:.0f} s\n{table.passed} passed, {table.failed} failed")
    return 0 if table.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
