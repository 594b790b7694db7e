#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rule sets of the shapes that ClassBench found in the field: access lists, firewalls, IP chains.

One set in two forms: a Sallyport rule file, and ClassBench filter lines (`@SRC DST LO : HI LO : HI PROTO/MASK`, first match wins) for
programs that feed rte_acl themselves. The same shape, count and seed give the same set everywhere.
"""
import argparse
import ipaddress
import random
import sys

TCP, UDP, ICMP, GRE, ANY_PROTO = 6, 17, 1, 47, 0
PROTO_NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", GRE: "gre"}
ANY_PORT, HIGH_PORTS, LOW_PORTS = (0, 65535), (1024, 65535), (0, 1023)

# Shares of each class, by shape. Prefix lengths come as pairs, because source and destination lengths hang together in real sets.
SHAPES = {
    "acl": {
        "lengths": {(32, 32): 49, (31, 32): 13, (32, 31): 11, (31, 31): 3, (23, 32): 4, (32, 30): 4, (32, 24): 4, (24, 24): 6, (28, 30): 6},
        "protos": {TCP: 86, ANY_PROTO: 8, ICMP: 3, UDP: 3},
        "sport": {"any": 98, "exact": 2},
        "dport": {"any": 20, "exact": 66, "high": 4, "range": 10},
    },
    "fw": {
        "lengths": {(1, 32): 17, (0, 32): 13, (0, 31): 11, (1, 31): 6, (2, 32): 6, (32, 1): 5, (32, 32): 8, (29, 28): 18, (16, 24): 16},
        "protos": {TCP: 56, UDP: 31, GRE: 6, ICMP: 4, ANY_PROTO: 3},
        "sport": {"any": 76, "high": 9, "exact": 15},
        "dport": {"any": 20, "exact": 62, "high": 12, "range": 6},
    },
    "ipc": {
        "lengths": {(32, 32): 30, (31, 32): 10, (32, 31): 8, (24, 32): 9, (23, 32): 7, (25, 32): 7, (24, 24): 12, (16, 28): 9, (0, 28): 8},
        "protos": {UDP: 36, ANY_PROTO: 32, TCP: 27, ICMP: 4, GRE: 1},
        "sport": {"any": 82, "exact": 16, "high": 2},
        "dport": {"any": 40, "exact": 44, "high": 8, "range": 8},
    },
}


class Rule:
    """One filter: addresses as integers with prefix lengths, port ranges inclusive, proto 0 for any."""

    __slots__ = ("src", "src_len", "dst", "dst_len", "sport", "dport", "proto", "allow")

    def __init__(self, src, src_len, dst, dst_len, sport, dport, proto, allow):
        self.src, self.src_len, self.dst, self.dst_len = src, src_len, dst, dst_len
        self.sport, self.dport, self.proto, self.allow = sport, dport, proto, allow

    def key(self):
        return (self.src, self.src_len, self.dst, self.dst_len, self.sport, self.dport, self.proto)

    def text(self, rule_id):
        """The rule as a string of a rule file."""
        words = [str(rule_id), "allow" if self.allow else "drop"]
        if self.proto != ANY_PROTO:
            words.append(PROTO_NAMES[self.proto])
        if self.src_len:
            words.append(f"from {prefix(self.src, self.src_len)}")
        if self.dst_len:
            words.append(f"to {prefix(self.dst, self.dst_len)}")
        for name, (low, high) in (("sport", self.sport), ("dport", self.dport)):
            if (low, high) != ANY_PORT:
                words.append(f"{name} {low}" if low == high else f"{name} {low}-{high}")
        return " ".join(words)

    def filter_line(self):
        """The rule as a ClassBench filter."""
        mask = "0x00/0x00" if self.proto == ANY_PROTO else f"0x{self.proto:02x}/0xff"
        return (
            f"@{prefix(self.src, self.src_len)}\t{prefix(self.dst, self.dst_len)}\t"
            f"{self.sport[0]} : {self.sport[1]}\t{self.dport[0]} : {self.dport[1]}\t{mask}"
        )


def prefix(address, length):
    return f"{ipaddress.IPv4Address(address)}/{length}"


def pick(rng, shares):
    return rng.choices(list(shares), list(shares.values()))[0]


class Networks:
    """Addresses grow out of few networks, a few of them far more often than the rest, so that prefixes nest as in real sets."""

    def __init__(self, rng, count):
        self.rng = rng
        self.bases = []
        for _ in range(count):
            length = rng.choice((8, 12, 16, 16, 20, 22, 24))
            self.bases.append((rng.randrange(1, 224) << 24 | rng.getrandbits(24)) >> (32 - length) << (32 - length))
        self.weights = [1 / (i + 1) for i in range(count)]
        self.totals = []
        total = 0.0
        for w in self.weights:
            total += w
            self.totals.append(total)

    def draw(self, length):
        if length == 0:
            return 0
        base = self.rng.choices(self.bases, cum_weights=self.totals)[0]
        address = base | self.rng.getrandbits(8 if self.rng.random() < 0.7 else 14)
        return address >> (32 - length) << (32 - length)


def draw_ports(rng, kind, pool):
    if kind == "any":
        return ANY_PORT
    if kind == "high":
        return HIGH_PORTS
    port = rng.choices(pool, [1 / (i + 1) for i in range(len(pool))])[0]
    return (port, port) if kind == "exact" else (port, min(65535, port + rng.choice((1, 3, 9, 99))))


def generate(shape, count, seed=1):
    """`count` different rules of a shape. An earlier rule never equals a later one, though it may hide it, as in the field."""
    form, rng = SHAPES[shape], random.Random(f"{shape} {count} {seed}")
    src, dst = Networks(rng, max(8, count // 20)), Networks(rng, max(8, count // 20))
    pool = [80, 443, 53, 25, 22, 123, 161, 135, 1433, 1521] + [rng.randrange(1, 20000) for _ in range(110)]
    rules, seen = [], set()
    while len(rules) < count:
        src_len, dst_len = pick(rng, form["lengths"])
        proto = pick(rng, form["protos"])
        sport = dport = ANY_PORT
        if proto in (TCP, UDP):
            sport, dport = draw_ports(rng, pick(rng, form["sport"]), pool), draw_ports(rng, pick(rng, form["dport"]), pool)
        rule = Rule(src.draw(src_len), src_len, dst.draw(dst_len), dst_len, sport, dport, proto, rng.random() < 0.7)
        if rule.key() not in seen:
            seen.add(rule.key())
            rules.append(rule)
    # A set is written from the particular to the general; without an order the widest rules would hide most of the others.
    rules.sort(key=lambda r: -(r.src_len + r.dst_len))
    return rules


def rule_file(rules, head=""):
    """A Sallyport rule file of them; ids from 1 in order."""
    lines = ",\n".join(f'    "{r.text(i)}"' for i, r in enumerate(rules, 1))
    return f'version = 1;\n{head}default = {{ action = "drop"; }};\nrules = (\n{lines}\n);\n'


def filter_file(rules):
    return "".join(r.filter_line() + "\n" for r in rules)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--shape", choices=sorted(SHAPES), default="acl")
    parser.add_argument("--count", type=int, default=1000, help="rules, 10 to 100000")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--filters", action="store_true", help="ClassBench filter lines instead of a rule file")
    arguments = parser.parse_args()
    if not 1 <= arguments.count <= 131072:
        parser.error("--count must be from 1 to 131072")
    rules = generate(arguments.shape, arguments.count, arguments.seed)
    sys.stdout.write(filter_file(rules) if arguments.filters else rule_file(rules))


if __name__ == "__main__":
    main()
