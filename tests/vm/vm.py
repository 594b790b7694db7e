# SPDX-License-Identifier: BSD-3-Clause
"""One QEMU machine with two emulated 82576 NICs (igb: real SR-IOV) behind VT-d, and the wires into them.

    client  wire 0 -- [ PF 0: VF -- Sallyport -- VF :PF 1 ] -- wire 1  server

A wire is a pair of unix datagram sockets that carry whole Ethernet frames; what comes out of it goes to the hosts that are joined to it
(hosts.py), and is kept for who asks. Commands go to the guest by its second serial line, to QEMU by its monitor; the console is kept in a file.
QEMU ends with close(), and by itself when this process dies.
"""
import json
import os
import queue
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from hosts import tag_of

START_TRIES = 3  # of a machine; what was tested once is never tried again


class VmLost(Exception):
    """The machine did not come up, or went away: nothing was tested."""


class Wire:
    """The host's end of one PF's cable."""

    def __init__(self, folder, number):
        self.guest = os.path.join(folder, f"guest{number}.sock")
        self.path = os.path.join(folder, f"host{number}.sock")
        self.frames = queue.Queue()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10)  # a guest that takes nothing for so long hangs
        self.open, self.hosts = True, []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while self.open:
            if select.select([self.socket], [], [], 0.2)[0]:
                self.take(self.socket.recv(65536))

    def take(self, frame):
        self.frames.put(frame)
        for host in list(self.hosts):
            if host.vlan == tag_of(frame):
                host.take(frame)

    def put(self, frame):
        self.socket.sendto(frame, self.guest)

    def send(self, frames, pause=0.003):
        for frame in frames:
            self.put(frame)
            time.sleep(pause)

    def receive(self, wanted, count, seconds):
        """The frames that `wanted` accepts, until there are `count` or the time is over."""
        end, taken = time.monotonic() + seconds, []
        while len(taken) < count and (left := end - time.monotonic()) > 0:
            try:
                frame = self.frames.get(timeout=left)
            except queue.Empty:
                break
            if wanted(frame):
                taken.append(frame)
        return taken

    def forget(self):
        while not self.frames.empty():
            self.frames.get()

    def close(self):
        self.open = False
        self.thread.join()
        self.socket.close()


