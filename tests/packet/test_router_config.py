# SPDX-License-Identifier: BSD-3-Clause
"""A router's configuration with the commands that need no router: its rules are checked and judged, and nobody is promised more."""
import pytest
from conftest import policy, write_pcap
from scapy.all import IP, UDP, Ether

ROUTER = ('mode = "route"; ports = ( { name = "wan"; device = "net_null0"; zone = "outside"; }, { name = "lan"; device = "net_null1"; zone = "inside"; } );\n'
          'rules = "router.rules";\n')
RULES = policy("1 allow from inside to outside", "2 allow udp from inside to self dport 53")


def frame(dst):
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.1.2.3", dst=dst) / UDP(sport=4000, dport=53) / b"x"


@pytest.fixture
def router(tmp_path):
    (tmp_path / "router.conf").write_text(ROUTER)
    (tmp_path / "router.rules").write_text(RULES)
    return str(tmp_path / "router.conf")


def test_it_is_checked_with_its_rules_and_they_know_self(firewall, router):
    done = firewall.run("check", "--strict", router)
    assert done.returncode == 0, done.stderr


def test_rules_that_speak_of_self_are_an_error_on_a_wire(firewall, router):
    wire = router.replace("router.conf", "wire.conf")
    with open(wire, "w") as f:
        f.write('ports = ( { name = "a"; device = "net_null0"; zone = "inside"; peer = "b"; }, { name = "b"; device = "net_null1"; zone = "outside"; peer = "a"; } );\n'
                'rules = "router.rules";\n')
    done = firewall.run("check", wire)
    assert done.returncode == 1 and "'self' is the firewall itself" in done.stderr


def test_without_zones_there_is_no_telling_where_packets_go(firewall, router, tmp_path):
    write_pcap(str(tmp_path / "in.pcap"), [frame("192.0.2.1")])
    done = firewall.run("replay", "-c", router, str(tmp_path / "in.pcap"))
    assert done.returncode == 2 and "--zone NAME=PREFIX" in done.stderr


def test_with_zones_its_rules_judge(firewall, router):
    result = firewall.replay(RULES, [frame("192.0.2.1"), frame("10.0.0.1"), frame("10.9.9.9")], "-c", router, "--zone", "self=10.0.0.1/32")
    assert result.verdicts() == ["allow", "allow", "drop"]
