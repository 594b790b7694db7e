# SPDX-License-Identifier: BSD-3-Clause
"""The REST socket as curl and hostile clients see it."""
import json
import select
import socket
import subprocess

import pytest
from conftest import BIN
from lab import LEFT4, PATIENCE, RIGHT4, wait_for


def raw(lab, data, timeout=PATIENCE):
    """Sends bytes to the socket and returns what comes back until it is quiet or closed."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(lab.socket_path)
    got = b""
    try:
        s.sendall(data)
        while chunk := s.recv(65536):
            got += chunk
    except OSError:
        pass
    s.close()
    return got


@pytest.mark.parametrize("path", ["/v1/status", "/v1/ready", "/v1/stats", "/v1/ports", "/v1/workers", "/v1/rules", "/v1/rules/10", "/v1/sessions"])
def test_get_is_json(lab, path):
    status, body = lab.api("GET", path)
    assert status == 200 and isinstance(body, dict)


def test_stats_shape(lab):
    stats = lab.stats()
    assert set(stats["packets"]) == {"rx", "tx", "built", "to_kernel", "from_kernel", "consumed", "held", "fragment_delta"}
    assert set(stats) >= {"generation", "packets", "bytes", "drops", "sessions", "inspection", "ports", "workers"}
    assert {"active", "created", "expired"} <= set(stats["sessions"])


def test_rules_carry_hits(lab):
    assert lab.ping(RIGHT4)
    rule = lab.api("GET", "/v1/rules/13")[1]
    assert rule["id"] == 13 and rule["hits"] > 0 and rule["last_hit"] and rule["file"] and rule["line"]
    listed = [r["id"] for r in lab.api("GET", "/v1/rules")[1]["rules"]]
    assert listed == [10, 11, 12, 13, 14]


def test_sessions_filter_and_kill(lab):
    child = lab.spawn(lab.left, "curl", "-s", "-m", "60", "--limit-rate", "200k", "-o", "/dev/null", f"http://{RIGHT4}/big")

    def established():
        found = lab.api("GET", f"/v1/sessions?ip={LEFT4}&port=80&proto=tcp&rule=10")[1]["sessions"]
        return [s for s in found if s["dst"] == RIGHT4 and s["dport"] == 80 and s["state"] == "tcp_established"]

    wait_for(established, PATIENCE, "session of the download")
    assert lab.api("GET", "/v1/sessions?ip=198.51.100.1")[1]["sessions"] == []
    assert lab.api("DELETE", "/v1/sessions")[0] == 400
    orphans = lambda: lab.drops("tcp_no_session") + lab.drops("default")
    before = orphans()
    assert lab.api("DELETE", "/v1/sessions?port=80")[1]["killed"] >= 1
    wait_for(lambda: orphans() > before, PATIENCE, "drop of what belongs to no session any more")
    lab.end(child)


def test_explain(lab):
    status, got = lab.api("POST", "/v1/explain", body=f"tcp {LEFT4}:40000 > {RIGHT4}:80 from inside to outside")
    assert status == 200 and got["verdict"] == "allow"
    status, got = lab.api("POST", "/v1/explain", body=json.dumps({"packet": f"tcp {LEFT4}:40000 > {RIGHT4}:81 from inside to outside"}),
                          headers={"Content-Type": "application/json"})
    assert status == 200 and got["verdict"] == "drop"
    assert lab.api("POST", "/v1/explain", body="gibberish")[0] in (400, 422)
    assert lab.api("POST", "/v1/explain", body="{ not json", headers={"Content-Type": "application/json"})[0] == 400


def test_metrics(lab):
    status, text = lab.api("GET", "/metrics")
    assert status == 200 and text.rstrip().endswith("# EOF")
    for name in ("sallyport_port_rx_packets_total", "sallyport_drops_total", "sallyport_sessions", "sallyport_rule_hits_total", "sallyport_build_info"):
        assert name in text


def test_metrics_and_stats_agree(lab):
    text = lab.api("GET", "/metrics")[1]
    drops = {line.split('reason="')[1].split('"')[0]: int(float(line.split()[-1])) for line in text.splitlines() if line.startswith("sallyport_drops_total{")}
    stats = lab.stats()["drops"]
    assert all(stats[reason] >= count for reason, count in drops.items()) and set(drops) == set(stats)


@pytest.mark.parametrize("method,path,status", [
    ("GET", "/", 404), ("GET", "/v1/nothing", 404), ("GET", "/v1/rules/99999", 404), ("GET", "/v1/rules/x", 404), ("POST", "/v1/stats", 405), ("DELETE", "/v1/rules", 405),
    ("GET", "/v1/stats?x=1", 400), ("GET", "/v1/sessions?ip=banana", 400), ("GET", "/v1/sessions?port=70000", 400), ("GET", "/v1/sessions?limit=0", 400),
    ("GET", "/v1/sessions?cursor=zzz", 400), ("GET", "/../../etc/passwd", 404), ("GET", "/v1/%00", 400)])
def test_wrong_requests_are_problems(lab, method, path, status):
    got, problem = lab.api(method, path)
    assert got == status, problem
    assert problem["status"] == status and problem["title"]


HOSTILE = [b"", b"\0" * 1000, b"GET", b"GET /v1/stats HTTP/1.1\r\n", b"GET " + b"/a" * 40000 + b" HTTP/1.1\r\n\r\n", b"POST /v1/explain HTTP/1.1\r\nContent-Length: 1000\r\n\r\nhalf",
           b"PUT /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"PUT /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
           b"GET /v1/stats HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200000 + b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes(range(256)) * 20]


@pytest.mark.parametrize("n", range(len(HOSTILE)))
def test_hostile_bytes_leave_the_thread_alive(lab, n):
    raw(lab, HOSTILE[n], timeout=0.5)
    assert lab.api("GET", "/v1/ready")[0] == 200


def test_body_too_large(lab):
    answer = raw(lab, b"PUT /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n")
    assert b" 413 " in answer.split(b"\r\n")[0]


def test_many_connections(lab):
    held = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(1)
        try:
            s.connect(lab.socket_path)
            s.send(b"GET /v1/st")
        except OSError:
            pass
        held.append(s)
    for s in held:
        s.close()
    wait_for(lab.ready, PATIENCE, "answer after they have left")


def test_half_sent_requests_do_not_keep_others_out(lab):
    held = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.connect(lab.socket_path)
        s.send(b"GET /v1/st")
        held.append(s)
    assert lab.api("GET", "/v1/ready")[0] == 200
    assert select.select(held, [], [], 0)[0] != held, "the answer did not wait for their end"
    # and they are not kept for ever
    held[0].settimeout(PATIENCE)
    assert held[0].recv(1000)[:12] in (b"", b"HTTP/1.1 408")
    for s in held:
        s.close()


def ctl(lab, *args):
    return subprocess.run([f"{BIN}/sallyctl", "-s", lab.socket_path, *args], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("args", [["status"], ["stats"], ["ports"], ["workers"], ["rules"], ["rules", "10"], ["sessions"], ["top", "-n", "1"],
                                  ["explain", f"tcp {LEFT4}:4000 > {RIGHT4}:80 from inside to outside"]])
def test_sallyctl_shows(lab, args):
    done = ctl(lab, *args)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.parametrize("what", ["status", "stats", "ports", "workers", "rules", "sessions"])
def test_sallyctl_json_is_what_the_socket_says(lab, what):
    assert set(json.loads(ctl(lab, "-j", what).stdout)) == set(lab.api("GET", f"/v1/{what}")[1])


def test_sallyctl_says_what_is_wrong(lab):
    done = subprocess.run([f"{BIN}/sallyctl", "-s", "/nonexistent.sock", "status"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert ctl(lab, "explain", f"tcp {LEFT4}:4000 > {RIGHT4}:81 from inside to outside").returncode == 1
    assert ctl(lab, "nonsense").returncode == 2
