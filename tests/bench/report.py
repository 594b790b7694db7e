# SPDX-License-Identifier: BSD-3-Clause
"""What a run found, as a table for the terminal and as a chart."""
import statistics
from xml.sax.saxutils import escape

from figures import drift, spread


def ranged(stats, form):
    """A median with the least and the most, for people: "17.9 (17.2 to 18.4)"."""
    median, low, high = (format(stats[k], form) for k in ("median", "min", "max"))
    return median if low == high else f"{median} ({low} to {high})"


def table(head, rows):
    """Rows of text, the first column flush left, the others flush right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        lines.append("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def wire_table(entries):
    head = ["forwarding on one core", "traffic", "Mpps", "cycles a packet", "of testpmd io", "cycles over it", "launches"]
    rows = []
    for e in entries:
        if "cycles" not in e:
            rows.append([e["name"], e["traffic"], "failed", "", "", "", ""])
            continue
        rows.append([
            e["name"], e["traffic"], f"{e['mpps']['median']:.2f}", ranged(e["cycles"], ".0f"), ranged(e["of_io"], ".2f") if e.get("of_io") else "",
            ranged(e["over_io"], "+.0f") if e.get("over_io") else "", str(e["cycles"]["launches"]),
        ])
    return table(head, rows)


def routed_table(entries):
    """Routed mode and what it adds; empty when nothing of it was measured."""
    head = ["routed mode", "traffic", "cycles a packet", "of l3fwd fib", "cycles over", "what"]
    rows = []
    for e in entries:
        if e.get("over_beside") or e.get("of_fib"):
            rows.append([
                e["name"], e["traffic"], ranged(e["cycles"], ".0f"), ranged(e["of_fib"], ".2f") if e.get("of_fib") else "",
                ranged(e["over_beside"], "+.0f") if e.get("over_beside") else "", e.get("beside", ""),
            ])
    return table(head, rows) if rows else ""


def memory_table(entries):
    head = ["in memory", "input", "cycles", "per", "of the library", "build s", "launches"]
    rows = []
    for e in entries:
        if "cycles" not in e:
            rows.append([e["name"], e["set"], "failed", "", "", "", ""])
            continue
        rows.append([
            e["name"], e["set"], ranged(e["cycles"], ".0f"), e["unit"], ranged(e["of_library"], ".2f") if e.get("of_library") else "",
            f"{e['build_s']:.2f}" if "build_s" in e else "", str(e["cycles"]["launches"]),
        ])
    return table(head, rows)


def peer_table(rows):
    head = ["Sallyport: peer", "unit", "Sallyport", "peer", "ratio", "better is", "from"]
    return table(head, [
        [r["what"], r["unit"], f"{r['ours']['median']:.4g}", f"{r['theirs']['median']:.4g}", ranged(r["ratio"], ".2f"), r["better"], r["source"]] for r in rows
    ])


def noise_lines(results):
    """How quiet the machine was, in what a reader needs to judge the ranges by."""
    noise, wire = results["noise"], [e for e in results["wire"] if "cycles" in e]
    if not wire:
        return []
    io = next((e for e in wire if e["name"] == "testpmd io"), wire[0])

    lines = [
        f"noise: the core's clock {ranged(noise['clock_ghz'], '.2f')} GHz (what it wandered, {drift(results):.1%}, comes on top of each range); its ports {100 * (noise['ports']['max'] / noise['ports']['min'] - 1):.0f} % slower at the worst "
        f"(another thread on the core); stolen by the hypervisor {noise['stolen_percent']:.1f} %",
        f"ranges of launches: testpmd io {spread(io['cycles']):.0f} % of its median; all, in the middle, {statistics.median(spread(e['cycles']) for e in wire):.0f} % "
        f"(within a launch {100 * statistics.median(e['within_launch'] for e in wire):.0f} %); the least share of its core that one had: {min(e['core_share'] for e in wire):.0%}",
    ]
    disturbed = sum(e["disturbed"] for e in wire)
    if disturbed:
        lines.append(f"left out: {disturbed} of {disturbed + sum(e['cycles']['launches'] for e in wire)} launches, in which others took more than a tenth of the core")
    if not results["system"]["hardware_counters"]:
        lines.append("this machine has no hardware counters: misses are told by comparison, not counted")
    return lines


def stage_table(entries):
    """Cycles a packet of each stage; empty when no contender tells them."""
    told = [e for e in entries if e.get("stages")]
    if not told:
        return ""
    names = list(dict.fromkeys(name for e in told for name in e["stages"]))
    head = ["cycles a packet in stage", *names]
    rows = [[f"{e['name']}, {e['traffic']}", *(f"{e['stages'][n]:.1f}" if n in e["stages"] else "" for n in names)] for e in told]
    return table(head, rows)


# --- the chart -------------------------------------------------------------------------------------------------------------------

BAR, GAP, LEFT, WIDTH = 16, 6, 330, 560
COLOURS = {"sallyport": "#b3431e", "peer": "#5b7083"}


def bars(title, unit, items, top):
    """One panel: horizontal bars of medians, with a whisker from the least to the most. items: (label, stats, own)."""
    most = max(stats["max"] for _, stats, _ in items)
    out = [f'<text x="10" y="{top + 14}" class="t">{escape(title)}</text>']
    y = top + 26
    for label, stats, own in items:
        scale = WIDTH / most
        width, low, high = (stats[k] * scale for k in ("median", "min", "max"))
        middle = y + BAR / 2
        out.append(f'<text x="{LEFT - 8}" y="{middle + 4}" class="l">{escape(label)}</text>')
        out.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS["sallyport" if own else "peer"]}"/>')
        out.append(f'<path d="M{LEFT + low:.1f} {middle}H{LEFT + high:.1f}" class="w"/>')
        out.append(f'<text x="{LEFT + max(width, high) + 6:.1f}" y="{middle + 4}" class="v">{stats["median"]:.4g} {escape(unit)}</text>')
        y += BAR + GAP
    return out, y + 18


def chart(panels, note):
    """An SVG of panels (title, unit, items); panels without items are left out."""
    body, y = [f'<text x="10" y="20" class="n">{escape(note)}</text>'], 36
    for title, unit, items in panels:
        if items:
            part, y = bars(title, unit, items, y)
            body += part
    style = (
        "text{font-family:sans-serif;font-size:12px;fill:#222}.t{font-weight:bold;font-size:14px}.l{text-anchor:end}"
        ".n{fill:#666}.v{fill:#444}.w{stroke:#111;stroke-width:1.5}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 140}" height="{y}" role="img">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="white"/>{"".join(body)}</svg>\n'
    )
