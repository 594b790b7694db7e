# SPDX-License-Identifier: BSD-3-Clause
"""The programs that are measured: each starts on the same two virtual ports, forwards, is asked for its counters around windows, and ends.

A window's figure is the CPU time that the process had on the worker's core for each packet that both ports received; a core that others use
too costs a contender time, but no cycles. A launch's figure is the median of its windows.
"""
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

import routes
from machine import BenchError, huge_free_mb

START_SECONDS = 30
FORWARDED_AT_LEAST = 0.98

# A launch is warm when two windows in a row agree; on a machine that never comes to rest, after the last of these.
WARM_WINDOWS = 5
WARM_AGREE = 0.02


# Routing tables of the default size.
ROUTING_MB = 400


class Windows:
    """How long a launch is looked at."""

    def __init__(self, count, seconds):
        self.count, self.seconds = count, seconds


class Contender:
    """One line of the table. Subclasses say how to start and how to count."""

    def __init__(self, name, capture):
        self.name, self.capture = name, capture
        self.beside = None  # a contender whose cycles are taken off these
        self.launches = []  # one a round: {"cycles", "windows", "share"}, or None when it failed
        self.stages = []
        self.error = None

    def need_mb(self):
        return self.capture.memory_mb

    def launch(self, machine, windows):
        """One launch, appended to launches."""
        folder = tempfile.mkdtemp(dir=machine.folder)
        found = None
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8", errors="replace") as log:
            process = None
            try:
                process = self.start(machine, folder, log)
                found = self.watch(machine, folder, process, windows)
            except (BenchError, OSError, ValueError, KeyError, http.client.HTTPException) as error:
                log.seek(0)
                self.error = f"{error}: {' / '.join(log.read().strip().splitlines()[-2:])[:200]}"
            finally:
                if process is not None:
                    end(process)
        shutil.rmtree(folder, ignore_errors=True)
        self.launches.append(found)

    def works(self):
        """Whether another launch is worth the time: one succeeded, or fewer than two failed."""
        return len(self.launches) < 2 or any(self.launches)

    def watch(self, machine, folder, process, windows):
        clock = ProcessClock(process.pid, machine.worker)
        self.wait(folder, process)
        before = self.counters(folder)
        self.warm(machine, folder, clock, windows.seconds)
        taken = [self.window(machine, folder, clock, windows.seconds) for _ in range(windows.count)]
        self.note(stages_between(before, self.counters(folder)))
        return {
            "cycles": statistics.median(w["cycles"] for w in taken), "windows": [w["cycles"] for w in taken],
            "share": min(w["share"] for w in taken),
        }

    def warm(self, machine, folder, clock, seconds):
        before = None
        for _ in range(WARM_WINDOWS):
            now = self.window(machine, folder, clock, seconds, False)["cycles"]
            if before is not None and abs(now - before) < WARM_AGREE * before:
                return
            before = now

    def window(self, machine, folder, clock, seconds, judge=True):
        cpu0, before, t0 = clock.read(), self.counters(folder), time.monotonic()
        time.sleep(seconds)
        cpu1, after, t1 = clock.read(), self.counters(folder), time.monotonic()
        rx, tx = after["rx"] - before["rx"], after["tx"] - before["tx"]
        if judge and (rx == 0 or tx < rx * FORWARDED_AT_LEAST):
            raise BenchError(f"forwarded {tx} of {rx} packets")
        return {"cycles": (cpu1 - cpu0) * machine.tsc_hz / max(rx, 1), "share": min(1.0, (cpu1 - cpu0) / (t1 - t0))}

    def note(self, stages):
        """Cycles a packet of each stage, where the firewall tells them."""
        if stages:
            self.stages.append(stages)

    def start(self, machine, folder, log):
        raise NotImplementedError

    def wait(self, folder, process):
        """Returns when counters can be read."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise BenchError(f"ended with {process.returncode}")
            try:
                if self.counters(folder)["tx"] > 0:
                    return
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                pass  # not yet: telemetry answers before there are ports
            time.sleep(0.02)
        raise BenchError("does not start to forward")

    def counters(self, folder):
        raise NotImplementedError


def stages_between(before, after):
    """Cycles a packet of each stage between two looks, each of which tells the mean since the start; None where there are no stages."""
    old, new, packets = before.get("stages"), after.get("stages"), after["rx"] - before["rx"]
    if not isinstance(new, dict) or not isinstance(old, dict) or packets <= 0:
        return None
    return {k: max(0.0, (new[k] * after["rx"] - old.get(k, 0) * before["rx"]) / packets) for k in new}


class ProcessClock:
    """CPU seconds of a process less those of threads that are not the worker's.

    The kernel gives a process's time exactly, a thread's only as of its last tick: so the few ticks of the others are subtracted.
    """

    def __init__(self, pid, worker):
        self.pid, self.worker = pid, str(worker)
        self.clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of another process (clock_getcpuclockid)

    def read(self):
        others = 0
        for task in glob.glob(f"/proc/{self.pid}/task/*"):
            try:
                with open(f"{task}/status", encoding="ascii") as file:
                    allowed = next(line.split()[1] for line in file if line.startswith("Cpus_allowed_list:"))
                if allowed != self.worker:
                    with open(f"{task}/schedstat", encoding="ascii") as file:
                        others += int(file.read().split()[0])
            except (OSError, StopIteration):
                continue
        return time.clock_gettime(self.clock) - others / 1e9


def spawn(machine, arguments, log):
    """Starts a program that ends with us, whatever ends us."""
    return subprocess.Popen(machine.command(arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def end(process):
    """Ends a process that we started, by its pid: first politely."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def vdev(index, path):
    return f"net_pcap{index},rx_pcap={path},infinite_rx=1"


