# SPDX-License-Identifier: BSD-3-Clause
"""Starting and stopping: what cannot run says why in one line, what runs leaves quickly and leaves nothing behind."""
import os
import signal
import subprocess

import pytest
from conftest import BIN, RULES
from lab import RIGHT4, Lab

CONFIG = """mode = "wire"; workers = [ 0 ]; memory = { huge = false; mb = 256; };
ports = ( { name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }, { name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; } );
rules = "%(dir)s/main.rules"; api = { socket = "%(dir)s/api.sock"; }; poll = "adaptive";
"""


def start(tmp_path, config=CONFIG, rules=RULES, timeout=20):
    (tmp_path / "main.rules").write_text(rules)
    (tmp_path / "c.conf").write_text(config % {"dir": tmp_path})
    return subprocess.run([f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")], capture_output=True, text=True, timeout=timeout)


CANNOT = [
    ("port missing", CONFIG.replace("net_null0", "net_af_packet0,iface=nonexistent9"), 2, "in"),
    ("pci device missing", CONFIG.replace("net_null0", "0000:7f:1f.7"), 2, "0000:7f:1f.7"),
    ("no huge pages", CONFIG.replace("huge = false", "huge = true"), 2, "huge"),
    ("socket folder missing", CONFIG.replace("%(dir)s/api.sock", "/proc/nonexistent/api.sock"), 2, "/proc/nonexistent"),
    ("socket path is a file", CONFIG.replace("%(dir)s/api.sock", "%(dir)s/main.rules"), 2, "main.rules"),
    ("unknown key", CONFIG.replace("poll", "pole"), 1, "pole"),
    ("routed mode", CONFIG.replace('"wire"', '"route"'), 1, "not supported yet"),
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
def test_leaves_within_two_seconds(sig):
    with Lab(BIN, RULES, workers=(0,)) as lab:
        lab.serve_web(lab.right, {"index.html": b"hello\n", "big": b"x" * (8 << 20)})
        lab.spawn(lab.left, "curl", "-s", "--limit-rate", "500k", "-o", os.devnull, f"http://{RIGHT4}/big")
        assert lab.run(lab.left, "curl", "-s", "-m", "5", f"http://{RIGHT4}/").stdout == "hello\n"
        code, seconds = lab.stop_firewall(sig)
        assert code == 0 and seconds < 2
        assert not os.path.exists(lab.socket_path)


def test_taken_socket_is_not_stolen_and_a_stale_one_is():
    with Lab(BIN, RULES, workers=(0,)) as lab:
        config = lab.config_path + ".second"
        text = open(lab.config_path).read().replace("net_af_packet0,iface=vin", "net_null0").replace("net_af_packet1,iface=vout", "net_null1")
        open(config, "w").write(text)
        second = subprocess.run([f"{BIN}/sallyport", "run", "-c", config], capture_output=True, text=True, timeout=20)
        assert second.returncode == 2 and lab.socket_path in second.stderr
        assert lab.api("GET", "/v1/ready")[0] == 200
        lab.stop_firewall(signal.SIGKILL)
        assert os.path.exists(lab.socket_path)
        lab.start_firewall()
        assert lab.api("GET", "/v1/ready")[0] == 200
