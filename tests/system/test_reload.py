# SPDX-License-Identifier: BSD-3-Clause
"""Rules are replaced under load: no packet is lost, sessions are judged anew, a bad file changes nothing."""
import os
import signal
import threading
import time

import pytest
from conftest import RULES
from lab import RIGHT4, wait_for


def generation(lab):
    return lab.api("GET", "/v1/status")[1]["generation"]


def test_reload_under_load_loses_nothing(lab):
    """A UDP stream of numbered echoes goes on while rules are swapped; every number comes back."""
    code = (
        "import socket,sys,time\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.connect((sys.argv[1],9000)); s.settimeout(2); lost=0\n"
        "end=time.monotonic()+4; n=0\n"
        "while time.monotonic()<end:\n"
        "    s.send(b'n%d'%n)\n"
        "    try:\n"
        "        while s.recv(64)!=b'N%d'%n: pass\n"
        "    except OSError: lost+=1\n"
        "    n+=1\n"
        "print(n,lost)\n"
    )
    result = {}
    thread = threading.Thread(target=lambda: result.update(out=lab.run(lab.left, "/usr/bin/python3", "-c", code, RIGHT4, timeout=60).stdout))
    before = generation(lab)
    thread.start()
    swaps = 0
    while thread.is_alive():
        assert lab.api("PUT", "/v1/rules", body=RULES.replace("dport 5201", f"dport 5201,{6000 + swaps}"))[0] == 200
        swaps += 1
        thread.join(0.1)
    sent, lost = map(int, result["out"].split())
    assert generation(lab) == before + swaps and swaps >= 10
    assert sent > 500 and lost == 0
    assert lab.balance() == 0


def test_download_survives_and_is_rematched(lab):
    """A session keeps running while its rule stays, and ends when its rule goes."""
    before = lab.stats()["sessions"]
    lab.run(lab.left, "curl", "-s", "-m", "5", f"http://{RIGHT4}/")
    child = lab.spawn(lab.left, "curl", "-s", "-m", "20", "--limit-rate", "1M", "-o", os.devnull, f"http://{RIGHT4}/big")
    wait_for(lambda: lab.api("GET", "/v1/sessions?port=80")[1]["sessions"], 5, "session")
    assert lab.api("PUT", "/v1/rules", body=RULES)[0] == 200
    time.sleep(1)
    assert child.poll() is None
    assert lab.stats()["sessions"]["created"] > before["created"]
    denied = RULES.replace('"10 allow tcp', '"9 drop tcp dport 80 log",\n    "10 allow tcp')
    drops = lab.drops("rule")
    assert lab.api("PUT", "/v1/rules", body=denied)[0] == 200
    wait_for(lambda: lab.drops("rule") > drops, 5, "drop of the session's packets by rule 9")
    wait_for(lambda: not [s for s in lab.api("GET", "/v1/sessions?port=80")[1]["sessions"] if s["state"] == "tcp_established"], 5, "end of the session")
    child.kill()
    child.wait()
    assert lab.api("PUT", "/v1/rules", body=RULES)[0] == 200
    assert lab.run(lab.left, "curl", "-s", "-m", "5", f"http://{RIGHT4}/").stdout == "hello\n"


BAD = [
    ("version = 1;", 422), ("nonsense", 422), ("version = 2; default = { action = \"drop\"; }; rules = ();", 422), (RULES + "x = 1;", 422),
    (RULES.replace("10 allow", "11 allow"), 422), (RULES.replace("dport 80", "dport 70000"), 422), (RULES.replace("@servers", "@nobody"), 422),
    (RULES.replace("192.0.2.10", "192.0.2.300"), 422), (RULES.replace("union(", "union(("), 422), (RULES.replace("inside", "insideout"), 422),
    ('@include "/etc/passwd"\n' + RULES, 422), (RULES.replace('"192.0.2.10"', '"file:/etc/passwd"'), 422), (RULES.replace('"192.0.2.10"', '"file:../x"'), 422),
    ("\0" * 100, 422), ("(" * 100000, 422),
]


@pytest.mark.parametrize("body,status", BAD, ids=range(len(BAD)))
def test_bad_rules_change_nothing(lab, body, status):
    before, text = generation(lab), open(lab.rules_path).read()
    got, problem = lab.api("PUT", "/v1/rules", body=body)
    assert got == status, problem
    assert problem["errors"] and all(e["message"] for e in problem["errors"])
    assert generation(lab) == before and open(lab.rules_path).read() == text
    assert lab.run(lab.left, "curl", "-s", "-m", "5", f"http://{RIGHT4}/").stdout == "hello\n"


def test_empty_body_is_refused(lab):
    before = generation(lab)
    assert lab.api("PUT", "/v1/rules", body="")[0] == 400
    assert generation(lab) == before


def test_dry_run_changes_nothing(lab):
    before, text = generation(lab), open(lab.rules_path).read()
    assert lab.api("PUT", "/v1/rules?dry-run=1", body=RULES.replace("name", "comment"))[0] == 200
    assert lab.api("PUT", "/v1/rules?dry-run=1", body="nonsense")[0] == 422
    assert lab.api("PUT", "/v1/rules?dryrun=1", body=RULES)[0] == 400
    assert generation(lab) == before and open(lab.rules_path).read() == text


def test_form_type_is_refused_with_the_right_command(lab):
    status, problem = lab.api("PUT", "/v1/rules", body=RULES, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 415 and "curl" in str(problem)


def test_if_match(lab):
    assert lab.api("PUT", "/v1/rules", body=RULES, headers={"If-Match": "1", "Content-Type": "text/plain"})[0] == 412
    assert lab.api("PUT", "/v1/rules", body=RULES, headers={"If-Match": str(generation(lab)), "Content-Type": "text/plain"})[0] == 200


def test_sighup_reads_the_file_again(lab):
    before = generation(lab)
    with open(lab.rules_path, "w") as f:
        f.write(RULES.replace("dport 23", "dport 23,24"))
    os.kill(firewall_pid(lab), signal.SIGHUP)
    wait_for(lambda: generation(lab) == before + 1, 5, "next generation")
    with open(lab.rules_path, "w") as f:
        f.write("broken")
    os.kill(firewall_pid(lab), signal.SIGHUP)
    time.sleep(0.5)
    assert generation(lab) == before + 1
    assert lab.api("PUT", "/v1/rules", body=RULES)[0] == 409, "the file changed on disk"
    assert lab.api("PUT", "/v1/rules?force=1", body=RULES)[0] == 200


def firewall_pid(lab):
    """`ip netns exec` becomes the program it runs, so the child is the firewall itself."""
    return lab.firewall.pid
