# SPDX-License-Identifier: BSD-3-Clause
"""run --fail-closed: whatever is missing, the socket is served and says what is wrong and how to mend it; what comes later is taken up."""
import itertools
import json
import os
import signal
import socket
import subprocess

import pytest
from conftest import BIN, LAST_CPU, RULES
from lab import LEFT4, LEFT6, PATIENCE, RIGHT4, RIGHT6, Lab, LabError, sh, wait_for
from test_api_tls import READ, Api, certificate, free_port


class ClosedLab(Lab):
    """A lab whose firewall is started with --fail-closed; `cut` names hosts whose cable is not there at first."""

    def __init__(self, cut=(), workers=(0,), **kwargs):
        super().__init__(BIN, RULES, workers=workers, **kwargs)
        self.run_options, self.cut = ("--fail-closed",), cut

    def __enter__(self):
        try:
            self.make_hosts()
            for side in self.cut:
                self.take_cable(side)
            self.write_config()
            self.start_firewall(wait=False)
            self.wait_socket()
        except BaseException:
            self.close()
            raise
        return self

    def wait_socket(self):
        def answers():
            if self.firewall.poll() is not None:
                raise LabError(f"the firewall ended with {self.firewall.returncode}:\n{self.log()}")
            return "sallyport: ready" in self.log()

        wait_for(answers, 60, lambda: f"socket; the firewall says:\n{self.log()}")

    def take_cable(self, side):
        sh("ip", "-n", self.box, "link", "del", f"v{side}")

    def put_cable(self, side):
        self.lay_cable(*{"in": (self.left, "in", LEFT4, LEFT6), "out": (self.right, "out", RIGHT4, RIGHT6)}[side])
        for ns in (self.left, self.right):  # the host's MAC is another now
            sh("ip", "-n", ns, "neigh", "flush", "dev", "eth0", check=False)

    def port(self, name):
        return next(port for port in self.api("GET", "/v1/ports")[1]["ports"] if port["name"] == name)

    def degraded(self):
        return {entry["code"]: entry for entry in self.api("GET", "/v1/status")[1]["degraded"]}

    def port_events(self, name):
        with open(self.eve_path) as f:
            events = [json.loads(line) for line in f]
        return [event["port"]["what"] for event in events if event["event_type"] == "port" and event["port"]["name"] == name]


# --- ports ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", sorted({(0,), tuple(range(LAST_CPU + 1))[:2]}), ids=lambda cpus: f"{len(cpus)} workers")
def test_a_port_without_its_device_is_absent_until_that_appears(workers):
    """With two, they share the one tx queue that af_packet has, by a ring that is made while they run."""
    with ClosedLab(cut=("out",), workers=workers) as lab:
        assert (lab.port("in")["state"], lab.port("out")["state"], lab.port("out")["link"]) == ("running", "absent", "down")
        assert "vout" in lab.port("out")["why"] and lab.port("out")["mac"] is None and lab.port("out")["driver"] is None
        entry = lab.degraded()["port-absent"]
        assert "vout" in entry["text"] and entry["remedy"]
        status, body = lab.api("GET", "/v1/ready")
        assert status == 503 and {"name": "out", "link": "down", "state": "absent"} in body["ports"]
        assert 'sallyport_port_state{port="out",state="absent"} 1' in lab.api("GET", "/metrics")[1]
        lab.put_cable("out")
        wait_for(lab.ready, PATIENCE, lambda: f"ready firewall; it says:\n{lab.log()}")
        assert lab.port("out")["state"] == "running" and lab.port("out")["why"] is None and lab.port("out")["driver"] == "net_af_packet"
        assert lab.port("out")["mac"] == json.loads(sh("ip", "-n", lab.box, "-j", "link", "show", "vout").stdout)[0]["address"]
        assert lab.api("GET", "/v1/ready")[1]["ports"] == [{"name": n, "link": "up", "state": "running"} for n in ("in", "out")]
        assert "port-absent" not in lab.degraded()
        assert lab.ping(RIGHT4)
        wait_for(lambda: "link-up" in lab.port_events("out"), PATIENCE, "events of the port")
        assert lab.port_events("out") == ["absent", "attached", "link-up"]
        assert lab.balance() == 0
        assert lab.stop_firewall()[0] == 0


