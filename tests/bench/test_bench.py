# SPDX-License-Identifier: BSD-3-Clause
"""The bench's own parts: what they make is what they say. No figure is judged here."""
import json
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import bench  # noqa: E402
import make_rules  # noqa: E402
import report  # noqa: E402
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
    files = bench.Files(str(tmp_path), 50)
    for path in (files.ten, files.bpf, files.inspect, files.crowded(100)):
        done = sallyport("check", path)
        assert done.returncode == 0, done.stdout + done.stderr


def verdicts(rules, capture):
    done = sallyport("replay", "--rules", rules, "--zone", "inside=198.18.0.0/16", "--zone", "outside=198.19.0.0/16", "--json", capture)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_packets_of_the_captures_pass_their_rules_and_open_a_session_each(tmp_path):
    capture, files = bench.Capture(str(tmp_path), "some", 300, 200), bench.Files(str(tmp_path), 50)
    for rules in (files.ten, files.inspect):
        found = verdicts(rules, capture.forth)
        assert [p["verdict"] for p in found["packets"]] == ["allow"] * 300
        assert found["stats"]["sessions"]["created"] == 300
    assert {p["verdict"] for p in verdicts(files.bpf, capture.back)["packets"]} == {"allow"}


def test_a_capture_answers_the_other(tmp_path):
    forth, back = tmp_path / "f", tmp_path / "b"
    traffic.make_pair(str(forth), str(back), 100)
    one, other = forth.read_bytes(), back.read_bytes()
    size = 16 + 42 + traffic.SMALLEST
    assert len(one) == len(other) == 24 + 100 * size
    for n in range(100):
        a, b = (data[24 + n * size + 16:24 + (n + 1) * size] for data in (one, other))
        assert a[0:6] == b[6:12] and a[6:12] == b[0:6]
        assert a[26:30] == b[30:34] and a[30:34] == b[26:30]
        assert struct.unpack("!HH", a[34:38]) == struct.unpack("!HH", b[34:38])[::-1]
        assert traffic.checksum(a[14:34]) == 0


def test_classifier_and_rte_acl_agree_on_every_key(tmp_path):
    """micro ends with an error when they differ."""
    files = bench.Files(str(tmp_path), 50)
    for shape in make_rules.SHAPES:
        done = micro("acl", *files.shape(shape, 300))
        assert done.returncode == 0, done.stderr
        assert [r["name"] for r in json.loads(done.stdout)["results"]] == ["rte_acl", "sallyport classifier"]


def test_a_difference_between_the_rule_forms_is_noticed(tmp_path):
    files = bench.Files(str(tmp_path), 50)
    rules, _ = files.shape("acl", 300)
    reversed_filters = files.write("reversed", make_rules.filter_file(make_rules.generate("acl", 300)[::-1]))
    done = micro("acl", rules, reversed_filters)
    assert done.returncode == 2 and "rte_acl says rule" in done.stderr


def micro(*arguments):
    command = [os.path.join(BIN, "tests/bench/micro"), "-c", str(max(os.sched_getaffinity(0))), "-m", "512", "-r", "1", "-t", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_chart_is_an_svg_with_a_bar_for_each_item():
    stats = report.summary([3.0, 1.0, 2.0])
    assert (stats["median"], stats["min"], stats["max"]) == (2.0, 1.0, 3.0) and report.spread(stats) == 100
    root = xml.etree.ElementTree.fromstring(report.chart([("A <title>", "cycles", [("a & b", stats, True), ("c", stats, False)])], "note"))
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 3


def test_the_table_is_aligned():
    lines = report.table(["name", "n"], [["a", "1"], ["longer", "1000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
