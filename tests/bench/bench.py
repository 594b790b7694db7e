#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sallyport beside its peers: the same packets, ports, core and minute for all, in turns.

Every round measures each contender once, from a fresh start, so that whatever else the machine does hits all of them; the figure is the
median of the rounds, stated with the least and the most. Figures are of this machine and this run: compare within a table, not between.
"""
import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_rules  # noqa: E402
import report  # noqa: E402
import traffic  # noqa: E402
from contenders import BenchError, L3fwd, Machine, MicroWire, Sallyport, Testpmd, huge_free_mb, micro  # noqa: E402

HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

# Eight rules that the packets meet in vain, and two that let them pass, for every contender that has rules.
DENIED = [("192.0.2.0/24", "198.51.100.0/24", p) for p in (22, 23, 25, 135, 139, 445, 3389, 5900)]
ZONED = [
    *(f"{i} drop tcp from {src} to {dst} dport {port}" for i, (src, dst, port) in enumerate(DENIED, 1)),
    "9 allow udp from inside 198.18.0.0/16 to outside 198.19.0.0/16",
]


class Capture:
    """A pair of captures, and the memory that a program needs to hold both."""

    def __init__(self, folder, name, flows, payload_bytes=traffic.SMALLEST):
        self.name, self.flows = name, flows
        self.forth, self.back = os.path.join(folder, f"{name}-forth.pcap"), os.path.join(folder, f"{name}-back.pcap")
        self.buffers = 2 * flows + 16384
        self.memory_mb = 256 + self.buffers * 2560 // (1 << 20) + 128
        frame_bytes = payload_bytes + 46  # with FCS
        self.text = f"{flows:,} flows, {frame_bytes} B"
        traffic.make_pair(self.forth, self.back, flows, payload_bytes)


def rule_text(rules, head="", default="drop"):
    lines = ",\n".join(f'    "{r}"' for r in rules)
    return f'version = 1;\n{head}default = {{ action = "{default}"; }};\nrules = (\n{lines}\n);\n'


def patterns_head(count):
    """An inspect profile of `count` literals, without a bound on depth: the same few sessions are scanned on and on."""
    rng = random.Random(7)
    lines = []
    for i in range(count):
        word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789_/.-", k=rng.randrange(8, 17))).replace(".", "\\\\.")
        lines.append(f'{{ id = {9000001 + i}; msg = "literal {i}"; pattern = "{word}"; action = "drop"; }}')
    body = ",\n        ".join(lines)
    return f'inspect = {{\n    bench = {{ mode = "block"; depth = 0; patterns = (\n        {body}\n    ); }};\n}};\n'


class Files:
    """Rule files of every form, in one folder."""

    def __init__(self, folder, patterns):
        self.folder = folder
        self.ten = self.write("ten.rules", rule_text([*ZONED, "10 allow udp from outside 198.19.0.0/16 to inside 198.18.0.0/16"]))
        self.bpf = self.write("bpf.rules", rule_text([*ZONED[:8], "9 allow udp stateless bpf 'udp[4:2] < 1000 and ip[8] > 1'"]))
        self.inspect = self.write("inspect.rules", rule_text([*ZONED[:8], ZONED[8] + " inspect bench"], patterns_head(patterns)))
        acl = [f"@{src} {dst} 0 : 65535 {port} : {port} 0x06/0xff" for src, dst, port in DENIED]
        acl += [f"R198.18.0.0/16 198.19.0.0/16 0 : 65535 0 : 65535 0x11/0xff 1", "R198.19.0.0/16 198.18.0.0/16 0 : 65535 0 : 65535 0x11/0xff 0"]
        self.acl4 = self.write("acl4", "\n".join(acl) + "\n")
        self.acl6 = self.write("acl6", "R0:0:0:0:0:0:0:0/0 0:0:0:0:0:0:0:0/0 0 : 65535 0 : 65535 0x00/0x00 0\n")
        self.fib4 = self.write("fib4", "R198.18.0.0/16 0\nR198.19.0.0/16 1\n")
        self.fib6 = self.write("fib6", "R2001:0200:0000:0000:0000:0000:0000:0000/64 0\n")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def shape(self, shape, count):
        """(rule file, filter file) of a generated set."""
        rules = make_rules.generate(shape, count)
        return self.write(f"{shape}-{count}.rules", make_rules.rule_file(rules)), self.write(f"{shape}-{count}", make_rules.filter_file(rules))

    def crowded(self, count):
        """Sessions open by the last rule of an access list."""
        rules = make_rules.generate("acl", count - 1)
        texts = [r.text(i) for i, r in enumerate(rules, 1)]
        return self.write(f"crowded-{count}.rules", rule_text([*texts, f"{count} allow udp from 198.18.0.0/16 to 198.19.0.0/16"]))


# --- huge pages ------------------------------------------------------------------------------------------------------------------


class HugePages:
    """Sees to it that enough are free for the largest contender, and gives back what it added."""

    def __init__(self, need_mb):
        self.need_mb, self.before = need_mb, None

    def __enter__(self):
        short = self.need_mb - huge_free_mb()
        if short <= 0 or available_mb() < short + 2048:
            return self
        try:
            with open(HUGE_PAGES, "r+", encoding="ascii") as file:
                before = int(file.read())
                file.seek(0)
                file.write(str(before + (short + 1) // 2))
            self.before = before
        except OSError:
            pass
        return self

    def __exit__(self, *exc):
        if self.before is not None:
            with open(HUGE_PAGES, "w", encoding="ascii") as file:
                file.write(str(self.before))


def available_mb():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:")) // 1024


# --- the plan --------------------------------------------------------------------------------------------------------------------


def plan_wire(folder, files, quick):
    """Contenders in the order of the table."""
    small, large = Capture(folder, "small", 1000), Capture(folder, "large", 100000)
    payload = Capture(folder, "payload", 1000, 512)
    plan = [Testpmd("io", small), Testpmd("5tswap", small), L3fwd("acl", small, files.acl4, files.acl6, ", 10 rules")]
    plan += [L3fwd("fib", small, files.fib4, files.fib6), MicroWire("sallyport parse only", "parse", small, files.ten)]
    plan += [Sallyport("established", small, files.ten), Sallyport("bpf rule, stateless", small, files.bpf)]
    if not quick:
        medium = Capture(folder, "medium", 10000)
        plan += [Testpmd("io", medium), L3fwd("acl", medium, files.acl4, files.acl6, ", 10 rules"), Sallyport("established", medium, files.ten)]
    plan += [Testpmd("io", large), L3fwd("acl", large, files.acl4, files.acl6, ", 10 rules"), Sallyport("established", large, files.ten)]
    plan += [MicroWire("sallyport all new sessions", "new", large, files.ten)]
    if not quick:
        plan += [MicroWire("sallyport all new, 1,000 rules", "new", large, files.crowded(1000))]
    plan += [Testpmd("io", payload), Sallyport("inspected", payload, files.inspect)]
    return plan


def run_wire(plan, machine, rounds, seconds, deadline):
    """Rounds until there are enough or time is up; after the first, only contenders that worked."""
    for r in range(rounds):
        if r > 1 and time.monotonic() > deadline:
            print(f"  time is up after {r} of {rounds} rounds", file=sys.stderr)
            break
        for i, contender in enumerate(plan):
            progress(f"round {r + 1} of {rounds}: {contender.name}, {contender.capture.text} ({i + 1} of {len(plan)})")
            if contender.error is None or contender.samples:
                contender.measure(machine, seconds)
    progress("")


def run_micro(files, machine, quick, deadline):
    """The in-process comparisons: [(kind, JSON or error)]."""
    repeats, sample_ms = (3, 30) if quick else (7, 60)
    jobs = []
    for shape in ("acl",) if quick else ("acl", "fw", "ipc"):
        for count in (10, 1000, 10000) if quick else (10, 1000, 10000, 100000):
            if count < 100000 or shape == "acl":
                jobs.append(("acl", shape, count, 1024 if count < 10000 else 1500 if count < 100000 else 6000))
    jobs += [("hash", None, count, 1024) for count in ((1000, 100000) if quick else (1000, 10000, 100000, 1000000))]
    jobs += [("scan", None, size, 512) for size in ((512,) if quick else (64, 512, 1400))]
    found = []
    for kind, shape, size, memory_mb in jobs:
        name = f"{shape}, {size:,} rules" if kind == "acl" else f"{kind} {size:,}"
        progress(f"in memory: {name}")
        if time.monotonic() > deadline or available_mb() < memory_mb:
            found.append({"name": kind, "set": name, "error": "left out: no time or memory for it"})
            continue
        arguments = {"acl": lambda: files.shape(shape, size), "hash": lambda: (size,), "scan": lambda: (files.inspect, size)}[kind]()
        try:
            told = micro(machine, [kind, *arguments], repeats, sample_ms, memory_mb, 150)["results"]
        except BenchError as error:
            found.append({"name": kind, "set": name, "error": str(error)})
            continue
        for entry in told:
            entry["set"] = name if kind == "acl" else entry["set"]
        found += told
    progress("")
    return found


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
    elif text and text.split(":")[0] != progress.said:
        progress.said = text.split(":")[0]
        print(progress.said, file=sys.stderr, flush=True)


progress.said = None  # outside a terminal each step is said once, without its parts


# --- results ---------------------------------------------------------------------------------------------------------------------


def wire_results(plan, tsc_hz):
    """One entry a contender; ratios are to testpmd io on the same capture."""
    floors, entries = {}, []
    for contender in plan:
        entry = {"name": contender.name, "traffic": contender.capture.text}
        if contender.error:
            entry["error"] = contender.error
        if contender.samples:
            entry["mpps"] = report.summary([s["pps"] / 1e6 for s in contender.samples])
            entry["cycles"] = report.summary([s["cycles_ns"] * tsc_hz / 1e9 for s in contender.samples])
            entry["core_share"] = min(s["share"] for s in contender.samples)
            if contender.name == "testpmd io":
                floors[contender.capture.name] = entry
        if contender.stages:
            entry["stages"] = {k: report.summary([s[k] for s in contender.stages])["median"] for k in contender.stages[-1]}
        entries.append(entry)
    for contender, entry in zip(plan, entries):
        floor = floors.get(contender.capture.name)
        if floor and "mpps" in entry:
            entry["ratio"] = entry["mpps"]["median"] / floor["mpps"]["median"]
            entry["over"] = entry["cycles"]["median"] - floor["cycles"]["median"]
    return entries


def micro_results(found):
    """Samples become summaries; ours gets its ratio to the library's on the same input."""
    library = {}
    for entry in found:
        if "error" in entry:
            continue
        entry["cycles"] = report.summary(entry["cycles"])
        if entry["name"].startswith("sallyport"):
            entry["ratio"] = entry["cycles"]["median"] / library[entry["set"]]
        else:
            library[entry["set"]] = entry["cycles"]["median"]
    return found


