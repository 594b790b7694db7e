#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sallyport beside its peers: the same packets, ports, core and minutes for all, in turns.

Every round launches each contender once, forth and back in turn, so that whatever else the machine does hits all of them alike. A figure is the median
of independent launches with the least and the most of them; programs are compared by ratios within rounds. Figures are of this machine and this run.
"""
import argparse
import json
import os
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import figures  # noqa: E402
import flood  # noqa: E402
import million  # noqa: E402
import peers  # noqa: E402
import plan  # noqa: E402
import report  # noqa: E402
import soak  # noqa: E402
from machine import BenchError, HugePages, Machine, Neighbours, available_mb, describe, huge_free_mb  # noqa: E402


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
    elif text and text.split(":")[0] != progress.said:
        progress.said = text.split(":")[0]
        print(progress.said, file=sys.stderr, flush=True)


progress.said = None  # outside a terminal each step is said once, without its parts


def run_wire(contenders, noise, machine, size, until):
    """Rounds until there are enough or time is up; after the first, only contenders that worked."""
    for r in range(size.launches):
        if r >= 3 and time.monotonic() > until:
            print(f"  time is up after {r} of {size.launches} rounds", file=sys.stderr)
            break
        noise.launch(machine)
        for i, contender in enumerate(contenders if r % 2 == 0 else contenders[::-1]):
            progress(f"round {r + 1} of {size.launches}: {contender.name}, {contender.capture.text} ({i + 1} of {len(contenders)})")
            if contender.works():
                contender.launch(machine, size.windows)
    progress("")


def run_memory(jobs, machine, until):
    """The same for the in-process comparisons: each once, then those that are launched often, then those that take long to build."""
    for job in jobs:
        progress(f"in memory: {' '.join(map(str, job.arguments[:2]))}")
        launch_memory(job, machine, until)
    for wanted in sorted({job.wanted for job in jobs}, reverse=True):
        group = [job for job in jobs if job.wanted == wanted]
        for r in range(1, wanted):
            for job in group if r % 2 == 0 else group[::-1]:
                progress(f"in memory, round {r + 1} of {wanted}: {' '.join(map(str, job.arguments[:2]))}")
                launch_memory(job, machine, until)
    progress("")


def launch_memory(job, machine, until):
    if job.error is not None:
        return
    if time.monotonic() > until or available_mb() < job.memory_mb:
        job.short = True
        return
    try:
        job.launch(machine)
    except BenchError as error:
        job.error = str(error)


def memory_results(jobs):
    found = []
    for job in jobs:
        entries = figures.memory_entries(job) if job.launches else [{"name": job.arguments[0], "set": job.title or str(job.arguments[-1])}]
        if job.error or not job.launches:
            entries[0]["error"] = job.error or "left out: no time or memory for it"
        found += entries
    return found


def aims(entries):
    """The aims, as found; no verdict."""
    by = {(e["name"], e["traffic"].split(" ")[0]): e for e in entries if "cycles" in e}
    ours = by.get(("sallyport established", "1,000"), {})
    lines = []
    if ours.get("over_io"):
        lines.append(f"1,000 established flows, 10 rules: {report.ranged(ours['over_io'], '+.0f')} cycles a packet over testpmd io (aim: at most 120)")
    if ours.get("of_acl"):
        lines.append(f"the same against l3fwd with ACL: {report.ranged(ours['of_acl'], '.2f')} of its rate (aim: at least 1)")
    nat = by.get(("sallyport source NAT", "1,000"), {})
    if nat.get("over_beside"):
        lines.append(f"source NAT of 1,000 established flows: {report.ranged(nat['over_beside'], '+.0f')} cycles a packet over routed (aim: at most 40)")
    return lines


def write_results(out, results):
    with open(os.path.join(out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    wire = [(f"{e['name']}, {e['traffic']}", e["cycles"], e["name"].startswith("sallyport")) for e in results["wire"] if "cycles" in e]
    panels = [("Forwarding on one core: cycles a packet (less is better)", "cycles", wire)]
    for unit, title in (("lookup", "Lookups in memory: cycles (less is better)"), ("scan", "Scans of one payload: cycles (less is better)")):
        entries = [e for e in results["memory"] if e.get("unit") == unit and "cycles" in e]
        panels.append((title, "cycles", [(f"{e['name']}, {e['set']}", e["cycles"], e["name"].startswith("sallyport")) for e in entries]))
    panels.append(soak.panel(results["soak"]))
    note = f"{results['system']['program']}; {results['system']['cpu']}; bars are medians of launches, lines reach from the least to the most"
    with open(os.path.join(out, "results.svg"), "w", encoding="utf-8") as file:
        file.write(report.chart(panels, note))


def print_results(results):
    print(report.wire_table(results["wire"]))
    print("Cycles are the TSC's. Mpps: packets in a second of the core's time; what others take of the core is not counted. Ratios are within rounds.\n")
    print(report.memory_table(results["memory"]))
    routed = report.routed_table(results["wire"])
    if routed:
        print(f"\n{routed}")
    stages = report.stage_table(results["wire"])
    if stages:
        print(f"\n{stages}")
        shared = min((e["core_share"] for e in results["wire"] if e.get("stages")), default=1)
        if shared < 0.98:
            print(f"Stages are timed by the clock: others had up to {1 - shared:.0%} of the core, and are in these figures.")
    print(f"\n{soak.text(results['soak'])}\n\n{report.peer_table(results['peers'])}\n")
    for line in map(flood.line, results["flood"]):
        print(line)
    print(million.line(results["million"]))
    for line in aims(results["wire"]):
        print(line)
    for line in report.noise_lines(results):
        print(line)
    for e in results["wire"] + results["memory"] + results["soak"]:
        if e.get("error"):
            print(f"{e['name']}, {e.get('traffic') or e['set']}: {e['error']}")
    if results["short"]:
        print(f"time or memory was short: {results['short']} of the comparisons in memory were launched less often than planned")
    print(f"took {results['seconds']:.0f} s")


def run(arguments, size):
    """One whole run: the results as they are written."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as folder:
        machine = Machine(os.path.abspath(arguments.bin), os.path.abspath(arguments.out), folder)
        progress("making captures and rules")
        files = plan.Files(folder, 1000)
        contenders, jobs, noise = plan.wire(folder, files, size), plan.memory(files, size), plan.Noise()
        neighbours = Neighbours(machine.worker)
        need_mb = max(1536, *(c.need_mb() for c in contenders))
        with HugePages(need_mb):
            huge = huge_free_mb() >= need_mb
            run_wire(contenders, noise, machine, size, began + size.wire_until)
            run_memory(jobs, machine, began + size.memory_until)
        progress(f"{million.COUNT:,} routes")
        full = million.run(machine, size, contenders[0].capture, files.ten, began + size.million_until)
        progress("soak of the session table")
        soaked = soak.run(machine, size, began + size.soak_until)
        progress("downloads in a SYN flood")
        flooded = [flood.in_memory(os.path.join(machine.bin_dir, "tests/bench/micro"), gbit, size.flood_samples, machine.worker) for gbit in (1, 10)]
        progress("")
        results = {
            "system": describe(machine, huge), "launches": size.launches, "windows": {"count": size.windows.count, "seconds": size.windows.seconds},
            "noise": {"clock_ghz": figures.summary(noise.clock_ghz), "ports": figures.summary(noise.wide), "stolen_percent": neighbours.stolen()},
            "wire": figures.wire_results(contenders, machine.tsc_hz), "memory": memory_results(jobs), "soak": soaked, "flood": flooded, "million": full,
        }
    results["short"] = sum(job.short for job in jobs)
    results["peers"] = peers.rows(results)
    results["seconds"] = time.monotonic() - began
    return results


