# SPDX-License-Identifier: BSD-3-Clause
"""Live connections under the operator's hand: listed, filtered, killed, and kept, rechecked or killed when rules change."""
import json
import os
import signal
import subprocess

import pytest
from conftest import BIN, LAST_CPU
from lab import LEFT4, PATIENCE, RIGHT4, RIGHT6, Lab, tcp_connects, wait_for

RULE = {10: '"10 allow tcp from inside to outside dport 5000 name \'first\' log"', 11: '"11 allow tcp from inside to outside dport 5001 max_per_source 50"',
        12: '"12 allow udp from inside to outside dport 9000-9100"', 13: '"13 allow icmp,icmpv6 from inside icmp_type echo-request"'}

SERVER = """
import socket, sys, threading
def serve(c):
    try:
        while d := c.recv(4096): c.sendall(d)
    except OSError: pass
def listen(port):
    s = socket.socket(socket.AF_INET6); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port)); s.listen(64)
    while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
for p in sys.argv[1:]: threading.Thread(target=listen, args=(int(p),)).start()
"""
# one connection that sends a byte and waits for it, again and again; the file holds how often
TALKER = """
import os, socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20); n = 0
while True:
    s.sendall(b"x"); s.recv(1); n += 1
    with open(sys.argv[3] + ".new", "w") as f: f.write(str(n))
    os.rename(sys.argv[3] + ".new", sys.argv[3]); time.sleep(0.02)
"""


def rules(*ids, **changed):
    lines = [changed.get(f"r{i}", RULE.get(i)) for i in ids]
    return 'version = 1;\ndefault = { action = "drop"; };\nrules = (\n    ' + ",\n    ".join(lines) + "\n);\n"


ALL = rules(*RULE)


class Talk:
    """A live TCP connection through the firewall."""

    made = 0

    def __init__(self, lab, port, addr=RIGHT4):
        Talk.made += 1
        self.lab, self.path = lab, os.path.join(lab.dir, f"talk{Talk.made}")
        self.child = lab.spawn(lab.left, "/usr/bin/python3", "-c", TALKER, addr, str(port), self.path)
        wait_for(lambda: self.count() > 2, PATIENCE, "first bytes")

    def count(self):
        try:
            with open(self.path) as f:
                return int(f.read() or 0)
        except OSError:
            return 0

    def goes_on(self):
        before = self.count()
        wait_for(lambda: self.count() > before + 5, PATIENCE, "more of the connection")
        return True

    def end(self):
        self.child.kill()
        self.child.wait()


@pytest.fixture(scope="module")
def lab():
    with Lab(BIN, ALL, workers=(LAST_CPU,), extra_config='sessions = { on_change = "keep"; };') as made:
        made.spawn(made.right, "/usr/bin/python3", "-c", SERVER, "5000", "5001")
        made.serve_udp(made.right, 9000)
        wait_for(lambda: tcp_connects(made, made.left, RIGHT4, 5001) == "open", PATIENCE, "echo service")
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0


@pytest.fixture
def clean(lab):
    """All rules in force and no session left."""
    assert lab.api("PUT", "/v1/rules?sessions=kill&force=1", body=ALL)[0] == 200
    talks = []
    yield lambda *args: talks.append(Talk(lab, *args)) or talks[-1]
    for talk in talks:
        talk.end()
    assert lab.api("PUT", "/v1/rules?sessions=keep&force=1", body=ALL)[0] == 200
    lab.api("DELETE", "/v1/sessions?all=1")