def test_all_devices_may_be_missing():
    with ClosedLab(cut=("in", "out")) as lab:
        assert {port["state"] for port in lab.api("GET", "/v1/ports")[1]["ports"]} == {"absent"}
        assert lab.stats()["packets"]["rx"] == 0
        lab.put_cable("in")
        wait_for(lambda: lab.port("in")["state"] == "running", PATIENCE, "first port")
        assert lab.port("out")["state"] == "absent" and not lab.ready()
        lab.put_cable("out")
        wait_for(lab.ready, PATIENCE, "ready firewall")
        assert lab.ping(RIGHT4)
        assert lab.balance() == 0


def test_a_device_that_is_taken_away_comes_back_with_sessions_as_they_were():
    with ClosedLab() as lab:
        wait_for(lab.ready, PATIENCE, "ready firewall")
        lab.warm()
        lab.serve_udp(lab.right, 9000)
        assert lab.ask_udp(lab.left, RIGHT4, 9000) == "HELLO"
        sessions, rx = lab.stats()["sessions"]["created"], lab.port("out")["rx"]
        lab.take_cable("out")
        wait_for(lambda: lab.port("out")["state"] == "absent", PATIENCE, "absent port")
        assert "taken away" in lab.degraded()["port-absent"]["text"]
        before = lab.drops("route_link_down")
        lab.spawn(lab.left, "ping", "-i", "0.2", RIGHT4)
        lab.wait_drops("route_link_down", before)
        assert lab.stats()["sessions"]["created"] >= sessions and lab.port("out")["rx"] >= rx, "counters stay"
        lab.put_cable("out")
        wait_for(lab.ready, PATIENCE, lambda: f"ready firewall; it says:\n{lab.log()}")
        assert lab.port("out")["rx"] >= rx
        assert lab.ping(RIGHT4)
        told = ["absent", "mac-changed", "attached"]
        wait_for(lambda: [what for what in lab.port_events("out") if what not in ("link-up", "link-down")] == told, PATIENCE, "events of the port")
        assert lab.stop_firewall()[0] == 0


def test_a_mac_that_changes_is_followed():
    with ClosedLab() as lab:
        wait_for(lab.ready, PATIENCE, "ready firewall")
        sh("ip", "-n", lab.box, "link", "set", "vout", "address", "02:00:00:00:55:01")
        wait_for(lambda: lab.port("out")["mac"] == "02:00:00:00:55:01" and lab.ready(), PATIENCE, lambda: f"new MAC; it says:\n{lab.log()}")
        wait_for(lambda: "mac-changed" in lab.port_events("out"), PATIENCE, "event")
        assert lab.ping(RIGHT4)


