# SPDX-License-Identifier: BSD-3-Clause
"""What is measured with what: rule files, captures, and the lists of contenders."""
import os
import random
import statistics

import make_rules
import routes
import traffic
from contenders import L3fwd, MicroWire, Routed, Sallyport, Testpmd, Windows, micro

# Eight rules that the packets meet in vain, and two that let them pass, for every contender that has rules.
DENIED = [("192.0.2.0/24", "198.51.100.0/24", p) for p in (22, 23, 25, 135, 139, 445, 3389, 5900)]
ZONED = [
    *(f"{i} drop tcp from {src} to {dst} dport {port}" for i, (src, dst, port) in enumerate(DENIED, 1)),
    "9 allow udp from inside 198.18.0.0/16 to outside 198.19.0.0/16",
]


# To 16 addresses; to one of ten backends, whatever address of the network is asked for.
SOURCE_NAT = 'nat = ( { id = 1; type = "source"; from = "inside"; src = "198.18.0.0/16"; address = "203.0.113.0/28"; } );\n'
BALANCER = (
    'sets = { backends = [ "198.19.1.1-198.19.1.10" ]; };\n'
    'nat = ( { id = 1; type = "destination"; from = "inside"; proto = "udp"; dst = "198.19.0.0/16"; address = "@backends"; method = "maglev"; } );\n'
)


# Tables of the default size: sessions, fragments, and what else a worker has.
TABLES_MB = 896


class Size:
    """How much a run measures. Launches are odd in number, so that a median is one of them; figures.by_chance tells why so many."""

    def __init__(self, quick):
        self.quick = quick
        self.launches = 7 if quick else 11
        self.windows = Windows(3, 0.06) if quick else Windows(3, 0.08)
        self.soak_sessions, self.soak_launches = (1000000, 3) if quick else (10000000, 3)
        self.flood_samples = 11 if quick else 31
        self.million_launches = 1 if quick else 3
        # Seconds after the start by which rounds of each kind stop, whatever is left.
        self.wire_until, self.memory_until, self.million_until, self.soak_until = (85, 102, 120, 140) if quick else (420, 540, 600, 650)


# What tables call the kinds of traffic.
KINDS = {"udp": "", "summed": "UDP ", "tcp": "TCP ", "syn": "SYN "}


class Capture:
    """A pair of captures, and the memory that a program needs to hold both."""

    def __init__(self, folder, name, flows, payload_bytes=traffic.SMALLEST, kind="udp"):
        self.name, self.flows = name, flows
        self.forth, self.back = os.path.join(folder, f"{name}-forth.pcap"), os.path.join(folder, f"{name}-back.pcap")
        self.buffers = 2 * flows + 16384
        self.memory_mb = TABLES_MB + self.buffers * 2560 // (1 << 20)
        # With FCS. A SYN with its options is longer than the smallest frame.
        frame_bytes = payload_bytes + 46 if kind != "syn" else 70
        self.text = f"{flows:,} {KINDS[kind]}flows, {frame_bytes} B"
        traffic.make_pair(self.forth, self.back, flows, payload_bytes, kind)


def rule_text(rules, head="", default="drop"):
    lines = ",\n".join(f'    "{r}"' for r in rules)
    return f'version = 1;\n{head}default = {{ action = "{default}"; }};\nrules = (\n{lines}\n);\n'


def patterns_head(count):
    """An inspect profile of `count` literals, without a bound on depth: the same few sessions are scanned on and on."""
    rng = random.Random(7)
    lines = []
    for i in range(count):
        word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789_/.-", k=rng.randrange(8, 17))).replace(".", "\\\\.")
        lines.append(f'{{ id = {9000001 + i}; msg = "literal {i}"; pattern = "{word}"; action = "drop"; }}')
    body = ",\n        ".join(lines)
    return f'inspect = {{\n    bench = {{ mode = "block"; depth = 0; patterns = (\n        {body}\n    ); }};\n}};\n'


