# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux hosts on the machine's wires: each a network namespace of its own, whose link is a TAP joined to a wire.

A namespace lives as long as the process that holds it, and that ends with the harness however it ends: nothing is left behind. Needs root.
"""
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
DOT1Q = b"\x81\x00"
LINK = "eth0"


def tag_of(frame):
    """The VLAN of a frame, 0 without one."""
    return struct.unpack_from("!H", frame, 14)[0] & 0xFFF if frame[12:14] == DOT1Q else 0


def with_tag(frame, vlan):
    return frame[:12] + DOT1Q + struct.pack("!H", vlan) + frame[12:] if vlan else frame


def without_tag(frame):
    return frame[:12] + frame[16:] if frame[12:14] == DOT1Q else frame


class Host:
    """A host on a wire, with `vlan` behind a switch port of that VLAN; `addresses` with their prefix lengths, `gateways` as they are."""

    def __init__(self, wire, name, mac, addresses, gateways, vlan=0):
        self.wire, self.name, self.mac, self.vlan, self.open = wire, name, mac, vlan, True
        self.programs, self.lost = [], 0
        self.holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        self.wait_own_network()
        self.fd = self.make_tap()
        self.set_up(addresses, gateways)
        wire.hosts.append(self)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def network(self):
        return f"/proc/{self.holder.pid}/ns/net"

    def wait_own_network(self):
        end = time.monotonic() + 10
        while os.readlink(self.network()) == os.readlink("/proc/self/ns/net"):
            if time.monotonic() > end or self.holder.poll() is not None:
                raise OSError(f"no network namespace for {self.name}: root only")
            time.sleep(0.01)

    def make_tap(self):
        """A TAP in the host's namespace. Only the thread that makes it enters it."""
        made = []

        def make():
            ns = os.open(self.network(), os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(ns, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", LINK.encode(), IFF_TAP | IFF_NO_PI))
                made.append(fd)
            finally:
                os.close(ns)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise OSError(f"no TAP for {self.name}")
        return made[0]

    def set_up(self, addresses, gateways):
        def sysctl(key, value):
            self.run("sh", "-c", f"echo {value} >/proc/sys/net/{key}")

        for which in ("all", "default"):
            for key, value in (("accept_dad", 0), ("accept_ra", 0), ("router_solicitations", 0)):
                sysctl(f"ipv6/conf/{which}/{key}", value)
        for command in ("link set lo up", f"link set {LINK} address {self.mac}", f"link set {LINK} up"):
            self.run("ip", *command.split(), check=True)
        for address in addresses:
            self.run("ip", "addr", "add", address, "dev", LINK, *(("nodad",) if ":" in address else ()), check=True)
        for gateway in gateways:
            self.run("ip", "-6" if ":" in gateway else "-4", "route", "add", "default", "via", gateway, check=True)

    # --- frames ----------------------------------------------------------------------------------------------------------

    def listen(self):
        """What the host sends goes to the wire; short frames are padded as a NIC does."""
        while self.open:
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                self.wire.put(with_tag(os.read(self.fd, 65536), self.vlan).ljust(60, b"\0"))
            except (BlockingIOError, TimeoutError, ConnectionError, FileNotFoundError):
                self.lost += 1

    def take(self, frame):
        """A frame from the wire."""
        try:
            os.write(self.fd, without_tag(frame))
        except OSError:
            self.lost += 1

    # --- programs --------------------------------------------------------------------------------------------------------

    def inside(self, *command):
        return ["nsenter", f"--net={self.network()}", "--", *command]

    def run(self, *command, seconds=60, check=False):
        """A program on the host until its end."""
        try:
            return subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=seconds, check=check, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            return subprocess.CompletedProcess(command, 124, (error.stdout or b"").decode(), f"ended after {seconds} s")

    def start(self, *command):
        """A program that goes on; its standard input and output are pipes of text lines."""
        program = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self.inside(*command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self.programs.append(program)
        return program

    def serve(self):
        """The services of peer.py."""
        program = self.start("/usr/bin/python3", "-B", f"{HERE}/peer.py", "serve")
        if program.stdout.readline() != "ready\n":
            raise OSError(f"no services on {self.name}")

    def ping(self, address, *options, seconds=10):
        """Whether an answer to one of the echo requests, one a second, comes."""
        return self.run("ping", "-n", "-c", "1", "-w", str(seconds), *options, address, seconds=seconds + 5).returncode == 0

    def ask(self, address, port, seconds=10):
        """What the service says to a datagram, or what went wrong."""
        return self.run("/usr/bin/python3", "-B", f"{HERE}/peer.py", "ask", address, str(port), str(seconds), seconds=seconds + 5).stdout.strip()

    def connect(self, address, port, seconds=15):
        """"connected", or what went wrong, in words of errno."""
        return self.run("/usr/bin/python3", "-B", f"{HERE}/peer.py", "connect", address, str(port), str(seconds), seconds=seconds + 5).stdout.strip()

    def fetch(self, address, path="/", seconds=30):
        """What curl gets from a web server, or its complaint."""
        url = f"http://[{address}]{path}" if ":" in address else f"http://{address}{path}"
        done = self.run("curl", "-gsS", "-m", str(seconds), url, seconds=seconds + 5)
        return (done.stdout if done.returncode == 0 else done.stderr).strip()

    def talk(self, address, port):
        return Talk(self, address, port)

    def close(self):
        self.open = False
        for program in [*self.programs, self.holder]:
            if program.poll() is None:
                program.kill()
            program.wait()
        self.thread.join()
        if self in self.wire.hosts:
            self.wire.hosts.remove(self)
        os.close(self.fd)


class Talk:
    """A connection that stays: each line said is answered by the same line as long as it lives."""

    def __init__(self, host, address, port):
        self.program = host.start("/usr/bin/python3", "-B", f"{HERE}/peer.py", "talk", address, str(port))
        self.said, self.heard = 0, ""

    def alive(self, seconds=30):
        """Whether it still carries lines both ways. Lost segments are sent again, as TCP does."""
        self.said += 1
        line = f"line {self.said}\n"
        try:
            self.program.stdin.write(line)
        except (BrokenPipeError, socket.error):
            return False
        end = time.monotonic() + seconds
        while line not in self.heard and (left := end - time.monotonic()) > 0:
            if select.select([self.program.stdout], [], [], left)[0]:
                more = os.read(self.program.stdout.fileno(), 65536).decode()
                if not more:
                    return False
                self.heard += more
        return line in self.heard
