# SPDX-License-Identifier: BSD-3-Clause
"""Each virtual device the firewall can be given: it starts on it, carries real traffic where there can be any, and leaves nothing behind.

af_packet is what all other system tests run on.
"""
import os
import subprocess

import pytest
from conftest import BIN, LAST_CPU, RULES
from lab import LEFT4, LEFT6, PATIENCE, RIGHT4, RIGHT6, Lab, LabError, sh, tcp_connects, wait_for
from scapy.all import ICMP, IP, TCP, UDP, Ether, IPv6, Raw, rdpcap, wrpcap


def carries_traffic(lab):
    """Real stacks on both hosts: what the rules allow works over both families, what they refuse is refused."""
    lab.serve_web(lab.right, {"index.html": b"hello\n", "big": bytes(1 << 20)})
    lab.serve_udp(lab.right, 9000)
    lab.warm()
    for addr in (RIGHT4, RIGHT6):
        url = f"http://[{addr}]" if ":" in addr else f"http://{addr}"
        assert lab.ping(addr)
        assert lab.curl(f"{url}/") == "hello\n"
        assert len(lab.curl(f"{url}/big")) == 1 << 20
        assert lab.ask_udp(lab.left, addr, 9000, "firewall") == "FIREWALL"
        assert tcp_connects(lab, lab.left, addr, 23) == "refused"
    assert lab.is_dropped(f"http://{RIGHT4}/?q=union+select", "inspect_match")


def ends_clean(lab, interfaces):
    """Every packet is accounted for, the firewall leaves with 0, and of interfaces only these are left in its namespace."""
    assert lab.balance() == 0
    assert lab.stop_firewall()[0] == 0
    assert interfaces_of(lab) == interfaces


def interfaces_of(lab):
    lines = sh("ip", "-n", lab.box, "-o", "link").stdout.splitlines()
    return {line.split(":")[1].strip().split("@")[0] for line in lines} - {"lo"}


def counters(lab):
    return {p["name"]: p for p in lab.api("GET", "/v1/ports")[1]["ports"]}


def test_af_xdp():
    devices = ("net_af_xdp0,iface=vin,force_copy=1", "net_af_xdp1,iface=vout,force_copy=1")
    with Lab(BIN, RULES, workers=(LAST_CPU,), devices=devices) as lab:
        assert "xdp" in sh("ip", "-n", lab.box, "-d", "link", "show", "vin").stdout
        carries_traffic(lab)
        ends_clean(lab, {"vin", "vout"})
        assert "prog/xdp" not in sh("ip", "-n", lab.box, "-d", "link").stdout


def test_tap():
    """The firewall makes the TAPs; bridges join their kernel ends to the hosts' cables, as a hypervisor does."""
    with Lab(BIN, RULES, workers=(LAST_CPU,), devices=("net_tap0,iface=tin", "net_tap1,iface=tout")) as lab:
        for name in ("in", "out"):
            sh("ip", "-n", lab.box, "link", "add", f"br{name}", "type", "bridge")
            for end in (f"t{name}", f"v{name}"):
                sh("ip", "-n", lab.box, "link", "set", end, "master", f"br{name}")
            for link in (f"t{name}", f"br{name}"):
                sh("ip", "netns", "exec", lab.box, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
            sh("ip", "-n", lab.box, "link", "set", f"br{name}", "up")
        carries_traffic(lab)
        ends_clean(lab, {"vin", "vout", "brin", "brout"})


def test_pcap_on_interfaces():
    with Lab(BIN, RULES, workers=(LAST_CPU,), devices=("net_pcap0,iface=vin", "net_pcap1,iface=vout")) as lab:
        carries_traffic(lab)
        ends_clean(lab, {"vin", "vout"})


def test_pcap_files(tmp_path):
    """Captures as wires: what is read from one port's file is judged and written to the other's."""
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    allowed = [
        ether / IP(src=LEFT4, dst=RIGHT4) / UDP(sport=1000, dport=9000) / Raw(b"question"),
        ether / IPv6(src=LEFT6, dst=RIGHT6) / TCP(sport=1001, dport=80, flags="S"),
        ether / IP(src=LEFT4, dst=RIGHT4) / ICMP(id=7, seq=1),
    ]
    denied = [
        ether / IP(src=LEFT4, dst=RIGHT4) / UDP(sport=1002, dport=9001),
        ether / IP(src=LEFT4, dst=RIGHT4) / TCP(sport=1003, dport=23, flags="S"),
    ]
    answer = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src=RIGHT4, dst=LEFT4) / UDP(sport=9000, dport=1000) / Raw(b"answer")
    stranger = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src=RIGHT4, dst=LEFT4) / UDP(sport=9000, dport=1004)
    files = {name: str(tmp_path / f"{name}.pcap") for name in ("in_rx", "in_tx", "out_rx", "out_tx")}
    wrpcap(files["in_rx"], allowed + denied)
    wrpcap(files["out_rx"], [answer, stranger])
    devices = [f"net_pcap{n},rx_pcap={files[port + '_rx']},tx_pcap={files[port + '_tx']}" for n, port in enumerate(("in", "out"))]
    with Lab(BIN, RULES, workers=(LAST_CPU,), devices=devices) as lab:
        wait_for(lambda: lab.stats()["packets"]["rx"] == 7, PATIENCE, "seven packets")
        assert lab.drops("default") == 2 and lab.drops("rule") == 1
        assert (counters(lab)["in"]["rx"], counters(lab)["out"]["rx"]) == (5, 2)
        ends_clean(lab, {"vin", "vout"})
    assert [bytes(p) for p in rdpcap(files["out_tx"])] == [bytes(p) for p in allowed]
    back = rdpcap(files["in_tx"])
    assert len(back) == 2 and {bytes(answer)} < {bytes(p) for p in back}
    reset = next(p for p in back if TCP in p)
    assert reset[TCP].flags == "RA" and reset[TCP].sport == 23 and reset[TCP].dport == 1003