class Monitor:
    """QEMU's own line (QMP): `made` is its connected socket."""

    def __init__(self, made):
        self.file = made.makefile("rw")
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """What the command returns."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        for line in self.file:
            said = json.loads(line)
            if "error" in said:
                raise VmLost(f"QEMU refuses {command}: {said['error']}")
            if "return" in said:
                return said["return"]
        raise VmLost("QEMU closed its monitor")

    def close(self):
        self.file.close()


class Vm:
    """Use as a context manager; entering waits until the guest says it is up."""

    cpu, cpus = "max", 2
    memory_mb = 2048  # with 3 GB and more the VFs' registers are misplaced
    kernel = "console=ttyS0 loglevel=5 panic=-1 intel_iommu=on iommu=pt"  # its command line

    def __init__(self, image, console, devices=("igb", "igb")):
        self.image, self.console_path, self.devices = image, console, devices
        self.process, self.line, self.monitor, self.wires, self.tag, self.text = None, None, None, [], 0, ""
        self.folder = tempfile.mkdtemp(prefix="sallyport-vm-")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def arguments(self):
        at = self.folder
        args = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg,thread=multi"]
        args += ["-cpu", self.cpu, "-smp", str(self.cpus), "-m", str(self.memory_mb)]
        args += ["-machine", "q35,kernel-irqchip=split", "-device", "intel-iommu,intremap=on,caching-mode=on,aw-bits=48"]
        args += ["-chardev", f"file,id=console,path={self.console_path}", "-serial", "chardev:console"]
        args += ["-chardev", f"socket,id=line,path={at}/line.sock,server=on,wait=off", "-serial", "chardev:line"]
        args += ["-qmp", f"unix:{at}/monitor.sock,server=on,wait=off"]
        args += ["-kernel", f"{self.image}/vmlinuz", "-initrd", f"{self.image}/initrd"]
        args += ["-append", self.kernel]
        for n, device in enumerate(self.devices):
            args += ["-netdev", f"dgram,id=wire{n},local.type=unix,local.path={at}/guest{n}.sock,remote.type=unix,remote.path={at}/host{n}.sock"]
            args += ["-device", f"pcie-root-port,id=slot{n},chassis={n + 1},slot={n + 1}"]
            args += ["-device", f"{device},bus=slot{n},netdev=wire{n},mac=52:54:00:00:00:a{n}"]
        return args

    def start(self, seconds=90):
        for number in range(len(self.devices)):
            self.wires.append(Wire(self.folder, number))
        with open(os.path.join(self.folder, "qemu.log"), "wb") as log:
            # The parent-death signal ends QEMU also when this process is killed.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.arguments()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + seconds
        self.line = self.connect("line.sock", end)
        self.monitor = Monitor(self.connect("monitor.sock", end))
        try:
            self.until(r"guest: up, 2 PFs\n", end - time.monotonic())
        except TimeoutError as error:
            raise VmLost(f"the guest was not up after {seconds} s") from error

    def connect(self, name, end):
        """One of QEMU's sockets, as soon as it is there."""
        made = socket.socket(socket.AF_UNIX)
        while True:
            try:
                made.connect(os.path.join(self.folder, name))
                return made
            except OSError:
                self.check_alive()
                if time.monotonic() > end:
                    raise VmLost(f"QEMU opens no {name}") from None
                time.sleep(0.05)

    def cable(self, number, plugged):
        """Pulls a wire's cable out of the machine, or puts it in."""
        self.monitor.ask("set_link", name=f"wire{number}", up=plugged)

    def qemu_log(self):
        with open(os.path.join(self.folder, "qemu.log"), errors="replace") as f:
            return f.read().strip()

    def check_alive(self):
        if self.process.poll() is not None:
            raise VmLost(f"QEMU ended with {self.process.returncode}: {self.qemu_log()}")

    def until(self, pattern, seconds):
        """What the guest says up to and with the pattern. TimeoutError, VmLost."""
        end = time.monotonic() + seconds
        while (found := re.search(pattern, self.text)) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{seconds:.0f} s without {pattern!r}; the guest said: {self.text[-1000:]}")
            self.check_alive()
            self.line.settimeout(min(left, 0.5))
            try:
                said = self.line.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise VmLost(f"QEMU's serial line: {error}") from error
            if not said:
                raise VmLost(f"QEMU closed its serial line and ended with {self.process.wait(10)}: {self.qemu_log()}")
            self.text += said.decode(errors="replace")
        said, self.text = self.text[: found.end()], self.text[found.end() :]
        return said

    def begin(self, command):
        """Starts a shell command in the guest; follow with until() and finish()."""
        self.tag += 1
        self.line.settimeout(10)
        self.line.sendall(f"tag{self.tag} {command}\n".encode())

    def finish(self, seconds=20):
        """Waits for the command's end: (exit code, output)."""
        said = self.until(rf"tag{self.tag} \d+\n", seconds)
        output, _, code = said.rpartition(f"tag{self.tag} ")
        return int(code), output

    def run(self, command, seconds=20):
        self.begin(command)
        return self.finish(seconds)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.kill(self.process.pid, signal.SIGKILL)
                self.process.wait()
        for end in (self.line, self.monitor):
            if end is not None:
                end.close()
        for wire in self.wires:
            wire.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_machine(make, who):
    """A machine that `make` makes, up. It is made anew when it does not come up, and every such failure is told; None at last."""
    for attempt in range(1, START_TRIES + 1):
        try:
            return make().__enter__()
        except VmLost as error:
            print(f"{who}: start {attempt} of {START_TRIES} failed: {error}", flush=True)
    return None