def aims(entries):
    """The two aims, as found; no verdict."""
    by = {(e["name"], e["traffic"].split(" ")[0]): e for e in entries if "mpps" in e}
    ours, acl = by.get(("sallyport established", "1,000")), by.get(("l3fwd acl, 10 rules", "1,000"))
    lines = []
    if ours and ours.get("over") is not None:
        lines.append(f"1,000 established flows, 10 rules: {ours['over']:+.0f} cycles a packet over testpmd io (aim: at most 120)")
    if ours and acl:
        lines.append(f"the same against l3fwd with ACL: {ours['mpps']['median'] / acl['mpps']['median']:.2f} of its rate (aim: at least 1)")
    return lines


def system(machine, tsc_hz, huge):
    model = platform.processor()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    version = subprocess.run([os.path.join(machine.bin_dir, "sallyport"), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"cpu": model, "kernel": platform.release(), "tsc_hz": tsc_hz, "program": version, "huge_pages": huge, "load": os.getloadavg()[0]}


def write_results(out, results):
    with open(os.path.join(out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    wire = [(f"{e['name']}, {e['traffic']}", e["cycles"], e["name"].startswith("sallyport")) for e in results["wire"] if "cycles" in e]
    panels = [("Forwarding on one core: cycles a packet (less is better)", "cycles", wire)]
    for unit, title in (("lookup", "Lookups in memory: cycles (less is better)"), ("scan", "Scans of one payload: cycles (less is better)")):
        entries = [e for e in results["memory"] if e.get("unit") == unit]
        panels.append((title, "cycles", [(f"{e['name']}, {e['set']}", e["cycles"], e["name"].startswith("sallyport")) for e in entries]))
    note = f"{results['system']['program']}; {results['system']['cpu']}; bars are medians, lines reach from the least to the most"
    with open(os.path.join(out, "results.svg"), "w", encoding="utf-8") as file:
        file.write(report.chart(panels, note))


def print_results(results, seconds):
    print(report.wire_table(results["wire"]))
    print("Mpps: packets in a second of the core's time; what others take of the core is not counted.\n")
    print(report.micro_table(results["memory"]))
    stages = report.stage_table(results["wire"])
    if stages:
        print(f"\n{stages}")
        shared = min((e["core_share"] for e in results["wire"] if e.get("stages")), default=1)
        if shared < 0.98:
            print(f"Stages are timed by the clock: others had up to {1 - shared:.0%} of the core, and are in these figures.")
    print()
    for line in aims(results["wire"]):
        print(line)
    cycles = [report.spread(e["cycles"]) for e in results["wire"] if "cycles" in e]
    shares = [e["core_share"] for e in results["wire"] if "core_share" in e]
    if cycles:
        print(f"spread of cycles: up to {max(cycles):.0f} % of a median; the least share of its core that a contender had: {min(shares):.0%}")
    for e in results["wire"] + results["memory"]:
        if e.get("error"):
            print(f"{e['name']}, {e.get('traffic') or e['set']}: {e['error']}")
    print(f"took {seconds:.0f} s")


def choose_cpus():
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise BenchError("needs two CPUs: one for the worker that is measured, one for all else")
    return cpus[0], cpus[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", required=True, help="folder of sallyport and tests/bench/micro")
    parser.add_argument("--out", required=True, help="folder for l3fwd, results.json and results.svg")
    parser.add_argument("--quick", action="store_true", help="fewer contenders and rounds, under two minutes")
    arguments = parser.parse_args()
    began = time.monotonic()
    # An end by SIGTERM, too, takes what was started along and gives the huge pages back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    rounds, seconds, limit, micro_limit = (3, 0.5, 85, 110) if arguments.quick else (5, 1.0, 420, 560)
    cpus = choose_cpus()
    os.makedirs(arguments.out, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as folder:
        machine = Machine(os.path.abspath(arguments.bin), os.path.abspath(arguments.out), folder, cpus)
        progress("making captures and rules")
        files = Files(folder, 1000)
        plan = plan_wire(folder, files, arguments.quick)
        with HugePages(max(1536, *(c.capture.memory_mb for c in plan))):
            huge = huge_free_mb() >= max(c.capture.memory_mb for c in plan)
            tsc_hz = micro(machine, ["hash", 1000], 1, 1, 256, 30)["tsc_hz"]
            run_wire(plan, machine, rounds, seconds, began + limit)
            found = run_micro(files, machine, arguments.quick, began + micro_limit)
        results = {
            "system": system(machine, tsc_hz, huge), "rounds": rounds, "window_s": seconds,
            "wire": wire_results(plan, tsc_hz), "memory": micro_results(found),
        }
        write_results(arguments.out, results)
        print_results(results, time.monotonic() - began)
        print(f"{arguments.out}/results.json  {arguments.out}/results.svg")
        failed = any(e.get("error") for e in results["wire"])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    try:
        main()
    except BenchError as problem:
        sys.exit(f"bench: {problem}")