def test_ring():
    """Rings that nobody else is at: the firewall starts, counts nothing, and leaves."""
    with Lab(BIN, RULES, workers=(LAST_CPU,), devices=("net_ring0", "net_ring1")) as lab:
        ports = counters(lab)
        assert ports["in"]["link"] == ports["out"]["link"] == "up"
        assert lab.stats()["packets"]["rx"] == 0
        ends_clean(lab, {"vin", "vout"})


def test_null():
    """A source of frames without end that are no IP: each is dropped and counted, and the socket answers all the while."""
    with Lab(BIN, RULES, workers=(LAST_CPU,), devices=("net_null0", "net_null1")) as lab:
        wait_for(lambda: lab.stats()["packets"]["rx"] > 100000, PATIENCE, "frames")
        stats = lab.stats()
        assert stats["packets"]["tx"] == 0
        assert sum(stats["drops"].values()) > 100000
        assert lab.stop_firewall()[0] == 0
    copied = "net_null0,copy=1,size=128"
    with Lab(BIN, RULES.replace('rules = (\n', 'rules = (\n "5 allow ethertype 0",\n'), workers=(LAST_CPU,), devices=(copied, "net_null1")) as lab:
        wait_for(lambda: counters(lab)["out"]["tx"] > 100000, PATIENCE, "frames")
        assert lab.stop_firewall()[0] == 0


def second_firewall(lab, devices):
    """Another firewall in the same namespace, with files of its own; returns the process and its socket."""
    folder = os.path.join(lab.dir, "second")
    os.makedirs(folder)
    with open(lab.config_path) as f:
        config = f.read()
    for old, new in ((lab.socket_path, f"{folder}/api.sock"), (lab.eve_path, f"{folder}/eve.json"), (lab.devices[0], devices[0]), (lab.devices[1], devices[1])):
        assert old in config
        config = config.replace(old, new)
    with open(f"{folder}/sallyport.conf", "w") as f:
        f.write(config)
    with open(f"{folder}/log", "w") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", lab.box, os.path.join(lab.bin_dir, "sallyport"), "run", "-c", f"{folder}/sallyport.conf"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )
    lab.children.append(process)
    return process, f"{folder}/api.sock"


def link_of(lab, port):
    try:
        return counters(lab)[port]["link"]
    except (OSError, LabError, KeyError, TypeError):
        return None


def test_memif(tmp_path):
    """Two firewalls in a row, joined by shared memory: left host - first - memif - second - right host."""
    socket = tmp_path / "memif.sock"
    memif = "net_memif0,role={},id=0,socket=%s,socket-abstract=no" % socket
    lab = Lab(BIN, RULES, workers=(LAST_CPU,), devices=("net_af_packet0,iface=vin", memif.format("server")))
    try:
        lab.make_hosts()
        lab.write_config()
        lab.start_firewall(wait=False)
        wait_for(lambda: link_of(lab, "out") == "down", PATIENCE, "port that waits for its other end")
        assert lab.api("GET", "/v1/ready")[0] == 503
        second, api = second_firewall(lab, (memif.format("client"), "net_af_packet1,iface=vout"))
        wait_for(lambda: lab.ready() or second.poll() is not None, PATIENCE, "link between the two")
        assert second.poll() is None
        carries_traffic(lab)
        sessions, lab.socket_path = lab.stats()["sessions"]["created"], api
        assert sessions == lab.stats()["sessions"]["created"] > 0
        assert lab.balance() == 0
        second.terminate()
        assert second.wait(PATIENCE) == 0
        lab.socket_path = os.path.join(lab.dir, "api.sock")
        wait_for(lambda: link_of(lab, "out") == "down", PATIENCE, "loss of the link")
        assert lab.silent(RIGHT4)
        lab.wait_drops("route_link_down", 0)
        ends_clean(lab, {"vin", "vout"})
    finally:
        lab.close()
    assert not socket.exists()


@pytest.mark.parametrize("device, word", [
    ("net_af_xdp0,iface=nowhere", "no network interface"),
    ("net_pcap0,rx_pcap=/nowhere/x.pcap,tx_pcap=/nowhere/y.pcap", "net_pcap0"),
    ("net_memif0,role=pope", "net_memif0"),
    ("net_tap0,iface=a-name-that-is-much-too-long", "net_tap0"),
])
def test_device_that_cannot_be(device, word):
    """One line that says what, exit 2, and nothing left."""
    with pytest.raises(LabError) as error:
        with Lab(BIN, RULES, workers=(LAST_CPU,), devices=(device, "net_null1")):
            pass
    assert "ended with 2" in str(error.value) and word in str(error.value)