class Dpdk(Contender):
    """A program of DPDK's own, asked through its telemetry socket."""

    def eal(self, machine, lcores):
        memory = ["--in-memory"] if huge_free_mb() >= self.need_mb() else ["--no-huge", "--no-shconf"]
        self.prefix = f"spbench{os.getpid()}"
        return [
            *lcores, *memory, "-m", str(self.need_mb()), "--no-pci", "--iova-mode=va", "--force-max-simd-bitwidth=512",
            f"--file-prefix={self.prefix}", *machine.plugins,
            "--vdev", vdev(0, self.capture.forth), "--vdev", vdev(1, self.capture.back), "--",
        ]

    def counters(self, folder):
        path = f"/var/run/dpdk/{self.prefix}/dpdk_telemetry.v2"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.settimeout(5)
            link.connect(path)
            link.recv(4096)
            counts = {"rx": 0, "tx": 0}
            for port in (0, 1):
                link.send(f"/ethdev/stats,{port}".encode())
                stats = json.loads(link.recv(16384))["/ethdev/stats"]
                counts["rx"] += stats["ipackets"]
                counts["tx"] += stats["opackets"]
        return counts

    def launch(self, machine, windows):
        super().launch(machine, windows)
        shutil.rmtree(f"/var/run/dpdk/{self.prefix}", ignore_errors=True)


class Testpmd(Dpdk):
    def __init__(self, mode, capture):
        super().__init__(f"testpmd {mode}", capture)
        self.mode = mode

    def start(self, machine, folder, log):
        arguments = self.eal(machine, ["-l", f"{machine.control},{machine.worker}", "--main-lcore", str(machine.control)])
        arguments += ["-a", f"--forward-mode={self.mode}", f"--total-num-mbufs={self.capture.buffers}", "--stats-period=3600"]
        return spawn(machine, ["dpdk-testpmd", *arguments], log)


class L3fwd(Dpdk):
    def __init__(self, lookup, capture, rules4, rules6, note=""):
        super().__init__(f"l3fwd {lookup}{note}", capture)
        self.lookup, self.rules4, self.rules6 = lookup, rules4, rules6

    def need_mb(self):
        return self.capture.memory_mb + (ROUTING_MB if self.lookup == "fib" else 0)

    def start(self, machine, folder, log):
        arguments = self.eal(machine, ["-l", str(machine.worker)])
        arguments += [
            "-P", "-p", "0x3", f"--config=(0,0,{machine.worker}),(1,0,{machine.worker})", f"--lookup={self.lookup}", "--parse-ptype",
            f"--rule_ipv4={self.rules4}", f"--rule_ipv6={self.rules6}",
        ]
        return spawn(machine, [os.path.join(machine.out_dir, "l3fwd"), *arguments], log)


def configuration(machine, capture, rules, socket_path, more="", out_device=None, routed=False):
    """A configuration of `sallyport run` for the two ports; `more` is appended, out_device replaces the second one."""
    peers = ("", "") if routed else ('; peer = "out"', '; peer = "in"')
    return (
        f'mode = "{"route" if routed else "wire"}";\nworkers = [ {machine.worker} ];\n'
        f"memory = {{ mb = {capture.memory_mb + (ROUTING_MB if routed else 0)}; buffers = {capture.buffers}; }};\n"
        "ports = (\n"
        f'    {{ name = "in";  device = "{vdev(0, capture.forth)}"; zone = "inside"{peers[0]}; }},\n'
        f'    {{ name = "out"; device = "{out_device or vdev(1, capture.back)}"; zone = "outside"{peers[1]}; }}\n'
        f');\nrules = "{rules}";\napi = {{ socket = "{socket_path}"; }};\nlog = {{ eve = ""; }};\n{more}'
    )


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


def told(folder, path):
    """What the firewall answers on its socket."""
    link = UnixConnection(f"{folder}/api.sock")
    try:
        link.request("GET", path)
        return link.getresponse().read().decode()
    finally:
        link.close()


