# SPDX-License-Identifier: BSD-3-Clause
"""Rules are replaced under load: no packet is lost, sessions are judged anew, a bad file changes nothing."""
import os
import signal
import threading

import pytest
from conftest import RULES
from lab import PATIENCE, RIGHT4, wait_for


def generation(lab):
    return lab.api("GET", "/v1/status")[1]["generation"]


def test_reload_under_load_loses_nothing(lab):
    """A UDP stream of numbered echoes goes on while rules are swapped; every number comes back."""
    enough = os.path.join(lab.dir, "enough")
    code = (
        "import os,socket,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.connect((sys.argv[1],9000)); s.settimeout(10); lost=n=0\n"
        "while not os.path.exists(sys.argv[2]) and lost<3:\n"
        "    s.send(b'n%d'%n)\n"
        "    try:\n"
        "        while s.recv(64)!=b'N%d'%n: pass\n"
        "    except OSError: lost+=1\n"
        "    n+=1\n"
        "print(n,lost)\n"
    )
    result = {}
    thread = threading.Thread(target=lambda: result.update(out=lab.run(lab.left, "/usr/bin/python3", "-c", code, RIGHT4, enough).stdout))
    before = generation(lab)
    thread.start()
    swaps = 0
    while thread.is_alive():
        assert lab.api("PUT", "/v1/rules", body=RULES.replace("dport 5201", f"dport 5201,{6000 + swaps}"))[0] == 200
        swaps += 1
        if swaps == 20:
            open(enough, "w").close()
        thread.join(0.1)
    sent, lost = map(int, result["out"].split())
    assert generation(lab) == before + swaps and swaps >= 20
    assert sent > swaps and lost == 0
    assert lab.balance() == 0


def test_download_survives_and_is_rematched(lab):
    """A session keeps running while its rule stays, and ends when its rule goes."""
    before = lab.stats()["sessions"]
    lab.curl(f"http://{RIGHT4}/")
    child = lab.spawn(lab.left, "curl", "-s", "-m", "60", "--limit-rate", "1M", "-o", os.devnull, f"http://{RIGHT4}/big")
    running = lambda: [s for s in lab.api("GET", "/v1/sessions?port=80")[1]["sessions"] if s["state"] == "tcp_established"]
    wait_for(running, PATIENCE, "session")
    assert lab.api("PUT", "/v1/rules", body=RULES)[0] == 200
    passed = max(sum(s["bytes"]) for s in running())
    wait_for(lambda: any(sum(s["bytes"]) > passed for s in running()), PATIENCE, "more of the download")
    assert child.poll() is None
    assert lab.stats()["sessions"]["created"] > before["created"]
    denied = RULES.replace('"10 allow tcp', '"9 drop tcp dport 80 log",\n    "10 allow tcp')
    drops = lab.drops("rule")
    assert lab.api("PUT", "/v1/rules", body=denied)[0] == 200
    lab.wait_drops("rule", drops)
    wait_for(lambda: not running(), PATIENCE, "end of the session")
    lab.end(child)
    assert lab.api("PUT", "/v1/rules", body=RULES)[0] == 200
    assert lab.curl(f"http://{RIGHT4}/") == "hello\n"


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
    assert lab.curl(f"http://{RIGHT4}/") == "hello\n"


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
    wait_for(lambda: generation(lab) == before + 1, PATIENCE, "next generation")
    with open(lab.rules_path, "w") as f:
        f.write("broken")
    os.kill(firewall_pid(lab), signal.SIGHUP)
    wait_for(lambda: "main.rules:1: error:" in lab.log(), PATIENCE, "refusal of the broken file")
    assert generation(lab) == before + 1
    assert lab.api("PUT", "/v1/rules", body=RULES)[0] == 409, "the file changed on disk"
    assert lab.api("PUT", "/v1/rules?force=1", body=RULES)[0] == 200


def firewall_pid(lab):
    """`ip netns exec` becomes the program it runs, so the child is the firewall itself."""
    return lab.firewall.pid
