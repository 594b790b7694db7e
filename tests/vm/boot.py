#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""make test-vm-boot: the appliance's image boots from good seeds and bad ones, and says on console, socket and banner what is to be mended."""
import argparse
import functools
import glob
import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

from appliance import DISK_GB, NIC_MACS, NIC_PCI, Appliance, make_iso  # noqa: E402
from report import Table, wait_for  # noqa: E402
from vm import VmLost  # noqa: E402

BOOT_SECONDS = 240  # from power to a login prompt, far more than it takes on an emulated CPU that others use too
TRIES = 3  # of a boot that the machine did not survive; what was tested once is never tried again
PROMPT = r"\S+ login: "

RULES = """version = 1;
default = { action = "drop"; log = true; };
rules = ( "10 allow udp from inside to outside dport 9000 name 'from the seed'" );
"""
PUT_RULES = """version = 1;
default = { action = "drop"; log = true; };
rules = ( "%d allow udp from inside to outside dport 9000 name 'by the socket'" );
"""
CONFIG = """mode = "route";
ports = (
    { name = "wan"; device = "%s"; zone = "outside"; },
    { name = "lan"; device = "%s"; zone = "inside"; }
);
rules = "/etc/sallyport/rules.d/main.rules";
api = { socket = "/run/sallyport/api.sock"; group = "sallyport"; };
log = { eve = "/var/log/sallyport/eve.json"; rotate_mb = 16; };
"""
NETWORK = "[Match]\nName=%s\n[Network]\nAddress=%s\nIPv6AcceptRA=no\n"
WAN_HOST, LAN_HOST = ("192.0.2.1", "02:00:00:00:0a:01"), ("198.51.100.10", "02:00:00:00:0b:01")


def indented(text):
    return "".join(f"      {line}\n" for line in text.splitlines())


def user_data(key, files, more=""):
    """cloud-config with the key and {path: text} written."""
    with open(key + ".pub") as f:
        text = f"#cloud-config\nssh_authorized_keys:\n  - {f.read().strip()}\n"
    if files:
        text += "write_files:\n"
    for path, body in files.items():
        text += f"  - path: {path}\n    content: |\n{indented(body)}"
    return text + more


def ports(config=None, rules=RULES):
    """The files of a seed that has everything."""
    return {
        "/etc/sallyport/sallyport.conf": config or CONFIG % (NIC_MACS[0], NIC_PCI[1]),
        "/etc/sallyport/rules.d/main.rules": rules,
        "/etc/systemd/network/30-wan.network": NETWORK % ("wan", "192.0.2.2/24"),
        "/etc/systemd/network/30-lan.network": NETWORK % ("lan", "198.51.100.1/24"),
    }


class Lab:
    """What the boots share: the image, a key, a folder, the table."""

    def __init__(self, image, folder, table, debs):
        self.image, self.folder, self.table, self.debs, self.made = image, folder, table, debs, 0
        self.key = os.path.join(folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)

    def nocloud(self, data, meta="instance-id: {}\nlocal-hostname: gate\ndsmode: local\n"):
        self.made += 1
        return make_iso(f"{self.folder}/seed{self.made}.iso", "cidata", {"user-data": data, "meta-data": meta.format(f"seed-{self.made}")})

    def boot(self, name, up, **options):
        """A machine that is up, as `up(machine)` waits for; harness failures are tried again."""
        for attempt in range(1, TRIES + 1):
            machine = Appliance(self.folder, f"{name}{attempt}", self.image, self.key, **options).start()
            try:
                up(machine)
                return machine
            except VmLost as error:
                machine.kill()
                print(f"  {name}: attempt {attempt} of {TRIES}: {error}", flush=True)
        raise VmLost(f"{name}: {TRIES} attempts")


def up(machine):
    machine.until(PROMPT, BOOT_SECONDS)
    machine.until_ssh(60)


def prompt(machine):
    machine.until(PROMPT, BOOT_SECONDS)


def banner(machine):
    """What the last login prompt of the serial console shows above it."""
    text = machine.console()
    return text[text.rfind("Sallyport ", 0, text.rfind(" login:")) :]


