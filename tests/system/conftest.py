# SPDX-License-Identifier: BSD-3-Clause
"""System tests: real hosts in namespaces, a real firewall process between them. Root is needed, as for any network namespace."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, os.environ.get("SALLYPORT_BIN", "build/gcc-release"))
LAST_CPU = (os.cpu_count() or 1) - 1

from lab import Lab  # noqa: E402

RULES = """version = 1;
sets = { servers = [ "192.0.2.10", "2001:db8::10" ]; };
inspect = { web = { mode = "block"; patterns = ( { id = 77; msg = "attack"; pattern = "union(\\\\s|\\\\+)select"; flags = "i"; action = "drop"; } ); }; };
default = { action = "drop"; log = true; };
rules = (
    "10 allow tcp from inside to outside @servers dport 80 inspect web log both",
    "11 allow tcp,udp from inside to outside @servers dport 5201",
    "12 allow udp from inside to outside @servers dport 9000",
    "13 allow icmp,icmpv6 from inside icmp_type echo-request",
    "14 reject tcp,udp from inside dport 23"
);
"""


@pytest.fixture(scope="module")
def lab():
    with Lab(BIN, RULES, workers=(LAST_CPU,)) as made:
        made.serve_web(made.right, {"index.html": b"hello\n", "big": os.urandom(1 << 20) * 16})
        made.serve_udp(made.right, 9000)
        yield made
        assert made.balance() == 0
        assert made.stop_firewall()[0] == 0
