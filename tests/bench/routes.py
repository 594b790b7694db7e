# SPDX-License-Identifier: BSD-3-Clause
"""Routes to the captures' networks: each /24 of them by one of eight neighbours of the port that it lies behind."""

NEIGHBOURS = 8
LINKS = (("in", "192.0.2", 0, "198.18"), ("out", "192.0.2", 128, "198.19"))
OTHERS = 20 << 24  # where routes begin that no packet of the captures takes


def neighbour(link, n):
    _, net, first, _ = LINKS[link]
    return f"{net}.{first + 2 + n % NEIGHBOURS}"


def neighbours():
    """What ip(8) is told, a command a line: neighbours that stay. Linux forgets them when a TAP gets a new owner."""
    return "".join(
        f"neigh replace {neighbour(index, n)} lladdr 02:00:00:01:{index:02x}:{n:02x} nud permanent dev {name}\n"
        for index, (name, _, _, _) in enumerate(LINKS) for n in range(NEIGHBOURS)
    )


def setup():
    """Addresses, neighbours, and 512 routes."""
    lines = [f"addr add {net}.{first + 1}/25 dev {name}" for name, net, first, _ in LINKS] + neighbours().splitlines()
    for index, (name, _, _, behind) in enumerate(LINKS):
        lines += [f"route add {behind}.{third}.0/24 via {neighbour(index, third)} dev {name}" for third in range(256)]
    return "\n".join(lines) + "\n"


def others(count):
    """So many /24 that nobody takes, in turn by every neighbour."""
    for r in range(count):
        a = OTHERS + (r << 8)
        yield f"route add {a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.0/24 via {neighbour(r % 2, r // 2)} dev {LINKS[r % 2][0]}\n"


def fib_rules():
    """The 512 routes as l3fwd has them: its next hops are ports."""
    return "".join(f"R{behind}.{third}.0/24 {index}\n" for index, (_, _, _, behind) in enumerate(LINKS) for third in range(256))