def says(table, machine, what, *patterns, motd=True, degraded=None):
    """The console, who logs in, and the socket are told of it."""
    seen = banner(machine)
    missing = [p for p in patterns if not re.search(p, seen)]
    table.row(f"console says: {what}", not missing, seen if missing else "")
    if motd:
        seen = machine.ssh("sudo /etc/update-motd.d/50-sallyport")[1]  # as pam_motd runs it
        missing = [p for p in patterns if not re.search(p, seen)]
        table.row(f"banner of a login says: {what}", not missing, seen if missing else "")
    if degraded:
        found = machine.degraded()
        table.row(f"socket says: {degraded}", degraded in found, found)


def udp(dport, text=b"boot"):
    """From the lan's host to the wan's, by the firewall."""
    packet = Ether(dst=NIC_MACS[1], src=LAN_HOST[1]) / IP(src=LAN_HOST[0], dst=WAN_HOST[0]) / UDP(sport=40000, dport=dport) / Raw(text)
    return bytes(packet).ljust(60, b"\0")


def send(machine, number, frames):
    """Into a wire. A NIC that nobody serves takes a few and then no more."""
    try:
        machine.wires[number].send(frames)
    except TimeoutError:
        pass


def passes(machine, dport):
    """Whether a datagram from the lan comes out at the wan, whose host answers ARP meanwhile."""
    text = b"boot %d" % time.monotonic_ns()
    wan = machine.wires[0]
    wan.forget()
    reply = Ether(dst=NIC_MACS[0], src=WAN_HOST[1]) / ARP(op=2, hwsrc=WAN_HOST[1], psrc=WAN_HOST[0], hwdst=NIC_MACS[0], pdst="192.0.2.2")
    for _ in range(10):
        send(machine, 1, [udp(dport, text)])
        send(machine, 0, [bytes(reply).ljust(60, b"\0")])
        if wan.receive(lambda frame: text in frame, 1, 1):
            return True
    return False


def silent(machine, table):
    """Nothing that comes in by one wire leaves by the other: what the rules would allow, ARP, broadcasts."""
    if len(machine.wires) < 2:
        return
    machine.wires[0].forget()
    marked = b"closed %d" % time.monotonic_ns()
    shout = Ether(dst="ff:ff:ff:ff:ff:ff", src=LAN_HOST[1]) / IP(src=LAN_HOST[0], dst="255.255.255.255") / UDP(dport=67) / Raw(marked)
    send(machine, 1, [udp(9000, marked), bytes(shout)] * 5)
    leaked = machine.wires[0].receive(lambda frame: marked in frame, 1, 3)
    table.row("fail-closed: nothing passes", not leaked, leaked)


# --- a good seed -----------------------------------------------------------------------------------------------------------------


def system_checks(machine, table):
    run = machine.ssh
    code, text = run("sudo -n true && id -nG")
    table.row("admin logs in by key, with sudo, in the group of the socket", code == 0 and "sallyport" in text.split() and "sudo" in text.split(), text)
    code, text = run("true", user="root")
    table.row("root does not log in", code == 255 and "Permission denied" in text, text)
    code, text = run("sudo sshd -T | grep -E '^(passwordauthentication|kbdinteractiveauthentication|permitrootlogin) '")
    table.row("no passwords over SSH", sorted(text.split()[1::2]) == ["no"] * 3, text)
    code, text = run("ip -o link show master mgmt; sudo ss -Hltnp | grep -v 127.0.0")
    table.row("sshd listens in the management VRF only", "%mgmt:22" in text and not re.search(r"(0\.0\.0\.0|\*|\]):22\b", text), text)
    code, text = run("/usr/sbin/sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding")
    table.row("Linux itself forwards nothing", text.split() == ["0", "0"], text)
    code, text = run("hostname; cat /var/lib/cloud/data/result.json; sudo cloud-init schema --system 2>&1 | tail -3")
    table.row("cloud-init: hostname, no errors, valid by its schema", text.startswith("gate\n") and '"errors": []' in text and "Valid schema" in text, text)
    code, text = run("systemctl --failed --no-legend --plain; systemctl is-system-running --wait", 120)
    table.row("no unit failed", text.strip() in ("running", "starting"), text)
    code, text = run("sudo grep -H . /etc/shadow | grep -vE ':[!*]+[^:]*:' ; ls /etc/ssh/ssh_host_*_key")
    table.row("no account has a password; host keys were made here", "shadow" not in text and "ssh_host_ed25519_key" in text, text)
    code, text = run("journalctl --no-pager -b -p err -q | grep -v ' kernel: ' | head -5")
    table.row("no errors in the journal", not text.strip(), text)
    code, text = run("resolvectl --no-pager status 2>/dev/null | grep -c 'DNS Servers'; ip rule show | grep -c 'lookup mgmt\\|lookup 1001'")
    table.row("names, time and updates go by management", text.split()[-1:] >= ["3"], text)


