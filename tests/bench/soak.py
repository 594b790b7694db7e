# SPDX-License-Identifier: BSD-3-Clause
"""The session table at ten million: what a session takes in memory, and what opening, hitting and ending one takes in cycles."""
import statistics
import time

from contenders import micro
from figures import summary
from machine import BenchError, HugePages, available_mb, huge_free_mb
from report import ranged, table

AIM_BYTES = {"IPv4": 128, "IPv6": 192}
AIM_RATIO = 2

# MB of EAL memory a million sessions: the table, and the lines that are touched beside it.
MEMORY_MB = {"4": 340, "6": 520}


def derive(told):
    """Figures of one launch. What the passes spend on making packets is taken off; see micro_soak.c for the touch."""
    one = {key: statistics.median(told[key]) for key in ("hit", "touch", "hit_small", "touch_small", "make")}
    hit, small = one["hit"] - one["make"], one["hit_small"] - one["make"]
    misses = one["touch"] - one["touch_small"]
    return {
        "insert": told["insert"], "expire": told["expire"], "hit": hit, "hit_small": small, "misses": misses,
        "beyond": hit - misses, "ratio": (hit - misses) / small,
    }


def jobs(size):
    """(family, whether on huge pages, launches): with and without, since what misses cost depends on pages most."""
    pages = ((True, size.soak_launches),) if size.quick else ((True, size.soak_launches), (False, 1))
    return [(family, huge, launches) for family in ("4", "6") for huge, launches in pages]


def run(machine, size, until):
    """Entries of all jobs. Past `until` each is launched once, and ordinary pages not at all."""
    found = []
    for family, huge, launches in jobs(size):
        entry = {"name": "soak", "set": f"IPv{family}, {size.soak_sessions:,} sessions, {'huge' if huge else 'ordinary'} pages"}
        try:
            entry.update(launch(machine, family, size.soak_sessions, huge, launches, until))
        except BenchError as error:
            entry["error"] = str(error)
        found.append(entry)
    return found


def launch(machine, family, sessions, huge, launches, until):
    memory_mb = MEMORY_MB[family] * sessions // 1000000 + 192
    if available_mb() < memory_mb + 1024:
        raise BenchError(f"left out: needs {memory_mb} MB")
    if not huge and time.monotonic() > until:
        raise BenchError("left out: no time for it")
    told = []
    with HugePages(memory_mb if huge else 0):
        if huge and huge_free_mb() < memory_mb:
            raise BenchError(f"left out: there are no {memory_mb} MB of huge pages")
        while len(told) < launches and (not told or time.monotonic() < until):
            told.append(micro(machine, ["soak", str(sessions), family], 3, 60, memory_mb, 150, huge)["results"][0])
    each = [derive(t) for t in told]
    return {
        "family": told[0]["family"], "sessions": sessions, "huge": told[0]["huge"], "bytes": told[0]["bytes"], "launches": len(told),
        **{key: summary([e[key] for e in each]) for key in each[0]},
    }


def memory_table(entries):
    head = ["bytes a session", "record", "index", "both", "aim", "TCP", "inspection", "other", "all"]
    rows = {}
    for e in entries:
        if "bytes" in e:
            b = e["bytes"]
            rows[e["family"]] = [
                f"{e['family']}, {e['sessions']:,} sessions, both directions", f"{b['record']:.1f}", f"{b['index']:.1f}", f"{b['record'] + b['index']:.1f}",
                str(AIM_BYTES[e["family"]]), f"{b['tcp']:.1f}", f"{b['inspect']:.1f}", f"{b['other']:.1f}", f"{b['all']:.1f}",
            ]
    return table(head, list(rows.values()))


def cycles_table(entries):
    head = ["cycles a session", "insert", "expire", "hit", "hit at 1,000", "unavoidable misses", "hit beyond them", "of one at 1,000", "aim"]
    rows = []
    for e in entries:
        if "hit" in e:
            cells = [ranged(e[k], ".0f") for k in ("insert", "expire", "hit", "hit_small", "misses", "beyond")]
            rows.append([e["set"], *cells, ranged(e["ratio"], ".2f"), f"<= {AIM_RATIO}"])
        else:
            rows.append([e["set"], "failed", "", "", "", "", "", "", ""])
    return table(head, rows)


def text(entries):
    return (
        f"{memory_table(entries)}\n\n{cycles_table(entries)}\n"
        "Hits are drawn uniformly at random, half of them in the reply direction. Unavoidable: what touching a bucket, the record it names and the counters costs\n"
        "more in arrays of the same size and pages than in small ones, prefetched alike. Expire: by the worker's portions of 64, putting off used sessions included.\n"
        "Ordinary pages: tables are transparent huge pages where the kernel makes them."
    )


def panel(entries):
    """For the chart."""
    items = []
    for e in entries:
        if "hit" in e:
            items += [(f"{kind}, {e['set']}".replace(" sessions", ""), e[key], True) for kind, key in (("hit", "hit"), ("insert", "insert"), ("expire", "expire"))]
    return "Session table: cycles a session (less is better)", "cycles", items
