# SPDX-License-Identifier: BSD-3-Clause
"""From launches to figures.

A figure is the median of independent launches, stated with the least and the most of them. Windows of one launch agree far better than
launches do: where the program and its tables lie in memory, the secret of the hash, the clock of the moment and who else is on the machine
change between launches, not within one. Two programs are compared by ratios taken within rounds, in which both met the same minute.
"""
import math
import statistics


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "launches": len(values), "values": list(values)}


def spread(stats):
    """How far launches lie apart, in per cent of their median."""
    return 100 * (stats["max"] - stats["min"]) / stats["median"]


def paired(ours, theirs, how):
    """how(our, their) of every round in which both worked; None when there is none."""
    values = [how(a, b) for a, b in zip(ours, theirs) if a is not None and b is not None]
    return summary(values) if values else None


def rate_ratio(ours, theirs):
    """Our rate as a part of theirs, from cycles."""
    return theirs / ours


def excess(ours, theirs):
    return ours - theirs


# Caches and clock are not a contender's own when others use its core. Launches that had less of it are left out while enough others remain: it
# is the machine that chooses them, not their figure.
UNDISTURBED_SHARE = 0.9
UNDISTURBED_ENOUGH = 3


def cycles_of(contender):
    """A round's figure, None where there is none."""
    calm = [launch is not None and launch["share"] >= UNDISTURBED_SHARE for launch in contender.launches]
    choose = sum(calm) >= UNDISTURBED_ENOUGH
    return [launch["cycles"] if launch and (not choose or quiet) else None for launch, quiet in zip(contender.launches, calm)]


def wire_entry(contender, tsc_hz):
    entry = {"name": contender.name, "traffic": contender.capture.text}
    cycles = [c for c in cycles_of(contender) if c is not None]
    failed = sum(launch is None for launch in contender.launches)
    if contender.error:
        entry["error"] = f"{failed} of {len(contender.launches)} launches failed: {contender.error}"
    if cycles:
        entry["cycles"] = summary(cycles)
        entry["mpps"] = summary([tsc_hz / c / 1e6 for c in cycles])
        entry["disturbed"] = sum(launch is not None for launch in contender.launches) - len(cycles)
        entry["core_share"] = min(launch["share"] for launch in contender.launches if launch)
        entry["within_launch"] = statistics.median(
            (max(launch["windows"]) - min(launch["windows"])) / launch["cycles"] for launch in contender.launches if launch
        )
    if contender.stages:
        entry["stages"] = {k: statistics.median(s[k] for s in contender.stages) for k in contender.stages[-1]}
    return entry


def wire_results(plan, tsc_hz):
    """One entry a contender, with ratios to testpmd io and l3fwd on the same capture, and what it takes over the one that it stands beside."""
    entries = [wire_entry(contender, tsc_hz) for contender in plan]
    base = {(c.capture.name, c.name.split(",")[0]): cycles_of(c) for c in plan}
    for contender, entry in zip(plan, entries):
        if "cycles" not in entry:
            continue
        io, acl, fib = (base.get((contender.capture.name, name)) for name in ("testpmd io", "l3fwd acl", "l3fwd fib"))
        if io:
            entry["of_io"] = paired(cycles_of(contender), io, rate_ratio)
            entry["over_io"] = paired(cycles_of(contender), io, excess)
        if acl and contender.name.startswith("sallyport"):
            entry["of_acl"] = paired(cycles_of(contender), acl, rate_ratio)
        if fib and contender.name == "sallyport routed":
            entry["of_fib"] = paired(cycles_of(contender), fib, rate_ratio)
        if contender.beside is not None:
            entry["beside"] = contender.beside.name
            entry["over_beside"] = paired(cycles_of(contender), cycles_of(contender.beside), excess)
    return entries


def memory_entries(job):
    """Entries of an in-process comparison; job.launches are lists of micro's results. Ours has its ratio to the library's."""
    entries = []
    for i, first in enumerate(job.launches[0]):
        per_launch = [statistics.median(launch[i]["cycles"]) for launch in job.launches]
        entry = {key: value for key, value in first.items() if key != "cycles"}
        entry.update(set=job.title or first["set"], cycles=summary(per_launch))
        if i > 0 and first["unit"] == job.launches[0][0]["unit"]:
            library = [statistics.median(launch[0]["cycles"]) for launch in job.launches]
            entry["of_library"] = paired(per_launch, library, lambda a, b: a / b)
        entries.append(entry)
    return entries


# --- whether two runs agree ----------------------------------------------------------------------------------------------------------

FIGURES = ("cycles", "of_io", "over_io", "of_acl", "of_fib", "over_beside", "of_library")


def figures_of(results):
    """{(name, input, figure): summary} of all that a run states."""
    found = {}
    for entry in results["wire"] + results["memory"]:
        for figure in FIGURES:
            if entry.get(figure):
                found[entry["name"], entry.get("traffic") or entry["set"], figure] = entry[figure]
    return found


def drift(results):
    """How far the core's clock wandered in a run, as a part of it. The TSC does not wander with it, so what is counted in its cycles does."""
    clock = results["noise"]["clock_ghz"]
    return (clock["max"] - clock["min"]) / clock["median"]


def outside(stats, other, part=0.0):
    """Whether a median lies outside the other run's range, widened by a part of itself on both sides."""
    return not other["min"] * (1 - part) <= stats["median"] <= other["max"] * (1 + part)


def by_chance(n):
    """The odds that the median of n launches lies outside the range of n others of the same kind, when only chance tells them apart.

    Below the range: the lowest (n + 1) / 2 of all 2 n are of the one run. Three launches give 2 in 5, five 1 in 6, eleven 1 in 81.
    """
    half = (n + 1) // 2
    return 2 * math.comb(2 * n - half, n - half) / math.comb(2 * n, n)


def compare(first, second):
    """What two runs say differently beyond the clock's drift: (figures compared, expected by chance, the drift, [(key, one, other)])."""
    part = max(drift(first), drift(second))
    a, b = figures_of(first), figures_of(second)
    both = sorted(a.keys() & b.keys())
    differ = [(key, a[key], b[key]) for key in both if outside(a[key], b[key], part) or outside(b[key], a[key], part)]
    # Either median may be the one outside; the two events hardly ever come without each other for small n, so this is an upper estimate.
    expected = sum(min(1.0, 2 * by_chance(min(a[key]["launches"], b[key]["launches"]))) for key in both)
    return len(both), expected, part, differ
