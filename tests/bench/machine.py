# SPDX-License-Identifier: BSD-3-Clause
"""The machine under the figures: what it is, how quiet it was, and huge pages for those who want them."""
import glob
import os
import platform
import subprocess

HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
THP = "/sys/kernel/mm/transparent_hugepage/enabled"


# As given to us, before anything narrows it.
ALLOWED_CPUS = sorted(os.sched_getaffinity(0))


class BenchError(Exception):
    pass


def read_text(path, otherwise=""):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return otherwise


def huge_free_mb():
    """MB of free 2 MB huge pages."""
    return int(read_text(HUGE_PAGES + "free_hugepages", "0")) * 2


def available_mb():
    return next(int(line.split()[1]) for line in read_text("/proc/meminfo").splitlines() if line.startswith("MemAvailable:")) // 1024


class HugePages:
    """Sees to it that enough are free for the largest contender, and gives back what it added."""

    def __init__(self, need_mb):
        self.need_mb, self.before = need_mb, None

    def __enter__(self):
        short = self.need_mb - huge_free_mb()
        if short <= 0 or available_mb() < short + 2048:
            return self
        try:
            with open(HUGE_PAGES + "nr_hugepages", "r+", encoding="ascii") as file:
                before = int(file.read())
                file.seek(0)
                file.write(str(before + (short + 1) // 2))
            self.before = before
        except OSError:
            pass
        return self

    def __exit__(self, *exc):
        if self.before is not None:
            with open(HUGE_PAGES + "nr_hugepages", "w", encoding="ascii") as file:
                file.write(str(self.before))


class Machine:
    """Where contenders run: CPUs, memory, plug-ins, a folder for their files."""

    def __init__(self, bin_dir, out_dir, folder):
        self.bin_dir, self.out_dir, self.folder = bin_dir, out_dir, folder
        cpus = ALLOWED_CPUS
        if len(cpus) < 2:
            raise BenchError("needs two CPUs: one for the worker that is measured, one for all else")
        self.control, self.worker = cpus[0], cpus[-1]
        self.tsc_hz = 0
        self.plugins = plugin_arguments()
        # What steers and watches stays off the worker's CPU.
        os.sched_setaffinity(0, set(cpus) - {self.worker})
        self.cpus = cpus

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, name):
        return os.path.join(self.bin_dir, name)

    def command(self, arguments):
        """A program that ends with us, and may use every CPU: contenders pin their own threads."""
        return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", ",".join(map(str, self.cpus)), *arguments]


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


def describe(machine, huge):
    """For the JSON: machine, kernel, versions."""
    model = next((line.split(":", 1)[1].strip() for line in read_text("/proc/cpuinfo").splitlines() if line.startswith("model name")), platform.processor())
    version = subprocess.run([machine.program("sallyport"), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    peers = os.path.basename(os.path.realpath(os.path.join(machine.out_dir, "l3fwd")))
    testpmd = subprocess.run(["dpkg-query", "-W", "-f=${Version}", "dpdk"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cpu": model, "cpus": len(machine.cpus), "worker_cpu": machine.worker, "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(), "tsc_hz": machine.tsc_hz, "program": version, "peers": {"testpmd": testpmd, "l3fwd": peers},
        "huge_pages": huge, "transparent_huge_pages": read_text(THP), "hypervisor": "hypervisor" in read_text("/proc/cpuinfo"),
        "hardware_counters": os.path.exists("/sys/bus/event_source/devices/cpu/events/cache-misses"), "load": os.getloadavg()[0],
    }


class Neighbours:
    """What others took of the worker's CPU since it was made: time that the hypervisor gave to other machines, in per cent."""

    def __init__(self, cpu):
        self.cpu = f"cpu{cpu} "
        self.begin = self.ticks()

    def ticks(self):
        line = next(line for line in read_text("/proc/stat").splitlines() if line.startswith(self.cpu))
        return [int(word) for word in line.split()[1:]]

    def stolen(self):
        now = [after - before for after, before in zip(self.ticks(), self.begin)]
        return 100 * now[7] / max(1, sum(now[:8]))
