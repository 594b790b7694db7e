# SPDX-License-Identifier: BSD-3-Clause
"""The programs that are measured: each starts on the same two virtual ports, forwards, is asked twice for its counters, and ends.

A sample is packets received by both ports in a window, and the CPU time that the process had meanwhile on the worker's core; a core that others
use too costs a contender time, but no cycles.
"""
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 30
WARM_SECONDS = 0.3
FORWARDED_AT_LEAST = 0.98


class BenchError(Exception):
    pass


def huge_free_mb():
    """MB of free 2 MB huge pages."""
    try:
        with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", encoding="ascii") as file:
            return int(file.read()) * 2
    except OSError:
        return 0


class Machine:
    """Where contenders run: CPUs, memory, plug-ins, a folder for their files."""

    def __init__(self, bin_dir, out_dir, folder, cpus):
        self.bin_dir, self.out_dir, self.folder = bin_dir, out_dir, folder
        self.control, self.worker = cpus
        self.plugins = plugin_arguments()

    def path(self, name):
        return os.path.join(self.folder, name)


def plugin_arguments():
    """-d for the drivers that are needed: EAL would otherwise load all there are, at every start."""
    libdir = subprocess.run(["pkg-config", "--variable=libdir", "libdpdk"], capture_output=True, text=True, check=True).stdout.strip()
    arguments = []
    for driver in ("bus_vdev", "mempool_ring", "net_pcap"):
        found = sorted(glob.glob(f"{libdir}/dpdk/pmds-*/librte_{driver}.so"))
        if not found:
            raise BenchError(f"librte_{driver}.so is missing below {libdir}/dpdk; install the package dpdk")
        arguments += ["-d", found[-1]]
    return arguments


