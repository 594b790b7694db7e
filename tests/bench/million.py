# SPDX-License-Identifier: BSD-3-Clause
"""A million routes in Linux: how long until packets go by them, what they take in memory, and what a packet costs among them."""
import os
import re
import statistics
import time

import routes
from contenders import Routed, end, ip, spawn, told
from figures import excess, paired, summary
from machine import BenchError, HugePages, available_mb
from report import ranged

COUNT = 1000000
TABLES_MB = 1300  # for so many, beyond those of the default size
FOLLOW_SECONDS = 60


class Among(Routed):
    """The router with so many routes more than its packets take. It is started twice: told them one by one, and finding them all there."""

    def __init__(self, capture, rules, count):
        super().__init__(f"routed, {count:,} routes", capture, rules)
        self.count, self.found = count, []

    def need_mb(self):
        return super().need_mb() + TABLES_MB

    def route_keys(self):
        return f"max4 = {self.count + 100000};"

    def start(self, machine, folder, log):
        batch = os.path.join(machine.folder, "million.batch")
        if not os.path.exists(batch):
            with open(batch, "w", encoding="ascii") as file:
                file.writelines(routes.others(self.count))
        process = super().start(machine, folder, log)
        try:
            before, began = resident_mb(process.pid), time.monotonic()
            ip("-n", self.namespace, "-batch", batch)
            said = time.monotonic()
            self.follow(folder, process)
            known, after = time.monotonic(), resident_mb(process.pid)
            end(process)
            began_again = time.monotonic()
            process = spawn(machine, [machine.program("sallyport"), "run", "-c", os.path.join(folder, "sallyport.conf")], log)
            self.wait_link(process)
            ip("-n", self.namespace, "-batch", "-", text=routes.neighbours())
            self.follow(folder, process)
            again = time.monotonic()
        except BaseException:
            end(process)
            raise
        log.flush()
        with open(log.name, encoding="utf-8", errors="replace") as file:
            tables = re.findall(r"routes: .* in (\d+) MB", file.read())
        self.found.append({
            "told_s": said - began, "behind_s": known - said, "again_s": again - began_again, "mirror_mb": after - before,
            "tables_mb": int(tables[-1]) if tables else None,
        })
        return process

    def follow(self, folder, process):
        """Returns when workers route by all of them, and neighbours are known."""
        until = time.monotonic() + FOLLOW_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise BenchError(f"ended with {process.returncode}")
            try:
                metrics = told(folder, "/metrics")
                if gauge(metrics, 'fib_prefixes{family="ipv4"}') >= self.count + 512 and gauge(metrics, 'neighbours{state="resolved"}') >= 2 * routes.NEIGHBOURS:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise BenchError(f"does not know all routes after {FOLLOW_SECONDS} s")


def gauge(metrics, name):
    return int((re.search(rf"^sallyport_{re.escape(name)} (\d+)", metrics, re.M) or [0, -1])[1])


def resident_mb(pid):
    """Ordinary memory of a process, huge pages not among it."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def run(machine, size, capture, rules, until):
    """One entry; each launch stands beside one of the same router with few routes."""
    entry = {"name": f"sallyport routed, {COUNT:,} routes", "traffic": capture.text, "routes": COUNT}
    few, many = Routed("routed", capture, rules), Among(capture, rules, COUNT)
    if available_mb() < many.need_mb() + 3072:
        entry["error"] = f"left out: needs {many.need_mb() + 3072} MB"
        return entry
    with HugePages(many.need_mb()):
        for n in range(size.million_launches):
            if n > 0 and time.monotonic() > until:
                break
            for contender in (few, many) if n % 2 == 0 else (many, few):
                contender.launch(machine, size.windows)
    cycles = [[launch and launch["cycles"] for launch in contender.launches] for contender in (few, many)]
    worked = [c for c in cycles[1] if c is not None]
    if many.error:
        entry["error"] = many.error
    if worked:
        entry.update(cycles=summary(worked), over_few=paired(cycles[1], cycles[0], excess))
        entry.update({key: statistics.median(f[key] for f in many.found) for key in many.found[0] if many.found[0][key] is not None})
    return entry


def line(entry):
    """What was found, as a sentence."""
    if "cycles" not in entry:
        return f"{entry['name']}: {entry.get('error', 'failed')}"
    over = f", {ranged(entry['over_few'], '+.0f')} over 512 routes" if entry.get("over_few") else ""
    return (
        f"{entry['routes']:,} routes of Linux: ip(8) took {entry['told_s']:.1f} s to say them, packets went by the last of them {entry['behind_s']:.1f} s later; a restart "
        f"had them and its neighbours again after {entry['again_s']:.1f} s; tables {entry.get('tables_mb', 0):.0f} MB, what mirrors Linux {entry['mirror_mb']:.0f} MB; "
        f"{ranged(entry['cycles'], '.0f')} cycles a packet{over}"
    )