def check(first, second):
    """Says which figures two runs do not agree on."""
    n, expected, part, differ = figures.compare(first, second)
    print(f"\nRepeated: of {n} figures {len(differ)} have a median outside the other run's range, widened by the {part:.1%} that the core's clock wandered "
          f"(by chance alone, not widened: up to {expected:.1f})")
    for key, one, other in differ:
        print(f"  {', '.join(key)}: {report.ranged(one, '.4g')}, then {report.ranged(other, '.4g')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", required=True, help="folder of sallyport and tests/bench/micro")
    parser.add_argument("--out", required=True, help="folder for l3fwd, results.json and results.svg")
    parser.add_argument("--quick", action="store_true", help="fewer contenders and launches, under three minutes")
    parser.add_argument("--repeat-check", action="store_true", help="run twice, and say which medians lie outside the other run's range")
    arguments = parser.parse_args()
    # An end by SIGTERM, too, takes what was started along and gives the huge pages back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    os.makedirs(arguments.out, exist_ok=True)
    size = plan.Size(arguments.quick)
    results = run(arguments, size)
    print_results(results)
    if arguments.repeat_check:
        again = run(arguments, size)
        check(results, again)
        results["again"] = again
    write_results(arguments.out, results)
    print(f"{arguments.out}/results.json  {arguments.out}/results.svg")
    sys.exit(1 if any(e.get("error") and "cycles" not in e and "hit" not in e for e in results["wire"] + results["soak"] + [results["million"]]) else 0)


if __name__ == "__main__":
    try:
        main()
    except BenchError as problem:
        sys.exit(f"bench: {problem}")