class Contender:
    """One line of the table. Subclasses say how to start and how to count."""

    def __init__(self, name, capture, group="wire"):
        self.name, self.capture, self.group = name, capture, group
        self.samples, self.stages = [], []
        self.error = None

    def measure(self, machine, seconds):
        """One sample: {"mpps", "cycles", "share"}; adds it to samples."""
        folder = tempfile.mkdtemp(dir=machine.folder)
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8", errors="replace") as log:
            process = None
            try:
                process = self.start(machine, folder, log)
                self.samples.append(self.window(machine, folder, process, seconds))
            except (BenchError, OSError, ValueError, KeyError) as error:
                log.seek(0)
                self.error = f"{error}: {' / '.join(log.read().strip().splitlines()[-3:])}"
            finally:
                if process is not None:
                    end(process)
        shutil.rmtree(folder, ignore_errors=True)

    def window(self, machine, folder, process, seconds):
        clock = ProcessClock(process.pid, machine.worker)
        self.wait(folder, process)
        time.sleep(WARM_SECONDS)
        cpu0, before, t0 = clock.read(), self.counters(folder), time.monotonic()
        time.sleep(seconds)
        cpu1, after, t1 = clock.read(), self.counters(folder), time.monotonic()
        rx, tx = after["rx"] - before["rx"], after["tx"] - before["tx"]
        if rx == 0 or tx < rx * FORWARDED_AT_LEAST:
            raise BenchError(f"forwarded {tx} of {rx} packets")
        self.look(before, after)
        cpu = cpu1 - cpu0
        return {"pps": rx / cpu, "cycles_ns": cpu * 1e9 / rx, "share": min(1.0, cpu / (t1 - t0))}

    def look(self, before, after):
        """A chance to note more of the counters."""

    def start(self, machine, folder, log):
        raise NotImplementedError

    def wait(self, folder, process):
        """Returns when counters can be read."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise BenchError(f"ended with {process.returncode}")
            try:
                if self.counters(folder)["rx"] > 0:
                    return
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                pass
            time.sleep(0.05)
        raise BenchError("does not start to forward")

    def counters(self, folder):
        raise NotImplementedError


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


def spawn(arguments, log):
    """Starts a program that ends with us, whatever ends us."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


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
        memory = ["--in-memory"] if huge_free_mb() >= self.capture.memory_mb else ["--no-huge", "--no-shconf"]
        self.prefix = f"spbench{os.getpid()}"
        return [
            *lcores, *memory, "-m", str(self.capture.memory_mb), "--no-pci", "--iova-mode=va", "--force-max-simd-bitwidth=512",
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

    def measure(self, machine, seconds):
        super().measure(machine, seconds)
        shutil.rmtree(f"/var/run/dpdk/{self.prefix}", ignore_errors=True)


class Testpmd(Dpdk):
    def __init__(self, mode, capture):
        super().__init__(f"testpmd {mode}", capture)
        self.mode = mode

    def start(self, machine, folder, log):
        arguments = self.eal(machine, ["-l", f"{machine.control},{machine.worker}", "--main-lcore", str(machine.control)])
        arguments += ["-a", f"--forward-mode={self.mode}", f"--total-num-mbufs={self.capture.buffers}", "--stats-period=3600"]
        return spawn(["dpdk-testpmd", *arguments], log)


class L3fwd(Dpdk):
    def __init__(self, lookup, capture, rules4, rules6, note=""):
        super().__init__(f"l3fwd {lookup}{note}", capture)
        self.lookup, self.rules4, self.rules6 = lookup, rules4, rules6

    def start(self, machine, folder, log):
        arguments = self.eal(machine, ["-l", str(machine.worker)])
        arguments += [
            "-P", "-p", "0x3", f"--config=(0,0,{machine.worker}),(1,0,{machine.worker})", f"--lookup={self.lookup}", "--parse-ptype",
            f"--rule_ipv4={self.rules4}", f"--rule_ipv6={self.rules6}",
        ]
        return spawn([os.path.join(machine.out_dir, "l3fwd"), *arguments], log)


def configuration(machine, capture, rules, socket_path):
    """A configuration of `sallyport run` for the two ports."""
    return (
        f'mode = "wire";\nworkers = [ {machine.worker} ];\n'
        f"memory = {{ mb = {capture.memory_mb}; buffers = {capture.buffers}; }};\n"
        "ports = (\n"
        f'    {{ name = "in";  device = "{vdev(0, capture.forth)}"; zone = "inside";  peer = "out"; }},\n'
        f'    {{ name = "out"; device = "{vdev(1, capture.back)}"; zone = "outside"; peer = "in"; }}\n'
        f');\nrules = "{rules}";\napi = {{ socket = "{socket_path}"; }};\nlog = {{ eve = ""; }};\n'
    )


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


class Sallyport(Contender):
    """`sallyport run` with a rule file, asked through its socket."""

    def __init__(self, name, capture, rules):
        super().__init__(f"sallyport {name}", capture)
        self.rules = rules

    def start(self, machine, folder, log):
        path = os.path.join(folder, "sallyport.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration(machine, self.capture, self.rules, f"{folder}/api.sock"))
        program = os.path.join(machine.bin_dir, "sallyport")
        return spawn([program, "run", "-c", path], log)

    def counters(self, folder):
        link = UnixConnection(f"{folder}/api.sock")
        try:
            link.request("GET", "/v1/workers")
            worker = json.loads(link.getresponse().read())["workers"][0]
        finally:
            link.close()
        return worker

    def look(self, before, after):
        """Cycles a packet of each stage in the window, where the firewall tells them."""
        stages = after.get("stages")
        if isinstance(stages, dict) and all(isinstance(value, (int, float)) for value in stages.values()):
            self.stages.append(stages)


class MicroWire(Contender):
    """Our own loop over the same ports, in a process that measures itself."""

    def __init__(self, name, mode, capture, rules):
        super().__init__(name, capture)
        self.mode, self.rules = mode, rules

    def measure(self, machine, seconds):
        folder = tempfile.mkdtemp(dir=machine.folder)
        path = os.path.join(folder, "sallyport.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration(machine, self.capture, self.rules, f"{folder}/api.sock"))
        program = os.path.join(machine.bin_dir, "tests/bench/micro")
        try:
            done = subprocess.run(
                [program, "wire", path, self.mode, str(int(seconds * 1000))],
                capture_output=True, text=True, timeout=START_SECONDS + seconds, stdin=subprocess.DEVNULL, check=False,
            )
            if done.returncode != 0:
                raise BenchError(done.stderr.strip() or f"exit {done.returncode}")
            told = json.loads(done.stdout)
            if self.mode == "new" and told["opened"] < told["packets"] * FORWARDED_AT_LEAST:
                raise BenchError(f"opened {told['opened']} sessions for {told['packets']} packets")
            cpu = told["cycles"] / told["tsc_hz"]
            self.samples.append({"pps": told["packets"] / cpu, "cycles_ns": cpu * 1e9 / told["packets"], "share": min(1.0, cpu / seconds)})
        except (BenchError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            self.error = str(error)
        shutil.rmtree(folder, ignore_errors=True)


def micro(machine, arguments, repeats, sample_ms, memory_mb, timeout):
    """One of micro's in-process comparisons: its JSON."""
    program = os.path.join(machine.bin_dir, "tests/bench/micro")
    command = [program, "-c", str(machine.worker), "-m", str(memory_mb), "-r", str(repeats), "-t", str(sample_ms), *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"took longer than {timeout} s") from error
    if done.returncode != 0:
        raise BenchError(done.stderr.strip() or f"exit {done.returncode}")
    return json.loads(done.stdout)