def firewall_checks(machine, table):
    status = wait_for(lambda: (s := machine.get("/v1/status")).get("ready") and s or None, 60, 1) or machine.get("/v1/status")
    table.row("the firewall is ready", status.get("ready") is True, status)
    drivers = machine.ssh(f"for d in {' '.join(NIC_PCI)}; do basename $(readlink /sys/bus/pci/devices/$d/driver); done")[1].split()
    table.row("both NICs are bound to vfio-pci, one named by MAC", drivers == ["vfio-pci"] * 2, drivers)
    text = machine.ssh("journalctl --no-pager -b -q -u sallyport -o cat")[1]
    table.row("memory is in huge pages", "of huge pages" in text, text)
    table.row("workers are on the isolated CPU", "workers: 1 on CPU 1" in text and machine.ssh("cat /sys/devices/system/cpu/isolated")[1].strip() == "1", text)
    text = machine.ssh("ip -br -4 address")[1]
    table.row("the ports' interfaces have the seed's addresses", "192.0.2.2/24" in text and "198.51.100.1/24" in text, text)
    code, text = machine.ssh("sallyctl status")
    table.row("sallyctl status, as admin without sudo", code == 0 and re.search(r"^ready +yes", text), text)
    table.row("the seed's rules are in force", machine.rule_ids() == [10], machine.rule_ids())
    table.row("an allowed datagram passes, another does not", passes(machine, 9000) and not passes(machine, 9001))
    text = machine.ssh("df --output=size -BG / | tail -1; test -d /sys/firmware/efi && echo UEFI || echo BIOS")[1].split()
    table.row("started by BIOS; the root file system has the whole disk", int(text[0].rstrip("G")) >= DISK_GB - 1 and text[1] == "BIOS", text)
    text = banner(machine)
    table.row("the console's banner: ready, where management is", "The firewall is ready" in text and "10.0.2.15" in text, text)
    code, text = machine.ssh("systemd-analyze security --no-pager sallyport.service | tail -1; grep -h . /sys/fs/cgroup/system.slice/sallyport.service/cgroup.procs | wc -l")
    table.row("systemd-analyze security", code == 0, text)


LOOP = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
COST = """cd /sys/fs/cgroup
# of services that ran and ended, too; not the sessions that look
used() { awk '/^usage_usec/ { s += $2 } END { print s }' "$@"; }
echo slices $(used init.scope/cpu.stat system.slice/cpu.stat)
echo apart $(used system.slice/sallyport.service/cpu.stat system.slice/ssh.service/cpu.stat)
s=$(date +%s%N); dash -c 'LOOP'; echo loop $((($(date +%s%N) - s) / 1000))
cd system.slice; for u in *.service; do echo "$(used $u/cpu.stat) us $u"; done | sort -rn | head -12
""".replace("LOOP", LOOP)


def boot_cost(machine, table):
    """CPU seconds of user space until ready, without the polling workers; scaled by a loop of the same shell here and there."""
    text = machine.ssh(COST)[1]
    found = {name: int(value) / 1e6 for name, value in re.findall(r"^(slices|apart|loop) (\d+)$", text, re.M)}
    began = time.monotonic()
    subprocess.run(["dash", "-c", LOOP], check=True)
    slower = max(found.get("loop", 0) / (time.monotonic() - began), 1)
    spent = found.get("slices", 0) - found.get("apart", 0)
    table.row("boot to ready in under 10 s of CPU time, scaled to this CPU", 0 < spent / slower < 10, f"{spent:.1f} s emulated, {slower:.1f} times slower: {spent / slower:.1f} s")
    print("\n".join(f"    {line}" for line in text.splitlines()[3:]), flush=True)