def test_without_fail_closed_a_missing_device_ends_the_start(tmp_path):
    config = 'workers = [ 0 ]; memory = { huge = false; mb = 256; }; ports = ( { name = "a"; device = "net_af_packet0,iface=gone9"; zone = "inside"; peer = "b"; }, ' \
             '{ name = "b"; device = "net_null1"; zone = "outside"; peer = "a"; } ); rules = "%s";' % (tmp_path / "r.rules")
    (tmp_path / "c.conf").write_text(config)
    (tmp_path / "r.rules").write_text(RULES)
    done = subprocess.run([f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "gone9" in done.stderr


# --- everything else ---------------------------------------------------------------------------------------------------------------


CONFIG = """mode = "wire"; workers = [ 0 ]; memory = { huge = false; mb = 256; };
ports = ( { name = "in"; device = "net_null0"; peer = "out"; }, { name = "out"; device = "net_null1"; peer = "in"; } );
rules = "%(dir)s/main.rules"; api = { socket = "%(dir)s/api.sock"; }; poll = "adaptive";
"""
RULE_TEXT = 'version = 1; default = { action = "drop"; }; rules = ( "1 allow udp dport 53" );\n'


class Process:
    """A firewall without hosts, in a mount namespace whose /run is its own: the socket at its default path is no other firewall's."""

    def __init__(self, folder, config, environment=None):
        self.conf, self.said, self.folder = folder / "c.conf", folder / "log", folder
        if config is not None:
            self.conf.write_text(config % {"dir": folder})
        (folder / "main.rules").write_text(RULE_TEXT)
        script = 'mount -t tmpfs none /run && mkdir /run/sallyport && exec "$@"'
        with open(self.said, "w") as log:
            self.child = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, "sh", f"{BIN}/sallyport", "run", "--fail-closed", "-c", str(self.conf)],
                stderr=log, env={**os.environ, **(environment or {})})
        self.socket_path = str(folder / "api.sock")

    api = Lab.api

    def __enter__(self):
        wait_for(lambda: "sallyport: ready" in self.log() or self.child.poll() is not None, 60, "start")
        if self.child.poll() is not None:
            raise LabError(f"the firewall ended with {self.child.returncode}:\n{self.log()}")
        return self

    def __exit__(self, *exc):
        self.child.terminate()
        assert self.child.wait(PATIENCE) == 0, self.log()

    def log(self):
        return self.said.read_text()

    def at_default_socket(self):
        self.socket_path = f"/proc/{self.child.pid}/root/run/sallyport/api.sock"

    def degraded(self):
        return {entry["code"]: entry for entry in self.api("GET", "/v1/status")[1]["degraded"]}

    def ready(self):
        return self.api("GET", "/v1/ready")[0] == 200


@pytest.mark.parametrize("name,config,where", [
    ("missing", None, "c.conf"),
    ("syntax", CONFIG.replace("poll =", "poll"), "c.conf:3"),
    ("binary", "\0\1\2", "c.conf:1"),
    ("no ports", 'mode = "wire";\n', "c.conf"),
], ids=lambda value: value if isinstance(value, str) and " " not in value and len(value) < 12 else "")
def test_a_configuration_that_does_not_read_leaves_a_socket(tmp_path, name, config, where):
    with Process(tmp_path, config) as firewall:
        firewall.at_default_socket()
        entry = firewall.degraded()["no-config"]
        assert where in entry["text"] and "sallyport check" in entry["remedy"] and str(firewall.conf) in entry["remedy"]
        assert not firewall.ready()
        assert firewall.api("GET", "/v1/ports")[1]["ports"] == []
        assert firewall.api("GET", "/v1/rules")[1]["default"]["action"] == "drop"
        assert {"no-config", "no-ports", "no-rules"} <= set(firewall.degraded())


def test_the_socket_is_where_a_faulty_configuration_names_it(tmp_path):
    with Process(tmp_path, CONFIG.replace("poll", "pole")) as firewall:
        entry = firewall.degraded()["no-config"]
        assert "c.conf:3" in entry["text"] and "pole" in entry["text"]
        assert firewall.api("PUT", "/v1/rules", body=RULE_TEXT)[0] == 200, "rules can be put, though not saved"
        assert (tmp_path / "main.rules").read_text() == RULE_TEXT


@pytest.mark.parametrize("mode", ["wire", "route"])
def test_no_ports_at_all(tmp_path, mode):
    config = f'mode = "{mode}"; workers = [ 0 ]; memory = {{ huge = false; }}; ports = ( ); rules = "%(dir)s/main.rules"; ' \
             'api = { socket = "%(dir)s/api.sock"; }; poll = "adaptive";'
    with Process(tmp_path, config) as firewall:
        assert set(firewall.degraded()) <= {"no-ports"} and "doctor" in firewall.degraded()["no-ports"]["remedy"]
        assert not firewall.ready() and firewall.api("GET", "/v1/status")[1]["mode"] == mode
        assert firewall.api("GET", "/v1/stats")[0] == 200 and firewall.api("GET", "/v1/ports")[1]["ports"] == []
        assert len(firewall.api("GET", "/v1/rules")[1]["rules"]) == 1