class Sallyport(Contender):
    """`sallyport run` with a rule file, asked through its socket."""

    def __init__(self, name, capture, rules, more="", out_device=None):
        super().__init__(f"sallyport {name}", capture)
        self.rules, self.more, self.out_device = rules, more, out_device

    def start(self, machine, folder, log):
        path = os.path.join(folder, "sallyport.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration(machine, self.capture, self.rules, f"{folder}/api.sock", self.more, self.out_device))
        return spawn(machine, [machine.program("sallyport"), "run", "-c", path], log)

    def counters(self, folder):
        return json.loads(told(folder, "/v1/workers"))["workers"][0]


class Routed(Sallyport):
    """`sallyport run` as a router, in a network namespace of its own, where its neighbours are known and stay."""

    def launch(self, machine, windows):
        self.namespace = f"spbench{os.getpid()}"
        try:
            ip("netns", "add", self.namespace)
            super().launch(machine, windows)
        except BenchError as error:
            self.error = str(error)
            self.launches.append(None)
        finally:
            subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True, check=False)

    def start(self, machine, folder, log):
        path = os.path.join(folder, "sallyport.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration(machine, self.capture, self.rules, f"{folder}/api.sock", self.more, routed=True))
            file.write(f'route = {{ namespace = "{self.namespace}"; {self.route_keys()} }};\n')
        process = spawn(machine, [machine.program("sallyport"), "run", "-c", path], log)
        try:
            self.wait_link(process)
            ip("-n", self.namespace, "-batch", "-", text=routes.setup())
        except BaseException:
            end(process)
            raise
        return process

    def route_keys(self):
        return ""

    def need_mb(self):
        return self.capture.memory_mb + ROUTING_MB

    def wait_link(self, process):
        """The last thing that the firewall does before Linux can be told addresses: its interfaces get a carrier."""
        until = time.monotonic() + START_SECONDS
        while b"LOWER_UP" not in subprocess.run(["ip", "-n", self.namespace, "link", "show", "dev", "out"], capture_output=True, check=False).stdout:
            if process.poll() is not None:
                raise BenchError(f"ended with {process.returncode}")
            if time.monotonic() > until:
                raise BenchError("makes no interfaces")
            time.sleep(0.01)


def ip(*arguments, text=None):
    """ip(8), which must succeed."""
    done = subprocess.run(["ip", *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"ip {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1:]}")


class MicroWire(Contender):
    """Our own loop over the same ports, in a process that measures itself. Routed: with routes put in by hand, and without Linux."""

    def __init__(self, name, mode, capture, rules, more="", routed=False):
        super().__init__(name, capture)
        self.mode, self.rules, self.more, self.routed = mode, rules, more, routed

    def need_mb(self):
        return self.capture.memory_mb + (ROUTING_MB if self.routed else 0)

    def launch(self, machine, windows):
        folder = tempfile.mkdtemp(dir=machine.folder)
        path = os.path.join(folder, "sallyport.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration(machine, self.capture, self.rules, f"{folder}/api.sock", self.more, routed=self.routed))
        try:
            self.launches.append(self.read(self.run(machine, path, windows), windows))
        except (BenchError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            self.error = str(error)
            self.launches.append(None)
        shutil.rmtree(folder, ignore_errors=True)

    def run(self, machine, path, windows):
        done = subprocess.run(
            machine.command([machine.program("tests/bench/micro"), "wire", path, self.mode, str(windows.count), str(int(windows.seconds * 1000))]),
            capture_output=True, text=True, timeout=START_SECONDS, stdin=subprocess.DEVNULL, check=False,
        )
        if done.returncode != 0:
            raise BenchError(done.stderr.strip() or f"exit {done.returncode}")
        return json.loads(done.stdout)

    def read(self, told, windows):
        if self.mode == "new" and any(w["opened"] < w["packets"] * FORWARDED_AT_LEAST for w in told["windows"]):
            raise BenchError(f"opened fewer sessions than packets: {told['windows']}")
        packets = sum(w["packets"] for w in told["windows"])
        if self.mode in ("whole", "answers") and told["dropped"] > packets * (1 - FORWARDED_AT_LEAST):
            raise BenchError(f"dropped {told['dropped']} of {packets} packets")
        if self.mode in ("new", "answers"):
            self.note(told["stages"])
        cycles = [w["cycles"] / w["packets"] for w in told["windows"]]
        share = min(w["cycles"] / told["tsc_hz"] / windows.seconds for w in told["windows"])
        return {"cycles": statistics.median(cycles), "windows": cycles, "share": min(1.0, share)}


def micro(machine, arguments, repeats, sample_ms, memory_mb, timeout, huge=True):
    """One of micro's in-process comparisons: its JSON. On huge pages when they are wanted and there are enough."""
    command = [machine.program("tests/bench/micro"), "-c", str(machine.worker), "-m", str(memory_mb), *([] if huge else ["-n"])]
    command += ["-r", str(repeats), "-t", str(sample_ms), *map(str, arguments)]
    try:
        done = subprocess.run(machine.command(command), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"took longer than {timeout} s") from error
    if done.returncode != 0:
        raise BenchError(done.stderr.strip() or f"exit {done.returncode}")
    return json.loads(done.stdout)
