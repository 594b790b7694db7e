# SPDX-License-Identifier: BSD-3-Clause
"""What the service manager is told: that the firewall is ready, and that it is alive, but only while every worker polls."""
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time

import pytest
from conftest import BIN
from lab import PATIENCE, Lab, wait_for

CONFIG = """workers = [ 0 ]; memory = { huge = false; mb = 256; }; poll = "adaptive"; rules = "%(dir)s/main.rules"; api = { socket = "%(dir)s/api.sock"; };
ports = ( { name = "in"; device = "net_null0"; peer = "out"; }, { name = "out"; device = "net_null1"; peer = "in"; } );
"""
RULES = 'version = 1; default = { action = "drop"; }; rules = ( );\n'
LIMIT_US = 2000000
LONGEST_RETRY = 8  # seconds, of a device that does not open
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 0x4206, 0x4207, 0x40000000


class Manager:
    """A firewall, and the socket on which it tells of itself."""

    def __init__(self, folder, config, options):
        (folder / "c.conf").write_text(config % {"dir": folder})
        (folder / "main.rules").write_text(RULES)
        self.socket_path, self.messages = str(folder / "api.sock"), []
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.notes.bind(str(folder / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(LIMIT_US)}
        environment.pop("WATCHDOG_PID", None)
        self.child = subprocess.Popen([f"{BIN}/sallyport", "run", *options, "-c", str(folder / "c.conf")], stderr=subprocess.DEVNULL, env=environment)

    api = Lab.api

    def hear(self):
        while True:
            try:
                self.messages += self.notes.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.messages

    def beats(self):
        return self.hear().count("WATCHDOG=1")

    def worker(self):
        tasks = f"/proc/{self.child.pid}/task"
        return next(int(task) for task in os.listdir(tasks) if "worker" in open(f"{tasks}/{task}/comm").read())


@contextlib.contextmanager
def managed(folder, config=CONFIG, *options):
    made = Manager(folder, config, options)
    try:
        wait_for(lambda: "READY=1" in made.hear(), 60, "ready firewall")
        yield made
        made.child.terminate()
        assert made.child.wait(PATIENCE) == 0
        assert "STOPPING=1" in made.hear()
    finally:
        made.child.kill()
        made.child.wait()
        made.notes.close()


@pytest.fixture()
def manager(tmp_path):
    with managed(tmp_path) as made:
        yield made


@contextlib.contextmanager
def hanging_worker(manager):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    worker = manager.worker()
    assert libc.ptrace(PTRACE_SEIZE, worker, None, None) == 0
    try:
        assert libc.ptrace(PTRACE_INTERRUPT, worker, None, None) == 0
        assert os.waitpid(worker, WALL)[0] == worker
        wait_for(lambda: "workers-not-polling" in str(manager.api("GET", "/v1/status")[1]["degraded"]), PATIENCE, "hanging worker")
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, worker, None, None)


def test_it_is_alive_while_workers_poll(manager):
    wait_for(lambda: manager.beats() > 2, PATIENCE, "beats")
    with hanging_worker(manager):
        before = manager.beats()
        time.sleep(LIMIT_US / 1e6)  # in which a healthy one would have been heard four times
        assert manager.beats() == before
    wait_for(lambda: manager.beats() > before, PATIENCE, "beats of a worker that goes on")


def test_a_large_rule_file_may_take_its_time(manager):
    assert manager.api("POST", "/v1/reload")[0] == 200
    wait_for(lambda: f"WATCHDOG_USEC={LIMIT_US}" in manager.hear(), PATIENCE, "end of the longer limit")
    limits = [message for message in manager.hear() if message.startswith("WATCHDOG_USEC=")]
    assert int(limits[0].partition("=")[2]) > 60 * 1000000 and limits[1] == f"WATCHDOG_USEC={LIMIT_US}"


def test_a_driver_may_take_its_time(tmp_path):
    """Each try to open a device gets a longer limit; but a worker that hangs is not covered by that."""
    absent = CONFIG.replace("net_null1", "net_pcap0,rx_pcap=%(dir)s/none.pcap")
    with managed(tmp_path, absent, "--fail-closed") as manager:
        wait_for(lambda: f"WATCHDOG_USEC={LIMIT_US}" in manager.hear(), PATIENCE, "end of the longer limit")
        limits = [message for message in manager.hear() if message.startswith("WATCHDOG_USEC=")]
        assert int(limits[0].partition("=")[2]) > 60 * 1000000 and limits[1] == f"WATCHDOG_USEC={LIMIT_US}"
        with hanging_worker(manager):
            before = manager.beats()
            time.sleep(LONGEST_RETRY + 1)  # in which the device was tried again
            assert manager.beats() == before


def test_nobody_watches(tmp_path):
    """Without a manager nothing is sent, and nothing else is different."""
    (tmp_path / "c.conf").write_text(CONFIG % {"dir": tmp_path})
    (tmp_path / "main.rules").write_text(RULES)
    environment = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
    with open(tmp_path / "log", "w") as log:
        child = subprocess.Popen([f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")], stderr=log, env=environment)
    try:
        wait_for(lambda: "sallyport: ready" in (tmp_path / "log").read_text(), 60, "ready firewall")
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0
    finally:
        child.kill()
        child.wait()