def rules_survive(lab, machine, table):
    status, body = machine.put_rules(PUT_RULES % 20)
    table.row("PUT /v1/rules over SSH", status == "200" and '"persistent": true' in body.replace('":true', '": true'), f"{status} {body}")
    before = machine.console().count(" login:")
    machine.ssh("sudo systemctl reboot", 20)
    machine.until(PROMPT, BOOT_SECONDS, before + 1)
    machine.until_ssh(60)
    table.row("after a reboot the rules that were put are in force", machine.rule_ids() == [20], machine.rule_ids())
    table.row("and carry packets", passes(machine, 9000))
    status, body = machine.put_rules(PUT_RULES % 30)
    machine.kill()
    table.row("PUT /v1/rules, then power loss at once", status == "200", f"{status} {body}")
    machine.start()
    up(machine)
    table.row("after power loss the rules that were put are in force", machine.rule_ids() == [30], machine.rule_ids())
    table.row("and carry packets", passes(machine, 9000))
    text = machine.ssh("hostname; ls /etc/ssh/*.pub; journalctl --no-pager -q -b -u cloud-init-local -u cloud-init-main | grep -ci traceback")[1]
    table.row("the same seed again changes nothing", text.startswith("gate\n") and text.split()[-1] == "0", text)


def replug(machine, table):
    """A NIC that is taken out and comes back is new to Linux, whose own driver takes it first."""

    def states():
        return {p["name"]: p.get("state") for p in machine.get("/v1/ports").get("ports", [])}

    machine.unplug(1)
    wait_for(lambda: states().get("lan") == "absent", 60, 1)
    table.row("a NIC is taken out: its port is absent, the other one runs", states() == {"wan": "running", "lan": "absent"}, states())
    wait_for(lambda: machine.ssh(f"ls /sys/bus/pci/devices/{NIC_PCI[1]}")[0] != 0, 30, 1)
    machine.plug(1)
    wait_for(lambda: states().get("lan") == "running", 60, 1)
    table.row("it comes back: bound to vfio-pci, and its port runs, without a restart", states() == {"wan": "running", "lan": "running"}, states())
    table.row("and packets pass", passes(machine, 9000))


def newer(deb, folder):
    """The package once more, under a higher version."""
    root = os.path.join(folder, "deb-" + os.path.basename(deb).partition("_")[0])
    subprocess.run(["dpkg-deb", "-R", deb, root], check=True)
    control = os.path.join(root, "DEBIAN/control")
    with open(control) as f:
        text = re.sub(r"^Version: (.*)$", r"Version: \1+boot1", f.read(), flags=re.M)
    with open(control, "w") as f:
        f.write(text)
    out = root + ".deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, out], check=True, stdout=subprocess.DEVNULL)
    return out


def update(lab, machine, table):
    packages = [p for name in ("sallyport", "sallyport-appliance") for p in glob.glob(f"{lab.debs}/{name}_*.deb")[:1]]
    if not packages:
        table.row("packages to update with are in " + lab.debs, False, os.listdir(lab.debs) if os.path.isdir(lab.debs) else "no such folder")
        return
    before = machine.ssh("sudo md5sum /etc/sallyport/sallyport.conf /etc/sallyport/rules.d/main.rules")[1]
    for package in packages:
        with open(newer(package, lab.folder), "rb") as f:
            subprocess.run([*machine.ssh_command(), f"cat > /tmp/{os.path.basename(package)}"], stdin=f, check=True, timeout=120)
    code, text = machine.ssh("sudo dpkg -i /tmp/*.deb </dev/null 2>&1; dpkg-query -W -f '${Version}\\n' sallyport", 240)
    table.row("dpkg -i of newer packages, asking nothing", code == 0 and text.strip().endswith("+boot1"), text)
    after = machine.ssh("sudo md5sum /etc/sallyport/sallyport.conf /etc/sallyport/rules.d/main.rules")[1]
    table.row("configuration and rules are as before", before == after, after)
    ready = wait_for(lambda: machine.get("/v1/status").get("ready"), 60, 1)
    table.row("the firewall runs again, under the same rules", ready and machine.rule_ids() == [30], machine.get("/v1/status"))
    code, text = machine.ssh("sudo dpkg -r --force-depends sallyport </dev/null 2>&1; systemctl is-active sallyport; ls /etc/sallyport", 120)
    table.row("a package that is removed stops its firewall and leaves the configuration", "inactive" in text.split() and "sallyport.conf" in text, text)


