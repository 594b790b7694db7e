# SPDX-License-Identifier: BSD-3-Clause
"""Starting and stopping: what cannot run says why in one line, what runs leaves quickly and leaves nothing behind."""
import os
import signal
import subprocess

import pytest
from conftest import BIN, RULES
from lab import PATIENCE, RIGHT4, Lab, sh, wait_for

CONFIG = """mode = "wire"; workers = [ 0 ]; memory = { huge = false; mb = 256; };
ports = ( { name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }, { name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; } );
rules = "%(dir)s/main.rules"; api = { socket = "%(dir)s/api.sock"; }; poll = "adaptive";
"""


def slow_rules(patterns):
    """A policy that takes long to compile: 60 patterns some seconds, 600 over a minute."""
    one = '{ id = %d; msg = "m"; pattern = "a%d[^x]{10,200}b.{5,250}(c|d%d)[a-z]{20,300}e"; action = "drop"; }'
    listed = ",\n".join(one % (1000 + i, i, i) for i in range(patterns))
    return (f'version = 1;\ninspect = {{ slow = {{ mode = "block"; patterns = (\n{listed} ); }}; }};\ndefault = {{ action = "drop"; }};\n'
            'rules = ( "1 allow tcp dport 80 inspect slow" );\n')


def compiles(pid):
    """Waits until a firewall's main thread has worked for half a second on end, as it does only when it compiles rules."""
    def worked():
        with open(f"/proc/{pid}/task/{pid}/stat") as f:
            return int(f.read().rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")

    before = worked()
    wait_for(lambda: worked() > before + 0.5, 60, "compiler at work")


def start(tmp_path, config=CONFIG, rules=RULES, timeout=60):
    (tmp_path / "main.rules").write_text(rules)
    (tmp_path / "c.conf").write_text(config % {"dir": tmp_path})
    return subprocess.run([f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")], capture_output=True, text=True, timeout=timeout)


CANNOT = [
    ("port missing", CONFIG.replace("net_null0", "net_af_packet0,iface=nonexistent9"), 2, "in"),
    ("pci device missing", CONFIG.replace("net_null0", "0000:7f:1f.7"), 2, "0000:7f:1f.7"),
    ("no huge pages", CONFIG.replace("huge = false; mb = 256", "huge = true; mb = 1048576"), 2, "huge"),
    ("socket folder missing", CONFIG.replace("%(dir)s/api.sock", "/proc/nonexistent/api.sock"), 2, "/proc/nonexistent"),
    ("socket path is a file", CONFIG.replace("%(dir)s/api.sock", "%(dir)s/main.rules"), 2, "main.rules"),
    ("unknown key", CONFIG.replace("poll", "pole"), 1, "pole"),
    ("routed mode", CONFIG.replace('"wire"', '"route"'), 1, "has a peer, but in route mode"),
    ("peer missing", CONFIG.replace('peer = "out"', 'peer = "nobody"'), 1, "nobody"),
    ("rule file missing", CONFIG.replace("main.rules", "other.rules"), 1, "other.rules"),
]


@pytest.mark.parametrize("name,config,code,word", CANNOT, ids=[c[0] for c in CANNOT])
def test_what_cannot_run_says_why(tmp_path, name, config, code, word):
    done = start(tmp_path, config)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert word in errors[0], done.stderr
    assert len(errors) == 1 or code == 1, "what cannot run says so in one line"


def test_bad_rules_at_start_exit_1(tmp_path):
    done = start(tmp_path, rules=RULES.replace("dport 80", "dport 70000"))
    assert done.returncode == 1 and "main.rules:6" in done.stderr and "70000" in done.stderr


def test_failing_expectation_stops_the_start(tmp_path):
    done = start(tmp_path, rules=RULES + 'expect = ( "allow: tcp 10.0.0.1:1 > 192.0.2.10:22 from inside to outside" );\n')
    assert done.returncode == 1 and "expect" in done.stderr


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_leaves_soon(sig):
    with Lab(BIN, RULES, workers=(0,)) as lab:
        lab.serve_web(lab.right, {"index.html": b"hello\n", "big": b"x" * (8 << 20)})
        lab.spawn(lab.left, "curl", "-s", "--limit-rate", "100k", "-o", os.devnull, f"http://{RIGHT4}/big")
        assert lab.curl(f"http://{RIGHT4}/") == "hello\n"
        assert lab.stop_firewall(sig)[0] == 0
        assert not os.path.exists(lab.socket_path)


def test_a_cable_without_carrier_is_never_ready():
    """The firewall knows a link that is down from the start on, and is ready when it is up."""
    lab = Lab(BIN, RULES, workers=(0,))
    try:
        lab.make_hosts()
        sh("ip", "-n", lab.left, "link", "set", "eth0", "down")
        wait_for(lambda: "NO-CARRIER" in sh("ip", "-n", lab.box, "link", "show", "vin").stdout, PATIENCE, "cable without carrier")
        lab.write_config()
        lab.start_firewall(wait=False)
        wait_for(lambda: os.path.exists(lab.socket_path), 60, "socket")
        assert {lab.api("GET", "/v1/ready")[0] for _ in range(20)} == {503}
        assert "port in: " in lab.log() and next(line for line in lab.log().splitlines() if "port in: " in line).endswith("link down")
        sh("ip", "-n", lab.left, "link", "set", "eth0", "up")
        wait_for(lambda: lab.api("GET", "/v1/ready")[0] == 200, PATIENCE, "ready firewall")
    finally:
        lab.close()


def test_taken_socket_is_not_stolen_and_a_stale_one_is():
    with Lab(BIN, RULES, workers=(0,)) as lab:
        config = lab.config_path + ".second"
        text = open(lab.config_path).read().replace("net_af_packet0,iface=vin", "net_null0").replace("net_af_packet1,iface=vout", "net_null1")
        open(config, "w").write(text)
        second = subprocess.run([f"{BIN}/sallyport", "run", "-c", config], capture_output=True, text=True, timeout=60)
        assert second.returncode == 2 and lab.socket_path in second.stderr
        assert lab.api("GET", "/v1/ready")[0] == 200
        lab.stop_firewall(signal.SIGKILL)
        assert os.path.exists(lab.socket_path)
        lab.start_firewall()
        assert lab.api("GET", "/v1/ready")[0] == 200


def test_leaves_soon_while_rules_compile():
    with Lab(BIN, RULES, workers=(0,)) as lab:
        put = subprocess.Popen(["curl", "-sS", "-X", "PUT", "--unix-socket", lab.socket_path, "-H", "Content-Type: text/plain", "--data-binary", "@-",
                                "http://localhost/v1/rules"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        put.stdin.write(slow_rules(600).encode())
        put.stdin.close()
        compiles(lab.firewall.pid)
        assert put.poll() is None, "the policy was meant to take longer to compile"
        assert lab.stop_firewall()[0] == 0, lab.log()
        put.wait(PATIENCE)
        assert not os.path.exists(lab.socket_path)
        assert "left while a rule file was being loaded" in lab.log()
        assert open(lab.rules_path).read() == RULES, "what was not in force is not saved"


def test_leaves_soon_while_the_first_rules_compile(tmp_path):
    (tmp_path / "main.rules").write_text(slow_rules(600))
    (tmp_path / "c.conf").write_text(CONFIG % {"dir": tmp_path})
    child = subprocess.Popen([f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")], stderr=subprocess.PIPE, text=True)
    try:
        compiles(child.pid)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=10)[1]
    finally:
        child.kill()
    assert child.returncode == 0 and "left before the start was over" in said


def test_an_edit_while_a_put_compiles_is_not_lost():
    with Lab(BIN, RULES, workers=(0,)) as lab:
        put = subprocess.Popen(["curl", "-sS", "-X", "PUT", "--unix-socket", lab.socket_path, "-H", "Content-Type: text/plain", "--data-binary", "@-",
                                "-w", "%{http_code}", "http://localhost/v1/rules"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        put.stdin.write(slow_rules(60).encode())
        put.stdin.close()
        compiles(lab.firewall.pid)
        edited = RULES + "# edited by hand\n"
        with open(lab.rules_path, "w") as f:
            f.write(edited)
        answer = put.stdout.read().decode()
        put.wait(60)
        assert answer.endswith("409") and "rules-changed" in answer
        assert open(lab.rules_path).read() == edited
        assert lab.api("GET", "/v1/status")[1]["generation"] == 1
        assert [r["id"] for r in lab.api("GET", "/v1/rules")[1]["rules"]] == [10, 11, 12, 13, 14]
        assert sorted(n for n in os.listdir(lab.dir) if n.startswith(".main")) == []


class Closed:
    """A firewall without hosts that was started with --fail-closed."""

    def __init__(self, folder, rules):
        self.rules, self.socket, self.said = folder / "main.rules", str(folder / "api.sock"), folder / "log"
        (folder / "c.conf").write_text(CONFIG % {"dir": folder})
        if rules is not None:
            self.rules.write_text(rules)
        with open(self.said, "w") as log:
            self.child = subprocess.Popen([f"{BIN}/sallyport", "run", "--fail-closed", "-c", str(folder / "c.conf")], stderr=log)

    def __enter__(self):
        wait_for(lambda: "sallyport: ready" in self.said.read_text() or self.child.poll() is not None, 60, "start")
        return self

    def __exit__(self, *exc):
        self.child.terminate()
        assert self.child.wait(PATIENCE) == 0
        assert not os.path.exists(self.socket)

    api = Lab.api

    @property
    def socket_path(self):
        return self.socket

    def codes(self):
        return {d["code"]: d["text"] for d in self.api("GET", "/v1/status")[1]["degraded"]}


BAD = [("error", RULES.replace("dport 80", "dport 70000"), "70000"), ("missing", None, "main.rules"), ("binary", "\0\1\2", "main.rules"),
       ("pattern", RULES.replace("union(", "union(("), "77"), ("expect", RULES + 'expect = ( "allow: tcp 10.0.0.1:1 > 192.0.2.10:22 from inside to outside" );\n', "expect")]


@pytest.mark.parametrize("name,rules,word", BAD, ids=[b[0] for b in BAD])
def test_fail_closed_drops_all_and_serves_the_socket(tmp_path, name, rules, word):
    with Closed(tmp_path, rules) as firewall:
        assert word in firewall.codes()["no-rules"], firewall.codes()
        assert firewall.api("GET", "/v1/ready")[0] == 503
        got = firewall.api("GET", "/v1/rules")[1]
        assert got["rules"] == [] and got["default"]["action"] == "drop" and not any(got["builtin"].values())


@pytest.mark.parametrize("how", ["put", "reload", "sighup"])
def test_good_rules_end_fail_closed(tmp_path, how):
    with Closed(tmp_path, BAD[0][1]) as firewall:
        assert "no-rules" in firewall.codes()
        if how == "put":
            assert firewall.api("PUT", "/v1/rules", body=RULES)[0] == 200
            assert firewall.rules.read_text() == RULES
        else:
            assert firewall.api("POST", "/v1/reload")[0] == 422 and "no-rules" in firewall.codes()
            firewall.rules.write_text(RULES)
            if how == "sighup":
                firewall.child.send_signal(signal.SIGHUP)
            else:
                assert firewall.api("POST", "/v1/reload")[0] == 200
        wait_for(lambda: firewall.codes() == {}, PATIENCE, "ready firewall")
        assert firewall.api("GET", "/v1/ready")[0] == 200 and len(firewall.api("GET", "/v1/rules")[1]["rules"]) == 5


def test_fail_closed_takes_good_rules_as_they_are(tmp_path):
    with Closed(tmp_path, RULES) as firewall:
        assert firewall.codes() == {} and len(firewall.api("GET", "/v1/rules")[1]["rules"]) == 5
