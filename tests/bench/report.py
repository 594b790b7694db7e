# SPDX-License-Identifier: BSD-3-Clause
"""What a run found, as a table for the terminal and as a chart."""
import statistics
from xml.sax.saxutils import escape


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "samples": list(values)}


def spread(stats):
    """How far samples lie apart, in per cent of their median."""
    return 100 * (stats["max"] - stats["min"]) / stats["median"]


def table(head, rows):
    """Rows of text, the first column flush left, the others flush right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        lines.append("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def wire_rows(entries):
    rows = []
    for e in entries:
        if e.get("error") and "mpps" not in e:
            rows.append([e["name"], e["traffic"], "failed", "", "", "", ""])
            continue
        m, c = e["mpps"], e["cycles"]
        rows.append([
            e["name"], e["traffic"], f"{m['median']:.2f}", f"{m['min']:.2f}-{m['max']:.2f}", f"{c['median']:.0f}",
            f"{e['ratio']:.2f}" if e.get("ratio") else "", f"{e['over']:+.0f}" if e.get("over") is not None else "",
        ])
    return rows


def wire_table(entries):
    head = ["forwarding on one core", "traffic", "Mpps", "min-max", "cycles/packet", "of testpmd io", "cycles over it"]
    return table(head, wire_rows(entries))


def micro_table(entries):
    head = ["in memory", "input", "cycles", "min-max", "per", "of the library", "build s"]
    rows = []
    for e in entries:
        if e.get("error"):
            rows.append([e["name"], e["set"], "failed", "", "", "", ""])
            continue
        c = e["cycles"]
        rows.append([
            e["name"], e["set"], f"{c['median']:.0f}", f"{c['min']:.0f}-{c['max']:.0f}", e["unit"],
            f"{e['ratio']:.2f}" if e.get("ratio") else "", f"{e['build_s']:.2f}" if "build_s" in e else "",
        ])
    return table(head, rows)


def stage_table(entries):
    """Cycles a packet of each stage; empty when no contender tells them."""
    told = [e for e in entries if e.get("stages")]
    if not told:
        return ""
    names = list(told[0]["stages"])
    head = ["cycles/packet in stage", *names]
    return table(head, [[f"{e['name']}, {e['traffic']}", *(f"{e['stages'].get(n, 0):.1f}" for n in names)] for e in told])


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