def test_without_huge_pages_there_are_ordinary_ones(tmp_path):
    with open("/proc/meminfo") as f:
        total_mb = int(next(line for line in f if line.startswith("MemTotal")).split()[1]) // 1024
    with open("/proc/sys/vm/nr_hugepages") as f:
        huge_mb = int(f.read()) * 2
    if huge_mb > total_mb // 4:
        pytest.fail("this test wants most memory to be in ordinary pages")
    with Process(tmp_path, CONFIG.replace("huge = false; mb = 256", f"huge = true; mb = {huge_mb + 512}")) as firewall:
        entry = firewall.degraded()["no-huge-pages"]
        assert "memory.huge" in entry["text"] and "sallyport doctor" in entry["remedy"]
        assert firewall.ready(), "it works all the same"


@pytest.mark.parametrize("memory", ["mb = 1048576", "mb = 256; buffers = 16777216"], ids=["too much wanted", "too little given"])
def test_too_little_memory_makes_small_tables(tmp_path, memory):
    with Process(tmp_path, CONFIG.replace("mb = 256", memory)) as firewall:
        entry = firewall.degraded()["less-memory"]
        assert "memory" in entry["text"] and "sessions.max" in entry["remedy"]
        assert firewall.ready() and [port["state"] for port in firewall.api("GET", "/v1/ports")[1]["ports"]] == ["running"] * 2


def test_workers_on_cpus_that_are_not_there(tmp_path):
    with Process(tmp_path, CONFIG.replace("[ 0 ]", "[ 0, 900 ]")) as firewall:
        assert "CPU 900" in firewall.degraded()["other-cpus"]["text"]
        assert [worker["core"] for worker in firewall.api("GET", "/v1/workers")[1]["workers"]] == [0] and firewall.ready()


def test_an_event_file_that_cannot_be_written(tmp_path):
    with Process(tmp_path, CONFIG + 'log = { eve = "/proc/nonexistent/eve.json"; };') as firewall:
        assert "/proc/nonexistent" in firewall.degraded()["no-event-file"]["text"]
        assert firewall.ready()


def test_a_socket_that_cannot_be_made_is_at_its_default_path(tmp_path):
    with Process(tmp_path, CONFIG.replace("%(dir)s/api.sock", "/proc/nonexistent/api.sock")) as firewall:
        firewall.at_default_socket()
        assert "/proc/nonexistent" in firewall.degraded()["other-socket"]["text"]
        assert firewall.ready()


# --- what is missing takes nothing else with it ------------------------------------------------------------------------------------

SERVED = CONFIG.replace("api.sock\"; };", 'api.sock"; listen = "127.0.0.1:%(port)s"; certificate = "%(dir)s/cert.pem"; key = "%(dir)s/key.pem"; tokens = "%(dir)s/tokens"; };') + \
    'log = { eve = "%(dir)s/eve.json"; };'
FAULTS = {
    "no-event-file": ("%(dir)s/eve.json", "/proc/nonexistent/eve.json"),
    "other-socket": ("%(dir)s/api.sock", "/proc/nonexistent/api.sock"),
    "no-tls": ("%(dir)s/cert.pem", "/proc/nonexistent/cert.pem"),
}


def serve(folder, faults=(), config=SERVED):
    """A firewall whose event file, socket and TLS are fine but for these faults, and what TLS has to say."""
    port = free_port()
    certificate(folder)
    (folder / "tokens").write_text(f"prometheus read {READ}\n")
    os.chmod(folder / "tokens", 0o600)
    for fault in faults:
        config = config.replace(*FAULTS[fault])
    return Process(folder, config.replace("%(port)s", str(port))), Api(folder, port)