def listed(lab, query=""):
    found, cursor = [], ""
    while True:
        status, page = lab.api("GET", f"/v1/sessions?limit=1000&{query}{cursor}")
        assert status == 200, page
        found += page["sessions"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def ctl(lab, *args):
    return subprocess.run([f"{BIN}/sallyctl", "-s", lab.socket_path, *args], capture_output=True, text=True, timeout=60)


def put(lab, body, policy):
    status, answer = lab.api("PUT", f"/v1/rules?sessions={policy}", body=body)
    assert status == 200 and answer["sessions"]["policy"] == policy, answer
    return answer


# --- listing and killing ---------------------------------------------------------------------------------------------------------------------


def test_a_session_tells_all(lab, clean):
    talk = clean(5000)
    talk.goes_on()
    (one,) = [s for s in listed(lab, "port=5000&proto=tcp") if s["state"] == "tcp_established"]
    assert (one["src"], one["dst"], one["dport"], one["rule"], one["rule_name"]) == (LEFT4, RIGHT4, 5000, 10, "first")
    assert one["flags"] == ["log"] and (one["zone_from"], one["zone_to"]) == ("inside", "outside")
    assert one["generation"] == lab.api("GET", "/v1/status")[1]["generation"]
    assert all(one["bytes"]) and all(one["packets"]) and 0 <= one["idle_sec"] <= one["age_sec"] and one["timeout_sec"] > 60
    text = ctl(lab, "sessions", "--port", "5000", "--state", "tcp_established").stdout
    row = next(line for line in text.splitlines() if "tcp_established" in line)
    assert f"{RIGHT4}:5000" in row and "10 first" in row and row.rstrip().endswith(" l"), text


def test_filters(lab, clean):
    clean(5000), clean(5001), clean(5001, RIGHT6)
    assert lab.ask_udp(lab.left, RIGHT4, 9000) == "HELLO"
    up = "state=tcp_established"
    assert len(listed(lab, up)) == 3
    for query, n in ((f"{up}&ip=192.0.2.0/24", 2), (f"{up}&ip=2001:db8::/32", 1), (f"{up}&port=5001", 2), (f"{up}&proto=tcp", 3), (f"{up}&proto=udp", 0), ("proto=udp&port=9000", 1),
                     (f"{up}&rule=10", 1), (f"{up}&rule=11", 2), (f"{up}&zone=inside", 3), ("state=udp_replied&port=9000", 1), ("state=udp_replied,tcp_established&ip=192.0.2.10", 3),
                     ("state=tcp_syn_sent", 0), ("rule=99", 0), (f"{up}&ip=192.0.2.10-192.0.2.11&port=5001&rule=11&zone=outside", 1)):
        assert len(listed(lab, query)) == n, query
    for query in ("state=up", "state=", "state=tcp_established,", "zone=nowhere", "zone=", "stat=x"):
        assert lab.api("GET", f"/v1/sessions?{query}")[0] == 400, query


def test_pages_are_whole(lab, clean):
    code = "import socket,sys\nfor p in range(20000,20300):\n s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('',p)); s.sendto(b'x',(sys.argv[1],9000)); s.close()"
    assert lab.run(lab.left, "/usr/bin/python3", "-c", code, RIGHT4).returncode == 0
    wait_for(lambda: len(listed(lab, "port=9000")) == 300, PATIENCE, "300 sessions")
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = lab.api("GET", f"/v1/sessions?port=9000&limit=7{cursor and '&cursor=' + cursor}")[1]
        assert len(page["sessions"]) <= 7
        seen += [s["sport"] for s in page["sessions"]]
        cursor, pages = page["next"], pages + 1
    assert sorted(seen) == list(range(20000, 20300)) and pages >= 300 // 7
    text = ctl(lab, "sessions", "--port", "9000", "--limit", "250").stdout
    assert "250 sessions; there are more" in text
    done = ctl(lab, "sessions", "kill", "--port", "9000", "--state", "udp_replied,udp_new")
    assert done.returncode == 0 and "300 sessions killed" in done.stdout, done
    assert listed(lab, "port=9000") == []


def test_kill_takes_what_the_filter_says_and_no_more(lab, clean):
    first, second = clean(5000), clean(5001)
    before = lab.drops("tcp_no_session")
    assert ctl(lab, "sessions", "kill", "--rule", "11").stdout.startswith("1 sessions killed")
    lab.wait_drops("tcp_no_session", before)  # it goes on at its ends, and no further
    assert first.goes_on() and listed(lab, "port=5001&state=tcp_established") == []
    wait_for(lambda: any('"kill-sessions"' in line and json.loads(line)["audit"].get("rule") == "11" for line in open(lab.eve_path)), PATIENCE, "line of audit")
    assert second.count() > 0


def test_kill_needs_a_filter(lab, clean):
    talk = clean(5000)
    assert ctl(lab, "sessions", "kill").returncode == 2
    assert ctl(lab, "sessions", "kill", "--all", "--port", "5000").returncode == 2
    assert ctl(lab, "sessions", "--all").returncode == 2
    assert ctl(lab, "sessions", "slay").returncode == 2
    assert ctl(lab, "sessions", "kill", "--state", "up").returncode == 2
    for query in ("", "?all=0", "?all=1&port=5000", "?state=up", "?zone=nowhere", "?limit=3"):
        assert lab.api("DELETE", f"/v1/sessions{query}")[0] == 400, query
    assert talk.goes_on()
    assert ctl(lab, "sessions", "kill", "--all").returncode == 0
    assert listed(lab, "port=5000&state=tcp_established") == []


def test_errors_of_real_hosts_pass(lab, clean):
    """A port that nobody serves: the host's ICMP error comes back, for both families."""
    code = "import socket,sys\ns=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)\n" \
           "s.settimeout(20); s.connect((sys.argv[1], 9050)); s.send(b'x')\ntry: s.recv(1)\nexcept ConnectionRefusedError: print('refused')\n"
    before = lab.stats()["drops"]
    for addr in (RIGHT4, RIGHT6):
        assert lab.run(lab.left, "/usr/bin/python3", "-c", code, addr).stdout.strip() == "refused"
    after = lab.stats()["drops"]
    assert all(after[r] == before[r] for r in after if r.startswith("icmp_"))


# --- when rules change ---------------------------------------------------------------------------------------------------------------------------


def test_recheck(lab, clean):
    """What no rule allows any more ends with its next packet; what a rule allows stays, under whichever rule."""
    first, second = clean(5000), clean(5001)
    before = lab.drops("default")
    put(lab, rules(21, 13, r21='"21 allow tcp from inside to outside dport 5001-5002"'), "recheck")
    lab.wait_drops("default", before)
    assert second.goes_on()
    wait_for(lambda: not listed(lab, "port=5000&state=tcp_established"), PATIENCE, "end of the first")
    (moved,) = listed(lab, "port=5001&state=tcp_established")
    assert moved["rule"] == 21 and moved["generation"] == lab.api("GET", "/v1/status")[1]["generation"]


def test_keep(lab, clean):
    """Live connections outlast a policy that allows nothing; new ones do not; the next recheck ends them."""
    first, second = clean(5000), clean(5001)
    then = lab.api("GET", "/v1/status")[1]["generation"]
    put(lab, rules(13), "keep")
    assert first.goes_on() and second.goes_on()
    assert tcp_connects(lab, lab.left, RIGHT4, 5000, timeout=1) == "timeout"
    kept = listed(lab, "state=tcp_established")
    assert {(s["rule"], s["rule_name"], s["generation"]) for s in kept} == {(10, None, then), (11, None, then)}
    put(lab, rules(13), "keep")
    assert first.goes_on()
    before = lab.drops("default")
    put(lab, rules(13), "recheck")
    lab.wait_drops("default", before)
    wait_for(lambda: not listed(lab, "state=tcp_established"), PATIENCE, "end of both")


def test_kill(lab, clean):
    """Everything whose own rule is not exactly as it was ends at once, silent connections included; the rest goes on."""
    first, second = clean(5000), clean(5001)
    silent = lab.spawn(lab.left, "/usr/bin/python3", "-c", f"import socket,time; s=socket.create_connection(('{RIGHT4}',5000)); time.sleep(600)")
    wait_for(lambda: len(listed(lab, "port=5000&state=tcp_established")) == 2, PATIENCE, "silent connection")
    before, ended = lab.drops("tcp_no_session"), lab.stats()["sessions"]["rematch_killed"]
    answer = put(lab, rules(*RULE, r10='"10 allow tcp from inside to outside dport 5000,5005 name \'first\' log"'), "kill")
    assert answer["sessions"]["complete"] and answer["sessions"]["judged"] > answer["sessions"]["killed"] >= 2
    assert lab.stats()["sessions"]["rematch_killed"] == ended + answer["sessions"]["killed"]
    assert listed(lab, "port=5000&state=tcp_established") == []
    assert second.goes_on()
    lab.wait_drops("tcp_no_session", before)  # the rule would allow the first, but not from the middle
    assert tcp_connects(lab, lab.left, RIGHT4, 5000) == "open"
    silent.kill()


def test_the_commands_say_it(lab, clean):
    talk = clean(5000)
    path = os.path.join(lab.dir, "next.rules")
    with open(path, "w") as f:
        f.write(rules(12, 13))
    done = ctl(lab, "rules", "put", path, "--sessions", "keep")
    assert done.returncode == 0, done.stderr
    assert talk.goes_on()
    with open(lab.rules_path, "w") as f:
        f.write(rules(13))
    done = ctl(lab, "reload", "--sessions=kill")
    assert done.returncode == 0 and "were ended" in done.stdout, done
    assert listed(lab, "port=5000&state=tcp_established") == []
    assert ctl(lab, "reload", "--sessions=flush").returncode == 2
    assert lab.api("POST", "/v1/reload?sessions=flush")[0] == 400
    assert lab.api("PUT", "/v1/rules?sessions=", body=ALL)[0] == 400


def test_sighup_does_what_the_configuration_says(lab, clean):
    """on_change = "keep" stands in this firewall's configuration."""
    talk = clean(5000)
    before = lab.api("GET", "/v1/status")[1]["generation"]
    with open(lab.rules_path, "w") as f:
        f.write(rules(13))
    os.kill(lab.firewall.pid, signal.SIGHUP)
    wait_for(lambda: lab.api("GET", "/v1/status")[1]["generation"] > before, PATIENCE, "reload")
    assert talk.goes_on()
    status, answer = lab.api("POST", "/v1/reload")
    assert status == 200 and answer["sessions"] == {"policy": "keep"}
    assert talk.goes_on()