class Files:
    """Rule files of every form, in one folder."""

    def __init__(self, folder, patterns):
        self.folder = folder
        self.ten = self.write("ten.rules", rule_text([*ZONED, "10 allow udp from outside 198.19.0.0/16 to inside 198.18.0.0/16"]))
        self.tcp = self.write("tcp.rules", rule_text([*ZONED[:8], "9 allow tcp from inside 198.18.0.0/16 to outside 198.19.0.0/16"]))
        both = "10 allow udp from outside 198.19.0.0/16 to inside 198.18.0.0/16"
        self.source = self.write("source.rules", rule_text([*ZONED, both], SOURCE_NAT))
        self.balanced = self.write("balanced.rules", rule_text([*ZONED, both], BALANCER))
        self.bpf = self.write("bpf.rules", rule_text([*ZONED[:8], "9 allow udp stateless bpf 'udp[4:2] < 1000 and ip[8] > 1'"]))
        self.inspect = self.write("inspect.rules", rule_text([*ZONED[:8], ZONED[8] + " inspect bench"], patterns_head(patterns)))
        acl = [f"@{src} {dst} 0 : 65535 {port} : {port} 0x06/0xff" for src, dst, port in DENIED]
        acl += ["R198.18.0.0/16 198.19.0.0/16 0 : 65535 0 : 65535 0x11/0xff 1", "R198.19.0.0/16 198.18.0.0/16 0 : 65535 0 : 65535 0x11/0xff 0"]
        self.acl4 = self.write("acl4", "\n".join(acl) + "\n")
        self.acl6 = self.write("acl6", "R0:0:0:0:0:0:0:0/0 0:0:0:0:0:0:0:0/0 0 : 65535 0 : 65535 0x00/0x00 0\n")
        self.fib4 = self.write("fib4", routes.fib_rules())
        self.fib6 = self.write("fib6", "R2001:0200:0000:0000:0000:0000:0000:0000/64 0\n")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def shape(self, shape, count):
        """(rule file, filter file) of a generated set."""
        rules = make_rules.generate(shape, count)
        return self.write(f"{shape}-{count}.rules", make_rules.rule_file(rules)), self.write(f"{shape}-{count}", make_rules.filter_file(rules))

    def crowded(self, count):
        """Sessions open by the last rule of an access list."""
        rules = make_rules.generate("acl", count - 1)
        texts = [r.text(i) for i, r in enumerate(rules, 1)]
        return self.write(f"crowded-{count}.rules", rule_text([*texts, f"{count} allow udp from 198.18.0.0/16 to 198.19.0.0/16"]))


# Sessions end a second of the table's clock after their only packet.
SHORT_LIVES = "sessions = { timeouts = { udp_new = 1; tcp_syn_sent = 1; }; };\n"


def wire(folder, files, size):
    """Contenders in the order of the table: those of one capture stand together, so that ratios are of neighbours in time."""
    def group(capture):
        acl = L3fwd("acl", capture, files.acl4, files.acl6, ", 10 rules")
        fib = L3fwd("fib", capture, files.fib4, files.fib6, ", 512 routes")
        return [Testpmd("io", capture), acl, fib, *pair(capture)]

    def pair(capture):
        wire, routed = Sallyport("established", capture, files.ten), Routed("routed", capture, files.ten)
        routed.beside = wire
        return [wire, routed]

    small, large = Capture(folder, "small", 1000), Capture(folder, "large", 100000)
    tcp, syn = Capture(folder, "tcp", 1000, kind="tcp"), Capture(folder, "syn", 100000, kind="syn")
    plan = group(small)
    plan += [MicroWire("sallyport parse only", "parse", small, files.ten)]
    if not size.quick:
        plan += [Testpmd("5tswap", small), Sallyport("bpf rule, stateless", small, files.bpf)]
        plan += group(Capture(folder, "medium", 10000))
    plan += group(large) if not size.quick else [Testpmd("io", large), *pair(large)]
    plan += translated(folder, files, size, large)
    plan += [MicroWire("sallyport all new sessions", "new", large, files.ten, SHORT_LIVES)]
    if not size.quick:
        plan += [MicroWire("sallyport all new, 1,000 rules", "new", large, files.crowded(1000), SHORT_LIVES), Testpmd("io", tcp)]
    # The flows' handshakes are not in the capture: sessions are picked up.
    plan += [Sallyport("established TCP", tcp, files.tcp, "tcp = { midstream = true; };\n")]
    if not size.quick:
        plan += [Testpmd("io", syn), MicroWire("sallyport all new, SYN", "new", syn, files.tcp, SHORT_LIVES + 'floods = { syn_proxy = "off"; };\n')]
    plan += [Sallyport("SYN flood, proxy engaged", syn, files.tcp, 'floods = { syn_proxy = "always"; };\n', "net_null1,no-rx=1")]
    if not size.quick:
        payload = Capture(folder, "payload", 1000, 512)
        plan += [Testpmd("io", payload), Sallyport("inspected", payload, files.inspect)]
    return plan


