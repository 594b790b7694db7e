# SPDX-License-Identifier: BSD-3-Clause
"""`bpf` agrees with tcpdump: each expression picks the same packets of the tables as tcpdump does from the same capture."""
import subprocess

import pytest
from conftest import policy, write_pcap
from frames import ICMP, MAC_OUT, OUT4, TCP, UDP, Dot1AD, Dot1Q, Raw, ether, frame, ip4, ip6, tcp4, tcp6, udp4, udp6
from test_protocols import ROWS

EXPRESSIONS = [
    "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "sctp", "ip proto 47", "ip6 proto 89", "ip proto \\\\esp",
    "host 192.0.2.10", "src host 10.1.2.3", "dst host 192.0.2.10", "net 10.0.0.0/8", "src net 2001:db8:10::/48", "dst net 192.0.2.0 mask 255.255.255.0",
    "port 53", "src port 1006", "dst port 80", "tcp port 80", "udp port 53", "portrange 1000-1010", "dst portrange 50-60", "not port 53", "port domain or port http",
    "ether src 02:00:00:00:00:01", "ether dst 02:00:00:00:00:02", "ether broadcast", "ether multicast", "ether broadcast or ether multicast",
    "vlan", "vlan 20", "vlan 20 and udp", "vlan 100 and vlan 20", "not vlan",
    "less 64", "greater 500", "len > 100",
    "tcp[13] = 2", "tcp[tcpflags] & tcp-syn != 0", "tcp[tcpflags] = tcp-syn|tcp-ack", "ip[8] = 1", "ip[6] & 0x40 != 0", "udp[4:2] > 100", "icmp[icmptype] = icmp-echo",
    "ip[0] & 0xf > 5", "ip6[6] = 0", "ether[12:2] = 0x8100", "ip[((ip[0] & 0xf) << 2)] = 4", "udp[8:4] = 0x61626300 or udp[8] = 0x78",
    "(tcp or udp) and not (port 80 or port 53)", "ip and not (net 192.0.2.0/24 and port 53)", "ip multicast", "ip6 multicast", "tcp and (len - ((ip[0] & 0xf) << 2)) > 60",
    "ip[2:2] - ((ip[0] & 0xf) << 2) > 28", "udp[0:2] % 2 = 1", "ether[0] & 1 = 0 and ip", "dst host 255.255.255.255 and udp port 67", "1 = 1 and ip",
]
MORE = [
    tcp4(2001, 81, flags="SA"), tcp4(2002, 443, flags="PA", payload=b"GET / HTTP/1.1\r\n"), tcp6(2003, 22, flags="A"), udp4(2005, 67), udp4(2006, 5000, payload=b"abc\0" * 40),
    udp6(2007, 546), frame(ether(), ip4(), ICMP(type=8, id=5), Raw(b"x" * 600)), frame(ether(), ip4("198.51.100.7", OUT4), TCP(sport=9, dport=9)),
    frame(ether(), Dot1Q(vlan=20), ip4(), TCP(sport=2008, dport=80)), frame(ether(), Dot1AD(vlan=100), Dot1Q(vlan=20), ip4(), UDP(sport=2009, dport=53)),
    frame(ether(src=MAC_OUT), ip6(), UDP(sport=2010, dport=9)),
]
FRAMES = [raw for name, raw in ROWS if "arp" not in name and "neighbour" not in name and "router" not in name] + MORE


def tcpdump_picks(capture, expression):
    """Packet numbers (from 0) that tcpdump takes from the capture: each frame's time is its number."""
    done = subprocess.run(["tcpdump", "-n", "-tt", "-r", capture, expression.replace("\\\\", "\\")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(float(line.split()[0])) - 1000 for line in done.stdout.splitlines() if line[:1].isdigit()]


@pytest.fixture(scope="module")
def capture(firewall):
    path = firewall.path("bpf.pcap")
    write_pcap(path, FRAMES, gap=1.0)
    return path


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_agrees_with_tcpdump(firewall, capture, expression):
    result = firewall.replay(policy(f"1 allow bpf '{expression}' stateless".replace("\\\\", "\\")), capture, zones=False)
    picked = [n for n, p in enumerate(result.packets) if p["rule"] == 1]
    assert picked == tcpdump_picks(capture, expression)


def test_there_are_enough_expressions():
    assert len(set(EXPRESSIONS)) >= 50
