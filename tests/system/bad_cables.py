# SPDX-License-Identifier: BSD-3-Clause
"""A Lab with bad cables: frames are lost, doubled and overtaken, the same ones in each run."""
import os

from conftest import BIN, LAST_CPU
from lab import PATIENCE, Lab, sh, wait_for

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lossy_wire.c")


class BadCables(Lab):
    """
    A lossy_wire each lies between a host and the firewall's port of its side. Without dice the cables are only long.

        left host eth0 -- vin [lossy_wire] wire-in -- near-in  Sallyport  near-out -- wire-out [lossy_wire] vout -- eth0 right host
    """

    def __init__(self, rules, workers=(LAST_CPU,), timeouts="", delay_us=500, dice=True):
        self.delay_us, self.dice, self.wires = delay_us, dice, []
        super().__init__(BIN, rules, workers=workers, extra_config=timeouts, devices=("net_af_packet0,iface=near-in", "net_af_packet1,iface=near-out"))

    def make_hosts(self):
        super().make_hosts()
        program = os.path.join(self.dir, "lossy_wire")
        sh("cc", "-O2", "-o", program, SOURCE)
        for seed, port in enumerate(("in", "out"), 1):
            sh("ip", "-n", self.box, "link", "add", "name", f"wire-{port}", "type", "veth", "peer", "name", f"near-{port}")
            for link in (f"wire-{port}", f"near-{port}"):
                sh("ip", "netns", "exec", self.box, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
                sh("ip", "netns", "exec", self.box, "ethtool", "-K", link, "tx", "off", "gso", "off", "tso", "off", "gro", "off", check=False)
                sh("ip", "-n", self.box, "link", "set", link, "up")
            self.wires.append(os.path.join(self.dir, f"wire-{port}"))
            with open(self.wires[-1], "w") as told:
                self.spawn(self.box, program, f"v{port}", f"wire-{port}", str(self.delay_us), str(seed if self.dice else 0), stdout=told)
            wait_for(lambda: " state UP " in sh("ip", "-n", self.box, "-o", "link", "show", f"near-{port}").stdout, PATIENCE, f"link of near-{port}")

    def wire_says(self):
        """What the cables have done up to now."""
        return [line for path in self.wires for line in open(path).read().splitlines()[-2:]]
