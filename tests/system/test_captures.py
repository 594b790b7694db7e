# SPDX-License-Identifier: BSD-3-Clause
"""Captures, the drop ring and sallyctl's view of them, read by tshark; a disk that is full, filters that do not compile, bounds."""
import json
import os
import subprocess
import time

import pytest
from conftest import BIN, LAST_CPU, RULES
from lab import LEFT4, PATIENCE, RIGHT4, RIGHT6, Lab, sh, tcp_connects, wait_for

DISK_KB = 2048


@pytest.fixture(scope="module")
def lab():
    """A firewall whose captures go to a disk of two megabytes."""
    made = Lab(BIN, RULES, workers=(LAST_CPU,))
    folder = os.path.join(made.dir, "disk")
    os.makedirs(folder)
    sh("mount", "-t", "tmpfs", "-o", f"size={DISK_KB}k", "none", folder)
    made.disk = folder
    made.extra_config = f'captures = {{ folder = "{folder}/captures"; }};'
    try:
        with made:
            made.serve_web(made.right, {"index.html": b"hello\n", "big": os.urandom(1 << 20) * 8})
            made.serve_udp(made.right, 9000)
            yield made
            assert made.balance() == 0
            assert made.stop_firewall()[0] == 0
            sh("umount", folder)
    finally:
        sh("umount", folder, check=False)


@pytest.fixture(autouse=True)
def clean(lab):
    yield
    for capture in lab.api("GET", "/v1/captures")[1]["captures"]:
        finish(lab, capture["id"])
        assert lab.api("DELETE", f"/v1/captures/{capture['id']}")[1]["state"] == "removed"
    assert os.listdir(os.path.join(lab.disk, "captures")) == []


def start(lab, **request):
    status, capture = lab.api("POST", "/v1/captures", body=json.dumps(request))
    assert status == 201, capture
    return capture["id"]


def look(lab, capture):
    status, body = lab.api("GET", f"/v1/captures/{capture}", headers={"Accept": "application/json"})
    assert status == 200
    return body


def finish(lab, capture):
    """Stops the capture if it runs and waits for its end; what it then says."""
    if look(lab, capture)["state"] == "running":
        lab.api("DELETE", f"/v1/captures/{capture}")
    wait_for(lambda: look(lab, capture)["state"] == "stopped", PATIENCE, "end of the capture")
    return look(lab, capture)


def fetch(lab, path, headers=()):
    """The bytes of an answer and its media type."""
    out = os.path.join(lab.dir, "download.pcapng")
    args = ["curl", "-sS", "-f", "--unix-socket", lab.socket_path, "-o", out, "-w", "%{content_type}", f"http://localhost{path}"]
    for header in headers:
        args += ["-H", header]
    return out, sh(*args).stdout


FIELDS = ("frame.interface_name", "frame.packet_flags_direction", "ip.src", "tcp.dstport", "udp.dstport", "frame.comment", "frame.cap_len", "frame.time_epoch")


def tshark(path):
    """The packets of a file as dicts; fails when tshark finds anything wrong with it."""
    args = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=|"]
    for field in FIELDS:
        args += ["-e", field]
    done = sh(*args)
    assert "cut short" not in done.stderr and "damaged" not in done.stderr
    return [dict(zip(FIELDS, line.split("|"))) for line in done.stdout.splitlines()]


def download(lab, capture):
    path, kind = fetch(lab, f"/v1/captures/{capture}")
    assert kind == "application/x-pcapng"
    return tshark(path)