def good(lab):
    table = lab.table
    table.part("a good seed (NoCloud, ISO)")
    with lab.boot("good", up, seed=lab.nocloud(user_data(lab.key, ports()))) as machine:
        boot_cost(machine, table)
        firewall_checks(machine, table)
        system_checks(machine, table)
        rules_survive(lab, machine, table)
        replug(machine, table)
        update(lab, machine, table)


# --- what can be wrong -----------------------------------------------------------------------------------------------------------


def one_nic_no_iommu(lab):
    """The seed comes over management, as the SMBIOS serial number says."""
    table = lab.table
    table.part("one NIC of two, no IOMMU; seed by SMBIOS and HTTP; UEFI, SATA")
    folder = os.path.join(lab.folder, "http")
    os.makedirs(folder)
    for name, text in {"user-data": user_data(lab.key, ports()), "meta-data": "instance-id: by-http\nlocal-hostname: gate\n", "vendor-data": "", "network-config": ""}.items():
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        serial = f"ds=nocloud;s=http://10.0.2.2:{server.server_address[1]}/"
        with lab.boot("one", up, nics=1, iommu=False, smbios=serial, uefi=True, disk="sata") as machine:
            text = machine.ssh(f"hostname; basename $(readlink /sys/bus/pci/devices/{NIC_PCI[0]}/driver)")[1]
            table.row("seed over HTTP; the NIC is bound to uio_pci_generic", text.split() == ["gate", "uio_pci_generic"], text)
            text = machine.ssh("ls -d /sys/firmware/efi; lsblk -dno NAME,TRAN")[1]
            table.row("started by UEFI, from a SATA disk", "/sys/firmware/efi" in text and re.search(r"sda +sata", text), text)
            says(table, machine, "a port's device is missing", r"lan\b.*", degraded="port-absent")
            says(table, machine, "no IOMMU", r"(?i)iommu")
            states = {p["name"]: p.get("state") for p in machine.get("/v1/ports").get("ports", [])}
            table.row("the other port runs", states == {"wan": "running", "lan": "absent"}, states)
        server.shutdown()


def nothing_to_use(lab):
    table = lab.table
    table.part("no NICs for the firewall, little memory, nothing but a key in the seed; SCSI")
    with lab.boot("none", up, nics=0, memory_mb=640, disk="scsi", seed=lab.nocloud(user_data(lab.key, {}))) as machine:
        says(table, machine, "no devices", r"(?i)no (virtual functions|VFs?|devices|NICs?|port)")
        says(table, machine, "no huge pages", r"(?i)huge")
        status = machine.get("/v1/status")
        table.row("the socket answers, and it is not ready", status.get("ready") is False, status)


def held_and_wrong_rules(lab):
    """The seed itself has somebody else take the device, before the firewall starts."""
    table = lab.table
    table.part("a device that somebody holds; a wrong rule file")
    hold = """
modprobe vfio-pci
echo vfio-pci >/sys/bus/pci/devices/DEVICE/driver_override
[ ! -e /sys/bus/pci/devices/DEVICE/driver ] || echo DEVICE >/sys/bus/pci/devices/DEVICE/driver/unbind
echo DEVICE >/sys/bus/pci/drivers_probe
group=$(basename $(readlink /sys/bus/pci/devices/DEVICE/iommu_group))
systemd-run -p DefaultDependencies=no --unit holder sh -c "exec 3<>/dev/vfio/$group; sleep 100000"
""".replace("DEVICE", NIC_PCI[1])
    data = user_data(lab.key, ports(rules=RULES.replace("allow udp", "alow udp")), "bootcmd:\n  - |\n" + indented(hold))
    with lab.boot("held", up, seed=lab.nocloud(data)) as machine:
        says(table, machine, "the device is held", r"open in another process", degraded="port-absent")
        says(table, machine, "the rule file, with its line", r"main\.rules:3", degraded="no-rules")
        silent(machine, table)
        table.row("no rules pass anything", not passes(machine, 9000))
        status, body = machine.put_rules(RULES)
        table.row("a good rule file by PUT mends it", status == "200" and "no-rules" not in machine.degraded(), f"{status} {body}")
        table.row("somebody holds it", machine.ssh("systemctl is-active holder")[1].strip() == "active")
        machine.ssh("sudo systemctl stop holder")
        came = wait_for(lambda: "port-absent" not in machine.degraded(), 90, 2)
        table.row("the device is taken when it is free, without a restart", came, machine.get("/v1/ports"))
        table.row("and packets pass", passes(machine, 9000))


