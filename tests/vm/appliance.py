# SPDX-License-Identifier: BSD-3-Clause
"""The appliance's image in QEMU, as an operator has it: a disk, a seed, a serial console to look at, SSH into the management network.

    wire 0 -- [ NIC 0 (igb): passed through to the firewall ] -- wire 1 [ NIC 1 ]      [ virtio: management, SSH by a forwarded port ]

NICs are whole emulated 82576 functions. QEMU ends with kill(), and by itself when this process dies.
"""
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from vm import Monitor, VmLost, Wire

NIC_MACS = ("52:54:00:00:00:a0", "52:54:00:00:00:a1")
NIC_PCI = ("0000:01:00.0", "0000:02:00.0")
DISKS = {  # how the appliance's disk is attached
    "virtio": ("virtio-blk-pci,drive=disk,bootindex=1",),
    "sata": ("ide-hd,drive=disk,bus=ide.0,bootindex=1",),  # q35's AHCI
    "scsi": ("virtio-scsi-pci,id=scsi", "scsi-hd,drive=disk,bus=scsi.0,bootindex=1"),
    "nvme": ("nvme,drive=disk,serial=1,bootindex=1",),
}
DISK_GB = 6  # more than the image has
UEFI = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_iso(path, label, files):
    """An ISO 9660 image of {name: text}."""
    folder = path + ".files"
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-V", label, "-J", "-r", "-o", path, folder], check=True, stderr=subprocess.DEVNULL)
    return path