def test_dropped_and_sent_packets_with_comments(lab):
    capture = start(lab, filter="tcp")
    before = time.time()
    assert lab.curl(f"http://{RIGHT4}/") == "hello\n"
    assert tcp_connects(lab, lab.left, RIGHT4, 23) == "refused"
    assert tcp_connects(lab, lab.left, RIGHT4, 99, 1) == "timeout"
    assert lab.is_dropped(f"http://{RIGHT4}/?q=union+select", "inspect_match")
    lab.ask_udp(lab.left, RIGHT4, 9000)
    assert lab.ask_udp(lab.left, RIGHT4, 9000) == "HELLO"
    done = finish(lab, capture)
    assert done["why"] == "request" and done["lost"] == 0
    packets = download(lab, capture)
    assert len(packets) == done["packets"] > 20
    assert not [p for p in packets if p["udp.dstport"]]  # the filter holds
    assert all(before - 1 < float(p["frame.time_epoch"]) < time.time() + 1 for p in packets)

    def comments(port, interface=None, direction=None):
        return [p["frame.comment"] for p in packets if p["tcp.dstport"] == str(port) and interface in (None, p["frame.interface_name"])
                and direction in (None, int(p["frame.packet_flags_direction"], 16))]

    assert "rx" in comments(80, "in", 1)
    assert [c for c in comments(80, "out", 2) if c.startswith("tx rule=10 (") and c.endswith("main.rules:6)")]
    assert [c for c in comments(23, "in", 1) if c.startswith("reject reason=rule rule=14 (")]
    assert comments(23, "out") == []
    assert "drop reason=default rule=default" in comments(99, "in", 1)
    assert [c for c in comments(80, "in", 1) if c.startswith("drop reason=inspect_match rule=10 (")]
    assert [p for p in packets if p["frame.comment"] == "tx built by the firewall" and p["frame.interface_name"] == "in"]


def test_trace_tells_the_stages(lab):
    capture = start(lab, filter="udp port 9000", trace=True)
    assert lab.ask_udp(lab.left, RIGHT4, 9000) == "HELLO"
    before = lab.drops("default")
    lab.ask_udp(lab.right, LEFT4, 9000, timeout=0.3)
    lab.wait_drops("default", before)
    finish(lab, capture)
    comments = [p["frame.comment"] for p in download(lab, capture)]
    assert [c for c in comments if c.endswith("trace [parse: ipv4 udp; session: miss; egress: by out; classify: rule 12, session opened (udp_new)]")]
    assert [c for c in comments if c.endswith("trace [parse: ipv4 udp; session: hit as reply (udp_new) of rule 12; state: udp_replied; egress: by in]")]
    assert [c for c in comments if "drop reason=default" in c and c.endswith("classify: the default, dropped default]")]
    assert not [c for c in comments if c.startswith("rx")]


def test_points_and_snaplen(lab):
    capture = start(lab, filter="udp port 9000", points=["rx"], snaplen=64)
    assert lab.ask_udp(lab.left, RIGHT4, 9000, text="x" * 300)
    finish(lab, capture)
    packets = download(lab, capture)
    assert packets and all(p["frame.comment"] == "rx" and int(p["frame.cap_len"]) == 64 for p in packets)


def test_running_capture_can_be_read(lab):
    capture = start(lab, filter="udp port 9000")
    assert lab.ask_udp(lab.left, RIGHT4, 9000)
    wait_for(lambda: look(lab, capture)["packets"] == 4, PATIENCE, "four packets")
    assert look(lab, capture)["state"] == "running"
    assert len(download(lab, capture)) == 4


def test_bounds(lab):
    by_packets = start(lab, filter="udp port 9000", max_packets=3)
    by_time = start(lab, filter="udp port 1", max_seconds=1)
    by_size = start(lab, filter="tcp port 80", max_bytes=65536)
    for _ in range(3):
        assert lab.ask_udp(lab.left, RIGHT4, 9000)
    lab.run(lab.left, "curl", "-s", "-m", "60", "-o", os.devnull, f"http://{RIGHT4}/big")
    wait_for(lambda: all(c["state"] == "stopped" for c in lab.api("GET", "/v1/captures")[1]["captures"]), PATIENCE, "end of all captures")
    assert (look(lab, by_packets)["why"], look(lab, by_packets)["packets"]) == ("max_packets", 3)
    assert (look(lab, by_time)["why"], look(lab, by_time)["packets"]) == ("max_seconds", 0)
    assert look(lab, by_size)["why"] == "max_bytes"
    size = os.path.getsize(look(lab, by_size)["file"])
    assert size == look(lab, by_size)["bytes"] and 60000 < size <= 65536
    assert len(download(lab, by_packets)) == 3
    assert len(download(lab, by_size)) == look(lab, by_size)["packets"]


