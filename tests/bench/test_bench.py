# SPDX-License-Identifier: BSD-3-Clause
"""The bench's own parts: what they make is what they say. No figure is judged here."""
import json
import os
import random
import struct
import subprocess
import sys
import xml.etree.ElementTree

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import figures  # noqa: E402
import contenders  # noqa: E402
import make_rules  # noqa: E402
import million  # noqa: E402
import peers  # noqa: E402
import plan  # noqa: E402
import report  # noqa: E402
import routes  # noqa: E402
import soak  # noqa: E402
import traffic  # noqa: E402

BIN = os.path.abspath(os.environ.get("SALLYPORT_BIN", "build/gcc-release"))


def sallyport(*arguments):
    return subprocess.run([os.path.join(BIN, "sallyport"), *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("count", [10, 1000, 10000])
@pytest.mark.parametrize("shape", sorted(make_rules.SHAPES))
def test_generated_rules_are_rule_files(tmp_path, shape, count):
    path = tmp_path / "set.rules"
    path.write_text(make_rules.rule_file(make_rules.generate(shape, count)))
    done = sallyport("check", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} rules" in done.stdout + done.stderr


def test_a_set_is_the_same_every_time_and_differs_by_seed():
    first, again, other = (make_rules.filter_file(make_rules.generate("fw", 200, seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_no_rule_of_a_set_equals_another():
    keys = [rule.key() for rule in make_rules.generate("ipc", 5000)]
    assert len(set(keys)) == len(keys) == 5000


def test_prefixes_have_no_host_bits():
    for rule in make_rules.generate("fw", 2000):
        for address, length in ((rule.src, rule.src_len), (rule.dst, rule.dst_len)):
            assert address & ((1 << (32 - length)) - 1) == 0


def test_every_rule_file_of_the_bench_is_valid(tmp_path):
    files = plan.Files(str(tmp_path), 50)
    for path in (files.ten, files.tcp, files.bpf, files.inspect, files.source, files.balanced, files.crowded(100)):
        done = sallyport("check", path)
        assert done.returncode == 0, done.stdout + done.stderr


def verdicts(rules, capture):
    done = sallyport("replay", "--rules", rules, "--zone", "inside=198.18.0.0/16", "--zone", "outside=198.19.0.0/16", "--json", capture)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_packets_of_the_captures_pass_their_rules_and_open_a_session_each(tmp_path):
    capture, files = plan.Capture(str(tmp_path), "some", 300, 200), plan.Files(str(tmp_path), 50)
    for rules in (files.ten, files.inspect):
        found = verdicts(rules, capture.forth)
        assert [p["verdict"] for p in found["packets"]] == ["allow"] * 300
        assert found["stats"]["sessions"]["created"] == 300
    assert {p["verdict"] for p in verdicts(files.bpf, capture.back)["packets"]} == {"allow"}


def test_syns_open_sessions_and_segments_without_one_do_not(tmp_path):
    files = plan.Files(str(tmp_path), 50)
    syn, tcp = (plan.Capture(str(tmp_path), kind, 100, kind=kind) for kind in ("syn", "tcp"))
    opened = verdicts(files.tcp, syn.forth)
    assert [p["verdict"] for p in opened["packets"]] == ["allow"] * 100
    assert opened["stats"]["sessions"]["created"] == 100
    assert {p["reason"] for p in verdicts(files.tcp, tcp.forth)["packets"]} == {"tcp_no_session"}


def test_checksums_of_segments_are_right(tmp_path):
    tcp = plan.Capture(str(tmp_path), "tcp", 50, kind="tcp")
    files = plan.Files(str(tmp_path), 50)
    for capture in (tcp.forth, tcp.back):
        assert not {p["reason"] for p in verdicts(files.tcp, capture)["packets"]} & {"parse_l4_checksum", "parse_ipv4_checksum", "parse_tcp"}


def test_a_capture_answers_the_other(tmp_path):
    forth, back = tmp_path / "f", tmp_path / "b"
    traffic.make_pair(str(forth), str(back), 100)
    one, other = forth.read_bytes(), back.read_bytes()
    size = 16 + 42 + traffic.SMALLEST
    assert len(one) == len(other) == 24 + 100 * size
    for n in range(100):
        a, b = (data[24 + n * size + 16:24 + (n + 1) * size] for data in (one, other))
        assert a[:12] == traffic.FORTH_MACS and b[:12] == traffic.BACK_MACS
        assert a[26:30] == b[30:34] and a[30:34] == b[26:30]
        assert struct.unpack("!HH", a[34:38]) == struct.unpack("!HH", b[34:38])[::-1]
        assert traffic.checksum(a[14:34]) == 0


def test_udp_checksums_are_there_when_they_are_wanted(tmp_path):
    files = plan.Files(str(tmp_path), 50)
    for kind, there in (("udp", False), ("summed", True)):
        capture = plan.Capture(str(tmp_path), kind, 50, kind=kind)
        data = open(capture.forth, "rb").read()
        sums = {data[24 + n * 76 + 16 + 40:24 + n * 76 + 16 + 42] for n in range(50)}
        assert (sums == {b"\0\0"}) != there and (b"\0\0" in sums) != there
        assert {p["verdict"] for p in verdicts(files.ten, capture.forth)["packets"]} == {"allow"}


def addresses(network):
    return {f"{network}.{third}.0/24" for third in range(256)}


def test_routes_lead_to_both_networks_by_every_neighbour():
    lines = [line.split() for line in routes.setup().splitlines()]
    via = {line[2]: (line[4], line[6]) for line in lines if line[0] == "route"}
    known = {(line[2], line[line.index("dev") + 1]) for line in lines if line[0] == "neigh"}
    assert set(via) == addresses("198.18") | addresses("198.19") and set(via.values()) == known
    assert len(known) == 2 * routes.NEIGHBOURS
    assert {net for net, (_, link) in via.items() if link == "in"} == addresses("198.18")


def test_l3fwd_has_the_same_routes():
    rules = dict(line[1:].split() for line in routes.fib_rules().splitlines())
    lines = [line.split() for line in routes.setup().splitlines() if line.startswith("route")]
    assert rules == {line[2]: {"in": "0", "out": "1"}[line[6]] for line in lines}


def test_other_routes_are_all_different_and_lead_nowhere_near():
    lines = [line.split() for line in routes.others(3000)]
    prefixes = {line[2] for line in lines}
    assert len(prefixes) == 3000 and not any(p.startswith("198.") for p in prefixes)
    assert [line.split()[2] for line in routes.others(million.COUNT)][-1].startswith("35.")


class FakeMachine:
    worker = 1


@pytest.mark.parametrize("routed", [False, True])
def test_configurations_of_both_modes_are_valid(tmp_path, routed):
    capture, files = plan.Capture(str(tmp_path), "some", 10), plan.Files(str(tmp_path), 50)
    path = tmp_path / "sallyport.conf"
    path.write_text(contenders.configuration(FakeMachine, capture, files.ten, tmp_path / "api.sock", routed=routed))
    done = sallyport("check", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["whole", "answers", "new"])
@pytest.mark.parametrize("rules", ["ten", "source", "balanced"])
def test_the_routed_path_forwards_by_hand_made_routes(tmp_path, rules, mode):
    """micro ends with an error when a route does not fit, or an answer cannot be made."""
    capture, files = plan.Capture(str(tmp_path), "some", 300, kind="summed"), plan.Files(str(tmp_path), 50)
    path = tmp_path / "sallyport.conf"
    FakeMachine.worker = max(os.sched_getaffinity(0))
    path.write_text(contenders.configuration(FakeMachine, capture, getattr(files, rules), tmp_path / "api.sock", routed=True))
    done = micro("wire", str(path), mode, "1", "50", "1000")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["windows"][0]["packets"] > 0 and told["stages"]["forward"] > 0
    if mode == "answers":
        # Every packet belongs to a session: rules are not asked once.
        assert told["dropped"] == 0


def test_stages_are_those_of_the_time_between_two_looks():
    before = {"rx": 100, "stages": {"parse": 50.0, "finish": 900.0}}
    after = {"rx": 300, "stages": {"parse": 30.0, "finish": 304.0}}
    assert contenders.stages_between(before, after) == pytest.approx({"parse": 20.0, "finish": 6.0})
    assert contenders.stages_between({"rx": 0}, {"rx": 9}) is None and contenders.stages_between(after, after) is None


class Row:
    def __init__(self, name, capture, cycles, beside=None):
        self.name, self.capture, self.beside, self.stages, self.error = name, capture, beside, [], None
        self.launches = [{"cycles": c, "windows": [c], "share": 1.0} for c in cycles]


class Traffic:
    name, text = "small", "1,000 flows, 64 B"


def test_routed_rows_stand_beside_fib_lookup_and_what_they_add_to():
    wire = Row("sallyport established", Traffic, [100, 200, 300])
    rows = [Row("l3fwd fib, 512 routes", Traffic, [50, 100, 150]), wire, Row("sallyport routed", Traffic, [130, 231, 332], wire)]
    entries = figures.wire_results(rows, 1e9)
    assert entries[2]["over_beside"]["median"] == 31 and entries[2]["beside"] == "sallyport established"
    assert entries[2]["of_fib"]["median"] == pytest.approx(100 / 231)
    assert "over_beside" not in entries[1] and "of_fib" not in entries[1]
    assert "+31 (+30 to +32)" in report.routed_table(entries) and report.routed_table(entries[:2]) == ""


def test_classifier_and_rte_acl_agree_on_every_key(tmp_path):
    """micro ends with an error when they differ."""
    files = plan.Files(str(tmp_path), 50)
    for shape in make_rules.SHAPES:
        done = micro("acl", *files.shape(shape, 300))
        assert done.returncode == 0, done.stderr
        assert [r["name"] for r in json.loads(done.stdout)["results"]] == ["rte_acl", "sallyport classifier"]


def test_a_difference_between_the_rule_forms_is_noticed(tmp_path):
    files = plan.Files(str(tmp_path), 50)
    rules, _ = files.shape("acl", 300)
    reversed_filters = files.write("reversed", make_rules.filter_file(make_rules.generate("acl", 300)[::-1]))
    done = micro("acl", rules, reversed_filters)
    assert done.returncode == 2 and "rte_acl says rule" in done.stderr


def micro(*arguments):
    command = [os.path.join(BIN, "tests/bench/micro"), "-c", str(max(os.sched_getaffinity(0))), "-m", "512", "-r", "1", "-t", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("family, record_bytes", [("4", 64), ("6", 128)])
def test_the_soak_finds_expires_and_accounts_for_every_session(family, record_bytes):
    """micro ends with an error when a lookup of a live session fails, or one session too few or too many expires."""
    done = micro("soak", "20000", family)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["results"][0]
    parts = told["bytes"]
    assert parts["record"] > record_bytes and abs(parts["other"]) < 1
    assert abs(sum(parts[k] for k in ("record", "index", "tcp", "inspect", "other")) - parts["all"]) < 0.01
    assert parts["record"] + parts["index"] <= soak.AIM_BYTES[told["family"]] + 1  # a small table's fixed part is not small


def test_what_memory_takes_is_taken_off_a_hit():
    told = {"insert": 1, "expire": 2, "hit": [130], "touch": [100], "hit_small": [50], "touch_small": [30], "make": [20]}
    found = soak.derive(told)
    assert (found["hit"], found["hit_small"], found["misses"], found["beyond"]) == (110, 30, 70, 40)
    assert found["ratio"] == pytest.approx(4 / 3)


def test_ratios_are_taken_within_rounds():
    """Both slow down threefold in the second round; the ratio does not move. A round in which one failed is left out."""
    ours, theirs = [200, 600, None, 220], [100, 300, 100, 110]
    ratio = figures.paired(ours, theirs, figures.rate_ratio)
    assert (ratio["median"], ratio["min"], ratio["max"], ratio["launches"]) == (0.5, 0.5, 0.5, 3)
    assert figures.paired([None], [1], figures.excess) is None


class Launched:
    def __init__(self, *launches):
        self.launches = [launch and {"cycles": launch[0], "share": launch[1]} for launch in launches]


def test_launches_on_a_core_that_others_used_are_left_out_while_enough_remain():
    assert figures.cycles_of(Launched((10, 1.0), (90, 0.5), (11, 1.0), None, (12, 0.95))) == [10, None, 11, None, 12]
    assert figures.cycles_of(Launched((10, 1.0), (90, 0.5), (11, 1.0))) == [10, 90, 11]


def run_of(*cycles, clock=(3.0,)):
    return {"wire": [], "memory": [{"name": "a", "set": "b", "cycles": figures.summary(list(cycles))}], "noise": {"clock_ghz": figures.summary(list(clock))}}


def test_two_runs_that_disagree_are_told():
    n, _, _, differ = figures.compare(run_of(10, 11, 12), run_of(10, 11.5, 14))
    assert (n, differ) == (1, [])
    _, _, _, differ = figures.compare(run_of(10, 11, 12), run_of(10, 13, 14))
    assert [key for key, _, _ in differ] == [("a", "b", "cycles")]


def test_ranges_are_as_wide_as_the_clock_wandered():
    _, _, part, differ = figures.compare(run_of(10, 11, 12), run_of(10, 13, 14, clock=(2.85, 3.0, 3.15)))
    assert part == pytest.approx(0.1) and differ == []
    _, _, _, differ = figures.compare(run_of(10, 11, 12), run_of(10, 13.3, 14, clock=(2.85, 3.0, 3.15)))
    assert len(differ) == 1


def test_chance_alone_puts_a_median_outside_as_often_as_stated():
    assert figures.by_chance(3) == pytest.approx(0.4)
    assert figures.by_chance(5) == pytest.approx(1 / 6)
    rng = random.Random(1)
    tries = [([rng.random() for _ in range(5)], [rng.random() for _ in range(5)]) for _ in range(20000)]
    seen = sum(figures.outside(figures.summary(a), figures.summary(b)) for a, b in tries) / len(tries)
    assert seen == pytest.approx(figures.by_chance(5), abs=0.02)


def test_peers_are_compared_by_what_was_measured():
    lookup = {"unit": "lookup", "set": "acl, 1,000 rules"}
    results = {
        "system": {"tsc_hz": 1e9}, "wire": [], "soak": [],
        "memory": [
            {"name": "rte_acl", **lookup, "cycles": figures.summary([40.0])},
            {"name": "sallyport classifier", **lookup, "cycles": figures.summary([60.0]), "of_library": figures.summary([1.5])},
        ],
    }
    rows = peers.rows(results)
    assert [(r["ratio"]["median"], r["better"]) for r in rows if r["source"] == "this run"] == [(1.5, "less")]
    assert [round(r["ratio"]["median"], 2) for r in rows if "VPP" in r["what"]] == [round(60 / 137, 2)]
    assert "acl, 1,000 rules" in report.peer_table(rows)


def test_the_chart_is_an_svg_with_a_bar_for_each_item():
    stats = figures.summary([3.0, 1.0, 2.0])
    assert (stats["median"], stats["min"], stats["max"]) == (2.0, 1.0, 3.0) and figures.spread(stats) == 100
    root = xml.etree.ElementTree.fromstring(report.chart([("A <title>", "cycles", [("a & b", stats, True), ("c", stats, False)])], "note"))
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 3


def test_the_table_is_aligned():
    lines = report.table(["name", "n"], [["a", "1"], ["longer", "1000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