class Appliance:
    """One virtual machine; start() and kill() may be called in turns, as its disk stays."""

    def __init__(self, folder, name, image, key, nics=2, iommu=True, memory_mb=1536, seed=None, smbios=None, uefi=False, disk="virtio"):
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        self.key, self.nics, self.iommu, self.memory_mb, self.seed, self.smbios = key, nics, iommu, memory_mb, seed, smbios
        self.disk, self.attached, self.variables = os.path.join(self.folder, "disk.qcow2"), DISKS[disk], None
        if uefi:
            self.variables = shutil.copy(UEFI[1], os.path.join(self.folder, "variables.fd"))
        self.process, self.wires, self.port, self.starts = None, [], None, 0
        made = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", os.path.abspath(image), self.disk, f"{DISK_GB}G"]
        subprocess.run(made, check=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    @property
    def console_path(self):
        return os.path.join(self.folder, f"console{self.starts}.log")

    def arguments(self):
        args = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(self.memory_mb)]
        args += ["-machine", "q35,kernel-irqchip=split" if self.iommu else "q35"]
        if self.iommu:
            args += ["-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=39"]
        for n in range(self.nics):
            at = self.folder
            args += ["-netdev", f"dgram,id=wire{n},local.type=unix,local.path={at}/guest{n}.sock,remote.type=unix,remote.path={at}/host{n}.sock"]
            args += ["-device", f"pcie-root-port,id=slot{n},chassis={n + 1},slot={n + 1}", "-device", f"igb,id=nic{n},bus=slot{n},netdev=wire{n},mac={NIC_MACS[n]}"]
        args += ["-netdev", f"user,id=mgmt,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=mgmt,mac=52:54:00:00:00:01"]
        args += ["-drive", f"file={self.disk},if=none,id=disk,format=qcow2"]
        for device in self.attached:
            args += ["-device", device]
        if self.variables:
            args += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={UEFI[0]}", "-drive", f"if=pflash,format=raw,unit=1,file={self.variables}"]
        if self.seed:
            args += ["-drive", f"file={self.seed},if=none,id=seed,format=raw,readonly=on", "-device", "virtio-blk-pci,drive=seed"]
        if self.smbios:
            args += ["-smbios", f"type=1,serial={self.smbios}"]
        args += ["-qmp", f"unix:{self.folder}/monitor.sock,server=on,wait=off"]
        return args + ["-device", "virtio-rng-pci", "-chardev", f"file,id=console,path={self.console_path}", "-serial", "chardev:console"]

    def start(self):
        self.starts += 1
        self.port = free_port()
        for n in range(self.nics):
            for path in (f"{self.folder}/guest{n}.sock", f"{self.folder}/host{n}.sock"):
                if os.path.exists(path):
                    os.unlink(path)
        self.wires = [Wire(self.folder, n) for n in range(self.nics)]
        for wire in self.wires:
            wire.socket.settimeout(1)
        with open(f"{self.folder}/qemu.log", "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.arguments()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def unplug(self, number):
        """Takes a NIC out of the running machine, as the guest lets go of it."""
        self.monitor.ask("device_del", id=f"nic{number}")

    def plug(self, number):
        self.monitor.ask("device_add", driver="igb", id=f"nic{number}", bus=f"slot{number}", netdev=f"wire{number}", mac=NIC_MACS[number])

    @functools.cached_property
    def monitor(self):
        made = socket.socket(socket.AF_UNIX)
        made.connect(os.path.join(self.folder, "monitor.sock"))
        return Monitor(made)

    def kill(self):
        """Power loss."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if "monitor" in self.__dict__:
            self.__dict__.pop("monitor").close()
        for wire in self.wires:
            wire.close()
        self.wires = []

    def console(self):
        try:
            with open(self.console_path, errors="replace") as f:
                return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", f.read())
        except OSError:
            return ""

    def check_alive(self):
        if self.process.poll() is not None:
            with open(f"{self.folder}/qemu.log", errors="replace") as f:
                raise VmLost(f"QEMU ended with {self.process.returncode}: {f.read().strip()}")

    def until(self, pattern, seconds, count=1):
        """Waits until the console shows the pattern so many times; what it shows then. VmLost when it does not."""
        end = time.monotonic() + seconds
        while len(re.findall(pattern, text := self.console())) < count:
            self.check_alive()
            if time.monotonic() > end:
                raise VmLost(f"{seconds} s without {pattern!r} on the console, which ends with: {text[-1500:]}")
            time.sleep(0.5)
        return text

    # --- SSH ---------------------------------------------------------------------------------------------------------------------

    def ssh_command(self, user="admin", key=None):
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=20", "LogLevel=ERROR", "BatchMode=yes", "IdentitiesOnly=yes")
        return ["ssh", "-i", key or self.key, "-p", str(self.port), *(f"-o{o}" for o in options), f"{user}@127.0.0.1"]

    def ssh(self, command, seconds=60, stdin=None, **who):
        """(exit code, output); 255 where there is no SSH."""
        try:
            done = subprocess.run([*self.ssh_command(**who), command], input=stdin, capture_output=True, text=True, timeout=seconds, errors="replace")
        except subprocess.TimeoutExpired:
            return 255, f"{seconds} s without an answer"
        return done.returncode, done.stdout + done.stderr

    def until_ssh(self, seconds):
        """Waits until the key opens a session. VmLost when it does not."""
        end = time.monotonic() + seconds
        while (said := self.ssh("true", 40))[0] != 0:
            self.check_alive()
            if time.monotonic() > end:
                raise VmLost(f"{seconds} s without SSH: {said[1]}; the console ends with: {self.console()[-1500:]}")
            time.sleep(1)

    def get(self, path):
        """What the socket answers to admin, as JSON."""
        code, text = self.ssh(f"curl -sS -m 20 --unix-socket /run/sallyport/api.sock 'http://localhost{path}'")
        try:
            return json.loads(text)
        except ValueError:
            return {"curl": code, "text": text}

    def put_rules(self, text):
        """(HTTP status, answer) of PUT /v1/rules."""
        curl = "curl -sS -m 60 --unix-socket /run/sallyport/api.sock -w '\\n%{http_code}' -T - http://localhost/v1/rules"
        body, _, status = self.ssh(curl, 90, stdin=text)[1].rpartition("\n")
        return status, body

    def rule_ids(self):
        return [rule.get("id") for rule in self.get("/v1/rules").get("rules", [])]

    def degraded(self):
        return {entry.get("code"): entry.get("text", "") for entry in self.get("/v1/status").get("degraded", [])}