def test_full_disk_stops_the_capture_only(lab):
    with open(os.path.join(lab.disk, "ballast"), "wb") as f:
        f.write(bytes((DISK_KB - 512) * 1024))
    capture = start(lab, filter="tcp port 80")
    done = lab.run(lab.left, "curl", "-s", "-m", "60", "-o", os.devnull, "-w", "%{size_download}", f"http://{RIGHT4}/big")
    assert done.stdout == str(8 << 20)
    wait_for(lambda: look(lab, capture)["state"] == "stopped", PATIENCE, "end of the capture")
    told = look(lab, capture)
    assert told["why"] == "disk-full" and told["lost"] > 0 and told["packets"] > 0
    assert len(download(lab, capture)) == told["packets"] == len(tshark(told["file"]))
    assert os.path.getsize(told["file"]) == told["bytes"]
    metrics = lab.api("GET", "/metrics")[1]
    assert int(metrics.split("sallyport_capture_write_errors_total ")[1].split()[0]) > 0
    assert int(metrics.split("sallyport_capture_lost_total ")[1].split()[0]) >= told["lost"]
    # and on a disk without a byte left none can begin, which is said
    with open(os.path.join(lab.disk, "ballast"), "ab", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(bytes(4096))
    status, problem = lab.api("POST", "/v1/captures", body="{}")
    assert status == 503 and problem["type"].endswith(":capture-file") and "No space" in problem["detail"]
    assert lab.balance() == 0
    os.unlink(os.path.join(lab.disk, "ballast"))


@pytest.mark.parametrize("body,status,code", [
    ('{"filter": "tcp and and"}', 422, "bad-filter"),
    ('{"filter": "host evil.example"}', 422, "bad-filter"),
    ('{"filter": "' + "a" * 2000 + '"}', 422, "bad-filter"),
    ('{"filter": 7}', 400, "bad-json"),
    ('{"points": []}', 400, "bad-json"),
    ('{"points": ["rx", "nose"]}', 400, "bad-json"),
    ('{"points": "rx"}', 400, "bad-json"),
    ('{"snaplen": 10}', 400, "bad-json"),
    ('{"snaplen": 1e3}', 400, "bad-json"),
    ('{"max_bytes": 99999999999999999999}', 400, "bad-json"),
    ('{"max_seconds": 0}', 400, "bad-json"),
    ('{"max_packets": -1}', 400, "bad-json"),
    ('{"trace": 1}', 400, "bad-json"),
    ('{"folder": "/etc"}', 400, "bad-json"),
    ('{"trace": true, "trace": true}', 400, "bad-json"),
    ("[]", 400, "bad-json"),
    ("{", 400, "bad-json"),
])
def test_bad_requests(lab, body, status, code):
    got, problem = lab.api("POST", "/v1/captures", body=body)
    assert (got, problem["type"]) == (status, f"urn:sallyport:problem:{code}")
    assert lab.api("GET", "/v1/captures")[1] == {"captures": []}


def test_libpcaps_words_are_passed_on(lab):
    detail = lab.api("POST", "/v1/captures", body='{"filter": "port banana"}')[1]["detail"]
    assert "banana" in detail


def test_too_many(lab):
    ids = [start(lab, filter="udp port 1") for _ in range(4)]
    assert lab.api("POST", "/v1/captures", body="{}")[0] == 409
    finish(lab, ids[0])
    start(lab, filter="udp port 1")


@pytest.mark.parametrize("name", ["0", "99", "-1", "1x", "..", "18446744073709551617"])
def test_no_such_capture(lab, name):
    assert lab.api("GET", f"/v1/captures/{name}")[0] == 404
    assert lab.api("DELETE", f"/v1/captures/{name}")[0] == 404


def test_files_are_private(lab):
    path = look(lab, start(lab))["file"]
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700


def dropped(lab, query):
    return lab.api("GET", f"/v1/drops?{query}")[1]["drops"]


def test_drop_ring(lab):
    assert tcp_connects(lab, lab.left, RIGHT4, 4433, 0.5) == "timeout"
    assert tcp_connects(lab, lab.left, RIGHT6, 23) == "refused"
    drop = wait_for(lambda: dropped(lab, f"ip={RIGHT4}&port=4433&reason=default"), PATIENCE, "drop in the ring")[0]
    assert (drop["reason"], drop["rule"], drop["verdict"], drop["port"]) == ("default", "default", "drop", "in")
    assert (drop["proto"], drop["src"], drop["dst"], drop["dport"]) == ("tcp", LEFT4, RIGHT4, 4433)
    assert drop["packet"] == f"tcp {LEFT4}:{drop['sport']} > {RIGHT4}:4433 from inside to outside flags=syn"
    assert lab.api("POST", "/v1/explain", body=drop["packet"])[1]["verdict"] == "drop"
    assert len(bytes.fromhex(drop["header"])) == drop["length"]  # a SYN is shorter than what the ring keeps
    refused = dropped(lab, f"ip={RIGHT6}&reason=rule")[0]
    assert (refused["verdict"], refused["rule"], refused["line"]) == ("reject", 14, 10) and refused["file"].endswith("main.rules")
    assert refused["meaning"] and refused["cure"]
    assert lab.api("GET", "/v1/drops?ip=203.0.113.77")[1] == {"drops": []}
    times = [d["time"] for d in dropped(lab, "")]
    assert times == sorted(times, reverse=True)


def test_drop_ring_as_a_capture(lab):
    assert tcp_connects(lab, lab.left, RIGHT4, 4434, 0.5) == "timeout"
    wait_for(lambda: dropped(lab, "port=4434"), PATIENCE, "drop in the ring")
    path, kind = fetch(lab, "/v1/drops?port=4434", ["Accept: application/x-pcapng"])
    assert kind == "application/x-pcapng"
    packets = tshark(path)
    assert packets and all(p["tcp.dstport"] == "4434" and p["frame.comment"] == "drop reason=default rule=default" for p in packets)


@pytest.mark.parametrize("query", ["reason=none", "reason=banana", "ip=banana", "port=65536", "limit=1"])
def test_drops_bad_parameters(lab, query):
    assert lab.api("GET", f"/v1/drops?{query}")[0] == 400


def ctl(lab, *args):
    return subprocess.run([os.path.join(BIN, "sallyctl"), "-s", lab.socket_path, *args], capture_output=True, text=True, timeout=60)


def test_sallyctl_why(lab):
    assert tcp_connects(lab, lab.left, RIGHT4, 81, 0.5) == "timeout"
    wait_for(lambda: dropped(lab, "port=81"), PATIENCE, "drop in the ring")
    done = ctl(lab, "why", f"{RIGHT4}:81")
    assert done.returncode == 0
    assert f"default: tcp {LEFT4}:" in done.stdout and "no rule matched" in done.stdout and "nearest miss: rule" in done.stdout
    assert tcp_connects(lab, lab.left, RIGHT6, 23) == "refused"
    done = ctl(lab, "why", f"[{RIGHT6}]:23")
    assert "rule 14 at " in done.stdout and "main.rules:10" in done.stdout
    assert "nothing of it was dropped" in ctl(lab, "why", "203.0.113.77").stdout
    assert json.loads(ctl(lab, "-j", "why", RIGHT4).stdout)["drops"]
    for bad in ([], ["banana"], ["[::1"], [""], ["1.2.3.4:99999"]):
        done = ctl(lab, "why", *bad)
        assert done.returncode == 2 and done.stderr


def test_sallyctl_capture(lab):
    done = ctl(lab, "capture", "start", "udp port 9000", "--points=tx,drop", "--packets=2", "--seconds=30", "--mb=1", "--snaplen=128", "--trace")
    assert done.returncode == 0, done.stderr
    number = done.stdout.split()[1]
    assert lab.ask_udp(lab.left, RIGHT4, 9000)
    wait_for(lambda: look(lab, number)["state"] == "stopped", PATIENCE, "end of the capture")
    listed = ctl(lab, "capture").stdout
    assert "stopped: max_packets" in listed and "udp port 9000" in listed
    out = os.path.join(lab.dir, "ctl.pcapng")
    assert ctl(lab, "capture", "get", number, out).returncode == 0
    packets = tshark(out)
    assert len(packets) == 2 and all("trace [" in p["frame.comment"] for p in packets)
    assert "removed" in ctl(lab, "capture", "rm", number).stdout
    assert ctl(lab, "capture", "get", number, out).returncode == 1
    assert ctl(lab, "capture", "start", "tcp and and").returncode == 1
    assert ctl(lab, "capture", "eat").returncode == 2


def test_stage_cycles_are_told(lab):
    stages = lab.api("GET", "/v1/workers")[1]["workers"][0]["stages"]
    assert list(stages) == ["parse", "fragment", "owner", "session", "state", "egress", "classify", "inspect", "forward", "finish"]
    assert all(cycles > 0 for cycles in stages.values())
    assert 'sallyport_worker_stage_cycles_total{worker="0",stage="parse"}' in lab.api("GET", "/metrics")[1]