@pytest.mark.parametrize("faults", [c for n in range(4) for c in itertools.combinations(FAULTS, n)], ids=lambda faults: "+".join(faults) or "none")
def test_only_what_is_at_fault_is_done_without(tmp_path, faults):
    process, tls = serve(tmp_path, faults)
    with process as firewall:
        if "other-socket" in faults:
            firewall.at_default_socket()
        entries = firewall.degraded()
        assert set(entries) == set(faults)
        assert all("/proc/nonexistent" in entry["text"] and entry["remedy"] for entry in entries.values()), entries
        assert firewall.ready()
        assert firewall.api("PUT", "/v1/rules?force=1", body=RULE_TEXT)[0] == 200
        if "no-event-file" not in faults:
            wait_for(lambda: "audit" in (tmp_path / "eve.json").read_text(), PATIENCE, "line in the event file")
        assert tls.curl("/v1/status", READ)[0] == (0 if "no-tls" in faults else 200)


def test_a_group_that_there_is_not_moves_the_socket_only(tmp_path):
    process, tls = serve(tmp_path, config=SERVED.replace("api = {", 'api = { group = "nobody-has-this-name";'))
    with process as firewall:
        firewall.at_default_socket()
        assert set(firewall.degraded()) == {"other-socket"} and "nobody-has-this-name" in firewall.degraded()["other-socket"]["text"]
        assert tls.curl("/v1/status", READ)[0] == 200


@pytest.mark.parametrize("port", ["unprivileged", "privileged"])
def test_tls_comes_with_a_reload_once_its_files_are_good(tmp_path, port):
    """A privileged port too: what binding it takes is kept."""
    process, tls = serve(tmp_path, config=SERVED.replace("127.0.0.1:%(port)s", "127.0.0.3:443") if port == "privileged" else SERVED)
    os.rename(tmp_path / "cert.pem", tmp_path / "kept.pem")
    with process as firewall:
        assert set(firewall.degraded()) == {"no-tls"}
        assert firewall.api("POST", "/v1/reload")[0] == 200 and set(firewall.degraded()) == {"no-tls"}
        os.rename(tmp_path / "kept.pem", tmp_path / "cert.pem")
        assert firewall.api("POST", "/v1/reload")[0] == 200
        assert firewall.degraded() == {}
        if port == "unprivileged":
            assert tls.curl("/v1/status", READ)[0] == 200
        else:
            with socket.create_connection(("127.0.0.3", 443), PATIENCE):
                pass


def test_a_router_without_its_interfaces_in_linux(tmp_path):
    config = 'mode = "route"; workers = [ 0 ]; memory = { huge = false; }; route = { namespace = "/run/netns/gone9"; }; ' \
             'ports = ( { name = "wan"; device = "net_null0"; zone = "outside"; } ); rules = "%(dir)s/main.rules"; ' \
             'api = { socket = "%(dir)s/api.sock"; }; poll = "adaptive";'
    with Process(tmp_path, config) as firewall:
        entry = firewall.degraded()["no-linux"]
        assert "gone9" in entry["text"] and entry["remedy"] and not firewall.ready()


def test_what_is_wrong_is_shown_by_sallyctl(tmp_path):
    with Process(tmp_path, CONFIG.replace("net_null0", "net_af_packet0,iface=gone9")) as firewall:
        said = subprocess.run([f"{BIN}/sallyctl", "-s", firewall.socket_path, "status"], capture_output=True, text=True, timeout=60)
        assert said.returncode == 1 and "port-absent" in said.stdout and "gone9" in said.stdout
        said = subprocess.run([f"{BIN}/sallyctl", "-s", firewall.socket_path, "ports"], capture_output=True, text=True, timeout=60)
        rows = [line.split() for line in said.stdout.splitlines()]
        assert [row[:2] for row in rows] == [["PORT", "STATE"], ["in", "absent"], ["out", "running"]]
        assert rows[0][-2:] == ["DRIVER", "DEVICE"] and rows[2][-2:] == ["net_null", "net_null1"]
