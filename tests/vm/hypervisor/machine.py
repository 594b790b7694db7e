# SPDX-License-Identifier: BSD-3-Clause
"""The machines of the nested test.

    client  wire 0 -- PF 0 : VF ....+                 +.... VF : PF 1 -- wire 1  server
                       hypervisor   |  the appliance  |  hypervisor

Hypervisor is a Vm (see vm.py) whose system owns the PFs; Guest is a QEMU that runs in it, with VFs passed through. Files reach the hypervisor
through a folder that it sees as /share, read-only; the guests' consoles leave it by its third serial line, into a file here.
"""
import json
import os
import re
import shlex
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from vm import Vm, VmLost  # noqa: E402

GUEST_MB = 1408  # enough for huge pages
BOOT_SECONDS = 240  # far more than it takes, also on a machine that does other things


class Hypervisor(Vm):
    """Use as a context manager, as a Vm. `system` is the folder that build.py fills; `image` becomes /dev/vdb, and its changes are dropped."""

    # With two CPUs, whatever else is below, no emulated SVM lived for long: a CPU of the hypervisor took a page fault with the guest's GS and TR
    # still loaded and ended in a triple fault, or the guest reset, or waited for ever. With one CPU none did so far.
    cpus = 1
    cpu = "max,la57=off"  # page tables of four levels, below and above: each miss of the TLB walks both
    memory_mb = 2560  # up to here the VFs' registers are where they belong
    kernel = Vm.kernel + " rw root=/dev/vda net.ifnames=1 systemd.show_status=no systemd.firstboot=off mitigations=off kvm.halt_poll_ns=0"

    def __init__(self, system, share, image):
        super().__init__(system, os.path.join(system, "console.log"))
        self.share, self.disk, self.guest_console = share, image, os.path.join(system, "guest.log")

    def start(self, seconds=BOOT_SECONDS):
        super().start(seconds)

    def arguments(self):
        args, at = super().arguments(), self.image
        args += ["-drive", f"file={at}/disk.raw,format=raw,if=none,id=system,snapshot=on", "-device", "virtio-blk-pci,drive=system"]
        if self.disk is not None:
            form = "qcow2" if self.disk.endswith(".qcow2") else "raw"
            args += ["-drive", f"file={self.disk},format={form},if=none,id=image,snapshot=on", "-device", "virtio-blk-pci,drive=image"]
        args += ["-chardev", f"file,id=guest,path={self.guest_console}", "-serial", "chardev:guest"]
        args += ["-virtfs", f"local,path={self.share},mount_tag=share,security_model=none,readonly=on"]
        return args

    def sh(self, command, seconds=30):
        """The output of a command that must end with 0."""
        code, output = self.run(command, seconds)
        if code != 0:
            raise VmLost(f"in the hypervisor, `{command}` ended with {code}: {output.strip()[-400:]}")
        return output


class Guest:
    """A QEMU in the hypervisor, in its background; one at a time."""

    def __init__(self, vm, name, memory=GUEST_MB):
        self.vm, self.name, self.memory, self.console_from = vm, name, memory, 0

    def start(self, arguments):
        common = f"-nodefaults -display none -cpu host -m {self.memory} -smp 2"
        console = "-chardev serial,id=console,path=/dev/ttyS2 -serial chardev:console"
        self.console_from = os.path.getsize(self.vm.guest_console)
        monitor = f"-monitor unix:/run/{self.name}.monitor,server=on,wait=off"
        command = f"qemu-system-x86_64 {common} {console} {monitor} -pidfile /run/{self.name}.pid {arguments}"
        self.vm.sh(f"rm -f /run/{self.name}.code /run/{self.name}.pid; ({command} >/run/{self.name}.log 2>&1; echo $? >/run/{self.name}.code) &")

    def ended(self):
        """The exit code of its QEMU, None while it runs."""
        text = self.vm.run(f"cat /run/{self.name}.code 2>/dev/null")[1].strip()
        return int(text) if text else None

    def console(self):
        """What its console shows since it was started."""
        with open(self.vm.guest_console, "rb") as f:
            f.seek(self.console_from)
            return re.sub(r"\x1b\[[0-9;?!]*[A-Za-z]|\r", "", f.read().decode(errors="replace"))

    def log(self):
        return self.vm.run(f"cat /run/{self.name}.log")[1]

    def check_alive(self):
        if (code := self.ended()) is not None:
            raise VmLost(f"the QEMU of {self.name} ended with {code}: {self.log().strip()[-400:]}")

    def until_console(self, pattern, seconds):
        """Waits until the console shows the pattern. VmLost when the guest ends or the time is over."""
        end, next_look = time.monotonic() + seconds, 0
        while re.search(pattern, self.console()) is None:
            if time.monotonic() > end:
                raise VmLost(f"{self.name} did not say {pattern!r} in {seconds} s; last: {self.console().strip()[-600:]}")
            if time.monotonic() > next_look:
                self.check_alive()
                next_look = time.monotonic() + 3
            time.sleep(0.2)

    def monitor(self, command):
        return self.vm.run(f"echo {shlex.quote(command)} | socat -t 1 - UNIX-CONNECT:/run/{self.name}.monitor")[1]

    def wait_end(self):
        self.vm.run(f"for i in $(seq 100); do [ -s /run/{self.name}.code ] && break; sleep 0.1; done", 30)
        if self.ended() is None:
            raise VmLost(f"the QEMU of {self.name} does not end")

    def cut_power(self):
        """Ends its QEMU at once, as a power cut ends a machine: nothing is flushed."""
        self.vm.run(f"kill -KILL $(cat /run/{self.name}.pid)")
        self.wait_end()


class Appliance(Guest):
    """The appliance: a guest asked by SSH over its management interface."""

    SSH = (
        "ssh -i /run/key -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=20 "
        "-o ServerAliveInterval=10 -o ControlMaster=auto -o ControlPath=/run/ssh.control -o ControlPersist=yes admin@127.0.0.1"
    )

    def forget_ssh(self):
        self.vm.run(f"{self.SSH} -O exit; rm -f /run/ssh.control", 30)

    def ssh(self, command, seconds=60):
        """(exit code, output) of a command in the appliance; 255 is ssh's own."""
        return self.vm.run(f"timeout {seconds} {self.SSH} {shlex.quote(command)} 2>&1", seconds + 10)

    def reboot(self):
        self.console_from = os.path.getsize(self.vm.guest_console)
        self.ssh("sudo systemctl reboot", 20)
        self.forget_ssh()

    def ask(self, arguments):
        """What `sallyctl -j` prints, read; {} when it is no JSON."""
        code, text = self.ssh(f"sallyctl -j {arguments}")
        try:
            return json.loads(text)
        except ValueError:
            return {"code": code, "text": text}
