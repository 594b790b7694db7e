# SPDX-License-Identifier: BSD-3-Clause
"""Sallyport against its peers: ratios of this run, and beside them figures that others published, which are of other machines."""
from figures import summary

# (what, unit, figure, more is better, where it is from). Quoted: not measured here.
QUOTED = {
    "vpp_acl": ("VPP, stateful ACL tax", 90, "FD.io VPP, docs/usecases/acls.rst"),
    "vpp_stateless": ("VPP, stateless ACL tax", 137, "FD.io VPP, docs/usecases/acls.rst"),
    "conntrack": ("Linux conntrack, one core", 1.8, "Hoiland-Jorgensen et al., The eXpress Data Path, 2018"),
    "cuckoo": ("Cuckoo++ flow table, hits on one core", 37.0, "Le Scouarnec, Cuckoo++ Hash Tables, 2018"),
    "bihash": ("VPP bihash, add", 167, "FD.io VPP, git log"),
    "tuple": ("best of 12 classifiers, 100,000 rules", 33.6, "JiaChangGit/network-packet-classification, PextCuts-2"),
}


def scaled(stats, factor):
    return summary([value * factor for value in stats["values"]])


def inverse(stats, factor):
    return summary([factor / value for value in stats["values"]])


def row(what, unit, ours, theirs, ratio, better, source):
    """ratio: a summary of ours / theirs; better: "more" or "less" of it."""
    return {"what": what, "unit": unit, "ours": ours, "theirs": theirs, "ratio": ratio, "better": better, "source": source}


def this_run(results):
    """Ratios taken within rounds or within one process."""
    rows = []
    wire = {(e["name"], e["traffic"]): e for e in results["wire"] if "cycles" in e}
    for (name, text), e in wire.items():
        acl = next((w for (n, t), w in wire.items() if n.startswith("l3fwd acl") and t == text), None)
        if e.get("of_acl") and acl and name == "sallyport established":
            rows.append(row(f"established, {text}: l3fwd acl", "Mpps", e["mpps"], acl["mpps"], e["of_acl"], "more", "this run"))
    before = None
    for e in results["memory"]:
        if e.get("of_library"):
            rows.append(row(f"{e['name'].removeprefix('sallyport ')}, {e['set']}: {before['name']}", "cycles", e["cycles"], before["cycles"], e["of_library"], "less", "this run"))
        elif "cycles" in e:
            before = e
    return rows


def against(what, unit, ours, key, better):
    name, figure, source = QUOTED[key]
    return row(f"{what}: {name}", unit, ours, summary([figure]), scaled(ours, 1 / figure), better, f"quoted: {source}")


def quoted(results):
    rows = []
    tsc_hz = results["system"]["tsc_hz"]
    wire = {(e["name"], e["traffic"].split(" ")[0]): e for e in results["wire"] if "cycles" in e}
    memory = {(e["name"], e["set"]): e for e in results["memory"] if "cycles" in e}
    ours = wire.get(("sallyport established", "1,000"))
    if ours:
        rows.append(against("established, 1,000 flows", "Mpps", ours["mpps"], "conntrack", "more"))
        if ours.get("over_io"):
            rows.append(against("established over testpmd io, all stages", "cycles", ours["over_io"], "vpp_acl", "less"))
    stateless = memory.get(("sallyport classifier", "acl, 1,000 rules"))
    if stateless:
        rows.append(against("classifier, 1,000 rules", "cycles", stateless["cycles"], "vpp_stateless", "less"))
    large = memory.get(("sallyport classifier", "acl, 100,000 rules"))
    if large:
        rows.append(against("classifier, 100,000 rules", "M/s", inverse(large["cycles"], tsc_hz / 1e6), "tuple", "more"))
    for flows in (1000000, 100000):
        hits = memory.get(("sallyport sessions", f"{flows} flows"))
        if hits:
            rows.append(against(f"session lookup, {flows:,} flows", "M/s", inverse(hits["cycles"], tsc_hz / 1e6), "cuckoo", "more"))
            break
    soaked = next((e for e in results["soak"] if "insert" in e), None)
    if soaked:
        rows.append(against(f"session insert (two entries), {soaked['sessions']:,}", "cycles", soaked["insert"], "bihash", "less"))
    return rows


def rows(results):
    return this_run(results) + quoted(results)
