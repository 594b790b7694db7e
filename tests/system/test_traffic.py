# SPDX-License-Identifier: BSD-3-Clause
"""Real TCP stacks through the firewall: what the rules allow works, what they deny does not, and everything is counted."""
import json
import os

import pytest
from lab import LEFT4, LEFT6, PATIENCE, RIGHT4, RIGHT6, tcp_connects, wait_for


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_ping(lab, addr):
    assert " 3 received" in lab.run(lab.left, "ping", "-c", "3", "-i", "0.2", "-W", str(PATIENCE), addr).stdout


@pytest.mark.parametrize("url", [f"http://{RIGHT4}/", f"http://[{RIGHT6}]/"])
def test_curl(lab, url):
    assert lab.curl(url) == "hello\n"


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_udp(lab, addr):
    assert lab.ask_udp(lab.left, addr, 9000, "firewall") == "FIREWALL"


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_reject_is_heard_by_real_stacks(lab, addr):
    assert tcp_connects(lab, lab.left, addr, 23) == "refused"
    answer, why = lab.udp_outcome(lab.left, addr, 23)
    assert answer is None and "timed out" not in why, "ICMP prohibited must end the wait"


@pytest.mark.parametrize("addr", [RIGHT4, RIGHT6])
def test_default_is_silent(lab, addr):
    before = lab.drops("default")
    assert tcp_connects(lab, lab.left, addr, 8080, timeout=1) == "timeout"
    lab.wait_drops("default", before)


def test_outside_cannot_open(lab):
    assert tcp_connects(lab, lab.right, LEFT4, 5201, timeout=1) == "timeout"
    assert lab.silent(LEFT6, ns=lab.right)


def test_big_download_is_whole(lab):
    done = lab.run(lab.left, "sh", "-c", f"curl -s -m 60 http://{RIGHT4}/big | sha256sum")
    local = lab.run(lab.right, "sh", "-c", "curl -s http://127.0.0.1/big | sha256sum")
    assert done.stdout == local.stdout


@pytest.mark.parametrize("options", [[], ["-R"], ["-u", "-b", "50M"], ["-6"]])
def test_iperf3(lab, options):
    lab.spawn(lab.right, "iperf3", "-s", "-1", "-p", "5201")
    wait_for(lambda: ":5201 " in lab.run(lab.right, "ss", "-Hltn").stdout, PATIENCE, "iperf3 server")
    target = RIGHT6 if "-6" in options else RIGHT4
    done = lab.run(lab.left, "iperf3", "-c", target, "-p", "5201", "-t", "2", "-J", *options)
    assert done.returncode == 0, done.stdout[-500:]
    assert json.loads(done.stdout)["end"]["sum_received" if "-u" not in options else "sum"]["bytes"] > 1 << 20


def test_attack_is_caught_and_told(lab):
    assert lab.is_dropped(f"http://{RIGHT4}/?id=1+UNION+SELECT", "inspect_match")

    def alert():
        with open(lab.eve_path) as f:
            events = [json.loads(line) for line in f]
        return [e for e in events if e["event_type"] == "alert" and e["alert"]["signature_id"] == 77 and e["src_ip"] == LEFT4 and e["dest_port"] == 80]

    wait_for(alert, PATIENCE, "alert event")


def test_flow_and_drop_events(lab):
    lab.curl(f"http://{RIGHT4}/")
    tcp_connects(lab, lab.left, RIGHT4, 8081, timeout=1)

    def seen():
        with open(lab.eve_path) as f:
            events = [json.loads(line) for line in f]
        drops = [e for e in events if e["event_type"] == "drop" and e.get("dest_port") == 8081 and e["drop"]["reason"] == "default"]
        flows = [e for e in events if e["event_type"] == "flow" and e.get("dest_port") == 80]
        return drops and flows

    wait_for(seen, PATIENCE, "drop and flow events")


def test_every_packet_is_accounted_for(lab):
    assert lab.balance() == 0
    assert os.path.exists(lab.socket_path)
