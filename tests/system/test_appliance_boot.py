# SPDX-License-Identifier: BSD-3-Clause
"""What the appliance does at boot, on a machine made of files: which devices it takes, how much memory, when it writes a configuration; its banner."""
import hashlib
import os
import re
import subprocess

import pytest
from conftest import BIN, ROOT

IMAGES = os.path.join(ROOT, "images")
SCRIPTS = os.path.join(IMAGES, "appliance/usr/lib/sallyport")
MACS = {"0000:00:03.0": "52:54:00:00:00:03", "0000:01:00.0": "52:54:00:00:00:a0", "0000:02:00.0": "52:54:00:00:00:a1"}
EXAMPLE = 'ports = ( { name = "in"; device = "0000:01:00.0"; } );\n'
FOUND = 'api = { socket = "/run/sallyport/api.sock"; };\nlog = { eve = "/var/log/sallyport/eve.json"; };\n'


class Machine:
    """Files that stand for a VM: a virtio NIC, two 82576, an IOMMU; programs that stand for those of a Debian."""

    def __init__(self, root, memory_mb=2048, available_mb=None):
        self.root = root
        available_mb = memory_mb * 7 // 8 if available_mb is None else available_mb
        self.write("proc/meminfo", f"MemTotal:       {memory_mb * 1024} kB\nMemFree:        77777 kB\nMemAvailable:   {available_mb * 1024} kB\n")
        self.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n")
        self.write("sys/bus/pci/drivers_probe", "")
        for pci, mac in MACS.items():
            virtio = pci == "0000:00:03.0"
            at = f"sys/devices/{pci}"
            self.write(f"{at}/driver_override", "(null)\n")
            self.write(f"{at}/iommu_group/type", "DMA\n")
            self.link(f"sys/bus/pci/devices/{pci}", at)
            self.write(f"sys/bus/pci/drivers/{'virtio-pci' if virtio else 'igb'}/unbind", "")
            self.link(f"{at}/driver", f"sys/bus/pci/drivers/{'virtio-pci' if virtio else 'igb'}")
            device = f"{at}/virtio0" if virtio else at
            net = f"{device}/net/eth{mac[-2:]}"
            self.write(f"{net}/address", mac + "\n")
            self.link(f"{net}/device", device)
            self.link(f"sys/class/net/eth{mac[-2:]}", net)
            if virtio:
                self.link(f"{device}/driver", "sys/bus/virtio/drivers/virtio_net")
                self.link(f"{net}/master", "sys/devices/virtual/net/mgmt")
                self.write("sys/bus/virtio/drivers/virtio_net/module", "")
                self.write("sys/devices/virtual/net/mgmt/address", "")
        for program in ("modprobe", "udevadm", "networkctl", "sync", "sleep"):
            self.program(program, "exit 0")
        self.sallyport('echo "no device" >&2; exit 1')
        self.config(EXAMPLE, packaged=True)

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, path):
        return (self.root / path).read_text()

    def link(self, path, target):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self.root / target)

    def program(self, name, script):
        self.write(f"bin/{name}", f"#!/bin/sh\n{script}\n").chmod(0o755)

    def sallyport(self, doctor):
        self.program("sallyport", f'[ "$1" = check ] && exit 0\n{doctor}')

    def config(self, text, packaged=False):
        self.write("etc/sallyport/sallyport.conf", text)
        digest = hashlib.md5((text if packaged else "another").encode()).hexdigest()
        self.program("dpkg-query", f"echo ' /etc/sallyport/sallyport.conf {digest}'")

    def boot(self, when):
        done = subprocess.run(["sh", f"{SCRIPTS}/boot", when], env={"SALLYPORT_ROOT": str(self.root)}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def replug(self, pci, driver="igb"):
        """The device is a new one: no override, the kernel's driver."""
        self.write(f"sys/devices/{pci}/driver_override", "(null)\n")
        (self.root / f"sys/devices/{pci}/driver").unlink()
        self.link(f"sys/devices/{pci}/driver", f"sys/bus/pci/drivers/{driver}")

    def taken(self):
        """{PCI address: the driver it shall have}."""
        drivers = {pci: self.read(f"sys/devices/{pci}/driver_override").strip() for pci in MACS}
        return {pci: driver for pci, driver in drivers.items() if driver != "(null)"}

    def notes(self):
        return self.read("run/sallyport-boot/notes")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("text, wanted", [
    ('device = "0000:01:00.0"', ["0000:01:00.0"]),
    ('device = "01:00.0"', ["0000:01:00.0"]),
    ('device="0000:01:00.0,x=1";device:"0000:02:00.0"', ["0000:01:00.0", "0000:02:00.0"]),
    ('device = "52:54:00:00:00:A0"', ["0000:01:00.0"]),
    ('device = "52:54:00:00:00:03"', ["0000:00:03.0"]),  # virtio: the PCI device is above that which has the interface
    ('# device = "0000:01:00.0"', []),
    ('// device = "0000:01:00.0"', []),
    ('/* device = "0000:01:00.0"\n device = "0000:02:00.0" ** / */ x = 1;', []),
    ('/* a */ device = "0000:01:00.0" /* b */', ["0000:01:00.0"]),
    ('device = "net_af_packet0,iface=eth0"', []),
    ('name = "0000:01:00.0"; mydevice = "0000:02:00.0"', []),
    ('device = "0000:09:00.0"', []),
    ('device = "../../01:00.0"', []),
])  # fmt: skip
def test_takes_what_the_configuration_names(machine, text, wanted):
    machine.config(text + "\n")
    machine.boot("early")
    assert sorted(machine.taken()) == wanted


def test_driver_by_iommu_and_by_choice(machine):
    machine.config('device = "0000:01:00.0"; device = "0000:02:00.0"')
    for path in ("type", ""):
        at = machine.root / "sys/devices/0000:02:00.0/iommu_group" / path
        at.unlink() if path else at.rmdir()
    machine.boot("early")
    assert machine.taken() == {"0000:01:00.0": "vfio-pci", "0000:02:00.0": "uio_pci_generic"}
    machine.write("etc/default/sallyport-boot", "DRIVER=igb_uio\n")
    machine.boot("early")
    assert set(machine.taken().values()) == {"igb_uio"}


def test_leaves_mellanox_to_its_driver(machine):
    machine.config('device = "0000:01:00.0"')
    (machine.root / "sys/devices/0000:01:00.0/driver").unlink()
    machine.write("sys/bus/pci/drivers/mlx5_core/unbind", "")
    machine.link("sys/devices/0000:01:00.0/driver", "sys/bus/pci/drivers/mlx5_core")
    machine.boot("early")
    assert machine.taken() == {}


def test_takes_nothing_by_the_package_s_example(machine):
    machine.boot("early")
    machine.boot("late")
    assert machine.taken() == {}


def test_says_what_does_not_let_itself_be_taken(machine):
    machine.config('device = "0000:01:00.0"')
    assert "0000:01:00.0 stays with igb: vfio-pci does not take it" in machine.boot("early")


@pytest.mark.parametrize("memory_mb, setting, pages", [
    (640, "", 0), (1024, "", 0), (1536, "", 480), (2048, "", 704), (65536, "", 28480),
    (2048, "HUGE_MB=0", 0), (1024, "HUGE_MB=256", 128), (2048, "HUGE_MB=much", 0), (2048, "HUGE_MB=4096", 800), (2048, "HUGE_MB=123456789", 0),
])  # fmt: skip
def test_huge_pages_by_memory(tmp_path, memory_mb, setting, pages):
    machine = Machine(tmp_path, memory_mb)
    machine.write("etc/default/sallyport-boot", setting + "\n")
    machine.boot("early")
    assert int(machine.read("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")) == pages


@pytest.mark.parametrize("available_mb, setting, pages", [(1700, "", 704), (1200, "", 504), (900, "", 0), (300, "HUGE_MB=256", 54), (100, "HUGE_MB=256", 0), (0, "", 0)])
def test_huge_pages_by_what_is_free(tmp_path, available_mb, setting, pages):
    """Of 2 GB something else may have taken most: a ramdisk, pages of another size."""
    machine = Machine(tmp_path, 2048, available_mb)
    machine.write("etc/default/sallyport-boot", setting + "\n")
    machine.boot("early")
    assert int(machine.read("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")) == pages


@pytest.mark.parametrize("small, large, setting", [("17", "0", ""), ("0", "1", ""), ("17", "2", ""), ("0", "1", "HUGE_MB=512")])
def test_huge_pages_of_the_command_line_stay_alone(machine, small, large, setting):
    machine.write("etc/default/sallyport-boot", setting + "\n")
    machine.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", f"{small}\n")
    machine.write("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", f"{large}\n")
    machine.boot("early")
    assert machine.read("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") == f"{small}\n"


def test_an_empty_pool_of_another_size_does_not_count(machine):
    machine.write("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n")
    machine.boot("early")
    assert machine.read("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") == "704\n"


# --- devices that come later --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["0000:01:00.0", "52:54:00:00:00:a0"])
def test_takes_a_port_that_was_plugged_in_again(machine, name):
    machine.config(f'device = "{name}"')
    machine.boot("early")
    machine.replug("0000:01:00.0")
    assert machine.taken() == {}
    machine.boot("bind")
    assert machine.taken() == {"0000:01:00.0": "vfio-pci"}


def test_a_plugged_in_device_changes_nothing_else(machine):
    """Neither memory nor the notes nor the configuration, and nothing by the package's example."""
    machine.sallyport("echo x = 1")
    machine.write("run/sallyport-boot/notes", "no seed\n")
    machine.boot("bind")
    assert machine.taken() == {} and machine.notes() == "no seed\n" and machine.read("etc/sallyport/sallyport.conf") == EXAMPLE
    assert machine.read("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") == "0\n"


@pytest.mark.parametrize("name", ["0000:00:03.0", "52:54:00:00:00:03"])
def test_a_plugged_in_device_does_not_cost_management(machine, name):
    """Whatever the configuration has come to say since the start. Without an address it is a port that networkd saw first."""
    machine.config(f'device = "{name}"; device = "0000:02:00.0"')
    machine.program("ip", "echo 'eth03            UP             192.0.2.7/24 metric 1024'")
    assert "0000:00:03.0 is in the configuration, but management uses it" in machine.boot("bind")
    assert sorted(machine.taken()) == ["0000:02:00.0"]
    machine.program("ip", "echo 'eth03            UP             '")
    machine.boot("bind")
    assert sorted(machine.taken()) == ["0000:00:03.0", "0000:02:00.0"]


def test_a_device_that_comes_while_another_is_bound_is_not_lost():
    """The file that udev makes is the one that the path unit looks at, again when the service has ended; the service takes it away before it looks."""
    read = lambda path: open(os.path.join(IMAGES, "appliance/usr/lib", path), encoding="utf-8").read()  # noqa: E731
    rules, path, service = read("udev/rules.d/80-sallyport.rules"), read("systemd/system/sallyport-bind.path"), read("systemd/system/sallyport-bind.service")
    assert set(re.findall(r'RUN\+="(.*?)"', rules)) == {"/usr/bin/touch /run/sallyport-bind"}
    assert "\nPathExists=/run/sallyport-bind\n" in path
    assert re.findall(r"^Exec\w+=.*", service, re.M) == ["ExecStartPre=/usr/bin/rm -f /run/sallyport-bind", "ExecStart=/usr/lib/sallyport/boot bind"]
    assert "Type=oneshot" in service and "RemainAfterExit" not in service and "StartLimitIntervalSec=0" in service and "sallyport-seed.service" in service


# --- the first configuration --------------------------------------------------------------------------------------------------------


def test_first_configuration(machine):
    machine.sallyport(f"cat <<'END'\n{FOUND}device = \"0000:02:00.0\";\nEND")
    machine.boot("early")
    machine.boot("late")
    text = machine.read("etc/sallyport/sallyport.conf")
    assert 'group = "sallyport"' in text and "rotate_mb = 64" in text
    assert list(machine.taken()) == ["0000:02:00.0"] and "first configuration" in machine.notes()


def test_first_configuration_waits_for_management(machine):
    """A NIC that networkd has not taken yet would look like one that nobody uses."""
    machine.sallyport('[ -e "$SALLYPORT_ROOT/sys/class/net/eth03/master" ] || { echo "device = \\"0000:00:03.0\\";"; exit; }\necho "device = \\"0000:02:00.0\\";"')
    master = machine.root / "sys/devices/0000:00:03.0/virtio0/net/eth03/master"
    master.unlink()
    machine.program("sleep", f'[ "$1" = 1 ] || exit 0; echo >>"$SALLYPORT_ROOT/slept"; [ "$(wc -l <"$SALLYPORT_ROOT/slept")" -lt 3 ] || ln -sfn "$SALLYPORT_ROOT/sys/devices/virtual/net/mgmt" "{master}"')
    machine.boot("late")
    assert machine.read("slept") == "\n\n\n" and list(machine.taken()) == ["0000:02:00.0"]


def test_no_first_configuration_without_management(machine):
    machine.sallyport('echo "device = \\"0000:00:03.0\\";"')
    (machine.root / "sys/devices/0000:00:03.0/virtio0/net/eth03/master").unlink()
    machine.program("sleep", 'echo >>"$SALLYPORT_ROOT/slept"')
    machine.boot("late")
    assert machine.taken() == {} and machine.read("etc/sallyport/sallyport.conf") == EXAMPLE and len(machine.read("slept")) == 15
    assert "no first configuration: eth03 did not get into the management VRF" in machine.notes()


def test_no_first_configuration_over_one_s_own_or_against_the_setting(machine):
    machine.sallyport("echo x = 1")
    machine.config(EXAMPLE)
    machine.boot("late")
    assert machine.read("etc/sallyport/sallyport.conf") == EXAMPLE
    machine.config(EXAMPLE, packaged=True)
    machine.write("etc/default/sallyport-boot", "FIRST_CONFIGURATION=no\n")
    machine.boot("late")
    assert machine.read("etc/sallyport/sallyport.conf") == EXAMPLE


def test_no_configuration_to_be_had(machine):
    machine.boot("late")
    assert "none can be made for the devices here: no device" in machine.notes()
    assert machine.read("etc/sallyport/sallyport.conf") == EXAMPLE and not (machine.root / "etc/sallyport/sallyport.conf.new").exists()


def test_says_who_cannot_log_in(machine):
    machine.boot("late")
    assert "no seed: nobody can log in" in machine.notes()
    machine.write("run/cloud-init/enabled", "")
    machine.boot("late")
    assert "no seed" not in machine.notes() and "the seed brought no SSH key" in machine.notes()
    machine.write("home/admin/.ssh/authorized_keys", "ssh-ed25519 AAAA\n")
    machine.boot("late")
    assert "log in" not in machine.notes()


# --- what the package brings ---------------------------------------------------------------------------------------------------------

PACKET = "tcp 10.0.0.5:40000 > 198.51.100.7:443 from inside to outside"


def explain(rules):
    return subprocess.run([f"{BIN}/sallyport", "explain", "-c", f"{IMAGES}/etc/sallyport.conf", "--rules", rules, PACKET], capture_output=True, text=True, timeout=60)


def test_rules_of_the_package_let_nothing_pass(tmp_path):
    """They are in force until a seed's are: half a seed must not open anything. The lines to begin with are good as they stand."""
    packaged = f"{IMAGES}/etc/main.rules"
    subprocess.run([f"{BIN}/sallyport", "check", "--strict", packaged], check=True, capture_output=True, timeout=60)
    done = explain(packaged)
    assert done.returncode == 1 and done.stdout.startswith("drop: the default, because no rule matches"), done.stdout + done.stderr
    text = open(packaged, encoding="utf-8").read()
    begun = tmp_path / "main.rules"
    begun.write_text(re.sub(r'^#   "', '    "', text, flags=re.M))
    subprocess.run([f"{BIN}/sallyport", "check", "--strict", begun], check=True, capture_output=True, timeout=60)
    assert explain(begun).stdout.startswith("allow"), "the examples are rules"


# --- the banner --------------------------------------------------------------------------------------------------------------------

STATUS = """ready       %s
version     0.1.0
degraded    port-absent: \\x 0000:02:00.0 is not there\x1b[31m
            link-down: the link of port wan is down
defending   nothing
"""


def banner(machine, *arguments):
    done = subprocess.run(["sh", f"{SCRIPTS}/banner", *arguments], env={"SALLYPORT_ROOT": str(machine.root)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("code, said", [(0, "The firewall is ready."), (1, "The firewall is NOT READY."), (2, "The firewall DOES NOT ANSWER: ready")])
def test_banner_says_how_the_firewall_is(machine, code, said):
    machine.write("status", STATUS % "so")
    machine.program("sallyctl", f'cat "$SALLYPORT_ROOT/status"; exit {code}')
    machine.program("ip", "echo 'enp1s0 UP 192.0.2.7/24 metric 1024 2001:db8::7/64 fe80::1/64'")
    machine.sallyport('[ "$1" = doctor ] && echo "error: VFs: none" || echo "sallyport 0.1.0 (DPDK 24.11)"')
    machine.write("run/sallyport-boot/notes", "no seed\n")
    text = banner(machine)
    assert text.startswith("Sallyport 0.1.0 on ") and "Management: 192.0.2.7, 2001:db8::7 (VRF mgmt)" in text and said in text
    assert "\n    port-absent: \\x 0000:02:00.0 is not there[31m\n    link-down: the link of port wan is down\n  To be mended" in text and "nothing" not in text
    assert text.endswith("    error: VFs: none\n  From the boot:\n    no seed\n")


def test_banner_for_the_console_has_nothing_that_agetty_or_a_terminal_obeys(machine):
    machine.write("status", STATUS % "no")
    machine.program("sallyctl", 'cat "$SALLYPORT_ROOT/status"; exit 1')
    banner(machine, "--issue")
    text = machine.read("run/issue.d/50-sallyport.issue")
    assert "/x 0000:02:00.0 is not there[31m" in text and "\\" not in text and "\x1b" not in text