def half_a_seed(lab):
    """cloud-init writes the files in their order and gives up at one that it cannot write: the rules, which come later, are not there."""
    table = lab.table
    table.part("a seed that breaks off after the configuration")
    files = ports()
    rules = files.pop("/etc/sallyport/rules.d/main.rules")
    data = user_data(lab.key, files)
    data += f"  - path: /etc/motd.seed\n    owner: nobody-here:nobody-here\n    content: |\n{indented('text')}"
    data += f"  - path: /etc/sallyport/rules.d/main.rules\n    content: |\n{indented(rules)}"
    with lab.boot("half", up, seed=lab.nocloud(data)) as machine:
        says(table, machine, "the seed has errors", r"(?i)cloud-init")
        table.row("its configuration is in force, its rules are not", machine.rule_ids() == [], machine.get("/v1/rules"))
        silent(machine, table)
        table.row("nothing passes that its rules would allow", not passes(machine, 9000))


def wrong_configuration(lab):
    """The seed is OpenStack's config drive."""
    table = lab.table
    table.part("a wrong configuration; seed on a config drive; NVMe")
    wrong = CONFIG.replace("mode =", "moed =") % NIC_PCI
    drive = {
        "openstack/latest/meta_data.json": '{"uuid": "0d2b3ff5-2a66-4d4c-9a3b-6d0f7b1f4c11", "hostname": "gate"}',
        "openstack/latest/user_data": user_data(lab.key, ports(config=wrong)),
    }
    with lab.boot("wrong", up, disk="nvme", seed=make_iso(f"{lab.folder}/config.iso", "config-2", drive)) as machine:
        says(table, machine, "the configuration, with its line", r"sallyport\.conf:1\b", degraded="no-config")
        silent(machine, table)


def no_seed(lab):
    table = lab.table
    table.part("no seed")
    with lab.boot("bare", prompt) as machine:
        says(table, machine, "there is no seed", r"(?i)no seed", r"cidata", motd=False)
        silent(machine, table)
        code, text = machine.ssh("true")
        table.row("nobody can log in", code == 255, text)


def broken_seed(lab):
    table = lab.table
    table.part("a seed whose user-data is no YAML")
    with lab.boot("broken", prompt, seed=lab.nocloud("#cloud-config\nssh_authorized_keys: [ \n  - : nonsense {\n\twrite_files\n")) as machine:
        says(table, machine, "the seed does not read", r"(?i)cloud-init: .*pars", r"(?i)no SSH key", motd=False)
        silent(machine, table)


PARTS = (good, one_nic_no_iommu, nothing_to_use, held_and_wrong_rules, half_a_seed, wrong_configuration, no_seed, broken_seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True, help="the image, qcow2")
    parser.add_argument("--debs", default="build/deb", help="folder of the packages that the update is made of")
    parser.add_argument("--keep", metavar="DIR", help="keep consoles and disks there")
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(part.__name__ for part in PARTS))
    args = parser.parse_args()
    chosen = [part for part in PARTS if not args.parts or part.__name__ in args.parts]
    if not chosen:
        parser.error("no such part")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # machines end and the folder goes
    folder = tempfile.mkdtemp(prefix="sallyport-boot-")
    table = Table()
    lost = False
    try:
        lab = Lab(args.image, folder, table, args.debs)
        for part in chosen:
            part(lab)
    except VmLost as error:
        lost = True
        print(f"  the machine was lost: {error}", flush=True)
    finally:
        if args.keep:
            shutil.rmtree(args.keep, ignore_errors=True)
            shutil.copytree(folder, args.keep, ignore=shutil.ignore_patterns("*.sock"))
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n  {table.passed} passed, {table.failed} failed{', the machine was lost' if lost else ''}")
    return 1 if table.failed or lost or not table.passed else 0


if __name__ == "__main__":
    sys.exit(main())