def translated(folder, files, size, large):
    """Routed sessions with translation beside such without. Answers are made when it is known what was chosen: by micro."""
    def row(name, mode, capture, rules, beside=None):
        made = MicroWire(f"sallyport {name}", mode, capture, rules, SHORT_LIVES if mode == "new" else "", routed=True)
        made.beside = beside
        return made

    plan = []
    for name, flows in (("summed", 1000),) if size.quick else (("summed", 1000), ("summed-medium", 10000)):
        capture = Capture(folder, name, flows, kind="summed")
        routed = row("routed, answered", "answers", capture, files.ten)
        plan += [routed, row("source NAT", "answers", capture, files.source, routed), row("load balancer", "answers", capture, files.balanced, routed)]
    routed = row("routed, all new", "new", large, files.ten)
    plan += [routed, row("load balancer, all new", "new", large, files.balanced, routed)]
    if not size.quick:
        plan += [row("source NAT, all new", "new", large, files.source, routed)]
    return plan


class MemoryJob:
    """An in-process comparison, launched several times."""

    def __init__(self, title, arguments, memory_mb, launches, repeats=3, sample_ms=15):
        self.title, self.arguments, self.memory_mb, self.wanted = title, arguments, memory_mb, launches
        self.repeats, self.sample_ms = repeats, sample_ms
        self.launches, self.error, self.short = [], None, False

    def launch(self, machine):
        self.launches.append(micro(machine, self.arguments, self.repeats, self.sample_ms, self.memory_mb, 150)["results"])


def memory(files, size):
    """The in-process comparisons. A set that takes long to build is launched less often: its range is of fewer."""
    jobs = []
    for shape in ("acl",) if size.quick else ("acl", "fw", "ipc"):
        for count in (10, 1000) if size.quick else (10, 1000, 10000, 100000):
            if count < 100000 or shape == "acl":
                launches, memory_mb = {10000: (5, 1500), 100000: (3, 6000)}.get(count, (size.launches, 1024))
                jobs.append(MemoryJob(f"{shape}, {count:,} rules", ["acl", *files.shape(shape, count)], memory_mb, launches))
    for count in (1000, 100000) if size.quick else (1000, 10000, 100000, 1000000):
        jobs.append(MemoryJob("", ["hash", count], 1024, size.launches))
    for payload_bytes in (512,) if size.quick else (64, 512, 1400):
        jobs.append(MemoryJob("", ["scan", files.inspect, payload_bytes], 512, size.launches))
    return jobs


class Noise:
    """The core's clock, and whether its ports are its own, once a round."""

    def __init__(self):
        self.clock_ghz, self.wide = [], []

    def launch(self, machine):
        told = micro(machine, ["noise"], 3, 10, 64, 30)
        machine.tsc_hz = told["tsc_hz"]
        chain, wide = (statistics.median(entry["cycles"]) for entry in told["results"])
        # A multiplication in a chain takes three clocks.
        self.clock_ghz.append(3 / chain * told["tsc_hz"] / 1e9)
        self.wide.append(wide / chain)
